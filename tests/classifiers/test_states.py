"""States: what is assigned fits, or the session stays as it was; and streams of any length keep a correct mean."""

import numpy as np
import pytest

from movinet_lite import StreamingClassifier
from movinet_lite.classifiers.long_streams import MAX_COUNT
from movinet_lite.errors import SessionError
from movinet_lite.testing import FakeStreamModel

SUM, COUNT = "state/head/pool_buffer", "state/head/pool_frame_count"
LAST = "state/b0/l0/stream_buffer"


def make_frames(count, *, seed=0):
    """Return frames that all differ, uint8."""
    return np.random.default_rng(seed).integers(0, 255, (count, 8, 6, 3), np.uint8)


class UncountedModel(FakeStreamModel):
    """A model whose states do not say how many frames they have seen."""

    def init_states(self, frame_size):
        """Return the last frame alone."""
        return {LAST: super().init_states(frame_size)[LAST]}

    def step(self, frames, states):
        """Step from the last frame alone."""
        full = super().init_states(states[LAST].shape[2:4]) | dict(states)
        logits, after = super().step(frames, full)
        return logits, {LAST: after[LAST]}


class BesideModel(FakeStreamModel):
    """A model with states beyond the published ones, which come and go, and which it checks itself."""

    def step(self, frames, states):
        """Count all frames."""
        logits, after = super().step(frames, states)
        seen = states.get("beside/num_frames", np.array(0)) + len(frames)
        return logits, after | {"beside/num_frames": seen}

    def fit(self, given):
        """Take what has the published states."""
        if SUM not in given:
            raise SessionError("the sum is missing")
        return dict(given)


def test_restored_states_go_on_counting():
    """After states were restored, the next frame has the number that it has in its stream."""
    frames = make_frames(6)
    first = StreamingClassifier(FakeStreamModel())
    for frame in frames[:5]:
        first.step(frame)
    later = first.new_session()
    later.states = first.states
    assert later.num_frames == 5
    assert later.step(frames[5]).frame_index == 5
    assert [one.frame_index for one in later.run(frames[:2])] == [6, 7]
    later.states = later.init_states
    assert later.step(frames[0]).frame_index == 0


def test_states_that_do_not_count_leave_the_number_of_frames_to_the_caller():
    """It stays as it was until it is assigned, but states of no frame are known."""
    frames = make_frames(6)
    first = StreamingClassifier(UncountedModel(), horizon_s=None)
    for frame in frames[:5]:
        first.step(frame)
    later = first.new_session()
    later.predict_frames(frames[:2])
    later.states = first.states
    assert later.num_frames == 2
    later.num_frames = np.int64(first.num_frames)
    assert later.step(frames[5]).frame_index == 5
    later.states = later.init_states
    assert later.num_frames == 0
    for wrong in (-1, 1.5, "5", None):
        with pytest.raises(SessionError, match="num_frames must be a whole number"):
            later.num_frames = wrong


def test_a_model_may_fit_states_itself():
    """States beyond the published ones are kept, and count frames too."""
    frames = make_frames(4)
    first = StreamingClassifier(BesideModel())
    for frame in frames[:3]:
        first.step(frame)
    kept = first.states
    kept[COUNT] -= 1  # the model looks back on fewer frames than it has seen
    later = first.new_session()
    later.states = kept
    assert later.step(frames[3]).frame_index == 3
    assert later.states["beside/num_frames"] == 4
    with pytest.raises(SessionError, match="the sum is missing"):
        later.states = {}
    assert later.num_frames == 4


