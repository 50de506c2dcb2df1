"""The status of a live source."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from movinet_lite.arrays import FrameSize

__all__ = ["SourceState", "SourceStatus"]

SourceState: TypeAlias = Literal["connecting", "live", "stalled", "waiting", "closed"]
"""Where a source stands.

``"connecting"``: it opens a connection and waits for the first frame. ``"live"``: frames come. ``"stalled"``: the
connection stands, but no frame comes. ``"waiting"``: the connection was lost, and the source pauses before the next
attempt. ``"closed"``: it ended or was closed; no frame will come.
"""


@attrs.frozen
class SourceStatus:
    """The state of a source at one moment.

    Attributes:
        name: The source, without credentials.
        state: Where it stands.
        frames: How many frames were sampled.
        dropped: How many of them nobody took, since a newer one was there.
        reconnects: How many times a connection was lost and the source came back.
        lag_s: How long after its time the newest frame was ready, in seconds; `None` before the first one.
        fps: How many frames a second the source itself sends; `None` while that is not known.
        frame_size: ``(height, width)`` of its pictures, in pixels; `None` before the first one.
        last_error: Why the last connection was lost or failed, in words; `None` if none was.
        since: When the state began (UTC).
    """

    name: str
    state: SourceState
    frames: int
    dropped: int
    reconnects: int
    lag_s: float | None
    fps: float | None
    frame_size: FrameSize | None
    last_error: str | None
    since: datetime
