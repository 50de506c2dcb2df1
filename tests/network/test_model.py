"""The network: streams equal clips, the head can be replaced, and it can be trained."""

import itertools
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from movinet_lite.errors import LabelsError, ModelError, VariantError
from movinet_lite.network.model import build_movinet, fold, replace_head
from movinet_lite.network.spec import Activation, Gate
from movinet_lite.network.variants import get_variant
from tests.networks import (
    LABELS,
    SIZE,
    assert_same_logits,
    join_streams,
    moving_clips,
    small_network,
    step_through,
    tiny_variant,
)
from tests.networks_table import TINY


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant():
        yield


@pytest.fixture(scope="module")
def stream():
    """Return a small stream network with positional encoding, so that every kind of layer is in it."""
    return small_network("stream", positional_encoding=True, labels=LABELS)


@pytest.fixture(scope="module")
def base():
    """Return a small base network."""
    return small_network("base", labels=LABELS)


# Counted in the Model Garden 2.20's own models of 600 classes, built as `tests/model_garden/export.py` builds them: all
# weights, all their numbers, and those of the trainable ones.
GARDEN_COUNTS = {
    ("a0", "base"): (334, 3_126_071, 3_111_799),
    ("a0", "stream"): (389, 3_765_983, 3_748_031),
    ("a1", "base"): (514, 4_717_912, 4_690_296),
    ("a1", "stream"): (599, 6_481_560, 6_447_352),
    ("a2", "base"): (554, 5_280_922, 5_249_562),
    ("a2", "stream"): (649, 7_366_050, 7_326_962),
    ("a3", "base"): (699, 7_443_289, 7_397_545),
    ("a3", "stream"): (847, 11_043_146, 10_986_618),
    ("a4", "base"): (974, 11_422_727, 11_349_463),
    ("a4", "stream"): (1196, 18_228_326, 18_136_182),
    ("a5", "base"): (1219, 18_763_355, 18_650_523),
    ("a5", "stream"): (1493, 31_636_734, 31_495_934),
}


@pytest.mark.parametrize(("variant", "mode"), GARDEN_COUNTS)
def test_the_weights_are_as_many_as_the_model_gardens(variant, mode):
    """As many weights and numbers as the published model has, each weight under a name of its own."""
    network = build_movinet(variant, mode, 600)

    sizes = [int(np.prod(weight.shape)) for weight in network.weights]
    trainable = [int(np.prod(weight.shape)) for weight in network.trainable_weights]
    found = (len(network.named_weights), sum(sizes), sum(trainable))
    assert found == GARDEN_COUNTS[variant, mode]
    assert len(sizes) == found[0]


@pytest.mark.parametrize("pieces", [1, 3, 5, [1, 4, 2, 1]])
def test_a_stream_in_pieces_gives_what_one_call_gives(stream, pieces):
    """However a clip is cut into calls, every frame has the same logits and the states end the same."""
    clips = moving_clips(frames=8)
    logits, states = step_through(stream, clips, pieces=8)

    found, found_states = step_through(stream, clips, pieces)

    assert_same_logits(found, logits)
    assert found_states.keys() == states.keys()
    for name, value in states.items():
        np.testing.assert_allclose(found_states[name], value, rtol=1e-4, atol=1e-4)


def test_states_come_back_in_the_order_that_they_were_given_in(stream):
    """Whoever lists them side by side lists the same ones."""
    states = dict(reversed(stream.init_states(1, SIZE).items()))
    _, after = stream.step(moving_clips(frames=1), states)
    assert list(after) == list(states)


def test_frames_tell_in_their_order(stream):
    """Frames in reverse give other logits, so that the comparisons above mean something."""
    clips = moving_clips(frames=8)
    forward, _ = step_through(stream, clips)
    backward, _ = step_through(stream, clips[:, ::-1])

    assert np.abs(forward[:, -1] - backward[:, -1]).max() > 1e-3


def test_a_call_without_states_is_a_stream_from_its_start(stream):
    """Training sees whole clips; they give the logits of the last frame of a stream."""
    clips = moving_clips(clips=2, frames=5)
    logits, _ = step_through(stream, clips)

    assert_same_logits(stream(clips), logits[:, -1])


def test_streams_of_different_age_share_a_batch(stream):
    """Each stream of a batch gets what it gets alone, after 0, 2 and 5 frames."""
    clips = moving_clips(clips=3, frames=8)
    ages = (0, 2, 5)
    alone, states = [], []
    for clip, age in zip(clips, ages, strict=True):
        start = stream.init_states(1, SIZE)
        if age:
            _, start = step_through(stream, clip[np.newaxis, :age], states=start)
        logits, _ = step_through(stream, clip[np.newaxis, age : age + 3], states=start)
        states.append(start)
        alone.append(logits[0])
    nexts = np.stack(
        [clip[age : age + 3] for clip, age in zip(clips, ages, strict=True)]
    )

    together, joined = step_through(
        stream, nexts, pieces=[2, 1], states=join_streams(states)
    )

    assert_same_logits(together, np.stack(alone))
    np.testing.assert_array_equal(joined["state/frame_count"], [3, 5, 8])


