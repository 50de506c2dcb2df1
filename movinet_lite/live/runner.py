"""Keeps a live source running: connects, monitors the connection, and reconnects.

Each source has two threads. The *reader* calls FFmpeg, which can block: it connects, reads and decodes, and lives as
long as its connection. The *keeper* never blocks: it detects missing frames, abandons a reader after its timeout,
pauses, and starts the next one. An abandoned reader ends by FFmpeg's timeouts some seconds later; until then it keeps
its connection, and its callbacks are ignored. `exiting` ends all readers with the program.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from movinet_lite.arrays import FrameSize, VideoFrame
from movinet_lite.errors import MoViNetError, said_by
from movinet_lite.live.addresses import Address
from movinet_lite.live.backoff import pause_s
from movinet_lite.live.connection import Connection, Lost
from movinet_lite.live.exiting import end_at_exit
from movinet_lite.live.frames import FrameQueue
from movinet_lite.live.packets import PacketRing
from movinet_lite.live.pictures import PictureConverter
from movinet_lite.live.sampling import FrameSampler
from movinet_lite.live.status import SourceState, SourceStatus
from movinet_lite.video.redaction import Credentials

if TYPE_CHECKING:
    from av import Packet
    from av import VideoFrame as Picture
    from av.video.stream import VideoStream

__all__ = ["Runner"]

_STALLED_S: Final = 2.0
"""Time without a frame after which a source counts as stalled, in seconds; for slow sources, three frame intervals."""

_GRACE_S: Final = 0.25
"""Time that the keeper waits for a reader beyond FFmpeg's timeout, in seconds."""

_KEEPER_S: Final = 0.5
"""Maximum wait for the end of the keeper, in seconds, for the case that a listener blocks it."""

_MOST_ABANDONED: Final = 2
"""Maximum number of abandoned readers that are still blocked before a new one is started."""

_LOOK_S: Final = 0.25
"""Interval at which the keeper checks blocked readers, in seconds."""


