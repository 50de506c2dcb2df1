"""What the machine is, and how fast its arithmetic: the limit that a model cannot pass."""

from __future__ import annotations

import contextlib
import platform
import time
from pathlib import Path
from typing import Any, Final

from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError
from movinet_lite.network.variants import get_variant

__all__ = ["limit_ms", "machine_facts", "matrix_speed", "start_tensorflow"]

_MATRIX_SIZE: Final = 1536  # a float32 product of this size keeps every core busy and fits in no cache by chance
_TRIES: Final = 20


def start_tensorflow(threads: int) -> Any:
    """Return TensorFlow, set to use so many threads.

    Raises:
        ModelError: If it has been used in this process, with which it has settled for a number.
    """
    from movinet_lite.network.tensorflow import tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise ModelError(
            f"TensorFlow takes its number of threads once a process, before its first use; got threads={threads} after "
            "that (measure in a process of its own)"
        ) from error
    return tf


def matrix_speed(tf: Any) -> float:
    """Return 10^9 multiply-adds a second of a float32 matrix product, the best of several."""
    one = tf.random.stateless_normal((_MATRIX_SIZE, _MATRIX_SIZE), (0, 0))
    best = 0.0
    for _ in range(_TRIES):
        start = time.perf_counter()
        tf.linalg.matmul(one, one).numpy()
        best = max(best, _MATRIX_SIZE**3 / (time.perf_counter() - start))
    return best / 1e9


def limit_ms(variant: str | None, gmacs: float) -> float | None:
    """Return what the multiply-adds of a frame would take at *gmacs* 10^9 a second; `None` of an unknown variant."""
    if variant is None:
        return None
    return get_variant(variant).frame_multiply_adds / gmacs  # millions over 10^9


def machine_facts() -> dict[str, str]:
    """Return processor, cores, system and versions."""
    from importlib.metadata import PackageNotFoundError, version

    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.split(":", 1)[1].strip()
                break
    facts = {
        "processor": processor or platform.machine(),
        "cores": str(available_cores()),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "ai-edge-litert": version("ai-edge-litert"),
    }
    with contextlib.suppress(PackageNotFoundError):  # there is none for every platform
        facts["llvmlite"] = version("llvmlite")
    return facts
