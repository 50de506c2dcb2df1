"""``movinet-lite benchmark``: how fast models are on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from movinet_lite.cli.arguments import add_command, add_json, add_offline, count

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "benchmark",
        _benchmark,
        summary="measure every way to run a model on this machine",
        description="Measure every way to run a model on this machine, side by side.",
        examples=(
            "benchmark --stream a0 --base a0",
            "benchmark --stream a2 --threads 1 --stock-tflite a2.tflite",
        ),
    )
    parser.add_argument("--stream", metavar="MODEL", help="the stream model")
    parser.add_argument("--base", metavar="MODEL", help="the base model")
    parser.add_argument(
        "--stock-tflite",
        type=Path,
        metavar="FILE",
        help="the same stream model as a file that others made, for LiteRT's own signature runner",
    )
    parser.add_argument(
        "--threads", type=count, metavar="N", help="threads (default: one a core)"
    )
    parser.add_argument(
        "--streams",
        type=count,
        default=8,
        metavar="N",
        help="streams to step in one call (default: %(default)s)",
    )
    parser.add_argument(
        "--calls",
        type=count,
        default=30,
        metavar="N",
        help="calls of each way to measure (default: %(default)s)",
    )
    parser.add_argument(
        "--no-starts",
        action="store_true",
        help="leave out the time to load and the memory",
    )
    add_offline(parser)
    add_json(parser)


def _benchmark(args: argparse.Namespace) -> int:
    """Measure models on this machine."""
    from movinet_lite.benchmark import benchmark

    if sys.stderr.isatty():
        print("measuring; this takes some minutes ...", file=sys.stderr)
    report = benchmark(
        args.stream,
        base=args.base,
        stock_tflite=args.stock_tflite,
        threads=args.threads,
        streams=args.streams,
        calls=args.calls,
        measure_starts=not args.no_starts,
        offline=args.offline,
    )
    print(report.to_json() if args.json else report.to_text())
    return 0
