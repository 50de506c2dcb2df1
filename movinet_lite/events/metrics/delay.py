"""The delay between an onset and the first correct detection."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.events.event import Event, Span, end_of
from movinet_lite.events.metrics.bootstrap import BootstrappedReport
from movinet_lite.events.metrics.videos import pair_videos

__all__ = ["DelayReport", "detection_delay", "overlaps"]


@attrs.frozen(eq=False)
class DelayReport(BootstrappedReport):
    """The detection delay of annotated events; `interval` applies to `median_s`.

    Attributes:
        videos: The names of the videos.
        delays_s: For each video, the label and the delay of each annotated event, in seconds; infinity for a missed
            event.
    """

    videos: tuple[str, ...]
    delays_s: tuple[tuple[tuple[str, float], ...], ...] = attrs.field(repr=False)

    @property
    def num_found(self) -> int:
        """Number of annotated events that were detected."""
        return sum(math.isfinite(delay_s) for _, delay_s in self._all())

    @property
    def num_missed(self) -> int:
        """Number of annotated events that were missed."""
        return len(self._all()) - self.num_found

    @property
    def median_s(self) -> float:
        """The median delay of the detected events, in seconds; NaN if there are none."""
        return _median(delay_s for _, delay_s in self._all())

    @property
    def median_s_by_label(self) -> dict[str, float]:
        """The median delay of each label."""
        labels = sorted({label for label, _ in self._all()})
        return {
            label: _median(delay_s for name, delay_s in self._all() if name == label)
            for label in labels
        }

    def _figure_of(self, drawn: NDArray[np.intp]) -> float:
        return _median(
            delay_s for place in drawn for _, delay_s in self.delays_s[place]
        )

    def _all(self) -> list[tuple[str, float]]:
        return [pair for pairs in self.delays_s for pair in pairs]


def _median(delays_s: Iterable[float]) -> float:
    found = [delay_s for delay_s in delays_s if math.isfinite(delay_s)]
    return float(np.median(found)) if found else math.nan


def overlaps(one: Span, other: Span) -> bool:
    """Return whether two spans of one label overlap."""
    return (
        one.label == other.label
        and one.start_s < end_of(other)
        and other.start_s < end_of(one)
    )


def detection_delay(
    reference: Mapping[str, Iterable[Span]], estimated: Mapping[str, Iterable[Span]]
) -> DelayReport:
    """Return the time from each annotated onset to the confirmation of the first overlapping event of its label.

    A live system reports an event when it is confirmed, which is later than the onset of the event. For an annotation
    in place of an event, the onset is used.

    Args:
        reference: The annotations of each video, by its name.
        estimated: The events of each video.

    Raises:
        DataError: If a video has no annotations, or an event has not ended.

    Example:
        >>> from movinet_lite.events import Annotation
        >>> found = Event(label="yoga", start_s=1.0, end_s=4.0, peak=0.75, mean=0.5, num_frames=15, confirmed_s=2.5)
        >>> detection_delay({"a": [Annotation("yoga", 1.0, 5.0)]}, {"a": [found]}).median_s
        1.5
    """
    videos, _ = pair_videos(reference, estimated)
    delays = tuple(
        tuple((true.label, _delay(true, video.estimated)) for true in video.reference)
        for video in videos.values()
    )
    return DelayReport(tuple(videos), delays)


def _delay(true: Span, estimated: Sequence[Span]) -> float:
    known = [_known_s(span) for span in estimated if overlaps(true, span)]
    return max(0.0, min(known) - true.start_s) if known else math.inf


def _known_s(span: Span) -> float:
    if isinstance(span, Event) and span.confirmed_s is not None:
        return span.confirmed_s
    return span.start_s
