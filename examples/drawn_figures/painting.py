"""From shapes with places over time to pixels: a canvas for all pictures of a clip at once."""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from drawn_figures.skeleton import Numbers
from movinet_lite.arrays import FrameSize

__all__ = ["Canvas", "Colour", "Limb", "Pixels"]

Colour: TypeAlias = tuple[float, float, float]
"""Red, green and blue, each 0 to 1."""

Pixels: TypeAlias = NDArray[np.float32]
"""A value for each pixel of each picture, ``(..., moments, height, width)``."""


_SAME_DEPTH: Final = 0.02
"""How much farther a thing may be that is painted over another all the same, in the unit of depths."""


@attrs.frozen(eq=False)
class Limb:
    """A rod with round ends, thicker at one end if need be, as it lies in each picture.

    Attributes:
        start: Where its middle line begins, ``(moments, 2)``, right and down, in pixels.
        end: Where it ends.
        start_radius: Half its thickness there, ``(moments,)``, in pixels.
        end_radius: Half its thickness at the other end.
        colour: Its colour.
        start_depth: How far its start is from the eye, ``(moments,)``, in any unit.
        end_depth: How far its end is.
        rounding: How much darker its edges are than its middle, 0 to 1.
    """

    start: Numbers
    end: Numbers
    start_radius: Numbers
    end_radius: Numbers
    colour: Colour
    start_depth: Numbers
    end_depth: Numbers
    rounding: float = 0.4


class Canvas:
    """The pictures of a clip, painted together.

    Attributes:
        planes: Red, green and blue, ``(3, moments, height, width)``, float32, about 0 to 1.
    """

    def __init__(self, num_moments: int, frame_size: FrameSize) -> None:
        self.planes = np.zeros((3, num_moments, *frame_size), np.float32)
        self._depth = np.full((num_moments, *frame_size), np.inf, np.float32)
        self._height, self._width = frame_size
        self._right = np.arange(self._width, dtype=np.float32) + 0.5
        self._down = np.arange(self._height, dtype=np.float32)[:, np.newaxis] + 0.5

    def plane_of(self, right: Numbers, down: Numbers, start: Numbers) -> Pixels:
        """Return the values ``right * x + down * y + start`` of all pixels; one of each a moment."""
        across = _column(right) * self._right + _column(start)
        return across + _column(down) * self._down

    def waves(self, right: Numbers, down: Numbers, start: Numbers) -> Pixels:
        """Return the sine of what `plane_of` returns, which is faster."""
        across = _column(right) * self._right + _column(start)
        along = _column(down) * self._down
        waves: Pixels = np.sin(across) * np.cos(along)
        waves += np.cos(across) * np.sin(along)
        return waves

    def fill(self, colours: list[Pixels]) -> None:
        """Set red, green and blue of all pixels."""
        for plane, values in zip(self.planes, colours, strict=True):
            plane[...] = values

    def blend(self, colours: list[Pixels], cover: Pixels) -> None:
        """Paint over all pixels as far as *cover*, 0 to 1, says."""
        for channel, values in enumerate(colours):
            self.planes[channel] += cover * (values - self.planes[channel])

    def paint(
        self,
        limb: Limb,
        *,
        softness: float = 1.0,
        opacity: float = 1.0,
        in_depth: bool = True,
    ) -> None:
        """Paint a rod.

        Args:
            limb: The rod.
            softness: How wide its edge is, in pixels.
            opacity: 0 to 1.
            in_depth: Whether it is hidden behind what was painted in depth nearer to the eye; if not, it is painted
                over everything.
        """
        window = self._window(limb, softness)
        if window is None:
            return
        rows, columns = window
        cover, shade, along = self._cover(limb, rows, columns, softness)
        if opacity < 1:
            cover *= np.float32(opacity)
        if in_depth:
            depth = along * _column(limb.end_depth - limb.start_depth)
            depth += _column(limb.start_depth)
            behind = self._depth[:, rows, columns]
            # Where bones meet they are equally far: the one painted later is in front.
            cover *= depth < behind + np.float32(_SAME_DEPTH)
            np.copyto(behind, depth, where=cover > 0.5)
        for plane, value in zip(self.planes, limb.colour, strict=True):
            pixels = plane[:, rows, columns]
            change = shade * np.float32(value)
            change -= pixels
            change *= cover
            pixels += change

    def _window(self, limb: Limb, softness: float) -> tuple[slice, slice] | None:
        """Return the rows and columns that the rod touches in any picture, or `None` if it is out of sight."""
        radius = np.maximum(limb.start_radius, limb.end_radius)[:, np.newaxis]
        margin = radius + 0.5 * softness
        low = (np.minimum(limb.start, limb.end) - margin).min(axis=0)
        high = (np.maximum(limb.start, limb.end) + margin).max(axis=0)
        left, top = np.maximum(np.floor(low), 0).astype(int)
        right, bottom = np.ceil(high).astype(int)
        right, bottom = min(right, self._width), min(bottom, self._height)
        if left >= right or top >= bottom:
            return None
        return slice(top, bottom), slice(left, right)

    def _cover(
        self, limb: Limb, rows: slice, columns: slice, softness: float
    ) -> tuple[Pixels, Pixels, Pixels]:
        """Return how far each pixel is covered, how bright it is, and how far along the rod it lies, each 0 to 1."""
        bone = limb.end - limb.start
        length = np.maximum(np.hypot(bone[:, 0], bone[:, 1]), 1e-3)
        unit = bone / length[:, np.newaxis]
        right = self._right[columns] - _column(limb.start[:, 0])
        down = self._down[rows] - _column(limb.start[:, 1])
        # How far along the line and how far beside it: each a sum of a row and a column.
        forward = right * _column(unit[:, 0]) + down * _column(unit[:, 1])
        beside = right * _column(unit[:, 1]) - down * _column(unit[:, 0])
        along = np.clip(forward, 0, _column(length))
        forward -= along
        forward *= forward
        beside *= beside
        beside += forward
        along *= _column(1 / length)
        radius = along * _column(limb.end_radius - limb.start_radius)
        radius += _column(limb.start_radius)
        distance = np.sqrt(beside)
        cover = radius - distance
        cover *= np.float32(1 / softness)
        cover += np.float32(0.5)
        np.clip(cover, 0, 1, out=cover)
        radius *= radius
        np.divide(beside, radius, out=beside)
        np.minimum(beside, 1, out=beside)
        beside *= np.float32(-limb.rounding)
        beside += np.float32(1)
        return cover, beside, along


def _column(values: Numbers) -> Pixels:
    return values.astype(np.float32)[:, np.newaxis, np.newaxis]