class Raising:
    """An object that numpy cannot read."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (COUNT, [-1], "must be at least 0; got -1"),
        (COUNT, [0], "got 0 frames with a sum that is not 0"),
        (COUNT, [2**32 + 5], "must fit int32; got 4294967301"),
        (COUNT, np.array([2**63 + 5], np.uint64), "must fit int32"),
        (COUNT, [True], "must be int32; got bool"),
        (SUM, np.full((1, 1, 1, 1, 3), 1e300), r"must fit float32; got 1e\+300"),
        (SUM, np.full((1, 1, 1, 1, 3), np.inf), "must be finite"),
        (SUM, [[1.0], [2.0, 3.0]], "got a list that numpy cannot read"),
        (SUM, Raising(), r"got a Raising that numpy cannot read: call detach\(\)"),
        (SUM, None, r"must have shape \(1, 1, 1, 1, 3\); got \(\)"),
    ],
)
def test_states_that_no_stream_has_are_refused(name, value, message):
    """The message names the state, and the session stays as it was."""
    frames = make_frames(3)
    session = StreamingClassifier(FakeStreamModel())
    for frame in frames[:2]:
        session.step(frame)
    before = session.states

    with pytest.raises(SessionError, match=f"{name}.*{message}"):
        session.states = {**before, name: value}

    for state, kept in before.items():
        np.testing.assert_array_equal(session.states[state], kept)
    assert session.step(frames[2]).frame_index == 2


def test_counts_of_layers_must_agree():
    """Counts that differ come from no stream; a count of 0 is that of a mean that a model does not take."""

    class TwoMeans(FakeStreamModel):
        def init_states(self, frame_size):
            states = super().init_states(frame_size)
            return states | {
                "state/b0/l0/pool_buffer": states[SUM],
                "state/b0/l0/pool_frame_count": states[COUNT],
            }

    session = StreamingClassifier(TwoMeans())
    given = session.init_states
    given[COUNT][:] = 3
    session.states = given
    assert session.num_frames == 3
    given["state/b0/l0/pool_frame_count"][:] = 4
    with pytest.raises(SessionError, match=r"must be one number; .* is 3 and .* is 4"):
        session.states = given


def test_assigning_states_runs_no_model():
    """Neither reading nor assigning states costs a step."""
    session = StreamingClassifier(FakeStreamModel())
    session.step(make_frames(1)[0])
    session.states = session.states
    assert session.model.calls == 1


def test_states_read_in_a_run_cost_one_step_of_the_frames_since():
    """Who reads the states after each prediction of a run steps each frame once more, not all frames of the call."""
    stepped = []

    class Measured(FakeStreamModel):
        def step(self, frames, states):
            stepped.append(len(frames))
            return super().step(frames, states)

    session = StreamingClassifier(Measured())
    for _ in session.run(make_frames(16), frames_per_call=16):
        assert session.states[COUNT] == session.states[COUNT] == session.num_frames
    assert stepped == [16] + [1] * 15


@pytest.mark.parametrize("start", [MAX_COUNT - 2, 2**24 - 1, 2**24, 2**31 - 1])
def test_a_stream_of_any_length_keeps_a_correct_mean(start):
    """Beyond the range of float32 the mean is still that of the frames, and a new frame still counts in it."""
    session = StreamingClassifier(FakeStreamModel(), horizon_s=None)
    states = session.init_states
    states[SUM][:] = np.float32(0.25) * start
    states[COUNT][:] = start
    session.states = states
    grey = np.full((8, 6, 3), 0.25, np.float32)
    white = np.full((8, 6, 3), 1.0, np.float32)

    for _ in range(4):
        np.testing.assert_allclose(session.step(grey).logits[3:], 0.25, rtol=1e-6)
    for _ in session.run([white] * 4096, frames_per_call=64):
        pass

    count = int(session.states[COUNT][0])
    # Half as many frames before, at least: so a frame weighs at most twice as much as in the mean over all.
    assert MAX_COUNT / 3 < count - 4096 < MAX_COUNT + 4
    mean = 0.25 + 0.75 * 4096 / count
    np.testing.assert_allclose(session.step(white).logits[3:], mean, rtol=1e-3)
    assert session.num_frames == start + 4 + 4096 + 1


def test_published_int8_weights_restore_where_they_were(shared_data):
    """The published int8 A0, which passes the counts of its layers through, counts in its head."""
    session = StreamingClassifier.load(
        shared_data("movinet_a0_int8.tflite"),
        labels=shared_data("kinetics_600_labels.txt"),
    )
    frames = np.random.default_rng(0).integers(0, 256, (4, 172, 172, 3), np.uint8)
    for frame in frames[:3]:
        session.step(frame)
    later = session.new_session()
    later.states = session.states
    assert later.num_frames == 3
    one, two = session.step(frames[3]), later.step(frames[3])
    assert two.frame_index == 3
    np.testing.assert_array_equal(one.logits, two.logits)
