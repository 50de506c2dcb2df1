"""The TensorFlow engine runs a SavedModel as it is, however its author called things."""

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.engines.tensorflow.saved_models import load_saved_model
from movinet_lite.errors import LabelsError, ModelError
from movinet_lite.network.export import export_saved_model
from tests.networks import small_network, tiny_variant
from tests.saved_models import (
    COLOURS,
    STATE_NAMES,
    expected_clip_logits,
    expected_stream_logits,
    write_base_saved_model,
    write_stream_saved_model,
)

FRAME_SIZE = (10, 12)


@pytest.fixture
def frames():
    """Five frames that differ."""
    shape = (5, *FRAME_SIZE, 3)
    return np.random.default_rng(3).uniform(0, 1, shape).astype(np.float32)


def tracings(model):
    """Return how many graphs the functions of a model have."""
    return sum(
        len(value._list_all_concrete_functions())
        for value in vars(model.module).values()
        if hasattr(value, "_list_all_concrete_functions")
    )


@pytest.mark.parametrize("naming", ["hub", "garden"])
@pytest.mark.parametrize(
    "conventions",
    [{}, {"signatures": False}, {"callable_object": False}],
    ids=["both", "object", "signatures"],
)
def test_stream_model_steps_with_its_states(tmp_path, frames, naming, conventions):
    """Each calling convention and naming gives the logits of every frame, states carried on."""
    path = write_stream_saved_model(tmp_path / "m", naming=naming, **conventions)
    model = load_saved_model(path, "stream")

    states = model.init_states(FRAME_SIZE)
    first, states = model.step(frames[:2], states)
    rest, states = model.step(frames[2:], states)

    np.testing.assert_allclose(
        np.concatenate([first, rest]), expected_stream_logits(frames), atol=1e-5
    )
    assert sorted(states) == sorted(STATE_NAMES[naming])
    count = next(states[name] for name in states if "head" in name and "count" in name)
    assert count == [5]


def test_step_is_pure(tmp_path, frames):
    """Stepping twice from the same states gives the same, and leaves them as they were."""
    model = load_saved_model(write_stream_saved_model(tmp_path / "m"), "stream")
    _, states = model.step(frames[:3], model.init_states(FRAME_SIZE))
    before = dict(states)
    one, _ = model.step(frames[3:4], states)
    two, _ = model.step(frames[3:4], states)
    three, _ = model.step(frames[3:4], before)

    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)
    for name, value in before.items():
        np.testing.assert_array_equal(states[name], value)


def test_steps_do_not_trace_again(tmp_path, frames):
    """However many frames come, TensorFlow compiles nothing after the first."""
    model = load_saved_model(write_stream_saved_model(tmp_path / "m"), "stream")
    states = model.init_states(FRAME_SIZE)
    _, states = model.step(frames[:1], states)
    before = tracings(model)
    model.step(frames[1:], states)
    assert tracings(model) == before


@pytest.mark.parametrize("output_name", ["classifier_head", "anything"])
def test_base_model_takes_clips_of_any_length(tmp_path, frames, output_name):
    """A base model gives one row a clip, whatever its output is called."""
    path = write_base_saved_model(tmp_path / "m", output_name=output_name)
    model = load_saved_model(path, "base")

    for count in (1, 3, 5):
        clip = frames[:count]
        logits = model.predict(np.stack([clip, clip[::-1]]))
        expected = [expected_clip_logits(clip), expected_clip_logits(clip[::-1])]
        np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert model.info.num_classes == len(COLOURS)


def test_clips_of_new_lengths_do_not_trace_again(tmp_path, frames):
    """A hundred lengths cost one graph."""
    model = load_saved_model(write_base_saved_model(tmp_path / "m"), "base")
    model.predict(frames[None, :1])
    before = tracings(model)
    for count in range(1, 6):
        model.predict(frames[None, :count])
    assert tracings(model) == before


def test_classifiers_load_a_saved_model(tmp_path, frames):
    """The same through the public face, with labels and a frame size."""
    stream = StreamingClassifier.load(
        write_stream_saved_model(tmp_path / "stream"),
        engine="tensorflow",
        labels=COLOURS,
        frame_size=FRAME_SIZE,
        fps=5,
    )
    base = BaseClassifier.load(
        str(write_base_saved_model(tmp_path / "base")),
        engine="tensorflow",
        labels=COLOURS,
        frame_size=FRAME_SIZE,
    )
    predictions = [stream.step(frame) for frame in frames]
    np.testing.assert_allclose(
        predictions[-1].logits, expected_stream_logits(frames)[-1], atol=1e-5
    )
    np.testing.assert_allclose(
        base.predict(frames).logits, expected_clip_logits(frames), atol=1e-5
    )
    assert predictions[0].label in COLOURS


