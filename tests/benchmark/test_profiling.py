"""The profile: whose time it tells, and of which graphs."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from movinet_lite.benchmark import profiling
from movinet_lite.benchmark.profiling import GraphTimes, GroupTimes, ProfileReport
from movinet_lite.engines.litert import profiler
from movinet_lite.engines.litert.operators import read_operators
from movinet_lite.engines.litert.profiler import TimedOperator, profile_graph
from movinet_lite.errors import ModelError
from movinet_lite.network.export import export_litert
from movinet_lite.network.files import save_network
from tests.networks import SIZE, small_network, tiny_variant

_RUN = """
import sys
from movinet_lite.cli import main
from movinet_lite.network import variants
from tests.networks_table import SHALLOW
variants._VARIANTS[SHALLOW.name] = SHALLOW
sys.exit(main(["benchmark", "--profile", "--threads", "1", "--calls", "3", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A compiled graph of a small stream model."""
    path = tmp_path_factory.mktemp("graph") / "graph.tflite"
    with tiny_variant():
        export_litert(small_network("stream", frame_size=SIZE), path)
    return path


def test_every_operator_of_the_file_is_timed(graph):
    """Except reshapes, which XNNPACK leaves out where nothing has to move."""
    operators = read_operators(graph)
    timed = profile_graph(graph, threads=1, calls=3).operators
    assert all(one.us >= 0 for one in timed)
    kinds = [one.operator.kind for one in timed if one.operator.kind != "RESHAPE"]
    assert kinds == [one.kind for one in operators if one.kind != "RESHAPE"]


def test_multiply_adds_are_those_of_the_convolutions(graph):
    """The first one: a kernel of 3 x 3 over 3 channels for each output."""
    operators = read_operators(graph)
    first = next(one for one in operators if one.kind == "CONV_2D")
    assert first.group == "first convolution"
    assert first.multiply_adds == np.prod(first.output) * 3 * 3 * 3
    assert first.num_bytes == 4 * (
        sum(np.prod(shape) for shape in first.inputs) + np.prod(first.output)
    )
    over_time = [one for one in operators if one.group.endswith("over time")]
    for one in over_time:
        _, taps, columns, _ = one.inputs[1]
        assert columns == 1
        assert one.multiply_adds == np.prod(one.output) * taps


def test_operators_are_not_guessed_where_they_do_not_match(graph):
    """A time beside the wrong operator would be worse than one beside XNNPACK's name."""
    operators = read_operators(graph)
    assert profiler._match(operators, ["Unknown"] * 3) == [None] * 3


def test_an_older_litert_is_refused(graph, monkeypatch):
    """Its C interface may be another, and to call that would end the process."""
    monkeypatch.setattr(profiler, "_FIRST_VERSION", (99, 0))
    with pytest.raises(ModelError, match=r"needs ai-edge-litert 99\.0 or later; found"):
        profile_graph(graph, threads=1, calls=1)


def test_the_command_tells_both_graphs(tmp_path):
    """One frame a call and several, as the library compiles them."""
    path = tmp_path / "network.safetensors"
    with tiny_variant(shallow=True):
        save_network(small_network("stream", frame_size=(24, 32)), path)
    done = subprocess.run(
        [sys.executable, "-c", _RUN, "--stream", str(path), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MOVINET_LITE_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert [graph["frames"] for graph in facts["graphs"]] == [1, 8]
    for graph in facts["graphs"]:
        groups = {group["group"]: group for group in graph["groups"]}
        assert groups["pointwise convolutions"]["multiply_adds"] > 0
        assert graph["limit_ms"] > 0
        assert graph["slowest"][0]["us"] >= graph["slowest"][-1]["us"]
    assert facts["graphs"][0]["python_ms"] > 0


def test_the_text_has_a_line_for_each_group():
    """And says which share of the arithmetic limit the call reaches."""
    group = GroupTimes("copies", 7, 0.25, 0.5, 0.0, None, 1.5)
    times = GraphTimes("one frame a call", 1, 0.5, 0.2, (group,), 0.125, 0.0625, ())
    report = ProfileReport("a0", 2, {"cores": "2"}, 100.0, (times,))
    lines = report.to_text().splitlines()
    assert "one frame a call (1): 0.500 ms a frame, limit 0.200 ms (40%)" in lines
    rows = [line.split() for line in lines]
    assert ["copies", "0.250", "50%", "7", "0.00", "1.50"] in rows
    assert "slowest operators, us a call:" in lines
    assert ["LiteRT:", "between", "operators", "0.125", "25%"] in rows


def test_with_several_threads_one_is_measured_too(graph):
    """Of every operator, of each group and of the call: what the others gain."""
    times = profiling._graph_times(
        graph,
        graph="one frame a call",
        frames=1,
        threads=2,
        calls=3,
        gmacs=100.0,
        limit=None,
        python_ms=None,
    )
    assert times.gain is not None
    assert times.gain > 0
    assert all(one.us_of_one_thread is not None for one in times.slowest)
    operator = times.slowest[0]
    assert profiling._gain_of([operator]) == operator.us_of_one_thread / operator.us
    report = ProfileReport("a0", 2, {"cores": "2"}, 100.0, (times,))
    text = report.to_text()
    assert "gain: of 2 threads, over one" in text
    assert f"ms a frame, gain {times.gain:5.2f}" in text


def test_the_gain_of_a_group_is_of_its_whole_time():
    """A slow operator that gains nothing counts more than a fast one that gains much."""
    slow = TimedOperator(None, "slow", 90.0, 90.0)
    fast = TimedOperator(None, "fast", 10.0, 20.0)
    assert profiling._gain_of([slow, fast]) == 1.1
    assert profiling._gain_of([slow, TimedOperator(None, "other", 1.0)]) is None
