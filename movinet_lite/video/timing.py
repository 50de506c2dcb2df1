"""Assigns a time to each decoded frame, also where the clock of the file is irregular."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["JUMP_S", "FrameClock"]

_REORDERED_FRAMES = 16
"""How far apart in decoding and display order frames may be, in frames: the most that H.264 and H.265 allow."""

JUMP_S = 10.0
"""From how far ahead a clock that may jump counts as set anew, in seconds: FFmpeg's ``dts_delta_threshold``."""


class FrameClock:
    """Turns the time stamps of the frames of one stream into times that never fall.

    - A frame without a time stamp follows the one before at the distance of the two before.
    - A clock that falls by more than frames can be out of order was set anew, as where two recordings were joined: its
      time goes on from the end of the last frame. So does that of a clock which may jump and jumps ahead.
    - Time stamps that fall by less are those of frames out of order: decoding times are taken from then on, as FFmpeg
      does [1].

    Args:
        tick_s: The unit of the time stamps, in seconds.
        has_decoding_times_only: Whether the file says when a frame is decoded, not when it is shown, as AVI does.
        may_jump: Whether the clock of such a file may be set anew, as in MPEG-TS.

    References:
        [1] FFmpeg, ``libavcodec/decode.c``, ``guess_correct_pts``.
    """

    def __init__(
        self,
        tick_s: Fraction,
        *,
        has_decoding_times_only: bool = False,
        may_jump: bool = False,
    ) -> None:
        self._tick_s = tick_s
        self._uses_dts = has_decoding_times_only
        self._may_jump = may_jump
        self._first_pts = 0
        self._first_dts = 0
        self._shift = 0
        self._last: int | None = None
        self._step = 0

    def start(self, pts: int | None, dts: int | None) -> None:
        """Take the time stamps of the first frame of the file, whose time is 0."""
        self._first_pts = pts if pts is not None else dts or 0
        self._first_dts = dts if dts is not None else pts or 0

    def jump(self) -> None:
        """Forget the last frame, after the file was wound to another place."""
        self._last, self._step = None, 0

    def ticks_at(self, time_s: float) -> int:
        """Return the time stamp of *time_s* if the clock was not set anew before."""
        first = self._first_dts if self._uses_dts else self._first_pts
        return first + round(time_s / self._tick_s)

    @property
    def has_steady_times(self) -> bool:
        """Whether the frames' times are their presentation time stamps so far."""
        return not self._uses_dts and not self._shift

    def steady_time_s(self, pts: int) -> float:
        """Return the time of a frame if the clock is never set anew and the frames come in order."""
        return float((pts - self._first_pts) * self._tick_s)

    def can_place(self, pts: int | None, dts: int | None) -> bool:
        """Tell whether the time of a frame is known without the frames before it."""
        return self._ticks(pts, dts) is not None

    def time_s(self, pts: int | None, dts: int | None, lasts_s: float) -> float:
        """Return when a frame is shown, in seconds from the first frame of the file.

        Args:
            pts: Its presentation time stamp; `None` if it has none.
            dts: The decoding time stamp that the decoder gave it; `None` if it gave none.
            lasts_s: How long it is shown by its own claim, in seconds.
        """
        own_step = max(round(lasts_s / self._tick_s), 1)
        step = self._step or own_step
        ticks = self._ticks(pts, dts)
        last = self._last
        if last is None:
            ticks = ticks or 0
        elif ticks is None:
            ticks = last + step
        elif ticks < last:
            if ticks >= last - _REORDERED_FRAMES * step and not self._uses_dts:
                self._uses_dts = True
                ticks = max(self._ticks(None, dts) or 0, last)
            else:
                ticks = self._resume_at(last + step, ticks)
        elif self._may_jump and ticks - last > max(JUMP_S / self._tick_s, 10 * step):
            ticks = self._resume_at(last + step, ticks)
        if last is not None and ticks > last:
            self._step = ticks - last
        self._last = ticks
        return float(ticks * self._tick_s)

    def _ticks(self, pts: int | None, dts: int | None) -> int | None:
        stamp, first = (
            (dts, self._first_dts)
            if self._uses_dts or pts is None
            else (pts, self._first_pts)
        )
        return None if stamp is None else stamp - first + self._shift

    def _resume_at(self, resumed: int, ticks: int) -> int:
        self._shift += resumed - ticks
        return resumed
