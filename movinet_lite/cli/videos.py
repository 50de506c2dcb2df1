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
    score,
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
        parser: The parser of the command.
        top_k: The default number of labels.
        models: The names of models that it accepts.
    """
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="a video file")
    add_part(add_model_and_frames(parser, models=models))
    results = parser.add_argument_group("results")
    results.add_argument(
        "--top-k",
        type=count,
        default=top_k,
        metavar="K",
        help=f"number of labels to show (default: {top_k})",
    )
    results.add_argument(
        "--allow",
        action="append",
        metavar="NAME",
        help="show only this label; may be given several times",
    )
    results.add_argument(
        "--deny",
        action="append",
        default=[],
        metavar="NAME",
        help="never show this label; may be given several times",
    )
    results.add_argument(
        "--threshold",
        type=score,
        default=0.0,
        metavar="P",
        help="show only labels with at least this score, from 0 to 1",
    )
    add_json(results)


def add_model_and_frames(
    parser: argparse.ArgumentParser, *, models: str
) -> argparse._ArgumentGroup:
    """Add the options for the model and the frames, and return the group of frame options.

    Args:
        parser: The parser of the command.
        models: The names of models that it accepts.
    """
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        default="a0",
        metavar="MODEL",
        help=f"{models}, a URL on TF Hub or Kaggle, hf://owner/name, or the path of a model (default: a0)",
    )
    add_labels_file(model)
    model.add_argument(
        "--engine",
        choices=get_args(Engine),
        default="auto",
        help="the runtime (default: auto, the fastest that reproduces the logits of the source)",
    )
    model.add_argument(
        "--provider",
        choices=get_args(Provider),
        help="execution provider of ONNX Runtime, for .onnx files and --engine onnx (default: cpu)",
    )
    model.add_argument(
        "--threads",
        type=threads,
        metavar="N",
        help="number of threads (default: one per core)",
    )
    add_functions(model)
    add_offline(model)
    frames = parser.add_argument_group("frames")
    frames.add_argument(
        "--fps",
        type=positive,
        metavar="FPS",
        help="frame rate to sample at (default: the model's)",
    )
    frames.add_argument(
        "--frame-size",
        type=frame_size,
        metavar="HxW",
        help="height and width to resize frames to (default: the model's)",
    )
    frames.add_argument(
        "--fit",
        choices=get_args(Fit),
        default="stretch",
        help="how to resize frames of another aspect ratio: stretch, centre crop, letterbox, or as the published accuracies "
        "were measured (default: stretch)",
    )
    return frames


def add_part(frames: argparse._ArgumentGroup) -> None:
    """Add the options that choose a part of a video."""
    frames.add_argument(
        "--start", type=seconds, metavar="S", help="start at this second of the video"
    )
    frames.add_argument(
        "--end", type=seconds, metavar="S", help="end at this second of the video"
    )


def check_usage(args: argparse.Namespace) -> None:
    """Report usage errors before downloading and loading a model."""
    check_part(args)
    labels = labels_before_loading(args)
    if labels is not None:
        make_label_filter(args, labels)


def check_part(args: argparse.Namespace) -> None:
    """Raise an error for a part of a video that ends before it starts."""
    if args.end is not None and args.end <= (args.start or 0.0):
        raise UsageError(
            f"--end must be later than --start; got --start {args.start or 0:g} --end {args.end:g}"
        )


def labels_before_loading(args: argparse.Namespace) -> tuple[str, ...] | None:
    """Return the labels of the model, if the options determine them, to check names before loading."""
    from movinet_lite.hub import MODEL_NAMES

    if args.labels:
        return load_labels(args.labels)
    return kinetics_600_labels() if args.model.lower() in MODEL_NAMES else None


def check_output(args: argparse.Namespace, *, draws: bool = False) -> None:
    """Report output that cannot be drawn or written before loading a model; *draws*: even if nothing is written."""
    if args.output or draws:
        check_matplotlib()
    if args.output is None:
        return
    if len(args.videos) > 1:
        raise UsageError(
            f"--output takes one video; got {len(args.videos)} (run the command for each)"
        )
    # pathlib would fail for circular links.
    if os.path.realpath(args.output) == os.path.realpath(args.videos[0]):
        raise UsageError(
            f"--output must be another file than the video; got {args.output} for both"
        )


def for_each_video(paths: Iterable[str], handle: Callable[[str], None]) -> int:
    """Call *handle* for each of *paths*, and continue after failures."""
    status = 0
    for path in paths:
        try:
            read_video_info(path)  # before a model is loaded needlessly
            handle(path)
        except (VideoError, ArrayError, SessionError) as error:
            complain("error", error)
            status = FAILED
    return status


def add_horizon(parser: argparse.ArgumentParser, default: float | str = "auto") -> None:
    """Add the horizon in seconds; ``"auto"`` is the length of the training clips."""
    shown = "the length of the training clips" if default == "auto" else f"{default:g}"
    parser.add_argument(
        "--horizon",
        type=_horizon,
        default=default,
        metavar="SECONDS",
        help="how far predictions look back; none: over all frames, as published; auto: the length of the training clips "
        f"(default: {shown})",
    )


def _horizon(text: str) -> float | str:
    return text if text in {"auto", "none"} else positive(text)


def load_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of ``load`` for the options of a command, and print that a model is being loaded."""
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
    """Return the label filter for the options of a command."""
    return LabelFilter(
        labels, allow=args.allow, deny=args.deny, min_score=args.threshold
    )


class WatchedFrames(Generic[_AnyFrame]):
    """The frames of a video, with a progress bar if standard error is a terminal.

    Attributes:
        num_frames: Number of frames so far.
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
        """Print a result above the bar."""
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
    """Open a video and yield its frames at the model's frame rate, with a progress bar."""
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
    """Yield *frames* with a progress bar."""
    start_s = args.start or 0.0
    end_s = info.duration_s if args.end is None else args.end
    length_s = None if end_s is None else max(end_s - start_s, 0.0)
    with progress_bar(Path(path).name, length_s) as progress:
        yield WatchedFrames(frames, progress, start_s)


def trained_fps(
    args: argparse.Namespace, classifier: BaseClassifier | StreamingClassifier
) -> float:
    """Return the model's frame rate, or raise an error if it is unknown."""
    if classifier.fps is None:
        raise UsageError(
            f"{args.model}: the frame rate of the model is unknown (set it, for example: --fps 5)"
        )
    return classifier.fps
