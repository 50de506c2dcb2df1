"""Counts the frames in stream states, and keeps sums and counts of very long streams within float32.

A model takes the mean over all frames as a sum divided by a count. In float32 a sum of n frames takes up a further one
with an error of up to n / 2**24 of a frame, and from 2**24 on the count itself stands still. So before that, both are
divided by the same number: the mean stays as it is, and later frames weigh more in it than the first ones.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.network.state_names import canonical_state_name, is_frame_count

__all__ = ["MAX_COUNT", "age", "bound_counts", "frame_count", "has_seen_frames"]

MAX_COUNT: Final = 2**18
"""How many frames a stream's states count at most: 14 hours at 5 frames a second; a sum that takes up one frame more is
off by at most 1/64 of that frame."""

_SUM: Final = "pool_buffer"
_COUNT: Final = "pool_frame_count"
_COUNTS: Final = ("frame_count", "num_frames")


def frame_count(states: States) -> int:
    """Return how many frames *states* count, entries beyond the published ones included; 0 where they count none."""
    counts = [_largest(states[name]) for name in states if name.endswith(_COUNTS)]
    return max(counts, default=0)


def age(states: States) -> int:
    """Return over how many frames the means in *states* are taken; 0 where they count none."""
    counts = [_largest(states[name]) for name in states if _is_published_count(name)]
    return max(counts, default=0)


def has_seen_frames(states: States, init_states: States) -> bool:
    """Return whether *states* are others than those of a stream that has seen no frame."""
    return not all(
        np.array_equal(states[name], init_states[name]) for name in init_states
    )


def bound_counts(states: States) -> States:
    """Return *states* with the same means and counts of at most half of `MAX_COUNT`.

    They come back as they are if they count fewer than `MAX_COUNT` frames. Only states with names of a published form
    are changed.
    """
    largest = age(states)
    if largest < MAX_COUNT:
        return states
    bounded = {name: np.array(states[name]) for name in states}
    by_meaning = {canonical_state_name(name): name for name in states}
    for meaning, name in by_meaning.items():
        if not _is_published_count(name):
            continue
        old = np.asarray(states[name])
        new = _bound(old, largest)
        bounded[name] = new
        total = by_meaning.get(meaning.removesuffix(_COUNT) + _SUM)
        if meaning.endswith(_COUNT) and total is not None and _largest(old):
            factor = _largest(new) / _largest(old)
            bounded[total] = (bounded[total] * factor).astype(bounded[total].dtype)
    return bounded


def _bound(count: NDArray[Any], largest: int) -> NDArray[Any]:
    """Return *count* scaled so that *largest* would come to at most half of `MAX_COUNT`."""
    divisor = -(-largest // (MAX_COUNT // 2))
    return (count // divisor).astype(count.dtype)


def _is_published_count(name: str) -> bool:
    return is_frame_count(name) and canonical_state_name(name).startswith("state/")


def _largest(count: NDArray[Any]) -> int:
    return int(np.max(count))
