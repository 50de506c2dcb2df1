"""Files that are made from a model once, seen to compute the same, and kept in the cache.

The log says when one is made, since that takes seconds to minutes, and where it is kept: logger ``movinet_lite.engines``, level
INFO. That one was taken from the cache stands there at level DEBUG.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.engines.base import BatchStreamModel, ClipModel, StreamModel
from movinet_lite.errors import ConversionError
from movinet_lite.hub.cache import compiled_folder, locked, new_folder
from movinet_lite.network.agreement import (
    COMPILED_TOLERANCE,
    PROBE_FRAMES,
    agrees,
    largest_difference,
    probe_clip,
)

__all__ = [
    "check_agrees",
    "difference_of_clips",
    "difference_of_streams",
    "is_close",
    "logits_of_source",
    "make_missing",
]

_LOG = logging.getLogger("movinet_lite.engines")
# One model at a time: it takes all cores, and gigabytes.
_MAKING: Final = threading.Lock()
# One call of 16 frames or two of 8, and two calls of one frame.
_CHECKED_FRAMES: Final = 18
_AGES: Final = 4  # of streams stepped in one call


def make_missing(
    name: str,
    entries: Mapping[str, Path],
    *,
    what: str,
    is_whole: Callable[[Path], bool],
    make: Callable[[Mapping[str, Path], Sequence[str]], None],
) -> bool:
    """Make the entries of the cache that are missing or damaged, all of them or none, and return whether any was.

    Args:
        name: How the names of these entries begin.
        entries: The folder of each by its kind.
        what: What is made, for the log: ``"a0 (stream) with LiteRT"``.
        is_whole: Tells whether an entry is there and whole.
        make: Gets where to write each kind, and the kinds that are missing.

    Raises:
        ConversionError: If an entry cannot be read where it was written.
    """

    def missing() -> list[str]:
        return [kind for kind, entry in entries.items() if not is_whole(entry)]

    if not missing():
        _LOG.debug("took %s from %s", what, compiled_folder())
        return False
    # One process compiles for all; under the names of the entries others may remove them.
    with locked(compiled_folder() / name), _MAKING:
        if kinds := missing():
            _LOG.info("compiling %s; this happens once and may take a minute", what)
            start = time.monotonic()
            with contextlib.ExitStack() as stack:
                folders = dict(entries)
                for kind in kinds:
                    stack.enter_context(locked(entries[kind]))
                    folders[kind] = stack.enter_context(new_folder(entries[kind]))
                make(folders, kinds)
            taken = time.monotonic() - start
            _LOG.info(
                "compiled %s in %.0f s; kept in %s", what, taken, entries[kinds[0]]
            )
    if kinds := missing():
        raise ConversionError(
            f"{what}: the compiled model must be readable where it was written; {entries[kinds[0]]} is not"
        )
    return True


def _logits_of(
    model: ClipModel | StreamModel, frames: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what *model* says of ``(frames, height, width, 3)``: of the whole clip, or after each frame of a new stream."""
    if isinstance(model, ClipModel):
        return model.predict(frames[np.newaxis])
    height, width = frames.shape[1:3]
    return model.step(frames, model.init_states((height, width)))[0]


def logits_of_source(
    source: ClipModel | StreamModel, frame_size: FrameSize
) -> NDArray[np.float32]:
    """Return what the *source* of a model says of the frames that `difference_of_clips` and `difference_of_streams` use.

    They are few: rounding errors grow with the number of frames, and in untrained models exceed the tolerance.
    """
    return _logits_of(source, probe_clip(PROBE_FRAMES, *frame_size)[0])


def difference_of_clips(
    made: ClipModel, expected: NDArray[np.float32], frame_size: FrameSize
) -> float:
    """Return how far the logits of a model that was *made* are from those of its source, relative to the largest.

    Args:
        made: The model.
        expected: The `logits_of_source`.
        frame_size: ``(height, width)`` of its frames.
    """
    return largest_difference(logits_of_source(made, frame_size), expected)


def difference_of_streams(
    made: BatchStreamModel,
    expected: NDArray[np.float32],
    frame_size: FrameSize,
    *,
    streams: int,
) -> float:
    """Return what `difference_of_clips` does for a stream model, in calls of one frame, of many, and of many streams.

    Args:
        made: As in `difference_of_clips`.
        expected: As in `difference_of_clips`.
        frame_size: As in `difference_of_clips`.
        streams: How many streams to step in one call; 1 for no such calls.
    """
    frames = probe_clip(_CHECKED_FRAMES, *frame_size)[0]
    singles = _one_by_one(made, frames, frame_size)
    pairs = [
        (singles[: len(expected)], expected),
        (_logits_of(made, frames), singles),
    ]
    if streams > 1:
        pairs.append(_logits_of_many(made, streams, frames, singles))
    # The maximum of numpy is NaN if any value is NaN; Python's is not.
    return float(np.max([largest_difference(*pair) for pair in pairs]))


def _one_by_one(
    made: StreamModel, frames: NDArray[np.float32], frame_size: FrameSize
) -> NDArray[np.float32]:
    """Return the logits after each frame, from one call per frame."""
    states = made.init_states(frame_size)
    rows = []
    for frame in frames:
        logits, states = made.step(frame[np.newaxis], states)
        rows.append(logits[0])
    return np.stack(rows)


def _logits_of_many(
    made: BatchStreamModel,
    streams: int,
    frames: NDArray[np.float32],
    singles: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits of streams of different ages stepped in one call, and those of the same streams alone."""
    height, width = frames.shape[1:3]
    empty = made.init_states((height, width))
    ages = np.arange(streams) % _AGES
    states = [empty if not age else made.step(frames[:age], empty)[1] for age in ages]
    found = []
    for step in range(PROBE_FRAMES):
        rows, states = made.step_many(frames[ages + step], states)
        found.append(rows)
    steps = np.arange(PROBE_FRAMES)[:, np.newaxis]
    return np.stack(found), singles[ages + steps]


def is_close(difference: float) -> bool:
    """Return whether logits with this *difference* from those of the source are close enough."""
    return agrees(difference, COMPILED_TOLERANCE)


def check_agrees(difference: float, source: str, made: str) -> None:
    """Check that a model that was *made* computes the logits of its source.

    Raises:
        ConversionError: If it does not.
    """
    if not is_close(difference):
        raise ConversionError(
            f"{source}: {made} model must give the logits of its source to {COMPILED_TOLERANCE:g} of the largest; "
            f"this one differs by {difference:.1e}"
        )
