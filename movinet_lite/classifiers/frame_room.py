"""Memory for the frames of one call of a model, as bytes where that will do."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Frame, FrameSize
from movinet_lite.video.scaling import FrameScaler

__all__ = ["FrameRoom"]


class FrameRoom:
    """Memory for the frames of one call, taken once: new memory for each frame costs more than preparing it.

    Frames that all come as bytes stay bytes, where the model takes them: a quarter of the memory to write and read.
    """

    def __init__(self, count: int, frame_size: FrameSize, *, takes_uint8: bool) -> None:
        """Take the memory.

        Args:
            count: Frames of a call, at most.
            frame_size: ``(height, width)`` of the model's frames.
            takes_uint8: Whether the model takes uint8 frames.
        """
        shape = (count, *frame_size, 3)
        self._bytes = np.empty(shape, np.uint8) if takes_uint8 else None
        self._shape = shape
        self._floats: NDArray[np.float32] | None = None
        self._as_bytes = [False] * count

    def __len__(self) -> int:
        """Return the number of frames that it has room for."""
        return self._shape[0]

    def put(self, index: int, pixels: Frame, scaler: FrameScaler) -> None:
        """Write a frame, scaled, to its place.

        Args:
            index: Its place.
            pixels: ``(height, width, 3)``, uint8 or float32, as `as_frame` returns it; not checked.
            scaler: Scales it to the size of the model.
        """
        self._as_bytes[index] = self._bytes is not None and pixels.dtype == np.uint8
        if self._bytes is not None and self._as_bytes[index]:
            self._bytes[index] = scaler.scale(cast("NDArray[np.uint8]", pixels))
        else:
            scaler.scale_into(pixels, self._as_floats()[index])

    def prepared(self, count: int, scaler: FrameScaler) -> NDArray[np.float32]:
        """Return the first *count* frames, ``(count, height, width, 3)``, for `StreamModel.step`.

        They are float32, 0 to 1, or uint8 if all came as bytes and the model takes them: then the type is not the
        whole truth, since all other models take float32 alone.
        """
        if self._bytes is None:
            return self._as_floats()[:count]
        if all(self._as_bytes[:count]):
            return cast("NDArray[np.float32]", self._bytes[:count])
        floats = self._as_floats()
        for index in range(count):
            if self._as_bytes[index]:
                scaler.scale_into(self._bytes[index], floats[index])
        return floats[:count]

    def _as_floats(self) -> NDArray[np.float32]:
        if self._floats is None:
            self._floats = np.empty(self._shape, np.float32)
        return self._floats
