"""Which frames of a live stream are taken, and how they wait for whoever takes them."""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite.arrays import VideoFrame
from movinet_lite.live.frames import FrameQueue
from movinet_lite.live.sampling import FrameSampler


@given(
    rate=st.sampled_from([7.0, 12.5, 15.0, 24.0, 25.0, 29.97, 30.0, 60.0]),
    fps=st.sampled_from([1.0, 2.5, 5.0, 8.0, 12.0]),
    start_s=st.floats(0, 1000),
)
def test_the_rate_is_the_one_asked_for(rate, fps, start_s):
    """Of any stream that is faster, *fps* frames a second are taken, each within half a frame of its time."""
    sampler = FrameSampler(fps)
    times = [start_s + n / rate for n in range(int(rate * 20))]
    taken = [time_s for time_s in times if sampler.takes(time_s, 1 / rate)]

    wanted = min(fps, rate)
    assert len(taken) == pytest.approx(20 * wanted, abs=2)
    if fps < rate:
        for n, time_s in enumerate(taken):
            assert abs(time_s - (taken[0] + n / fps)) <= 0.5 / rate + 1e-6


@pytest.mark.parametrize("rate", [0.5, 2.0, 4.9, 5.0])
def test_a_slow_stream_gives_each_frame_once(rate):
    """Of a stream that is no faster than *fps* every frame is taken."""
    sampler = FrameSampler(5.0)

    assert all(sampler.takes(n / rate, 1 / rate) for n in range(50))


def test_frames_that_shake_about_their_time_are_taken():
    """A stream of the rate asked for loses nothing through time stamps that are off by a tenth of a frame."""
    sampler = FrameSampler(5.0)
    shaken = [n / 5 + (0.02 if n % 2 else -0.02) for n in range(100)]

    assert all(sampler.takes(time_s, 0.2) for time_s in shaken)


def test_a_gap_does_not_make_up_for_lost_frames():
    """After a gap frames are taken at the rate asked for, not faster."""
    sampler = FrameSampler(5.0)
    before = [n / 25 for n in range(50)]
    after = [100 + n / 25 for n in range(50)]
    taken = [time_s for time_s in before + after if sampler.takes(time_s, 0.04)]

    assert sum(time_s > 50 for time_s in taken) == 10


@given(fps=st.sampled_from([1.0, 5.0, 12.0]), rate=st.sampled_from([20.0, 25.0, 30.0]))
def test_no_frame_is_called_needless_that_is_taken(fps, rate):
    """What is taken in the end was said to be possible when its packet came, some frames earlier."""
    sampler = FrameSampler(fps)
    times = [n / rate for n in range(200)]
    possible = set()
    num_needless = 0
    for place, time_s in enumerate(times):
        for later_s in times[place : place + 3]:  # packets come ahead of frames
            if sampler.may_take(later_s, 1 / rate, in_order=False):
                possible.add(later_s)
        num_needless += time_s not in possible
        if sampler.takes(time_s, 1 / rate):
            assert time_s in possible
    assert num_needless > 50


def test_what_is_asked_for_in_order_is_exact():
    """Of frames asked for in their order, those that may be taken are those that are."""
    sampler = FrameSampler(5.0)
    for n in range(200):
        may_be = sampler.may_take(n / 24, 1 / 24, in_order=True)
        assert may_be == sampler.takes(n / 24, 1 / 24)


def test_a_clock_that_is_set_back_takes_frames_at_once():
    """Where times fall back, frames are taken from there on, at the rate asked for."""
    sampler = FrameSampler(5.0)
    times = [1000 + n / 25 for n in range(50)] + [n / 25 for n in range(50)]
    taken = [time_s for time_s in times if sampler.takes(time_s, 0.04)]

    assert sum(time_s < 500 for time_s in taken) == pytest.approx(10, abs=1)


class Clock:
    """A clock that is set by hand."""

    now_s = 0.0

    def __call__(self):
        """Return the time."""
        return self.now_s


def frame_at(time_s, index=0):
    """Return a small black frame."""
    return VideoFrame(np.zeros((2, 2, 3), np.uint8), time_s=time_s, index=index)


def test_a_late_consumer_gets_the_newest_frame():
    """A consumer that missed a frame is given the newest one that is there."""
    clock = Clock()
    queue = FrameQueue("newest", 5.0, clock)
    ages = []
    for n in range(100):
        clock.now_s = n / 5
        queue.put(frame_at(clock.now_s, n), lambda: True)
        if n % 3 == 2:
            clock.now_s += 0.19
            ages.append(clock.now_s - queue.take(0).time_s)

    assert max(ages) <= 0.19 + 1e-9
    assert queue.num_dropped >= 60


def test_a_consumer_that_missed_a_frame_gets_the_newest_one():
    """Once one frame was dropped, of several that are young enough only the newest is given; after it, all again."""
    clock = Clock()
    queue = FrameQueue("newest", 5.0, clock)
    for index, time_s in enumerate((0.0, 0.4, 0.5, 0.6)):
        clock.now_s = time_s
        queue.put(frame_at(time_s, index), lambda: True)

    assert (queue.take(0).index, queue.num_dropped) == (3, 3)
    for index, time_s in enumerate((0.7, 0.8), 4):
        clock.now_s = time_s
        queue.put(frame_at(time_s, index), lambda: True)
    assert [queue.take(0).index, queue.take(0).index] == [4, 5]


def test_two_frames_that_come_together_are_both_given():
    """Jitter that brings two frames in one moment loses neither."""
    clock = Clock()
    queue = FrameQueue("newest", 5.0, clock)
    clock.now_s = 0.4
    queue.put(frame_at(0.2), lambda: True)
    queue.put(frame_at(0.4), lambda: True)

    assert [queue.take(0).time_s, queue.take(0).time_s] == [0.2, 0.4]


def test_all_frames_are_kept_for_whoever_wants_all():
    """With "all" the thread that decodes waits, and nothing is dropped."""
    queue = FrameQueue("all", 5.0, lambda: 1e9)
    putting = threading.Thread(
        target=lambda: [queue.put(frame_at(n, n), lambda: True) for n in range(50)]
    )
    putting.start()
    taken = [queue.take(10).index for _ in range(50)]
    putting.join()

    assert taken == list(range(50))
    assert queue.num_dropped == 0


def test_a_closed_queue_keeps_nobody_waiting():
    """Whoever waits to put or to take goes on when the queue is closed."""
    queue = FrameQueue("all", None, lambda: 0.0)
    for _ in range(2):
        queue.put(frame_at(0.0), lambda: True)
    results = []
    putting = threading.Thread(
        target=lambda: results.append(queue.put(frame_at(0.0), lambda: True))
    )
    putting.start()
    queue.close(drop=True)
    putting.join(10)

    assert results == [False]
    assert queue.take(None) is None


def test_what_waits_when_a_source_is_over_can_be_taken():
    """The last frames of a recording are not lost with its end."""
    queue = FrameQueue("all", None, lambda: 0.0)
    queue.put(frame_at(1.0), lambda: True)
    queue.close(drop=False)

    assert queue.take(None).time_s == 1.0
    assert list(itertools.islice(iter(lambda: queue.take(None), None), 3)) == []
