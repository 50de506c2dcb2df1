"""Tests that weights of PyTorch are models like all others: loaded, compiled, exported, trained and cached."""

import struct

import attrs
import numpy as np
import pytest

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.engines.exporting import export_model
from movinet_lite.engines.opening import open_network
from movinet_lite.errors import ModelError
from movinet_lite.network.facts import TransformerFacts
from tests.engines.fastest import FASTEST
from tests.networks import (
    LABELS,
    assert_same_logits,
    moving_clips,
    small_network,
    tiny_variant,
)
from tests.pytorch_files import save, smoothing_snapshot, torch_state_dict, write_zip

FACTS = TransformerFacts(embed_dim=12, depth=1, num_heads=3, mlp_dim=20, causal=True)
HARD = {"activation": "hard_swish", "gate": "keras2_hard_sigmoid"}
ASSUMED = "do not store the padding of the model"


@pytest.fixture(autouse=True, scope="module")
def _tiny():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))


def _stream_file(tmp_path):
    network = small_network("stream", **HARD)
    return network, save(torch_state_dict(network), tmp_path / "x.pt")


def test_a_stream_is_compiled_and_then_comes_from_the_cache(tmp_path):
    """The compiled model gives PyTorch's logits; what was assumed is said each time, from the cache too."""
    network, path = _stream_file(tmp_path)
    frames = moving_clips(frames=4, size=(32, 32))
    expected = np.asarray(network.call_by_frame(frames))[0]

    for _ in range(2):
        with pytest.warns(UserWarning, match=ASSUMED) as told:
            classifier = StreamingClassifier.load(path, labels=LABELS)
        assert len(told) == 1
        assert FASTEST in repr(classifier)
        found = np.stack([classifier.step(frame).logits for frame in frames[0]])
        assert_same_logits(found, expected, 1e-4)


def test_a_snapshot_of_grw_smoothing_loads_as_both(tmp_path):
    """One file gives a classifier of clips and one of streams, which agree on a clip."""
    network = small_network("base", transformer=FACTS, **HARD)
    path = save(smoothing_snapshot(network), tmp_path / "x.pt")
    clip = moving_clips(frames=4, size=(32, 32))
    expected = np.asarray(network(clip))[0]

    base = BaseClassifier.load(path, labels=LABELS)
    stream = StreamingClassifier.load(path, labels=LABELS, engine="tensorflow")

    assert "litert" in repr(base)
    assert_same_logits(base.predict(clip[0]).logits, expected)
    rows = [stream.step(frame).logits for frame in clip[0]]
    assert_same_logits(rows[-1], expected)


def test_it_can_be_written_anew(tmp_path):
    """Export takes weights of PyTorch, and checks what it writes."""
    _, path = _stream_file(tmp_path)

    with pytest.warns(UserWarning, match=ASSUMED):
        written = export_model(path, tmp_path / "x.tflite", labels=LABELS)

    assert written.difference < 1e-4


@pytest.mark.parametrize(
    ("mode", "causal"), [("stream", True), ("base", True), ("base", False)]
)
def test_a_saved_model_of_grw_weights_is_a_source_again(tmp_path, mode, causal):
    """What is exported as a SavedModel loads compiled and as it is, and can be exported further, to the same logits."""
    facts = attrs.evolve(FACTS, causal=causal)
    network = small_network("base", transformer=facts, **(HARD if causal else {}))
    path = save(smoothing_snapshot(network), tmp_path / "x.pt")
    frames = moving_clips(frames=4, size=(32, 32))
    expected = np.asarray(network(frames))[0]
    kind = StreamingClassifier if mode == "stream" else BaseClassifier
    model = tmp_path / "model"

    export_model(path, model, to="saved_model", mode=mode, labels=LABELS)
    again = export_model(model, tmp_path / "x.onnx", mode=mode)

    assert again.difference < 1e-4
    for source, engine in (
        (model, "litert"),
        (model, "tensorflow"),
        (again.path, "onnx"),
    ):
        classifier = kind.load(source, engine=engine)
        found = (
            classifier.predict_frames(frames[0])[-1]
            if mode == "stream"
            else classifier.predict(frames[0])
        )
        assert classifier.info.engine == engine
        assert_same_logits(found.logits, expected, 1e-4)


def test_it_is_ready_to_be_trained(tmp_path):
    """What fine-tuning starts from has the weights and can be trained."""
    network, path = _stream_file(tmp_path)

    with pytest.warns(UserWarning, match=ASSUMED):
        start = open_network(path, "stream", "x.pt")

    assert not start.options.folded
    assert_same_logits(start(moving_clips()), network(moving_clips()))


def test_the_other_mode_is_refused_before_anything_is_computed(tmp_path):
    """A stream model is no base model, whatever the form of its weights."""
    _, path = _stream_file(tmp_path)

    with pytest.raises(ModelError, match="this one is a stream model"):
        BaseClassifier.load(path, labels=LABELS)


def test_a_hostile_file_is_one_clear_error(tmp_path):
    """Loading a file that would run a program runs none, and the error says what it asked for."""
    made = tmp_path / "made"
    content = b"cos\nsystem\n(X" + struct.pack("<I", len(f"touch {made}"))
    path = write_zip(tmp_path / "x.pt", content + f"touch {made}".encode() + b"tR.")

    with pytest.raises(ModelError, match=r"asks for 'os\.system'"):
        StreamingClassifier.load(path, labels=LABELS)

    assert not made.exists()