class Runner:
    """The threads of a source and their shared state, behind `LiveSource`.

    It has only a weak reference to the `LiveSource`, so that garbage collection of that closes it.

    Attributes:
        thread: The keeper.
    """

    def __init__(
        self,
        address: Address,
        *,
        name: str,
        sampler: FrameSampler,
        converter: PictureConverter,
        frames: FrameQueue,
        ring: PacketRing | None,
        reconnect: bool,
        timeout_s: float,
        on_change: Callable[[SourceStatus], None] | None,
        on_frame: Callable[[], None] | None,
        opened_s: float,
    ) -> None:
        self._address = address
        self._credentials = Credentials.of(address.url)
        self._name = name
        self._sampler = sampler
        self._converter = converter
        self._frames = frames
        self.ring = ring
        self._reconnects = reconnect
        self._timeout_s = timeout_s
        self._on_change = on_change
        self._on_frame = on_frame
        self._opened_s = opened_s
        self._lock = threading.RLock()
        # What wakes the keeper. A dead weak reference among it means that the source was dropped.
        self._wakes: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._owner: weakref.ref[object] | None = None
        self._closing = False
        self._untold: deque[SourceStatus] = deque()
        self._telling = threading.Lock()
        self._reader: _Reader | None = None
        self._abandoned: list[_Reader] = []
        self._state: SourceState = "connecting"
        self._since = datetime.now(UTC)
        self._num_frames = 0
        self._num_reconnects = 0
        self._lag_s: float | None = None
        self._fps: float | None = None
        self._frame_size: FrameSize | None = None
        self._last_error: str | None = None
        self._last_time_s = -1.0
        self._last_picture: tuple[Picture, float, int] | None = None
        self.thread = threading.Thread(
            target=self._keep, name=f"movinet-lite keeper {name}", daemon=True
        )

    def start(self, owner: object) -> None:
        """Start the threads; they end when *owner* is garbage, or the program ends."""
        # Here, not in a thread: a program that ends while a thread of it loads a library can crash.
        import av  # noqa: F401

        # A finaliser written in Python could be interrupted by Ctrl-C, which would be printed and lost. `put` is C code.
        self._owner = weakref.ref(owner, self._wakes.put)
        end_at_exit(self)
        self.thread.start()

    def now_s(self) -> float:
        """Return the time since the source was opened, in seconds."""
        return time.monotonic() - self._opened_s

    @property
    def status(self) -> SourceStatus:
        """See `LiveSource.status`."""
        with self._lock:
            return SourceStatus(
                name=self._name,
                state=self._state,
                frames=self._num_frames,
                dropped=self._frames.num_dropped,
                reconnects=self._num_reconnects,
                lag_s=self._lag_s,
                fps=self._fps,
                frame_size=self._frame_size,
                last_error=self._last_error,
                since=self._since,
            )

    @property
    def has_ended(self) -> bool:
        """Whether the source has ended."""
        return self._state == "closed" and self._frames.is_empty

    @property
    def last_picture(self) -> tuple[Picture, float, int] | None:
        """The newest sampled frame, its time and its index."""
        return self._last_picture

    def close(self, patience_s: float = 0.0) -> None:
        """End the threads.

        Args:
            patience_s: Maximum time to wait for the one that reads, in seconds. The other never waits for the network.
        """
        with self._lock:
            if self._closing:
                return
            self._closing = True
            reader = self._reader
            if reader is not None:
                reader.dismiss()
        self._wakes.put(None)
        self._frames.close(drop=True)
        _join(self.thread, _KEEPER_S)
        if reader is not None:
            _join(reader.thread, patience_s)
        self._finish()  # what the ring keeps stays: a clip in progress may need it

    # The keeper.

    def _keep(self) -> None:
        num_failed = 0
        lost_at_s = time.monotonic()
        while True:
            self._change("connecting")
            reader = self._start_reader()
            lost = self._watch(reader)
            if reader.num_frames:
                num_failed = 0
                lost_at_s = time.monotonic()
            num_failed += 1
            if not lost.is_end:
                self._note_error(lost.reason)
            if lost.is_final or not self._reconnects:
                break
            self._change("waiting")
            outage_s = time.monotonic() - lost_at_s
            if not self._pause(
                pause_s(num_failed, outage_s, is_refused=lost.is_refused)
            ):
                break
        self._finish()  # first, so that the source has ended when the last frame is taken
        self._frames.close(drop=False)

    def _start_reader(self) -> _Reader:
        with self._lock:
            reader = self._reader = _Reader(self, self._address, self._timeout_s)
            if self._closing:
                reader.dismiss()
        reader.thread.start()
        return reader

    def _watch(self, reader: _Reader) -> Lost:
        """Return when the reader has ended or is abandoned."""
        while True:
            with self._lock:
                if self._closing:
                    reader.dismiss()
                    return Lost("it was closed", is_final=True, is_end=True)
                if reader.lost is not None:
                    return reader.lost
                silent_s = reader.silent_s
                if silent_s > self._timeout_s + _GRACE_S:
                    reader.dismiss()
                    self._abandoned.append(reader)
                    return Lost(f"no frame arrived for {self._timeout_s:g} s")
                is_live = self._state == "live"
                limit_s = (
                    self._stalled_after_s() if is_live else self._timeout_s + _GRACE_S
                )
            if is_live and silent_s > limit_s:
                self._change("stalled")
            else:
                self._wait(max(limit_s - silent_s, 0.0) + 0.01)

    def _wait(self, seconds: float) -> None:
        """Let the keeper wait to be woken, and close the source if it was dropped."""
        with contextlib.suppress(queue.Empty):
            self._wakes.get(timeout=seconds)
        if self._owner is not None and self._owner() is None:
            self.close()

    def _stalled_after_s(self) -> float:
        slow_s = 3 / self._fps if self._fps else 0.0
        return min(max(_STALLED_S, slow_s), self._timeout_s / 2)

    def _pause(self, seconds: float) -> bool:
        """Pause until few enough readers are blocked; return whether to continue."""
        until_s = time.monotonic() + seconds
        while not self._closing:
            left_s = until_s - time.monotonic()
            self._abandoned = [one for one in self._abandoned if one.thread.is_alive()]
            is_blocked = len(self._abandoned) >= _MOST_ABANDONED
            if left_s <= 0 and not is_blocked:
                return True
            self._wait(_LOOK_S if left_s <= 0 else left_s)
        return False

    def _finish(self) -> None:
        with self._lock:
            self._last_picture = None
        self._change("closed")

    # Callbacks, called by one thread at a time, in order, without holding a lock of the source.

    def _change(self, state: SourceState) -> None:
        self._note_state(state)
        self._tell_changes()

    def _note_state(self, state: SourceState) -> None:
        with self._lock:
            if self._state in {state, "closed"}:
                return
            self._state = state
            self._since = datetime.now(UTC)
            self._untold.append(self.status)

    def _tell_changes(self) -> None:
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    status = self._untold.popleft()
                    if self._on_change is not None:
                        self._tell(self._on_change, status)
                    if self._on_frame is not None:
                        self._tell(self._on_frame)
            finally:
                self._telling.release()

    def _tell(self, listener: Callable[..., None], *arguments: object) -> None:
        try:
            listener(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's function raises
            self._note_error(f"a listener failed: {said_by(error)}")

    def _note_error(self, message: str) -> None:
        with self._lock:
            self._last_error = self._credentials.hide_in(message)

    # The callbacks of readers; see `connection.Listener`.

    def ended(self, reader: _Reader, lost: Lost) -> None:
        """Handle the end of the connection of *reader*."""
        reader.lost = lost
        self._wakes.put(None)

    def opened(self, reader: _Reader, stream: VideoStream) -> None:
        """See `Listener.opened`."""
        if self.ring is not None and reader.is_wanted():
            self.ring.begin(stream)

    def came(self, reader: _Reader, packet: Packet[VideoStream], time_s: float) -> None:
        """See `Listener.came`."""
        with self._lock:
            if self.ring is not None and reader.is_wanted():
                self.ring.add(packet, time_s)

    def may_take(self, time_s: float, interval_s: float, *, in_order: bool) -> bool:
        """See `Listener.may_take`."""
        return self._sampler.may_take(time_s, interval_s, in_order=in_order)

    def decoded(
        self, reader: _Reader, picture: Picture, time_s: float, interval_s: float
    ) -> None:
        """See `Listener.decoded`."""
        with self._lock:
            is_taken = self._takes(reader, picture, time_s, interval_s)
            index = self._num_frames
            if is_taken:
                self._num_frames += 1
                # Never in the future, and never before an earlier frame.
                time_s = max(min(time_s, self.now_s()), self._last_time_s + 1e-6)
                self._last_time_s = time_s
                self._last_picture = (picture, time_s, index)
        self._tell_changes()
        if is_taken:
            self._give(reader, picture, time_s, index)

    def _takes(
        self, reader: _Reader, picture: Picture, time_s: float, interval_s: float
    ) -> bool:
        """Record a frame, and return whether to sample it."""
        if not reader.is_wanted():
            return False
        reader.heard()
        self._fps = 1 / interval_s
        self._frame_size = (picture.height, picture.width)
        if not reader.num_frames and self._num_frames:
            self._num_reconnects += 1
        reader.num_frames += 1
        if self._state != "live":
            self._note_state("live")
            self._wakes.put(None)  # the keeper waits for something else now
        return self._sampler.takes(time_s, interval_s)

    def _give(
        self, reader: _Reader, picture: Picture, time_s: float, index: int
    ) -> None:
        try:
            pixels = self._converter.pixels(picture)
        except MoViNetError as error:
            self._note_error(str(error))
            return
        self._lag_s = max(self.now_s() - time_s, 0.0)
        frame = VideoFrame(pixels=pixels, time_s=time_s, index=index)
        reader.is_waiting = True
        was_put = self._frames.put(frame, reader.is_wanted)
        reader.heard()
        if was_put and self._on_frame is not None:
            self._tell(self._on_frame)


def _join(thread: threading.Thread, patience_s: float) -> None:
    if thread is not threading.current_thread() and thread.ident is not None:
        thread.join(patience_s)


class _Reader:
    """The thread of one connection, and the callbacks of its `Connection`.

    Attributes:
        is_waiting: Whether it is waiting for the time of a frame or for room, not for the network.
        heard_at_s: Time of its last frame, or of its start.
        lost: Why its connection ended; `None` while it is open.
        num_frames: Number of decoded frames.
    """

    def __init__(self, runner: Runner, address: Address, timeout_s: float) -> None:
        self._runner = runner
        self._connection = Connection(address, self, timeout_s=timeout_s)
        self._dismissed = threading.Event()
        self.thread = threading.Thread(
            target=self._run, name=f"movinet-lite reader {address.name}", daemon=True
        )
        self.is_waiting = False
        self.heard_at_s = time.monotonic()
        self.lost: Lost | None = None
        self.num_frames = 0
        end_at_exit(self)

    def close(self) -> None:
        """Close its source without waiting for it."""
        self._runner.close()

    def dismiss(self) -> None:
        """Ignore its callbacks from now on, and let it end as soon as possible."""
        self._dismissed.set()

    @property
    def silent_s(self) -> float:
        """Time since its last frame, in seconds, excluding waits for anything but the network."""
        return 0.0 if self.is_waiting else time.monotonic() - self.heard_at_s

    def heard(self) -> None:
        """Record that it returned a frame, or continues after a wait."""
        self.is_waiting = False
        self.heard_at_s = time.monotonic()

    def _run(self) -> None:
        lost = Lost("it was closed")
        try:
            lost = self._connection.run()
        except Exception as error:  # noqa: BLE001 - a thread must not die without a word
            lost = Lost(f"an error of the library: {said_by(error)}")
        finally:
            self._runner.ended(self, lost)

    def is_wanted(self) -> bool:
        return not self._dismissed.is_set()

    def now_s(self) -> float:
        return self._runner.now_s()

    def opened(self, stream: VideoStream) -> None:
        self._runner.opened(self, stream)

    def came(self, packet: Packet[VideoStream], time_s: float) -> None:
        self._runner.came(self, packet, time_s)

    def may_take(self, time_s: float, interval_s: float, *, in_order: bool) -> bool:
        return self._runner.may_take(time_s, interval_s, in_order=in_order)

    def skipped(self) -> None:
        self.heard()

    def decoded(self, picture: Picture, time_s: float, interval_s: float) -> None:
        self._runner.decoded(self, picture, time_s, interval_s)

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            self.is_waiting = True
            self._dismissed.wait(seconds)
            self.heard()
