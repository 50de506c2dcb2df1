"""CSV with a line per event and the columns video, label, start_s, end_s and score."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from movinet_lite.errors import DataError
from movinet_lite.events.event import Annotation, Span, end_of
from movinet_lite.events.files import read_filled
from movinet_lite.events.formats.text import (
    ByVideo,
    as_number,
    at,
    microseconds,
)

__all__ = ["read_csv", "to_csv"]

_CSV_COLUMNS: Final = ("video", "label", "start_s", "end_s", "score")


def to_csv(events: Mapping[str, Sequence[Span]]) -> str:
    """Return the events of videos as CSV; a video without events is a row with only its name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for video, spans in events.items():
        if not spans:
            writer.writerow([video, "", "", "", ""])
        for span in spans:
            score = "" if span.score is None else repr(float(span.score))
            times = (microseconds(span.start_s), microseconds(end_of(span)))
            writer.writerow([video, span.label, *times, score])
    return text.getvalue()


def read_csv(path: Path) -> ByVideo:
    """Return the annotations in a file.

    Raises:
        DataError: If it is empty, or a column, a value or the order of the times is wrong; the message gives the line.
    """
    reader = csv.reader(io.StringIO(read_filled(path), newline=""), strict=True)
    found: ByVideo = {}
    try:
        header = next(reader, [])
        missing = [name for name in _CSV_COLUMNS[:4] if name not in header]
        if missing:
            raise DataError(
                f"the first line must contain the columns {', '.join(_CSV_COLUMNS[:4])}; {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing",
                path,
            )
        for row in reader:
            if row:
                place = f"line {reader.line_num}"
                if len(row) != len(header):
                    raise DataError(
                        f"each line must have {len(header)} values, as the first has; {place} has {len(row)}",
                        path,
                    )
                _add_row(path, place, dict(zip(header, row, strict=True)), found)
    except csv.Error as error:
        raise DataError(
            f"the text must be CSV; {error} (line {reader.line_num})", path
        ) from error
    return found


def _add_row(path: Path, place: str, row: Mapping[str, str], found: ByVideo) -> None:
    if not row["video"]:
        raise DataError(f"each line must have a video; {place} does not", path)
    spans = found.setdefault(row["video"], [])
    label, start, end = row["label"], row["start_s"], row["end_s"]
    if label or start or end:
        score = row.get("score")
        annotation = at(
            path,
            place,
            Annotation,
            label,
            as_number(path, place, start),
            as_number(path, place, end),
            as_number(path, place, score) if score else None,
        )
        spans.append(annotation)
