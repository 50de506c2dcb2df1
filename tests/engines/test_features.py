"""Features of every engine: the vectors that a network's hidden layer and classifier take."""

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite import BaseClassifier, StreamingClassifier, step_many
from movinet_lite.engines.features import pooled_features
from movinet_lite.errors import ModelError
from movinet_lite.network.export import export_saved_model
from movinet_lite.network.facts import TransformerFacts
from movinet_lite.network.files import save_network
from movinet_lite.network.layers import Timeline
from movinet_lite.testing import FakeClipModel, FakeStreamModel
from tests.networks import LABELS, SIZE, moving_clips, small_network, tiny_variant
from tests.networks_table import TINY

FORMS = ["litert", "tensorflow", "saved_model", "onnx"]
HEAD = "classifier_head/head"
CLASSIFIER = "classifier_head/classifier"


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture(scope="module")
def networks():
    """A network of each mode in which every weight shows."""
    return {
        mode: small_network(mode, labels=LABELS, frame_size=SIZE)
        for mode in ("stream", "base")
    }


@pytest.fixture(scope="module")
def load(networks, tmp_path_factory):
    """Return a function from a mode and a form to a classifier; each is loaded once."""
    folder = tmp_path_factory.mktemp("models")
    loaded = {}

    def load(mode, form):
        if (mode, form) not in loaded:
            kind = StreamingClassifier if mode == "stream" else BaseClassifier
            path = folder / f"{mode}.safetensors"
            save_network(networks[mode], path)
            if form == "saved_model":
                path = folder / mode
                export_saved_model(networks[mode], path)
            engine = "tensorflow" if form == "saved_model" else form
            # Without a horizon: `features` has none either.
            options = {"horizon_s": None} if mode == "stream" else {}
            loaded[mode, form] = kind.load(path, engine=engine, **options)
        return loaded[mode, form]

    return load


def _weights(network, layer):
    """Return the kernel, ``(in, out)``, and the bias of a layer of the head."""
    found = {
        name.rsplit("/", 1)[1]: np.asarray(weight)
        for name, weight in network.named_weights.items()
        if name.startswith(layer)
    }
    kernel = found["kernel"]
    return kernel.reshape(kernel.shape[-2:]), found["bias"]


