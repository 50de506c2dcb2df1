"""Signatures as flat graphs: they compute what the SavedModel computes, or there are none."""

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite.network.flat_signatures import FlatSignatures, load_flat_signatures
from movinet_lite.network.signatures import load_for_few_calls
from tests.saved_models import write_base_saved_model, write_stream_saved_model

IMAGE = tf.TensorSpec([None, 3], tf.float32, name="image")
FRAMES = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


class Model(tf.Module):
    """A signature that calls functions in functions, and one of its variables in two places."""

    def __init__(self):
        super().__init__()
        self.weights = [tf.Variable([1.0, 2.0, 3.0]), tf.Variable(0.5)]

    @tf.function
    def scaled(self, x, factor):
        """Return two things, so that their order counts."""
        return x * self.weights[0] * factor, tf.nn.silu(x) - self.weights[1]

    @tf.function(input_signature=[IMAGE])
    def call(self, image):
        """Return what the signature gives."""
        one, other = self.scaled(image, self.weights[1])
        third, fourth = self.scaled(other, tf.reduce_mean(one))
        return {"logits": one - 2.0 * third, "rest": fourth, "image_again": image}


class Counting(Model):
    """A signature that changes a variable."""

    @tf.function(input_signature=[IMAGE])
    def call(self, image):
        """Return what depends on how often it was called."""
        return {"logits": image * self.weights[1].assign_add(1.0)}


class Looping(Model):
    """A signature with a loop."""

    @tf.function(input_signature=[IMAGE])
    def call(self, image):
        """Return what takes as many turns as there are frames."""
        for _ in tf.range(tf.shape(image)[0]):
            image = image * 2.0
        return {"logits": image}


def test_a_flat_graph_computes_the_same(tmp_path):
    """With the weights of the file, whichever function of it reads them."""
    model = Model()
    for weight in model.weights:
        weight.assign(weight * 1.5)
    tf.saved_model.save(model, str(tmp_path), signatures={"call": model.call})
    expected = tf.saved_model.load(str(tmp_path)).signatures["call"]
    flat = load_flat_signatures(tmp_path).signatures["call"]

    assert flat.structured_input_signature[1]["image"].shape == IMAGE.shape
    assert flat.structured_outputs.keys() == expected.structured_outputs.keys()
    assert len(flat.variables) == 2
    for image in (FRAMES, FRAMES[:1] * 3):
        given, wanted = flat(image=image), expected(image=tf.constant(image))
        assert given.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_allclose(given[name], value, rtol=1e-5, atol=1e-6)


def test_a_stream_model_is_flat(tmp_path):
    """Its states come from init_states and go round, as in the model that TensorFlow loads whole."""
    path = write_stream_saved_model(tmp_path / "stream", naming="hub")
    flat, whole = load_for_few_calls(path), tf.saved_model.load(str(path))
    assert isinstance(flat, FlatSignatures)
    shape = np.array([1, 1, 8, 6, 3], np.int32)
    image = np.random.default_rng(1).random((1, 1, 8, 6, 3), np.float32)
    results = []
    for model in (flat, whole):
        step = model.signatures["call"]
        (name,) = model.signatures["init_states"].structured_input_signature[1]
        states = model.signatures["init_states"](**{name: tf.constant(shape)})
        for _ in range(3):
            given = {key.replace("/", "_"): value for key, value in states.items()}
            states = dict(step(image=tf.constant(image), **given))
            logits = states.pop("logits")
        results.append({**states, "logits": logits})
    assert results[0].keys() == results[1].keys()
    for name, value in results[1].items():
        np.testing.assert_allclose(results[0][name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", [Counting, Looping])
def test_what_does_more_than_read_and_compute_is_loaded_whole(tmp_path, kind):
    """Nothing is left out of a graph in silence."""
    model = kind()
    tf.saved_model.save(model, str(tmp_path), signatures={"call": model.call})
    assert load_flat_signatures(tmp_path) is None
    image = tf.constant(FRAMES)
    np.testing.assert_allclose(
        load_for_few_calls(tmp_path).signatures["call"](image=image)["logits"],
        model.call(image)["logits"],
    )


def test_a_signature_needs_all_its_inputs(tmp_path):
    """And no other, as that of a model that TensorFlow loads whole."""
    path = write_base_saved_model(tmp_path / "base")
    flat = load_flat_signatures(path).signatures["serving_default"]
    with pytest.raises(ValueError, match="the inputs must be those of the signature"):
        flat(picture=FRAMES)


def test_a_damaged_model_is_not_flat(tmp_path):
    """What is the matter with it, loading it whole tells."""
    path = write_base_saved_model(tmp_path / "base")
    (path / "saved_model.pb").write_bytes(b"damaged")
    assert load_flat_signatures(path) is None
