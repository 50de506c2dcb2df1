"""Mean average precision of events at temporal IoU thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import DataError
from movinet_lite.events.event import Span, end_of
from movinet_lite.events.metrics.average_precision import interpolated_ap
from movinet_lite.events.metrics.bootstrap import BootstrappedReport
from movinet_lite.events.metrics.counts import mean_of_numbers
from movinet_lite.events.metrics.videos import pair_videos

__all__ = ["TemporalMapReport", "temporal_iou", "temporal_map"]

_Matches: TypeAlias = tuple[NDArray[np.float64], NDArray[np.bool_], int]
"""For one label in one video: the scores, whether each is correct ``(thresholds, found)``, and the number of
annotations."""


@attrs.frozen(eq=False)
class TemporalMapReport(BootstrappedReport):
    """Mean average precision over temporal IoU; `interval` applies to `mean_ap`.

    Attributes:
        labels: The annotated labels, in alphabetical order.
        videos: The names of the videos.
        thresholds: The thresholds of temporal IoU.
    """

    labels: tuple[str, ...]
    videos: tuple[str, ...]
    thresholds: tuple[float, ...]
    _matches: tuple[dict[str, _Matches], ...] = attrs.field(repr=False)

    @property
    def ap(self) -> NDArray[np.float64]:
        """``(thresholds, labels)``: average precision, 0 to 1."""
        return self._ap_of(range(len(self.videos)))

    @property
    def by_threshold(self) -> dict[float, float]:
        """The mean over the labels, for each threshold."""
        means = [mean_of_numbers(row) for row in self.ap]
        return dict(zip(self.thresholds, means, strict=True))

    @property
    def by_label(self) -> dict[str, float]:
        """The mean over the thresholds, for each label."""
        means = [mean_of_numbers(column) for column in self.ap.T]
        return dict(zip(self.labels, means, strict=True))

    @property
    def mean_ap(self) -> float:
        """The mean over labels and thresholds, 0 to 1; NaN if nothing is annotated."""
        return mean_of_numbers(self.ap)

    def mean_ap_of(self, places: NDArray[np.intp]) -> float:
        """Return `mean_ap` for the videos with indices *places*, which may be repeated."""
        return mean_of_numbers(self._ap_of(places.tolist()))

    def _figure_of(self, drawn: NDArray[np.intp]) -> float:
        return self.mean_ap_of(drawn)

    def _ap_of(self, places: Sequence[int]) -> NDArray[np.float64]:
        ap = np.full((len(self.thresholds), len(self.labels)), np.nan)
        for index, label in enumerate(self.labels):
            parts = [
                self._matches[place][label]
                for place in places
                if label in self._matches[place]
            ]
            num_reference = sum(part[2] for part in parts)
            if num_reference:
                scores = np.concatenate([part[0] for part in parts])
                correct = np.concatenate([part[1] for part in parts], axis=1)
                for row, hits in enumerate(correct):
                    ap[row, index] = interpolated_ap(scores, hits, num_reference)
        return ap


def temporal_iou(
    start_s: float, end_s: float, spans: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the temporal intersection over union of one span with each of several others.

    Args:
        start_s: The onset of the span.
        end_s: Its offset.
        spans: ``(spans, 2)``: onset and offset of the others.

    Returns:
        ``(spans,)``, 0 to 1; 0 if both have length 0.

    Example:
        >>> temporal_iou(0.0, 2.0, np.array([[1.0, 3.0], [4.0, 5.0]])).tolist()
        [0.3333333333333333, 0.0]
    """
    latest_start = np.maximum(start_s, spans[:, 0])
    shared = (np.minimum(end_s, spans[:, 1]) - latest_start).clip(0)
    covered = (spans[:, 1] - spans[:, 0]) + (end_s - start_s) - shared
    iou: NDArray[np.float64] = np.divide(
        shared, covered, out=np.zeros_like(shared), where=covered > 0
    )
    return iou


def temporal_map(
    reference: Mapping[str, Iterable[Span]],
    estimated: Mapping[str, Iterable[Span]],
    *,
    thresholds: Iterable[float] = (0.3, 0.4, 0.5, 0.6, 0.7),
) -> TemporalMapReport:
    """Return the mean average precision of events ranked by score.

    The events of a label are processed in descending order of score. Each is correct if its temporal IoU with an
    unmatched annotation is at least the threshold; it is matched to the one with the highest IoU. Labels without
    annotations are ignored.

    Args:
        reference: The annotations of each video, by its name.
        estimated: The events of each video; the score of an `Event` is its mean.
        thresholds: Thresholds of temporal IoU, above 0 and up to 1.

    Raises:
        DataError: If a threshold is out of its range, an event has no score or no end, or a video has no annotations.

    Example:
        >>> from movinet_lite.events import Annotation
        >>> truth = {"a": [Annotation("yoga", 1.0, 5.0)]}
        >>> temporal_map(truth, {"a": [Annotation("yoga", 1.0, 4.0, 0.75)]}, thresholds=[0.5, 0.8]).by_threshold
        {0.5: 1.0, 0.8: 0.0}

    References:
        [1] https://github.com/activitynet/ActivityNet, ``Evaluation/eval_detection.py`` at commit
            82304fa9f4a7219421df13dae6347a445c4cf5bc; the tests compare with it.
    """
    levels = tuple(float(threshold) for threshold in thresholds)
    if not levels or not all(0 < level <= 1 for level in levels):
        raise DataError(
            f"there must be at least one threshold, each above 0 and up to 1; got {levels}"
        )
    videos, _ = pair_videos(reference, estimated)
    matches = tuple(
        {
            label: _match(true, found, levels)
            for label, (true, found) in video.by_label().items()
        }
        for video in videos.values()
    )
    labels = {span.label for video in videos.values() for span in video.reference}
    return TemporalMapReport(tuple(sorted(labels)), tuple(videos), levels, matches)


def _match(
    true: Sequence[Span], found: Sequence[Span], levels: Sequence[float]
) -> _Matches:
    scores = np.array([_score(span) for span in found], np.float64)
    correct = np.zeros((len(levels), len(found)), np.bool_)
    is_free = np.ones((len(levels), len(true)), np.bool_)
    spans = np.array([(span.start_s, end_of(span)) for span in true]).reshape(-1, 2)
    for index in np.argsort(-scores, kind="stable").tolist():
        iou = temporal_iou(found[index].start_s, end_of(found[index]), spans)
        most_first = np.argsort(iou, kind="stable")[::-1].tolist()
        for row, level in enumerate(levels):
            for other in most_first:
                if iou[other] < level:
                    break
                if is_free[row, other]:
                    is_free[row, other] = False
                    correct[row, index] = True
                    break
    return scores, correct, len(true)


def _score(span: Span) -> float:
    score = span.score
    if score is None or math.isnan(score):
        raise DataError(
            f"every event must have a score to be ranked by; {span.label!r} from {span.start_s:g} s has none"
        )
    return score
