"""Soak test: steps a stream many times, and checks memory and logits."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.benchmark.measured_models import load_measured
from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.engines import load_model
from movinet_lite.errors import ModelError
from movinet_lite.hub import resolve_weights
from movinet_lite.labels import unnamed_classes

__all__ = ["SoakReport", "reference_logits", "step_for_long"]

_WARM_UP: Final = 1000  # steps after which memory must not grow
_NUM_FRAMES: Final = 96  # different frames, shown in turn
# Of the reference: it gives the last logits of a call alone, and those are all it takes. Calls of one frame and of 48 take
# it longer.
_FRAMES_PER_CALL: Final = 16

_Step: TypeAlias = Callable[
    [NDArray[np.float32], States], tuple[NDArray[np.float32], States]
]


@attrs.frozen
class SoakReport:
    """What was seen.

    Attributes:
        steps: Number of steps.
        ms_per_step: Mean time per step, in milliseconds.
        memory_mb: Memory of the process after the first thousand steps, in 10^6 bytes.
        growth_mb: Growth of memory at the end, in megabytes.
        difference: Largest difference between the last logits and those of TensorFlow, which saw the same frames, over
            the largest of these.
    """

    steps: int
    ms_per_step: float
    memory_mb: float
    growth_mb: float
    difference: float

    def to_text(self) -> str:
        """Return it in one line."""
        return (
            f"{self.steps} steps of {self.ms_per_step:.2f} ms: memory {self.memory_mb:.0f} MB after {_WARM_UP} steps, "
            f"{self.growth_mb:+.1f} MB at the end; logits within {self.difference:.1e} of TensorFlow's"
        )


def step_for_long(
    source: str | Path,
    *,
    steps: int = 100_000,
    threads: int | None = None,
    offline: bool = False,
) -> SoakReport:
    """Step a compiled model many times, then let TensorFlow see the same frames.

    Args:
        source: A stream model, as for `StreamingClassifier.load`; not a ``.tflite`` file, which TensorFlow cannot run.
        steps: Number of steps, more than 1,000.
        threads: Number of threads of the compiled model; `None` for one per core.
        offline: Whether the network must not be touched.

    Raises:
        ModelError: If *steps* is too few, or the model cannot be found, read, compiled, or run by TensorFlow.
    """
    if steps <= _WARM_UP:
        raise ModelError(f"steps must be more than {_WARM_UP}; got {steps}", source)
    path = resolve_weights(source, "stream", offline=offline)
    if path.suffix == ".tflite":
        raise ModelError(
            "the steps are compared with TensorFlow's, which does not run .tflite files (use the SavedModel it was "
            "made from)",
            source,
        )
    model = load_measured(path, threads=threads)
    classifier = StreamingClassifier(
        model, unnamed_classes(model.info.num_classes), horizon_s=None
    )
    rng = np.random.default_rng(0)
    shape = (_NUM_FRAMES, *classifier.frame_size, 3)
    frames: NDArray[np.uint8] = rng.integers(0, 256, shape, np.uint8)
    memory_mb = 0.0
    started = time.perf_counter()
    logits: NDArray[np.float32] = np.empty(0, np.float32)
    for number in range(steps):
        logits = classifier.step(frames[number % _NUM_FRAMES]).logits
        if number + 1 == _WARM_UP:
            memory_mb = _memory_mb()
    seconds = time.perf_counter() - started
    growth_mb = _memory_mb() - memory_mb
    expected = reference_logits(path, frames, steps)
    from movinet_lite.network.agreement import largest_difference

    return SoakReport(
        steps=steps,
        ms_per_step=1e3 * seconds / steps,
        memory_mb=memory_mb,
        growth_mb=growth_mb,
        difference=largest_difference(logits, expected),
    )


def reference_logits(
    path: Path, frames: NDArray[np.uint8], steps: int
) -> NDArray[np.float32]:
    """Return the logits of TensorFlow after so many *steps* over *frames*, shown in turn: ``(classes,)``."""
    model = load_model(path, "stream", engine="tensorflow")
    states = model.init_states(frames.shape[1:3])
    images = frames.astype(np.float32) / np.float32(255)
    step = _step_of_several(path, images[:_FRAMES_PER_CALL], states) or model.step
    logits = np.empty((0, 0), np.float32)
    for done in range(0, steps, _FRAMES_PER_CALL):
        places = np.arange(done, min(done + _FRAMES_PER_CALL, steps)) % _NUM_FRAMES
        logits, states = step(images[places], states)
    last: NDArray[np.float32] = logits[-1]
    return last


def _step_of_several(
    path: Path, some: NDArray[np.float32], states: States
) -> _Step | None:
    """Return a step of as many frames as *some* through a SavedModel that can be called as those on TF Hub are.

    It gives the last logits of a call alone, in a fraction of the time that frame by frame takes.
    """
    if path.is_file():
        return None
    from movinet_lite.network.tensorflow import tf

    module: Any = tf.saved_model.load(str(path))
    if not callable(module):
        return None

    def step(
        frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        logits, after = module({**states, "image": frames[np.newaxis]})
        return logits.numpy(), after

    try:
        step(some, states)
    except (ValueError, TypeError, tf.errors.OpError):  # takes one frame a call
        return None
    return step


def _memory_mb() -> float:
    """Return the memory that the process has now, in 10^6 bytes.

    Not its peak: what compiling took before the first step would hide all that steps take later.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # no Linux: the peak is all that Python tells
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6
