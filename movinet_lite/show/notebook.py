"""Notebook output: a table of predictions, a timeline of events, and a video player.

A single `Prediction` is shown as a table without these functions.
"""

from __future__ import annotations

import base64
import html
import math
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from movinet_lite.arrays import Clip, Frame, VideoFrame, as_clip, check_positive
from movinet_lite.errors import ArrayError
from movinet_lite.events.event import Span, completed, end_of
from movinet_lite.predictions import Prediction, score_table
from movinet_lite.show.timeline import rows_by_label, short_clock, tick_times
from movinet_lite.video import write_video

__all__ = ["Html", "show_clip", "show_events", "show_predictions"]


@attrs.frozen
class Html:
    """A piece of HTML that a notebook renders.

    Attributes:
        text: The HTML.
    """

    text: str = attrs.field(repr=lambda text: f"<{len(text)} characters>")

    def _repr_html_(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text


def show_predictions(
    predictions: Iterable[Prediction], *, fps: float | None = None
) -> Html:
    """Return a table of *predictions* for a notebook, with the time, best label and score bar of each.

    Args:
        predictions: At least one prediction. Without a display time, the time is computed with *fps*; without *fps*,
            the frame index or else the position in the list is shown instead.
        fps: Frame rate of the predictions, used if they have no times; `None` if unknown.

    Returns:
        HTML for a notebook; a long table scrolls.

    Raises:
        ArrayError: If there is no prediction, or *fps* is not above 0.
    """
    if fps is not None:
        check_positive(fps, "fps")
    given = tuple(predictions)
    if not given:
        raise ArrayError("there must be at least one prediction; got none")
    return Html(
        score_table(
            ((_place(prediction, number, fps), prediction.label), prediction.score)
            for number, prediction in enumerate(given)
        )
    )


def show_events(
    events: Iterable[Span], *, start_s: float = 0.0, end_s: float | None = None
) -> Html:
    """Return *events* as a timeline for a notebook: one row per label, blocks over time, and the total duration.

    It uses the colours of the page, including dark themes. Hovering over an event shows its onset, offset and score.

    Args:
        events: At least one annotation or event; events that have not ended are left out.
        start_s: Start of the timeline, in seconds.
        end_s: End of the timeline, in seconds; `None` for the end of the last event.

    Returns:
        HTML for a notebook.

    Raises:
        ArrayError: If there is no event, or *end_s* is not after *start_s*.
        DataError: If a confirmed event has not ended.
    """
    rows = rows_by_label(completed(events))
    if not rows:
        raise ArrayError("there must be at least one event that has ended; got none")
    if end_s is None:
        end_s = max(end_of(span) for spans in rows.values() for span in spans)
    if not start_s < end_s < math.inf:
        raise ArrayError(
            f"end_s must be after start_s; got {start_s:g} s to {end_s:g} s"
        )
    scale = 100 / (end_s - start_s)
    ticks = "".join(
        f'<span style="position: absolute; top: 0; left: {(time_s - start_s) * scale:.2f}%">{short_clock(time_s)}</span>'
        for time_s in tick_times(start_s, end_s, _MAX_TICKS)
    )
    head = f'<tr><td></td><td style="{_TRACK}; height: 1.9em; opacity: 0.7">{ticks}</td><td></td></tr>'
    body = "".join(
        _event_row(label, spans, start_s, scale) for label, spans in rows.items()
    )
    return Html(
        f'<table style="border-collapse: collapse; width: 100%; max-width: 60em; color: inherit; font: inherit">{head}{body}</table>'
    )


_MAX_TICKS = 6
_TRACK = "position: relative; width: 100%; padding: 0"
_LABEL = "text-align: left; padding: 0.2em 1em 0.2em 0; white-space: nowrap"
_TOTAL = "text-align: right; padding: 0.2em 0 0.2em 1em; white-space: nowrap"


def _event_row(label: str, spans: list[Span], start_s: float, scale: float) -> str:
    blocks = "".join(
        f'<span title="{html.escape(_words(span))}" style="position: absolute; top: 15%; height: 70%; min-width: 2px; '
        f"left: {(span.start_s - start_s) * scale:.2f}%; width: {(end_of(span) - span.start_s) * scale:.2f}%; "
        'border-radius: 2px; background: #0072B2"></span>'
        for span in spans
    )
    total = sum(end_of(span) - span.start_s for span in spans)
    return (
        f'<tr><td style="{_LABEL}">{html.escape(label)}</td>'
        f'<td style="{_TRACK}; background: rgba(128, 128, 128, 0.15)">{blocks}</td>'
        f'<td style="{_TOTAL}">{total:.1f}&nbsp;s</td></tr>'
    )


def _words(span: Span) -> str:
    """Return the tooltip of an event."""
    times = f"{span.start_s:.1f} s to {end_of(span):.1f} s"
    mean = getattr(span, "mean", None)  # annotations have no scores
    return times if mean is None else f"{times}, score {mean:.2f}"


def show_clip(clip: Clip | Sequence[Frame | VideoFrame], *, fps: float) -> Html:
    """Return *clip* as a video for a notebook, played in a loop.

    The video is embedded in the result, and thus in the notebook file: keep it short.

    Args:
        clip: ``(frames, height, width, 3)``, uint8, 0 to 255, or floating point, 0 to 1, RGB; or a list of frames.
        fps: Playback rate in frames per second, from 0.01 to 1000.

    Returns:
        HTML for a notebook.

    Raises:
        ArrayError: If *clip* is not a series of RGB pictures, or *fps* is out of range.
    """
    pixels = as_clip(clip)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp4")
        write_video(path, pixels, fps=fps)
        data = base64.b64encode(path.read_bytes()).decode()
    width = pixels.shape[2]
    return Html(
        f'<video controls loop autoplay muted playsinline width="{width}" style="max-width: 100%" '
        f'src="data:video/mp4;base64,{data}"></video>'
    )


def _place(prediction: Prediction, number: int, fps: float | None) -> str:
    if prediction.frame_index is not None:
        number = prediction.frame_index
    if prediction.time_s is not None:
        return f"{prediction.time_s:.1f} s"
    return str(number) if fps is None else f"{number / fps:.1f} s"
