"""Sessions: whatever a caller does, a prediction is what the frames so far say."""

import copy
import itertools
import pickle
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from movinet_lite import BaseClassifier, StreamingClassifier, VideoFrame
from movinet_lite.classifiers import clips as clips_module
from movinet_lite.classifiers import step_many
from movinet_lite.errors import (
    ArrayError,
    LabelsError,
    ModelError,
    SessionError,
)
from movinet_lite.testing import LABELS, FakeClipModel, FakeStreamModel


def make_frames(count, *, seed=0, size=(8, 6)):
    """Return frames that all differ, uint8."""
    return np.random.default_rng(seed).integers(0, 255, (count, *size, 3), np.uint8)


def expected_logits(frames):
    """Return what the fake stream model says after each frame, from the frames alone."""
    floats = np.asarray(frames, np.float32) / 255
    colours = floats.mean(axis=(1, 2))
    rising = np.diff(colours, axis=0, prepend=np.zeros((1, 3), np.float32))
    means = np.cumsum(colours, axis=0) / np.arange(1, len(frames) + 1)[:, np.newaxis]
    return np.concatenate([rising, means], axis=1)


def assert_logits(predictions, frames):
    """Compare predictions with what the frames alone say."""
    actual = np.stack([prediction.logits for prediction in predictions])
    np.testing.assert_allclose(actual, expected_logits(frames), atol=1e-5)


class StrictStreamModel(FakeStreamModel):
    """A model that fails on a frame that is all white."""

    def step(self, frames, states):
        """Fail, or step."""
        if (frames.min(axis=(1, 2, 3)) == 1).any():
            raise RuntimeError("the model takes no white frame")
        return super().step(frames, states)


class KeptArray(np.ndarray):
    """An array that a weak reference can point to."""


class CountingStreamModel(FakeStreamModel):
    """A model that knows how many states that it made are still held."""

    def __init__(self):
        super().__init__()
        self.made = []

    def alive(self):
        """Return how many arrays of states are still held."""
        return sum(made() is not None for made in self.made)

    def _watch(self, states):
        watched = {name: value.view(KeptArray) for name, value in states.items()}
        self.made += map(weakref.ref, watched.values())
        return watched

    def init_states(self, frame_size):
        """Return states that are counted."""
        return self._watch(super().init_states(frame_size))

    def step(self, frames, states):
        """Return states that are counted."""
        logits, after = super().step(frames, states)
        return logits, self._watch(after)


class Numbered:
    """Frames with a record of how many were asked for."""

    def __init__(self, frames):
        self.frames = list(frames)
        self.taken = 0

    def __iter__(self):
        for frame in self.frames:
            self.taken += 1
            yield frame


# --- stepping


def test_step_carries_the_states():
    """Each prediction is that of all frames so far, in their order."""
    frames = make_frames(7)
    session = StreamingClassifier(FakeStreamModel())

    assert_logits([session.step(frame) for frame in frames], frames)
    assert session.num_frames == 7


def test_step_numbers_and_times_its_predictions():
    """A prediction knows which frame it is of, and when that was."""
    session = StreamingClassifier(FakeStreamModel())
    frames = make_frames(3)

    first = session.step(frames[0])
    second = session.step(VideoFrame(frames[1], time_s=0.25, index=1))
    third = session.step(frames[2], time_s=0.5)

    assert (first.frame_index, first.time_s) == (0, None)
    assert (second.frame_index, second.time_s) == (1, 0.25)
    assert (third.frame_index, third.time_s) == (2, 0.5)


def test_reset_begins_anew():
    """After a reset a session gives what a new one gives, frames of another size included."""
    session = StreamingClassifier(FakeStreamModel())
    session.step(make_frames(1)[0])
    other = make_frames(3, seed=1, size=(16, 12))

    session.reset()
    again = [session.step(frame) for frame in other]

    fresh = StreamingClassifier(FakeStreamModel())
    for one, two in zip(again, [fresh.step(frame) for frame in other], strict=True):
        np.testing.assert_array_equal(one.logits, two.logits)
    assert again[0].frame_index == 0


