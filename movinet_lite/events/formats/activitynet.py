"""ActivityNet JSON: annotations under ``database``, detections under ``results``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from movinet_lite.errors import DataError
from movinet_lite.events.event import Annotation, Span, end_of
from movinet_lite.events.files import read_filled
from movinet_lite.events.formats.json_lines import parse_json
from movinet_lite.events.formats.text import (
    ByVideo,
    as_number,
    at,
    microseconds,
)

__all__ = ["read_activitynet", "to_activitynet"]


def to_activitynet(events: Mapping[str, Sequence[Span]]) -> str:
    """Return the events of videos as detections; events without a score have the score 1."""
    results = {
        video: [
            {
                "label": span.label,
                "score": 1.0 if span.score is None else float(span.score),
                "segment": [microseconds(span.start_s), microseconds(end_of(span))],
            }
            for span in spans
        ]
        for video, spans in events.items()
    }
    document = {"version": "VERSION 1.3", "results": results, "external_data": {}}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def read_activitynet(path: Path, subset: str | None) -> ByVideo:
    """Return the annotations or detections in a file.

    Raises:
        DataError: If it is not such a file; the message gives the position.
    """
    document = parse_json(path, read_filled(path))
    database = document.get("database") if isinstance(document, dict) else None
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(database, dict) and not isinstance(results, dict):
        raise DataError(
            "ActivityNet JSON must be an object with a database or with results; got neither",
            path,
        )
    found: ByVideo = {}
    if isinstance(database, dict):
        for video, entry in database.items():
            place = f"database, {video}"
            if not isinstance(entry, dict):
                _refuse(path, place, "an object")
            if subset is None or entry.get("subset") == subset:
                found[video] = _as_annotations(path, place, entry.get("annotations"))
    elif isinstance(results, dict):
        for video, entry in results.items():
            found[video] = _as_annotations(path, f"results, {video}", entry)
    return found


def _as_annotations(path: Path, place: str, items: Any) -> list[Annotation]:
    if not isinstance(items, list):
        _refuse(path, place, "a list of annotations")
    found = []
    for number, item in enumerate(items):
        here = f"{place}, {number}"
        segment = item.get("segment") if isinstance(item, dict) else None
        if not isinstance(segment, list) or len(segment) != 2:
            _refuse(path, here, "an object with a label and a segment of start and end")
        start_s, end_s = (as_number(path, here, value) for value in segment)
        score = item.get("score")
        found.append(
            at(
                path,
                here,
                Annotation,
                item.get("label"),
                start_s,
                end_s,
                None if score is None else as_number(path, here, score),
            )
        )
    return found


def _refuse(path: Path, place: str, rule: str) -> NoReturn:
    raise DataError(f"there must be {rule} at {place}; got something else", path)
