"""Samples the frames of a live stream by time."""

from __future__ import annotations

from typing import Final

from movinet_lite.arrays import check_positive

__all__ = ["FrameSampler"]

_REACH: Final = 0.6
"""Maximum distance of a sampled frame from its sample time, in frame intervals: half of one, plus a margin for
rounding."""


class FrameSampler:
    """Samples *fps* frames per second: the nearest frame to each sample time.

    No frame is sampled twice: for a stream slower than *fps* every frame is sampled once. Display times are used, not
    arrival times.

    Args:
        fps: Frames per second; `None` samples every frame.

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
        """Set the frame rate from now on."""
        self._period_s = None if fps is None else 1 / check_positive(fps, "fps")

    def may_take(self, time_s: float, interval_s: float, *, in_order: bool) -> bool:
        """Return whether the frame displayed at *time_s* may be sampled, without changing the state.

        Args:
            time_s: In seconds.
            interval_s: The frame interval of the stream, in seconds.
            in_order: Whether the calls are in display order. Otherwise they may be some frames ahead, and only the
                nearest frame to a sample time is needed; if it is missing, the next decoded frame is sampled.
        """
        if self._period_s is None or self._due_s is None:
            return True
        if in_order:
            return self._is_due(time_s, interval_s)
        away_s = (time_s - self._due_s) % self._period_s
        return min(away_s, self._period_s - away_s) <= _REACH * interval_s

    def takes(self, time_s: float, interval_s: float) -> bool:
        """Return whether to sample the frame displayed at *time_s*; call it once per frame, in order of time.

        Args:
            time_s: The display time in seconds, which may jump in both directions.
            interval_s: The frame interval of the stream, in seconds.
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
        if time_s < self._due_s - 2 * self._period_s:  # the clock was set back
            return True
        return time_s + min(interval_s, self._period_s) / 2 >= self._due_s
