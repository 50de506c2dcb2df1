"""Few-shot learning: a linear classifier over the features of a stream model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Clip, FeatureName, Frame, VideoFrame, as_number
from movinet_lite.classifiers.streams import StreamingClassifier
from movinet_lite.engines.base import StreamModel
from movinet_lite.engines.features import split_rows
from movinet_lite.engines.few_shot import (
    FewShotHead,
    FewShotStreamModel,
    feature_of,
    fingerprint,
    likeness_to,
    load_few_shot,
    root_scores,
    save_few_shot,
    unit,
)
from movinet_lite.errors import ArrayError, DataError, ModelError
from movinet_lite.labels import check_labels

__all__ = ["BACKGROUND", "DEFAULT_TOLERANCE", "Example", "FewShotClassifier"]

BACKGROUND: Final = "background"
"""The label of what resembles no class."""

Example = Clip | Sequence[Frame | VideoFrame] | str | Path
"""A clip, ``(frames, height, width, 3)`` at the model's rate, or the path of a video."""

_AGES: Final = (1 / 3, 1 / 2, 3 / 4, 1.0)  # a stream answers before its clip is over
_RIDGE: Final = 1.0  # a clip of features of length 1 counts as much as the penalty
_SHARPNESS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
DEFAULT_TOLERANCE: Final = 2.0
"""In standard deviations; chosen on drawn actions, see docs/few_shot.md."""

