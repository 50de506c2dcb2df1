"""Temperature scaling and the expected calibration error, against searches and counts of their own."""

import numpy as np
import pytest

from movinet_lite import ArrayError, DataError
from movinet_lite.training.calibration import (
    fit_temperature,
    mean_nll,
    reliability,
)


def answers(temperature, *, num_examples=2000, seed=0, num_classes=6):
    """Return logits that say too much or too little, and classes drawn as the scores at *temperature* say."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (num_examples, num_classes))
    scores = np.exp(logits / temperature)
    scores /= scores.sum(1, keepdims=True)
    drawn = (rng.random((num_examples, 1)) > scores.cumsum(1)).sum(1)
    return logits, drawn


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_is_found_again(temperature):
    """Classes drawn at a temperature give it back, within what chance moves it."""
    logits, targets = answers(temperature)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_temperature_fits_better(seed):
    """It is the one with the smallest negative log-likelihood of a fine grid, and the same every time."""
    logits, targets = answers(1.7, num_examples=60, seed=seed)
    found = fit_temperature(logits.astype(np.float32), targets)
    grid = np.geomspace(0.05, 20, 4001)
    losses = [mean_nll(logits.astype(np.float32), targets, temperature=t) for t in grid]
    assert found == pytest.approx(grid[np.argmin(losses)], rel=2e-3)
    assert mean_nll(logits.astype(np.float32), targets, temperature=found) <= min(
        losses
    )
    assert fit_temperature(logits.astype(np.float32), targets) == found


def test_large_logits_do_not_overflow():
    """Logits of hundreds, sure and often wrong, still give the temperature of the same logits made small."""
    logits, targets = answers(1.0)
    assert fit_temperature(logits * 15, targets) == pytest.approx(
        15 * fit_temperature(logits, targets), rel=1e-6
    )


@pytest.mark.parametrize(
    ("logits", "targets", "error", "message"),
    [
        ([[2.0, 0.0]] * 9, [0] * 8 + [1], DataError, "at least 10 examples .* got 9"),
        ([[2.0, 0.0]] * 12, [0] * 12, DataError, "every prediction is correct"),
        ([[900.0, 0.0]] * 12, [0] * 12, DataError, "every prediction is correct"),
        ([[2.0, 0.0]] * 12, [1] * 12, DataError, "not better than chance on them"),
        ([[2.0, np.nan]] * 12, [1] * 12, ArrayError, "finite numbers of shape"),
        ([[2.0]] * 12, [0] * 12, ArrayError, "at least two classes"),
        ([[2.0, 0.0]] * 12, [0] * 11, ArrayError, "each of the 12 examples"),
        ([[2.0, 0.0]] * 12, [2] * 12, ArrayError, "the place of a class"),
        ([[2.0, 0.0]] * 12, [0.0] * 12, ArrayError, "got float64"),
    ],
)
def test_what_tells_no_temperature_is_refused(logits, targets, error, message):
    """Too few examples, all of them right, none better than chance, or no logits at all."""
    with pytest.raises(error, match=message):
        fit_temperature(logits, targets)


def test_the_error_is_the_one_counted_by_hand():
    """Four predictions in three bins: 0.9 said and all right, 0.5 said and half right, 0.2 said and none right."""
    found = reliability([0.9, 0.5, 0.5, 0.2], [True, True, False, False])
    assert found.ece == pytest.approx((0.1 + 2 * 0.0 + 0.2) / 4)
    assert found.counts.sum() == 4
    assert len(found.counts) == 15
    assert np.nanmax(found.accuracy) == 1.0
    assert np.isnan(found.accuracy[found.counts == 0]).all()


def test_a_score_on_an_edge_belongs_to_the_bin_below():
    """As Guo et al. define them; 0 belongs to the first and 1 to the last."""
    found = reliability([0.0, 0.5, 1.0], [False, True, True], num_bins=2)
    assert found.counts.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("scores", "is_right", "options", "message"),
    [
        ([], [], {}, "at least one"),
        ([0.5], [True, False], {}, "shapes"),
        ([1.5], [True], {}, "between 0 and 1; got 1.5"),
        ([np.nan], [True], {}, "between 0 and 1"),
        ([0.5], [True], {"num_bins": 0}, "at least 1; got 0"),
    ],
)
def test_what_are_no_scores_is_refused(scores, is_right, options, message):
    """Each with a message that says what came."""
    with pytest.raises(ArrayError, match=message):
        reliability(scores, is_right, **options)
