"""``movinet-lite classify``: classify whole videos."""

from __future__ import annotations

import argparse
import functools
from typing import Any

from movinet_lite.classifiers import BaseClassifier, StreamingClassifier
from movinet_lite.classifiers.of_file import load_classifier, predict_whole
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
from movinet_lite.predictions import LabelFilter

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "classify",
        _classify,
        description=(
            "Classify each video as a whole, with a base model or a stream model.\n\n"
            "A base model classifies a video longer than its clips (ten seconds) clip by clip;\n"
            "the result is the mean score over all frames. With a stream model, such as one\n"
            "from fine-tune, the result is the prediction after the last frame."
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
            prediction = predict_whole(classifier, frames)
        ranking = prediction.top_k(args.top_k, label_filter=label_filter)
        if args.json:
            print_json(
                video=path, num_frames=frames.num_frames, top_k=as_dicts(ranking)
            )
            return
        if len(args.videos) > 1:
            print(path)
        for label, score in ranking:
            print(f"{score:.2f}  {label}")
        if not ranking:
            print("-")

    check_usage(args)
    return for_each_video(args.videos, classify)
