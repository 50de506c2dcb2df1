"""Frames, clips, scores and states as arrays, and the checks where they enter the library.

Every array in the public API is one of these:

=============  =======================================  ==========================================
noun           shape                                    dtype and range
=============  =======================================  ==========================================
frame          ``(height, width, 3)``                   uint8, 0 to 255, or float32, 0 to 1; RGB
clip           ``(frames, height, width, 3)``           as a frame
clips          ``(clips, frames, height, width, 3)``    as a frame
logits         ``(classes,)``                           float32, any range, no NaN
scores         ``(classes,)``                           float32, 0 to 1, sum 1
features       ``(channels,)``                          float32, any range
states         name to array                            whatever the model declares
=============  =======================================  ==========================================

Sizes are always ``(height, width)``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from numbers import Real
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import ArrayError

__all__ = [
    "FEATURE_NAMES",
    "Clip",
    "FeatureName",
    "Frame",
    "FrameSize",
    "Scores",
    "States",
    "VideoFrame",
    "as_clip",
    "as_frame",
    "as_number",
    "check_fps",
    "check_frame_size",
    "check_one_of",
    "check_positive",
]

Frame: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
"""A frame, ``(height, width, 3)`` RGB, uint8 in 0 to 255 or float32 in 0 to 1."""

Clip: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
"""Frames in order of time, ``(frames, height, width, 3)``, each as in `Frame`."""

Scores: TypeAlias = NDArray[np.float32]
"""One number per class, ``(classes,)`` float32."""

FrameSize: TypeAlias = tuple[int, int]
"""``(height, width)`` in pixels."""

FeatureName: TypeAlias = Literal["pooled", "hidden"]
"""The features of a model: the backbone's output averaged over space and time, or the hidden layer's output."""

FEATURE_NAMES: Final[tuple[FeatureName, ...]] = get_args(FeatureName)

States: TypeAlias = Mapping[str, NDArray[Any]]
"""The states of one stream: the arrays by the model's state names."""

MAX_FPS = 1000.0
"""Maximum frame rate of a model, since a session stores a history of frames per second."""

# Rounding tolerance of float32 at the ends of the range from 0 to 1.
_ROUNDING = 1e-6

_UINT8 = np.dtype(np.uint8)


@attrs.frozen(eq=False)
class VideoFrame:
    """A frame of a video with its time.

    The library accepts a `VideoFrame` wherever it accepts a frame. `numpy.asarray` returns the pixels.

    Attributes:
        pixels: ``(height, width, 3)``, uint8, 0 to 255, RGB.
        time_s: Display time, in seconds from the start of the video.
        index: Position among the frames read, from 0.
    """

    pixels: NDArray[np.uint8]
    time_s: float
    index: int

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Return the pixels, for `numpy.asarray`.

        Raises:
            ValueError: If *copy* is `False` and *dtype* is not that of the pixels, as for numpy arrays.
        """
        same = dtype is None or np.dtype(dtype) == self.pixels.dtype
        if copy is False and not same:
            raise ValueError(
                f"pixels of {self.pixels.dtype} cannot be converted to {np.dtype(dtype)} without a copy, which "
                "copy=False forbids"
            )
        if same:
            return self.pixels.copy() if copy else self.pixels
        return self.pixels.astype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the pixels, ``(height, width, 3)``."""
        return self.pixels.shape


def as_frame(frame: object) -> Frame:
    """Return *frame* as an array, after checking that it is an RGB frame.

    Args:
        frame: ``(height, width, 3)``, uint8 in 0 to 255 or floating point in 0 to 1, RGB; or a `VideoFrame`.

    Returns:
        The same array, not copied if it is uint8 or float32.

    Raises:
        ArrayError: If it is not; the message names the likely mistake.

    Example:
        >>> import numpy as np
        >>> as_frame(np.zeros((172, 172, 3), np.uint8)).shape
        (172, 172, 3)
        >>> as_frame(np.zeros((3, 8, 8), np.uint8))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        movinet_lite.errors.ArrayError: frame must be ... (channels first? move them last: np.moveaxis(frame, 0, -1))
    """
    if isinstance(frame, VideoFrame):
        frame = frame.pixels
    # The common case; the full checks take several times as long.
    if (
        type(frame) is np.ndarray
        and frame.dtype == _UINT8
        and frame.ndim == 3
        and frame.shape[2] == 3
        and frame.size
    ):
        return frame
    return _check_pictures(frame, 3, "frame", "(height, width, 3)")


