"""The times of live frames: what jitter, bursts, drift and clocks that are set anew make of them."""

import itertools
import random

import pytest

from movinet_lite.live.backoff import pause_s
from movinet_lite.live.clock import LiveClock, PacedClock


def times_of(clock, stamps_and_arrivals):
    """Return the time of each frame at the moment when it comes."""
    times = []
    for stamp_s, now_s in stamps_and_arrivals:
        clock.observe(stamp_s, now_s)
        times.append(clock.time_s(stamp_s))
    return times


def test_jitter_does_not_show():
    """Frames that come up to 300 ms late get the times at which they were taken, evenly apart."""
    draw = random.Random(1)  # noqa: S311 - no secret
    came = [(100 + n / 25, 5 + n / 25 + draw.uniform(0, 0.3)) for n in range(500)]
    times = times_of(LiveClock(), came)

    steps = [b - a for a, b in itertools.pairwise(times[250:])]
    assert max(abs(step - 0.04) for step in steps) < 1e-6
    assert 0 <= times[-1] - (5 + 499 / 25) < 0.02


def test_nothing_comes_from_the_future():
    """A burst at the beginning, as of a server that sends what it had stored, ends at the present."""
    burst = [(n / 25, 1.0 + n / 1000) for n in range(100)]
    times = times_of(LiveClock(), burst)

    assert all(
        time_s <= now_s + 1e-9 for time_s, (_, now_s) in zip(times, burst, strict=True)
    )
    assert times[-1] == pytest.approx(1.099)


def test_a_clock_that_drifts_is_followed():
    """A camera whose clock is 100 parts in a million slow is no more than 20 ms late after six hours."""
    clock = LiveClock()
    for second in range(6 * 3600):
        clock.observe(second * (1 - 100e-6), float(second))

    late_s = 6 * 3600 - 1 - clock.time_s((6 * 3600 - 1) * (1 - 100e-6))
    assert 0 <= late_s < 0.02


@pytest.mark.parametrize(
    "clock", [LiveClock(), PacedClock(may_jump=True, is_live=True)]
)
@pytest.mark.parametrize("jump_s", [-5000.0, 5000.0])
def test_a_clock_that_is_set_anew_is_followed(clock, jump_s):
    """Where time stamps jump, times go on."""
    times = times_of(clock, [(50.0, 1.0), (50.04, 1.04), (50.08 + jump_s, 1.08)])

    assert times == pytest.approx([1.0, 1.04, 1.08])


def test_a_recording_is_shown_at_its_own_pace():
    """Each frame waits until as much time has passed as its time stamp says."""
    clock = PacedClock(may_jump=False, is_live=False)
    clock.observe(10.0, 2.0)
    clock.observe(12.5, 2.1)

    assert clock.time_s(12.5) == pytest.approx(4.5)
    assert clock.wait_s(4.5, 2.1) == pytest.approx(2.4)
    assert clock.wait_s(4.5, 9.0) == 0.0


def test_segments_that_come_too_late_are_not_caught_up_with():
    """A stream in segments that ran dry goes on at its pace; a recording catches up."""
    late = [(0.0, 0.0), (1.0, 4.0)]

    assert times_of(PacedClock(may_jump=False, is_live=True), late) == [0.0, 4.0]
    assert times_of(PacedClock(may_jump=False, is_live=False), late) == [0.0, 1.0]


def test_pauses_grow_and_differ():
    """Pauses double to half a second, grow with a long outage to ten, and no two cameras come back together."""
    assert all(0.05 <= pause_s(1, 0.1) <= 0.1 for _ in range(100))
    assert all(0.25 <= pause_s(9, 5.0) <= 0.5 for _ in range(100))
    assert all(1.5 <= pause_s(99, 60.0) <= 3.0 for _ in range(100))
    assert all(5.0 <= pause_s(9999, 86_400.0) <= 10.0 for _ in range(100))
    assert len({pause_s(5, 3.0) for _ in range(20)}) > 10


def test_a_wrong_password_is_not_tried_often():
    """A camera that refuses a login is asked again after ten seconds at the earliest."""
    assert pause_s(1, 0.0, is_refused=True) == 10.0
