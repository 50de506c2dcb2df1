"""Keeps what native libraries print while they start away from the user's terminal.

TensorFlow and LiteRT write notes about missing GPUs and chosen kernels straight to the file descriptor of the standard
error, below Python, where no setting reaches all of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

__all__ = ["quiet_exit", "quiet_start"]

_LOG = logging.getLogger(__name__)
_STANDARD_ERROR = 2

# How the lines of the logging libraries of TensorFlow (absl, XLA) and of LiteRT begin. They name a file of C++; the line
# of an application that begins with a level alone is its own.
_CHATTER = re.compile(
    rb"^(WARNING: (All log messages|Logging) before "
    rb"|(INFO|WARNING|VERBOSE): (\[[\w./]+\.(cc|cpp|h):\d+\]|Created TensorFlow Lite|Replacing \d+ out of \d+ node)"
    rb"|[IWE]\d{4} [\d:. ]+ [\w./]+\.(cc|cpp|h):\d+\]"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] [\w./]+\.(cc|cpp|h):\d+\]"
    rb"|\xe2\x94\x94 "  # LiteRT goes on with its last line
    rb"|To enable the following instructions: )"
)


class _HeldBack:
    """The standard error, held back while a block is open; blocks of several threads do not wait for each other.

    What was done so far stands in its attributes at every moment, so that `end` undoes it wherever `begin` was interrupted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: set[object] = set()
        self._terminal: int | None = None
        self._kept: IO[bytes] | None = None

    def begin(self, block: object) -> None:
        with self._lock:
            self._blocks.add(block)
            if self._kept is not None:
                return
            # There may be no standard error, as in a service, or no room for a file.
            with contextlib.suppress(OSError):
                if self._terminal is None:
                    self._terminal = os.dup(_STANDARD_ERROR)
                self._kept = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
                os.dup2(self._kept.fileno(), _STANDARD_ERROR)

    def end(self, block: object) -> None:
        with self._lock:
            self._blocks.discard(block)
            if self._blocks or self._terminal is None:
                return
            terminal, kept = self._terminal, self._kept
            os.dup2(terminal, _STANDARD_ERROR)
            self._terminal = self._kept = None
            try:
                if kept is not None:
                    with kept:
                        _let_go(kept, terminal)
            finally:
                os.close(terminal)


def _let_go(kept: IO[bytes], terminal: int) -> None:
    """Print what was *kept*, but for the notes."""
    kept.seek(0)
    for line in kept:
        if _CHATTER.match(line):
            _LOG.debug("%s", line.decode(errors="replace").rstrip())
        else:
            os.write(terminal, line)


_HELD_BACK = _HeldBack()


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Hold back native start-up notes; lines of anyone else in this process are printed when the block ends.

    The notes go to this module's logger, at level DEBUG. Blocks may be open in several threads at once; then the lines
    are printed when the last one ends. A process that is started within a block inherits what holds the lines back: what
    it writes after the block is lost.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    block = object()
    try:
        _HELD_BACK.begin(block)
        yield
    finally:
        _HELD_BACK.end(block)


@functools.cache
def quiet_exit() -> None:
    """Close the standard error when the process has ended but for native libraries, which take their leave on it.

    Python's own exit, with its handlers and messages, comes before. Where the C library does not offer it, nothing is
    done.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        close = ctypes.cast(libc.close, ctypes.c_void_p)
        # The C library runs these last in, first out, so this one comes before LiteRT's, which registered earlier.
        libc.__cxa_atexit(close, ctypes.c_void_p(_STANDARD_ERROR), None)  # noqa: SLF001 - the C library's name
