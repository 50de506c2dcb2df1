"""A ring buffer of the encoded packets of the last seconds."""

from __future__ import annotations

import io
import threading
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from av import Packet
    from av.video.stream import VideoStream

__all__ = ["MAX_KEPT_BYTES", "KeptPacket", "PacketRing"]

MAX_KEPT_BYTES: Final = 64 * 2**20
"""Maximum memory for the packets of a source: a minute at 8 Mbit/s, which few cameras exceed."""


@attrs.frozen
class KeptPacket:
    """An encoded packet.

    Attributes:
        data: The encoded data.
        pts: The presentation time stamp, in ticks of *tick_s*; `None` if missing.
        dts: The decoding time stamp, likewise.
        duration: The display duration, in ticks; 0 if missing.
        tick_s: The unit of the time stamps, in seconds.
        is_keyframe: Whether decoding can start here.
        time_s: The display time, in seconds since the source was opened.
        number: Its index among all packets of the source, from 0.
        template: The description of its stream as a file, shared by the packets of one connection.
    """

    data: bytes = attrs.field(repr=False)
    pts: int | None
    dts: int | None
    duration: int
    tick_s: Fraction
    is_keyframe: bool
    time_s: float
    number: int
    template: bytes = attrs.field(repr=False, eq=False)


class PacketRing:
    """The packets of the last seconds, starting at a keyframe. Any thread may read it while one thread adds packets.

    Args:
        keep_s: Number of seconds to keep; the preceding keyframe and the packets after it are kept too.
        max_bytes: Maximum memory in bytes; the oldest packets are dropped first.
    """

    def __init__(self, keep_s: float, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self.keep_s = keep_s
        self._max_bytes = max_bytes
        self._packets: deque[KeptPacket] = deque()
        self._num_bytes = 0
        self._number = 0
        self._template = b""
        self._waits_for_keyframe = True
        self._lock = threading.Lock()

    def begin(self, stream: VideoStream) -> None:
        """Start a new connection."""
        template = _template_of(stream)
        with self._lock:
            self._template = template
            self._waits_for_keyframe = True

    def add(self, packet: Packet[VideoStream], time_s: float) -> None:
        """Add a copy of a packet."""
        with self._lock:
            is_start = packet.is_keyframe and not packet.is_corrupt
            if self._waits_for_keyframe and not is_start:
                return
            if not self._template:
                return
            self._waits_for_keyframe = False
            kept = KeptPacket(
                data=bytes(packet),
                pts=packet.pts,
                dts=packet.dts,
                duration=packet.duration or 0,
                tick_s=packet.time_base,
                is_keyframe=packet.is_keyframe,
                time_s=time_s,
                number=self._number,
                template=self._template,
            )
            self._number += 1
            self._packets.append(kept)
            self._num_bytes += len(kept.data)
            self._trim(time_s - self.keep_s)

    def since(self, number: int) -> list[KeptPacket]:
        """Return the stored packets from *number* on."""
        with self._lock:
            if not self._packets:
                return []
            skipped = max(number - self._packets[0].number, 0)
            return list(self._packets)[skipped:]

    @property
    def num_bytes(self) -> int:
        """Size of the stored packets, in bytes."""
        return self._num_bytes

    def _trim(self, oldest_s: float) -> None:
        """Drop whole groups of pictures from the front: those before *oldest_s*, and more if memory is short."""
        while self._packets:
            begins_next = self._next_keyframe()
            is_too_much = self._num_bytes > self._max_bytes
            if begins_next is None:
                if is_too_much:
                    self._drop(len(self._packets))
                    self._waits_for_keyframe = True
                return
            if self._packets[begins_next].time_s > oldest_s and not is_too_much:
                return
            self._drop(begins_next)

    def _next_keyframe(self) -> int | None:
        return next(
            (
                place
                for place, packet in enumerate(self._packets)
                if place and packet.is_keyframe
            ),
            None,
        )

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._num_bytes -= len(self._packets.popleft().data)


def _template_of(stream: VideoStream) -> bytes:
    """Return a file in memory with the description of a stream; empty if it cannot be written.

    The stream is freed with its connection, but clips may be written long after. The NUT format stores the description
    of a stream unchanged.
    """
    import av

    file = io.BytesIO()
    try:
        with av.open(file, "w", format="nut") as output:
            copy = output.add_stream_from_template(stream, opaque=True)
            filler = av.Packet(bytes(16))  # FFmpeg does not open it without a packet
            filler.pts = filler.dts = 0
            filler.time_base = Fraction(1, 1000)
            filler.is_keyframe = True
            filler.stream = copy
            output.mux(filler)
    except (av.FFmpegError, ValueError):
        return b""
    return file.getvalue()
