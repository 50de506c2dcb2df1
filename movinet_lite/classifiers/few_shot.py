"""Few-shot learning: a linear classifier over the features of a stream model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Clip, Frame, VideoFrame
from movinet_lite.classifiers.streams import StreamingClassifier
from movinet_lite.engines.base import StreamModel
from movinet_lite.engines.few_shot import (
    FewShotHead,
    FewShotStreamModel,
    fingerprint,
    save_few_shot,
    unit,
)
from movinet_lite.errors import DataError, ModelError
from movinet_lite.labels import check_labels

__all__ = ["BACKGROUND", "Example", "FewShotClassifier"]

BACKGROUND: Final = "background"
"""The label of what resembles no class."""

Example = Clip | Sequence[Frame | VideoFrame] | str | Path
"""A clip, ``(frames, height, width, 3)`` at the model's rate, or the path of a video."""

_AGES: Final = (1 / 3, 1 / 2, 3 / 4, 1.0)  # a stream answers before its clip is over
_RIDGE: Final = 1.0  # a clip of features of length 1 counts as much as the penalty
_SHARPNESS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_TOLERATED: Final = 2.5  # spreads below the usual likeness of a left-out example
_LEAST_SPREAD: Final = 0.01


class FewShotClassifier(StreamingClassifier):
    """A streaming classifier for classes that were taught from a few clips each.

    It is made with `teach` or `load`, and used as every `StreamingClassifier`. What resembles no class is `BACKGROUND`,
    which makes no event.

    Example:
        ::

            taught = FewShotClassifier.teach({"wave": ["1.mp4", "2.mp4"], "bow": ["3.mp4", "4.mp4"]}, model="a0")
            taught.save("mine.fewshot")
            StreamingClassifier.load("mine.fewshot").predict_video("new.mp4")
    """

    _model: FewShotStreamModel

    def __init__(self, model: StreamModel, *args: Any, **options: Any) -> None:
        """Open a session over *model*, whose classes were taught; see `StreamingClassifier`.

        Raises:
            ModelError: If its classes were not taught from a few clips.
        """
        if not isinstance(model, FewShotStreamModel):
            raise ModelError(
                "the model must be one whose classes were taught from a few clips; it is another (use StreamingClassifier)",
                model.info.source,
            )
        super().__init__(model, *args, **options)

    @classmethod
    def teach(
        cls,
        examples: Mapping[str, Iterable[Example]],
        model: StreamingClassifier | str | Path = "a0",
        **options: Any,
    ) -> Self:
        """Teach classes and return their classifier; the same examples give the same classifier.

        A nearest mean and a regularised linear classifier are tried, each example left out once; the better one is taken.
        From how like its class each left-out example is comes the least likeness that counts.

        Args:
            examples: For each label at least two clips or paths of videos; five are a good start. Those of `BACKGROUND`,
                which may be missing, show what shall not be recognised.
            model: The stream model that gives the features: a classifier, or what `StreamingClassifier.load` takes.
            options: Those of `StreamingClassifier.load`, where *model* is loaded.

        Raises:
            ArrayError: If a clip is none.
            DataError: If there are not two classes, or a class has fewer than two clips.
            LabelsError: If the labels are no labels.
            ModelError: If the model cannot be loaded, or gives no features.
            VideoError: If a video cannot be read.
        """
        given = {label: _as_list(label, clips) for label, clips in examples.items()}
        if given:
            check_labels(tuple(given))
        others = given.pop(BACKGROUND, [])
        if len(given) < 2:
            raise DataError(
                f"teaching needs at least two classes beside {BACKGROUND!r}; got {len(given)}"
            )
        for label, clips in given.items():
            if len(clips) < 2:
                raise DataError(
                    f"each class needs at least two clips, since each is left out once; {label!r} has {len(clips)}"
                )
        classifier = (
            model
            if isinstance(model, StreamingClassifier)
            else StreamingClassifier.load(model, **options)
        )
        if isinstance(classifier.model, FewShotStreamModel):
            raise ModelError(
                "the model must be one with classes of its own; this one was taught from a few clips (give the model below "
                "it)",
                classifier.info.source,
            )
        features = {
            label: [_features(classifier, clip) for clip in clips]
            for label, clips in given.items()
        }
        head = _fit_head(
            features,
            [_features(classifier, clip) for clip in others],
            fingerprint(classifier.model, classifier.frame_size),
        )
        return cls(
            FewShotStreamModel(
                classifier.model, head, f"{classifier.info.source} and taught classes"
            ),
            frame_size=classifier.frame_size,
            fps=classifier.fps,
            fit=classifier.fit,
            horizon_s=classifier._horizon_s,  # noqa: SLF001
        )

    @property
    def accuracy(self) -> float:
        """The share of the examples that were recognised while each was left out, 0 to 1."""
        return self._model.head.accuracy

    @property
    def kind(self) -> str:
        """How classes are told apart: ``"nearest mean"`` or ``"linear"``."""
        return self._model.head.kind

    def save(self, path: str | Path) -> None:
        """Write what was taught as one file, whose name ends in ``.fewshot``; a file that is there is replaced.

        The model that gives the features is not in it, only where it came from and how it is known again.

        Raises:
            ModelError: If the name has another ending, or the file cannot be written.
        """
        source = self._model.model.info.source
        if Path(source).exists():
            source = str(Path(source).resolve())
        save_few_shot(self._model.head, path, base=source, frame_size=self.frame_size)


