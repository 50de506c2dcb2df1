"""Classifiers whose classes are taught from a few clips, on the features of a stream model or a base model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Clip, FeatureName, Frame, VideoFrame, as_number
from movinet_lite.classifiers.clips import BaseClassifier
from movinet_lite.classifiers.few_shot_fitting import Embedding, fit_head
from movinet_lite.classifiers.session import Session
from movinet_lite.classifiers.streams import StreamingClassifier
from movinet_lite.engines.few_shot.files import (
    few_shot_frame_size,
    load_few_shot,
    save_few_shot,
)
from movinet_lite.engines.few_shot.head import FewShotHead
from movinet_lite.engines.few_shot.models import (
    FewShotClipModel,
    FewShotStreamModel,
    feature_of,
    fingerprint,
    with_head,
)
from movinet_lite.errors import ArrayError, DataError, ModelError
from movinet_lite.labels import check_labels

__all__ = [
    "BACKGROUND",
    "DEFAULT_TOLERANCE",
    "Example",
    "FewShotBaseClassifier",
    "FewShotClassifier",
]

BACKGROUND: Final = "background"
"""The label of what resembles no class."""

Example = Clip | Sequence[Frame | VideoFrame] | str | Path
"""A clip, ``(frames, height, width, 3)`` at the model's rate, or the path of a video."""

DEFAULT_TOLERANCE: Final = 2.0
"""In standard deviations; chosen on drawn actions, see docs/few_shot.md."""

_Classifier = TypeVar("_Classifier", BaseClassifier, StreamingClassifier)


