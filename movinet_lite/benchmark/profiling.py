"""Where the time of a stream model goes: its operators on LiteRT or the parts of its machine code, and what Python adds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import numpy as np

from movinet_lite.benchmark.machine import (
    limit_ms,
    machine_facts,
    matrix_speed,
    start_tensorflow,
)
from movinet_lite.benchmark.measured_models import (
    CompiledModel,
    MeasuredEngine,
    load_measured,
)
from movinet_lite.benchmark.profile_report import CallTimes, Part, ProfileReport
from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.engines.compiled import name_of_entry
from movinet_lite.engines.litert.operators import Operator
from movinet_lite.engines.litert.profiler import Profile, profile_graph
from movinet_lite.engines.native.program import MAX_IMAGES
from movinet_lite.engines.native.streams import NativeStreamModel
from movinet_lite.engines.native.target import host_target
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError
from movinet_lite.hub import resolve_model
from movinet_lite.hub.cache import compiled_folder
from movinet_lite.labels import unnamed_classes
from movinet_lite.network.litert_file import read_litert_info
from movinet_lite.network.spec import Functions

__all__ = ["profile"]

_GRAPHS: Final = {"frame": "one frame a call", "frames": "several frames a call"}


@attrs.frozen
class _Measured:
    """What one kind of call took, on any engine.

    Attributes:
        call: Which kind.
        frames: Frames a call.
        parts: Its parts.
        call_us: Microseconds a call.
        rest_us: Microseconds a call of what it does beside its parts.
        unnamed_rest: What the rest of the call is.
        gain: How many times faster it is than with one thread; `None` if one is all.
    """

    call: str
    frames: int
    parts: tuple[Part, ...]
    call_us: float
    rest_us: dict[str, float]
    unnamed_rest: str
    gain: float | None


def profile(
    stream: str | Path,
    *,
    engine: MeasuredEngine = "auto",
    threads: int | None = None,
    calls: int = 200,
    offline: bool = False,
) -> ProfileReport:
    """Measure each part of a stream model: in calls of one frame, and of several.

    Args:
        stream: A stream model, as `StreamingClassifier.load` takes it; of a ``.tflite`` file, its one graph.
        engine: The engine.
        threads: How many threads to compute with; `None` for one a core. With several, one is measured too, to compare.
        calls: How many calls of one frame to measure, at least 1; of several frames, accordingly fewer.
        offline: Whether the network must not be touched.

    Raises:
        ModelError: If the model cannot be loaded, or its engine cannot be profiled.
    """
    if calls < 1:
        raise ModelError(f"calls must be at least 1; got {calls}", stream)
    threads = threads or available_cores()
    gmacs = matrix_speed(start_tensorflow(threads))
    path = resolve_model(stream, "stream", offline=offline)
    model = load_measured(path, engine=engine, threads=threads)
    measured = (
        _measure_code(model, threads, calls)
        if isinstance(model, NativeStreamModel)
        else _measure_graphs(path, threads, calls)
    )
    python_ms = _python_ms(model, calls)
    return ProfileReport(
        model=str(stream),
        engine=model.info.engine,
        threads=threads,
        machine=machine_facts(),
        gmacs=gmacs,
        calls=tuple(
            CallTimes.of(
                one.parts,
                call=one.call,
                frames=one.frames,
                call_us=one.call_us,
                gmacs=gmacs,
                limit_ms=limit_ms(model.info.variant, gmacs),
                python_ms=python_ms if one.frames == 1 else None,
                rest_us=one.rest_us,
                unnamed_rest=one.unnamed_rest,
                gain=one.gain,
            )
            for one in measured
        ),
    )


def _python_ms(model: CompiledModel, calls: int) -> float:
    """Return what a step takes beside the engine's own call, the lower quartile, in milliseconds."""
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


def _with_one_thread(parts: Sequence[Part], single: Sequence[Part]) -> tuple[Part, ...]:
    """Return *parts* with the times of one thread; the same parts run with any threads."""
    pairs = zip(parts, single, strict=True)
    return tuple(attrs.evolve(one, us_of_one_thread=other.us) for one, other in pairs)


# The native engine.


def _measure_code(
    model: NativeStreamModel, threads: int, calls: int
) -> Iterator[_Measured]:
    """Yield what calls of the machine code took."""
    from movinet_lite.engines.native.profiler import Profiler

    program, target = model.program, host_target()
    assert target is not None  # noqa: S101 - the model was loaded here
    profiler = Profiler(program.plan, target)

    def measure(frames: int, threads: int) -> tuple[tuple[Part, ...], float]:
        found = profiler.measure(
            frames=frames, threads=threads, calls=max(1, calls // frames)
        )
        parts = (
            Part(
                f"{one.layer} {one.kind}",
                # Every layer has the same parts, and the others are no less than that.
                one.kind if "/" in one.layer else f"{one.layer} {one.kind}",
                one.us,
                one.multiply_adds,
            )
            for one in found.parts
        )
        return tuple(parts), found.call_us

    for frames, call in zip((1, MAX_IMAGES), _GRAPHS.values(), strict=True):
        parts, call_us = measure(frames, threads)
        gain = None
        if threads > 1:
            single, single_us = measure(frames, 1)
            parts, gain = _with_one_thread(parts, single), single_us / call_us
        yield _Measured(call, frames, parts, call_us, {}, "around the parts", gain)


# LiteRT.


def _measure_graphs(path: Path, threads: int, calls: int) -> Iterator[_Measured]:
    """Yield what calls of the graphs of the model at *path* took, which is compiled."""
    for kind, file in _graph_files(path).items():
        info = read_litert_info(file)
        frames = info.num_frames if info is not None else 1
        yield _measure_graph(
            file, _GRAPHS[kind], frames, threads, max(1, calls // frames)
        )


def _graph_files(path: Path) -> dict[str, Path]:
    """Return the graphs of the model at *path*, which is compiled, by their kind."""
    if path.suffix == ".tflite":
        return {"frame": path}
    name = name_of_entry(path, "stream", None, Functions())
    return {
        kind: compiled_folder() / f"{name}-{kind}" / "graph.tflite" for kind in _GRAPHS
    }


def _measure_graph(
    file: Path, call: str, frames: int, threads: int, calls: int
) -> _Measured:
    measured = profile_graph(file, threads=threads, calls=calls)
    parts = _parts(measured)
    gain = None
    if threads > 1:
        single = profile_graph(file, threads=1, calls=calls)
        gain = single.call_us / measured.call_us
        parts = _with_one_thread(parts, _parts(single))
    rest = {"LiteRT: places of inputs and outputs": measured.buffers_us}
    return _Measured(
        call, frames, parts, measured.call_us, rest, "LiteRT: between operators", gain
    )


def _parts(measured: Profile) -> tuple[Part, ...]:
    """Return the operators of a graph; of several that XNNPACK runs for one, the last has its multiply-adds and bytes."""
    last = {id(one.operator): place for place, one in enumerate(measured.operators)}
    found = []
    for place, one in enumerate(measured.operators):
        operator = one.operator
        if operator is None:
            found.append(Part(one.name, one.name, one.us))
            continue
        is_last = last[id(operator)] == place
        found.append(
            Part(
                _shapes(operator),
                operator.group,
                one.us,
                operator.multiply_adds if is_last else 0,
                operator.num_bytes if is_last else 0,
            )
        )
    return tuple(found)


def _shapes(operator: Operator) -> str:
    inputs = ", ".join(
        "x".join(map(str, shape)) for shape in operator.inputs if len(shape) > 1
    )
    return f"{operator.kind} {inputs} -> {'x'.join(map(str, operator.output))}"