def test_a_step_changes_neither_frames_nor_states(stream):
    """The step is a pure function: what it was given can be given again."""
    frames = moving_clips(frames=2)
    _, states = step_through(stream, moving_clips(frames=3, seed=1))
    before = {name: np.array(value) for name, value in states.items()}
    untouched = frames.copy()

    first, _ = stream.step(frames, states)
    second, _ = stream.step(frames, states)

    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(frames, untouched)
    for name, value in before.items():
        np.testing.assert_array_equal(states[name], value)


def test_a_step_can_be_a_graph_of_any_size(stream):
    """Traced once with free sizes, it takes any batch, number of frames and frame size."""
    call = tf.function(stream.step, reduce_retracing=True)
    for batch, frames, size in ((1, 1, SIZE), (2, 3, (32, 41)), (1, 2, (64, 31))):
        clips = moving_clips(batch, frames, size)
        states = stream.init_states(batch, size)

        found, _ = call(tf.constant(clips), states)

        expected, _ = step_through(stream, clips)
        assert_same_logits(found, expected)


def test_clips_of_a_batch_do_not_mix(base):
    """A base network gives each clip what it gives it alone."""
    clips = moving_clips(clips=3, frames=5)

    together = base(clips)

    alone = np.concatenate([base(clip[np.newaxis]) for clip in clips])
    assert_same_logits(together, alone)
    assert np.abs(together - base(clips[:, ::-1])).max() > 1e-3


@pytest.mark.parametrize("mode", ["base", "stream"])
def test_folding_leaves_the_logits(mode, request):
    """The form for inference computes the same; each activation and gate, and whatever stands in other weights."""
    network = request.getfixturevalue(mode)
    usual = network.spec
    clips = moving_clips(clips=2, frames=4)
    for activation, gate in itertools.product(get_args(Activation), get_args(Gate)):
        network.set_functions(activation, gate)

        assert_same_logits(fold(network)(clips), network(clips))
    network.set_functions(usual.activation, usual.gate)


@pytest.mark.parametrize("mode", ["base", "stream"])
def test_activation_and_gate_are_the_same_however_they_were_set(mode):
    """A network that an importer has changed computes what one that was built so does, and not what it did."""
    changed = small_network(mode)
    clips = moving_clips()
    before = changed(clips).numpy()
    other = "hard_swish" if mode == "base" else "swish"
    changed.set_functions(other, "keras2_hard_sigmoid")
    built = small_network(mode, activation=other, gate="keras2_hard_sigmoid")

    assert changed.spec == built.spec
    np.testing.assert_array_equal(changed(clips), built(clips))
    assert np.abs(changed(clips) - before).max() > 1e-2 * np.abs(before).max()


def test_the_gates_differ(stream):
    """The two gates of stream networks give different logits, by far more than rounding."""
    clips = moving_clips()
    logits = {}
    for gate in ("keras2_hard_sigmoid", "hard_sigmoid"):
        stream.set_functions("hard_swish", gate)
        logits[gate] = stream(clips).numpy()

    first, second = logits.values()
    assert np.abs(first - second).max() > 1e-2 * np.abs(first).max()


def test_a_positional_encoding_of_scale_0_is_none():
    """It is added to the squeeze by a learnt scale: at 0 the network is one without it, else it is another."""
    plain = small_network("stream")
    encoded = small_network("stream", positional_encoding=True)
    clips = moving_clips()
    weights = encoded.named_weights
    for name, weight in plain.named_weights.items():
        weights[name].assign(weight)
    assert np.abs(encoded(clips) - plain(clips)).max() > 1e-3

    for name in weights.keys() - plain.named_weights.keys():
        weights[name].assign(0.0)

    assert_same_logits(encoded(clips), plain(clips))


@pytest.mark.parametrize("mode", ["base", "stream"])
def test_training_lowers_the_loss_and_reaches_every_weight(mode):
    """On one batch the loss falls; the residual scales start at 0, so the layers behind them move from the second step."""
    keras.utils.set_random_seed(0)
    network = build_movinet(TINY.name, mode, len(LABELS))
    clips, classes = (
        moving_clips(clips=4, frames=4, size=(32, 32)),
        np.array([0, 1, 2, 3]),
    )
    optimizer = keras.optimizers.Adam(3e-3)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses, reached = [], []

    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = loss_of(classes, network(clips, training=True))
        weights = [weight.value for weight in network.trainable_weights]
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(
            zip(gradients, network.trainable_weights, strict=True)
        )
        losses.append(float(loss))
        reached.append([bool(tf.reduce_any(gradient != 0)) for gradient in gradients])

    assert losses[0] > losses[1] > losses[2]
    assert not np.all(reached[0])
    assert np.all(
        reached[1]
    )  # the first step moved the scales, so the second reaches what is behind them


