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

__all__ = ["WatchedEvent"]


@attrs.frozen(kw_only=True)
class WatchedEvent:
    """An event of one camera, as it stands after the frame with which its state changed.

    Attributes:
        id: What tells it from every other event, in letters and digits; the same from its beginning to its end.
        source: The name of the camera.
        event: What happened. Its times are seconds since *opened_at*.
        opened_at: When the camera was opened: the zero of the event's times, in UTC.
        clip_id: The clip that is recorded of it, by its id at the `ClipRecorder`; `None` without.
        snapshot: The frame with the highest score so far, ``(height, width, 3)``, uint8, 0 to 255, RGB; `None` where none
            was asked for.
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
        """The onset, by the clock on the wall, in UTC."""
        return self.opened_at + timedelta(seconds=self.event.start_s)

    @property
    def ended_at(self) -> datetime | None:
        """The offset, by the clock on the wall, in UTC; `None` while it goes on."""
        end_s = self.event.end_s
        return None if end_s is None else self.opened_at + timedelta(seconds=end_s)

    def snapshot_jpeg(self, *, max_width: int | None = None) -> bytes:
        """Return the snapshot as a JPEG picture.

        Args:
            max_width: Scale a wider one down to this width, in pixels; `None` never does.

        Raises:
            SessionError: If the event has none.
        """
        if self.snapshot is None:
            raise SessionError(
                "the event must have a snapshot; it has none (ask for them: snapshots=True)"
            )
        return to_jpeg(self.snapshot, max_width=max_width)

    def to_dict(self) -> dict[str, Any]:
        """Return the event as plain values that `json.dumps` takes; the snapshot is left out."""
        return {
            "id": self.id,
            "source": self.source,
            "label": self.event.label,
            "state": self.event.state,
            "started_at": _text(self.started_at),
            "ended_at": None if self.ended_at is None else _text(self.ended_at),
            "duration_s": self.event.duration_s,
            "mean": self.event.mean,
            "peak": self.event.peak,
            "num_frames": self.event.num_frames,
            "clip_id": self.clip_id,
        }


def _text(time: datetime) -> str:
    """Return a time as ISO 8601 has it, in UTC, to the millisecond."""
    return (
        time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
