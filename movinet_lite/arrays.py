"""What a frame, a clip, scores and states are, and the checks where they enter the library.

Every array that crosses the library's border is one of these:

============  =======================================  ===========================================================
noun          shape                                    dtype and range
============  =======================================  ===========================================================
frame         ``(height, width, 3)``                   uint8, 0 to 255, or float32, 0 to 1; RGB
clip          ``(frames, height, width, 3)``           as a frame
clips         ``(clips, frames, height, width, 3)``    as a frame
logits        ``(classes,)``                           float32, any range, no NaN
probabilities ``(classes,)``                           float32, 0 to 1, sum 1
states        name to array                            whatever the model declares
============  =======================================  ===========================================================

Sizes are always ``(height, width)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import ArrayError

__all__ = [
    "Clip",
    "Frame",
    "FrameSize",
    "Scores",
    "States",
    "VideoFrame",
    "as_frame",
    "as_clip",
]

Frame: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
"""One picture, ``(height, width, 3)`` RGB, uint8 in 0 to 255 or float32 in 0 to 1."""

Clip: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
"""Pictures in the order of time, ``(frames, height, width, 3)``, each as in `Frame`."""

Scores: TypeAlias = NDArray[np.float32]
"""One number a class, ``(classes,)`` float32."""

FrameSize: TypeAlias = tuple[int, int]
"""``(height, width)`` in pixels."""

States: TypeAlias = Mapping[str, NDArray[Any]]
"""The memory of one stream: the model's own state names, each with its array."""


@attrs.frozen(eq=False)
class VideoFrame:
    """One frame of a video with its place in time.

    Wherever the library takes a frame, it takes a `VideoFrame` too, and `numpy.asarray` gives its pixels.

    Attributes:
        pixels: ``(height, width, 3)``, uint8, 0 to 255, RGB.
        time_s: When it is shown, in seconds from the start of the video.
        index: Its place among the frames read, from 0.
    """

    pixels: NDArray[np.uint8]
    time_s: float
    index: int

    def __array__(
        self, dtype: Any = None, *, copy: bool | None = None
    ) -> NDArray[Any]:
        """Return the pixels, as `numpy.asarray` asks for them."""
        pixels = self.pixels if dtype is None else self.pixels.astype(dtype, copy=False)
        return pixels.copy() if copy else pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the pixels, ``(height, width, 3)``."""
        return self.pixels.shape


def as_frame(frame: object) -> Frame:
    """Return *frame* as an array that is certainly one RGB picture.

    Args:
        frame: ``(height, width, 3)``, uint8 in 0 to 255 or floating point in 0 to 1, RGB; or a `VideoFrame`.

    Returns:
        The same array, not copied if it is uint8 or float32.

    Raises:
        ArrayError: If it is something else; the message names the likely mistake.
    """
    if type(frame) is VideoFrame:
        return frame.pixels
    return _check_pictures(frame, 3, "frame", "(height, width, 3)")


def as_clip(clip: object) -> Clip:
    """Return *clip* as an array that is certainly a series of RGB pictures.

    Args:
        clip: ``(frames, height, width, 3)``, uint8 in 0 to 255 or floating point in 0 to 1, RGB; or a sequence of
            frames of one size.

    Returns:
        One array, not copied if it came as a uint8 or float32 array.

    Raises:
        ArrayError: If it is something else; the message names the likely mistake.
    """
    if isinstance(clip, (list, tuple)) and clip:
        frames = [as_frame(frame) for frame in clip]
        sizes = {frame.shape for frame in frames}
        if len(sizes) > 1:
            raise ArrayError(
                f"all frames of a clip must have one shape; got {sorted(sizes)}"
            )
        return np.stack(frames)
    return _check_pictures(clip, 4, "clip", "(frames, height, width, 3)")


def _check_pictures(value: object, ndim: int, noun: str, shape: str) -> Frame:
    rule = f"{noun} must be an RGB array of shape {shape}, uint8 in 0 to 255 or float32 in 0 to 1"
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ArrayError(f"{rule}; got a ragged sequence") from error
    got = f"got {array.dtype} of shape {array.shape}"
    if array.dtype == object or array.dtype.kind in "USVMm":
        raise ArrayError(f"{rule}; got {type(value).__name__}")
    if array.ndim != ndim or array.shape[-1] != 3:
        raise ArrayError(f"{rule}; {got}{_shape_hint(array, ndim)}")
    if array.size == 0:
        raise ArrayError(f"{rule}; {got}, which is empty")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise ArrayError(
            f"{rule}; {got} (convert whole numbers from 0 to 255 with .astype('uint8'))"
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= 0.0 and high <= 1.0):  # also false for NaN
        raise ArrayError(
            f"{rule}; {got} with values from {low:g} to {high:g}{_range_hint(low, high)}"
        )
    return array.astype(np.float32, copy=False)


def _shape_hint(array: NDArray[Any], ndim: int) -> str:
    shape = array.shape
    if array.ndim == ndim and shape[-1] == 4:
        return " (RGBA? drop the last channel: frame[..., :3])"
    if array.ndim == ndim and shape[-3] == 3:
        return " (channels first? move them last: np.moveaxis(frame, -3, -1))"
    if array.ndim == ndim and shape[-1] == 1:
        return " (grey? repeat the channel: np.repeat(frame, 3, axis=-1))"
    if array.ndim == ndim - 1 and shape[-1:] != (3,):
        return " (grey? stack it three times: np.stack([frame] * 3, axis=-1))"
    if array.ndim == 3 and ndim == 4:
        return " (one frame? a clip of one frame is frame[np.newaxis])"
    if array.ndim == 4 and ndim == 3:
        return " (a clip? give its frames one by one)"
    if array.ndim == 5 and ndim == 4 and shape[0] == 1:
        return " (a batch of one? give its only clip: clips[0])"
    return ""


def _range_hint(low: float, high: float) -> str:
    if np.isnan(low) or np.isnan(high):
        return " (NaN: a division by zero on the way?)"
    if low >= 0 and high <= 255:
        return " (0 to 255? divide by 255, or give uint8)"
    if low >= -1 and high <= 1:
        return " (normalised to [-1, 1]? the models take [0, 1]: (frame + 1) / 2)"
    if low >= -3 and high <= 3:
        return " (normalised by mean and deviation? the models take plain [0, 1])"
    return ""
