"""Encodes a frame as JPEG."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np

from movinet_lite.arrays import Frame, VideoFrame, as_frame
from movinet_lite.video.scaling import to_uint8

__all__ = ["to_jpeg"]

_QUALITY: Final = 4
"""FFmpeg's quantiser, from 2 (best) to 31."""

_ITU_601: Final = 5
"""The colour space of JPEG files (JFIF), by its number in FFmpeg's scaler."""


def to_jpeg(frame: Frame | VideoFrame, *, max_width: int | None = None) -> bytes:
    """Return *frame* as a JPEG image.

    Args:
        frame: ``(height, width, 3)``, uint8, 0 to 255, or float32, 0 to 1, RGB; or a `VideoFrame`.
        max_width: Scale wider frames down to this width, in pixels, preserving the aspect ratio; `None` for no limit.

    Raises:
        ArrayError: If *frame* is not an RGB picture.
    """
    import av

    pixels = np.ascontiguousarray(to_uint8(as_frame(frame)))
    height, width, _ = pixels.shape
    shown = min(width, max_width or width)
    size = {"width": shown, "height": max(1, round(height * shown / width))}
    picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        **size,
        format="yuvj420p",
        dst_colorspace=_ITU_601,
        dst_color_range=2,  # the full range, as JPEG has it
        interpolation="AREA",
    )
    picture.pts = 0
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = picture.width, picture.height
    encoder.pix_fmt = "yuvj420p"
    encoder.time_base = Fraction(1, 1)
    encoder.qmin = encoder.qmax = _QUALITY
    packets = [*encoder.encode(picture), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
