"""``movinet-lite models`` and ``movinet-lite labels``: list models and labels."""

from __future__ import annotations

import argparse
from typing import Any

from movinet_lite.cli.arguments import (
    add_command,
    add_json,
    add_labels_file,
    add_offline,
)
from movinet_lite.cli.output import print_json, print_table
from movinet_lite.errors import MoViNetError
from movinet_lite.hub import MODEL_NAMES, resolve_model
from movinet_lite.labels import kinetics_600_labels, load_labels, search_labels
from movinet_lite.network.variants import get_variant

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the commands of this module to the command line's."""
    _add_models(commands)
    _add_labels(commands)


def _add_models(commands: Any) -> None:
    parser = add_command(
        commands,
        "models",
        _models,
        description="List the named models, and which of them need no download.",
        examples=("models", "models --json"),
    )
    add_json(parser)


def _models(args: argparse.Namespace) -> int:
    """Print the named models."""
    from movinet_lite.hub import cache_folder, cached_models
    from movinet_lite.hub.handles import find_remotes

    in_cache = {entry.path for entry in cached_models()}
    rows: list[tuple[str, ...]] = [
        ("model", "frames", "fps", "clip", "base top-1", "stream top-1", "on this disk")
    ]
    rows += _demo_rows(args)
    for name in MODEL_NAMES:
        variant = get_variant(name)
        cached = [
            mode
            for mode in ("base", "stream")
            if any(remote.folder in in_cache for remote in find_remotes(name, mode))
        ]
        accuracies = [
            None if accuracy is None else accuracy[0]
            for accuracy in (variant.base_accuracy, variant.stream_accuracy)
        ]
        if args.json:
            print_json(
                model=name,
                frame_size=list(variant.frame_size),
                fps=variant.fps,
                clip_frames=variant.clip_frames,
                base_top_1=accuracies[0],
                stream_top_1=accuracies[1],
                cached=cached,
            )
        height, width = variant.frame_size
        shown = ["-" if value is None else f"{value:.2f}" for value in accuracies]
        size, clip = f"{height} x {width}", f"{variant.clip_frames}"
        row = (name, size, f"{variant.fps:g}", clip, *shown, ", ".join(cached) or "-")
        rows.append(row)
    if not args.json:
        print_table(rows)
        print(f"\nTop-1 in per cent on Kinetics-600. The cache is {cache_folder()}")
        print(
            "demo ships with the package, and only recognises actions of drawn figures."
        )
    return 0


def _demo_rows(args: argparse.Namespace) -> list[tuple[str, ...]]:
    """Return the table rows of the demo, or print it as JSON; nothing if it is missing."""
    from movinet_lite import demo
    from movinet_lite.hub.handles import DEMO_NAME
    from movinet_lite.network.litert_file import read_litert_info

    info = read_litert_info(demo.MODEL) if demo.MODEL.is_file() else None
    if info is None:
        return []
    if args.json:
        print_json(
            model=DEMO_NAME,
            frame_size=list(info.frame_size),
            fps=info.fps,
            clip_frames=None,
            base_top_1=None,
            stream_top_1=None,
            cached=["stream"],
        )
    height, width = info.frame_size
    size = f"{height} x {width}"
    return [(DEMO_NAME, size, f"{info.fps:g}", "-", "-", "-", "stream")]


def _add_labels(commands: Any) -> None:
    parser = add_command(
        commands,
        "labels",
        _labels,
        description="List the labels of a model, one per line, in the order of its logits.",
        examples=("labels", "labels dancing", "labels --model my_model/"),
    )
    parser.add_argument(
        "pattern",
        nargs="?",
        default="",
        metavar="PATTERN",
        help="list only labels that contain this text, ignoring case",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--model",
        metavar="MODEL",
        help="list the labels of this model (default: Kinetics-600)",
    )
    add_labels_file(source)
    add_offline(parser)
    add_json(parser)


def _labels(args: argparse.Namespace) -> int:
    """Print labels."""
    if args.labels:
        labels = load_labels(args.labels)
    elif args.model:
        labels = _labels_of(args)
    else:
        labels = kinetics_600_labels()
    found = search_labels(args.pattern, labels)
    if not found:
        raise MoViNetError(f"no name contains {args.pattern!r}")
    for label in found:
        if args.json:
            print_json(index=labels.index(label), label=label)
        else:
            print(label)
    return 0


def _labels_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the labels of a model, without loading it."""
    if args.model.lower() in MODEL_NAMES:
        return kinetics_600_labels()
    from movinet_lite.engines.opening import read_labels

    path = resolve_model(args.model, "stream", offline=args.offline)
    return read_labels(path, args.model)
