"""Converts logits to scores and ranks labels, with checks."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.errors import ArrayError
from movinet_lite.labels import check_labels

__all__ = [
    "Ranking",
    "as_array",
    "as_floats",
    "best_first",
    "check_count",
    "check_label_count",
    "check_peak",
    "softmax",
    "top_k",
]

Ranking: TypeAlias = tuple[tuple[str, float], ...]
"""Labels with their scores, best first."""


def softmax(logits: ArrayLike) -> NDArray[np.float32]:
    """Return the softmax of *logits*: scores from 0 to 1 with sum 1.

    Args:
        logits: ``(..., classes)``, unnormalised. A class of minus infinity gets the score 0.

    Returns:
        ``(..., classes)``, float32, 0 to 1, sum 1 over the last axis.

    Raises:
        ArrayError: If *logits* has no class, or contains NaN, plus infinity, or only minus infinity.

    Example:
        >>> softmax([1.0, 1.0, 1.0, 1.0]).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    array = as_floats(logits, "logits", "(..., classes)")
    peak = array.max(axis=-1, keepdims=True)
    if not np.isfinite(peak).all():
        check_peak(float(peak[~np.isfinite(peak)][0]))
    with np.errstate(over="ignore"):  # minus infinity, whose exponential is 0
        exponentials = np.exp(array - peak)
    total = exponentials.sum(axis=-1, keepdims=True)
    scores: NDArray[np.float32] = (exponentials / total).astype(np.float32)
    return scores


def top_k(scores: ArrayLike, labels: Sequence[str], *, k: int = 5) -> Ranking:
    """Return the *k* labels with the highest scores.

    Ties are returned in the order of *labels*.

    Args:
        scores: ``(classes,)``, scores or logits, without NaN.
        labels: The labels, in the order of *scores*.
        k: Maximum number of labels, at least 1.

    Returns:
        Pairs of label and score, best first.

    Raises:
        ArrayError: If *scores* is not a vector or contains NaN, or *k* is below 1.
        LabelsError: If there is not one label for each score.

    Example:
        >>> top_k([0.25, 0.5, 0.25], ["walking", "running", "yoga"], k=2)
        (('running', 0.5), ('walking', 0.25))
    """
    k = check_count(k, "k")
    array = as_floats(scores, "scores", "(classes,)", ndim=1)
    if np.isnan(array.max()):
        raise ArrayError(
            "scores must be numbers; got NaN (NaN in the frames or the weights?)"
        )
    check_label_count(labels, array.size)
    best = best_first(array)[:k]
    return tuple(zip([str(labels[i]) for i in best], array[best].tolist(), strict=True))


def as_array(values: ArrayLike, noun: str, shape: str) -> NDArray[Any]:
    """Return *values* as an array, or raise an error if it is ragged; *noun* and *shape* are for the message."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ArrayError(
            f"{noun} must be numbers of shape {shape}; got a ragged sequence"
        ) from error


def as_floats(
    values: ArrayLike, noun: str, shape: str, *, ndim: int | None = None
) -> NDArray[np.floating[Any]]:
    """Return *values* as float32 or float64 with *ndim* axes; *noun* and *shape* are for the error message."""
    array = as_array(values, noun, shape)
    if array.dtype.kind not in "fiu":
        raise ArrayError(
            f"{noun} must be numbers of shape {shape}; got {array.dtype} of shape {array.shape}"
        )
    if array.ndim != (ndim or max(array.ndim, 1)) or 0 in array.shape[-(ndim or 1) :]:
        hint = " (for a batch, pass one row)" if array.ndim == 2 and ndim == 1 else ""
        raise ArrayError(
            f"{noun} must be numbers of shape {shape}; got shape {array.shape}{hint}"
        )
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float64)


def check_peak(peak: float) -> None:
    """Raise an error for invalid logits, given their largest, which is NaN if any of them is."""
    if math.isfinite(peak):
        return
    if peak == -math.inf:
        raise ArrayError(
            "at least one logit must be above minus infinity; all are minus infinity"
        )
    got = "NaN" if math.isnan(peak) else "plus infinity"
    raise ArrayError(
        f"logits must be numbers; got {got} (NaN in the frames or the weights?)"
    )


def check_count(count: int, noun: str) -> int:
    """Return *count*, a whole number of at least 1, limited to the largest index."""
    try:
        whole = operator.index(count)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ArrayError(f"{noun} must be a whole number, at least 1; got {count!r}")
    return min(whole, sys.maxsize)


def check_label_count(labels: Sequence[str], num_classes: int) -> None:
    """Raise an error if there is not one label per class; nothing else is checked, as this runs once per frame."""
    if isinstance(labels, str) or len(labels) != num_classes:
        check_labels(labels, num_classes)


def best_first(scores: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Return the indices that sort *scores* along the last axis in descending order; ties keep their order."""
    # Negated, not reversed, so that the stable sort preserves the order of ties.
    return np.argsort(-scores, axis=-1, kind="stable")
