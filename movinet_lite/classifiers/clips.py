"""Recognises the action in a whole clip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from movinet_lite.arrays import Clip, Frame, FrameSize, VideoFrame, as_clip
from movinet_lite.classifiers.session import Session
from movinet_lite.engines import Engine, load_model
from movinet_lite.engines.base import ClipModel
from movinet_lite.predictions import Prediction
from movinet_lite.video import Fit, prepare_clip

__all__ = ["BaseClassifier"]


class BaseClassifier(Session):
    """Recognises the action in a whole clip.

    Example:
        ::

            classifier = BaseClassifier.load("a2")
            clip = load_clip("clip.mp4", fps=classifier.fps)
            classifier.predict(clip).top_k(5)
    """

    _model: ClipModel

    def __init__(
        self,
        model: ClipModel,
        labels: Sequence[str] | str | Path | None = None,
        *,
        frame_size: FrameSize | None = None,
        fps: float | None = None,
        fit: Fit = "stretch",
    ) -> None:
        """Open a session over *model*; see `load` for the arguments.

        Raises:
            ModelError: If *model* is a stream model.
            LabelsError: If there are not as many labels as classes.
        """
        super().__init__(
            model, labels, frame_size=frame_size, fps=fps, fit=fit, mode="base"
        )
        self._model = model

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        labels: Sequence[str] | str | Path | None = None,
        engine: Engine = "auto",
        threads: int | None = None,
        frame_size: FrameSize | None = None,
        fps: float | None = None,
        fit: Fit = "stretch",
        offline: bool = False,
    ) -> Self:
        """Return a classifier for the base model at *source*.

        Args:
            source: ``"a0"`` to ``"a5"``, an address on TF Hub or Kaggle, another address of an archive, or the path of
                a SavedModel, a ``.tflite`` file that this library wrote, or what fine-tuning wrote.
            labels: The names of the classes in the order of the logits, or the path of a file with one a line;
                `None` for the model's own (Kinetics-600 for the published models).
            engine: What computes; see `Engine`.
            threads: How many threads the engine may use; `None` for one a core.
            frame_size: The ``(height, width)`` to scale frames to; `None` for what the model was trained on.
            fps: The frames per second that the model was trained on, where it does not know.
            fit: How a frame of another size is scaled; see `prepare_frame`.
            offline: Whether the network must not be touched; the environment variable
                ``MOVINET_LITE_OFFLINE=1`` says so for all calls.

        Raises:
            ModelError: If the model cannot be found, fetched or read, or is a stream model.
            LabelsError: If the labels are not as many as the model's classes, or unknown.
        """
        model = load_model(
            source,
            "base",
            engine=engine,
            threads=threads,
            frame_size=frame_size,
            offline=offline,
        )
        return cls(model, labels, frame_size=frame_size, fps=fps, fit=fit)

    @property
    def model(self) -> ClipModel:
        """The engine's model, which other sessions may share."""
        return self._model

    def predict(self, clip: Clip | Sequence[Frame | VideoFrame]) -> Prediction:
        """Return the prediction for *clip*.

        Args:
            clip: ``(frames, height, width, 3)``, uint8, 0 to 255, or float32, 0 to 1, RGB, of any size and length, at
                `fps` frames per second; or a list of such frames.

        Raises:
            ArrayError: If *clip* is something else.
            SessionError: If the session is closed, or in use by another thread.
        """
        prepared = prepare_clip(
            as_clip(clip),
            self._frame_size,
            fit=self._fit,
            short_side=self._short_side,
        )
        with self._alone():
            logits = self._model.predict(prepared[np.newaxis])
        return Prediction(logits[0], self._labels)

    def predict_many(
        self, clips: Iterable[Clip | Sequence[Frame | VideoFrame]]
    ) -> list[Prediction]:
        """Return the prediction for each of *clips*, those of one length in one call.

        Args:
            clips: Any number of clips, each as `predict` takes it.

        Raises:
            ArrayError: If one is no clip; then none is predicted.
            SessionError: If the session is closed, or in use by another thread.
        """
        prepared = [
            prepare_clip(
                as_clip(clip),
                self._frame_size,
                fit=self._fit,
                short_side=self._short_side,
            )
            for clip in clips
        ]
        predictions: dict[int, Prediction] = {}
        with self._alone():
            for length in sorted({len(clip) for clip in prepared}):
                places = [i for i, clip in enumerate(prepared) if len(clip) == length]
                logits = self._model.predict(np.stack([prepared[i] for i in places]))
                for place, row in zip(places, logits, strict=True):
                    predictions[place] = Prediction(row, self._labels)
        return [predictions[place] for place in range(len(prepared))]
