"""Plots of predictions: score curves, a frame above its curves, and animations.

Needs the extra ``plot``: ``pip install 'movinet-lite[plot]'``. pyplot is not used, so no figure is left open and no
matplotlib setting is changed. The current settings apply, for example a dark style.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.arrays import Clip, Frame, VideoFrame, as_clip, as_frame
from movinet_lite.errors import ArrayError
from movinet_lite.labels import check_labels
from movinet_lite.predictions import Prediction
from movinet_lite.show.curves import (
    Predictions,
    check_matplotlib,
    draw_curves,
    read_curves,
)
from movinet_lite.show.figures import new_axes
from movinet_lite.show.step_painter import StepPainter
from movinet_lite.video import read_frames, write_video

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Predictions",
    "animate",
    "animate_video",
    "draw_step",
    "plot_confusion",
    "plot_probabilities",
    "plot_scores",
    "save_animation",
]

_MOST_CLASSES_WITH_NUMBERS = 40


def plot_scores(
    predictions: Predictions,
    labels: Sequence[str] | None = None,
    *,
    k: int = 5,
    fps: float | None = None,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Plot the scores of the leading classes over time, with a legend beside the curves.

    The classes are selected by `top_k_over_time`. The time axis shows the times of the predictions, in seconds; if they
    have none, times are computed with *fps*; without *fps*, the axis shows frame numbers.

    Args:
        predictions: A `Prediction` for each frame; or an array ``(frames, classes)``, 0 to 1.
        labels: The labels, for an array only; predictions have their own.
        k: Maximum number of curves, at least 1.
        fps: Frame rate of the predictions, used if they have no times; `None` if unknown.
        log: Whether the score axis is logarithmic. It ends at one millionth or above.
        ax: The axes to draw on. The legend is placed within their area, so it does not cover neighbours. `None` creates
            a new figure, the *figure* of the returned axes; save it with ``ax.figure.savefig("curves.png")``.

    Returns:
        The axes. Axes of a new figure are shown as an image if they are the last line of a notebook cell.

    Raises:
        ArrayError: If *predictions* is empty or invalid, times go backwards, or *k* or *fps* is out of range.
        LabelsError: If labels are missing, differ between predictions, or their number is not that of the classes.
        MissingDependencyError: If matplotlib is not installed.
    """
    check_matplotlib()
    curves = read_curves(predictions, labels, k=k, fps=fps)
    if ax is None:
        ax = new_axes(8, 4)
    draw_curves(ax, curves, log=log)
    return ax


plot_probabilities = plot_scores
"""The former name of `plot_scores`."""


def draw_step(
    frame: Frame | VideoFrame,
    predictions: Predictions,
    index: int,
    *,
    labels: Sequence[str] | None = None,
    k: int = 5,
    fps: float | None = None,
    log: bool = False,
    height: int = 500,
) -> NDArray[np.uint8]:
    """Return an image of *frame* above the score curves up to its time.

    A vertical line shows the time of the frame, and a dot on each curve its current score. The rest of the curves is
    grey. The leading label is drawn onto the frame. This is one frame of `animate`.

    Args:
        frame: ``(height, width, 3)``, uint8, 0 to 255, or floating point, 0 to 1, RGB.
        predictions: As in `plot_scores`, of the whole clip.
        index: Index of the prediction that belongs to *frame*, from 0.
        labels: As in `plot_scores`.
        k: Maximum number of curves, at least 1.
        fps: As in `plot_scores`.
        log: Whether the score axis is logarithmic.
        height: Height of the image in pixels, at least 200. The width follows from the aspect ratio of the frame.

    Returns:
        ``(height, width, 3)``, uint8, 0 to 255, RGB.

    Raises:
        ArrayError: If *frame* is not an RGB picture, or *index* or *height* is out of range; also as in `plot_scores`.
        LabelsError: As in `plot_scores`.
        MissingDependencyError: If matplotlib is not installed.
    """
    check_matplotlib()
    pixels = as_frame(frame)
    curves = read_curves(predictions, labels, k=k, fps=fps)
    num_frames = len(curves.places)
    index = operator.index(index)
    if not 0 <= index < num_frames:
        raise ArrayError(
            f"index must be from 0 to {num_frames - 1} for {num_frames} predictions; got {index}"
        )
    size = (pixels.shape[0], pixels.shape[1])
    return StepPainter(curves, size, height=height, log=log).paint(pixels, index)


