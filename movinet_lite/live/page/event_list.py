"""The most recent events, with their pictures."""

from __future__ import annotations

import collections
import threading
from typing import Any, Final

import attrs

from movinet_lite.live.watched_event import WatchedEvent

__all__ = ["EventList"]

_KEPT: Final = 500
"""Maximum number of stored events."""

_PICTURE_WIDTH: Final = 480
"""Maximum width of their images, in pixels."""


@attrs.define
class _Entry:
    number: int
    values: dict[str, Any]
    picture: bytes | None


class EventList:
    """Stores the most recent events by id. One thread writes to it, others read."""

    def __init__(self) -> None:
        self._entries: collections.OrderedDict[str, _Entry] = collections.OrderedDict()
        self._number = 0
        self._counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self._lock = threading.Lock()

    def add(self, event: WatchedEvent) -> None:
        """Add or update an event; events that were never confirmed are ignored."""
        if event.event.state not in ("confirmed", "ended"):
            return
        picture = (
            None
            if event.snapshot is None
            else event.snapshot_jpeg(max_width=_PICTURE_WIDTH)
        )
        with self._lock:
            self._number += 1
            known = self._entries.get(event.id)
            if known is None:
                self._counts[event.source, event.label] += 1
            values = {**event.to_dict(), "snapshot": picture is not None}
            self._entries[event.id] = _Entry(self._number, values, picture)
            while len(self._entries) > _KEPT:
                del self._entries[self._oldest()]

    def _oldest(self) -> str:
        """Return the event to drop: one that has ended, since another one will change and be counted again."""
        ended = (
            event_id
            for event_id, entry in self._entries.items()
            if entry.values["ended_at"] is not None
        )
        return next(ended, next(iter(self._entries)))

    def since(self, number: int = 0) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of the last change, and the events that changed after *number*, oldest first."""
        with self._lock:
            return self._number, [
                one.values for one in self._entries.values() if one.number > number
            ]

    def find(self, event_id: str) -> dict[str, Any] | None:
        """Return the event with an id, or `None` if there is none."""
        with self._lock:
            entry = self._entries.get(event_id)
            return None if entry is None else entry.values

    def picture(self, event_id: str) -> bytes | None:
        """Return the image of an event as JPEG, or `None` if there is none."""
        with self._lock:
            entry = self._entries.get(event_id)
            return None if entry is None else entry.picture

    def counts(self) -> dict[tuple[str, str], int]:
        """Return the number of events so far by camera and label."""
        with self._lock:
            return dict(self._counts)
