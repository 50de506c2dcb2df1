"""``movinet-lite teach``: teach a stream model new classes from a folder of clips."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

from movinet_lite.classifiers import FewShotClassifier
from movinet_lite.cli.arguments import add_command, add_offline
from movinet_lite.engines.few_shot import FEW_SHOT_ENDING
from movinet_lite.training.folders import read_folder

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "teach",
        _teach,
        summary="teach a stream model your own actions from a few clips",
        description=(
            "Teach a stream model actions from a few clips each, in seconds and without TensorFlow.\n\n"
            "The folder holds a folder of videos for each action, named as the action; one\n"
            "named 'background' shows what shall not be recognised, and may be missing."
        ),
        examples=(
            f"teach clips/ --output mine{FEW_SHOT_ENDING}",
            f"events new.mp4 --model mine{FEW_SHOT_ENDING}",
        ),
    )
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="a folder of videos for each action"
    )
    parser.add_argument(
        "--output",
        type=_output,
        required=True,
        metavar="FILE",
        help=f"the file to write; it ends in {FEW_SHOT_ENDING}",
    )
    parser.add_argument(
        "--model",
        default="a0",
        metavar="MODEL",
        help="the stream model whose features are used (default: a0)",
    )
    add_offline(parser)


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix != FEW_SHOT_ENDING:
        raise argparse.ArgumentTypeError(f"must end in {FEW_SHOT_ENDING}; got {text!r}")
    return path


def _teach(args: argparse.Namespace) -> int:
    """Teach, save, and say how well it went."""
    found = read_folder(args.folder, validation=0.0)
    clips: dict[str, list[Path]] = {}
    for example in (*found.training, *found.validation):
        clips.setdefault(example.label, []).append(cast("Path", example.source))
    taught = FewShotClassifier.teach(clips, args.model, offline=args.offline)
    taught.save(args.output)
    print(
        f"taught {len(taught.labels) - 1} classes from {sum(map(len, clips.values()))} clips ({taught.kind}); "
        f"with each left out once, {taught.accuracy:.0%} were recognised"
    )
    print(f"wrote {args.output}")
    return 0
