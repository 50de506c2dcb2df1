"""``movinet-lite evaluate-events`` and ``tune-events``: event detection on annotated videos."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.cli.arguments import UsageError, add_command, add_json, count, seconds
from movinet_lite.cli.arguments import positive as positive_number
from movinet_lite.cli.detector_options import (
    add_detector_options,
    check_event_labels,
    make_detector,
)
from movinet_lite.cli.output import complain, print_json
from movinet_lite.cli.videos import (
    add_horizon,
    add_model_and_frames,
    labels_before_loading,
    load_options,
    watch_file,
)
from movinet_lite.errors import DataError, LabelsError
from movinet_lite.events import (
    Annotation,
    EventDetector,
    ScoredVideo,
    evaluate_events,
    read_annotations,
    tune_events,
)
from movinet_lite.events.settings import HORIZON_S
from movinet_lite.events.tuning import METRICS
from movinet_lite.labels import label_indices
from movinet_lite.video import read_video_info

__all__ = ["add_commands"]

_COLLARS_S = (1.0, 2.0)


def add_commands(commands: Any) -> None:
    """Add the commands of this module to the command line's."""
    _add_evaluate(commands)
    _add_tune(commands)


def _add_evaluate(commands: Any) -> None:
    parser = add_command(
        commands,
        "evaluate-events",
        _evaluate,
        description=(
            "Find the events in annotated videos and compare them with the annotations: event F1,\n"
            "segment F1, mean average precision, delay and false alarms per hour, with bootstrap\n"
            "confidence intervals over the videos."
        ),
        examples=(
            "evaluate-events truth.csv videos/*.mp4 --model a0",
            "evaluate-events truth.csv videos/*.mp4 --settings events.toml --collar 0.5 --json",
        ),
    )
    _add_videos(parser)
    results = parser.add_argument_group("results")
    results.add_argument(
        "--collar",
        type=seconds,
        action="append",
        metavar="S",
        help="collar: tolerance for onset and offset, in seconds; may be given several times (default: 1 and 2)",
    )
    _add_segment(results)
    add_json(results)


def _add_tune(commands: Any) -> None:
    parser = add_command(
        commands,
        "tune-events",
        _tune,
        description=(
            "Tune thresholds, smoothing, durations, gaps and delay on annotated videos, write them to\n"
            "a .toml file, and report the cross-validated gain. The search starts from the settings\n"
            "given as options."
        ),
        examples=(
            "tune-events truth.csv videos/*.mp4 --model a0 --output events.toml",
            "events clip.mp4 --settings events.toml",
        ),
    )
    _add_videos(parser)
    results = parser.add_argument_group("tuning")
    results.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the .toml file to write",
    )
    results.add_argument(
        "--metric",
        choices=METRICS,
        default="event_f1",
        help="metric to maximise (default: %(default)s)",
    )
    results.add_argument(
        "--collar",
        type=seconds,
        default=1.0,
        metavar="S",
        help="collar of event_f1 in seconds (default: %(default)g)",
    )
    _add_segment(results)
    results.add_argument(
        "--by-class",
        action="store_true",
        help="tune thresholds for each annotated label; needs many events per label",
    )
    results.add_argument(
        "--folds",
        type=count,
        default=5,
        metavar="N",
        help="number of cross-validation folds, at least 2 (default: %(default)s)",
    )
    add_json(results)


def _add_videos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "annotations",
        type=Path,
        metavar="ANNOTATIONS",
        help="the annotations: a .csv file (video,label,start_s,end_s), ActivityNet .json, "
        "or .jsonl, .vtt, .srt or Audacity .txt",
    )
    parser.add_argument(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="a video file; the annotations refer to it by path, file name, or file name without extension",
    )
    add_model_and_frames(parser, models="demo, a0 to a5")
    add_horizon(parser, HORIZON_S)
    parser.set_defaults(start=None, end=None)  # whole videos are evaluated
    add_detector_options(parser)


def _add_segment(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--segment",
        type=positive_number,
        default=1.0,
        metavar="S",
        help="segment length of segment F1 in seconds (default: %(default)g)",
    )


