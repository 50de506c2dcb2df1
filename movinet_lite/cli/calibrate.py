"""``movinet-lite calibrate``: fit the temperature of a model on labelled videos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from movinet_lite.classifiers import BaseClassifier, StreamingClassifier
from movinet_lite.cli.arguments import (
    UsageError,
    add_command,
    add_json,
    add_offline,
    count,
    positive,
)
from movinet_lite.cli.output import complain, loading, print_json
from movinet_lite.cli.training import (
    add_data,
    add_share_and_seed,
    examples_of,
    picture_path,
)
from movinet_lite.cli.training_bar import work_bar
from movinet_lite.errors import ModelError
from movinet_lite.hub import resolve_weights
from movinet_lite.network.changing_facts import change_facts, read_own_facts
from movinet_lite.network.variants import get_variant
from movinet_lite.show.curves import check_matplotlib
from movinet_lite.show.reliability import save_reliability
from movinet_lite.training.calibration import calibrate
from movinet_lite.training.evaluate import evaluate, with_evaluation_fit
from movinet_lite.training.settings import TRAINING_FIT
from movinet_lite.video import Fit

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "calibrate",
        _calibrate,
        description=(
            "Fit the temperature that divides the logits of a model, so that about 80 % of predictions\n"
            "with a score of 0.8 are right, and store it with the model. Rankings do not change.\n"
            "fine-tune calibrates automatically. Use videos that the model was not trained on, and\n"
            "evaluate the result on other videos."
        ),
        examples=(
            "calibrate my_model videos/",
            "calibrate my_model.tflite held_out.csv --part all --plot reliability.png",
            "calibrate demo videos/ --output calibrated.safetensors",
        ),
    )
    parser.add_argument(
        "model", metavar="MODEL", help="the path or name of a model of this library"
    )
    add_data(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="write a calibrated copy, a file or folder of the same kind (default: change the model in place)",
    )
    videos = parser.add_argument_group("videos")
    videos.add_argument(
        "--part",
        choices=("all", "validation", "test"),
        default="validation",
        help="the split to calibrate on (default: %(default)s)",
    )
    add_share_and_seed(videos)
    videos.add_argument(
        "--max-frames",
        type=count,
        metavar="N",
        help="maximum number of frames per video (default: all; one clip for a base model)",
    )
    videos.add_argument(
        "--fps",
        type=positive,
        metavar="FPS",
        help="frame rate to sample at (default: the model's)",
    )
    videos.add_argument(
        "--fit",
        choices=get_args(Fit),
        help="how to resize frames of another aspect ratio (default: as in training; evaluation if the model does not store this)",
    )
    parser.add_argument(
        "--threads",
        type=count,
        metavar="N",
        help="number of threads (default: one per core)",
    )
    parser.add_argument(
        "--plot",
        type=picture_path,
        metavar="FILE",
        help="write a reliability diagram of the held-out videos (needs the extra 'plot')",
    )
    add_offline(parser)
    add_json(parser)


def _calibrate(args: argparse.Namespace) -> int:
    """Fit a temperature, write it, and print its effect."""
    if args.plot is not None:
        check_matplotlib()
    path, output = _paths(args)
    facts = read_own_facts(path)
    examples = examples_of(args)
    most = args.max_frames
    if facts.mode == "base":
        length = get_variant(facts.variant).clip_frames
        most = length if most is None else min(most, length)
    load = StreamingClassifier.load if facts.mode == "stream" else BaseClassifier.load
    with work_bar() as bar:
        bar.show(loading(args.model))
        classifier: StreamingClassifier | BaseClassifier = load(
            path, fps=args.fps, fit=args.fit or TRAINING_FIT, threads=args.threads
        )
        if args.fit is None:
            classifier = with_evaluation_fit(classifier)
        bar.show("predicting", 0, len(examples))
        found = evaluate(
            classifier,
            examples,
            max_frames=most,
            on_video=lambda done: bar.show("predicting", done, len(examples)),
        )
    for one in found.skipped:
        complain("warning", f"left out: {one.name}: {one.reason}")
    result = calibrate(found.logits, found.targets)
    try:
        change_facts(path, output, temperature=result.temperature)
    except OSError as error:
        raise ModelError(
            f"the calibrated model must be written; {error.strerror}", output
        ) from error
    if args.json:
        print_json(**result.to_dict(), path=str(output))
    else:
        print(f"{output}: {result}")
    if args.plot is not None:
        save_reliability(result.after, args.plot, before=result.before)
    return 0


def _paths(args: argparse.Namespace) -> tuple[Path, Path]:
    """Return where the model is, and where to write it."""
    named = Path(args.model).expanduser()
    path = resolve_weights(args.model, "stream", offline=args.offline)
    if args.output is None:
        if not named.exists():
            raise UsageError(
                f"a model that is loaded by name requires --output; got {args.model!r} without"
            )
        return path, path
    if args.output.suffix != path.suffix and not path.is_dir():
        raise UsageError(
            f"--output must end in {path.suffix}, as the model does; got {args.output}"
        )
    if path.is_dir() and args.output.exists() and args.output.resolve() != path:
        raise UsageError(f"--output must be a new folder; {args.output} is there")
    return path, args.output
