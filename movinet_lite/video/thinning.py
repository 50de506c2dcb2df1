"""Skips the decoding of frames that no sample needs and no other frame refers to.

The time stamps of packets are known before decoding, which determines the frames that will be sampled. Each skipped
frame is replaced by a `LeftOut` with its time, so that the rest of the pipeline is unaffected. Irregular time stamps,
and frames that do not match their packets, raise a `ThinningError`: the whole file is then decoded from its beginning.
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
"""Maximum number of packets to wait for the next frame's time stamp; then the frame is decoded."""


class ThinningError(Exception):
    """All frames of a file must be decoded, since their times do not match those of the packets."""


@attrs.frozen
class Samples:
    """The arguments of `sample_times`.

    Attributes:
        fps: Frames per second.
        start_s: The first time, in seconds.
        end_s: End time in seconds, exclusive; `None` for no end.
    """

    fps: float
    start_s: float = 0.0
    end_s: float | None = None

    def fall_within(self, from_s: float, to_s: float, tolerance_s: float) -> bool:
        """Return whether a frame displayed from *from_s* to *to_s* is sampled, by the rules of `frames_shown_at`."""
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
    """A frame that is not decoded, with its known facts."""

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
    """Selects the packets to decode, from the beginning or after a seek.

    Args:
        samples: The sample times.
        tolerance_s: Time added to every sample time, in seconds.
        is_disposable: Determines whether a packet is disposable.
        time_of: Converts a time stamp to seconds.
        max_gap: Maximum distance of time stamps without a clock reset; `None` if the clock is never reset.
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
        self._known: list[int] = []  # time stamps of packets read, in ascending order
        self._last_dts: int | None = None
        self._last_pts: int | None = None  # of the last frame
        # Time stamps of processed packets with pending frames, in ascending order: skipped, or `None` if to be decoded.
        self._expected: list[tuple[int, LeftOut | None]] = []

    def to_decode(
        self, packets: Iterable[Packet[VideoStream]]
    ) -> Iterator[Packet[VideoStream]]:
        """Yield the *packets* to decode, in order.

        Raises:
            ThinningError: If their time stamps are irregular.
        """
        for packet in packets:
            if packet.size:
                self._read(packet)
                yield from self._decided(at_end=False)
            else:  # the last one, which flushes the decoder
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
        """Raise an error for a packet whose decoding time is not after the previous one, or after its display time."""
        last_dts = self._last_dts
        if dts is None:
            is_ordinary = last_dts is None  # as at the beginning of Matroska files
        else:
            gap = 1 if last_dts is None else dts - last_dts
            is_ordinary = 0 < gap <= (self._max_gap or gap) and pts >= dts
        if not is_ordinary:
            raise ThinningError

    def _decided(self, *, at_end: bool) -> Iterator[Packet[VideoStream]]:
        """Yield the packets that are known to need decoding."""
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
            and self._last_pts is not None  # the first frame is always decoded
        )

    def _following(self, pts: int) -> int | None:
        """Return the time stamp of the frame after the one at *pts*, or `None` if it is not known yet.

        Frames are decoded before they are displayed, so none can come between once decoding has reached that time.
        """
        place = bisect.bisect_right(self._known, pts)
        if place == len(self._known) or self._last_dts is None:
            return None
        following = self._known[place]
        return following if following <= self._last_dts else None

    def _is_sampled(self, pts: int, following: int) -> bool:
        """Return whether a frame displayed until the time stamp *following* is sampled."""
        return self._samples.fall_within(
            self._time_of(pts), self._time_of(following), self._tolerance_s
        )

    def _expect(self, pts: int | None, left_out: LeftOut | None) -> None:
        if pts is None or (self._last_pts is not None and pts <= self._last_pts):
            raise ThinningError
        bisect.insort(self._expected, (pts, left_out), key=lambda each: each[0])

    def before(self, picture: VideoFrame) -> list[LeftOut]:
        """Return the frames skipped between the previous frame and *picture*, which has just been decoded.

        Raises:
            ThinningError: If other frames were expected first, no frame with this time stamp was expected, or it is
                damaged.
        """
        pts = picture.pts
        # The frame used for error concealment may have been skipped.
        if pts is None or picture.is_corrupt:
            raise ThinningError
        place = bisect.bisect_left(self._expected, pts, key=lambda each: each[0])
        if place == len(self._expected) or self._expected[place][0] != pts:
            raise ThinningError
        passed = self._expected[:place]
        del self._expected[: place + 1]
        # Frames before the first one may depend on earlier packets.
        found = [] if self._last_pts is None else _only_left_out(passed)
        self._last_pts = pts
        # All time stamps before this one are resolved.
        del self._known[: max(bisect.bisect_left(self._known, pts) - 1, 0)]
        return found

    def after_last(self) -> list[LeftOut]:
        """Return the frames skipped after the last decoded one.

        Raises:
            ThinningError: If more frames were expected.
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
