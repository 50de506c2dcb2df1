"""Starts the process that worker processes are forked from."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from typing import Final

from movinet_lite.interrupts import interrupts_held_back

__all__ = ["start_fork_server"]

_IMPORTED: Final = (
    "movinet_lite.batch.worker",
    "av.video.reformatter",
    "ai_edge_litert.compiled_model",
)
"""What a worker imports: these start no threads of Python, and what cannot be imported is left to the worker."""

_WITHOUT_WORKERS: Final = ("-h", "--help", "--ray")


def start_fork_server(options: Sequence[str]) -> None:
    """Start a process that imports what workers need while this one imports what it needs itself.

    The workers, which the pool then has forked from it, share its imports. Elsewhere than on Linux each worker is a new
    process that imports them anew: the libraries of macOS cannot be forked.

    Args:
        options: The options of the command; nothing is done if it has no workers of its own with these.
    """
    if not sys.platform.startswith("linux") or any(
        option.startswith(_WITHOUT_WORKERS) for option in options
    ):
        return
    from multiprocessing import forkserver

    multiprocessing.set_start_method("forkserver")
    multiprocessing.set_forkserver_preload(list(_IMPORTED))
    with interrupts_held_back():
        forkserver.ensure_running()
