"""Puts a few-shot head on a model: a stream model or a base model with the taught classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName, FrameSize, States
from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.engines.feature_models import (
    ClipModelWithFeatures,
    ModelWithFeatures,
    StreamModelWithFeatures,
)
from movinet_lite.engines.features import (
    clip_with_features,
    feature_names,
    split_rows,
    stream_with_features,
)
from movinet_lite.engines.few_shot.head import FewShotHead
from movinet_lite.engines.stepping import step_all
from movinet_lite.network.agreement import probe_clip

__all__ = [
    "FewShotClipModel",
    "FewShotModel",
    "FewShotStreamModel",
    "feature_of",
    "fingerprint",
    "with_head",
]

_Model = TypeVar("_Model", ClipModel, StreamModel)

_PROBE_FRAMES: Final = 4


class FewShotModel(ModelWithFeatures, Generic[_Model]):
    """A model with a few-shot head: its features and states, and logits for the taught classes.

    Attributes:
        model: The underlying model.
        head: The taught classes.
    """

    def __init__(
        self,
        model: _Model,
        head: FewShotHead,
        source: str,
        frame_size: FrameSize | None = None,
    ) -> None:
        """Put *head* on *model*; *source* is the name of the result; prefer `with_head`."""
        info = attrs.evolve(
            model.info,
            num_classes=len(head.labels),
            labels=head.labels,
            background_index=len(head.labels) - 1,
            temperature=None,
            frame_size=frame_size or model.info.frame_size,
            source=source,
        )
        super().__init__(info)
        self.model: _Model = model
        self.head = head

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The features of the underlying model."""
        return feature_names(self.model) or ("pooled",)

    def _rows(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of the head, followed by the remaining features.

        Args:
            rows: ``(rows, classes of the model + channels of the head + others)``.
        """
        channels = len(self.head.weights)
        model_logits, features = split_rows(rows, self.model.info)
        logits = [
            self.head.logits(row[:channels], of_model)
            for row, of_model in zip(features, model_logits, strict=True)
        ]
        return np.concatenate([np.stack(logits), features[:, channels:]], axis=1)


class FewShotClipModel(FewShotModel[ClipModel], ClipModelWithFeatures):
    """A base model with a few-shot head."""

    def __init__(
        self,
        model: ClipModel,
        head: FewShotHead,
        source: str,
        frame_size: FrameSize | None = None,
    ) -> None:
        """Put *head* on *model*; see `FewShotModel`.

        Raises:
            ModelError: If the model does not have the features of the head.
        """
        super().__init__(model, head, source, frame_size)
        self._with_features = clip_with_features(model, head.feature)

    def predict_with_features(
        self, clips: NDArray[np.float32], names: Sequence[FeatureName]
    ) -> NDArray[np.float32]:
        """Return the result of `predict` with features after the logits; see `FeatureClipModel`."""
        for name in names:
            clip_with_features(self.model, name)
        return self._rows(
            self._with_features.predict_with_features(
                clips, [self.head.feature, *names]
            )
        )


class FewShotStreamModel(FewShotModel[StreamModel], StreamModelWithFeatures):
    """A stream model with a few-shot head."""

    def __init__(
        self,
        model: StreamModel,
        head: FewShotHead,
        source: str,
        frame_size: FrameSize | None = None,
    ) -> None:
        """Put *head* on *model*; see `FewShotModel`.

        Raises:
            ModelError: If the model does not have the features of the head.
        """
        super().__init__(model, head, source, frame_size)
        self._with_features = stream_with_features(model, [head.feature])

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream without frames; see `StreamModel.init_states`."""
        return self.model.init_states(frame_size)

    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return the result of `step` with features after the logits; see `FeatureStreamModel`."""
        rows, after = self._returning(names).step(frames, states)
        return self._rows(rows), after

    def step_many_with_features(
        self,
        frames: NDArray[np.float32],
        states: Sequence[States],
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the result of `step_many` with features after the logits; see `BatchFeatureModel`."""
        rows, after = step_all(self._returning(names), frames, list(states))
        return self._rows(rows), after

    def _returning(self, names: Sequence[FeatureName]) -> StreamModel:
        """Return the model with the features of the head, followed by *names*."""
        if not names:
            return self._with_features
        return stream_with_features(self.model, [self.head.feature, *names])


def with_head(
    model: ClipModel | StreamModel,
    head: FewShotHead,
    source: str,
    *,
    frame_size: FrameSize | None = None,
) -> FewShotClipModel | FewShotStreamModel:
    """Return *model* with *head*, under the name *source*.

    Args:
        model: The model that computes the features.
        head: The taught classes.
        source: The name of the result.
        frame_size: ``(height, width)`` of the frames that the classes were taught from; `None` for the model's own.

    Raises:
        ModelError: If the model does not have the features of the head.
    """
    if isinstance(model, StreamModel):
        return FewShotStreamModel(model, head, source, frame_size)
    return FewShotClipModel(model, head, source, frame_size)


def feature_of(model: ClipModel | StreamModel) -> FeatureName:
    """Return the features that classes are taught on: pooled, or hidden for a model with a transformer."""
    return "hidden" if feature_names(model) == ("hidden",) else "pooled"


def fingerprint(
    model: ClipModel | StreamModel, feature: FeatureName, frame_size: FrameSize
) -> NDArray[np.float32]:
    """Return the logits of *model* for a fixed clip, followed by its features: they identify the model on any engine.

    Raises:
        ModelError: If the model does not have these features.
    """
    clips = probe_clip(_PROBE_FRAMES, *frame_size)
    if isinstance(model, StreamModel):
        stream = stream_with_features(model, [feature])
        rows, _ = stream.step(clips[0], stream.init_states(frame_size))
    else:
        rows = clip_with_features(model, feature).predict_with_features(
            clips, [feature]
        )
    return rows[-1]
