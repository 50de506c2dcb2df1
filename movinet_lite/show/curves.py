"""Plots score curves with matplotlib.

The public functions are in `movinet_lite.show.plotting`.
"""

from __future__ import annotations

import importlib.util
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.arrays import check_positive
from movinet_lite.errors import ArrayError, LabelsError, MissingDependencyError
from movinet_lite.predictions import Prediction, top_k_over_time
from movinet_lite.predictions.prediction import common_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

__all__ = [
    "COLOURS",
    "Curves",
    "Predictions",
    "check_matplotlib",
    "draw_curves",
    "read_curves",
]

Predictions: TypeAlias = Iterable[Prediction] | ArrayLike
"""Predictions over time: a `Prediction` for each frame, or scores ``(frames, classes)``, 0 to 1."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Colours of the curves, distinguishable with any kind of colour vision [1].

Further curves repeat the colours with another line style.

References:
    [1] M. Okabe, K. Ito, "Color Universal Design", 2008, without yellow and black, which are invisible on a white or
        black background.
"""

_LINES = ("-", "--", ":", "-.")

_LABEL_WIDTH = 24
"""Maximum characters per line of the legend."""

_MAX_LABELS_IN_TWO_LINES = 6
_MIN_FONT_SIZE = 4.0
_MAX_LEGEND_SHARE = 0.5
"""Maximum width of the legend, as a share of the axes."""

_LOWEST_PROBABILITY = 1e-6
"""Lowest end of a logarithmic axis."""


