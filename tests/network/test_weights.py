"""What the importer takes, finds out and refuses."""

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite.errors import LabelsError, ModelError, VariantError
from movinet_lite.network.export import export_saved_model
from movinet_lite.network.model import build_movinet
from movinet_lite.network.sources import read_source
from movinet_lite.network.spec import FACTS_NAME
from movinet_lite.network.weights import import_weights, recognise
from tests.networks import (
    LABELS,
    assert_same_logits,
    moving_clips,
    small_network,
    tiny_variant,
    write_checkpoint,
)


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant():
        yield


@pytest.fixture
def _shallow():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture(scope="module")
def stream():
    """Return a stream network with the gate of the published models."""
    return small_network("stream", gate="keras2_hard_sigmoid")


@pytest.fixture(scope="module")
def encoded():
    """Return a stream network with positional encoding and the gate of today's Model Garden."""
    return small_network("stream", positional_encoding=True, seed=1)


@pytest.fixture(scope="module")
def base():
    """Return a base network."""
    return small_network("base")


@pytest.mark.parametrize("generation", ["A", "B", "C", "training"])
@pytest.mark.parametrize("name", ["stream", "encoded"])
def test_streams_of_every_generation_are_imported(request, tmp_path, name, generation):
    """All is recognised from names, shapes and the objects around a scale; the gate from what the source computes."""
    network = request.getfixturevalue(name)
    prefix = write_checkpoint(network, tmp_path, generation)

    imported = import_weights(prefix, loaded=network)

    assert imported.generation == generation
    assert imported.difference <= 1e-5
    spec = imported.network.spec
    assert (spec.variant, spec.mode, spec.num_classes) == ("tiny", "stream", 5)
    assert spec.gate == network.spec.gate
    assert spec.positional_encoding is network.spec.positional_encoding
    weights = imported.network.named_weights
    for weight_name, weight in network.named_weights.items():
        np.testing.assert_array_equal(weights[weight_name], weight)


@pytest.mark.parametrize("generation", ["A", "C"])
def test_base_models_are_imported(base, tmp_path, generation):
    """Base models of B and C have the same names."""
    prefix = write_checkpoint(base, tmp_path, generation)

    with pytest.warns(
        UserWarning, match=r"x: a checkpoint does not say its activation"
    ):
        imported = import_weights(
            prefix, labels=LABELS, fps=4.0, frame_size=(50, 60), name="x"
        )

    assert imported.generation == generation
    assert imported.difference is None  # a checkpoint cannot be run
    spec = imported.network.spec
    assert (spec.mode, spec.gate, spec.labels) == ("base", "sigmoid", LABELS)
    assert (spec.fps, spec.frame_size, spec.source) == (4.0, (50, 60), "x")
    clips = moving_clips()
    np.testing.assert_array_equal(imported.network(clips), base(clips))


@pytest.mark.parametrize("name", ["encoded", "base"])
def test_a_saved_model_is_imported_and_checked_by_running_it(request, tmp_path, name):
    """Nothing but the directory is needed."""
    network = request.getfixturevalue(name)
    export_saved_model(network, tmp_path / "model")

    imported = import_weights(
        tmp_path / "model", variant="tiny", mode=network.spec.mode
    )

    assert imported.difference <= 1e-5
    assert imported.network.spec.gate == network.spec.gate
    assert_same_logits(imported.network(moving_clips()), network(moving_clips()))


@pytest.mark.parametrize("name", ["encoded", "base"])
def test_the_order_of_the_variables_does_not_matter(request, tmp_path, name):
    """It differs between generations; equal shapes in another order are still told apart."""
    network = request.getfixturevalue(name)

    def change(values):
        items = list(values.items())
        np.random.default_rng(0).shuffle(items)
        values.clear()
        values.update(items)

    prefix = write_checkpoint(network, tmp_path, change=change)

    weights = import_weights(prefix, loaded=network).network.named_weights

    for weight_name, weight in network.named_weights.items():
        np.testing.assert_array_equal(weights[weight_name], weight)


def test_a_suffix_of_the_classifier_is_no_obstacle(stream, tmp_path):
    """Some exports call it ``classifier_head_1``."""

    def change(values):
        for name in [name for name in values if name.startswith("classifier_head/")]:
            values[name.replace("classifier_head/", "classifier_head_1/")] = values.pop(
                name
            )

    prefix = write_checkpoint(stream, tmp_path, change=change)

    assert import_weights(prefix, loaded=stream).difference <= 1e-5


