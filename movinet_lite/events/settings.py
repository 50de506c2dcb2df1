"""The settings of an event detector, and their TOML file."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import numpy as np

from movinet_lite.arrays import as_number
from movinet_lite.errors import ArrayError, DataError, LabelsError
from movinet_lite.events.files import read_text, write_text
from movinet_lite.events.hysteresis import Timing
from movinet_lite.labels import as_names, check_labels, label_indices

__all__ = [
    "DELAY_S",
    "HORIZON_S",
    "DetectorSettings",
    "Thresholds",
    "check_not_background",
    "load_settings",
    "save_settings",
]

Thresholds: TypeAlias = tuple[float, float]
"""*enter* and *leave* of one label."""

HORIZON_S: Final = 3.0
"""The horizon for event detection in streams, in seconds: the default of the commands and `watch`. Onsets and offsets
are late during the first horizon of a stream. For five real videos in a row, in all 120 orders, event F1 (collar 2.5 s)
was 0.51 with the default of sessions, ten seconds, and 0.72 with three; docs/events.md has more."""

DELAY_S: Final = 1.0
"""The default of *delay_s* in the commands and camera files, in seconds: approximately the latency of a stream with
this horizon. It raised the F1 above from 0.72 to 0.81."""

_HYSTERESIS: Final = 0.15
_LOWEST_LEAVE: Final = 0.01
"""The minimum of the default for *leave*, which is 0.15 below *enter*, as in silero-vad; with 0, no event would end."""

_TABLE: Final = "event_detector"


def _as_number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise ArrayError(f"{name} must be a number; got {value!r}")
    return as_number(value)


def _check_thresholds(enter: float, leave: float, of: str = "") -> None:
    if not 0 < leave <= enter <= 1:  # false for NaN too
        raise ArrayError(
            f"enter and leave{of} must be above 0 and up to 1, and leave not above enter; "
            f"got enter={enter:g}, leave={leave:g}"
        )


def _check_seconds(name: str, value: object) -> float:
    seconds = _as_number(name, value)
    if not 0 <= seconds < math.inf:  # false for NaN too
        raise ArrayError(f"{name} must be 0 seconds or more; got {value!r}")
    return seconds


def _as_labels(labels: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if labels is None else check_labels(as_names(labels))


def _as_pairs(pairs: Mapping[str, Thresholds] | None) -> dict[str, Thresholds]:
    checked: dict[str, Thresholds] = {}
    pairs = {} if pairs is None else pairs
    if not isinstance(pairs, Mapping):
        raise ArrayError(
            f"thresholds must give (enter, leave) for each label; got {pairs!r}"
        )
    for label, pair in pairs.items():
        try:
            enter, leave = pair
        except (TypeError, ValueError) as error:
            raise ArrayError(
                f"thresholds must have a pair of numbers, enter and leave, for each label; got {pair!r} for {label!r}"
            ) from error
        of = f" of {label!r}"
        both = _as_number(f"enter{of}", enter), _as_number(f"leave{of}", leave)
        _check_thresholds(*both, of)
        checked[label] = both
    return checked


@attrs.frozen(kw_only=True)
class DetectorSettings:
    """The settings of an `EventDetector`; see there. All times are in seconds.

    Raises:
        ArrayError: If a setting is out of its range.
        LabelsError: If *labels* is empty, or a label of *thresholds* is not among *labels*.
    """

    enter: float = 0.6
    leave: float | None = None
    min_duration_s: float = 0.5
    max_gap_s: float = 0.5
    smooth_s: float = 0.0
    pad_s: float = 0.0
    cooldown_s: float = 0.0
    max_duration_s: float | None = None
    delay_s: float = 0.0
    labels: tuple[str, ...] | None = attrs.field(default=None, converter=_as_labels)
    thresholds: Mapping[str, Thresholds] = attrs.field(
        factory=dict, converter=_as_pairs
    )

    def __attrs_post_init__(self) -> None:
        enter = _as_number("enter", self.enter)
        leave = (
            min(enter, max(round(enter - _HYSTERESIS, 9), _LOWEST_LEAVE))
            if self.leave is None
            else _as_number("leave", self.leave)
        )
        _check_thresholds(enter, leave)
        checked = {"enter": enter, "leave": leave}
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if field.name.endswith("_s") and (
                value is not None or field.name != "max_duration_s"
            ):
                checked[field.name] = _check_seconds(field.name, value)
        for name, number in checked.items():
            object.__setattr__(self, name, number)
        self._check_longest()
        if self.labels is not None:
            label_indices(self.thresholds, self.labels)

    def _check_longest(self) -> None:
        longest_s = self.max_duration_s
        if longest_s is not None and not 0 < longest_s >= self.min_duration_s:
            raise ArrayError(
                "max_duration_s must be above 0 and at least min_duration_s; "
                f"got max_duration_s={longest_s:g}, min_duration_s={self.min_duration_s:g}"
            )

    @property
    def timing(self) -> Timing:
        """The times among the settings."""
        return Timing(
            min_duration_s=self.min_duration_s,
            max_gap_s=self.max_gap_s,
            smooth_s=self.smooth_s,
            pad_s=self.pad_s,
            cooldown_s=self.cooldown_s,
            max_duration_s=(
                math.inf if self.max_duration_s is None else self.max_duration_s
            ),
            delay_s=self.delay_s,
        )

    def thresholds_of(self, label: str) -> Thresholds:
        """Return *enter* and *leave* of a label."""
        assert self.leave is not None  # noqa: S101 - set above, where None was given
        return self.thresholds.get(label, (self.enter, self.leave))


def check_not_background(settings: DetectorSettings, background: str) -> None:
    """Raise an error for settings that include the class for "none of these".

    Raises:
        LabelsError: If they include it.
    """
    if background in (settings.labels or ()) or background in settings.thresholds:
        raise LabelsError(
            f'{background!r} is the class for "none of these" and makes no event; leave it out of labels and thresholds'
        )


def save_settings(settings: DetectorSettings, path: str | Path) -> None:
    """Write *settings* to a TOML file for `load_settings`.

    Raises:
        DataError: If the file cannot be written.
    """
    lines = [
        "# Settings of an event detector. Times are in seconds.",
        f"[{_TABLE}]",
    ]
    for name, value in attrs.asdict(settings).items():
        if name == "labels" and value is not None:
            lines.append(f"labels = [{', '.join(map(_quote, value))}]")
        elif name != "thresholds" and value is not None:
            lines.append(f"{name} = {value!r}")
    if settings.thresholds:
        lines += ["", "# Thresholds of single labels: enter, leave."]
        lines.append(f"[{_TABLE}.thresholds]")
        for label, (enter, leave) in settings.thresholds.items():
            lines.append(f"{_quote(label)} = [{enter!r}, {leave!r}]")
    write_text(path, "\n".join([*lines, ""]))


def load_settings(path: str | Path) -> DetectorSettings:
    """Return the settings in the TOML file at *path*.

    Raises:
        DataError: If the file cannot be read, is not TOML, or has an unknown or invalid setting.
    """
    try:
        document = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"the settings must be TOML; {error}", path) from error
    table = document.get(_TABLE)
    if not isinstance(table, dict) or len(document) > 1:
        raise DataError(
            f"the settings must be one table [{_TABLE}]; got {', '.join(document) or 'nothing'}",
            path,
        )
    known = [field.name for field in attrs.fields(DetectorSettings)]
    unknown = [name for name in table if name not in known]
    if unknown:
        raise DataError(
            f"every setting must be one of {', '.join(known)}; got {', '.join(unknown)}",
            path,
        )
    try:
        _check_kinds(table)
        return DetectorSettings(**table)
    except (ArrayError, LabelsError) as error:
        raise DataError(error.message, path) from error


def _check_kinds(table: Mapping[str, Any]) -> None:
    labels, thresholds = table.get("labels", []), table.get("thresholds", {})
    if not isinstance(labels, list):
        raise ArrayError(f"labels must be a list of names; got {labels!r}")
    if not isinstance(thresholds, dict):
        raise ArrayError(
            f"thresholds must be a table of label = [enter, leave]; got {thresholds!r}"
        )


def _quote(text: str) -> str:
    # A JSON string is a TOML string, except for DEL, which TOML requires to be escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
