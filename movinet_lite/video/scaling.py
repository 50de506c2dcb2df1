"""Scales frames to the size and range of a model."""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.arrays import (
    Clip,
    Frame,
    FrameSize,
    as_clip,
    as_frame,
    check_frame_size,
    check_one_of,
)
from movinet_lite.errors import ArrayError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.reformatter import VideoReformatter

__all__ = [
    "SCALING",
    "Fit",
    "FrameScaler",
    "check_fit",
    "prepare_clip",
    "prepare_frame",
    "to_float01",
    "to_uint8",
]


Fit: TypeAlias = Literal["stretch", "crop", "pad", "evaluation"]
"""How frames are resized to the model's frame size.

``"stretch"`` ignores the aspect ratio; ``"crop"`` scales the frame to cover the size and crops the centre; ``"pad"``
scales it to fit and pads with black (letterbox); ``"evaluation"`` scales the short side to a given length and crops the
centre, as for the published accuracies.
"""

_LONGEST_SHAPE = 16
"""Maximum ratio of a frame's length to the kept part; longer frames are cropped before scaling."""

SCALING = 0x20 | 0x2000 | 0x4000 | 0x40000 | 0x80000
"""Flags for FFmpeg's scaler: area averaging for downscaling, linear interpolation for upscaling.

The names are SWS_AREA, SWS_FULL_CHR_H_INT and SWS_FULL_CHR_H_INP (without these two, even RGB loses half of its chroma
resolution), SWS_ACCURATE_RND and SWS_BITEXACT (without these two, the result depends on the CPU). FFmpeg's bilinear
filter is not symmetric: mirroring before or after scaling differs by up to 10 levels of 255.
"""


def to_float01(pictures: ArrayLike) -> NDArray[np.float32]:
    """Return a frame or clip with values from 0 to 1, as the models expect.

    Args:
        pictures: A frame ``(height, width, 3)`` or a clip ``(frames, height, width, 3)``, uint8 in 0 to 255 or
            floating point in 0 to 1, RGB.

    Returns:
        A new array of the same shape, float32: integers are divided by 255, floating-point values are unchanged.

    Raises:
        ArrayError: If *pictures* is neither a frame nor a clip.

    Example:
        >>> to_float01(np.array([[[0, 255, 0]]], np.uint8)).tolist()
        [[[0.0, 1.0, 0.0]]]
    """
    array = _as_pictures(pictures)
    return _to_float01(array, np.empty(array.shape, np.float32))


