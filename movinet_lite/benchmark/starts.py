"""Times the start of a model in processes of its own: load time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import attrs

from movinet_lite.errors import ModelError
from movinet_lite.network.variants import Mode

__all__ = ["CLIP_FRAMES", "Start", "time_starts"]

CLIP_FRAMES: Final = 50
"""Frames of the clip that a base model is given."""


@attrs.frozen
class Start:
    """Time and memory of a fresh process up to the first prediction.

    Attributes:
        way: The measured way.
        load_s: Seconds from the start of loading to the first prediction; Python's own start is not counted.
        peak_mb: Peak memory of the process, in megabytes of 10^6 bytes.
    """

    way: str
    load_s: float
    peak_mb: float


_START = """
import sys, time
start = time.perf_counter()
import numpy as np
from movinet_lite import {cls}
from movinet_lite.labels import unnamed_classes
labels = unnamed_classes(int(sys.argv[2]))
classifier = {cls}.load(sys.argv[1], labels=labels)
height, width = classifier.frame_size
{use}
print(time.perf_counter() - start)
"""
_START_HUB = """
import os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
start = time.perf_counter()
import tensorflow_hub
model = tensorflow_hub.load(sys.argv[1])
print(time.perf_counter() - start)
"""
# Not ru_maxrss where it can be helped: a new process inherits that of the one it was forked from.
_PEAK = """
try:
    status = open("/proc/self/status").read()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
except OSError:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
print(peak / 1e6)
"""
_USES = {
    "stream": (
        "StreamingClassifier",
        "classifier.step(np.zeros((height, width, 3), np.uint8))",
    ),
    "base": (
        "BaseClassifier",
        f"classifier.predict(np.zeros(({CLIP_FRAMES}, height, width, 3), np.uint8))",
    ),
}


def time_starts(mode: Mode, path: Path, num_classes: int) -> list[Start]:
    """Return what a first load, which compiles, and a second one cost; of a SavedModel, also TensorFlow Hub's own.

    Raises:
        ModelError: If a process cannot load the model.
    """
    cls, use = _USES[mode]
    ours = _START.format(cls=cls, use=use)
    model = (str(path), str(num_classes))
    with tempfile.TemporaryDirectory() as empty:
        first = {**os.environ, "MOVINET_LITE_CACHE": empty}
        hub = f"{mode}: tensorflow_hub.load alone"
        alone = [] if path.is_file() else [_start(hub, _START_HUB, model, None)]
        return [
            *alone,
            _start(f"{mode}: first load, compiled and checked", ours, model, first),
            _start(
                f"{mode}: load from the cache, first prediction", ours, model, first
            ),
        ]


def _start(
    way: str, code: str, model: tuple[str, str], environment: dict[str, str] | None
) -> Start:
    code += _PEAK
    done = subprocess.run(  # noqa: S603 - this Python, with code of our own
        [sys.executable, "-c", code, *model],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"a fresh process could not load the model: {last}", model[0])
    load_s, peak_mb = done.stdout.split()
    return Start(way=way, load_s=float(load_s), peak_mb=float(peak_mb))
