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
    """Draw how often predictions of each score are right; on the diagonal they are as often right as they say.

    Args:
        found: From `movinet_lite.training.calibration.reliability`.
        before: The same without the model's temperature, drawn beside it; `None` for none.
        ax: Where to draw; `None` for a figure of its own.

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
    """Write what `plot_reliability` draws to a picture.

    Args:
        found: As there.
        path: The file; its ending tells the format.
        before: As there.

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
            f"the picture must be a file that can be written; got {error.strerror!r}",
            path,
        ) from error
