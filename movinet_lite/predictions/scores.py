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
    """Return the scores that *logits* stand for, 0 to 1, which sum to 1.

    Args:
        logits: ``(..., classes)``, any numbers, not normalised. A class of minus infinity gets the score 0.

    Returns:
        ``(..., classes)``, float32, 0 to 1, sum 1 over the last axis.

    Raises:
        ArrayError: If *logits* holds no class, NaN, plus infinity, or nothing but minus infinity.

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
    """Return the *k* best classes of *scores* by name.

    Classes of equal score stand in the order of their labels.

    Args:
        scores: ``(classes,)``, from softmax or logits, no NaN.
        labels: The name of each class, in the order of *scores*.
        k: How many classes, at least 1; all of them if there are fewer.

    Returns:
        Pairs of label and score, best first.

    Raises:
        ArrayError: If *scores* is not one finite or infinite number for each class, or *k* is below 1.
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
    """Return *values* as an array, or say that *noun* must be numbers of this *shape* where its rows differ in length."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ArrayError(
            f"{noun} must be numbers of shape {shape}; got a ragged sequence"
        ) from error


def as_floats(
    values: ArrayLike, noun: str, shape: str, *, ndim: int | None = None
) -> NDArray[np.floating[Any]]:
    """Return *values* as float32 or float64, or say what *noun* must be: numbers of this *shape*, with *ndim* axes."""
    array = as_array(values, noun, shape)
    if array.dtype.kind not in "fiu":
        raise ArrayError(
            f"{noun} must be numbers of shape {shape}; got {array.dtype} of shape {array.shape}"
        )
    if array.ndim != (ndim or max(array.ndim, 1)) or 0 in array.shape[-(ndim or 1) :]:
        hint = " (a batch? give one row of it)" if array.ndim == 2 and ndim == 1 else ""
        raise ArrayError(
            f"{noun} must be numbers of shape {shape}; got shape {array.shape}{hint}"
        )
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float64)


def check_peak(peak: float) -> None:
    """Refuse logits by their largest, which is NaN if any of them is."""
    if math.isfinite(peak):
        return
    if peak == -math.inf:
        raise ArrayError(
            "logits must leave a class possible; got minus infinity for every class"
        )
    got = "NaN" if math.isnan(peak) else "plus infinity"
    raise ArrayError(
        f"logits must be numbers; got {got} (NaN in the frames or the weights?)"
    )


def check_count(count: int, noun: str) -> int:
    """Return *count*, a whole number of at least 1, or the most that slices take."""
    try:
        whole = operator.index(count)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ArrayError(f"{noun} must be a whole number, at least 1; got {count!r}")
    return min(whole, sys.maxsize)


def check_label_count(labels: Sequence[str], num_classes: int) -> None:
    """Refuse *labels* that are not one a class; their names are not looked at: this runs once a frame."""
    if isinstance(labels, str) or len(labels) != num_classes:
        check_labels(labels, num_classes)


def best_first(scores: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Return the indices of *scores* along the last axis, the highest first; of equal ones, the first first."""
    # Negated, not reversed, so that the stable sort keeps classes of equal score in their order.
    return np.argsort(-scores, axis=-1, kind="stable")
