"""Renders text to pixels.

The font is DejaVu Sans, which is part of matplotlib.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = ["fitting", "font", "font_size_of", "letters"]

_FONT_SHARE = 0.03
"""The font size, as a share of the frame's shorter side."""

_FONT_SIZES = (10, 96)
"""The smallest and the largest font size, in pixels. Smaller text is illegible."""


def font_size_of(frame_size: FrameSize, *, scale: float = 1.0) -> int:
    """Return the font size in pixels for frames of a size, multiplied by *scale*."""
    suits = np.clip(_FONT_SHARE * min(frame_size), *_FONT_SIZES)
    return int(np.clip(round(float(suits) * scale), *_FONT_SIZES))


@functools.cache
def font(size: int) -> FreeTypeFont:
    """Return DejaVu Sans at a font size in pixels."""
    import matplotlib as mpl
    from PIL import ImageFont

    fonts = Path(mpl.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), size)


@functools.lru_cache(maxsize=512)
def letters(text: str, font_size: int) -> NDArray[np.float32]:
    """Return the coverage of each pixel by *text*: ``(line height, width, 1)``, float32, 0 to 1."""
    from PIL import Image, ImageDraw

    face = font(font_size)
    size = (math.ceil(face.getlength(text)), sum(face.getmetrics()))
    picture = Image.new("L", size)
    ImageDraw.Draw(picture).text((0, 0), text, fill=255, font=face)
    return np.asarray(picture, np.float32)[..., np.newaxis] / np.float32(255)


@functools.lru_cache(maxsize=512)
def fitting(label: str, font_size: int, width: int) -> str:
    """Return *label*, shortened with an ellipsis to at most *width* pixels."""
    face = font(font_size)
    if face.getlength(label) <= width:
        return label
    for length in range(len(label) - 1, 0, -1):
        short = f"{label[:length].rstrip()}…"
        if face.getlength(short) <= width:
            return short
    return ""
