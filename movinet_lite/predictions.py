"""From a model's logits to named and ranked predictions."""

from __future__ import annotations

import functools
import html
import itertools
import math
import operator
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.arrays import Scores
from movinet_lite.errors import ArrayError, LabelsError
from movinet_lite.labels import as_names, check_labels, label_indices

__all__ = [
    "LabelFilter",
    "Prediction",
    "Ranking",
    "TopKOverTime",
    "mean_prediction",
    "score_table",
    "softmax",
    "top_k",
    "top_k_over_time",
]

_BAR_WIDTH_EM = 10.0  # of a score of 1 in `score_table`

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
    array = _as_floats(logits, "logits", "(..., classes)")
    peak = array.max(axis=-1, keepdims=True)
    if not np.isfinite(peak).all():
        _check_peak(float(peak[~np.isfinite(peak)][0]))
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
    k = _check_count(k, "k")
    array = _as_floats(scores, "scores", "(classes,)", ndim=1)
    if np.isnan(array.max()):
        raise ArrayError(
            "scores must be numbers; got NaN (NaN in the frames or the weights?)"
        )
    _check_label_count(labels, array.size)
    best = _order(array)[:k]
    return tuple(zip([str(labels[i]) for i in best], array[best].tolist(), strict=True))


@attrs.frozen(eq=False)
class TopKOverTime:
    """The leading classes of a video and the score of each in each frame.

    It can be unpacked: ``labels, scores, indices = top_k_over_time(...)``.

    Attributes:
        labels: The names of the classes, the last frame's best first.
        scores: ``(classes, frames)``, float32, 0 to 1: a curve for each of `labels`.
        indices: ``(classes,)``, intp: the place of each of `labels` among all labels.
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

    They are the classes that stand most often among the *k* best of a frame, ordered by how often; of two that do so
    equally often, the one that did so first. The best class of the last frame is always among them, and the first.

    Args:
        scores: ``(frames, classes)``, 0 to 1, at least one frame.
        labels: The name of each class.
        k: How many classes count as leading in a frame, and how many are returned at most; at least 1.

    Returns:
        At most *k* classes, fewer if fewer ever lead.

    Raises:
        ArrayError: If *scores* is something else, or *k* is below 1.
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
        [1] The TensorFlow Hub tutorial "MoViNet for streaming action recognition" chooses the curves that it plots
            this way, but returns one class more where the last frame's best is not among the *k* most frequent.
    """
    k = _check_count(k, "k")
    array = _as_floats(scores, "scores", "(frames, classes)", ndim=2)
    low, high = float(array.min()), float(array.max())
    if not (low >= 0.0 and high <= 1.0 + 1e-6):  # false for NaN too
        raise ArrayError(
            f"scores must be from 0 to 1; got {low:g} to {high:g} "
            "(logits? apply softmax to them)"
        )
    _check_label_count(labels, array.shape[1])
    leading = _order(array)[:, :k]
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


def _check_min_score(_filter: object, _field: object, value: float) -> None:
    if not 0.0 <= value <= 1.0:  # false for NaN too
        raise ArrayError(f"min_score must be a score from 0 to 1; got {value}")


def _check_max_results(_filter: object, _field: object, value: int | None) -> None:
    if value is not None:
        _check_count(value, "max_results")


