"""Damaged files: one clear error or an answer, never an error of another package, and no changed weight of ours."""

import json
import subprocess
import sys

import pytest

from movinet_lite import demo
from movinet_lite.engines.litert.opening import load_tflite
from movinet_lite.errors import ModelError
from movinet_lite.network.litert_file import pack_litert, read_litert_info
from tests.tflite_models import write_passing_tflite, write_tflite

# In a process of its own: LiteRT trusts a file whose structure is whole, and may take the process with it.
_LOAD_COPIES = """
import json, random, sys
from pathlib import Path
import numpy as np
from movinet_lite.engines.litert.opening import load_tflite
from movinet_lite.errors import MoViNetError

whole, copy = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
rng = random.Random(int(sys.argv[3]))
outcomes = {"answered": 0, "refused": 0, "others": []}
for number in range(int(sys.argv[4])):
    damaged = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 4, 16, 64])):
        damaged[rng.randrange(len(whole))] ^= rng.randrange(1, 256)
    copy.write_bytes(damaged)
    try:
        model = load_tflite(copy, threads=1)
        states = model.init_states(model.info.frame_size)
        frame = np.full((1, *model.info.frame_size, 3), 0.5, np.float32)
        for _ in range(2):
            _, states = model.step(frame, states)
        outcomes["answered"] += 1
    except MoViNetError:
        outcomes["refused"] += 1
    except Exception as error:
        outcomes["others"].append(f"copy {number}: {error!r}")
print(json.dumps(outcomes))
"""


def load_copies(path, folder, *, seed, count):
    """Load *count* damaged copies of a file in a process of its own, and return what came of them."""
    arguments = [str(path), str(folder / "copy.tflite"), str(seed), str(count)]
    done = subprocess.run(
        [sys.executable, "-c", _LOAD_COPIES, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("quantize", [None, "int8", "passing"])
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_damaged_files_of_others_give_an_answer_or_one_clear_error(tmp_path, quantize):
    """Bytes changed anywhere, with a fixed seed."""
    path = tmp_path / "whole.tflite"
    if quantize == "passing":
        write_passing_tflite(path)
    else:
        write_tflite(path, quantize=quantize)
    found = load_copies(path, tmp_path, seed=2, count=300)
    assert found["others"] == []
    assert found["refused"] > 50
    assert found["answered"] > 5


@pytest.mark.slow
def test_damaged_files_of_ours_are_refused(tmp_path):
    """A changed weight would compute something else in silence."""
    path = repacked_demo(tmp_path)
    found = load_copies(path, tmp_path, seed=3, count=100)
    assert found == {"answered": 0, "refused": 100, "others": []}


def test_a_changed_weight_of_ours_is_refused(tmp_path):
    """One bit in the middle of five megabytes is enough."""
    path = repacked_demo(tmp_path)
    load_tflite(path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ModelError, match="must have the checksum in its facts"):
        load_tflite(path)


def repacked_demo(folder):
    """Return a copy of the demo's model as `pack_litert` writes it."""
    whole = demo.MODEL.read_bytes()
    graph = whole[: whole.rindex(b"PK\x03\x04")]
    info = read_litert_info(demo.MODEL)
    path = folder / "ours.tflite"
    path.write_bytes(pack_litert(graph, info))
    return path
