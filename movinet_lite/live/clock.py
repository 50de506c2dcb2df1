"""Assigns times to live frames, from their time stamps and arrival times."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["LiveClock", "PacedClock"]

_BACK_S: Final = 1.0
"""From how far back a time stamp counts as that of a clock that was set anew, in seconds."""

_AHEAD_S: Final = 10.0
"""From how far ahead: FFmpeg's ``dts_delta_threshold``."""

_WINDOW_S: Final = 30.0
"""Over how long the least delay is sought, in seconds."""

_DRIFT: Final = 200e-6
"""By how much two clocks may run apart: crystals of cameras are good to 100 parts in a million [1], so are ours.

References:
    [1] D. L. Mills, "Computer Network Time Synchronization", 2nd edition, CRC Press, 2010, chapter 1.
"""

_UNDERRUN_S: Final = 0.5
"""How late a paced stream may come before its delay grows, in seconds."""


class LiveClock:
    """Turns the time stamps of one connection into seconds since the source was opened.

    The time stamps of a camera say when frames were taken, but not by our clock. The frame that came fastest tells the
    difference of the clocks best, so this takes the least one seen; what comes later than by the least difference is
    late by jitter. The difference may rise again by 200 parts in a million, since clocks drift apart.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._last_s = -math.inf
        self._window_from_s = 0.0
        self._least_s = math.inf

    def observe(self, stamp_s: float, now_s: float) -> None:
        """Take note that what bears *stamp_s* came at *now_s*."""
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
        """Return how long to wait with what is shown at *time_s*: what is live never waits."""
        return 0.0

    def _start_window(self, now_s: float) -> None:
        self._window_from_s = now_s
        self._least_s = math.inf


class PacedClock:
    """Plays a recording, or a stream that comes in segments, at its own pace.

    Its first frame is shown when it comes, and each other one as much later as the time stamps say.

    Args:
        may_jump: Whether its clock may be set anew, as in MPEG-TS.
        is_live: Whether the stream goes on while it is not read, so that a late one must not be caught up with.
    """

    def __init__(self, *, may_jump: bool, is_live: bool) -> None:
        self._may_jump = may_jump
        self._is_live = is_live
        self._offset_s: float | None = None
        self._last_s = -math.inf

    def observe(self, stamp_s: float, now_s: float) -> None:
        """Take note that what bears *stamp_s* came at *now_s*."""
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
        """Return how long to wait with what is shown at *time_s*."""
        return max(time_s - now_s, 0.0)
