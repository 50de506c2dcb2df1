"""Tunes the settings of an event detector on annotated videos, with cross-validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import DataError
from movinet_lite.events.detector import EventDetector
from movinet_lite.events.event import Event, Span
from movinet_lite.events.metrics.bootstrap import Interval, bootstrap
from movinet_lite.events.metrics.event_based import event_f1
from movinet_lite.events.metrics.segment_based import segment_f1
from movinet_lite.events.metrics.temporal_map import temporal_map
from movinet_lite.events.scored import ScoredVideo, check_scored
from movinet_lite.events.settings import DetectorSettings, check_not_background

__all__ = ["METRICS", "FoldResult", "TuningResult", "tune_events"]

METRICS: Final = (
    "event_f1",
    "event_f1_macro",
    "segment_f1",
    "segment_f1_macro",
    "mean_ap",
)
"""The metrics that can be optimised; see `movinet_lite.events.metrics`."""

_Spans: TypeAlias = Mapping[str, Iterable[Span]]
_Statistic: TypeAlias = Callable[[NDArray[np.intp]], float]
_Metric: TypeAlias = Callable[[_Spans, _Spans], _Statistic]

_GRID: Final[dict[str, tuple[float, ...]]] = {
    "delay_s": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8, 3.2),
    "enter": tuple(round(0.1 + 0.05 * step, 2) for step in range(18)),
    "leave_share": (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0),
    "smooth_s": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0),
    "min_duration_s": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0),
    "max_gap_s": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0),
}
"""The values to try; *leave* is relative to *enter*."""

_NUM_DRAWN: Final = 48
_MAX_ROUNDS: Final = 4

_Choice: TypeAlias = tuple[float, ...]
"""A value for each name of the grid, in its order."""


@attrs.frozen(eq=False)
class FoldResult:
    """The settings tuned without some videos, evaluated on them.

    Attributes:
        videos: The names of the held-out videos.
        settings: The settings tuned on the others.
        value: The metric on the held-out videos; NaN if they have no annotations.
        value_before: The same with the initial settings.
    """

    videos: tuple[str, ...]
    settings: DetectorSettings
    value: float
    value_before: float


@attrs.frozen(eq=False)
class TuningResult:
    """The tuned settings, with their cross-validated performance.

    Attributes:
        settings: The settings tuned on all videos.
        metric: The name of the metric.
        fitted: The metric on the same videos; optimistic, since the settings were tuned on them.
        before: The metric with the initial settings.
        held_out: The metric over all videos, each with settings tuned without it.
        gain: `held_out` minus `before`, with its interval.
        folds: The result of each fold.
    """

    settings: DetectorSettings
    metric: str
    fitted: float
    before: float
    held_out: float
    gain: Interval
    folds: tuple[FoldResult, ...] = attrs.field(repr=False)

    @property
    def detector(self) -> EventDetector:
        """A detector with the tuned settings; use `save` to write them to a file."""
        return EventDetector.from_settings(self.settings)

    def __str__(self) -> str:
        """Return a one-line summary."""
        gain = self.gain
        return (
            f"{self.metric} on held-out videos: {self.held_out:.3f}, before tuning {self.before:.3f}; "
            f"gained {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}); "
            f"on the videos tuned on: {self.fitted:.3f}"
        )


def tune_events(
    videos: Mapping[str, ScoredVideo],
    labels: Sequence[str],
    *,
    metric: str = "event_f1",
    collar_s: float = 1.0,
    segment_s: float = 1.0,
    by_class: bool = False,
    num_folds: int = 5,
    start: EventDetector | None = None,
    seed: int = 0,
) -> TuningResult:
    """Tune thresholds, smoothing, durations, gaps and delay for a metric on annotated videos.

    A random search is followed by coordinate descent until no value improves the metric. Among equally good values the
    middle one is selected, which generalises best. The whole search is cross-validated over folds of videos. The same
    videos and seed yield the same result.

    Args:
        videos: Scores and annotations of each video, by its name; at least two with annotations.
        labels: The label of each class.
        metric: One of `METRICS`.
        collar_s: The collar of ``event_f1``, in seconds.
        segment_s: The segments of ``segment_f1``, in seconds.
        by_class: Whether to tune the thresholds of each annotated label as well. Times are shared by all labels, since
            a single label has too few events.
        num_folds: Number of folds, at least 2; one per video if there are fewer videos.
        start: The initial detector; settings that are not tuned are kept. `None` for ``EventDetector()``.
        seed: Random seed of the search.

    Raises:
        DataError: If an option is unknown or out of its range, or fewer than two videos have annotations.
        LabelsError: If there is not one label for each class, or an annotated label is not among them.
    """
    check_scored(videos, labels)
    first = EventDetector().settings if start is None else start.settings
    for video in videos.values():
        if video.background is not None:
            check_not_background(first, video.background)
    videos = {name: video.without_background(labels) for name, video in videos.items()}
    if sum(bool(video.annotations) for video in videos.values()) < 2:
        raise DataError(
            "at least two videos must have annotations, to tune on one and evaluate on the other"
        )
    search = _Search(videos, labels, _metric(metric, collar_s, segment_s), first, seed)
    everything = np.arange(len(videos))
    folds = _deal(videos, num_folds)
    chosen = search.choose(everything, by_class=by_class)
    results: list[FoldResult] = []
    pooled: dict[str, tuple[Event, ...]] = {}
    names = tuple(videos)
    for fold in folds:
        settings = search.choose(np.setdiff1d(everything, fold), by_class=by_class)
        events = search.events(settings)
        pooled |= {names[place]: events[names[place]] for place in fold}
        results.append(
            FoldResult(
                tuple(names[place] for place in fold),
                settings,
                search.value(settings, fold),
                search.value(first, fold),
            )
        )
    held_out = search.statistic(pooled)
    before = search.statistic(search.events(first))
    return TuningResult(
        chosen,
        metric,
        search.value(chosen, everything),
        before(everything),
        held_out(everything),
        bootstrap(
            lambda drawn: held_out(drawn) - before(drawn), len(videos), seed=seed
        ),
        tuple(results),
    )


def _metric(name: str, collar_s: float, segment_s: float) -> _Metric:
    def of_events(reference: _Spans, estimated: _Spans) -> _Statistic:
        report = event_f1(reference, estimated, collar_s=collar_s)
        return report.macro_f1_of if name.endswith("_macro") else report.f1_of

    def of_segments(reference: _Spans, estimated: _Spans) -> _Statistic:
        report = segment_f1(reference, estimated, segment_s=segment_s)
        return report.macro_f1_of if name.endswith("_macro") else report.f1_of

    def of_ranking(reference: _Spans, estimated: _Spans) -> _Statistic:
        return temporal_map(reference, estimated).mean_ap_of

    if name not in METRICS:
        raise DataError(f"metric must be one of {', '.join(METRICS)}; got {name!r}")
    if name == "mean_ap":
        return of_ranking
    return of_events if name.startswith("event") else of_segments


def _deal(
    videos: Mapping[str, ScoredVideo], num_folds: int
) -> tuple[NDArray[np.intp], ...]:
    """Return the indices of the videos of each fold, stratified by annotations.

    Raises:
        DataError: If *num_folds* is below 2.
    """
    if num_folds < 2:
        raise DataError(f"num_folds must be at least 2; got {num_folds}")
    counts = [len(video.annotations) for video in videos.values()]
    names = list(videos)
    order = sorted(range(len(names)), key=lambda place: (-counts[place], names[place]))
    num_folds = min(num_folds, sum(count > 0 for count in counts))
    return tuple(np.array(sorted(order[fold::num_folds])) for fold in range(num_folds))


class _Search:
    """Evaluates settings on all videos, and caches the results."""

    def __init__(
        self,
        videos: Mapping[str, ScoredVideo],
        labels: Sequence[str],
        metric: _Metric,
        start: DetectorSettings,
        seed: int,
    ) -> None:
        self._metric = metric
        self._start = start
        self._reference = {name: video.annotations for name, video in videos.items()}
        self._grid = _grid_around(start)
        self._drawn = self._draw(seed)
        # Classes that never reach the lowest threshold have no events with any settings.
        lowest = min(
            [*self._grid["enter"], *(enter for enter, _ in start.thresholds.values())]
        )
        peaks = np.max(
            [video.scores.max(axis=0, initial=0) for video in videos.values()], axis=0
        )
        named = {*(start.labels or ()), *start.thresholds}
        annotated = {span.label for spans in self._reference.values() for span in spans}
        self._kept = [
            index
            for index, label in enumerate(labels)
            if peaks[index] >= np.float32(lowest) or label in named | annotated
        ]
        self._labels = tuple(labels[index] for index in self._kept)
        self._annotated = [label for label in self._labels if label in annotated]
        self._videos = {
            name: (video.scores[:, self._kept], video.times_s)
            for name, video in videos.items()
        }
        self._statistics: dict[str, _Statistic] = {}

    def choose(self, places: NDArray[np.intp], *, by_class: bool) -> DetectorSettings:
        """Return the best settings for the videos with indices *places*."""
        best = max(self._drawn, key=lambda choice: self._value(choice, places))
        for _ in range(_MAX_ROUNDS):
            before = self._value(best, places)
            for axis in range(len(self._grid)):
                best = self._improve(best, axis, places)
            if self._value(best, places) <= before:
                break
        settings = self._settings(best)
        return self._choose_by_class(settings, places) if by_class else settings

    def value(self, settings: DetectorSettings, places: NDArray[np.intp]) -> float:
        """Return the metric for the videos with indices *places*; NaN if they have no annotations."""
        key = repr(settings)
        if key not in self._statistics:
            self._statistics[key] = self.statistic(self.events(settings))
        return self._statistics[key](places)

    def statistic(self, events: _Spans) -> _Statistic:
        """Return the metric of the events as a function of video indices."""
        return self._metric(self._reference, events)

    def events(self, settings: DetectorSettings) -> dict[str, tuple[Event, ...]]:
        """Return the events of each video with some settings."""
        detector = EventDetector.from_settings(settings)
        return {
            name: detector.detect(scores, times_s, self._labels)
            for name, (scores, times_s) in self._videos.items()
        }

    def _draw(self, seed: int) -> list[_Choice]:
        generator = np.random.default_rng(seed)
        values = list(self._grid.values())
        drawn = [
            tuple(row[generator.integers(len(row))] for row in values)
            for _ in range(_NUM_DRAWN)
        ]
        return [_choice_of(self._start), *drawn]

    def _settings(self, choice: _Choice) -> DetectorSettings:
        delay_s, enter, share, smooth_s, min_duration_s, max_gap_s = choice
        return attrs.evolve(
            self._start,
            delay_s=delay_s,
            enter=enter,
            leave=_leave(enter, share),
            smooth_s=smooth_s,
            min_duration_s=min_duration_s,
            max_gap_s=max_gap_s,
        )

    def _value(self, choice: _Choice, places: NDArray[np.intp]) -> float:
        value = self.value(self._settings(choice), places)
        return -1.0 if math.isnan(value) else value

    def _improve(self, choice: _Choice, axis: int, places: NDArray[np.intp]) -> _Choice:
        choices = [
            (*choice[:axis], value, *choice[axis + 1 :])
            for value in list(self._grid.values())[axis]
        ]
        values = [self._value(one, places) for one in choices]
        return choices[_middle_of_best(values)]

    def _choose_by_class(
        self, settings: DetectorSettings, places: NDArray[np.intp]
    ) -> DetectorSettings:
        for label in self._annotated:
            if settings.labels is not None and label not in settings.labels:
                continue
            pairs = list(self._pairs())
            values = [
                self._value_of_class(label, settings, pair, places) for pair in pairs
            ]
            pair = pairs[_middle_of_best(values)]
            candidate = attrs.evolve(
                settings, thresholds={**settings.thresholds, label: pair}
            )
            if self.value(candidate, places) > self.value(settings, places):
                settings = candidate
        return settings

    def _pairs(self) -> Iterator[tuple[float, float]]:
        for share in self._grid["leave_share"]:
            for enter in self._grid["enter"]:
                yield enter, _leave(enter, share)

    def _value_of_class(
        self,
        label: str,
        settings: DetectorSettings,
        pair: tuple[float, float],
        places: NDArray[np.intp],
    ) -> float:
        alone = attrs.evolve(settings, labels=(label,), thresholds={label: pair})
        key = repr(alone)
        if key not in self._statistics:
            column = [self._labels.index(label)]
            detector = EventDetector.from_settings(alone)
            found = {
                name: detector.detect(scores[:, column], times_s, (label,))
                for name, (scores, times_s) in self._videos.items()
            }
            reference = {
                name: [span for span in spans if span.label == label]
                for name, spans in self._reference.items()
            }
            self._statistics[key] = self._metric(reference, found)
        value = self._statistics[key](places)
        return -1.0 if math.isnan(value) else value


def _leave(enter: float, share: float) -> float:
    return min(enter, round(enter * share, 6))


def _choice_of(settings: DetectorSettings) -> _Choice:
    enter, leave = settings.enter, settings.thresholds_of("")[1]
    share = leave / enter
    return (
        settings.delay_s,
        enter,
        share,
        settings.smooth_s,
        settings.min_duration_s,
        settings.max_gap_s,
    )


def _grid_around(start: DetectorSettings) -> dict[str, tuple[float, ...]]:
    """Return the grid with the values of *start* added, and without durations above its maximum."""
    longest_s = math.inf if start.max_duration_s is None else start.max_duration_s
    return {
        name: tuple(
            value
            for value in sorted({*values, own})
            if name != "min_duration_s" or value <= longest_s
        )
        for (name, values), own in zip(_GRID.items(), _choice_of(start), strict=True)
    }


def _middle_of_best(values: Sequence[float]) -> int:
    """Return the middle of the longest run of best *values*; the first run among equals."""
    best = max(values)
    runs: list[list[int]] = [[]]
    for place, value in enumerate(values):
        if value == best:
            runs[-1].append(place)
        elif runs[-1]:
            runs.append([])
    longest = max(runs, key=len)
    return longest[(len(longest) - 1) // 2]