_LEAST_SPREAD: Final = 0.01  # of similarities, which are -1 to 1
_LEAST_SHARE: Final = (
    0.2  # of the way from the similarity to the own class to that to the others
)
_LEAST_LIKENESS_SPREAD: Final = (
    0.71  # of the mean of two independent kinds, each with 1
)


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
        *,
        tolerance: float = DEFAULT_TOLERANCE,
        **options: Any,
    ) -> Self:
        """Teach classes and return their classifier; the same examples give the same classifier.

        A nearest mean and a regularised linear classifier are tried, each example left out once; the better one is taken.
        From how similar each left-out example is to its class comes the least likeness of what is no background.

        Args:
            examples: For each label at least two clips or paths of videos; five are a good start. Those of `BACKGROUND`,
                which may be missing, show what shall not be recognised.
            model: The stream model that gives the features: a classifier, or what `StreamingClassifier.load` takes.
            tolerance: How many standard deviations less like its class than left-out examples are something may be before it
                is background, at least 0. Less rejects more of what was not taught, and more of what was. Clips of
                `BACKGROUND` set this limit instead.
            options: Those of `StreamingClassifier.load`, where *model* is loaded.

        Raises:
            ArrayError: If a clip is none, or *tolerance* is no number of at least 0.
            DataError: If there are not two classes, or a class has fewer than two clips.
            LabelsError: If the labels are no labels.
            ModelError: If the model cannot be loaded, or gives no features.
            VideoError: If a video cannot be read.
        """
        if not 0.0 <= as_number(tolerance) < math.inf:  # false for NaN too
            raise ArrayError(
                f"tolerance must be a number, at least 0; got {tolerance!r}"
            )
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
        feature = feature_of(classifier.model)
        head = _fit_head(
            {
                label: [_seen(classifier, clip, feature) for clip in clips]
                for label, clips in given.items()
            },
            [_seen(classifier, clip, feature) for clip in others],
            tolerance,
            feature=feature,
            fingerprint=fingerprint(classifier.model, feature, classifier.frame_size),
        )
        return cls._of(
            FewShotStreamModel(
                classifier.model, head, f"{classifier.info.source} and taught classes"
            ),
            classifier,
        )

    @classmethod
    def load(  # noqa: D417 - `StreamingClassifier.load` describes the others
        cls,
        source: str | Path,
        *,
        model: StreamingClassifier | str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Return the classifier in a file that `save` wrote.

        Args:
            source: The file.
            model: The model that the classes were taught on, where it is elsewhere now: a classifier, or what
                `StreamingClassifier.load` takes. `None` for where it was, or a file of its name beside *source*.

        Raises:
            ModelError: If the file cannot be read, or the model is not there, or another one than the classes were taught on.
        """
        if model is None:
            return super().load(source, **options)
        classifier = (
            model
            if isinstance(model, StreamingClassifier)
            else StreamingClassifier.load(model, **options)
        )
        taught = load_few_shot(
            source, lambda _: classifier.model, base=classifier.info.source
        )
        return cls._of(taught, classifier)

    @classmethod
    def _of(cls, model: FewShotStreamModel, classifier: StreamingClassifier) -> Self:
        """Return a classifier for *model* that takes frames as *classifier* does."""
        return cls(
            model,
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


@attrs.frozen(eq=False)
class _Seen:
    """What the model makes of a clip at some ages.

    Attributes:
        features: ``(ages, channels)``, each of length 1.
        scores: ``(ages, classes of the model)``: the square roots of its scores, each row of length 1.
    """

    features: NDArray[np.float64]
    scores: NDArray[np.float64]


def _seen(
    classifier: StreamingClassifier, clip: Example, feature: FeatureName
) -> _Seen:
    if isinstance(clip, (str, Path)):
        with classifier.read_video(clip) as frames:
            rows = classifier._feature_rows(frames, feature)  # noqa: SLF001
    else:
        rows = classifier._feature_rows(clip, feature)  # noqa: SLF001
    places = [max(1, round(age * len(rows))) - 1 for age in _AGES]
    logits, features = split_rows(rows[places], classifier.info)
    return _Seen(unit(features.astype(np.float64)), root_scores(logits))


def _fit_head(
    examples: Mapping[str, list[_Seen]],
    others: list[_Seen],
    tolerance: float,
    *,
    feature: FeatureName,
    fingerprint: NDArray[np.float32],
) -> FewShotHead:
    seen = [one for clips in examples.values() for one in clips]
    clips = np.stack([one.features for one in seen])
    scores = np.stack([one.scores for one in seen])
    classes = np.array(
        [place for place, some in enumerate(examples.values()) for _ in some]
    )
    kind, accuracy, sharpness = _choose_kind(clips, classes, len(examples))
    means, score_means = (
        _means(rows, classes, len(examples)) for rows in (clips, scores)
    )
    weights, bias = _separate(kind, clips, classes, means)
    similarities = [
        _left_out_similarities(rows, classes, centres)
        for rows, centres in ((clips, means), (scores, score_means))
    ]
    usual, spreads = (
        np.stack(parts, axis=-1)
        for parts in zip(*(_usual(kind, classes) for kind in similarities), strict=True)
    )
    likeness = likeness_to(np.stack(similarities, axis=-1), usual, spreads)
    likeness = likeness[np.arange(len(clips)), classes]
    spread = max(float(likeness.std()), _LEAST_LIKENESS_SPREAD)
    least = float(likeness.mean()) - tolerance * spread
    if others:
        background = [
            likeness_to(
                np.stack(
                    [means @ one.features[-1], score_means @ one.scores[-1]], axis=-1
                ),
                usual,
                spreads,
            ).max()
            for one in others
        ]
        least = _between(likeness, np.array(background))
    return FewShotHead(
        labels=(*examples, BACKGROUND),
        feature=feature,
        weights=sharpness * weights,
        bias=sharpness * bias,
        means=means,
        score_means=score_means,
        usual=usual,
        spreads=spreads,
        least=least,
        spread=spread,
        kind=kind,
        accuracy=accuracy,
        fingerprint=fingerprint,
    )


def _choose_kind(
    clips: NDArray[np.float64], classes: NDArray[Any], count: int
) -> tuple[str, float, float]:
    """Return how to tell the classes apart, the share recognised while left out, and how sharp the logits should be."""
    answers = {
        kind: np.empty((len(clips), count)) for kind in ("linear", "nearest mean")
    }
    for place, clip in enumerate(clips):
        rest = np.arange(len(clips)) != place
        means = _means(clips[rest], classes[rest], count)
        for kind, rows in answers.items():
            weights, bias = _separate(kind, clips[rest], classes[rest], means)
            rows[place] = clip[-1] @ weights + bias
    right = {
        kind: float((rows.argmax(1) == classes).mean())
        for kind, rows in answers.items()
    }
    kind = max(
        right, key=lambda one: right[one]
    )  # of equal ones the linear one, which did better on fresh drawn clips
    sharpness = min(_SHARPNESS, key=lambda by: _loss(by * answers[kind], classes))
    return kind, right[kind], sharpness


def _left_out_similarities(
    clips: NDArray[np.float64], classes: NDArray[Any], means: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how similar each clip is to each class, its own without it, ``(clips, classes)``, -1 to 1."""
    similarities = clips[:, -1] @ means.T
    for place, clip in enumerate(clips):
        rest = classes == classes[place]
        rest[place] = False
        own = unit(clips[rest].mean(axis=(0, 1)))
        similarities[place, classes[place]] = own @ clip[-1]
    return similarities


def _usual(
    similarities: NDArray[np.float64], classes: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the similarities of each class to its own examples, ``(classes,)``.

    Five clips tell them badly, so each is drawn half-way to that of all classes. And clips that were recorded together are
    more alike than what comes later: a standard deviation is at least a share of the way to the other classes.
    """
    count = similarities.shape[1]
    is_own = classes[:, np.newaxis] == np.arange(count)
    own = similarities[is_own]
    by_class = [own[classes == one] for one in range(count)]
    means = np.array([rows.mean() for rows in by_class])
    variances = np.array([rows.var(ddof=1) for rows in by_class])
    usual = (means + own.mean()) / 2
    spreads = np.sqrt((variances + variances.mean()) / 2)
    apart = float(own.mean() - similarities[~is_own].mean())
    return usual, np.maximum(spreads, max(_LEAST_SPREAD, _LEAST_SHARE * apart))


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
