"""Selects the frame shown at each sample time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

from movinet_lite.arrays import check_positive

__all__ = ["frames_shown_at", "sample_time", "sample_times"]

T = TypeVar("T")


def sample_times(
    *, fps: float, start_s: float = 0.0, end_s: float | None = None
) -> Iterator[float]:
    """Yield the sample times for *fps* frames per second.

    Args:
        fps: Frames per second, above 0.
        start_s: The first time, in seconds.
        end_s: End time in seconds, exclusive; `None` for no end.

    Yields:
        ``start_s + i / fps`` for i = 0, 1, 2, ..., in seconds.

    Raises:
        ArrayError: If *fps* is not above 0.

    Example:
        >>> list(sample_times(fps=4, start_s=1.0, end_s=2.0))
        [1.0, 1.25, 1.5, 1.75]
    """
    check_positive(fps, "fps")
    for i in itertools.count():
        time_s = sample_time(i, fps=fps, start_s=start_s, end_s=end_s)
        if time_s is None:
            return
        yield time_s


def sample_time(
    index: int, *, fps: float, start_s: float, end_s: float | None
) -> float | None:
    """Return the sample time with one index of `sample_times`, or `None` after the end."""
    time_s = start_s + index / fps
    return None if end_s is not None and time_s > end_s - _ROUNDING_S else time_s


def frames_shown_at(
    times_s: Iterable[float],
    frames: Iterable[tuple[float, float, T]],
    *,
    tolerance_s: float = 0.0,
) -> Iterator[tuple[float, T]]:
    """Yield the frame that is displayed at each time.

    This is the last frame whose own time is not later. Frames can be repeated or skipped. The iteration ends with
    *times_s*, or at the first time after the end of the last frame.

    Args:
        times_s: The sample times in seconds, in ascending order.
        frames: For each frame, its display time, the end of its display if no other frame follows, both in seconds, and
            the frame; in order of time. The iterable is read only as far as needed.
        tolerance_s: Maximum rounding error of frame times, in seconds; it is added to every sample time.

    Yields:
        The time from *times_s* and the frame.

    Example:
        >>> frames = [(0.0, 1.0, "a"), (1.0, 1.5, "b"), (1.5, 1.75, "c")]
        >>> list(frames_shown_at([0.0, 0.5, 1.0, 1.5, 2.0], frames))
        [(0.0, 'a'), (0.5, 'a'), (1.0, 'b'), (1.5, 'c')]
    """
    upcoming = iter(frames)
    current = next(upcoming, None)
    following = next(upcoming, None) if current is not None else None
    for time_s in times_s:
        latest_s = time_s + tolerance_s
        while following is not None and following[0] <= latest_s:
            current, following = following, next(upcoming, None)
        if current is None or (following is None and latest_s >= current[1]):
            return
        yield time_s, current[2]


_ROUNDING_S = 1e-6
"""Tolerance for floating-point errors in times, in seconds; shorter than any frame."""