def test_a_frame_that_is_no_picture_leaves_the_session_as_it_was():
    """After a refused frame the next one gives what it would have given."""
    frames = make_frames(3)
    session = StreamingClassifier(StrictStreamModel())
    session.step(frames[0])

    with pytest.raises(ArrayError, match="normalised to"):
        session.step(frames[1].astype(np.float32) / 127.5 - 1)
    with pytest.raises(SessionError, match=r"as the first had; got \(9, 6, 3\)"):
        session.step(np.zeros((9, 6, 3), np.uint8))
    with pytest.raises(RuntimeError, match="white"):
        session.step(np.full((8, 6, 3), 255, np.uint8))

    rest = [session.step(frame) for frame in frames[1:]]
    np.testing.assert_allclose(rest[-1].logits, expected_logits(frames)[-1], atol=1e-5)
    assert rest[-1].frame_index == 2


def test_a_first_frame_that_fails_does_not_fix_the_size():
    """The size of a session's frames is that of the first that it took."""
    session = StreamingClassifier(StrictStreamModel())
    with pytest.raises(RuntimeError, match="white"):
        session.step(np.full((20, 20, 3), 255, np.uint8))

    assert session.step(make_frames(1)[0]).frame_index == 0


def test_step_does_not_change_the_frame():
    """The caller's frame is the caller's."""
    frame = make_frames(1)[0]
    kept = frame.copy()
    StreamingClassifier(FakeStreamModel()).step(frame)
    np.testing.assert_array_equal(frame, kept)


# --- running over many frames


