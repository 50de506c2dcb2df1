"""Options for the settings of an `EventDetector`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs

from movinet_lite.cli.arguments import UsageError, number, score, seconds
from movinet_lite.errors import ArrayError
from movinet_lite.events import EventDetector
from movinet_lite.events.settings import (
    DELAY_S,
    DetectorSettings,
    Thresholds,
    load_settings,
)
from movinet_lite.labels import label_indices

__all__ = [
    "add_detector_options",
    "change_settings",
    "check_event_labels",
    "make_detector",
]

_DEFAULTS: Final = DetectorSettings(delay_s=DELAY_S)

_TIMES: Final = {
    "min_duration_s": "minimum duration of an event (default: {:g})",
    "max_gap_s": "longest gap that is bridged within an event (default: {:g})",
    "smooth_s": "time constant of the moving average of the scores (default: {:g}, none)",
    "pad_s": "padding at both ends of an event (default: {:g})",
    "cooldown_s": "time for which a label is ignored after an event (default: {:g})",
    "max_duration_s": "maximum duration, after which an event is ended (default: none)",
    "delay_s": "latency of the model, by which events are moved back (default: {:g})",
}


def add_detector_options(
    parser: argparse.ArgumentParser, *, labels: bool = True
) -> None:
    """Add an option for each setting of a detector, and ``--settings FILE``.

    Args:
        parser: The parser of the command.
        labels: Whether to add options for labels; other commands set *allow* and *thresholds* themselves.
    """
    group = parser.add_argument_group("events, times in seconds")
    group.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="a .toml file of settings, as written by tune-events; other options override it",
    )
    group.add_argument(
        "--enter",
        type=score,
        metavar="P",
        help=f"score at which an event starts (default: {_DEFAULTS.enter:g})",
    )
    group.add_argument(
        "--leave",
        type=score,
        metavar="P",
        help="score below which it ends (default: 0.15 below --enter)",
    )
    for name, text in _TIMES.items():
        group.add_argument(
            _option_of(name),
            dest=name,
            type=seconds,
            metavar="S",
            help=text.format(getattr(_DEFAULTS, name) or 0),
        )
    if not labels:
        return
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
        UsageError: If the options conflict.
        DataError: If the settings file is invalid.
        LabelsError: If a label is repeated, or has thresholds and is not allowed.
    """
    if args.settings is not None:
        settings = change_settings(load_settings(args.settings), args)
    else:
        settings = _or_usage_error(
            DetectorSettings,
            **{"delay_s": DELAY_S, **_given(args)},
            thresholds=dict(args.thresholds),
        )
    return EventDetector.from_settings(settings)


def change_settings(
    settings: DetectorSettings, args: argparse.Namespace
) -> DetectorSettings:
    """Return *settings*, overridden by the options of a command.

    Raises:
        UsageError: If they conflict.
        LabelsError: If a label has thresholds and is not allowed.
    """
    kept = {
        label: pair
        for label, pair in settings.thresholds.items()
        if args.allow is None or label in args.allow
    }
    given = {**_given(args), "thresholds": {**kept, **dict(args.thresholds)}}
    if "enter" in given and given["enter"] < (settings.leave or 0):
        given.setdefault("leave", None)  # that of the file belongs to its own enter
    return _or_usage_error(attrs.evolve, settings, **given)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that are given as options, except thresholds."""
    given = {
        name: getattr(args, name)
        for name in ("enter", "leave", *_TIMES)
        if getattr(args, name) is not None
    }
    return given if args.allow is None else {**given, "labels": args.allow}


def _or_usage_error(
    make: Callable[..., DetectorSettings], *values: Any, **given: Any
) -> DetectorSettings:
    try:
        return make(*values, **given)
    except ArrayError as error:
        raise UsageError(error.message) from error


def check_event_labels(detector: EventDetector, labels: tuple[str, ...] | None) -> None:
    """Raise an error for labels in the settings that the model lacks; *labels* is `None` before the model is loaded.

    Raises:
        LabelsError: If there is one.
    """
    if labels is not None:
        settings = detector.settings
        named = dict.fromkeys([*(settings.labels or ()), *settings.thresholds])
        label_indices(named, labels)


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