def test_what_training_leaves_behind_is_passed_over(stream, tmp_path):
    """Counters, learning rates and the optimizer's copies of the weights are no weights."""
    prefix = write_checkpoint(stream, tmp_path)
    values = {
        name: tf.Variable(weight, name=name)
        for name, weight in stream.named_weights.items()
    }
    model = tf.train.Checkpoint(weights=list(values.values()))
    slots = [
        tf.Variable(weight * 0, name=f"{name}/momentum")
        for name, weight in values.items()
    ]
    root = tf.train.Checkpoint(
        model=model,
        optimizer=tf.train.Checkpoint(
            slots=slots, iterations=tf.Variable(3, name="SGD/iter")
        ),
        global_step=tf.Variable(7, name="global_step"),
    )
    prefix = root.save(str(tmp_path / "training"))

    imported = import_weights(prefix, loaded=stream)

    assert imported.difference <= 1e-5


def test_a_folder_of_checkpoints_gives_the_latest(stream, tmp_path):
    """As ``tf.train.latest_checkpoint`` finds it; an index file is taken as well."""
    values = [
        tf.Variable(weight, name=name) for name, weight in stream.named_weights.items()
    ]
    root = tf.train.Checkpoint(weights=values)
    old = root.save(str(tmp_path / "ckpt"))
    bias = next(
        value
        for value in values
        if value.name.startswith("classifier_head/classifier/conv2d/conv2d_1/bias")
    )
    bias.assign_add(tf.ones_like(bias))
    root.save(str(tmp_path / "ckpt"))
    clips = moving_clips()

    functions = {"gate": "keras2_hard_sigmoid", "activation": "hard_swish"}
    latest = import_weights(tmp_path, **functions)
    first = import_weights(old + ".index", **functions)

    assert_same_logits(first.network(clips), stream(clips))
    assert_same_logits(latest.network(clips), stream(clips) + 1)


def test_a_missing_variable_is_named(stream, tmp_path):
    """With how many there are and what is likely."""
    prefix = write_checkpoint(
        stream,
        tmp_path,
        change=lambda values: values.pop("b2/l1/bneck/feature/bn_temporal/beta"),
    )

    with pytest.raises(
        ModelError,
        match=r"1 missing: b2/l1/bneck/feature/bn_temporal/beta \(a stream model must have \(2\+1\)D",
    ):
        import_weights(prefix, loaded=stream)


def test_a_model_without_squeeze_excitation_is_told(stream, tmp_path):
    """As the published int8 files are."""

    def change(values):
        for name in [name for name in values if "/se/" in name]:
            del values[name]

    prefix = write_checkpoint(stream, tmp_path, change=change)

    with pytest.raises(
        ModelError,
        match=r"16 missing: .*\.\.\. \(a model without squeeze-excitation",
    ):
        import_weights(prefix, loaded=stream)


def test_one_variable_too_many_is_named(stream, tmp_path):
    """Whether it stands at a known place or not."""
    prefix = write_checkpoint(
        stream,
        tmp_path,
        change=lambda values: values.update({"b0/l0/bneck/extra/kernel": np.ones(3)}),
    )
    with pytest.raises(ModelError, match="1 left over: b0/l0/bneck/extra/kernel"):
        import_weights(prefix, loaded=stream)

    prefix = write_checkpoint(
        stream,
        tmp_path,
        change=lambda values: values.update({"dense/kernel": np.ones(3)}),
    )
    with pytest.raises(
        ModelError, match="must be a weight of a MoViNet; 'dense/kernel' is not"
    ):
        import_weights(prefix, loaded=stream)


def test_one_weight_twice_is_refused(stream, tmp_path):
    """Two names that mean the same weight."""
    prefix = write_checkpoint(
        stream,
        tmp_path,
        change=lambda values: values.update({"block0_layer0/scale": np.ones(())}),
    )

    with pytest.raises(
        ModelError, match="'b0/l0/scale' and 'block0_layer0/scale' are the same"
    ):
        import_weights(prefix, loaded=stream)


def test_a_wrong_shape_is_named(stream, tmp_path):
    """With the weight, what was needed and what came."""

    def change(values):
        values["b0/l0/bneck/expansion/conv2d/conv2d/kernel"] = np.ones(
            (1, 1, 8, 17), "f"
        )

    prefix = write_checkpoint(stream, tmp_path, change=change)

    with pytest.raises(
        ModelError, match=r"must have shape \(1, 1, 8, 16\); got \(1, 1, 8, 17\)"
    ) as caught:
        import_weights(prefix, loaded=stream)
    assert caught.value.expected == (1, 1, 8, 16)


