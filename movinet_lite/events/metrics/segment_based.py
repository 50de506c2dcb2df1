"""Segment-based F1, over segments of equal length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from movinet_lite.errors import DataError
from movinet_lite.events.event import Span, end_of
from movinet_lite.events.metrics.counts import F1Report
from movinet_lite.events.metrics.videos import pair_videos

__all__ = ["segment_f1"]


def segment_f1(
    reference: Mapping[str, Iterable[Span]],
    estimated: Mapping[str, Iterable[Span]],
    *,
    segment_s: float = 1.0,
) -> F1Report:
    """Return the counts of segments with the correct labels.

    Time is divided into segments of equal length, starting at 0. A label is active in every segment that one of its
    events touches.

    Args:
        reference: The annotations of each video, by its name.
        estimated: The events of each video.
        segment_s: The length of a segment in seconds, above 0.

    Raises:
        DataError: If *segment_s* is out of its range, a video has no annotations, or an event has not ended.

    Example:
        >>> from movinet_lite.events import Annotation
        >>> truth = {"a": [Annotation("yoga", 1.0, 5.0)]}
        >>> segment_f1(truth, {"a": [Annotation("yoga", 1.5, 4.0)]}).micro
        Counts(num_correct=3, num_reference=4, num_estimated=3)

    References:
        [1] Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences 6(6), 2016.
        [2] https://github.com/TUT-ARG/sed_eval, 0.2.1, ``SegmentBasedMetrics``; the tests compare with it.
    """
    if not 0 < segment_s < math.inf:
        raise DataError(f"segment_s must be above 0 seconds; got {segment_s}")
    videos, labels = pair_videos(reference, estimated)
    counts = np.zeros((len(videos), len(labels), 3), np.int64)
    index_of = {label: index for index, label in enumerate(labels)}
    for place, video in enumerate(videos.values()):
        for label, both in video.by_label().items():
            true, found = (_merged(spans, segment_s) for spans in both)
            row = _overlap(true, found), _length(true), _length(found)
            counts[place, index_of[label]] = row
    return F1Report(labels, tuple(videos), counts)


def _merged(spans: Sequence[Span], segment_s: float) -> list[tuple[int, int]]:
    """Return the disjoint runs of segments in which a label is active, in order."""
    runs: list[tuple[int, int]] = []
    for first, last in sorted(
        (math.floor(span.start_s / segment_s), math.ceil(end_of(span) / segment_s))
        for span in spans
    ):
        if runs and first <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(last, runs[-1][1]))
        elif last > first:
            runs.append((first, last))
    return runs


def _length(runs: Sequence[tuple[int, int]]) -> int:
    return sum(last - first for first, last in runs)


def _overlap(ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]]) -> int:
    total, i, j = 0, 0, 0
    while i < len(ours) and j < len(theirs):
        first = max(ours[i][0], theirs[j][0])
        last = min(ours[i][1], theirs[j][1])
        total += max(0, last - first)
        if ours[i][1] < theirs[j][1]:
            i += 1
        else:
            j += 1
    return total
