"""Plans which streams are stepped together in one call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

__all__ = ["plan_calls"]

_COST_OF_ALL_LANES = (
    0.5  # relative to calls of one stream, measured; empty lanes do not reduce it
)


def plan_calls(groups: Sequence[Hashable | None], lanes: int) -> list[list[int]]:
    """Return the calls that step every stream once, each as a list of places in *groups*.

    Streams that share buffers stay together, since their states need no copying, unless grouping all streams again takes
    less time. Streams that would fill less than half of the lanes of a call are stepped one by one.

    Args:
        groups: For each stream, the identity of the buffers that its states share with others; `None` for unshared ones.
        lanes: The largest number of streams per call; 1 if there is no graph for several.

    Returns:
        Calls of 1 to *lanes* streams.

    Example:
        >>> plan_calls([None, None, None, None, None], lanes=4)
        [[0, 1, 2, 3], [4]]
        >>> plan_calls(["a", "b", "a", "b", "a", "b"], lanes=3)
        [[0, 2, 4], [1, 3, 5]]
    """
    everyone = list(range(len(groups)))
    if lanes == 1:
        return [[place] for place in everyone]
    members: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        members[group].append(place)
    loose = members.pop(None, [])
    together = []
    for places in members.values():
        if lanes <= 2 * len(places) <= 2 * lanes:
            together.append(places)
        else:
            loose += places
    plans = (together + _cut(loose, lanes), _cut(everyone, lanes))
    return min(plans, key=lambda calls: _cost(calls, lanes))


def _cut(places: Sequence[int], lanes: int) -> list[list[int]]:
    """Return *places* in calls; those that do not fill half of the lanes are stepped one by one."""
    calls: list[list[int]] = []
    for start in range(0, len(places), lanes):
        piece = list(places[start : start + lanes])
        calls += [piece] if 2 * len(piece) >= lanes else [[one] for one in piece]
    return calls


def _cost(calls: Sequence[Sequence[int]], lanes: int) -> float:
    """Return the cost of *calls*, in steps of one stream."""
    return sum(
        _COST_OF_ALL_LANES * lanes if len(places) > 1 else 1.0 for places in calls
    )
