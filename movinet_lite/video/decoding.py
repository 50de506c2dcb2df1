"""Opens a video file and decodes its frames from any start time.

The public functions are in `movinet_lite.video.reading`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import operator
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, check_one_of
from movinet_lite.errors import VideoError
from movinet_lite.video.disposable import disposable_test
from movinet_lite.video.hdr import to_bt709, transfer_of
from movinet_lite.video.scaling import SCALING, FrameScaler
from movinet_lite.video.source import VideoFile, VideoSource
from movinet_lite.video.thinning import LeftOut, Samples, Thinning, ThinningError
from movinet_lite.video.timing import JUMP_S, FrameClock, to_seconds

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["MAX_PIXELS", "Quality", "VideoDecoder", "VideoInfo", "check_quality"]

Quality: TypeAlias = Literal["exact", "fast"]
"""The decoding quality.

``"exact"`` decodes like every conforming decoder; ``"fast"`` omits the loop filter, which smooths block edges.
"""


def check_quality(quality: Quality) -> Quality:
    """Return *quality*, one of `Quality`; an `ArrayError` is raised for any other."""
    check_one_of(quality, "quality", get_args(Quality))
    return quality


MAX_PIXELS = 89_478_485
"""The default maximum number of pixels in a frame.

It is Pillow's ``MAX_IMAGE_PIXELS``: a quarter of a gigabyte of RGB. 8K has 33 million pixels.
"""

_PADDING_PIXELS = 64 * 65_536
"""Maximum number of pixels that FFmpeg's decoders add to a frame: rows are padded to a multiple of 64."""

_MAX_GAP_S = 86_400.0
"""Maximum display time of a frame, in seconds: a day. A longer one means a damaged clock."""

_NO_VIDEOS = frozenset({"concat", "dash", "hls", "tty"})
"""Text formats of FFmpeg: playlists, and .txt files, which it would render like a terminal."""

_SAME_SIZE = 0x20 | 0x80000
"""Flags for FFmpeg's colour conversion without scaling: its fast path, SWS_AREA without SWS_ACCURATE_RND.

It is 20 times faster than the accurate path (0.8 ms instead of 15 ms for 1920 x 1080), about one level of 255 darker,
and upsamples chroma, which videos store at half the resolution, in blocks of 2 by 2. Most programs display videos like
this.
"""

_SEEK_MARGINS_S = (0.0, 1.0, 10.0)
"""Margins before the requested time to seek to, in seconds; if all fail, decoding starts at the beginning."""

_MISSING_S = 1.0
"""Tolerance between announced and actual end of a complete video, in seconds."""

_JOINT_PACKETS = 8
"""Number of packets before the joint of two MPEG-TS recordings that may be reported incomplete, since their counters
differ."""

_FAST = {"skip_loop_filter": "all"}
"""The decoder's options for ``quality="fast"``."""

_MAX_TOLERANCE_S = 0.005
_ROUNDING_S = 1e-6


@attrs.frozen
class VideoInfo:
    """The facts stored in a video file; `None` for those that are missing.

    Attributes:
        frame_size: ``(height, width)`` in pixels, as displayed: after rotation.
        fps: Average frame rate, in frames per second.
        num_frames: Number of frames, as stored in the file.
        duration_s: Duration in seconds, as stored in the file.
        rotation_degrees: Clockwise rotation of the stored frames for display: 0, 90, 180 or 270.
        codec: FFmpeg's name of the codec, such as ``"h264"``.
        has_audio: Whether the file has an audio stream.
        container: FFmpeg's name of the file format, such as ``"matroska,webm"``.
    """

    frame_size: FrameSize
    fps: float | None
    num_frames: int | None
    duration_s: float | None
    rotation_degrees: int
    codec: str
    has_audio: bool
    container: str


