"""One connection to a live source: opens it, reads packets, and decodes the frames that are needed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import attrs

from movinet_lite.errors import LiveSourceError
from movinet_lite.live.addresses import Address
from movinet_lite.live.clock import LiveClock, PacedClock
from movinet_lite.live.keyframes import KeyframeGate
from movinet_lite.live.pipes import PipeReader
from movinet_lite.live.stamps import PacketStamps
from movinet_lite.video.decoding import MAX_PIXELS

if TYPE_CHECKING:
    from av import Packet
    from av import VideoFrame as Picture
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

__all__ = ["Connection", "Listener", "Lost"]

_LOG = logging.getLogger("movinet_lite.live")

_SEGMENTED: Final = frozenset({"dash", "hls"})
"""Formats with segments of several seconds, whose frames arrive in bursts and must be paced."""

_WAIT_FOR_CAMERA_S: Final = 0.005
"""Polling interval for a camera without a new frame, in seconds."""

_BAD_PACKETS: Final = 100
"""Number of consecutive undecodable packets after which the connection is closed: the codec changed, or it is not video.

Until the first keyframe comes nothing can be decoded; cameras send one every one to four seconds.
"""

_WITHOUT_SRT: Final = (
    "PyAV's wheels do not support SRT: build PyAV against an FFmpeg with SRT support with 'pip install --no-binary "
    "av av', or relay "
    "the stream with 'ffmpeg -i srt://... -c copy -f mpegts udp://127.0.0.1:5000' and open udp://127.0.0.1:5000"
)

_KEYFRAME_S: Final = 5.0
"""Maximum wait for a keyframe before damaged frames are used, in seconds; at most half of the timeout."""

_FIRST_INTERVAL_S: Final = 1 / 25
_SMOOTHING: Final = 0.05
"""Weight of a new interval in the moving average: about the last twenty frames determine the rate."""

_SHORTEST_INTERVAL_S: Final = 1e-3
_LONGEST_INTERVAL_S: Final = 60.0


@attrs.frozen
class Lost:
    """The reason why a connection ended.

    Attributes:
        reason: A description, without credentials.
        is_final: Whether reconnecting is pointless: a recording has ended, or FFmpeg cannot read such a source.
        is_end: Whether it is the end of a recording rather than an error.
        is_refused: Whether the user or password was wrong.
    """

    reason: str
    is_final: bool = False
    is_end: bool = False
    is_refused: bool = False


class Listener(Protocol):
    """The callbacks of a connection."""

    def is_wanted(self) -> bool:
        """Return whether the connection should continue."""

    def now_s(self) -> float:
        """Return the time, in seconds since the source was opened."""

    def opened(self, stream: VideoStream) -> None:
        """Handle an established connection."""

    def came(self, packet: Packet[VideoStream], time_s: float) -> None:
        """Handle an encoded packet with its display time."""

    def may_take(self, time_s: float, interval_s: float, *, in_order: bool) -> bool:
        """Return whether a frame displayed at that time could be sampled."""

    def skipped(self) -> None:
        """Handle a frame that was not decoded, since it is not needed."""

    def decoded(self, picture: Picture, time_s: float, interval_s: float) -> None:
        """Handle a decoded frame; this may wait."""

    def wait(self, seconds: float) -> None:
        """Wait, or return early if the connection should end."""


class Connection:
    """A connection to a source, used by one thread.

    Args:
        address: The address to open.
        listener: The callbacks.
        timeout_s: Network timeout, in seconds.
    """

    def __init__(
        self, address: Address, listener: Listener, *, timeout_s: float
    ) -> None:
        self._address = address
        self._listener = listener
        self._timeout_s = timeout_s
        self._interval_s = _FIRST_INTERVAL_S
        self._last_stamp_s: float | None = None
        self._num_bad = 0
        self._num_steps = 0
        self._asked_s = time.monotonic()

    def run(self) -> Lost:
        """Read until the connection is lost, has ended, or is no longer wanted; return the reason."""
        import av

        try:
            with contextlib.ExitStack() as stack:
                container = stack.enter_context(self._open(stack))
                return self._read(container)
        except (
            av.error.ProtocolNotFoundError,
            av.error.DemuxerNotFoundError,
            av.error.DecoderNotFoundError,
        ) as error:
            return Lost(self._why_unreadable(error), is_final=True)
        except av.FFmpegError as error:
            return self._lost_by(error)
        except LiveSourceError as error:
            return Lost(error.message)
        except (OSError, ValueError, RuntimeError) as error:
            return Lost(_words(error))

    def _why_unreadable(self, error: Exception) -> str:
        why = f"PyAV's FFmpeg cannot read it: {_words(error)}"
        is_srt = self._address.url.lower().startswith("srt:")
        return f"{why} ({_WITHOUT_SRT})" if is_srt else why

    def _lost_by(self, error: Exception) -> Lost:
        """Return why the connection was lost; FFmpeg has several names for a timeout, such as "invalid data"."""
        import av

        silent_s = time.monotonic() - self._asked_s
        if isinstance(error, (av.error.ExitError, TimeoutError)) or (
            silent_s >= 0.95 * self._timeout_s
        ):
            return Lost(f"it sent nothing for {self._timeout_s:g} s")
        if isinstance(
            error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
        ):
            return Lost("it rejects the user or password", is_refused=True)
        if isinstance(error, av.error.InvalidDataError):
            return Lost("it does not send video")
        return Lost(_words(error))

    def _open(self, stack: contextlib.ExitStack) -> InputContainer:
        import av

        address = self._address
        file: Any = address.url
        if address.kind == "pipe":
            file = PipeReader(address.url, self._listener.is_wanted)
            stack.callback(file.close)
        # The second limit applies to each packet.
        limits = (self._timeout_s, self._timeout_s)
        options: dict[str, Any] = {}
        if int(av.__version__.split(".")[0]) < 19:  # newer settings always replace
            options["metadata_errors"] = "replace"
        if address.kind in {"network", "camera"}:
            options["timeout"] = limits
        return cast(
            "InputContainer",
            av.open(
                file,
                format=address.format,
                options=dict(address.options),
                **options,
            ),
        )

    def _read(self, container: InputContainer) -> Lost:
        stream = _video_of(container)
        is_recording = self._is_recording(container)
        paces = is_recording or container.format.name.split(",")[0] in _SEGMENTED
        clock = (
            PacedClock(may_jump=_may_jump(container), is_live=not is_recording)
            if paces
            else LiveClock()
        )
        stamps = PacketStamps(stream, are_made_up=_has_no_time_stamps(container))
        gate = KeyframeGate(
            stream.codec_context,
            patience_s=min(_KEYFRAME_S, self._timeout_s / 2),
            on_patience_lost=self._warn_of_damage,
        )
        self._listener.opened(stream)
        for packet in self._packets(container):
            self._asked_s = time.monotonic()
            if not self._listener.is_wanted():
                return Lost("it was closed")
            if packet.stream_index == stream.index:
                self._handle(packet, stream, clock, stamps, gate)
                if self._num_bad >= _BAD_PACKETS:
                    return Lost("the video cannot be decoded")
        if is_recording or self._address.url == "-":
            return Lost("it is over", is_final=True, is_end=True)
        return Lost("it ended")

    def _is_recording(self, container: InputContainer) -> bool:
        """Return whether this is a recording, which is played once."""
        if self._address.kind == "file":
            return True
        scheme = self._address.url.partition("://")[0].lower()
        return scheme in {"ftp", "http", "https"} and container.duration is not None

    def _packets(self, container: InputContainer) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of all streams, so that the thread is not blocked while only audio arrives."""
        while True:
            try:
                yield from cast("Iterator[Packet[VideoStream]]", container.demux())
            except BlockingIOError:  # a camera without a new frame
                if not self._listener.is_wanted():
                    return
                time.sleep(_WAIT_FOR_CAMERA_S)
            else:
                return

    def _handle(
        self,
        packet: Packet[VideoStream],
        stream: VideoStream,
        clock: LiveClock | PacedClock,
        stamps: PacketStamps,
        gate: KeyframeGate,
    ) -> None:
        if packet.size == 0:  # the end: flush the decoder
            self._decode(packet, clock, gate)
            return
        now_s = self._listener.now_s()
        for complete in stamps.complete(packet, now_s):
            self._handle_complete(complete, stream, clock, gate, now_s)

    def _handle_complete(
        self,
        packet: Packet[VideoStream],
        stream: VideoStream,
        clock: LiveClock | PacedClock,
        gate: KeyframeGate,
        now_s: float,
    ) -> None:
        tick_s = float(packet.time_base)
        shown, decoded = (
            packet.dts if packet.pts is None else packet.pts,
            packet.pts if packet.dts is None else packet.dts,
        )
        assert shown is not None  # noqa: S101 - it is complete
        assert decoded is not None  # noqa: S101
        self._learn_interval(decoded * tick_s)
        clock.observe(decoded * tick_s, now_s)
        time_s = clock.time_s(shown * tick_s)
        self._listener.came(packet, time_s)
        self._skip_what_nobody_needs(stream, time_s)
        if stream.codec_context.skip_frame == "ALL":
            self._listener.skipped()
        elif gate.admits(packet, time_s):
            self._decode(packet, clock, gate)

    def _skip_what_nobody_needs(self, stream: VideoStream, time_s: float) -> None:
        decoder = stream.codec_context
        in_order = decoder.codec.intra_only
        if self._listener.may_take(time_s, self._interval_s, in_order=in_order):
            decoder.skip_frame = "DEFAULT"
        elif in_order:
            decoder.skip_frame = "ALL"
        else:
            decoder.skip_frame = "NONREF"

    def _decode(
        self,
        packet: Packet[VideoStream],
        clock: LiveClock | PacedClock,
        gate: KeyframeGate,
    ) -> None:
        import av

        try:
            pictures = packet.decode()
        except av.FFmpegError:
            self._num_bad += 1
            return
        for picture in pictures:
            self._num_bad = 0
            if picture.height * picture.width > MAX_PIXELS:
                raise LiveSourceError(
                    f"frames may have up to {MAX_PIXELS:,} pixels; these are {picture.height} x {picture.width}"
                )
            if not gate.passes(picture) or picture.pts is None:
                continue
            time_s = clock.time_s(picture.pts * float(picture.time_base or 0))
            self._listener.wait(clock.wait_s(time_s, self._listener.now_s()))
            if not self._listener.is_wanted():
                return
            self._listener.decoded(picture, time_s, self._interval_s)

    def _warn_of_damage(self) -> None:
        _LOG.warning(
            "%s: no keyframe arrived in time; frames may be damaged until one does",
            self._address.name,
        )

    def _learn_interval(self, stamp_s: float) -> None:
        if self._last_stamp_s is not None:
            step_s = stamp_s - self._last_stamp_s
            if 0 <= step_s <= _LONGEST_INTERVAL_S:
                self._num_steps += 1
                share = max(1 / self._num_steps, _SMOOTHING)
                mean_s = self._interval_s + share * (step_s - self._interval_s)
                self._interval_s = max(mean_s, _SHORTEST_INTERVAL_S)
        self._last_stamp_s = stamp_s


def _video_of(container: InputContainer) -> VideoStream:
    """Return the first video stream, with a low-delay decoder."""
    if not container.streams.video:
        raise LiveSourceError("it sends no video")
    stream = container.streams.video[0]
    decoder: VideoCodecContext | None = stream.codec_context
    if decoder is None:
        raise LiveSourceError("FFmpeg has no decoder for its video")
    # Frame threading delays frames by the number of threads; with many cameras the cores are busy anyway.
    decoder.thread_type = "SLICE"
    decoder.thread_count = 1
    decoder.options = {**decoder.options, "max_pixels": str(MAX_PIXELS + 2**22)}
    return stream


def _may_jump(container: InputContainer) -> bool:
    from av.format import Flags

    return bool(container.format.flags & cast("int", Flags.ts_discont.value))


def _has_no_time_stamps(container: InputContainer) -> bool:
    """Return whether FFmpeg generates the time stamps, as for MJPEG cameras or raw H.264."""
    from av.format import Flags

    return bool(container.format.flags & cast("int", Flags.no_timestamps.value))


def _words(error: Exception) -> str:
    """Return the message of an error, without the address at the end of FFmpeg's messages."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())
