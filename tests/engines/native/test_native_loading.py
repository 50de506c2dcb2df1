"""Loading on the native engine: what is kept in the cache, what is checked, and what happens where it cannot run."""

import json
import logging
import shutil
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import attrs
import numpy as np
import pytest

from movinet_lite import BaseClassifier, StreamingClassifier, demo
from movinet_lite.engines import loading
from movinet_lite.engines.native import opening, program
from movinet_lite.engines.native.target import host_target, why_not
from movinet_lite.errors import ConversionError, LabelsError, ModelError
from movinet_lite.hub.cache import cached_models, clear_cache, compiled_folder
from movinet_lite.network.export import export_saved_model
from movinet_lite.network.facts import TransformerFacts
from movinet_lite.network.files import load_network, read_arrays, save_network
from tests.networks import LABELS, SIZE, moving_clips, small_network, tiny_variant

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own for each test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def network():
    """A stream network of `SIZE`."""
    return small_network("stream", frame_size=SIZE, labels=LABELS)


@pytest.fixture(scope="module")
def kept(network, tmp_path_factory):
    """The file of the network."""
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    save_network(network, path)
    return path


@pytest.fixture(scope="module")
def made(kept, tmp_path_factory):
    """A cache in which the file is made already."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOVINET_LITE_CACHE", str(folder))
        load(kept)
    return folder


@pytest.fixture
def filled(made, cache):
    """A cache with the file made already; return its entry."""
    shutil.copytree(made, cache)
    return entry()


@attrs.define
class Work:
    """What was done for a load, each time by name: made with TensorFlow, compiled, compared with the source."""

    folded: list[str]
    compiled: list[str]
    checked: list[str]

    def taken(self):
        """Return how often each was done, and begin to count anew."""
        counts = tuple(map(len, (self.folded, self.compiled, self.checked)))
        for names in (self.folded, self.compiled, self.checked):
            names.clear()
        return counts


@pytest.fixture
def work(monkeypatch):
    """Note what loads do."""
    return Work(
        note_calls(monkeypatch, opening, "_fold"),
        note_calls(monkeypatch, program, "compile_module"),
        note_calls(monkeypatch, opening, "difference_of_streams"),
    )


def note_calls(monkeypatch, module, name):
    """Note the calls of a function of a module."""
    noted, real = [], getattr(module, name)

    def note(*arguments, **options):
        noted.append(name)
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, note)
    return noted


def load(path, engine="native", **options):
    """Load a stream model without a horizon."""
    return StreamingClassifier.load(path, engine=engine, horizon_s=None, **options)


def entry():
    """Return the only entry of the native engine."""
    (found,) = compiled_folder().glob("*-native")
    return found


def entries():
    """Return the kinds of the entries in the cache."""
    return sorted(
        path.name.rsplit("-")[-1]
        for path in compiled_folder().iterdir()
        if path.is_dir()
    )


def assert_right(session, network, size=SIZE):
    """Compare logits of steps and of a run to what is promised: 1e-4 of the largest."""
    clip = moving_clips(frames=10, size=size)
    expected = np.asarray(network.call_by_frame(clip))[0]
    limit = 1e-4 * np.abs(expected).max()
    for predictions in (map(session.step, clip[0]), session.run(clip[0])):
        found = np.stack([prediction.logits for prediction in predictions])
        np.testing.assert_allclose(found, expected, rtol=0, atol=limit)
        session.reset()


@pytest.mark.parametrize("engine", ["auto", "native"])
def test_a_stream_gives_the_logits_of_its_source(kept, network, engine):
    """The engine of choice for streams; no graph of LiteRT is made, and any number of streams needs no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = load(kept, engine, streams=3)
    assert session.info.engine == "native"
    assert (session.labels, session.frame_size) == (LABELS, SIZE)
    assert session.info.source == str(kept)
    assert_right(session, network)
    assert entries() == ["native"]


def test_a_saved_model_gives_the_logits_of_its_signature(network, tmp_path):
    """Labels beside it are no part of the entry."""
    path = tmp_path / "model"
    export_saved_model(network, path)
    session = load(path)
    assert_right(session, network)
    names = ("one", "two", "three", "four", "five")
    (path / "labels.txt").write_text("\n".join(names), encoding="utf-8")
    assert load(path).labels == names
    (path / "labels.txt").write_text("one", encoding="utf-8")
    for engine in ("native", "auto"):
        with pytest.raises(LabelsError, match="each of the 5 classes; got 1"):
            load(path, engine)
    (path / "labels.txt").unlink()
    assert load(path).labels == LABELS
    assert entries() == ["native"]


