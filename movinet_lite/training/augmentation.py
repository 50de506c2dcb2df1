"""Augments clips: crops, flips, time shifts and colour changes (numpy only).

Random parameters are drawn once per clip and applied to all its frames, so that augmentation adds no motion.
"""

from __future__ import annotations

import math
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, as_number
from movinet_lite.errors import DataError

__all__ = ["Augmentation", "augment", "frame_size_before"]

# Rec. 601, the usual luma weights: https://www.itu.int/rec/R-REC-BT.601
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


@attrs.frozen
class Augmentation:
    """The strength of the augmentation; parameters are drawn at random for each clip.

    Attributes:
        crop: Share of height and width that a crop removes, at least 0 and below 1.
        flip: Whether to mirror half of the clips. Switch it off if classes differ in left and right.
        brightness: Largest change of brightness, for pixels from 0 to 1.
        contrast: Contrast is multiplied by a factor from 1 - this to 1 + this.
        saturation: Saturation is multiplied by a factor from 1 - this to 1 + this.
        shift: Whether a clip starts at a random time of its video; otherwise it is taken from the middle.
    """

    crop: float = 0.12
    flip: bool = True
    brightness: float = 0.1
    contrast: float = 0.25
    saturation: float = 0.3
    shift: bool = True

    def __attrs_post_init__(self) -> None:
        """Check the ranges."""
        for name in ("crop", "brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if not 0 <= as_number(value) < 1:  # also refuses NaN
                raise DataError(f"{name} must be at least 0 and below 1; got {value!r}")


def frame_size_before(frame_size: FrameSize, augmentation: Augmentation) -> FrameSize:
    """Return the ``(height, width)`` to resize frames to before a crop to *frame_size*."""
    height, width = (
        math.ceil(length / (1 - augmentation.crop)) for length in frame_size
    )
    return height, width


def augment(
    clip: NDArray[np.uint8],
    frame_size: FrameSize,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return a randomly augmented copy of *clip* with *frame_size*.

    Args:
        clip: ``(frames, height, width, 3)``, uint8, 0 to 255, RGB, of any size. A larger clip is cropped at a random
            place; a smaller one is padded with its edge pixels.
        frame_size: ``(height, width)`` of the result.
        augmentation: The strength of the augmentation.
        rng: The random generator.

    Returns:
        ``(frames, height, width, 3)``, float32, 0 to 1; a new array.
    """
    clip = _crop(
        _widen(clip, frame_size_before(frame_size, augmentation)), frame_size, rng
    )
    if augmentation.flip and rng.random() < 0.5:
        clip = clip[:, :, ::-1]
    pixels = clip.astype(np.float32)
    pixels /= 255
    return _recolour(pixels, augmentation, rng)


def _widen(clip: NDArray[np.uint8], frame_size: FrameSize) -> NDArray[np.uint8]:
    """Return *clip*, padded with its edge pixels to at least *frame_size*."""
    missing = [
        max(0, wanted - length)
        for wanted, length in zip(frame_size, clip.shape[1:3], strict=True)
    ]
    if not any(missing):
        return clip
    sides = [(length // 2, length - length // 2) for length in missing]
    return np.pad(clip, ((0, 0), *sides, (0, 0)), mode="edge")


def _crop(
    clip: NDArray[np.uint8], frame_size: FrameSize, rng: np.random.Generator
) -> NDArray[np.uint8]:
    height, width = frame_size
    top = int(rng.integers(clip.shape[1] - height + 1))
    left = int(rng.integers(clip.shape[2] - width + 1))
    return clip[:, top : top + height, left : left + width]


def _recolour(
    pixels: NDArray[np.float32], augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    saturation, contrast = (
        np.float32(1 + rng.uniform(-spread, spread))
        for spread in (augmentation.saturation, augmentation.contrast)
    )
    brightness = np.float32(
        rng.uniform(-augmentation.brightness, augmentation.brightness)
    )
    if saturation != 1:
        grey: NDArray[np.float32] = (pixels @ _LUMA)[..., np.newaxis]
        pixels = grey + (pixels - grey) * saturation
    if contrast != 1 or brightness != 0:
        middle = pixels.mean(dtype=np.float32)
        pixels = (pixels - middle) * contrast + (middle + brightness)
    clipped: NDArray[np.float32] = np.clip(pixels, 0, 1, out=pixels)
    return np.ascontiguousarray(clipped)
