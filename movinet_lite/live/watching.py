"""Watches any number of cameras with one model.

Each source decodes in its own thread. A loop takes the newest available frame of each camera, least recently processed
first, and steps their streams in one call, so a slow or dead camera does not delay the others.
"""

from __future__ import annotations

import itertools
import logging
import operator
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, Self, cast

import attrs

from movinet_lite.arrays import VideoFrame, check_fps, check_positive
from movinet_lite.classifiers import StreamingClassifier, step_many
from movinet_lite.errors import ArrayError, ModelError, SessionError
from movinet_lite.events import EventDetector
from movinet_lite.events.event import EventState
from movinet_lite.labels import label_indices
from movinet_lite.live.camera import Camera, CameraStatus, FrameSource
from movinet_lite.live.event_queue import EventQueue
from movinet_lite.live.model import MAX_STREAMS, load_for_cameras
from movinet_lite.live.pace import Load, Pace
from movinet_lite.live.recorder import ClipRecorder
from movinet_lite.live.source import LiveSource, open_source
from movinet_lite.live.watched_event import WatchedEvent
from movinet_lite.predictions import Prediction

__all__ = ["WatchStatus", "Watcher", "watch"]

_LOG = logging.getLogger("movinet_lite.live")

_IDLE_S: Final = 0.02
"""Polling interval for sources without a callback, in seconds."""

_LOOK_S: Final = 0.5
"""Maximum interval of checks for lost or ended cameras, in seconds."""

_LOOK_BUSY_S: Final = 0.1
"""Minimum interval of these checks while the loop is busy, in seconds."""

_JOIN_S: Final = 10.0
"""Maximum wait of `close` for a running call of the model, in seconds."""

_SPARE_S: Final = 2.0
"""Additional video that a source keeps, in seconds."""


@attrs.frozen(kw_only=True)
class WatchStatus:
    """The status of a watcher.

    Attributes:
        cameras: The cameras, in the order in which they were added.
        load: The load of the machine.
        num_lost_events: Number of events that were dropped because they were not consumed.
    """

    cameras: tuple[CameraStatus, ...]
    load: Load
    num_lost_events: int = 0

    @property
    def overloaded(self) -> bool:
        """Whether the frame rates are reduced, or decoding is late."""
        return self.load.overloaded


