"""What a session does for streams that go on: its horizon, gaps in time, scene cuts, and how far an answer looks back."""

import re

import numpy as np
import pytest

from movinet_lite import (
    ArrayError,
    SessionError,
    StreamingClassifier,
    VideoFrame,
    read_frames,
    step_many,
)
from movinet_lite.testing import FakeStreamModel
from tests.classifiers.test_horizon import MeanModel, _clip

LABELS = ("red", "green", "blue")


def _session(**options):
    return StreamingClassifier(MeanModel(), LABELS, fps=5.0, **options)


def _timed(frames, times_s):
    return [
        VideoFrame(pixels=pixels, time_s=time_s, index=index)
        for index, (pixels, time_s) in enumerate(zip(frames, times_s, strict=True))
    ]


def _labels(predictions):
    return [prediction.label for prediction in predictions]


@pytest.mark.parametrize("way", ["step", "run", "step_many"])
def test_a_session_sees_what_follows_a_long_action(way):
    """By default, however it is stepped; without a horizon it does not."""
    frames = _clip((0, 150), (1, 20))
    bounded, published = _session(), _session(horizon_s=None)
    if way == "run":
        found = list(bounded.run(frames))
    elif way == "step":
        found = [bounded.step(frame) for frame in frames]
    else:
        other = bounded.new_session()
        found = [step_many([bounded, other], [frame, frame])[1] for frame in frames]

    assert _labels(found)[:150] == ["red"] * 150
    assert _labels(found)[156:] == ["green"] * 14
    assert _labels(published.run(frames))[150:] == ["red"] * 20


@pytest.mark.parametrize("way", ["step", "run"])
def test_a_prediction_says_how_many_frames_it_looks_back_on(way):
    """All frames at first, never many more than two horizons, and few after a change."""
    frames = _clip((0, 400), (1, 20))
    session = _session(horizon_s=4.0)
    found = (
        list(session.run(frames))
        if way == "run"
        else [session.step(frame) for frame in frames]
    )
    seen = [prediction.frames_seen for prediction in found]

    assert seen[:20] == list(range(1, 21))
    assert max(seen) <= 48
    assert seen[-1] <= 20
    assert [prediction.frame_index for prediction in found] == list(range(420))
    published = [one.frames_seen for one in _session(horizon_s=None).run(frames)]
    assert published == list(range(1, 421))


def test_the_horizon_is_as_long_as_the_training_clips():
    """Of a model that does not tell, ten seconds; else what was asked for."""
    assert _session().horizon_s == 10.0
    assert _session(horizon_s=4).horizon_s == 4.0
    assert _session(horizon_s=None).horizon_s is None
    assert _session(horizon_s=7).new_session().horizon_s == 7.0
    assert StreamingClassifier.load("demo").horizon_s == pytest.approx(3.2)


@pytest.mark.parametrize("horizon_s", [0, -1, float("nan"), "long"])
def test_an_impossible_horizon_is_refused(horizon_s):
    """The message says what may stand there."""
    with pytest.raises(ArrayError, match=r"horizon_s \(or 'auto', or None\) must be"):
        _session(horizon_s=horizon_s)


@pytest.mark.parametrize("horizon_s", [1e8, 1e308])
def test_a_horizon_beyond_any_stream_is_refused(horizon_s):
    """As many frames cannot be counted; None looks back for ever."""
    with pytest.raises(ArrayError, match=r"horizon_s must be at most 1e\+07; .*None"):
        _session(horizon_s=horizon_s)


@pytest.mark.parametrize("fps", [1001, 1e308])
def test_a_rate_beyond_any_camera_is_refused(fps):
    """More frames per second than a session can keep of the last seconds are one clear error."""
    with pytest.raises(
        ArrayError, match=re.escape(f"fps must be at most 1000; got {fps}")
    ):
        StreamingClassifier(FakeStreamModel(), fps=fps)


@pytest.mark.parametrize("max_gap_s", [0, -2.0, float("inf")])
def test_an_impossible_gap_is_refused(max_gap_s):
    """As every number of seconds."""
    with pytest.raises(ArrayError, match="max_gap_s must be a number above 0"):
        _session(max_gap_s=max_gap_s)


@pytest.mark.parametrize("horizon_s", [None, 10.0])
@pytest.mark.parametrize("way", ["step", "run", "step_many"])
def test_a_gap_in_time_starts_the_stream_anew(way, horizon_s):
    """The frame after it is the first of its stream, whatever the way; frames are counted on."""
    frames = _clip((0, 30), (1, 10))
    times_s = [index / 5 + (60.0 if index >= 30 else 0.0) for index in range(40)]
    session = _session(max_gap_s=2.0, horizon_s=horizon_s)
    if way == "run":
        found = list(session.run(_timed(frames, times_s)))
    elif way == "step":
        found = [session.step(frame) for frame in _timed(frames, times_s)]
    else:
        found = [
            step_many([session], [frame], times_s=[time_s])[0]
            for frame, time_s in zip(frames, times_s, strict=True)
        ]

    assert _labels(found) == ["red"] * 30 + ["green"] * 10
    assert [one.frames_seen for one in found] == [*range(1, 31), *range(1, 11)]
    assert [one.frame_index for one in found] == list(range(40))
    assert [one.time_s for one in found] == times_s
    after = _session(horizon_s=None)
    for one, frame in zip(found[30:], frames[30:], strict=True):
        np.testing.assert_array_equal(one.logits, after.step(frame).logits)