@pytest.mark.parametrize("frames_per_call", [1, 3, 8, 100])
def test_run_gives_what_step_gives(frames_per_call):
    """Frames in calls of any length give the predictions of frames one by one."""
    frames = make_frames(19)
    session = StreamingClassifier(FakeStreamModel())

    predictions = list(session.run(frames, frames_per_call=frames_per_call))

    assert_logits(predictions, frames)
    alone = StreamingClassifier(FakeStreamModel())
    for prediction, frame in zip(predictions, frames, strict=True):
        np.testing.assert_array_equal(prediction.logits, alone.step(frame).logits)
    assert [prediction.frame_index for prediction in predictions] == list(range(19))
    assert session.num_frames == 19
    assert session.model.calls == -(-19 // frames_per_call)


@pytest.mark.parametrize("stop", [0, 1, 3, 7, 8, 9, 12])
def test_run_that_stops_early_leaves_the_session_there(stop):
    """Who stops after n predictions finds the session after n frames."""
    frames = make_frames(20)
    session = StreamingClassifier(FakeStreamModel())
    run = session.run(frames)
    for _ in itertools.islice(run, stop):
        pass
    run.close()

    assert session.num_frames == stop
    prediction = session.step(frames[stop])
    np.testing.assert_allclose(
        prediction.logits, expected_logits(frames)[stop], atol=1e-5
    )


def test_states_read_between_two_predictions_of_a_run_are_those_of_that_frame():
    """Looking at the states does not wait for the end of a call."""
    frames = make_frames(6)
    session = StreamingClassifier(FakeStreamModel())
    run = session.run(frames)
    next(run)
    next(run)

    assert session.states["state/head/pool_frame_count"] == [2]
    assert session.num_frames == 2


def test_run_goes_on_after_its_states_were_read():
    """Reading the states in the middle of a run changes none of its predictions."""
    frames = make_frames(12)
    session = StreamingClassifier(FakeStreamModel())
    predictions = []
    for prediction in session.run(frames):
        predictions.append(prediction)
        count = session.states["state/head/pool_frame_count"]
        assert count == [len(predictions)]

    assert_logits(predictions, frames)
    assert [prediction.frame_index for prediction in predictions] == list(range(12))
    assert session.num_frames == 12


@pytest.mark.parametrize("disturb", ["step", "reset", "states"])
def test_run_refuses_to_go_on_where_the_session_was_used_otherwise(disturb):
    """Predictions computed ahead are not given for frames of another history."""
    frames = make_frames(6)
    session = StreamingClassifier(FakeStreamModel())
    run = session.run(frames)
    next(run)
    if disturb == "step":
        session.step(frames[0])
    elif disturb == "reset":
        session.reset()
    else:
        session.states = session.init_states

    with pytest.raises(SessionError, match="must not be used otherwise"):
        next(run)


def test_run_refuses_a_reset_by_whoever_gives_the_frames():
    """A reset between two frames cannot come into effect in the middle of a call, so it is refused."""
    session = StreamingClassifier(FakeStreamModel())

    def frames_of_two_videos():
        for index, frame in enumerate(make_frames(8)):
            if index == 4:
                session.reset()
            yield frame

    with pytest.raises(SessionError, match="at a cut, end the run"):
        list(session.run(frames_of_two_videos()))


def test_two_runs_of_one_session_are_refused():
    """The second run takes over; the first one, asked again, says so, and no frame counts twice."""
    frames = make_frames(9)
    session = StreamingClassifier(FakeStreamModel())
    first = session.run(frames[:4])
    next(first)
    second = session.run(frames[4:])
    next(second)
    with pytest.raises(SessionError, match="run a second time"):
        next(first)
    del first
    next(second)
    assert session.num_frames == 3
    expected = expected_logits([frames[0], *frames[4:7]])[-1]
    second.close()
    np.testing.assert_allclose(session.step(frames[6]).logits, expected, atol=1e-5)


def test_run_gives_all_predictions_before_a_frame_that_fails():
    """A bad frame costs none of the good ones before it."""
    frames = [*make_frames(5), np.zeros((8, 6), np.uint8), *make_frames(2)]
    session = StreamingClassifier(FakeStreamModel())
    run = session.run(frames)
    predictions = list(itertools.islice(run, 5))
    with pytest.raises(ArrayError, match="grey"):
        next(run)
    assert_logits(predictions, frames[:5])
    assert list(session.run([])) == []
    assert session.num_frames == 5


def test_run_takes_no_more_frames_than_a_call_needs():
    """A source is read lazily, one call ahead."""
    source = Numbered(make_frames(30))
    run = StreamingClassifier(FakeStreamModel()).run(source, frames_per_call=4)
    assert source.taken == 0
    next(run)
    assert source.taken == 4


def test_predict_frames_is_a_run_over_a_clip():
    """A clip as one array, or as a list of frames, gives a prediction a frame."""
    frames = make_frames(9)
    assert_logits(StreamingClassifier(FakeStreamModel()).predict_frames(frames), frames)
    assert_logits(
        StreamingClassifier(FakeStreamModel()).predict_frames(list(frames)), frames
    )


def test_frames_per_call_must_be_positive():
    """A call has at least one frame."""
    with pytest.raises(ValueError, match="at least 1; got 0"):
        StreamingClassifier(FakeStreamModel()).run([], frames_per_call=0)


# --- states


def test_states_go_back_and_forth():
    """A session that is given earlier states goes on from there."""
    frames = make_frames(6)
    session = StreamingClassifier(FakeStreamModel())
    for frame in frames[:3]:
        session.step(frame)
    kept = session.states
    first = session.step(frames[3])
    session.states = kept
    second = session.step(frames[3])

    np.testing.assert_array_equal(first.logits, second.logits)


def test_states_are_copies():
    """What a caller does to the states it was given changes no session."""
    frames = make_frames(2)
    session = StreamingClassifier(FakeStreamModel())
    session.step(frames[0])
    for states in (session.states, session.init_states):
        for value in states.values():
            np.add(value, 1, out=value)
    given = session.states
    session.states = given
    for value in given.values():
        np.add(value, 1, out=value)

    np.testing.assert_allclose(
        session.step(frames[1]).logits, expected_logits(frames)[1], atol=1e-5
    )


def test_states_may_have_the_names_of_another_export():
    """States move between exports that name them differently."""
    frames = make_frames(2)
    first = StreamingClassifier(FakeStreamModel())
    first.step(frames[0])
    second = StreamingClassifier(FakeStreamModel())
    second.states = {
        name.replace("/b0/l0/", "/block0/layer0/").replace("/", "_")
        if name.startswith("state/")
        else name: value
        for name, value in first.states.items()
    }
    np.testing.assert_array_equal(
        first.step(frames[1]).logits, second.step(frames[1]).logits
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("state/head/pool_buffer"),
            "'state/head/pool_buffer' is missing",
        ),
        (lambda s: s.update(other=np.zeros(1)), "has none called 'other'"),
        (
            lambda s: s.update({"state/head/pool_buffer": np.zeros((1, 3))}),
            r"must have shape \(1, 1, 1, 1, 3\); got \(1, 3\)",
        ),
        (
            lambda s: s.update({"state/head/pool_frame_count": np.zeros(1)}),
            "must be int32; got float64",
        ),
        (
            lambda s: s.update(
                {"state/head/pool_buffer": np.zeros((1, 1, 1, 1, 3), np.int8)}
            ),
            "must be float32; got int8",
        ),
        (
            lambda s: s["state/head/pool_buffer"].fill(np.nan),
            "'state/head/pool_buffer' must be finite",
        ),
    ],
)
def test_foreign_states_are_refused_by_name(change, message):
    """States that do not fit are refused, and the session stays as it was."""
    frames = make_frames(2)
    session = StreamingClassifier(FakeStreamModel())
    session.step(frames[0])
    states = session.states
    change(states)

    with pytest.raises(SessionError, match=message):
        session.states = states

    np.testing.assert_allclose(
        session.step(frames[1]).logits, expected_logits(frames)[1], atol=1e-5
    )


