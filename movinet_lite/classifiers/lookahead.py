"""Gathers the frames of a run's next call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Frame, VideoFrame

__all__ = ["Chunk", "Prepare", "gather"]

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
