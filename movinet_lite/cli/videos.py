"""Options of the commands for videos, and the loop over files and frames."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

from movinet_lite.arrays import VideoFrame
from movinet_lite.classifiers import BaseClassifier, StreamingClassifier
from movinet_lite.cli.arguments import (
    UsageError,
    add_functions,
    add_json,
    add_labels_file,
    add_offline,
    count,
    frame_size,
    positive,
    probability,
    seconds,
    threads,
)
from movinet_lite.cli.output import FAILED, complain, loading, progress_bar
from movinet_lite.engines import Engine, Provider
from movinet_lite.errors import ArrayError, SessionError, VideoError
from movinet_lite.labels import kinetics_600_labels, load_labels
from movinet_lite.predictions import LabelFilter
from movinet_lite.show.curves import check_matplotlib
from movinet_lite.video import Fit, VideoInfo, read_video_info

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = [
    "WatchedFrames",
    "add_horizon",
    "add_model_and_frames",
    "add_part",
    "add_video_options",
    "check_output",
    "check_part",
    "check_usage",
    "for_each_video",
    "labels_before_loading",
    "load_options",
    "make_label_filter",
    "trained_fps",
    "watch_file",
    "watch_frames",
]

_AnyFrame = TypeVar("_AnyFrame", bound=VideoFrame)


def add_video_options(
    parser: argparse.ArgumentParser, *, top_k: int, models: str = "a0 to a5"
) -> None:
    """Add the options of a command for videos.

    Args:
        parser: Of the command.
        top_k: How many actions it names by default.
        models: The names of models that it takes.
    """
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="a video file")
    add_part(add_model_and_frames(parser, models=models))
    results = parser.add_argument_group("results")
    results.add_argument(
        "--top-k",
        type=count,
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
        type=probability,
        default=0.0,
        metavar="P",
        help="name only actions at least this probable, from 0 to 1",
    )
    add_json(results)


def add_model_and_frames(
    parser: argparse.ArgumentParser, *, models: str
) -> argparse._ArgumentGroup:
    """Add what says which model sees which frames, and return the group of the frames' options.

    Args:
        parser: Of the command.
        models: The names of models that it takes.
    """
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        default="a0",
        metavar="MODEL",
        help=f"{models}, an address on TF Hub or Kaggle, or the path of a model (default: a0)",
    )
    add_labels_file(model)
    model.add_argument(
        "--engine",
        choices=get_args(Engine),
        default="auto",
        help="what computes (default: auto, the fastest that gives the same result)",
    )
    model.add_argument(
        "--provider",
        choices=get_args(Provider),
        help="the execution provider of ONNX Runtime, for .onnx files and --engine onnx (default: cpu)",
    )
    model.add_argument(
        "--threads",
        type=threads,
        metavar="N",
        help="how many threads may compute (default: one for each core)",
    )
    add_functions(model)
    add_offline(model)
    frames = parser.add_argument_group("frames")
    frames.add_argument(
        "--fps",
        type=positive,
        metavar="FPS",
        help="how many frames a second to take (default: what the model was trained on)",
    )
    frames.add_argument(
        "--frame-size",
        type=frame_size,
        metavar="HxW",
        help="height and width to scale frames to (default: what the model was trained on)",
    )
    frames.add_argument(
        "--fit",
        choices=get_args(Fit),
        default="stretch",
        help="how to scale a frame of another shape: stretch it, crop its centre, pad it with black, or as the published "
        "accuracies were measured (default: stretch)",
    )
    return frames


def add_part(frames: argparse._ArgumentGroup) -> None:
    """Add the options that choose a part of a video."""
    frames.add_argument(
        "--start", type=seconds, metavar="S", help="begin at this second of the video"
    )
    frames.add_argument(
        "--end", type=seconds, metavar="S", help="end at this second of the video"
    )


def check_usage(args: argparse.Namespace) -> None:
    """Refuse what cannot work before time goes into fetching and loading a model."""
    check_part(args)
    labels = labels_before_loading(args)
    if labels is not None:
        make_label_filter(args, labels)


def check_part(args: argparse.Namespace) -> None:
    """Refuse a part of a video that ends before it begins."""
    if args.end is not None and args.end <= (args.start or 0.0):
        raise UsageError(
            f"--end must be later than --start; got --start {args.start or 0:g} --end {args.end:g}"
        )


def labels_before_loading(args: argparse.Namespace) -> tuple[str, ...] | None:
    """Return the labels of the model as far as the options tell them, to check names before time goes into loading."""
    from movinet_lite.hub import MODEL_NAMES

    if args.labels:
        return load_labels(args.labels)
    return kinetics_600_labels() if args.model.lower() in MODEL_NAMES else None


def check_output(args: argparse.Namespace, *, draws: bool = False) -> None:
    """Refuse what cannot be drawn or written before time goes into loading a model; *draws*: even if nothing is written."""
    if args.output or draws:
        check_matplotlib()
    if args.output is None:
        return
    if len(args.videos) > 1:
        raise UsageError(
            f"--output takes one video; got {len(args.videos)} (run the command for each)"
        )
    # Not pathlib's way, which fails where links lead in a circle.
    if os.path.realpath(args.output) == os.path.realpath(args.videos[0]):
        raise UsageError(
            f"--output must be another file than the video; got {args.output} for both"
        )


def for_each_video(paths: Iterable[str], handle: Callable[[str], None]) -> int:
    """Give each of *paths* to *handle*, and go on where one fails."""
    status = 0
    for path in paths:
        try:
            read_video_info(path)  # before a model is loaded for nothing
            handle(path)
        except (VideoError, ArrayError, SessionError) as error:
            complain("error", error)
            status = FAILED
    return status


def add_horizon(parser: argparse.ArgumentParser, default: float | str = "auto") -> None:
    """Add how far a stream looks back, in seconds; ``"auto"`` is the length of the clips of the training."""
    shown = "the length of the training clips" if default == "auto" else f"{default:g}"
    parser.add_argument(
        "--horizon",
        type=_horizon,
        default=default,
        metavar="SECONDS",
        help="how far a stream looks back; none: for ever, as published; auto: the length of the training clips "
        f"(default: {shown})",
    )


def _horizon(text: str) -> float | str:
    return text if text in {"auto", "none"} else positive(text)


def load_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a command as those of ``load``, and say that a model is being loaded."""
    if sys.stderr.isatty():
        print(f"{loading(args.model)} ...", file=sys.stderr, flush=True)
    return {
        "labels": args.labels,
        "engine": args.engine,
        "threads": args.threads,
        "frame_size": args.frame_size,
        "fps": args.fps,
        "fit": args.fit,
        "offline": args.offline,
        "provider": args.provider,
        "activation": args.activation,
        "gate": args.gate,
        **_horizon_option(args),
    }


