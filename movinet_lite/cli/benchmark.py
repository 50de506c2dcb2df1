"""``movinet-lite benchmark``: measure speed on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

import attrs

from movinet_lite.cli.arguments import (
    UsageError,
    add_command,
    add_json,
    add_offline,
    count,
    threads,
)
from movinet_lite.cli.output import print_json
from movinet_lite.video.decoding import Quality

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "benchmark",
        _benchmark,
        description="Measure every way to run a model on this machine, side by side.",
        examples=(
            "benchmark --stream a0 --base a0",
            "benchmark --stream a2 --threads 1 --stock-tflite a2.tflite",
            "benchmark --stream a0 --soak 100000",
            "benchmark --stream a0 --pipeline clip.mp4",
            "benchmark --stream a2 --threads 1 --profile",
            "benchmark --stream a2 --profile --engine litert",
        ),
    )
    parser.add_argument("--stream", metavar="MODEL", help="the stream model")
    parser.add_argument("--base", metavar="MODEL", help="the base model")
    parser.add_argument(
        "--stock-tflite",
        type=Path,
        metavar="FILE",
        help="the same stream model as a .tflite file from elsewhere, for LiteRT's signature runner",
    )
    parser.add_argument(
        "--threads",
        type=threads,
        metavar="N",
        help="number of threads (default: one per core)",
    )
    parser.add_argument(
        "--streams",
        type=count,
        default=8,
        metavar="N",
        help="streams per call of step_many (default: %(default)s)",
    )
    parser.add_argument(
        "--calls",
        type=count,
        default=30,
        metavar="N",
        help="number of measured calls (default: %(default)s)",
    )
    parser.add_argument(
        "--no-starts",
        action="store_true",
        help="do not measure load time and memory",
    )
    parser.add_argument(
        "--soak",
        type=count,
        metavar="STEPS",
        help="instead, run a soak test of this many steps, such as 100000: does memory grow, and do "
        "the logits still match those of TensorFlow?",
    )
    parser.add_argument(  # what --soak was called once
        "--endurance", dest="soak", type=count, help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--training",
        metavar="VARIANT",
        help="instead, train a model of this variant, such as a0, and report clips per second",
    )
    parser.add_argument(
        "--pipeline",
        type=Path,
        metavar="FILE",
        help="instead, stream this video and report where the CPU time goes: "
        "demux, decode, scale, infer, rest",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="instead, report how long each part of the stream model takes, one frame a call and several; "
        "with several threads, also how much faster it is than with one",
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "native", "litert"),
        default="auto",
        help="the engine of --profile (default: the one that the model gets)",
    )
    parser.add_argument(
        "--quality",
        choices=get_args(Quality),
        default="exact",
        help="how --pipeline decodes (default: %(default)s)",
    )
    add_offline(parser)
    add_json(parser)


def _benchmark(args: argparse.Namespace) -> int:
    """Measure models on this machine."""
    if args.engine != "auto" and not args.profile:
        raise UsageError(f"--engine needs --profile; got --engine {args.engine} alone")
    if args.soak is not None:
        return _step_for_long(args)
    if args.training is not None:
        return _train(args)
    if args.pipeline is not None:
        return _measure_pipeline(args)
    if args.profile:
        return _profile(args)
    if args.stream is None and args.base is None:
        raise UsageError("a benchmark needs --stream MODEL or --base MODEL")
    from movinet_lite.benchmark.measuring import benchmark

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


def _step_for_long(args: argparse.Namespace) -> int:
    """Step a stream model for hours of video."""
    from movinet_lite.benchmark.soak import step_for_long

    if args.stream is None:
        raise UsageError("--soak needs --stream MODEL")
    report = step_for_long(
        args.stream, steps=args.soak, threads=args.threads, offline=args.offline
    )
    if args.json:
        print_json(**attrs.asdict(report))
    else:
        print(report.to_text())
    return 0


def _train(args: argparse.Namespace) -> int:
    """Train for some steps."""
    from movinet_lite.benchmark.training import measure_training_speed

    speed = measure_training_speed(args.training, steps=args.calls)
    if args.json:
        print_json(**attrs.asdict(speed))
    else:
        print(speed.to_text())
    return 0


def _measure_pipeline(args: argparse.Namespace) -> int:
    """Go through a video."""
    from movinet_lite.benchmark.pipeline import measure_pipeline

    if args.stream is None:
        raise UsageError("--pipeline needs --stream MODEL")
    cost = measure_pipeline(
        args.pipeline,
        args.stream,
        threads=args.threads,
        quality=args.quality,
        offline=args.offline,
    )
    if args.json:
        print_json(**attrs.asdict(cost))
    else:
        print(cost.to_text())
    return 0


def _profile(args: argparse.Namespace) -> int:
    """Measure each part."""
    from movinet_lite.benchmark.profiling import profile

    if args.stream is None:
        raise UsageError("--profile needs --stream MODEL")
    report = profile(
        args.stream,
        engine=args.engine,
        threads=args.threads,
        calls=args.calls,
        offline=args.offline,
    )
    if args.json:
        print_json(**report.to_dict())
    else:
        print(report.to_text())
    return 0
