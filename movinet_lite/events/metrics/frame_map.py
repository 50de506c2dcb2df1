"""Mean average precision of frame scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import DataError
from movinet_lite.events.metrics.average_precision import step_ap
from movinet_lite.events.metrics.bootstrap import BootstrappedReport, Interval
from movinet_lite.events.metrics.counts import mean_of_numbers
from movinet_lite.events.scored import ScoredVideo, check_scored

__all__ = ["FrameMapReport", "frame_map"]


@attrs.frozen(eq=False)
class FrameMapReport(BootstrappedReport):
    """Mean average precision over frames; `interval` applies to `mean_ap`.

    Attributes:
        labels: The labels that are active in at least one frame, in the order of the classes.
        videos: The names of the videos.
    """

    labels: tuple[str, ...]
    videos: tuple[str, ...]
    _scores: tuple[NDArray[np.float32], ...] = attrs.field(repr=False)
    _is_on: tuple[NDArray[np.bool_], ...] = attrs.field(repr=False)

    @property
    def by_label(self) -> dict[str, float]:
        """The average precision of each label, 0 to 1."""
        ap = self._ap_of(range(len(self.videos)))
        return dict(zip(self.labels, ap.tolist(), strict=True))

    @property
    def mean_ap(self) -> float:
        """The mean over the labels, 0 to 1; NaN if none is ever active."""
        return mean_of_numbers(self._ap_of(range(len(self.videos))))

    def interval(
        self,
        *,
        confidence: float = 0.95,
        num_resamples: int = 200,
        seed: int = 0,
    ) -> Interval:
        """Return `mean_ap` with its interval, from fewer resamples: each sorts the scores of every frame."""
        return super().interval(
            confidence=confidence, num_resamples=num_resamples, seed=seed
        )

    def _figure_of(self, drawn: NDArray[np.intp]) -> float:
        return mean_of_numbers(self._ap_of(drawn.tolist()))

    def _ap_of(self, places: Sequence[int]) -> NDArray[np.float64]:
        if not self.labels:
            return np.empty(0)
        scores = np.concatenate([self._scores[place] for place in places])
        is_on = np.concatenate([self._is_on[place] for place in places])
        return np.array(
            [
                step_ap(scores[:, index], is_on[:, index])
                for index in range(scores.shape[1])
            ]
        )


def frame_map(
    videos: Mapping[str, ScoredVideo], labels: Sequence[str]
) -> FrameMapReport:
    """Return the mean average precision of the frame scores, without any threshold.

    A label is active in frames displayed at or after an onset and before the offset.

    Args:
        videos: Scores and annotations of each video, by its name.
        labels: The label of each class.

    Raises:
        DataError: If there is no video.
        LabelsError: If there is not one label for each class, or an annotated label is not among them.

    Example:
        >>> from movinet_lite.events import Annotation
        >>> video = ScoredVideo([0.0, 0.5, 1.0], [[0.5], [0.75], [0.25]], [Annotation("yoga", 0.5, 1.0)])
        >>> frame_map({"a": video}, ["yoga"]).mean_ap
        1.0
    """
    if not videos:
        raise DataError("there must be at least one video; got none")
    names = check_scored(videos, labels)
    index_of = {label: index for index, label in enumerate(names)}
    is_on = []
    for video in videos.values():
        rows = np.zeros(video.scores.shape, np.bool_)
        for span in video.annotations:
            shown = (video.times_s >= span.start_s) & (video.times_s < span.end_s)
            rows[shown, index_of[span.label]] = True
        is_on.append(rows)
    on_anywhere = np.any([rows.any(axis=0) for rows in is_on], axis=0)
    kept = np.flatnonzero(on_anywhere)
    return FrameMapReport(
        tuple(names[index] for index in kept),
        tuple(videos),
        tuple(video.scores[:, kept] for video in videos.values()),
        tuple(rows[:, kept] for rows in is_on),
    )
