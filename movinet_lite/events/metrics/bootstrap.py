"""Confidence intervals by bootstrap over videos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import DataError

__all__ = ["BootstrappedReport", "Interval", "bootstrap"]


@attrs.frozen
class Interval:
    """A value with a confidence interval.

    Attributes:
        value: The value for all videos.
        low: The lower end of the interval.
        high: The upper end.
        confidence: The confidence level, such as 0.95.
    """

    value: float
    low: float
    high: float
    confidence: float

    def __str__(self) -> str:
        """Return the value with its interval."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class BootstrappedReport(ABC):
    """A report on videos with an interval for one of its figures."""

    __slots__ = ()

    videos: tuple[str, ...]

    @abstractmethod
    def _figure_of(self, drawn: NDArray[np.intp]) -> float:
        """Return the figure for the videos with indices *drawn*, which may be repeated."""

    def interval(
        self,
        *,
        confidence: float = 0.95,
        num_resamples: int = 1000,
        seed: int = 0,
    ) -> Interval:
        """Return the figure of the report with its interval; for arguments and errors see `bootstrap`."""
        return bootstrap(
            self._figure_of,
            len(self.videos),
            confidence=confidence,
            num_resamples=num_resamples,
            seed=seed,
        )


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    num_videos: int,
    *,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the bootstrap percentile interval of a statistic, resampling videos with replacement.

    Videos are resampled rather than events, since the events of one video are correlated.

    Args:
        statistic: Function from the indices of the drawn videos, ``(num_videos,)`` intp, to a value; NaN if it is
            undefined.
        num_videos: Number of videos, at least 1.
        confidence: The confidence level, above 0 and below 1.
        num_resamples: Number of resamples, at least 1.
        seed: Random seed; the same seed yields the same interval.

    Raises:
        DataError: If a number is out of its range.

    Example:
        >>> lengths = np.array([1.0, 2.0, 3.0])
        >>> interval = bootstrap(lambda drawn: float(lengths[drawn].mean()), 3)
        >>> interval.value, interval.low, interval.high
        (2.0, 1.0, 3.0)

    References:
        [1] Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    if num_videos < 1 or num_resamples < 1 or not 0 < confidence < 1:
        raise DataError(
            "num_videos and num_resamples must be at least 1, and confidence above 0 and below 1; "
            f"got {num_videos}, {num_resamples} and {confidence}"
        )
    generator = np.random.default_rng(seed)
    values = np.array(
        [
            statistic(generator.integers(num_videos, size=num_videos))
            for _ in range(num_resamples)
        ]
    )
    value = float(statistic(np.arange(num_videos)))
    values = values[~np.isnan(values)]
    if not values.size:
        return Interval(value, float("nan"), float("nan"), confidence)
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(value, float(low), float(high), confidence)
