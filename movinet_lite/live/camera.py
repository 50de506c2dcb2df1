"""A watched camera: its source, stream states, events and status."""

from __future__ import annotations

import collections
import logging
import uuid
from datetime import datetime
from typing import Final, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, VideoFrame
from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.errors import LiveSourceError, said_by
from movinet_lite.events import Event, EventDetector
from movinet_lite.live.recorder import ClipRecorder
from movinet_lite.live.source import LiveSource
from movinet_lite.live.status import SourceStatus
from movinet_lite.live.watched_event import WatchedEvent
from movinet_lite.predictions import Prediction

__all__ = ["Camera", "CameraStatus", "FrameSource"]

_LOG = logging.getLogger("movinet_lite.live")

_INTERVALS_OF_A_GAP: Final = 3
"""Minimum length of a gap in frame intervals, so that a slow camera has no gaps between its frames."""

_MEASURED_FRAMES: Final = 40
"""Number of frames over which the frame rate is measured."""


class FrameSource(Protocol):
    """The interface of a source for `Watcher`; `LiveSource` implements it."""

    @property
    def name(self) -> str:
        """The name, without credentials."""

    @property
    def started_at(self) -> datetime:
        """The zero of the times of its frames, in UTC."""

    @property
    def now_s(self) -> float:
        """The time now, on the clock of its frames, in seconds."""

    @property
    def status(self) -> SourceStatus:
        """The status."""

    @property
    def ended(self) -> bool:
        """Whether the source has ended and no frames are left."""

    def take(self, timeout_s: float | None = 0.0) -> VideoFrame | None:
        """Return the next frame, or `None` after the timeout."""

    def snapshot(self, frame_size: FrameSize | None = None) -> VideoFrame | None:
        """Return the last frame in full size."""

    def close(self) -> None:
        """Close the source."""


@attrs.frozen(kw_only=True)
class CameraStatus:
    """The status of a camera.

    Attributes:
        name: The name of the camera.
        source: The state of its source.
        fps: The frames per second that the model was given lately; 0 once the source has ended.
        full_fps: The frames per second that it is given where the machine keeps up.
        lag_s: How old the last frame was when the model had answered; `None` before the first.
        leading: The label with the highest score in the last answer, and the score; `None` before the first.
        going_on: The labels of the confirmed events that go on.
        num_frames: How many frames the model was given.
        num_unusable: How many frames could not be used.
        num_events: How many events were confirmed.
        last_event: The last one, as it stands; `None` before the first.
    """

    name: str
    source: SourceStatus
    fps: float
    full_fps: float
    lag_s: float | None
    leading: tuple[str, float] | None
    going_on: tuple[str, ...]
    num_frames: int
    num_unusable: int
    num_events: int
    last_event: WatchedEvent | None


@attrs.define
class _Open:
    """An active event: its id, its clip, and the frame with its highest score."""

    event_id: str
    event: Event
    clip_id: str | None = None
    score: float = -1.0
    snapshot: NDArray[np.uint8] | None = None


