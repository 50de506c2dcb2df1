"""An event at a camera, in wall-clock time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import SessionError
from movinet_lite.events import Event
from movinet_lite.video.jpeg import to_jpeg

__all__ = ["WatchedEvent", "utc_text"]


@attrs.frozen(kw_only=True)
class WatchedEvent:
    """An event of a camera, after the frame at which its state changed.

    Attributes:
        id: A unique id of letters and digits, constant through all states.
        source: The name of the camera.
        event: The event. Its times are in seconds since *opened_at*.
        opened_at: The time at which the camera was opened (UTC): the zero of the event's times.
        clip_id: The id of its clip in the `ClipRecorder`; `None` if there is none.
        snapshot: The frame with the highest score so far, ``(height, width, 3)``, uint8, 0 to 255, RGB; `None` if
            snapshots are off.
    """

    id: str
    source: str
    event: Event
    opened_at: datetime
    clip_id: str | None = None
    snapshot: NDArray[np.uint8] | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def label(self) -> str:
        """The class."""
        return self.event.label

    @property
    def started_at(self) -> datetime:
        """The onset in wall-clock time (UTC)."""
        return self.opened_at + timedelta(seconds=self.event.start_s)

    @property
    def ended_at(self) -> datetime | None:
        """The offset in wall-clock time (UTC); `None` while it is active."""
        end_s = self.event.end_s
        return None if end_s is None else self.opened_at + timedelta(seconds=end_s)

    def snapshot_jpeg(self, *, max_width: int | None = None) -> bytes:
        """Return the snapshot as a JPEG image.

        Args:
            max_width: Scale wider snapshots down to this width, in pixels; `None` for no limit.

        Raises:
            SessionError: If the event has none.
        """
        if self.snapshot is None:
            raise SessionError(
                "the event must have a snapshot; it has none (set snapshots=True)"
            )
        return to_jpeg(self.snapshot, max_width=max_width)

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON-compatible values, without the snapshot."""
        return {
            "id": self.id,
            "source": self.source,
            "label": self.event.label,
            "state": self.event.state,
            "started_at": utc_text(self.started_at),
            "ended_at": None if self.ended_at is None else utc_text(self.ended_at),
            "duration_s": self.event.duration_s,
            "mean": self.event.mean,
            "peak": self.event.peak,
            "num_frames": self.event.num_frames,
            "clip_id": self.clip_id,
        }


def utc_text(time: datetime) -> str:
    """Return a time in ISO 8601 format, in UTC, with milliseconds."""
    return (
        time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
