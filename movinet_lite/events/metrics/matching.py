"""Maximum matching between two sets."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

__all__ = ["num_pairs"]


def num_pairs(allowed: NDArray[np.bool_]) -> int:
    """Return the size of a maximum matching of rows and columns.

    Args:
        allowed: ``(rows, columns)`` bool: the allowed pairs.

    Example:
        >>> num_pairs(np.array([[True, True], [True, False]]))
        2

    References:
        [1] Augmenting paths, as in H. W. Kuhn, "The Hungarian method for the assignment problem", 1955.
    """
    row_of: dict[int, int] = {}
    columns = [np.flatnonzero(row).tolist() for row in allowed]
    return sum(_add_pair(start, columns, row_of) for start in range(len(columns)))


def _add_pair(start: int, columns: list[list[int]], row_of: dict[int, int]) -> bool:
    """Match the row *start*, moving matched rows to other columns if necessary."""
    came_from: dict[int, int] = {}  # from a column to the row that requested it
    column_of_row: dict[int, int] = {}
    waiting = deque([start])
    while waiting:
        row = waiting.popleft()
        for column in columns[row]:
            if column in came_from:
                continue
            came_from[column] = row
            if column in row_of:
                column_of_row[row_of[column]] = column
                waiting.append(row_of[column])
                continue
            _shift(start, column, row_of, came_from, column_of_row)
            return True
    return False


def _shift(
    start: int,
    column: int,
    row_of: dict[int, int],
    came_from: dict[int, int],
    column_of_row: dict[int, int],
) -> None:
    while True:
        row = came_from[column]
        row_of[column] = row
        if row == start:
            return
        column = column_of_row[row]