def test_a_causal_model_with_3d_convolutions_is_told(base, tmp_path):
    """Its squeeze-excitation takes two means, as a stream's does, but its kernels are those of a base model."""

    def change(values):
        for name, value in values.items():
            if name.endswith("se_reduce/conv3d/kernel"):
                values[name] = np.concatenate([value, value], axis=-2)

    prefix = write_checkpoint(base, tmp_path, change=change)

    with pytest.raises(ModelError, match="a causal model with 3-D convolutions"):
        import_weights(prefix, loaded=base)


def test_a_mixed_up_pair_of_equal_shapes_is_found(stream, tmp_path):
    """Names and shapes are in order, the numbers are not: only the logits show it."""
    first, second = (
        f"b2/l0/bneck/feature/{norm}/beta" for norm in ("bn", "bn_temporal")
    )

    def change(values):
        values[first], values[second] = values[second], values[first]

    prefix = write_checkpoint(stream, tmp_path, change=change)

    with pytest.raises(
        ModelError,
        match=r"logits of the source must be reproduced to 0\.001 .*\(weights mixed up",
    ):
        import_weights(prefix, loaded=stream)


def test_a_source_that_amplifies_rounding_is_told_from_a_wrong_one(stream, tmp_path):
    """Weights that were never trained may make logits of noise: then no network can reproduce them."""
    prefix = write_checkpoint(stream, tmp_path)

    def amplify(clip):
        return np.asarray(stream(clip)) + np.sin(1e8 * float(clip.max()))

    with pytest.raises(ModelError, match=r"when each pixel changes by 1e-07 of itself"):
        import_weights(prefix, loaded=amplify)


def test_the_other_gate_is_found(stream, tmp_path):
    """A gate that is asked for and wrong does not pass."""
    prefix = write_checkpoint(stream, tmp_path)

    with pytest.raises(ModelError, match="and gate 'hard_sigmoid'") as caught:
        import_weights(prefix, loaded=stream, gate="hard_sigmoid")
    assert caught.value.received > 1e-3


def test_a_source_that_gives_nan_does_not_pass(stream, tmp_path):
    """A comparison with NaN is never within the tolerance."""
    prefix = write_checkpoint(stream, tmp_path)

    with pytest.raises(ModelError, match="differ by nan"):
        import_weights(prefix, loaded=lambda _: np.full((1, 5), np.nan))
    with pytest.raises(ModelError, match="differ by inf"):
        import_weights(prefix, loaded=lambda _: np.ones((1, 6)))


def test_a_base_file_asked_for_as_stream_is_refused(base, stream, tmp_path):
    """And a stream file as base, and one variant as another."""
    (tmp_path / "base").mkdir()
    prefix = write_checkpoint(base, tmp_path / "base")
    with pytest.raises(
        ModelError,
        match="a stream model takes frames one by one; this one is a base model",
    ) as caught:
        import_weights(prefix, mode="stream")
    assert (caught.value.expected, caught.value.received) == ("stream", "base")

    prefix = write_checkpoint(stream, tmp_path)
    with pytest.raises(
        ModelError, match="a base model takes whole clips; this one is a stream model"
    ):
        import_weights(prefix, mode="base")
    with pytest.raises(
        ModelError, match="must be of variant 'a0', as asked for; they are of 'tiny'"
    ):
        import_weights(prefix, variant="a0")
    with pytest.raises(VariantError, match="variant must be one of"):
        import_weights(prefix, variant="a9")


@pytest.mark.parametrize(
    ("generation", "gate"), [("A", "keras2_hard_sigmoid"), ("C", "hard_sigmoid")]
)
def test_what_a_checkpoint_does_not_say_is_assumed_and_said(
    stream, tmp_path, generation, gate
):
    """It cannot be run: the result names activation and gate, and a warning does unless both were given."""
    prefix = write_checkpoint(stream, tmp_path, generation)

    with pytest.warns(UserWarning, match=f"activation 'hard_swish' and gate '{gate}'"):
        guessed = import_weights(prefix)
    with pytest.warns(UserWarning, match="activation 'hard_swish' and gate 'sigmoid'"):
        import_weights(prefix, gate="sigmoid")
    told = import_weights(prefix, gate="sigmoid", activation="swish")

    assert guessed.assumed == {"activation": "hard_swish", "gate": gate}
    assert told.assumed == {"activation": "swish", "gate": "sigmoid"}
    assert (told.network.spec.activation, told.network.spec.gate) == (
        "swish",
        "sigmoid",
    )
    assert import_weights(prefix, loaded=stream).assumed == {}


