"""Lowers the frame rate of all cameras when the machine cannot keep up.

The rate of each camera is its own times one factor for all of them. The factor falls at once to what the machine can do,
and rises again slowly.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["Load", "Pace"]

_PERIOD_S: Final = 1.0
"""How long the work is measured before the factor changes."""

_FULL: Final = 0.95
"""Up to which share of its time the loop may work; beyond it, frames wait for each other."""

_AIM: Final = 0.85
"""To which share the factor brings the work down: below `_FULL`, so that it does not go up and down."""

_RISE: Final = 1.1
"""By how much the factor rises in a period at most."""

_LOWEST: Final = 0.05

_LATE_S: Final = 1.5
"""How late the typical camera may be before decoding counts as too slow, although the loop has time."""

_FALL_WHEN_LATE: Final = 0.8
"""What the rate is multiplied by while the lag grows."""

_WORTH_IT: Final = 0.25
"""Which share of its time the loop must work for a lower rate to give decoding noticeably more."""


@attrs.frozen
class Load:
    """What the machine has to do, and how much of it it does.

    Attributes:
        rate: What the frame rate of every camera is multiplied by, above 0 and up to 1.
        needed: The share of the loop's time that the full rates would take. Above 1 the machine cannot keep up: 1.5 is
            half as much again as it can do.
        late_s: How late the typical camera is, in seconds.
    """

    rate: float = 1.0
    needed: float = 0.0
    late_s: float = 0.0

    @property
    def overloaded(self) -> bool:
        """Whether the cameras are watched at less than their full rates, or decoding is late."""
        return self.rate < 1.0 or self.late_s > _LATE_S


class Pace:
    """Measures the work of the loop, and lowers and raises the rate of all cameras.

    Args:
        now_s: The time at which it begins, in seconds on the clock of all calls.
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
        """Look at the work since the last change, once a second, and return whether there was something to look at.

        Args:
            now_s: The time.
            frames_per_s: How many frames all live cameras together would bring in a second at their full rates.
            late_s: How late the typical camera is, in seconds.
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
