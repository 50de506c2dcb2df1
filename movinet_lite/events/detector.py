"""The event detector, for streams and recordings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from movinet_lite.errors import ArrayError, LabelsError, SessionError
from movinet_lite.events.event import Event
from movinet_lite.events.hysteresis import Hysteresis
from movinet_lite.events.scored import as_scores, as_times
from movinet_lite.events.settings import (
    DetectorSettings,
    Thresholds,
    check_not_background,
    load_settings,
    save_settings,
)
from movinet_lite.labels import check_labels, label_indices
from movinet_lite.predictions import Prediction

__all__ = ["EventDetector", "find_events"]


class EventDetector:
    """Turns a sequence of predictions into events.

    Each label is tracked separately, so several events can be active at once. The rules apply in this order:

    1. A label is active from the first score at or above *enter* until the first score below *leave*.
    2. A gap of at most *max_gap_s* is bridged.
    3. An event that has lasted *min_duration_s* is confirmed; one that ends sooner is dropped.
    4. An event that has lasted *max_duration_s* ends, and another begins if the label is still active.
    5. After a confirmed event, its label is ignored for *cooldown_s*.
    6. Onset and offset are moved back by *delay_s*, and then extended by *pad_s* each.

    The class that a model has for "none of these" (`Prediction.background`) makes no event.

    A detector holds the state of one stream; `fresh` returns one for another stream. Its settings never change, and its
    memory does not grow with the stream.

    Args:
        enter: The score at which a label becomes active, above 0 and up to 1.
        leave: The score below which it becomes inactive, above 0 and at most *enter*; `None` for *enter* - 0.15, but at least
            0.01.
        min_duration_s: Minimum duration of an event, in seconds.
        max_gap_s: The longest gap that is bridged, in seconds; twice *pad_s* if that is longer.
        smooth_s: Time constant of an exponential moving average of the scores, in seconds; 0 for none. It is causal, and
            weighted by time rather than by frames.
        pad_s: Padding at both ends of an event, in seconds.
        cooldown_s: Time after the offset of an event for which its label is ignored, in seconds.
        max_duration_s: Maximum duration of an event, in seconds; `None` for no limit.
        delay_s: Latency of the model, by which events are moved back, in seconds.
        labels: The labels to find; `None` for all.
        thresholds: *enter* and *leave* for single labels.

    Raises:
        ArrayError: If a setting is out of its range.
        LabelsError: If *labels* is empty or repeats a label, or a label of *thresholds* is not among *labels*.

    Example:
        >>> from movinet_lite import Prediction
        >>> detector = EventDetector(enter=0.6, min_duration_s=0.5, labels=["yoga"])
        >>> for place, score in enumerate([0.1, 0.75, 0.75, 0.75, 0.1, 0.1, 0.1, 0.1]):
        ...     logits = np.log([score, 1 - score])
        ...     prediction = Prediction(logits, ("yoga", "rest"), time_s=place / 4)
        ...     for event in detector.update(prediction):
        ...         print(prediction.time_s, event)
        0.25 Event('yoga', from 0.25 s, began, mean 0.75, peak 0.75, 1 frame)
        0.75 Event('yoga', from 0.25 s, confirmed, mean 0.75, peak 0.75, 3 frames)
        1.75 Event('yoga', 0.25 s to 1.0 s, ended, mean 0.75, peak 0.75, 3 frames)

    References:
        [1] Two thresholds, a shortest duration, a longest pause and padding, as in silero-vad,
            https://github.com/snakers4/silero-vad.
    """

    def __init__(
        self,
        *,
        enter: float = 0.6,
        leave: float | None = None,
        min_duration_s: float = 0.5,
        max_gap_s: float = 0.5,
        smooth_s: float = 0.0,
        pad_s: float = 0.0,
        cooldown_s: float = 0.0,
        max_duration_s: float | None = None,
        delay_s: float = 0.0,
        labels: Iterable[str] | None = None,
        thresholds: Mapping[str, Thresholds] | None = None,
    ) -> None:
        self._start(
            DetectorSettings(
                enter=enter,
                leave=leave,
                min_duration_s=min_duration_s,
                max_gap_s=max_gap_s,
                smooth_s=smooth_s,
                pad_s=pad_s,
                cooldown_s=cooldown_s,
                max_duration_s=max_duration_s,
                delay_s=delay_s,
                labels=labels,
                thresholds=thresholds,
            )
        )

    def _start(self, settings: DetectorSettings) -> None:
        self._settings = settings
        self._labels: tuple[str, ...] | None = None
        self._states: Hysteresis | None = None

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> EventDetector:
        """Return a new detector with *settings*."""
        detector = cls.__new__(cls)
        detector._start(settings)  # noqa: SLF001 - our own
        return detector

    @classmethod
    def load(cls, path: str | Path) -> EventDetector:
        """Return a detector with the settings in a TOML file, as written by `save` and `tune_events`.

        Settings that the file leaves out have their defaults.

        Raises:
            DataError: If the file cannot be read, is not TOML, or has an unknown or invalid setting.
        """
        return cls.from_settings(load_settings(path))

    def save(self, path: str | Path) -> None:
        """Write the settings to a TOML file at *path*, replacing an existing file.

        Raises:
            DataError: If the file cannot be written.
        """
        save_settings(self._settings, path)

    @property
    def settings(self) -> DetectorSettings:
        """The settings, with *leave* as a number."""
        return self._settings

    @property
    def num_stored(self) -> int:
        """Number of values that the detector stores; bounded by the number of labels, not by the length of the stream."""
        return 0 if self._states is None else self._states.num_values()

    def fresh(self) -> EventDetector:
        """Return a new detector with the same settings, for another stream."""
        return self.from_settings(self._settings)

    def update(self, prediction: Prediction) -> tuple[Event, ...]:
        """Process the next prediction and return the events that changed with it.

        An event is returned when it begins, again when it is confirmed, and again when it ends or is dropped; its
        `state` says which. Most programs use confirmed events, to react at once, or ended ones, to keep a list.
        An event ends once its gap is longer than *max_gap_s*, so an offset is known that much later.

        A frame with the same time as the previous one counts, and has no duration. After an interruption, active events
        end with the last frame before it, and smoothing starts over. Two frames are interrupted if they are more than
        2 s, more than *max_gap_s*, and more than three times the previous interval apart.

        Args:
            prediction: The prediction of a frame, with its time.

        Returns:
            The changed events in the order of the labels; usually none.

        Raises:
            ArrayError: If the prediction has no time.
            LabelsError: If it has other labels than the first one, or a label of the settings is not among them; the
                message suggests similar ones. Also if the settings name the background as a label to find.
            SessionError: If its time is before that of the previous prediction. After any of these errors, the detector
                is unchanged.
        """
        time_s = prediction.time_s
        if time_s is None:
            raise ArrayError(
                "every prediction must have the time of its frame; got one without "
                "(step through the frames of read_frames, or call step(frame, time_s=...))"
            )
        if not math.isfinite(time_s):
            raise ArrayError(f"times must be numbers of seconds; got {time_s}")
        states = self._states_for(prediction)
        if states.last_s is not None and time_s < states.last_s:
            raise SessionError(
                f"times must be in ascending order; got {time_s:g} s after {states.last_s:g} s "
                "(another video? call finish() or reset() before it)"
            )
        return states.advance(prediction.scores, time_s)

    def finish(self) -> tuple[Event, ...]:
        """End the stream and return the events that end with it; the detector is then ready for another stream.

        Active events end with the last frame, which is taken to last as long as the frame before it. This is not an
        offset seen by the model, so neither *delay_s* nor *pad_s* moves it.

        Returns:
            The events that ended or were dropped, in the order of the labels.
        """
        changes = () if self._states is None else self._states.close()
        self.reset()
        return changes

    def reset(self) -> None:
        """Discard the stream without ending its events."""
        self._start(self._settings)

    def detect(
        self,
        scores: ArrayLike,
        times_s: ArrayLike,
        labels: Sequence[str],
        *,
        background: str | None = None,
    ) -> tuple[Event, ...]:
        """Return the events in the scores of a whole recording.

        The stream of the detector is not affected.

        Args:
            scores: ``(frames, classes)``, 0 to 1.
            times_s: ``(frames,)``, the display times in seconds, in ascending order.
            labels: The label of each class.
            background: The label for "none of these", which makes no event; `None` if there is none.

        Returns:
            The events that ended, ordered by onset, then by the time at which they ended.

        Raises:
            ArrayError: If *scores* or *times_s* is invalid.
            LabelsError: If there is not one label for each class, or a label of the settings is not among them.
        """
        rows = as_scores(scores)
        times = as_times(times_s, len(rows)).tolist()
        states = self._new_states(check_labels(labels, rows.shape[1]), background)
        changes: list[Event] = []
        for row, time_s in zip(rows, times, strict=True):
            changes += states.advance(row, time_s)
        return _ended([*changes, *states.close()])

    def _states_for(self, prediction: Prediction) -> Hysteresis:
        labels = prediction.labels
        if self._states is None:
            self._states = self._new_states(labels, prediction.background)
            self._labels = labels
        elif labels is not self._labels and labels != self._labels:
            raise LabelsError(
                "all predictions must have the same labels; got different ones "
                "(predictions of another model? call reset() before them)"
            )
        return self._states

    def _new_states(
        self, labels: tuple[str, ...], background: str | None
    ) -> Hysteresis:
        settings = self._settings
        label_indices(settings.thresholds, labels)
        if background is not None:
            check_not_background(settings, background)
        pairs = np.array([settings.thresholds_of(label) for label in labels])
        enter: NDArray[np.float32] = pairs[:, 0].astype(np.float32)
        if settings.labels is not None:
            ignored = np.ones(len(labels), bool)
            ignored[list(label_indices(settings.labels, labels))] = False
            enter[ignored] = np.inf
        if background is not None:
            enter[list(label_indices([background], labels))] = np.inf
        leave: NDArray[np.float32] = pairs[:, 1].astype(np.float32)
        return Hysteresis(labels, enter, leave, settings.timing)

    def __repr__(self) -> str:
        return f"EventDetector({self._settings!r})"


def find_events(
    predictions: Iterable[Prediction], detector: EventDetector | None = None
) -> tuple[Event, ...]:
    """Return the events in the predictions of a whole recording.

    They are exactly those that `EventDetector.update` and `finish` report as ended.

    Args:
        predictions: The predictions of all frames in order, with their times.
        detector: The detector to use; it is not changed. `None` for ``EventDetector()``.

    Returns:
        The events that ended, ordered by onset, then by the time at which they ended.

    Raises:
        ArrayError: If a prediction has no time.
        LabelsError: If the labels differ, or a label of the settings is not among them.
        SessionError: If the times are not in order.

    Example:
        >>> from movinet_lite import Prediction
        >>> labels = ("yoga", "rest")
        >>> predictions = [Prediction([2.0, 0.0], labels, time_s=place / 4) for place in range(8)]
        >>> find_events(predictions)
        (Event('yoga', 0.0 s to 2.0 s, ended, mean 0.88, peak 0.88, 8 frames),)
    """
    detector = EventDetector() if detector is None else detector.fresh()
    changes: list[Event] = []
    for prediction in predictions:
        changes += detector.update(prediction)
    return _ended([*changes, *detector.finish()])


def _ended(changes: Iterable[Event]) -> tuple[Event, ...]:
    ended = (event for event in changes if event.state == "ended")
    return tuple(sorted(ended, key=lambda event: event.start_s))
