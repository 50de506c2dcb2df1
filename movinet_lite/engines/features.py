"""Returns features in addition to logits: the vectors inside a model that its classifier uses.

A model with features returns longer rows: the requested features, in order, follow the logits of each row. Everything
that steps a model also steps one with features.

============  ==================================================================  ==================================
name          what it is                                                          layer of the Model Garden [1]
============  ==================================================================  ==================================
``"pooled"``  the backbone's output, averaged over space and over all frames so   input of ``classifier_head/head``
              far (of a base model: over the clip): 480 values in A0, 600 in A1,
              640 in A2 to A5
``"hidden"``  the hidden layer's output after its activation, which the           input of
              classifier takes: 2,048 values                                      ``classifier_head/classifier``
============  ==================================================================  ==================================

References:
    [1] TensorFlow Model Garden, ``official/projects/movinet/modeling/movinet_layers.py``, ``ClassifierHead``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FEATURE_NAMES, FeatureName, FrameSize, States
from movinet_lite.engines.base import (
    BatchFeatureModel,
    ClipModel,
    FeatureClipModel,
    FeatureStreamModel,
    ModelInfo,
    StreamModel,
)
from movinet_lite.engines.stepping import step_all, step_one_by_one
from movinet_lite.errors import ModelError
from movinet_lite.network.state_names import canonical_state_name

__all__ = [
    "check_feature_name",
    "clip_with_features",
    "feature_names",
    "pooled_features",
    "split_rows",
    "stream_with_features",
]

_Model = TypeVar("_Model", bound=StreamModel)

_SUM: Final = "state/head/pool_buffer"
_COUNT: Final = "state/head/pool_frame_count"


def check_feature_name(name: object, source: str = "") -> FeatureName:
    """Return *name*, after checking that it is the name of features.

    Args:
        name: The given name; `True` for ``"pooled"``.
        source: The name of the model, for the message.

    Raises:
        ModelError: If there are no features of this name.
    """
    if name is True:
        return "pooled"
    for known in FEATURE_NAMES:
        if name == known:
            return known
    raise ModelError(
        f"features must be one of {', '.join(FEATURE_NAMES)}; got {name!r}",
        source,
    )


def feature_names(model: ClipModel | StreamModel) -> tuple[FeatureName, ...]:
    """Return the features that *model* has outputs for; a stream model may also have pooled ones in its states."""
    if isinstance(model, (FeatureClipModel, FeatureStreamModel)):
        return model.feature_names
    return ()


def clip_with_features(model: ClipModel, name: FeatureName) -> FeatureClipModel:
    """Return *model* with the features *name*.

    Raises:
        ModelError: If it does not have them.
    """
    known = feature_names(model)
    if not isinstance(model, FeatureClipModel) or name not in known:
        raise _missing(name, known, model.info)
    return model


def stream_with_features(
    model: StreamModel, names: Sequence[FeatureName]
) -> StreamModel:
    """Return *model* with rows in which the features *names* follow the logits.

    Raises:
        ModelError: If the model does not have them.
    """
    known = feature_names(model)
    for name in names:
        if name not in (known or ("pooled",)):
            raise _missing(name, known, model.info)
    if isinstance(model, FeatureStreamModel) and known:
        return _StreamWithFeatures(model, names)
    return _PooledFromStates(model, len(names))


def split_rows(
    rows: NDArray[np.float32], info: ModelInfo
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits and the features in *rows* of a model.

    Args:
        rows: ``(..., classes + channels)``; for a model without features, ``(..., classes)``.
        info: The facts of the model.
    """
    return rows[..., : info.num_classes], rows[..., info.num_classes :]


def _missing(name: str, known: Sequence[str], info: ModelInfo) -> ModelError:
    if known:
        return ModelError(
            f"the model must have the features {name!r}; it has {', '.join(map(repr, known))} alone",
            info.source,
        )
    return ModelError(
        f"the model must have an output for the features {name!r}; it has none (a file that others made, or an earlier "
        "release? load the SavedModel or .safetensors file that it was made from, or export it again)",
        info.source,
    )


class _Wrapper(Generic[_Model]):
    """The facts and the initial states of a stream model, for wrappers that add features to its rows."""

    def __init__(self, model: _Model) -> None:
        self._model = model

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._model.info

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream without frames; see `StreamModel.init_states`."""
        return self._model.init_states(frame_size)


class _StreamWithFeatures(_Wrapper[FeatureStreamModel]):
    """A stream model whose rows hold features behind the logits."""

    def __init__(self, model: FeatureStreamModel, names: Sequence[FeatureName]) -> None:
        """Wrap a model with the features *names*; prefer `stream_with_features`."""
        super().__init__(model)
        self._names = tuple(names)

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return logits and features of each frame, and the states after the last; see `StreamModel.step`."""
        return self._model.step_with_features(frames, states, self._names)

    def step_many(
        self, frames: NDArray[np.float32], states: list[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return logits, features and states of each stream after its frame; see `BatchStreamModel.step_many`."""
        if isinstance(self._model, BatchFeatureModel):
            return self._model.step_many_with_features(frames, states, self._names)
        return step_one_by_one(self, frames, states)


class _PooledFromStates(_Wrapper[StreamModel]):
    """A stream model with the pooled features, which the states of every published stream model contain."""

    def __init__(self, model: StreamModel, times: int) -> None:
        super().__init__(model)
        self._times = times

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return logits and features of each frame, and the states after the last; see `StreamModel.step`."""
        rows = []
        for frame in frames:  # the states after each are needed
            (logits,), states = self._model.step(frame[np.newaxis], states)
            rows.append(self._row(logits, states))
        return np.stack(rows), states

    def step_many(
        self, frames: NDArray[np.float32], states: list[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return logits, features and states of each stream after its frame; see `BatchStreamModel.step_many`."""
        logits, after = step_all(self._model, frames, states)
        rows = [self._row(*pair) for pair in zip(logits, after, strict=True)]
        return np.stack(rows), after

    def _row(self, logits: NDArray[np.float32], states: States) -> NDArray[np.float32]:
        pooled = pooled_features(states, self.info.source)
        return np.concatenate([logits, *[pooled] * self._times])


def pooled_features(states: States, source: str = "") -> NDArray[np.float32]:
    """Return the pooled features from the *states* of a stream, which contain their sum and count.

    Args:
        states: After at least one frame.
        source: The name of the model, for messages.

    Returns:
        ``(channels,)``, float32.

    Raises:
        ModelError: If the states have no such sum, or no frame has been counted.
    """
    named = {canonical_state_name(name): name for name in states}
    if _SUM not in named or _COUNT not in named:
        raise ModelError(
            f"a model with features must have {_SUM!r} and {_COUNT!r} in its states; this one does not",
            source,
        )
    count = float(np.asarray(states[named[_COUNT]]).reshape(-1)[0])
    if count < 1:
        raise ModelError("features need at least one frame; got none", source)
    total = np.asarray(states[named[_SUM]], np.float64).reshape(-1)
    return (total / count).astype(np.float32)
