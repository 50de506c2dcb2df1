"""Live sources: cameras, network streams, standard input, and files played in real time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self, get_args

from movinet_lite.arrays import FrameSize, VideoFrame, as_number, check_positive
from movinet_lite.errors import ArrayError, LiveSourceError
from movinet_lite.live.addresses import Address, Transport
from movinet_lite.live.clips import Clip, write_clip
from movinet_lite.live.frames import FrameQueue, Policy
from movinet_lite.live.packets import KeptPacket, PacketRing
from movinet_lite.live.pictures import PictureConverter
from movinet_lite.live.runner import Runner
from movinet_lite.live.sampling import FrameSampler
from movinet_lite.live.status import SourceStatus
from movinet_lite.video.scaling import Fit

__all__ = ["LiveSource", "open_source"]

_PATIENCE_S: Final = 1.0
"""Maximum wait of `close` for the thread that reads, in seconds."""


def open_source(
    source: str | int | Path,
    *,
    fps: float | None,
    frame_size: FrameSize | None = None,
    fit: Fit = "stretch",
    short_side: int | None = None,
    name: str | None = None,
    policy: Policy | None = None,
    reconnect: bool = True,
    timeout_s: float = 10.0,
    transport: Transport = "tcp",
    keep_s: float = 0.0,
    on_change: Callable[[SourceStatus], None] | None = None,
    on_frame: Callable[[], None] | None = None,
) -> LiveSource:
    """Open a camera or a stream, and return its frames as they arrive.

    The source connects, decodes and reconnects in two threads of its own, so this returns at once. A camera that is off
    is not an error but a state; see `LiveSource.status`.

    Args:
        source: One of

            - a URL that FFmpeg reads: ``rtsp://``, ``rtmp://``, ``http://`` or ``https://`` (MJPEG, HLS, MPEG-TS),
              ``tcp://``, ``udp://``, and ``srt://`` if PyAV's FFmpeg was built with it. Credentials in it
              (``rtsp://user:password@host/``) are used and never shown.
            - a camera of this computer: a number, from 0, ``"/dev/video0"``, or ``"camera:NAME"`` with its system name.
            - ``"-"``, standard input, or the path of a named pipe.
            - the path of a file, which is played once in real time.
        fps: Frame rate to sample at, by capture time; `None` returns every frame. Use the frame rate of the model. A
            slower source returns each of its frames once.
        frame_size: ``(height, width)`` in pixels to resize the frames to, which is fastest here; `None` keeps their
            size. Use the frame size of the model.
        fit: How frames of another aspect ratio are resized; see `prepare_frame`.
        short_side: For ``fit="evaluation"``; see `prepare_frame`.
        name: What to call the source; `None` makes a name of *source*, without credentials.
        policy: What a slow consumer gets: ``"newest"``, the newest frame, or ``"all"``, every frame, while the source
            waits. `None` is ``"all"`` for files, else ``"newest"``.
        reconnect: Whether to reconnect when the source is lost, stalled or ends; a file always ends.
        timeout_s: How long to wait for the network or for a frame before the connection counts as lost, in seconds.
        transport: How RTSP is transported: ``"tcp"`` loses no packets, ``"udp"`` has a little less latency.
        keep_s: How many seconds of encoded video to keep in memory, for `LiveSource.save_clip` and `ClipRecorder`.
        on_change: Called with the new status when the state changes.
        on_frame: Called when a frame is ready, the state changed, or the source ended. Both callbacks run in a thread
            of the source, must return quickly, and must not close it.

    Returns:
        The source: an iterator of `VideoFrame` and a context manager.

    Raises:
        VideoNotFoundError: If it is a file that does not exist.
        LiveSourceError: If *source* cannot be opened, or *policy* or *transport* is unknown.
        ArrayError: If *fps*, *frame_size*, *fit*, *short_side*, *timeout_s* or *keep_s* is invalid.

    Example:
        >>> with open_source("rtsp://10.0.0.5/stream", fps=5.0) as source:  # doctest: +SKIP
        ...     for frame in source:
        ...         print(frame.time_s, frame.pixels.shape)
    """
    return LiveSource(
        source,
        fps=fps,
        frame_size=frame_size,
        fit=fit,
        short_side=short_side,
        name=name,
        policy=policy,
        reconnect=reconnect,
        timeout_s=timeout_s,
        transport=transport,
        keep_s=keep_s,
        on_change=on_change,
        on_frame=on_frame,
    )


class LiveSource:
    """The frames of a live source, created by `open_source`: an iterator and a context manager.

    Its threads start on creation, and end on `close`, at the end of a ``with`` block, and on garbage collection. Take
    frames from one thread; any thread may read the status or close the source.

    Attributes:
        name: Its name, without credentials.
        started_at: The time at which it was opened (UTC). The times of its frames count from here, on a monotonic clock
            that continues while it is lost.
    """

    def __init__(
        self,
        source: str | int | Path,
        *,
        fps: float | None,
        frame_size: FrameSize | None,
        fit: Fit,
        short_side: int | None,
        name: str | None,
        policy: Policy | None,
        reconnect: bool,
        timeout_s: float,
        transport: Transport,
        keep_s: float,
        on_change: Callable[[SourceStatus], None] | None,
        on_frame: Callable[[], None] | None,
    ) -> None:
        check_positive(timeout_s, "timeout_s")
        if not 0 <= as_number(keep_s) < float("inf"):
            raise ArrayError(f"keep_s must be a number of at least 0; got {keep_s!r}")
        _check_choice(transport, "transport", get_args(Transport))
        address = Address.of(source, transport=transport, timeout_s=timeout_s)
        if policy is None:
            policy = "all" if address.kind == "file" else "newest"
        _check_choice(policy, "policy", get_args(Policy))
        self._sampler = sampler = FrameSampler(fps)
        converter = PictureConverter(frame_size, fit, short_side=short_side)
        self.name = address.name if name is None else name
        self._fps = fps
        opened_s = time.monotonic()
        self.started_at = datetime.now(UTC)
        self._queue = FrameQueue(policy, fps, lambda: time.monotonic() - opened_s)
        self._runner = Runner(
            address,
            name=self.name,
            sampler=sampler,
            converter=converter,
            frames=self._queue,
            ring=PacketRing(keep_s) if keep_s > 0 else None,
            reconnect=reconnect,
            timeout_s=float(timeout_s),
            on_change=on_change,
            on_frame=on_frame,
            opened_s=opened_s,
        )
        self._runner.start(self)

    def __repr__(self) -> str:
        return f"LiveSource({self.name!r}, {self.status.state})"

    @property
    def fps(self) -> float | None:
        """The sampling rate in frames per second; `None` for all frames. It can be set at any time."""
        return self._fps

    @fps.setter
    def fps(self, fps: float | None) -> None:
        self._sampler.set_fps(fps)
        self._fps = fps

    @property
    def status(self) -> SourceStatus:
        """The current status."""
        return self._runner.status

    @property
    def ended(self) -> bool:
        """Whether no more frames will come: the source was closed, or was lost or ended and does not reconnect."""
        return self._runner.has_ended

    @property
    def now_s(self) -> float:
        """Time since it was opened, in seconds: the clock of the frames' *time_s*."""
        return self._runner.now_s()

    @property
    def keep_s(self) -> float:
        """Seconds of encoded video that are kept; 0 if none."""
        return 0.0 if self._runner.ring is None else self._runner.ring.keep_s

    def take(self, timeout_s: float | None = 0.0) -> VideoFrame | None:
        """Return the next frame.

        Args:
            timeout_s: Maximum time to wait, in seconds; `None` waits until there is a frame or the source has ended.

        Returns:
            The frame: pixels ``(height, width, 3)``, uint8, 0 to 255, RGB; *time_s* in seconds since *started_at*,
            strictly increasing; *index* counts the sampled frames, so that a gap shows dropped frames. `None` after the
            timeout, or if the source has `ended`.
        """
        return self._queue.take(timeout_s)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> VideoFrame:
        """Return the next frame, waiting without limit.

        Raises:
            StopIteration: When the source has ended.
        """
        frame = self.take(None)
        if frame is None:
            raise StopIteration
        return frame

    def snapshot(self, frame_size: FrameSize | None = None) -> VideoFrame | None:
        """Return the newest sampled frame, whether it was taken or not, in any size.

        Args:
            frame_size: ``(height, width)`` in pixels to stretch it to; `None` keeps the source's size.

        Returns:
            The frame; `None` if there is none, or the source is closed.

        Raises:
            ArrayError: If *frame_size* is invalid.
        """
        found = self._runner.last_picture
        if found is None:
            return None
        picture, time_s, index = found
        converter = PictureConverter(frame_size)
        return VideoFrame(converter.pixels(picture), time_s=time_s, index=index)

    def save_clip(self, path: str | Path, *, start_s: float, end_s: float) -> Clip:
        """Write a span of time that is kept in memory to an mp4 file, without re-encoding.

        The file starts at the last keyframe before *start_s*, or at the oldest stored one, and ends at *end_s*, or
        where the connection was lost. It has no audio. It appears under its name once it is complete.

        Args:
            path: The output path; the extension must be ``.mp4``.
            start_s: Start time, in seconds since *started_at*.
            end_s: End time, likewise.

        Returns:
            The clip.

        Raises:
            LiveSourceError: If no video of that time is stored, mp4 does not support the codec, or the file cannot be
                written.
        """
        if self._runner.ring is None:
            raise LiveSourceError(
                "clips require packets in memory; open the source with keep_s=10.0",
                self.name,
            )
        return write_clip(
            Path(path),
            self._runner.ring.since(0),
            source=self.name,
            start_s=start_s,
            end_s=end_s,
            started_at=self.started_at,
        )

    def packets_since(self, number: int) -> list[KeptPacket]:
        """Return the encoded packets in memory from *number* on; see `KeptPacket`."""
        ring = self._runner.ring
        return [] if ring is None else ring.since(number)

    def close(self) -> None:
        """Close the source, within two seconds; closing twice has no effect.

        A thread that is waiting for the network inside FFmpeg cannot be stopped. It ends by its timeout, at most
        *timeout_s* later for each step of a connection; until then it keeps the connection, and its results are
        ignored. The end of the program ends it at once.
        """
        self._runner.close(_PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _check_choice(value: object, noun: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise LiveSourceError(
            f"{noun} must be one of {', '.join(choices)}; got {value!r}"
        )
