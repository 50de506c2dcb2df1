"""Notes which Python functions run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

__all__ = ["python_calls"]


def python_calls(work: Callable[[], object]) -> list[str]:
    """Return the names of the Python functions that run in this thread during *work*, a C function."""
    called: list[str] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return called
