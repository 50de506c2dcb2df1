"""Back-off between attempts to reconnect."""

from __future__ import annotations

import random
from typing import Final

__all__ = ["pause_s"]

_FIRST_S: Final = 0.1
_SHORT_S: Final = 0.5
_LONG_S: Final = 10.0

_SHARE: Final = 0.05
"""Maximum delay of the reconnection by pauses, as a share of the outage."""


def pause_s(attempt: int, outage_s: float, *, is_refused: bool = False) -> float:
    """Return the pause before the next attempt, in seconds.

    Pauses double from 0.1 s up to half a second, and in a long outage up to a twentieth of its length and 10 s. Each
    pause is drawn from the upper half of that range ("equal jitter" [1]), so that many cameras behind one switch do not
    reconnect at the same moment.

    Args:
        attempt: Number of failed attempts in this outage, from 1.
        outage_s: Duration of the outage so far, in seconds.
        is_refused: Whether the user or password was wrong: cameras lock out clients that try too often.

    References:
        [1] M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if is_refused:
        return _LONG_S
    longest_s = min(max(_SHORT_S, _SHARE * outage_s), _LONG_S)
    pause = min(_FIRST_S * 2.0 ** min(attempt - 1, 16), longest_s)
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
