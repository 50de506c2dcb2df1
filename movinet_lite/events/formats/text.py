"""Shared by the formats: lines, numbers, and the position of an error in a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

from movinet_lite.errors import DataError
from movinet_lite.events.event import Annotation

__all__ = [
    "ByVideo",
    "as_number",
    "at",
    "lines_of",
    "microseconds",
    "one_line",
]

Item = TypeVar("Item")

ByVideo: TypeAlias = dict[str, list[Annotation]]
"""The annotations of each video, by name."""


def lines_of(text: str) -> list[str]:
    """Return the lines of *text*; unlike `str.splitlines`, split at newlines only, which no label contains."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def at(
    path: str | Path, place: str, make: Callable[..., Item], *values: object
) -> Item:
    """Return the result of *make* for *values*.

    Raises:
        DataError: If *make* raises one; the message then includes the position.
    """
    try:
        return make(*values)
    except DataError as error:
        raise DataError(f"{error.message} ({place})", path) from error


def as_number(path: str | Path, place: str, value: object) -> float:
    """Return a number that is given at *place* as text or as a number.

    Raises:
        DataError: If it is not a number.
    """
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise DataError(f"times and scores must be numbers; {place} has {value!r}", path)


def microseconds(time_s: float) -> float:
    """Return *time_s* to a microsecond, so that 0.1 + 0.2 is written as 0.3."""
    return round(float(time_s), 6) + 0.0  # no -0.0


def one_line(label: str) -> str:
    """Return *label*, after checking that it is one line without surrounding spaces.

    Raises:
        DataError: If it is not.
    """
    if re.search(r"[\r\n\t]", label) or label != label.strip():
        raise DataError(
            f"this format requires labels of one line, without surrounding spaces; got {label!r}"
        )
    return label
