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
"""How much memory the packets of one source may take: a minute at 8 Mbit/s, which few cameras send."""


@attrs.frozen
class KeptPacket:
    """One encoded packet.

    Attributes:
        data: What the encoder made.
        pts: When it is shown, in ticks of *tick_s*; `None` if the stream does not say.
        dts: When it is decoded, likewise.
        duration: How long it is shown, in ticks; 0 if the stream does not say.
        tick_s: The unit of these, in seconds.
        is_keyframe: Whether decoding can begin here.
        time_s: When it is shown, in seconds since the source was opened.
        number: Its place among all packets of the source, from 0.
        template: The stream it came from, as a file that holds nothing else: the packets of one connection share it.
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
    """The packets of the last seconds, from a keyframe on. Any thread may read it while one adds.

    Args:
        keep_s: How many seconds to keep; the keyframe before and what follows it are kept too.
        max_bytes: How much memory they may take; the oldest go first.
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
        """Take note that the packets to come are those of a new connection."""
        template = _template_of(stream)
        with self._lock:
            self._template = template
            self._waits_for_keyframe = True

    def add(self, packet: Packet[VideoStream], time_s: float) -> None:
        """Keep a packet; it is copied."""
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
        """Return the packets kept from the one of this *number* on."""
        with self._lock:
            if not self._packets:
                return []
            skipped = max(number - self._packets[0].number, 0)
            return list(self._packets)[skipped:]

    @property
    def num_bytes(self) -> int:
        """How many bytes of packets are kept."""
        return self._num_bytes

    def _trim(self, oldest_s: float) -> None:
        """Drop whole groups of pictures from the front: those before *oldest_s*, and more where memory is short."""
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
    """Return a file in memory that holds the description of a stream; empty if it cannot be written.

    The stream itself dies with its connection, and a file can be written long after. NUT is the format that stores what
    describes the stream as it is.
    """
    import av

    file = io.BytesIO()
    try:
        with av.open(file, "w", format="nut") as output:
            copy = output.add_stream_from_template(stream, opaque=True)
            filler = av.Packet(bytes(16))  # without a packet FFmpeg does not open it
            filler.pts = filler.dts = 0
            filler.time_base = Fraction(1, 1000)
            filler.is_keyframe = True
            filler.stream = copy
            output.mux(filler)
    except (av.FFmpegError, ValueError):
        return b""
    return file.getvalue()
