"""Evaluates a classifier on labelled videos: overall, by class, and by number of frames (no TensorFlow)."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Frame, VideoFrame
from movinet_lite.classifiers import BaseClassifier, StreamingClassifier
from movinet_lite.errors import ArrayError, DataError, VideoError
from movinet_lite.predictions import Prediction, softmax
from movinet_lite.training.calibration import Reliability, reliability
from movinet_lite.training.examples import Example, Skipped, check_known
from movinet_lite.training.settings import check_count
from movinet_lite.video import Fit

__all__ = [
    "EVALUATION_FIT",
    "ClassResult",
    "Evaluation",
    "evaluate",
    "with_evaluation_fit",
]

EVALUATION_FIT: Final[Fit] = "evaluation"
"""How to resize frames for a model that does not store this: as for the published accuracies."""

_TOP: Final = 5


@attrs.frozen
class ClassResult:
    """The result for one class.

    Attributes:
        label: The class.
        num_videos: Number of videos.
        top_1: The top-1 accuracy on them, 0 to 1.
        most_confused_with: The most frequent wrong prediction; `None` if there is none.
    """

    label: str
    num_videos: int
    top_1: float
    most_confused_with: str | None


@attrs.frozen(eq=False)
class Evaluation:
    """The accuracy of a classifier on labelled videos.

    Attributes:
        labels: The labels of the model, in the order of the logits.
        confusion: ``(classes, classes)`` int64: number of videos by true class (row) and predicted class (column).
        top_5: The top-5 accuracy, 0 to 1.
        top_1_by_frame: ``(frames,)`` float64: the top-1 accuracy after each number of frames; shorter videos count with
            their last prediction. `None` for a base model, which classifies whole clips.
        skipped: The videos that could not be read.
        logits: ``(videos, classes)`` float32: the unnormalised logits of each video's final prediction.
        targets: ``(videos,)`` int64: the class indices.
        scores: ``(videos,)`` float32: the score of each video's predicted class, 0 to 1.
        temperature: The temperature of the model; `None` if it is not calibrated.
        scores_before: The scores without the temperature; `None` if there is none, or if a base model averaged the
            scores of several clips of a video.
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    top_5: float
    top_1_by_frame: NDArray[np.float64] | None
    skipped: tuple[Skipped, ...]
    logits: NDArray[np.float32] = attrs.field(repr=False)
    targets: NDArray[np.int64] = attrs.field(repr=False)
    scores: NDArray[np.float32] = attrs.field(repr=False)
    temperature: float | None = None
    scores_before: NDArray[np.float32] | None = attrs.field(default=None, repr=False)

    @property
    def num_videos(self) -> int:
        """Number of evaluated videos."""
        return int(self.confusion.sum())

    @property
    def top_1(self) -> float:
        """The top-1 accuracy, 0 to 1."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def by_class(self) -> tuple[ClassResult, ...]:
        """The result of each class that has videos, in the order of the labels."""
        results = []
        for index, label in enumerate(self.labels):
            row: NDArray[np.int64] = self.confusion[index]
            count = int(row.sum())
            if not count:
                continue
            wrong = np.where(np.arange(len(row)) == index, 0, row)
            mistaken = self.labels[int(wrong.argmax())] if wrong.any() else None
            results.append(
                ClassResult(label, count, float(row[index] / count), mistaken)
            )
        return tuple(results)

    @property
    def reliability(self) -> Reliability:
        """The accuracy by score, for the scores that the model returns."""
        return reliability(self.scores, self._is_right)

    @property
    def reliability_before(self) -> Reliability | None:
        """The accuracy by score without the model's temperature; `None` if `scores_before` is `None`."""
        before = self.scores_before
        return None if before is None else reliability(before, self._is_right)

    @property
    def _is_right(self) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = self.logits.argmax(axis=1) == self.targets
        return right

    def to_text(self) -> str:
        """Return a human-readable report."""
        without = self.reliability_before
        before = (
            ""
            if without is None
            else f" ({without.ece:.1%} without the model's temperature of {self.temperature:.3g})"
        )
        lines = [
            f"top-1 {self.top_1:.1%}, top-5 {self.top_5:.1%} of {self.num_videos} videos",
            f"expected calibration error {self.reliability.ece:.1%}{before}",
        ]
        if self.top_1_by_frame is not None:
            lines += ["", "frames seen  top-1"]
            lines += [
                f"{count:>11}  {self.top_1_by_frame[count - 1]:.1%}"
                for count in _counts_to_show(len(self.top_1_by_frame))
            ]
        width = max(len(result.label) for result in self.by_class)
        lines += ["", f"{'class':<{width}}  videos   top-1  most confused with"]
        lines += [
            f"{result.label:<{width}}  {result.num_videos:>6}  {result.top_1:>6.1%}  {result.most_confused_with or '-'}"
            for result in self.by_class
        ]
        return "\n".join(lines)

    def confusion_to_text(self) -> str:
        """Return the confusion matrix as text: a row for each class with videos, a column for each predicted class."""
        shown = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        columns = np.flatnonzero(shown).tolist()
        width = max(len(self.labels[index]) for index in columns)
        digits = max(3, len(str(self.confusion.max())) + 1)
        header = "".join(f"{number:>{digits}}" for number in range(1, len(columns) + 1))
        lines = [f"{'':<{width + 4}}{header}"]
        for number, index in enumerate(columns, 1):
            cells = "".join(
                f"{self.confusion[index, column] or '.':>{digits}}"
                for column in columns
            )
            lines.append(f"{number:>3} {self.labels[index]:<{width}}{cells}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the evaluation as a JSON object on one line."""
        before = self.reliability_before
        facts: dict[str, Any] = {
            "num_videos": self.num_videos,
            "top_1": self.top_1,
            "top_5": self.top_5,
            "ece": self.reliability.ece,
            "ece_before": None if before is None else before.ece,
            "temperature": self.temperature,
            "top_1_by_frame": None
            if self.top_1_by_frame is None
            else self.top_1_by_frame.tolist(),
            "classes": [attrs.asdict(result) for result in self.by_class],
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
            "skipped": [attrs.asdict(one) for one in self.skipped],
        }
        return json.dumps(facts)


def evaluate(
    classifier: BaseClassifier | StreamingClassifier,
    examples: Sequence[Example],
    *,
    max_frames: int | None = None,
    on_video: Callable[[int], None] | None = None,
) -> Evaluation:
    """Return the accuracy of *classifier* on *examples*.

    Each video, or segment of one, is read from its start at the classifier's frame rate. A stream is reset before each
    video, and its last prediction counts. For a base model the mean score over clips of the length it was trained on
    counts, with equal weight for every frame. Videos that cannot be read are skipped. At most one clip is in memory at
    a time.

    Args:
        classifier: A classifier of clips or streams; a stream's session is reset.
        examples: The examples; their labels must be among the classifier's.
        max_frames: Maximum number of frames per video; `None` for all.
        on_video: Called after each example with the number of examples done.

    Raises:
        DataError: If there are no examples, a label is not one of the classifier's, its frame rate is unknown, or no
            video can be read.
        SessionError: If the classifier is closed, or in use by another thread.
    """
    if not examples:
        raise DataError("there must be at least one example to evaluate on; got none")
    if max_frames is not None:
        check_count("max_frames", max_frames)
    check_known(classifier.labels, examples)
    places = {label: place for place, label in enumerate(classifier.labels)}
    skipped: list[Skipped] = []
    judged: list[_Judged] = []
    for number, example in enumerate(examples, 1):
        try:
            judged.append(
                _judge(classifier, example, places[example.label], max_frames)
            )
        except (VideoError, ArrayError) as error:
            skipped.append(Skipped(example.name, example.label, error.message))
        if on_video is not None:
            on_video(number)
    if not judged:
        raise DataError(
            f"at least one video must be readable; none of {len(examples)} is ({skipped[0].reason})",
            skipped[0].name,
        )
    return _summarise(classifier, judged, skipped)


def with_evaluation_fit(
    classifier: BaseClassifier | StreamingClassifier,
) -> BaseClassifier | StreamingClassifier:
    """Return a new session of *classifier*'s model that resizes frames as in training.

    Models fine-tuned with this package store this setting; all others use ``"evaluation"``, as for the published
    accuracies.

    Args:
        classifier: A classifier of clips or streams; it is not changed.
    """
    fit = classifier.info.fit or EVALUATION_FIT
    options: dict[str, Any] = {
        "frame_size": classifier.frame_size,
        "fps": classifier.fps,
        "fit": fit,
    }
    if isinstance(classifier, BaseClassifier):
        return BaseClassifier(classifier.model, classifier.labels, **options)
    return StreamingClassifier(classifier.model, classifier.labels, **options)


@attrs.frozen
class _Judged:
    """The predictions for one video: the best class after each frame, and the five best at the end."""

    target: int
    best_by_frame: list[int]
    best: list[int]
    prediction: Prediction


def _judge(
    classifier: BaseClassifier | StreamingClassifier,
    example: Example,
    target: int,
    max_frames: int | None,
) -> _Judged:
    if isinstance(classifier, StreamingClassifier):
        predictions = _predict_stream(classifier, example, max_frames)
    else:
        with _open(classifier, example) as frames:
            taken = itertools.islice(frames, max_frames)
            predictions = iter([classifier.predict_long(taken)])
    best_by_frame: list[int] = []
    last: Prediction | None = None
    for last in predictions:
        best_by_frame.append(int(last.logits.argmax()))
    if last is None:
        raise ArrayError("a video must have at least one frame; got none")
    best = np.argsort(-last.logits, kind="stable")[:_TOP].tolist()
    return _Judged(target, best_by_frame, best, last)


def _predict_stream(
    classifier: StreamingClassifier, example: Example, max_frames: int | None
) -> Iterator[Prediction]:
    classifier.reset()
    with _open(classifier, example) as frames:
        yield from classifier.run(itertools.islice(frames, max_frames))


@contextlib.contextmanager
def _open(
    classifier: BaseClassifier | StreamingClassifier, example: Example
) -> Iterator[Iterable[Frame | VideoFrame]]:
    """Open the frames of an example at the classifier's frame rate."""
    if not isinstance(example.source, Path):
        yield iter(example.source)
        return
    if classifier.fps is None:
        raise DataError(
            "the frame rate of the classifier must be known; it is not (load it with fps=...)"
        )
    with classifier.read_video(
        example.source, start_s=example.start_s, end_s=example.end_s
    ) as frames:
        yield frames


def _summarise(
    classifier: BaseClassifier | StreamingClassifier,
    judged: Sequence[_Judged],
    skipped: Sequence[Skipped],
) -> Evaluation:
    size = len(classifier.labels)
    confusion = np.zeros((size, size), np.int64)
    for one in judged:
        confusion[one.target, one.best[0]] += 1
    by_frame = None
    if isinstance(classifier, StreamingClassifier):
        length = max(len(one.best_by_frame) for one in judged)
        by_frame = np.zeros(length)
        for one in judged:
            right = np.array(one.best_by_frame) == one.target
            by_frame += np.pad(right, (0, length - len(right)), mode="edge")
        by_frame /= len(judged)
    logits = np.stack([one.prediction.logits for one in judged])
    temperature = classifier.info.temperature
    is_one_answer = all(one.prediction.temperature == temperature for one in judged)
    return Evaluation(
        classifier.labels,
        confusion,
        sum(one.target in one.best for one in judged) / len(judged),
        by_frame,
        tuple(skipped),
        logits,
        np.array([one.target for one in judged], np.int64),
        np.array([one.prediction.score for one in judged], np.float32),
        temperature,
        softmax(logits).max(axis=1) if temperature and is_one_answer else None,
    )


def _counts_to_show(length: int) -> list[int]:
    """Return 1, 2, 4, 8 ... and *length*."""
    counts = [2**power for power in range(length.bit_length()) if 2**power < length]
    return [*counts, length]
