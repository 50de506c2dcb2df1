"""Converts decoded live frames to RGB arrays of the requested size."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, check_frame_size
from movinet_lite.errors import ArrayError
from movinet_lite.video.decoding import Turn
from movinet_lite.video.hdr import to_bt709, transfer_of
from movinet_lite.video.scaling import (
    SCALING,
    Fit,
    FrameScaler,
    Layout,
    lay_out,
    prepare_frame,
    to_uint8,
)

if TYPE_CHECKING:
    from av import VideoFrame as Picture

__all__ = ["PictureConverter"]


class PictureConverter:
    """Converts pictures of any size and format, which may change from one to the next; for one thread.

    What is scaled is scaled in the colours of the decoder, on the way to RGB, which is several times faster than to scale
    RGB.

    Args:
        frame_size: ``(height, width)`` of the results, in pixels; `None` keeps each picture's own.
        fit: How a picture of another shape gets that size; see `prepare_frame`.
        short_side: For ``fit="evaluation"``; see `prepare_frame`.

    Raises:
        ArrayError: If *frame_size*, *fit* or *short_side* is impossible.
    """

    def __init__(
        self,
        frame_size: FrameSize | None = None,
        fit: Fit = "stretch",
        *,
        short_side: int | None = None,
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self._frame_size = None if frame_size is None else check_frame_size(frame_size)
        if self._frame_size is not None:
            FrameScaler(self._frame_size, fit, short_side=short_side)  # checks
        self._fit: Fit = fit
        self._short_side = short_side
        self._reformatter = VideoReformatter()
        self._layout: Layout | None = None

    def pixels(self, picture: Picture) -> NDArray[np.uint8]:
        """Return a picture as an upright RGB array.

        Args:
            picture: As PyAV decodes it.

        Returns:
            ``(height, width, 3)``, uint8, 0 to 255, RGB, in memory of its own.

        Raises:
            ArrayError: If FFmpeg cannot convert its colours.
        """
        turn = Turn.of(picture)
        size = turn.swap((picture.height, picture.width))
        if self._frame_size is None or size == self._frame_size:
            return self._convert(picture, turn, size)
        if self._layout is None or self._layout.size != size:
            self._layout = lay_out(
                size, self._frame_size, self._fit, self._short_side or 0
            )
        layout = self._layout
        if _length(layout.used, 0) < size[0] or _length(layout.used, 1) < size[1]:
            whole = self._convert(picture, turn, size)  # so long that its ends go first
            scaled = prepare_frame(
                whole, self._frame_size, fit=self._fit, short_side=self._short_side
            )
            return to_uint8(scaled)
        rgb = self._convert(picture, turn, layout.scaled_size)[layout.kept]
        if self._fit != "pad":
            return np.ascontiguousarray(rgb)
        padded = np.zeros((*self._frame_size, 3), np.uint8)
        padded[layout.place] = rgb
        return padded

    def _convert(
        self, picture: Picture, turn: Turn, size: FrameSize
    ) -> NDArray[np.uint8]:
        from av import FFmpegError

        height, width = turn.swap(size)
        transfer = transfer_of(picture)
        try:
            rgb = self._reformatter.reformat(
                picture,
                width=width,
                height=height,
                format="rgb24" if transfer is None else "rgb48le",
                interpolation=SCALING,
                threads=1,
            )
        except FFmpegError as error:
            raise ArrayError(
                f"pictures must have colours that FFmpeg can turn into RGB; got {picture.format.name} ({error.strerror})"
            ) from error
        array = rgb.to_ndarray()
        if transfer is not None:
            array = to_bt709(cast("NDArray[np.uint16]", array), transfer)
        turned = turn.apply(cast("NDArray[np.uint8]", array))
        return turned.copy() if rgb is picture else turned


def _length(region: tuple[slice, slice], axis: int) -> int:
    part = region[axis]
    return cast("int", part.stop) - cast("int", part.start)
