"""The protocols between sessions and engines: `ClipModel`, `StreamModel` and `ModelInfo`.

A model consists of weights and facts. It has no stream states, so any number of sessions, in any number of threads, can
share one. Applications and tests can pass their own objects with these methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName, FrameSize, States
from movinet_lite.labels import check_labels
from movinet_lite.network.facts import ModelFacts, NetworkFacts

__all__ = [
    "BatchFeatureModel",
    "BatchStreamModel",
    "ClipModel",
    "FeatureClipModel",
    "FeatureStreamModel",
    "FitsStates",
    "ModelInfo",
    "StreamModel",
    "TakesBytes",
]


@attrs.frozen(kw_only=True)
class ModelInfo(ModelFacts):
    """The facts of a model: its `mode`, `num_classes`, `variant`, `frame_size`, `fps`, `labels` and `clip_frames`.

    `movinet_lite.network.facts.ModelFacts` describes these.

    Attributes:
        source: Its source: a name, URL or path.
        engine: The runtime: ``"native"``, ``"litert"``, ``"tensorflow"``, ``"onnx"``, or an application's own name.
    """

    source: str
    engine: str

    @classmethod
    def of(
        cls,
        facts: NetworkFacts,
        source: str,
        engine: str,
        labels: tuple[str, ...] | None = None,
    ) -> Self:
        """Return the facts of a model from those in its file.

        Args:
            facts: The facts in the file.
            source: The source of the model.
            engine: The runtime.
            labels: The labels, in place of those in the file.

        Raises:
            LabelsError: If the number of *labels* is not the number of classes.
        """
        if labels is not None:
            facts = attrs.evolve(facts, labels=check_labels(labels, facts.num_classes))
        return cls.from_facts(facts, source=source, engine=engine)


@runtime_checkable
class ClipModel(Protocol):
    """A model of whole clips."""

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""

    def predict(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of each clip.

        Args:
            clips: ``(clips, frames, height, width, 3)``, float32, 0 to 1, RGB.

        Returns:
            ``(clips, classes)``, float32, unnormalised.
        """


@runtime_checkable
class StreamModel(Protocol):
    """A model of frame streams; the caller owns the states."""

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream without frames.

        Args:
            frame_size: ``(height, width)`` of the frames to come.

        Returns:
            The arrays by state name. The mapping may be a view of the engine's memory.
        """

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last.

        This is a pure function: *states* is not changed, and can be used again.

        Args:
            frames: ``(frames, height, width, 3)``, float32, 0 to 1, RGB; at least one. The caller may reuse this memory
                after the call.
            states: The result of `init_states` or of the last `step` of this stream, or a dict of arrays with the same
                names and shapes.

        Returns:
            The logits, ``(frames, classes)``, float32, where row *i* is the prediction after frame *i*; and the states.
        """


@runtime_checkable
class BatchStreamModel(StreamModel, Protocol):
    """A stream model that steps several streams in one call; they may have seen different numbers of frames."""

    def step_many(
        self, frames: NDArray[np.float32], states: list[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the logits and the states of each stream after its frame.

        Args:
            frames: ``(streams, height, width, 3)``, float32, 0 to 1, RGB: one frame of each stream.
            states: The states of each stream.

        Returns:
            The logits, ``(streams, classes)``, float32; and the states of each stream.
        """


@runtime_checkable
class FeatureClipModel(ClipModel, Protocol):
    """A model of whole clips that also returns features."""

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of its features; empty for none."""

    def predict_with_features(
        self, clips: NDArray[np.float32], names: Sequence[FeatureName]
    ) -> NDArray[np.float32]:
        """Return the result of `predict`, with the features *names*, in order, appended to the logits of each clip."""


@runtime_checkable
class FeatureStreamModel(StreamModel, Protocol):
    """A stream model that also returns features."""

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of its features; empty for none."""

    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return the result of `step`, with the features *names*, in order, appended to the logits of each frame."""


@runtime_checkable
class BatchFeatureModel(FeatureStreamModel, Protocol):
    """A model that steps several streams in one call and also returns features."""

    def step_many_with_features(
        self,
        frames: NDArray[np.float32],
        states: Sequence[States],
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the result of `BatchStreamModel.step_many`, with the features *names* appended to the logits."""


@runtime_checkable
class FitsStates(Protocol):
    """A stream model that checks states itself; they need not have the names and shapes of `init_states`."""

    def fit(self, given: object) -> States:
        """Return the states *given* in the form of the model, or raise `SessionError`."""


@runtime_checkable
class TakesBytes(Protocol):
    """A stream model that may take frames as bytes."""

    @property
    def takes_uint8(self) -> bool:
        """Whether `StreamModel.step` takes uint8 frames, 0 to 255, and gives the same as for them divided by 255."""
