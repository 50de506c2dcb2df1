"""The benchmark: which ways it measures, and what it refuses."""

import json
import subprocess
import sys

import pytest

from movinet_lite.benchmark import benchmark
from movinet_lite.errors import ModelError
from movinet_lite.network.files import save_network
from tests.networks import LABELS, SIZE, small_network, tiny_variant

# TensorFlow takes its number of threads once a process.
_RUN = """
import sys
from movinet_lite import variants
from movinet_lite.benchmark import benchmark
from tests.networks_table import TINY
variants._VARIANTS["tiny"] = TINY
stream, base = sys.argv[1:]
report = benchmark(stream, base=base, threads=1, streams=2, calls=2, measure_starts=False)
print(report.to_json())
"""


def test_networks_are_measured_against_keras(tmp_path):
    """Of what fine-tuning wrote there is no SavedModel: each way is compared with the network as it is."""
    paths = []
    with tiny_variant():
        for mode in ("stream", "base"):
            paths.append(tmp_path / f"{mode}.safetensors")
            network = small_network(mode, labels=LABELS, frame_size=SIZE)
            save_network(network, paths[-1])
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    ways = {found["way"]: found for found in report["measurements"]}
    assert set(ways) == {
        "Keras, states carried in a loop",
        "step, one frame a call",
        "LiteRT's own call inside step",
        "run over a clip",
        "step_many, 2 streams",
        "Keras, whole clip",
        "predict, whole clip",
    }
    assert ways["Keras, whole clip"]["times_baseline"] is None
    assert ways["predict, whole clip"]["times_baseline"] > 0
    assert ways["run over a clip"]["times_baseline"] > 0
    assert report["frame_size"] == list(SIZE)


def test_what_cannot_be_compared_is_refused(tmp_path):
    """A compiled file has nothing to be compared with, and without a model there is nothing to measure."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3 and so on")
    with pytest.raises(ModelError, match=r"this is a \.tflite file"):
        benchmark(path)
    with pytest.raises(ModelError, match="got neither"):
        benchmark()
    with pytest.raises(ModelError, match="calls must be at least 1"):
        benchmark("a0", calls=0)
