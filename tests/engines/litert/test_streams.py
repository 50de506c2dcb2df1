"""The LiteRT engine: files that others made, and states that nobody copies and nobody loses."""

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.classifiers import step_many
from movinet_lite.engines.litert import graphs, step_graphs, streams
from movinet_lite.engines.litert.opening import load_tflite
from movinet_lite.errors import ModelError, SessionError
from tests.python_calls import python_calls
from tests.saved_models import COLOURS, STATE_NAMES, expected_stream_logits
from tests.tflite_models import FRAME_SIZE, write_tflite


@pytest.fixture
def frames():
    """Five frames that differ."""
    shape = (5, *FRAME_SIZE, 3)
    return np.random.default_rng(3).uniform(0, 1, shape).astype(np.float32)


@pytest.fixture(scope="session")
def tflite(tmp_path_factory):
    """Return a function that writes each kind of file once."""
    folder = tmp_path_factory.mktemp("tflite")
    made = {}

    def get(**options):
        key = "-".join(str(value) for value in options.values()) or "plain"
        if key not in made:
            made[key] = write_tflite(folder / f"{key}.tflite", **options)
        return made[key]

    return get


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize(
    ("signature", "naming"),
    [
        ("serving_default", "hub"),
        ("call", "hub"),
        ("serving_default", "garden"),
        ("call", "garden"),
    ],
)
@pytest.mark.parametrize(
    ("quantize", "tolerance"),
    [(None, 1e-6), ("float16", 1e-3), ("dynamic", 0.02), ("int8", 0.05)],
)
def test_files_of_others_stream(  # noqa: PLR0917 - one argument a parameter
    tflite, frames, signature, naming, quantize, tolerance
):
    """Either signature and naming, and every kind of quantisation, gives the logits of every frame."""
    path = tflite(signature=signature, naming=naming, quantize=quantize)
    session = StreamingClassifier.load(path, labels=COLOURS, horizon_s=None)

    logits = np.stack([session.step(frame).logits for frame in frames])

    expected = expected_stream_logits(frames)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(
        logits, expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )
    assert session.frame_size == FRAME_SIZE
    assert sorted(session.states) == sorted(STATE_NAMES[naming])


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_states_of_quantised_models_are_real_numbers_and_move_between_models(
    tflite, frames
):
    """A stream goes on in a model of other scales, or of none, and comes back."""
    expected = expected_stream_logits(frames)
    fine = StreamingClassifier.load(tflite(quantize="int8"), labels=COLOURS)
    coarse = StreamingClassifier.load(tflite(quantize="int8", span=1.5), labels=COLOURS)
    exact = StreamingClassifier.load(tflite(), labels=COLOURS)
    fine.step(frames[0])
    kept = fine.states
    buffer = kept["state_block0_layer0_stream_buffer"]
    assert buffer.dtype == np.float32
    np.testing.assert_allclose(buffer[0, -1], frames[0], rtol=0, atol=0.01)

    one = fine.step(frames[1]).logits
    fine.states = kept
    np.testing.assert_array_equal(fine.step(frames[1]).logits, one)
    for session in (coarse, exact):
        session.states = kept
        logits = session.step(frames[1]).logits
        np.testing.assert_allclose(
            logits, expected[1], rtol=0, atol=0.05 * np.abs(expected).max()
        )
    fine.states = exact.states
    np.testing.assert_allclose(
        fine.step(frames[2]).logits,
        expected[2],
        rtol=0,
        atol=0.05 * np.abs(expected).max(),
    )


def test_an_image_of_whole_numbers_that_mean_nothing_is_refused(tflite):
    """0 to 1 would become 0 everywhere."""
    with pytest.raises(ModelError, match=r"'image', is uint8 and says nothing"):
        load_tflite(tflite(image_dtype="uint8"))


@pytest.mark.parametrize("signature", ["call", "serving_default"])
def test_a_file_with_init_states_too_streams(tflite, frames, signature):
    """Of several signatures the step is the one that is called so."""
    path = tflite(signature=signature, more_signatures=True)
    session = StreamingClassifier.load(path, labels=COLOURS)
    logits = np.stack([session.step(frame).logits for frame in frames])
    np.testing.assert_allclose(logits, expected_stream_logits(frames), atol=1e-5)


def test_signatures_that_do_not_say_which_is_the_step_are_refused(tflite):
    """No guess."""
    path = tflite(signature="mine", more_signatures=True)
    with pytest.raises(ModelError, match=r"this one has 'init_states', 'mine'"):
        load_tflite(path)


