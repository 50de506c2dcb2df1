"""The command line: videos in, named actions out.

Results go to the standard output, one line each; whatever else there is to say goes to the standard error. Nothing here
computes: every command is a few calls of the library. TensorFlow is loaded with the first video that can be read, so
that ``--help``, ``labels``, ``models`` and mistakes are answered at once.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

import movinet_lite
from movinet_lite.arrays import FrameSize, VideoFrame
from movinet_lite.classifiers import BaseClassifier, StreamingClassifier
from movinet_lite.curves import check_matplotlib
from movinet_lite.engines.loading import Engine
from movinet_lite.errors import (
    ArrayError,
    LabelsError,
    MoViNetError,
    SessionError,
    VariantError,
    VideoError,
)
from movinet_lite.labels import (
    kinetics_600_labels,
    load_labels,
    search_labels,
)
from movinet_lite.overlay import OverlaidFrame, overlay_video
from movinet_lite.predictions import LabelFilter, Prediction, Ranking
from movinet_lite.preprocess import Fit, prepare_frame
from movinet_lite.variants import get_variant
from movinet_lite.video import VideoInfo, read_frames, read_video_info, write_video
from movinet_lite.window import Window

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["main"]

_PROGRAM = "movinet-lite"

_FAILED, _WRONG_USAGE, _INTERRUPTED, _PIPE_CLOSED = 1, 2, 130, 141

_DEFAULT_CLIP_FRAMES = (
    50  # ten seconds at five frames a second, as A0 to A2 were trained on
)

_OUTPUT_ENDINGS = (".mp4", ".gif")
_OVERLAY_TOP_K = 3

_Handler: TypeAlias = Callable[[str], None]
_AnyFrame = TypeVar("_AnyFrame", bound=VideoFrame)


class _UsageError(Exception):
    """An option is missing without which the command cannot run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        argv: The arguments behind the program's name; `None` for those of the process.

    Returns:
        0 if all went well, 1 if something failed, 2 for wrong usage, 130 after Ctrl-C, 141 if whoever read the output
        has gone.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The names of files hold any bytes.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = _run(argv)
        if sys.stdout is not None:  # closed by whoever started the command
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Python flushes the standard output once more when it ends.
        _give_up_output()
        return _PIPE_CLOSED
    except OSError as error:
        _complain("error", f"the output cannot be written: {error}")
        _give_up_output()
        return _FAILED
    return status


def _give_up_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:  # after --help, --version and wrong usage
        return int(stop.code or 0)
    # What TensorFlow says of itself below the level of errors is of no use to someone with a video.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _library_warnings():
            return int(args.run(args))
    except (LabelsError, VariantError, _UsageError) as error:
        _complain("error", error)
        return _WRONG_USAGE
    except MoViNetError as error:
        # What was tried to fetch a model takes several lines.
        first, *rest = str(error).splitlines()
        _complain("error", first)
        for line in rest:
            print(f"  {line.strip()}", file=sys.stderr)
        return _FAILED


