"""The progress of a batch."""

from __future__ import annotations

import attrs

__all__ = ["BatchProgress"]


@attrs.frozen
class BatchProgress:
    """How far a batch is, and what became of it in the end.

    Attributes:
        num_videos: How many videos there are.
        num_before: How many of them had a row already, from a run before.
        num_done: How many got a row in this run.
        num_errors: How many rows of this run are errors.
    """

    num_videos: int
    num_before: int = 0
    num_done: int = 0
    num_errors: int = 0

    def after(self, *, is_error: bool) -> BatchProgress:
        """Return the progress after one more row."""
        return attrs.evolve(
            self,
            num_done=self.num_done + 1,
            num_errors=self.num_errors + is_error,
        )
