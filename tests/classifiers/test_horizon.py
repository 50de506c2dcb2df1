"""A bounded stream sees what comes after a long action, and is the published one until then."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movinet_lite import SessionError
from movinet_lite.classifiers.horizon import BoundedStates, BoundedStreamModel
from movinet_lite.classifiers.takeover import BUDGET, Rules
from movinet_lite.engines.base import ModelInfo

SIZE = (8, 8)
RULES = Rules.of(30, 5.0)


class MeanModel:
    """A stream model that answers from the mean colour of all frames so far, as a MoViNet does, and sharply."""

    info = ModelInfo(
        source="mean", mode="stream", engine="fake", num_classes=3, frame_size=SIZE
    )

    def __init__(self):
        self.steps = 0

    def init_states(self, frame_size):
        """Return the states of a stream that has seen no frame."""
        assert frame_size == SIZE
        return {
            "state/head/pool_buffer": np.zeros((1, 1, 1, 1, 3), np.float32),
            "state/head/pool_frame_count": np.zeros((1,), np.int32),
        }

    def step(self, frames, states):
        """Return the logits of each frame, and the states after the last."""
        self.steps += len(frames)
        total = np.array(states["state/head/pool_buffer"])
        count = np.array(states["state/head/pool_frame_count"])
        rows = []
        for frame in frames:
            total = total + frame.mean((0, 1))
            count = count + 1
            rows.append((20 * total / count).reshape(3))
        return np.stack(rows).astype(np.float32), {
            "state/head/pool_buffer": total.astype(np.float32),
            "state/head/pool_frame_count": count,
        }


def _clip(*parts, noise=0.05, seed=0):
    """Return frames of colours: (class, number) after (class, number)."""
    rng = np.random.default_rng(seed)
    frames = []
    for colour, count in parts:
        for _ in range(count):
            frame = rng.random((*SIZE, 3)) * noise
            frame[..., colour] += 0.8
            frames.append(frame)
    return np.array(frames, np.float32)


def _answers(model, frames, pieces=1):
    states = model.init_states(SIZE)
    rows, ages = [], []
    for place in range(0, len(frames), pieces):
        logits, seen, states = model.advance(frames[place : place + pieces], states)
        rows.append(logits)
        ages += seen
    return np.concatenate(rows), ages, states


def _plain(frames):
    model = MeanModel()
    return model.step(frames, model.init_states(SIZE))[0]


@pytest.mark.parametrize("cut", [10, 22, 24, 26])
def test_up_to_the_horizon_it_is_the_published_stream(cut):
    """The first answers are those of the model alone, bit for bit, whatever happens and when."""
    frames = _clip((0, cut), (1, 30 - cut))

    logits, ages, _ = _answers(BoundedStreamModel(MeanModel(), RULES, SIZE), frames)

    np.testing.assert_array_equal(logits, _plain(frames))
    assert ages == list(range(1, 31))


@pytest.mark.parametrize("history", [60, 200])
def test_the_next_action_is_seen(history):
    """After a long action the next one is seen within a few frames; the model alone does not see it."""
    frames = _clip((0, history), (1, 25))

    logits, _, _ = _answers(BoundedStreamModel(MeanModel(), RULES, SIZE), frames)
    found = logits.argmax(1)

    assert (found[:history] == 0).all()
    assert (found[history + 5 :] == 1).all()
    assert (_plain(frames)[history:].argmax(1) == 0).all()


def test_a_change_without_a_cut_is_seen():
    """Colours that fade into each other are no cut; the young sessions of the schedule see the change."""
    frames = _clip((0, 100), (1, 40))
    for place in range(100, 140):
        share = min(1.0, (place - 99) / 8)
        frames[place] = (1 - share) * frames[place - 100] + share * frames[place]

    logits, _, _ = _answers(BoundedStreamModel(MeanModel(), RULES, SIZE), frames)

    assert (logits.argmax(1)[130:] == 1).all()


def test_nothing_looks_back_further_than_two_horizons():
    """Nor does a stream whose action never changes grow old: its counts stay small for ever."""
    frames = _clip((2, 500))

    logits, ages, states = _answers(
        BoundedStreamModel(MeanModel(), RULES, SIZE), frames
    )

    assert max(ages) <= 2 * RULES.horizon + RULES.life
    assert (logits.argmax(1) == 2).all()
    assert states["state/head/pool_frame_count"][0] == ages[-1]
    assert int(states["horizon/num_frames"]) == 500


def test_young_sessions_keep_to_their_budget():
    """However often the scene changes to one never seen, the steps of young sessions stay within the budget."""
    scenes = np.random.default_rng(3).random((150, *SIZE, 3)).astype(np.float32)
    frames = np.repeat(scenes, 12, axis=0)
    model = MeanModel()

    _answers(BoundedStreamModel(model, RULES, SIZE), frames)

    young = model.steps - len(frames)
    assert 0.5 * BUDGET * len(frames) < young
    assert young <= BUDGET * len(frames) + 2 * RULES.reserve + RULES.life


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), min_size=1, max_size=5),
    st.integers(1, 20),
    st.integers(0, 99),
    st.booleans(),
)
def test_any_cutting_into_calls_gives_the_same(parts, pieces, seed, restart_at_cuts):
    """One frame a call and many give the same answers, ages and states, and step the model by as many frames."""
    frames = _clip(*parts, seed=seed)
    counted = MeanModel()
    model = BoundedStreamModel(counted, RULES, SIZE, restart_at_cuts=restart_at_cuts)

    one, ages, states = _answers(model, frames)
    steps, counted.steps = counted.steps, 0
    many, ages_of_many, states_of_many = _answers(model, frames, pieces)

    assert counted.steps == steps
    np.testing.assert_array_equal(one, many)
    assert ages == ages_of_many
    _assert_same(states, states_of_many)


@pytest.mark.slow
def test_a_stream_may_never_end():
    """After 20,000 frames it takes no more memory than after 1,000, looks back as far, and is right as often."""
    rng = np.random.default_rng(0)
    model = BoundedStreamModel(MeanModel(), RULES, SIZE)
    states = model.init_states(SIZE)
    sizes, right = [], []
    colour = 0
    while len(right) < 20_000:
        colour = (colour + int(rng.integers(1, 3))) % 3
        part = _clip((colour, int(rng.integers(20, 300))), seed=len(right))
        for frame in part:
            logits, ages, states = model.advance(frame[np.newaxis], states)
            right.append(logits.argmax() == colour)
            assert ages[0] <= 2 * RULES.horizon + RULES.life
        young = {name for name in states if name.startswith("young/")}
        sizes.append(sum(states[name].nbytes for name in states if name not in young))

    late = len(sizes) // 10
    assert set(sizes[late:]) == {sizes[late]}
    assert np.mean(right[:2000]) >= 0.95
    assert np.mean(right[-2000:]) >= 0.95


def _assert_same(states, others):
    assert list(states) == list(others)
    for name in states:
        np.testing.assert_array_equal(states[name], others[name], err_msg=name)


@settings(max_examples=10)
@given(st.integers(0, 99))
def test_many_streams_are_stepped_as_each_alone(seed):
    """Streams that change at different times, each with its own young session."""
    model = BoundedStreamModel(MeanModel(), RULES, SIZE)
    clips = [
        _clip((k, 40 + 3 * k), ((k + 1) % 3, 40 - 3 * k), seed=seed + k)
        for k in range(3)
    ]
    states = [model.init_states(SIZE) for _ in clips]
    rows = []
    for place in range(80):
        logits, _, states = model.advance_many(
            np.stack([clip[place] for clip in clips]), states
        )
        rows.append(logits)

    for stream, clip in enumerate(clips):
        alone, _, last = _answers(model, clip)
        np.testing.assert_array_equal(np.array(rows)[:, stream], alone)
        _assert_same(last, states[stream])


def test_a_step_changes_no_state_that_it_was_given():
    """States can be stepped from again."""
    model = BoundedStreamModel(MeanModel(), RULES, SIZE)
    frames = _clip((0, 50), (1, 30))
    _, _, before = _answers(model, frames[:52])
    shown = {name: np.array(value) for name, value in before.items()}

    first = model.step(frames[52:], before)[0]
    again = model.step(frames[52:], before)[0]

    np.testing.assert_array_equal(first, again)
    _assert_same(before, shown)


@pytest.mark.parametrize("stop", [1, 20, 49, 52, 55, 70])
def test_states_go_through_a_dict_of_arrays(stop):
    """What was read as arrays goes on with the same answers, with a young session and without."""
    model = BoundedStreamModel(MeanModel(), RULES, SIZE)
    frames = _clip((0, 50), (1, 50))
    _, _, states = _answers(model, frames[:stop])
    read = {name: np.array(value) for name, value in states.items()}

    expected, ages, _ = model.advance(frames[stop:], states)
    found, ages_of_found, _ = model.advance(frames[stop:], model.fit(read))

    np.testing.assert_array_equal(expected, found)
    assert ages == ages_of_found


def test_states_of_a_stream_without_a_horizon_are_taken():
    """A stream that was begun without a horizon goes on with one, at the age that its states tell."""
    plain = MeanModel()
    model = BoundedStreamModel(plain, RULES, SIZE)
    frames = _clip((0, 200), (1, 30))
    _, states = plain.step(frames[:200], plain.init_states(SIZE))

    logits, ages, after = model.advance(frames[200:], states)

    assert isinstance(after, BoundedStates)
    assert ages[0] == 201
    assert (logits.argmax(1)[-15:] == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("horizon/jumps"), "all of horizon/ or nothing of it; 'horizon/jumps' is missing"),
        (lambda s: s.update({"horizon/more": np.zeros(1)}), "'horizon/more' is unknown"),
        (lambda s: s.update({"horizon/long_age": np.array(-3)}), "must be those of a session with this model"),
        (lambda s: s.update({"horizon/long_age": np.array(2.5)}), "must be one whole number; got float64"),
        (lambda s: s.update({"horizon/logits": np.full(3, np.nan)}), "must be finite floating-point numbers"),
        (lambda s: s.update({"horizon/thumbnails": np.zeros((400, 192))}), "must be those of a session with this model"),
        (lambda s: s.pop("state/head/pool_buffer"), "'state/head/pool_buffer' is missing"),
    ],
)  # fmt: skip
def test_states_that_do_not_fit_are_refused(change, message):
    """The message names what does not fit."""
    model = BoundedStreamModel(MeanModel(), RULES, SIZE)
    _, _, states = _answers(model, _clip((0, 40)))
    given = {name: np.array(value) for name, value in states.items()}
    change(given)

    with pytest.raises(SessionError, match=message):
        model.fit(given)


def test_what_is_no_mapping_is_refused():
    """As for every session."""
    model = BoundedStreamModel(MeanModel(), RULES, SIZE)

    with pytest.raises(SessionError, match="mapping of names to arrays; got list"):
        model.fit([1])
