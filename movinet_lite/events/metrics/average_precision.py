"""Average precision of ranked items, by two conventions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["interpolated_ap", "step_ap"]


def interpolated_ap(
    scores: NDArray[np.float64], correct: NDArray[np.bool_], num_reference: int
) -> float:
    """Return the area under the interpolated precision-recall curve: the maximum precision at each recall or above.

    Ties keep their order.

    Args:
        scores: ``(found,)``, in any order.
        correct: ``(found,)`` bool.
        num_reference: Number of reference items, at least 1.

    Example:
        >>> interpolated_ap(np.array([0.75, 0.5]), np.array([False, True]), 1)
        0.5

    References:
        [1] PASCAL VOC from 2010 on, as in ``interpolated_prec_rec`` of the evaluation of ActivityNet.
    """
    if not scores.size:
        return 0.0
    hits = correct[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, hits.size + 1)
    best_from = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from[hits].sum() / num_reference)


def step_ap(scores: NDArray[np.float32], correct: NDArray[np.bool_]) -> float:
    """Return the mean precision at the reached recalls, without interpolation; NaN if nothing is correct.

    Ties are treated as one threshold, so their order does not matter.

    Args:
        scores: ``(examples,)``, in any order.
        correct: ``(examples,)`` bool.

    Example:
        >>> step_ap(np.array([0.75, 0.5], np.float32), np.array([False, True]))
        0.5

    References:
        [1] ``sklearn.metrics.average_precision_score`` uses the same definition.
    """
    if not correct.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(correct[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    precision = hits[last] / (last + 1)
    gained = np.diff(hits[last], prepend=0)
    return float((precision * gained).sum() / hits[-1])
