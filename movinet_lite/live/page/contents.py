"""The data of the page: the watcher, scores, events and clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from movinet_lite.live.page.event_list import EventList
from movinet_lite.live.page.scores import Scores
from movinet_lite.live.recorder import ClipRecorder
from movinet_lite.live.watching import Watcher

__all__ = ["Contents"]


class Contents:
    """The data of the page.

    Args:
        watcher: The watcher of the cameras.
        scores: The scores of the last minutes.
        events: The most recent events.
        recorder: The recorder of their clips; `None` for no clips.
    """

    def __init__(
        self,
        watcher: Watcher,
        scores: Scores,
        events: EventList,
        recorder: ClipRecorder | None,
    ) -> None:
        self.watcher = watcher
        self.scores = scores
        self.events = events
        self._recorder = recorder

    def clip_path(self, event_id: str) -> Path | None:
        """Return the file of an event's clip, or `None` if there is none, or none yet."""
        event = self.events.find(event_id)
        if event is None or event["clip_id"] is None or self._recorder is None:
            return None
        return self._recorder.path_of(event["clip_id"])

    def with_clip(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return *event* and whether its clip exists."""
        return {**event, "has_clip": self.clip_path(event["id"]) is not None}

    def clip_events(self) -> set[str]:
        """Return the ids of the events whose clips exist."""
        _, events = self.events.since()
        return {one["id"] for one in events if self.clip_path(one["id"]) is not None}
