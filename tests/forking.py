"""Forks the process of the tests."""

from __future__ import annotations

import gc
import os

__all__ = ["fork"]


def fork() -> int:
    """Return what `os.fork` does; the child collects no garbage.

    Objects of FFmpeg that earlier tests left would wait for ever, when they are freed, for threads that the child does not
    have.
    """
    gc.collect()
    gc.disable()
    child = os.fork()
    if child:
        gc.enable()
    return child
