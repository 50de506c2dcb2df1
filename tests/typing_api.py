"""User code that only has to type-check: what `mypy --strict` says of a program that uses the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import movinet_lite
from movinet_lite import (
    BaseClassifier,
    ClipModel,
    FrameReader,
    LabelFilter,
    ModelInfo,
    MoViNetError,
    Prediction,
    StreamingClassifier,
    StreamModel,
    VideoFrame,
    load_clip,
    load_labels,
    read_frames,
    softmax,
    step_many,
    top_k,
)
from movinet_lite.testing import FakeClipModel, FakeStreamModel


def stream(path: Path) -> None:
    """Frames in, predictions out."""
    with StreamingClassifier.load("a0", engine="tensorflow", threads=2) as classifier:
        assert_type(classifier, StreamingClassifier)
        assert_type(classifier.info, ModelInfo)
        assert_type(classifier.fps, float | None)
        for frame in read_frames(path, fps=classifier.fps):
            assert_type(frame, VideoFrame)
            prediction = classifier.step(frame)
            assert_type(prediction, Prediction)
            assert_type(prediction.top_k(3), tuple[tuple[str, float], ...])
        states = classifier.states
        assert_type(states, dict[str, NDArray[Any]])
        classifier.states = states
        assert_type(classifier.run(read_frames(path)), Iterator[Prediction])
        classifier.step(np.zeros((172, 172, 3), np.uint8))
        classifier.step(np.zeros((172, 172, 3), np.float32))
        classifier.num_frames = 5
        assert_type(classifier.predict_video(path, start_s=1.0), list[Prediction])
        sessions = [classifier, classifier.new_session()]
        pictures = [np.zeros((8, 8, 3), np.uint8)] * 2
        step_many(sessions, pictures, times_s=[0.5, None])


def classify(path: str) -> str:
    """A clip in, its action out; every failure has one base."""
    try:
        classifier = BaseClassifier.load("a2", labels=["walking", "running"])
        clip = load_clip(path, fps=classifier.fps)
        assert_type(classifier.predict_video(path, end_s=2.0), Prediction)
        assert_type(classifier.predict_long(read_frames(path)), Prediction)
        return classifier.predict(clip).label
    except MoViNetError as error:
        return error.message


def fake() -> tuple[StreamModel, ClipModel, FrameReader]:
    """The fakes are models, and classifiers take them."""
    StreamingClassifier(FakeStreamModel(labels=list("abcdef"), fps=None))
    BaseClassifier(FakeClipModel(frame_size=(4, 4)))
    return FakeStreamModel(), FakeClipModel(), read_frames("clip.mp4")


def rank(logits: NDArray[np.float32]) -> None:
    """Scores by name."""
    labels = load_labels("labels.txt")
    assert_type(labels, tuple[str, ...])
    assert_type(softmax(logits), NDArray[np.float32])
    ranking = top_k(softmax(logits), labels, k=3)
    LabelFilter(labels, allow=["walking"], min_score=0.5).apply(ranking)
    assert_type(movinet_lite.__version__, str)
