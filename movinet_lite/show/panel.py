"""Draws the leading labels in a corner of a frame.

The font is DejaVu Sans, which is part of matplotlib.
"""

from __future__ import annotations

import functools
from typing import Literal, TypeAlias, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, check_one_of, check_positive
from movinet_lite.predictions import Ranking
from movinet_lite.show.letters import fitting, font, font_size_of, letters

__all__ = ["Corner", "check_corner", "draw_panel"]

Corner: TypeAlias = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
"""The corner of the frame with the panel."""

_PANEL_WIDTH = 19
"""Width of the panel in multiples of the font size, if the frame is wide enough."""

_MAX_PANEL_SHARE = 0.5
"""Maximum height of the panel, as a share of the frame's; rows that do not fit are left out, except the first."""

_PANEL_STRENGTH = 0.72
"""Opacity of the black panel: white text on it has a contrast of at least 8 to 1 on any frame."""

_BAR = np.array([86, 180, 233], np.float32)
_TRACK = np.array([110, 110, 110], np.float32)
_WHITE = np.array([255, 255, 255], np.float32)


def check_corner(corner: Corner) -> Corner:
    """Return *corner*, one of `Corner`; an `ArrayError` is raised for any other."""
    check_one_of(corner, "corner", get_args(Corner))
    return corner


def draw_panel(
    pixels: NDArray[np.uint8],
    ranking: Ranking,
    *,
    corner: Corner = "bottom-left",
    scale: float = 1.0,
) -> None:
    """Draw a panel with a line for each label of *ranking* onto *pixels*.

    Only the pixels of the panel are changed. Panels are cached until their text changes.

    Args:
        pixels: ``(height, width, 3)``, uint8, 0 to 255, RGB; changed in place.
        ranking: Labels and scores, best first; nothing is drawn if it is empty.
        corner: The corner of the panel.
        scale: Font size, relative to the default for the frame.

    Raises:
        ArrayError: If *corner* is unknown, or *scale* is not above 0.
    """
    check_corner(corner)
    check_positive(scale, "scale")
    if ranking:
        height, width, _ = pixels.shape
        panel = _panel(ranking, (height, width), corner, scale)
        place = pixels[panel.place]
        place[...] = np.rint(place * panel.shines_through + panel.light)


@attrs.frozen(eq=False)
class _Panel:
    """A panel to blend with frames of one size: each pixel is multiplied by *shines_through*, then *light* is added.

    Attributes:
        place: The rows and columns of the frame that it covers.
        shines_through: ``(height, width, 1)``, float32, 0 to 1.
        light: ``(height, width, 3)``, float32, 0 to 255.
    """

    place: tuple[slice, slice]
    shines_through: NDArray[np.float32]
    light: NDArray[np.float32]


@functools.lru_cache(maxsize=8)  # a prediction is drawn on several frames
def _panel(
    ranking: Ranking, frame_size: FrameSize, corner: Corner, scale: float
) -> _Panel:
    height, width = frame_size
    font_size = font_size_of(frame_size, scale=scale)
    line_height = sum(font(font_size).getmetrics())
    bar_height = max(2, round(0.18 * font_size))
    gap = round(0.35 * font_size)
    padding = min(round(0.5 * font_size), width // 12)
    margin = min(round(0.6 * font_size), width // 24)
    row_height = line_height + bar_height + gap
    room = _MAX_PANEL_SHARE * height - margin - 2 * padding + gap
    num_rows = int(room // row_height)
    rows = ranking[: max(1, num_rows)]

    panel_width = min(_PANEL_WIDTH * font_size, width - 2 * margin)
    panel_height = 2 * padding + len(rows) * row_height - gap
    shines_through = np.full(
        (panel_height, panel_width, 1), 1 - _PANEL_STRENGTH, np.float32
    )
    light = np.zeros((panel_height, panel_width, 3), np.float32)
    text_width = panel_width - 2 * padding
    for place, (label, score) in enumerate(rows):
        text = _row_text(label, f"{100 * score:.0f} %", font_size, text_width)
        columns = slice(padding, padding + text_width)
        top = padding + place * row_height
        lines = slice(top, top + line_height)
        shines_through[lines, columns] *= 1 - text
        light[lines, columns] = _WHITE * text
        bar = slice(lines.stop, lines.stop + bar_height)
        shines_through[bar, columns] = 0
        light[bar, columns] = _TRACK
        light[bar, padding : padding + round(text_width * score)] = _BAR

    top = margin if corner.startswith("top") else height - margin - panel_height
    top = max(min(top, height - panel_height), 0)
    left = margin if corner.endswith("left") else width - margin - panel_width
    shown = slice(0, height - top)  # all of it, unless the frame is smaller
    return _Panel(
        (slice(top, top + panel_height), slice(left, left + panel_width)),
        shines_through[shown],
        light[shown],
    )


def _row_text(
    label: str, score: str, font_size: int, width: int
) -> NDArray[np.float32]:
    """Return the whiteness of each pixel of a row: the label at the left end, the score at the right end.

    Returns:
        ``(line height, width, 1)``, float32, 0 to 1.
    """
    row = np.zeros((sum(font(font_size).getmetrics()), width, 1), np.float32)
    right = letters(score, font_size)[:, :width]
    row[:, width - right.shape[1] :] = right
    room = width - right.shape[1] - font_size // 2
    left = letters(fitting(label, font_size, room), font_size)[:, : max(room, 0)]
    row[:, : left.shape[1]] = left
    return row
