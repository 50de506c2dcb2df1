"""Describes a batch job: the model, and what to compute for each video."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import attrs

from movinet_lite.arrays import check_one_of
from movinet_lite.classifiers import BaseClassifier, StreamingClassifier
from movinet_lite.classifiers.of_file import load_classifier
from movinet_lite.errors import ArrayError, ModelError
from movinet_lite.events import EventDetector
from movinet_lite.events.settings import DetectorSettings
from movinet_lite.labels import label_indices
from movinet_lite.video.decoding import Quality, check_quality

__all__ = ["Classifier", "Job", "Mode", "ModelSource"]

Mode: TypeAlias = Literal["clip", "stream", "events"]
"""What a row holds: the classes of the whole video, the leading class over time, or the events."""

Classifier: TypeAlias = BaseClassifier | StreamingClassifier

ModelSource: TypeAlias = str | Path | Callable[[], Classifier]
"""What `load` takes, or a function that returns a classifier. Workers import the function by its name."""


def _check_mode(_job: object, _field: object, value: object) -> None:
    check_one_of(value, "mode", get_args(Mode))


def _check_top_k(_job: object, _field: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArrayError(f"top_k must be a whole number, at least 1; got {value!r}")


@attrs.frozen(kw_only=True)
class Job:
    """What is computed for each video of a batch, by which model.

    Attributes:
        model: Which model: what `StreamingClassifier.load` or `BaseClassifier.load` takes, or a function of a module that
            returns a classifier.
        mode: ``"clip"``: the *top_k* classes of the whole video; ``"stream"``: those at each time at which another class
            leads; ``"events"``: the events.
        top_k: How many classes to name.
        detector: The settings of the detector of ``"events"``.
        labels: The only labels to name in ``"clip"`` and ``"stream"``; `None` for all.
        quality: How frames are decoded; see `read_video`.
        load_options: The keyword arguments of ``load``. A worker computes with one thread where they do not say how many.

    Raises:
        ArrayError: If *mode*, *top_k* or *quality* is impossible.
    """

    model: ModelSource = "a0"
    mode: Mode = attrs.field(default="stream", validator=_check_mode)
    top_k: int = attrs.field(default=1, validator=_check_top_k)
    detector: DetectorSettings = attrs.field(factory=DetectorSettings)
    labels: tuple[str, ...] | None = None
    quality: Quality = attrs.field(default="exact", converter=check_quality)
    load_options: Mapping[str, Any] = attrs.field(factory=dict)

    def open(self) -> Classifier:
        """Return the classifier, and check that it fits the job.

        Raises:
            ModelError: If it cannot be loaded, is of the wrong mode, or does not know its frame rate.
            LabelsError: If a label is unknown to it.
        """
        classifier = self._load()
        if classifier.fps is None:
            raise ModelError(
                "the model must know how many frames per second it was trained on; it does not (give them: --fps 5)",
                str(self.model),
            )
        if self.mode != "clip" and not isinstance(classifier, StreamingClassifier):
            raise ModelError(
                f"a batch of mode {self.mode!r} must have a stream model; got a base model",
                str(self.model),
                "stream",
                "base",
            )
        settings = self.detector
        named = (
            [*(settings.labels or ()), *settings.thresholds]
            if self.mode == "events"
            else self.labels or ()
        )
        label_indices(dict.fromkeys(named), classifier.labels)
        return classifier

    def _load(self) -> Classifier:
        if not isinstance(self.model, (str, Path)):
            return self.model()
        options = {"threads": 1, **self._options}
        if self.mode != "clip":
            return StreamingClassifier.load(self.model, **options)
        return load_classifier(str(self.model), **options)

    @property
    def _options(self) -> dict[str, Any]:
        """The load options that count: whole videos are recognised without a horizon."""
        options = dict(self.load_options)
        if self.mode == "clip":
            options.pop("horizon_s", None)
        return options

    def new_detector(self) -> EventDetector:
        """Return a detector that has seen nothing."""
        return EventDetector.from_settings(self.detector)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that differ for jobs whose rows may differ."""
        model = self.model
        name = (
            str(model)
            if isinstance(model, (str, Path))
            else f"{model.__module__}.{model.__qualname__}"
        )
        options = sorted(
            (key, str(value))
            for key, value in self._options.items()
            if key not in {"threads", "offline"} and value is not None
        )
        parts = [name, self.mode, self.top_k, self.labels, self.quality, options]
        if self.mode == "events":
            parts.append(self.detector)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
