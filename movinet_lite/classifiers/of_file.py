"""Loads the right classifier for a model and classifies whole videos with it."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

from movinet_lite.arrays import VideoFrame
from movinet_lite.classifiers.clips import BaseClassifier
from movinet_lite.classifiers.streams import StreamingClassifier
from movinet_lite.errors import ArrayError, ModelError
from movinet_lite.predictions import Prediction

__all__ = ["load_classifier", "predict_whole"]


def load_classifier(model: str, **options: Any) -> BaseClassifier | StreamingClassifier:
    """Return the base model that is asked for, or else the stream model."""
    try:
        return BaseClassifier.load(model, **options)
    except ModelError as error:
        # The .tflite files that others publish are stream models.
        if error.received != "stream" and "tflite" not in model.lower():
            raise
    # A video as a whole is what the mean over all of its frames says.
    return StreamingClassifier.load(model, horizon_s=None, **options)


def predict_whole(
    classifier: BaseClassifier | StreamingClassifier, frames: Iterable[VideoFrame]
) -> Prediction:
    """Return what a model says of a whole video.

    Raises:
        ArrayError: If there is no frame.
    """
    if isinstance(classifier, BaseClassifier):
        return classifier.predict_long(frames)
    classifier.reset()
    last = collections.deque(classifier.run(frames), maxlen=1)
    if not last:
        raise ArrayError("a video must have at least one frame; got none")
    return last[0]
