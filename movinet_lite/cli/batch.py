"""``movinet-lite batch``: process many videos with several workers."""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from movinet_lite.batch import BatchProgress, Job, Limits, Mode, on_ray, run
from movinet_lite.cli.arguments import UsageError, add_command, count, positive
from movinet_lite.cli.detector_options import (
    add_detector_options,
    check_event_labels,
    make_detector,
)
from movinet_lite.cli.output import FAILED, complain, counted
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
        description=(
            "Process many videos with several worker processes, here or on a Ray cluster, and\n"
            "write a row for each.\n\n"
            "Run the same command again to continue an interrupted run. A video that is broken,\n"
            "takes too long or crashes its worker becomes a row with an error, and the exit\n"
            "status is 1."
        ),
        examples=(
            "batch videos/ --output results.jsonl",
            "batch 'videos/**/*.mp4' --mode events --output events.jsonl --workers 8",
            "batch list.txt --mode clip --top-k 5 --model a2 --output results.parquet",
            "batch videos/ --output results.jsonl --retry-errors",
            "batch s3://bucket/videos/ --output results.parquet --ray 10.0.0.1:6379",
        ),
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="a folder, a glob pattern, a .txt or .csv list, a URL such as s3://bucket/folder/, or a video",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .jsonl file, or .parquet (requires the extra 'cluster')",
    )
    parser.add_argument(
        "--mode",
        choices=get_args(Mode),
        default="stream",
        help="the content of a row: top classes of the whole video, leading labels over time, or events (default: stream)",
    )
    parser.add_argument(
        "--top-k",
        type=count,
        default=1,
        metavar="K",
        help="number of labels (default: 1)",
    )
    parser.add_argument(
        "--quality",
        choices=get_args(Quality),
        default="exact",
        help="how to decode frames; fast saves time and changes the pixels a little (default: exact)",
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
        help="number of worker processes, each with one thread for decoding and one for the model (default: one per core; "
        "with --ray the maximum: as many as the cluster has room for or grows to)",
    )
    group.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="run on the Ray cluster at this address, such as 10.0.0.1:6379 (without one: the cluster running on this "
        "machine, or a new one on it); needs the extra 'cluster'",
    )
    group.add_argument(
        "--min-workers",
        type=count,
        metavar="N",
        help="with --ray: number of processes to request at once, even if the cluster must grow for them (default: 1)",
    )
    group.add_argument(
        "--timeout",
        type=positive,
        default=_DEFAULTS.timeout_s,
        metavar="S",
        help=f"time limit per video in seconds (default: {_DEFAULTS.timeout_s:g})",
    )
    group.add_argument(
        "--load-timeout",
        type=positive,
        default=_DEFAULTS.load_timeout_s,
        metavar="S",
        help="time limit for loading the model in seconds, including download and compilation "
        f"(default: {_DEFAULTS.load_timeout_s:g})",
    )
    group.add_argument(
        "--memory-limit",
        type=positive,
        metavar="MIB",
        help="memory limit per worker in MiB, on Linux (default: none)",
    )
    group.add_argument(
        "--attempts",
        type=count,
        default=_DEFAULTS.attempts,
        metavar="N",
        help=f"how often to try a video that crashes its worker (default: {_DEFAULTS.attempts})",
    )
    group.add_argument(
        "--retry-errors",
        action="store_true",
        help="process videos again whose rows are errors",
    )


def _batch(args: argparse.Namespace) -> int:
    """Process the videos, and print a summary."""
    if args.min_workers and args.ray is None:
        raise UsageError("--min-workers requires --ray")
    run_batch = functools.partial(
        _runner(args),
        args.inputs,
        args.output,
        _make_job(args),
        limits=_make_limits(args),
        retry_errors=args.retry_errors,
    )
    with _progress_bar() as show:
        end = run_batch(on_progress=show)
    before = f", {end.num_before} before" if end.num_before else ""
    errors = end.num_errors + end.num_errors_before
    print(
        f"{args.output}: {counted(end.num_done, 'video')}{before}, {counted(errors, 'error')}"
    )
    if not errors:
        return 0
    again = " (--retry-errors processes them again)" if end.num_errors_before else ""
    complain(
        "error",
        f"{errors} of {end.num_before + end.num_done} videos {'has' if errors == 1 else 'have'} an error{again}",
    )
    return FAILED


def _runner(args: argparse.Namespace) -> Callable[..., BatchProgress]:
    if args.ray is None:
        return functools.partial(run, workers=args.workers)
    return functools.partial(
        on_ray,
        address=args.ray or None,
        min_workers=args.min_workers or 1,
        max_workers=args.workers,
    )


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
            load_timeout_s=args.load_timeout,
        )
    except ArrayError as error:
        raise UsageError(error.message) from error


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[BatchProgress], None]]:
    """Yield a function that draws a progress bar, if standard error is a terminal."""
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
