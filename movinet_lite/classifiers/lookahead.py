"""Gathers frames for the next call of `run`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from movinet_lite.arrays import Frame, VideoFrame

__all__ = ["Chunk", "Prepare", "gather"]

Prepare: TypeAlias = Callable[
    [Frame | VideoFrame, int, tuple[int, ...] | None], tuple[int, ...]
]
"""Writes a frame to a place of the call, and returns the shape that it came in; a shape that is given must be the same."""


@attrs.define
class Chunk:
    """What is known of the frames of one call.

    Attributes:
        times_s: When each is shown, in seconds; `None` where unknown.
        shape: The shape that they came in.
        anew: Whether the stream starts anew with the first of them, after a gap in time.
        held: The frame after such a gap, which ended the chunk; it begins the next one.
        failure: What stopped the chunk short; to be raised once the frames before it are answered.
    """

    times_s: list[float | None] = attrs.Factory(list)
    shape: tuple[int, ...] | None = None
    anew: bool = False
    held: Frame | VideoFrame | None = None
    failure: Exception | None = None


def gather(
    frames: Iterator[Frame | VideoFrame],
    count: int,
    prepare: Prepare,
    check: Callable[[], None],
    *,
    is_gap: Callable[[float | None, float | None], bool],
    last_s: float | None,
) -> Chunk:
    """Prepare *count* frames, or as many as come, up to a gap in time, and return what is known of them.

    Args:
        frames: Where they come from.
        count: How many there is room for.
        prepare: Writes one into its place.
        check: Raises where the session was used otherwise while the next frame was waited for.
        is_gap: Returns whether the stream starts anew between two times, in seconds.
        last_s: When the frame before these was shown, in seconds; `None` if unknown.
    """
    chunk = Chunk()
    try:
        for place, frame in enumerate(itertools.islice(frames, count)):
            check()
            time_s = frame.time_s if isinstance(frame, VideoFrame) else None
            if is_gap(last_s, time_s):
                if place:
                    chunk.held = frame
                    break
                chunk.anew = True
            chunk.shape = prepare(frame, place, chunk.shape)
            chunk.times_s.append(time_s)
            last_s = time_s
    except Exception as error:  # noqa: BLE001 - raised once the frames before it are answered
        chunk.failure = error
    return chunk
