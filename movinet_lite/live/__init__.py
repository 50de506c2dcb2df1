"""Live video: sources whose frames come when they come, and clips of what they showed."""

from movinet_lite.live.clips import Clip
from movinet_lite.live.recorder import ClipRecorder
from movinet_lite.live.source import LiveSource, open_source
from movinet_lite.live.status import SourceState, SourceStatus
from movinet_lite.redaction import redact

__all__ = [
    "Clip",
    "ClipRecorder",
    "LiveSource",
    "SourceState",
    "SourceStatus",
    "open_source",
    "redact",
]
