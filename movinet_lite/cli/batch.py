"""``movinet-lite batch``: process many videos with several workers."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from movinet_lite.batch import BatchProgress, Job, Limits, Mode, run
from movinet_lite.cli.arguments import UsageError, add_command, count, positive
from movinet_lite.cli.detector_options import (
    add_detector_options,
    check_event_labels,
    make_detector,
)
from movinet_lite.cli.output import FAILED, complain
from movinet_lite.cli.videos import (
    add_horizon,
    add_model_and_frames,
    labels_before_loading,
    load_options,
    make_label_filter,
)
from movinet_lite.errors import ArrayError
from movinet_lite.video.decoding import Quality

__all__ = ["add_commands"]

_DEFAULTS = Limits()


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "batch",
        _batch,
        summary="go through many videos, and write a row for each",
        description=(
            "Go through many videos with several processes, and write a row for each.\n\n"
            "A run that was interrupted goes on where it was when the same line is typed again.\n"
            "A video that is broken, takes too long or makes a process die becomes a row with\n"
            "an error; then the exit status is 1."
        ),
        examples=(
            "batch videos/ --output results.jsonl",
            "batch 'videos/**/*.mp4' --mode events --output events.jsonl --workers 8",
            "batch list.txt --mode clip --top-k 5 --model a2 --output results.parquet",
            "batch videos/ --output results.jsonl --retry-errors",
        ),
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="a folder, a pattern, a .txt or .csv list, an address such as s3://bucket/folder/, or a video",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .jsonl file, or .parquet (needs the extra 'cluster')",
    )
    parser.add_argument(
        "--mode",
        choices=get_args(Mode),
        default="stream",
        help="what a row holds: the classes of the whole video, those that lead over time, or events (default: stream)",
    )
    parser.add_argument(
        "--top-k",
        type=count,
        default=1,
        metavar="K",
        help="how many classes to name (default: 1)",
    )
    parser.add_argument(
        "--quality",
        choices=get_args(Quality),
        default="exact",
        help="how frames are decoded; fast takes less time and changes the pictures a little (default: exact)",
    )
    _add_running(parser)
    add_horizon(parser)
    add_model_and_frames(parser, models="demo, a0 to a5")
    add_detector_options(parser)


def _add_running(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("processes")
    group.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="how many processes, each with one thread that decodes and one that computes (default: one for each core)",
    )
    group.add_argument(
        "--timeout",
        type=positive,
        default=_DEFAULTS.timeout_s,
        metavar="S",
        help=f"how many seconds one video may take (default: {_DEFAULTS.timeout_s:g})",
    )
    group.add_argument(
        "--memory-limit",
        type=positive,
        metavar="MIB",
        help="how large a process may grow, on Linux (default: no limit)",
    )
    group.add_argument(
        "--attempts",
        type=count,
        default=_DEFAULTS.attempts,
        metavar="N",
        help=f"how often to try a video that makes a process die (default: {_DEFAULTS.attempts})",
    )
    group.add_argument(
        "--retry-errors",
        action="store_true",
        help="do the videos again whose rows are errors",
    )


def _batch(args: argparse.Namespace) -> int:
    """Go through the videos, and say how many there were."""
    job = _make_job(args)
    limits = _make_limits(args)
    with _progress_bar() as show:
        end = run(
            args.inputs,
            args.output,
            job,
            workers=args.workers,
            limits=limits,
            retry_errors=args.retry_errors,
            on_progress=show,
        )
    before = f", {end.num_before} before" if end.num_before else ""
    print(f"{args.output}: {end.num_done} videos{before}, {end.num_errors} errors")
    if end.num_errors:
        complain("error", f"{end.num_errors} of {end.num_done} videos have an error")
        return FAILED
    return 0


def _make_job(args: argparse.Namespace) -> Job:
    detector = make_detector(args)
    known = labels_before_loading(args)
    if args.mode == "events":
        check_event_labels(detector, known)
    elif known is not None:
        args.deny, args.threshold = [], 0.0
        make_label_filter(args, known)
    return Job(
        model=args.model,
        mode=args.mode,
        top_k=args.top_k,
        detector=detector.settings,
        labels=None if args.allow is None else tuple(args.allow),
        quality=args.quality,
        load_options=load_options(args)
        if args.threads
        else {**load_options(args), "threads": 1},
    )


def _make_limits(args: argparse.Namespace) -> Limits:
    try:
        return Limits(
            timeout_s=args.timeout,
            memory_mb=args.memory_limit,
            attempts=args.attempts,
        )
    except ArrayError as error:
        raise UsageError(error.message) from error


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[BatchProgress], None]]:
    """Give what draws how far the batch is, if the standard error is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}  {task.fields[errors]} errors"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
    with bar:
        task = bar.add_task("", total=None, rate="", errors=0)

        def show(progress: BatchProgress) -> None:
            elapsed_s = bar.tasks[0].elapsed or 0.0
            rate = progress.num_done / elapsed_s if elapsed_s else 0.0
            bar.update(
                task,
                total=progress.num_videos - progress.num_before,
                completed=progress.num_done,
                rate=f"{rate:.1f} videos/s",
                errors=progress.num_errors,
            )

        yield show
