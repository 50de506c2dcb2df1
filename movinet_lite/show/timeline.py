"""A text timeline of events, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from movinet_lite.errors import ArrayError
from movinet_lite.events.event import Span, completed, end_of

__all__ = ["draw_timeline", "rows_by_label", "short_clock", "tick_times"]

_MIN_WIDTH: Final = 30
_MAX_NAME_SHARE: Final = 0.35
"""Maximum width of the labels, as a share of a line."""

_TICK_ROOM: Final = 10
"""Minimum distance of two ticks, in columns."""

_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)

_BLOCKS: Final = "·▌▐█"
_ASCII: Final = ".###"
"""Characters for columns in which a label is inactive, active in the first half, in the second half, or throughout."""


def draw_timeline(
    events: Iterable[Span],
    *,
    start_s: float = 0.0,
    end_s: float,
    width: int = 80,
    ascii_only: bool = False,
) -> str:
    """Return events as text: one line per label, with blocks over time, below a line with times.

    Each line ends with the total duration of the label. Events shorter than half a column are drawn as half a column.

    Args:
        events: Annotations or events; those that have not ended are left out.
        start_s: Start of the timeline, in seconds.
        end_s: End of the timeline, in seconds.
        width: Maximum width of a line, in columns, at least 30.
        ascii_only: Whether to draw with ``#``, for terminals without block characters.

    Returns:
        Lines in the order of the first onsets, without a trailing newline; "" if there is no event.

    Raises:
        ArrayError: If *width* is too small, or *end_s* is not after *start_s*.
        DataError: If a confirmed event has not ended.

    Example:
        >>> from movinet_lite.events import Annotation
        >>> spans = [Annotation("yoga", 2.0, 8.0), Annotation("zumba", 9.0, 18.0), Annotation("yoga", 18.0, 20.0)]
        >>> print(draw_timeline(spans, end_s=20.0, width=36, ascii_only=True))
               0:00       0:10
        yoga   ..#######...........##  8.0 s
        zumba  ..........##########..  9.0 s
    """
    if width < _MIN_WIDTH:
        raise ArrayError(f"width must be at least {_MIN_WIDTH} columns; got {width}")
    if not start_s < end_s < math.inf:
        raise ArrayError(
            f"end_s must be after start_s; got {start_s:g} s to {end_s:g} s"
        )
    rows = rows_by_label(completed(events))
    if not rows:
        return ""
    totals = {
        label: f"{sum(end_of(span) - span.start_s for span in spans):.1f} s"
        for label, spans in rows.items()
    }
    name_width = min(max(map(_cells, rows)), int(_MAX_NAME_SHARE * width))
    total_width = max(map(len, totals.values()))
    num_columns = width - name_width - total_width - 4
    lines = [" " * (name_width + 2) + _ruler(start_s, end_s, num_columns)]
    for label, spans in rows.items():
        halves = [False] * (2 * num_columns)
        for span in spans:
            for place in _halves(span, start_s, end_s, len(halves)):
                halves[place] = True
        signs = _ASCII if ascii_only else _BLOCKS
        track = "".join(
            signs[halves[place] + 2 * halves[place + 1]]
            for place in range(0, len(halves), 2)
        )
        total = totals[label].rjust(total_width)
        lines.append(f"{_padded(label, name_width)}  {track}  {total}")
    return "\n".join(lines)


def tick_times(start_s: float, end_s: float, max_ticks: int) -> Iterator[float]:
    """Yield round times for tick labels between two times, as many as fit."""
    length_s = end_s - start_s
    enough = [step for step in _STEPS_S if length_s / step <= max_ticks]
    step = enough[0] if enough else 3600 * math.ceil(length_s / 3600 / max_ticks)
    for count in range(math.ceil(start_s / step), math.ceil(end_s / step)):
        yield float(count * step)


def rows_by_label(spans: Sequence[Span]) -> Mapping[str, list[Span]]:
    """Return the spans of each label, in the order of the first onsets."""
    rows: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start_s):
        rows.setdefault(span.label, []).append(span)
    return rows


def _halves(span: Span, start_s: float, end_s: float, count: int) -> range:
    scale = count / (end_s - start_s)
    first = min(max(round((span.start_s - start_s) * scale), 0), count - 1)
    last = min(round((end_of(span) - start_s) * scale), count)
    return range(first, max(last, first + 1))


def _ruler(start_s: float, end_s: float, num_columns: int) -> str:
    line = ""
    scale = num_columns / (end_s - start_s)
    for time_s in tick_times(start_s, end_s, max(num_columns // _TICK_ROOM, 1)):
        longer = line.ljust(round((time_s - start_s) * scale)) + short_clock(time_s)
        if len(longer) > num_columns:
            break  # a truncated time would be another time
        line = longer
    return line


def short_clock(time_s: float) -> str:
    """Return a time with a resolution of one second: ``1:05``, ``1:00:05``."""
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _padded(text: str, width: int) -> str:
    """Return *text* padded or shortened, with an ellipsis, to *width* columns."""
    from rich.cells import set_cell_size

    if _cells(text) > width:
        text = set_cell_size(text, width - 1).rstrip() + "…"
    return set_cell_size(text, width)
