"""``movinet-lite classify``: what each video shows as a whole."""

from __future__ import annotations

import argparse
import functools
from typing import Any

from movinet_lite.classifiers import BaseClassifier
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
        summary="say what each video shows as a whole",
        description=(
            "Say what each video shows as a whole, with a base model.\n\n"
            "A video longer than the model's clip (ten seconds) is taken clip by clip, and\n"
            "the result is the mean of their probabilities, each frame counting the same."
        ),
        examples=(
            "classify clip.mp4",
            "classify *.mp4 --model a2 --top-k 3 --json",
            "classify film.mkv --start 60 --end 90",
            "classify clip.mp4 --allow 'ice fishing' --allow 'carving ice'",
        ),
    )
    add_video_options(parser, top_k=5)


def _classify(args: argparse.Namespace) -> int:
    """Print what each video shows as a whole."""

    @functools.cache
    def load() -> tuple[BaseClassifier, LabelFilter]:
        classifier = BaseClassifier.load(args.model, **load_options(args))
        return classifier, make_label_filter(args, classifier.labels)

    def classify(path: str) -> None:
        classifier, label_filter = load()
        with watch_file(args, path, classifier) as frames:
            prediction = classifier.predict_long(frames)
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
