"""Draws a frame above the score curves up to its time.

The public functions are in `movinet_lite.show.plotting`.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.arrays import Frame, FrameSize
from movinet_lite.errors import ArrayError
from movinet_lite.show.curves import COLOURS, Curves, draw_curves
from movinet_lite.show.figures import new_axes
from movinet_lite.show.panel import draw_panel
from movinet_lite.video import prepare_frame, to_uint8

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["StepPainter"]

_COMING_INK = 0.3
"""Share of the text colour in the grey of the rest of the curves; the remainder is background."""

_MIN_HEIGHT = 200
_FRAME_SHARE = 0.56
"""The share of the image height for the frame; the curves have the rest."""

_MARGIN_SHARE = 0.02
"""Margin of the frame at the top and sides, as a share of the image height."""

_MIN_NAMED = 96
"""Minimum height and width of a frame to draw a label on, in pixels."""

_NAME_SCALE = 1.4
"""Font size relative to an overlay's, since the frame is shown small."""

_ASPECTS = (1.3, 16 / 9)
"""Minimum and maximum aspect ratio of an image."""

_INCHES = 6.25
"""Height of an image in inches for matplotlib, which converts font sizes with it."""

_MIN_DOTS_PER_INCH = 60.0
"""Below, ten-point text is illegible."""


