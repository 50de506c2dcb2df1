"""Times the ways to run a model, interleaved in one process.

Machines differ and are noisy, so ratios of interleaved measurements are more meaningful than milliseconds. Each way
gets the same frames; the arithmetic limit is the time for the multiply-adds of a frame at the speed of a large matrix
product.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.benchmark.baselines import (
    hub_clip,
    hub_loop,
    model_loop,
    network_clip,
    signature_runner,
)
from movinet_lite.benchmark.machine import (
    limit_ms,
    machine_facts,
    matrix_speed,
    start_tensorflow,
)
from movinet_lite.benchmark.measured_models import CompiledModel, load_measured
from movinet_lite.benchmark.starts import CLIP_FRAMES, Start, time_starts
from movinet_lite.classifiers import BaseClassifier, StreamingClassifier, step_many
from movinet_lite.engines import load_model
from movinet_lite.engines.base import StreamModel
from movinet_lite.engines.litert.graphs import open_interpreter
from movinet_lite.engines.opening import open_as_it_is
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError
from movinet_lite.events import EventDetector, find_events
from movinet_lite.hub import resolve_weights
from movinet_lite.labels import unnamed_classes
from movinet_lite.network.variants import Mode
from movinet_lite.predictions import Prediction

__all__ = ["BenchmarkReport", "Measurement", "benchmark"]

_WARM_UP: Final = 5
_RUN_FRAMES: Final = 48


@attrs.frozen
class Measurement:
    """The timing of one way to run a model.

    Attributes:
        way: The measured way.
        unit: The unit: ``"frame"``, ``"clip"``, or ``"prediction"`` for steps after the model.
        median_ms: Median time per unit, in milliseconds.
        p95_ms: 95th percentile of the time per unit, in milliseconds.
        calls: Number of measured calls.
        times_baseline: Speed-up over the plain loop on the uncompiled model; `None` if that was not measured.
        share_of_limit: Share of the arithmetic limit, 0 to 1; `None` for base models, or if the multiply-adds are
            unknown.
    """

    way: str
    unit: str
    median_ms: float
    p95_ms: float
    calls: int
    times_baseline: float | None = None
    share_of_limit: float | None = None

    @property
    def per_second(self) -> float:
        """Units per second, at the median."""
        return 1000.0 / self.median_ms


@attrs.frozen
class BenchmarkReport:
    """The result of a benchmark.

    Attributes:
        model: The model.
        frame_size: ``(height, width)`` of the frames.
        threads: Number of threads of every way.
        engine: The engine of the ways that name none.
        machine: The machine: CPU, cores, versions.
        gmacs: Speed of a large float32 matrix product, in 10^9 multiply-adds per second, with these threads.
        limit_ms: The arithmetic limit of a frame, in milliseconds; `None` if the multiply-adds are unknown.
        measurements: One per way.
        starts: One per way to start.
    """

    model: str
    frame_size: FrameSize
    threads: int
    engine: str
    machine: dict[str, str]
    gmacs: float
    limit_ms: float | None
    measurements: tuple[Measurement, ...]
    starts: tuple[Start, ...]

    def to_text(self) -> str:
        """Return the report as a table."""
        height, width = self.frame_size
        facts = ", ".join(f"{key} {value}" for key, value in self.machine.items())
        lines = [
            f"{self.model}, frames of {height} x {width}, {self.threads} threads, engine {self.engine}",
            facts,
            f"large matrix product: {self.gmacs:.0f} GMAC/s (multiply-adds)",
        ]
        if self.limit_ms is not None:
            lines.append(
                f"arithmetic limit of a stream model: {self.limit_ms:.2f} ms a frame"
            )
        lines += [
            "",
            f"{'way':38} {'median ms':>10} {'95 %':>9} {'a second':>9} {'x':>6} {'limit':>6}",
        ]
        for found in self.measurements:
            times = (
                "" if found.times_baseline is None else f"{found.times_baseline:.1f}"
            )
            share = (
                "" if found.share_of_limit is None else f"{found.share_of_limit:.0%}"
            )
            lines.append(
                f"{found.way:38} {found.median_ms:10.3f} {found.p95_ms:9.3f} "
                f"{found.per_second:9.1f} {times:>6} {share:>6}"
            )
        if self.starts:
            lines += [
                "",
                f"{'start, in a process of its own':48} {'seconds':>8} {'peak MB':>8}",
            ]
        for start in self.starts:
            lines.append(f"{start.way:48} {start.load_s:8.2f} {start.peak_mb:8.0f}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the report as JSON on one line."""
        facts = attrs.asdict(self)
        for found, measurement in zip(
            facts["measurements"], self.measurements, strict=True
        ):
            found["per_second"] = measurement.per_second
        return json.dumps(facts, ensure_ascii=False)


