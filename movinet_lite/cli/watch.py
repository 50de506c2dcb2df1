"""``movinet-lite watch``: watch cameras and report events as they happen."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from movinet_lite.cli.arguments import (
    UsageError,
    add_command,
    add_json,
    number,
    positive,
)
from movinet_lite.cli.detector_options import (
    add_detector_options,
    change_settings,
    check_event_labels,
    make_detector,
)
from movinet_lite.cli.output import FAILED, INTERRUPTED
from movinet_lite.cli.videos import (
    add_horizon,
    add_model_and_frames,
    labels_before_loading,
    load_options,
)
from movinet_lite.cli.watch_views import View, make_view
from movinet_lite.events import EventDetector
from movinet_lite.events.settings import HORIZON_S, DetectorSettings, Thresholds
from movinet_lite.live import ClipRecorder
from movinet_lite.live.camera_file import (
    CameraFile,
    CameraSettings,
    ClipSettings,
    PageSettings,
    read_camera_file,
)
from movinet_lite.live.model import load_for_cameras
from movinet_lite.live.page import Page
from movinet_lite.live.watching import Watcher

__all__ = ["add_commands"]

_TOKEN: Final = "MOVINET_LITE_TOKEN"  # noqa: S105 - the name of a variable

_LOOK_S: Final = 0.2
"""Interval at which the table is drawn and signals are checked, in seconds."""

_ONE_SIGNAL_S: Final = 0.5
"""Signals this close together count as one, in seconds: ``timeout`` sends each twice, to the process and to its group."""

_NAMED: Final = re.compile(r"([\w .-]+)=(.+)", re.DOTALL)


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "watch",
        _watch,
        description=(
            "Watch cameras with one model and report events as they happen, until Ctrl-C.\n\n"
            "A source is a URL (rtsp, rtmp, http, udp, srt, tcp), the number of a camera, a\n"
            "device, '-' for standard input, or a file, which is played in real time.\n"
            "NAME=SOURCE names it."
        ),
        examples=(
            "watch 0",
            "watch door=rtsp://10.0.0.5/stream1 yard=rtsp://10.0.0.6/stream1",
            "watch 0 --event 'jumping jacks' --event squat:0.7 --clips clips/",
            "watch --config cameras.toml --serve 8080",
            "watch --config cameras.toml --json > events.jsonl",
        ),
    )
    parser.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="a source, or NAME=SOURCE"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="a .toml file of cameras; other options override it",
    )
    parser.add_argument(
        "--event",
        action="append",
        type=_event,
        default=[],
        metavar="LABEL[:ENTER]",
        help="report only events of this label, with this score or more; may be given several times (default: all labels)",
    )
    add_model_and_frames(parser, models="demo, a0 to a5")
    add_horizon(parser, HORIZON_S)
    parser.set_defaults(model=None, horizon=None)  # a file of cameras may have them
    parser.add_argument(
        "--transport",
        choices=("tcp", "udp"),
        help="RTSP transport (default: tcp)",
    )
    add_detector_options(parser, labels=False)
    results = parser.add_argument_group("results")
    add_json(results)
    results.add_argument(
        "--clips",
        type=Path,
        metavar="FOLDER",
        help="write a clip of each event, with five seconds before and after it",
    )
    results.add_argument(
        "--clips-gb",
        type=positive,
        metavar="GB",
        help="disk space for all clips, in GB; the oldest are deleted first (default: 10)",
    )
    results.add_argument(
        "--serve",
        metavar="[HOST:]PORT",
        help="show cameras, scores and events on a page (requires the extra 'serve'); a HOST other than this machine requires "
        f"a token in the environment variable {_TOKEN}",
    )


def _watch(args: argparse.Namespace) -> int:
    """Watch cameras until a signal arrives or every source has ended."""
    plan = _plan(args)
    with contextlib.ExitStack() as stack:
        page = None
        if plan.page is not None:
            page = stack.enter_context(Page(plan.page.address, token=plan.page.token))
        classifier = load_for_cameras(
            args.model, len(plan.cameras), **load_options(args)
        )
        view = make_view(as_json=args.json)
        recorder = None
        if plan.clips is not None:
            recorder = ClipRecorder(
                plan.clips.folder,
                pre_s=plan.clips.pre_s,
                post_s=plan.clips.post_s,
                max_bytes=int(plan.clips.max_gb * 1e9),
                on_clip=view.clip,
            )
            stack.callback(recorder.close)
        watcher = stack.enter_context(
            Watcher(
                classifier,
                detector=EventDetector.from_settings(plan.detector),
                fps=plan.fps,
                snapshots=page is not None,
                recorder=recorder,
                on_prediction=None if page is None else page.on_prediction,
            )
        )
        for camera in plan.cameras:
            watcher.add(
                camera.source,
                name=camera.name or None,
                detector=EventDetector.from_settings(camera.detector),
                fps=camera.fps,
                transport=camera.transport,
                timeout_s=camera.timeout_s,
            )
        if page is not None:
            page.show(watcher, recorder)
            view.say(f"the page: {page.link}")
        return _follow(watcher, view, page)


@attrs.frozen(kw_only=True)
class _Plan:
    """The combination of options and file."""

    cameras: tuple[CameraSettings, ...]
    detector: DetectorSettings
    fps: float | None
    clips: ClipSettings | None
    page: PageSettings | None


def _plan(args: argparse.Namespace) -> _Plan:
    """Return the combination of options and file, and report usage errors before loading a model."""
    file = None if args.config is None else read_camera_file(args.config)
    args.allow = [label for label, _ in args.event] or None
    detector = _detector(args, file)
    given = [_camera(args, text, detector) for text in args.sources]
    of_file = [] if file is None else [_changed(args, one) for one in file.cameras]
    cameras = (*of_file, *given)
    if not cameras:
        raise UsageError(
            "watch requires a SOURCE, or --config FILE with cameras; got none (the first camera of this machine: "
            "watch 0)"
        )
    if file is not None:
        args.labels = args.labels or file.labels
    args.model = args.model or (file and file.model) or "a0"
    args.horizon = args.horizon or (file and file.horizon_s) or HORIZON_S
    known = labels_before_loading(args)
    for camera in cameras:
        check_event_labels(EventDetector.from_settings(camera.detector), known)
    return _Plan(
        cameras=cameras,
        detector=detector,
        fps=args.fps or (file and file.fps) or None,
        clips=_clips(args, file),
        page=_page(args, file),
    )


def _detector(args: argparse.Namespace, file: CameraFile | None) -> DetectorSettings:
    """Return the default detector settings, and prepare *args* to override those of single cameras."""
    args.thresholds = [
        (label, enter) for label, enter in args.event if enter is not None
    ]
    if file is None or args.settings is not None:
        return make_detector(args).settings
    return change_settings(file.detector, args)


def _changed(args: argparse.Namespace, camera: CameraSettings) -> CameraSettings:
    """Return a camera of the file with its settings overridden by the options."""
    if args.settings is not None:
        detector = make_detector(args).settings
    else:
        detector = change_settings(camera.detector, args)
    return attrs.evolve(
        camera,
        detector=detector,
        fps=args.fps if args.fps is not None else camera.fps,
        transport=args.transport or camera.transport,
    )


def _camera(
    args: argparse.Namespace, text: str, detector: DetectorSettings
) -> CameraSettings:
    """Return the camera given as SOURCE or NAME=SOURCE."""
    name, source = "", text
    match = _NAMED.fullmatch(text)
    if match is not None and not Path(text).exists():
        name, source = match[1].strip(), match[2]
    return CameraSettings(
        name=name,
        source=int(source) if source.isdecimal() else source,
        detector=detector,
        transport=args.transport or "tcp",
    )


def _clips(args: argparse.Namespace, file: CameraFile | None) -> ClipSettings | None:
    settings = file.clips if file is not None else None
    if args.clips is not None:
        settings = (
            ClipSettings(folder=args.clips)
            if settings is None
            else attrs.evolve(settings, folder=args.clips)
        )
    if args.clips_gb is not None:
        if settings is None:
            raise UsageError("--clips-gb requires --clips FOLDER; got none")
        settings = attrs.evolve(settings, max_gb=args.clips_gb)
    return settings


def _page(args: argparse.Namespace, file: CameraFile | None) -> PageSettings | None:
    settings = file.page if file is not None else None
    if args.serve is not None:
        token = None if settings is None else settings.token
        settings = PageSettings(address=args.serve, token=token)
    if settings is None:
        return None
    return attrs.evolve(settings, token=settings.token or os.environ.get(_TOKEN))


def _follow(watcher: Watcher, view: View, page: Page | None) -> int:
    """Show events and cameras until a signal arrives or every source has ended."""
    with _signals() as stop, view:
        while not (stop.is_set() or watcher.is_over):
            event = watcher.take(_LOOK_S)
            if event is not None:
                view.event(event)
                if page is not None:
                    page.add(event)
            view.look(watcher.status())
        watcher.close()
        for event in watcher:
            view.event(event)
        view.look(watcher.status())
    if stop.number == signal.SIGINT:
        return INTERRUPTED
    is_failed = not stop.is_set() and any(
        camera.source.last_error for camera in watcher.status().cameras
    )
    return FAILED if is_failed else 0


class _Stop(threading.Event):
    """Set by the first signal to end the command.

    Attributes:
        number: The number of the signal; 0 before it.
        set_at_s: When it came, on a monotonic clock.
    """

    number = 0
    set_at_s = 0.0


@contextlib.contextmanager
def _signals() -> Iterator[_Stop]:
    """Yield an object that Ctrl-C and SIGTERM set; a second Ctrl-C ends the command immediately."""
    stop = _Stop()

    def ask(number: int, _frame: object) -> None:
        if not stop.is_set():
            stop.number, stop.set_at_s = number, time.monotonic()
            stop.set()
        elif time.monotonic() - stop.set_at_s > _ONE_SIGNAL_S:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {
        number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _event(text: str) -> tuple[str, Thresholds | None]:
    """Return a label and its thresholds from LABEL or LABEL:ENTER."""
    label, colon, enter = text.rpartition(":")
    if not colon:
        return text, None
    if not label:
        raise argparse.ArgumentTypeError(
            f"must be LABEL or LABEL:ENTER, such as squat:0.7; got {text!r}"
        )
    given = number(
        enter, low=0.01, high=1, rule="LABEL:ENTER with a score from 0.01 to 1"
    )
    leave = DetectorSettings(enter=given).leave
    assert leave is not None  # noqa: S101 - it has one where none was given
    return label, (given, leave)
