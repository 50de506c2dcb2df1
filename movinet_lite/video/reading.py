"""Reads frames with their times from video files.

Rules for sampling:

- Times are in seconds from the first frame, whose time is always 0.
- Without *fps*, every frame is returned once, with its own time. With *fps*, the sample times are
  ``start_s + i / fps``, and each sample is the frame **displayed** at that time: the last one whose own time is not
  later. This handles 29.97 frames per second, variable frame rates and the durations of a GIF, and repeats frames with
  a long display time.
- Sampling ends with the display of the last frame, or before *end_s*.
- Files round the times of frames to their clock: Matroska and WebM to thousandths of a second, GIF to hundredths. Every
  sample time therefore counts as half a tick of that clock later, at most 5 ms.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import (
    FrameSize,
    VideoFrame,
    as_number,
    check_frame_size,
    check_positive,
)
from movinet_lite.errors import ArrayError, VideoError
from movinet_lite.video.decoding import (
    MAX_PIXELS,
    Quality,
    VideoDecoder,
    VideoInfo,
    check_quality,
)
from movinet_lite.video.sampling import frames_shown_at, sample_times
from movinet_lite.video.scaling import FrameScaler
from movinet_lite.video.source import VideoSource
from movinet_lite.video.thinning import Samples, ThinningError
from movinet_lite.video.writing import write_video

if TYPE_CHECKING:
    from av import VideoFrame as Picture

_MAX_REPEATS = 100_000
"""Maximum number of repetitions of a frame: five and a half hours at five frames per second."""

__all__ = [
    "FrameReader",
    "VideoInfo",
    "load_clip",
    "read_frames",
    "read_video_info",
    "sampled_pictures",
    "write_video",
]


def read_frames(
    path: VideoSource,
    *,
    fps: float | None = None,
    frame_size: FrameSize | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    max_pixels: int | None = MAX_PIXELS,
    skip_damage: bool = False,
    threads: int | None = None,
    quality: Quality = "exact",
) -> FrameReader:
    """Return an iterator over the frames of a video file, each with its time.

    The call opens the file and decodes the first frame, so a file that is not a video fails here; the rest is decoded
    on demand. The file is closed after the last frame, at the end of a ``with`` block, and when the reader is
    garbage-collected.

    Args:
        path: A video file: mp4, mov, webm, mkv, avi, gif, or another format that FFmpeg reads; or a binary file object that can
            seek, such as an upload or `io.BytesIO`, which stays open. Not a URL and not a camera.
        fps: Frame rate to sample at; each sample is the frame shown at its time. `None` returns every frame once.
            Use the frame rate of the model.
        frame_size: ``(height, width)`` in pixels to stretch the frames to, right after decoding, which is fastest; `None`
            keeps their size. Non-square pixels are kept as stored.
        start_s: Start time in seconds; `None` for the first frame. Seeks there without decoding everything before.
        end_s: End time in seconds, exclusive; `None` for the end of the video.
        max_pixels: Maximum number of pixels in a frame, height times width, because a small file can hold huge
            frames; 89,478,485 by default, as in Pillow. `None` for no limit.
        skip_damage: Whether to continue after damage, as players do, with the frames that can be decoded;
            `FrameReader.damage` then describes the damage, instead of an error.
        threads: Number of decoding threads; `None` for one per core, which is fastest. A single thread takes the
            least CPU time, for example in one of several workers.
        quality: ``"exact"``, or ``"fast"``, which decodes without the loop filter.

    Returns:
        An iterator of `VideoFrame`, and a context manager. Pixels are ``(height, width, 3)``, uint8, 0 to 255, RGB,
        upright, each in its own array; *time_s* is the frame's own time without *fps*, else the sample time.
        Iterating raises `VideoError` after the last good frame if the file is damaged or truncated, and where one
        frame would be repeated more than 100,000 times or is followed by a gap of more than a day.

    Raises:
        VideoNotFoundError: If the file does not exist.
        VideoError: If it is not a video, has no frame that can be decoded, has frames larger than *max_pixels*, or
            ends before *start_s*.
        ArrayError: If *fps*, *frame_size*, *start_s*, *end_s*, *max_pixels*, *threads* or *quality* is invalid.

    Example:
        >>> for frame in read_frames("clip.mp4", fps=5.0):  # doctest: +SKIP
        ...     print(frame.index, frame.time_s, frame.pixels.shape)
    """
    return FrameReader(
        path,
        fps=fps,
        frame_size=frame_size,
        start_s=start_s,
        end_s=end_s,
        max_pixels=max_pixels,
        skip_damage=skip_damage,
        threads=threads,
        quality=quality,
    )


def load_clip(
    path: VideoSource,
    *,
    fps: float | None = None,
    frame_size: FrameSize | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    max_frames: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
    skip_damage: bool = False,
) -> NDArray[np.uint8]:
    """Return the frames of a video file as one array.

    Args:
        path: A video file; see `read_frames`, also for details of the other arguments.
        fps: Frame rate to sample at; `None` returns every frame of the file.
        frame_size: ``(height, width)`` in pixels to stretch the frames to; `None` keeps their size.
        start_s: Start time in seconds; `None` for the first frame.
        end_s: End time in seconds, exclusive; `None` for the end of the video.
        max_frames: Maximum number of frames; `None` for all.
        max_pixels: Maximum number of pixels in a frame; see `read_frames`.
        skip_damage: Whether to continue after damage; see `read_frames`.

    Returns:
        ``(frames, height, width, 3)``, uint8, 0 to 255, RGB.

    Raises:
        VideoNotFoundError: If the file does not exist.
        VideoError: If it is not a video, is damaged or truncated within the requested frames, or has no frame between
            *start_s* and *end_s*.
        ArrayError: If *fps*, *frame_size*, *start_s*, *end_s* or *max_frames* is invalid.
    """
    limit = None if max_frames is None else _check_count(max_frames, "max_frames")
    with read_frames(
        path,
        fps=fps,
        frame_size=frame_size,
        start_s=start_s,
        end_s=end_s,
        max_pixels=max_pixels,
        skip_damage=skip_damage,
    ) as reader:
        frames = [frame.pixels for frame in itertools.islice(reader, limit)]
    if not frames:
        raise VideoError(
            f"there is no frame from {start_s} s to {end_s} s", reader.path
        )
    return np.stack(frames)


def read_video_info(
    path: VideoSource, *, max_pixels: int | None = MAX_PIXELS
) -> VideoInfo:
    """Return the facts stored in a video file.

    Args:
        path: A video file; see `read_frames`.
        max_pixels: Maximum number of pixels in a frame; see `read_frames`.

    Returns:
        The facts. Only the first frame is decoded; the number of frames and the duration are as stored in the file.

    Raises:
        VideoNotFoundError: If the file does not exist.
        VideoError: If it is not a video, has no frame that can be decoded, or has frames larger than *max_pixels*.
        ArrayError: If *max_pixels* is not a whole number of at least 1.
    """
    if max_pixels is not None:
        _check_count(max_pixels, "max_pixels")
    with contextlib.closing(VideoDecoder(path, max_pixels=max_pixels)) as decoder:
        return decoder.info


class FrameReader:
    """The frames of one video file, made by `read_frames`: an iterator and a context manager.

    Attributes:
        path: The file.
        info: The facts of the file.
    """

    def __init__(
        self,
        path: VideoSource,
        *,
        fps: float | None,
        frame_size: FrameSize | None,
        start_s: float | None,
        end_s: float | None,
        max_pixels: int | None,
        skip_damage: bool,
        threads: int | None = None,
        quality: Quality = "exact",
        scaler: FrameScaler | None = None,
    ) -> None:
        self._decoder: VideoDecoder | None = None
        self._chosen: Iterator[tuple[float, Picture]] = iter(())
        self._is_at_end = False
        self._num_given = 0
        self._scaler = scaler
        self._frame_size = None if frame_size is None else check_frame_size(frame_size)
        if fps is not None:
            check_positive(fps, "fps")
        if max_pixels is not None:
            _check_count(max_pixels, "max_pixels")
        if threads is not None:
            _check_count(threads, "threads")
        check_quality(quality)
        first_s, last_s = _check_span(start_s, end_s)
        self._skips_damage = skip_damage
        self._damage: str | None = None
        decoder = self._decoder = VideoDecoder(
            path,
            max_pixels=max_pixels,
            skips_damage=skip_damage,
            samples=None if fps is None else Samples(fps, first_s, last_s),
            threads=threads,
            quality=quality,
        )
        decoder.close_with(self)
        self.path = decoder.path
        self.info = decoder.info
        chosen = _choose(decoder, fps, first_s, last_s)
        try:
            first = next(chosen, None)
            if first is None:
                if not skip_damage:
                    _check_damage(decoder, 0)
                _check_reached(decoder, first_s)
        except BaseException:
            del chosen
            self.close()
            raise
        self._chosen = chosen if first is None else itertools.chain([first], chosen)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> VideoFrame:
        """Return the next frame.

        Raises:
            StopIteration: After the last one.
            VideoError: After the last good frame, if the file is damaged or truncated; also if the reader was closed
                before the end.
        """
        if self._is_at_end:
            raise StopIteration
        decoder = self._decoder
        if decoder is None:
            raise VideoError(
                "the reader is closed (call read_frames again to continue)",
                self.path,
            )
        try:
            chosen = next(self._chosen, None)
        except BaseException:
            self.close()
            raise
        if chosen is None:
            self._is_at_end = True
            self.close()
            if not self._skips_damage:
                _check_damage(decoder, self._num_given)
            raise StopIteration
        time_s, picture = chosen
        if self._scaler is None:
            pixels = decoder.pixels(picture, self._frame_size)
        else:
            pixels = decoder.prepared(picture, self._scaler)
        frame = VideoFrame(pixels=pixels, time_s=time_s, index=self._num_given)
        self._num_given += 1
        return frame

    @property
    def damage(self) -> str | None:
        """A description of the damage found so far with ``skip_damage=True``; `None` if there was none."""
        return self._damage if self._decoder is None else self._decoder.damage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice has no effect."""
        if self._decoder is not None:
            self._chosen = iter(())
            self._decoder.close()
            self._damage = self._decoder.damage
            self._decoder = None


