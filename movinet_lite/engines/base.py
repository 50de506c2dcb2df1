"""The protocols between sessions and engines: `ClipModel`, `StreamModel` and `ModelInfo`.

A model is weights and facts. It holds no stream's memory, so any number of sessions, in any number of threads, can
share one. An application or a test may pass an object of its own that does the same.
"""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States
from movinet_lite.labels import check_labels
from movinet_lite.network.facts import ModelFacts, NetworkFacts

__all__ = ["BatchStreamModel", "ClipModel", "FitsStates", "ModelInfo", "StreamModel"]


@attrs.frozen(kw_only=True)
class ModelInfo(ModelFacts):
    """What a model says of itself: its `mode`, `num_classes`, `variant`, `frame_size`, `fps`, `labels` and `clip_frames`.

    `movinet_lite.network.facts.ModelFacts` describes these.

    Attributes:
        source: Where it came from: a name, an address or a path.
        engine: What computes it: ``"tensorflow"``, ``"litert"``, or a name of an application's own.
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
        """Return what a file of ours says of its model.

        Args:
            facts: What stands in the file.
            source: Where it came from.
            engine: What computes it.
            labels: The names of its classes, in place of those in the file.

        Raises:
            LabelsError: If *labels* are not as many as the classes.
        """
        if labels is not None:
            facts = attrs.evolve(facts, labels=check_labels(labels, facts.num_classes))
        return cls.from_facts(facts, source=source, engine=engine)


@runtime_checkable
class ClipModel(Protocol):
    """A model that takes whole clips."""

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""

    def predict(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of each clip.

        Args:
            clips: ``(clips, frames, height, width, 3)``, float32, 0 to 1, RGB.

        Returns:
            ``(clips, classes)``, float32, not normalised.
        """


@runtime_checkable
class StreamModel(Protocol):
    """A model that takes a stream of frames; the states are the caller's."""

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream that has seen no frame.

        Args:
            frame_size: ``(height, width)`` of the frames to come.

        Returns:
            State names to arrays. The mapping may be a view of memory of the engine's own.
        """

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last.

        A pure function: *states* stays as it is, and can be stepped from again.

        Args:
            frames: ``(frames, height, width, 3)``, float32, 0 to 1, RGB; at least one. The caller may use this memory
                for other frames after the call.
            states: What `init_states` or the last `step` of this stream returned, or a dict of arrays with the same
                names and shapes.

        Returns:
            The logits, ``(frames, classes)``, float32, where row *i* is what the stream says after frame *i*; and the
            states.
        """


@runtime_checkable
class BatchStreamModel(StreamModel, Protocol):
    """A stream model that steps several streams of different ages in one call."""

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
class FitsStates(Protocol):
    """A stream model that checks itself which states fit it: they need not have the names and shapes of `init_states`."""

    def fit(self, given: object) -> States:
        """Return the states *given* as the model takes them, or raise `SessionError`."""
