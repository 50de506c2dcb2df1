"""What is exported computes what the network computes, and speaks as published models do."""

import collections
import json
import shutil

import attrs
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
from ai_edge_litert.interpreter import Interpreter

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.engines.tensorflow.saved_models import (
    TensorFlowStreamModel,
    load_saved_model,
)
from movinet_lite.errors import ConversionError, ModelError
from movinet_lite.network import variants
from movinet_lite.network.export import export_litert, export_saved_model
from movinet_lite.network.litert_file import (
    from_litert_states,
    litert_state_shapes,
    to_litert_states,
)
from movinet_lite.network.model import fold
from movinet_lite.network.states import from_published_states, to_published_states
from tests.networks import (
    LABELS,
    SIZE,
    assert_same_logits,
    litert_states_after,
    moving_clips,
    small_network,
    step_through,
    tiny_variant,
)
from tests.networks_table import TINY
from tests.tflite_models import write_tflite


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant():
        yield


@pytest.fixture(scope="module")
def stream():
    """Return a stream network with every kind of layer."""
    return small_network("stream", positional_encoding=True, labels=LABELS)


@pytest.fixture(scope="module")
def base():
    """Return a base network."""
    return small_network("base", labels=LABELS)


@pytest.fixture(scope="module")
def saved(stream, tmp_path_factory):
    """Return the folder of the stream network as a SavedModel, and what ``tensorflow_hub.load`` makes of it."""
    path = tmp_path_factory.mktemp("export") / "stream"
    export_saved_model(stream, path)
    return path, hub.load(str(path))


def test_a_stream_runs_as_on_tf_hub(stream, saved):
    """The loop of the models' page, frame by frame and in pieces, gives the logits after each call."""
    _, model = saved
    clips = moving_clips(clips=2, frames=6)
    logits, _ = step_through(stream, clips)

    states = model.init_states(tf.shape(clips))
    seen = 0
    for count in (1, 1, 3, 1):
        found, states = model({**states, "image": clips[:, seen : seen + count]})
        seen += count

        assert found.shape == (2, 5)
        assert_same_logits(found, logits[:, seen - 1])
    np.testing.assert_array_equal(states["state/b2/l1/pool_frame_count"], [6])


def test_states_have_published_names_shapes_and_types(stream, saved):
    """As `to_published_states` gives them; the arguments of ``call`` are named with underscores."""
    _, model = saved
    expected = to_published_states(
        stream.init_states(1, SIZE), stream.variant, positional_encoding=True
    )

    states = model.init_states(tf.constant([1, 4, *SIZE, 3]))
    arguments = model.signatures["call"].structured_input_signature[1]

    assert states.keys() == expected.keys()
    for name, value in expected.items():
        assert states[name].shape == value.shape
        assert states[name].dtype == value.dtype
        assert arguments[name.replace("/", "_")].dtype == value.dtype
    assert arguments["image"].shape.as_list() == [None, None, None, None, 3]
    assert model.signatures["init_states"].structured_outputs.keys() == expected.keys()
    outputs = model.signatures["call"].structured_outputs.keys()
    assert outputs == {*expected, "logits"}


def test_states_go_from_the_saved_model_to_the_network_and_back(stream, saved):
    """A stream may change its engine half way, in both directions."""
    _, model = saved
    clips = moving_clips(frames=6)
    logits, _ = step_through(stream, clips)

    states = model.init_states(tf.shape(clips))
    _, states = model({**states, "image": clips[:, :2]})
    own = from_published_states({name: value.numpy() for name, value in states.items()})
    found, own = stream.step(clips[:, 2:4], own)
    assert_same_logits(found, logits[:, 2:4])
    published = to_published_states(own, stream.variant, positional_encoding=True)
    found, _ = model({**published, "image": clips[:, 4:]})

    assert_same_logits(found, logits[:, -1])


@pytest.fixture(scope="module")
def saved_base(base, tmp_path_factory):
    """Return the folder of the base network as a SavedModel."""
    path = tmp_path_factory.mktemp("export") / "base"
    export_saved_model(base, path)
    return path


