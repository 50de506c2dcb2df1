"""Models written in another form: what they compute and what they say of themselves stays."""

import functools
import json
import shutil

import attrs
import numpy as np
import pytest
import tensorflow as tf

from movinet_lite import BaseClassifier, StreamingClassifier, demo
from movinet_lite.cli import main
from movinet_lite.engines.exporting import export_model
from movinet_lite.errors import ConversionError, LabelsError, ModelError
from movinet_lite.network import export as export_module
from movinet_lite.network.export import export_saved_model
from movinet_lite.network.facts import ModelFacts
from movinet_lite.network.files import save_network
from movinet_lite.network.litert_file import read_litert_info
from movinet_lite.network.spec import read_facts
from tests.networks import LABELS, SIZE, moving_clips, small_network, tiny_variant


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture(scope="module")
def network():
    """A stream network trained on something else than its variant."""
    made = small_network("stream", labels=LABELS, frame_size=SIZE, fps=7.5)
    made.spec = attrs.evolve(made.spec, clip_frames=17)
    return made


@pytest.fixture(scope="module")
def tuned(network, tmp_path_factory):
    """The folder that fine-tuning would write."""
    folder = tmp_path_factory.mktemp("tuned")
    save_network(network, folder / "network.safetensors")
    return folder


@pytest.fixture(scope="module")
def saved(network, tmp_path_factory):
    """The same network as a SavedModel."""
    path = tmp_path_factory.mktemp("saved") / "model"
    export_saved_model(network, path)
    return path


@pytest.fixture(scope="module")
def exported(tuned, saved, tmp_path_factory):
    """Return a function that exports one of the two, in each form once, and says where it is and what was said of it."""
    sources = {"tuned": tuned, "saved": saved}
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def export(form, to):
        path = folder / form / ("model.tflite" if to == "litert" else "model")
        path.parent.mkdir(exist_ok=True)
        return path, export_model(sources[form], path, to=to)

    return export


@pytest.mark.parametrize("form", ["tuned", "saved"])
def test_a_litert_file_takes_the_frames_of_the_network(network, exported, form):
    """From a network's file or from a SavedModel: the same logits, frame size, frame rate and labels."""
    path, written = exported(form, "litert")

    assert (written.path, written.num_bytes) == (path, path.stat().st_size)
    assert written.difference < 1e-4
    session = StreamingClassifier.load(path)
    assert (session.labels, session.frame_size, session.fps) == (LABELS, SIZE, 7.5)
    clip = moving_clips()
    expected = np.asarray(network(clip))[0]
    np.testing.assert_allclose(
        session.predict_frames(clip[0])[-1].logits,
        expected,
        rtol=0,
        atol=1e-4 * np.abs(expected).max(),
    )


def test_a_full_disk_is_one_error_that_names_the_saved_model(
    tuned, tmp_path, monkeypatch
):
    """TensorFlow says it in words of its own, of which those of the system are shown; nothing is left."""

    def fill(_, path):
        (path / "variables").mkdir(parents=True)
        raise tf.errors.ResourceExhaustedError(
            None,
            None,
            f"{{{{function_node __wrapped__SaveV2}}}} {path}/{'long/' * 80}; No space left on device [Op:SaveV2]",
        )

    monkeypatch.setattr(export_module, "export_saved_model", fill)

    with pytest.raises(
        ModelError, match=r"/full: the file must be writable; No space left on device$"
    ):
        export_model(tuned, tmp_path / "full", to="saved_model")

    assert list(tmp_path.iterdir()) == []


def test_a_saved_model_says_what_the_network_is(network, exported):
    """What is written from a network's file loads as that network."""
    path, _ = exported("tuned", "saved_model")

    assert read_facts(path) == network.spec
    session = StreamingClassifier.load(path, engine="tensorflow")
    assert (session.labels, session.frame_size, session.fps) == (LABELS, SIZE, 7.5)


