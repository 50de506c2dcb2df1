"""Writes frames to video files.

The library's face to it is `movinet_lite.video.reading`.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.arrays import (
    Clip,
    Frame,
    FrameSize,
    VideoFrame,
    as_clip,
    as_frame,
    check_positive,
)
from movinet_lite.errors import ArrayError, VideoError
from movinet_lite.video.scaling import SCALING, to_uint8

if TYPE_CHECKING:
    from av.filter import Graph

__all__ = ["write_video"]

_GIF_TICK = Fraction(1, 100)
"""The clock of a GIF, in seconds."""

_MAX_FPS = {".mp4": 1000.0, ".gif": 50.0}
"""The endings that can be written, and the most frames per second of each.

Browsers show the frame of a GIF that lasts less than two ticks for ten.
"""

_MIN_FPS = 0.01

_X264_OPTIONS = {"crf": "15", "preset": "veryfast", "x264-params": "chromaloc=1"}
"""As good as crf 18 at x264's usual preset, in half the CPU time and a third more bytes (measured on a real clip). And where
the colours are of which 4:2:0 has one for four pixels: FFmpeg puts them in their middle, and a file that does not say so is
shown with its colours half a pixel off.
"""

_BT709 = 1
"""The colour space written: ITU-R BT.709, by its number in ITU-T H.273."""


def write_video(
    path: str | Path,
    frames: Clip | Iterable[Frame | VideoFrame | ArrayLike],
    *,
    fps: float,
) -> None:
    """Write frames to a video file, one by one as they come.

    The file appears under its name when it is complete, and replaces one that was there; if anything fails, nothing
    is left behind.

    Args:
        path: Where to write. The ending tells the format:

            - ``.mp4``: H.264, which loses a little (4:2:0 colours, crf 15). It needs even sizes, so an odd height or
              width grows by one: the last row or column is repeated.
            - ``.gif``: each frame with up to 256 colours of its own, each within 1/255 where the frame has no more. Times
              are rounded to hundredths of a second.
        frames: A clip ``(frames, height, width, 3)``, or anything that yields frames of one size: ``(height, width,
            3)``, uint8 in 0 to 255 or floating point in 0 to 1, RGB, or `VideoFrame`, whose time does not count.
        fps: Frames per second, from 0.01 to 1000 for mp4 and to 50 for gif. Not rounded to a whole number.

    Raises:
        VideoError: If the ending is unknown or the file cannot be written.
        ArrayError: If there is no frame, one is no RGB picture, their sizes differ, or *fps* is out of range.
    """
    from av import FFmpegError

    path = Path(path)
    ending = _check_ending(path)
    rate = _check_rate(fps, _MAX_FPS[ending])
    pictures = _check_frames(frames)
    first = next(pictures, None)
    if first is None:
        raise ArrayError("frames must hold at least one frame; got none")
    pictures = itertools.chain([first], pictures)
    temporary = path.with_name(f".{uuid.uuid4().hex}{ending}")
    encode = _encode_gif if ending == ".gif" else _encode_mp4
    try:
        encode(temporary, pictures, rate, (first.shape[0], first.shape[1]))
        _rename(temporary, path)
    except FFmpegError as error:
        raise VideoError(f"it cannot be written: {error.strerror}", path) from error
    finally:
        temporary.unlink(missing_ok=True)


def _check_ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in _MAX_FPS:
        raise VideoError(
            f"the name must end in one of {', '.join(_MAX_FPS)}; got {path.suffix!r}",
            path,
        )
    if path.is_dir():
        raise VideoError("it is a directory; give the name of a file", path)
    if not path.parent.is_dir():
        raise VideoError("its folder does not exist; create it first", path)
    return ending


def _check_rate(fps: float, highest: float) -> Fraction:
    number = check_positive(fps, "fps")
    if not _MIN_FPS <= number <= highest:
        raise ArrayError(
            f"fps must be from {_MIN_FPS:g} to {highest:g} for this format; got {fps!r}"
        )
    return Fraction(number).limit_denominator(100_000)


def _check_frames(
    frames: Clip | Iterable[Frame | VideoFrame | ArrayLike],
) -> Iterator[NDArray[np.uint8]]:
    if isinstance(frames, np.ndarray):
        frames = as_clip(frames)
    first_shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        pixels = as_frame(frame)
        first_shape = first_shape or pixels.shape
        if pixels.shape != first_shape:
            raise ArrayError(
                f"all frames of a video must have one shape; got {first_shape}, and {pixels.shape} at frame {index}"
            )
        yield to_uint8(pixels)


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError as error:
        raise VideoError(f"it cannot be written: {error.strerror}", path) from error


def _encode_mp4(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    rate: Fraction,
    frame_size: FrameSize,
) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

    scaler = VideoReformatter()
    # The table of contents goes to the front, so that a copy that was cut short can be read up to the cut.
    with av.open(path, "w", format="mp4", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=rate, options=_X264_OPTIONS)
        stream.height, stream.width = (length + length % 2 for length in frame_size)
        stream.pix_fmt = "yuv420p"
        stream.colorspace = _BT709
        stream.color_range = ColorRange.MPEG
        for index, pixels in enumerate(pictures):
            picture = scaler.reformat(
                av.VideoFrame.from_ndarray(_padded_to_even(pixels), "rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=SCALING,
            )
            picture.pts, picture.time_base = index, 1 / rate
            file.mux(stream.encode(picture))
        file.mux(stream.encode())


def _padded_to_even(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width, _ = pixels.shape
    if height % 2 == width % 2 == 0:
        return pixels
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _encode_gif(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    rate: Fraction,
    frame_size: FrameSize,
) -> None:
    import av

    height, width = frame_size
    options = {"final_delay": str(round(1 / rate / _GIF_TICK))}
    with av.open(path, "w", format="gif", options=options) as file:
        stream = file.add_stream("gif")
        stream.height, stream.width, stream.pix_fmt = height, width, "pal8"
        stream.codec_context.time_base = _GIF_TICK
        graph = _palette_graph(height, width)
        for index, pixels in enumerate(pictures):
            picture = av.VideoFrame.from_ndarray(pixels, "rgb24")
            picture.pts = round(index / rate / _GIF_TICK)
            picture.time_base = _GIF_TICK
            graph.push(picture)
            file.mux(stream.encode(graph.vpull()))
        file.mux(stream.encode())


def _palette_graph(height: int, width: int) -> Graph:
    """Return the filters that choose 256 colours for each picture and paint it with them."""
    from av import VideoFormat
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=width,
        height=height,
        format=VideoFormat("rgb24"),
        time_base=_GIF_TICK,
    )
    split = graph.add("split")
    choose = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    paint = graph.add("paletteuse", "new=1:dither=none")
    source.link_to(split)
    split.link_to(choose, 0, 0)
    split.link_to(paint, 1, 0)
    choose.link_to(paint, 0, 1)
    paint.link_to(graph.add("buffersink"))
    graph.configure()
    return graph
