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
"""How to scale the frames for a model that does not say how those of its training were: the published accuracies were
measured so."""

_TOP: Final = 5


@attrs.frozen
class ClassResult:
    """How often the videos of one class were recognised.

    Attributes:
        label: The class.
        num_videos: How many videos there were.
        top_1: The share of them whose best prediction was right, 0 to 1.
        most_mistaken_for: The class that the others were taken for most often; `None` if all were right.
    """

    label: str
    num_videos: int
    top_1: float
    most_mistaken_for: str | None


@attrs.frozen(eq=False)
class Evaluation:
    """How often a classifier was right.

    Attributes:
        labels: The names of the model's classes, in the order of the logits.
        confusion: ``(classes, classes)`` int64: how many videos of the class of the row were taken for that of the
            column.
        top_5: The share of videos whose class was among the five best, 0 to 1.
        top_1_by_frame: ``(frames,)`` float64: the share that was right after so many frames; a video that is shorter
            counts with its last prediction. `None` for a base model, which sees a clip at once.
        skipped: The videos that could not be read.
        logits: ``(videos, classes)`` float32: the prediction that counted for each video, not normalised.
        targets: ``(videos,)`` int64: the place of the right class of each.
        scores: ``(videos,)`` float32: the score of the best class of each, 0 to 1.
        temperature: What the model divides its logits by; `None` if it was not calibrated.
        scores_before: *scores* as they are without the temperature; `None` if there is none, or a base model saw several
            clips of a video, whose scores it takes the mean of.
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
        """How many videos were judged."""
        return int(self.confusion.sum())

    @property
    def top_1(self) -> float:
        """The share of videos whose best prediction was right, 0 to 1."""
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
        """How often predictions of each score are right, with the scores as the model gives them."""
        return reliability(self.scores, self._is_right)

    @property
    def reliability_before(self) -> Reliability | None:
        """The same without the model's temperature; `None` where `scores_before` is."""
        before = self.scores_before
        return None if before is None else reliability(before, self._is_right)

    @property
    def _is_right(self) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = self.logits.argmax(axis=1) == self.targets
        return right

    def to_text(self) -> str:
        """Return the result as a person reads it."""
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
        lines += ["", f"{'class':<{width}}  videos   top-1  most often taken for"]
        lines += [
            f"{result.label:<{width}}  {result.num_videos:>6}  {result.top_1:>6.1%}  {result.most_mistaken_for or '-'}"
            for result in self.by_class
        ]
        return "\n".join(lines)

    def confusion_to_text(self) -> str:
        """Return the table of mistakes: a row for each class that has videos, a column for each class taken for."""
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
        """Return all of it as one JSON object in one line."""
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
    """Return how often *classifier* is right on *examples*.

    Each video is seen from its start, or that of its segment, at the classifier's frame rate. Of a stream, which is reset
    before each, the last prediction counts; of a base model the mean over clips of the length that it was trained on,
    each frame counting the same. Videos that cannot be read are left out. However long they are, no more than a clip is in
    memory.

    Args:
        classifier: For whole clips or for streams; a stream's session is reset.
        examples: What to judge it on; labels must be among the classifier's.
        max_frames: How many frames of each to take at most; `None` for all.
        on_video: Called after each example with the number of those done.

    Raises:
        DataError: If there are no examples, a label is unknown to the classifier, its frame rate is unknown, or no video
            could be read.
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
            f"there must be a video that can be read; none of {len(examples)} could ({skipped[0].reason})",
            skipped[0].name,
        )
    return _summarise(classifier, judged, skipped)


def with_evaluation_fit(
    classifier: BaseClassifier | StreamingClassifier,
) -> BaseClassifier | StreamingClassifier:
    """Return a new session over the model of *classifier* that scales frames as those of its training were.

    A model that was fine-tuned here says how; for all others it is ``"evaluation"``, as for the published accuracies.

    Args:
        classifier: For whole clips or for streams; it stays as it is.
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
    """What a classifier said of one video: the best class after each frame, and the best few at the end."""

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
    """Give the frames of an example at the classifier's rate."""
    if not isinstance(example.source, Path):
        yield iter(example.source)
        return
    if classifier.fps is None:
        raise DataError(
            "the classifier must know its frame rate; it does not (load it with fps=...)"
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
