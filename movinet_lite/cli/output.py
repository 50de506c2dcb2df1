"""Output lines and exit statuses of the command line.

Results are printed to standard output, one per line; everything else goes to standard error.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from movinet_lite.predictions import Prediction, Ranking

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "PIPE_CLOSED",
    "PROGRAM",
    "TERMINATED",
    "WRONG_USAGE",
    "as_dicts",
    "clock",
    "complain",
    "counted",
    "loading",
    "print_json",
    "print_table",
    "progress_bar",
    "timeline_line",
    "to_json",
]

PROGRAM = "movinet-lite"

FAILED, WRONG_USAGE, INTERRUPTED, PIPE_CLOSED, TERMINATED = 1, 2, 130, 141, 143


def complain(kind: str, message: object) -> None:
    """Print *message* on one line of standard error; on a terminal it is wrapped."""
    if sys.stderr is None:  # print would use standard output instead
        return
    text = " ".join(f"{PROGRAM}: {kind}: {message}".split())
    if sys.stderr.isatty():
        text = textwrap.fill(
            text,
            shutil.get_terminal_size().columns,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    print(text, file=sys.stderr, flush=True)


def loading(model: str) -> str:
    """Return a status line for loading a model, with a note if it may take long.

    Example:
        >>> loading("a2"), loading("a2.tflite")
        ('loading a2 (compiled the first time: about a minute)', 'loading a2.tflite')
    """
    from movinet_lite.hub.handles import DEMO_NAME

    is_compiled = model.endswith(".tflite") or model.lower() == DEMO_NAME
    return f"loading {model}" + (
        "" if is_compiled else " (compiled the first time: about a minute)"
    )


def to_json(**values: Any) -> str:
    """Return *values* as a JSON object on one line."""
    return json.dumps(values)


def print_json(**values: Any) -> None:
    """Print *values* as a JSON object on one line, and flush."""
    print(to_json(**values), flush=True)


def timeline_line(
    video: str, prediction: Prediction, ranking: Ranking, *, as_json: bool
) -> str:
    """Return the line of a stream's timeline: time, score and label."""
    if as_json:
        return to_json(
            video=video,
            frame_index=prediction.frame_index,
            time_s=prediction.time_s,
            top_k=as_dicts(ranking),
        )
    found = "  ".join(f"{score:.2f} {label}" for label, score in ranking)
    return f"{clock(prediction.time_s or 0.0)}  {found or '-'}"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def clock(time_s: float) -> str:
    """Return a time for people, such as ``0:02.4``.

    Example:
        >>> clock(2.4), clock(59.97), clock(3661.0)
        ('0:02.4', '1:00.0', '1:01:01.0')
    """
    tenths = round(time_s * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02}:{tenths / 10:04.1f}"
    return f"{hours}:{text}" if hours else text.removeprefix("0")


def counted(number: int, noun: str) -> str:
    """Return a number of things, such as ``1 video`` or ``2 videos``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def as_dicts(ranking: Ranking) -> list[dict[str, Any]]:
    """Return a ranking for JSON."""
    return [{"label": label, "score": score} for label, score in ranking]


@contextlib.contextmanager
def progress_bar(name: str, length_s: float | None) -> Iterator[Progress | None]:
    """Draw a progress bar while the block runs, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    ) as progress:
        progress.add_task(escape(name), total=length_s)
        yield progress
