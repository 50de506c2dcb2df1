"""Every form that weights come in is opened, and runs wherever its source runs."""

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.engines.exporting import export_model
from movinet_lite.errors import ConversionError, ModelError
from movinet_lite.network import export
from movinet_lite.training.starts import load_start
from tests.networks import (
    LABELS,
    SIZE,
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
    signatures = export._add_base_functions(root, network)
    tf.saved_model.save(root, str(path), signatures=signatures)
    export._rename_variables(path / "saved_model.pb", names)
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
        assert stream.info.engine == ("litert" if engine == "auto" else engine)
        assert_same_logits(stream.predict_frames(clip)[-1].logits, expected, 1e-4)
    with pytest.raises(ConversionError, match="StreamingClassifier runs it compiled"):
        BaseClassifier.load(causal, engine="litert", **options)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return a network as those on TF Hub are, and its checkpoint."""
    network = small_network("stream", gate="keras2_hard_sigmoid", frame_size=SIZE)
    return network, write_checkpoint(network, tmp_path_factory.mktemp("garden"))


ASSUMED = "assumed are activation 'hard_swish' and gate 'keras2_hard_sigmoid'"


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
        assert stream.info.engine == ("litert" if engine == "auto" else engine)
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
