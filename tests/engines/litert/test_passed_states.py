"""States that a file passes through from input to output: LiteRT does not write them, and the stream keeps them."""

import numpy as np
import pytest

from movinet_lite import StreamingClassifier, read_frames
from movinet_lite.classifiers import step_many
from movinet_lite.engines.litert.graphs import Graph
from movinet_lite.engines.litert.opening import load_tflite
from movinet_lite.labels import load_labels
from tests.tflite_models import FRAME_SIZE, write_passing_tflite

COLOURS = ("red", "green", "blue")


class Reference:
    """LiteRT's own signature runner over one stream."""

    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(path), num_threads=1)
        self._runner = self._interpreter.get_signature_runner()
        self.states = {
            name: np.zeros(details["shape"], details["dtype"])
            for name, details in self._runner.get_input_details().items()
            if name != "image"
        }

    def step(self, frame):
        """Return the logits after a frame of floats from 0 to 1."""
        image = np.float32(frame)[np.newaxis, np.newaxis]
        answer = self._runner(image=image, **self.states)
        logits = answer.pop("logits")[0]
        self.states = {name: np.array(value) for name, value in answer.items()}
        return logits


def assert_same_states(found, expected):
    """Compare all states, number by number."""
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype)
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-6)


def use_memory(model, frames):
    """Leave buffers behind that hold other numbers than those of a new stream."""
    _, states = model.step(frames, model.init_states(frames.shape[1:3]))
    junk = {
        name: np.full_like(value, 7)
        if name.endswith("frame_count")  # those of one stream are one number
        else value + value.dtype.type(3)
        for name, value in states.items()
    }
    for _ in range(3):
        model.step(frames[:1], junk)


@pytest.fixture(scope="module")
def passing(tmp_path_factory):
    """A file that passes most of its states through."""
    return write_passing_tflite(tmp_path_factory.mktemp("passing") / "m.tflite")


@pytest.fixture
def frames():
    """Six frames that differ."""
    shape = (6, *FRAME_SIZE, 3)
    return np.random.default_rng(3).uniform(0, 1, shape).astype(np.float32)


def test_states_that_a_graph_does_not_write_are_carried_over(passing, frames):
    """After any number of frames each state is what LiteRT's own runner gives, from whatever states the stream began."""
    model = load_tflite(passing)
    use_memory(model, frames)
    reference = Reference(passing)
    rng = np.random.default_rng(4)
    for name, value in reference.states.items():
        reference.states[name] = rng.uniform(1, 2, value.shape).astype(np.float32)
    states = reference.states

    for frame in frames:
        logits, states = model.step(frame[np.newaxis], states)
        np.testing.assert_allclose(logits[0], reference.step(frame), rtol=1e-5)
        assert_same_states(dict(states), reference.states)


def test_a_step_leaves_the_states_it_was_given(passing, frames):
    """States that share a buffer with those before them are still pure: one can step from either again."""
    model = load_tflite(passing)
    _, early = model.step(frames[:2], model.init_states(FRAME_SIZE))
    before = {name: value.copy() for name, value in early.items()}
    one, _ = model.step(frames[2:], early)
    use_memory(model, frames)
    two, _ = model.step(frames[2:], early)
    np.testing.assert_array_equal(one, two)
    _, again = model.step(frames[:2], model.init_states(FRAME_SIZE))
    assert_same_states(dict(again), before)


def test_what_a_graph_passes_through_is_known(passing):
    """A constant and what the graph computes are not among it."""
    graph = Graph(passing, threads=1, source="model")
    assert graph.passed_through == {
        "state_block0_layer0_pool_buffer": "state_block0_layer0_pool_buffer",
        "state_block0_layer1_pool_buffer": "state_block0_layer2_pool_buffer",
        "state_block0_layer2_pool_buffer": "state_block0_layer1_pool_buffer",
        "state_block0_layer3_stream_buffer": "image",
    }


PUBLISHED = "movinet_a0_int8.tflite"
ANSWERS = [
    ("carving_ice.mp4", "carving ice", 0.98),
    ("jumpingjack.gif", "jumping jacks", 0.9998),
    ("mm_demo.mp4", "arm wrestling", 0.9998),
    ("decord_pancake.mkv", "flipping pancake", 0.80),
    ("stay_mountainclimbers.gif", "mountain climber (exercise)", 0.998),
]


@pytest.fixture
def published(shared_data):
    """A session over the published A0 stream model in int8."""
    labels = load_labels(shared_data("kinetics_600_labels.txt"))
    return StreamingClassifier.load(
        shared_data(PUBLISHED), labels=labels, horizon_s=None
    )


def frames_of(path, count=None):
    """Return the frames of a video at 5 frames per second."""
    frames = [frame.pixels for frame in read_frames(path, fps=5, frame_size=(172, 172))]
    return frames[:count]


@pytest.mark.parametrize(("video", "label", "score"), ANSWERS)
def test_the_published_int8_model_knows_real_videos(
    shared_data, published, video, label, score
):
    """Frame by frame and with `run`, the answer after the last frame is that of LiteRT's own runner."""
    frames = frames_of(shared_data(video))
    stepped = [published.step(frame) for frame in frames]
    published.reset()
    run = list(published.run(frames))

    assert stepped[-1].label == label
    assert stepped[-1].score == pytest.approx(score, abs=0.006)
    for one, other in zip(stepped, run, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)


def test_states_of_the_published_int8_model_are_those_of_litert(shared_data, published):
    """All 43, after each of some frames, also where other streams used the buffers before."""
    path = shared_data(PUBLISHED)
    frames = frames_of(shared_data("jumpingjack.gif"), 6)
    use_memory(published.model, np.float32(frames) / 255)
    reference = Reference(path)
    assert len(reference.states) == 43
    for frame in frames:
        logits = reference.step(np.float32(frame) / 255)
        np.testing.assert_allclose(published.step(frame).logits, logits, atol=1e-4)
        assert_same_states(published.states, reference.states)


def test_a_late_stream_of_the_published_int8_model_goes_on(shared_data, published):
    """With `step_many`, whoever is late gets what it would get alone, and so does one restored from saved states."""
    streams = [
        frames_of(shared_data(video), 8)
        for video in ("jumpingjack.gif", "carving_ice.mp4", "mm_demo.mp4")
    ]
    alone = [[Reference(shared_data(PUBLISHED))] for _ in streams]
    expected = [
        [one.step(np.float32(frame) / 255) for frame in stream]
        for (one,), stream in zip(alone, streams, strict=True)
    ]
    use_memory(published.model, np.float32(streams[0]) / 255)
    sessions = [published.new_session() for _ in streams]
    seen = [0] * len(streams)
    for turn in range(8):
        places = [place for place in range(3) if place != 1 or turn >= 3]
        if turn == 5:
            kept = sessions[2].states
            sessions[2] = published.new_session()
            sessions[2].states = kept
        predictions = step_many(
            [sessions[place] for place in places],
            [streams[place][seen[place]] for place in places],
        )
        for place, prediction in zip(places, predictions, strict=True):
            np.testing.assert_allclose(
                prediction.logits, expected[place][seen[place]], atol=1e-4
            )
            seen[place] += 1
    assert seen == [8, 5, 8]