class _Taught(Session, Generic[_Classifier]):
    """What the classifiers of taught classes have in common."""

    _model: FewShotClipModel | FewShotStreamModel
    _below: ClassVar[type[BaseClassifier | StreamingClassifier]]

    def __init__(self, model: Any, *args: Any, **options: Any) -> None:
        """Open a session over *model*, whose classes were taught; prefer `teach` and `load`.

        Raises:
            ModelError: If its classes were not taught from a few clips.
        """
        if not isinstance(model, (FewShotClipModel, FewShotStreamModel)):
            raise ModelError(
                "the model must be one whose classes were taught from a few clips; it is another one "
                f"(use {self._below.__name__})",
                model.info.source,
            )
        super().__init__(model, *args, **options)

    @classmethod
    def teach(
        cls,
        examples: Mapping[str, Iterable[Example]],
        model: _Classifier | str | Path = "a0",
        *,
        tolerance: float = DEFAULT_TOLERANCE,
        **options: Any,
    ) -> Self:
        """Teach classes and return their classifier; the same examples give the same classifier.

        A nearest-mean and a ridge classifier are fitted with each example left out once, and the better one is kept. The
        similarity of left-out examples to their class sets the threshold below which a video is background.

        Args:
            examples: For each label at least two clips or paths of videos; start with five. Those of `BACKGROUND`, which
                are optional, show what is to be rejected.
            model: The model that computes the features: a classifier, or a source as for `load`.
            tolerance: How many standard deviations below the similarity of left-out examples a video may be before it is
                background, at least 0. Lower values reject more of what was not taught, and more of what was. Clips of
                `BACKGROUND` set the threshold instead.
            options: Those of `load`, if *model* is a source.

        Raises:
            ArrayError: If a clip is invalid, or *tolerance* is not a number of at least 0.
            DataError: If there are fewer than two classes, or a class has fewer than two clips.
            LabelsError: If the labels are invalid.
            ModelError: If the model cannot be loaded, is of the other mode, has taught classes itself, or has no features.
            VideoError: If a video cannot be read.
        """
        if not 0.0 <= as_number(tolerance) < math.inf:  # false for NaN too
            raise ArrayError(
                f"tolerance must be a number, at least 0; got {tolerance!r}"
            )
        given = _check_examples(examples)
        background = given.pop(BACKGROUND, [])
        classifier = cls._open(model, options)
        if isinstance(classifier.model, (FewShotClipModel, FewShotStreamModel)):
            raise ModelError(
                "the model must have classes of its own; those of this one were taught from a few clips (pass its "
                "underlying model)",
                classifier.info.source,
            )
        feature = feature_of(classifier.model)
        head = fit_head(
            {
                label: [_embed(classifier, clip, feature) for clip in clips]
                for label, clips in given.items()
            },
            [_embed(classifier, clip, feature) for clip in background],
            background_label=BACKGROUND,
            tolerance=tolerance,
            feature=feature,
            fingerprint=fingerprint(classifier.model, feature, classifier.frame_size),
        )
        name = f"{classifier.info.source} and taught classes"
        return cls._over(with_head(classifier.model, head, name), classifier)

    @classmethod
    def load(  # noqa: D417 - `BaseClassifier.load` and `StreamingClassifier.load` describe the others
        cls,
        source: str | Path,
        *,
        model: _Classifier | str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Return the classifier in a file written by `save`.

        Args:
            source: The file.
            model: The model that the classes were taught on, if it has moved: a classifier, or a source as for the
                classifiers of other models. `None` for its original location, or a file of its name next to *source*.

        Raises:
            ModelError: If the file cannot be read, its classes were taught on a model of the other mode, or the model cannot
                be found or is not the one that they were taught on.
        """
        if model is None:
            return super().load(source, **options)
        if isinstance(model, (str, Path)):
            options = {"frame_size": few_shot_frame_size(source), **options}
        classifier = cls._open(model, options)
        taught = load_few_shot(
            source,
            cls._mode,
            lambda *_: classifier.model,
            base=classifier.info.source,
        )
        return cls._over(taught, classifier)

    @classmethod
    def _open(
        cls, model: _Classifier | str | Path, options: Mapping[str, Any]
    ) -> _Classifier:
        """Return the classifier that computes the features."""
        if isinstance(model, (str, Path)):
            model = cls._below.load(model, **options)  # type: ignore[assignment]
        if not isinstance(model, cls._below):
            raise ModelError(
                f"{cls.__name__} takes a {cls._below.__name__}; got a {type(model).__name__}"
            )
        return model

    @classmethod
    def _over(
        cls, model: FewShotClipModel | FewShotStreamModel, classifier: _Classifier
    ) -> Self:
        """Return a classifier for *model* that takes frames as *classifier* does."""
        return cls(
            model,
            frame_size=classifier.frame_size,
            fps=classifier.fps,
            fit=classifier.fit,
        )

    @property
    def head(self) -> FewShotHead:
        """What was taught."""
        return self._model.head

    @property
    def accuracy(self) -> float:
        """The leave-one-out accuracy on the examples, 0 to 1, without rejection."""
        return self.head.accuracy

    @property
    def kind(self) -> str:
        """The classifier: ``"nearest mean"`` or ``"linear"``."""
        return self.head.kind

    def save(self, path: str | Path) -> None:
        """Write the taught classes to a file, whose extension must be ``.fewshot``; an existing file is replaced.

        The file does not contain the underlying model, only its source and its features for a fixed clip.

        Raises:
            ModelError: If the extension is another one, or the file cannot be written.
        """
        source = self._model.model.info.source
        if Path(source).exists():
            source = str(Path(source).resolve())
        save_few_shot(self._model, path, base=source, frame_size=self.frame_size)


class FewShotClassifier(_Taught[StreamingClassifier], StreamingClassifier):
    """A streaming classifier of classes that were taught from a few clips each.

    `teach` or `load` creates it; then it is used like every `StreamingClassifier`. What resembles no class is
    `BACKGROUND`, which makes no event.

    Example:
        ::

            taught = FewShotClassifier.teach({"wave": ["1.mp4", "2.mp4"], "bow": ["3.mp4", "4.mp4"]}, model="a0")
            taught.save("mine.fewshot")
            StreamingClassifier.load("mine.fewshot").predict_video("new.mp4")
    """

    _model: FewShotStreamModel
    _below = StreamingClassifier

    @classmethod
    def _over(
        cls,
        model: FewShotClipModel | FewShotStreamModel,
        classifier: StreamingClassifier,
    ) -> Self:
        return cls(
            model,
            frame_size=classifier.frame_size,
            fps=classifier.fps,
            fit=classifier.fit,
            horizon_s=classifier._horizon_s,  # noqa: SLF001
        )


class FewShotBaseClassifier(_Taught[BaseClassifier], BaseClassifier):
    """A classifier of whole clips with classes that were taught from a few clips each, on a base model.

    `teach` or `load` creates it; then it is used like every `BaseClassifier`. What resembles no class is `BACKGROUND`.

    Example:
        ::

            taught = FewShotBaseClassifier.teach({"wave": ["1.mp4", "2.mp4"], "bow": ["3.mp4", "4.mp4"]}, model="a0")
            taught.save("mine.fewshot")
            BaseClassifier.load("mine.fewshot").predict_video("new.mp4")
    """

    _model: FewShotClipModel
    _below = BaseClassifier


def _check_examples(
    examples: Mapping[str, Iterable[Example]],
) -> dict[str, list[Example]]:
    """Return the examples as lists, after checking that there are enough."""
    given = {label: _as_list(label, clips) for label, clips in examples.items()}
    if given:
        check_labels(tuple(given))
    classes = {label: clips for label, clips in given.items() if label != BACKGROUND}
    if len(classes) < 2:
        raise DataError(
            f"teaching needs at least two classes beside {BACKGROUND!r}; got {len(classes)}"
        )
    for label, clips in classes.items():
        if len(clips) < 2:
            raise DataError(
                f"each class needs at least two clips, since each is left out once; {label!r} has {len(clips)}"
            )
    return given


def _as_list(label: str, clips: Iterable[Example]) -> list[Example]:
    if isinstance(clips, (str, Path)):
        raise DataError(
            f"each class needs a list of clips; {label!r} has one path ([path])"
        )
    return list(clips)


def _embed(
    classifier: BaseClassifier | StreamingClassifier,
    clip: Example,
    feature: FeatureName,
) -> Embedding:
    rows: NDArray[np.float32]
    if isinstance(clip, (str, Path)):
        with classifier.read_video(clip) as frames:
            rows = classifier._feature_rows(frames, feature)  # noqa: SLF001
    else:
        rows = classifier._feature_rows(clip, feature)  # noqa: SLF001
    return Embedding.from_rows(rows, classifier.info)
