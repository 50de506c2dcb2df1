"""``movinet-lite fine-tune`` and ``movinet-lite evaluate``: train on labelled videos, and measure accuracy."""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from movinet_lite.classifiers import BaseClassifier, StreamingClassifier
from movinet_lite.cli.arguments import (
    UsageError,
    add_command,
    add_functions,
    add_json,
    add_offline,
    count,
    frame_size,
    number,
    positive,
    random_seed,
)
from movinet_lite.cli.output import (
    INTERRUPTED,
    PROGRAM,
    complain,
    counted,
    loading,
    print_json,
)
from movinet_lite.cli.training_bar import WorkBar, work_bar
from movinet_lite.network.variants import Mode
from movinet_lite.show.curves import check_matplotlib
from movinet_lite.show.reliability import save_reliability
from movinet_lite.training.augmentation import Augmentation
from movinet_lite.training.evaluate import evaluate, with_evaluation_fit
from movinet_lite.training.examples import Example, ExampleSet, listed
from movinet_lite.training.reading import read_examples
from movinet_lite.training.settings import TRAINING_FIT, Settings
from movinet_lite.video import Fit

if TYPE_CHECKING:
    from movinet_lite.training.evaluate import Evaluation
    from movinet_lite.training.records import EpochRecord
    from movinet_lite.training.trainer import FineTuned

__all__ = [
    "add_commands",
    "add_data",
    "add_share_and_seed",
    "examples_of",
    "picture_path",
]

_PICTURE_ENDINGS = (".pdf", ".png", ".svg")
_WIDTH = 79  # of a line with a command

_share = functools.partial(number, low=0, high=0.99, rule="from 0 to 0.99")


def add_commands(commands: Any) -> None:
    """Add the commands of this module to the command line's."""
    _add_fine_tune(commands)
    _add_evaluate(commands)


