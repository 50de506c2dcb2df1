"""Temperature scaling and calibration error (no TensorFlow).

A network's scores are mostly not how often it is right: trained with label smoothing it is right more often than it says,
trained for long less often. Its logits divided by one number, the temperature, mend most of that, and change no ranking [1].

References:
    [1] Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599: temperature
        scaling in section 4.2, the expected calibration error with 15 bins in sections 2 and 5, reliability diagrams in
        section 2.
    [2] Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015: the
        expected calibration error.
"""

from __future__ import annotations

import math
from typing import Final

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.errors import ArrayError, DataError
from movinet_lite.predictions import softmax

__all__ = [
    "MIN_EXAMPLES",
    "Calibration",
    "Reliability",
    "calibrate",
    "fit_temperature",
    "mean_nll",
    "reliability",
]

MIN_EXAMPLES: Final = 10
"""On fewer examples no temperature is fitted: a single wrong one would decide it."""

_LIMITS: Final = (0.05, 20.0)
"""The temperatures that are looked at. Beyond them a score is 1 or 1 / classes, whatever the logits."""

_NUM_BINS: Final = 15  # [1, section 5]
_TOLERANCE: Final = 1e-12
_MAX_STEPS: Final = 200


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """Return the temperature with which *logits* fit *targets* best: that of the smallest mean negative log-likelihood.

    The likelihood is convex in 1 / temperature, so there is one best. It is found by Newton's method, kept between bounds
    by bisection, in float64; the same logits give the same temperature. Fit it on examples that the weights were not
    trained on, and judge it on others again.

    Args:
        logits: ``(examples, classes)``, not normalised, at least `MIN_EXAMPLES` examples and two classes.
        targets: ``(examples,)``, the place of the right class of each.

    Raises:
        ArrayError: If *logits* or *targets* is something else.
        DataError: If there are too few examples; or if they do not tell a temperature, since every one is right, or none
            is better than chance.

    Example:
        >>> logits = [[2.0, 0.0]] * 12  # says 0.88, and is right in 9 of 12
        >>> round(fit_temperature(logits, [0] * 9 + [1] * 3), 4)
        1.8205
    """
    rows, right = _checked(logits, targets)
    if len(rows) < MIN_EXAMPLES:
        raise DataError(
            f"there must be at least {MIN_EXAMPLES} examples to fit a temperature on; got {len(rows)}"
        )
    low, high = 1 / _LIMITS[1], 1 / _LIMITS[0]
    if _slopes(rows, right, high)[0] <= 0:
        raise DataError(
            "the examples must tell a temperature; these do not: with every one right, the surest scores fit best "
            "(calibrate on more videos, or on harder ones)"
        )
    if _slopes(rows, right, low)[0] >= 0:
        raise DataError(
            "the examples must tell a temperature; these do not: the model is no better on them than chance "
            "(are their labels right?)"
        )
    inverse = 1.0
    for _ in range(_MAX_STEPS):
        slope, curvature = _slopes(rows, right, inverse)
        if slope > 0:
            high = inverse
        else:
            low = inverse
        step = slope / curvature if curvature > 0 else math.inf
        following = inverse - step
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - inverse) <= _TOLERANCE * inverse:
            break
        inverse = following
    return 1 / inverse


def mean_nll(
    logits: ArrayLike, targets: ArrayLike, *, temperature: float = 1.0
) -> float:
    """Return the mean negative log-likelihood of *targets*, in nats.

    Args:
        logits: ``(examples, classes)``, not normalised.
        targets: ``(examples,)``, the place of the right class of each.
        temperature: What to divide the logits by.

    Raises:
        ArrayError: If *logits* or *targets* is something else.
    """
    rows, right = _checked(logits, targets)
    scaled = rows / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    of_right = scaled[np.arange(len(scaled)), right]
    return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - of_right))


