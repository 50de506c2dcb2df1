"""The native engine's streams: pure steps without copies, shared by threads, with memory that is used again."""

import copy
import gc
import os
import pickle
import re
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from movinet_lite import StreamingClassifier
from movinet_lite.classifiers import step_many
from movinet_lite.classifiers.long_streams import MAX_COUNT, frame_count
from movinet_lite.engines.base import BatchFeatureModel, BatchStreamModel, ModelInfo
from movinet_lite.engines.native.program import StreamProgram
from movinet_lite.engines.native.streams import NativeStreamModel
from movinet_lite.engines.native.target import host_target, why_not
from movinet_lite.engines.tensorflow.networks import as_model
from movinet_lite.errors import ModelError, SessionError
from movinet_lite.network.model import fold
from movinet_lite.network.states import FRAME_COUNT
from tests.forking import fork
from tests.networks import LABELS, SIZE, moving_clips, small_network, tiny_variant
from tests.python_calls import python_calls

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant():
        yield


@pytest.fixture(scope="module")
def network():
    """A stream network of `SIZE`, with all the counts that A3 to A5 have."""
    return small_network("stream", frame_size=SIZE, positional_encoding=True)


@pytest.fixture(scope="module")
def source(network):
    """The model that TensorFlow runs."""
    return as_model(network, "tiny")


