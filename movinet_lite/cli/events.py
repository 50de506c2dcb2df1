"""``movinet-lite events``: find events in videos."""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
from collections.abc import Iterable
from typing import Any, Final

from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.cli.arguments import UsageError, add_command, output_path
from movinet_lite.cli.detector_options import (
    add_detector_options,
    check_event_labels,
    make_detector,
)
from movinet_lite.cli.output import clock
from movinet_lite.cli.videos import (
    WatchedFrames,
    add_horizon,
    add_model_and_frames,
    add_part,
    check_output,
    check_part,
    for_each_video,
    labels_before_loading,
    load_options,
    trained_fps,
    watch_file,
    watch_frames,
)
from movinet_lite.errors import VideoError
from movinet_lite.events import Event, EventDetector, events_to_text
from movinet_lite.events.formats import event_line
from movinet_lite.events.settings import HORIZON_S
from movinet_lite.show.event_bar import add_event_bar
from movinet_lite.show.timeline import draw_timeline
from movinet_lite.video import read_video_info, write_video

__all__ = ["add_commands"]

_FORMATS: Final = ("json", "csv", "vtt", "srt")
_OF_ONE_VIDEO: Final = ("vtt", "srt")
_MIN_WIDTH: Final = 40


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "events",
        _events,
        description=(
            "Find the events in each video, with a stream model.\n\n"
            "Prints each event when it has ended: onset, offset, mean score and label. A\n"
            "timeline follows, one row per label."
        ),
        examples=(
            "events clip.mp4",
            "events clip.mp4 --enter 0.5 --max-gap 1 --allow squat --allow lunge",
            "events *.mp4 --settings events.toml --format csv > events.csv",
            "events clip.mp4 --format vtt > clip.vtt",
            "events clip.mp4 --output shown.mp4",
        ),
    )
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="a video file")
    add_part(add_model_and_frames(parser, models="demo, a0 to a5"))
    add_horizon(parser, HORIZON_S)
    add_detector_options(parser)
    results = parser.add_argument_group("results")
    results.add_argument(
        "--format",
        choices=_FORMATS,
        help="print JSON lines, CSV, or subtitles for one video (default: text)",
    )
    results.add_argument(
        "--output",
        type=output_path,
        metavar="FILE",
        help="write the video with a timeline under the picture, as .mp4 or .gif (needs the extra 'plot')",
    )


def _events(args: argparse.Namespace) -> int:
    """Print the events of each video."""
    _check_usage(args)
    detector = make_detector(args)
    check_event_labels(detector, labels_before_loading(args))
    found: dict[str, list[Event]] = {}

    @functools.cache
    def load() -> StreamingClassifier:
        classifier = StreamingClassifier.load(args.model, **load_options(args))
        check_event_labels(detector, classifier.labels)
        return classifier

    def find(path: str) -> None:
        classifier = load()
        if len(args.videos) > 1 and args.format is None:
            print(path, flush=True)
        found[path] = _find(args, path, classifier, detector)
        if args.output:
            _write_bar(args, path, found[path])

    status = for_each_video(dict.fromkeys(args.videos), find)
    if found and args.format not in (None, "json"):
        print(events_to_text(found, args.format), end="")
    return status


def _check_usage(args: argparse.Namespace) -> None:
    check_part(args)
    check_output(args)
    if args.format in _OF_ONE_VIDEO and len(args.videos) > 1:
        raise UsageError(
            f"--format {args.format} takes one video; got {len(args.videos)} (run the command for each, or use csv)"
        )


def _find(
    args: argparse.Namespace,
    path: str,
    classifier: StreamingClassifier,
    detector: EventDetector,
) -> list[Event]:
    """Return the events of a video, and print each when it has ended, as far as the format allows."""
    classifier.reset()
    stream = detector.fresh()
    ended: list[Event] = []
    first_s: float | None = None
    last_s = 0.0

    def take(frames: WatchedFrames[Any], changes: Iterable[Event]) -> None:
        for event in changes:
            if event.state == "ended":
                ended.append(event)
                _say(args, path, event, frames)

    with watch_file(args, path, classifier) as frames:
        for prediction in classifier.run(frames):
            take(frames, stream.update(prediction))
            last_s = prediction.time_s or 0.0
            first_s = last_s if first_s is None else first_s
        take(frames, stream.finish())
    if args.format is None:
        _print_timeline(ended, first_s or 0.0, last_s, trained_fps(args, classifier))
    return ended


def _say(
    args: argparse.Namespace, path: str, event: Event, frames: WatchedFrames[Any]
) -> None:
    """Print an event that has just ended, unless the format requires all events at once."""
    if args.format == "json":
        frames.print(event_line(event, path).rstrip("\n"))
    elif args.format is None:
        times = f"{clock(event.start_s)} to {clock(event.end_s or 0.0)}"
        frames.print(f"{times:<16}  {event.mean:.2f}  {event.label}")


def _print_timeline(
    events: list[Event], first_s: float, last_s: float, fps: float
) -> None:
    if not events:
        print("no events")
        return
    width = max(shutil.get_terminal_size().columns, _MIN_WIDTH)
    draw = functools.partial(
        draw_timeline, events, start_s=first_s, end_s=last_s + 1 / fps, width=width
    )
    text = draw()
    print(f"\n{text if _can_print(text) else draw(ascii_only=True)}\n", flush=True)


def _can_print(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _write_bar(args: argparse.Namespace, path: str, events: list[Event]) -> None:
    info = read_video_info(path)
    if info.fps is None:
        raise VideoError("the frame rate of the file is unknown", path)
    frames = add_event_bar(path, events, start_s=args.start, end_s=args.end)
    with watch_frames(args, path, info, frames) as watched:
        write_video(args.output, watched, fps=info.fps)