def test_states_that_are_no_mapping_are_refused():
    """States are names to arrays."""
    with pytest.raises(SessionError, match="mapping of names to arrays; got list"):
        StreamingClassifier(FakeStreamModel()).states = [1, 2]


# --- threads and life cycle


class SlowStreamModel(FakeStreamModel):
    """A model that waits in the middle of a step until it is let go."""

    def __init__(self):
        super().__init__()
        self.inside = threading.Event()
        self.go_on = threading.Event()

    def step(self, frames, states):
        """Wait, then step."""
        self.inside.set()
        assert self.go_on.wait(10)
        return super().step(frames, states)


def test_two_threads_in_one_session_are_refused():
    """The second thread gets an error, the first its prediction."""
    model = SlowStreamModel()
    session = StreamingClassifier(model)
    frame = make_frames(1)[0]
    results = []
    thread = threading.Thread(target=lambda: results.append(session.step(frame)))
    thread.start()
    assert model.inside.wait(10)

    with pytest.raises(SessionError, match="one thread at a time"):
        session.step(frame)
    with pytest.raises(SessionError, match="one thread at a time"):
        session.reset()

    model.go_on.set()
    thread.join()
    assert_logits(results, [frame])


def test_two_sessions_over_one_model_do_not_touch():
    """Each of two interleaved sessions gives what it gives alone."""
    model = FakeStreamModel()
    one, two = StreamingClassifier(model), StreamingClassifier(model)
    left, right = make_frames(5, seed=1), make_frames(5, seed=2)
    pairs = [(one.step(a), two.step(b)) for a, b in zip(left, right, strict=True)]
    assert_logits([pair[0] for pair in pairs], left)
    assert_logits([pair[1] for pair in pairs], right)


