"""What notebooks show: a table of predictions over time, and a clip as a video.

A lone `Prediction` needs no help: a notebook shows it as a table by itself.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from movinet_lite.arrays import Clip, Frame, VideoFrame, as_clip, check_positive
from movinet_lite.errors import ArrayError
from movinet_lite.predictions import Prediction, score_table
from movinet_lite.video import write_video

__all__ = ["Html", "show_clip", "show_predictions"]


@attrs.frozen
class Html:
    """A piece of a page, which a notebook shows as it is meant to look.

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
    """Return a table of *predictions* for a notebook: of each its time, its best action, and a bar.

    Args:
        predictions: At least one. Each has its own time; where it knows none, the time is counted with *fps*, and
            without that the number of the frame stands in its place, or else that in the list.
        fps: Frames per second of the predictions, where they do not know their times; `None` for not known.

    Returns:
        What a notebook shows as a table, which scrolls if it is long.

    Raises:
        ArrayError: If there is no prediction, or *fps* is not above 0.
    """
    if fps is not None:
        check_positive(fps, "fps")
    given = tuple(predictions)
    if not given:
        raise ArrayError("predictions must be at least one; got none")
    return Html(
        score_table(
            ((_place(prediction, number, fps), prediction.label), prediction.score)
            for number, prediction in enumerate(given)
        )
    )


def show_clip(clip: Clip | Sequence[Frame | VideoFrame], *, fps: float) -> Html:
    """Return *clip* as a video for a notebook, which plays it over and over.

    The video is part of what is returned, and so of the notebook's file: keep it short.

    Args:
        clip: ``(frames, height, width, 3)``, uint8, 0 to 255, or floating point, 0 to 1, RGB; or a list of frames.
        fps: Frames per second at which it plays, from 0.01 to 1000.

    Returns:
        What a notebook shows as a video.

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
