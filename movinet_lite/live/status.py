"""The status of a live source."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from movinet_lite.arrays import FrameSize

__all__ = ["SourceState", "SourceStatus"]

SourceState: TypeAlias = Literal["connecting", "live", "stalled", "waiting", "closed"]
"""The state of a source.

``"connecting"``: opening a connection and waiting for the first frame. ``"live"``: receiving frames. ``"stalled"``:
connected, but not receiving frames. ``"waiting"``: the connection was lost, and the source pauses before the next
attempt. ``"closed"``: ended or closed; no more frames will come.
"""


@attrs.frozen
class SourceStatus:
    """The status of a source at one moment.

    Attributes:
        name: The source, without credentials.
        state: Its state.
        frames: Number of sampled frames.
        dropped: Number of sampled frames that were dropped in favour of newer ones.
        reconnects: Number of reconnections.
        lag_s: Time from capture until the newest frame was ready, in seconds; `None` before the first one.
        fps: Frame rate of the source itself; `None` while unknown.
        frame_size: ``(height, width)`` of its frames, in pixels; `None` before the first one.
        last_error: Why the last connection was lost or failed; `None` if none was.
        since: Start of the state (UTC).
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
