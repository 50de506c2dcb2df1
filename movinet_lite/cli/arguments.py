"""Options and argument types that commands share."""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from movinet_lite.cli.commands import COMMANDS
from movinet_lite.cli.output import PROGRAM

if TYPE_CHECKING:
    from movinet_lite.arrays import FrameSize

__all__ = [
    "OUTPUT_ENDINGS",
    "UsageError",
    "add_command",
    "add_functions",
    "add_json",
    "add_labels_file",
    "add_offline",
    "count",
    "examples_text",
    "frame_size",
    "not_negative",
    "number",
    "output_path",
    "positive",
    "random_seed",
    "score",
    "seconds",
    "threads",
    "whole_number",
]

OUTPUT_ENDINGS = (".mp4", ".gif")


class UsageError(Exception):
    """A required option is missing."""


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    description: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a command and return its parser, for its options.

    Args:
        commands: The argument of `add_commands`.
        name: The name of the command, one of `COMMANDS`.
        run: Runs the command with the parsed arguments and returns the exit status.
        description: A description for its ``--help``.
        examples: Example command lines, without the program's name.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=COMMANDS[name].summary,
        description=description,
        epilog=examples_text(*examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def examples_text(*lines: str) -> str:
    """Return the examples for the end of a ``--help``."""
    return "\n".join(["examples:", *(f"  {PROGRAM} {line}" for line in lines)])


def add_labels_file(parser: argparse._ActionsContainer) -> None:
    """Add ``--labels FILE``."""
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="the labels of the model: a file with one per line, a .json file, or kinetics-600 (default: the model's own)",
    )


def add_functions(parser: argparse._ActionsContainer) -> None:
    """Add ``--activation`` and ``--gate``, which only checkpoints need."""
    from movinet_lite.network.spec import Activation, Gate

    for name, choices in (
        ("activation", get_args(Activation)),
        ("gate", get_args(Gate)),
    ):
        parser.add_argument(
            f"--{name}",
            choices=choices,
            help=f"the {name} of a Model Garden checkpoint, which does not store it (default: as published, with a warning)",
        )


def add_offline(parser: argparse._ActionsContainer) -> None:
    """Add ``--offline``."""
    parser.add_argument(
        "--offline",
        action="store_true",
        help="do not use the network; the model must be in the cache",
    )


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add ``--json``."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per line"
    )


def whole_number(text: str, *, low: int, high: float, rule: str) -> int:
    """Return a whole number from *low* to *high*, inclusive; *rule* describes the range."""
    with contextlib.suppress(ValueError):
        if low <= (found := int(text)) <= high:
            return found
    raise argparse.ArgumentTypeError(f"must be a whole number{rule}; got {text!r}")


count = functools.partial(whole_number, low=1, high=math.inf, rule=", at least 1")
random_seed = functools.partial(whole_number, low=0, high=math.inf, rule=", at least 0")


def threads(text: str) -> int:
    """Return a number of threads, up to a limit that prevents running out of memory."""
    from movinet_lite.engines.loading import MAX_THREADS

    return whole_number(text, low=1, high=MAX_THREADS, rule=f" from 1 to {MAX_THREADS}")


def number(text: str, *, low: float, high: float, rule: str) -> float:
    """Return a number from *low* to *high*, inclusive; *rule* describes the range."""
    with contextlib.suppress(ValueError):
        if low <= (found := float(text)) <= high:  # false for NaN
            return found
    raise argparse.ArgumentTypeError(f"must be {rule}; got {text!r}")


_LARGEST = sys.float_info.max
_LONGEST_S = 10**9  # 31 years; containers count time in 64 bits

positive = functools.partial(
    number, low=sys.float_info.min, high=_LARGEST, rule="a number above 0"
)
not_negative = functools.partial(
    number, low=0, high=_LARGEST, rule="a number, at least 0"
)
seconds = functools.partial(
    number, low=0, high=_LONGEST_S, rule=f"from 0 to {_LONGEST_S} seconds"
)
score = functools.partial(number, low=0, high=1, rule="from 0 to 1")


def output_path(text: str) -> Path:
    """Return the path of a video to write."""
    path = Path(text)
    if path.suffix.lower() not in OUTPUT_ENDINGS:
        raise argparse.ArgumentTypeError(
            f"must end in one of {', '.join(OUTPUT_ENDINGS)}; got {text!r}"
        )
    return path


def frame_size(text: str) -> FrameSize:
    """Return (height, width) from a text such as ``172x172``."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"must be HEIGHTxWIDTH in pixels, such as 172x172; got {text!r}"
        )
    return int(match[1]), int(match[2])
