"""Every form that weights come in is opened, and runs wherever its source runs."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.engines.exporting import export_model
from movinet_lite.errors import ConversionError, ModelError, VariantError
from movinet_lite.network import export
from movinet_lite.network.spec import Functions
from movinet_lite.training.starts import load_start
from tests.engines.fastest import FASTEST
from tests.networks import (
    LABELS,
    SIZE,
    assert_same_logits,
    moving_clips,
    small_network,
    tiny_variant,
    write_checkpoint,
)
from tests.saved_models import write_stream_saved_model


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def network():
    """Return a stream network with the activation and the gate of no published one."""
    return small_network("stream", activation="swish", gate="sigmoid", frame_size=SIZE)


@pytest.fixture(scope="module")
def causal(network, tmp_path_factory):
    """Return that network as Keras saves it: its one signature takes whole clips."""
    path = tmp_path_factory.mktemp("causal") / "model"
    names, variables = zip(*network.named_weights.items(), strict=True)
    root = tf.__internal__.tracking.AutoTrackable()
    root.variables = [variable.value for variable in variables]
    signatures = export.add_base_functions(root, network)
    tf.saved_model.save(root, str(path), signatures=signatures)
    export.rename_variables(path / "saved_model.pb", names)
    return path


@pytest.mark.usefixtures("_cache")
def test_a_causal_model_saved_to_take_clips_runs_whole_and_frame_by_frame(
    network, causal
):
    """Both classifiers load it, compiled or as it is, and say of a clip what it says itself."""
    clip = moving_clips()[0]
    expected = np.asarray(network(clip[np.newaxis]))[0]
    options = {"labels": LABELS, "frame_size": SIZE}
    with pytest.warns(UserWarning, match="a causal model that was saved to take whole"):
        whole = BaseClassifier.load(causal, **options)
    assert_same_logits(whole.predict(clip).logits, expected, 1e-4)
    for engine in ("auto", "tensorflow"):
        stream = StreamingClassifier.load(causal, engine=engine, **options)
        assert stream.info.engine == (FASTEST if engine == "auto" else engine)
        assert_same_logits(stream.predict_frames(clip)[-1].logits, expected, 1e-4)
    with pytest.raises(ConversionError, match="StreamingClassifier runs it compiled"):
        BaseClassifier.load(causal, engine="litert", **options)


@pytest.mark.usefixtures("_cache")
def test_a_stream_model_is_refused_as_a_base_one_at_once(tmp_path, caplog):
    """Its file tells the mode, so that nothing is compiled and no log says so."""
    path = write_stream_saved_model(tmp_path / "stream")
    caplog.clear()  # of what TensorFlow says while it writes
    with (
        caplog.at_level("DEBUG", "movinet_lite"),
        pytest.raises(ModelError, match="this one is a stream model") as caught,
    ):
        BaseClassifier.load(path)
    assert caught.value.received == "stream"
    assert not caplog.records


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return a network as those on TF Hub are, and its checkpoint."""
    network = small_network("stream", gate="keras2_hard_sigmoid", frame_size=SIZE)
    return network, write_checkpoint(network, tmp_path_factory.mktemp("garden"))


ASSUMED = "assumed are activation 'hard_swish' and gate 'keras2_hard_sigmoid'"


@pytest.mark.usefixtures("_cache")
@pytest.mark.parametrize("engine", ["tensorflow", "auto"])
def test_activation_and_gate_of_a_checkpoint_can_be_said(tmp_path, engine):
    """Where both are said nothing is assumed, the scores are right, and what was compiled with others is not used."""
    network = small_network(
        "stream", activation="swish", gate="sigmoid", frame_size=SIZE
    )
    prefix = write_checkpoint(network, tmp_path / "garden")
    clip = moving_clips()[0]
    expected = np.asarray(network(clip[np.newaxis]))[0]
    options = {"labels": LABELS, "frame_size": SIZE, "engine": engine}
    with pytest.warns(UserWarning, match=ASSUMED):
        assumed = StreamingClassifier.load(prefix, **options)
    wrong = assumed.predict_frames(clip)[-1].logits
    assert np.abs(wrong - expected).max() > 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):  # compiled, and from the cache
            told = StreamingClassifier.load(
                prefix, activation="swish", gate="sigmoid", **options
            )
            assert_same_logits(told.predict_frames(clip)[-1].logits, expected, 1e-4)
    with pytest.warns(UserWarning, match="assumed are activation 'swish' and gate"):
        StreamingClassifier.load(prefix, activation="swish", **options)


def test_what_is_no_checkpoint_needs_no_activation_and_gate(tmp_path):
    """To say them is an error, and so is an unknown one; for the classifiers, training and export."""
    path = write_stream_saved_model(tmp_path / "saved")
    for use in (
        lambda: StreamingClassifier.load(path, gate="sigmoid"),
        lambda: StreamingClassifier.load(path, activation="swish", engine="tensorflow"),
        lambda: StreamingClassifier.load("demo", gate="sigmoid"),
        lambda: export_model(path, tmp_path / "m.tflite", gate="sigmoid"),
        lambda: load_start(path, "stream", functions=Functions(gate="sigmoid")),
    ):
        with pytest.raises(ModelError, match="must be given for a checkpoint alone"):
            use()
    with pytest.raises(VariantError, match=r"gate must be one of .*; got 'relu'"):
        StreamingClassifier.load(path, gate="relu")


@pytest.mark.usefixtures("_cache")
def test_a_checkpoint_is_loaded_trained_and_exported(published, tmp_path):
    """By its prefix, its index file or its folder; what nothing could check is said each time."""
    network, prefix = published
    clip = moving_clips()[0]
    expected = np.asarray(network(clip[np.newaxis]))[0]
    options = {"labels": LABELS, "frame_size": SIZE}
    for path, engine in (
        (prefix, "tensorflow"),
        (f"{prefix}.index", "auto"),
        (prefix.parent, "auto"),  # compiled already
    ):
        with pytest.warns(UserWarning, match=ASSUMED):
            stream = StreamingClassifier.load(path, engine=engine, **options)
        assert stream.info.engine == (FASTEST if engine == "auto" else engine)
        assert_same_logits(stream.predict_frames(clip)[-1].logits, expected, 1e-4)
    with pytest.warns(UserWarning, match=ASSUMED):
        assert_same_logits(load_start(prefix, "stream")(clip[np.newaxis])[0], expected)
    with pytest.warns(UserWarning, match=ASSUMED):
        written = export_model(
            prefix, tmp_path / "m.tflite", frame_size=SIZE, labels=LABELS
        )
    assert written.difference <= 1e-4
    with pytest.raises(ModelError, match="this one is a stream model"):
        BaseClassifier.load(prefix, engine="tensorflow")
