"""The profile: whose time it tells, and of which graphs."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from movinet_lite.benchmark import profiling
from movinet_lite.benchmark.profile_report import (
    CallTimes,
    GroupTimes,
    Part,
    ProfileReport,
    gain_of,
)
from movinet_lite.engines.litert import profiler
from movinet_lite.engines.litert.operators import read_operators
from movinet_lite.engines.litert.profiler import Profile, TimedOperator, profile_graph
from movinet_lite.engines.native.target import why_not
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


def test_an_operator_that_takes_two_steps_counts_once(graph):
    """XNNPACK moves the input of a product first: its multiply-adds are those of the product, beside the time of that."""
    product = next(one for one in read_operators(graph) if one.kind == "CONV_2D")
    steps = (TimedOperator(product, "Convert", 1.0), TimedOperator(product, "C", 2.0))
    move, compute = profiling._parts(Profile(steps, 3.0, 0.0))
    assert (move.multiply_adds, move.num_bytes) == (0, 0)
    assert compute.multiply_adds == product.multiply_adds
    assert compute.num_bytes == product.num_bytes


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The file of a network, and a cache."""
    folder = tmp_path_factory.mktemp("kept")
    with tiny_variant(shallow=True):
        network = small_network("stream", frame_size=(24, 32))
        save_network(network, folder / "network.safetensors")
    return folder


def facts_of(kept, *options):
    """Return what the command prints of the network in *kept*."""
    model = str(kept / "network.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", _RUN, "--stream", model, "--json", *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MOVINET_LITE_CACHE": str(kept / "cache")},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_command_tells_both_graphs(kept):
    """One frame a call and several, as the library compiles them for LiteRT."""
    facts = facts_of(kept, "--engine", "litert")
    assert facts["engine"] == "litert"
    assert [call["frames"] for call in facts["calls"]] == [1, 8]
    for call in facts["calls"]:
        groups = {group["group"]: group for group in call["groups"]}
        assert groups["pointwise convolutions"]["multiply_adds"] > 0
        assert groups["pointwise convolutions"]["megabytes"] > 0
        assert call["limit_ms"] > 0
        assert call["slowest"][0]["us"] >= call["slowest"][-1]["us"]
    assert facts["calls"][0]["python_ms"] > 0


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_the_command_tells_the_parts_of_the_machine_code(kept):
    """Of the engine that the model gets, if none is named: a group for each kind of part, and the slowest of all."""
    facts = facts_of(kept)
    assert facts["engine"] == "native"
    assert [call["frames"] for call in facts["calls"]] == [1, 8]
    for call in facts["calls"]:
        groups = {group["group"]: group for group in call["groups"]}
        assert {"stem convolution", "expansion", "depthwise", "head hidden"} <= {
            *groups
        }
        assert groups["expansion"]["parts"] == 1
        assert groups["expansion"]["megabytes"] is None
        whole = sum(group["ms"] for group in groups.values())
        assert whole + sum(call["rest"].values()) == pytest.approx(call["call_ms"])
        names = [part["name"] for part in call["slowest"]]
        assert len(names) == 12
        assert {name.split()[0] for name in names} == {"stem", "b0/l0", "head"}
        for part in call["slowest"]:
            expected = part["multiply_adds"] / (part["us"] * 1e3) / facts["gmacs"]
            assert (part["speed_of_limit"] or 0) == pytest.approx(expected)
    assert facts["calls"][0]["python_ms"] > 0


def test_the_text_has_a_line_for_each_group():
    """And says which share of the arithmetic limit the call reaches."""
    group = GroupTimes("copies", 7, 0.25, 0.5, 0.0, None, 1.5)
    slow = Part("b0/l0 expansion", "expansion", 90.0, 9_000_000, speed_of_limit=0.5)
    times = CallTimes(
        *("one frame a call", 1, 0.5, 0.2, (group,)),
        *({"LiteRT: between operators": 0.125}, 0.0625, (slow,)),
    )
    report = ProfileReport("a0", "litert", 2, {"cores": "2"}, 100.0, (times,))
    lines = report.to_text().splitlines()
    assert lines[0] == "a0, engine litert, 2 threads"
    assert "one frame a call (1): 0.500 ms a frame, limit 0.200 ms (40%)" in lines
    rows = [line.split() for line in lines]
    assert ["copies", "0.250", "50%", "7", "0.00", "1.50"] in rows
    assert "slowest of all:" in lines
    assert ["90.0", "9.00", "50%", "b0/l0", "expansion"] in rows
    assert ["LiteRT:", "between", "operators", "0.125", "25%"] in rows


def test_with_several_threads_one_is_measured_too(graph):
    """Of every operator, of each group and of the call: what the others gain."""
    measured = profiling._measure_graph(graph, "one frame a call", 1, 2, 3)
    assert measured.gain is not None
    assert measured.gain > 0
    assert all(one.us_of_one_thread is not None for one in measured.parts)
    times = CallTimes.of(
        measured.parts,
        call=measured.call,
        frames=1,
        call_us=measured.call_us,
        gmacs=100.0,
        limit_ms=None,
        python_ms=None,
        rest_us=measured.rest_us,
        unnamed_rest=measured.unnamed_rest,
        gain=measured.gain,
    )
    part = times.slowest[0]
    assert gain_of([part]) == part.us_of_one_thread / part.us
    report = ProfileReport("a0", "litert", 2, {"cores": "2"}, 100.0, (times,))
    text = report.to_text()
    assert "gain: of 2 threads, over one" in text
    assert f"ms a frame, gain {times.gain:5.2f}" in text


def test_the_gain_of_a_group_is_of_its_whole_time():
    """A slow operator that gains nothing counts more than a fast one that gains much."""
    slow = Part("slow", "", 90.0, us_of_one_thread=90.0)
    fast = Part("fast", "", 10.0, us_of_one_thread=20.0)
    assert gain_of([slow, fast]) == 1.1
    assert gain_of([slow, Part("other", "", 1.0)]) is None
