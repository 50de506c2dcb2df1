"""Keeps the place of a stream while a run hands out the predictions of several frames a call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Frame, States, VideoFrame
from movinet_lite.engines.base import StreamModel

__all__ = ["Chunk", "Place", "Prepare", "gather"]

Prepare: TypeAlias = Callable[
    [Frame | VideoFrame, NDArray[np.float32], tuple[int, ...] | None], tuple[int, ...]
]
"""Writes a frame into memory of the model's size, and returns the shape that it came in; a shape that is given must be
the same."""


@attrs.define
class Chunk:
    """The frames of one call.

    Attributes:
        frames: ``(frames, height, width, 3)``, float32, 0 to 1, RGB: prepared.
        times_s: When each is shown, in seconds; `None` where unknown.
        shape: The shape that they came in.
        failure: What stopped the chunk short; to be raised once the frames before it are answered.
    """

    frames: NDArray[np.float32]
    times_s: list[float | None] = attrs.Factory(list)
    shape: tuple[int, ...] | None = None
    failure: Exception | None = None


def gather(
    frames: Iterator[Frame | VideoFrame],
    room: NDArray[np.float32],
    prepare: Prepare,
    check: Callable[[], None],
) -> Chunk:
    """Return as many *frames* as there is *room* for, or as come.

    Args:
        frames: Where they come from.
        room: ``(frames, height, width, 3)``, float32, which they are written into.
        prepare: Writes one into its place.
        check: Raises where the session was used otherwise while the next frame was waited for.
    """
    chunk = Chunk(room)
    try:
        for place, frame in enumerate(itertools.islice(frames, len(room))):
            check()
            chunk.shape = prepare(frame, room[place], chunk.shape)
            chunk.times_s.append(
                frame.time_s if isinstance(frame, VideoFrame) else None
            )
    except Exception as error:  # noqa: BLE001 - raised once the frames before it are answered
        chunk.failure = error
    chunk.frames = room[: len(chunk.times_s)]
    return chunk


class Place:
    """Where a stream is: the states after its last frame, and how many frames that is.

    A run calls the model for several frames and hands out one prediction after the other. A caller may stop at any of
    them, so until the last one is handed out the states before the call stand here, with the frames handed out since.
    The states after these are computed when someone asks for them.

    Attributes:
        changes: How often the stream moved or was moved; a run notices by it that the session was used otherwise.
    """

    def __init__(self, model: StreamModel, states: States, num_frames: int = 0) -> None:
        """Begin with *states* after *num_frames* frames."""
        self._model = model
        self._states = states
        self._num_frames = num_frames
        self._handed_out: NDArray[np.float32] | None = None
        self.changes = 0

    @property
    def num_frames(self) -> int:
        """How many frames the stream has seen."""
        ahead = 0 if self._handed_out is None else len(self._handed_out)
        return self._num_frames + ahead

    def states(self) -> States:
        """Return the states after the last frame that was handed out."""
        if self._handed_out is None:
            return self._states
        return self._model.step(self._handed_out, self._states)[1]

    def move(self, states: States, num_frames: int) -> None:
        """Go to *states*, after *num_frames* frames."""
        self._states = states
        self._num_frames = num_frames
        self._handed_out = None
        self.changes += 1

    def begin(self) -> tuple[States, int]:
        """Return the states to run from, and the mark that `changes` has from now on while nobody else moves the stream."""
        self.settle()
        self.changes += 1  # another run that is still going on must not
        return self._states, self.changes

    def hand_out(self, frames: NDArray[np.float32]) -> None:
        """Say that the predictions of *frames*, the first of a call, were handed out."""
        self._handed_out = frames

    def end(self, num_frames: int, states: States) -> None:
        """End a call of *num_frames* frames that came to *states*: all were handed out, or some."""
        if self._handed_out is not None and len(self._handed_out) == num_frames:
            self._states = states
            self._num_frames += num_frames
            self._handed_out = None
        else:
            self.settle()

    def settle(self) -> None:
        """Make an end of a call that is still being handed out."""
        if self._handed_out is not None:
            self._states = self.states()
            self._num_frames += len(self._handed_out)
            self._handed_out = None
