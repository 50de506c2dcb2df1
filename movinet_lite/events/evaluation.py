"""Evaluates a detector on annotated videos with all metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from movinet_lite.errors import DataError
from movinet_lite.events.detector import EventDetector
from movinet_lite.events.event import Event
from movinet_lite.events.metrics import (
    DelayReport,
    F1Report,
    FalseAlarmReport,
    FrameMapReport,
    Interval,
    TemporalMapReport,
    detection_delay,
    event_f1,
    false_alarms,
    frame_map,
    segment_f1,
    temporal_map,
)
from movinet_lite.events.scored import ScoredVideo

__all__ = ["EventEvaluation", "evaluate_events"]


@attrs.frozen(eq=False)
class EventEvaluation:
    """The agreement of events with annotations.

    Attributes:
        events: The detected events of each video, by name.
        event_f1: F1 of whole events, by collar in seconds.
        segment_s: The length of the segments, in seconds.
        segment_f1: F1 of segments.
        temporal_map: Mean average precision over temporal IoU.
        frame_map: Mean average precision of the frame scores, which does not depend on the detector.
        delay: The delay from onset to confirmation.
        false_alarms: The events that overlap no annotation.
    """

    events: Mapping[str, tuple[Event, ...]] = attrs.field(repr=False)
    event_f1: Mapping[float, F1Report]
    segment_s: float
    segment_f1: F1Report
    temporal_map: TemporalMapReport
    frame_map: FrameMapReport
    delay: DelayReport
    false_alarms: FalseAlarmReport

    def intervals(self, *, confidence: float = 0.95) -> dict[str, Interval]:
        """Return each metric with its bootstrap interval over the videos, by its name in `to_text`."""
        return {
            **{
                f"event F1, collar {collar_s:g} s": report.interval(
                    confidence=confidence
                )
                for collar_s, report in self.event_f1.items()
            },
            f"segment F1, {self.segment_s:g} s": self.segment_f1.interval(
                confidence=confidence
            ),
            "mean AP, temporal IoU": self.temporal_map.interval(confidence=confidence),
            "mean AP, frames": self.frame_map.interval(confidence=confidence),
            "median delay, s": self.delay.interval(confidence=confidence),
            "false alarms an hour": self.false_alarms.interval(confidence=confidence),
        }

    def to_text(self) -> str:
        """Return a report: the metrics with 95 % intervals, and a table by label."""
        lines = [
            f"{name:<24}{interval.value:>8.3f}   {interval.low:.3f} to {interval.high:.3f}"
            for name, interval in self.intervals().items()
        ]
        counts = self._first.micro
        total = (
            f"{len(self._first.videos)} videos of {self._hours():.2f} hours: {counts.num_reference} events annotated, "
            f"{counts.num_estimated} found, {self.delay.num_missed} missed"
        )
        lines += ["", total, ""]
        rows: list[tuple[str, ...]] = [
            ("", "annotated", "found", "event F1", "segment F1", "AP", "delay, s")
        ]
        rows += self._rows()
        width = max(len(row[0]) for row in rows)
        lines += [
            (row[0].ljust(width) + "".join(f"{cell:>12}" for cell in row[1:])).rstrip()
            for row in rows
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics as JSON-compatible values; `None` for undefined ones."""
        return {
            "num_videos": len(self._first.videos),
            "hours": self._hours(),
            "metrics": {
                name: {
                    "value": _number(interval.value),
                    "low": _number(interval.low),
                    "high": _number(interval.high),
                }
                for name, interval in self.intervals().items()
            },
            "num_annotated": self._first.micro.num_reference,
            "num_found": self._first.micro.num_estimated,
            "num_missed": self.delay.num_missed,
            "by_label": {
                label: {
                    "num_annotated": counts.num_reference,
                    "num_found": counts.num_estimated,
                    "event_f1": {
                        f"{collar_s:g}": _number(report.by_label[label].f1)
                        for collar_s, report in self.event_f1.items()
                    },
                    "segment_f1": _number(self.segment_f1.by_label[label].f1),
                    "ap": _number(self.temporal_map.by_label.get(label)),
                    "delay_s": _number(self.delay.median_s_by_label.get(label)),
                    "false_alarms_an_hour": self.false_alarms.per_hour_by_label.get(
                        label, 0.0
                    ),
                }
                for label, counts in self._first.by_label.items()
            },
        }

    @property
    def _first(self) -> F1Report:
        return next(iter(self.event_f1.values()))

    def _hours(self) -> float:
        return float(self.false_alarms.durations_s.sum()) / 3600

    def _rows(self) -> Iterator[tuple[str, ...]]:
        segments = self.segment_f1.by_label
        ap, delays = self.temporal_map.by_label, self.delay.median_s_by_label
        for label, counts in self._first.by_label.items():
            yield (
                label,
                str(counts.num_reference),
                str(counts.num_estimated),
                _cell(counts.f1),
                _cell(segments[label].f1),
                _cell(ap.get(label)),
                _cell(delays.get(label)),
            )


def evaluate_events(
    videos: Mapping[str, ScoredVideo],
    labels: Sequence[str],
    detector: EventDetector | None = None,
    *,
    collars_s: Sequence[float] = (1.0, 2.0),
    segment_s: float = 1.0,
) -> EventEvaluation:
    """Evaluate the events of a detector against annotations.

    Annotations of the background, and of labels that are not among the detector's *labels*, are ignored.

    Args:
        videos: Scores and annotations of each video, by its name.
        labels: The label of each class.
        detector: The detector; it is not changed. `None` for ``EventDetector()``.
        collars_s: The collars of `event_f1`, in seconds, at least one; the table by label uses the first.
        segment_s: The segment length of `segment_f1`, in seconds.

    Raises:
        DataError: If there is no video or no collar, a video has fewer than two frames, or an option is out of its
            range.
        LabelsError: If there is not one label for each class, or an annotated label is not among them.

    Example:
        >>> from movinet_lite.events import Annotation
        >>> scores = [[0.9], [0.9], [0.9], [0.1], [0.1], [0.1]]
        >>> video = ScoredVideo([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], scores, [Annotation("yoga", 0.0, 3.0)])
        >>> found = evaluate_events({"a": video}, ["yoga"])
        >>> found.event_f1[1.0].f1, found.false_alarms.per_hour
        (1.0, 0.0)
    """
    if not collars_s:
        raise DataError("there must be at least one collar; got none")
    detector = EventDetector() if detector is None else detector
    allowed = detector.settings.labels
    videos = {
        name: attrs.evolve(
            video,
            annotations=[
                one
                for one in video.annotations
                if one.label != video.background
                and (allowed is None or one.label in allowed)
            ],
        )
        for name, video in videos.items()
    }
    by_frame = frame_map(videos, labels)  # checks the videos and the labels
    truth = {name: video.annotations for name, video in videos.items()}
    found = {
        name: detector.detect(
            video.scores, video.times_s, labels, background=video.background
        )
        for name, video in videos.items()
    }
    return EventEvaluation(
        found,
        {collar_s: event_f1(truth, found, collar_s=collar_s) for collar_s in collars_s},
        segment_s,
        segment_f1(truth, found, segment_s=segment_s),
        temporal_map(truth, found),
        by_frame,
        detection_delay(truth, found),
        false_alarms(
            truth, found, {name: video.duration_s for name, video in videos.items()}
        ),
    )


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _cell(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"
