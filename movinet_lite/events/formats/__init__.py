"""Events and annotations as text: JSON lines, CSV, WebVTT, SRT, Audacity labels, ActivityNet JSON.

==============  ===================  ==============  ========  ===================================
format          file extension       videos          times     contents
==============  ===================  ==============  ========  ===================================
`jsonl`         ``.jsonl``           any number      exact     all of an event, in every state
`csv`           ``.csv``             any number      1 µs      label, times, score
`activitynet`   ``.json``            any number      1 µs      label, times, score
`vtt`           ``.vtt``             one             1 ms      label, times
`srt`           ``.srt``             one             1 ms      label, times
`audacity`      ``.txt``             one             1 µs      label, times
==============  ===================  ==============  ========  ===================================

All formats except JSON lines contain completed spans only: annotations, and events that ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from movinet_lite.errors import DataError
from movinet_lite.events.event import Annotation, Event, Span, completed, end_of
from movinet_lite.events.files import write_text
from movinet_lite.events.formats.activitynet import read_activitynet, to_activitynet
from movinet_lite.events.formats.audacity import read_audacity, to_audacity
from movinet_lite.events.formats.csv_table import read_csv, to_csv
from movinet_lite.events.formats.json_lines import event_line, read_events
from movinet_lite.events.formats.subtitles import read_cues, to_srt, to_vtt
from movinet_lite.events.formats.text import ByVideo, at

__all__ = [
    "FORMATS",
    "event_line",
    "events_to_text",
    "read_annotations",
    "read_events",
    "write_events",
]

_ENDINGS: Final = {
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".json": "activitynet",
    ".vtt": "vtt",
    ".srt": "srt",
    ".txt": "audacity",
}

FORMATS: Final = tuple(_ENDINGS.values())
"""The names of the formats."""

_WRITERS: Final[dict[str, Callable[[Mapping[str, Sequence[Span]]], str]]] = {
    "csv": to_csv,
    "activitynet": to_activitynet,
}
_ONE_VIDEO_WRITERS: Final[dict[str, Callable[[Sequence[Span]], str]]] = {
    "vtt": to_vtt,
    "srt": to_srt,
    "audacity": to_audacity,
}


def events_to_text(events: Mapping[str, Iterable[Span]], format: str) -> str:  # noqa: A002
    """Return the events of videos as text.

    Args:
        events: The events or annotations of each video, by name.
        format: One of `FORMATS`.

    Raises:
        DataError: If the format is unknown or does not support the events: several videos, an active event, or
            annotations as JSON lines.

    Example:
        >>> print(events_to_text({"a.mp4": [Annotation("yoga", 1.0, 2.5)]}, "srt"), end="")
        1
        00:00:01,000 --> 00:00:02,500
        yoga
    """
    if format not in FORMATS:
        raise DataError(f"format must be one of {', '.join(FORMATS)}; got {format!r}")
    if format == "jsonl":
        return "".join(
            event_line(_as_event(span), video)
            for video, spans in events.items()
            for span in spans
        )
    over = {
        video: sorted(completed(spans), key=lambda span: span.start_s)
        for video, spans in events.items()
    }
    if format in _WRITERS:
        return _WRITERS[format](over)
    if len(over) != 1:
        raise DataError(
            f"the format {format} holds the events of one video; got {len(over)} "
            "(write one file per video, or use csv or jsonl)"
        )
    (spans,) = over.values()
    return _ONE_VIDEO_WRITERS[format](spans)


def write_events(
    path: str | Path,
    events: Mapping[str, Iterable[Span]],
    *,
    format: str | None = None,  # noqa: A002
) -> None:
    """Write the events of videos to a file at *path*, replacing an existing file.

    Args:
        path: The file.
        events: The events or annotations of each video, by name.
        format: One of `FORMATS`; `None` to select it by the file extension.

    Raises:
        DataError: If the format is unknown or does not support the events, or the file cannot be written.
    """
    write_text(path, events_to_text(events, format or _format_of(path)))


def read_annotations(
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002
    video: str | None = None,
    subset: str | None = None,
) -> dict[str, tuple[Annotation, ...]]:
    """Return the annotations in a file, by name of the video.

    Args:
        path: A file of any of the `FORMATS`. CSV requires the columns ``video``, ``label``, ``start_s`` and ``end_s``,
            and may have ``score``; a row with only a video stands for a video without events. From JSON lines, events
            that ended are read. ActivityNet JSON may contain annotations (``database``) or detections (``results``).
        format: One of `FORMATS`; `None` to select it by the file extension.
        video: The name of the video, for formats without one; `None` for the file name without extension.
        subset: The subset of an ActivityNet database to read, such as ``"validation"``; `None` for all.

    Returns:
        The annotations of each video, in the order of the file.

    Raises:
        DataError: If the file cannot be read, contains no video, or an annotation is invalid; the message gives the
            position.
    """
    name = format or _format_of(path)
    if name not in FORMATS:
        raise DataError(f"format must be one of {', '.join(FORMATS)}; got {name!r}")
    if name == "jsonl":
        found: ByVideo = {
            one: [_as_annotation(event) for event in at(path, one, completed, events)]
            for one, events in read_events(path).items()
        }
    elif name == "csv":
        found = read_csv(Path(path))
    elif name == "activitynet":
        found = read_activitynet(Path(path), subset)
    else:
        read = read_audacity if name == "audacity" else read_cues
        found = {video or Path(path).stem: list(read(Path(path)))}
    if not found:
        raise DataError(
            "there must be annotations of at least one video; got none", path
        )
    return {one: tuple(spans) for one, spans in found.items()}


def _format_of(path: str | Path) -> str:
    ending = Path(path).suffix.lower()
    if ending not in _ENDINGS:
        raise DataError(
            f"the name of a file of events must end in one of {', '.join(_ENDINGS)}, or format must be given; got "
            f"{ending or 'no ending'!r}",
            path,
        )
    return _ENDINGS[ending]


def _as_event(span: Span) -> Event:
    if isinstance(span, Event):
        return span
    raise DataError(
        "JSON lines support events only; got an annotation (use csv or activitynet)"
    )


def _as_annotation(span: Span) -> Annotation:
    return Annotation(span.label, span.start_s, end_of(span), span.score)