@pytest.mark.parametrize("form", ["tuned", "saved"])
@pytest.mark.parametrize("to", ["litert", "saved_model"])
def test_every_fact_of_a_model_goes_along(network, exported, form, to):
    """Whatever is known of a model, its classifier knows after the way through two files; the source alone is another."""
    path, _ = exported(form, to)

    info = StreamingClassifier.load(path).model.info

    for fact in attrs.fields_dict(ModelFacts):
        if fact != "source":
            assert getattr(info, fact) == getattr(network.spec, fact), fact


def test_a_base_network_is_exported_as_one(tmp_path):
    """A base network becomes a SavedModel that BaseClassifier loads; as a stream model it is refused."""
    source = tmp_path / "base.safetensors"
    save_network(small_network("base", labels=LABELS, frame_size=SIZE), source)
    with pytest.raises(ModelError, match="this one is a base model"):
        export_model(source, tmp_path / "model.tflite")
    path = tmp_path / "model"
    export_model(source, path, to="saved_model", mode="base")

    assert BaseClassifier.load(path, engine="tensorflow").labels == LABELS


@pytest.mark.parametrize("quantize", [None, "float16", "dynamic"])
def test_a_litert_file_of_a_base_network_is_loaded(tmp_path, quantize):
    """It takes clips of any length, and is what the network is; a stream it is not."""
    network = small_network("base", labels=LABELS, frame_size=SIZE, fps=7.5)
    save_network(network, tmp_path / "base.safetensors")
    path = tmp_path / "model.tflite"
    export_model(tmp_path / "base.safetensors", path, mode="base", quantize=quantize)

    classifier = BaseClassifier.load(path)
    facts = (classifier.labels, classifier.frame_size, classifier.fps)
    assert facts == (LABELS, SIZE, 7.5)
    for frames in (8, 5):
        clip = moving_clips(frames=frames)
        expected = np.asarray(network(clip))[0]
        np.testing.assert_allclose(
            classifier.predict(clip[0]).logits,
            expected,
            rtol=0,
            atol=(1e-4 if quantize is None else 0.1) * np.abs(expected).max(),
        )
    with pytest.raises(ModelError, match="load it with BaseClassifier"):
        StreamingClassifier.load(path)
    with pytest.raises(ModelError, match="TensorFlow does not run"):
        BaseClassifier.load(path, engine="tensorflow")


def test_a_litert_file_of_a_stream_is_no_base_model(exported):
    """Asked for as one, it says what loads it."""
    path, _ = exported("tuned", "litert")

    with pytest.raises(ModelError, match="load it with StreamingClassifier"):
        BaseClassifier.load(path)