class NotedProgram(StreamProgram):
    """Notes how many images each call takes, and every memory that is made."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.calls = []
        self.made = []

    def new_storage(self):
        """Return the memory of a stream."""
        self.made.append(self.storage_size)
        return super().new_storage()

    def run(self, frames, storages, places, ages, source=None):
        """Return a row for each frame."""
        assert frames.flags.c_contiguous
        assert len(frames) == len(storages) == len(places) == len(ages)
        self.calls.append(len(frames))
        return super().run(frames, storages, places, ages, source)


@pytest.fixture(scope="module")
def new_model(network, tmp_path_factory):
    """Return a function that makes native models, each with storages of its own."""
    cache = tmp_path_factory.mktemp("code")
    weights = {
        name: np.asarray(weight, np.float32)
        for name, weight in fold(network).named_weights.items()
    }
    info = ModelInfo.of(network.spec, "tiny", "native")

    def make():
        program = NotedProgram.of(
            network.spec,
            weights,
            target=host_target(),
            is_compact=False,  # which rounds weights
            cache=cache,
        )
        return NativeStreamModel(program, info)

    return make


@pytest.fixture
def model(new_model):
    """A native model whose storages nobody else uses."""
    return new_model()


@pytest.fixture(scope="module")
def frames():
    """Nineteen frames that differ."""
    return moving_clips(frames=19)[0]


@pytest.fixture(scope="module")
def expected(source, frames):
    """The logits of the source after each of the frames."""
    return source.step(frames, source.init_states(SIZE))[0]


@pytest.fixture
def copies(monkeypatch):
    """Note each time that a step works on a copy of a storage."""
    noted, copyto = [], np.copyto

    def note(target, values):
        if values.dtype == np.uint8:
            noted.append(values.nbytes)
        copyto(target, values)

    monkeypatch.setattr("movinet_lite.engines.native.states.np.copyto", note)
    return noted


def assert_close(found, expected):
    """Compare logits to what is promised: 1e-4 of the largest."""
    limit = 1e-4 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def assert_same_states(found, expected):
    """Compare all states, which two programs compute in another order."""
    assert list(found) == list(expected)
    for name in expected:
        assert found[name].dtype == expected[name].dtype
        assert_close(found[name], expected[name])


def one_by_one(model, frames, states=None):
    """Return the logits after each frame, from a step each, and the states after the last."""
    states = model.init_states(SIZE) if states is None else states
    rows = []
    for frame in frames:
        row, states = model.step(frame[np.newaxis], states)
        rows.append(row[0])
    return np.stack(rows), states


@pytest.mark.parametrize("pieces", [[1] * 19, [19], [2, 1, 16], [3, 1, 1, 14]])
def test_any_pieces_give_the_logits_and_states_of_the_source(
    model, source, frames, expected, pieces
):
    """Frame by frame or many in a call, longer ones than the machine code takes at once among them."""
    states = model.init_states(SIZE)
    rows = []
    for piece in np.split(frames, np.cumsum(pieces)[:-1]):
        found, states = model.step(piece, states)
        rows.append(found)
        assert max(model._program.calls) <= 8
    assert_close(np.concatenate(rows), expected)
    assert_same_states(states, source.step(frames, source.init_states(SIZE))[1])


def test_features_follow_the_logits_in_the_order_asked_for(model, source, frames):
    """Of steps of one stream and of many, those of the source."""
    assert model.feature_names == ("pooled", "hidden")
    assert isinstance(model, BatchStreamModel)
    assert isinstance(model, BatchFeatureModel)
    for names in (("pooled",), ("hidden",), ("hidden", "pooled")):
        begin = source.init_states(SIZE)
        expected, _ = source.step_with_features(frames[:3], begin, names)
        found, states = model.step_with_features(
            frames[:2], model.init_states(SIZE), names
        )
        again, _ = model.step_many_with_features(frames[2:3], [states], names)
        assert_close(np.concatenate([found, again]), expected)


def test_a_stream_that_goes_on_copies_nothing(model, frames, copies):
    """The usual session, with a horizon and its young session, or without, works in one storage for each of both."""
    for horizon_s in ("auto", None):
        session = StreamingClassifier(model, LABELS, horizon_s=horizon_s)
        for index in range(70):
            session.step(frames[index % len(frames)])
    assert copies == []


def test_sessions_stepped_together_copy_nothing(model, frames, copies):
    """Also of different ages, and more than the machine code takes in a call."""
    sessions = [StreamingClassifier(model, LABELS) for _ in range(18)]
    for index in range(12):
        ready = sessions[: 1 + 6 * min(index, 2) + 5 * (index > 5)]
        pictures = [frames[(index + place) % 19] for place in range(len(ready))]
        step_many(ready, pictures)
    assert copies == []


def test_a_step_that_is_tried_again_copies_nothing(model, frames, copies):
    """Where nobody holds what a step gave, the next from the same states takes its place."""
    expected, states = one_by_one(model, frames[:5])
    for _ in range(3):
        found, _ = model.step(frames[5:6], states)
    assert copies == []
    again, _ = one_by_one(model, frames[:6])
    np.testing.assert_array_equal(found[0], again[5])
    np.testing.assert_array_equal(expected, again[:5])


def test_a_run_copies_only_in_short_calls(model, frames, copies):
    """A caller may stop in the middle of a call, so the states before it are kept: a long call reads them where they are."""
    session = StreamingClassifier(model, LABELS, horizon_s=None)
    list(session.run(np.concatenate([frames] * 3)[:48], frames_per_call=16))
    assert not copies
    list(session.run(frames[:6], frames_per_call=2))
    assert len(copies) == 3


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 9, 14])
def test_long_calls_go_on_from_states_that_stay(model, frames, count):
    """Whatever its length, a call gives what single steps give, and leaves the states it begins from as they were."""
    _, begun = one_by_one(model, frames[:5])
    before = dict(begun)
    expected, after = one_by_one(model, frames[5 : 5 + count], begun)
    for _ in range(2):
        rows, states = model.step(frames[5 : 5 + count], begun)
        assert_close(rows, expected)
        assert_same_states(dict(states), dict(after))
        again, _ = model.step(frames[:1], states)
        assert_close(again, model.step(frames[:1], after)[0])
    for name, value in before.items():
        np.testing.assert_array_equal(begun[name], value)


def test_streams_in_one_call_are_those_alone(model, frames):
    """Streams of different ages, with more streams than a call takes, do not mix."""
    ages = [place % 5 for place in range(21)]
    streams = [np.roll(frames, place, axis=0) for place in range(21)]
    states, alone = [], []
    for age, stream in zip(ages, streams, strict=True):
        rows, _ = one_by_one(model, stream[: age + 1])
        alone.append(rows[-1])
        begin = model.init_states(SIZE)
        states.append(model.step(stream[:age], begin)[1] if age else begin)
    now = np.stack([stream[age] for age, stream in zip(ages, streams, strict=True)])
    rows, after = model.step_many(now, states)
    assert_close(rows, np.stack(alone))
    assert [frame_count(one) for one in after] == [age + 1 for age in ages]
    assert max(model._program.calls) <= 8


def test_step_is_pure(model, frames):
    """States that someone holds stay what they are, whoever steps on from them, in whatever pieces."""
    _, held = one_by_one(model, frames[:6])
    before = {name: value.copy() for name, value in held.items()}
    first, _ = model.step(frames[6:7], held)
    _, once = model.step(frames[6:7], held)
    kept = dict(once)
    _, states = one_by_one(model, frames[7:12], held)
    model.step(frames, states)
    model.step(frames[:5], held)
    model.step_many(frames[:3], [held, once, held])
    for wanted, states in ((before, held), (kept, once)):
        found = model._storages._program.read_states(
            states.storage.memory, states.place
        )
        for name, value in found.items():
            np.testing.assert_array_equal(value, wanted[name])
    second, _ = model.step(frames[6:7], held)
    third, _ = model.step(frames[6:7], before)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)


def test_all_states_of_a_stream_can_be_held(model, frames):
    """A caller who keeps the states after each frame can go back to any of them."""
    states, held = model.init_states(SIZE), []
    for frame in frames:
        held.append(states)
        _, states = model.step(frame[np.newaxis], states)
    expected, _ = one_by_one(model, frames)
    for place in reversed(range(len(frames))):
        found, _ = model.step(frames[place : place + 1], held[place])
        np.testing.assert_array_equal(found[0], expected[place])


def test_states_given_twice_step_twice(model, frames):
    """In one call, one stream may take two ways."""
    _, begun = one_by_one(model, frames[:4])
    rows, after = model.step_many(frames[[4, 5, 4]], [begun, begun, begun])
    np.testing.assert_array_equal(rows[0], rows[2])
    assert not np.array_equal(rows[0], rows[1])
    for frame, states, row in zip(frames[[4, 5, 4]], after, rows, strict=True):
        again, expected = one_by_one(model, [frame], begun)
        np.testing.assert_array_equal(again[0], row)
        assert_same_states(states, expected)


def test_a_step_that_fails_changes_nothing(model, frames, monkeypatch):
    """Neither the states that it began from nor those that follow."""
    expected, _ = one_by_one(model, frames[:6])
    _, states = one_by_one(model, frames[:4])
    run = model._program.run

    def fail(*arguments):
        run(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(model._program, "run", fail)
        with pytest.raises(KeyboardInterrupt):
            model.step(frames[:1], states)
        with pytest.raises(KeyboardInterrupt):
            model.step_many(frames[:2], [states, states])
        with pytest.raises(KeyboardInterrupt):
            model.step(frames, states)
    found, _ = one_by_one(model, frames[4:6], states)
    np.testing.assert_array_equal(found, expected[4:])


def test_states_have_the_published_layout_and_move_between_engines(
    model, new_model, source, frames, expected
):
    """A stream begun anywhere goes on anywhere: on another engine, another native model, from plain arrays of any names."""
    _, theirs = source.step(frames[:7], source.init_states(SIZE))
    _, ours = model.step(frames[:7], model.init_states(SIZE))
    assert_same_states(ours, theirs)
    assert FRAME_COUNT not in ours
    assert ours["state/head/pool_frame_count"].tolist() == [7]
    garden = {
        re.sub(r"/b(\d+)/l(\d+)/", r"_block\1_layer\2_", name).replace("/", "_"): value
        for name, value in theirs.items()
    }
    assert "state_block1_layer0_stream_buffer" in garden
    other = new_model()
    for begun in (
        theirs,
        garden,
        dict(ours),
        other.step(frames[:7], other.init_states(SIZE))[1],
    ):
        found, states = model.step(frames[7:8], begun)
        assert_close(found, expected[7:8])
        found, _ = model.step(frames[8:], states)
        assert_close(found, expected[8:])
    found, _ = source.step(frames[7:], dict(ours))
    assert_close(found, expected[7:])
    with pytest.raises(SessionError, match="is missing"):
        model.step(frames[:1], {})


def test_states_that_are_shown_are_copies(model, frames):
    """Writing to an array, or changing it after the fact, does not reach into the engine."""
    _, states = one_by_one(model, frames[:3])
    expected, _ = one_by_one(model, frames[3:4], states)
    for name in states:
        states[name][:] = 0
    found, _ = one_by_one(model, frames[3:4], states)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(KeyError):
        states["state/none"]


def test_copied_and_pickled_states_are_arrays(model, frames):
    """A copy of states does not stand for memory that goes on changing."""
    _, states = one_by_one(model, frames[:3])
    values = dict(states)
    kinds = [
        copy.copy(states),
        copy.deepcopy(states),
        pickle.loads(pickle.dumps(states)),  # noqa: S301 - ours
    ]
    one_by_one(model, frames[3:], states)
    for copied in kinds:
        assert type(copied) is dict
        assert_same_states(copied, values)


def test_empty_states_need_no_memory_and_have_zeros(model, source):
    """A thousand sessions that wait for their first frame cost next to nothing."""
    states = [model.init_states(SIZE) for _ in range(1000)]
    assert_same_states(states[0], source.init_states(SIZE))
    assert model._program.made == []


def test_a_session_resets_restores_and_recounts(model, source, frames):
    """What sessions do with states works on these: the same predictions as over the source."""
    logits = []
    for one in (model, source):
        session = StreamingClassifier(one, LABELS, horizon_s=None)
        list(session.run(frames[:9], frames_per_call=4))
        kept = session.states
        session.reset()
        session.step(frames[0])
        session.states = kept
        old = {
            name: np.full_like(value, MAX_COUNT) if "count" in name else value
            for name, value in kept.items()
        }
        old |= {
            name: value * (MAX_COUNT / 9)
            for name, value in kept.items()
            if name.endswith("pool_buffer")
        }
        first = session.step(frames[9]).logits
        session.states = old
        second = session.step(frames[9]).logits
        assert frame_count(session.states) == MAX_COUNT // 2 + 1
        logits.append(np.stack([first, second]))
    assert_close(logits[0], logits[1])


def test_a_horizon_answers_as_over_the_source(model, source, frames):
    """Young sessions begin, take over and end on this engine as on the other."""
    rng = np.random.default_rng(1)
    video = [frames[index] for index in rng.integers(0, 19, 60)]
    found, expected = (
        [
            prediction.logits
            for prediction in StreamingClassifier(one, LABELS, horizon_s=2.0).run(video)
        ]
        for one in (model, source)
    )
    assert_close(np.stack(found), np.stack(expected))


def test_threads_step_sessions_over_one_model(model, frames):
    """Each thread gets the answers of its own stream."""
    expected, _ = one_by_one(model, frames)

    def stream(seed):
        order = np.random.default_rng(seed).permutation(len(frames))
        rows, _ = one_by_one(model, frames[order])
        return order, rows

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(stream, range(8)))
    for order, rows in answers:
        alone, _ = one_by_one(model, frames[order])
        np.testing.assert_array_equal(rows, alone)
    np.testing.assert_array_equal(one_by_one(model, frames)[0], expected)


def test_threads_step_the_same_states(model, frames, monkeypatch):
    """Two steps from one place at the same time each write to a storage of their own."""
    _, begun = one_by_one(model, frames[:5])
    expected = [one_by_one(model, frames[[5, index]], begun)[0] for index in (6, 7)]
    run, together = model._program.run, threading.Barrier(2, timeout=30)

    def run_together(*given):
        together.wait()  # both have begun, and none has ended
        rows = run(*given)
        together.wait()
        return rows

    monkeypatch.setattr(model._program, "run", run_together)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(one_by_one, model, frames[[5, index]], begun)
            for index in (6, 7)
        ]
        found = [job.result() for job in jobs]
    for (rows, _), wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(rows, wanted)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_while_another_thread_begins_a_step(model, frames):
    """The forked process steps on, from the states of that step too: it waits for no thread that it does not have."""
    rows, _ = one_by_one(model, frames[:6])
    _, (before, other) = zip(
        *(one_by_one(model, frames[:5]) for _ in range(2)), strict=True
    )
    begun, may_end = threading.Event(), threading.Event()

    def hold():
        begun.set()
        assert may_end.wait(120)

    before.storage.previous = hold  # asked while the step takes its storage
    with ThreadPoolExecutor(1) as pool:
        stepping = pool.submit(one_by_one, model, frames[5:6], before)
        assert begun.wait(60)
        child = fork()
        if not child:
            signal.alarm(30)
            found = [one_by_one(model, frames[5:6], one)[0] for one in (other, before)]
            os._exit(0 if np.array_equal(found, [rows[5:6]] * 2) else 1)
        status = os.waitpid(child, 0)[1]
        may_end.set()
        np.testing.assert_array_equal(stepping.result()[0], rows[5:6])
    assert status == 0


@pytest.mark.parametrize("seed", range(8))
def test_no_order_of_steps_overwrites_what_is_held(model, frames, seed):
    """Whatever is stepped, dropped, taken up again or stepped together, logits depend on the frames of a stream alone."""
    rng = np.random.default_rng(seed)
    answers = {}
    held = [((), model.init_states(SIZE))]

    def check(history, row):
        if history in answers:
            assert_close(row, answers[history])
        answers[history] = row

    for _ in range(40):
        chosen = [held[index] for index in rng.integers(0, len(held), 3)]
        number = int(rng.integers(0, 2))
        if rng.random() < 0.3:
            count = int(rng.integers(1, 4))
            history, states = chosen[0]
            rows, after = model.step(frames[[number] * count], states)
            for step, row in enumerate(rows):
                check((*history, *[number] * (step + 1)), row)
            new = [((*history, *[number] * count), after)]
        else:
            rows, stepped = model.step_many(
                frames[[number] * 3], [states for _, states in chosen]
            )
            new = [
                ((*history, number), states)
                for (history, _), states in zip(chosen, stepped, strict=True)
            ]
            for (history, _), row in zip(new, rows, strict=True):
                check(history, row)
        held += new
        del chosen, new
        held = [one for one in held if rng.random() < 0.6] or held[:1]
    assert len(answers) > 20


def test_memory_is_used_again_and_little_is_kept(model, frames):
    """A long stream needs two storages at most, and what many sessions needed at once goes back to the system."""
    made = model._program.made
    states = model.init_states(SIZE)
    for _ in range(20):
        _, states = model.step(frames[:1], states)
        _, states = model.step(frames[:3], states)
    assert len(made) == 2
    del states
    sessions = [StreamingClassifier(model, LABELS) for _ in range(30)]
    for session in sessions:
        session.step(frames[0])
    assert len(made) == 30
    for session in sessions:
        session.close()
    gc.collect()
    assert len(model._storages._free) == 4


def test_a_storage_that_is_used_again_begins_with_zeros(model, frames):
    """A new stream sees nothing of the one whose memory it gets."""
    expected, states = one_by_one(model, frames)
    del states
    for _ in range(6):
        found, _ = one_by_one(model, frames[:5])
        np.testing.assert_array_equal(found, expected[:5])


def test_no_python_code_runs_when_states_end(model, frames):
    """Ctrl-C in a finaliser would be printed and lost; storages come back, and are freed, without one."""
    held = [model.step(frames[:1], model.init_states(SIZE))[1] for _ in range(9)]
    assert python_calls(held.clear) == []
    assert len(model._storages._free) == 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("count", [1, 9])
def test_states_that_are_garbage_are_an_error_once_overwritten(model, frames, count):
    """In ``__del__`` of garbage nobody knows who holds states: rather an error than the states of later frames."""
    found = []

    class Recorder:
        def __del__(self):
            states = self.states
            for index in range(2):
                _, states = model.step(frames[index : index + 1], states)
            for use in (dict, lambda old: model.step(frames[:count], old)):
                with pytest.raises(SessionError, match="these were, and are overwr"):
                    use(self.states)
                found.append(use)

    recorder = Recorder()
    _, recorder.states = one_by_one(model, frames[:5])
    recorder.itself = recorder
    del recorder
    gc.collect()
    assert len(found) == 2


def test_frames_that_do_not_fit_are_refused(model, frames):
    """Machine code gets no frames of another shape, and frames of any memory layout."""
    states = model.init_states(SIZE)
    with pytest.raises(ModelError, match=r"takes frames of one size, \(40, 33\); got"):
        model.init_states((32, 32))
    with pytest.raises(ModelError, match=r"takes frames of one size, \(40, 33\); got"):
        model.step(frames[:1, :39], states)
    for wrong in (frames[:0], frames[:1, ..., :2], frames[0:1, ..., 0]):
        with pytest.raises(ModelError, match="frames must have shape"):
            model.step(wrong, states)
    with pytest.raises(ModelError, match="got 2 streams and 1 frames"):
        model.step_many(frames[:1], [states, states])
    flipped = frames[:4, ::-1]
    found, _ = model.step(flipped, states)
    expected, _ = model.step(np.ascontiguousarray(flipped), states)
    np.testing.assert_array_equal(found, expected)


def test_the_time_of_the_last_call_is_that_of_one_frame(model, frames):
    """Benchmarks read how much of a step was Python."""
    assert model.last_call_s == 0
    _, states = model.step(frames[:3], model.init_states(SIZE))
    assert model.last_call_s == 0
    model.step(frames[:1], states)
    assert 0 < model.last_call_s < 60


def test_a_storage_is_free_again_after_a_step_that_failed(model, frames):
    """The next step from the same states works in it, without a copy."""
    storages = model._storages
    _, states = one_by_one(model, frames[:2])
    storage = storages.begin(states, 1)
    storages.give_up(storage)
    assert storage.claim(states.place)


def byte_frames(count):
    """Return so many different frames of bytes."""
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, *SIZE, 3)).astype(np.uint8)


def logits_of(predictions):
    """Return the logits of predictions, ``(predictions, classes)``."""
    return np.stack([prediction.logits for prediction in predictions])


@pytest.mark.parametrize("count", [1, 6])
def test_bytes_count_as_their_255th_part(model, count):
    """A uint8 frame gives, bit for bit, what it gives divided by 255, alone or with others."""
    frames = byte_frames(count)
    empty = model.init_states(SIZE)
    expected, _ = model.step(np.divide(frames, np.float32(255)), empty)
    found, _ = model.step(frames, empty)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("horizon_s", [None, 1.0])
def test_sessions_take_frames_of_both_kinds(model, horizon_s):
    """In `step`, `run` and `step_many`, frames of bytes and of float32 may come in any order."""

    def session():
        return StreamingClassifier(
            model, LABELS, frame_size=SIZE, fps=5.0, horizon_s=horizon_s
        )

    as_bytes = byte_frames(20)
    as_floats = np.divide(as_bytes, np.float32(255))
    mixed = [as_bytes[index] if index % 3 else as_floats[index] for index in range(20)]
    expected = logits_of(session().run(list(as_floats)))
    scale = np.abs(expected).max()
    for frames in (list(as_bytes), mixed):
        stepped = session()
        both = [session(), session()]
        together = [step_many(both, [frame, frame])[1] for frame in frames]
        for found in (
            session().run(frames, frames_per_call=6),
            [stepped.step(frame) for frame in frames],
            together,
        ):
            np.testing.assert_allclose(logits_of(found), expected, atol=1e-5 * scale)


def test_scaled_bytes_stay_bytes(model, monkeypatch):
    """A frame of bytes of another size reaches the model as bytes, with the logits that float32 gives."""
    larger = np.repeat(np.repeat(byte_frames(3), 2, axis=1), 2, axis=2)
    session = StreamingClassifier(model, LABELS, frame_size=SIZE, horizon_s=None)
    kinds = []
    step = type(model).step
    monkeypatch.setattr(
        type(model),
        "step",
        lambda self, frames, states: (
            kinds.append(frames.dtype),
            step(self, frames, states),
        )[1],
    )
    found = logits_of(session.run(list(larger)))
    assert kinds == [np.uint8]
    monkeypatch.setattr(type(model), "takes_uint8", False)
    session = StreamingClassifier(model, LABELS, frame_size=SIZE, horizon_s=None)
    expected = logits_of(session.run(list(larger)))
    assert kinds == [np.uint8, np.float32]
    np.testing.assert_array_equal(found, expected)
