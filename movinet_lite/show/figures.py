"""Creates matplotlib figures without pyplot, shown as images in notebooks."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["new_axes"]

_PADDING_INCHES = 0.12
"""Padding between texts and the edges of the figure."""

_NOTEBOOK_SHARPNESS = 2
"""Image pixels per notebook pixel, in each direction: enough for high-resolution screens."""


def new_axes(
    width_inches: float, height_inches: float, *, dots_per_inch: float | None = None
) -> Axes:
    """Return the axes of a new figure.

    The layout keeps all texts inside the figure. As the last line of a notebook cell, the axes are shown as an image of
    the figure.

    Args:
        width_inches: Width of the figure.
        height_inches: Height of the figure.
        dots_per_inch: Resolution; `None` uses matplotlib's setting.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=_PADDING_INCHES, h_pad=_PADDING_INCHES)
    figure = Figure(
        figsize=(width_inches, height_inches), dpi=dots_per_inch, layout=layout
    )
    return figure.add_subplot(axes_class=_shown_axes())


@functools.cache
def _shown_axes() -> type[Axes]:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    class ShownAxes(Axes):
        """Axes that a notebook shows as an image of their figure."""

        def _repr_png_(self) -> tuple[bytes, dict[str, int]] | None:
            """Return the image, and its display size in page pixels."""
            figure = self.get_figure(root=True)
            if not isinstance(figure, Figure):  # they were removed from it
                return None
            file = io.BytesIO()
            figure.savefig(
                file, format="png", dpi=_NOTEBOOK_SHARPNESS * figure.get_dpi()
            )
            width, height = (round(float(length)) for length in figure.bbox.size)
            return file.getvalue(), {"width": width, "height": height}

    return ShownAxes
