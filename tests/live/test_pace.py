"""The rate of all cameras falls with the work there is, and rises again."""

import pytest

from movinet_lite.live.pace import Pace


def run(pace, *, start_s, seconds, cost_s, cameras=10, fps=5.0, cores=1.0, late_s=0.0):
    """Let a loop work for *seconds*, where a frame takes *cost_s*; return the rates that were set."""
    rates = []
    for second in range(seconds):
        frames = round(cameras * fps * pace.load.rate)
        frames = min(frames, int(cores / cost_s))
        pace.worked(frames * cost_s, frames)
        pace.update(start_s + second + 1.0, frames_per_s=cameras * fps, late_s=late_s)
        rates.append(pace.load.rate)
    return rates


def test_full_rate_where_the_machine_keeps_up():
    """A machine that is busy for half of its time watches at the full rate."""
    pace = Pace(0.0)

    assert set(run(pace, start_s=0.0, seconds=20, cost_s=0.01)) == {1.0}
    assert pace.load.needed == pytest.approx(0.5)
    assert not pace.load.overloaded


def test_rate_falls_to_what_the_machine_can_do():
    """With twice as much to do as it can, the rate falls below a half at once and stays there."""
    pace = Pace(0.0)
    rates = run(pace, start_s=0.0, seconds=20, cost_s=0.04)

    assert rates[0] < 0.5
    assert min(rates) > 0.35
    assert max(rates) < 0.5
    assert pace.load.overloaded
    assert pace.load.needed == pytest.approx(2.0)


def test_rate_rises_again_by_steps():
    """Once there is less to do, the rate rises by a tenth at most a second, up to the full one."""
    pace = Pace(0.0)
    low = run(pace, start_s=0.0, seconds=5, cost_s=0.04)[-1]
    rates = run(pace, start_s=5.0, seconds=20, cost_s=0.01)

    assert rates[0] == pytest.approx(low * 1.1)
    assert rates == sorted(rates)
    assert rates[-1] == 1.0


def test_rate_does_not_swing_near_the_limit():
    """Work that takes nearly all of the time leaves the rate where it is."""
    pace = Pace(0.0)

    assert set(run(pace, start_s=0.0, seconds=20, cost_s=0.018)) == {1.0}


def test_cameras_that_are_later_and_later_lower_the_rate():
    """Where decoding is too slow, the rate falls as long as the lag grows, and rises once it is gone."""
    pace = Pace(0.0)
    rates = [
        run(pace, start_s=i, seconds=1, cost_s=0.01, late_s=2.0 + i)[0]
        for i in range(3)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.6
    assert pace.load.overloaded

    held = run(pace, start_s=3.0, seconds=5, cost_s=0.01, late_s=4.0)
    assert set(held) == {rates[-1]}
    assert run(pace, start_s=8.0, seconds=20, cost_s=0.01)[-1] == 1.0


def test_a_lag_that_inference_has_no_part_in_lowers_no_rate():
    """Where the model takes hardly any time, a lower rate would not help; that decoding is late is said."""
    pace = Pace(0.0)
    rates = [
        run(pace, start_s=i, seconds=1, cost_s=0.001, late_s=2.0 + i)[0]
        for i in range(5)
    ]

    assert set(rates) == {1.0}
    assert pace.load.overloaded


def test_nothing_to_do_returns_to_the_full_rate():
    """After all cameras went away, the next one is watched at its full rate within a minute."""
    pace = Pace(0.0)
    run(pace, start_s=0.0, seconds=5, cost_s=0.5)

    assert run(pace, start_s=5.0, seconds=60, cost_s=0.01, cameras=0)[-1] == 1.0


def test_the_rate_changes_once_a_second():
    """Looks within the same second change nothing."""
    pace = Pace(0.0)
    pace.worked(1.0, 1)

    assert not pace.update(0.5, frames_per_s=50.0, late_s=0.0)
    assert pace.load.rate == 1.0
    assert pace.update(1.0, frames_per_s=50.0, late_s=0.0)
    assert pace.load.rate < 1.0
