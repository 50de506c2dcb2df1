"""Skips the decoding of frames that no sample shows and no other frame refers to.

The times of the packets of a file are known before they are decoded, so it is known which frames will be sampled. Each
frame left out stands in the sequence as a `LeftOut`, with its time, so that all else goes on as if it had been decoded.

Anything out of the ordinary in the time stamps, and any picture that does not come as its packet announced it, is a
`ThinningError`: the file is then decoded whole, from its beginning.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from movinet_lite.video.disposable import IsDisposable
from movinet_lite.video.sampling import sample_time

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.video.stream import VideoStream

__all__ = ["LeftOut", "Samples", "Thinning", "ThinningError"]

_MAX_WAITING = 64
"""How many packets may wait until it is known which frame follows a frame; then it is decoded."""


class ThinningError(Exception):
    """The frames of a file must all be decoded, since their times are not what its packets said."""


@attrs.frozen
class Samples:
    """The times at which frames are taken; see `sample_times`, whose arguments these are.

    Attributes:
        fps: Frames per second.
        start_s: The first time, in seconds.
        end_s: Where they end, in seconds; `None` goes on for ever.
    """

    fps: float
    start_s: float = 0.0
    end_s: float | None = None

    def fall_within(self, from_s: float, to_s: float, tolerance_s: float) -> bool:
        """Tell whether a frame shown from *from_s* to *to_s* is taken, by the rule of `frames_shown_at`."""
        near = math.floor((from_s - tolerance_s - self.start_s) * self.fps)
        for index in range(max(near - 1, 0), max(near, 0) + 3):
            time_s = sample_time(
                index, fps=self.fps, start_s=self.start_s, end_s=self.end_s
            )
            if time_s is not None and from_s <= time_s + tolerance_s < to_s:
                return True
        return False


@attrs.frozen
class LeftOut:
    """A frame that is not decoded; what is known of it without."""

    pts: int
    duration: int | None
    time_base: Fraction
    dts: None = None


@attrs.define
class _Waiting:
    packet: Packet[VideoStream]
    is_disposable: bool
    has_picture: bool


class Thinning:
    """Thins one stretch of packets, from the beginning or from where the file was wound to.

    Args:
        samples: When frames are taken.
        tolerance_s: How much later every time counts, in seconds.
        is_disposable: Tells which packets no other one needs.
        time_of: Returns the time of a time stamp, in seconds.
        max_gap: How far apart time stamps may be before the clock may have been set anew; `None` if it never is.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        tolerance_s: float,
        is_disposable: IsDisposable,
        time_of: Callable[[int], float],
        max_gap: int | None,
    ) -> None:
        self._samples = samples
        self._tolerance_s = tolerance_s
        self._is_disposable = is_disposable
        self._time_of = time_of
        self._max_gap = max_gap
        self._waiting: deque[_Waiting] = deque()
        self._known: list[int] = []  # time stamps, rising, of packets read
        self._last_dts: int | None = None
        self._last_pts: int | None = None  # of the last picture
        # Time stamps of packets passed, rising, whose pictures have not come: left out, or `None` if to be decoded.
        self._expected: list[tuple[int, LeftOut | None]] = []

    def to_decode(
        self, packets: Iterable[Packet[VideoStream]]
    ) -> Iterator[Packet[VideoStream]]:
        """Yield the *packets* to decode, in their order.

        Raises:
            ThinningError: If their time stamps are out of the ordinary.
        """
        for packet in packets:
            if packet.size:
                self._read(packet)
                yield from self._decided(at_end=False)
            else:  # the last one, which empties the decoder
                yield from self._decided(at_end=True)
                yield packet
        yield from self._decided(at_end=True)

    def _read(self, packet: Packet[VideoStream]) -> None:
        pts = packet.pts
        if packet.is_corrupt or pts is None or packet.has_sidedata("new_extradata"):
            raise ThinningError
        self._check_clock(pts, packet.dts)
        self._last_dts = packet.dts
        has_picture = not packet.is_discard  # by an edit list
        if has_picture:
            place = bisect.bisect_left(self._known, pts)
            if self._known[place : place + 1] == [pts]:
                raise ThinningError
            self._known.insert(place, pts)
        is_disposable = self._is_disposable(bytes(packet))
        self._waiting.append(_Waiting(packet, is_disposable, has_picture))

    def _check_clock(self, pts: int, dts: int | None) -> None:
        """Refuse a packet whose time of decoding is not after that of the one before, and by then its frame is due."""
        last_dts = self._last_dts
        if dts is None:
            is_ordinary = last_dts is None  # as at the beginning of Matroska files
        else:
            gap = 1 if last_dts is None else dts - last_dts
            is_ordinary = 0 < gap <= (self._max_gap or gap) and pts >= dts
        if not is_ordinary:
            raise ThinningError

    def _decided(self, *, at_end: bool) -> Iterator[Packet[VideoStream]]:
        """Yield the packets to decode of which that is known by now."""
        while self._waiting:
            packet, left_out = self._waiting[0].packet, None
            pts, time_base = packet.pts, packet.time_base
            if self._may_leave_out(self._waiting[0]) and pts is not None and time_base:
                following = self._following(pts)
                if following is not None:
                    if not self._is_sampled(pts, following):
                        left_out = LeftOut(pts, packet.duration, time_base)
                elif not at_end and len(self._waiting) < _MAX_WAITING:
                    return
            if self._waiting.popleft().has_picture:
                self._expect(pts, left_out)
            if left_out is None:
                yield packet

    def _may_leave_out(self, waiting: _Waiting) -> bool:
        return (
            waiting.is_disposable
            and waiting.has_picture
            and self._last_pts is not None  # the first picture is always decoded
        )

    def _following(self, pts: int) -> int | None:
        """Return the time stamp of the frame shown after that at *pts*, or `None` if it is not known yet.

        No frame is shown before it is decoded, so none comes between any more once decoding has reached that time.
        """
        place = bisect.bisect_right(self._known, pts)
        if place == len(self._known) or self._last_dts is None:
            return None
        following = self._known[place]
        return following if following <= self._last_dts else None

    def _is_sampled(self, pts: int, following: int) -> bool:
        """Tell whether a frame is sampled that is shown until the time stamp *following*."""
        return self._samples.fall_within(
            self._time_of(pts), self._time_of(following), self._tolerance_s
        )

    def _expect(self, pts: int | None, left_out: LeftOut | None) -> None:
        if pts is None or (self._last_pts is not None and pts <= self._last_pts):
            raise ThinningError
        bisect.insort(self._expected, (pts, left_out), key=lambda each: each[0])

    def before(self, picture: VideoFrame) -> list[LeftOut]:
        """Return what was left out between the picture before and *picture*, which has just been decoded.

        Raises:
            ThinningError: If other pictures were to come first, or none with this time stamp, or it is damaged.
        """
        pts = picture.pts
        # What a damaged one was mended with may have been left out.
        if pts is None or picture.is_corrupt:
            raise ThinningError
        place = bisect.bisect_left(self._expected, pts, key=lambda each: each[0])
        if place == len(self._expected) or self._expected[place][0] != pts:
            raise ThinningError
        passed = self._expected[:place]
        del self._expected[: place + 1]
        # Frames before the first one may need what lies before the beginning.
        found = [] if self._last_pts is None else _only_left_out(passed)
        self._last_pts = pts
        # Of the time stamps before this one the frames' places are decided.
        del self._known[: max(bisect.bisect_left(self._known, pts) - 1, 0)]
        return found

    def after_last(self) -> list[LeftOut]:
        """Return what was left out after the last picture.

        Raises:
            ThinningError: If more pictures were to come.
        """
        if self._last_pts is None:
            return []
        passed, self._expected = self._expected, []
        return _only_left_out(passed)


def _only_left_out(passed: list[tuple[int, LeftOut | None]]) -> list[LeftOut]:
    found = [left_out for _, left_out in passed if left_out is not None]
    if len(found) != len(passed):
        raise ThinningError
    return found