@pytest.mark.parametrize(
    "use",
    [
        lambda session: session.step(make_frames(1)[0]),
        lambda session: session.reset(),
        lambda session: session.states,
        lambda session: list(session.run(make_frames(1))),
        lambda session: session.__enter__(),
    ],
)
def test_a_closed_session_refuses_to_work(use):
    """Each use after the end of a `with` block is an error."""
    with StreamingClassifier(FakeStreamModel()) as session:
        session.step(make_frames(1)[0])
    with pytest.raises(SessionError, match="has been closed"):
        use(session)


def test_a_session_that_is_closed_in_the_middle_of_a_step_gives_its_states_back():
    """Another thread may close it; the step ends, and nothing is kept for a stream that is over."""
    inside, closed = threading.Event(), threading.Event()

    class WaitingModel(CountingStreamModel):
        def step(self, frames, states):
            inside.set()
            assert closed.wait(60)
            return super().step(frames, states)

    session = StreamingClassifier(WaitingModel())
    predictions = []
    thread = threading.Thread(
        target=lambda: predictions.append(session.step(np.zeros((8, 6, 3), np.uint8)))
    )
    thread.start()
    assert inside.wait(60)
    session.close()
    closed.set()
    thread.join()
    assert len(predictions) == 1
    assert session.model.alive() == 0


def test_a_closed_session_gives_its_states_back():
    """Who keeps closed sessions keeps no states."""
    session = StreamingClassifier(CountingStreamModel())
    session.step(make_frames(1)[0])
    assert session.model.alive() > 0
    session.close()
    assert session.model.alive() == 0


# --- many sessions at once


def test_step_many_gives_what_single_steps_give():
    """Streams of different ages, some without a frame now and then, each get their own prediction."""
    first = StreamingClassifier(FakeStreamModel())
    sessions = [first, first.new_session(), first.new_session()]
    streams = [make_frames(6, seed=seed) for seed in range(3)]
    got = [[], [], []]
    calls = [(0,), (0, 1), (2, 0), (0, 1, 2), (1, 2), (2, 1, 0), (2,), (1,)]
    for places in calls:
        frames = [streams[place][len(got[place])] for place in places]
        predictions = step_many([sessions[place] for place in places], frames)
        for place, prediction in zip(places, predictions, strict=True):
            assert prediction.frame_index == len(got[place])
            got[place].append(prediction)
    for predictions, frames in zip(got, streams, strict=True):
        assert_logits(predictions, frames[: len(predictions)])


def test_step_many_moves_no_session_if_a_frame_is_refused():
    """One bad frame costs the other streams nothing."""
    first = StreamingClassifier(FakeStreamModel())
    sessions = [first, first.new_session()]
    good = make_frames(2)
    with pytest.raises(ArrayError, match="grey"):
        step_many(sessions, [good[0], np.zeros((8, 6), np.uint8)])
    assert [session.num_frames for session in sessions] == [0, 0]
    assert_logits(step_many(sessions, good)[:1], good[:1])


def test_step_many_moves_no_session_if_the_model_gives_no_number():
    """Logits that are NaN for one stream cost the other streams nothing."""

    class BrokenModel(FakeStreamModel):
        def step(self, frames, states):
            logits, after = super().step(frames, states)
            return (logits * np.nan if frames.min() == 1 else logits), after

    first = StreamingClassifier(BrokenModel())
    sessions = [first, first.new_session()]
    frame = make_frames(1)[0]
    with pytest.raises(ArrayError, match="logits must be numbers"):
        step_many(sessions, [frame, np.full((8, 6, 3), 255, np.uint8)])
    assert [session.num_frames for session in sessions] == [0, 0]
    assert_logits(step_many(sessions, [frame, frame])[:1], [frame])


def test_step_many_refuses_a_session_that_another_thread_uses():
    """No other session of the call moves, and each can be used afterwards."""
    model = SlowStreamModel()
    one = StreamingClassifier(model)
    other = one.new_session()
    frames = make_frames(2)
    thread = threading.Thread(target=lambda: other.step(frames[0]))
    thread.start()
    assert model.inside.wait(10)
    with pytest.raises(SessionError, match="one thread at a time"):
        step_many([one, other], frames)
    model.go_on.set()
    thread.join()
    assert (one.num_frames, other.num_frames) == (0, 1)
    assert_logits([one.step(frames[1])], frames[1:])