@attrs.frozen(eq=False)
class Reliability:
    """How often predictions of each score are right: what a reliability diagram shows.

    Attributes:
        edges: ``(bins + 1,)`` float64: the bounds of the scores of each bin; the upper one belongs to the bin.
        counts: ``(bins,)`` int64: how many predictions have such a score.
        mean_score: ``(bins,)`` float64: their mean score; NaN where there are none.
        accuracy: ``(bins,)`` float64: the share of them that is right; NaN where there are none.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    mean_score: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """The expected calibration error, 0 to 1: the mean distance of score and share right over all predictions."""
        filled = self.counts > 0
        gaps = np.abs(self.accuracy[filled] - self.mean_score[filled])
        return float((self.counts[filled] * gaps).sum() / self.counts.sum())


def reliability(
    scores: ArrayLike, is_right: ArrayLike, *, num_bins: int = _NUM_BINS
) -> Reliability:
    """Return how often predictions of each score are right, in bins of equal width.

    Args:
        scores: ``(predictions,)``, that of the best class of each, 0 to 1.
        is_right: ``(predictions,)``, whether it is the right one.
        num_bins: How many bins, at least 1.

    Raises:
        ArrayError: If there is no prediction, a score is not from 0 to 1, or the lengths differ.

    Example:
        >>> found = reliability([0.9, 0.9, 0.5, 0.5], [True, True, True, False])
        >>> round(found.ece, 3)
        0.05
    """
    values = np.asarray(scores, np.float64)
    right = np.asarray(is_right, bool)
    if values.ndim != 1 or values.shape != right.shape or not len(values):
        raise ArrayError(
            "scores and is_right must be one of each prediction, at least one; "
            f"got shapes {values.shape} and {right.shape}"
        )
    if not ((values >= 0) & (values <= 1 + 1e-6)).all():
        raise ArrayError(
            f"scores must be from 0 to 1; got {values.min():g} to {values.max():g}"
        )
    if num_bins < 1:
        raise ArrayError(f"num_bins must be at least 1; got {num_bins}")
    edges = np.linspace(0, 1, num_bins + 1)
    # A score on an edge belongs to the bin below it, as in [1].
    places = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, num_bins - 1)
    counts = np.bincount(places, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            edges,
            counts.astype(np.int64),
            np.bincount(places, values, num_bins) / counts,
            np.bincount(places, right, num_bins) / counts,
        )


@attrs.frozen(eq=False)
class Calibration:
    """A temperature, and what to expect of it.

    Attributes:
        temperature: Fitted on all examples.
        num_examples: How many there were.
        before: How often predictions of each score are right without a temperature.
        after: The same with one; each example's was fitted on others.
        nll_before: The mean negative log-likelihood without, in nats.
        nll_after: The same with one that was fitted on others.
    """

    temperature: float
    num_examples: int
    before: Reliability
    after: Reliability
    nll_before: float
    nll_after: float

    def to_dict(self) -> dict[str, float]:
        """Return the figures as plain values that `json.dumps` takes."""
        return {
            "temperature": self.temperature,
            "num_videos": self.num_examples,
            "ece_before": self.before.ece,
            "ece_left_out": self.after.ece,
            "nll_before": self.nll_before,
            "nll_left_out": self.nll_after,
        }

    def __str__(self) -> str:
        """Return what was fitted and what it gained, in one line."""
        return (
            f"temperature {self.temperature:.3g} of {self.num_examples} videos; expected calibration error "
            f"{self.before.ece:.1%} before, {self.after.ece:.1%} on videos left out"
        )


def calibrate(
    logits: ArrayLike, targets: ArrayLike, *, num_folds: int = 5
) -> Calibration:
    """Return the temperature for some examples, and what it gains on examples that it was not fitted on.

    Args:
        logits: As in `fit_temperature`.
        targets: As there.
        num_folds: In how many parts the examples are dealt in turn to judge the gain: the temperature for each is fitted
            on the others.

    Raises:
        ArrayError: As there.
        DataError: As there.
    """
    rows, right = _checked(logits, targets)
    temperature = fit_temperature(rows, right)
    scaled = np.empty_like(rows)
    for fold in range(num_folds):
        is_out = np.arange(len(rows)) % num_folds == fold
        try:
            others = fit_temperature(rows[~is_out], right[~is_out])
        except DataError:  # what tells the temperature is all in this fold
            others = 1.0
        scaled[is_out] = rows[is_out] / others
    is_right = rows.argmax(axis=1) == right
    return Calibration(
        temperature,
        len(rows),
        reliability(_best(rows), is_right),
        reliability(_best(scaled), is_right),
        mean_nll(rows, right),
        mean_nll(scaled, right),
    )


def _best(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(softmax(rows).max(axis=1), np.float64)


def _checked(
    logits: ArrayLike, targets: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    rows = np.asarray(logits, np.float64)
    right = np.asarray(targets)
    if rows.ndim != 2 or rows.shape[1] < 2 or not np.isfinite(rows).all():
        raise ArrayError(
            "logits must be finite numbers of shape (examples, classes), at least two classes; "
            f"got shape {rows.shape}"
        )
    fits = right.shape == (len(rows),) and right.dtype.kind in "iu"
    if not len(rows) or not fits or right.min() < 0 or right.max() >= rows.shape[1]:
        raise ArrayError(
            f"targets must be the place of a class for each of the {len(rows)} examples, at least one; "
            f"got {right.dtype} of shape {right.shape}"
        )
    return rows, right.astype(np.intp)


def _slopes(
    rows: NDArray[np.float64], right: NDArray[np.intp], inverse: float
) -> tuple[float, float]:
    """Return the first and the second derivative of the mean negative log-likelihood by 1 / temperature."""
    scaled = inverse * rows
    scores = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    expected = (scores * rows).sum(axis=1)
    variance = (scores * (rows - expected[:, np.newaxis]) ** 2).sum(axis=1)
    of_right = rows[np.arange(len(rows)), right]
    return float(np.mean(expected - of_right)), float(variance.mean())
