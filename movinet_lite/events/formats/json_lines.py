"""JSON lines: a line for each change of an event, with all its fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from movinet_lite.errors import DataError
from movinet_lite.events.event import Event
from movinet_lite.events.files import read_text
from movinet_lite.events.formats.text import at, lines_of

__all__ = ["event_line", "parse_json", "read_events"]


def event_line(event: Event, video: str) -> str:
    """Return a line of JSON for *event*, with a trailing newline, to append to a log.

    Args:
        event: An event in any state.
        video: The name of the video or the stream.

    Example:
        >>> event = Event(label="yoga", start_s=1.0, end_s=2.0, peak=0.75, mean=0.5, num_frames=5)
        >>> event_line(event, "a.mp4").startswith('{"video": "a.mp4", "label": "yoga", "start_s": 1.0')
        True
    """
    values = {"video": video, **event.to_dict()}
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"


def read_events(path: str | Path) -> dict[str, tuple[Event, ...]]:
    """Return the events in a file of JSON lines, by name of the video.

    Raises:
        DataError: If the file cannot be read, or a line is not an event; the message gives its number.
    """
    events: dict[str, list[Event]] = {}
    for number, line in enumerate(lines_of(read_text(path)), start=1):
        if line.strip():
            values = parse_json(path, line, number)
            video = values.pop("video", None) if isinstance(values, dict) else None
            if not isinstance(video, str):
                raise DataError(
                    f"each line must be a JSON object with a video; line {number} is not",
                    path,
                )
            event = at(path, f"line {number}", Event.from_dict, values)
            events.setdefault(video, []).append(event)
    return {video: tuple(found) for video, found in events.items()}


def parse_json(path: str | Path, text: str, line: int | None = None) -> Any:
    """Return the value of the JSON *text* of a file, or of one line.

    Raises:
        DataError: If it is not JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:  # also of numbers that are too long
        place = "" if line is None else f" (line {line})"
        raise DataError(f"the text must be JSON; {error}{place}", path) from error
