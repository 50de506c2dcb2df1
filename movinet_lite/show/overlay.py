"""Draws predictions on frames and videos.

Needs the extra ``plot``: ``pip install 'movinet-lite[plot]'``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Frame, VideoFrame, as_frame, check_positive
from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.errors import ArrayError
from movinet_lite.predictions import LabelFilter, Prediction, Ranking
from movinet_lite.show.curves import check_matplotlib
from movinet_lite.show.panel import Corner, check_corner, draw_panel
from movinet_lite.video import read_frames, sample_times, to_uint8
from movinet_lite.video.decoding import VideoDecoder

if TYPE_CHECKING:
    from av import VideoFrame as Picture

__all__ = ["Corner", "OverlaidFrame", "draw_overlay", "overlay_video"]


def draw_overlay(
    frame: Frame | VideoFrame,
    prediction: Prediction,
    *,
    k: int = 3,
    label_filter: LabelFilter | None = None,
    corner: Corner = "bottom-left",
    scale: float = 1.0,
) -> NDArray[np.uint8]:
    """Return *frame* with the leading labels of *prediction* in a corner.

    Each label has a line with its name and score, and a bar below, on a dark translucent panel. The font size follows
    the frame size. Long names are shortened, and rows beyond half of the frame's height are left out.

    Args:
        frame: ``(height, width, 3)``, uint8, 0 to 255, or floating point, 0 to 1, RGB. It is not changed.
        prediction: The prediction to draw.
        k: Maximum number of labels, at least 1.
        label_filter: The filter of the labels; `None` for all. If no label passes, no panel is drawn.
        corner: The corner of the panel: ``"top-left"``, ``"top-right"``, ``"bottom-left"`` or ``"bottom-right"``.
        scale: Size of the panel and its font; at 1, the panel has a third of the width of a 16:9 frame.

    Returns:
        A new array, ``(height, width, 3)``, uint8, 0 to 255, RGB.

    Raises:
        ArrayError: If *frame* is not an RGB picture, *k* is below 1, *corner* unknown, or *scale* not above 0.
        LabelsError: If *label_filter* was made for other labels.
        MissingDependencyError: If matplotlib is not installed.
    """
    check_matplotlib()
    result = to_uint8(as_frame(frame))
    ranking = prediction.top_k(k, label_filter=label_filter)
    draw_panel(result, ranking, corner=corner, scale=scale)
    return result


@attrs.frozen(eq=False)
class OverlaidFrame(VideoFrame):
    """A `VideoFrame` with a prediction drawn onto it.

    Attributes:
        predictions: The predictions made at this frame, in order of time: none if the model did not sample the frame,
            several if it sampled the frame repeatedly.
    """

    predictions: tuple[Prediction, ...]


def overlay_video(
    path: str | Path,
    classifier: StreamingClassifier,
    *,
    k: int = 3,
    label_filter: LabelFilter | None = None,
    corner: Corner = "bottom-left",
    scale: float = 1.0,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Iterator[OverlaidFrame]:
    """Return every frame of a video file with the current prediction drawn onto it.

    The classifier is given the frames of ``read_frames(path, fps=classifier.fps)``; each prediction is drawn onto the
    following frames until the next one. The file is read once, lazily. The classifier continues its stream; call
    `reset` before another video.

    Args:
        path: A video file; see `read_frames`.
        classifier: A session with a known *fps*.
        k: As in `draw_overlay`.
        label_filter: As in `draw_overlay`.
        corner: As in `draw_overlay`.
        scale: As in `draw_overlay`.
        start_s: Start time in seconds: the frame displayed at that time. `None` for the first frame.
        end_s: End time in seconds, exclusive; `None` for the end of the video.

    Returns:
        An iterator of the frames in the video's own size and at its own frame rate.

    Raises:
        VideoError: If it is not a video, or ends before *start_s*; also while iterating, after the last good frame, if
            the file is damaged or truncated. A missing file is a `VideoNotFoundError`.
        ArrayError: If the *fps* of the classifier is unknown, *start_s* or *end_s* is invalid, *corner* unknown, or
            *scale* not above 0.
        MissingDependencyError: If matplotlib is not installed.

    Example:
        ::

            frames = overlay_video("clip.mp4", StreamingClassifier.load("a0"))
            write_video("out.mp4", frames, fps=read_video_info("clip.mp4").fps)
    """
    check_matplotlib()
    fps = classifier.fps
    if fps is None:
        raise ArrayError(
            "the frame rate of the classifier must be known; it is not (load it with fps=...)"
        )
    # Errors of the file or the times are raised here, where they are known.
    read_frames(path, fps=fps, start_s=start_s, end_s=end_s).close()
    check_corner(corner)
    check_positive(scale, "scale")

    def frames() -> Iterator[OverlaidFrame]:
        ranking: Ranking = ()
        with closing(VideoDecoder(path)) as decoder:
            pictures = _with_samples(decoder, fps, start_s or 0.0, end_s)
            for index, (time_s, picture, samples_s) in enumerate(pictures):
                pixels = decoder.pixels(picture, None)
                made = tuple(classifier.step(pixels, time_s=at_s) for at_s in samples_s)
                if made:
                    ranking = made[-1].top_k(k, label_filter=label_filter)
                # In place, without a copy: nobody else has the pixels.
                draw_panel(pixels, ranking, corner=corner, scale=scale)
                yield OverlaidFrame(pixels, time_s, index, made)
            if decoder.damage is not None:
                raise decoder.error(
                    f"the file is damaged or truncated after {decoder.end_s:.2f} s ({decoder.damage})"
                )

    return frames()


def _with_samples(
    decoder: VideoDecoder, fps: float, start_s: float, end_s: float | None
) -> Iterator[tuple[float, Picture, list[float]]]:
    """Yield each frame from *start_s* to *end_s* with its time, and the times at which the model samples it."""
    tolerance_s = decoder.tolerance_s
    times_s = sample_times(fps=fps, start_s=start_s, end_s=end_s)
    due_s = next(times_s, None)
    # Each frame with the next one, and the last one with `None`.
    pairs = itertools.pairwise(itertools.chain(decoder.frames(start_s), [None]))
    for current, following in pairs:
        if current is None:  # only at the end
            return
        time_s, last_s, picture = current
        until_s = last_s if following is None else following[0]
        samples_s: list[float] = []
        while due_s is not None and due_s + tolerance_s < until_s:
            samples_s.append(due_s)
            due_s = next(times_s, None)
        if end_s is not None and time_s + tolerance_s >= end_s:
            return
        # No frame is skipped, as the decoder was given no samples.
        if picture and (samples_s or time_s + tolerance_s >= start_s):
            yield time_s, picture, samples_s