def _choose(
    decoder: VideoDecoder, fps: float | None, start_s: float, end_s: float | None
) -> Iterator[tuple[float, Picture]]:
    """Yield the frames to return, each with its time."""
    if fps is not None:
        yield from sampled_pictures(decoder, Samples(fps, start_s, end_s))
        return
    tolerance_s = decoder.tolerance_s
    for time_s, _, picture in decoder.frames(start_s):
        if end_s is not None and time_s + tolerance_s >= end_s:
            return
        if picture is not None and time_s + tolerance_s >= start_s:
            yield time_s, picture


def sampled_pictures(
    decoder: VideoDecoder, samples: Samples
) -> Iterator[tuple[float, Picture]]:
    """Yield the frame displayed at each sample time; decode the whole file if frames cannot be skipped safely.

    Args:
        decoder: A decoder created with the same *samples*, or with none.
        samples: The sample times.
    """
    fps, start_s, end_s = samples.fps, samples.start_s, samples.end_s

    def shown() -> Iterator[tuple[float, Picture]]:
        frames = _limit_repeats(decoder, decoder.frames(start_s), fps, start_s, end_s)
        times_s = sample_times(fps=fps, start_s=start_s, end_s=end_s)
        for time_s, picture in frames_shown_at(
            times_s, frames, tolerance_s=decoder.tolerance_s
        ):
            if picture is None:
                raise ThinningError
            yield time_s, picture

    num_given = 0
    try:
        for each in shown():
            yield each
            num_given += 1
    except ThinningError:
        decoder.start_over()
    else:
        return
    yield from itertools.islice(shown(), num_given, None)