def check_matplotlib() -> None:
    """Check that matplotlib is installed, without importing it.

    Raises:
        MissingDependencyError: If it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingDependencyError("matplotlib", "plot")


@attrs.frozen(eq=False)
class Curves:
    """The leading classes over time.

    Attributes:
        labels: The label of each curve.
        scores: ``(curves, frames)``, float32, 0 to 1.
        places: ``(frames,)``, float64, the position of each frame on the axis: seconds or frame numbers.
        axis_name: The name of the axis.
        leaders: The class with the highest score in each frame, and that score.
    """

    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    places: NDArray[np.float64]
    axis_name: str
    leaders: tuple[tuple[str, float], ...]


def read_curves(
    predictions: Predictions,
    labels: Sequence[str] | None,
    *,
    k: int,
    fps: float | None,
) -> Curves:
    """Return the curves of the leading classes; for the arguments see `movinet_lite.show.plotting`.

    Raises:
        ArrayError: If *predictions* is empty or invalid, times go backwards, or *k* or *fps* is out of range.
        LabelsError: If labels are missing, differ between predictions, or their number is not that of the classes.
    """
    if fps is not None:
        check_positive(fps, "fps")
    given = _as_rows(predictions)
    times_s = numbers = None
    if isinstance(given, list) and any(isinstance(row, Prediction) for row in given):
        labels = _common_labels(given, labels)
        times_s = _all_known([prediction.time_s for prediction in given])
        numbers = _all_known([prediction.frame_index for prediction in given])
        given = np.stack([prediction.scores for prediction in given])
    if labels is None:
        raise LabelsError(
            "an array of scores requires labels, one for each class; got none"
        )
    leading = top_k_over_time(given, labels, k=k)
    places, axis_name = _places(leading.scores.shape[1], times_s, numbers, fps)
    rows = np.asarray(given, np.float32)
    leaders = tuple(
        (labels[place], float(row[place]))
        for row, place in zip(rows, rows.argmax(axis=1).tolist(), strict=True)
    )
    return Curves(leading.labels, leading.scores, places, axis_name, leaders)


def _as_rows(predictions: Predictions) -> Any:
    """Return *predictions* unchanged if they are an array, otherwise as a non-empty list.

    Raises:
        ArrayError: If they are a single prediction, or empty.
    """
    if isinstance(predictions, Prediction):
        raise ArrayError(
            "predictions must be a series, one for each frame; got a single Prediction (write [prediction])"
        )
    if isinstance(predictions, np.ndarray) or not isinstance(predictions, Iterable):
        return predictions
    rows = list(predictions)
    if not rows:
        raise ArrayError("there must be at least one prediction; got none")
    return rows


def _common_labels(
    predictions: list[Any], labels: Sequence[str] | None
) -> Sequence[str]:
    strangers = [p for p in predictions if not isinstance(p, Prediction)]
    if strangers:
        raise ArrayError(
            f"predictions must all be a Prediction, or all be numbers; got a {type(strangers[0]).__name__} among them"
        )
    common = common_labels(predictions)
    if labels is not None and tuple(labels) != common:
        raise LabelsError(
            "labels must be those of the predictions; got others (omit labels: predictions have their own)"
        )
    return common


def _all_known(values: list[Any]) -> NDArray[np.float64] | None:
    return None if None in values else np.array(values, np.float64)


def _places(
    num_frames: int,
    times_s: NDArray[np.float64] | None,
    numbers: NDArray[np.float64] | None,
    fps: float | None,
) -> tuple[NDArray[np.float64], str]:
    """Return the position of each frame on the time axis, and the name of the axis."""
    if times_s is not None:
        _check_times(times_s)
        return times_s, "time (s)"
    if numbers is None or not bool((np.diff(numbers) > 0).all()):
        numbers = np.arange(num_frames, dtype=np.float64)
    return (numbers, "frame") if fps is None else (numbers / fps, "time (s)")


def _check_times(times_s: NDArray[np.float64]) -> None:
    if not np.isfinite(times_s).all():
        raise ArrayError(
            "the times of predictions must be numbers; got NaN or infinity"
        )
    backwards = np.flatnonzero(np.diff(times_s) < 0)
    if backwards.size:
        at = int(backwards[0])
        raise ArrayError(
            f"the times of predictions must not go backwards; got {times_s[at]:g} s and then {times_s[at + 1]:g} s "
            "(predictions of two videos? plot them one by one)"
        )


def draw_curves(ax: Axes, curves: Curves, *, log: bool) -> list[Line2D]:
    """Draw the curves, the axes and the legend; return the lines."""
    from matplotlib.ticker import MaxNLocator

    marker = "o" if len(curves.places) == 1 else ""
    lines = []
    for place, curve in enumerate(curves.scores):
        (line,) = ax.plot(
            curves.places,
            curve,
            color=COLOURS[place % len(COLOURS)],
            linestyle=_LINES[place // len(COLOURS) % len(_LINES)],
            marker=marker,
            zorder=3 - place / len(curves.labels),  # the leading one on top
        )
        lines.append(line)
    if log:
        ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(_lowest(curves.scores), 1.3)
    else:
        ax.set_ylim(-0.02, 1.02)
    first, last = float(curves.places[0]), float(curves.places[-1])
    margin = 0.01 * (last - first) or 0.5
    ax.set_xlim(first - margin, last + margin)
    if first == last:
        ax.set_xticks([first])
    elif curves.axis_name == "frame":
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.set_xlabel(curves.axis_name)
    ax.set_ylabel("score")
    ax.grid(visible=True, alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    _add_legend(ax, lines, curves.labels)
    return lines


def _lowest(scores: NDArray[np.float32]) -> float:
    """Return the power of ten at the end of a logarithmic axis: two decades, or more if the curves need it."""
    positive = scores[scores > 0]
    lowest = float(positive.min()) if positive.size else 1.0
    decade = 10.0 ** math.floor(math.log10(max(lowest, _LOWEST_PROBABILITY)))
    return float(min(decade, 0.01))


def _add_legend(ax: Axes, lines: list[Line2D], labels: tuple[str, ...]) -> None:
    """Draw the legend to the right of the axes, in a font size that fits their height."""
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties

    in_two_lines = len(labels) <= _MAX_LABELS_IN_TWO_LINES
    texts = [_shorten(label, max_lines=1 + in_two_lines) for label in labels]
    size = FontProperties(size=rcParams["legend.fontsize"]).get_size_in_points()
    legend = _place_legend(ax, lines, texts, size)
    box = legend.get_window_extent()
    room = ax.bbox
    share = min(
        room.height / box.height, _MAX_LEGEND_SHARE * room.width / box.width, 1.0
    )
    if share < 1:
        size = max(size * share, _MIN_FONT_SIZE)
        legend = _place_legend(ax, lines, texts, size)
    _make_room(ax, legend)


def _place_legend(
    ax: Axes, lines: list[Line2D], texts: list[str], font_size: float
) -> Legend:
    # Texts are set later: matplotlib skips those that start with "_", and treats "$" as mathematics.
    legend = ax.legend(
        lines,
        ["-"] * len(lines),
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0.0,
        frameon=False,
        fontsize=font_size,
        alignment="left",
    )
    for shown, text in zip(legend.get_texts(), texts, strict=True):
        shown.set_parse_math(False)
        shown.set_text(text)
    return legend


def _make_room(ax: Axes, legend: Legend) -> None:
    """Make room for the legend, unless the figure's layout does so."""
    figure = ax.figure
    if figure.get_layout_engine() is not None:
        return
    place = ax.get_position()
    legend_width = legend.get_window_extent().width / figure.bbox.width
    width = max(place.width - legend_width - 0.02 * place.width, 0.2 * place.width)
    ax.set_position((place.x0, place.y0, width, place.height))


def _shorten(label: str, *, max_lines: int) -> str:
    r"""Return *label* in at most *max_lines* lines, with an ellipsis in the middle if it is too long.

    Example:
        >>> _shorten("passing American football (not in game)", max_lines=2)
        'passing American\nfootball (not in game)'
        >>> _shorten("passing American football (not in game)", max_lines=1)
        'passing Americ…(not in game)'
    """
    text = " ".join(label.split())
    lines = textwrap.wrap(text, _LABEL_WIDTH)
    if len(lines) <= max_lines:
        return "\n".join(lines)
    for length in range(len(text) - 1, 1, -1):
        tail = length // 2
        short = f"{text[: length - tail].rstrip()}…{text[len(text) - tail :]}"
        lines = textwrap.wrap(short, _LABEL_WIDTH + 4 * (max_lines == 1))
        if len(lines) <= max_lines:
            break
    return "\n".join(lines)
