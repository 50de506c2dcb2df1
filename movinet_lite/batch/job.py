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
"""The content of a row: the labels of the whole video, the leading label over time, or the events."""

Classifier: TypeAlias = BaseClassifier | StreamingClassifier

ModelSource: TypeAlias = str | Path | Callable[[], Classifier]
"""A model as for `load`, or a function that returns a classifier. Workers import the function by name."""


def _check_mode(_job: object, _field: object, value: object) -> None:
    check_one_of(value, "mode", get_args(Mode))


def _check_top_k(_job: object, _field: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArrayError(f"top_k must be a whole number, at least 1; got {value!r}")


@attrs.frozen(kw_only=True)
class Job:
    """The model of a batch, and what to compute for each video.

    Attributes:
        model: A model as for `StreamingClassifier.load` or `BaseClassifier.load`, or a module-level function that
            returns a classifier.
        mode: ``"clip"``: the *top_k* labels of the whole video; ``"stream"``: those at each change of the leading
            label; ``"events"``: the events.
        top_k: Number of labels.
        detector: The settings of the event detector for ``"events"``.
        labels: The labels to include in ``"clip"`` and ``"stream"``; `None` for all.
        quality: The decoding quality; see `read_video`.
        load_options: The keyword arguments of ``load``. The default number of threads of a worker is one.

    Raises:
        ArrayError: If *mode*, *top_k* or *quality* is invalid.
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
            ModelError: If it cannot be loaded, is of the wrong mode, or its frame rate is unknown.
            LabelsError: If a label is not one of the model's.
        """
        classifier = self._load()
        if classifier.fps is None:
            raise ModelError(
                "the frame rate of the model must be known; it is not (set --fps 5)",
                str(self.model),
            )
        if self.mode != "clip" and not isinstance(classifier, StreamingClassifier):
            raise ModelError(
                f"a batch of mode {self.mode!r} requires a stream model; got a base model",
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
        """The effective load options: whole videos are classified without a horizon."""
        options = dict(self.load_options)
        if self.mode == "clip":
            options.pop("horizon_s", None)
        return options

    def new_detector(self) -> EventDetector:
        """Return a new detector."""
        return EventDetector.from_settings(self.detector)

    @property
    def digest(self) -> str:
        """A hash of 12 hexadecimal digits that differs for jobs whose rows may differ."""
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
