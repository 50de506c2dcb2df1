"""Networks of ours: run as they are, compiled without a SavedModel between, and exported."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.engines import compiled as compiled_module
from movinet_lite.engines import loading, made_once
from movinet_lite.engines.opening import open_as_it_is
from movinet_lite.errors import ConversionError, LabelsError, ModelError
from movinet_lite.hub.cache import compiled_folder
from movinet_lite.network.export import export_saved_model
from movinet_lite.network.files import save_network
from movinet_lite.network.spec import FACTS_NAME
from movinet_lite.network.states import count_names
from tests.engines.fastest import FASTEST, OF_STREAMS
from tests.networks import LABELS, SIZE, moving_clips, small_network, tiny_variant


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture(scope="module")
def networks():
    """Return a network of each mode; nothing of what they say of themselves is a default."""
    return {
        "stream": small_network(
            "stream",
            labels=LABELS,
            frame_size=SIZE,
            fps=7.5,
            positional_encoding=True,
            gate="keras2_hard_sigmoid",
        ),
        "base": small_network("base", labels=LABELS, frame_size=SIZE, fps=7.5),
    }


@pytest.fixture(scope="module")
def tuned(networks, tmp_path_factory):
    """The folders that fine-tuning would write, by mode."""
    folder = tmp_path_factory.mktemp("tuned")
    for mode, network in networks.items():
        (folder / mode).mkdir()
        save_network(network, folder / mode / "network.safetensors")
    return folder


@pytest.fixture(scope="module")
def saved(networks, tmp_path_factory):
    """The same networks as SavedModels, by mode."""
    folder = tmp_path_factory.mktemp("saved")
    for mode, network in networks.items():
        export_saved_model(network, folder / mode)
    return folder


@pytest.fixture(scope="module")
def _one_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOVINET_LITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def frames():
    """Nineteen frames that differ."""
    return moving_clips(frames=19)[0]


def logits_of(predictions):
    """Return ``(frames, classes)``."""
    return np.stack([prediction.logits for prediction in predictions])


def assert_close(actual, expected, tolerance=1e-4):
    """Compare logits to what is promised: 1e-4 of the largest."""
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )


@pytest.mark.usefixtures("_one_cache")
@pytest.mark.parametrize("engine", ["tensorflow", "auto"])
def test_a_stream_gives_the_logits_of_its_network(networks, tuned, frames, engine):
    """Frame by frame and in long calls, as it is and compiled; and it knows what it was trained on."""
    expected = np.asarray(networks["stream"].call_by_frame(frames[np.newaxis]))[0]
    session = StreamingClassifier.load(tuned / "stream", engine=engine, horizon_s=None)

    assert session.info.engine == (FASTEST if engine == "auto" else "tensorflow")
    assert session.labels == LABELS
    assert (session.frame_size, session.fps) == (SIZE, 7.5)
    assert (session.info.variant, session.info.mode) == ("tiny", "stream")
    assert_close(logits_of([session.step(frame) for frame in frames]), expected)
    session.reset()
    assert_close(logits_of(session.run(frames, frames_per_call=8)), expected)
    assert np.abs(np.diff(expected, axis=0)).max() > 1e-3 * np.abs(expected).max()


@pytest.mark.usefixtures("_one_cache")
@pytest.mark.parametrize("engine", ["tensorflow", "auto"])
def test_a_base_model_gives_the_logits_of_its_network(networks, tuned, frames, engine):
    """Clips of any length, as it is and compiled."""
    classifier = BaseClassifier.load(tuned / "base", engine=engine)

    assert classifier.info.engine == ("litert" if engine == "auto" else "tensorflow")
    assert (classifier.labels, classifier.frame_size) == (LABELS, SIZE)
    for count in (7, 1, 19):
        clip = frames[:count]
        expected = np.asarray(networks["base"](clip[np.newaxis]))[0]
        assert_close(classifier.predict(clip).logits, expected)


@pytest.mark.usefixtures("_one_cache")
def test_states_are_published_ones_and_move_between_engines(networks, tuned, frames):
    """Names, shapes and dtypes are the same on both engines, and either goes on from the other's."""
    slow = StreamingClassifier.load(
        tuned / "stream", engine="tensorflow", horizon_s=None
    )
    fast = StreamingClassifier.load(tuned / "stream", engine="litert", horizon_s=None)
    expected = np.asarray(networks["stream"].call_by_frame(frames[np.newaxis]))[0]
    for frame in frames[:5]:
        slow.step(frame)
        fast.step(frame)
    theirs, ours = slow.states, fast.states

    counts = count_names(networks["stream"].variant, positional_encoding=True)
    assert set(counts) < set(theirs)
    assert list(slow.init_states) == list(theirs)
    assert sorted(theirs) == sorted(ours)
    for name, value in theirs.items():
        assert (value.shape, value.dtype) == (ours[name].shape, ours[name].dtype)
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=1e-3)
    slow.states, fast.states = ours, theirs
    assert_close(slow.step(frames[5]).logits, expected[5])
    assert_close(fast.step(frames[5]).logits, expected[5])