def _add_fine_tune(commands: Any) -> None:
    parser = add_command(
        commands,
        "fine-tune",
        _fine_tune,
        description=(
            "Fine-tune a model on your own videos: a folder with one folder of videos per\n"
            "class, a .csv file with the columns path and label, or an official list of\n"
            "UCF-101, HMDB51, Kinetics or Something-Something.\n\n"
            "The output folder always holds the best weights so far; pass it to --model."
        ),
        examples=(
            "fine-tune videos/ --model a0 --output my_model",
            "fine-tune videos/ --model a0 --output my_model --resume",
            "fine-tune list.csv --model a2 --output my_model --freeze-backbone",
            "stream clip.mp4 --model my_model",
        ),
    )
    defaults = Settings()
    add_data(parser)
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the folder to write",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the training in the output folder",
    )
    model = parser.add_argument_group("model")
    _add_model(model)
    model.add_argument(
        "--freeze-backbone",
        action="store_true",
        help="train only the last two layers: faster, and enough for few videos",
    )
    model.add_argument(
        "--keep-head",
        action="store_true",
        help="keep all classes of the model and train them further",
    )
    clips = parser.add_argument_group("clips")
    clips.add_argument(
        "--num-frames",
        type=count,
        default=defaults.num_frames,
        metavar="N",
        help="frames per clip (default: %(default)s)",
    )
    clips.add_argument(
        "--long-streams",
        action="store_true",
        help="train for live use: clips start up to ten seconds into a stream",
    )
    clips.add_argument(
        "--frame-size",
        type=frame_size,
        metavar="HxW",
        help="frame size to train at (default: the model's; smaller is faster)",
    )
    clips.add_argument(
        "--fps",
        type=positive,
        metavar="FPS",
        help="frame rate to train at (default: the model's)",
    )
    clips.add_argument(
        "--no-flip",
        action="store_true",
        help="no horizontal flips, for classes that differ in left and right",
    )
    clips.add_argument(
        "--no-augmentation",
        action="store_true",
        help="no augmentation",
    )
    training = parser.add_argument_group("training")
    training.add_argument(
        "--epochs",
        type=count,
        default=defaults.epochs,
        metavar="N",
        help="number of epochs (default: %(default)s)",
    )
    training.add_argument(
        "--batch-size",
        type=count,
        default=defaults.batch_size,
        metavar="N",
        help="clips per step (default: %(default)s)",
    )
    training.add_argument(
        "--learning-rate",
        type=positive,
        default=defaults.learning_rate,
        metavar="RATE",
        help="peak learning rate (default: %(default)s)",
    )
    training.add_argument(
        "--patience",
        type=count,
        metavar="N",
        help="stop early after N epochs without improvement (default: never)",
    )
    add_share_and_seed(
        training,
        share="share of each class in the validation split, if the data has none",
        seed="random seed",
    )
    add_offline(parser)
    add_json(parser)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the options for labelled videos and their background."""
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="a folder of videos, or a list of videos",
    )
    parser.add_argument(
        "--videos",
        type=Path,
        metavar="FOLDER",
        help="folder of the videos in a list (default: the folder of the list)",
    )
    parser.add_argument(
        "--background",
        type=Path,
        metavar="FOLDER",
        help="a folder of videos of none of the classes: the class 'background', which never becomes an event",
    )
    parser.add_argument(
        "--background-outside",
        action="store_true",
        help="use the time outside the segments of a list as background",
    )


def add_share_and_seed(
    group: argparse._ArgumentGroup,
    *,
    share: str = "as given to fine-tune",
    seed: str = "as given to fine-tune",
) -> None:
    """Add the options for the validation split; *share* and *seed* are their help texts."""
    group.add_argument(
        "--validation",
        type=_share,
        default=0.2,
        metavar="SHARE",
        help=f"{share} (default: %(default)s)",
    )
    group.add_argument(
        "--seed",
        type=random_seed,
        default=0,
        metavar="N",
        help=f"{seed} (default: %(default)s)",
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model",
        default="a0",
        metavar="MODEL",
        help="demo, a0 to a5, a URL, or the path of a model (default: %(default)s)",
    )
    group.add_argument(
        "--mode",
        choices=get_args(Mode),
        default="stream",
        help="train a stream model or a base model (default: %(default)s)",
    )
    add_functions(group)


def _fine_tune(args: argparse.Namespace) -> int:
    """Train, and print the metrics after each epoch."""
    augmentation = Augmentation(flip=not args.no_flip)
    if args.no_augmentation:
        augmentation = Augmentation(
            crop=0, flip=False, brightness=0, contrast=0, saturation=0, shift=False
        )
    settings = Settings(
        num_frames=args.num_frames,
        long_streams=args.long_streams,
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        freeze_backbone=args.freeze_backbone,
        patience=args.patience,
        augmentation=augmentation,
        seed=args.seed,
    )
    data = _read_data(args)
    if not args.json:
        to_test = f", {len(data.test)} for testing" if data.test else ""
        print(
            f"{len(data.labels)} classes, {len(data.training)} videos for training, {len(data.validation)} for "
            f"validation{to_test}",
            flush=True,
        )
    with work_bar() as bar:
        bar.show("starting TensorFlow")
        from movinet_lite.network.tensorflow import tf  # noqa: F401 - takes seconds, which the line above announces
        from movinet_lite.training.fine_tune import fine_tune

        bar.show(f"loading {args.model}")
        told = _Told(args, bar)
        result = fine_tune(
            args.model,
            data,
            args.output,
            settings=settings,
            mode=args.mode,
            keep_head=args.keep_head,
            frame_size=args.frame_size,
            fps=args.fps,
            resume=args.resume,
            offline=args.offline,
            activation=args.activation,
            gate=args.gate,
            on_resume=told.resumed,
            on_ready=told.ready,
            on_epoch=told.epoch,
            on_step=told.step,
        )
    return _say_result(args, data, result)


def _read_data(args: argparse.Namespace) -> ExampleSet:
    """Return the examples, and print the skipped files."""
    data = read_examples(
        args.data,
        videos=args.videos,
        validation=args.validation,
        seed=args.seed,
        background=args.background,
        background_outside=args.background_outside,
    )
    by_reason: dict[str, list[str]] = {}
    for one in data.skipped:
        by_reason.setdefault(one.reason, []).append(Path(one.name).name)
    for reason, names in by_reason.items():
        files = counted(len(names), "file")
        complain("warning", f"left out {files}: {listed(names)}: {reason}")
    return data


class _Told:
    """Prints the progress of training, in lines that fit a terminal of 80 columns."""

    _TITLES = ("epoch", "loss", "top-1", "val. loss", "val. top-1", "time left")
    _WIDTHS = (9, 8, 8, 11, 12, 15)

    def __init__(self, args: argparse.Namespace, bar: WorkBar) -> None:
        self._args = args
        self._bar = bar
        self._epoch = 1
        self._has_titles = False

    def resumed(self, num_epochs: int) -> None:
        self._epoch = num_epochs + 1
        if not self._args.json:
            self._bar.print(f"resuming after epoch {num_epochs}")

    def ready(self) -> None:
        self._bar.show("the first step, which takes longest")

    def step(self, done: int, total: int) -> None:
        name = f"epoch {self._epoch}/{self._args.epochs}"
        if done < total:
            self._bar.show(name, done, total)
        else:
            self._bar.show(f"{name}, validation")

    def epoch(self, record: EpochRecord) -> None:
        self._epoch = record.epoch + 1
        if self._args.json:
            with self._bar.hidden():
                print_json(**record.to_dict())
            return
        if not self._has_titles:
            self._bar.print(self._row(self._TITLES))
            self._has_titles = True
        loss, top_1 = record.validation_loss, record.validation_top_1
        cells = (
            f"{record.epoch}/{record.num_epochs}",
            f"{record.loss:.3f}",
            f"{record.top_1:.1%}",
            "-" if loss is None else f"{loss:.3f}",
            "-" if top_1 is None else f"{top_1:.1%}",
            "-" if record.seconds_left is None else _duration(record.seconds_left),
        )
        self._bar.print(self._row(cells))

    def _row(self, cells: Sequence[str]) -> str:
        first, *rest = zip(cells, self._WIDTHS, strict=True)
        return first[0].ljust(first[1]) + "".join(
            cell.rjust(width) for cell, width in rest
        )


def _say_result(args: argparse.Namespace, data: ExampleSet, result: FineTuned) -> int:
    for one in result.skipped:
        complain("warning", f"left out: {one.name}: {one.reason}")
    best = result.best
    if args.json:
        print_json(
            path=str(result.path),
            best_epoch=best.epoch,
            temperature=best.temperature,
            ended_early=result.ended_early,
            num_skipped=len(result.skipped),
        )
    else:
        judged = (
            "the lowest training loss"
            if best.validation_top_1 is None
            else f"top-1 {best.validation_top_1:.1%} on the validation videos"
        )
        print(f"{result.path}: epoch {best.epoch}, {judged}")
        if best.temperature is not None:
            print(f"temperature {best.temperature:.3g}, fitted on these videos")
        print("\n".join(_next_commands(args, data, result.path)))
    if result.ended_early == "interrupted":
        command = shlex.join([*sys.argv[1:]])
        resume = "" if args.resume else " --resume"
        complain("interrupted", f"to resume: {PROGRAM} {command}{resume}")
        return INTERRUPTED
    return 0


def _next_commands(
    args: argparse.Namespace, data: ExampleSet, path: Path
) -> Iterator[str]:
    """Yield lines with commands to use and to evaluate the model."""
    model = ["--model", str(path)]
    if args.mode == "base":
        model += ["--mode", "base"]
    use = "stream" if args.mode == "stream" else "classify"
    yield from _titled("to use it:", [PROGRAM, use, "clip.mp4"], model[:2])
    if not (data.test or data.validation):
        return
    judge = [*model, "--part", "test" if data.test else "validation"]
    if args.background_outside:
        judge.append("--background-outside")
    for option, value, default in (
        ("--videos", args.videos, None),
        ("--background", args.background, None),
        ("--validation", args.validation, 0.2),
        ("--seed", args.seed, 0),
    ):
        if value != default:
            judge += [option, str(value)]
    yield from _titled("to evaluate:", [PROGRAM, "evaluate", str(args.data)], judge)


def _titled(title: str, command: list[str], options: list[str]) -> Iterator[str]:
    r"""Yield *title* and a command, broken before options so that each line fits a terminal of 80 columns.

    Example:
        >>> options = ["--model", "m" * 40, "--part", "test", "--seed", "2"]
        >>> print(*_titled("next:", ["movinet-lite", "evaluate"], options), sep="\n")
        next:        movinet-lite evaluate \
          --model mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm --part test --seed 2
    """
    line = f"{title:12} {shlex.join(command)}"
    parts: list[list[str]] = []
    for word in options:
        if word.startswith("--"):
            parts.append([])
        parts[-1].append(word)
    for place, part in enumerate(map(shlex.join, parts), start=1):
        backslash = 0 if place == len(parts) else 2
        if len(line) + 1 + len(part) + backslash > _WIDTH:
            yield f"{line} \\"
            line = f"  {part}"
        else:
            line = f"{line} {part}"
    yield line


def _duration(seconds: float) -> str:
    """Return a duration for people, such as ``42 s``.

    Example:
        >>> _duration(42.4), _duration(250), _duration(7300)
        ('42 s', '4 min 10 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _add_evaluate(commands: Any) -> None:
    parser = add_command(
        commands,
        "evaluate",
        _evaluate,
        description=(
            "Measure the accuracy of a model on labelled videos: a folder with one folder of\n"
            "videos per class, or a list as for fine-tune."
        ),
        examples=(
            "evaluate videos/ --model my_model",
            "evaluate videos/ --model my_model --part validation --confusion",
            "evaluate videos/ --model a2 --picture confusion.png",
        ),
    )
    add_data(parser)
    model = parser.add_argument_group("model")
    _add_model(model)
    model.add_argument(
        "--fps",
        type=positive,
        metavar="FPS",
        help="frame rate to sample at (default: the model's)",
    )
    model.add_argument(
        "--fit",
        choices=get_args(Fit),
        help="how to resize frames of another aspect ratio (default: as in training; as the published accuracies were "
        "measured, evaluation, if the model does not store this)",
    )
    model.add_argument(
        "--threads",
        type=count,
        metavar="N",
        help="number of threads (default: one per core)",
    )
    videos = parser.add_argument_group("videos")
    videos.add_argument(
        "--part",
        choices=("all", "training", "validation", "test"),
        default="all",
        help="the split to evaluate (default: %(default)s)",
    )
    add_share_and_seed(videos)
    videos.add_argument(
        "--max-frames",
        type=count,
        metavar="N",
        help="maximum number of frames per video (default: all)",
    )
    parser.add_argument(
        "--confusion", action="store_true", help="also print the confusion matrix"
    )
    parser.add_argument(
        "--picture",
        type=picture_path,
        metavar="FILE",
        help="write the confusion matrix as an image (requires the extra 'plot')",
    )
    parser.add_argument(
        "--plot",
        type=picture_path,
        metavar="FILE",
        help="write a reliability diagram: accuracy by score (requires the extra 'plot')",
    )
    add_offline(parser)
    add_json(parser)


def examples_of(args: argparse.Namespace) -> Sequence[Example]:
    """Return the videos of the split that the options select.

    Raises:
        UsageError: If there is none.
    """
    data = _read_data(args)
    examples = {
        "all": (*data.training, *data.validation, *data.test),
        "training": data.training,
        "validation": data.validation,
        "test": data.test,
    }[args.part]
    if not examples:
        raise UsageError(f"there are no videos in the split {args.part!r}")
    return examples


def _evaluate(args: argparse.Namespace) -> int:
    """Evaluate a model, and print its accuracy."""
    if args.picture is not None or args.plot is not None:
        check_matplotlib()
    examples = examples_of(args)
    load = StreamingClassifier.load if args.mode == "stream" else BaseClassifier.load
    with work_bar() as bar:
        bar.show(loading(args.model))
        classifier: StreamingClassifier | BaseClassifier = load(
            args.model,
            fps=args.fps,
            fit=args.fit or TRAINING_FIT,
            threads=args.threads,
            offline=args.offline,
            activation=args.activation,
            gate=args.gate,
        )
        if args.fit is None:
            classifier = with_evaluation_fit(classifier)
        bar.show("the first video")
        found = evaluate(
            classifier,
            examples,
            max_frames=args.max_frames,
            on_video=lambda done: bar.show("evaluating", done, len(examples)),
        )
    for one in found.skipped:
        complain("warning", f"left out: {one.name}: {one.reason}")
    if args.json:
        print(found.to_json())
    else:
        print(found.to_text())
        if args.confusion:
            print(f"\n{found.confusion_to_text()}")
    if args.picture is not None:
        _save_confusion(args.picture, found)
    if args.plot is not None:
        save_reliability(found.reliability, args.plot, before=found.reliability_before)
    return 0


def _save_confusion(path: Path, found: Evaluation) -> None:
    from matplotlib.figure import Figure

    from movinet_lite.show.plotting import plot_confusion

    figure = plot_confusion(found.confusion, found.labels).figure
    if isinstance(figure, Figure):  # not a part of one
        figure.savefig(path)


def picture_path(text: str) -> Path:
    """Return the path of an image to write."""
    path = Path(text)
    if path.suffix.lower() not in _PICTURE_ENDINGS:
        raise argparse.ArgumentTypeError(
            f"must end in one of {', '.join(_PICTURE_ENDINGS)}; got {text!r}"
        )
    return path
