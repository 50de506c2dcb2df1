"""Recent scores of each camera, downsampled for curves."""

from __future__ import annotations

import collections
import threading
from typing import Any, Final

import attrs

from movinet_lite.predictions import Prediction

__all__ = ["Scores"]

_KEPT_S: Final = 300.0
"""Retention of scores, in seconds: five minutes."""

_PERIOD_S: Final = 1.0
"""Minimum distance of stored points, in seconds: at most 300 points per curve."""

_TOP: Final = 5
"""Number of labels stored per point."""


@attrs.frozen
class Point:
    """The scores of one second.

    Attributes:
        number: Its number among all points, in ascending order.
        at_s: Its time, in seconds since 1970.
        scores: The best labels and their scores.
    """

    number: int
    at_s: float
    scores: tuple[tuple[str, float], ...]

    def to_list(self) -> list[Any]:
        """Return the time and the scores by label, for JSON."""
        return [
            round(self.at_s, 2),
            {label: round(score, 3) for label, score in self.scores},
        ]


class Scores:
    """Stores the scores of every camera. One thread writes to it, others read."""

    def __init__(self) -> None:
        self._points: dict[str, collections.deque[Point]] = {}
        self._number = 0
        self._lock = threading.Lock()

    def take(self, camera: str, at_s: float, prediction: Prediction) -> None:
        """Add the prediction for a frame at *at_s*, in seconds since 1970."""
        with self._lock:
            points = self._points.setdefault(camera, collections.deque())
            if points and 0.0 <= at_s - points[-1].at_s < _PERIOD_S:
                return
            self._number += 1
            best = tuple(
                (label, float(score)) for label, score in prediction.top_k(_TOP)
            )
            points.append(Point(self._number, at_s, best))
            while points[0].at_s < at_s - _KEPT_S:
                points.popleft()

    def keep(self, cameras: set[str]) -> None:
        """Remove all other cameras."""
        with self._lock:
            for name in set(self._points) - cameras:
                del self._points[name]

    def since(self, number: int) -> tuple[int, dict[str, list[list[Any]]]]:
        """Return the number of the last point, and all points after *number*, by camera."""
        with self._lock:
            return self._number, {
                name: fresh
                for name, points in self._points.items()
                if (fresh := [one.to_list() for one in points if one.number > number])
            }
