"""Reliability diagrams: accuracy by score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from movinet_lite.errors import DataError
from movinet_lite.show.curves import check_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from movinet_lite.training.calibration import Reliability

__all__ = ["plot_reliability", "save_reliability"]


def plot_reliability(
    found: Reliability, *, before: Reliability | None = None, ax: Axes | None = None
) -> Axes:
    """Plot a reliability diagram: the accuracy by score. On the diagonal, the two are equal.

    Args:
        found: The result of `movinet_lite.training.calibration.reliability`.
        before: The result without the model's temperature, drawn beside it; `None` for none.
        ax: The axes to draw on; `None` for a new figure.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.figure import Figure

    if ax is None:
        ax = Figure(figsize=(5, 5), layout="constrained").add_subplot()
    ax.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
    width = found.edges[1] - found.edges[0]
    share = found.counts / found.counts.sum()
    ax.bar(
        found.edges[:-1],
        share,
        width,
        align="edge",
        color="gray",
        alpha=0.3,
        label="share of predictions",
    )
    for one, name, color, marker in (
        (before, "without the temperature", "#D55E00", "s"),
        (found, "as predicted", "#0072B2", "o"),
    ):
        if one is not None:
            filled = np.flatnonzero(one.counts)
            label = name if before is not None else "predictions"
            ax.plot(
                one.mean_score[filled],
                one.accuracy[filled],
                color=color,
                marker=marker,
                label=f"{label}, error {one.ece:.1%}",
            )
    ax.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="score",
        ylabel="share that is right",
    )
    ax.legend(loc="upper left", fontsize="small")
    return ax


def save_reliability(
    found: Reliability, path: str | Path, *, before: Reliability | None = None
) -> None:
    """Write the plot of `plot_reliability` to an image file.

    Args:
        found: As in `plot_reliability`.
        path: The output path; its extension selects the format.
        before: As in `plot_reliability`.

    Raises:
        DataError: If the file cannot be written.
        MissingDependencyError: If matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = plot_reliability(found, before=before).figure
    assert isinstance(figure, Figure)  # noqa: S101 - made above
    try:
        figure.savefig(path)
    except OSError as error:
        raise DataError(
            f"the image file must be writable; got {error.strerror!r}",
            path,
        ) from error
