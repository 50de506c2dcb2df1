"""Holds back the pictures of a video stream until decoding has begun at a keyframe, and after losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from av import Packet
    from av import VideoFrame as Picture
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

__all__ = ["KeyframeGate"]

_SELF_STARTING: Final = frozenset({"h264", "hevc"})
"""Codecs whose decoders give nothing before a keyframe or a recovery point.

Streams with periodic intra refresh have recovery points alone, and no picture of theirs is a keyframe.
"""

_DAMAGED_PACKETS: Final = 2
"""How many packets a reported loss concerns: FFmpeg's parser may report it one packet early."""


class KeyframeGate:
    """Passes pictures from a keyframe on, and closes again when FFmpeg reports a loss.

    A decoder that begins between two keyframes, or loses a packet, shows a smeared picture until the next keyframe. Where
    no keyframe comes within *patience_s*, the gate passes whatever is decoded until one does.

    Args:
        decoder: The decoder of the stream.
        patience_s: How long to wait for a keyframe, in seconds of the stream.
        on_patience_lost: Called the first time that no keyframe came in time.
    """

    def __init__(
        self,
        decoder: VideoCodecContext,
        *,
        patience_s: float,
        on_patience_lost: Callable[[], None],
    ) -> None:
        self._decoder = decoder
        self._patience_s = patience_s
        self._on_patience_lost = on_patience_lost
        self._has_keyframes_only = decoder.codec.intra_only
        self._is_open = False
        self._since_s: float | None = None
        self._num_damaged = 0
        self._passes_all = False
        self._has_warned = False

    def admits(self, packet: Packet[VideoStream], time_s: float) -> bool:
        """Return whether to decode *packet*, which is shown at *time_s*."""
        if self._has_keyframes_only:
            return True
        if packet.is_corrupt and not self._passes_all:
            self._close()
            self._num_damaged = _DAMAGED_PACKETS
        self._wait(time_s)
        if self._num_damaged:
            self._num_damaged -= 1
            return self._passes_all
        return True

    def passes(self, picture: Picture) -> bool:
        """Return whether to use *picture*."""
        if self._has_keyframes_only:
            return not picture.is_corrupt
        if self._is_start(picture):
            self._open()
        elif picture.is_corrupt and not self._passes_all:
            self._close()
        return self._is_open or self._passes_all

    def _is_start(self, picture: Picture) -> bool:
        """Return whether *picture*, and those that refer to it, are whole."""
        if picture.is_corrupt:
            return False
        is_vouched_for = self._decoder.name in _SELF_STARTING and not self._passes_all
        return picture.key_frame or is_vouched_for

    def _open(self) -> None:
        self._is_open = True
        self._since_s = None
        if self._passes_all:
            self._passes_all = False
            self._decoder.flags &= ~_output_corrupt()

    def _close(self) -> None:
        self._is_open = False
        self._decoder.flush_buffers()  # what refers to lost pictures is not given then

    def _wait(self, time_s: float) -> None:
        """Pass everything once the wait has lasted too long."""
        if self._is_open or self._passes_all:
            return
        if self._since_s is None or time_s < self._since_s:
            self._since_s = time_s
        if time_s - self._since_s <= self._patience_s:
            return
        self._passes_all = True
        self._decoder.flags |= _output_corrupt()
        if not self._has_warned:
            self._has_warned = True
            self._on_patience_lost()


def _output_corrupt() -> int:
    from av.codec.context import Flags

    return int(Flags.output_corrupt)