def test_a_litert_file_of_a_base_network_cut_short(tmp_path):
    """Without its facts, or with half a graph, it is refused."""
    save_network(small_network("base", frame_size=SIZE), tmp_path / "b.safetensors")
    path = tmp_path / "model.tflite"
    export_model(tmp_path / "b.safetensors", path, mode="base")
    whole = path.read_bytes()
    for kept in (len(whole) - 40, len(whole) // 2):
        path.write_bytes(whole[:kept])
        with pytest.raises(
            ModelError,
            match=r"one that this library wrote|its archive is damaged",
        ):
            BaseClassifier.load(path)


def test_the_caller_knows_better(tuned, tmp_path):
    """Labels and frame size that are given are written."""
    path = tmp_path / "model.tflite"
    export_model(tuned, path, labels=list("abcde"), frame_size=(24, 32))

    info = read_litert_info(path)
    assert info is not None
    assert (info.labels, info.frame_size, info.fps) == (tuple("abcde"), (24, 32), 7.5)
    with pytest.raises(LabelsError, match="as many"):
        export_model(tuned, tmp_path / "other.tflite", labels=["a"])


def test_the_demo_is_exported_from_its_weights(network, tmp_path, monkeypatch):
    """The compiled file of the package cannot be taken apart; what it was made of ships beside it."""
    weights = tmp_path / "demo.safetensors"
    save_network(network, weights, dtype="float16")
    monkeypatch.setattr(demo, "WEIGHTS", weights)
    path = tmp_path / "model.tflite"
    export_model("demo", path, quantize="float16")

    assert StreamingClassifier.load(path).labels == LABELS
    with pytest.raises(ModelError, match=r"this is a \.tflite file"):
        export_model(path, tmp_path / "again.tflite")


@pytest.mark.parametrize("to", ["litert", "saved_model"])
def test_what_computes_something_else_is_not_written(
    tuned, exported, tmp_path, monkeypatch, to
):
    """The file that was there stays, and nothing else is left."""
    other = small_network("stream", labels=LABELS, frame_size=SIZE, seed=99)
    path = tmp_path / ("model.tflite" if to == "litert" else "model")
    before = {}
    if to == "litert":
        shutil.copy(exported("tuned", to)[0], path)
        before = {path.name: path.read_bytes()}
    name = f"export_{to}"
    real = getattr(export_module, name)
    monkeypatch.setattr(export_module, name, lambda _, *a, **kw: real(other, *a, **kw))
    with pytest.raises(ConversionError, match=r"it differs by .* and was not written"):
        export_model(tuned, path, to=to)

    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("quantize", "number"),
    [
        ("float16", np.nan),
        ("dynamic", np.inf),
        pytest.param("float16", np.inf, marks=pytest.mark.slow),
        pytest.param("dynamic", np.nan, marks=pytest.mark.slow),
    ],
)
def test_a_quantised_file_that_gives_no_numbers_is_not_written(
    tuned, tmp_path, monkeypatch, quantize, number
):
    """However coarse it may be, it must give the numbers of its network, more or less."""
    other = small_network("stream", labels=LABELS, frame_size=SIZE)
    (bias,) = (
        weight
        for name, weight in other.named_weights.items()
        if name.startswith("classifier_head/classifier/") and name.endswith("bias")
    )
    bias.assign(np.full(bias.shape, number))
    real = export_module.export_litert
    monkeypatch.setattr(
        export_module, "export_litert", lambda _, *a, **kw: real(other, *a, **kw)
    )
    with pytest.raises(ConversionError, match=r"to 0\.5 of the largest"):
        export_model(tuned, tmp_path / "model.tflite", quantize=quantize)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quantize", ["float16", "dynamic"])
def test_a_quantised_stream_is_close_and_smaller(
    tuned, exported, network, tmp_path, quantize
):
    """It says how close, and streams like the network."""
    _, whole = exported("tuned", "litert")
    written = export_model(tuned, tmp_path / "model.tflite", quantize=quantize)

    assert written.num_bytes < whole.num_bytes
    assert 0 < written.difference < 0.1
    clip = moving_clips()
    expected = np.asarray(network(clip))[0]
    session = StreamingClassifier.load(written.path)
    np.testing.assert_allclose(
        session.predict_frames(clip[0])[-1].logits,
        expected,
        rtol=0,
        atol=0.1 * np.abs(expected).max(),
    )


def test_a_folder_is_not_replaced_by_a_file(tuned, tmp_path):
    """Whatever is in it."""
    path = tmp_path / "model.tflite"
    path.mkdir()
    with pytest.raises(ModelError, match="cannot replace a folder"):
        export_model(tuned, path)


def test_the_command_writes_each_form(tuned, network, tmp_path, capsys):
    """What it prints is what was written, and it loads as what it is."""
    small, folder = tmp_path / "small.tflite", tmp_path / "saved"
    arguments = ["--model", str(tuned)]
    quantized = [*arguments, "--quantize", "dynamic", "--json"]
    assert main(["export", str(small), *quantized]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(small)
    assert told["num_bytes"] == small.stat().st_size
    assert 1e-6 < told["difference"] < 0.1

    assert main(["export", str(folder), *arguments, "--to", "saved_model"]) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"{folder}: ")
    assert float(line.split("within ")[1].split(" of")[0]) < 1e-4
    clip = moving_clips()[0]
    expected = np.asarray(network(clip[np.newaxis]))[0]
    session = StreamingClassifier.load(folder, engine="tensorflow")
    np.testing.assert_allclose(
        session.predict_frames(clip)[-1].logits,
        expected,
        rtol=0,
        atol=1e-4 * np.abs(expected).max(),
    )

    both = [*arguments, "--to", "saved_model", "--quantize", "float16"]
    assert main(["export", str(tmp_path / "other"), *both]) == 1
    assert "only a LiteRT file can be quantised" in capsys.readouterr().err
