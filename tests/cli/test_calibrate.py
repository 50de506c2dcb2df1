"""movinet-lite calibrate: what it writes, where, and what it refuses."""

import json

import numpy as np
import pytest

from movinet_lite import StreamingClassifier, write_video
from movinet_lite.cli import main
from movinet_lite.network.changing_facts import change_facts, read_own_facts
from movinet_lite.network.files import save_network
from movinet_lite.network.litert_file import LiteRTInfo, pack_litert
from movinet_lite.network.model import build_movinet
from tests.networks import tiny_variant
from tests.networks_table import TINY

SIZE = (32, 32)


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    """Compile the model, which is the same in all tests, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOVINET_LITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of two classes, one with sixteen short videos and one with eight, so that scores of 2 in 3 fit best."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for label, count in (("a", 16), ("b", 8)):
        (folder / label).mkdir()
        for number in range(count):
            clip = rng.integers(0, 255, (3, *SIZE, 3), np.uint8)
            write_video(folder / label / f"{number}.mp4", clip, fps=5)
    return folder


@pytest.fixture(scope="module")
def untrained():
    """An untrained network."""
    network = build_movinet(TINY.name, "stream", 2, labels=("a", "b"), frame_size=SIZE)
    network.head.classifier.bias.assign([0.5, 0.0])
    return network


@pytest.fixture
def model(untrained, tmp_path):
    """Its file, as fine-tune leaves it in its folder."""
    path = tmp_path / "my_model" / "network.safetensors"
    save_network(untrained, path)
    return path


def test_the_temperature_is_kept_with_the_model(model, videos, tmp_path, capsys):
    """The copy has it and a session applies it; the model stays as it was, and --json says what it gained."""
    before = model.read_bytes()
    output = tmp_path / "calibrated.safetensors"
    arguments = ["calibrate", str(model.parent), str(videos), "--part", "all"]

    status = main([*arguments, "--output", str(output), "--json"])

    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert model.read_bytes() == before
    assert found["num_videos"] == 24
    assert read_own_facts(output).temperature == found["temperature"] != 1
    session = StreamingClassifier.load(output, engine="tensorflow")
    prediction = session.step(np.zeros((*SIZE, 3), np.uint8))
    assert prediction.temperature == found["temperature"]


def test_without_output_the_model_itself_is_changed(model, videos, tmp_path, capsys):
    """It says so, and a diagram of the videos left out is drawn."""
    plot = tmp_path / "plot.png"
    arguments = ["calibrate", str(model.parent), str(videos), "--part", "all"]
    assert main([*arguments, "--plot", str(plot)]) == 0
    assert "on videos left out" in capsys.readouterr().out
    assert read_own_facts(model).temperature is not None
    assert plot.stat().st_size > 1000


@pytest.mark.parametrize(
    ("model_name", "options", "message"),
    [
        ("demo", [], "loaded by name requires --output"),
        ("demo", ["--output", "a.tflite"], "--output must end in .safetensors"),
        ("foreign.tflite", [], "export the model that it was made from"),
        ("ours.onnx", [], "change the model that it was made from"),
        ("nowhere.tflite", ["--output", "a.tflite"], "nowhere.tflite"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(  # noqa: PLR0917 - fixtures
    videos, tmp_path, capsys, monkeypatch, model_name, options, message
):
    """Before a model is loaded or a video read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours.onnx").write_bytes(b"\x08\x08")
    (tmp_path / "foreign.tflite").write_bytes(b"\0" * 4 + b"TFL3" + b"\0" * 64)
    assert main(["calibrate", model_name, str(videos), *options]) != 0
    assert message in capsys.readouterr().err


def test_too_few_videos_are_refused(model, videos, capsys):
    """A fifth of the videos is too few here; the model stays as it was."""
    before = model.read_bytes()
    assert main(["calibrate", str(model.parent), str(videos)]) == 2
    assert "at least 10 examples" in capsys.readouterr().err
    assert model.read_bytes() == before


def test_a_litert_file_keeps_its_graph(tmp_path):
    """Only the facts behind the graph change."""
    info = LiteRTInfo(
        mode="stream",
        num_classes=2,
        variant="t0",
        frame_size=SIZE,
        fps=5.0,
        positional_encoding=False,
        num_frames=1,
        batch=1,
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(pack_litert(b"graph" * 100, info))

    change_facts(path, tmp_path / "other.tflite", temperature=1.5)

    assert read_own_facts(path).temperature is None
    assert read_own_facts(tmp_path / "other.tflite").temperature == 1.5
    assert (tmp_path / "other.tflite").read_bytes().startswith(b"graph" * 100 + b"PK")