@attrs.frozen
class LabelFilter:
    """What of a ranking is of interest: some classes only, from some score on, so many at most.

    The names are checked against the labels here, once.

    Attributes:
        labels: The labels of the model, in the order of the logits.
        allow: The only labels to let through; `None` for all.
        deny: Labels to leave out, even if they are allowed.
        min_score: The lowest score to let through, 0 to 1.
        max_results: How many results to let through at most; `None` for any number.

    Raises:
        ArrayError: If *min_score* or *max_results* is out of range.
        LabelsError: If a name is not a label, in which case the message offers the nearest ones, or if no label is
            left.

    Example:
        >>> labels = ("walking", "running", "yoga")
        >>> label_filter = LabelFilter(labels, deny=["running"], min_score=0.25)
        >>> label_filter.apply(top_k([0.25, 0.625, 0.125], labels))
        (('walking', 0.25),)
    """

    labels: tuple[str, ...] = attrs.field(
        converter=check_labels, repr=lambda labels: f"<{len(labels)} labels>"
    )
    allow: tuple[str, ...] | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(as_names)
    )
    deny: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=as_names)
    min_score: float = attrs.field(
        default=0.0, kw_only=True, converter=float, validator=_check_min_score
    )
    max_results: int | None = attrs.field(
        default=None, kw_only=True, validator=_check_max_results
    )
    _permitted: frozenset[str] = attrs.field(init=False, eq=False, repr=False)

    @_permitted.default
    def _names_let_through(self) -> frozenset[str]:
        allowed = self.labels if self.allow is None else self.allow
        label_indices([*allowed, *self.deny], self.labels)
        permitted = frozenset(allowed) - frozenset(self.deny)
        if not permitted:
            raise LabelsError(
                "allow and deny must leave at least one label; "
                f"got allow={self.allow!r}, deny={self.deny!r} "
                "(to allow all labels, leave allow out)"
            )
        return permitted

    def apply(self, ranking: Iterable[tuple[str, float]]) -> Ranking:
        """Return what of *ranking* the filter lets through, in the same order.

        Args:
            ranking: Pairs of label and score, best first.

        Returns:
            The pairs let through, their scores unchanged.
        """
        return tuple(self._passing(ranking))

    def _passing(
        self, ranking: Iterable[tuple[str, float]]
    ) -> Iterator[tuple[str, float]]:
        # A float32 of 0.7 is a little less than 0.7, and passes a filter of 0.7 all the same.
        lowest = min(self.min_score, float(np.float32(self.min_score)))
        passing = (
            (label, score)
            for label, score in ranking
            if score >= lowest and label in self._permitted
        )
        most = self.max_results
        return itertools.islice(
            passing, None if most is None else min(most, sys.maxsize)
        )


def _own_logits(logits: ArrayLike) -> Scores:
    array = _as_floats(logits, "logits", "(classes,)", ndim=1)
    if array.dtype != np.float32:
        with np.errstate(over="ignore"):  # to infinity, which is refused
            array = array.astype(np.float32)
    own = np.array(array, np.float32)
    _check_peak(float(own.max()))
    return _read_only(own)


def _check_temperature(_prediction: object, _field: object, value: float) -> None:
    if not 0.0 < value < math.inf:  # false for NaN too
        raise ArrayError(f"temperature must be a number above 0; got {value}")


def _as_labels(labels: Sequence[str]) -> tuple[str, ...]:
    # A tuple is what a session gives, which has checked it: this runs once a frame.
    return labels if isinstance(labels, tuple) else check_labels(labels)


@attrs.frozen(eq=False, repr=False)
class Prediction:
    """What a model says of a clip, or of a stream up to one frame.

    Its arrays are its own and read-only.

    Attributes:
        logits: ``(classes,)``, float32, any range, not normalised.
        labels: The name of each class.
        frame_index: The frame that it follows, counted from 0; `None` if it belongs to no single frame.
        time_s: When that frame is shown, in seconds from the start of the video; `None` if that is not known.
        frames_seen: How many frames it looks back on, its own included: all of the stream, or fewer where the stream has a
            horizon or was started anew; `None` if it belongs to no stream.
        temperature: What the logits are divided by before softmax, above 0: that of a model that was calibrated, else 1.
        background: The label for "nothing of these", which makes no event; `None` if the model has none.

    Raises:
        ArrayError: If *logits* is not one number for each class, or *temperature* is no number above 0.
        LabelsError: If there is not one label for each class, or *background* is none of them.

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

    def __attrs_post_init__(self) -> None:
        _check_label_count(self.labels, self.logits.size)
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
        """The class with the highest score; of several, the first in the order of the labels."""
        return self.labels[int(self.scores.argmax())]

    @property
    def score(self) -> float:
        """The score of `label`, 0 to 1."""
        return float(self.scores.max())

    def top_k(self, k: int = 5, *, label_filter: LabelFilter | None = None) -> Ranking:
        """Return the *k* classes with the highest scores, or those of them that a filter lets through.

        Args:
            k: How many classes, at least 1; fewer are returned if there are fewer.
            label_filter: What to let through; `None` for every class. It changes no score: those of the classes
                let through need not sum to 1.

        Returns:
            Pairs of label and score, best first; classes of equal score in the order of their labels.

        Raises:
            ArrayError: If *k* is below 1.
            LabelsError: If *label_filter* was made for other labels.
        """
        if label_filter is None:
            return top_k(self.scores, self.labels, k=k)
        k = _check_count(k, "k")
        if label_filter.labels != self.labels:
            raise LabelsError(
                "label_filter must be made for the labels of the prediction; it was made for other ones "
                "(make it with LabelFilter(prediction.labels, ...))"
            )
        ranking = top_k(self.scores, self.labels, k=len(self.labels))
        return tuple(itertools.islice(label_filter._passing(ranking), k))  # noqa: SLF001

    def to_dict(
        self, k: int = 5, *, label_filter: LabelFilter | None = None
    ) -> dict[str, Any]:
        """Return the prediction as plain values that `json.dumps` takes.

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
        # Through the constructor, since pickle forgets that an array is read-only.
        make = functools.partial(
            Prediction,
            frame_index=self.frame_index,
            time_s=self.time_s,
            frames_seen=self.frames_seen,
            temperature=self.temperature,
            background=self.background,
        )
        return make, (self.logits, self.labels)


