"""False alarms: events per hour that overlap no annotation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import DataError
from movinet_lite.events.event import Span
from movinet_lite.events.metrics.bootstrap import BootstrappedReport
from movinet_lite.events.metrics.delay import overlaps
from movinet_lite.events.metrics.videos import pair_videos

__all__ = ["FalseAlarmReport", "false_alarms"]


@attrs.frozen(eq=False)
class FalseAlarmReport(BootstrappedReport):
    """The number of false alarms and the total duration; `interval` applies to `per_hour`.

    Attributes:
        videos: The names of the videos.
        durations_s: ``(videos,)`` float64: the duration of each.
        by_video: For each video, the number of false alarms by label.
    """

    videos: tuple[str, ...]
    durations_s: NDArray[np.float64]
    by_video: tuple[Mapping[str, int], ...] = attrs.field(repr=False)

    @property
    def num_alarms(self) -> int:
        """Number of false alarms."""
        return sum(sum(alarms.values()) for alarms in self.by_video)

    @property
    def per_hour(self) -> float:
        """False alarms per hour, over all labels."""
        return self._figure_of(np.arange(len(self.videos)))

    @property
    def per_hour_by_label(self) -> dict[str, float]:
        """False alarms per hour of each label that has any."""
        total: Counter[str] = Counter()
        for alarms in self.by_video:
            total.update(alarms)
        hours = float(self.durations_s.sum()) / 3600
        return {label: total[label] / hours for label in sorted(total)}

    def _figure_of(self, drawn: NDArray[np.intp]) -> float:
        alarms = sum(sum(self.by_video[place].values()) for place in drawn)
        return alarms / (float(self.durations_s[drawn].sum()) / 3600)


def false_alarms(
    reference: Mapping[str, Iterable[Span]],
    estimated: Mapping[str, Iterable[Span]],
    durations_s: Mapping[str, float],
) -> FalseAlarmReport:
    """Return the number of events per hour that overlap no annotation of their label.

    Args:
        reference: The annotations of each video, by its name.
        estimated: The events of each video.
        durations_s: The duration of each video, in seconds.

    Raises:
        DataError: If a video has no duration above 0, a video has no annotations, or an event has not ended.

    Example:
        >>> from movinet_lite.events import Annotation
        >>> false_alarms({"a": []}, {"a": [Annotation("yoga", 1.0, 5.0)]}, {"a": 1800.0}).per_hour
        2.0
    """
    videos, _ = pair_videos(reference, estimated)
    wrong = [
        name for name in videos if not 0 < durations_s.get(name, math.nan) < math.inf
    ]
    if wrong:
        raise DataError(
            f"durations_s must have a value above 0 for every video; got {durations_s.get(wrong[0])!r} for {wrong[0]!r}"
        )
    alarms = tuple(
        Counter(
            span.label
            for span in video.estimated
            if not any(overlaps(span, true) for true in video.reference)
        )
        for video in videos.values()
    )
    lengths = np.array([durations_s[name] for name in videos], np.float64)
    return FalseAlarmReport(tuple(videos), lengths, alarms)
