"""A guard that allows one use of a session at a time and survives interrupts."""

from __future__ import annotations

import functools
import itertools
import operator
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from movinet_lite.errors import SessionError

__all__ = ["exclusively"]

_Result = TypeVar("_Result")

_try_to_acquire = operator.methodcaller("acquire", False)  # noqa: FBT003 - passed by position alone
_release = operator.methodcaller("release")


def exclusively(
    locks: Sequence[threading.Lock], work: Callable[[], _Result]
) -> _Result:
    """Return what *work* returns, done while this call holds all of *locks*.

    Ctrl-C cannot leave a lock behind: CPython raises `KeyboardInterrupt` between two bytecodes only, and here all locks
    are taken by one call into C inside the ``try``, noted in the same call, and given back by another.

    Args:
        locks: One for each session, each free or not.
        work: What to do.

    Raises:
        SessionError: If a lock is not free: rather refuse a second thread than mix up its frames with the first one's.
    """
    taken: list[bool] = []
    held = itertools.compress(locks, taken)
    give_back: Callable[[], object] = functools.partial(deque, map(_release, held), 0)
    try:
        taken.extend(map(_try_to_acquire, locks))
        if not all(taken):
            raise SessionError(
                "a session serves one thread at a time; another is using this one "
                "(open one session for each thread: they can share the model)"
            )
        return work()
    finally:
        give_back()
