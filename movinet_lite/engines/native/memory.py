"""Memory for machine code: aligned to vectors, and on huge pages where the system has them."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIGNMENT", "address_of", "aligned_zeros"]

ALIGNMENT: Final = 64
"""Bytes: a vector of AVX-512, a line of the cache."""

_HUGE_PAGE: Final = 2**21
_SMALLEST: Final = 2**20
"""Bytes of memory for which huge pages pay: a network reads and writes all of it in every step."""


def aligned_zeros(size: int) -> NDArray[np.uint8]:
    """Return so many zeros that begin at a multiple of `ALIGNMENT`.

    Raises:
        MemoryError: If the system has no more memory, or lets the process have no more.
    """
    if size >= _SMALLEST and hasattr(mmap, "MADV_HUGEPAGE"):
        # A system that gives no such memory may give usual memory; if not, NumPy's error says how much was asked for.
        with contextlib.suppress(OSError):
            return _huge_zeros(size)
    whole = np.zeros(size + ALIGNMENT, np.uint8)
    return whole[-address_of(whole) % ALIGNMENT :][:size]


def _huge_zeros(size: int) -> NDArray[np.uint8]:
    """Return so many zeros that begin at a multiple of a huge page, on huge pages where the system has them."""
    # Private: a forked process gets a copy, not the same memory; and shared memory mostly gets no huge pages.
    kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    pages = mmap.mmap(-1, size + 2 * _HUGE_PAGE, flags=kind)
    with contextlib.suppress(OSError):  # a system without them: usual pages do as well
        pages.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(pages, np.uint8)
    return whole[-address_of(whole) % _HUGE_PAGE :][:size]


def address_of(array: NDArray[Any]) -> int:
    """Return the address of the first element of *array*."""
    address: int = array.__array_interface__["data"][0]
    return address
