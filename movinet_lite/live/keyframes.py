"""Holds back the frames of a video stream until a keyframe is decoded, at the start and after losses."""

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
"""Codecs whose decoders return nothing before a keyframe or a recovery point.

Streams with periodic intra refresh have only recovery points and no keyframes.
"""

_DAMAGED_PACKETS: Final = 2
"""Number of packets affected by a reported loss: FFmpeg's parser may report it one packet early."""


class KeyframeGate:
    """Passes frames from a keyframe on, and closes again when FFmpeg reports a loss.

    A decoder that starts between two keyframes, or loses a packet, returns corrupted frames until the next keyframe. If
    no keyframe arrives within *patience_s*, the gate passes all frames until one does.

    Args:
        decoder: The decoder of the stream.
        patience_s: Maximum wait for a keyframe, in seconds of the stream.
        on_patience_lost: Called the first time that no keyframe arrived in time.
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
        """Return whether to decode *packet*, which is displayed at *time_s*."""
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
        """Return whether *picture*, and the frames that refer to it, are intact."""
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
        self._decoder.flush_buffers()  # frames that refer to lost ones are then not returned

    def _wait(self, time_s: float) -> None:
        """Pass all frames after the maximum wait."""
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
