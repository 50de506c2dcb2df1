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

__all__ = ["quiet_exit", "quiet_start"]

_LOG = logging.getLogger(__name__)
_ONE_AT_A_TIME = threading.RLock()
_STANDARD_ERROR = 2

# What the logging libraries of TensorFlow (absl, XLA) and LiteRT (tflite) begin their lines with.
_CHATTER = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog"
    rb"|(INFO|WARNING|VERBOSE): "
    rb"|[IWE]\d{4} \d\d:\d\d:\d\d"
    rb"|[IWE]\d{4} \d{10,}"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "
    rb"|\xe2\x94\x94 "  # LiteRT goes on with its last line
    rb"|To enable the following instructions"
    rb"|\s*$)"
)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Hold back native start-up notes; lines of anyone else are printed when the block ends.

    The notes go to this module's logger, at level DEBUG.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _ONE_AT_A_TIME, tempfile.TemporaryFile() as kept:
        try:
            terminal = os.dup(_STANDARD_ERROR)
        except OSError:  # no standard error, as in a service
            yield
            return
        try:
            os.dup2(kept.fileno(), _STANDARD_ERROR)
            yield
        finally:
            os.dup2(terminal, _STANDARD_ERROR)
            kept.seek(0)
            for line in kept:
                if _CHATTER.match(line):
                    _LOG.debug("%s", line.decode(errors="replace").rstrip())
                else:
                    os.write(terminal, line)
            os.close(terminal)


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