class _Lease(weakref.ref[Any]):
    """Closes a file when its user ends.

    Only C code runs then: an exception in a finaliser written in Python would be printed and lost, Ctrl-C among them.
    """

    __slots__ = ("close",)

    close: Callable[[], None]


_CLOSE = operator.methodcaller("close")


class VideoDecoder:
    """An open video file, whose first frame has been decoded successfully.

    Args:
        source: A path or a file object.
        max_pixels: Maximum number of pixels in a frame; `None` for no limit.
        skips_damage: Whether to continue after damage.
        samples: The sample times: frames that are not displayed at any of them are not decoded, if no other frame
            depends on them. `None` decodes all frames.
        threads: Number of decoding threads; `None` for one per core.
        quality: ``"exact"``, or ``"fast"``, which decodes without the loop filter.

    Attributes:
        path: The file.
        info: The facts of the file.
        tolerance_s: Maximum rounding error of frame times by the file's clock, in seconds.
        end_s: End of the display of the last decoded frame, in seconds.
        damage: Why decoding ended early, or what was skipped; `None` without damage.
    """

    def __init__(
        self,
        source: VideoSource,
        *,
        max_pixels: int | None = MAX_PIXELS,
        skips_damage: bool = False,
        samples: Samples | None = None,
        threads: int | None = None,
        quality: Quality = "exact",
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self._file = VideoFile.of(source)
        self.path = self._file.path
        self._max_pixels = max_pixels
        self._skips_damage = skips_damage
        self.damage: str | None = None
        self._cause: Exception | None = None
        self._scaler = VideoReformatter()
        self._threads = threads
        self._quality = quality
        # To continue after damage, the decoder needs all packets.
        self._samples = None if skips_damage else samples
        self._thinning: Thinning | None = None
        self._pictures: Generator[VideoFrame | LeftOut] | None = None
        self._lease: _Lease | None = None
        self._open()
        tick_s = float(self._stream.time_base or 0)
        self.tolerance_s = min(tick_s / 2, _MAX_TOLERANCE_S) + _ROUNDING_S
        self._may_jump = _may_jump(self._container)
        try:
            self.info = self._begin()
        except ThinningError:
            self.info = self.start_over()

    def _open(self) -> None:
        self._container, self._stream = _open(
            self._file, self._max_pixels, self._threads, self._quality
        )
        if self._lease is not None:
            self._lease.close = self._container.close

    def close_with(self, user: object) -> None:
        """Close the file when *user* ends, which has the only reference to this decoder."""
        self._lease = lease = _Lease(user, _CLOSE)
        lease.close = self._container.close

    def _begin(self) -> VideoInfo:
        """Decode the first frame."""
        self._clock = _clock_of(self._container, self._stream)
        self._begin_s: float | None = None
        self.end_s = 0.0
        try:
            pictures = self._pictures = self._decode()
            first = self._first_picture(pictures)
            self._first: VideoFrame | None = first
            self._clock.start(first.pts, first.dts)
            self._turn = Turn.of(first)
            return self._read_info(first)
        except BaseException:
            self.close()
            raise

    def start_over(self) -> VideoInfo:
        """Go back to the beginning, to decode all frames from now on; `frames` may then be called again."""
        self.close()
        self._samples = None
        self._open()
        return self._begin()

    def close(self) -> None:
        """Close the file; closing twice has no effect."""
        self._pictures = None
        self._container.close()
        self._first = None

    def frames(
        self, start_s: float
    ) -> Iterator[tuple[float, float, VideoFrame | None]]:
        """Yield the frames from the one displayed at *start_s*, or some before it, to the last; call it once.

        Args:
            start_s: Start time, in seconds from the first frame of the file.

        Yields:
            The display time of the frame, the end of its display if no other follows, both in seconds from the first
            frame of the file, and the frame; `None` for a frame that no sample needs. After the last one, *damage* is
            `None` if the file was complete.

        Raises:
            ThinningError: If all frames must be decoded to determine their display times; see `start_over`.
        """
        if start_s > 0:
            self._clock.jump()
            pictures = self._decode_from(start_s)
        else:
            assert self._first is not None  # noqa: S101 - the decoder is open
            assert self._pictures is not None  # noqa: S101
            pictures = itertools.chain([self._first], self._pictures)
        # Whoever drops the frames frees them at once: the decoder, which they need, has no reference to them.
        self._first = self._pictures = None
        has_begun = False
        for picture in pictures:
            lasts_s = self._lasts_s(picture)
            time_s = self._clock.time_s(picture.pts, picture.dts, lasts_s)
            if has_begun and time_s - self.end_s > _MAX_GAP_S:
                self.damage = (
                    f"the next frame is shown {time_s - self.end_s:.0f} s later"
                )
                return
            has_begun = True
            self.end_s = time_s + lasts_s
            yield time_s, self.end_s, None if isinstance(picture, LeftOut) else picture

    def pixels(
        self, picture: VideoFrame, frame_size: FrameSize | None
    ) -> NDArray[np.uint8]:
        """Return a decoded frame as an upright RGB array.

        Args:
            picture: A frame of `frames`.
            frame_size: ``(height, width)`` in pixels to stretch it to; `None` for the size of the first frame.

        Returns:
            ``(height, width, 3)``, uint8, 0 to 255, RGB, in its own memory.

        Raises:
            VideoError: If its colours cannot be converted to RGB.
        """
        rgb = self._as_rgb(picture, frame_size)
        upright = self._upright(rgb, picture)
        return upright.copy() if rgb is picture else upright

    def prepared(self, picture: VideoFrame, scaler: FrameScaler) -> NDArray[np.uint8]:
        """Return the result of `pixels`, scaled by *scaler*, in less time.

        With ``quality="fast"`` it is scaled before colour conversion: the result is the same within a few levels,
        except at colour edges.

        Args:
            picture: A frame of `frames`.
            scaler: The scaler, which must not be used by another thread meanwhile.

        Returns:
            ``(height, width, 3)`` of the scaler's size, uint8, 0 to 255, RGB, in its own memory.

        Raises:
            VideoError: If its colours cannot be converted to RGB.
        """
        if self._quality == "fast":
            frame_size = scaler.scaled_size(self.info.frame_size)
            return scaler.scale(self.pixels(picture, frame_size))
        rgb = self._as_rgb(picture, None)
        if transfer_of(picture) is None and self._turn == Turn():
            scaled = scaler.scale_picture(rgb)
            if scaled is not None:
                return scaled
        pixels = scaler.scale(self._upright(rgb, picture))
        return pixels.copy() if rgb is picture else pixels

    def _as_rgb(self, picture: VideoFrame, frame_size: FrameSize | None) -> VideoFrame:
        """Return a frame in RGB, of *frame_size* after rotation; the frame itself if nothing has to be done."""
        from av import FFmpegError

        height, width = self._turn.swap(frame_size or self.info.frame_size)
        same_size = (height, width) == (picture.height, picture.width)
        try:
            return self._scaler.reformat(
                picture,
                width=width,
                height=height,
                format="rgb24" if transfer_of(picture) is None else "rgb48le",
                interpolation=_SAME_SIZE if same_size else SCALING,
                threads=1,
            )
        except FFmpegError as error:
            raise VideoError(
                f"its colours ({picture.format.name}, colour space {int(picture.colorspace)}) "
                f"cannot be converted to RGB: {error.strerror}",
                self.path,
            ) from error

    def _upright(self, rgb: VideoFrame, picture: VideoFrame) -> NDArray[np.uint8]:
        array = rgb.to_ndarray()
        transfer = transfer_of(picture)
        if transfer is not None:
            array = to_bt709(cast("NDArray[np.uint16]", array), transfer)
        return self._turn.apply(cast("NDArray[np.uint8]", array))

    def error(self, message: str) -> VideoError:
        """Return an error with *message*, caused by the cause of the damage."""
        error = VideoError(message, self.path)
        error.__cause__ = self._cause
        return error

    def _first_picture(self, pictures: Iterable[VideoFrame | LeftOut]) -> VideoFrame:
        for picture in pictures:
            if not isinstance(picture, LeftOut):  # no frame is skipped before the first
                return picture
        reason = "" if self.damage is None else f" ({self.damage})"
        raise self.error(f"it contains no frame that can be decoded{reason}")

    def _decode(self) -> Generator[VideoFrame | LeftOut]:
        """Yield the frames from the current position, and those skipped between them."""
        thinning = self._new_thinning()
        if thinning is None:
            yield from self._decode_packets(self._packets())
            return
        for picture in self._decode_packets(thinning.to_decode(self._packets())):
            yield from thinning.before(picture)
            yield picture
        yield from thinning.after_last()

    def _new_thinning(self) -> Thinning | None:
        """Return the `Thinning` from the current position on; `None` if all frames must be decoded."""
        if self._samples is None or not self._clock.has_steady_times:
            return None
        decoder = self._stream.codec_context
        is_disposable = disposable_test(decoder.codec.canonical_name, decoder.extradata)
        if is_disposable is None:
            return None
        return Thinning(
            self._samples,
            tolerance_s=self.tolerance_s,
            is_disposable=is_disposable,
            time_of=self._clock.steady_time_s,
            max_gap=round(JUMP_S / (self._stream.time_base or 1))
            if self._may_jump
            else None,
        )

    def _decode_packets(
        self, packets: Iterable[Packet[VideoStream]]
    ) -> Generator[VideoFrame]:
        """Yield the frames of *packets*, and set *damage* if they end early."""
        from av import FFmpegError

        self.damage, self._cause = None, None
        self._came_s = 0.0
        try:
            for packet in packets:
                yield from self._decode_packet(packet)
            self._check_end(self._came_s)
        except FFmpegError as error:
            self.damage, self._cause = error.strerror, error
        if self.damage is not None:  # the decoder still has earlier frames
            with contextlib.suppress(FFmpegError):
                yield from self._stream.decode(None)

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets up to the first one that is incomplete, or all if damage is skipped."""
        packets = self._container.demux(self._stream)
        while (packet := next(packets, None)) is not None:
            if packet.is_corrupt:
                ahead = (
                    list(itertools.islice(packets, _JOINT_PACKETS))
                    if self._may_jump
                    else []
                )
                packets = itertools.chain(ahead, packets)
                if not _is_joint([packet, *ahead]):
                    self.damage = "the next one is incomplete"
                    if not self._skips_damage:
                        return
            if self._begin_s is None:
                self._begin_s = min(_end_of(packet), 0.0)  # of a clock that wraps
            self._came_s = max(self._came_s, _end_of(packet) - self._begin_s)
            yield packet

    def _decode_packet(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        from av import FFmpegError

        try:
            pictures = packet.decode()
        except FFmpegError as error:
            if not self._skips_damage:
                raise
            self.damage, self._cause = error.strerror, error
            return []
        for picture in pictures:
            _check_pixels(picture.height, picture.width, self._max_pixels, self.path)
        return pictures

    def _decode_from(self, start_s: float) -> Iterator[VideoFrame | LeftOut]:
        from av import FFmpegError

        for margin_s in _SEEK_MARGINS_S:
            if self._may_jump or start_s - margin_s <= 0:
                break
            try:
                self._container.seek(
                    self._clock.ticks_at(start_s - margin_s), stream=self._stream
                )
            except FFmpegError:
                break
            pictures = self._decode()
            found = next(pictures, None)
            if found is None or not self._clock.can_place(found.pts, found.dts):
                continue
            found_s = self._clock.time_s(found.pts, found.dts, self._lasts_s(found))
            self._clock.jump()
            if found_s <= start_s:
                return itertools.chain([found], pictures)
        self.close()
        self._open()
        return self._decode()

    def _lasts_s(self, picture: VideoFrame | LeftOut) -> float:
        duration, tick_s = picture.duration, picture.time_base
        if duration and tick_s is not None:
            lasts_s = to_seconds(duration, tick_s)
            if lasts_s <= _MAX_GAP_S:
                return lasts_s
        return min(1.0 / (self.info.fps or 25.0), _MAX_GAP_S)

    def _check_end(self, came_s: float) -> None:
        if self.damage is None:
            self.damage = self._what_is_missing(came_s)

    def _what_is_missing(self, came_s: float) -> str | None:
        announced_s = _announced_s(self._container, self._stream)
        if announced_s is not None and came_s < announced_s - _MISSING_S:
            return f"the file announces {announced_s:.2f} s"
        if self._container.format.name == "gif" and not _ends_as_gif(self._file):
            return "the end of the GIF is missing"
        return None

    def _read_info(self, first: VideoFrame) -> VideoInfo:
        container, stream = self._container, self._stream
        rate = stream.average_rate
        duration_s = _announced_s(container, stream)
        if duration_s is None and container.duration is not None:
            duration_s = container.duration / 1e6
        return VideoInfo(
            frame_size=self._turn.swap((first.height, first.width)),
            fps=float(rate) if rate else None,
            num_frames=stream.frames or None,
            duration_s=duration_s,
            rotation_degrees=self._turn.degrees,
            codec=stream.codec_context.codec.canonical_name,
            has_audio=bool(container.streams.audio),
            container=container.format.name,
        )


@attrs.frozen
class Turn:
    """How a stored frame is rotated and mirrored for display: four numbers of its display matrix.

    The point at ``(x, y)``, y pointing down, is displayed at ``(a x + c y, b x + d y)``. Rotations are rounded to
    multiples of 90 degrees.

    References:
        [1] FFmpeg, libavutil/display.h, "The display transformation matrix".
    """

    a: int = 1
    b: int = 0
    c: int = 0
    d: int = 1

    @classmethod
    def of(cls, picture: VideoFrame) -> Turn:
        from av.sidedata.sidedata import SideDataContainer

        # picture.side_data would create a reference cycle, which delays freeing the frame until garbage collection.
        side_data = cast("Any", SideDataContainer)(picture)  # its stub has no argument
        matrix = side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        a, b, _, c, d = np.frombuffer(cast("bytes", matrix), np.int32)[:5].tolist()
        return cls(a, b, c, d)

    @property
    def degrees(self) -> int:
        return round(math.degrees(math.atan2(self.b, self.a)) / 90) % 4 * 90

    def swap(self, size: FrameSize) -> FrameSize:
        """Return the rotated size of a frame of *size*; the function is its own inverse."""
        height, width = size
        return (width, height) if self._is_on_its_side else (height, width)

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._is_on_its_side:
            pixels = pixels.swapaxes(0, 1)
            across, down = self.c, self.b
        else:
            across, down = self.a, self.d
        turned = pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
        return np.ascontiguousarray(turned)

    @property
    def _is_on_its_side(self) -> bool:
        return abs(self.b) > abs(self.a)


def _open(
    file: VideoFile, max_pixels: int | None, threads: int | None, quality: Quality
) -> tuple[InputContainer, VideoStream]:
    import av

    try:
        container = av.open(file.for_pyav(), **_metadata_options())
    except av.FFmpegError as error:
        raise VideoError(
            f"it cannot be opened as a video: {error.strerror} "
            "(not a video, or truncated before its index?)",
            file.path,
        ) from error
    try:
        stream = _find_stream(container, file.path)
        _limit_pixels(stream, max_pixels, file.path)
    except VideoError:
        container.close()
        raise
    stream.thread_type = "AUTO"
    decoder = stream.codec_context
    decoder.thread_count = threads or 0  # 0: one for each core
    if quality == "fast":
        decoder.options = {**decoder.options, **_FAST}
    return container, stream


def _metadata_options() -> dict[str, Any]:
    """Return options for files whose metadata is not UTF-8.

    PyAV 17 and 18 raise by default; PyAV 19 replaces undecodable bytes and has no such argument.
    """
    import av

    major = int(av.__version__.split(".")[0])
    return {} if major >= 19 else {"metadata_errors": "replace"}


def _limit_pixels(stream: VideoStream, max_pixels: int | None, path: Path) -> None:
    """Raise an error for a stream of larger frames before decoding, and let the decoder reject those that follow."""
    if max_pixels is None:
        return
    decoder = stream.codec_context
    _check_pixels(decoder.height, decoder.width, max_pixels, path)
    limit = max_pixels + _PADDING_PIXELS
    decoder.options = {**decoder.options, "max_pixels": str(limit)}


def _check_pixels(height: int, width: int, max_pixels: int | None, path: Path) -> None:
    if max_pixels is not None and height * width > max_pixels:
        raise VideoError(
            f"frames may have up to {max_pixels:,} pixels; these are {height} x {width} (to allow more, set max_pixels=...)",
            path,
        )


def _find_stream(container: InputContainer, path: Path) -> VideoStream:
    from av.stream import Disposition

    if container.format.name in _NO_VIDEOS:
        raise VideoError("it is a text file, not a video", path)
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic  # no cover of an album
    ]
    # The first default stream of the file, or else the first one.
    streams.sort(key=lambda stream: not stream.disposition & Disposition.default)
    if streams:
        if streams[0].codec_context is None:
            raise VideoError("FFmpeg has no decoder for its video", path)
        return streams[0]
    if container.streams.audio:
        raise VideoError("it contains audio, but no video", path)
    raise VideoError("it contains no video (truncated, or not a video file?)", path)


def _may_jump(container: InputContainer) -> bool:
    """Return whether the clock of the file format may be reset, as in MPEG-TS."""
    from av.format import Flags

    return bool(container.format.flags & cast("int", Flags.ts_discont.value))


def _clock_of(container: InputContainer, stream: VideoStream) -> FrameClock:
    return FrameClock(
        stream.time_base or Fraction(1),
        has_decoding_times_only=container.format.name == "avi",
        may_jump=_may_jump(container),
    )


def _is_joint(packets: list[Packet[VideoStream]]) -> bool:
    """Return whether the clock is reset within *packets*, as at the joint of two recordings."""
    times_s = [
        float(packet.dts * packet.time_base)
        for packet in packets
        if packet.dts is not None and packet.time_base is not None
    ]
    return any(
        not 0 <= later - earlier <= JUMP_S
        for earlier, later in itertools.pairwise(times_s)
    )


def _announced_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the duration stored in the file, in seconds, or `None`."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    for name, value in stream.metadata.items():
        if name.startswith("DURATION"):  # of Matroska: "00:01:02.500000000"
            return _as_seconds(value)
    if len(container.streams) == 1 and container.duration is not None:
        return container.duration / 1e6
    return None


def _as_seconds(clock: str) -> float | None:
    try:
        hours, minutes, seconds = map(float, clock.split(":"))
    except ValueError:
        return None
    return (hours * 60 + minutes) * 60 + seconds


def _end_of(packet: Packet[VideoStream]) -> float:
    times = [time for time in (packet.pts, packet.dts) if time is not None]
    tick_s = packet.time_base
    if not times or tick_s is None:
        return 0.0
    return to_seconds(max(times) + (packet.duration or 0), tick_s)


def _ends_as_gif(file: VideoFile) -> bool:
    """Return whether a GIF ends with its last byte, a semicolon; padding after it is allowed."""
    return file.tail(64).rstrip(b"\0\r\n").endswith(b";")