class Camera:
    """A watched camera. Its watcher uses it in one thread; `status` is thread-safe.

    Args:
        source: The source of the frames.
        session: The session of this camera, with the model of all cameras.
        detector: The event detector of this camera.
        name: The name of the camera.
        fps: The full frame rate, in frames per second.
        max_gap_s: Maximum distance of two frames before the stream is reset, in seconds.
        snapshots: Whether events have a snapshot.
        recorder: The recorder of clips of events; `None` for no clips.
    """

    def __init__(
        self,
        source: FrameSource,
        session: StreamingClassifier,
        detector: EventDetector,
        *,
        name: str,
        fps: float,
        max_gap_s: float,
        snapshots: bool = False,
        recorder: ClipRecorder | None = None,
    ) -> None:
        self.source = source
        self.session = session
        self.detector = detector
        self.name = name
        self.full_fps = fps
        self.served_s = 0.0  # time of the last frame, on its watcher's clock
        self.is_over = False  # whether the source has ended and all frames are taken
        self.prediction: Prediction | None = None
        self.lag_s: float | None = None
        self._max_gap_s = max_gap_s
        self._rate = 1.0
        self._snapshots = snapshots
        self._recorder = recorder
        self._open: dict[tuple[str, float], _Open] = {}
        self._last: VideoFrame | None = None
        self._credit = 1.0
        self._times: collections.deque[float] = collections.deque(
            maxlen=_MEASURED_FRAMES
        )
        self._num_frames = 0
        self._num_unusable = 0
        self._num_events = 0
        self._last_event: WatchedEvent | None = None

    def take(self, rate: float) -> VideoFrame | None:
        """Return the next frame for the model, or `None` if there is none yet.

        Args:
            rate: The share of the frames to use, above 0 and up to 1; the others are skipped evenly.
        """
        if rate != self._rate:
            self._rate = rate
            if isinstance(self.source, LiveSource):
                self.source.fps = self.full_fps * rate
        had_ended = self.source.ended
        frame = self.source.take(0.0)
        self.is_over = frame is None and had_ended
        if frame is None or isinstance(self.source, LiveSource):
            return frame
        self._credit += rate
        if self._credit < 1.0:
            return None
        self._credit = min(self._credit - 1.0, 1.0)
        return frame

    def before_step(self, frame: VideoFrame) -> list[WatchedEvent]:
        """Reset the stream if *frame* does not continue it, and return the events that end with it."""
        last = self._last
        if last is None:
            return []
        ended: list[WatchedEvent] = []
        apart_s = frame.time_s - last.time_s
        if not 0.0 <= apart_s <= self._gap_s:
            _LOG.info("%s: a gap of %.1f s; the stream is reset", self.name, apart_s)
            ended = self.finish()
            self.session.reset()
        elif frame.shape != last.shape:
            _LOG.info("%s: frames have another size; the stream is reset", self.name)
            self.session.reset()
        return ended

    def after_step(
        self, frame: VideoFrame, prediction: Prediction
    ) -> list[WatchedEvent]:
        """Process the prediction for *frame*, and return the events that changed."""
        self._last, self.prediction = frame, prediction
        self._num_frames += 1
        now_s = self.source.now_s
        self.lag_s = max(now_s - frame.time_s, 0.0)
        self._times.append(now_s)
        changes = self.detector.update(prediction)
        if self._snapshots:
            for event in changes:
                if event.state == "began":
                    self._open_event(event)
            self._picture_best(prediction)
        return [self._watch(event) for event in changes]

    def unusable(self, error: Exception) -> None:
        """Count a frame that cannot be used."""
        self._num_unusable += 1
        _LOG.warning("%s: a frame cannot be used: %s", self.name, said_by(error))

    def failed(self) -> None:
        """Reset the stream after an error of the model, which is being handled."""
        self._num_unusable += 1
        _LOG.exception("%s: the model failed; the stream is reset", self.name)
        self.session.reset()

    def is_lost(self, now_s: float) -> bool:
        """Return whether events are active although no frame was processed for the length of a gap."""
        return bool(self._open) and now_s - self.served_s > self._gap_s

    @property
    def _gap_s(self) -> float:
        """Minimum distance of two frames that counts as a gap, in seconds."""
        return max(self._max_gap_s, _INTERVALS_OF_A_GAP / (self.full_fps * self._rate))

    def finish(self) -> list[WatchedEvent]:
        """End the active events with the last frame, and return them."""
        found = [self._watch(event) for event in self.detector.finish()]
        self._last = None
        return found

    def status(self) -> CameraStatus:
        """Return the status."""
        prediction = self.prediction
        return CameraStatus(
            name=self.name,
            source=self.source.status,
            fps=self._fps(),
            full_fps=self.full_fps,
            lag_s=self.lag_s,
            leading=None if prediction is None else prediction.top_k(1)[0],
            going_on=tuple(
                one.event.label
                for one in list(self._open.values())
                if one.event.state == "confirmed"
            ),
            num_frames=self._num_frames,
            num_unusable=self._num_unusable,
            num_events=self._num_events,
            last_event=self._last_event,
        )

    def _fps(self) -> float:
        times = list(self._times)
        if len(times) < 2 or self.is_over:
            return 0.0
        # Without new frames the measured rate falls: the time since the last frame counts once it is unusually long.
        end_s = max(times[-1], self.source.now_s - 2.0 / self.full_fps)
        return (len(times) - 1) / max(end_s - times[0], 1e-3)

    def _watch(self, event: Event) -> WatchedEvent:
        """Update the stored state of *event*, and return it with its snapshot and clip."""
        one = self._open_event(event)
        one.event = event
        if event.state == "confirmed":
            self._num_events += 1
            one.clip_id = self._begin_clip(event)
        if event.state in ("ended", "dropped"):
            del self._open[event.label, event.start_s]
            if one.clip_id and self._recorder and event.end_s is not None:
                self._recorder.finish(one.clip_id, end_s=event.end_s)
        watched = WatchedEvent(
            id=one.event_id,
            source=self.name,
            event=event,
            opened_at=self.source.started_at,
            clip_id=one.clip_id,
            snapshot=one.snapshot,
        )
        if event.state in ("confirmed", "ended"):
            self._last_event = attrs.evolve(watched, snapshot=None)
        return watched

    def _open_event(self, event: Event) -> _Open:
        """Return the stored state of an active event, and create it if necessary."""
        key = (event.label, event.start_s)
        if key not in self._open:
            self._open[key] = _Open(uuid.uuid4().hex[:12], event)
        return self._open[key]

    def _begin_clip(self, event: Event) -> str | None:
        if self._recorder is None or not isinstance(self.source, LiveSource):
            return None
        try:
            return self._recorder.begin(
                self.source, start_s=event.start_s, label=event.label
            )
        except LiveSourceError as error:
            _LOG.warning("%s: no clip of an event: %s", self.name, said_by(error))
            return None

    def _picture_best(self, prediction: Prediction) -> None:
        """Store the frame for each event whose highest score it has."""
        picture: VideoFrame | None = None
        for one in self._open.values():
            place = prediction.labels.index(one.event.label)
            score = float(prediction.scores[place])
            if score > one.score:
                picture = picture or self._snapshot()
                if picture is not None:
                    one.score, one.snapshot = score, picture.pixels

    def _snapshot(self) -> VideoFrame | None:
        """Return the last frame in full size; an event without its picture is better than no event."""
        try:
            return self.source.snapshot()
        except Exception as error:  # noqa: BLE001 - whatever a source raises
            _LOG.warning("%s: no picture of an event: %s", self.name, said_by(error))
            return None
