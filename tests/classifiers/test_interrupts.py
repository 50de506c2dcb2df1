"""Ctrl-C at any place of a step leaves sessions that can be used, all before or all after it."""

import contextlib
import itertools
import sys

import numpy as np
import pytest

from movinet_lite import StreamingClassifier, step_many
from movinet_lite.testing import FakeStreamModel

COUNT = "state/head/pool_frame_count"
FRAMES = np.random.default_rng(0).integers(0, 255, (5, 8, 6, 3), np.uint8)


def interrupt(work, number):
    """Call *work*, raise `KeyboardInterrupt` at the place of that *number*, and return whether there was one.

    The places are those where CPython looks for signals and code is ours: the begin of a function, and the return of one
    written in C.
    """
    places = itertools.count()
    interrupted = False

    def watch(frame, event, _argument):
        nonlocal interrupted
        ours = frame.f_globals.get("__name__", "").startswith(
            ("movinet_lite.classifiers", "contextlib")
        )
        if ours and event in {"call", "c_return"} and next(places) == number:
            interrupted = True
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(watch)
    try:
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.setprofile(None)
    return interrupted


def run(sessions):
    """Take some predictions of a run that calls the model twice."""
    with contextlib.closing(sessions[0].run(FRAMES, frames_per_call=3)) as predictions:
        for _ in itertools.islice(predictions, 4):
            pass


def restore(sessions):
    """Assign states."""
    sessions[0].states = sessions[0].states


@pytest.mark.parametrize(
    ("work", "moves"),
    [
        (lambda sessions: sessions[0].step(FRAMES[1]), {0, 1}),
        (lambda sessions: step_many(sessions, list(FRAMES[1:4])), {0, 3}),
        (run, {0, 1, 2, 3, 4}),
        (restore, {0}),
        (lambda sessions: sessions[0].reset(), {0, -1}),
    ],
    ids=["step", "step_many", "run", "states", "reset"],
)
def test_an_interrupt_leaves_sessions_whole(work, moves):
    """No session is locked, none is torn: its states are those of the frames that it counts."""
    model = FakeStreamModel()
    seen = set()
    for number in itertools.count():
        sessions = [StreamingClassifier(model) for _ in range(3)]
        for session in sessions:
            session.step(FRAMES[0])
        interrupted = interrupt(lambda sessions=sessions: work(sessions), number)

        assert [session.states[COUNT][0] for session in sessions] == [
            session.num_frames for session in sessions
        ]
        seen.add(sum(session.num_frames for session in sessions) - 3)
        for session in sessions:
            before = session.num_frames
            assert session.step(FRAMES[4]).frame_index == before
        if not interrupted:
            break
    assert number > 5
    assert seen <= moves
    assert max(seen, key=abs) == max(moves, key=abs)
