"""The prediction for a clip or a frame of a stream: logits, scores and labels."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeGuard

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.arrays import Scores
from movinet_lite.errors import ArrayError, LabelsError
from movinet_lite.labels import check_labels
from movinet_lite.predictions.html_table import score_table
from movinet_lite.predictions.label_filter import LabelFilter
from movinet_lite.predictions.scores import (
    Ranking,
    as_floats,
    check_count,
    check_label_count,
    check_peak,
    softmax,
    top_k,
)

__all__ = ["Prediction", "common_labels", "mean_prediction"]

_FLOAT32 = np.dtype(np.float32)


def _own_logits(logits: ArrayLike) -> Scores:
    if _is_row(logits):
        own = logits.copy()
    else:
        array = as_floats(logits, "logits", "(classes,)", ndim=1)
        with np.errstate(over="ignore"):  # to infinity, which is rejected
            own = np.array(array, np.float32)
    check_peak(own.item(own.argmax()))  # of NaN, if there is one
    return _read_only(own)


def _is_row(logits: ArrayLike) -> TypeGuard[Scores]:
    """Return whether *logits* come from a session, which has already checked them."""
    return (
        type(logits) is np.ndarray
        and logits.dtype == _FLOAT32
        and logits.ndim == 1
        and logits.size > 0
    )


def _own_features(features: ArrayLike) -> NDArray[np.float32]:
    return _read_only(np.array(features, np.float32))


def _check_temperature(_prediction: object, _field: object, value: float) -> None:
    if not 0.0 < value < math.inf:  # false for NaN too
        raise ArrayError(f"temperature must be a number above 0; got {value}")


def _as_labels(labels: Sequence[str]) -> tuple[str, ...]:
    # A tuple comes from a session, which has checked it: this runs once per frame.
    return labels if isinstance(labels, tuple) else check_labels(labels)


@attrs.frozen(eq=False, repr=False)
class Prediction:
    """The prediction for a clip, or for a stream up to a frame.

    Its arrays are copies and read-only.

    Attributes:
        logits: ``(classes,)``, float32, any range, not normalised.
        labels: The label of each class.
        frame_index: The frame that it follows, counted from 0; `None` if it does not belong to a single frame.
        time_s: Display time of that frame, in seconds from the start of the video; `None` if unknown.
        frames_seen: Number of frames that it is based on, including its own: all of the stream, or fewer with a horizon
            or after a reset; `None` if it does not belong to a stream.
        temperature: Divides the logits before softmax, above 0; 1 unless the model was calibrated.
        background: The label for "none of these", which makes no event; `None` if the model has none.
        features: ``(channels,)``, float32: the model's features that were asked for, ``"pooled"`` or ``"hidden"``; `None` if
            none were.

    Raises:
        ArrayError: If *logits* does not have one number per class, or *temperature* is not above 0.
        LabelsError: If there is not one label per class, or *background* is not among them.

    Example:
        >>> prediction = Prediction([0.0, 0.0], ("walking", "running"), frame_index=12, time_s=2.4)
        >>> prediction
        Prediction('walking', 0.50, frame 12, 2.4 s)
        >>> prediction.top_k(5)
        (('walking', 0.5), ('running', 0.5))
    """

    logits: Scores = attrs.field(converter=_own_logits)
    labels: tuple[str, ...] = attrs.field(converter=_as_labels)
    frame_index: int | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(operator.index)
    )
    time_s: float | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(float)
    )
    frames_seen: int | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(operator.index)
    )
    temperature: float = attrs.field(
        default=1.0, kw_only=True, converter=float, validator=_check_temperature
    )
    background: str | None = attrs.field(default=None, kw_only=True)
    features: NDArray[np.float32] | None = attrs.field(
        default=None,
        kw_only=True,
        converter=attrs.converters.optional(_own_features),
    )

    def __attrs_post_init__(self) -> None:
        check_label_count(self.labels, self.logits.size)
        if self.background is not None and self.background not in self.labels:
            raise LabelsError(
                f"background must be one of the labels; got {self.background!r}"
            )

    @functools.cached_property
    def scores(self) -> Scores:
        """The softmax of the logits divided by the temperature: ``(classes,)``, float32, 0 to 1, sum 1."""
        if self.temperature == 1.0:
            return _read_only(softmax(self.logits))
        return _read_only(softmax(self.logits / np.float64(self.temperature)))

    @property
    def probabilities(self) -> Scores:
        """The same as `scores`, by the name that Keras and scikit-learn users look for."""
        return self.scores

    @property
    def label(self) -> str:
        """The label with the highest score; the first one in case of a tie."""
        return self.labels[int(self.scores.argmax())]

    @property
    def score(self) -> float:
        """The score of `label`, 0 to 1."""
        return float(self.scores.max())

    def top_k(self, k: int = 5, *, label_filter: LabelFilter | None = None) -> Ranking:
        """Return the *k* labels with the highest scores, among those that pass the filter.

        Args:
            k: Maximum number of labels, at least 1.
            label_filter: The filter; `None` for all labels. Scores do not change, so those of the labels that
                pass need not sum to 1.

        Returns:
            Pairs of label and score, best first; classes of equal score in the order of their labels.

        Raises:
            ArrayError: If *k* is below 1.
            LabelsError: If *label_filter* was made for other labels.
        """
        if label_filter is None:
            return top_k(self.scores, self.labels, k=k)
        k = check_count(k, "k")
        if label_filter.labels != self.labels:
            raise LabelsError(
                "label_filter must have the labels of the prediction; it has others (create it with "
                "LabelFilter(prediction.labels, ...))"
            )
        ranking = top_k(self.scores, self.labels, k=len(self.labels))
        return tuple(itertools.islice(label_filter._passing(ranking), k))  # noqa: SLF001

    def to_dict(
        self, k: int = 5, *, label_filter: LabelFilter | None = None
    ) -> dict[str, Any]:
        """Return the prediction as JSON-compatible values.

        Args:
            k: As in `top_k`.
            label_filter: As in `top_k`.

        Returns:
            ``frame_index``, ``time_s``, and under ``top_k`` a list of dicts of ``label`` and ``score``.

        Example:
            >>> Prediction([0.0, 0.0], ("walking", "running")).to_dict(1)
            {'frame_index': None, 'time_s': None, 'top_k': [{'label': 'walking', 'score': 0.5}]}
        """
        ranking = self.top_k(k, label_filter=label_filter)
        return {
            "frame_index": self.frame_index,
            "time_s": self.time_s,
            "top_k": [{"label": label, "score": score} for label, score in ranking],
        }

    def __repr__(self) -> str:
        place = "" if self.frame_index is None else f", frame {self.frame_index}"
        time = "" if self.time_s is None else f", {round(self.time_s, 3)} s"
        return f"Prediction({self.label!r}, {self.score:.2f}{place}{time})"

    def _repr_html_(self) -> str:
        """Return the five classes with the highest scores as a table, for notebooks."""
        parts = []
        if self.frame_index is not None:
            parts.append(f"frame {self.frame_index}")
        if self.time_s is not None:
            parts.append(f"{round(self.time_s, 3)} s")
        rows = [((label,), score) for label, score in self.top_k(5)]
        return score_table(rows, caption=", ".join(parts))

    def __reduce__(self) -> tuple[Callable[..., Prediction], tuple[Any, ...]]:
        # Through the constructor, since pickle does not preserve that an array is read-only.
        make = functools.partial(
            Prediction,
            frame_index=self.frame_index,
            time_s=self.time_s,
            frames_seen=self.frames_seen,
            temperature=self.temperature,
            background=self.background,
            features=self.features,
        )
        return make, (self.logits, self.labels)


def common_labels(predictions: Sequence[Prediction]) -> tuple[str, ...]:
    """Return the labels that all of *predictions* have.

    Raises:
        ArrayError: If there is no prediction.
        LabelsError: If the labels differ.
    """
    if not predictions:
        raise ArrayError("there must be at least one prediction; got none")
    common = predictions[0].labels
    if any(prediction.labels != common for prediction in predictions):
        raise LabelsError(
            "all predictions must have the same labels; got different ones (predictions of different models?)"
        )
    return common


def mean_prediction(predictions: Iterable[Prediction]) -> Prediction:
    """Return the mean of the scores of *predictions*, as one prediction.

    The predictions of a stream vary from frame to frame; the mean over several frames, or the whole video, is more
    stable.

    Args:
        predictions: At least one, all with the same labels.

    Returns:
        A prediction with the mean scores, and their logarithms as logits, of temperature 1. It does not belong to a
        single frame.

    Raises:
        ArrayError: If there is no prediction.
        LabelsError: If the labels differ.

    Example:
        >>> one = Prediction([0.0, -float("inf")], ("walking", "running"))
        >>> other = Prediction([0.0, 0.0], ("walking", "running"))
        >>> mean_prediction([one, other]).top_k()
        (('walking', 0.75), ('running', 0.25))
    """
    given = tuple(predictions)
    labels = common_labels(given)
    mean = np.mean([prediction.scores for prediction in given], axis=0)
    with np.errstate(divide="ignore"):  # a class whose score is 0 everywhere
        return Prediction(np.log(mean), labels, background=given[0].background)


def _read_only(array: NDArray[np.float32]) -> NDArray[np.float32]:
    array.setflags(write=False)
    return array
