"""Print the CPU time of a step with LiteRT, ONNX Runtime and OpenVINO, and how far their logits differ, as docs/onnx gives it.

    python -m tests.engines.onnx.measure_runtimes a0 a2

The models are stream models with random weights; one thread computes, in interleaved runs. OpenVINO runs the exported file itself, in
float32, where the package ``openvino`` is installed. With ``--provider openvino`` ONNX Runtime also runs it with that execution
provider; so with the others that it has.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite import StreamingClassifier
from movinet_lite.engines.exporting import export_model
from movinet_lite.network.agreement import largest_difference
from movinet_lite.network.files import save_network
from movinet_lite.network.model import build_movinet
from tests.networks import moving_clips, randomise

_RUNS: Final = 8
_FRAMES: Final = 15

_Step = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def main() -> None:
    """Measure, and print a table for each variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="+")
    parser.add_argument("--provider", help="another execution provider")
    args = parser.parse_args()
    for variant in args.variants:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MOVINET_LITE_CACHE"] = str(Path(folder) / "cache")
            weights, clip = _save_network(variant, Path(folder))
            steps = dict(_steps(weights, args.provider))
            print_table(variant, steps, clip)


def _save_network(variant: str, folder: Path) -> tuple[Path, NDArray[np.float32]]:
    network = build_movinet(
        variant, "stream", 600, labels=[str(number) for number in range(600)]
    )
    randomise(network, 0)
    for name, weight in network.named_weights.items():
        if name.endswith("scale"):  # 0 at first, which hides all but the stem
            weight.assign(np.full(weight.shape, 0.2, np.float32))
    path = folder / "network.safetensors"
    save_network(network, path)
    (clip,) = moving_clips(frames=_FRAMES, size=network.spec.frame_size)
    return path, clip


def _steps(weights: Path, provider: str | None) -> Iterator[tuple[str, _Step]]:
    """Yield what steps a stream with each runtime."""
    file = weights.with_suffix(".onnx")
    export_model(weights, file)

    def load(path: Path, **options: Any) -> _Step:
        session = StreamingClassifier.load(path, threads=1, horizon_s=None, **options)
        return lambda frame: session.step(frame).logits

    yield "LiteRT", load(weights)
    yield "ONNX Runtime", load(file)
    if provider is not None:
        yield f"ONNX Runtime, {provider}", load(file, provider=provider)
    try:
        yield "OpenVINO", _step_of_openvino(file)
    except ImportError:
        sys.stdout.write("openvino is not installed\n")


def _step_of_openvino(file: Path) -> _Step:
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    model.reshape(
        {
            port.get_any_name(): [
                1 if size.is_dynamic else size.get_length()
                for size in port.get_partial_shape()
            ]
            for port in model.inputs
        }
    )
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    request = core.compile_model(model, "CPU", options).create_infer_request()
    states = {
        port.get_any_name(): np.zeros(list(port.shape), port.element_type.to_dtype())
        for port in model.inputs
        if port.get_any_name() != "image"
    }

    def step(frame: NDArray[np.float32]) -> NDArray[np.float32]:
        results = request.infer({"image": frame[np.newaxis], **states})
        for name in states:
            states[name] = np.array(results[f"next/{name}"])
        logits: NDArray[np.float32] = np.array(results["logits"][0])
        return logits

    return step


def print_table(
    variant: str, steps: dict[str, _Step], clip: NDArray[np.float32]
) -> None:
    """Print the CPU time of a step with each runtime, and the largest difference from LiteRT's logits."""
    times_ms: dict[str, list[float]] = {name: [] for name in steps}
    logits: dict[str, list[NDArray[np.float32]]] = {name: [] for name in steps}
    for _ in range(_RUNS + 1):
        for name, step in steps.items():
            started = time.process_time()
            logits[name] += [step(frame) for frame in clip]
            times_ms[name].append((time.process_time() - started) / len(clip) * 1000)
    expected = np.stack(logits["LiteRT"])
    sys.stdout.write(
        f"{f'{variant}, CPU time of a step':34}{'minimum':>10}{'median':>11}{'difference':>12}\n"
    )
    for name, found in times_ms.items():
        rest = found[1:]  # the first one warms up
        difference = largest_difference(np.stack(logits[name]), expected)
        sys.stdout.write(
            f"{name:34}{min(rest):>7.2f} ms{statistics.median(rest):>8.2f} ms{difference:>12.1e}\n"
        )


if __name__ == "__main__":
    main()
