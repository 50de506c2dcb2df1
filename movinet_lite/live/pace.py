"""Lowers the frame rate of all cameras when the machine cannot keep up.

The frame rate of each camera is multiplied by a common factor. The factor falls immediately to what the machine can
handle, and rises again slowly.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["Load", "Pace"]

_PERIOD_S: Final = 1.0
"""Measurement period before the factor changes, in seconds."""

_FULL: Final = 0.95
"""Maximum load of the loop; above it, frames have to wait."""

_AIM: Final = 0.85
"""The target load when the factor is lowered: below `_FULL`, to avoid oscillation."""

_RISE: Final = 1.1
"""Maximum increase of the factor per period."""

_LOWEST: Final = 0.05

_LATE_S: Final = 1.5
"""Maximum median lag of the cameras, in seconds, before decoding counts as too slow although the loop is not busy."""

_FALL_WHEN_LATE: Final = 0.8
"""The reduction of the factor while the lag grows."""

_WORTH_IT: Final = 0.25
"""Minimum load of the loop for which a lower rate noticeably speeds up decoding."""


@attrs.frozen
class Load:
    """The load of the machine.

    Attributes:
        rate: The factor of all frame rates, above 0 and up to 1.
        needed: The load at full frame rates, as a share of the loop's time. Above 1 the machine cannot keep up: 1.5
            means 50 % too much.
        late_s: Median lag of the cameras, in seconds.
    """

    rate: float = 1.0
    needed: float = 0.0
    late_s: float = 0.0

    @property
    def overloaded(self) -> bool:
        """Whether the frame rates are reduced, or decoding is late."""
        return self.rate < 1.0 or self.late_s > _LATE_S


class Pace:
    """Measures the load of the loop, and adjusts the frame rates of all cameras.

    Args:
        now_s: The start time, in seconds on the clock of all calls.
    """

    def __init__(self, now_s: float) -> None:
        self.load = Load()
        self._begun_s = now_s
        self._busy_s = 0.0
        self._frames = 0

    def worked(self, seconds: float, frames: int) -> None:
        """Add that *frames* frames took *seconds* of the loop's time."""
        self._busy_s += seconds
        self._frames += frames

    def update(self, now_s: float, *, frames_per_s: float, late_s: float) -> bool:
        """Evaluate the load since the last change, once per second, and return whether it was evaluated.

        Args:
            now_s: The current time.
            frames_per_s: Total frame rate of all live cameras at their full rates, in frames per second.
            late_s: Median lag of the cameras, in seconds.
        """
        if now_s - self._begun_s < _PERIOD_S:
            return False
        needed = self._busy_s / self._frames * frames_per_s if self._frames else 0.0
        self.load = Load(self._rate_for(needed, late_s), needed, late_s)
        self._begun_s, self._busy_s, self._frames = now_s, 0.0, 0
        return True

    def _rate_for(self, needed: float, late_s: float) -> float:
        before = self.load.rate
        busy = needed * before
        if busy > _FULL:
            return max(min(_AIM / needed, before), _LOWEST)
        if late_s > _LATE_S and busy > _WORTH_IT:
            is_growing = late_s > self.load.late_s
            return max(before * _FALL_WHEN_LATE, _LOWEST) if is_growing else before
        possible = 1.0 if needed <= _AIM else _AIM / needed
        return max(before, min(before * _RISE, possible))
