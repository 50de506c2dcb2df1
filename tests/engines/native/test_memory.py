"""Memory for machine code."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from movinet_lite.engines.native.memory import ALIGNMENT, address_of, aligned_zeros
from tests.forking import fork

SIZES = [0, 1, 63, 64, 1000, 2**20 - 1, 2**20, 2**22 + 4]
"""Small ones, and those that huge pages are asked for."""


@pytest.mark.parametrize("size", SIZES)
def test_memory_is_zeros_at_a_whole_vector(size):
    """Memory is so many bytes, all zero, writable, and begins where a vector may."""
    found = aligned_zeros(size)
    assert (found.shape, found.dtype) == ((size,), np.uint8)
    assert address_of(found) % ALIGNMENT == 0
    assert not found.any()
    found[:] = 1
    assert found.sum() == size


def test_pieces_do_not_overlap():
    """Each piece of memory is its own."""
    pieces = [aligned_zeros(size) for size in SIZES]
    for number, piece in enumerate(pieces):
        piece[:] = number
    for number, piece in enumerate(pieces):
        assert (piece == number).all()


def test_memory_stays_as_long_as_it_is_used():
    """A part of memory keeps the whole."""
    part = aligned_zeros(2**21)[2**20 :][:10]
    others = [aligned_zeros(2**21) for _ in range(4)]
    for other in others:
        other[:] = 1
    assert not part.any()


def test_too_little_memory_is_a_memory_error():
    """A limit of the system is reported like that of any array, with the size."""
    with pytest.raises(MemoryError, match=r"Unable to allocate 1\.00 EiB"):
        aligned_zeros(2**60)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("size", [1000, 2**22])
def test_a_forked_process_has_memory_of_its_own(size):
    """What a forked process writes does not show here: else its streams would change those of this process."""
    found = aligned_zeros(size)
    child = fork()
    if not child:
        found[:] = 1
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not found.any()