def test_small_gaps_unknown_times_and_clocks_that_run_back_are_no_gap():
    """The stream goes on."""
    frames = _clip((0, 6))
    session = _session(max_gap_s=2.0)
    for frame, time_s in zip(frames, (0.0, 2.0, None, 90.0, 1.0, 2.5), strict=True):
        found = session.step(frame, time_s=time_s)

    assert found.frames_seen == 6


@pytest.mark.parametrize("horizon_s", [None, 10.0])
@pytest.mark.parametrize("way", ["step", "run", "step_many"])
def test_a_cut_starts_the_stream_anew_where_that_is_asked_for(way, horizon_s):
    """From the first frame of the new scene, also within the horizon."""
    frames = _clip((0, 30), (1, 15))
    session = _session(restart_at_cuts=True, horizon_s=horizon_s)
    if way == "run":
        found = list(session.run(frames))
    elif way == "step":
        found = [session.step(frame) for frame in frames]
    else:
        found = [step_many([session], [frame])[0] for frame in frames]

    assert _labels(found) == ["red"] * 30 + ["green"] * 15
    assert [one.frames_seen for one in found][30:] == list(range(1, 16))
    kept = _session(horizon_s=horizon_s)
    assert _labels(kept.run(frames))[30:33] == ["red"] * 3


def test_states_of_a_session_go_on_in_another():
    """Saved as arrays, with frame index and answers; a reset forgets them."""
    frames = _clip((0, 60), (1, 30))
    first, second = _session(horizon_s=6.0), _session(horizon_s=6.0)
    for frame in frames[:63]:
        first.step(frame)
    second.states = {name: value.copy() for name, value in first.states.items()}

    for frame in frames[63:]:
        one, other = first.step(frame), second.step(frame)
        np.testing.assert_array_equal(one.logits, other.logits)
        assert (one.frame_index, one.frames_seen) == (
            other.frame_index,
            other.frames_seen,
        )
    second.reset()
    assert second.step(frames[0]).frames_seen == 1


def test_sessions_of_several_horizons_are_not_stepped_together():
    """The message names them."""
    model = FakeStreamModel()
    sessions = [StreamingClassifier(model, horizon_s=seconds) for seconds in (4, 8)]
    frames = [np.zeros((8, 6, 3), np.uint8)] * 2

    with pytest.raises(SessionError, match=r"one horizon_s; got \['4.0', '8.0'\]"):
        step_many(sessions, frames)


@pytest.mark.parametrize(
    "options",
    [
        ({"horizon_s": None}, {"horizon_s": None, "restart_at_cuts": True}),
        ({"horizon_s": 4.0, "fps": 5.0}, {"horizon_s": 4.0, "fps": 10.0}),
    ],
)
def test_sessions_that_decide_otherwise_are_not_stepped_together(options):
    """One call decides for all; a stream that would be decided for by the rules of another is refused."""
    model = FakeStreamModel()
    sessions = [StreamingClassifier(model, **one) for one in options]
    frames = [np.zeros((8, 6, 3), np.uint8)] * 2

    with pytest.raises(SessionError, match="must have one fps and one restart_at_cuts"):
        step_many(sessions, frames)
    assert [session.num_frames for session in sessions] == [0, 0]


@pytest.mark.parametrize("horizon_s", [None, 10.0])
def test_each_cut_starts_the_stream_anew(horizon_s):
    """Also one that is no more of a change than the cut some seconds before it."""
    frames = _clip((0, 30), (1, 30), (2, 30))
    session = _session(restart_at_cuts=True, horizon_s=horizon_s)

    found = list(session.run(frames))

    assert _labels(found) == ["red"] * 30 + ["green"] * 30 + ["blue"] * 30
    assert [one.frames_seen for one in found] == [*range(1, 31)] * 3


def test_published_weights_see_the_next_action(shared_data):
    """After 36 seconds of one action in a real video the next one is seen, with default settings."""
    session = StreamingClassifier.load(shared_data("movinet_a0_int8.tflite"), threads=1)
    ice, arms = (
        [frame.pixels for frame in read_frames(shared_data(name), fps=5, frame_size=(172, 172))]
        for name in ("carving_ice.mp4", "mm_demo.mp4")
    )  # fmt: skip
    history = [ice[place % len(ice)] for place in range(180)]

    found = _labels(session.run([*history, *arms]))

    assert np.mean([label == "carving ice" for label in found[20:180]]) >= 0.98
    assert np.mean([label == "arm wrestling" for label in found[180:]]) >= 0.86
