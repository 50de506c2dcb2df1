"""Compiled models: the logits of their source, kept in the cache, and never trusted blindly."""

import json
import shutil
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from movinet_lite import BaseClassifier, StreamingClassifier
from movinet_lite.classifiers import step_many
from movinet_lite.engines import compiled as compiled_module
from movinet_lite.engines import loading
from movinet_lite.engines.litert.step_graphs import Call, StepGraph
from movinet_lite.errors import ArrayError, ConversionError, LabelsError, ModelError
from movinet_lite.hub.cache import compiled_folder
from movinet_lite.network.spec import Functions
from tests.networks import tiny_variant
from tests.networks_table import SHALLOW
from tests.saved_models import COLOURS, write_stream_saved_model

FRAME_SIZE = (40, 33)
LABELS = ("rising", "falling", "turning", "still")


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


KNOW_TINY = (
    "from movinet_lite.network import variants\n"
    "from tests.networks_table import SHALLOW\n"
    "variants._VARIANTS[SHALLOW.name] = SHALLOW\n"
)
"""What makes the variant of the tests known to a process of its own."""


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory):
    """Two small MoViNets as SavedModels, with weights that all show in the logits: stream and base."""
    import keras

    from movinet_lite.network.export import export_saved_model
    from movinet_lite.network.model import build_movinet

    folder = tmp_path_factory.mktemp("saved_models")
    rng = np.random.default_rng(5)
    for mode in ("stream", "base"):
        # Some random kernels make a network that amplifies rounding beyond what is promised of real ones.
        keras.utils.set_random_seed(5)
        network = build_movinet(SHALLOW.name, mode, len(LABELS), labels=LABELS)
        for name, weight in network.named_weights.items():
            shape = tuple(weight.shape)
            if name.endswith("moving_variance"):
                value = rng.uniform(0.5, 1.5, shape)
            elif name.endswith(("gamma", "scale")):
                value = rng.uniform(0.5, 1.2, shape)
            elif name.endswith(("beta", "bias", "moving_mean")):
                value = rng.normal(0, 0.2, shape)
            else:
                value = np.asarray(weight) * 1.5
            weight.assign(value.astype(np.float32))
        export_saved_model(network, folder / mode)
    return folder


@pytest.fixture(scope="module")
def compiled_cache(tmp_path_factory):
    """A cache that the tests of this session fill once."""
    return tmp_path_factory.mktemp("compiled_cache")


@pytest.fixture
def in_cache(compiled_cache, monkeypatch):
    """Let the library use the shared cache."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(compiled_cache))


@pytest.fixture
def _without_native(monkeypatch):
    """Stand for a machine that the native engine cannot run on."""
    monkeypatch.setattr(loading, "why_not", lambda: "there is no such CPU")


@pytest.fixture
def frames():
    """Nineteen frames that differ."""
    shape = (19, *FRAME_SIZE, 3)
    return np.random.default_rng(3).uniform(0, 1, shape).astype(np.float32)


def load(path, engine, **options):
    """Load a stream model for small frames, as it was published: without a horizon."""
    return StreamingClassifier.load(
        path, engine=engine, frame_size=FRAME_SIZE, horizon_s=None, **options
    )


def logits_of(predictions):
    """Return ``(frames, classes)``."""
    return np.stack([prediction.logits for prediction in predictions])


def assert_close(actual, expected):
    """Compare logits to what is promised: 1e-4 of the largest."""
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.usefixtures("in_cache")
def test_a_compiled_stream_gives_the_logits_of_its_source(saved_models, frames):
    """Frame by frame, in long calls, or in pieces: always what the SavedModel says."""
    slow = load(saved_models / "stream", "tensorflow")
    fast = load(saved_models / "stream", "litert")
    expected = logits_of([slow.step(frame) for frame in frames])

    assert fast.info.engine == "litert"
    assert fast.labels == LABELS
    assert_close(logits_of([fast.step(frame) for frame in frames]), expected)
    fast.reset()
    assert_close(logits_of(fast.run(frames)), expected)
    fast.reset()
    pieces = np.split(frames, [3, 4, 14])
    assert_close(
        logits_of([p for piece in pieces for p in fast.predict_frames(piece)]),
        expected,
    )
    assert np.abs(np.diff(expected, axis=0)).max() > 1e-3 * np.abs(expected).max()


def test_a_compact_graph_too_far_from_its_source_is_compiled_in_float32(
    saved_models, tmp_path, monkeypatch
):
    """Weights in two 8-bit parts are an optimisation: where they change the logits, the model still compiles, without them."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    measure, differences = compiled_module._difference, []

    def off_at_first(*arguments):
        differences.append(measure(*arguments) if differences else 1.0)
        return differences[-1]

    monkeypatch.setattr(compiled_module, "_difference", off_at_first)

    session = StreamingClassifier.load(saved_models / "stream", engine="litert")

    assert session.info.engine == "litert"
    assert len(differences) == 2