def mean_prediction(predictions: Iterable[Prediction]) -> Prediction:
    """Return the mean of the scores of *predictions*, as one prediction.

    What a stream says flickers from frame to frame; the mean over some frames, or over the whole video, is steadier.

    Args:
        predictions: At least one, all with the same labels.

    Returns:
        A prediction with the mean scores, and their logarithms as logits, of temperature 1. It belongs to no single
        frame.

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
    if not given:
        raise ArrayError("predictions must be at least one; got none")
    labels = given[0].labels
    if any(prediction.labels != labels for prediction in given):
        raise LabelsError(
            "predictions must have the same labels; got different ones "
            "(predictions of different models?)"
        )
    mean = np.mean([prediction.scores for prediction in given], axis=0)
    with np.errstate(divide="ignore"):  # a class that is nowhere possible
        return Prediction(np.log(mean), labels, background=given[0].background)


def _as_floats(
    values: ArrayLike, noun: str, shape: str, *, ndim: int | None = None
) -> NDArray[np.floating[Any]]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ArrayError(
            f"{noun} must be numbers of shape {shape}; got a ragged sequence"
        ) from error
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


def _check_peak(peak: float) -> None:
    # The largest of some logits is NaN if any of them is.
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


def _check_count(count: int, noun: str) -> int:
    try:
        whole = operator.index(count)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ArrayError(f"{noun} must be a whole number, at least 1; got {count!r}")
    return min(whole, sys.maxsize)  # the most that slices take


def _check_label_count(labels: Sequence[str], num_classes: int) -> None:
    if isinstance(labels, str) or len(labels) != num_classes:
        check_labels(labels, num_classes)


def _order(scores: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    # Negated, not reversed, so that the stable sort keeps classes of equal score in their order.
    return np.argsort(-scores, axis=-1, kind="stable")


def _read_only(array: NDArray[np.float32]) -> NDArray[np.float32]:
    array.setflags(write=False)
    return array


def score_table(
    rows: Iterable[tuple[tuple[str, ...], float]], *, caption: str = ""
) -> str:
    """Return an HTML table: the texts of a row in cells, then the score as a bar and in per cent.

    It brings its own style and takes the colours of the page around it, so it suits dark pages too. A long table
    scrolls.

    Args:
        rows: For each row its texts and its score, 0 to 1. The texts may hold anything; they are escaped.
        caption: What stands above the table; nothing if empty.

    Returns:
        HTML, ASCII but for the letters of the texts.

    Example:
        >>> table = score_table([(("ironing & folding",), 0.25)])
        >>> "ironing &amp; folding" in table, "25.0&nbsp;%" in table
        (True, True)
    """
    head = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(_row(texts, score) for texts, score in rows)
    return (
        '<div style="max-height: 30em; overflow: auto">'
        f'<table style="border-collapse: collapse">{head}<tbody>{body}</tbody></table></div>'
    )


def _row(texts: tuple[str, ...], score: float) -> str:
    cells = "".join(
        f'<td style="text-align: left; padding: 0 0.8em 0 0">{html.escape(text)}</td>'
        for text in texts
    )
    bar = (
        f'<div style="width: {_BAR_WIDTH_EM:g}em; background: rgba(128, 128, 128, 0.25)">'
        f'<div style="width: {100 * score:.1f}%; height: 0.7em; background: #0072B2"></div></div>'
    )
    number = f'<td style="text-align: right; padding: 0 0 0 0.8em">{100 * score:.1f}&nbsp;%</td>'
    return f"<tr>{cells}<td>{bar}</td>{number}</tr>"