def test_a_step_changes_no_states(tuned, frames):
    """States can be stepped from again, and what a caller does with an array is the caller's own business."""
    model = open_as_it_is(tuned / "stream" / "network.safetensors", "stream", "m")
    _, states = model.step(frames[:3], model.init_states(SIZE))
    before = {name: states[name].copy() for name in states}
    first, _ = model.step(frames[3:5], states)
    states["state/head/pool_buffer"][:] = 7
    second, _ = model.step(frames[3:5], states)

    np.testing.assert_array_equal(first, second)
    for name, value in before.items():
        np.testing.assert_array_equal(states[name], value)


@pytest.mark.usefixtures("_one_cache")
def test_loading_again_needs_no_tensorflow(tuned):
    """The second process takes the compiled graphs from the cache."""
    StreamingClassifier.load(tuned / "stream")
    code = (
        "import sys, numpy as np\n"
        "from movinet_lite import StreamingClassifier\n"
        "from movinet_lite.network import variants\n"
        "from tests.networks_table import SHALLOW\n"
        "variants._VARIANTS['tiny'] = SHALLOW\n"
        "s = StreamingClassifier.load(sys.argv[1])\n"
        "p = s.step(np.zeros((20, 30, 3), np.uint8))\n"
        "print(s.info.engine, 'tensorflow' in sys.modules, p.label in s.labels)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tuned / "stream")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{FASTEST} False True\n"


@pytest.mark.usefixtures("_one_cache")
def test_a_copy_elsewhere_is_not_compiled_again(tuned, tmp_path, monkeypatch):
    """What counts is what stands in the file; another content is another model."""
    StreamingClassifier.load(tuned / "stream", engine="litert")
    copy = tmp_path / "network.safetensors"
    shutil.copy(tuned / "stream" / "network.safetensors", copy)
    monkeypatch.setattr(compiled_module, "_compile", fail_to_compile)
    StreamingClassifier.load(copy, engine="litert")

    save_network(small_network("stream", labels=LABELS, seed=1), copy)
    with pytest.raises(ConversionError, match="compiled again"):
        StreamingClassifier.load(copy, engine="litert")


def fail_to_compile(*_, **__):
    """Stand for the compiler where it must not be called."""
    raise RuntimeError("compiled again")


@pytest.mark.parametrize("engine", ["auto", "litert", "tensorflow"])
def test_a_model_of_the_other_mode_is_refused_at_once(tuned, monkeypatch, engine):
    """Nothing is loaded or compiled before the header of the file is read."""
    monkeypatch.setattr(loading, "load_compiled", fail_to_compile)
    monkeypatch.setattr(loading, "open_as_it_is", fail_to_compile)
    with pytest.raises(ModelError, match=r"this one is a stream model.*Streaming"):
        BaseClassifier.load(tuned / "stream", engine=engine)
    with pytest.raises(ModelError, match=r"this one is a base model.*BaseClassifier"):
        StreamingClassifier.load(tuned / "base", engine=engine)
    path = tuned / "base" / "network.safetensors"
    with pytest.raises(ModelError, match="this one is a base model"):
        open_as_it_is(path, "stream", "m")


@pytest.mark.parametrize("engine", ["auto", *OF_STREAMS])
def test_a_damaged_file_is_an_error(tuned, tmp_path, monkeypatch, engine):
    """One changed bit is noticed by every engine, and a file cut short as well."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))
    content = bytearray((tuned / "stream" / "network.safetensors").read_bytes())
    path = tmp_path / "network.safetensors"
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="must have the checksum"):
        StreamingClassifier.load(path, engine=engine)
    path.write_bytes(content[:1000])
    with pytest.raises(ModelError, match=r"must be a complete \.safetensors file"):
        StreamingClassifier.load(path, engine=engine)


def test_the_caller_knows_better(tuned, tmp_path, monkeypatch):
    """Labels, frame size and rate that are given take the place of the network's own, on each engine."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    names = list("abcde")
    for engine in OF_STREAMS:
        session = StreamingClassifier.load(
            tuned / "stream", engine=engine, labels=names, frame_size=(24, 32), fps=3
        )
        assert session.labels == tuple(names)
        assert (session.frame_size, session.fps) == ((24, 32), 3)
        session.step(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(LabelsError, match="one name for each of the 5 classes"):
        StreamingClassifier.load(tuned / "stream", engine="tensorflow", labels=["a"])


def test_where_it_does_not_compile_keras_runs_it(tuned, tmp_path, monkeypatch):
    """A warning says why, and nothing is kept."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    monkeypatch.setattr(loading, "why_not", lambda: "there is no such CPU")
    monkeypatch.setattr(made_once, "COMPILED_TOLERANCE", -1.0)
    with pytest.warns(UserWarning, match="must give the logits of its source"):
        session = StreamingClassifier.load(tuned / "stream")
    assert session.info.engine == "tensorflow"
    assert [path for path in compiled_folder().iterdir() if path.is_dir()] == []


# SavedModels that were written from networks


@pytest.mark.parametrize("mode", ["stream", "base"])
def test_a_saved_model_of_ours_brings_its_facts(saved, tmp_path, monkeypatch, mode):
    """Frame size, frame rate and labels are those of the network, on each engine; what the caller gives wins."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model"
    shutil.copytree(saved / mode, path)
    (path / "labels.txt").unlink()
    load = StreamingClassifier.load if mode == "stream" else BaseClassifier.load
    for engine in OF_STREAMS if mode == "stream" else ("tensorflow", "litert"):
        session = load(path, engine=engine)
        assert (session.labels, session.frame_size, session.fps) == (LABELS, SIZE, 7.5)
    session = load(path, engine="tensorflow", frame_size=(24, 32), fps=3, labels=SIZES)
    assert (session.labels, session.frame_size, session.fps) == (SIZES, (24, 32), 3)
    (path / "labels.txt").write_text("\n".join(SIZES))
    assert load(path, engine="tensorflow").labels == SIZES


SIZES = ("tiny", "small", "middling", "large", "huge")


def test_damaged_facts_are_an_error_on_every_engine(saved, tmp_path, monkeypatch):
    """A model is not fed frames of another size because a file cannot be read, or is another model's."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model"
    shutil.copytree(saved / "stream", path)
    facts = path / FACTS_NAME
    whole = facts.read_text("utf-8")
    for text, message in (
        (whole[:40], "must be readable"),
        (whole.replace('"tiny"', '"a0"'), "must describe the SavedModel"),
        (
            (saved / "base" / FACTS_NAME).read_text("utf-8"),
            "this one is a base model",
        ),
    ):
        facts.write_text(text, "utf-8")
        for engine in ("auto", *OF_STREAMS):
            with pytest.raises(ModelError, match=message):
                StreamingClassifier.load(path, engine=engine)
