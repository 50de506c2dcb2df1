"""The options of commands that find events: one for each setting of an `EventDetector`, or a file of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import attrs

from movinet_lite.cli.arguments import UsageError, number, probability, seconds
from movinet_lite.errors import ArrayError
from movinet_lite.events import EventDetector
from movinet_lite.events.settings import DetectorSettings, Thresholds, load_settings
from movinet_lite.labels import label_indices

__all__ = ["add_detector_options", "check_event_labels", "make_detector"]

_DEFAULTS: Final = DetectorSettings()

_TIMES: Final = {
    "min_duration_s": "how long an event must last (default: {:g})",
    "max_gap_s": "the longest pause within an event (default: {:g})",
    "smooth_s": "the time constant of a mean of the scores that looks back (default: {:g}, none)",
    "pad_s": "how much earlier an event starts and later it ends (default: {:g})",
    "cooldown_s": "how long a label is ignored after an event (default: {:g})",
    "max_duration_s": "when to end an event that goes on (default: never)",
    "delay_s": "how late the model notices onsets and offsets (default: {:g})",
}


def add_detector_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting of a detector, and ``--settings FILE``."""
    group = parser.add_argument_group("events, times in seconds")
    group.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="a .toml file of settings, as tune-events writes it; options beside it go first",
    )
    group.add_argument(
        "--enter",
        type=probability,
        metavar="P",
        help=f"the score at which a label comes on (default: {_DEFAULTS.enter:g})",
    )
    group.add_argument(
        "--leave",
        type=probability,
        metavar="P",
        help="the score below which it goes off (default: 0.15 below --enter)",
    )
    for name, text in _TIMES.items():
        group.add_argument(
            _option_of(name),
            dest=name,
            type=seconds,
            metavar="S",
            help=text.format(getattr(_DEFAULTS, name) or 0),
        )
    group.add_argument(
        "--allow",
        action="append",
        metavar="NAME",
        help="find only this label; may be given several times",
    )
    group.add_argument(
        "--thresholds",
        action="append",
        type=_label_thresholds,
        default=[],
        metavar="NAME=ENTER,LEAVE",
        help="thresholds of one label; may be given several times",
    )


def make_detector(args: argparse.Namespace) -> EventDetector:
    """Return the detector that the options of a command describe.

    Raises:
        UsageError: If the options do not go together.
        DataError: If the file of settings is not one.
        LabelsError: If a label is named twice, or has thresholds and is not allowed.
    """
    given: dict[str, Any] = {
        name: getattr(args, name)
        for name in ("enter", "leave", *_TIMES)
        if getattr(args, name) is not None
    }
    if args.allow is not None:
        given["labels"] = args.allow
    try:
        if args.settings is None:
            settings = DetectorSettings(**given, thresholds=dict(args.thresholds))
        else:
            settings = load_settings(args.settings)
            given["thresholds"] = {**settings.thresholds, **dict(args.thresholds)}
            settings = attrs.evolve(settings, **given)
    except ArrayError as error:
        raise UsageError(error.message) from error
    return EventDetector.from_settings(settings)


def check_event_labels(detector: EventDetector, labels: tuple[str, ...] | None) -> None:
    """Refuse labels in the settings that the model does not have; *labels* is `None` where it is not loaded yet.

    Raises:
        LabelsError: If there is one.
    """
    if labels is not None:
        settings = detector.settings
        label_indices([*(settings.labels or ()), *settings.thresholds], labels)


def _option_of(name: str) -> str:
    return "--" + name.removesuffix("_s").replace("_", "-")


def _label_thresholds(text: str) -> tuple[str, Thresholds]:
    label, _, pair = text.rpartition("=")
    enter, comma, leave = pair.partition(",")
    if not label or not comma:
        raise argparse.ArgumentTypeError(
            f"must be NAME=ENTER,LEAVE, such as 'yoga=0.5,0.3'; got {text!r}"
        )
    rule = "NAME=ENTER,LEAVE with numbers from 0 to 1"
    return label, (
        number(enter, low=0, high=1, rule=rule),
        number(leave, low=0, high=1, rule=rule),
    )