def _as_list(label: str, clips: Iterable[Example]) -> list[Example]:
    if isinstance(clips, (str, Path)):
        raise DataError(
            f"each class needs a list of clips; {label!r} has one path ([path])"
        )
    return list(clips)


def _features(classifier: StreamingClassifier, clip: Example) -> NDArray[np.float64]:
    """Return the features of a clip at some ages, ``(ages, channels)``, each of length 1."""
    if isinstance(clip, (str, Path)):
        with classifier.read_video(clip) as frames:
            rows = classifier.features(frames)
    else:
        rows = classifier.features(clip)
    places = [max(1, round(age * len(rows))) - 1 for age in _AGES]
    return unit(rows[places].astype(np.float64))


def _fit_head(
    features: Mapping[str, list[NDArray[np.float64]]],
    others: list[NDArray[np.float64]],
    known_by: NDArray[np.float32],
) -> FewShotHead:
    clips = np.stack([one for rows in features.values() for one in rows])
    classes = np.array(
        [place for place, rows in enumerate(features.values()) for _ in rows]
    )
    count = len(features)
    likeness = np.empty(len(clips))
    scores = {
        kind: np.empty((len(clips), count)) for kind in ("linear", "nearest mean")
    }
    for place, clip in enumerate(clips):
        rest = np.arange(len(clips)) != place
        means = _means(clips[rest], classes[rest], count)
        likeness[place] = means[classes[place]] @ clip[-1]
        for kind, rows in scores.items():
            weights, bias = _separate(kind, clips[rest], classes[rest], means)
            rows[place] = clip[-1] @ weights + bias
    right = {
        kind: float((rows.argmax(1) == classes).mean()) for kind, rows in scores.items()
    }
    kind = max(
        right, key=lambda one: right[one]
    )  # of equal ones the linear one, which did better on fresh drawn clips
    means = _means(clips, classes, count)
    weights, bias = _separate(kind, clips, classes, means)
    sharpness = min(_SHARPNESS, key=lambda by: _loss(by * scores[kind], classes))
    spread = max(float(likeness.std()), _LEAST_SPREAD)
    least = float(likeness.mean()) - _TOLERATED * spread
    if others:
        least = _between(
            likeness, np.array([(means @ one[-1]).max() for one in others])
        )
    return FewShotHead(
        labels=(*features, BACKGROUND),
        weights=sharpness * weights,
        bias=sharpness * bias,
        means=means,
        least=least,
        spread=spread,
        kind=kind,
        accuracy=right[kind],
        fingerprint=known_by,
    )


def _means(
    clips: NDArray[np.float64], classes: NDArray[Any], count: int
) -> NDArray[np.float64]:
    return unit(
        np.stack([clips[classes == one].mean(axis=(0, 1)) for one in range(count)])
    )


def _separate(
    kind: str,
    clips: NDArray[np.float64],
    classes: NDArray[Any],
    means: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and bias that tell the classes apart; every clip counts the same in its class."""
    if kind == "nearest mean":
        return means.T, np.zeros(len(means))
    rows = clips.reshape(-1, clips.shape[-1])
    targets = np.eye(len(means))[np.repeat(classes, clips.shape[1])]
    centre, usual = rows.mean(0), targets.mean(0)
    away = rows - centre
    # As many equations as rows, which are fewer than the channels.
    penalty = _RIDGE * clips.shape[1] * float((away**2).sum(1).mean())
    gram = away @ away.T + penalty * np.eye(len(rows))
    weights = away.T @ np.linalg.solve(gram, targets - usual)
    return weights, usual - centre @ weights


def _loss(logits: NDArray[np.float64], classes: NDArray[Any]) -> float:
    """Return the mean cross-entropy."""
    highest = logits.max(1, keepdims=True)
    total = np.log(np.exp(logits - highest).sum(1)) + highest[:, 0]
    return float((total - logits[np.arange(len(classes)), classes]).mean())


def _between(likeness: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the threshold that parts the examples from the others with the fewest errors."""
    values = np.unique(np.concatenate([likeness, others]))
    middles = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    return float(
        min(middles, key=lambda at: (likeness < at).mean() + (others >= at).mean())
    )