@pytest.mark.usefixtures("in_cache")
def test_states_have_the_published_layout_and_move_between_engines(
    saved_models, frames
):
    """Names, shapes and dtypes are the SavedModel's own, and either engine goes on from the other's."""
    slow = load(saved_models / "stream", "tensorflow")
    fast = load(saved_models / "stream", "litert")
    expected = logits_of([slow.step(frame) for frame in frames])
    slow.reset()
    for frame in frames[:5]:
        slow.step(frame)
        fast.step(frame)
    theirs, ours = slow.states, fast.states
    assert sorted(theirs) == sorted(ours)
    for name, value in theirs.items():
        assert (value.shape, value.dtype) == (ours[name].shape, ours[name].dtype)
        np.testing.assert_allclose(
            ours[name], value, rtol=0, atol=1e-4 * max(1e-6, np.abs(value).max())
        )

    slow.states, fast.states = ours, theirs
    assert_close(slow.step(frames[5]).logits, expected[5])
    assert_close(fast.step(frames[5]).logits, expected[5])


@pytest.mark.usefixtures("in_cache")
def test_a_compiled_base_model_takes_clips_of_any_length(saved_models, frames):
    """One graph serves all lengths, longer and shorter by turns."""
    slow = BaseClassifier.load(
        saved_models / "base", engine="tensorflow", frame_size=FRAME_SIZE
    )
    fast = BaseClassifier.load(
        saved_models / "base", engine="litert", frame_size=FRAME_SIZE
    )
    for count in (7, 1, 19, 2, 3, 7):
        expected = slow.predict(frames[:count]).logits
        assert_close(fast.predict(frames[:count]).logits, expected)
    backwards = fast.predict(frames[::-1]).logits
    assert np.abs(backwards - fast.predict(frames).logits).max() > 1e-4
    many = fast.predict_many([frames[:4], frames[4:9], frames[9:13]])
    assert_close(many[1].logits, slow.predict(frames[4:9]).logits)
    assert_close(many[2].logits, slow.predict(frames[9:13]).logits)


