"""Keeps log lines of native libraries off the terminal while a command runs.

TensorFlow and LiteRT write notes about missing GPUs and chosen kernels straight to the file descriptor of the standard
error, below Python, where no setting reaches all of them. Only the command line redirects that descriptor: it is the
process. Python's own standard error goes to the terminal directly, so that a progress bar or a traceback is seen at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator

__all__ = ["native_notes_held_back", "quiet_exit"]

_LOG = logging.getLogger(__name__)
_STANDARD_ERROR = 2

# How the lines of the logging libraries of TensorFlow (absl, XLA) and of LiteRT begin. They name a file of C++; the line
# of an application that begins with a level alone is its own.
_NOTE = re.compile(
    rb"^(WARNING: (All log messages|Logging) before "
    rb"|(INFO|WARNING|VERBOSE): (\[[\w./]+\.(cc|cpp|h):\d+\]|Created TensorFlow Lite|Replacing \d+ out of \d+ node)"
    rb"|[IWE]\d{4} [\d:. ]+ [\w./]+\.(cc|cpp|h):\d+\]"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] [\w./]+\.(cc|cpp|h):\d+\]"
    rb"|\xe2\x94\x94 "  # continuation of LiteRT's last line
    rb"|To enable the following instructions: )"
)

_END = b"\0end of the command\0\n"
"""What the command itself writes last, after its native libraries."""


@contextlib.contextmanager
def native_notes_held_back() -> Iterator[None]:
    """Suppress the notes of native libraries on standard error until the block ends; pass on all other lines.

    The notes go to this module's logger, at level DEBUG. Where there is no standard error, as in a service, nothing is
    done.
    """
    with contextlib.ExitStack() as undo:
        try:
            terminal = os.dup(_STANDARD_ERROR)
        except OSError:
            yield
            return
        undo.callback(os.close, terminal)
        _give_python_its_own(terminal, undo)
        _hold_absl_back(undo)
        source, sink = os.pipe()
        is_passed_on = threading.Event()
        reader = threading.Thread(
            target=_pass_on,
            args=(source, terminal, is_passed_on),
            name="native notes",
            daemon=True,
        )
        reader.start()
        # A running child process keeps the pipe open, so that it has no end; its later output is not awaited.
        undo.callback(is_passed_on.wait)
        undo.callback(os.dup2, terminal, _STANDARD_ERROR)
        os.dup2(sink, _STANDARD_ERROR)
        undo.callback(os.write, _STANDARD_ERROR, _END)
        os.close(sink)
        yield


def _give_python_its_own(terminal: int, undo: contextlib.ExitStack) -> None:
    """Let Python write to *terminal* itself, where it would have written to the descriptor that is redirected."""
    theirs = sys.stderr
    try:
        is_standard = theirs.fileno() == _STANDARD_ERROR
    except (AttributeError, OSError, ValueError):  # none, closed, or no file
        is_standard = False
    if not is_standard:
        return
    theirs.flush()
    # Loggers may keep the file beyond the block, so it stays open on its own descriptor.
    own = open(  # noqa: SIM115 - see above
        os.dup(terminal),
        "w",
        buffering=1,
        encoding=theirs.encoding,
        errors=theirs.errors,
        closefd=False,
    )
    undo.callback(setattr, sys, "stderr", theirs)
    undo.callback(own.flush)
    sys.stderr = own


def _hold_absl_back(undo: contextlib.ExitStack) -> None:
    """Suppress TensorFlow's output through absl's Python logger: a line for each operation of some SavedModels.

    absl makes a logger of a class of its own, and a handler for the root logger if that has none; both are left to it.
    """
    if logging.root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    handler.addFilter(
        lambda record: record.name != "absl" or record.levelno >= logging.ERROR
    )
    logging.root.addHandler(handler)
    undo.callback(logging.root.removeHandler, handler)


def _pass_on(source: int, terminal: int, is_passed_on: threading.Event) -> None:
    """Write to *terminal* what comes from *source*, but for the notes; set *is_passed_on* at `_END`."""
    try:
        with open(source, "rb") as lines:
            for whole in lines:
                line = whole.removesuffix(_END)
                if _NOTE.match(line):
                    _LOG.debug("%s", line.decode(errors="replace").rstrip())
                elif line:
                    with contextlib.suppress(OSError):  # the terminal has gone
                        os.write(terminal, line)
                if line != whole:
                    is_passed_on.set()
    finally:
        is_passed_on.set()


@functools.cache
def quiet_exit() -> None:
    """Close standard error at the very end of the process, before native libraries print their last lines.

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
