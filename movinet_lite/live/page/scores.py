"""Recent scores of each camera, downsampled for curves."""

from __future__ import annotations

import collections
import threading
from typing import Any, Final

import attrs

from movinet_lite.predictions import Prediction

__all__ = ["Scores"]

_KEPT_S: Final = 300.0
"""How long scores are kept: five minutes."""

_PERIOD_S: Final = 1.0
"""At most one point a second is kept: 300 across a curve."""

_TOP: Final = 5
"""How many labels of a point are kept; a label below them was no candidate."""


@attrs.frozen
class Point:
    """The scores of one second.

    Attributes:
        number: Its place among all points, rising.
        at_s: When, in seconds since 1970.
        scores: The best labels and their scores.
    """

    number: int
    at_s: float
    scores: tuple[tuple[str, float], ...]

    def to_list(self) -> list[Any]:
        """Return it as JSON has it: the time and the scores by label."""
        return [
            round(self.at_s, 2),
            {label: round(score, 3) for label, score in self.scores},
        ]


class Scores:
    """Keeps the scores of every camera. It is filled in one thread and read in others."""

    def __init__(self) -> None:
        self._points: dict[str, collections.deque[Point]] = {}
        self._number = 0
        self._lock = threading.Lock()

    def take(self, camera: str, at_s: float, prediction: Prediction) -> None:
        """Take what the model said of a frame at *at_s*, in seconds since 1970."""
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
        """Forget all other cameras."""
        with self._lock:
            for name in set(self._points) - cameras:
                del self._points[name]

    def since(self, number: int) -> tuple[int, dict[str, list[list[Any]]]]:
        """Return the number of the last point, and all points after *number*, camera by camera."""
        with self._lock:
            return self._number, {
                name: fresh
                for name, points in self._points.items()
                if (fresh := [one.to_list() for one in points if one.number > number])
            }