def _horizon_option(args: argparse.Namespace) -> dict[str, Any]:
    if not hasattr(args, "horizon"):
        return {}
    return {"horizon_s": None if args.horizon == "none" else args.horizon}


def make_label_filter(args: argparse.Namespace, labels: tuple[str, ...]) -> LabelFilter:
    """Return the filter that the options of a command describe."""
    return LabelFilter(
        labels, allow=args.allow, deny=args.deny, min_score=args.threshold
    )


class WatchedFrames(Generic[_AnyFrame]):
    """The frames of a video, with a bar on the standard error where someone watches it.

    Attributes:
        num_frames: How many were given.
    """

    def __init__(
        self, frames: Iterable[_AnyFrame], progress: Progress | None, start_s: float
    ) -> None:
        self._frames = frames
        self._progress = progress
        self._start_s = start_s
        self.num_frames = 0

    def __iter__(self) -> Iterator[_AnyFrame]:
        for frame in self._frames:
            if self._progress is not None:
                for task in self._progress.task_ids:
                    self._progress.update(task, completed=frame.time_s - self._start_s)
            self.num_frames += 1
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
def watch_file(
    args: argparse.Namespace,
    path: str,
    classifier: BaseClassifier | StreamingClassifier,
) -> Iterator[WatchedFrames[VideoFrame]]:
    """Open a video and give its frames at the model's rate, with a bar while someone watches."""
    trained_fps(args, classifier)
    with (
        classifier.read_video(path, start_s=args.start, end_s=args.end) as reader,
        watch_frames(args, path, reader.info, reader) as frames,
    ):
        yield frames


@contextlib.contextmanager
def watch_frames(
    args: argparse.Namespace,
    path: str,
    info: VideoInfo,
    frames: Iterable[_AnyFrame],
) -> Iterator[WatchedFrames[_AnyFrame]]:
    """Give *frames* with a bar of how far into the video they are."""
    start_s = args.start or 0.0
    end_s = info.duration_s if args.end is None else args.end
    length_s = None if end_s is None else max(end_s - start_s, 0.0)
    with progress_bar(Path(path).name, length_s) as progress:
        yield WatchedFrames(frames, progress, start_s)


def trained_fps(
    args: argparse.Namespace, classifier: BaseClassifier | StreamingClassifier
) -> float:
    """Return the model's frame rate, or refuse to guess it."""
    if classifier.fps is None:
        raise UsageError(
            f"{args.model}: the model does not know how many frames a second it was trained on (give them: --fps 5)"
        )
    return classifier.fps