def animate(
    clip: Clip | Sequence[Frame | VideoFrame],
    predictions: Predictions,
    *,
    labels: Sequence[str] | None = None,
    k: int = 5,
    fps: float | None = None,
    log: bool = False,
    height: int = 500,
    progress: bool = True,
) -> NDArray[np.uint8]:
    """Return an image for each frame of *clip*: the frame above the score curves, as in `draw_step`.

    Static parts are drawn once. For long clips see `save_animation`, which needs memory for one image only.

    Args:
        clip: ``(frames, height, width, 3)``, uint8, 0 to 255, or floating point, 0 to 1, RGB; or a list of frames.
        predictions: As in `plot_scores`, one for each frame.
        labels: As in `plot_scores`.
        k: Maximum number of curves, at least 1.
        fps: As in `plot_scores`.
        log: Whether the score axis is logarithmic.
        height: Height of the images in pixels, at least 200. The width follows from the aspect ratio of the frames.
        progress: Whether to show a progress bar on standard error, if that is a terminal.

    Returns:
        ``(frames, height, width, 3)``, uint8, 0 to 255, RGB.

    Raises:
        ArrayError: If *clip* is not a series of RGB pictures, there is not one prediction for each frame, or *height*
            is out of range; also as in `plot_scores`.
        LabelsError: As in `plot_scores`.
        MissingDependencyError: If matplotlib is not installed.
    """
    pixels, painter = _prepare_animation(
        clip, predictions, labels, k=k, fps=fps, log=log, height=height
    )
    pictures = np.empty((len(pixels), *painter.size, 3), np.uint8)
    for index, picture in enumerate(_paint_all(pixels, painter, progress=progress)):
        pictures[index] = picture
    return pictures


def save_animation(
    path: str | Path,
    clip: Clip | Sequence[Frame | VideoFrame],
    predictions: Predictions,
    *,
    fps: float,
    labels: Sequence[str] | None = None,
    k: int = 5,
    log: bool = False,
    height: int = 500,
    progress: bool = True,
) -> None:
    """Write the images of `animate` to a video file, one by one.

    Args:
        path: The output path; its extension selects the format, ``.mp4`` or ``.gif``, as for `write_video`.
        clip: As in `animate`. To show a video at its own frame rate, see `animate_video`.
        predictions: As in `animate`.
        fps: Playback rate in frames per second. If the predictions have no times, it also determines the time axis.
        labels: As in `plot_scores`.
        k: Maximum number of curves, at least 1.
        log: Whether the score axis is logarithmic.
        height: Height of the images in pixels, at least 200. Odd heights are increased by one in an mp4.
        progress: Whether to show a progress bar on standard error, if that is a terminal.

    Raises:
        VideoError: If the extension is unknown or the file cannot be written.
        ArrayError: As in `animate`; also if *fps* is out of range for the format.
        LabelsError: As in `plot_scores`.
        MissingDependencyError: If matplotlib is not installed.
    """
    pixels, painter = _prepare_animation(
        clip, predictions, labels, k=k, fps=fps, log=log, height=height
    )
    write_video(path, _paint_all(pixels, painter, progress=progress), fps=fps)


