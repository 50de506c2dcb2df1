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

from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.errors import ConversionError
from movinet_lite.hub.cache import compiled_folder, locked, new_folder
from movinet_lite.network.agreement import COMPILED_TOLERANCE, agrees

__all__ = ["check_agrees", "is_close", "logits_of", "make_missing"]

_LOG = logging.getLogger("movinet_lite.engines")
# One model at a time: it takes all cores, and gigabytes.
_MAKING: Final = threading.Lock()


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


def logits_of(
    model: ClipModel | StreamModel, frames: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what *model* says of ``(frames, height, width, 3)``: of the whole clip, or after each frame of a new stream."""
    if isinstance(model, ClipModel):
        return model.predict(frames[np.newaxis])
    height, width = frames.shape[1:3]
    return model.step(frames, model.init_states((height, width)))[0]


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
