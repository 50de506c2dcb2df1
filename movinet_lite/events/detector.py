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
    """Turns predictions, one after the other, into events.

    Each label is judged by itself, so several events may go on at once. The rules apply in this order:

    1. A label is on from the first frame whose score is at or above *enter* until the first frame below *leave*.
    2. A pause of at most *max_gap_s* is bridged.
    3. An event that has lasted *min_duration_s* is confirmed; one that ends sooner is dropped.
    4. An event that has lasted *max_duration_s* ends, and another begins if the label is still on.
    5. After a confirmed event, its label cannot come on for *cooldown_s*.
    6. Onset and offset are moved back by *delay_s*, and then apart by *pad_s* each.

    The class that a model has for "nothing of these" (`Prediction.background`) makes no event.

    A detector holds the state of one stream; `fresh` gives one for another stream. Its settings never change. What it
    stores does not grow, however long the stream.

    Args:
        enter: The score at which a label comes on, above 0 and up to 1.
        leave: The score below which it goes off, above 0 and at most *enter*; `None` for *enter* - 0.15, but at least
            0.01.
        min_duration_s: How long an event must last, in seconds.
        max_gap_s: The longest pause within an event, in seconds; twice *pad_s* where that is longer.
        smooth_s: The time constant of an exponential mean of the scores, in seconds; 0 for none. It looks back only,
            and weighs by time, not by frames.
        pad_s: How much earlier an event starts and how much later it ends, in seconds.
        cooldown_s: How long after the offset of an event its label is ignored, in seconds.
        max_duration_s: After how many seconds an event is ended; `None` for never.
        delay_s: How late the model notices onsets and offsets, in seconds.
        labels: The only labels that make events; `None` for all.
        thresholds: *enter* and *leave* of labels that have their own.

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
        """Return a detector with *settings*, which has seen nothing."""
        detector = cls.__new__(cls)
        detector._start(settings)  # noqa: SLF001 - our own
        return detector

    @classmethod
    def load(cls, path: str | Path) -> EventDetector:
        """Return a detector with the settings in a TOML file, as `save` and `tune_events` write it.

        A setting that the file leaves out has its default.

        Raises:
            DataError: If the file cannot be read, is not TOML, or holds an unknown or impossible setting.
        """
        return cls.from_settings(load_settings(path))

    def save(self, path: str | Path) -> None:
        """Write the settings to a TOML file at *path*; one that exists is replaced.

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
        """How many numbers the detector stores; the number of labels bounds it, not the length of the stream."""
        return 0 if self._states is None else self._states.num_values()

    def fresh(self) -> EventDetector:
        """Return a detector with the same settings that has seen nothing: for another stream."""
        return self.from_settings(self._settings)

    def update(self, prediction: Prediction) -> tuple[Event, ...]:
        """Take the next prediction and return the events that its frame changed.

        An event is returned when it begins, again when it is confirmed, and again when it ends or is dropped; its
        `state` says which. Most programs need those that are confirmed, to act at once, or those that ended, to keep.
        An event has ended once its pause is longer than *max_gap_s*, so an offset is known so much later.

        A frame of the same time as the one before counts, and takes no time. Where the stream was lost, what went on
        ends at the last frame before, and smoothing starts over. It was lost between two frames more than 2 s,
        *max_gap_s* and three times the interval before apart.

        Args:
            prediction: What a model says of one frame, with the time of the frame.

        Returns:
            The events in the order of the labels, mostly none.

        Raises:
            ArrayError: If the prediction has no time.
            LabelsError: If it has other labels than the first one, or a label of the settings is not among them; the
                message offers the nearest ones. Also if the settings name the background as a label to find.
            SessionError: If its time lies before that of the prediction before. After any of these, the detector is as
                it was.
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
                f"times must not run backwards; got {time_s:g} s after {states.last_s:g} s "
                "(another video? call finish() or reset() before it)"
            )
        return states.advance(prediction.scores, time_s)

    def finish(self) -> tuple[Event, ...]:
        """End the stream: return the events that end with it, and forget it, so that another may begin.

        What is still on ends with the last frame, which holds as long as the frame before it did. That is no offset
        that the model noticed, so neither *delay_s* nor *pad_s* moves it.

        Returns:
            The events that ended or were dropped, in the order of the labels.
        """
        changes = () if self._states is None else self._states.close()
        self.reset()
        return changes

    def reset(self) -> None:
        """Forget the stream without ending its events."""
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

        The stream of the detector stays as it is.

        Args:
            scores: ``(frames, classes)``, 0 to 1.
            times_s: ``(frames,)``, when each frame is shown, in seconds, in order.
            labels: The name of each class.
            background: The label for "nothing of these", which makes no event; `None` if there is none.

        Returns:
            The events that ended, in the order of their onsets; of equal onsets, the one that ended first.

        Raises:
            ArrayError: If *scores* or *times_s* is something else.
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
                "predictions must have the labels that the first one had; got different ones "
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

    They are exactly those that `EventDetector.update` and `finish` report as ended, one prediction after the other.

    Args:
        predictions: What a model says of each frame, in the order of time, with the times of the frames.
        detector: What to find them with; it stays as it is. `None` for ``EventDetector()``.

    Returns:
        The events that ended, in the order of their onsets; of equal onsets, the one that ended first.

    Raises:
        ArrayError: If a prediction has no time.
        LabelsError: If the labels differ, or a label of the settings is not among them.
        SessionError: If the times run backwards.

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
