"""The progress of a batch."""

from __future__ import annotations

import attrs

__all__ = ["BatchProgress"]


@attrs.frozen
class BatchProgress:
    """The progress of a batch, and its result at the end.

    Attributes:
        num_videos: Number of videos.
        num_before: Number of videos that already had a row from an earlier run.
        num_done: Number of rows of this run.
        num_errors: Number of rows of this run that are errors.
        num_errors_before: Number of rows of earlier runs that are errors.
    """

    num_videos: int
    num_before: int = 0
    num_done: int = 0
    num_errors: int = 0
    num_errors_before: int = 0

    def after(self, *, is_error: bool) -> BatchProgress:
        """Return the progress after one more row."""
        return attrs.evolve(
            self,
            num_done=self.num_done + 1,
            num_errors=self.num_errors + is_error,
        )
