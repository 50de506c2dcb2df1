"""A SavedModel of any kind is run on a clip; one that takes no image says so."""

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite.errors import ModelError
from movinet_lite.network.agreement import largest_difference, probe_clip
from movinet_lite.network.probes import SavedModelRun
from movinet_lite.network.states import to_published_states
from movinet_lite.network.weights import import_weights
from tests.networks import (
    SIZE,
    assert_same_logits,
    moving_clips,
    small_network,
    step_through,
    tiny_variant,
    write_checkpoint,
)
from tests.networks_table import TINY


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant():
        yield


class FixedModel:
    """What loading gives of a stream model exported for one frame of one size, with the Model Garden's state names."""

    def __init__(self, network):
        states = to_published_states(
            network.init_states(1, SIZE), network.variant, positional_encoding=False
        )
        garden = {
            name: name.replace("state/b", "state/block")
            .replace("/l", "/layer")
            .replace("/", "_")
            for name in states
        }
        specs = {
            garden[name]: tf.TensorSpec(value.shape, value.dtype, name=garden[name])
            for name, value in states.items()
        }
        counts = [name for name in states if name.endswith("frame_count")]

        def serve(*, image, **given):
            own = {name: given[garden[name]] for name in states if name not in counts}
            own["state/frame_count"] = given[garden[counts[0]]]
            logits, after = network.step(image, own)
            outputs = {
                garden[name]: after[name] for name in states if name not in counts
            }
            count = after["state/frame_count"]
            return {
                "logits": logits[:, 0],
                **outputs,
                **dict.fromkeys(map(garden.get, counts), count),
            }

        image = tf.TensorSpec([1, 1, *SIZE, 3], tf.float32, name="image")
        call = tf.function(serve, autograph=False).get_concrete_function(
            image=image, **specs
        )
        self.signatures = {"serving_default": call}


@pytest.fixture(scope="module")
def network():
    """Return a stream network."""
    return small_network("stream")


def test_a_model_of_one_frame_of_one_size_is_run_on_what_it_takes(network, tmp_path):
    """Frame by frame, in its own size; and so its weights can be imported."""
    model = FixedModel(network)
    run = SavedModelRun(model)
    clip = run.probe_clip()
    logits, _ = step_through(network, clip)

    assert clip.shape == (1, 6, *SIZE, 3)
    assert_same_logits(run.frame_logits(clip), logits[0])
    assert_same_logits(run.logits(clip), logits[:, -1])

    imported = import_weights(write_checkpoint(network, tmp_path), loaded=model)
    assert imported.network.spec.gate == "hard_sigmoid"
    assert imported.difference <= 1e-5


def test_the_probe_clip_is_always_the_same_and_moves():
    """Odd, not square, and no two frames alike."""
    clip = probe_clip()
    _, frames, height, width, _ = clip.shape

    np.testing.assert_array_equal(clip, probe_clip())
    assert clip.dtype == np.float32
    assert clip.min() >= 0
    assert clip.max() <= 1
    assert height % 2
    assert height != width
    assert len({frame.tobytes() for frame in clip[0]}) == frames


def test_difference_is_relative_to_the_largest_expected():
    """Other shapes are infinitely far apart, and NaN stays NaN."""
    expected = np.array([[1.0, -4.0]])

    assert largest_difference(np.array([[1.5, -4.0]]), expected) == 0.125
    assert largest_difference(np.zeros((1, 3)), expected) == np.inf
    assert np.isnan(largest_difference(np.array([[np.nan, 0.0]]), expected))
    assert largest_difference(np.ones((1, 2)), np.zeros((1, 2))) == np.inf
    assert np.isnan(largest_difference(np.zeros((1, 2)), np.zeros((1, 2))))


def make_signature(**specs):
    """Return a concrete function with these inputs."""
    function = tf.function(lambda **inputs: {"y": next(iter(inputs.values()))})
    return function.get_concrete_function(**specs)


def test_models_that_are_none_are_refused():
    """Without an image, with inputs that are no states, and with a state that the variant has not."""
    model = FixedModel.__new__(FixedModel)
    image = tf.TensorSpec([None, None, None, None, 3], name="image")
    other = tf.TensorSpec([1], name="x")
    model.signatures = {"serving_default": make_signature(x=other)}
    with pytest.raises(
        ModelError,
        match=r"a signature must take 'image'; there are \['serving_default'\]",
    ):
        SavedModelRun(model, "here")

    model.signatures = {"serving_default": make_signature(image=image, x=other)}
    with pytest.raises(ModelError, match=r"inputs must be its states; got \['x'\]"):
        SavedModelRun(model).frame_logits(moving_clips())

    layers = {
        f"state_b{block}_l{layer}_pool_buffer": tf.TensorSpec(
            [1, 1, 1, 1, 8], name=f"p{block}{layer}"
        )
        for block, layer, _ in TINY.layers
    }
    unknown = {"state_b0_l0_memory": other}
    model.signatures = {
        "serving_default": make_signature(image=image, **layers, **unknown)
    }
    with pytest.raises(ModelError, match="'state_b0_l0_memory' is none"):
        SavedModelRun(model).frame_logits(moving_clips())


def test_a_model_that_does_not_run_says_why():
    """What TensorFlow raises becomes one error that names the model."""
    image = tf.TensorSpec([None, None, None, None, 3], name="image")
    serve = tf.function(lambda **inputs: {"y": tf.reshape(inputs["image"], [7])})
    model = FixedModel.__new__(FixedModel)
    model.signatures = {"serving_default": serve.get_concrete_function(image=image)}
    with pytest.raises(ModelError, match=r"here: .*must run on a short clip.*shape"):
        SavedModelRun(model, "here").logits(moving_clips())
