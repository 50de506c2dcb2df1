"""A window that plays frames at their times.

It uses tkinter, which is part of Python on most systems.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Frame, FrameSize, as_frame
from movinet_lite.errors import MoViNetError
from movinet_lite.video import prepare_frame, to_uint8

if TYPE_CHECKING:
    from tkinter import PhotoImage

__all__ = ["Window"]

_MAX_SCREEN_SHARE = 0.9
_MIN_HEIGHT = 480
"""Smaller frames are enlarged to this height, in pixels, if the screen is large enough."""

_WAIT_S = 0.02
"""Polling interval for window events while waiting for the time of a frame, in seconds."""


class Window:
    """A window that opens with its first frame; also a context manager that closes it.

    Attributes:
        is_open: Whether the window is open; users can close it, also with the keys q and Escape.

    Raises:
        MoViNetError: If there is no display, or Python lacks tkinter.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter as tk
        except ImportError as error:
            raise MoViNetError(
                "a window requires tkinter, which this Python lacks; install it (python3-tk on Debian and Ubuntu), "
                "or write a file instead"
            ) from error
        try:
            self._root = tk.Tk()
        except tk.TclError as error:
            raise MoViNetError(
                f"a window requires a display, and there is none ({error}); write a file instead"
            ) from error
        self.is_open = True
        self._root.withdraw()  # until there is something to show
        self._root.title(title)
        self._root.resizable(width=False, height=False)
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        for key in ("<q>", "<Escape>"):
            self._root.bind(key, lambda _event: self.close())
        self._label = tk.Label(self._root, borderwidth=0, background="black")
        self._label.pack()
        self._image: PhotoImage | None = (
            None  # Tk drops images without a Python reference
        )
        self._began_s = 0.0
        self._last_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the window; closing twice has no effect."""
        if self.is_open:
            self.is_open = False
            self._root.destroy()

    def show(self, frame: Frame, time_s: float) -> None:
        """Wait for the time of *frame*, and show it; do nothing if the window was closed.

        Late frames are shown immediately. A time before that of the last frame starts another video.

        Args:
            frame: ``(height, width, 3)``, uint8, 0 to 255, or floating point, 0 to 1, RGB.
            time_s: Display time, in seconds from the start of the video.

        Raises:
            ArrayError: If *frame* is not an RGB picture.
        """
        from tkinter import PhotoImage

        pixels = as_frame(frame)
        if self._last_s is None or time_s < self._last_s:
            self._began_s = time.monotonic() - time_s
        self._last_s = time_s
        self._wait_until(self._began_s + time_s)
        if self.is_open:
            self._image = PhotoImage(
                master=self._root, data=_as_ppm(self._scaled(pixels)), format="PPM"
            )
            self._label.configure(image=self._image)
            self._root.deiconify()
            self._root.update()

    def _wait_until(self, due_s: float) -> None:
        while self.is_open and (left_s := due_s - time.monotonic()) > 0:
            self._root.update()
            time.sleep(min(left_s, _WAIT_S))

    def _scaled(self, pixels: Frame) -> NDArray[np.uint8]:
        screen = (self._root.winfo_screenheight(), self._root.winfo_screenwidth())
        size = _shown_size((pixels.shape[0], pixels.shape[1]), screen)
        if size == pixels.shape[:2]:
            return to_uint8(pixels)
        return to_uint8(prepare_frame(pixels, size))


def _shown_size(frame_size: FrameSize, screen_size: FrameSize) -> FrameSize:
    """Return the display size of a frame: its own, unless that is too small or too large.

    Example:
        >>> _shown_size((240, 320), (1080, 1920)), _shown_size((2160, 3840), (1080, 1920))
        ((480, 640), (972, 1728))
    """
    height, width = frame_size
    largest = min(
        _MAX_SCREEN_SHARE * screen_size[0] / height,
        _MAX_SCREEN_SHARE * screen_size[1] / width,
    )
    scale = min(largest, max(1.0, _MIN_HEIGHT / height))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _as_ppm(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image in PPM format, which Tk reads."""
    height, width, _ = pixels.shape
    return b"P6 %d %d 255 " % (width, height) + pixels.tobytes()
