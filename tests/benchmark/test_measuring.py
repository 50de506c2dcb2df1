"""The benchmark: which ways it measures, and what it refuses."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from movinet_lite.benchmark.baselines import hub_clip, hub_loop, signature_runner
from movinet_lite.benchmark.measuring import benchmark
from movinet_lite.benchmark.starts import time_starts
from movinet_lite.engines.native.target import why_not
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError
from movinet_lite.network.export import export_saved_model
from movinet_lite.network.files import save_network
from movinet_lite.network.model import build_movinet
from tests.engines.fastest import FASTEST
from tests.networks import SIZE, small_network, tiny_variant
from tests.saved_models import (
    expected_clip_logits,
    expected_stream_logits,
    write_base_saved_model,
    write_stream_saved_model,
)
from tests.tflite_models import FRAME_SIZE, write_tflite

# TensorFlow takes its number of threads once a process.
_RUN = """
import sys
from movinet_lite.network import variants
from movinet_lite.benchmark.measuring import benchmark
from tests.networks_table import SHALLOW
variants._VARIANTS["tiny"] = SHALLOW
stream, base, stock = sys.argv[1:]
report = benchmark(
    stream, base=base, stock_tflite=stock, threads=1, streams=50, calls=2, measure_starts=False
)
print(report.to_json())
print(report.to_text())
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report on a SavedModel, a file that others made, and a network's file: JSON, and the lines of the text."""
    folder = tmp_path_factory.mktemp("benchmark")
    with tiny_variant(shallow=True):
        stream = small_network("stream", frame_size=FRAME_SIZE)  # knows no labels
        export_saved_model(stream, folder / "stream")
        save_network(small_network("base", frame_size=SIZE), folder / "b.safetensors")
    write_tflite(folder / "stock.tflite")
    paths = [folder / name for name in ("stream", "b.safetensors", "stock.tflite")]
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MOVINET_LITE_CACHE": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stderr
    json_line, *lines = done.stdout.splitlines()
    return json.loads(json_line), lines


def _ways_of_engines():
    """Return the ways of the engine that the model gets, and those of LiteRT if that is another."""
    prefixes = (
        {FASTEST: ""} if FASTEST == "litert" else {FASTEST: "", "litert": "LiteRT: "}
    )
    inside = {
        "litert": "LiteRT's own call inside step",
        "native": "native engine's own call inside step",
    }
    for engine, prefix in prefixes.items():
        yield f"{prefix}step, one frame a call"
        yield inside[engine]
        yield f"{prefix}run over a clip"
        yield f"{prefix}step_many, 50 streams"


def test_each_way_is_measured_against_the_loop_on_the_model_as_it_is(report):
    """Of what fine-tuning wrote there is no SavedModel: it is compared with the network in Keras."""
    facts, _ = report
    ways = {found["way"]: found for found in facts["measurements"]}
    assert list(ways) == [
        "SavedModel, states carried in a loop",
        "LiteRT signature runner, stock file",
        *_ways_of_engines(),
        "EventDetector.update",
        "Keras, whole clip",
        "predict, whole clip",
    ]
    for way, found in ways.items():
        baseline = (
            "Keras, whole clip"
            if found["unit"] == "clip"
            else "SavedModel, states carried in a loop"
        )
        if way == baseline or found["unit"] == "prediction":
            assert found["times_baseline"] is None
        else:
            assert found["times_baseline"] == pytest.approx(
                ways[baseline]["median_ms"] / found["median_ms"]
            )
        if found["unit"] == "prediction":  # the model has no part in it
            assert found["share_of_limit"] is None
        assert found["calls"] == 2
        assert found["per_second"] == pytest.approx(1000 / found["median_ms"])
    assert facts["engine"] == FASTEST
    assert facts["frame_size"] == list(FRAME_SIZE)
    assert facts["machine"]["cores"] == str(available_cores())


