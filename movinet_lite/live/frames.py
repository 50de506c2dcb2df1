"""Passes frames from the decoding thread to the consumer."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from movinet_lite.arrays import VideoFrame

__all__ = ["FrameQueue", "Policy"]

Policy: TypeAlias = Literal["newest", "all"]
"""The policy for slow consumers: ``"newest"`` drops older frames, ``"all"`` makes decoding wait."""

_MARGIN_S: Final = 0.05
"""Maximum age beyond one period of a frame while a newer one is waiting, in seconds."""

_ANY_RATE_S: Final = 0.05
"""The period of a stream without sampling, in seconds."""

_CAPACITY: Final = {"newest": 16, "all": 2}


class FrameQueue:
    """A short queue between two threads.

    With ``"newest"``, frames older than one period plus 50 ms are dropped as soon as a newer one is available: two
    frames that arrive together because of jitter are both returned, and a slow consumer gets the newest one. With
    ``"all"``, `put` waits until there is room.

    Args:
        policy: The policy for slow consumers.
        fps: Rate of added frames, in frames per second; `None` if unknown.
        now: Returns the current time on the clock of the frames, in seconds.
    """

    def __init__(
        self, policy: Policy, fps: float | None, now: Callable[[], float]
    ) -> None:
        self._policy: Policy = policy
        self._max_age_s = (_ANY_RATE_S if fps is None else 1 / fps) + _MARGIN_S
        self._now = now
        self._frames: deque[VideoFrame] = deque()
        self._is_closed = False
        self._changed = threading.Condition()
        self._is_late = False
        self.num_dropped = 0

    def put(self, frame: VideoFrame, is_wanted: Callable[[], bool]) -> bool:
        """Add a frame.

        Args:
            frame: The frame.
            is_wanted: Returns whether the frame is still wanted; called while the queue is locked, and repeatedly while
                `put` waits.

        Returns:
            Whether it was added.
        """
        with self._changed:
            while self._policy == "all" and len(self._frames) >= _CAPACITY["all"]:
                if self._is_closed or not is_wanted():
                    return False
                self._changed.wait(0.1)
            if self._is_closed or not is_wanted():
                return False
            self._frames.append(frame)
            self._drop_old()
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float | None) -> VideoFrame | None:
        """Wait for the next frame and return it; `None` after the timeout or if no more will come."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while True:
                self._drop_old()
                if self._frames:
                    while self._is_late and len(self._frames) > 1:
                        self._drop_first()
                    self._is_late = False
                    frame = self._frames.popleft()
                    self._changed.notify_all()
                    return frame
                if self._is_closed:
                    return None
                left_s = None if deadline_s is None else deadline_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                self._changed.wait(left_s)

    @property
    def is_empty(self) -> bool:
        """Whether no frame is waiting."""
        return not self._frames

    def close(self, *, drop: bool) -> None:
        """Reject new frames, and drop or keep the waiting ones."""
        with self._changed:
            self._is_closed = True
            if drop:
                self._frames.clear()
            self._changed.notify_all()

    def _drop_old(self) -> None:
        if self._policy == "all":
            return
        oldest_s = self._now() - self._max_age_s
        while len(self._frames) > 1 and (
            self._frames[0].time_s < oldest_s or len(self._frames) > _CAPACITY["newest"]
        ):
            self._drop_first()

    def _drop_first(self) -> None:
        self._frames.popleft()
        self.num_dropped += 1
        self._is_late = True
