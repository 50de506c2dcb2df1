"""A source whose frames a test pushes, one at a time."""

import collections
from datetime import UTC, datetime, timedelta

import numpy as np

from movinet_lite import VideoFrame
from movinet_lite.live.status import SourceStatus

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def picture(colour, size=(8, 6)):
    """A frame of one colour."""
    return np.full((*size, 3), COLOURS[colour], np.uint8)


class PushedSource:
    """A source without threads. It began *age_s* ago."""

    def __init__(self, name="door", *, age_s=1000.0):
        self.name = name
        self.started_at = datetime.now(UTC) - timedelta(seconds=age_s)
        self.state = "live"
        self.ended = False
        self.closed = False
        self._ending = False
        self.num_frames = 0
        self._frames = collections.deque()
        self._last = None

    def push(self, colour_or_pixels, time_s):
        """Add a frame."""
        pixels = (
            picture(colour_or_pixels)
            if isinstance(colour_or_pixels, str)
            else colour_or_pixels
        )
        self._frames.append(VideoFrame(pixels, time_s, self.num_frames))
        self.num_frames += 1

    def push_all(self, colours, *, start_s=0.0, fps=5.0):
        """Add frames of *colours*."""
        for i, colour in enumerate(colours):
            self.push(colour, start_s + i / fps)

    def end(self):
        """Say that no more will come."""
        self._ending = True

    def take(self, _timeout_s=0.0):
        """Return the next frame, if there is one."""
        if not self._frames:
            if self._ending:
                self.ended = True
            return None
        self._last = self._frames.popleft()
        return self._last

    def snapshot(self):
        """Return the frame taken last."""
        return self._last

    def close(self):
        """End it."""
        self.closed = self.ended = True

    @property
    def now_s(self):
        """The time on its clock."""
        return (datetime.now(UTC) - self.started_at).total_seconds()

    @property
    def status(self):
        """How it is."""
        return SourceStatus(
            name=self.name,
            state="closed" if self.ended else self.state,
            frames=self.num_frames,
            dropped=0,
            reconnects=0,
            lag_s=0.0,
            fps=25.0,
            frame_size=(8, 6),
            last_error=None,
            since=self.started_at,
        )
