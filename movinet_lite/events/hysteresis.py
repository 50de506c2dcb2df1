"""Thresholds with hysteresis, durations and gaps, for many labels at once.

A label is active from the first frame at or above *enter* until the first frame below *leave*. A frame lasts until the
next one, so the time of that frame is the offset; the last frame of a stream lasts as long as the previous one. Python
code runs only for labels that are active or in a gap; the rest is vectorised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.events.event import Event, EventState

__all__ = ["Hysteresis", "Timing"]

_TICK_S: Final = 1e-6
"""Times are compared to a microsecond: 1.4 - 0.8 is less than 0.6 in floating point."""

_LOST_S: Final = 2.0
_LOST_INTERVALS: Final = 3.0
"""A stream is interrupted between frames more than 2 s and more than three times the previous interval apart."""


@attrs.frozen(kw_only=True)
class Timing:
    """The times among the settings of a detector, in seconds; see `EventDetector`."""

    min_duration_s: float
    max_gap_s: float
    smooth_s: float
    pad_s: float
    cooldown_s: float
    max_duration_s: float
    delay_s: float

    @property
    def bridged_s(self) -> float:
        """The longest gap within an event: events whose padding would touch are merged."""
        return max(self.max_gap_s, 2 * self.pad_s)


@attrs.define(eq=False)
class _Track:
    """A label that is active, or in a gap that may be bridged."""

    start_s: float  # as reported
    onset_s: float  # moved back by the delay, without padding
    peak: float = 0.0
    total: float = 0.0
    num_frames: int = 0
    confirmed_s: float | None = None
    pause_s: float | None = None  # since when it is below *leave*
    pause_total: float = 0.0
    pause_frames: int = 0

    def add(self, score: float) -> None:
        self.total += score
        self.num_frames += 1
        self.peak = max(self.peak, score)

    def add_to_pause(self, score: float) -> None:
        self.pause_total += score
        self.pause_frames += 1

    def resume(self) -> None:
        self.total += self.pause_total
        self.num_frames += self.pause_frames
        self.pause_s, self.pause_total, self.pause_frames = None, 0.0, 0

    def to_event(
        self, label: str, state: EventState, end_s: float | None = None
    ) -> Event:
        return Event(
            label=label,
            start_s=self.start_s,
            end_s=end_s,
            peak=self.peak,
            mean=min(self.peak, self.total / self.num_frames),  # sums are rounded
            num_frames=self.num_frames,
            state=state,
            confirmed_s=self.confirmed_s,
        )


class Hysteresis:
    """The states of all labels of one stream."""

    def __init__(
        self,
        labels: Sequence[str],
        enter: NDArray[np.float32],
        leave: NDArray[np.float32],
        timing: Timing,
    ) -> None:
        self._labels = labels
        self._enter = enter
        self._leave = leave
        self._timing = timing
        self._threshold = enter.copy()  # *leave* for active labels
        self._tracks: dict[int, _Track] = {}
        self._quiet_until_s: dict[int, float] = {}
        self._cut_s: dict[int, float] = {}  # the end that padding must not exceed
        self._first_s = 0.0  # of the stream, or since the interruption
        self._last_s: float | None = None
        self._now_s = (
            0.0  # the same, but for frames after a loss, while what was before it ends
        )
        self._interval_s = 0.0  # between the last two frames
        self._hold_s = 0.0  # duration of the last frame if none follows
        self._smoothed: NDArray[np.float64] | None = None
        self._changes: list[tuple[int, Event]] = []

    @property
    def last_s(self) -> float | None:
        """The time of the last frame; `None` before the first."""
        return self._last_s

    def advance(self, scores: NDArray[np.float32], time_s: float) -> tuple[Event, ...]:
        """Process the scores of the next frame, ``(classes,)`` float32, and return the events that changed."""
        interval_s = 0.0
        self._now_s = time_s
        if self._last_s is None:
            self._first_s = time_s
        else:
            interval_s = time_s - self._last_s
            if self._is_lost(interval_s):
                self._end_all()
                self._first_s = time_s
                self._smoothed = None
            elif interval_s > 0:
                self._hold_s = interval_s
            if interval_s > 0:
                self._interval_s = interval_s
        self._last_s = time_s
        smoothed = self._smooth(scores, interval_s)
        on = (smoothed >= self._threshold).nonzero()[0].tolist()
        if on or self._tracks:
            self._advance_labels(on, smoothed, time_s)
        return self._take_changes()

    def close(self) -> tuple[Event, ...]:
        """End all active events, at the end of the stream, and return them."""
        self._end_all()
        return self._take_changes()

    def num_values(self) -> int:
        """Return the number of stored values, which does not depend on the length of the stream."""
        arrays = (self._enter, self._leave, self._threshold, self._smoothed)
        return (
            sum(array.size for array in arrays if array is not None)
            + len(self._tracks) * len(attrs.fields(_Track))
            + len(self._quiet_until_s)
            + len(self._cut_s)
            + len(self._changes)
        )

    def _is_lost(self, interval_s: float) -> bool:
        longest_s = max(_LOST_S, self._timing.bridged_s) + _TICK_S
        return interval_s > longest_s and (
            0 < _LOST_INTERVALS * self._interval_s < interval_s
        )

    def _smooth(self, scores: NDArray[np.float32], interval_s: float) -> NDArray[Any]:
        if self._timing.smooth_s <= 0:
            return scores
        if self._smoothed is None:
            self._smoothed = scores.astype(np.float64)
        else:
            weight = -math.expm1(-interval_s / self._timing.smooth_s)
            self._smoothed += weight * (scores - self._smoothed)
        return self._smoothed

    def _advance_labels(
        self, on: list[int], scores: NDArray[Any], time_s: float
    ) -> None:
        for index in self._tracks.keys() - on:
            self._advance_off(index, float(scores[index]), time_s)
        for index in on:
            score = float(scores[index])
            track = self._tracks.get(index)
            if track is None:
                self._enter_label(index, score, time_s)
            else:
                self._advance_on(index, track, score, time_s)

    def _advance_off(self, index: int, score: float, time_s: float) -> None:
        track = self._tracks[index]
        bridged_s = self._timing.bridged_s
        if track.pause_s is None:
            track.pause_s = time_s
            self._threshold[index] = self._enter[index]
            self._confirm(index, track, time_s - self._timing.delay_s)
            if bridged_s > 0:
                track.add_to_pause(score)
                return
        elif time_s - track.pause_s <= bridged_s + _TICK_S:
            track.add_to_pause(score)
            return
        self._end(index, track)

    def _advance_on(
        self, index: int, track: _Track, score: float, time_s: float
    ) -> None:
        end_s = time_s - self._timing.delay_s
        is_full = end_s - track.onset_s >= self._timing.max_duration_s - _TICK_S
        pause_s = track.pause_s
        if pause_s is not None and time_s - pause_s > self._timing.bridged_s + _TICK_S:
            self._end(index, track)
            self._enter_label(index, score, time_s)
        elif is_full:
            self._end(index, track, cut_s=time_s if pause_s is None else pause_s)
            if not self._is_quiet(index, time_s):
                self._begin(index, end_s, end_s, score, time_s)
        else:
            if pause_s is not None:
                track.resume()
                self._threshold[index] = self._leave[index]
            track.add(score)
            self._confirm(index, track, end_s)

    def _enter_label(self, index: int, score: float, time_s: float) -> None:
        if self._is_quiet(index, time_s):
            return
        onset_s = max(time_s - self._timing.delay_s, self._first_s)
        start_s = max(
            onset_s - self._timing.pad_s,
            self._cut_s.get(index, self._first_s),
            self._first_s,
        )
        self._begin(index, start_s, onset_s, score, time_s)

    def _begin(
        self, index: int, start_s: float, onset_s: float, score: float, time_s: float
    ) -> None:
        track = _Track(start_s, onset_s)
        track.add(score)
        self._tracks[index] = track
        self._threshold[index] = self._leave[index]
        self._report(index, track, "began")
        self._confirm(index, track, time_s - self._timing.delay_s)

    def _is_quiet(self, index: int, time_s: float) -> bool:
        until_s = self._quiet_until_s.get(index)
        if until_s is None:
            return False
        if time_s < until_s - _TICK_S:
            return True
        del self._quiet_until_s[index]
        return False

    def _confirm(self, index: int, track: _Track, end_s: float) -> None:
        lasted_s = end_s - track.onset_s
        if (
            track.confirmed_s is None
            and lasted_s >= self._timing.min_duration_s - _TICK_S
        ):
            track.confirmed_s = self._now_s
            self._report(index, track, "confirmed")

    def _end(self, index: int, track: _Track, *, cut_s: float | None = None) -> None:
        """End a label at its gap, or at a cut, which has no padding."""
        if cut_s is None:
            assert track.pause_s is not None  # noqa: S101 - a fault of ours, not of a caller
            off_s, pad_s = track.pause_s, self._timing.pad_s
        else:
            off_s, pad_s = cut_s, 0.0
            self._cut_s[index] = cut_s - self._timing.delay_s
        end_s = off_s - self._timing.delay_s
        self._confirm(index, track, end_s)
        self._remove(index, track, off_s, end_s + pad_s)

    def _end_all(self) -> None:
        """End every label at the end of the stream, which is not moved back like an offset."""
        if self._last_s is None:
            return
        stop_s = self._last_s + self._hold_s
        for index, track in list(self._tracks.items()):
            if track.pause_s is None:
                self._confirm(index, track, stop_s)
                self._remove(index, track, stop_s, stop_s)
            else:
                end_s = track.pause_s - self._timing.delay_s + self._timing.pad_s
                self._remove(index, track, track.pause_s, min(end_s, stop_s))

    def _remove(self, index: int, track: _Track, off_s: float, end_s: float) -> None:
        del self._tracks[index]
        self._threshold[index] = self._enter[index]
        state: EventState = "dropped" if track.confirmed_s is None else "ended"
        if state == "ended" and self._timing.cooldown_s > 0:
            self._quiet_until_s[index] = off_s + self._timing.cooldown_s
        self._report(index, track, state, max(end_s, track.start_s))

    def _report(
        self,
        index: int,
        track: _Track,
        state: EventState,
        end_s: float | None = None,
    ) -> None:
        event = track.to_event(self._labels[index], state, end_s)
        self._changes.append((index, event))

    def _take_changes(self) -> tuple[Event, ...]:
        if not self._changes:
            return ()
        changes, self._changes = self._changes, []
        changes.sort(key=lambda change: change[0])  # a label's own stay in order
        return tuple(event for _, event in changes)
