"""Live video: reads cameras and streams, writes clips of events, and watches many cameras with one model."""

from movinet_lite.live.camera import CameraStatus
from movinet_lite.live.clips import Clip
from movinet_lite.live.pace import Load
from movinet_lite.live.recorder import ClipRecorder
from movinet_lite.live.source import LiveSource, open_source
from movinet_lite.live.status import SourceState, SourceStatus
from movinet_lite.live.watched_event import WatchedEvent
from movinet_lite.live.watching import Watcher, WatchStatus, watch
from movinet_lite.video.redaction import redact

__all__ = [
    "CameraStatus",
    "Clip",
    "ClipRecorder",
    "LiveSource",
    "Load",
    "SourceState",
    "SourceStatus",
    "WatchStatus",
    "WatchedEvent",
    "Watcher",
    "open_source",
    "redact",
    "watch",
]
