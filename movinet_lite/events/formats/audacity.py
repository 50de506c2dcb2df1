"""Audacity label tracks: start, end and label, separated by tabs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from movinet_lite.errors import DataError
from movinet_lite.events.event import Annotation, Span, end_of
from movinet_lite.events.files import read_filled
from movinet_lite.events.formats.text import as_number, at, lines_of, one_line

__all__ = ["read_audacity", "to_audacity"]


def to_audacity(spans: Sequence[Span]) -> str:
    """Return the events of one video as a label track."""
    return "".join(
        f"{span.start_s:.6f}\t{end_of(span):.6f}\t{one_line(span.label)}\n"
        for span in spans
    )


def read_audacity(path: Path) -> Iterator[Annotation]:
    """Yield the annotations in a label track.

    Raises:
        DataError: If the file is empty, or a line is invalid; the message gives its number.
    """
    for number, line in enumerate(lines_of(read_filled(path)), start=1):
        if not line.strip() or line.startswith("\\"):  # a label's range of frequencies
            continue
        place, parts = f"line {number}", line.split("\t")
        if len(parts) != 3:
            raise DataError(
                f"each line must have start, end and label, separated by tabs; {place} does not",
                path,
            )
        start, end = (as_number(path, place, part) for part in parts[:2])
        yield at(path, place, Annotation, parts[2], start, end)