def as_clip(clip: object) -> Clip:
    """Return *clip* as an array, after checking that it is a series of RGB frames.

    Args:
        clip: ``(frames, height, width, 3)``, uint8 in 0 to 255 or floating point in 0 to 1, RGB; or a list or tuple of
            frames of one size and dtype.

    Returns:
        One array, not copied if it is a uint8 or float32 array.

    Raises:
        ArrayError: If it is not; the message names the likely mistake.

    Example:
        >>> import numpy as np
        >>> as_clip([np.zeros((4, 6, 3), np.uint8)] * 2).shape
        (2, 4, 6, 3)
    """
    if isinstance(clip, (list, tuple)) and clip:
        return np.stack(_alike_frames(clip))
    return _check_pictures(clip, 4, "clip", "(frames, height, width, 3)")


def _alike_frames(clip: list[object] | tuple[object, ...]) -> list[NDArray[Any]]:
    frames: list[NDArray[Any]] = []
    for index, item in enumerate(clip):
        try:
            frame = as_frame(item)
        except ArrayError as error:
            raise ArrayError(f"frame {index} of the clip: {error}") from error
        frames.append(frame)
        first = frames[0]
        # Stacked with float frames, uint8 would become float32 in 0 to 255.
        if (frame.shape, frame.dtype) != (first.shape, first.dtype):
            raise ArrayError(
                f"all frames of a clip must have the same shape and dtype; frame 0 is {first.dtype} of shape "
                f"{first.shape}, "
                f"frame {index} is {frame.dtype} of shape {frame.shape}"
            )
    return frames


