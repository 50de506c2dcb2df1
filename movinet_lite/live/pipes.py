"""Reads standard input or a named pipe, and stops on request."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from typing import Final

__all__ = ["PipeReader"]

_LOOK_S: Final = 0.1
"""How often a waiting reader looks whether it is still wanted, in seconds."""


class PipeReader:
    """A file object for PyAV that waits for bytes no longer than it is wanted.

    On Windows, where pipes cannot be waited for, a read waits for as long as the pipe says nothing.

    Args:
        path: Of a named pipe, or ``"-"`` for standard input, which stays open.
        is_wanted: Whether to wait on.
    """

    def __init__(self, path: str, is_wanted: Callable[[], bool]) -> None:
        self._owns = path != "-"
        # A named pipe is opened without waiting for somebody to write to it.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
        self._descriptor = os.open(path, flags) if self._owns else sys.stdin.fileno()
        self._is_wanted = is_wanted
        self._has_begun = False
        self.name = path

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes as soon as there are some; none at the end, or when they are no longer wanted."""
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
            # Nobody has opened the other end yet: select calls that ready.
            select.select([], [], [], _LOOK_S)
            return None
        return data

    def close(self) -> None:
        """Close a named pipe; standard input stays open."""
        if self._owns:
            os.close(self._descriptor)
            self._owns = False