def test_the_log_says_what_takes_time(kept, caplog):
    """Once; the next load says at another level that it took the model from the cache."""
    name = "movinet_lite.engines"

    def said() -> list[tuple[str, str]]:
        """Return what was logged since; TensorFlow may log as well."""
        records = [one for one in caplog.records if one.name == name]
        caplog.clear()
        return [(one.levelname, one.getMessage()) for one in records]

    with caplog.at_level("DEBUG", logger=name):
        load(kept)
        first = said()
        load(kept)
        second = said()
    name = f"{kept} (stream) for the native engine"
    assert [level for level, _ in first] == ["INFO"] * 3
    assert first[0][1].startswith(f"compiling {name}; this happens once")
    assert first[1][1].startswith(f"compiled {name} in ")
    assert first[2][1].startswith(f"making machine code of {kept} for this CPU")
    assert second == [("DEBUG", f"took {name} from {compiled_folder()}")]


def test_another_frame_size_is_another_entry(kept, network):
    """Code is made for one size of frames."""
    load(kept)
    assert_right(load(kept, frame_size=(32, 24)), network, size=(32, 24))
    assert entries() == ["native", "native"]


def test_loading_again_makes_nothing(filled, kept, network, work):
    """Weights, code and verdict come from the cache."""
    before = {path: path.stat().st_mtime_ns for path in filled.rglob("*")}
    assert_right(load(kept), network)
    assert work.taken() == (0, 0, 0)
    assert {path: path.stat().st_mtime_ns for path in filled.rglob("*")} == before


@pytest.mark.usefixtures("filled")
def test_loading_from_the_cache_needs_no_tensorflow(kept):
    """Nor LiteRT: a second process loads in a fraction of a second."""
    code = (
        "import sys, numpy as np\n"
        "from movinet_lite import StreamingClassifier\n"
        "from movinet_lite.network import variants\n"
        "from tests.networks_table import SHALLOW\n"
        "variants._VARIANTS[SHALLOW.name] = SHALLOW\n"
        "s = StreamingClassifier.load(sys.argv[1])\n"
        "p = s.step(np.zeros((20, 30, 3), np.uint8))\n"
        "list(s.run(np.zeros((9, 20, 30, 3), np.uint8)))\n"
        "found = {'tensorflow', 'keras', 'ai_edge_litert'} & set(sys.modules)\n"
        "print(s.info.engine, p.label in s.labels, *found)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(kept)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "native True\n"
    assert done.stderr == ""


def test_damaged_files_are_made_anew(filled, kept, network, work):
    """What lies in the cache is checked before it is used."""
    file = filled / "folded.safetensors"
    note = filled / "movinet_lite_cache.json"
    (code,) = filled.glob("code-*")
    (verdict,) = filled.glob("checked-*")
    whole = file.read_bytes()
    for path, damage, again in (
        (file, whole[:-9] + b"\0\0\0\1" + whole[-5:], (1, 1, 1)),
        (file, whole[:5000], (1, 1, 1)),
        (file, None, (1, 1, 1)),
        (note, b"{", (1, 1, 1)),
        (code, code.read_bytes()[:-9] + b"damaged!!", (0, 1, 0)),
        (code, b"", (0, 1, 0)),
        (code, None, (0, 1, 0)),
        (verdict, b"{", (0, 0, 1)),
        (verdict, b'{"other": 1}', (0, 0, 1)),
        (verdict, None, (0, 0, 1)),
    ):
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
        session = load(kept)
        assert work.taken() == again, path.name
        assert file.read_bytes() == whole
    assert_right(session, network)


def test_an_entry_under_the_name_of_another_is_not_used(
    filled, kept, network, tmp_path, work
):
    """What was made of another model is made anew: it would answer for that."""
    other = tmp_path / "other.safetensors"
    save_network(small_network("stream", seed=1, frame_size=SIZE), other)
    load(other, labels=LABELS)
    (others,) = compiled_folder().glob("other-*-native")
    work.taken()
    for taken in ([others / "folded.safetensors"], list(others.iterdir())):
        for file in taken:
            shutil.copy(file, filled / file.name)
        assert_right(load(kept), network)
        assert work.taken()[0] == 1


def test_an_entry_of_an_earlier_format_is_not_used(filled, kept, monkeypatch, work):
    """What another release folded otherwise is made anew, in its place."""
    monkeypatch.setattr(opening, "_FORMAT", opening._FORMAT + 1)
    for _ in range(2):
        load(kept)
    assert work.taken()[0] == 1
    assert entry() == filled


def test_other_code_is_compiled_and_checked_anew(filled, kept, monkeypatch, work):
    """Another release that writes other code, or another CPU, trusts no earlier verdict and needs no TensorFlow."""
    target = host_target()
    assert target is not None
    monkeypatch.setattr(
        opening,
        "host_target",
        lambda: attrs.evolve(target, features=target.features + ",-avx512fp16"),
    )
    for _ in range(2):
        load(kept)
    assert work.taken() == (0, 1, 1)
    for module in (opening, program):
        monkeypatch.setattr(module, "code_format", lambda: "of another release")
    for _ in range(2):
        load(kept)
    assert work.taken() == (0, 1, 1)
    assert len(list(filled.glob("code-*"))) == 3
    assert len(list(filled.glob("checked-*"))) == 3


def test_code_is_known_by_the_modules_that_wrote_it(tmp_path, monkeypatch):
    """Any change of a module that writes code or lays out weights makes the cache's code that of another release."""
    monkeypatch.setattr(program, "__file__", str(tmp_path / "program.py"))
    module = tmp_path / "kernels" / "product.py"
    module.parent.mkdir()
    formats = []
    for text in ("sums = 1", "sums = 2", "sums = 1"):
        module.write_text(text, encoding="utf-8")
        formats.append(program.code_format.__wrapped__())
    assert formats[0] == formats[2] != formats[1]


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("threads", "expected"), [(None, 8), (12, 12), (1, 1)])
def test_many_cores_give_eight_threads(kept, monkeypatch, threads, expected):
    """Without `threads`, a program gets one for each core, at most eight."""
    monkeypatch.setattr(opening, "available_cores", lambda: 64)
    given = []
    make = program.StreamProgram.of

    def note(*arguments, **options):
        given.append(options["threads"])
        return make(*arguments, **{**options, "threads": 1})

    monkeypatch.setattr(program.StreamProgram, "of", note)
    load(kept, threads=threads)
    assert given == [expected]


