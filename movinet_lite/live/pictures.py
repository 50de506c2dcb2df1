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
    """Converts decoded frames of any size and format, which may change from frame to frame; for use by one thread.

    Frames are scaled in the colour format of the decoder during the conversion to RGB, which is several times faster
    than scaling RGB.

    Args:
        frame_size: ``(height, width)`` of the results, in pixels; `None` keeps the size of each frame.
        fit: How frames of another aspect ratio are resized; see `prepare_frame`.
        short_side: For ``fit="evaluation"``; see `prepare_frame`.

    Raises:
        ArrayError: If *frame_size*, *fit* or *short_side* is invalid.
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
        """Return a decoded frame as an upright RGB array.

        Args:
            picture: A frame decoded by PyAV.

        Returns:
            ``(height, width, 3)``, uint8, 0 to 255, RGB, in its own memory.

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
            whole = self._convert(
                picture, turn, size
            )  # so long that its ends are cropped first
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
                f"frames must have a pixel format that FFmpeg can convert to RGB; got {picture.format.name} "
                f"({error.strerror})"
            ) from error
        array = rgb.to_ndarray()
        if transfer is not None:
            array = to_bt709(cast("NDArray[np.uint16]", array), transfer)
        turned = turn.apply(cast("NDArray[np.uint8]", array))
        return turned.copy() if rgb is picture else turned


def _length(region: tuple[slice, slice], axis: int) -> int:
    part = region[axis]
    return cast("int", part.stop) - cast("int", part.start)
