"""Turns what TensorFlow raises into the library's errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from movinet_lite.errors import ModelError, said_by

__all__ = ["foreign_errors"]


@contextlib.contextmanager
def foreign_errors(tf: Any, what: str, source: str) -> Iterator[None]:
    """Convert errors of TensorFlow in the block to a `ModelError`: the model does not accept *what*."""
    try:
        yield
    except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise ModelError(
            f"the model does not take {what}; TensorFlow says: {said_by(error)}",
            source,
        ) from error
