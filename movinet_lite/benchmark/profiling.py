"""Where the time of a stream model goes: each operator of its compiled graphs, and what Python adds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from movinet_lite.benchmark.machine import (
    limit_ms,
    machine_facts,
    matrix_speed,
    start_tensorflow,
)
from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.engines import load_model
from movinet_lite.engines.compiled import name_of_entry
from movinet_lite.engines.litert.operators import Operator
from movinet_lite.engines.litert.profiler import Profile, TimedOperator, profile_graph
from movinet_lite.engines.litert.streams import LiteRTStreamModel
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError
from movinet_lite.hub import resolve_model
from movinet_lite.hub.cache import compiled_folder
from movinet_lite.labels import unnamed_classes
from movinet_lite.network.litert_file import read_litert_info
from movinet_lite.network.spec import Functions

__all__ = ["GraphTimes", "GroupTimes", "ProfileReport", "profile"]

_GRAPHS: Final = {"frame": "one frame a call", "frames": "several frames a call"}
_SLOWEST: Final = 12  # operators that the text lists


@attrs.frozen
class GroupTimes:
    """The operators of one group.

    Attributes:
        group: What they are for.
        operators: How many.
        ms: Milliseconds a frame, of all of them.
        share: Of the time of a call, 0 to 1.
        multiply_adds: Millions a frame.
        speed_of_limit: Their multiply-adds a second over those of a large matrix product; `None` if they have none.
        megabytes: 10^6 bytes a frame that they read and write.
        gain: How many times faster they are than with one thread; `None` if one is all, or they take no time.
    """

    group: str
    operators: int
    ms: float
    share: float
    multiply_adds: float
    speed_of_limit: float | None
    megabytes: float
    gain: float | None = None


@attrs.frozen
class GraphTimes:
    """Where the time of a call of one graph goes.

    Attributes:
        graph: Which graph.
        frames: Frames a call.
        call_ms: Milliseconds a frame that a call takes, without the profiler.
        limit_ms: The arithmetic limit of a frame; `None` if the multiply-adds are unknown.
        groups: The groups of operators, the slowest first.
        buffers_ms: Milliseconds a frame in which LiteRT tells the operators where inputs and outputs are.
        python_ms: Milliseconds a frame that Python adds to the call; `None` where it was not measured.
        slowest: The slowest operators, the slowest first.
        gain: How many times faster a call is than with one thread; `None` if one is all.
    """

    graph: str
    frames: int
    call_ms: float
    limit_ms: float | None
    groups: tuple[GroupTimes, ...]
    buffers_ms: float
    python_ms: float | None
    slowest: tuple[TimedOperator, ...]
    gain: float | None = None


@attrs.frozen
class ProfileReport:
    """What was measured, and on what.

    Attributes:
        model: The model.
        threads: How many threads the graphs ran with.
        machine: What it ran on: processor, cores, versions.
        gmacs: Speed of a large float32 matrix product, in 10^9 multiply-adds a second, with these threads.
        graphs: One a graph.
    """

    model: str
    threads: int
    machine: dict[str, str]
    gmacs: float
    graphs: tuple[GraphTimes, ...]

    def to_text(self) -> str:
        """Return all of it as tables to read."""
        facts = ", ".join(f"{key} {value}" for key, value in self.machine.items())
        lines = [
            f"{self.model}, {self.threads} threads",
            facts,
            f"large matrix product: {self.gmacs:.0f} GMAC/s (multiply-adds)",
            "operator times are whole microseconds, rounded down; lower quartiles",
        ]
        if self.threads > 1:
            lines.append(f"gain: of {self.threads} threads, over one")
        for graph in self.graphs:
            lines += ["", *_graph_lines(graph)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return attrs.asdict(self)


def _graph_lines(graph: GraphTimes) -> list[str]:
    limit = ""
    if graph.limit_ms is not None:
        share = graph.limit_ms / graph.call_ms
        limit = f", limit {graph.limit_ms:.3f} ms ({share:.0%})"
    lines = [
        f"{graph.graph} ({graph.frames}): {graph.call_ms:.3f} ms a frame{limit}{_gain(graph.gain, ', gain ')}",
        f"{'a frame':36} {'ms':>8} {'share':>6} {'ops':>5} {'M madds':>8} {'of limit':>8} {'MB':>7}"
        + ("" if graph.gain is None else f" {'gain':>5}"),
    ]
    for one in graph.groups:
        speed = "" if one.speed_of_limit is None else f"{one.speed_of_limit:.0%}"
        lines.append(
            f"{one.group:36} {one.ms:8.3f} {one.share:6.0%} {one.operators:5} "
            f"{one.multiply_adds:8.2f} {speed:>8} {one.megabytes:7.2f}{_gain(one.gain, ' ')}"
        )
    operators_ms = sum(one.ms for one in graph.groups)
    rest = {
        "LiteRT: places of inputs and outputs": graph.buffers_ms,
        "LiteRT: between operators": graph.call_ms - operators_ms - graph.buffers_ms,
    }
    for name, ms in rest.items():
        lines.append(f"{name:36} {ms:8.3f} {ms / graph.call_ms:6.0%}")
    if graph.python_ms is not None:
        lines.append(f"{'Python, on top of the call':36} {graph.python_ms:8.3f}")
    and_gain = "" if graph.gain is None else ", and gain"
    lines.append(f"slowest operators, us a call{and_gain}:")
    for timed in graph.slowest:
        what = timed.name if timed.operator is None else _shapes(timed.operator)
        lines.append(f"{timed.us:9.0f} {_gain(_gain_of([timed]))} {what}")
    return lines


def _gain(gain: float | None, before: str = "") -> str:
    return "" if gain is None else f"{before}{gain:5.2f}"


def _gain_of(operators: Sequence[TimedOperator]) -> float | None:
    """Return how many times faster *operators* are than with one thread; `None` if that is not known."""
    us = sum(one.us for one in operators)
    before = [one.us_of_one_thread for one in operators]
    known = [one for one in before if one is not None]
    return sum(known) / us if us and len(known) == len(before) else None


def _shapes(operator: Operator) -> str:
    inputs = ", ".join(
        "x".join(map(str, shape)) for shape in operator.inputs if len(shape) > 1
    )
    return f"{operator.kind} {inputs} -> {'x'.join(map(str, operator.output))}"


def profile(
    stream: str | Path,
    *,
    threads: int | None = None,
    calls: int = 200,
    offline: bool = False,
) -> ProfileReport:
    """Measure each operator of a stream model's graphs: of one frame a call, and of several.

    Args:
        stream: A stream model, as `StreamingClassifier.load` takes it; of a ``.tflite`` file, its one graph.
        threads: How many threads to compute with; `None` for one a core. With several, one is measured too, to compare.
        calls: How many calls of each graph to measure, at least 1; of one that takes several frames, accordingly fewer.
        offline: Whether the network must not be touched.

    Raises:
        ModelError: If the model cannot be loaded, or LiteRT has no profiler.
    """
    if calls < 1:
        raise ModelError(f"calls must be at least 1; got {calls}", stream)
    threads = threads or available_cores()
    gmacs = matrix_speed(start_tensorflow(threads))
    path = resolve_model(stream, "stream", offline=offline)
    model = load_model(path, "stream", engine="litert", threads=threads)
    python_ms = _python_ms(model, calls)
    graphs = _graph_files(path)
    found = []
    for kind, file in graphs.items():
        info = read_litert_info(file)
        frames = info.num_frames if info is not None else 1
        found.append(
            _graph_times(
                file,
                graph=_GRAPHS[kind],
                frames=frames,
                threads=threads,
                calls=max(1, calls // frames),
                gmacs=gmacs,
                limit=limit_ms(model.info.variant, gmacs),
                python_ms=python_ms if frames == 1 else None,
            )
        )
    return ProfileReport(str(stream), threads, machine_facts(), gmacs, tuple(found))


def _graph_files(path: Path) -> dict[str, Path]:
    """Return the graphs of the model at *path*, which is compiled, by their kind."""
    if path.suffix == ".tflite":
        return {"frame": path}
    name = name_of_entry(path, "stream", None, Functions())
    return {
        kind: compiled_folder() / f"{name}-{kind}" / "graph.tflite" for kind in _GRAPHS
    }


def _python_ms(model: Any, calls: int) -> float:
    """Return what a step takes beside LiteRT's own call, the lower quartile, in milliseconds."""
    assert isinstance(model, LiteRTStreamModel)  # noqa: S101 - the engine that was asked for
    labels = unnamed_classes(model.info.num_classes)
    session = StreamingClassifier(model, labels, horizon_s=None).new_session()
    height, width = model.info.frame_size or (0, 0)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (8, height, width, 3), np.uint8)
    spent = []
    for number in range(calls + 5):
        begin = time.perf_counter()
        session.step(frames[number % 8])
        spent.append(time.perf_counter() - begin - model.last_call_s)
    return float(np.quantile(spent[5:], 0.25)) * 1e3


