"""Ends the threads of sources when the program ends, also those that FFmpeg blocks.

While FFmpeg waits for the network, PyAV asks for Python's time about every 100 ms, to apply its timeout. A thread that does so after
the interpreter has ended crashes the program. So at exit these threads get a time at which every timeout is over.
"""

from __future__ import annotations

import atexit
import math
import threading
import time
import weakref
from typing import Any, Final, Protocol

__all__ = ["Blockable", "end_at_exit"]

_PATIENCE_S: Final = 1.0
"""Maximum wait at exit for all threads together, in seconds."""


class Blockable(Protocol):
    """What works for a source in a thread that may be waiting, perhaps inside FFmpeg."""

    thread: threading.Thread

    def close(self) -> None:
        """Close the source, without waiting for the thread."""


_blockable: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def end_at_exit(blockable: Blockable) -> None:
    """End the thread of *blockable* when the program ends, if it is still there then."""
    _blockable.add(blockable)


class _Clock:
    """Python's `time` for PyAV, with a *monotonic* time that is infinite in some threads."""

    def __init__(self, threads: list[threading.Thread]) -> None:
        self._identifiers = {thread.ident for thread in threads}

    def monotonic(self) -> float:
        is_over = threading.get_ident() in self._identifiers
        return math.inf if is_over else time.monotonic()


@atexit.register
def _end() -> None:
    blocked = [one for one in _blockable if one.thread.is_alive()]
    if not blocked:
        return
    import av.container.core as pyav

    for one in blocked:
        one.close()
    # In PyAV 17 to 19 the callback takes the time from this module.
    vars(pyav)["time"] = _Clock([one.thread for one in blocked])
    until_s = time.monotonic() + _PATIENCE_S
    for one in blocked:
        one.thread.join(max(until_s - time.monotonic(), 0.0))
