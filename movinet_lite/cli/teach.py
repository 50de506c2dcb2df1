"""``movinet-lite teach``: teach a model new classes from a folder of clips."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast, get_args

from movinet_lite.classifiers import FewShotBaseClassifier, FewShotClassifier
from movinet_lite.classifiers.few_shot import DEFAULT_TOLERANCE
from movinet_lite.cli.arguments import (
    UsageError,
    add_command,
    add_offline,
    not_negative,
)
from movinet_lite.engines.few_shot.files import (
    FEW_SHOT_ENDING,
    few_shot_mode,
    is_few_shot,
)
from movinet_lite.network.variants import Mode
from movinet_lite.training.folders import read_folder

__all__ = ["add_commands"]

_CLASSES: Final[Mapping[Mode, type[FewShotBaseClassifier | FewShotClassifier]]] = {
    "base": FewShotBaseClassifier,
    "stream": FewShotClassifier,
}


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "teach",
        _teach,
        description=(
            "Teach a model new classes from a few clips each, in seconds and without TensorFlow.\n\n"
            "The folder has one folder of videos per class, named after the class. An optional\n"
            "folder 'background' holds videos of none of the classes.\n\n"
            f"If the model of a {FEW_SHOT_ENDING} file has moved, pass that file instead of the folder,\n"
            "and its model with --model, to write it again."
        ),
        examples=(
            f"teach clips/ --output mine{FEW_SHOT_ENDING}",
            f"teach clips/ --output strict{FEW_SHOT_ENDING} --tolerance 1.5",
            f"events new.mp4 --model mine{FEW_SHOT_ENDING}",
            f"teach clips/ --output whole{FEW_SHOT_ENDING} --model a2 --mode base",
        ),
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help=f"a folder with one folder of videos per class, or a {FEW_SHOT_ENDING} file",
    )
    parser.add_argument(
        "--output",
        type=_output,
        required=True,
        metavar="FILE",
        help=f"the {FEW_SHOT_ENDING} file to write",
    )
    parser.add_argument(
        "--model",
        default="a0",
        metavar="MODEL",
        help="the model that computes the features (default: a0)",
    )
    parser.add_argument(
        "--mode",
        choices=get_args(Mode),
        help="teach a stream model or a base model, which classifies whole clips (default: stream)",
    )
    parser.add_argument(
        "--tolerance",
        type=not_negative,
        default=DEFAULT_TOLERANCE,
        metavar="NUMBER",
        help="how far below the similarity of your clips a video may be before it is background, in standard deviations; lower "
        f"values reject more (default: {DEFAULT_TOLERANCE:g})",
    )
    add_offline(parser)


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix != FEW_SHOT_ENDING:
        raise argparse.ArgumentTypeError(f"must end in {FEW_SHOT_ENDING}; got {text!r}")
    return path


def _teach(args: argparse.Namespace) -> int:
    """Teach the classes, save them, and print the accuracy."""
    if is_few_shot(args.folder):
        mode = few_shot_mode(args.folder)
        if args.mode not in {None, mode}:
            raise UsageError(
                f"--mode must be that of the file, {mode}; got {args.mode} (omit it)"
            )
        moved = _CLASSES[mode].load(args.folder, model=args.model, offline=args.offline)
        moved.save(args.output)
        print(f"wrote {args.output}")
        return 0
    found = read_folder(args.folder, validation=0.0)
    clips: dict[str, list[Path]] = {}
    for example in (*found.training, *found.validation):
        clips.setdefault(example.label, []).append(cast("Path", example.source))
    taught = _CLASSES[args.mode or "stream"].teach(
        clips, args.model, tolerance=args.tolerance, offline=args.offline
    )
    taught.save(args.output)
    print(
        f"taught {len(taught.labels) - 1} classes from {sum(map(len, clips.values()))} clips ({taught.kind}); "
        f"with each left out once, {taught.accuracy:.0%} were recognised"
    )
    print(f"wrote {args.output}")
    return 0
