"""``movinet-lite classify``: what each video shows as a whole."""

from __future__ import annotations

import argparse
import collections
import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import VideoFrame
from movinet_lite.classifiers import BaseClassifier, StreamingClassifier
from movinet_lite.cli.arguments import add_command
from movinet_lite.cli.output import as_dicts, print_json
from movinet_lite.cli.videos import (
    add_video_options,
    check_usage,
    for_each_video,
    load_options,
    make_label_filter,
    watch_file,
)
from movinet_lite.errors import ArrayError, ModelError
from movinet_lite.network.variants import get_variant
from movinet_lite.predictions import LabelFilter, Prediction
from movinet_lite.video import Fit, prepare_frame

__all__ = ["add_commands", "load_classifier"]

_DEFAULT_CLIP_FRAMES = (
    50  # ten seconds at five frames a second, as A0 to A2 were trained on
)


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "classify",
        _classify,
        summary="say what each video shows as a whole",
        description=(
            "Say what each video shows as a whole, with a base model or a stream model.\n\n"
            "A base model takes a video longer than its clip (ten seconds) clip by clip, and\n"
            "the result is the mean of the scores, each frame counting the same. A stream\n"
            "model, such as fine-tune writes, answers once, after the last frame."
        ),
        examples=(
            "classify clip.mp4",
            "classify *.mp4 --model a2 --top-k 3 --json",
            "classify film.mkv --start 60 --end 90",
            "classify *.mp4 --model my_model/ --top-k 1",
            "classify clip.mp4 --allow 'ice fishing' --allow 'carving ice'",
        ),
    )
    add_video_options(parser, top_k=5, models="a0 to a5, demo")


def _classify(args: argparse.Namespace) -> int:
    """Print what each video shows as a whole."""

    @functools.cache
    def load() -> tuple[BaseClassifier | StreamingClassifier, LabelFilter]:
        classifier = load_classifier(args.model, **load_options(args))
        return classifier, make_label_filter(args, classifier.labels)

    def classify(path: str) -> None:
        classifier, label_filter = load()
        with watch_file(args, path, classifier) as frames:
            if isinstance(classifier, BaseClassifier):
                prediction, num_frames = _predict_video(classifier, frames, args.fit)
            else:
                prediction, num_frames = _predict_stream(classifier, frames)
        ranking = prediction.top_k(args.top_k, label_filter=label_filter)
        if args.json:
            print_json(video=path, num_frames=num_frames, top_k=as_dicts(ranking))
            return
        if len(args.videos) > 1:
            print(path)
        for label, score in ranking:
            print(f"{score:.2f}  {label}")
        if not ranking:
            print("-")

    check_usage(args)
    return for_each_video(args.videos, classify)


def load_classifier(model: str, **options: Any) -> BaseClassifier | StreamingClassifier:
    """Return the base model that is asked for, or else the stream model."""
    try:
        return BaseClassifier.load(model, **options)
    except ModelError as error:
        # The .tflite files that others publish are stream models.
        if error.received != "stream" and "tflite" not in model.lower():
            raise
    return StreamingClassifier.load(model, **options)


def _predict_stream(
    classifier: StreamingClassifier, frames: Iterable[VideoFrame]
) -> tuple[Prediction, int]:
    """Return what a stream model says after the last frame, and the number of frames."""
    classifier.reset()
    last = collections.deque(classifier.run(frames), maxlen=1)
    if not last:
        raise ArrayError("a video must have at least one frame; got none")
    return last[0], classifier.num_frames


def _predict_video(
    classifier: BaseClassifier, frames: Iterable[VideoFrame], fit: Fit
) -> tuple[Prediction, int]:
    """Return the mean over clips of the model's own length, and the number of frames.

    The last clip reaches back so far that it is as long as the others, and counts as much as the frames in it that no
    other clip has, so that each frame of the video counts the same. Two clips are kept in memory, whatever the length
    of the video.
    """
    variant = classifier.info.variant
    length = get_variant(variant).clip_frames if variant else _DEFAULT_CLIP_FRAMES
    total = np.zeros(len(classifier.labels), np.float64)
    clip: list[NDArray[np.float32]] = []
    num_new = num_frames = 0

    def add_clip() -> None:
        nonlocal num_new, num_frames
        total[:] += classifier.predict(clip).probabilities * np.float64(num_new)
        num_frames += num_new
        num_new = 0

    for frame in frames:
        clip.append(prepare_frame(frame.pixels, classifier.frame_size, fit=fit))
        del clip[:-length]
        num_new += 1
        if num_new == length:
            add_clip()
    if num_new:
        add_clip()
    if not num_frames:
        raise ArrayError("a video must have at least one frame; got none")
    with np.errstate(divide="ignore"):  # a class that is nowhere possible
        return Prediction(np.log(total / num_frames), classifier.labels), num_frames
