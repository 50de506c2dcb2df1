"""Assigns a time to each decoded frame, also if the clock of the file is irregular."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["JUMP_S", "FrameClock", "to_seconds"]

_REORDERED_FRAMES = 16
"""Maximum distance of decoding and display order, in frames: the limit of H.264 and H.265."""

JUMP_S = 10.0
"""Forward jump from which a clock counts as reset, in seconds: FFmpeg's ``dts_delta_threshold``."""


def to_seconds(ticks: int, tick_s: Fraction) -> float:
    """Return *ticks* of *tick_s* in seconds: the same number as the product of the fractions, in a tenth of the time."""
    return ticks * tick_s.numerator / tick_s.denominator


class FrameClock:
    """Converts the time stamps of a stream's frames to times that never decrease.

    - A frame without a time stamp follows the previous frame at the previous distance.
    - A clock that decreases by more than the possible reordering was reset, as at the joint of two recordings: time
      continues from the end of the last frame. The same applies to forward jumps if *may_jump* is set.
    - Time stamps that decrease by less are those of frames out of order: decoding times are used from then on, as in
      FFmpeg [1].

    Args:
        tick_s: The unit of the time stamps, in seconds.
        has_decoding_times_only: Whether the file stores decoding times but no presentation times, as in AVI.
        may_jump: Whether the clock of such a file may be reset, as in MPEG-TS.

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
        self._tick_as_float_s = float(tick_s)
        self._uses_dts = has_decoding_times_only
        self._may_jump = may_jump
        self._first_pts = 0
        self._first_dts = 0
        self._shift = 0
        self._last: int | None = None
        self._step = 0

    def start(self, pts: int | None, dts: int | None) -> None:
        """Set the time stamps of the first frame of the file, whose time is 0."""
        self._first_pts = pts if pts is not None else dts or 0
        self._first_dts = dts if dts is not None else pts or 0

    def jump(self) -> None:
        """Forget the last frame, after a seek."""
        self._last, self._step = None, 0

    def ticks_at(self, time_s: float) -> int:
        """Return the time stamp of *time_s*, if the clock was not reset before."""
        first = self._first_dts if self._uses_dts else self._first_pts
        return first + round(time_s / self._tick_as_float_s)

    @property
    def has_steady_times(self) -> bool:
        """Whether all frame times so far are presentation time stamps."""
        return not self._uses_dts and not self._shift

    def steady_time_s(self, pts: int) -> float:
        """Return the time of a frame for a clock without resets and frames in order."""
        return to_seconds(pts - self._first_pts, self._tick_s)

    def can_place(self, pts: int | None, dts: int | None) -> bool:
        """Return whether the time of a frame is known without the frames before it."""
        return self._ticks(pts, dts) is not None

    def time_s(self, pts: int | None, dts: int | None, lasts_s: float) -> float:
        """Return the display time of a frame, in seconds from the first frame of the file.

        Args:
            pts: Its presentation time stamp; `None` if it has none.
            dts: Its decoding time stamp from the decoder; `None` if it has none.
            lasts_s: Its display duration as stored in the file, in seconds.
        """
        own_step = max(round(lasts_s / self._tick_as_float_s), 1)
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
        elif self._may_jump and ticks - last > max(
            JUMP_S / self._tick_as_float_s, 10 * step
        ):
            ticks = self._resume_at(last + step, ticks)
        if last is not None and ticks > last:
            self._step = ticks - last
        self._last = ticks
        return to_seconds(ticks, self._tick_s)

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
