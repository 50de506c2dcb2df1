"""Steps a stream for hours: does memory grow, and do the predictions stay those of TensorFlow?"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.errors import ModelError
from movinet_lite.hub import resolve_model

__all__ = ["EnduranceReport", "step_for_long"]

_WARM_UP: Final = 1000  # steps after which memory must not grow
_NUM_FRAMES: Final = 96  # different frames, shown in turn
# Of the reference: it gives the last logits of a call alone, and those are all it takes. Calls of one frame and of 48 take
# it longer.
_FRAMES_PER_CALL: Final = 16


@attrs.frozen
class EnduranceReport:
    """What was seen.

    Attributes:
        steps: How many.
        ms_per_step: How long each took, in milliseconds, the mean.
        memory_mb: Memory of the process after the first thousand steps, in 10^6 bytes.
        growth_mb: How much it had grown at the end.
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
) -> EnduranceReport:
    """Step a compiled model many times, then let TensorFlow see the same frames.

    Args:
        source: A stream model, as `StreamingClassifier.load` takes it; a SavedModel that can be called as those on TF Hub.
        steps: How many, more than 1,000.
        threads: How many threads the compiled model may use; `None` for one a core.
        offline: Whether the network must not be touched.

    Raises:
        ModelError: If *steps* is too few, or the model cannot be found, read, compiled, or run by TensorFlow.
    """
    if steps <= _WARM_UP:
        raise ModelError(f"steps must be more than {_WARM_UP}; got {steps}", source)
    classifier = StreamingClassifier.load(
        source, engine="litert", threads=threads, offline=offline
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
    expected = _reference(source, frames, steps, offline=offline)
    from movinet_lite.network.probes import largest_difference

    return EnduranceReport(
        steps=steps,
        ms_per_step=1e3 * seconds / steps,
        memory_mb=memory_mb,
        growth_mb=growth_mb,
        difference=largest_difference(logits, expected),
    )


def _reference(
    source: str | Path, frames: NDArray[np.uint8], steps: int, *, offline: bool
) -> NDArray[np.float32]:
    """Return the logits of TensorFlow after so many frames."""
    import tensorflow as tf

    path = resolve_model(source, "stream", offline=offline)
    module = tf.saved_model.load(str(path))
    height, width = frames.shape[1:3]
    states = dict(module.init_states(tf.constant([1, 1, height, width, 3])))
    images = frames.astype(np.float32) / np.float32(255)
    logits = None
    done = 0
    while done < steps:
        count = min(_FRAMES_PER_CALL, steps - done)
        places = np.arange(done, done + count) % _NUM_FRAMES
        image = tf.constant(images[np.newaxis, places])
        logits, states = module({**states, "image": image})
        done += count
    last: NDArray[np.float32] = np.asarray(logits)[0]
    return last


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