def test_a_cache_that_cannot_be_written_to_still_serves(
    filled, kept, monkeypatch, network, work
):
    """Code that cannot be kept is compiled and checked with each load."""
    for path in (*filled.glob("code-*"), *filled.glob("checked-*")):
        path.unlink()

    def refuse(path, _content):
        raise PermissionError(13, "Read-only file system", str(path))

    def refuse_lock(path):
        raise PermissionError(13, "Read-only file system", str(path))

    for module in (opening, program):
        monkeypatch.setattr(module, "write_atomically", refuse)
    monkeypatch.setattr(opening, "locked", refuse_lock)
    for _ in range(2):
        assert_right(load(kept), network)
        assert work.taken() == (0, 1, 1)


def test_threads_that_load_one_model_make_it_once(kept, network, work):
    """The others wait, and all of them stream."""
    together = threading.Barrier(4)

    def stream(_):
        together.wait()
        session = load(kept)
        assert_right(session, network)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(stream, range(4)))
    assert work.taken() == (1, 1, 1)


def test_compact_weights_that_are_too_far_from_the_source_are_not_used(
    kept, network, monkeypatch
):
    """They are an optimisation: where they change the logits, the model runs without them, from the cache too."""
    measure, differences = opening.difference_of_streams, []

    def off_at_first(*arguments, **options):
        differences.append(measure(*arguments, **options) if differences else 1.0)
        return differences[-1]

    monkeypatch.setattr(opening, "difference_of_streams", off_at_first)
    kinds, of = [], program.StreamProgram.of

    def note(*arguments, **options):
        kinds.append(options["is_compact"])
        return of(*arguments, **options)

    monkeypatch.setattr(program.StreamProgram, "of", note)
    assert_right(load(kept), network)
    assert_right(load(kept), network)
    assert kinds == [True, False, False]
    assert len(differences) == 2


def test_code_that_computes_something_else_is_not_used(
    filled, kept, monkeypatch, caplog, work
):
    """LiteRT goes on, and the log says why; once refused, it is not compiled again, and who asks for it is told."""
    for path in (*filled.glob("code-*"), *filled.glob("checked-*")):
        path.unlink()
    run = program.StreamProgram.run

    def answer_of_others(self, given, *others):
        return run(self, given[::-1].copy(), *others)

    with monkeypatch.context() as patch:
        patch.setattr(program.StreamProgram, "run", answer_of_others)
        with caplog.at_level(logging.INFO, logger="movinet_lite.engines"):
            assert load(kept, "auto").info.engine == "litert"
    assert "runs on LiteRT, not on the native engine" in caplog.text
    assert "must give the logits of its source" in caplog.text
    assert work.taken() == (0, 2, 2)  # with compact weights, and without
    assert load(kept, "auto").info.engine == "litert"
    with pytest.raises(ConversionError, match="must give the logits of its source"):
        load(kept)
    assert work.taken() == (0, 0, 0)


