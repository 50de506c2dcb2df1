"""Draws a timeline of events under the frames of a video.

Needs the extra ``plot``: ``pip install 'movinet-lite[plot]'``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, VideoFrame
from movinet_lite.errors import ArrayError
from movinet_lite.events.event import Span, completed, end_of
from movinet_lite.show.curves import check_matplotlib
from movinet_lite.show.letters import fitting, font, font_size_of, letters
from movinet_lite.video import read_frames, to_uint8

__all__ = ["EventBar", "add_event_bar"]

_MAX_NAME_SHARE: Final = 0.35
"""Maximum width of the labels, as a share of the frame's."""

_PAPER: Final = np.array([24, 24, 24], np.float32)
_TRACK: Final = np.array([58, 58, 58], np.float32)
_INK: Final = np.array([150, 150, 150], np.float32)
_WHITE: Final = np.array([255, 255, 255], np.float32)
_COMING_SHARE: Final = 0.45
"""Relative brightness of the part of an event after the current time."""

_COLOURS: Final = np.array(
    [[86, 180, 233], [230, 159, 0], [0, 158, 115], [204, 121, 167], [240, 228, 66]],
    np.float32,
)
"""Colours for any kind of colour vision [1].

References:
    [1] Okabe and Ito, "Color Universal Design", 2008.
"""


