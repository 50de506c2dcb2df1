"""Learning rates and weights of classes and frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite.training.schedule import (
    balanced_weights,
    frame_weights,
    learning_rate_at,
    norm_momentum_for,
)


@given(num_steps=st.integers(1, 300), share=st.floats(0, 1))
def test_the_learning_rate_rises_then_falls(num_steps, share):
    """It rises to its peak within the warm-up, never exceeds it, and falls from there on, to nearly 0."""
    warmup = int(share * num_steps)
    rates = [
        learning_rate_at(step, peak=0.5, warmup_steps=warmup, num_steps=num_steps)
        for step in range(num_steps)
    ]
    assert all(0 < rate <= 0.5 for rate in rates)
    assert max(rates) == pytest.approx(0.5)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    if num_steps - warmup > 20:
        assert rates[-1] < 0.01


def test_more_steps_than_planned_learn_nothing():
    """Where videos were skipped, say, the last steps find a rate of 0."""
    assert learning_rate_at(12, peak=1.0, warmup_steps=0, num_steps=10) == 0.0


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_balanced_classes_count_the_same(counts):
    """Weight times count is the same for every class, and examples count 1 on average."""
    totals = balanced_weights(counts) * np.array(counts)
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    assert totals.sum() == pytest.approx(sum(counts), rel=1e-5)


@given(st.integers(1, 200))
def test_later_frames_count_more(num_frames):
    """Each frame counts more than the one before, and all together 1."""
    weights = frame_weights(num_frames)
    assert weights.sum() == pytest.approx(1, rel=1e-5)
    assert (np.diff(weights) > 0).all()
    assert (weights > 0).all()


@given(st.integers(1, 50), st.integers(0, 100))
def test_frames_that_come_after_a_whole_clip_count_the_same(num_frames, before):
    """Within a stream a frame counts as much as its place says, up to the length of a clip."""
    weights = frame_weights(num_frames, first=before + 1)
    stream = frame_weights(num_frames, last=before + num_frames)
    part = stream[before:]
    np.testing.assert_allclose(weights, part / part.sum(), rtol=1e-5)
    assert len(stream) == before + num_frames
    np.testing.assert_allclose(stream[num_frames:], stream[num_frames - 1], rtol=1e-6)


@given(st.integers(1, 100_000))
def test_statistics_average_over_a_tenth_of_a_short_training(num_steps):
    """What a batch norm keeps over a tenth of the training is little; a long training has the usual momentum."""
    momentum = norm_momentum_for(num_steps, usual=0.99)
    assert 0 <= momentum <= 0.99
    assert momentum**num_steps < 1e-4
    assert (momentum == 0.99) == (num_steps >= 1000)