def test_states_that_are_mixed_up_are_noticed(filled, kept, monkeypatch):
    """Streams that share a call are checked with frames and ages of their own."""
    (verdict,) = filled.glob("checked-*")
    verdict.unlink()
    run = program.StreamProgram.run

    def mix_up(self, given, storages, places, ages, *source):
        if len({id(storage) for storage in storages}) > 1:
            ages = ages[::-1]
        return run(self, given, storages, places, ages, *source)

    monkeypatch.setattr(program.StreamProgram, "run", mix_up)
    with pytest.raises(ConversionError, match="must give the logits of its source"):
        load(kept)


def test_a_transformer_runs_on_litert_or_tensorflow(tmp_path):
    """What the engine cannot run is found out once, and goes on as before."""
    facts = TransformerFacts(
        embed_dim=16, depth=1, num_heads=2, mlp_dim=16, causal=True
    )
    path = tmp_path / "transformer.safetensors"
    save_network(
        small_network("stream", frame_size=SIZE, labels=LABELS, transformer=facts), path
    )
    session = load(path, "auto")
    assert session.info.engine in {"litert", "tensorflow"}
    with pytest.raises(ConversionError):
        load(path)


def test_a_machine_that_cannot_run_it_runs_litert_as_before(
    kept, monkeypatch, caplog, work
):
    """Silently; who asks for the engine gets one sentence that says why, and what to do."""
    monkeypatch.setattr(loading, "why_not", lambda: "the native engine needs an abacus")
    monkeypatch.setattr(opening, "why_not", lambda: "the native engine needs an abacus")
    monkeypatch.setattr(opening, "host_target", lambda: None)
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(kept, "auto").info.engine == "litert"
    assert "native" not in caplog.text
    assert work.taken() == (0, 0, 0)
    with pytest.raises(
        ConversionError, match=r"needs an abacus \(engine='litert' runs"
    ):
        load(kept)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("no such\ninstruction"), "RuntimeError: no such instruction"),
        (MemoryError(), "MemoryError"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_whatever_stops_it_litert_goes_on(kept, monkeypatch, caplog, error, said):
    """The log says why; or, where the engine was asked for, one error of ours."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(opening, "_fold", fail)
    with caplog.at_level(logging.INFO, logger="movinet_lite.engines"):
        session = load(kept, "auto")
    assert session.info.engine == "litert"
    assert said in caplog.text
    with pytest.raises(ConversionError, match=said):
        load(kept)
    assert "native" not in entries()


def test_what_is_no_stream_model_is_refused_at_once(kept, tmp_path, work):
    """Base models, files of other runtimes, and models of the other mode; before anything is made."""
    with pytest.raises(
        ModelError, match="the native engine runs stream models; this is a base model"
    ):
        BaseClassifier.load(kept, engine="native")
    with pytest.raises(
        ModelError, match=r"the native engine does not run \.tflite files"
    ):
        load(shutil.copy(demo.MODEL, tmp_path / "model.tflite"))
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(
        ModelError, match=r"only ONNX Runtime runs an \.onnx file; got engine='native'"
    ):
        load(tmp_path / "model.onnx")
    with pytest.raises(
        ModelError, match=r"provider='cpu' is for ONNX Runtime; got engine='native'"
    ):
        load(kept, provider="cpu")
    base = tmp_path / "base.safetensors"
    save_network(small_network("base", frame_size=SIZE, labels=LABELS), base)
    for engine in ("native", "auto"):
        with pytest.raises(ModelError, match="this one is a base model"):
            load(base, engine)
    assert work.taken() == (0, 0, 0)


def test_the_demo_model_runs_on_it():
    """From its weights; by default it is the file for LiteRT, which is there already."""
    session = load("demo")
    assert session.info.engine == "native"
    assert_right(session, load_network(demo.WEIGHTS), session.frame_size)
    assert load("demo", "auto").info.engine == "litert"


def test_entries_are_listed_and_cleared(filled):
    """With all that stands in them; and what they hold is no network that others could load."""
    spec, arrays = read_arrays(filled / "folded.safetensors")
    assert spec.labels == LABELS
    others = [name for name, array in arrays.items() if array.dtype != np.float32]
    assert others == ["entry"]
    with pytest.raises(ModelError, match="must have 'movinet_lite' in its metadata"):
        load_network(filled / "folded.safetensors")
    assert (
        json.loads((filled / "movinet_lite_cache.json").read_text())["mode"] == "stream"
    )
    assert [removed.path for removed in clear_cache()] == [filled]
    assert not filled.exists()
    assert cached_models() == ()