class EventBar:
    """Draws events under the frames of one video: one row per label, blocks over time, and a line at the current time.

    A label is white while it is active. Blocks after the current time are dark. The rows are in the order of the first
    onsets. If there are more labels than *max_rows*, those with the longest total duration are shown.

    Args:
        events: Annotations or events; those that have not ended are left out.
        frame_size: ``(height, width)`` of the frames, in pixels.
        start_s: Start of the bar, in seconds.
        end_s: End of the bar, in seconds.
        max_rows: Maximum number of labels, at least 1.

    Attributes:
        height: Height of the bar, in pixels.

    Raises:
        ArrayError: If *end_s* is not after *start_s*, or *max_rows* is below 1.
        DataError: If a confirmed event has not ended.
        MissingDependencyError: If matplotlib is not installed.
    """

    def __init__(
        self,
        events: Iterable[Span],
        frame_size: FrameSize,
        *,
        start_s: float = 0.0,
        end_s: float,
        max_rows: int = 6,
    ) -> None:
        check_matplotlib()
        if not start_s < end_s:
            raise ArrayError(
                f"end_s must be after start_s; got {start_s:g} s to {end_s:g} s"
            )
        if max_rows < 1:
            raise ArrayError(f"max_rows must be at least 1; got {max_rows}")
        self._frame_size = frame_size
        self._start_s, self._end_s = start_s, end_s
        rows = _rows(completed(events), max_rows)
        size = font_size_of(frame_size)
        self._line_height = sum(font(size).getmetrics())
        gap = round(0.25 * size)
        self.height = gap + max(len(rows), 1) * (self._line_height + gap)
        self._lay_out(size, gap, rows)

    def _lay_out(self, size: int, gap: int, rows: dict[str, list[Span]]) -> None:
        width = self._frame_size[1]
        room = int(_MAX_NAME_SHARE * width)
        names = {label: fitting(label, size, room) for label in rows}
        widest = max(
            (letters(name, size).shape[1] for name in names.values()), default=0
        )
        self._left = min(widest + 2 * gap if rows else gap, width - 1)
        self._right = max(width - gap, self._left + 1)
        self._rows = []
        self._background = np.empty((self.height, width, 3), np.float32)
        self._background[...] = _PAPER
        for place, (label, spans) in enumerate(rows.items()):
            top = gap + place * (self._line_height + gap)
            lines = slice(top, top + self._line_height)
            self._background[lines, self._left : self._right] = _TRACK
            colour = _COLOURS[place % len(_COLOURS)]
            row = _Row(lines, colour, letters(names[label], size), tuple(spans))
            self._rows.append(row)
            for span in spans:
                self._background[lines, self._columns(span)] = colour * _COMING_SHARE
        self._gap = gap

    def draw(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return a frame with the bar below it: ``(height + bar, width, 3)``, uint8, 0 to 255, RGB.

        Raises:
            ArrayError: If the frame has another size than *frame_size*.
        """
        pixels = to_uint8(frame.pixels)
        if pixels.shape[:2] != self._frame_size:
            raise ArrayError(
                f"every frame must have the size (height, width) {self._frame_size}; got {pixels.shape[:2]}"
            )
        bar = self._background.copy()
        now = self._column(frame.time_s)
        for row in self._rows:
            is_on = False
            for span in row.spans:
                columns = self._columns(span)
                bar[row.lines, columns.start : min(columns.stop, now)] = row.colour
                is_on = is_on or span.start_s <= frame.time_s < end_of(span)
            self._write(bar, row, is_on=is_on)
        thickness = max(1, self._line_height // 10)
        first = min(max(now - thickness // 2, self._left), self._right - thickness)
        bar[:, max(first, 0) : first + thickness] = _WHITE
        return np.concatenate([pixels, np.rint(bar).astype(np.uint8)])

    def _write(self, bar: NDArray[np.float32], row: _Row, *, is_on: bool) -> None:
        cover = row.name[:, : max(self._left - self._gap, 0)]
        place = bar[row.lines, self._gap : self._gap + cover.shape[1]]
        cover = cover[:, : place.shape[1]]
        place[...] = place * (1 - cover) + (_WHITE if is_on else _INK) * cover

    def _column(self, time_s: float) -> int:
        share = (time_s - self._start_s) / (self._end_s - self._start_s)
        return self._left + round(
            min(max(share, 0.0), 1.0) * (self._right - self._left)
        )

    def _columns(self, span: Span) -> slice:
        first = min(self._column(span.start_s), self._right - 1)
        return slice(first, max(self._column(end_of(span)), first + 1))


@attrs.frozen(eq=False)
class _Row:
    """A label with its position in the bar.

    Attributes:
        lines: The lines of the bar.
        colour: Colour of its blocks.
        name: Coverage of each pixel by its letters, ``(lines, width, 1)``.
        spans: Its events.
    """

    lines: slice
    colour: NDArray[np.float32]
    name: NDArray[np.float32]
    spans: tuple[Span, ...]


def add_event_bar(
    path: str | Path,
    events: Iterable[Span],
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    max_rows: int = 6,
) -> Iterator[VideoFrame]:
    """Return every frame of a video file with a bar of its events below it.

    Args:
        path: A video file; see `read_frames`.
        events: As in `EventBar`.
        start_s: Start time in seconds; `None` for the first frame.
        end_s: End time in seconds, exclusive; `None` for the end of the video.
        max_rows: As in `EventBar`.

    Returns:
        An iterator of the frames at the video's own frame rate, for `write_video`.

    Raises:
        VideoError: If it is not a video; also while iterating, if the file is damaged or truncated. A missing file
            is a `VideoNotFoundError`.
        ArrayError: If *start_s*, *end_s* or *max_rows* is invalid.
        DataError: If a confirmed event has not ended.
        MissingDependencyError: If matplotlib is not installed.

    Example:
        ::

            events = find_events(classifier.run(read_frames("clip.mp4", fps=classifier.fps)))
            write_video("out.mp4", add_event_bar("clip.mp4", events), fps=read_video_info("clip.mp4").fps)
    """
    check_matplotlib()
    spans = completed(events)
    reader = read_frames(path, start_s=start_s, end_s=end_s)
    first_s = start_s or 0.0
    last_s = end_s
    if reader.info.duration_s is not None:
        last_s = min(end_s or reader.info.duration_s, reader.info.duration_s)
    if last_s is None or last_s <= first_s:  # the file does not store its duration
        last_s = max([first_s + 1, *map(end_of, spans)])

    def frames() -> Iterator[VideoFrame]:
        bar: EventBar | None = None
        with reader:
            for frame in reader:
                if bar is None:
                    size = frame.pixels.shape[:2]
                    bar = EventBar(
                        spans, size, start_s=first_s, end_s=last_s, max_rows=max_rows
                    )
                yield VideoFrame(bar.draw(frame), frame.time_s, frame.index)

    return frames()


def _rows(spans: Iterable[Span], max_rows: int) -> dict[str, list[Span]]:
    rows: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start_s):
        rows.setdefault(span.label, []).append(span)
    lengths = {
        label: sum(end_of(span) - span.start_s for span in spans)
        for label, spans in rows.items()
    }
    shown = sorted(rows, key=lambda label: -lengths[label])[:max_rows]
    return {label: spans for label, spans in rows.items() if label in shown}
