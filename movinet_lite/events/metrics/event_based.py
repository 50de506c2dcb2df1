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
    """Return how many events were found with the right label, onset and offset.

    An event found is correct if an annotated one of its label has its onset within *collar_s*, and its offset within
    *collar_s* or *percentage_of_length* of its own length, whichever is more. Each stands in one pair at most, and as
    many are paired as can be.

    Args:
        reference: The annotations of each video, by its name.
        estimated: The events of each video.
        collar_s: By how much a time may differ, in seconds.
        percentage_of_length: By how much an offset may differ, as a share of the annotated length, 0 to 1. sed_eval
            takes 0.5 where nothing is given.
        onset: Whether onsets must agree.
        offset: Whether offsets must agree.

    Raises:
        DataError: If an option is out of its range, a video found is not annotated, or an event has not ended.

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
        raise DataError("onset or offset must be true; got neither")
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
    """Return how far the onsets (0) or offsets (1) of all pairs lie apart."""
    rows, columns = (
        np.array([(span.start_s, end_of(span))[which] for span in spans])
        for spans in (true, found)
    )
    distances: NDArray[np.float64] = np.abs(rows[:, None] - columns[None, :])
    return distances