def tracings(model):
    """Return how many graphs a loaded SavedModel has."""
    functions = (model.module.__call__, getattr(model.module, "init_states", None))
    return sum(
        len(function._list_all_concrete_functions())
        for function in functions
        if function is not None
    )


def test_the_engine_streams_an_export_as_a_published_model(stream, saved):
    """The logits of every frame however they come, the published states, and no new graph for more frames."""
    path, module = saved
    frames = moving_clips(frames=6)[0]
    expected, _ = step_through(stream, frames[np.newaxis])
    model = load_saved_model(path, "stream")
    loaded_as_on_hub = TensorFlowStreamModel(module, source="hub.load")

    first, states = model.step(frames[:2], model.init_states(SIZE))
    before = tracings(model)
    rest, after = model.step(frames[2:], states)
    again, _ = model.step(frames[2:], states)  # a step leaves the states it was given
    as_on_hub, _ = loaded_as_on_hub.step(frames, loaded_as_on_hub.init_states(SIZE))

    assert_same_logits(np.concatenate([first, rest]), expected[0])
    assert_same_logits(as_on_hub, expected[0])
    np.testing.assert_array_equal(again, rest)
    assert tracings(model) == before
    published = to_published_states(
        stream.init_states(1, SIZE), stream.variant, positional_encoding=True
    )
    assert sorted(after) == sorted(published)
    assert after["state/head/pool_frame_count"] == [6]
    with pytest.raises(ModelError, match="load it with StreamingClassifier"):
        load_saved_model(path, "base")


def test_the_engine_runs_an_exported_base_model_on_clips_of_any_length(
    base, saved_base
):
    """One row a clip, and no new graph for another length."""
    model = load_saved_model(saved_base, "base")
    before = tracings(model)

    for frames in (1, 3, 5):
        clips = moving_clips(clips=2, frames=frames)
        assert_same_logits(model.predict(clips), base(clips))

    assert tracings(model) == before
    assert model.info.num_classes == len(LABELS)
    with pytest.raises(ModelError, match="load it with BaseClassifier"):
        load_saved_model(saved_base, "stream")


def test_the_classifiers_load_what_is_exported(stream, base, saved, saved_base):
    """Labels come from beside the graph."""
    frames = moving_clips(frames=6)[0]
    expected, _ = step_through(stream, frames[np.newaxis])
    options = {"engine": "tensorflow", "frame_size": SIZE, "fps": 5}

    session = StreamingClassifier.load(saved[0], **options)
    logits = np.stack([session.step(frame).logits for frame in frames])
    clip = BaseClassifier.load(saved_base, **options).predict(frames)

    assert_same_logits(logits, expected[0])
    assert_same_logits(clip.logits, base(frames[np.newaxis])[0])
    assert session.labels == LABELS
    assert clip.label in LABELS


def test_what_the_network_is_stands_beside_the_graph(stream, saved):
    """Labels one a line, the rest as JSON; variables have their published names."""
    path, model = saved

    assert (path / "labels.txt").read_text(encoding="utf-8").split() == list(LABELS)
    facts = json.loads((path / "movinet_lite.json").read_text(encoding="utf-8"))
    assert facts["variant"] == "tiny"
    assert facts["gate"] == stream.spec.gate
    assert {variable.name for variable in model.variables} == {
        f"{name}:0" for name in stream.named_weights
    }


def test_a_base_model_runs_as_on_tf_hub(base, saved, tmp_path):
    """Its one output is called ``classifier_head``; it replaces what was exported before."""
    shutil.copytree(saved[0], tmp_path / "model")
    export_saved_model(base, tmp_path / "model")
    clips = moving_clips(clips=2, frames=4)

    model = hub.load(str(tmp_path / "model"))
    (name,), (logits,) = zip(
        *model.signatures["serving_default"](image=tf.constant(clips)).items(),
        strict=True,
    )

    assert name == "classifier_head"
    assert_same_logits(logits, base(clips))
    assert_same_logits(model({"image": clips}), base(clips))


