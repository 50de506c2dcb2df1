"""Event-based F1: onsets and offsets must be within a collar."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import DataError
from movinet_lite.events.event import Span, end_of
from movinet_lite.events.metrics.counts import F1Report
from movinet_lite.events.metrics.matching import num_pairs
from movinet_lite.events.metrics.videos import pair_videos

__all__ = ["event_f1"]


def event_f1(
    reference: Mapping[str, Iterable[Span]],
    estimated: Mapping[str, Iterable[Span]],
    *,
    collar_s: float = 1.0,
    percentage_of_length: float = 0.0,
    onset: bool = True,
    offset: bool = True,
) -> F1Report:
    """Return the counts of events with the correct label, onset and offset.

    An estimated event is correct if the onset of an annotation of its label is within *collar_s*, and the offset within
    *collar_s* or *percentage_of_length* of the annotated length, whichever is larger. Each event and annotation is
    matched at most once, with a maximum matching.

    Args:
        reference: The annotations of each video, by its name.
        estimated: The events of each video.
        collar_s: Tolerance of onsets and offsets, in seconds.
        percentage_of_length: Tolerance of offsets as a share of the annotated length, 0 to 1. The default of sed_eval
            is 0.5.
        onset: Whether to compare onsets.
        offset: Whether to compare offsets.

    Raises:
        DataError: If an option is out of its range, a video has no annotations, or an event has not ended.

    Example:
        >>> from movinet_lite.events import Annotation
        >>> truth = {"a": [Annotation("yoga", 1.0, 5.0), Annotation("yoga", 8.0, 9.0)]}
        >>> event_f1(truth, {"a": [Annotation("yoga", 1.5, 5.0)]}).micro
        Counts(num_correct=1, num_reference=2, num_estimated=1)

    References:
        [1] Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences 6(6), 2016.
        [2] https://github.com/TUT-ARG/sed_eval, 0.2.1, ``EventBasedMetrics`` with optimal matching and with
            ``empty_system_output_handling="zero_score"``; the tests compare with it.
    """
    if not 0 <= collar_s < math.inf or not 0 <= percentage_of_length <= 1:
        raise DataError(
            "collar_s must be 0 seconds or more, and percentage_of_length from 0 to 1; "
            f"got {collar_s} and {percentage_of_length}"
        )
    if not onset and not offset:
        raise DataError("at least one of onset and offset must be true; got neither")
    videos, labels = pair_videos(reference, estimated)
    counts = np.zeros((len(videos), len(labels), 3), np.int64)
    index_of = {label: index for index, label in enumerate(labels)}
    for place, video in enumerate(videos.values()):
        for label, (true, found) in video.by_label().items():
            allowed = np.ones((len(true), len(found)), np.bool_)
            if allowed.size and onset:
                allowed &= _distances(true, found, 0) <= collar_s
            if allowed.size and offset:
                lengths = np.array([end_of(span) - span.start_s for span in true])
                collars_s = np.maximum(collar_s, percentage_of_length * lengths)
                allowed &= _distances(true, found, 1) <= collars_s[:, None]
            correct = num_pairs(allowed)
            counts[place, index_of[label]] = correct, len(true), len(found)
    return F1Report(labels, tuple(videos), counts)


def _distances(
    true: Sequence[Span], found: Sequence[Span], which: int
) -> NDArray[np.float64]:
    """Return the distances of the onsets (0) or offsets (1) of all pairs."""
    rows, columns = (
        np.array([(span.start_s, end_of(span))[which] for span in spans])
        for spans in (true, found)
    )
    distances: NDArray[np.float64] = np.abs(rows[:, None] - columns[None, :])
    return distances
