"""Filters labels by name and minimum score."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator

import attrs
import numpy as np

from movinet_lite.arrays import as_number
from movinet_lite.errors import ArrayError, LabelsError
from movinet_lite.labels import as_names, check_labels, label_indices
from movinet_lite.predictions.scores import Ranking, check_count

__all__ = ["LabelFilter"]


def _as_min_score(value: float) -> float:
    score = as_number(value)
    if not 0 <= score <= 1:  # false for NaN too
        raise ArrayError(f"min_score must be a score from 0 to 1; got {value!r}")
    return score


def _check_max_results(_filter: object, _field: object, value: int | None) -> None:
    if value is not None:
        check_count(value, "max_results")


@attrs.frozen
class LabelFilter:
    """A filter for rankings: by label, minimum score and number of results.

    Names are checked against the labels when the filter is created.

    Attributes:
        labels: The labels of the model, in the order of the logits.
        allow: The labels that pass; `None` for all.
        deny: Labels that do not pass, even if allowed.
        min_score: The minimum score, 0 to 1.
        max_results: The maximum number of results; `None` for no limit.

    Raises:
        ArrayError: If *min_score* or *max_results* is out of range.
        LabelsError: If a name is not a label, in which case the message suggests similar ones, or if no label is
            left.

    Example:
        >>> from movinet_lite import LabelFilter, top_k
        >>> labels = ("walking", "running", "yoga")
        >>> label_filter = LabelFilter(labels, deny=["running"], min_score=0.25)
        >>> label_filter.apply(top_k([0.25, 0.625, 0.125], labels))
        (('walking', 0.25),)
    """

    labels: tuple[str, ...] = attrs.field(
        converter=check_labels, repr=lambda labels: f"<{len(labels)} labels>"
    )
    allow: tuple[str, ...] | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(as_names)
    )
    deny: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=as_names)
    min_score: float = attrs.field(default=0.0, kw_only=True, converter=_as_min_score)
    max_results: int | None = attrs.field(
        default=None, kw_only=True, validator=_check_max_results
    )
    _permitted: frozenset[str] = attrs.field(init=False, eq=False, repr=False)

    @_permitted.default
    def _names_let_through(self) -> frozenset[str]:
        allowed = self.labels if self.allow is None else self.allow
        label_indices([*allowed, *self.deny], self.labels)
        permitted = frozenset(allowed) - frozenset(self.deny)
        if not permitted:
            raise LabelsError(
                "allow and deny must leave at least one label; "
                f"got allow={self.allow!r}, deny={self.deny!r} "
                "(to allow all labels, omit allow)"
            )
        return permitted

    def apply(self, ranking: Iterable[tuple[str, float]]) -> Ranking:
        """Return the pairs of *ranking* that pass, in the same order.

        Args:
            ranking: Pairs of label and score, best first.

        Returns:
            The pairs that pass, with unchanged scores.
        """
        return tuple(self._passing(ranking))

    def _passing(
        self, ranking: Iterable[tuple[str, float]]
    ) -> Iterator[tuple[str, float]]:
        # A float32 of 0.7 is slightly below 0.7, and still passes a filter of 0.7.
        lowest = min(self.min_score, float(np.float32(self.min_score)))
        passing = (
            (label, score)
            for label, score in ranking
            if score >= lowest and label in self._permitted
        )
        most = self.max_results
        return itertools.islice(
            passing, None if most is None else min(most, sys.maxsize)
        )