def _check_pictures(value: object, ndim: int, noun: str, shape: str) -> Frame:
    if np.ma.is_masked(value):
        raise ArrayError(
            f"{_rule(noun, shape)}; got a masked array, whose mask would be lost (fill it with {noun}.filled(0))"
        )
    try:
        array = np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # whatever the __array__ of a foreign object raises
        reason = f"a {type(value).__name__} that numpy cannot read: {error}"
        raise ArrayError(f"{_rule(noun, shape)}; got {reason}") from error
    if (
        array.ndim != ndim
        or array.shape[-1] != 3
        or array.size == 0
        or array.dtype.kind not in "fiu"
    ):
        raise ArrayError(f"{_rule(noun, shape)}; {_mismatch(array, value, ndim, noun)}")
    if array.dtype == np.uint8:
        return array
    got = f"got {array.dtype} of shape {array.shape}"
    if array.dtype.kind != "f":
        raise ArrayError(
            f"{_rule(noun, shape)}; {got} "
            f"(whole numbers from 0 to 255? convert them: {noun}.astype('uint8'))"
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # false for NaN too
        hint = _range_hint(low, high, noun)
        raise ArrayError(
            f"{_rule(noun, shape)}; {got} with values from {low:g} to {high:g}{hint}"
        )
    return array.astype(np.float32, copy=False)


def _rule(noun: str, shape: str) -> str:
    return f"{noun} must be an RGB array of shape {shape}, uint8 in 0 to 255 or float32 in 0 to 1"


def _mismatch(array: NDArray[Any], value: object, ndim: int, noun: str) -> str:
    if array.dtype.kind not in "fiu":
        given = f"{array.dtype} array" if isinstance(value, np.ndarray) else ""
        hint = (
            " (an iterator? convert it to a list)" if hasattr(value, "__next__") else ""
        )
        return f"got a {given or type(value).__name__}{hint}"
    got = f"got {array.dtype} of shape {array.shape}"
    if array.size == 0:
        return f"{got}, which is empty"
    return f"{got}{_shape_hint(array.shape, ndim, noun)}"


def _shape_hint(shape: tuple[int, ...], ndim: int, noun: str) -> str:
    if len(shape) == ndim:
        return _channels_hint(shape, noun)
    hint = ""
    if len(shape) == 3 and shape[-1] == 3:
        hint = " (one frame? a clip of one frame is frame[np.newaxis])"
    elif len(shape) == ndim - 1:
        hint = f" (greyscale? repeat it as three channels: np.stack([{noun}] * 3, axis=-1))"
    elif len(shape) == ndim + 1 and shape[0] == 1:
        hint = f" (a batch of one? pass {noun}[0])"
    elif len(shape) == ndim + 1:
        hint = " (several? pass them one by one)"
    return hint


def _channels_hint(shape: tuple[int, ...], noun: str) -> str:
    hint = ""
    if shape[-1] == 4:
        hint = f" (RGBA? drop the last channel: {noun}[..., :3])"
    elif shape[-1] == 1:
        hint = f" (greyscale? repeat the channel: np.repeat({noun}, 3, axis=-1))"
    elif shape[-3] == 3:
        axis = len(shape) - 3
        hint = f" (channels first? move them last: np.moveaxis({noun}, {axis}, -1))"
    elif shape[0] == 3:
        hint = f" (channels first? move them last: np.moveaxis({noun}, 0, -1))"
    return hint


def _range_hint(low: float, high: float, noun: str) -> str:
    hint = ""
    if np.isnan(low):
        hint = " (NaN: a division by zero in preprocessing?)"
    elif low >= -0.2 and high <= 1.2:
        hint = f" (overshoot of a resize? clip it: np.clip({noun}, 0, 1))"
    elif low >= 0 and high <= 255:
        hint = " (0 to 255? divide by 255, or pass uint8)"
    elif low >= -1 and high <= 1:
        hint = f" (normalised to [-1, 1]? the models expect [0, 1]: ({noun} + 1) / 2)"
    elif low >= -3 and high <= 3:
        hint = " (normalised by mean and deviation? the models expect [0, 1])"
    return hint


def check_frame_size(frame_size: object) -> FrameSize:
    """Return *frame_size* as two Python integers.

    Args:
        frame_size: ``(height, width)`` in pixels.

    Returns:
        ``(height, width)``.

    Raises:
        ArrayError: If it is not two whole numbers of at least 1.
    """
    try:
        height, width = map(operator.index, cast("FrameSize", frame_size))
    except (TypeError, ValueError):
        height, width = 0, 0
    if min(height, width) < 1:
        raise ArrayError(
            f"frame_size must be (height, width), two whole numbers of at least 1; got {frame_size!r}"
        )
    return height, width


def check_positive(value: object, noun: str) -> float:
    """Return *value* as a float, after checking that it is above 0 and finite.

    Args:
        value: A number.
        noun: The name of the value, for the message.

    Returns:
        The number.

    Raises:
        ArrayError: If it is not a number, not above 0, infinite or NaN.
    """
    number = as_number(value)
    if not 0 < number < math.inf:
        raise ArrayError(f"{noun} must be a number above 0; got {value!r}")
    return number


def check_one_of(value: object, noun: str, choices: tuple[object, ...]) -> None:
    """Check that *value* is one of *choices*.

    Args:
        value: The value.
        noun: Its name, for the message.
        choices: All valid values.

    Raises:
        ArrayError: If it is not among them.
    """
    if value not in choices:
        raise ArrayError(
            f"{noun} must be one of {', '.join(map(str, choices))}; got {value!r}"
        )


def check_fps(value: object) -> float:
    """Return *value* as a frame rate, after checking that it is above 0 and at most `MAX_FPS`.

    Raises:
        ArrayError: If it is not a number, or out of this range.
    """
    number = check_positive(value, "fps")
    if number > MAX_FPS:
        raise ArrayError(f"fps must be at most {MAX_FPS:g}; got {value!r}")
    return number


def as_number(value: object) -> float:
    """Return *value* as a float, or NaN, which is in no range, if it is not a number or too large for a float."""
    try:
        return float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        return math.nan