@attrs.define(slots=False)
class _Way:
    """One way to run a model: a function to call in turns, and how many units a call does."""

    name: str
    call: Callable[[], object]
    units: int = 1
    unit: str = "frame"
    baseline: str | None = None
    times: list[float] = attrs.Factory(list)

    def measure(self) -> None:
        start = time.perf_counter()
        self.call()
        self.times.append((time.perf_counter() - start) * 1000.0 / self.units)


class _Inside(_Way):
    """What the engine took of each call of another way, which is measured in its own turn."""

    def __init__(self, name: str, step: _Way, model: CompiledModel) -> None:
        super().__init__(name, lambda: None, baseline=step.baseline)
        call = step.call

        def call_and_note() -> object:
            result = call()
            self.times.append(model.last_call_s * 1000.0)
            return result

        step.call = call_and_note

    def measure(self) -> None:
        """Do nothing: the step that is measured notes it."""


def benchmark(
    stream: str | Path | None = None,
    *,
    base: str | Path | None = None,
    stock_tflite: str | Path | None = None,
    threads: int | None = None,
    streams: int = 8,
    calls: int = 30,
    measure_starts: bool = True,
    offline: bool = False,
) -> BenchmarkReport:
    """Measure a model on this machine.

    Args:
        stream: The stream model, as for `StreamingClassifier.load`; a SavedModel or a fine-tuned model, so that the
            plain loop on it can be measured too.
        base: The base model, as for `BaseClassifier.load`, likewise.
        stock_tflite: A ``.tflite`` file of the same stream model from elsewhere, to run with LiteRT's signature runner.
        threads: Number of threads of each way; `None` for one per core.
        streams: Number of streams per call of `step_many`.
        calls: Number of measured calls of each way, after a warm-up; at least 1.
        measure_starts: Whether to measure load time and memory too, in separate processes.
        offline: Whether to use only local and cached models.

    Raises:
        ModelError: If a model cannot be loaded, or there is none to measure.
    """
    _check_request(stream, base, threads=threads, streams=streams, calls=calls)
    if stock_tflite is not None:
        # Before anything is compiled.
        open_interpreter(stock_tflite, threads=1, source=str(stock_tflite))
    threads = threads or available_cores()
    stream_path = _find(stream, "stream", offline=offline)
    base_path = _find(base, "base", offline=offline)
    tf = start_tensorflow(threads)
    gmacs = matrix_speed(tf)
    ways: list[_Way] = []
    starts: list[Start] = []
    info = None
    if stream_path is not None:
        models = [load_measured(stream_path, threads=threads, streams=streams)]
        info = models[0].info
        if info.engine != "litert":
            models.append(
                load_measured(
                    stream_path, engine="litert", threads=threads, streams=streams
                )
            )
        ways += _stream_ways(
            tf,
            stream_path,
            models,
            threads=threads,
            streams=streams,
            stock_tflite=stock_tflite,
        )
        if measure_starts:
            starts += time_starts("stream", stream_path, info.num_classes)
    if base_path is not None:
        clip_model = load_model(base_path, "base", engine="litert", threads=threads)
        clip_classifier = BaseClassifier(
            clip_model, unnamed_classes(clip_model.info.num_classes)
        )
        info = info or clip_classifier.info
        ways += _base_ways(tf, base_path, clip_classifier)
        if measure_starts:
            starts += time_starts("base", base_path, clip_model.info.num_classes)
    assert info is not None  # noqa: S101 - one of the two is there
    _measure_in_turns(ways, calls)
    limit = limit_ms(info.variant, gmacs)
    return BenchmarkReport(
        model=info.source,
        frame_size=info.frame_size or (0, 0),
        threads=threads,
        engine=info.engine,
        machine=machine_facts(),
        gmacs=gmacs,
        limit_ms=limit,
        measurements=tuple(_measurement(way, ways, limit) for way in ways),
        starts=tuple(starts),
    )


def _check_request(
    stream: str | Path | None, base: str | Path | None, **counts: int | None
) -> None:
    if stream is None and base is None:
        raise ModelError(
            "a benchmark requires a stream model or a base model; got neither"
        )
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ModelError(f"{name} must be at least 1; got {value}")


def _find(source: str | Path | None, mode: Mode, *, offline: bool) -> Path | None:
    if source is None:
        return None
    path = resolve_weights(source, mode, offline=offline)
    if path.suffix == ".tflite":
        raise ModelError(
            "a benchmark compares ways to run a SavedModel or a .safetensors file; this is a .tflite file",
            source,
        )
    return path


