"""Scales frames to the size and range that a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.arrays import (
    Clip,
    Frame,
    FrameSize,
    as_clip,
    as_frame,
    check_frame_size,
)
from movinet_lite.errors import ArrayError

if TYPE_CHECKING:
    from av.video.reformatter import VideoReformatter

__all__ = [
    "SCALING",
    "Fit",
    "check_fit",
    "prepare_clip",
    "prepare_frame",
    "to_float01",
    "to_uint8",
]


Fit: TypeAlias = Literal["stretch", "crop"]
"""How a frame gets the model's size: the whole of it, out of shape, or its centre, in shape."""

SCALING = 0x20 | 0x2000 | 0x4000 | 0x40000 | 0x80000
"""How FFmpeg scales pictures here: each new pixel is the mean of the area it covers, or, where the picture grows, lies
on the line between its neighbours.

The names are SWS_AREA, SWS_FULL_CHR_H_INT and SWS_FULL_CHR_H_INP (without these two even RGB loses half of its
colours' sharpness), SWS_ACCURATE_RND and SWS_BITEXACT (without these two the result depends on the processor). FFmpeg's
bilinear filter is no choice: a mirrored picture differs from the picture mirrored by up to 10 levels of 255.
"""


def to_float01(pictures: ArrayLike) -> NDArray[np.float32]:
    """Return a frame or a clip with values from 0 to 1, as the models take them.

    Args:
        pictures: A frame ``(height, width, 3)`` or a clip ``(frames, height, width, 3)``, uint8 in 0 to 255 or
            floating point in 0 to 1, RGB.

    Returns:
        A new array of the same shape, float32: a whole number divided by 255, a floating-point one as it is.

    Raises:
        ArrayError: If *pictures* is neither a frame nor a clip.

    Example:
        >>> to_float01(np.array([[[0, 255, 0]]], np.uint8)).tolist()
        [[[0.0, 1.0, 0.0]]]
    """
    array = _as_pictures(pictures)
    return _to_float01(array, np.empty(array.shape, np.float32))


def to_uint8(pictures: ArrayLike) -> NDArray[np.uint8]:
    """Return a frame or a clip with whole values from 0 to 255.

    It undoes `to_float01` exactly.

    Args:
        pictures: A frame ``(height, width, 3)`` or a clip ``(frames, height, width, 3)``, uint8 in 0 to 255 or
            floating point in 0 to 1, RGB.

    Returns:
        A new array of the same shape, uint8: a floating-point number times 255, rounded to the nearest (one half to
        the even side), a whole one as it is.

    Raises:
        ArrayError: If *pictures* is neither a frame nor a clip.

    Example:
        >>> to_uint8(np.array([[[0.0, 0.25, 1.0]]])).tolist()
        [[[0, 64, 255]]]
    """
    array: NDArray[Any] = _as_pictures(pictures)
    if array.dtype != np.uint8:
        array = np.rint(array * np.float32(255))
    return array.astype(np.uint8)


