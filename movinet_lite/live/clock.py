"""Assigns times to live frames, from their time stamps and arrival times."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["LiveClock", "PacedClock"]

_BACK_S: Final = 1.0
"""Backward jump of time stamps that counts as a clock reset, in seconds."""

_AHEAD_S: Final = 10.0
"""Forward jump of time stamps that counts as a clock reset, in seconds: FFmpeg's ``dts_delta_threshold``."""

_WINDOW_S: Final = 30.0
"""Window for the minimum delay, in seconds."""

_DRIFT: Final = 200e-6
"""Maximum drift between two clocks: crystals are accurate to 100 parts per million [1], on both sides.

References:
    [1] D. L. Mills, "Computer Network Time Synchronization", 2nd edition, CRC Press, 2010, chapter 1.
"""

_UNDERRUN_S: Final = 0.5
"""Maximum lateness of a paced stream before its delay is increased, in seconds."""


class LiveClock:
    """Converts the time stamps of one connection to seconds since the source was opened.

    The time stamps of a camera are on its own clock. The offset between the clocks is estimated as the minimum
    difference between arrival time and time stamp, since larger differences are caused by jitter. The estimate may rise
    by 200 parts per million, since clocks drift.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._last_s = -math.inf
        self._window_from_s = 0.0
        self._least_s = math.inf

    def observe(self, stamp_s: float, now_s: float) -> None:
        """Record that data with the time stamp *stamp_s* arrived at *now_s*."""
        if self._offset_s is None or stamp_s < self._last_s - _BACK_S:
            self._offset_s = now_s - stamp_s
            self._start_window(now_s)
        self._last_s = stamp_s
        late_s = now_s - stamp_s - self._offset_s
        if late_s < 0:  # nothing comes from the future
            self._offset_s += late_s
            self._start_window(now_s)
            return
        self._least_s = min(self._least_s, late_s)
        window_s = now_s - self._window_from_s
        if window_s >= _WINDOW_S:
            self._offset_s += min(self._least_s, _DRIFT * window_s)
            self._start_window(now_s)

    def time_s(self, stamp_s: float) -> float:
        """Return the time of *stamp_s*, in seconds since the source was opened."""
        return stamp_s + (self._offset_s or 0.0)

    def wait_s(self, time_s: float, now_s: float) -> float:  # noqa: ARG002 - as PacedClock has it
        """Return the delay before showing data of *time_s*: 0, since live data is never delayed."""
        return 0.0

    def _start_window(self, now_s: float) -> None:
        self._window_from_s = now_s
        self._least_s = math.inf


class PacedClock:
    """Paces a recording, or a stream that arrives in segments, in real time.

    The first frame is shown on arrival, and the others at the distance of their time stamps.

    Args:
        may_jump: Whether its clock may be reset, as in MPEG-TS.
        is_live: Whether the stream continues while it is not read, so that lateness must not be caught up.
    """

    def __init__(self, *, may_jump: bool, is_live: bool) -> None:
        self._may_jump = may_jump
        self._is_live = is_live
        self._offset_s: float | None = None
        self._last_s = -math.inf

    def observe(self, stamp_s: float, now_s: float) -> None:
        """Record that data with the time stamp *stamp_s* arrived at *now_s*."""
        if self._offset_s is None:
            self._offset_s = now_s - stamp_s
        step_s = stamp_s - self._last_s
        jumped = step_s < -_BACK_S or (self._may_jump and step_s > _AHEAD_S)
        late_s = now_s - stamp_s - self._offset_s
        if math.isfinite(step_s) and (
            jumped or (self._is_live and late_s > _UNDERRUN_S)
        ):
            self._offset_s = now_s - stamp_s
        self._last_s = stamp_s

    def time_s(self, stamp_s: float) -> float:
        """Return the time of *stamp_s*, in seconds since the source was opened."""
        return stamp_s + (self._offset_s or 0.0)

    def wait_s(self, time_s: float, now_s: float) -> float:
        """Return the delay before showing data of *time_s*."""
        return max(time_s - now_s, 0.0)
