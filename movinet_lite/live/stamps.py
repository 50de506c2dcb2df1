"""Fills in missing time stamps of live packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from av import Packet
    from av.video.stream import VideoStream

__all__ = ["PacketStamps"]

_MOST_PENDING: Final = 50
"""Maximum number of initial packets without a time stamp; after that, none is expected."""

_USUAL_FPS: Final = 25


class PacketStamps:
    """Completes the packets of one stream.

    The first packets of an RTSP stream have no time stamps, since FFmpeg does not know the order of decoding and
    presentation times yet. They wait for the first packet with a time stamp, and get the preceding ones.

    Args:
        stream: The stream.
        are_made_up: Whether FFmpeg generates the time stamps, as for MJPEG cameras or raw H.264: then arrival times are
            used.
    """

    def __init__(self, stream: VideoStream, *, are_made_up: bool) -> None:
        self._are_made_up = are_made_up
        rate = stream.average_rate or stream.base_rate or _USUAL_FPS
        self._step = max(round(1 / (rate * (stream.time_base or 1))), 1)
        self._last: int | None = None
        self._pending: list[Packet[VideoStream]] = []

    def complete(
        self, packet: Packet[VideoStream], now_s: float
    ) -> list[Packet[VideoStream]]:
        """Return the packets that are complete now, in order: none, this one, or also those that waited for it."""
        if self._are_made_up:
            packet.pts = packet.dts = int(now_s / float(packet.time_base))
            return [packet]
        stamp = packet.pts if packet.dts is None else packet.dts
        if stamp is None and self._last is None:
            self._pending.append(packet)
            if len(self._pending) < _MOST_PENDING:
                return []
            self._are_made_up = True
            return self._release(int(now_s / float(packet.time_base)) + self._step)
        if stamp is None:
            assert self._last is not None  # noqa: S101 - seen above
            stamp = packet.pts = packet.dts = self._last + self._step
        self._last = stamp
        return [*self._release(stamp), packet]

    def _release(self, next_stamp: int) -> list[Packet[VideoStream]]:
        """Return the packets that waited for the one with *next_stamp*."""
        released, self._pending = self._pending, []
        for place, packet in enumerate(reversed(released), 1):
            packet.pts = packet.dts = next_stamp - place * self._step
        return released