def prepare_frame(
    frame: Frame | ArrayLike,
    frame_size: FrameSize,
    *,
    fit: Fit = "stretch",
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return *frame* in the size and range that a model takes.

    Scaled down, each pixel is the mean of the area it covers, so nothing flickers; scaled up, it is interpolated
    linearly. Colours are not touched. A uint8 frame of one colour stays exactly that colour, and a mirrored frame
    gives the mirrored result within 1/255.

    Args:
        frame: ``(height, width, 3)``, uint8 in 0 to 255 or floating point in 0 to 1, RGB; or a `VideoFrame`. A frame
            that has its size already is converted exactly; scaling is within 1/255 of exact arithmetic for uint8 and
            within 0.002 for floating point (measured for sides from 4 to 600 pixels).
        frame_size: ``(height, width)`` of the result, in pixels.
        fit: ``"stretch"`` scales the whole frame to *frame_size*, whatever its shape; ``"crop"`` keeps the shape:
            it scales until the frame just covers *frame_size* and cuts out the centre.
        out: ``(height, width, 3)``, float32, where the result is to be written, so that no memory is taken for it;
            `None` takes a new array.

    Returns:
        ``(height, width, 3)``, float32, 0 to 1, RGB: *out*, or a new array. Never *frame* itself.

    Raises:
        ArrayError: If *frame* is not one RGB picture, *frame_size* not two whole numbers of at least 1, *fit*
            unknown, or *out* of another shape or dtype.

    Example:
        >>> frame = np.full((4, 8, 3), 255, np.uint8)
        >>> prepare_frame(frame, (2, 2)).tolist()[0]
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    pixels = as_frame(frame)
    size = check_frame_size(frame_size)
    check_fit(fit)
    result = _check_out(out, (*size, 3))
    if pixels.shape[:2] == size:
        return _to_float01(pixels, result)
    return _to_float01(_fit_to(pixels, size, fit, _new_scaler()), result)


def prepare_clip(
    clip: Clip | ArrayLike,
    frame_size: FrameSize,
    *,
    fit: Fit = "stretch",
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return *clip* in the size and range that a model takes: each frame as `prepare_frame` makes it.

    Args:
        clip: ``(frames, height, width, 3)``, uint8 in 0 to 255 or floating point in 0 to 1, RGB; or a sequence of
            frames of one size.
        frame_size: ``(height, width)`` of the result, in pixels.
        fit: ``"stretch"`` or ``"crop"``; see `prepare_frame`.
        out: ``(frames, height, width, 3)``, float32, where the result is to be written; `None` takes a new array.

    Returns:
        ``(frames, height, width, 3)``, float32, 0 to 1, RGB: *out*, or a new array. Never *clip* itself.

    Raises:
        ArrayError: If *clip* is not a series of RGB pictures, *frame_size* not two whole numbers of at least 1,
            *fit* unknown, or *out* of another shape or dtype.

    Example:
        >>> prepare_clip(np.zeros((5, 48, 64, 3), np.uint8), (32, 32), fit="crop").shape
        (5, 32, 32, 3)
    """
    pixels = as_clip(clip)
    size = check_frame_size(frame_size)
    check_fit(fit)
    result = _check_out(out, (len(pixels), *size, 3))
    if pixels.shape[1:3] == size:
        return _to_float01(pixels, result)
    scaler = _new_scaler()
    for frame, prepared in zip(pixels, result, strict=True):
        _to_float01(_fit_to(frame, size, fit, scaler), prepared)
    return result


def _as_pictures(value: ArrayLike) -> NDArray[np.uint8] | NDArray[np.float32]:
    if isinstance(value, (list, tuple)) and value:
        depth = 1 + np.ndim(value[0])  # the others may be of another size
    else:
        depth = np.ndim(value)
    return as_frame(value) if depth <= 3 else as_clip(value)


def check_fit(fit: Fit) -> Fit:
    """Return *fit* if it is a way to fit frames.

    Raises:
        ArrayError: If it is none.
    """
    if fit not in get_args(Fit):
        raise ArrayError(f"fit must be one of {', '.join(get_args(Fit))}; got {fit!r}")
    return fit


def _check_out(
    out: NDArray[np.float32] | None, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32:
        raise ArrayError(
            f"out must be a float32 array of shape {shape}; got {out.dtype} of shape {out.shape}"
        )
    return out


def _to_float01(
    pixels: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32],
    out: NDArray[np.float32],
) -> NDArray[np.float32]:
    if pixels.dtype == np.float32:
        out[...] = pixels
    else:
        highest = np.float32(255 if pixels.dtype == np.uint8 else 65535)
        np.divide(pixels, highest, out=out, dtype=np.float32)
    return out


def _new_scaler() -> VideoReformatter:
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()


def _fit_to(
    frame: Frame, frame_size: FrameSize, fit: Fit, scaler: VideoReformatter
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return *frame* scaled to *frame_size*, in 8 bits if it has 8, else in 16."""
    if fit == "stretch":
        return _scale(frame, frame_size, scaler)
    covering = _covering_size((frame.shape[0], frame.shape[1]), frame_size)
    scaled = _scale(frame, covering, scaler)
    top, left = ((c - s) // 2 for c, s in zip(covering, frame_size, strict=True))
    height, width = frame_size
    return scaled[top : top + height, left : left + width]


def _covering_size(size: FrameSize, frame_size: FrameSize) -> FrameSize:
    """Return the smallest size of the shape of *size* that covers *frame_size*.

    What is left over is an even number of pixels, so that the centre is exactly the centre.
    """
    factor = max(new / old for new, old in zip(frame_size, size, strict=True))
    height, width = (
        new + 2 * round((old * factor - new) / 2)
        for new, old in zip(frame_size, size, strict=True)
    )
    return height, width


def _scale(
    frame: Frame, frame_size: FrameSize, scaler: VideoReformatter
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    from av import FFmpegError, VideoFrame

    pixels: NDArray[Any] = frame
    pixel_format = "rgb24"
    if frame.dtype != np.uint8:
        # FFmpeg's own floating-point formats are no choice: gbrpf32 comes out wrong by up to one half.
        pixels = np.rint(frame * np.float32(65535)).astype(np.uint16)
        pixel_format = "rgb48le"
    height, width = frame_size
    try:
        picture = VideoFrame.from_ndarray(pixels, pixel_format)
        scaled: NDArray[Any] = scaler.reformat(
            picture,
            width=width,
            height=height,
            interpolation=SCALING,
            threads=1,  # to start more takes longer than most frames
        ).to_ndarray()
    except FFmpegError as error:
        raise ArrayError(
            f"a frame must be of a size that FFmpeg can scale to {frame_size}; got {frame.shape[:2]} "
            f"({error.strerror})"
        ) from error
    return scaled