def test_step_many_times_its_predictions():
    """A time for each frame, or for some; a `VideoFrame` brings its own."""
    first = StreamingClassifier(FakeStreamModel())
    sessions = [first, first.new_session(), first.new_session()]
    frame = make_frames(1)[0]
    frames = [frame, VideoFrame(frame, time_s=0.25, index=1), frame]

    def times(**options):
        return [one.time_s for one in step_many(sessions, frames, **options)]

    assert times() == [None, 0.25, None]
    assert times(times_s=[1.0, None, None]) == [1.0, 0.25, None]
    assert times(times_s=[1.0, 2.0, 3.0]) == [1.0, 2.0, 3.0]
    with pytest.raises(ArrayError, match="got 1 times and 3 frames"):
        step_many(sessions, frames, times_s=[1.0])
    assert first.num_frames == 3


def test_step_many_refuses_sessions_that_do_not_belong_together():
    """The sessions are different ones, over one model, with a frame each."""
    frame = make_frames(1)[0]
    one, other = (StreamingClassifier(FakeStreamModel()) for _ in range(2))
    with pytest.raises(SessionError, match="must share one model"):
        step_many([one, other], [frame, frame])
    with pytest.raises(SessionError, match="got one twice"):
        step_many([one, one], [frame, frame])
    with pytest.raises(SessionError, match="2 sessions and 1 frames"):
        step_many([one, one.new_session()], [frame])
    assert step_many([], []) == []


def test_a_new_session_is_like_the_first_and_has_seen_nothing():
    """Options are shared, states are not."""
    first = StreamingClassifier(
        FakeStreamModel(), frame_size=(4, 4), fps=7, labels=list("abcdef")
    )
    first.step(make_frames(1)[0])
    second = first.new_session()
    assert second.model is first.model
    assert (second.labels, second.fps, second.frame_size) == (
        first.labels,
        7,
        (4, 4),
    )
    assert second.num_frames == 0


# --- what a session is made of


def test_labels_have_to_fit_the_model():
    """A list of another length is refused with both counts."""
    with pytest.raises(LabelsError, match="6"):
        StreamingClassifier(FakeStreamModel(), ["a", "b"])


def test_a_model_without_labels_wants_some():
    """No class goes without a name."""
    with pytest.raises(ModelError, match="names of its 6 classes"):
        StreamingClassifier(FakeStreamModel(labels=None))
    session = StreamingClassifier(FakeStreamModel(labels=None), list("abcdef"))
    assert session.labels == tuple("abcdef")


def test_labels_come_from_a_file(tmp_path):
    """A path names a file with one label a line."""
    path = tmp_path / "labels.txt"
    path.write_text("\n".join("abcdef"), encoding="utf-8")
    assert BaseClassifier(FakeClipModel(labels=None), path).labels == tuple("abcdef")


def test_a_model_of_the_other_kind_is_refused():
    """Each class says which other one takes the model."""
    with pytest.raises(ModelError, match="load it with BaseClassifier"):
        StreamingClassifier(FakeClipModel())
    with pytest.raises(ModelError, match="load it with StreamingClassifier"):
        BaseClassifier(FakeStreamModel())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_size": 172}, "frame_size"),
        ({"frame_size": (172.9, 172)}, "frame_size"),
        ({"fps": 0}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"fit": "foo"}, "stretch"),
    ],
)
def test_options_are_checked_when_a_session_is_opened(options, message):
    """Nonsense is refused before the first frame."""
    with pytest.raises(ArrayError, match=message):
        StreamingClassifier(FakeStreamModel(), **options)


