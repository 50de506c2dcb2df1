"""Samples the frames of a live stream by time."""

from __future__ import annotations

from typing import Final

from movinet_lite.arrays import check_positive

__all__ = ["FrameSampler"]

_REACH: Final = 0.6
"""How far from a time that is due the frame that is taken may lie, in frames: half of one, and a little for rounding."""


class FrameSampler:
    """Takes *fps* frames a second: of those that come, the nearest to each time that is due.

    No frame is taken twice: of a stream that is slower than *fps* every frame is taken once. What counts is when a frame
    is shown, not when it came.

    Args:
        fps: Frames per second; `None` takes every frame.

    Raises:
        ArrayError: If *fps* is not above 0.

    Example:
        >>> sampler = FrameSampler(fps=2)
        >>> [n for n in range(12) if sampler.takes(n / 5, 1 / 5)]
        [0, 2, 5, 7, 10]
    """

    def __init__(self, fps: float | None) -> None:
        self._due_s: float | None = None
        self.set_fps(fps)

    def set_fps(self, fps: float | None) -> None:
        """Take so many frames a second from now on."""
        self._period_s = None if fps is None else 1 / check_positive(fps, "fps")

    def may_take(self, time_s: float, interval_s: float, *, in_order: bool) -> bool:
        """Tell whether the frame shown at *time_s* can be one that is taken, without taking it.

        Args:
            time_s: In seconds.
            interval_s: How far apart the frames of the stream are, in seconds.
            in_order: Whether frames are asked for in the order in which they are shown, each before the next one. Else
                they may be some frames ahead, and one that is no nearest to a time that is due counts as needless; where
                the nearest is missing, the next one that is decoded is taken.
        """
        if self._period_s is None or self._due_s is None:
            return True
        if in_order:
            return self._is_due(time_s, interval_s)
        away_s = (time_s - self._due_s) % self._period_s
        return min(away_s, self._period_s - away_s) <= _REACH * interval_s

    def takes(self, time_s: float, interval_s: float) -> bool:
        """Tell whether to take the frame shown at *time_s*; to be asked once for each, in the order of time.

        Args:
            time_s: In seconds; may jump, also back.
            interval_s: How far apart the frames of the stream are, in seconds.
        """
        if self._period_s is None:
            return True
        if self._due_s is None:
            self._due_s = time_s
        if not self._is_due(time_s, interval_s):
            return False
        self._due_s = min(self._due_s, time_s + self._period_s) + self._period_s
        if time_s > self._due_s:
            self._due_s = time_s + self._period_s
        return True

    def _is_due(self, time_s: float, interval_s: float) -> bool:
        assert self._period_s is not None  # noqa: S101 - the caller saw it
        assert self._due_s is not None  # noqa: S101
        if time_s < self._due_s - 2 * self._period_s:  # a clock that was set back
            return True
        return time_s + min(interval_s, self._period_s) / 2 >= self._due_s