def _evaluate(args: argparse.Namespace) -> int:
    """Evaluate events on annotated videos and print the result."""
    detector = make_detector(args)
    videos, labels = _score_videos(args, detector)
    found = evaluate_events(
        videos,
        labels,
        detector,
        collars_s=tuple(dict.fromkeys(args.collar or _COLLARS_S)),
        segment_s=args.segment,
    )
    if args.json:
        print_json(**found.to_dict())
    else:
        print(found.to_text())
    return 0


def _tune(args: argparse.Namespace) -> int:
    """Tune settings on annotated videos and write them."""
    if args.folds < 2:
        raise UsageError(f"--folds must be at least 2; got {args.folds}")
    if not args.output.absolute().parent.is_dir():
        raise UsageError(f"--output must be in a folder that exists; got {args.output}")
    start = make_detector(args)
    videos, labels = _score_videos(args, start, at_least=2)
    result = tune_events(
        videos,
        labels,
        metric=args.metric,
        collar_s=args.collar,
        segment_s=args.segment,
        by_class=args.by_class,
        num_folds=args.folds,
        start=start,
    )
    result.detector.save(args.output)
    if args.json:
        print_json(
            metric=result.metric,
            before=result.before,
            held_out=result.held_out,
            gain={
                "value": result.gain.value,
                "low": result.gain.low,
                "high": result.gain.high,
            },
            fitted=result.fitted,
            settings=str(args.output),
        )
    else:
        print(result)
        print(f"the settings: {args.output}")
    return 0


def _score_videos(
    args: argparse.Namespace, detector: EventDetector, *, at_least: int = 1
) -> tuple[dict[str, ScoredVideo], tuple[str, ...]]:
    """Return the scores of each video with its annotations, and the labels of the model.

    Usage errors are reported before a model is loaded. An unreadable video ends the command, since the metrics would
    otherwise cover other videos.
    """
    annotations = _of_videos(args.annotations, args.videos)
    if len(annotations) < at_least:
        raise UsageError(f"there must be at least {at_least} videos; got 1")
    for path in annotations:
        read_video_info(path)
    known = labels_before_loading(args)
    _check_labels(args.annotations, annotations, detector, known)
    classifier = StreamingClassifier.load(args.model, **load_options(args))
    _check_labels(args.annotations, annotations, detector, classifier.labels)
    videos: dict[str, ScoredVideo] = {}
    for path, spans in annotations.items():
        classifier.reset()
        with watch_file(args, path, classifier) as frames:
            videos[path] = ScoredVideo.from_predictions(classifier.run(frames), spans)
    return videos, classifier.labels


def _of_videos(path: Path, videos: Iterable[str]) -> dict[str, tuple[Annotation, ...]]:
    """Return the annotations of each video, and print the number of annotated videos that were not passed."""
    annotations = read_annotations(path)
    found: dict[str, tuple[Annotation, ...]] = {}
    used: dict[str, str] = {}
    for video in dict.fromkeys(videos):
        names = (video, Path(video).name, Path(video).stem)
        name = next((name for name in names if name in annotations), None)
        if name is None:
            near = difflib.get_close_matches(Path(video).name, annotations, 3)
            offer = f" (similar: {', '.join(map(repr, near))})" if near else ""
            raise DataError(
                f"every video must have annotations, possibly empty; {video} has none{offer}",
                path,
            )
        if name in used:
            raise DataError(
                f"each video must have its own annotations; {used[name]} and {video} have those of {name!r}",
                path,
            )
        used[name] = video
        found[video] = annotations[name]
    left_out = len(annotations) - len(used)
    if left_out:
        complain(
            "warning",
            f"{left_out} of the {len(annotations)} videos annotated in {path} were not given",
        )
    return found


def _check_labels(
    path: Path,
    annotations: Mapping[str, Iterable[Annotation]],
    detector: EventDetector,
    labels: tuple[str, ...] | None,
) -> None:
    if labels is not None:
        check_event_labels(detector, labels)
        annotated = {
            span.label: None for spans in annotations.values() for span in spans
        }
        try:
            label_indices(annotated, labels)
        except LabelsError as error:
            raise LabelsError(error.message, path) from error
