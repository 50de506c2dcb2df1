"""Temperature scaling and calibration error (no TensorFlow).

The scores of a network usually differ from its accuracy: with label smoothing it is underconfident, after long training
overconfident. Dividing the logits by one number, the temperature, corrects most of this without changing the ranking
[1].

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
"""The minimum number of examples to fit a temperature; with fewer, a single error would determine it."""

_LIMITS: Final = (0.05, 20.0)
"""The range of temperatures. Outside it every score is close to 1 or to 1 / classes."""

_NUM_BINS: Final = 15  # [1, section 5]
_TOLERANCE: Final = 1e-12
_MAX_STEPS: Final = 200


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """Return the temperature that minimises the mean negative log-likelihood of *targets*.

    The negative log-likelihood is convex in 1 / temperature, so the minimum is unique. It is found with Newton's
    method, safeguarded by bisection, in float64; the result is deterministic. Fit the temperature on examples that the
    weights were not trained on, and evaluate it on others.

    Args:
        logits: ``(examples, classes)``, unnormalised, at least `MIN_EXAMPLES` examples and two classes.
        targets: ``(examples,)``, the class indices.

    Raises:
        ArrayError: If *logits* or *targets* is invalid.
        DataError: If there are too few examples, or no temperature can be fitted, because every prediction is correct
            or none is better than chance.

    Example:
        >>> logits = [[2.0, 0.0]] * 12  # score 0.88, correct for 9 of 12
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
            "no temperature can be fitted to these examples: every prediction is correct, so the most confident "
            "scores fit best "
            "(calibrate on more videos, or on harder ones)"
        )
    if _slopes(rows, right, low)[0] >= 0:
        raise DataError(
            "no temperature can be fitted to these examples: the model is not better than chance on them "
            "(check their labels)"
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
        logits: ``(examples, classes)``, unnormalised.
        targets: ``(examples,)``, the class indices.
        temperature: The temperature to divide the logits by.

    Raises:
        ArrayError: If *logits* or *targets* is invalid.
    """
    rows, right = _checked(logits, targets)
    scaled = rows / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    of_right = scaled[np.arange(len(scaled)), right]
    return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - of_right))


@attrs.frozen(eq=False)
class Reliability:
    """The accuracy of predictions by score, as in a reliability diagram.

    Attributes:
        edges: ``(bins + 1,)`` float64: the edges of the bins; the upper edge belongs to the bin.
        counts: ``(bins,)`` int64: the number of predictions in each bin.
        mean_score: ``(bins,)`` float64: the mean score; NaN for empty bins.
        accuracy: ``(bins,)`` float64: the accuracy; NaN for empty bins.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    mean_score: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """The expected calibration error, 0 to 1: the mean gap between score and accuracy over all predictions."""
        filled = self.counts > 0
        gaps = np.abs(self.accuracy[filled] - self.mean_score[filled])
        return float((self.counts[filled] * gaps).sum() / self.counts.sum())


def reliability(
    scores: ArrayLike, is_right: ArrayLike, *, num_bins: int = _NUM_BINS
) -> Reliability:
    """Return the accuracy of predictions by score, in bins of equal width.

    Args:
        scores: ``(predictions,)``, the score of the best class, 0 to 1.
        is_right: ``(predictions,)``, whether the best class is the correct one.
        num_bins: Number of bins, at least 1.

    Raises:
        ArrayError: If there is no prediction, a score is not between 0 and 1, or the lengths differ.

    Example:
        >>> found = reliability([0.9, 0.9, 0.5, 0.5], [True, True, True, False])
        >>> round(found.ece, 3)
        0.05
    """
    values = np.asarray(scores, np.float64)
    right = np.asarray(is_right, bool)
    if values.ndim != 1 or values.shape != right.shape or not len(values):
        raise ArrayError(
            f"scores and is_right must have one value per prediction, and at least one; got shapes {values.shape} "
            f"and {right.shape}"
        )
    if not ((values >= 0) & (values <= 1 + 1e-6)).all():
        raise ArrayError(
            f"scores must be between 0 and 1; got {values.min():g} to {values.max():g}"
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
    """A temperature and its cross-validated effect.

    Attributes:
        temperature: The temperature, fitted on all examples.
        num_examples: Number of examples.
        before: The accuracy by score without a temperature.
        after: The accuracy by score with a temperature that was fitted on other examples.
        nll_before: The mean negative log-likelihood without a temperature, in nats.
        nll_after: The mean negative log-likelihood with a temperature that was fitted on other examples, in nats.
    """

    temperature: float
    num_examples: int
    before: Reliability
    after: Reliability
    nll_before: float
    nll_after: float

    def to_dict(self) -> dict[str, float]:
        """Return the figures as JSON-compatible values."""
        return {
            "temperature": self.temperature,
            "num_videos": self.num_examples,
            "ece_before": self.before.ece,
            "ece_left_out": self.after.ece,
            "nll_before": self.nll_before,
            "nll_left_out": self.nll_after,
        }

    def __str__(self) -> str:
        """Return a one-line summary."""
        return (
            f"temperature {self.temperature:.3g} of {self.num_examples} videos; expected calibration error "
            f"{self.before.ece:.1%} before, {self.after.ece:.1%} on videos left out"
        )


def calibrate(
    logits: ArrayLike, targets: ArrayLike, *, num_folds: int = 5
) -> Calibration:
    """Return the temperature for some examples, with its effect estimated by cross-validation.

    Args:
        logits: As in `fit_temperature`.
        targets: As in `fit_temperature`.
        num_folds: Number of folds of the cross-validation.

    Raises:
        ArrayError: As in `fit_temperature`.
        DataError: As in `fit_temperature`.
    """
    rows, right = _checked(logits, targets)
    temperature = fit_temperature(rows, right)
    scaled = np.empty_like(rows)
    for fold in range(num_folds):
        is_out = np.arange(len(rows)) % num_folds == fold
        try:
            others = fit_temperature(rows[~is_out], right[~is_out])
        except DataError:  # without this fold, no temperature can be fitted
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