_LONG_AND_SHORT = (
    KNOW_TINY
    + """
import sys
from pathlib import Path
import numpy as np
from movinet_lite import BaseClassifier

def memory_mb():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1000

classifier = BaseClassifier.load(sys.argv[1], engine="litert", frame_size=FRAME_SIZE)
clips = np.random.default_rng(6).integers(0, 256, (1000, *FRAME_SIZE, 3), np.uint8)
short = clips[:30]
expected = classifier.predict(short).logits
before = memory_mb()
long = classifier.predict(clips).logits
held = memory_mb()
assert (classifier.predict(short).logits == expected).all()
after = memory_mb()
assert (classifier.predict(clips).logits == long).all()
print(held - before, after - before)
"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory")
@pytest.mark.usefixtures("in_cache")
def test_memory_of_a_long_clip_is_given_back(saved_models):
    """Short clips after one long one do not hold its memory, and are answered as before."""
    BaseClassifier.load(
        saved_models / "base", engine="litert", frame_size=FRAME_SIZE
    )  # into the cache
    code = _LONG_AND_SHORT.replace("FRAME_SIZE", str(FRAME_SIZE))
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved_models / "base")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    held, kept = map(float, done.stdout.split())
    assert held > 50  # or there is nothing to give back
    assert kept < held / 2


@pytest.mark.usefixtures("in_cache")
def test_streams_of_different_ages_share_a_call(saved_models, frames):
    """Whoever comes, goes, or is late, each stream gets what it would get alone."""
    first = load(saved_models / "stream", "litert", streams=4)
    sessions = [first, *(first.new_session() for _ in range(4))]
    alone = load(saved_models / "stream", "litert")
    rng = np.random.default_rng(8)
    streams = [rng.permutation(frames) for _ in sessions]
    expected = []
    for stream in streams:
        alone.reset()
        expected.append(logits_of([alone.step(frame) for frame in stream]))
    calls = [
        (0,),
        (0, 1, 2),
        (0, 1, 2, 3),
        (3, 2, 1, 0),
        (0, 2, 3),
        (0, 2, 3),
        (0, 1, 2, 3),
        (4, 1),
        (0, 1, 2, 3, 4),
        (1, 2, 3, 4),
        (2,),
        (1, 2, 3, 4),
    ]
    seen = [0] * len(sessions)
    for places in calls:
        predictions = step_many(
            [sessions[place] for place in places],
            [streams[place][seen[place]] for place in places],
        )
        for place, prediction in zip(places, predictions, strict=True):
            assert_close(prediction.logits, expected[place][seen[place]])
            seen[place] += 1
    states = sessions[2].states
    assert states["state/head/pool_frame_count"] == [seen[2]]
    for place, session in enumerate(sessions):
        prediction = session.step(streams[place][seen[place]])
        assert_close(prediction.logits, expected[place][seen[place]])


@pytest.mark.usefixtures("in_cache")
def test_four_streams_take_one_call(saved_models, frames, monkeypatch):
    """That is what the graph for several streams is compiled for."""
    first = load(saved_models / "stream", "litert", streams=4)
    sessions = [first, *(first.new_session() for _ in range(3))]
    calls = []
    run = StepGraph.run

    def noting_run(graph, *arguments):
        calls.append(graph.call)
        return run(graph, *arguments)

    monkeypatch.setattr(StepGraph, "run", noting_run)
    step_many(sessions, list(frames[:4]))
    assert calls == [Call(streams=4, frames=1)]


@pytest.mark.usefixtures("in_cache")
def test_states_given_twice_step_twice(saved_models, frames):
    """One model may step the same states any number of times in one call, and each gets its own answer."""
    model = load(saved_models / "stream", "litert", streams=4).model
    clip = np.float32(frames)
    _, states = model.step_many(
        clip[:4], [model.init_states(FRAME_SIZE) for _ in range(4)]
    )
    together, _ = model.step_many(clip[4:9], [states[0], *states])
    for place, one in enumerate([states[0], *states]):
        alone, _ = model.step(clip[4 + place : 5 + place], one)
        assert_close(together[place], alone[0])


@pytest.mark.usefixtures("in_cache")
def test_states_that_a_caller_kept_survive_common_calls(saved_models, frames):
    """Going back to kept states works for a stream that shares its memory with others."""
    first = load(saved_models / "stream", "litert", streams=4)
    sessions = [first, *(first.new_session() for _ in range(3))]
    step_many(sessions, list(frames[:4]))
    kept = sessions[1].states
    one = step_many(sessions, list(frames[4:8]))[1]
    sessions[1].states = kept
    two = step_many(sessions, list(frames[4:8]))[1]
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-6)


@pytest.mark.usefixtures("in_cache")
def test_a_late_stream_does_not_hold_the_memory_of_all(saved_models, frames):
    """What it needs itself is kept, and it goes on from there."""
    model = load(saved_models / "stream", "litert", streams=4).model
    states = [model.init_states(FRAME_SIZE) for _ in range(4)]
    _, states = model.step_many(frames[:4], states)
    shared = weakref.ref(states[3].buffers)
    kept = {name: value.copy() for name, value in states[3].items()}
    _, states[:3] = model.step_many(frames[4:7], states[:3])
    assert shared() is None
    for name, value in kept.items():
        np.testing.assert_array_equal(states[3][name], value)
    late = model.step_many(frames[7:11], states)[0][3]
    _, alone = model.step(frames[3:4], model.init_states(FRAME_SIZE))
    assert_close(late, model.step(frames[10:11], alone)[0][0])


def _replace_graphs(folder):
    for graph in list(folder.rglob("*.tflite")):
        other = graph.with_suffix(".new")
        other.write_bytes(graph.read_bytes()[::-1])
        other.replace(graph)


def test_a_loaded_model_outlives_its_place_in_the_cache(
    compiled_cache, saved_models, tmp_path, monkeypatch, frames
):
    """Someone clears the cache or puts another model there: what is loaded still gives the same predictions."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(compiled_cache))
    first = load(saved_models / "stream", "litert", streams=4)
    expected = logits_of(first.run(frames))
    many = [first.new_session() for _ in range(4)]
    expected_many = logits_of(step_many(many, list(frames[:4])))
    for change in (shutil.rmtree, _replace_graphs):
        cache = tmp_path / "cache"
        shutil.copytree(compiled_cache, cache, dirs_exist_ok=True)
        monkeypatch.setenv("MOVINET_LITE_CACHE", str(cache))
        session = load(saved_models / "stream", "litert", streams=4)
        change(cache)
        many = [session.new_session() for _ in range(4)]
        assert_close(logits_of(step_many(many, list(frames[:4]))), expected_many)
        with pytest.warns(UserWarning, match="load the model again") as warned:
            logits = logits_of(session.run(frames))
        assert len(warned) == 1
        assert_close(logits, expected)


@pytest.mark.usefixtures("in_cache")
def test_loading_from_the_cache_needs_no_tensorflow(saved_models):
    """The second process to load a model imports no TensorFlow."""
    load(saved_models / "stream", "litert")
    code = (
        "import sys, numpy as np\n"
        "from movinet_lite import StreamingClassifier\n"
        f"{KNOW_TINY}"
        f"s = StreamingClassifier.load(sys.argv[1], frame_size={FRAME_SIZE}, engine='litert')\n"
        "p = s.step(np.zeros((20, 30, 3), np.uint8))\n"
        "list(s.run(np.zeros((9, 20, 30, 3), np.uint8)))\n"
        "print(s.info.engine, 'tensorflow' in sys.modules, p.label in s.labels)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved_models / "stream")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "litert False True\n"


def test_every_entry_is_one_that_can_be_listed_and_cleared(tmp_path):
    """The cache passes over names with a dot before them."""
    for name in (".model", "...", "model"):
        (tmp_path / name).mkdir()
        job = compiled_module._Job(tmp_path / name, "base", name, None, 1, Functions())
        assert not job.name().startswith(".")


@pytest.fixture
def copied(compiled_cache, saved_models, tmp_path, monkeypatch):
    """Let compiling be a copy from the shared cache, in a cache of its own; return what graphs were made each time."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(compiled_cache))
    load(saved_models / "stream", "litert", streams=4)
    kept = compiled_folder()
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))
    made = []

    def copy(_job, folders, missing):
        made.append(list(missing))
        for kind in missing:
            (entry,) = (
                note.parent
                for note in kept.glob(f"*-{kind}/movinet_lite_cache.json")
                if json.loads(note.read_text())["source"]
                == str(saved_models / "stream")
            )
            shutil.copytree(entry, folders[kind], dirs_exist_ok=True)

    monkeypatch.setattr(compiled_module, "_compile", copy)
    return made


def test_a_damaged_graph_is_made_anew(saved_models, copied, frames):
    """What lies in the cache is checked before it is used, and what is whole stays."""
    path = saved_models / "stream"
    load(path, "litert")
    assert copied == [["frame", "frames"]]
    (graph,) = compiled_folder().glob("*-frame/*.tflite")
    whole = graph.read_bytes()
    note = graph.parent / "movinet_lite_cache.json"
    for damage in (
        lambda: graph.write_bytes(whole[:5000] + b"\0\0\0\1" + whole[5004:]),
        lambda: graph.write_bytes(whole[:5000]),
        lambda: note.write_text("{", encoding="utf-8"),
        graph.unlink,
    ):
        damage()
        copied.clear()
        session = load(path, "litert")
        assert copied == [["frame"]]
        assert graph.read_bytes() == whole
    session.step(frames[0])


def test_another_number_of_streams_compiles_one_graph_more(saved_models, copied):
    """The graphs of one stream are there already, and serve with any number."""
    path = saved_models / "stream"
    for streams in (1, 4, 1, 4):
        load(path, "litert", streams=streams)
    assert copied == [["frame", "frames"], ["streams_4"]]


def test_labels_are_no_part_of_what_is_compiled(saved_models, copied, tmp_path):
    """Another ``labels.txt`` beside the model names its classes anew, and compiles nothing; without it, its own count."""
    path = tmp_path / "model"
    shutil.copytree(saved_models / "stream", path)
    names = ("one", "two", "three", "four")
    assert load(path, "litert").labels == LABELS
    (path / "labels.txt").write_text("\n".join(names), encoding="utf-8")
    assert load(path, "litert").labels == names
    assert load(path, "tensorflow").labels == names
    (path / "labels.txt").write_text("\n".join(names[::-1]), encoding="utf-8")
    assert load(path, "litert").labels == names[::-1]
    (path / "labels.txt").unlink()
    assert load(path, "litert").labels == LABELS
    (path / "labels.txt").write_text("one\ntwo", encoding="utf-8")
    with pytest.raises(LabelsError, match="each of the 4 classes; got 2 names"):
        load(path, "litert")
    assert len(copied) == 1


def test_an_entry_of_an_earlier_format_is_not_used(saved_models, monkeypatch, copied):
    """What another release compiled otherwise is compiled anew."""
    path = saved_models / "stream"
    for _ in range(2):
        load(path, "litert")
    assert len(copied) == 1
    monkeypatch.setattr(compiled_module, "_FORMAT", compiled_module._FORMAT + 1)
    for _ in range(2):
        load(path, "litert")
    assert len(copied) == 2


def test_threads_that_load_one_model_compile_it_once(saved_models, copied, frames):
    """The others wait, and all of them stream."""
    together = threading.Barrier(4)

    def stream(_):
        together.wait()
        session = load(saved_models / "stream", "litert")
        return logits_of(session.run(frames[:4]))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(stream, range(4)))
    assert len(copied) == 1
    for answer in answers:
        assert_close(answer, answers[0])


@pytest.mark.usefixtures("_without_native")
def test_a_compiled_model_that_computes_something_else_is_refused(
    saved_models, tmp_path, monkeypatch
):
    """Where the check fails, TensorFlow goes on and a warning says why, and nothing is kept."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    export = "movinet_lite.network.export.export_litert"
    from movinet_lite.network import export as export_module
    from movinet_lite.network.model import build_movinet

    real_export = export_module.export_litert

    def export_another(_network, path, **options):
        other = build_movinet(SHALLOW.name, "stream", len(LABELS), labels=LABELS)
        return real_export(other, path, frame_size=FRAME_SIZE, **options)

    monkeypatch.setattr(export, export_another)
    with pytest.warns(UserWarning, match="must give the logits of its source"):
        session = load(saved_models / "stream", "auto")
    assert session.info.engine == "tensorflow"
    assert [path for path in compiled_folder().iterdir() if path.is_dir()] == []


def test_a_graph_that_gives_no_numbers_in_calls_of_many_frames_is_refused(
    saved_models, tmp_path, monkeypatch
):
    """Single frames are right, and the check is not content with them."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    from movinet_lite.network import export as export_module
    from movinet_lite.network.model import build_movinet

    real_export = export_module.export_litert

    def export_nan(network, path, *, num_frames=1, **options):
        if num_frames > 1:
            network = build_movinet(
                SHALLOW.name,
                "stream",
                len(LABELS),
                labels=LABELS,
                frame_size=FRAME_SIZE,
            )
            for weight in network.head.trainable_weights:
                weight.assign(np.full(weight.shape, np.nan))
        return real_export(network, path, num_frames=num_frames, **options)

    monkeypatch.setattr(export_module, "export_litert", export_nan)
    with pytest.raises(ConversionError, match="nan"):
        load(saved_models / "stream", "litert")


@pytest.mark.usefixtures("_without_native")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("no such kernel\n\n"), "RuntimeError: no such kernel"),
        (MemoryError(), "MemoryError"),
        (ModuleNotFoundError("No module named 'ai_edge_litert'"), "ai_edge_litert"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_whatever_stops_the_compilation_tensorflow_goes_on(
    saved_models, tmp_path, monkeypatch, error, said
):
    """One warning that says why; or, where LiteRT was asked for, one error of ours."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))

    def fail(_job, folders, missing):
        (folders[missing[0]] / "half.tflite").write_bytes(b"half")
        raise error

    monkeypatch.setattr(compiled_module, "_compile", fail)
    with pytest.warns(UserWarning, match="could not be compiled: .*" + said) as warned:
        session = load(saved_models / "stream", "auto")
    assert len(warned) == 1
    assert session.info.engine == "tensorflow"
    with pytest.raises(ConversionError, match=said):
        load(saved_models / "stream", "litert")
    assert [path for path in compiled_folder().iterdir() if path.is_dir()] == []


@pytest.mark.usefixtures("_without_native")
def test_tensorflow_goes_on_with_its_own_threads(saved_models, tmp_path, monkeypatch):
    """The compilation that failed has used it, after which its number of threads is fixed; the warning says so, and why."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    threads = tf.config.threading.get_intra_op_parallelism_threads() + 1

    def fail(_job, _folders, _missing):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiled_module, "_compile", fail)
    tf.constant(0)
    said = f"its own number of threads, not {threads}, since .*No space left on device"
    with pytest.warns(UserWarning, match=said):
        session = StreamingClassifier.load(saved_models / "stream", threads=threads)
    assert session.info.engine == "tensorflow"


def test_a_cache_that_cannot_be_written_to_is_said_so(
    saved_models, tmp_path, monkeypatch
):
    """The message names the variable that names another one."""
    file = tmp_path / "file"
    file.write_bytes(b"")
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(file / "cache"))
    with pytest.raises(ConversionError, match="MOVINET_LITE_CACHE sets another"):
        load(saved_models / "stream", "litert")
    with pytest.warns(UserWarning, match="could not be compiled"):
        session = load(saved_models / "stream", "auto")
    assert session.info.engine == "tensorflow"


@pytest.mark.parametrize("frame_size", [32, (0, 32), "small"])
def test_a_frame_size_that_is_none_is_refused_before_anything_is_loaded(
    saved_models, frame_size
):
    """It neither compiles nor falls back."""
    with pytest.raises(ArrayError, match="height"):
        StreamingClassifier.load(saved_models / "stream", frame_size=frame_size)


def test_a_model_that_is_no_movinet_runs_with_tensorflow(tmp_path, monkeypatch):
    """A stream model of another architecture does not compile, and still runs."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))
    path = write_stream_saved_model(tmp_path / "m")
    with pytest.warns(UserWarning, match="could not be compiled"):
        session = load(path, "auto", labels=COLOURS)
    assert session.info.engine == "tensorflow"
    with pytest.raises(ModelError, match="must be those of a variant"):
        load(path, "litert", labels=COLOURS)


@pytest.mark.oracle
@pytest.mark.parametrize("export", ["a0_stream_hub_7", "a0_stream_garden_8"])
def test_a_compiled_stream_agrees_with_the_model_garden(
    oracle_export, tmp_path, monkeypatch, export
):
    """Import, compilation and the fast engine together give the reference's logits and states."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    folder = oracle_export(export)
    reference = np.load(folder / "reference.npz")
    video = reference["video"][0]
    session = StreamingClassifier.load(
        folder / "saved_model",
        labels="kinetics-600",
        engine="litert",
        frame_size=video.shape[1:3],
        horizon_s=None,
    )
    expected = reference["frame_logits"]
    assert_close(logits_of([session.step(frame) for frame in video]), expected)
    states = {
        name.removeprefix("state:"): reference[name]
        for name in reference.files
        if name.startswith("state:")
    }
    kept = session.states
    session.states = states
    for name, value in session.states.items():
        atol = 1e-4 * max(np.abs(value).max(), 1e-6)
        np.testing.assert_allclose(kept[name], value, rtol=0, atol=atol)
    session.reset()
    assert_close(logits_of(session.run(video)), expected)


@pytest.mark.oracle
@pytest.mark.parametrize("export", ["a0_base_hub_7", "a0_base_garden_10"])
def test_a_compiled_base_model_agrees_with_the_model_garden(
    oracle_export, tmp_path, monkeypatch, export
):
    """Import, compilation and the fast engine together give the reference's logits of a clip."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    folder = oracle_export(export)
    reference = np.load(folder / "reference.npz")
    video = reference["video"][0]
    classifier = BaseClassifier.load(
        folder / "saved_model",
        labels="kinetics-600",
        engine="litert",
        frame_size=video.shape[1:3],
    )
    assert_close(classifier.predict(video).logits, reference["clip_logits"][0])


def test_the_log_says_that_a_model_is_compiled_and_where_it_is_kept(
    saved_models, tmp_path, monkeypatch, caplog
):
    """Once, before and after; the next load says at another level that it took it from there."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
    with caplog.at_level("DEBUG", logger="movinet_lite"):
        BaseClassifier.load(
            saved_models / "base", engine="litert", frame_size=FRAME_SIZE
        )
        first = [record for record in caplog.records if "movinet_lite" in record.name]
        caplog.clear()
        BaseClassifier.load(
            saved_models / "base", engine="litert", frame_size=FRAME_SIZE
        )
        second = [record for record in caplog.records if "movinet_lite" in record.name]
    name = f"{saved_models / 'base'} (base) for this machine"
    before, after = first
    assert before.levelname == after.levelname == "INFO"
    assert before.getMessage() == (
        f"compiling {name}; this happens once and may take a minute"
    )
    assert after.getMessage().startswith(f"compiled {name} in ")
    assert Path(after.getMessage().split("kept in ")[1]).is_dir()
    (again,) = second
    assert again.levelname == "DEBUG"
    assert again.getMessage() == f"took {name} from {compiled_folder()}"
