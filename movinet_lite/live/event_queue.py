"""Passes events from the watching thread to the consumer."""

from __future__ import annotations

import collections
import logging
import threading
from collections.abc import Iterable
from typing import Final

from movinet_lite.live.watched_event import WatchedEvent

__all__ = ["EventQueue"]

_LOG = logging.getLogger("movinet_lite.live")

_MAX_EVENTS: Final = 10_000
"""Maximum number of waiting events; then the oldest are dropped."""


class EventQueue:
    """A queue of events in order of detection. Adding events never blocks."""

    def __init__(self) -> None:
        self._events: collections.deque[WatchedEvent] = collections.deque()
        self._changed = threading.Condition()
        self._done = False
        self._failure: BaseException | None = None
        self.num_lost = 0

    def put(self, events: Iterable[WatchedEvent]) -> None:
        """Add *events*."""
        with self._changed:
            self._events.extend(events)
            while len(self._events) > _MAX_EVENTS:
                self._events.popleft()
                self.num_lost += 1
                if self.num_lost == 1:
                    _LOG.warning("events are not consumed; the oldest are dropped")
            self._changed.notify_all()

    def set_done(self, failure: BaseException | None = None, *, done: bool) -> None:
        """Set whether no more events will come for now, and the *failure* that caused it, if any."""
        with self._changed:
            if done != self._done or failure is not None:
                self._done = done
                self._failure = self._failure or failure
                self._changed.notify_all()

    def take(self, timeout_s: float | None = None) -> WatchedEvent | None:
        """Return the next event, or `None` after the timeout or if no more will come for now.

        Raises:
            BaseException: The failure passed to `set_done`, once all events are taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._done, timeout_s)
            if self._events:
                return self._events.popleft()
            if self._failure is not None:
                raise self._failure
            return None

    @property
    def is_over(self) -> bool:
        """Whether all events are taken and no more will come for now."""
        with self._changed:
            return self._done and not self._events