@pytest.mark.usefixtures("_shallow")
@pytest.mark.parametrize(
    ("mode", "gate"),
    [
        ("base", "keras2_hard_sigmoid"),
        ("stream", "sigmoid"),
        pytest.param("base", "sigmoid", marks=pytest.mark.slow),
        pytest.param("stream", "keras2_hard_sigmoid", marks=pytest.mark.slow),
    ],
)
def test_activation_and_gate_are_found_in_either_mode(tmp_path, mode, gate):
    """Who trains with the Model Garden chooses them freely; what the source computes tells."""
    activation = "hard_swish" if mode == "base" else "swish"
    network = small_network(mode, activation=activation, gate=gate)
    export_saved_model(network, tmp_path / "model")
    (tmp_path / "model" / FACTS_NAME).unlink()

    imported = import_weights(tmp_path / "model")

    assert (imported.network.spec.activation, imported.network.spec.gate) == (
        activation,
        gate,
    )
    assert imported.difference <= 1e-5
    assert_same_logits(imported.network(moving_clips()), network(moving_clips()))
    wrong = {"activation": "swish" if mode == "base" else "hard_swish"}
    with pytest.raises(ModelError, match=f"with activation '{wrong['activation']}'"):
        import_weights(tmp_path / "model", **wrong)


def test_labels_must_be_as_many_as_the_classes(base, tmp_path):
    """Before anything is run."""
    prefix = write_checkpoint(base, tmp_path)

    with pytest.raises(LabelsError, match="as many as num_classes, 5; got 2"):
        import_weights(prefix, loaded=base, labels=("a", "b"))


def test_half_a_variant_is_none(stream, tmp_path):
    """The message shows the layers found and those of every variant."""

    def change(values):
        for name in [name for name in values if name.startswith("b2/l1/")]:
            del values[name]

    prefix = write_checkpoint(stream, tmp_path, change=change)

    with pytest.raises(ModelError, match=r"a0 \(1, 3, 3, 4, 4\).*; got \(1, 1, 1\)"):
        recognise(read_source(prefix))


def test_a_backbone_alone_is_told(base, tmp_path):
    """Its classifier is missing."""

    def change(values):
        for name in [name for name in values if name.startswith("classifier_head")]:
            del values[name]

    prefix = write_checkpoint(base, tmp_path, change=change)

    with pytest.raises(
        ModelError, match=r"must hold a classifier.*the backbone alone\?"
    ):
        import_weights(prefix)


def test_scales_whose_layer_nothing_tells_are_refused(encoded, tmp_path):
    """The order of the variables is not used, so nothing goes wrong silently."""
    values = [
        tf.Variable(
            weight, name="scale" if name.endswith("pos_encoding/scale") else name
        )
        for name, weight in encoded.named_weights.items()
    ]
    prefix = tf.train.Checkpoint(weights=values).write(str(tmp_path / "flat"))

    with pytest.raises(ModelError, match="must be told by the objects around it"):
        import_weights(prefix, loaded=encoded)


@pytest.mark.usefixtures("_shallow")
@pytest.mark.parametrize(
    ("generation", "gate"),
    [("A", "keras2_hard_sigmoid"), ("B", "keras2_hard_sigmoid"), ("C", "hard_sigmoid")],
)
def test_where_both_gates_give_the_same_the_likelier_one_is_taken(
    tmp_path, generation, gate
):
    """As long as the residual scales are 0, only what made the file tells."""
    network = build_movinet("tiny", "stream", 3)
    prefix = write_checkpoint(network, tmp_path, generation)

    assert import_weights(prefix, loaded=network).network.spec.gate == gate


@pytest.mark.usefixtures("_shallow")
def test_an_export_of_ours_keeps_the_gate_that_it_states(tmp_path):
    """While the residual scales are 0 no logit tells one gate from the other."""
    network = build_movinet("tiny", "stream", 3, gate="hard_sigmoid")
    export_saved_model(network, tmp_path / "model")

    imported = import_weights(tmp_path / "model")

    assert imported.network.spec.gate == "hard_sigmoid"