def test_the_model_itself_refuses_what_does_not_fit(tflite, frames):
    """Frames of another size, and states of other shapes, would give logits of nothing."""
    model = load_tflite(tflite())
    states = model.init_states(FRAME_SIZE)
    with pytest.raises(ModelError, match=r"one size, \(10, 12\); got \(5, 6\)"):
        model.step(frames[:1, :5, :6], states)
    with pytest.raises(ModelError, match=r"one size, \(10, 12\); got \(12, 10\)"):
        model.step_many(frames[:1].swapaxes(1, 2), [states])
    name = "state_block0_layer0_stream_buffer"
    turned = {**states, name: states[name].swapaxes(2, 3)}
    with pytest.raises(SessionError, match=r"must have shape \(1, 2, 10, 12, 3\)"):
        model.step(frames[:1], turned)
    missing = {key: value for key, value in states.items() if key != name}
    with pytest.raises(SessionError, match="is missing"):
        model.step(frames[:1], missing)


def test_a_model_computes_with_the_cores_it_may_use(tflite, monkeypatch):
    """Where nobody says how many threads."""
    made = []

    class NotingGraph(graphs.Graph):
        def __init__(self, path, *, threads, source):
            made.append(threads)
            super().__init__(path, threads=threads, source=source)

    monkeypatch.setattr(streams, "Graph", NotingGraph)
    monkeypatch.setattr(streams, "available_cores", lambda: 3)
    load_tflite(tflite())
    load_tflite(tflite(), threads=2)
    assert made == [3, 2]


def test_streams_of_a_file_that_takes_one_are_said_to_have_no_effect(tflite, frames):
    """The predictions are right, and whoever waits for a gain is told that there is none."""
    with pytest.warns(UserWarning, match=r"streams=3 has no effect: .*one by one"):
        first = StreamingClassifier.load(tflite(), labels=COLOURS, streams=3)
    sessions = [first, first.new_session(), first.new_session()]
    found = step_many(sessions, list(frames[:3]))
    for frame, prediction in zip(frames, found, strict=False):
        alone = first.new_session().step(frame)
        np.testing.assert_array_equal(prediction.logits, alone.logits)


def test_step_is_pure(tflite, frames):
    """States that someone holds stay what they are, however many steps follow."""
    model = load_tflite(tflite())
    _, early = model.step(frames[:2], model.init_states(FRAME_SIZE))
    before = {name: value.copy() for name, value in early.items()}
    one, states = model.step(frames[2:3], early)
    for _ in range(5):
        _, states = model.step(frames, states)
    two, _ = model.step(frames[2:3], early)
    three, _ = model.step(frames[2:3], before)

    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


def test_memory_of_states_is_used_again(tflite, frames):
    """A thousand steps need no more memory than a few sets of states."""
    model = load_tflite(tflite())
    states = model.init_states(FRAME_SIZE)
    memory = {}
    for _ in range(200):
        _, states = model.step(frames, states)
        buffers = states.buffers.in_order()
        memory.update({id(buffer): buffer for buffer in buffers})
    assert len(memory) <= 3 * len(buffers)


def test_memory_of_closed_sessions_goes_back(tflite, frames):
    """What many sessions needed at once is not kept when they are closed."""
    model = load_tflite(tflite())
    num_states = len(STATE_NAMES["garden"])
    before = num_buffers()
    sessions = [StreamingClassifier(model, COLOURS) for _ in range(50)]
    for session in sessions:
        session.step(frames[0])
    assert num_buffers() - before >= 50 * num_states
    for session in sessions:
        session.close()
    assert num_buffers() - before <= 3 * num_states


def test_no_python_code_runs_when_states_end(tflite, frames):
    """Ctrl-C in a finaliser would be printed and lost; buffers come back, and are freed, without one."""
    model = load_tflite(tflite())
    held = [model.step(frames[:1], model.init_states(FRAME_SIZE))[1] for _ in range(9)]
    before = num_buffers()
    assert python_calls(held.clear) == []
    assert num_buffers() < before


def num_buffers():
    """Return how many pieces of memory LiteRT has given out that are still held."""
    from ai_edge_litert.tensor_buffer import TensorBuffer

    gc.collect()
    return sum(type(held) is TensorBuffer for held in gc.get_objects())


_LOAD_IN_THREADS = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from ai_edge_litert.environment import Environment
from movinet_lite.engines.litert.opening import load_tflite
made, create = [], Environment.create
Environment.create = lambda **options: made.append(create(**options)) or made[-1]
together = threading.Barrier(4)
def load(_):
    together.wait()
    return load_tflite(sys.argv[1])
with ThreadPoolExecutor(4) as threads:
    print(len(list(threads.map(load, range(4)))), len(made))
"""


def test_threads_share_one_environment_of_litert(tflite):
    """Making one loads all accelerators, and none is ever given back."""
    done = subprocess.run(
        [sys.executable, "-c", _LOAD_IN_THREADS, str(tflite())],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "4 1\n"


def test_a_file_is_the_same_from_another_folder(tmp_path, monkeypatch):
    """A relative path is that of the folder that one was in."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"one")
    monkeypatch.chdir(tmp_path)
    file = graphs.GraphFile.now("model.tflite")
    monkeypatch.chdir("/")
    file.check_unchanged("model")
    path.write_bytes(b"another")
    with pytest.raises(ModelError, match="has changed since"):
        file.check_unchanged("model")