class Watcher:
    """Watches any number of cameras with one model, and yields their events.

    Cameras can be added and removed at any time, from any thread. Iterating yields the events; it ends when every
    source has ended, or after `close`. When the machine cannot keep up, the frame rates of all cameras are reduced by
    the same factor, which `status` reports.

    Args:
        model: The stream model: a classifier, or what `StreamingClassifier.load` takes; then it looks back three seconds
            (`movinet_lite.events.settings.HORIZON_S`).
        detector: What finds the events of cameras that bring none of their own; `None` for ``EventDetector()``. Each
            camera gets a fresh one with the same settings.
        fps: How many frames a second the model is given of each camera; `None` for its own rate.
        states: Which changes of events are given; see `Event`.
        max_gap_s: A camera's stream state is reset, and its events end, when it sent nothing for longer than this, in
            seconds.
        snapshots: Whether each event carries the frame of its highest score.
        recorder: What records a clip of each confirmed event; `None` for no clips. It stays yours to close.
        on_prediction: Called with the camera's name, the frame, and what the model says of it, in the thread of the loop:
            it must return quickly.
        num_cameras: How many cameras are going to be watched, for a model that is loaded here: up to eight are then
            stepped in one call. More may be added.

    Raises:
        ArrayError: If *fps*, *max_gap_s* or *num_cameras* is not above 0.
        LabelsError: If the detector's labels are not the model's.
        ModelError: If the model cannot be loaded, or its frame rate is unknown and no *fps* is given.

    Example:
        ::

            with Watcher("a0", detector=EventDetector(enter=0.6)) as watcher:
                watcher.add("rtsp://10.0.0.5/stream1", name="door")
                for event in watcher:
                    print(event.source, event.started_at, event.label, event.event.state)
    """

    def __init__(
        self,
        model: StreamingClassifier | str | Path,
        *,
        detector: EventDetector | None = None,
        fps: float | None = None,
        states: Iterable[EventState] = ("confirmed", "ended"),
        max_gap_s: float = 2.0,
        snapshots: bool = False,
        recorder: ClipRecorder | None = None,
        on_prediction: Callable[[str, VideoFrame, Prediction], None] | None = None,
        num_cameras: int = 1,
    ) -> None:
        self._max_gap_s = check_positive(max_gap_s, "max_gap_s")
        self._fps = None if fps is None else check_fps(fps)
        self._classifier = (
            model
            if isinstance(model, StreamingClassifier)
            else load_for_cameras(
                model, int(check_positive(num_cameras, "num_cameras"))
            )
        )
        self._detector = self._checked(detector or EventDetector())
        self._states = frozenset(states)
        self._snapshots = snapshots
        self._recorder = recorder
        self._on_prediction = on_prediction
        self._cameras: dict[str, Camera] = {}
        self._own: set[str] = set()  # cameras whose sources were opened here
        self._changing = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._polls = False
        self._looked_s = 0.0
        self._events = EventQueue()
        self._pace = Pace(time.monotonic())
        self._thread: threading.Thread | None = None

    @property
    def classifier(self) -> StreamingClassifier:
        """The model of all cameras."""
        return self._classifier

    def add(
        self,
        source: str | int | Path | FrameSource,
        *,
        name: str | None = None,
        detector: EventDetector | None = None,
        fps: float | None = None,
        transport: Literal["tcp", "udp"] = "tcp",
        timeout_s: float = 10.0,
    ) -> str:
        """Add a camera, and return its name.

        Args:
            source: A source as for `open_source`, or an open source. Sources opened here are also closed here.
            name: The name of the camera; `None` for the name of its source. A number is appended if it is taken, and
                characters that cannot be printed are replaced.
            detector: Its event detector; `None` for the watcher's settings.
            fps: Its frame rate for the model; `None` for the watcher's.
            transport: The transport of RTSP.
            timeout_s: Time without a frame after which the source reconnects, in seconds.

        Raises:
            ArrayError: If *fps* or *timeout_s* is not above 0.
            LabelsError: If the detector's labels are not the model's.
            LiveSourceError: If the source is invalid.
            SessionError: If the watcher is closed.
        """
        detector = self._checked(detector or self._detector)
        rate = self._rate(fps)
        opened = _is_open(source)
        if not opened:
            source = self._open(
                source,
                name=name,
                fps=rate,
                transport=transport,
                timeout_s=timeout_s,
                keep_s=self._kept_s(detector),
            )
        frames = cast("FrameSource", source)
        session = self._classifier.new_session()
        with self._changing:
            if self._closing:
                _close_all([] if opened else [frames])
                raise SessionError("the watcher must be open; it has been closed")
            camera = Camera(
                frames,
                session,
                detector.fresh(),
                name=_free_name(_printable(name or frames.name), self._cameras),
                fps=rate,
                max_gap_s=self._max_gap_s,
                snapshots=self._snapshots,
                recorder=self._recorder,
            )
            self._cameras[camera.name] = camera
            if not opened:
                self._own.add(camera.name)
                if isinstance(frames, LiveSource):
                    frames.name = camera.name  # which its clips are called by
            self._polls = self._polls or opened
            self._events.set_done(done=False)
            self._start()
        self._wake.set()
        return camera.name

    def remove(self, name: str) -> None:
        """Stop watching a camera. Its events end with its last frame.

        Raises:
            SessionError: If there is no camera with that name.
        """
        with self._changing:
            if name not in self._cameras:
                known = ", ".join(self._cameras) or "none"
                raise SessionError(
                    f"name must be the name of a camera; got {name!r} (there are: {known})"
                )
            camera = self._cameras.pop(name)
            self._put(camera.finish())
            camera.session.close()
            is_own = name in self._own
            self._own.discard(name)
        if is_own:
            camera.source.close()
        self._wake.set()

    def status(self) -> WatchStatus:
        """Return the status of the watcher and its cameras."""
        return WatchStatus(
            cameras=tuple(camera.status() for camera in list(self._cameras.values())),
            load=self._pace.load,
            num_lost_events=self._events.num_lost,
        )

    def snapshot(self, name: str) -> VideoFrame | None:
        """Return the last frame of a camera in full size; `None` if there is none.

        Raises:
            SessionError: If there is no camera with that name.
        """
        camera = self._cameras.get(name)
        if camera is None:
            raise SessionError(f"name must be the name of a camera; got {name!r}")
        return camera.source.snapshot()

    def take(self, timeout_s: float | None = None) -> WatchedEvent | None:
        """Return the next event, or `None` after the timeout or if `is_over`.

        Args:
            timeout_s: Maximum time to wait, in seconds; `None` for no limit.

        Raises:
            RuntimeError: The unexpected error that ended the loop, if any.
        """
        return self._events.take(timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether every source has ended, or the watcher was closed, and all events are taken."""
        return self._events.is_over

    def __iter__(self) -> Iterator[WatchedEvent]:
        """Yield the events until `is_over`."""
        while (event := self._events.take()) is not None:
            yield event

    def close(self) -> None:
        """Stop: active events end, and the sources opened here are closed. Closing twice has no effect."""
        with self._changing:
            if self._closing:
                return
            self._closing = True
            self._start()  # the loop ends the events, even if it never started
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)
        _close_all(
            [self._cameras[name].source for name in self._own if name in self._cameras]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _checked(self, detector: EventDetector) -> EventDetector:
        """Return *detector*, after checking its labels."""
        settings = detector.settings
        named = dict.fromkeys([*(settings.labels or ()), *settings.thresholds])
        label_indices(named, self._classifier.labels)
        return detector

    def _rate(self, fps: float | None) -> float:
        if fps is not None:
            return check_fps(fps)
        found = self._fps or self._classifier.fps
        if found is None:
            raise ModelError(
                "the frame rate of the model must be known; it is not (set fps=5)",
                self._classifier.info.source,
            )
        return found

    def _kept_s(self, detector: EventDetector) -> float:
        """Return the seconds of video that a source keeps, for clips that start before their event is confirmed."""
        if self._recorder is None:
            return 0.0
        settings = detector.settings
        late_s = settings.min_duration_s + settings.delay_s + settings.pad_s
        return self._recorder.pre_s + late_s + _SPARE_S

    def _open(self, source: Any, **options: Any) -> FrameSource:
        return open_source(
            source,
            frame_size=self._classifier.frame_size,
            fit=self._classifier.fit,
            short_side=self._classifier.short_side,
            on_frame=self._wake.set,
            **options,
        )

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="movinet-lite watcher", daemon=True
            )
            self._thread.start()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            while not self._closing:
                self._wake.clear()
                if not self._round():
                    self._wake.wait(_IDLE_S if self._polls else _LOOK_S)
        except BaseException as error:  # noqa: BLE001 - raised where the events are taken
            failure = error
        with self._changing:
            for camera in self._cameras.values():
                self._put(camera.finish())
        self._events.set_done(failure, done=True)

    def _round(self) -> int:
        """Step the newest frame of each camera that has one, and return their number."""
        with self._changing:
            waiting = sorted(
                self._cameras.values(), key=operator.attrgetter("served_s")
            )
        stepped = 0
        while waiting and not self._closing:
            with self._changing:
                waiting, count = self._step_some(waiting)
            stepped += count
        if not stepped or time.monotonic() - self._looked_s > _LOOK_BUSY_S:
            self._look_around()
        return stepped

    def _step_some(self, waiting: list[Camera]) -> tuple[list[Camera], int]:
        """Take frames from the first of *waiting* that have one, and step them.

        Returns:
            The cameras that were not reached, and the number of frames stepped.
        """
        begun_s = time.monotonic()
        taken: list[tuple[Camera, VideoFrame]] = []
        reached = 0
        for camera in waiting:
            reached += 1
            if self._cameras.get(camera.name) is not camera:
                continue  # removed
            frame = camera.take(self._pace.load.rate)
            if frame is not None:
                camera.served_s = begun_s
                taken.append((camera, frame))
            if len(taken) == MAX_STREAMS:
                break
        if taken:
            self._step(taken)
            self._pace.worked(time.monotonic() - begun_s, len(taken))
        return waiting[reached:], len(taken)

    def _step(self, taken: list[tuple[Camera, VideoFrame]]) -> None:
        for camera, frame in taken:
            self._put(camera.before_step(frame))
        try:
            predictions = step_many(
                [camera.session for camera, _ in taken], [frame for _, frame in taken]
            )
        except Exception as error:  # noqa: BLE001 - one of them is to blame; the others go on
            if len(taken) > 1:
                for one in taken:
                    self._step([one])
            else:
                _blame(taken[0][0], error)
            return
        for (camera, frame), prediction in zip(taken, predictions, strict=True):
            try:
                self._put(camera.after_step(frame, prediction))
            except Exception as error:  # noqa: BLE001 - as above
                _blame(camera, error)
                continue
            if self._on_prediction is not None:
                self._tell(camera.name, frame, prediction)

    def _tell(self, name: str, frame: VideoFrame, prediction: Prediction) -> None:
        assert self._on_prediction is not None  # noqa: S101 - the caller looked
        try:
            self._on_prediction(name, frame, prediction)
        except Exception:  # noqa: BLE001 - whatever a listener does, the cameras go on
            _LOG.exception("on_prediction failed")

    def _look_around(self) -> None:
        """End the events of lost or ended cameras, and set the frame rates."""
        now_s = self._looked_s = time.monotonic()
        with self._changing:
            cameras = list(self._cameras.values())
            over = [camera for camera in cameras if camera.is_over]
            for camera in cameras:
                if camera in over or camera.is_lost(now_s):
                    self._put(camera.finish())
        self._events.set_done(done=bool(cameras) and len(over) == len(cameras))
        live = [one for one in cameras if one.source.status.state == "live"]
        self._pace.update(
            now_s,
            frames_per_s=sum(camera.full_fps for camera in live),
            late_s=statistics.median([one.lag_s or 0.0 for one in live] or [0.0]),
        )

    def _put(self, events: Iterable[WatchedEvent]) -> None:
        self._events.put(event for event in events if event.event.state in self._states)


def watch(
    sources: Iterable[str | int | Path | FrameSource],
    model: StreamingClassifier | str | Path,
    *,
    detector: EventDetector | None = None,
    fps: float | None = None,
    **options: Any,
) -> Iterator[WatchedEvent]:
    """Yield the events of any number of cameras as they occur.

    It ends when every source has ended; leaving the loop closes them. To add and remove cameras, read their status, or
    set options for single cameras, use a `Watcher`.

    Args:
        sources: The cameras: each a source as for `open_source`, or an open source.
        model: The stream model: a classifier, or a model as for `StreamingClassifier.load`, with a horizon of three
            seconds (`movinet_lite.events.settings.HORIZON_S`).
        detector: The event detector; `None` for ``EventDetector()``.
        fps: Frame rate of each camera for the model; `None` for the model's own.
        options: The other arguments of `Watcher`.

    Yields:
        Events, when they are confirmed and when they have ended.

    Raises:
        ArrayError: If there is no source, or *fps* is not above 0.
        LabelsError: If the detector's labels are not the model's.
        LiveSourceError: If a source is invalid.
        ModelError: If the model cannot be loaded.

    Example:
        ::

            for event in watch(["rtsp://10.0.0.5/stream1", 0], "a0", detector=EventDetector(enter=0.6)):
                print(event.source, event.started_at, event.label, event.event.state)
    """
    given: list[str | int | Path | FrameSource] = (
        [sources] if isinstance(sources, (str, Path)) else list(sources)
    )
    if not given:
        raise ArrayError("there must be at least one source; got none")
    watcher = Watcher(
        model,
        detector=detector,
        fps=fps,
        **{"num_cameras": len(given), **options},
    )
    return _events_of(watcher, given)


def _events_of(
    watcher: Watcher, sources: list[str | int | Path | FrameSource]
) -> Iterator[WatchedEvent]:
    with watcher:
        for source in sources:
            watcher.add(source)
        yield from watcher


def _blame(camera: Camera, error: Exception) -> None:
    """Count a frame as unusable, or reset the stream if the model failed."""
    if isinstance(error, ArrayError):
        camera.unusable(error)
    else:
        camera.failed()


def _is_open(source: object) -> bool:
    return hasattr(source, "take") and hasattr(source, "ended")


def _printable(name: str) -> str:
    """Return *name* as one line that any terminal and any program can show, also if it is that of a file."""
    return "".join(
        one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in name
    )


def _free_name(name: str, taken: Iterable[str]) -> str:
    """Return *name*, with a number appended if it is taken."""
    if name not in taken:
        return name
    return next(
        found for i in itertools.count(2) if (found := f"{name} {i}") not in taken
    )


def _close_all(sources: Iterable[FrameSource]) -> None:
    """Close *sources* in parallel, since each may take two seconds."""
    threads = [threading.Thread(target=source.close) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