def _graph_times(
    file: Path,
    *,
    graph: str,
    frames: int,
    threads: int,
    calls: int,
    gmacs: float,
    limit: float | None,
    python_ms: float | None,
) -> GraphTimes:
    measured = profile_graph(file, threads=threads, calls=calls)
    gain = None
    if threads > 1:
        single = profile_graph(file, threads=1, calls=calls)
        gain = single.call_us / measured.call_us
        measured = _beside(measured, single)
    call_ms = measured.call_us / 1e3 / frames
    return GraphTimes(
        graph=graph,
        frames=frames,
        call_ms=call_ms,
        limit_ms=limit,
        groups=_groups(measured.operators, frames, call_ms, gmacs),
        buffers_ms=measured.buffers_us / 1e3 / frames,
        python_ms=python_ms,
        slowest=tuple(sorted(measured.operators, key=lambda one: -one.us)[:_SLOWEST]),
        gain=gain,
    )


def _beside(measured: Profile, single: Profile) -> Profile:
    """Return *measured* with the times of one thread, of the same graph; XNNPACK runs the same operators with any threads."""
    pairs = zip(measured.operators, single.operators, strict=True)
    return attrs.evolve(
        measured,
        operators=tuple(
            attrs.evolve(one, us_of_one_thread=other.us) for one, other in pairs
        ),
    )


def _groups(
    operators: Sequence[TimedOperator], frames: int, call_ms: float, gmacs: float
) -> tuple[GroupTimes, ...]:
    by_group: dict[str, list[TimedOperator]] = {}
    for one in operators:
        name = one.name if one.operator is None else one.operator.group
        by_group.setdefault(name, []).append(one)
    found = []
    for group, members in by_group.items():
        us = sum(one.us for one in members)
        known = {id(one.operator): one.operator for one in members if one.operator}
        multiply_adds = sum(one.multiply_adds for one in known.values())
        num_bytes = sum(one.num_bytes for one in known.values())
        found.append(
            GroupTimes(
                group=group,
                operators=len(members),
                ms=us / 1e3 / frames,
                share=us / 1e3 / frames / call_ms,
                multiply_adds=multiply_adds / 1e6 / frames,
                speed_of_limit=(
                    multiply_adds / (us * 1e3) / gmacs if multiply_adds and us else None
                ),
                megabytes=num_bytes / 1e6 / frames,
                gain=_gain_of(members),
            )
        )
    return tuple(sorted(found, key=lambda one: -one.ms))