def test_threads_step_sessions_over_one_model(tflite, frames):
    """Each of several threads gets what it would get alone."""
    model = load_tflite(tflite())
    orders = [np.random.default_rng(seed).permutation(40) % 5 for seed in range(4)]

    def stream(order):
        session = StreamingClassifier(model, COLOURS)
        return np.stack([session.step(frames[place]).logits for place in order])

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(stream, orders))
    for order, answer in zip(orders, answers, strict=True):
        np.testing.assert_allclose(
            answer, expected_stream_logits(frames[order]), atol=1e-5
        )


def test_two_sessions_over_one_model_do_not_touch(tflite, frames):
    """Each of two interleaved sessions gives what it gives alone."""
    model = load_tflite(tflite())
    one = StreamingClassifier(model, COLOURS)
    two = StreamingClassifier(model, COLOURS)
    pairs = [
        (one.step(a).logits, two.step(b).logits)
        for a, b in zip(frames, frames[::-1], strict=True)
    ]
    np.testing.assert_allclose(
        [pair[0] for pair in pairs], expected_stream_logits(frames), atol=1e-5
    )
    np.testing.assert_allclose(
        [pair[1] for pair in pairs], expected_stream_logits(frames[::-1]), atol=1e-5
    )


def test_states_move_between_the_engines(tflite, tmp_path, frames):
    """A stream begun with TensorFlow goes on with LiteRT, and back."""
    from tests.saved_models import write_stream_saved_model

    slow = StreamingClassifier.load(
        write_stream_saved_model(tmp_path / "m", naming="hub"),
        engine="tensorflow",
        labels=COLOURS,
        frame_size=FRAME_SIZE,
    )
    fast = StreamingClassifier.load(tflite(naming="garden"), labels=COLOURS)
    expected = expected_stream_logits(frames)

    slow.step(frames[0])
    fast.states = slow.states
    np.testing.assert_allclose(fast.step(frames[1]).logits, expected[1], atol=1e-5)
    slow.states = fast.states
    np.testing.assert_allclose(slow.step(frames[2]).logits, expected[2], atol=1e-5)


def test_another_frame_size_is_refused(tflite):
    """A compiled model takes frames of one size, and says which."""
    with pytest.raises(ModelError, match=r"one size, \(10, 12\); got \(20, 20\)"):
        StreamingClassifier.load(tflite(), labels=COLOURS, frame_size=(20, 20))


@pytest.mark.parametrize("kept", [0, 10, 1000, -2000, -10])
def test_a_file_that_is_cut_short_is_refused(tflite, tmp_path, kept):
    """A damaged file is one clear error and no crash."""
    path = tmp_path / "cut.tflite"
    path.write_bytes(tflite().read_bytes()[:kept])
    with pytest.raises(ModelError, match="tflite"):
        StreamingClassifier.load(path, labels=COLOURS)


def test_a_model_of_something_else_is_refused(tmp_path):
    """A .tflite file without states is no streaming MoViNet."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([1, 4, 4, 3])])
    def serve(image):
        return {"scores": tf.reduce_mean(image, axis=(1, 2))}

    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path / "m"), {"serving_default": serve})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "m"))
    path = tmp_path / "other.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(ModelError, match="takes one image and its states"):
        StreamingClassifier.load(path, labels=["a", "b", "c"])


@pytest.mark.parametrize("shape", [(1, 600), (1, 1, 10, 12, 1), (3, 10, 12)])
def test_an_input_that_is_no_image_is_refused(shape):
    """Whatever else takes states is no MoViNet."""
    state = graphs.TensorSpec("state_head_pool_buffer", (1, 1, 1, 1, 3), np.dtype("f4"))
    other = graphs.TensorSpec("input", shape, np.dtype("f4"))
    with pytest.raises(ModelError, match=r"takes an image of shape \(1, 1, height"):
        step_graphs._only_image([state, other], step_graphs.ONE_FRAME, "model")


def test_several_frames_a_call_are_refused(tflite):
    """A file of two frames a call would give one row for two frames."""
    with pytest.raises(ModelError, match=r"got|takes \(1, 2, 10, 12, 3\)"):
        load_tflite(tflite(num_frames=2))


def test_a_tflite_file_of_others_is_no_base_model(tflite):
    """Whole clips need a file that says what it is, or a SavedModel."""
    with pytest.raises(ModelError, match="one that this library wrote"):
        BaseClassifier.load(tflite(), labels=COLOURS)


def test_the_standard_error_is_the_applications(tflite):
    """What an application writes there arrives while the library works, and loading a stream imports no TensorFlow."""
    code = (
        "import sys, numpy as np\n"
        "from movinet_lite import StreamingClassifier\n"
        "s = StreamingClassifier.load(sys.argv[1], labels=['a', 'b', 'c', 'd'])\n"
        "s.step(np.zeros((10, 12, 3), np.uint8))\n"
        "print('tensorflow' in sys.modules)\n"
        "print('mine', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tflite())],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
    assert "mine\n" in done.stderr
