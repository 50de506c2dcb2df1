"""Scores over time as arrays, with their checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.errors import ArrayError, LabelsError
from movinet_lite.events.event import Annotation
from movinet_lite.labels import check_labels, label_indices
from movinet_lite.predictions import Prediction
from movinet_lite.predictions.scores import as_array

__all__ = ["ScoredVideo", "as_scores", "as_times", "check_scored"]


def as_scores(scores: ArrayLike) -> NDArray[np.float32]:
    """Return *scores* as ``(frames, classes)`` float32, after checking the range 0 to 1.

    Raises:
        ArrayError: If they are invalid.
    """
    array = _as_numbers(scores, "scores", 2, "(frames, classes)")
    if not array.shape[1]:
        raise ArrayError("there must be scores of at least one class; got none")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if np.isnan(array).any():
        raise ArrayError(
            "scores must be numbers; got NaN (NaN in the frames or the weights?)"
        )
    if not (low >= 0 and high <= 1 + 1e-6):
        raise ArrayError(
            f"scores must be from 0 to 1; got {low:g} to {high:g} (if these are logits, apply softmax)"
        )
    return array.astype(np.float32)


def as_times(times_s: ArrayLike, num_frames: int) -> NDArray[np.float64]:
    """Return *times_s* as ``(frames,)`` float64, after checking that they are finite and in order.

    Raises:
        ArrayError: If they are invalid, or their number is not that of the frames.
    """
    times = _as_numbers(times_s, "times_s", 1, "(frames,)").astype(np.float64)
    if len(times) != num_frames:
        raise ArrayError(
            f"times_s must be one for each of the {num_frames} frames; got {len(times)}"
        )
    if not np.isfinite(times).all():
        place = int(np.flatnonzero(~np.isfinite(times))[0])
        raise ArrayError(
            f"times_s must be numbers of seconds; got {times[place]} for frame {place}"
        )
    back = np.flatnonzero(np.diff(times) < 0)
    if back.size:
        place = int(back[0]) + 1
        raise ArrayError(
            f"times_s must be in ascending order; got {times[place]:g} s for frame {place} after {times[place - 1]:g} s"
        )
    return times


def _as_numbers(
    values: ArrayLike, noun: str, ndim: int, shape: str
) -> NDArray[np.floating]:
    array = as_array(values, noun, shape)
    if array.size == 0 and array.ndim == ndim:
        return array.astype(np.float64)
    if array.dtype.kind not in "fiu" or array.ndim != ndim:
        raise ArrayError(
            f"{noun} must be numbers of shape {shape}; got {array.dtype} of shape {array.shape}"
        )
    return array


def _as_tuple(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    return tuple(annotations)


@attrs.frozen(eq=False)
class ScoredVideo:
    """The scores and the annotations of a video.

    Attributes:
        times_s: ``(frames,)`` float64: the display times in seconds, in ascending order.
        scores: ``(frames, classes)`` float32, 0 to 1.
        annotations: The annotations, in any order.
        background: The label for "none of these", which makes no event; `None` if the model has none.

    Raises:
        ArrayError: If an array is invalid.

    Example:
        >>> ScoredVideo([0.0, 0.5], [[1.0, 0.0], [0.5, 0.5]], [Annotation("yoga", 0.0, 1.0)]).num_frames
        2
    """

    times_s: NDArray[np.float64] = attrs.field(converter=np.asarray)
    scores: NDArray[np.float32] = attrs.field(converter=as_scores)
    annotations: tuple[Annotation, ...] = attrs.field(default=(), converter=_as_tuple)
    background: str | None = None

    def __attrs_post_init__(self) -> None:
        times = as_times(self.times_s, len(self.scores))
        object.__setattr__(self, "times_s", times)

    @classmethod
    def from_predictions(
        cls,
        predictions: Iterable[Prediction],
        annotations: Iterable[Annotation] = (),
    ) -> ScoredVideo:
        """Return the scored video for a sequence of predictions.

        Args:
            predictions: The predictions of all frames in order, with their times.
            annotations: The annotations.

        Raises:
            ArrayError: If there is no prediction, one has no time, or the times are not in order.
        """
        times_s: list[float] = []
        scores: list[NDArray[np.float32]] = []
        background: str | None = None
        for prediction in predictions:
            if prediction.time_s is None:
                raise ArrayError(
                    "every prediction must have the time of its frame; got one without "
                    "(step through the frames of read_frames, or call step(frame, time_s=...))"
                )
            times_s.append(prediction.time_s)
            scores.append(prediction.scores)
            background = prediction.background
        if not scores:
            raise ArrayError("a video must have at least one frame; got none")
        return cls(np.array(times_s), np.stack(scores), tuple(annotations), background)

    def without_background(self, labels: Sequence[str]) -> ScoredVideo:
        """Return the video without background annotations, and with scores of 0 for the background.

        Args:
            labels: The label of each class.
        """
        if self.background is None:
            return self
        scores = self.scores.copy()
        scores[:, list(label_indices([self.background], labels))] = 0
        spans = [span for span in self.annotations if span.label != self.background]
        return attrs.evolve(self, scores=scores, annotations=spans, background=None)

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.scores)

    @property
    def duration_s(self) -> float:
        """Duration in seconds; the last frame lasts as long as the previous one."""
        if self.num_frames < 2:
            return 0.0
        last_s = self.times_s[-1]
        return float(2 * last_s - self.times_s[-2] - self.times_s[0])


def check_scored(
    videos: Mapping[str, ScoredVideo], labels: Sequence[str]
) -> tuple[str, ...]:
    """Return *labels* as a tuple, after checking that they cover the classes and annotations of all videos.

    Raises:
        LabelsError: If they do not; the message names the video.
    """
    names = check_labels(labels)
    for name, video in videos.items():
        try:
            check_labels(names, video.scores.shape[1])
            label_indices(
                dict.fromkeys(span.label for span in video.annotations), names
            )
        except LabelsError as error:
            raise LabelsError(f"{error.message} (video {name!r})") from error
    return names