def test_frames_are_scaled_to_the_size_of_the_session():
    """A frame of any size is scaled before the model sees it."""
    frame = np.full((64, 100, 3), (200, 100, 50), np.uint8)
    session = StreamingClassifier(FakeStreamModel(), frame_size=(4, 4))

    prediction = session.step(frame)

    np.testing.assert_allclose(
        prediction.logits[3:], np.array([200, 100, 50]) / 255, atol=1e-6
    )
    assert session.states["state/b0/l0/stream_buffer"].shape == (1, 1, 4, 4, 3)


def test_a_session_says_what_it_is():
    """The facts of the model are there to ask for."""
    session = StreamingClassifier(FakeStreamModel())
    assert (session.fps, session.frame_size, session.labels) == (5.0, (8, 6), LABELS)
    assert repr(session) == "StreamingClassifier('fake', 6 classes, 8 x 6, fake)"
    assert StreamingClassifier(FakeStreamModel(), fps=12).fps == 12


# --- whole clips


def test_predict_sees_the_order_of_frames():
    """A clip backwards gives other logits than forwards."""
    clip = make_frames(5)
    classifier = BaseClassifier(FakeClipModel())
    forwards, backwards = classifier.predict(clip), classifier.predict(clip[::-1])

    colours = (clip.astype(np.float32) / 255).mean(axis=(1, 2))
    np.testing.assert_allclose(
        forwards.logits[:3], np.arange(1, 6) @ colours, rtol=1e-5
    )
    assert not np.allclose(forwards.logits, backwards.logits)


def test_predict_many_gives_each_clip_its_own_prediction():
    """Clips of different lengths come back in the order given, in one call a length."""
    clips = [make_frames(n, seed=n + i) for i, n in enumerate((4, 2, 4, 3))]
    classifier = BaseClassifier(FakeClipModel())
    alone = [classifier.predict(clip) for clip in clips]
    classifier.model.calls = 0

    together = classifier.predict_many(clips)

    for one, two in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.logits, two.logits, rtol=1e-6)
    assert classifier.model.calls == 3


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (np.zeros((8, 6, 3), np.uint8), "one frame"),
        (np.zeros((0, 8, 6, 3), np.uint8), "empty"),
        (np.zeros((2, 3, 8, 6), np.uint8), "channels first"),
        (np.full((2, 8, 6, 3), 2.5, np.float32), "0 to 255"),
    ],
)
def test_predict_refuses_what_is_no_clip(clip, message):
    """The message names the likely mistake."""
    with pytest.raises(ArrayError, match=message):
        BaseClassifier(FakeClipModel()).predict(clip)