def test_a_folded_network_has_no_variables_to_export(base, tmp_path):
    """The message says which network to take."""
    with pytest.raises(ModelError, match="export the original network"):
        export_saved_model(fold(base), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def run_litert(path):
    """Return a function from inputs to outputs by name, and the operations of the graph."""
    interpreter = Interpreter(str(path))
    (signature,) = interpreter.get_signature_list()
    operations = collections.Counter(
        one["op_name"] for one in interpreter._get_ops_details()
    )
    return interpreter.get_signature_runner(signature), operations


@pytest.mark.parametrize(
    ("num_frames", "batch", "joins_sums"),
    [(1, 1, False), (1, 1, True), (8, 1, False), (3, 2, True)],
)
def test_a_compiled_stream_gives_the_networks_logits(
    stream, tmp_path, num_frames, batch, joins_sums
):
    """Of every frame, for any frames a call and streams a batch; and the same states after it."""
    path = tmp_path / "model.tflite"
    info = export_litert(
        stream,
        path,
        frame_size=SIZE,
        num_frames=num_frames,
        batch=batch,
        joins_sums=joins_sums,
    )
    clips = moving_clips(clips=batch, frames=3 * num_frames)
    # Streams of different age: the last has seen a frame already.
    start = stream.init_states(batch, SIZE)
    start["state/frame_count"][-1] = 1
    logits, expected_states = step_through(stream, clips, states=start)

    run, _ = run_litert(path)
    states = to_litert_states(start, info)
    assert {name: value.shape for name, value in states.items()} == litert_state_shapes(
        info
    )
    found = []
    for piece in np.split(clips, 3, axis=1):
        outputs = run(image=piece.reshape(-1, *SIZE, 3), **states)
        found.append(outputs.pop("logits").reshape(batch, num_frames, -1))
        states = litert_states_after(outputs, states, info)

    assert_same_logits(np.concatenate(found, axis=1), logits)
    own = from_litert_states(states, info)
    assert own.keys() == expected_states.keys()
    for name, value in expected_states.items():
        assert own[name].dtype == value.dtype
        np.testing.assert_allclose(own[name], value, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("num_frames", [8, 10])
def test_a_first_block_in_halves_sees_the_frames_before(
    tmp_path, monkeypatch, num_frames
):
    """Where it convolves over time, its second half begins with frames of the first, and the next call with those of the second."""
    block = attrs.evolve(TINY.blocks[0], expanded=(16, 24), kernels=((5, 3, 3),) * 2)
    windowed = attrs.evolve(TINY, blocks=(block, *TINY.blocks[1:]))
    monkeypatch.setitem(variants._VARIANTS, TINY.name, windowed)
    network = small_network("stream")
    path = tmp_path / "model.tflite"
    info = export_litert(
        network, path, frame_size=SIZE, num_frames=num_frames, joins_sums=True
    )
    clips = moving_clips(frames=3 * num_frames)
    logits, _ = step_through(network, clips)
    run, _ = run_litert(path)
    states = to_litert_states(network.init_states(1, SIZE), info)
    found = []
    for piece in np.split(clips[0], 3):
        outputs = run(image=piece, **states)
        found.append(outputs.pop("logits"))
        states = litert_states_after(outputs, states, info)
    assert_same_logits(np.concatenate(found)[np.newaxis], logits)


def test_a_compiled_base_model_takes_clips_of_any_length(base, tmp_path):
    """The number of frames is the first axis, and nothing else depends on it: one file serves all."""
    path = tmp_path / "model.tflite"
    export_litert(base, path, frame_size=SIZE, num_frames=4)
    interpreter = Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    image, logits = (
        runner.get_input_details()["image"],
        runner.get_output_details()["logits"],
    )
    del runner  # it holds the interpreter, which could not be resized
    for frames in (1, 2, 7, 4):
        clips = moving_clips(frames=frames)
        interpreter.resize_tensor_input(image["index"], clips.shape[1:])
        interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], clips[0])
        interpreter.invoke()

        assert_same_logits(interpreter.get_tensor(logits["index"]), base(clips))


