"""Selects the leading classes of a video, with their curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.errors import ArrayError
from movinet_lite.predictions.scores import (
    as_floats,
    best_first,
    check_count,
    check_label_count,
)

__all__ = ["TopKOverTime", "top_k_over_time"]


@attrs.frozen(eq=False)
class TopKOverTime:
    """The leading classes of a video and the score of each in each frame.

    It can be unpacked: ``labels, scores, indices = top_k_over_time(...)``.

    Attributes:
        labels: The labels, ordered by their scores in the last frame, best first.
        scores: ``(classes, frames)``, float32, 0 to 1: a curve for each of `labels`.
        indices: ``(classes,)``, intp: the index of each of `labels` among all labels.
    """

    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    indices: NDArray[np.intp]

    def __iter__(self) -> Iterator[Any]:
        """Yield the labels, the scores and the indices."""
        return iter((self.labels, self.scores, self.indices))


def top_k_over_time(
    scores: ArrayLike, labels: Sequence[str], *, k: int = 5
) -> TopKOverTime:
    """Return the *k* classes that lead a video, with their scores over time.

    These are the classes that are most often among the *k* best of a frame; ties are resolved by first appearance. The
    best class of the last frame is always included, and comes first.

    Args:
        scores: ``(frames, classes)``, 0 to 1, at least one frame.
        labels: The label of each class.
        k: Number of leading classes per frame, and maximum number of classes returned; at least 1.

    Returns:
        At most *k* classes; fewer if there are fewer leading classes.

    Raises:
        ArrayError: If *scores* is invalid, or *k* is below 1.
        LabelsError: If there is not one label for each class.

    Example:
        >>> over_time = top_k_over_time(
        ...     [[0.5, 0.25, 0.25], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]],
        ...     ["walking", "running", "yoga"],
        ...     k=2,
        ... )
        >>> over_time.labels
        ('yoga', 'walking')
        >>> over_time.scores.tolist()
        [[0.25, 0.5, 1.0], [0.5, 0.5, 0.0]]

    References:
        [1] The TensorFlow Hub tutorial "MoViNet for streaming action recognition" selects the curves to plot in this
            way, but returns an additional class if the last frame's best is not among the *k* most frequent.
    """
    k = check_count(k, "k")
    array = as_floats(scores, "scores", "(frames, classes)", ndim=2)
    low, high = float(array.min()), float(array.max())
    if not (low >= 0.0 and high <= 1.0 + 1e-6):  # false for NaN too
        raise ArrayError(
            f"scores must be from 0 to 1; got {low:g} to {high:g} (if these are logits, apply softmax)"
        )
    check_label_count(labels, array.shape[1])
    leading = best_first(array)[:, :k]
    by_frequency = [
        index for index, _ in Counter(leading.ravel().tolist()).most_common()
    ]
    best_at_last = int(leading[-1, 0])
    indices = list(dict.fromkeys([best_at_last, *by_frequency]))[:k]
    return TopKOverTime(
        tuple(str(labels[i]) for i in indices),
        np.ascontiguousarray(array[:, indices].T, np.float32),
        np.array(indices, np.intp),
    )
