"""One connection to a live source: opens it, reads packets, and decodes the frames that are needed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import attrs

from movinet_lite.errors import LiveSourceError
from movinet_lite.live.addresses import Address
from movinet_lite.live.clock import LiveClock, PacedClock
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

_SEGMENTED: Final = frozenset({"dash", "hls"})
"""Formats that come in segments of some seconds, so that frames come in bursts and must be spread out again."""

_WAIT_FOR_CAMERA_S: Final = 0.005
"""How long to pause where a camera has no frame yet, in seconds."""

_BAD_PACKETS: Final = 100
"""After how many packets in a row that cannot be decoded the connection is given up: the codec changed, or it is no video.

Until the first keyframe comes nothing can be decoded; cameras send one every one to four seconds.
"""

_FIRST_INTERVAL_S: Final = 1 / 25
_SMOOTHING: Final = 0.05
"""What a new distance counts against the mean of those before: the last twenty frames tell the rate."""

_SHORTEST_INTERVAL_S: Final = 1e-3
_LONGEST_INTERVAL_S: Final = 60.0


@attrs.frozen
class Lost:
    """How a connection came to its end.

    Attributes:
        reason: In words, without credentials.
        is_final: Whether to try again is in vain: a recording is over, or FFmpeg cannot read such a source.
        is_end: Whether it is the end of a recording, and no error.
        is_refused: Whether the user or the password was wrong.
    """

    reason: str
    is_final: bool = False
    is_end: bool = False
    is_refused: bool = False


class Listener(Protocol):
    """What a connection tells."""

    def is_wanted(self) -> bool:
        """Tell whether the connection is to go on."""

    def now_s(self) -> float:
        """Return the time, in seconds since the source was opened."""

    def opened(self, stream: VideoStream) -> None:
        """Take note that the connection stands."""

    def came(self, packet: Packet[VideoStream], time_s: float) -> None:
        """Take note of an encoded packet, and of when what is in it is shown."""

    def may_take(self, time_s: float, interval_s: float, *, in_order: bool) -> bool:
        """Tell whether a picture shown then could be wanted."""

    def skipped(self) -> None:
        """Take note that a picture came and was not decoded, since nobody needs it."""

    def decoded(self, picture: Picture, time_s: float, interval_s: float) -> None:
        """Take a picture; this may wait."""

    def wait(self, seconds: float) -> None:
        """Wait, or return early if the connection is to end."""


class Connection:
    """One connection to a source, for one thread.

    Args:
        address: What to open.
        listener: Who is told.
        timeout_s: How long to wait for the network at most, in seconds.
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
        """Read until the connection is lost, is over, or is no longer wanted; return why it ended."""
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
            return Lost(
                f"the FFmpeg inside PyAV cannot read it: {_words(error)}", is_final=True
            )
        except av.FFmpegError as error:
            return self._lost_by(error)
        except LiveSourceError as error:
            return Lost(error.message)
        except (OSError, ValueError, RuntimeError) as error:
            return Lost(_words(error))

    def _lost_by(self, error: Exception) -> Lost:
        """Say why the connection was lost; FFmpeg has several names for a time-out, and "invalid data" is one."""
        import av

        silent_s = time.monotonic() - self._asked_s
        if isinstance(error, (av.error.ExitError, TimeoutError)) or (
            silent_s >= 0.95 * self._timeout_s
        ):
            return Lost(f"it sent nothing for {self._timeout_s:g} s")
        if isinstance(
            error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
        ):
            return Lost("it refuses the user or the password", is_refused=True)
        if isinstance(error, av.error.InvalidDataError):
            return Lost("it sends something else than a video")
        return Lost(_words(error))

    def _open(self, stack: contextlib.ExitStack) -> InputContainer:
        import av

        address = self._address
        file: Any = address.url
        if address.kind == "pipe":
            file = PipeReader(address.url, self._listener.is_wanted)
            stack.callback(file.close)
        # The second limit holds for each packet.
        limits = (self._timeout_s, self._timeout_s)
        options: dict[str, Any] = {}
        if int(av.__version__.split(".")[0]) < 19:  # newer ones always replace
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
        self._listener.opened(stream)
        for packet in self._packets(container):
            self._asked_s = time.monotonic()
            if not self._listener.is_wanted():
                return Lost("it was closed")
            if packet.stream_index == stream.index:
                self._handle(packet, stream, clock, stamps)
                if self._num_bad >= _BAD_PACKETS:
                    return Lost("what it sends cannot be decoded")
        if is_recording or self._address.url == "-":
            return Lost("it is over", is_final=True, is_end=True)
        return Lost("it ended")

    def _is_recording(self, container: InputContainer) -> bool:
        """Tell whether this is something with an end, which is played once."""
        if self._address.kind == "file":
            return True
        scheme = self._address.url.partition("://")[0].lower()
        return scheme in {"ftp", "http", "https"} and container.duration is not None

    def _packets(self, container: InputContainer) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of all streams, so that the thread looks up also while only sound comes."""
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
    ) -> None:
        if packet.size == 0:  # the end: what the decoder still holds
            self._decode(packet, clock)
            return
        now_s = self._listener.now_s()
        for complete in stamps.complete(packet, now_s):
            self._handle_complete(complete, stream, clock, now_s)

    def _handle_complete(
        self,
        packet: Packet[VideoStream],
        stream: VideoStream,
        clock: LiveClock | PacedClock,
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
            return
        self._decode(packet, clock)

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
            if picture.is_corrupt or picture.pts is None:
                continue
            time_s = clock.time_s(picture.pts * float(picture.time_base or 0))
            self._listener.wait(clock.wait_s(time_s, self._listener.now_s()))
            if not self._listener.is_wanted():
                return
            self._listener.decoded(picture, time_s, self._interval_s)

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
    """Return the first video stream, with a decoder that gives each picture as soon as it can."""
    if not container.streams.video:
        raise LiveSourceError("it sends no video")
    stream = container.streams.video[0]
    decoder: VideoCodecContext | None = stream.codec_context
    if decoder is None:
        raise LiveSourceError("FFmpeg has no decoder for its video")
    # Threads that decode several frames at once hold each back for as many frames; many cameras fill the cores anyway.
    decoder.thread_type = "SLICE"
    decoder.thread_count = 1
    decoder.options = {**decoder.options, "max_pixels": str(MAX_PIXELS + 2**22)}
    return stream


def _may_jump(container: InputContainer) -> bool:
    from av.format import Flags

    return bool(container.format.flags & cast("int", Flags.ts_discont.value))


def _has_no_time_stamps(container: InputContainer) -> bool:
    """Tell whether FFmpeg makes up the time stamps, as for the pictures of an MJPEG camera or bare H.264."""
    from av.format import Flags

    return bool(container.format.flags & cast("int", Flags.no_timestamps.value))


def _words(error: Exception) -> str:
    """Return what an error says, without the address that FFmpeg's errors end with."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())