def to_uint8(pictures: ArrayLike) -> NDArray[np.uint8]:
    """Return a frame or clip with integer values from 0 to 255.

    This is the exact inverse of `to_float01`.

    Args:
        pictures: A frame ``(height, width, 3)`` or a clip ``(frames, height, width, 3)``, uint8 in 0 to 255 or
            floating point in 0 to 1, RGB.

    Returns:
        A new array of the same shape, uint8: floating-point values are multiplied by 255 and rounded (half to even),
        integers are unchanged.

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


class FrameScaler:
    """Scales frames to one size, without checking them.

    `prepare_frame` and `prepare_clip` use it. A session reuses one scaler for all its frames, so that FFmpeg sets up
    its filters only once. Use it from one thread at a time.

    Args:
        frame_size: ``(height, width)`` of the results, in pixels.
        fit: How frames of another aspect ratio are resized; see `prepare_frame`.
        short_side: Length of the short side before the crop, in pixels; required for ``fit="evaluation"`` and ignored
            otherwise.

    Raises:
        ArrayError: If *frame_size* is not two whole numbers of at least 1, *fit* unknown, or *short_side* missing or
            shorter than a side of *frame_size*.

    Example:
        >>> scaler = FrameScaler((2, 2))
        >>> out = np.empty((2, 2, 3), np.float32)
        >>> scaler.scale_into(np.full((4, 8, 3), 255, np.uint8), out).tolist()[0]
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(
        self,
        frame_size: FrameSize,
        fit: Fit = "stretch",
        *,
        short_side: int | None = None,
    ) -> None:
        self.frame_size = check_frame_size(frame_size)
        self.fit: Fit = check_fit(fit)
        self._short_side = 0
        if fit == "evaluation":
            self._short_side = _check_short_side(short_side, self.frame_size)
        self._layout: Layout | None = None

    def scale_into(
        self, pixels: Frame, out: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Scale *pixels* into *out*.

        Args:
            pixels: ``(height, width, 3)``, uint8 in 0 to 255 or float32 in 0 to 1, RGB, as `as_frame` returns it; not
                checked.
            out: ``(height, width, 3)`` of the scaler's size, float32; not checked.

        Returns:
            *out*, 0 to 1.

        Raises:
            ArrayError: If FFmpeg cannot scale a frame of that size.
        """
        height, width, _ = pixels.shape
        if (height, width) == self.frame_size:
            return _to_float01(pixels, out)
        layout = self._layout_of((height, width))
        scaled = _scale(_as_picture(pixels[layout.used]), layout, self._reformatter)
        if self.fit == "pad":
            out[...] = 0.0
        _to_float01(scaled[layout.kept], out[layout.place])
        return out

    def scale(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return scaled *pixels* as integer values: 255 times the result of `scale_into`.

        Args:
            pixels: ``(height, width, 3)``, 0 to 255, RGB; not checked.

        Returns:
            ``(height, width, 3)`` of the scaler's size; *pixels* itself if it has this size.

        Raises:
            ArrayError: If FFmpeg cannot scale a frame of that size.
        """
        height, width, _ = pixels.shape
        if (height, width) == self.frame_size:
            return pixels
        layout = self._layout_of((height, width))
        scaled = _scale(_as_picture(pixels[layout.used]), layout, self._reformatter)
        return self._placed(scaled, layout)

    def scale_picture(self, picture: VideoFrame) -> NDArray[np.uint8] | None:
        """Return FFmpeg's *picture*, 8-bit RGB, as `scale` would, without copying it.

        `None` if only a part of it, or nothing, has to be scaled.
        """
        size = picture.height, picture.width
        layout = self._layout_of(size)
        if size == self.frame_size or layout.used != _centre(size, size):
            return None
        return self._placed(_scale(picture, layout, self._reformatter), layout)

    def scaled_size(self, size: FrameSize) -> FrameSize | None:
        """Return the size that a frame of *size* is scaled to before cropping or padding.

        A frame of that size is not scaled again. `None` if the frame is cropped before scaling.
        """
        if size == self.frame_size:
            return size
        layout = self._layout_of(size)
        return layout.scaled_size if layout.used == _centre(size, size) else None

    def _layout_of(self, size: FrameSize) -> Layout:
        layout = self._layout
        if layout is None or layout.size != size:
            layout = self._layout = lay_out(
                size, self.frame_size, self.fit, self._short_side
            )
        return layout

    @functools.cached_property
    def _reformatter(self) -> VideoReformatter:
        from av.video.reformatter import VideoReformatter

        return VideoReformatter()

    def _placed(
        self, scaled: NDArray[np.uint8] | NDArray[np.uint16], layout: Layout
    ) -> NDArray[np.uint8]:
        placed = np.zeros((*self.frame_size, 3), np.uint8)
        placed[layout.place] = scaled[layout.kept]
        return placed


def prepare_frame(
    frame: Frame | ArrayLike,
    frame_size: FrameSize,
    *,
    fit: Fit = "stretch",
    short_side: int | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return *frame* in the size and range that a model expects.

    Downscaling averages areas, which avoids flicker; upscaling interpolates linearly. Colours are not changed. A uint8
    frame of one colour keeps exactly that colour, and a mirrored frame yields the mirrored result within 1/255 (except
    for ``fit="evaluation"``, whose centre may be half a pixel off).

    Args:
        frame: ``(height, width, 3)``, uint8 in 0 to 255 or floating point in 0 to 1, RGB; or a `VideoFrame`. A frame of
            that size is converted exactly, for any *fit*; scaling is within 1/255 of exact arithmetic for uint8 and
            within 0.002 for floating point (measured for sides from 4 to 600 pixels).
        frame_size: ``(height, width)`` of the result, in pixels.
        fit: ``"stretch"`` scales the whole frame to *frame_size*, ignoring the aspect ratio. The others preserve it:
            ``"crop"`` scales the frame to cover *frame_size* and crops the centre; ``"pad"`` scales it to fit and pads
            with black (letterbox); ``"evaluation"`` scales the short side to *short_side* and crops the centre, as for
            the published accuracies.
        short_side: For ``fit="evaluation"``: the length of the short side before the crop, in pixels, at least the
            longer side of *frame_size*. The published ones are `Variant.min_image_size`.
        out: ``(height, width, 3)``, float32: the array to write the result to; `None` allocates a new one.

    Returns:
        ``(height, width, 3)``, float32, 0 to 1, RGB: *out*, or a new array. Never *frame* itself.

    Raises:
        ArrayError: If *frame* is not an RGB picture, *frame_size* not two whole numbers of at least 1, *fit*
            unknown, *short_side* missing or too short, or *out* of another shape or dtype.

    Example:
        >>> frame = np.full((4, 8, 3), 255, np.uint8)
        >>> prepare_frame(frame, (2, 2)).tolist()[0]
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    pixels = as_frame(frame)
    scaler = FrameScaler(frame_size, fit, short_side=short_side)
    return scaler.scale_into(pixels, _check_out(out, (*scaler.frame_size, 3)))


def prepare_clip(
    clip: Clip | ArrayLike,
    frame_size: FrameSize,
    *,
    fit: Fit = "stretch",
    short_side: int | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return *clip* in the size and range that a model expects; see `prepare_frame`.

    Args:
        clip: ``(frames, height, width, 3)``, uint8 in 0 to 255 or floating point in 0 to 1, RGB; or a sequence of
            frames of one size.
        frame_size: ``(height, width)`` of the result, in pixels.
        fit: ``"stretch"``, ``"crop"``, ``"pad"`` or ``"evaluation"``; see `prepare_frame`.
        short_side: For ``fit="evaluation"``; see `prepare_frame`.
        out: ``(frames, height, width, 3)``, float32: the array to write the result to; `None` allocates a new one.

    Returns:
        ``(frames, height, width, 3)``, float32, 0 to 1, RGB: *out*, or a new array. Never *clip* itself.

    Raises:
        ArrayError: If *clip* is not a series of RGB pictures, *frame_size* not two whole numbers of at least 1,
            *fit* unknown, *short_side* missing or too short, or *out* of another shape or dtype.

    Example:
        >>> prepare_clip(np.zeros((5, 48, 64, 3), np.uint8), (32, 32), fit="crop").shape
        (5, 32, 32, 3)
    """
    pixels = as_clip(clip)
    scaler = FrameScaler(frame_size, fit, short_side=short_side)
    result = _check_out(out, (len(pixels), *scaler.frame_size, 3))
    if pixels.shape[1:3] == scaler.frame_size:
        return _to_float01(pixels, result)
    for frame, prepared in zip(pixels, result, strict=True):
        scaler.scale_into(frame, prepared)
    return result


def _as_pictures(value: ArrayLike) -> NDArray[np.uint8] | NDArray[np.float32]:
    if isinstance(value, (list, tuple)) and value:
        depth = 1 + np.ndim(value[0])  # the others may have another size
    else:
        depth = np.ndim(value)
    return as_frame(value) if depth <= 3 else as_clip(value)


def check_fit(fit: Fit) -> Fit:
    """Return *fit*, one of `Fit`; an `ArrayError` is raised for any other."""
    check_one_of(fit, "fit", get_args(Fit))
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


def _check_short_side(short_side: object, frame_size: FrameSize) -> int:
    try:
        length = operator.index(cast("int", short_side))
    except TypeError:
        length = 0
    if length < max(frame_size):
        raise ArrayError(
            "short_side must be a whole number of pixels, at least the longer side of frame_size, "
            f"{max(frame_size)}, for fit='evaluation'; got {short_side!r}"
        )
    return length


_Region: TypeAlias = tuple[slice, slice]


@attrs.frozen
class Layout:
    """How frames of one size are cropped, scaled and padded.

    Attributes:
        size: ``(height, width)`` of the frame.
        used: The part of the frame that is scaled.
        scaled_size: ``(height, width)`` that this part is scaled to.
        kept: The part of the scaled frame that is kept.
        place: Its position in the result.
    """

    size: FrameSize
    used: _Region
    scaled_size: FrameSize
    kept: _Region
    place: _Region


def lay_out(
    size: FrameSize, frame_size: FrameSize, fit: Fit, short_side: int
) -> Layout:
    used_size = size
    if fit == "stretch":
        scaled_size = frame_size
    elif fit == "pad":
        scaled_size = _fitting_size(size, frame_size)
    else:
        used_size = _without_far_ends(size, frame_size)
        if fit == "crop":
            scaled_size = _covering_size(used_size, frame_size)
        else:
            scaled_size = _evaluation_size(used_size, short_side)
    return Layout(
        size=size,
        used=_centre(size, used_size),
        scaled_size=scaled_size,
        kept=_centre(scaled_size, frame_size),
        place=_centre(frame_size, scaled_size),
    )


def _centre(size: FrameSize, wanted: FrameSize) -> _Region:
    """Return the centre of *size*, at most as large as *wanted*."""
    (top, height), (left, width) = (
        (max(have - want, 0) // 2, min(have, want))
        for have, want in zip(size, wanted, strict=True)
    )
    return slice(top, top + height), slice(left, left + width)


def _without_far_ends(size: FrameSize, frame_size: FrameSize) -> FrameSize:
    """Return *size*, with a side shortened if it is many times as long as the part that a crop keeps.

    Scaling a whole frame of 1 x 20,000 pixels would take gigabytes, nearly all of which would be cropped. The number of
    removed pixels is even, so that the centre is preserved.
    """
    factor = max(new / old for new, old in zip(frame_size, size, strict=True))
    height, width = (
        old - 2 * max((old - math.ceil(_LONGEST_SHAPE * new / factor)) // 2, 0)
        for new, old in zip(frame_size, size, strict=True)
    )
    return height, width


def _fitting_size(size: FrameSize, frame_size: FrameSize) -> FrameSize:
    """Return the largest size with the aspect ratio of *size* that fits *frame_size*, with equal bars on both sides."""
    factor = min(new / old for new, old in zip(frame_size, size, strict=True))
    height, width = (
        new - 2 * min(round((new - old * factor) / 2), (new - 1) // 2)
        for new, old in zip(frame_size, size, strict=True)
    )
    return height, width


def _covering_size(size: FrameSize, frame_size: FrameSize) -> FrameSize:
    """Return the smallest size with the aspect ratio of *size* that covers *frame_size*.

    The excess is an even number of pixels, so that the crop is exactly centred.
    """
    factor = max(new / old for new, old in zip(frame_size, size, strict=True))
    height, width = (
        new + 2 * round((old * factor - new) / 2)
        for new, old in zip(frame_size, size, strict=True)
    )
    return height, width


def _evaluation_size(size: FrameSize, short_side: int) -> FrameSize:
    """Return the size with the aspect ratio of *size* whose short side is *short_side*.

    References:
        [1] TensorFlow Model Garden, ``official/vision/ops/preprocess_ops_3d.py``, ``resize_smallest``, rounds down.
    """
    height, width = size
    return (
        max(short_side, height * short_side // width),
        max(short_side, width * short_side // height),
    )


def _as_picture(frame: Frame) -> VideoFrame:
    from av import FFmpegError, VideoFrame

    if frame.dtype == np.uint8:
        pixels: NDArray[Any] = frame
        form = "rgb24"
    else:
        # FFmpeg's floating-point formats are not usable: gbrpf32 is wrong by up to one half.
        pixels = np.rint(frame * np.float32(65535)).astype(np.uint16)
        form = "rgb48le"
    try:
        return VideoFrame.from_ndarray(pixels, form)
    except FFmpegError as error:
        raise ArrayError(
            f"a frame must be of a size that FFmpeg can hold; got {frame.shape[:2]} ({error.strerror})"
        ) from error


def _scale(
    picture: VideoFrame, layout: Layout, scaler: VideoReformatter
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    from av import FFmpegError

    height, width = layout.scaled_size
    try:
        scaled: NDArray[Any] = scaler.reformat(
            picture,
            width=width,
            height=height,
            interpolation=SCALING,
            threads=1,  # starting more threads takes longer than most frames
        ).to_ndarray()
    except FFmpegError as error:
        raise ArrayError(
            f"a frame must be of a size that FFmpeg can scale to {layout.scaled_size}; got {layout.size} "
            f"({error.strerror})"
        ) from error
    return scaled
