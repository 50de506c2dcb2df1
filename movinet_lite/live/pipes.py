"""Reads standard input or a named pipe, and stops on request."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from typing import Final

__all__ = ["PipeReader"]

_LOOK_S: Final = 0.1
"""Polling interval of a waiting reader, in seconds."""


class PipeReader:
    """A file object for PyAV whose reads can be interrupted.

    On Windows, where pipes cannot be polled, a read blocks until data arrives.

    Args:
        path: The path of a named pipe, or ``"-"`` for standard input, which is not closed.
        is_wanted: Returns whether to continue waiting.
    """

    def __init__(self, path: str, is_wanted: Callable[[], bool]) -> None:
        self._owns = path != "-"
        # A named pipe is opened without waiting for a writer.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
        self._descriptor = os.open(path, flags) if self._owns else sys.stdin.fileno()
        self._is_wanted = is_wanted
        self._has_begun = False
        self.name = path

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes as soon as some are available; none at the end, or if no longer wanted."""
        while self._is_wanted():
            if sys.platform != "win32":
                ready, _, _ = select.select([self._descriptor], [], [], _LOOK_S)
                if not ready:
                    continue
            data = self._read(size)
            if data is not None:
                return data
        return b""

    def _read(self, size: int) -> bytes | None:
        try:
            data = os.read(self._descriptor, size)
        except BlockingIOError:
            return None
        self._has_begun = self._has_begun or bool(data)
        if not data and self._owns and not self._has_begun:
            # The other end is not open yet, which select reports as ready.
            select.select([], [], [], _LOOK_S)
            return None
        return data

    def close(self) -> None:
        """Close a named pipe; standard input is not closed."""
        if self._owns:
            os.close(self._descriptor)
            self._owns = False
