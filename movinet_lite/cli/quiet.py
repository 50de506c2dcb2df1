"""Keeps what native libraries say of themselves from the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["import_tensorflow"]

_STANDARD_ERROR = 2


def import_tensorflow() -> None:
    """Import TensorFlow without the notes that it writes while it starts, whatever level of logs is set."""
    with _native_notes_kept():
        import tensorflow as tf  # noqa: F401 - only what it says meanwhile is of interest


@contextlib.contextmanager
def _native_notes_kept() -> Iterator[None]:
    """Keep what is written to the standard error; if the block fails, write it there after all."""
    if sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        terminal = os.dup(_STANDARD_ERROR)
        os.dup2(kept.fileno(), _STANDARD_ERROR)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(terminal, kept.read())
            raise
        finally:
            os.dup2(terminal, _STANDARD_ERROR)
            os.close(terminal)
