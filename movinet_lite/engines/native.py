"""Asks TensorFlow and LiteRT to be quiet while they start, with the one knob that both offer.

Some of their notes about missing GPUs and chosen kernels go straight to the file descriptor of the standard error before
that knob is read. They stay: the descriptor belongs to the process. The command line, which is the process, holds them
back (`movinet_lite.cli.quiet`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["quiet_start"]


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Set ``TF_CPP_MIN_LOG_LEVEL`` to errors alone, unless the application has set it, before a library starts within.

    TensorFlow and LiteRT read the variable once, when they are first imported; what the application sets stays.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    yield