def test_the_table_says_the_same(report):
    """A line for each way, in the same order, under the names of the columns."""
    facts, lines = report
    assert lines[0].endswith(f"frames of 10 x 12, 1 threads, engine {FASTEST}")
    columns = [*("way", "median", "ms", "95", "%"), *("a", "second", "x", "limit")]
    assert columns == lines[lines.index("") + 1].split()
    rows = lines[lines.index("") + 2 :]
    for row, found in zip(rows, facts["measurements"], strict=True):
        assert row[:38].strip() == found["way"]
        numbers = row[38:].split()
        assert numbers[0] == f"{found['median_ms']:.3f}"
        assert numbers[2] == f"{found['per_second']:.1f}"
        if found["times_baseline"] is not None:
            assert numbers[3] == f"{found['times_baseline']:.1f}"


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_step_takes_no_less_than_the_call_inside_it(report):
    """On each engine: the two are of the same calls."""
    facts, _ = report
    ms = {found["way"]: found["median_ms"] for found in facts["measurements"]}
    assert 0 < ms["native engine's own call inside step"] < ms["step, one frame a call"]
    assert (
        0 < ms["LiteRT's own call inside step"] < ms["LiteRT: step, one frame a call"]
    )


def test_starts_are_measured_in_processes_of_their_own(tmp_path):
    """The first one compiles, the second finds it in the cache."""
    path = tmp_path / "network.safetensors"
    save_network(build_movinet("t0", "base", 4, frame_size=(24, 32)), path)
    first, second = time_starts("base", path, 4)
    assert first.way == "base: first load, compiled and checked"
    assert second.way == "base: load from the cache, first prediction"
    assert 0 < second.load_s < first.load_s
    assert 20 < second.peak_mb < first.peak_mb


def test_a_start_that_fails_is_told(tmp_path):
    """With the last line of what the process said."""
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="a fresh process could not load the model: "):
        time_starts("stream", path, 4)


@pytest.mark.parametrize("callable_object", [True, False])
@pytest.mark.parametrize("naming", ["hub", "garden"])
def test_the_loop_carries_the_states(tmp_path, naming, callable_object):
    """What the others are compared with computes what they do, by the object or by the signatures."""
    import tensorflow as tf

    path = write_stream_saved_model(
        tmp_path / "m", naming=naming, callable_object=callable_object
    )
    frames = random_frames(7)
    turn = hub_loop(tf, path, frames)
    logits = [np.asarray(turn())[0] for _ in range(9)]
    expected = expected_stream_logits(frames[[*range(7), 0, 1]] / np.float32(255))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_the_signature_runner_carries_the_states(tmp_path):
    """The same for LiteRT's own."""
    frames = random_frames(7)
    stock = write_tflite(tmp_path / "stock.tflite")
    turn = signature_runner(stock, frames, 1)
    logits = [turn()["logits"][0] for _ in range(9)]
    expected = expected_stream_logits(frames[[*range(7), 0, 1]] / np.float32(255))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_the_saved_model_sees_the_clip(tmp_path):
    """The same for whole clips."""
    import tensorflow as tf

    path = write_base_saved_model(tmp_path / "m")
    clip = random_frames(5)
    _, outputs = hub_clip(tf, path, clip)()
    np.testing.assert_allclose(
        outputs["classifier_head"][0],
        expected_clip_logits(clip / np.float32(255)),
        rtol=0,
        atol=1e-4,
    )


def random_frames(count):
    """Return frames that differ, uint8."""
    return np.random.default_rng(4).integers(0, 256, (count, *FRAME_SIZE, 3), np.uint8)


def test_what_cannot_be_compared_is_refused(tmp_path):
    """A compiled file has nothing to be compared with, and without a model there is nothing to measure."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3 and so on")
    with pytest.raises(ModelError, match=r"this is a \.tflite file"):
        benchmark(path)
    with pytest.raises(ModelError, match=r"must be a \.tflite model"):
        benchmark("demo", stock_tflite=path)
    stock = write_tflite(tmp_path / "stock.tflite")
    with pytest.raises(
        ModelError, match=r"must take an image of shape \(1, 1, 8, 8, 3"
    ):
        signature_runner(stock, np.zeros((1, 8, 8, 3), np.uint8), 1)
    with pytest.raises(ModelError, match="got neither"):
        benchmark()
    for name in ("calls", "threads", "streams"):
        with pytest.raises(ModelError, match=f"{name} must be at least 1; got 0"):
            benchmark("a0", **{name: 0})