class StepPainter:
    """Paints the images of one clip. Static parts are drawn once, on creation.

    The curves are drawn twice: in colour and in grey. An image uses the first version up to its time and the second one
    after it.

    Attributes:
        size: ``(height, width)`` of the images, in pixels.
    """

    def __init__(
        self, curves: Curves, frame_size: FrameSize, *, height: int, log: bool
    ) -> None:
        height = _check_height(height)
        room = round(_FRAME_SHARE * height)
        aspect = frame_size[1] / frame_size[0]
        width = round(
            np.clip(room * aspect, _ASPECTS[0] * height, _ASPECTS[1] * height)
        )
        width += width % 2
        self.size = (height, width)
        self._top = room
        self._curves = curves
        self._draw_curves(log=log)
        self._place_frame(frame_size)

    def paint(self, frame: Frame, index: int) -> NDArray[np.uint8]:
        """Return the image of *frame* at the time of prediction *index*."""
        return self._paint(
            frame, index, float(self._columns[index]), self._rows[:, index]
        )

    def paint_at(self, frame: Frame, place: float) -> NDArray[np.uint8]:
        """Return the image of *frame* at a position on the time axis, which may lie between two predictions."""
        places = self._curves.places
        before = int(np.searchsorted(places, place, side="right")) - 1
        column = float(np.interp(place, places, self._columns))
        rows = np.array([np.interp(place, places, row) for row in self._rows])
        return self._paint(frame, max(before, 0), column, rows)

    def _paint(
        self, frame: Frame, index: int, x: float, y: NDArray[np.float64]
    ) -> NDArray[np.uint8]:
        """Return the image of *frame* with the line at column *x*, the dots at rows *y*, and the leading label."""
        picture = self._background.copy()
        shown = to_uint8(prepare_frame(frame, self._frame_size))
        if min(self._frame_size) >= _MIN_NAMED:
            draw_panel(shown, (self._curves.leaders[index],), scale=_NAME_SCALE)
        picture[self._frame_place] = shown
        rows, right = self._curve_rows, self._curve_right
        column = math.floor(x)
        now = slice(column + 1, right)
        picture[rows, now] = self._coming[:, now]
        half = self._line_width // 2
        picture[rows, column - half : column - half + self._line_width] = self._ink
        for row, colour in reversed(list(zip(y, self._colours, strict=True))):
            self._paint_dot(picture, math.floor(row), column, colour)  # leader on top
        return picture

    def _draw_curves(self, *, log: bool) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import to_rgb

        curves = self._curves
        height, width = self.size
        panel_height = height - self._top
        # A hundredth of a pixel more, since matplotlib rounds down.
        dots_per_inch = max(height / _INCHES, _MIN_DOTS_PER_INCH)
        ax = new_axes(
            (width + 0.01) / dots_per_inch,
            (panel_height + 0.01) / dots_per_inch,
            dots_per_inch=dots_per_inch,
        )
        figure = ax.get_figure(root=True)
        assert figure is not None  # noqa: S101 - it was just made
        canvas = FigureCanvasAgg(figure)
        lines = draw_curves(ax, curves, log=log)
        past = _render(canvas)
        paper = np.array(to_rgb(figure.get_facecolor()))
        ink = np.array(to_rgb(ax.yaxis.label.get_color()))
        figure.set_layout_engine("none")
        for line in lines:
            line.set_color(tuple(_COMING_INK * ink + (1 - _COMING_INK) * paper))
        self._coming = _render(canvas)
        self._background = np.empty((height, width, 3), np.uint8)
        self._background[...] = _as_bytes(paper)
        self._background[self._top :] = past
        self._ink = _as_bytes(ink)
        self._colours = [
            _as_bytes(to_rgb(COLOURS[place % len(COLOURS)]))
            for place in range(len(lines))
        ]
        self._line_width = max(1, round(height / 300))
        self._dot = _disc(max(2.0, height / 110))
        self._find_pixels(ax, curves)
        self._coming = self._coming[
            self._curve_rows.start - self._top : self._curve_rows.stop - self._top
        ]

    def _find_pixels(self, ax: Axes, curves: Curves) -> None:
        """Find the pixel positions of the axes and the points of the curves; matplotlib counts rows from the bottom."""
        height, _ = self.size
        box = ax.bbox
        self._curve_rows = slice(height - round(box.y1), height - round(box.y0))
        self._curve_right = round(box.x1)
        low, high = ax.get_ylim()
        values = np.clip(curves.scores, low, high)
        x, y = np.broadcast_arrays(curves.places, values)
        points = ax.transData.transform(np.stack([x.ravel(), y.ravel()], axis=-1))
        columns, rows = points.reshape(*values.shape, 2).transpose(2, 0, 1)
        self._columns = columns[0]
        self._rows = height - np.nextafter(rows, np.inf)

    def _place_frame(self, frame_size: FrameSize) -> None:
        """Find the largest area for the frame above the curves, with its aspect ratio."""
        height, width = frame_size
        margin = round(_MARGIN_SHARE * self.size[0])
        room = (self._top - margin, self.size[1] - 2 * margin)
        scale = min(room[0] / height, room[1] / width)
        self._frame_size = (
            max(1, round(height * scale)),
            max(1, round(width * scale)),
        )
        top, left = (
            margin + (r - s) // 2 for r, s in zip(room, self._frame_size, strict=True)
        )
        self._frame_place = (
            slice(top, top + self._frame_size[0]),
            slice(left, left + self._frame_size[1]),
        )

    def _paint_dot(
        self,
        picture: NDArray[np.uint8],
        row: int,
        column: int,
        colour: NDArray[np.uint8],
    ) -> None:
        radius = len(self._dot) // 2
        place = picture[
            row - radius : row + radius + 1, column - radius : column + radius + 1
        ]
        cover = self._dot[: place.shape[0], : place.shape[1]]
        place[...] = np.rint(place * (1 - cover) + colour * cover)


def _check_height(height: int) -> int:
    try:
        whole = operator.index(height)
    except TypeError:
        whole = 0
    if whole < _MIN_HEIGHT:
        raise ArrayError(
            f"height must be a whole number of pixels, at least {_MIN_HEIGHT}; got {height!r}"
        )
    return whole


def _render(canvas: Any) -> NDArray[np.uint8]:
    """Return the figure as ``(height, width, 3)``, uint8."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), np.uint8)[..., :3].copy()


def _as_bytes(colour: ArrayLike) -> NDArray[np.uint8]:
    """Return a colour of matplotlib, with values from 0 to 1, as uint8."""
    return np.rint(np.multiply(colour, 255)).astype(np.uint8)


def _disc(radius: float) -> NDArray[np.float32]:
    """Return the coverage of each pixel by a disc: ``(side, side, 1)``, float32, 0 to 1, with an odd side."""
    reach = math.ceil(radius)
    offsets = np.arange(-reach, reach + 1)
    distance = np.hypot(offsets[:, np.newaxis], offsets)
    cover: NDArray[np.float32] = np.clip(radius + 0.5 - distance, 0, 1).astype(
        np.float32
    )
    return cover[..., np.newaxis]