def test_labels_beside_a_model_are_its_labels(tmp_path):
    """A file labels.txt in the folder of a model names its classes."""
    path = write_stream_saved_model(tmp_path / "m")
    (path / "labels.txt").write_text("a\nb\nc\nd\n", encoding="utf-8")
    session = StreamingClassifier.load(path, engine="tensorflow", frame_size=FRAME_SIZE)
    assert session.labels == ("a", "b", "c", "d")

    (path / "labels.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(LabelsError, match="4 classes; got 2"):
        StreamingClassifier.load(path, engine="tensorflow", frame_size=FRAME_SIZE)


def test_a_model_that_knows_neither_size_nor_labels_asks_for_them(tmp_path):
    """What nobody can guess, the caller has to say."""
    path = write_stream_saved_model(tmp_path / "m")
    with pytest.raises(ModelError, match="give it: frame_size="):
        StreamingClassifier.load(path, engine="tensorflow", labels=COLOURS)
    with pytest.raises(ModelError, match="names of its 4 classes"):
        StreamingClassifier.load(path, engine="tensorflow", frame_size=FRAME_SIZE)


def test_a_model_of_one_size_brings_it(tmp_path, frames):
    """Where the signature takes one frame size alone, that is the session's."""
    path = write_stream_saved_model(tmp_path / "m", frame_size=FRAME_SIZE)
    session = StreamingClassifier.load(path, engine="tensorflow", labels=COLOURS)
    assert session.frame_size == FRAME_SIZE
    np.testing.assert_allclose(
        session.step(frames[0]).logits, expected_stream_logits(frames)[0], atol=1e-5
    )


@pytest.mark.parametrize("step_name", ["call", "serving_default"])
def test_a_stream_model_without_init_states_starts_with_zeros(
    tmp_path, frames, step_name
):
    """As exports for LiteRT are: the shapes of the states stand in the one signature, whatever its name."""
    path = write_stream_saved_model(
        tmp_path / "m",
        naming="garden",
        callable_object=False,
        frame_size=FRAME_SIZE,
        step_name=step_name,
        fault="no init_states",
    )
    model = load_saved_model(path, "stream")

    logits, _ = model.step(frames, model.init_states(FRAME_SIZE))
    np.testing.assert_allclose(logits, expected_stream_logits(frames), atol=1e-5)
    assert model.info.frame_size == FRAME_SIZE
    with pytest.raises(ModelError, match="load it with StreamingClassifier"):
        load_saved_model(path, "base")


def test_sizes_that_a_signature_leaves_open_are_those_of_the_variant(tmp_path, frames):
    """A network exported for any frame size starts with the zeros that its init_states would give."""
    with tiny_variant(shallow=True):
        network = small_network("stream")
        export_saved_model(network, tmp_path / "m")
        module = tf.saved_model.load(str(tmp_path / "m"))
        root = tf.Module()
        root.kept = module
        tf.saved_model.save(root, str(tmp_path / "n"), module.signatures["call"])
        model = load_saved_model(tmp_path / "n", "stream")
        whole = load_saved_model(tmp_path / "m", "stream")

        logits, _ = model.step(frames, model.init_states(FRAME_SIZE))
        expected, _ = whole.step(frames, whole.init_states(FRAME_SIZE))
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("write", "mode", "message"),
    [
        (write_base_saved_model, "stream", "load it with BaseClassifier"),
        (write_stream_saved_model, "base", "load it with StreamingClassifier"),
    ],
)
def test_a_model_of_the_other_kind_is_refused(tmp_path, write, mode, message):
    """A base model is no stream model, and the message says who takes it."""
    with pytest.raises(ModelError, match=message):
        load_saved_model(write(tmp_path / "m"), mode)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing state", "'state/b0/l0/pool_buffer' does not"),
        ("two logits", "one output beside the states, the logits"),
        ("no init_states", r"must name the shape of each state.*\(None, 2, None"),
        ("init_states of nothing", "takes the shape of the image.*takes nothing"),
        ("init_states that fail", "does not take the shape of an image"),
    ],
)
def test_a_broken_stream_model_is_refused_when_it_is_loaded(tmp_path, fault, message):
    """States that do not pair are found before the first frame."""
    path = write_stream_saved_model(tmp_path / "m", fault=fault)
    with pytest.raises(ModelError, match=message):
        load_saved_model(path, "stream")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("call that fails", "does not take an image and its own states"),
        ("missing state", "does not take an image and its own states"),
    ],
)
def test_a_broken_stream_object_is_refused_when_it_is_loaded(tmp_path, fault, message):
    """The same for an object without signatures, which is asked for its logits."""
    path = write_stream_saved_model(tmp_path / "m", fault=fault, signatures=False)
    with pytest.raises(ModelError, match=message):
        load_saved_model(path, "stream")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("two outputs", "gives one array of logits; this one gives"),
        ("one frame", "takes one clip"),
        ("no signatures", "must have a signature 'serving_default'"),
    ],
)
def test_a_broken_base_model_is_refused_when_it_is_loaded(tmp_path, fault, message):
    """A SavedModel of something else is no base model."""
    path = write_base_saved_model(tmp_path / "m", fault=fault)
    with pytest.raises(ModelError, match=message):
        load_saved_model(path, "base")


