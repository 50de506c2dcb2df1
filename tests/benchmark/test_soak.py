"""Streams that run for hours: the report tells what a real run showed."""

import attrs
import numpy as np
import pytest

from movinet_lite import ModelError, StreamingClassifier
from movinet_lite.benchmark import soak
from movinet_lite.benchmark.soak import step_for_long
from movinet_lite.cli import main
from movinet_lite.network.export import export_saved_model
from movinet_lite.network.files import save_network
from tests.networks import LABELS, small_network, tiny_variant
from tests.saved_models import expected_stream_logits, write_stream_saved_model


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a small stream model as a SavedModel that knows its frame size."""
    folder = tmp_path_factory.mktemp("soak") / "model"
    export_saved_model(
        small_network("stream", labels=LABELS, frame_size=(24, 24)), folder
    )
    return folder


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOVINET_LITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_many_steps_are_those_of_tensorflow(model, monkeypatch, capsys):
    """The last logits are compared with TensorFlow's after the same frames; other frames would show."""
    report = step_for_long(model, steps=1100)

    assert report.steps == 1100
    assert report.difference <= 1e-4
    assert report.growth_mb < 20
    assert report.memory_mb > 50

    reference = soak.reference_logits

    def other_reference(path, frames, steps):
        return reference(path, 255 - frames, steps)

    monkeypatch.setattr(soak, "reference_logits", other_reference)
    labels = ["--stream", str(model)]
    assert main(["benchmark", *labels, "--soak", "1001"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("1001 steps of ")
    assert float(text.split("within ")[1].split(" of")[0]) > 1e-3
    assert attrs.evolve(report, steps=5).to_text().startswith("5 steps of ")


def test_what_fine_tuning_wrote_is_compared_too(tmp_path):
    """Without a SavedModel there is the network itself."""
    path = tmp_path / "network.safetensors"
    save_network(small_network("stream", labels=LABELS, frame_size=(24, 24)), path)
    assert step_for_long(path, steps=1001).difference <= 1e-4


def test_a_model_of_one_frame_a_call_is_compared_too(tmp_path):
    """Where it does not take sixteen."""
    path = write_stream_saved_model(tmp_path / "m")
    frames = np.random.default_rng(2).integers(0, 256, (96, 8, 9, 3), np.uint8)
    last = soak.reference_logits(path, frames, 100)
    seen = [*frames, *frames[:4]] / np.float32(255)
    np.testing.assert_allclose(last, expected_stream_logits(seen)[-1], rtol=1e-4)


def test_what_tensorflow_cannot_run_is_refused_before_the_first_step(
    tmp_path, monkeypatch
):
    """Not after hours."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3 and so on")
    monkeypatch.delattr(StreamingClassifier, "step")
    with pytest.raises(ModelError, match="use the SavedModel it was made from"):
        step_for_long(path, steps=2000)


def test_memory_that_grows_is_seen(model, monkeypatch):
    """A step that keeps a million bytes shows, though the process had taken far more before, for a moment."""
    kept = []
    step = StreamingClassifier.step

    def leaking_step(self, frame):
        if self.num_frames == 0:
            np.ones(600_000_000, np.uint8)  # gone again, as what compiling takes
        if self.num_frames >= 1000:
            kept.append(np.ones(1_000_000, np.uint8))
        return step(self, frame)

    monkeypatch.setattr(StreamingClassifier, "step", leaking_step)
    report = step_for_long(model, steps=1100)
    assert 80 < report.growth_mb < 140


def test_too_few_steps_are_refused(model, capsys):
    """Memory can only grow after it has settled."""
    with pytest.raises(ModelError, match="steps must be more than 1000; got 1000"):
        step_for_long(model, steps=1000)
    for option in ("--soak", "--endurance"):  # its name once
        assert main(["benchmark", option, "2000"]) == 2
        assert "--soak needs --stream MODEL" in capsys.readouterr().err