def _assert_features_of(network, pooled, hidden, logits):
    """Assert that the hidden layer makes *hidden* of *pooled*, and the classifier *logits* of *hidden*."""
    kernel, bias = _weights(network, HEAD)
    linear = pooled @ kernel + bias
    np.testing.assert_allclose(hidden, linear / (1 + np.exp(-linear)), atol=1e-4)
    kernel, bias = _weights(network, CLASSIFIER)
    np.testing.assert_allclose(logits, hidden @ kernel + bias, atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_streams_give_what_the_last_layers_take(networks, load, form):
    """After every frame the pooled output makes the hidden one, and this the logits; the states hold the pooled one."""
    session = load("stream", form).new_session()
    clip = moving_clips(frames=19)[0]

    pooled, hidden = session.features(clip), session.features(clip, "hidden")
    logits = [prediction.logits for prediction in session.run(clip)]

    assert pooled.shape == (19, TINY.head_channels)
    assert hidden.shape == (19, TINY.hidden_channels)
    _assert_features_of(networks["stream"], pooled, hidden, np.stack(logits))
    np.testing.assert_allclose(
        pooled_features(session.states), pooled[-1], rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("form", FORMS)
def test_base_models_give_what_the_last_layers_take(networks, load, form):
    """Of a whole clip; the pooled output is the mean over space and time of the backbone's."""
    network, classifier = networks["base"], load("base", form)
    clip = moving_clips(frames=5)
    timeline = Timeline(1, 5, None)
    x = network.stem(clip[0], timeline=timeline)
    for bottleneck in network.bottlenecks:
        x = bottleneck(x, timeline=timeline)
    x = network.head.project(x, timeline=timeline)

    pooled = classifier.features(clip[0])
    prediction = classifier.predict(clip[0], features="hidden")

    np.testing.assert_allclose(pooled, tf.reduce_mean(x, [0, 1, 2]), atol=1e-4)
    _assert_features_of(network, pooled, prediction.features, prediction.logits)
    assert classifier.predict(clip[0]).features is None


@pytest.mark.parametrize("name", ["pooled", "hidden"])
@pytest.mark.parametrize("form", FORMS)
def test_every_way_to_step_gives_the_same_features(load, form, name):
    """`step`, `run`, `predict_frames` and `step_many` give the features of their frame, and none unless asked."""
    session = load("stream", form).new_session()
    clip = moving_clips(frames=4)[0]
    expected = session.features(clip, name)

    stepped = [session.step(frame, features=name) for frame in clip]
    other = session.new_session()
    ran = [next(other.run(clip[:1])), *other.run(clip[1:], features=name)]
    pair = [session.new_session(), session.new_session()]
    pair[0].step(clip[0])
    many = step_many(pair, [clip[1], clip[0]], features=name)

    assert ran[0].features is None
    for found, rows in (
        (stepped, expected),
        (ran[1:], expected[1:]),
        (session.new_session().predict_frames(clip, features=name), expected),
        (many, expected[[1, 0]]),
    ):
        np.testing.assert_allclose(
            [prediction.features for prediction in found], rows, atol=1e-4
        )
        assert all(len(prediction.logits) == len(LABELS) for prediction in found)


def test_features_are_those_of_the_session_that_answers(networks, load):
    """With a horizon, the features of an answer give its logits, also after a younger session took over."""
    session = StreamingClassifier(load("stream", "litert").model, horizon_s=2.0)
    kernel, bias = _weights(networks["stream"], CLASSIFIER)
    clip = np.concatenate([moving_clips(frames=30)[0], 1 - moving_clips(frames=30)[0]])

    predictions = list(session.run(clip, features="hidden"))

    assert any(one.frames_seen < i + 1 for i, one in enumerate(predictions))
    for prediction in predictions:
        np.testing.assert_allclose(
            prediction.features @ kernel + bias, prediction.logits, atol=1e-3
        )


def test_a_model_with_a_transformer_has_hidden_features_alone(tmp_path):
    """They are what its classifier takes; pooled ones are refused by name."""
    facts = TransformerFacts(
        embed_dim=12, depth=1, num_heads=3, mlp_dim=20, causal=True
    )
    network = small_network(
        "stream", transformer=facts, labels=LABELS, frame_size=SIZE, gate="hard_sigmoid"
    )
    save_network(network, tmp_path / "x.safetensors")
    clip = moving_clips(frames=3)[0]

    classifier = StreamingClassifier.load(tmp_path / "x.safetensors")
    last = classifier.new_session().predict_frames(clip, features="hidden")[-1]

    assert last.features.shape == (12,)
    kernel, bias = _weights(network, CLASSIFIER)
    np.testing.assert_allclose(last.features @ kernel + bias, last.logits, atol=1e-3)
    with pytest.raises(ModelError, match="features 'pooled'; it has 'hidden' alone"):
        classifier.features(clip)


def test_a_model_of_an_application_gives_pooled_features_from_its_states():
    """A model without outputs for features gives what its states hold, and says so of the others."""
    session = StreamingClassifier(FakeStreamModel())
    frame = np.full((8, 6, 3), (0, 255, 0), np.uint8)

    prediction = session.step(frame, features=True)

    np.testing.assert_array_equal(prediction.features, [0.0, 1.0, 0.0])
    with pytest.raises(ModelError, match="output for the features 'hidden'"):
        session.step(frame, features="hidden")
    assert session.num_frames == 1
    with pytest.raises(ModelError, match="output for the features 'pooled'"):
        BaseClassifier(FakeClipModel()).features(frame[np.newaxis])


def test_a_published_file_has_no_hidden_features(shared_data):
    """The published int8 file gives pooled features from its states, and one clear error for hidden ones."""
    classifier = StreamingClassifier.load(
        shared_data("movinet_a0_int8.tflite"), labels="kinetics-600"
    )
    clip = moving_clips(frames=2, size=(172, 172))[0]

    assert classifier.features(clip).shape == (2, 480)
    with pytest.raises(ModelError, match="a file that others made"):
        classifier.features(clip, "hidden")


def test_unknown_features_are_refused(load):
    """The message lists those that there are, and the session stays where it was."""
    session = load("stream", "litert").new_session()
    frame = moving_clips()[0][0]

    with pytest.raises(ModelError, match="one of pooled, hidden; got 'embedding'"):
        session.step(frame, features="embedding")
    with pytest.raises(ModelError, match="got None"):
        session.features([frame], None)
    assert session.num_frames == 0