@pytest.mark.parametrize("damage", ["graph", "variables"])
def test_a_damaged_saved_model_is_one_clear_error(tmp_path, damage):
    """A file that is cut short is named, and no traceback of TensorFlow's is all one gets."""
    path = write_base_saved_model(tmp_path / "m")
    if damage == "graph":
        file = path / "saved_model.pb"
        file.write_bytes(file.read_bytes()[:100])
    else:
        (path / "variables" / "variables.index").unlink()
    with pytest.raises(ModelError, match="SavedModel that TensorFlow can read"):
        load_saved_model(path, "base")


def test_frames_the_model_does_not_take_are_one_clear_error(tmp_path, frames):
    """States of another frame size do not reach the user as an error of TensorFlow's."""
    model = load_saved_model(write_stream_saved_model(tmp_path / "m"), "stream")
    states = model.init_states((4, 4))
    with pytest.raises(ModelError, match="does not take the frame or the states"):
        model.step(frames[:1], states)


# --- against the Model Garden


@pytest.mark.oracle
@pytest.mark.parametrize(
    "export", ["a0_stream_hub_7", "a0_stream_garden_8", "a0_stream_hub_9"]
)
def test_stream_agrees_with_the_model_garden(oracle_export, export):
    """Each frame's logits and the final states are those of the reference implementation."""
    folder = oracle_export(export)
    reference = np.load(folder / "reference.npz")
    video = reference["video"][0]
    session = StreamingClassifier.load(
        folder / "saved_model",
        labels="kinetics-600",
        engine="tensorflow",
        frame_size=video.shape[1:3],
        horizon_s=None,
    )

    logits = np.stack([session.step(frame).logits for frame in video])

    largest = np.abs(reference["frame_logits"]).max()
    np.testing.assert_allclose(
        logits, reference["frame_logits"], rtol=0, atol=1e-4 * largest
    )
    states = session.states
    names = [name for name in reference.files if name.startswith("state:")]
    assert len(names) == len(states) == 43
    for name in names:
        expected = reference[name]
        atol = 1e-4 * max(np.abs(expected).max(), 1e-6)
        np.testing.assert_allclose(
            states[name.removeprefix("state:")], expected, rtol=0, atol=atol
        )
    assert (session.info.variant, session.fps) == ("a0", 5.0)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "export", ["a0_base_hub_7", "a0_base_garden_10", "a0_base_hub_9"]
)
def test_base_agrees_with_the_model_garden(oracle_export, export):
    """A clip's logits are those of the reference implementation."""
    folder = oracle_export(export)
    reference = np.load(folder / "reference.npz")
    video = reference["video"][0]
    classifier = BaseClassifier.load(
        folder / "saved_model",
        labels="kinetics-600",
        engine="tensorflow",
        frame_size=video.shape[1:3],
    )

    logits = classifier.predict(video).logits

    largest = np.abs(reference["clip_logits"]).max()
    np.testing.assert_allclose(
        logits, reference["clip_logits"][0], rtol=0, atol=1e-4 * largest
    )
    assert (classifier.info.variant, classifier.fps) == ("a0", 5.0)