def _measure_in_turns(ways: Sequence[_Way], calls: int) -> None:
    """Call each way a few times, then the next, until all have their calls: what disturbs one disturbs all."""
    for way in ways:
        for _ in range(_WARM_UP if way.unit == "frame" else 1):
            way.call()
    for way in ways:
        way.times.clear()
    rounds = 5
    done = 0
    for index in range(1, rounds + 1):
        until = calls * index // rounds
        for way in ways:
            for _ in range(until - done):
                way.measure()
        done = until


def _measurement(way: _Way, ways: Sequence[_Way], limit: float | None) -> Measurement:
    median = float(np.median(way.times))
    baseline = next((other for other in ways if other.name == way.baseline), None)
    return Measurement(
        way=way.name,
        unit=way.unit,
        median_ms=median,
        p95_ms=float(np.quantile(way.times, 0.95)),
        calls=len(way.times),
        times_baseline=(
            float(np.median(baseline.times)) / median if baseline else None
        ),
        share_of_limit=limit / median if limit and way.unit == "frame" else None,
    )


_INSIDE: Final = {
    "litert": "LiteRT's own call inside step",
    "native": "native engine's own call inside step",
}
_HUB_LOOP: Final = "SavedModel, states carried in a loop"
_HUB_CLIP: Final = "SavedModel, whole clip"
_KERAS_LOOP: Final = "Keras, states carried in a loop"
_KERAS_CLIP: Final = "Keras, whole clip"


def _stream_ways(
    tf: Any,
    path: Path,
    models: Sequence[CompiledModel],
    *,
    threads: int,
    streams: int,
    stock_tflite: str | Path | None,
) -> list[_Way]:
    info = models[0].info
    height, width = info.frame_size or (0, 0)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (_RUN_FRAMES, height, width, 3), np.uint8)
    if path.is_file():
        network = open_as_it_is(path, "stream", str(path))
        assert isinstance(network, StreamModel)  # noqa: S101 - of the mode asked for
        baseline, loop = _KERAS_LOOP, model_loop(network, frames)
    else:
        baseline, loop = _HUB_LOOP, hub_loop(tf, path, frames)
    ways = [_Way(baseline, loop)]
    if stock_tflite is not None:
        ways.append(
            _Way(
                "LiteRT signature runner, stock file",
                signature_runner(stock_tflite, frames, threads),
                baseline=baseline,
            )
        )
    for model in models:
        ways += _engine_ways(
            model,
            frames,
            streams,
            baseline,
            prefix="" if model is models[0] else "LiteRT: ",
        )
    ways.append(_update_events(unnamed_classes(info.num_classes), rng))
    return ways


def _engine_ways(
    model: CompiledModel,
    frames: NDArray[np.uint8],
    streams: int,
    baseline: str,
    *,
    prefix: str,
) -> list[_Way]:
    """Return the ways that classifiers run a model; *prefix* tells those of one engine from another's."""
    labels = unnamed_classes(model.info.num_classes)
    classifier = StreamingClassifier(model, labels, horizon_s=None)
    stepping, running = classifier.new_session(), classifier.new_session()
    sessions = [classifier.new_session() for _ in range(streams)]
    pictures = [frames[place % _RUN_FRAMES] for place in range(streams)]
    number = itertools.count()
    step = _Way(
        f"{prefix}step, one frame a call",
        lambda: stepping.step(frames[next(number) % _RUN_FRAMES]),
        baseline=baseline,
    )
    return [
        step,
        _Inside(_INSIDE[model.info.engine], step, model),
        _Way(
            f"{prefix}run over a clip",
            lambda: list(running.run(frames)),
            units=_RUN_FRAMES,
            baseline=baseline,
        ),
        _Way(
            f"{prefix}step_many, {streams} streams",
            lambda: step_many(sessions, pictures),
            units=streams,
            baseline=baseline,
        ),
    ]


def _update_events(labels: tuple[str, ...], rng: np.random.Generator) -> _Way:
    """Return the way from predictions of many events to these, which a live system adds to each step."""
    logits = rng.normal(0, 6, (_RUN_FRAMES, len(labels)))
    predictions = [
        Prediction(row, labels, time_s=place / 5) for place, row in enumerate(logits)
    ]
    return _Way(
        "EventDetector.update",
        lambda: find_events(predictions, EventDetector(min_duration_s=0)),
        units=_RUN_FRAMES,
        unit="prediction",
    )


def _base_ways(tf: Any, path: Path, classifier: BaseClassifier) -> list[_Way]:
    height, width = classifier.frame_size
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (CLIP_FRAMES, height, width, 3), np.uint8)
    if path.is_file():
        baseline, call = _KERAS_CLIP, network_clip(path, clip)
    else:
        baseline, call = _HUB_CLIP, hub_clip(tf, path, clip)
    return [
        _Way(baseline, call, unit="clip"),
        _Way(
            "predict, whole clip",
            lambda: classifier.predict(clip),
            unit="clip",
            baseline=baseline,
        ),
    ]