def animate_video(
    path: str | Path,
    predictions: Iterable[Prediction],
    *,
    k: int = 5,
    log: bool = False,
    height: int = 500,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Iterator[VideoFrame]:
    """Return every frame of a video file above its score curves, as in `draw_step`.

    The line moves with each frame; the label on the frame is that of the latest prediction.

    Args:
        path: The video file.
        predictions: The predictions for the video, with times, at any frame rate.
        k: Maximum number of curves, at least 1.
        log: Whether the score axis is logarithmic.
        height: Height of the images in pixels, at least 200. The width follows from the aspect ratio of the frames.
        start_s: Start time in seconds; `None` for the first frame.
        end_s: End time in seconds, exclusive; `None` for the end of the video.

    Returns:
        An iterator of the images with the times of their frames, for `write_video`.

    Raises:
        VideoError: If it is not a video; also while iterating, if the file is damaged or truncated. A missing file
            is a `VideoNotFoundError`.
        ArrayError: If a prediction has no time, or *start_s*, *end_s*, *height* or *k* is invalid.
        LabelsError: As in `plot_scores`.
        MissingDependencyError: If matplotlib is not installed.

    Example:
        ::

            predictions = list(classifier.run(read_frames("clip.mp4", fps=classifier.fps)))
            pictures = animate_video("clip.mp4", predictions)
            write_video("curves.mp4", pictures, fps=read_video_info("clip.mp4").fps)
    """
    check_matplotlib()
    given = tuple(predictions)
    if any(prediction.time_s is None for prediction in given):
        raise ArrayError(
            "every prediction must have a time; got one without (frames of read_frames have times)"
        )
    curves = read_curves(given, None, k=k, fps=None)
    reader = read_frames(path, start_s=start_s, end_s=end_s)
    painter = StepPainter(curves, reader.info.frame_size, height=height, log=log)

    def pictures() -> Iterator[VideoFrame]:
        with reader:
            for frame in reader:
                picture = painter.paint_at(frame.pixels, frame.time_s)
                yield VideoFrame(picture, frame.time_s, frame.index)

    return pictures()


def plot_confusion(
    confusion: ArrayLike, labels: Sequence[str], *, ax: Axes | None = None
) -> Axes:
    """Plot a confusion matrix: a row for each true class, a column for each predicted class.

    Darker cells have a larger share of their row; the number in a cell is the count. Classes without examples and
    predictions are left out. With 40 classes or more, the cells have no numbers.

    Args:
        confusion: ``(classes, classes)``, whole numbers, 0 or more: number of examples by true class (row) and
            predicted class (column), as in `movinet_lite.training.evaluate.Evaluation`.
        labels: The label of each class.
        ax: The axes to draw on; `None` creates a new figure, the *figure* of the returned axes.

    Returns:
        The axes, as in `plot_scores`.

    Raises:
        ArrayError: If *confusion* is invalid or all zero.
        LabelsError: If there is not one label for each class.
        MissingDependencyError: If matplotlib is not installed.
    """
    check_matplotlib()
    counts = _check_confusion(confusion)
    names = check_labels(labels, len(counts))
    used = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    counts = counts[np.ix_(used, used)]
    if ax is None:
        inches = min(3.0 + 0.4 * len(used), 40.0)
        ax = new_axes(inches + 1.0, inches)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    shown = [names[index] for index in used]
    ax.set_xticks(
        range(len(used)), shown, rotation=45, ha="right", rotation_mode="anchor"
    )
    ax.set_yticks(range(len(used)), shown)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    if len(used) < _MOST_CLASSES_WITH_NUMBERS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.6 else "black"
            ax.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                color=color,
            )
    return ax


def _check_confusion(confusion: ArrayLike) -> NDArray[np.int64]:
    counts = np.asarray(confusion)
    if (
        counts.ndim != 2
        or counts.shape[0] != counts.shape[1]
        or counts.dtype.kind not in "iu"
    ):
        raise ArrayError(
            f"confusion must be whole numbers of shape (classes, classes); got {counts.dtype} of shape {counts.shape}"
        )
    if (counts < 0).any() or not counts.any():
        raise ArrayError(
            "confusion must have at least one count above 0, and none below 0"
        )
    return counts.astype(np.int64)


def _prepare_animation(
    clip: Clip | Sequence[Frame | VideoFrame],
    predictions: Predictions,
    labels: Sequence[str] | None,
    *,
    k: int,
    fps: float | None,
    log: bool,
    height: int,
) -> tuple[Clip, StepPainter]:
    check_matplotlib()
    pixels = as_clip(clip)
    curves = read_curves(predictions, labels, k=k, fps=fps)
    if len(pixels) != len(curves.places):
        raise ArrayError(
            "there must be one prediction for each frame of the clip; "
            f"got {len(pixels)} frames and {len(curves.places)} predictions"
        )
    size = (pixels.shape[1], pixels.shape[2])
    return pixels, StepPainter(curves, size, height=height, log=log)


def _paint_all(
    clip: Clip, painter: StepPainter, *, progress: bool
) -> Iterator[NDArray[np.uint8]]:
    for index in _watched(range(len(clip)), is_shown=progress and sys.stderr.isatty()):
        yield painter.paint(clip[index], index)


def _watched(indices: range, *, is_shown: bool) -> Iterable[int]:
    """Return *indices*, with a progress bar on standard error."""
    if not is_shown:
        return indices
    from rich.console import Console
    from rich.progress import track

    return track(indices, "Drawing", console=Console(stderr=True), transient=True)
