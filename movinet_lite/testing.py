"""Fake models and fake live sources, for applications' tests.

The models compute sums of colours: they are tiny, deterministic, and exact enough to predict the output of a session.
Pass one to a classifier in place of a real model; everything else is the library's own code. The source returns the
frames that a test passes to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Frame, FrameSize, States, VideoFrame, as_frame
from movinet_lite.engines.base import ModelInfo
from movinet_lite.errors import LiveSourceError
from movinet_lite.labels import check_labels
from movinet_lite.live import Clip, SourceState, SourceStatus
from movinet_lite.network.variants import Mode
from movinet_lite.video import prepare_frame, to_uint8

__all__ = ["LABELS", "FakeClipModel", "FakeLiveSource", "FakeStreamModel"]

LABELS: Final = (
    "red rising",
    "green rising",
    "blue rising",
    "red",
    "green",
    "blue",
)
"""The labels of the fake models, in the order of their logits."""

_LAST: Final = "state/b0/l0/stream_buffer"
_SUM: Final = "state/head/pool_buffer"
_COUNT: Final = "state/head/pool_frame_count"


class _FakeModel:
    """A model of six classes with configurable facts."""

    _mode: ClassVar[Mode]

    def __init__(
        self,
        *,
        labels: Sequence[str] | None = LABELS,
        frame_size: FrameSize = (8, 6),
        fps: float | None = 5.0,
    ) -> None:
        self.info = ModelInfo(
            source="fake",
            mode=self._mode,
            engine="fake",
            num_classes=len(LABELS),
            frame_size=frame_size,
            fps=fps,
            labels=None if labels is None else check_labels(labels, len(LABELS)),
        )
        self.calls = 0


class FakeStreamModel(_FakeModel):
    """A stream model whose logits depend on every frame so far and on their order.

    The first three logits are the mean red, green and blue (0 to 1) of the last frame minus those of the frame before;
    the other three the means over all frames so far. Its states have published names.

    Args:
        labels: Six labels; `None` for a model without labels.
        frame_size: The ``(height, width)`` that it reports as its training frame size.
        fps: The frame rate that it reports as its training frame rate.

    Attributes:
        info: The facts of the model.
        calls: Number of calls of `step` or `predict`.

    Example:
        >>> import numpy as np
        >>> from movinet_lite import StreamingClassifier
        >>> session = StreamingClassifier(FakeStreamModel())
        >>> green = np.full((8, 6, 3), (0, 255, 0), np.uint8)
        >>> session.step(green).logits.tolist()
        [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
        >>> session.step(green).label
        'green'
    """

    _mode = "stream"

    def init_states(self, frame_size: FrameSize) -> dict[str, NDArray[Any]]:
        """Return the states of a stream without frames; see `StreamModel.init_states`."""
        height, width = frame_size
        return {
            _LAST: np.zeros((1, 1, height, width, 3), np.float32),
            _SUM: np.zeros((1, 1, 1, 1, 3), np.float32),
            _COUNT: np.zeros((1,), np.int32),
        }

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`."""
        self.calls += 1
        colours = frames.mean(axis=(1, 2))
        before = states[_LAST].mean(axis=(1, 2, 3))
        rising = np.diff(colours, axis=0, prepend=before)
        # One addition per frame, in order, so that one call with many frames is bit-identical to many calls.
        sums = np.cumsum(np.concatenate([states[_SUM].reshape(1, 3), colours]), axis=0)[
            1:
        ]
        counts = states[_COUNT] + np.arange(1, len(frames) + 1, dtype=np.int32)
        logits = np.concatenate([rising, sums / counts[:, np.newaxis]], axis=1)
        return logits.astype(np.float32), {
            _LAST: frames[-1:][np.newaxis].copy(),
            _SUM: sums[-1].reshape(1, 1, 1, 1, 3).astype(np.float32),
            _COUNT: counts[-1:],
        }


class FakeClipModel(_FakeModel):
    """A base model whose logits depend on every frame of the clip and on their order.

    The first three logits are the sums of the mean red, green and blue (0 to 1) of the frames, each multiplied by the
    frame number, from 1; the other three are their means over the clip. The arguments and attributes are those of
    `FakeStreamModel`.

    Example:
        >>> import numpy as np
        >>> from movinet_lite import BaseClassifier
        >>> clip = np.full((2, 8, 6, 3), (0, 0, 255), np.uint8)
        >>> BaseClassifier(FakeClipModel()).predict(clip).logits.tolist()
        [0.0, 0.0, 3.0, 0.0, 0.0, 1.0]
    """

    _mode = "base"

    def predict(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of each clip; see `ClipModel.predict`."""
        self.calls += 1
        colours = clips.mean(axis=(2, 3))  # (clips, frames, 3)
        numbers = np.arange(1, colours.shape[1] + 1, dtype=np.float32)
        logits = np.concatenate(
            [(colours * numbers[:, np.newaxis]).sum(axis=1), colours.mean(axis=1)],
            axis=1,
        )
        return logits.astype(np.float32, copy=False)


class FakeLiveSource:
    """A live source without a camera, which returns the frames that it was given.

    It has the interface of `LiveSource`. It has no threads, its clock is that of its frames, and no call blocks.

    Args:
        frames: The frames to return: ``(height, width, 3)`` each, uint8 in 0 to 255 or floating point in 0 to 1, RGB.
        fps: Frame rate; frames are ``1 / fps`` seconds apart.
        name: The name of the source.
        ends: Whether it ends after the last frame; otherwise more frames can be pushed.
        on_change: Called with the new status when the state changes.
        on_frame: Called when a frame is available or the source ends.

    Attributes:
        name: The name of the source.
        fps: The frame rate.
        started_at: The first of January 2026, at midnight (UTC).

    Example:
        >>> import numpy as np
        >>> green = np.full((8, 6, 3), (0, 255, 0), np.uint8)
        >>> source = FakeLiveSource([green, green], fps=5.0, ends=False)
        >>> [frame.time_s for frame in (source.take(), source.take())]
        [0.0, 0.2]
        >>> source.take() is None, source.ended
        (True, False)
        >>> source.lose("the cable was cut", for_s=60.0)
        >>> source.status.state, source.status.last_error
        ('waiting', 'the cable was cut')
        >>> source.push(green)
        >>> source.take().time_s, source.status.reconnects
        (60.2, 1)
    """

    keep_s: float = 0.0

    def __init__(
        self,
        frames: Iterable[Frame] = (),
        *,
        fps: float = 5.0,
        name: str = "fake",
        ends: bool = True,
        on_change: Callable[[SourceStatus], None] | None = None,
        on_frame: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.fps: float | None = fps
        self.started_at = datetime(2026, 1, 1, tzinfo=UTC)
        self._period_s = 1 / fps
        self._ends = ends
        self._on_change = on_change
        self._on_frame = on_frame
        self._frames: deque[VideoFrame] = deque()
        self._last: VideoFrame | None = None
        self._state: SourceState = "connecting"
        self._num_frames = 0
        self._num_reconnects = 0
        self._next_s = 0.0
        self._last_error: str | None = None
        for frame in frames:
            self.push(frame)
        if ends and not self._frames:
            self.end()

    def push(self, frame: Frame) -> None:
        """Add a frame."""
        if self._state == "waiting":
            self._num_reconnects += 1
        pixels = to_uint8(as_frame(frame))
        self._last = VideoFrame(pixels, time_s=self._next_s, index=self._num_frames)
        self._frames.append(self._last)
        self._num_frames += 1
        self._next_s = round(self._next_s + self._period_s, 9)
        self._change("live")
        if self._on_frame is not None:
            self._on_frame()

    def lose(self, reason: str = "it was lost", *, for_s: float = 0.0) -> None:
        """Simulate a lost connection for *for_s* seconds of its clock; the next pushed frame restores it."""
        self._last_error = reason
        self._next_s = (
            round(self._next_s + for_s - self._period_s, 9) if for_s else self._next_s
        )
        self._change("waiting")

    def stall(self) -> None:
        """Simulate a stalled connection until the next frame is pushed."""
        self._change("stalled")

    def end(self) -> None:
        """End the source after the waiting frames."""
        self._change("closed")

    def take(self, timeout_s: float | None = 0.0) -> VideoFrame | None:  # noqa: ARG002 - nothing is worth a wait
        """Return the next frame, or `None` if there is none, without waiting."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        if self._ends and not self._frames:
            self.end()
        return frame

    @property
    def ended(self) -> bool:
        """Whether the source has ended and all frames are taken."""
        return self._state == "closed" and not self._frames

    @property
    def now_s(self) -> float:
        """The time of the newest frame."""
        return 0.0 if self._last is None else self._last.time_s

    @property
    def status(self) -> SourceStatus:
        """The status of the source."""
        return SourceStatus(
            name=self.name,
            state=self._state,
            frames=self._num_frames,
            dropped=0,
            reconnects=self._num_reconnects,
            lag_s=None if self._last is None else 0.0,
            fps=self.fps,
            frame_size=None if self._last is None else self._last.pixels.shape[:2],
            last_error=self._last_error,
            since=self.started_at,
        )

    def snapshot(self, frame_size: FrameSize | None = None) -> VideoFrame | None:
        """Return the newest frame; see `LiveSource.snapshot`."""
        last = self._last
        if last is None or frame_size is None:
            return last
        pixels = to_uint8(prepare_frame(last, frame_size))
        return VideoFrame(pixels, time_s=last.time_s, index=last.index)

    def packets_since(self, number: int) -> list[Any]:  # noqa: ARG002 - as LiveSource has it
        """Return no packets: there are none."""
        return []

    def save_clip(self, path: str | Path, *, start_s: float, end_s: float) -> Clip:
        """Raise an error: a fake source has no packets to save.

        Raises:
            LiveSourceError: Always.
        """
        raise LiveSourceError(
            f"a fake source has no packets to save; got {str(path)!r} from {start_s:g} s to {end_s:g} s",
            self.name,
        )

    def close(self) -> None:
        """End the source, and drop the waiting frames."""
        self._frames.clear()
        self._change("closed")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> VideoFrame:
        """Return the next frame.

        Raises:
            StopIteration: When there is none.
        """
        frame = self.take()
        if frame is None:
            raise StopIteration
        return frame

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _change(self, state: SourceState) -> None:
        if self._state in {state, "closed"}:
            return
        self._state = state
        if self._on_change is not None:
            self._on_change(self.status)
        if self._on_frame is not None:
            self._on_frame()
