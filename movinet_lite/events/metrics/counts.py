"""Precision, recall and F1 from counts."""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import DataError
from movinet_lite.events.metrics.bootstrap import Interval, bootstrap

__all__ = ["Counts", "F1Report", "mean_of_numbers"]


def mean_of_numbers(values: NDArray[np.float64]) -> float:
    """Return the mean of *values* without NaN; NaN if there are no others."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if numbers.size else math.nan


@attrs.frozen
class Counts:
    """Numbers of correct, reference and estimated items.

    Attributes:
        num_correct: Number of estimated items that match the reference.
        num_reference: Number of reference items.
        num_estimated: Number of estimated items.

    Example:
        >>> counts = Counts(3, 4, 6)
        >>> counts.precision, counts.recall, counts.f1
        (0.5, 0.75, 0.6)
    """

    num_correct: int
    num_reference: int
    num_estimated: int

    @property
    def precision(self) -> float:
        """The share of estimated items that are correct, 0 to 1; 0 if there are none."""
        if not self.num_estimated:
            return 0.0
        return self.num_correct / self.num_estimated

    @property
    def recall(self) -> float:
        """The share of reference items that were found, 0 to 1; NaN if there are none."""
        if not self.num_reference:
            return math.nan
        return self.num_correct / self.num_reference

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, 0 to 1; NaN if there is no reference, as in sed_eval."""
        if not self.num_reference:
            return math.nan
        return 2 * self.num_correct / (self.num_reference + self.num_estimated)


@attrs.frozen(eq=False)
class F1Report:
    """Precision, recall and F1, overall and by label.

    Attributes:
        labels: The labels that were annotated or found, in alphabetical order.
        videos: The names of the videos.
        counts: ``(videos, labels, 3)`` int64: correct, reference and estimated items.
    """

    labels: tuple[str, ...]
    videos: tuple[str, ...]
    counts: NDArray[np.int64] = attrs.field(repr=False)

    @property
    def micro(self) -> Counts:
        """The counts over all labels."""
        return _as_counts(self.counts.sum(axis=(0, 1)))

    @property
    def by_label(self) -> dict[str, Counts]:
        """The counts of each label."""
        rows = self.counts.sum(axis=0)
        return {
            label: _as_counts(row) for label, row in zip(self.labels, rows, strict=True)
        }

    @property
    def f1(self) -> float:
        """F1 over all labels (micro)."""
        return self.micro.f1

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the annotated labels."""
        return self.macro_f1_of(self._all())

    def f1_of(self, places: NDArray[np.intp]) -> float:
        """Return `f1` for the videos with indices *places*, which may be repeated."""
        return _as_counts(self.counts[places].sum(axis=(0, 1))).f1

    def macro_f1_of(self, places: NDArray[np.intp]) -> float:
        """Return `macro_f1` for the videos with indices *places*, which may be repeated."""
        rows = self.counts[places].sum(axis=0)
        return mean_of_numbers(np.array([_as_counts(row).f1 for row in rows]))

    def interval(
        self,
        average: str = "micro",
        *,
        confidence: float = 0.95,
        num_resamples: int = 1000,
        seed: int = 0,
    ) -> Interval:
        """Return F1 with its interval; see `bootstrap`.

        Args:
            average: ``"micro"`` or ``"macro"``.
            confidence: As in `bootstrap`.
            num_resamples: As in `bootstrap`.
            seed: As in `bootstrap`.

        Raises:
            DataError: If *average* is unknown.
        """
        if average not in ("micro", "macro"):
            raise DataError(f"average must be micro or macro; got {average!r}")
        return bootstrap(
            self.f1_of if average == "micro" else self.macro_f1_of,
            len(self.videos),
            confidence=confidence,
            num_resamples=num_resamples,
            seed=seed,
        )

    def _all(self) -> NDArray[np.intp]:
        return np.arange(len(self.videos))


def _as_counts(row: NDArray[np.int64]) -> Counts:
    return Counts(*map(int, row))
