"""WebVTT and SRT subtitles: a cue per event."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from movinet_lite.errors import DataError
from movinet_lite.events.event import Annotation, Span, end_of
from movinet_lite.events.files import read_filled
from movinet_lite.events.formats.text import at, lines_of, one_line

__all__ = ["read_cues", "to_srt", "to_vtt"]

_CUE_TIMES: Final = re.compile(
    r"\s*(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{3})\s+-->\s+(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{3})"
)


def to_vtt(spans: Sequence[Span]) -> str:
    """Return the events of one video as WebVTT."""
    cues = "".join(
        f"\n{times}\n{html.escape(label, quote=False)}\n"
        for times, label in _cues(spans, ".")
    )
    return f"WEBVTT\n{cues}"


def to_srt(spans: Sequence[Span]) -> str:
    """Return the events of one video as SRT."""
    return "\n".join(
        f"{number}\n{times}\n{label}\n"
        for number, (times, label) in enumerate(_cues(spans, ","), start=1)
    )


def _cues(spans: Sequence[Span], point: str) -> Iterator[tuple[str, str]]:
    for span in spans:
        if span.start_s < 0:
            raise DataError(
                f"times of subtitles must be 0 or more; {span.label!r} starts at {span.start_s:g} s"
            )
        start_ms = round(span.start_s * 1000)
        end_ms = max(
            round(end_of(span) * 1000), start_ms + 1
        )  # a cue must have a duration
        yield (
            f"{_clock(start_ms, point)} --> {_clock(end_ms, point)}",
            one_line(span.label),
        )


def _clock(time_ms: int, point: str) -> str:
    minutes, milliseconds = divmod(time_ms, 60_000)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{point}{milliseconds:03}"


def read_cues(path: Path) -> Iterator[Annotation]:
    """Yield the annotations in a file of WebVTT or SRT: the first line of each cue is a label.

    Raises:
        DataError: If the file is empty, has no cue although SRT requires one, or a cue is invalid; the message gives
            the line.
    """
    lines = lines_of(read_filled(path))
    is_vtt = lines[0].startswith("WEBVTT")
    found_cue = False
    for number, line in enumerate(lines, start=1):
        if "-->" not in line:
            continue
        place = f"line {number}"
        times = _CUE_TIMES.match(line)
        if times is None:
            raise DataError(f"a cue must have two times; {place} has {line!r}", path)
        start_s, end_s = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
        label = lines[number] if number < len(lines) else ""
        label = html.unescape(label) if is_vtt else label
        found_cue = True
        yield at(path, place, Annotation, label, start_s, end_s)
    if not found_cue and not is_vtt and any(line.strip() for line in lines):
        raise DataError("subtitles must have cues; got none", path)


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in parts)
    total_ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds
    return total_ms / 1000