def test_training_changes_no_state_of_a_caller():
    """A stream that is half way stays there while its network trains, even on what comes next in it."""
    network = small_network("stream", seed=3)
    _, states = step_through(network, moving_clips(frames=3))
    before = {name: value.copy() for name, value in states.items()}
    weights = [weight.value for weight in network.trainable_weights]
    rows = network.stem.named_weights["stem/stem/bn/moving_mean"].numpy()

    with tf.GradientTape() as tape:
        logits, _, _ = network._step(moving_clips(frames=2), states, training=True)
        loss = tf.reduce_sum(logits**2)
    gradients = tape.gradient(loss, weights)
    keras.optimizers.SGD(1e-3).apply_gradients(
        zip(gradients, network.trainable_weights, strict=True)
    )
    network(moving_clips(clips=2), training=True)

    # It did train: batch norms moved.
    assert np.any(rows != network.stem.named_weights["stem/stem/bn/moving_mean"])
    for name, value in before.items():
        np.testing.assert_array_equal(states[name], value)


def test_dropout_drops_in_training_alone():
    """Logits vary between two training calls, and not outside training."""
    network = build_movinet(TINY.name, "base", 5, dropout_rate=0.5)
    clips = moving_clips(frames=2, size=(32, 32))

    assert np.array_equal(network(clips), network(clips))
    assert not np.array_equal(
        network(clips, training=True), network(clips, training=True)
    )


def test_a_new_head_keeps_backbone_and_asked_for_classes(stream):
    """Logits of classes that both heads know by name stay as they are; the network given stays too."""
    stream.set_functions("hard_swish", "keras2_hard_sigmoid")
    clips = moving_clips()
    before = stream(clips).numpy()

    replaced = replace_head(stream, labels=("wave", "swim", "jump"), keep=True)

    logits = replaced(clips).numpy()
    assert_same_logits(logits[:, 0], before[:, 4])
    assert_same_logits(logits[:, 2], before[:, 0])
    assert replaced.spec.labels == ("wave", "swim", "jump")
    assert replaced.spec.gate == "keras2_hard_sigmoid"
    np.testing.assert_array_equal(stream(clips), before)

    fresh = replace_head(stream, 7)
    assert fresh(clips).shape == (1, 7)
    assert fresh.spec.labels is None


def test_a_new_head_says_what_it_needs(stream, base):
    """Neither labels nor a number, two that disagree, or classes to keep without names are errors."""
    with pytest.raises(LabelsError, match="needs labels or num_classes; got neither"):
        replace_head(stream)
    with pytest.raises(LabelsError, match="as many as num_classes, 3; got 2"):
        replace_head(stream, 3, labels=("wave", "swim"))
    with pytest.raises(
        LabelsError, match="both heads must have labels; the new head has none"
    ):
        replace_head(base, 3, keep=True)
    with pytest.raises(LabelsError, match=r"none of \['swim'\]... is in \['jump'"):
        replace_head(base, labels=("swim",), keep=True)


def test_wrong_combinations_are_refused():
    """Gates and activations have names, positional encodings belong to modes; numbers must fit."""
    with pytest.raises(
        VariantError, match=r"gate must be one of sigmoid, .*got 'tanh'"
    ):
        build_movinet(TINY.name, "base", 5, gate="tanh")
    with pytest.raises(
        VariantError, match=r"activation must be one of swish, .*'relu'"
    ):
        build_movinet(TINY.name, "stream", 5, activation="relu")
    with pytest.raises(VariantError, match="mode 'base' has no positional encoding"):
        build_movinet(TINY.name, "base", 5, positional_encoding=True)
    with pytest.raises(LabelsError, match="as many as num_classes, 3; got 5"):
        build_movinet(TINY.name, "base", 3, labels=LABELS)
    with pytest.raises(ModelError, match="num_classes must be at least 1; got 0"):
        build_movinet(TINY.name, "base", 0)


def test_a_base_network_has_no_states(base):
    """Asking a base network for a step says what to do."""
    with pytest.raises(
        VariantError, match="only a network of mode 'stream' goes frame by frame"
    ):
        base.init_states(1, SIZE)
    with pytest.raises(VariantError, match="call it with whole clips"):
        base.step(moving_clips(), {})


@pytest.mark.parametrize("name", ["t0", "a0", "a1", "a2", "a3", "a4", "a5"])
def test_positional_encoding_is_where_it_was_published(name):
    """A3 to A5 stream have one, the smaller do not."""
    assert get_variant(name).has_positional_encoding is (name in {"a3", "a4", "a5"})


@pytest.mark.parametrize("change", [fold, lambda network: replace_head(network, 3)])
def test_a_folded_network_is_for_inference_alone(change):
    """It is said so, before anything is looked for in it."""
    folded = fold(small_network("base"))
    with pytest.raises(ModelError, match="this one is folded"):
        change(folded)
