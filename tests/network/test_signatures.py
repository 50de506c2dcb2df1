"""A SavedModel loaded for its signatures alone: they compute the same, and nothing else is built."""

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite.network.signatures import load_signatures

IMAGE = tf.TensorSpec([None, None], tf.float32, name="image")
COUNT = tf.TensorSpec([1], tf.int32, name="count")
MARK = "_XlaMustCompile"
FRAMES = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


class Layer(tf.Module):
    """A layer with a function of its own, as Keras saves each."""

    def __init__(self, value):
        super().__init__()
        self.weight = tf.Variable(value)

    @tf.function(input_signature=[IMAGE])
    def alone(self, x):
        """Return what only this layer computes."""
        return x * self.weight


class Model(tf.Module):
    """What a signature needs lies behind branches, a loop, a call compiled with XLA, and a custom gradient."""

    def __init__(self):
        super().__init__()
        self.layers = [Layer(2.0), Layer(3.0), Layer(5.0)]
        self.init_states = tf.function(
            lambda shape: {"count": tf.zeros([1], tf.int32) + 0 * shape[0]},
            input_signature=[tf.TensorSpec([5], tf.int32)],
        )

    @tf.function(jit_compile=True)
    def compiled(self, x):
        """Return the first step."""
        return x + self.layers[0].weight

    @tf.function(input_signature=[IMAGE, COUNT])
    def call(self, image, count):
        """Return what the signature gives."""
        x = self.compiled(image)
        if tf.reduce_sum(image) > 0.0:
            x = x * self.layers[1].weight
        else:
            x = x - self.layers[1].weight
        for _ in tf.range(count[0] + 2):
            x = tf.nn.silu(x) * self.layers[2].weight
        add, subtract = (lambda: x + 1.0), (lambda: x - 1.0)
        x = tf.switch_case(count[0], [subtract, add])
        return {"logits": x, "count": count + 1}


def save(model, path, **signatures):
    """Write *model* and return what ``tf.saved_model.load`` makes of it."""
    tf.saved_model.save(model, str(path), signatures=signatures)
    return tf.saved_model.load(str(path))


def library(function):
    """Return the functions that a signature stands on, as they are defined."""
    return function.graph.as_graph_def().library.function


@pytest.mark.parametrize("sign", [1, -1])
def test_the_signatures_compute_the_same(tmp_path, sign):
    """With the weights of the file, through branches, loops and functions in functions."""
    model = Model()
    for layer in model.layers:
        layer.weight.assign(layer.weight + 0.5)
    whole = save(model, tmp_path, call=model.call)
    lean = load_signatures(tmp_path)

    image = tf.constant(sign * np.abs(FRAMES))
    given = {"image": image, "count": tf.constant([1])}
    expected, found = (
        whole.signatures["call"](**given),
        lean.signatures["call"](**given),
    )
    assert found.keys() == expected.keys() == {"logits", "count"}
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=1e-5)
    assert found["count"] == [2]
    np.testing.assert_array_equal(lean.init_states(tf.ones(5, tf.int32))["count"], [0])
    signature = lean.signatures["call"].structured_input_signature
    assert signature == whole.signatures["call"].structured_input_signature


def test_nothing_else_is_built(tmp_path):
    """No function of a layer, and none that asks for XLA; the folder stays as it is."""
    model = Model()
    whole = save(model, tmp_path, call=model.call)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    lean = load_signatures(tmp_path)

    assert whole.layers[0].alone.concrete_functions
    assert not lean.layers[0].alone.concrete_functions
    for loaded, asks in ((whole, True), (lean, False)):
        defined = library(loaded.signatures["call"])
        calls = [node for function in defined for node in function.node_def]
        for holders in (defined, calls):
            marks = [holder.attr[MARK].b for holder in holders if MARK in holder.attr]
            assert any(marks) == asks
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_convolution_that_needs_xla_keeps_it(tmp_path):
    """TensorFlow has no other kernel for a 3-D convolution in groups, which is how Keras saves depthwise ones."""
    kernel = tf.Variable(np.random.default_rng(1).normal(size=(3, 3, 3, 1, 4)))
    module = tf.Module()
    module.kernel = kernel

    @tf.function(jit_compile=True)
    def convolve(x, weights):
        return tf.nn.conv3d(x, weights, [1, 1, 1, 1, 1], "SAME")

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, None, 4], tf.float64, "image")
        ]
    )
    def serve(image):
        return {"classifier_head": convolve(image, kernel)}

    module.serve = serve
    whole = save(module, tmp_path, serving_default=serve)
    lean = load_signatures(tmp_path)

    clip = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 5, 5, 4)))
    expected, found = (
        loaded.signatures["serving_default"](image=clip)["classifier_head"]
        for loaded in (whole, lean)
    )
    np.testing.assert_allclose(found, expected)
    assert not lean.serve.concrete_functions


def test_a_model_without_such_signatures_is_loaded_whole(tmp_path):
    """Then the object itself is what can be called."""
    model = Model()
    save(model, tmp_path, other=model.call)
    loaded = load_signatures(tmp_path)

    answer = loaded.call(tf.constant(FRAMES), tf.constant([0]))
    expected = model.call(tf.constant(FRAMES), tf.constant([0]))
    np.testing.assert_allclose(answer["logits"], expected["logits"], rtol=1e-5)
    assert loaded.layers[0].alone.concrete_functions


def test_a_damaged_model_is_refused_as_tensorflow_does(tmp_path):
    """The reason is TensorFlow's, and names the folder that was asked for."""
    model = Model()
    save(model, tmp_path, call=model.call)
    content = (tmp_path / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(content[: len(content) // 2])

    with pytest.raises(OSError, match=str(tmp_path)):
        load_signatures(tmp_path)


def test_gradients_that_are_gone_are_not_warned_of(tmp_path, caplog):
    """Swish has a gradient of its own, which an export may leave out; nothing is trained here."""
    model = Model()
    tf.saved_model.save(
        model,
        str(tmp_path),
        signatures={"call": model.call},
        options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
    )
    tf.saved_model.load(str(tmp_path))
    assert "unsaved custom gradients" in caplog.text
    caplog.clear()
    load_signatures(tmp_path)
    assert "unsaved custom gradients" not in caplog.text