def _complain(kind: str, message: object) -> None:
    """Say *message* in one line of the standard error."""
    if sys.stderr is None:  # print would take the standard output for it
        return
    text = " ".join(str(message).split())
    print(f"{_PROGRAM}: {kind}: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _library_warnings() -> Iterator[None]:
    """Say the library's own warnings in one line each, and leave out those that are for developers."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        _complain("warning", message)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", module=r"movinet_lite\b")
        warnings.showwarning = show
        yield


# Commands


def _classify(args: argparse.Namespace) -> int:
    """Print what each video shows as a whole."""

    @functools.cache
    def load() -> tuple[BaseClassifier, LabelFilter]:
        classifier = BaseClassifier.load(args.model, **_load_options(args))
        return classifier, _label_filter(args, classifier.labels)

    def classify(path: str) -> None:
        classifier, label_filter = load()
        with _frames(args, path, classifier) as frames:
            prediction, num_frames = _predict_video(classifier, frames, args.fit)
        ranking = prediction.top_k(args.top_k, label_filter=label_filter)
        if args.json:
            _print_json(video=path, num_frames=num_frames, top_k=_as_dicts(ranking))
            return
        if len(args.videos) > 1:
            print(path)
        for label, score in ranking:
            print(f"{score:.2f}  {label}")
        if not ranking:
            print("-")

    _check_usage(args)
    return _for_each_video(args.videos, classify)


def _predict_video(
    classifier: BaseClassifier, frames: Iterable[VideoFrame], fit: Fit
) -> tuple[Prediction, int]:
    """Return the mean over clips of the model's own length, and the number of frames.

    The last clip reaches back so far that it is as long as the others, and counts as much as the frames in it that no
    other clip has, so that each frame of the video counts the same. Two clips are kept in memory, whatever the length
    of the video.
    """
    variant = classifier.info.variant
    length = get_variant(variant).clip_frames if variant else _DEFAULT_CLIP_FRAMES
    total = np.zeros(len(classifier.labels), np.float64)
    clip: list[NDArray[np.float32]] = []
    num_new = num_frames = 0

    def add_clip() -> None:
        nonlocal num_new, num_frames
        total[:] += classifier.predict(clip).probabilities * np.float64(num_new)
        num_frames += num_new
        num_new = 0

    for frame in frames:
        clip.append(prepare_frame(frame.pixels, classifier.frame_size, fit=fit))
        del clip[:-length]
        num_new += 1
        if num_new == length:
            add_clip()
    if num_new:
        add_clip()
    if not num_frames:
        raise ArrayError("a video must have at least one frame; got none")
    with np.errstate(divide="ignore"):  # a class that is nowhere possible
        return Prediction(np.log(total / num_frames), classifier.labels), num_frames


def _stream(args: argparse.Namespace) -> int:
    """Print what each video shows as it goes on."""

    @functools.cache
    def load() -> tuple[StreamingClassifier, LabelFilter]:
        classifier = StreamingClassifier.load(args.model, **_load_options(args))
        return classifier, _label_filter(args, classifier.labels)

    def stream(path: str) -> None:
        classifier, label_filter = load()
        classifier.reset()
        if len(args.videos) > 1 and not args.json:
            print(path, flush=True)
        leading = None

        def say(frames: _Frames[Any], prediction: Prediction) -> None:
            nonlocal leading
            ranking = prediction.top_k(args.top_k or 1, label_filter=label_filter)
            before, leading = leading, ranking[0][0] if ranking else None
            if args.every or leading != before:
                frames.print(_stream_line(args, path, prediction, ranking))

        if args.output or window:
            _stream_overlaid(
                args, path, classifier, label_filter, window=window, say=say
            )
            return
        with _frames(args, path, classifier) as frames:
            for prediction in classifier.run(frames):
                say(frames, prediction)

    _check_usage(args)
    _check_overlay(args)
    with contextlib.ExitStack() as stack:
        window = stack.enter_context(Window(_PROGRAM)) if args.show else None
        return _for_each_video(args.videos, stream)


def _check_overlay(args: argparse.Namespace) -> None:
    """Refuse what cannot be drawn or written before time goes into loading a model."""
    if args.output or args.show:
        check_matplotlib()
    if args.output is None:
        return
    if len(args.videos) > 1:
        raise _UsageError(
            f"--output takes one video; got {len(args.videos)} (run the command for each)"
        )
    if args.output.resolve() == Path(args.videos[0]).resolve():
        raise _UsageError(
            f"--output must be another file than the video; got {args.output} for both"
        )


def _stream_overlaid(
    args: argparse.Namespace,
    path: str,
    classifier: StreamingClassifier,
    label_filter: LabelFilter,
    *,
    window: Window | None,
    say: Callable[[_Frames[Any], Prediction], None],
) -> None:
    """Draw what is predicted onto every frame of a video, and write and show the frames."""
    _fps(args, classifier)
    info = read_video_info(path)
    if info.fps is None:
        raise VideoError("the file does not tell its frame rate", path)
    overlaid = overlay_video(
        path,
        classifier,
        k=args.top_k or _OVERLAY_TOP_K,
        label_filter=label_filter,
        start_s=args.start,
        end_s=args.end,
    )

    def frames(watched: _Frames[OverlaidFrame]) -> Iterator[OverlaidFrame]:
        for frame in watched:
            for prediction in frame.predictions:
                say(watched, prediction)
            if window:
                window.show(frame.pixels, frame.time_s)
            if args.output or (window and window.is_open):
                yield frame
            else:
                return

    with _watch(args, path, info, overlaid) as watched:
        if args.output:
            write_video(args.output, frames(watched), fps=info.fps)
        else:
            collections.deque(frames(watched), maxlen=0)


def _stream_line(
    args: argparse.Namespace, path: str, prediction: Prediction, ranking: Ranking
) -> str:
    if args.json:
        return _json(
            video=path,
            frame_index=prediction.frame_index,
            time_s=prediction.time_s,
            top_k=_as_dicts(ranking),
        )
    found = "  ".join(f"{score:.2f} {label}" for label, score in ranking)
    return f"{_clock(prediction.time_s or 0.0)}  {found or '-'}"


def _models(args: argparse.Namespace) -> int:
    """Print the models that have a name."""
    from movinet_lite.cache import cache_folder, cached_models
    from movinet_lite.handles import MODEL_NAMES, find_remotes

    in_cache = {entry.path for entry in cached_models()}
    rows: list[tuple[str, ...]] = [
        ("model", "frames", "fps", "clip", "base top-1", "stream top-1", "in the cache")
    ]
    for name in MODEL_NAMES:
        variant = get_variant(name)
        cached = [
            mode
            for mode in ("base", "stream")
            if any(remote.folder in in_cache for remote in find_remotes(name, mode))
        ]
        accuracies = [
            None if accuracy is None else accuracy[0]
            for accuracy in (variant.base_accuracy, variant.stream_accuracy)
        ]
        if args.json:
            _print_json(
                model=name,
                frame_size=list(variant.frame_size),
                fps=variant.fps,
                clip_frames=variant.clip_frames,
                base_top_1=accuracies[0],
                stream_top_1=accuracies[1],
                cached=cached,
            )
        height, width = variant.frame_size
        shown = ["-" if value is None else f"{value:.2f}" for value in accuracies]
        size, clip = f"{height} x {width}", f"{variant.clip_frames}"
        row = (name, size, f"{variant.fps:g}", clip, *shown, ", ".join(cached) or "-")
        rows.append(row)
    if not args.json:
        _print_table(rows)
        print(f"\nTop-1 in per cent on Kinetics-600. The cache is {cache_folder()}")
    return 0


def _labels(args: argparse.Namespace) -> int:
    """Print labels."""
    labels = load_labels(args.labels) if args.labels else kinetics_600_labels()
    found = search_labels(args.pattern, labels)
    if not found:
        raise MoViNetError(f"no name contains {args.pattern!r}")
    for label in found:
        if args.json:
            _print_json(index=labels.index(label), label=label)
        else:
            print(label)
    return 0


def _export(args: argparse.Namespace) -> int:
    """Write a model in another form."""
    from movinet_lite.exporting import export_model

    if sys.stderr.isatty():
        print(f"exporting {args.model} ...", file=sys.stderr)
    written = export_model(
        args.model,
        args.path,
        to=args.to,
        mode=args.mode,
        quantize=args.quantize,
        frame_size=args.frame_size,
        labels=args.labels,
        offline=args.offline,
    )
    if args.json:
        _print_json(
            path=str(written.path),
            num_bytes=written.num_bytes,
            difference=written.difference,
        )
        return 0
    print(
        f"{written.path}: {written.num_bytes / 1e6:.1f} MB, logits within "
        f"{written.difference:.1e} of the largest"
    )
    return 0


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


# What the commands for videos share


def _for_each_video(paths: Iterable[str], handle: _Handler) -> int:
    """Give each of *paths* to *handle*, and go on where one fails."""
    status = 0
    for path in paths:
        try:
            read_video_info(path)  # before a model is loaded for nothing
            handle(path)
        except (VideoError, ArrayError, SessionError) as error:
            _complain("error", error)
            status = _FAILED
    return status


def _load_options(args: argparse.Namespace) -> dict[str, Any]:
    if sys.stderr.isatty():
        print(f"loading {args.model} ...", file=sys.stderr)
    return {
        "labels": args.labels,
        "engine": args.engine,
        "threads": args.threads,
        "frame_size": args.frame_size,
        "fps": args.fps,
        "fit": args.fit,
        "offline": args.offline,
    }


def _label_filter(args: argparse.Namespace, labels: tuple[str, ...]) -> LabelFilter:
    return LabelFilter(
        labels, allow=args.allow, deny=args.deny, min_score=args.threshold
    )


def _check_usage(args: argparse.Namespace) -> None:
    """Refuse what cannot work before time goes into fetching and loading a model."""
    from movinet_lite.handles import MODEL_NAMES

    if args.end is not None and args.end <= (args.start or 0.0):
        raise _UsageError(
            f"--end must be later than --start; got --start {args.start or 0:g} --end {args.end:g}"
        )
    if args.labels:
        _label_filter(args, load_labels(args.labels))
    elif args.model.lower() in MODEL_NAMES:
        _label_filter(args, kinetics_600_labels())


class _Frames(Generic[_AnyFrame]):
    """The frames of a video, with a bar on the standard error where someone watches it."""

    def __init__(
        self, frames: Iterable[_AnyFrame], progress: Progress | None, start_s: float
    ) -> None:
        self._frames = frames
        self._progress = progress
        self._start_s = start_s

    def __iter__(self) -> Iterator[_AnyFrame]:
        for frame in self._frames:
            if self._progress is not None:
                for task in self._progress.task_ids:
                    self._progress.update(task, completed=frame.time_s - self._start_s)
            yield frame

    def print(self, line: str) -> None:
        """Print a result at once, above the bar."""
        shared = self._progress is not None and sys.stdout.isatty()
        if self._progress is not None and shared:
            self._progress.stop()
        print(line, flush=True)
        if self._progress is not None and shared:
            self._progress.start()


@contextlib.contextmanager
def _frames(
    args: argparse.Namespace,
    path: str,
    classifier: BaseClassifier | StreamingClassifier,
) -> Iterator[_Frames[VideoFrame]]:
    with (
        read_frames(
            path, fps=_fps(args, classifier), start_s=args.start, end_s=args.end
        ) as reader,
        _watch(args, path, reader.info, reader) as frames,
    ):
        yield frames


@contextlib.contextmanager
def _watch(
    args: argparse.Namespace,
    path: str,
    info: VideoInfo,
    frames: Iterable[_AnyFrame],
) -> Iterator[_Frames[_AnyFrame]]:
    start_s = args.start or 0.0
    end_s = info.duration_s if args.end is None else args.end
    length_s = None if end_s is None else max(end_s - start_s, 0.0)
    with _progress(Path(path).name, length_s) as progress:
        yield _Frames(frames, progress, start_s)


def _fps(
    args: argparse.Namespace, classifier: BaseClassifier | StreamingClassifier
) -> float:
    if classifier.fps is None:
        raise _UsageError(
            f"{args.model}: the model does not know how many frames a second it was trained on (give them: --fps 5)"
        )
    return classifier.fps


@contextlib.contextmanager
def _progress(name: str, length_s: float | None) -> Iterator[Progress | None]:
    """Draw a bar while the block runs, if the standard error is a terminal."""
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


def _clock(time_s: float) -> str:
    """Return a time as people write it.

    Example:
        >>> _clock(2.4), _clock(59.97), _clock(3661.0)
        ('0:02.4', '1:00.0', '1:01:01.0')
    """
    tenths = round(time_s * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02}:{tenths / 10:04.1f}"
    return f"{hours}:{clock}" if hours else clock.removeprefix("0")


def _as_dicts(ranking: Ranking) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in ranking]


def _json(**values: Any) -> str:
    return json.dumps(values)


def _print_json(**values: Any) -> None:
    print(_json(**values), flush=True)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


# Arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Recognise actions in video with MoViNet.",
        epilog=_examples(
            "stream clip.mp4              what happens, as it happens",
            "classify *.mp4 --json        what each video shows as a whole",
            "labels dancing               the names that contain 'dancing'",
            "models                       the models, and what is in the cache",
            "benchmark --stream a0        how fast they are on this machine",
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"{_PROGRAM} {movinet_lite.__version__}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_classify(commands)
    _add_stream(commands)
    _add_models(commands)
    _add_labels(commands)
    _add_export(commands)
    _add_benchmark(commands)
    return parser


def _add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=_examples(*examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def _examples(*lines: str) -> str:
    return "\n".join(["examples:", *(f"  {_PROGRAM} {line}" for line in lines)])


def _add_classify(commands: Any) -> None:
    parser = _add_command(
        commands,
        "classify",
        _classify,
        summary="say what each video shows as a whole",
        description=(
            "Say what each video shows as a whole, with a base model.\n\n"
            "A video longer than the model's clip (ten seconds) is taken clip by clip, and\n"
            "the result is the mean of their probabilities, each frame counting the same."
        ),
        examples=(
            "classify clip.mp4",
            "classify *.mp4 --model a2 --top-k 3 --json",
            "classify film.mkv --start 60 --end 90",
            "classify clip.mp4 --allow 'ice fishing' --allow 'carving ice'",
        ),
    )
    _add_video_options(parser, top_k=5)


def _add_stream(commands: Any) -> None:
    parser = _add_command(
        commands,
        "stream",
        _stream,
        summary="say what happens in each video, as it happens",
        description=(
            "Say what happens in each video, frame by frame, with a stream model.\n\n"
            "A line is printed whenever another action leads, with its time in the video.\n"
            "Where no action passes the filters, the line says '-'."
        ),
        examples=(
            "stream clip.mp4",
            "stream clip.mp4 --every --top-k 3",
            "stream clip.mp4 --threshold 0.5",
            "stream clip.mp4 --output shown.mp4",
            "stream clip.mp4 --model my_model/ --labels my_labels.txt --fps 8",
        ),
    )
    _add_video_options(parser, top_k=1)
    # The lines name one action by default, and pictures have room for more.
    parser.set_defaults(top_k=None)
    parser.add_argument(
        "--every", action="store_true", help="print a line for each frame"
    )
    parser.add_argument(
        "--output",
        type=_output,
        metavar="FILE",
        help="write the video with the actions drawn onto it, to an .mp4 or .gif (needs the extra 'plot')",
    )
    parser.add_argument(
        "--show",
        action="store_true",
        help="play the video with the actions drawn onto it in a window (needs the extra 'plot')",
    )


def _add_models(commands: Any) -> None:
    parser = _add_command(
        commands,
        "models",
        _models,
        summary="list the models that have a name",
        description="List the models that have a name, and which of them are in the cache.",
        examples=("models", "models --json"),
    )
    _add_json(parser)


def _add_labels(commands: Any) -> None:
    parser = _add_command(
        commands,
        "labels",
        _labels,
        summary="list the names of the actions",
        description="List the names of the actions, one a line, in the order of the model's output.",
        examples=("labels", "labels dancing", "labels --labels my_labels.txt"),
    )
    parser.add_argument(
        "pattern",
        nargs="?",
        default="",
        metavar="PATTERN",
        help="list only names that contain this, in upper or lower case",
    )
    _add_labels_file(parser)
    _add_json(parser)


def _add_export(commands: Any) -> None:
    parser = _add_command(
        commands,
        "export",
        _export,
        summary="write a model as a LiteRT file or a SavedModel",
        description="Write a model as a LiteRT file or a SavedModel, and check that it computes the same.",
        examples=(
            "export a0.tflite --model a0",
            "export a0_small.tflite --model a0 --quantize float16",
            "export a0_base.tflite --model a0 --mode base",
            "export my_model --to saved_model --model downloads/a2",
        ),
    )
    parser.add_argument("path", type=Path, help="the file or folder to write")
    parser.add_argument(
        "--model", default="a0", help="the model (default: %(default)s)"
    )
    parser.add_argument(
        "--to",
        choices=("litert", "saved_model"),
        default="litert",
        help="the form (default: %(default)s)",
    )
    parser.add_argument(
        "--mode",
        choices=("stream", "base"),
        default="stream",
        help="which model of the name (default: %(default)s)",
    )
    parser.add_argument(
        "--quantize",
        choices=("float16", "dynamic"),
        help="store the weights as float16, or as 8-bit integers",
    )
    parser.add_argument(
        "--frame-size",
        type=_frame_size,
        metavar="HxW",
        help="the size of the frames it will take (default: what the model was trained on)",
    )
    _add_labels_file(parser)
    _add_offline(parser)
    _add_json(parser)


def _add_benchmark(commands: Any) -> None:
    parser = _add_command(
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
        "--threads", type=_count, metavar="N", help="threads (default: one a core)"
    )
    parser.add_argument(
        "--streams",
        type=_count,
        default=8,
        metavar="N",
        help="streams to step in one call (default: %(default)s)",
    )
    parser.add_argument(
        "--calls",
        type=_count,
        default=30,
        metavar="N",
        help="calls of each way to measure (default: %(default)s)",
    )
    parser.add_argument(
        "--no-starts",
        action="store_true",
        help="leave out the time to load and the memory",
    )
    _add_offline(parser)
    _add_json(parser)


def _add_video_options(parser: argparse.ArgumentParser, *, top_k: int) -> None:
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="a video file")
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        default="a0",
        metavar="MODEL",
        help="a0 to a5, an address on TF Hub or Kaggle, or the path of a model (default: a0)",
    )
    _add_labels_file(model)
    model.add_argument(
        "--engine",
        choices=get_args(Engine),
        default="auto",
        help="what computes (default: auto, the fastest that gives the same result)",
    )
    model.add_argument(
        "--threads",
        type=_count,
        metavar="N",
        help="how many threads may compute (default: one for each core)",
    )
    _add_offline(model)
    frames = parser.add_argument_group("frames")
    frames.add_argument(
        "--fps",
        type=_positive,
        metavar="FPS",
        help="how many frames a second to take (default: what the model was trained on)",
    )
    frames.add_argument(
        "--frame-size",
        type=_frame_size,
        metavar="HxW",
        help="height and width to scale frames to (default: what the model was trained on)",
    )
    frames.add_argument(
        "--fit",
        choices=get_args(Fit),
        default="stretch",
        help="how to scale a frame of another shape: stretch it, or crop its middle (default: stretch)",
    )
    frames.add_argument(
        "--start", type=_seconds, metavar="S", help="begin at this second of the video"
    )
    frames.add_argument(
        "--end", type=_seconds, metavar="S", help="end at this second of the video"
    )
    results = parser.add_argument_group("results")
    results.add_argument(
        "--top-k",
        type=_count,
        default=top_k,
        metavar="K",
        help=f"how many actions to name (default: {top_k})",
    )
    results.add_argument(
        "--allow",
        action="append",
        metavar="NAME",
        help="name only this action; may be given several times",
    )
    results.add_argument(
        "--deny",
        action="append",
        default=[],
        metavar="NAME",
        help="never name this action; may be given several times",
    )
    results.add_argument(
        "--threshold",
        type=_probability,
        default=0.0,
        metavar="P",
        help="name only actions at least this probable, from 0 to 1",
    )
    _add_json(results)


def _add_labels_file(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="the names of the model's classes, one a line (default: the model's own, or Kinetics-600)",
    )


def _add_offline(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--offline",
        action="store_true",
        help="never touch the network; the model must be in the cache",
    )


def _add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a line"
    )


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (number := int(text)) >= 1:
            return number
    raise argparse.ArgumentTypeError(
        f"must be a whole number, at least 1; got {text!r}"
    )


def _number(text: str, *, low: float, high: float, rule: str) -> float:
    with contextlib.suppress(ValueError):
        if low <= (number := float(text)) <= high:  # false for NaN
            return number
    raise argparse.ArgumentTypeError(f"must be {rule}; got {text!r}")


_LARGEST = sys.float_info.max
_positive = functools.partial(
    _number, low=sys.float_info.min, high=_LARGEST, rule="a number above 0"
)
_seconds = functools.partial(_number, low=0, high=_LARGEST, rule="0 seconds or more")
_probability = functools.partial(_number, low=0, high=1, rule="from 0 to 1")


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _OUTPUT_ENDINGS:
        raise argparse.ArgumentTypeError(
            f"must end in one of {', '.join(_OUTPUT_ENDINGS)}; got {text!r}"
        )
    return path


def _frame_size(text: str) -> FrameSize:
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"must be HEIGHTxWIDTH in pixels, such as 172x172; got {text!r}"
        )
    return int(match[1]), int(match[2])