def _limit_repeats(
    decoder: VideoDecoder,
    frames: Iterator[tuple[float, float, Picture | None]],
    fps: float,
    start_s: float,
    end_s: float | None,
) -> Iterator[tuple[float, float, Picture | None]]:
    """Yield *frames*, and raise an error before the first repetition of a frame that would be repeated too often."""

    def check(from_s: float, to_s: float) -> None:
        last_s = to_s if end_s is None else min(to_s, end_s)
        lasts_s = last_s - max(from_s, start_s)
        if lasts_s * fps > _MAX_REPEATS:
            raise VideoError(
                f"one frame of a file may be repeated {_MAX_REPEATS:,} times; the one at {from_s:.2f} s lasts "
                f"{lasts_s:g} s, which at fps={fps:g} is more (use a lower fps)",
                decoder.path,
            )

    shown: tuple[float, float] | None = None
    for time_s, ends_s, picture in frames:
        if shown is not None:
            check(shown[0], time_s)
        shown = time_s, ends_s
        yield time_s, ends_s, picture
    if shown is not None:
        check(*shown)


def _check_count(value: object, noun: str) -> int:
    number = as_number(value)
    if not (number >= 1 and number.is_integer()):
        raise ArrayError(f"{noun} must be a whole number, at least 1; got {value!r}")
    return int(number)


def _check_span(
    start_s: float | None, end_s: float | None
) -> tuple[float, float | None]:
    first_s = 0.0 if start_s is None else as_number(start_s)
    if not 0 <= first_s < math.inf:
        raise ArrayError(f"start_s must be a number of at least 0; got {start_s!r}")
    last_s = None if end_s is None else as_number(end_s)
    if last_s is not None and not first_s < last_s < math.inf:
        raise ArrayError(
            f"end_s must be a number above start_s, which is {first_s:g}; got {end_s!r}"
        )
    return first_s, last_s


def _check_damage(decoder: VideoDecoder, num_given: int) -> None:
    if decoder.damage is not None:
        raise decoder.error(
            f"the file is damaged or truncated; {num_given} frames were read, the last one ends at "
            f"{decoder.end_s:.2f} s ({decoder.damage}; to continue after damage, set skip_damage=True)"
        )


def _check_reached(decoder: VideoDecoder, start_s: float) -> None:
    if decoder.end_s <= start_s + decoder.tolerance_s:
        raise VideoError(
            f"start_s must be before the end of the video at {decoder.end_s:.2f} s; got {start_s!r}",
            decoder.path,
        )
