"""``movinet-lite stream``: classify videos frame by frame."""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, get_args

from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.cli.arguments import add_command, number, output_path
from movinet_lite.cli.output import PROGRAM, timeline_line
from movinet_lite.cli.videos import (
    WatchedFrames,
    add_horizon,
    add_video_options,
    check_output,
    check_usage,
    for_each_video,
    load_options,
    make_label_filter,
    trained_fps,
    watch_file,
    watch_frames,
)
from movinet_lite.errors import VideoError
from movinet_lite.predictions import LabelFilter, Prediction
from movinet_lite.show.overlay import Corner, OverlaidFrame, overlay_video
from movinet_lite.show.window import Window
from movinet_lite.video import read_video_info, write_video

__all__ = ["add_commands"]

_OVERLAY_TOP_K = 3

_scale = functools.partial(number, low=0.1, high=10, rule="from 0.1 to 10")


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "stream",
        _stream,
        description=(
            "Classify each video frame by frame, with a stream model.\n\n"
            "Prints a line with the time in the video whenever a new label takes the lead.\n"
            "The line shows '-' if no label passes the filters."
        ),
        examples=(
            "stream clip.mp4",
            "stream clip.mp4 --every --top-k 3",
            "stream clip.mp4 --threshold 0.5",
            "stream clip.mp4 --output shown.mp4",
            "stream clip.mp4 --model my_model/ --labels my_labels.txt --fps 8",
        ),
    )
    add_video_options(parser, top_k=1, models="demo, a0 to a5")
    add_horizon(parser)
    # Lines show one label by default, and frames have room for more.
    parser.set_defaults(top_k=None)
    parser.add_argument(
        "--every", action="store_true", help="print a line for each frame"
    )
    parser.add_argument(
        "--output",
        type=output_path,
        metavar="FILE",
        help="write the video with the predictions drawn on it, as .mp4 or .gif (requires the extra 'plot')",
    )
    parser.add_argument(
        "--show",
        action="store_true",
        help="play the video with the predictions drawn on it in a window (requires the extra 'plot')",
    )
    parser.add_argument(
        "--corner",
        choices=get_args(Corner),
        default="bottom-left",
        help="corner in which --output and --show draw the predictions (default: %(default)s)",
    )
    parser.add_argument(
        "--scale",
        type=_scale,
        default=1.0,
        metavar="X",
        help="size of the drawn predictions, from 0.1 to 10 (default: 1, a third of the width)",
    )


def _stream(args: argparse.Namespace) -> int:
    """Print the predictions for each video as they are made."""

    @functools.cache
    def load() -> tuple[StreamingClassifier, LabelFilter]:
        classifier = StreamingClassifier.load(args.model, **load_options(args))
        return classifier, make_label_filter(args, classifier.labels)

    def stream(path: str) -> None:
        classifier, label_filter = load()
        classifier.reset()
        if len(args.videos) > 1 and not args.json:
            print(path, flush=True)
        leading = None

        def say(frames: WatchedFrames[Any], prediction: Prediction) -> None:
            nonlocal leading
            ranking = prediction.top_k(args.top_k or 1, label_filter=label_filter)
            before, leading = leading, ranking[0][0] if ranking else None
            if args.every or leading != before:
                frames.print(
                    timeline_line(path, prediction, ranking, as_json=args.json)
                )

        if args.output or window:
            _stream_overlaid(
                args, path, classifier, label_filter, window=window, say=say
            )
            return
        with watch_file(args, path, classifier) as frames:
            for prediction in classifier.run(frames):
                say(frames, prediction)

    check_usage(args)
    check_output(args, draws=args.show)
    with contextlib.ExitStack() as stack:
        window = stack.enter_context(Window(PROGRAM)) if args.show else None
        return for_each_video(args.videos, stream)


def _stream_overlaid(
    args: argparse.Namespace,
    path: str,
    classifier: StreamingClassifier,
    label_filter: LabelFilter,
    *,
    window: Window | None,
    say: Callable[[WatchedFrames[Any], Prediction], None],
) -> None:
    """Draw the predictions onto every frame of a video, and write and show the frames."""
    trained_fps(args, classifier)
    info = read_video_info(path)
    if info.fps is None:
        raise VideoError("the frame rate of the file is unknown", path)
    overlaid = overlay_video(
        path,
        classifier,
        k=args.top_k or _OVERLAY_TOP_K,
        label_filter=label_filter,
        corner=args.corner,
        scale=args.scale,
        start_s=args.start,
        end_s=args.end,
    )

    def frames(watched: WatchedFrames[OverlaidFrame]) -> Iterator[OverlaidFrame]:
        for frame in watched:
            for prediction in frame.predictions:
                say(watched, prediction)
            if window:
                window.show(frame.pixels, frame.time_s)
            if args.output or (window and window.is_open):
                yield frame
            else:
                return

    with watch_frames(args, path, info, overlaid) as watched:
        if args.output:
            write_video(args.output, frames(watched), fps=info.fps)
        else:
            collections.deque(frames(watched), maxlen=0)