def test_any_number_of_threads_share_a_base_classifier():
    """It keeps nothing from clip to clip: each of two predictions that overlap is that of its own clip."""
    meet = threading.Barrier(2, timeout=10)

    class MeetingModel(FakeClipModel):
        def predict(self, clips):
            meet.wait()  # passes only if both threads are in here at once
            return super().predict(clips)

    classifier = BaseClassifier(MeetingModel())
    clips = [make_frames(4, seed=seed, size=(16, 12)) for seed in (1, 2)]
    together = [None, None]

    def predict(place):
        together[place] = classifier.predict(clips[place])

    threads = [threading.Thread(target=predict, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = BaseClassifier(FakeClipModel())
    for clip, prediction in zip(clips, together, strict=True):
        np.testing.assert_array_equal(prediction.logits, alone.predict(clip).logits)


def test_predict_many_has_only_some_clips_in_memory(monkeypatch):
    """Clips are taken from an iterator as they are needed."""
    frame_bytes = 8 * 6 * 3 * 4
    monkeypatch.setattr(clips_module, "_BYTES_PER_CALL", 10 * frame_bytes)
    classifier = BaseClassifier(FakeClipModel())
    clips = [make_frames(n, seed=n) for n in (4, 5, 4, 30, 2, 2)]
    calls = []

    def given():
        for clip in clips:
            calls.append(classifier.model.calls)
            yield clip

    together = classifier.predict_many(given())

    assert calls == [0, 0, 0, 2, 3, 4]
    for clip, prediction in zip(clips, together, strict=True):
        np.testing.assert_allclose(
            prediction.logits, classifier.predict(clip).logits, rtol=1e-6
        )


def test_a_closed_base_classifier_refuses_to_work():
    """Each use after the end of a `with` block is an error."""
    with BaseClassifier(FakeClipModel()) as classifier:
        classifier.predict(make_frames(2))
    for use in (classifier.predict, classifier.predict_many, classifier.predict_long):
        with pytest.raises(SessionError, match="has been closed"):
            use(make_frames(2))


# --- copies


@pytest.mark.parametrize("copies", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize(
    ("session", "remedy"),
    [
        (StreamingClassifier(FakeStreamModel()), r"new_session\(\).*send the states"),
        (BaseClassifier(FakeClipModel()), "load it once in each process"),
    ],
    ids=["stream", "base"],
)
def test_a_session_is_not_copied(copies, session, remedy):
    """A copy would share its states or its weights with the first; the message says what to do."""
    with pytest.raises(SessionError, match=f"cannot be copied or pickled; .*{remedy}"):
        copies(session)


# --- any order of use


class SessionMachine(RuleBasedStateMachine):
    """Two sessions over one model, used in any order, against plain lists of frames."""

    def __init__(self):
        super().__init__()
        model = FakeStreamModel()
        self.sessions = [StreamingClassifier(model), StreamingClassifier(model)]
        self.frames = [[], []]
        self.kept = [None, None]
        self.seed = itertools.count()

    def new_frames(self, count):
        """Return frames that no rule had before."""
        return list(make_frames(count, seed=next(self.seed)))

    @rule(which=st.integers(0, 1))
    def step(self, which):
        """One frame in one session."""
        frame = self.new_frames(1)[0]
        self.frames[which].append(frame)
        prediction = self.sessions[which].step(frame)
        self.check(prediction, which)

    @rule(which=st.integers(0, 1), count=st.integers(0, 11), take=st.integers(0, 11))
    def run(self, which, count, take):
        """A run of which only some predictions are taken."""
        frames = self.new_frames(count)
        run = self.sessions[which].run(frames, frames_per_call=4)
        for frame, prediction in zip(frames[:take], run, strict=False):
            self.frames[which].append(frame)
            self.check(prediction, which)
        run.close()

    @rule(which=st.integers(0, 1))
    def reset(self, which):
        """Begin anew."""
        self.frames[which] = []
        self.kept[which] = None
        self.sessions[which].reset()

    @rule(which=st.integers(0, 1))
    def keep(self, which):
        """Keep the states."""
        self.kept[which] = (self.sessions[which].states, list(self.frames[which]))

    @rule(which=st.integers(0, 1))
    def go_back(self, which):
        """Go back to the states that were kept."""
        if self.kept[which] is not None:
            self.sessions[which].states, frames = self.kept[which]
            self.frames[which] = list(frames)

    def check(self, prediction, which):
        """Compare with what the frames so far say."""
        assert prediction.frame_index == len(self.frames[which]) - 1
        expected = expected_logits(self.frames[which])[-1]
        np.testing.assert_allclose(prediction.logits, expected, atol=1e-5)

    @invariant()
    def counts(self):
        """The states count the frames that the session was given."""
        for session, frames in zip(self.sessions, self.frames, strict=True):
            assert session.states["state/head/pool_frame_count"] == [len(frames)]


SessionMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None
)
TestSessionMachine = SessionMachine.TestCase


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_any_cutting_gives_the_same_logits(cuts):
    """A clip in pieces of any length gives the logits of the clip frame by frame."""
    frames = make_frames(sum(cuts))
    session = StreamingClassifier(FakeStreamModel())
    predictions = []
    start = 0
    for cut in cuts:
        predictions += session.predict_frames(frames[start : start + cut])
        start += cut
    assert_logits(predictions, frames)
