"""Cuts are found where the scene changes, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite.classifiers.cuts import is_cut, novelty, thumbnail


@pytest.mark.parametrize("size", [(8, 8), (8, 6), (3, 20), (172, 172), (33, 70)])
def test_a_thumbnail_keeps_the_colour(size):
    """A frame of one colour has blocks of this colour, whatever its size."""
    colour = np.array([0.25, 0.5, 1.0], np.float32)

    found = thumbnail(np.broadcast_to(colour, (*size, 3)).copy())

    assert found.shape == (192,)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.tile(colour, 64), rtol=1e-6)


def test_a_thumbnail_is_the_mean_of_each_block():
    """Each number is the mean of its block, row by row."""
    frame = np.random.default_rng(0).random((24, 40, 3)).astype(np.float32)
    blocks = [
        frame[3 * i : 3 * i + 3, 5 * j : 5 * j + 5].mean((0, 1))
        for i in range(8)
        for j in range(8)
    ]

    np.testing.assert_allclose(thumbnail(frame), np.concatenate(blocks), rtol=1e-5)


@given(st.integers(0, 9), st.integers(1, 9))
def test_novelty_is_the_distance_to_the_nearest(index, count):
    """A frame seen lately is not new; the first of all is not either."""
    last = np.random.default_rng(count).random((count, 192)).astype(np.float32)

    assert novelty(last[index % count], last) == 0
    assert novelty(last[0], last[:0]) == 0
    assert novelty(last[0] + 0.5, last[:1]) == pytest.approx(0.5, rel=1e-5)


def test_a_cut_is_far_from_all_that_was_seen():
    """The threshold, the usual novelty and the last cut each hold it back."""
    quiet = np.full(20, 0.01, np.float32)

    assert is_cut(0.3, quiet, quiet[-5:])
    assert not is_cut(0.05, quiet, quiet[-5:])
    assert not is_cut(0.3, np.full(20, 0.2, np.float32), quiet[-5:])
    assert not is_cut(0.3, quiet, np.array([0.01, 0.4], np.float32))
    assert not is_cut(0.3, quiet[:0], quiet[:0])