def test_a_batch_of_clips_compiles(base, tmp_path):
    """Several clips a call, each on its own."""
    path = tmp_path / "model.tflite"
    export_litert(base, path, frame_size=SIZE, num_frames=3, batch=2)
    clips = moving_clips(clips=2, frames=3)

    run, _ = run_litert(path)

    assert_same_logits(run(image=clips.reshape(-1, *SIZE, 3))["logits"], base(clips))


@pytest.mark.parametrize(
    ("mode", "num_frames"), [("stream", 1), ("stream", 8), ("base", 4)]
)
def test_compiled_graphs_are_made_of_fast_operations(tmp_path, mode, num_frames):
    """Norms are gone, no tensor has more than four axes, and XNNPACK takes the graph as a whole."""
    network = small_network(mode, positional_encoding=mode == "stream")
    path = tmp_path / "model.tflite"
    export_litert(network, path, num_frames=num_frames)
    interpreter = Interpreter(str(path))
    operations = collections.Counter(
        one["op_name"] for one in interpreter._get_ops_details()
    )

    # One for each convolution of the network: 4 layers of expand, squeeze, excite, project; 3 skips; stem; head. The stem
    # and the first layer stand there twice where they take the frames in two halves.
    in_halves = num_frames == 8
    assert operations["CONV_2D"] == 4 * 4 + 3 + 1 + 3 + (1 + 5) * in_halves
    if mode == "stream":
        # The gates of 4 layers, the last swish, scales and angles of positions, of 3 widths: no norm is left.
        assert operations["MUL"] == 4 + 1 + 4 + 3 + 3 * in_halves
    assert max(len(one["shape"]) for one in interpreter.get_tensor_details()) <= 4

    interpreter.allocate_tensors()
    (delegate,) = (
        one for one in interpreter._get_ops_details() if one["op_name"] == "DELEGATE"
    )
    inputs = {one["index"] for one in interpreter.get_input_details()}
    outputs = {one["index"] for one in interpreter.get_output_details()}
    assert inputs <= set(delegate["inputs"])
    assert outputs <= set(delegate["outputs"])


@pytest.mark.parametrize(
    ("quantize", "kept", "tolerance"),
    [
        pytest.param("float16", 0.5, 0.02, marks=pytest.mark.slow),
        ("dynamic", 0.25, 0.3),
    ],
)
def test_quantized_weights_take_less_room(base, tmp_path, quantize, kept, tolerance):
    """Two bytes or one a weight instead of four; the logits stay near."""
    sizes = []
    for how in (None, quantize):
        path = tmp_path / f"{how}.tflite"
        export_litert(base, path, frame_size=SIZE, num_frames=2, quantize=how)
        sizes.append(path.stat().st_size)
    weights = sum(4 * weight.numpy().size for weight in base.weights)
    clips = moving_clips(frames=2)

    run, _ = run_litert(path)

    # Small tensors stay as they are.
    assert sizes[0] - sizes[1] > 0.5 * (1 - kept) * weights
    assert_same_logits(run(image=clips[0])["logits"], base(clips), tolerance)


def test_a_converter_that_refuses_is_reported(base, tmp_path, monkeypatch):
    """As an error of the library, and no file is left."""

    def refuse(_):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(tf.compat.v1.lite.TFLiteConverter, "convert", refuse)
    with pytest.raises(
        ConversionError, match="could not convert the network: no such operation"
    ):
        export_litert(base, tmp_path / "model.tflite", frame_size=SIZE, num_frames=2)
    assert not list(tmp_path.iterdir())


def test_a_graph_of_other_inputs_is_refused(tmp_path, monkeypatch):
    """What the converter gives is named by what it was given: the inputs must be those."""
    other = write_tflite(tmp_path / "other.tflite").read_bytes()
    monkeypatch.setattr(tf.compat.v1.lite.TFLiteConverter, "convert", lambda _: other)
    path = tmp_path / "model.tflite"
    with pytest.raises(ConversionError, match=r"the converter gave the inputs \['serv"):
        export_litert(small_network("base", frame_size=SIZE), path)
    assert not path.exists()
