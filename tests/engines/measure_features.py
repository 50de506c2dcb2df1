"""Print what features cost and how well the engines agree on them, as docs/features gives it.

    python -m tests.engines.measure_features a0

The model is a stream model with random weights. Costs are CPU times of `step` on LiteRT with one thread, in interleaved runs, against a
graph that has no outputs for features. Agreement is the largest difference from the features of the network in TensorFlow,
over the largest of them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from movinet_lite import StreamingClassifier
from movinet_lite.arrays import FEATURE_NAMES
from movinet_lite.network.agreement import largest_difference
from movinet_lite.network.files import save_network
from movinet_lite.network.model import Movinet, build_movinet
from tests.networks import moving_clips, randomise

_ENGINES: Final = ("native", "litert", "onnx")


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variant")
    parser.add_argument("--runs", type=int, default=12, help="of each way to step")
    parser.add_argument("--frames", type=int, default=40, help="of each run")
    args = parser.parse_args()
    network = build_movinet(
        args.variant, "stream", 600, labels=[str(number) for number in range(600)]
    )
    randomise(network, 0)
    for name, weight in network.named_weights.items():
        if name.endswith("scale"):  # 0 at first, which hides all but the stem
            weight.assign(np.full(weight.shape, 0.2, np.float32))
    (clip,) = moving_clips(frames=args.frames, size=network.spec.frame_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        save_network(network, path)
        os.environ["MOVINET_LITE_CACHE"] = str(Path(folder) / "cache")
        models = {engine: _load(path, engine) for engine in _ENGINES}
        os.environ["MOVINET_LITE_CACHE"] = str(Path(folder) / "without")
        with mock.patch.object(Movinet, "run_later_blocks", _without_features):
            without = _load(path, "litert")
    if without.model.feature_names:  # type: ignore[attr-defined]
        parser.error("the graph without features has some; export changed")
    print_costs(models["litert"], without, clip, args.runs)
    sys.stdout.write("\n")
    print_agreement(models, network, clip)


def _load(path: Path, engine: Any) -> StreamingClassifier:
    return StreamingClassifier.load(path, engine=engine, threads=1, horizon_s=None)


_run_later_blocks = Movinet.run_later_blocks


def _without_features(self: Movinet, *args: Any, **options: Any) -> Any:
    logits, _ = _run_later_blocks(self, *args, **options)
    return logits, {}


def print_costs(
    model: StreamingClassifier,
    without: StreamingClassifier,
    clip: NDArray[np.float32],
    runs: int,
) -> None:
    """Print the CPU time of each way to step."""
    ways: Mapping[str, Callable[[NDArray[np.float32]], object]] = {
        "graph without features, step": without.step,
        "graph with features, step": model.step,
        'step(features="pooled")': lambda frame: model.step(frame, features="pooled"),
        'step(features="hidden")': lambda frame: model.step(frame, features="hidden"),
    }
    times_ms: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs + 1):
        for name, step in ways.items():
            started = time.process_time()
            for frame in clip:
                step(frame)
            times_ms[name].append((time.process_time() - started) / len(clip) * 1000)
    title = f"CPU time of a step, {runs} runs"
    sys.stdout.write(f"{title:34}{'minimum':>10}{'median':>11}\n")
    for name, found in times_ms.items():
        rest = found[1:]  # the first one warms up
        low, middle = min(rest), statistics.median(rest)
        sys.stdout.write(f"{name:34}{low:>7.2f} ms{middle:>8.2f} ms\n")


def print_agreement(
    models: Mapping[str, StreamingClassifier],
    network: Movinet,
    clip: NDArray[np.float32],
) -> None:
    """Print how far the features of each engine are from those of the network."""
    _, _, expected = network.step_with_features(
        clip[np.newaxis], network.init_states(1, clip.shape[1:3])
    )
    sys.stdout.write(
        f"{f'largest difference, {len(clip)} frames':34}"
        + "".join(f"{name:>10}" for name in FEATURE_NAMES)
        + "\n"
    )
    for engine, model in models.items():
        differences = [
            largest_difference(
                model.new_session().features(clip, name), np.asarray(expected[name])[0]
            )
            for name in FEATURE_NAMES
        ]
        sys.stdout.write(
            f"{engine:34}" + "".join(f"{one:>10.1e}" for one in differences) + "\n"
        )


if __name__ == "__main__":
    main()
