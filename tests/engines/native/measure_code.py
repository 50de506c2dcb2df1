"""Print what 16-bit weights and fetching ahead are worth to the native engine, as docs/performance gives it.

    python -m tests.engines.native.measure_code a0_stream a2_stream

The arguments are stream models: SavedModels, or what else can be opened as a network. Each is stepped by one frame a call
with one thread, as it is, with float32 weights, and with nothing fetched ahead, in turns. Times are CPU times of steps, as
ratios to the engine as it is; differences are those of its logits from those of float32 weights, over the largest of them,
on frames of noise. It takes about a minute for each model on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.native.assembly import products
from movinet_lite.engines.native.program import StreamProgram
from movinet_lite.engines.native.target import host_target, why_not
from movinet_lite.engines.opening import open_network
from movinet_lite.network.agreement import largest_difference
from tests.engines.native.programs import weights_of

_NOISE_FRAMES: Final = 24
_STEPS_A_TURN: Final = 6
_WAYS: Final = ("as it is", "float32 weights", "nothing fetched")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--turns", type=int, default=80, help="of each way")
    args = parser.parse_args()
    if why_not():
        parser.error(why_not())
    for path in args.models:
        programs = _programs(path)
        as_it_is, exact, _ = programs
        difference = largest_difference(_logits(as_it_is), _logits(exact))
        sys.stdout.write(f"{path}: logits differ by {difference:.1e}\n")
        times = _times(programs, args.turns)
        for way, found in zip(_WAYS, times, strict=True):
            least, quarter, half = (
                np.percentile(found, share) / np.percentile(times[0], share)
                for share in (0, 25, 50)
            )
            sys.stdout.write(
                f"{way:16} {np.median(found):7.3f} ms, ratio of least {least:.2f}, "
                f"lower quartile {quarter:.2f}, median {half:.2f}\n"
            )


def _programs(path: Path) -> list[StreamProgram]:
    """Return the program of a model in each of the `_WAYS`."""
    network = open_network(path, "stream", str(path))
    weights, target = weights_of(network), host_target()
    assert target is not None
    with mock.patch.object(products, "_MOST_LINES", 0):
        nothing_fetched = StreamProgram.of(network.spec, weights, target=target)
    as_it_is, exact = (
        StreamProgram.of(network.spec, weights, target=target, is_compact=is_compact)
        for is_compact in (True, False)
    )
    return [as_it_is, exact, nothing_fetched]


def _logits(program: StreamProgram) -> NDArray[np.float32]:
    """Return the logits after each of some frames of noise, ``(frames, classes)``."""
    rng = np.random.default_rng(0)
    size = program.plan.spec.frame_size
    storage, place = program.new_storage(), program.first_place
    rows = [
        program.run(
            rng.random((1, *size, 3), np.float32), [storage], [place + age], [age]
        )
        for age in range(_NOISE_FRAMES)
    ]
    return np.concatenate(rows)[:, : program.plan.spec.num_classes]


def _times(programs: list[StreamProgram], turns: int) -> list[list[float]]:
    """Return the CPU times of steps with each program, in milliseconds, in turns and both orders."""
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 256, (1, *programs[0].plan.spec.frame_size, 3), np.uint8)
    storages = [program.new_storage() for program in programs]
    times: list[list[float]] = [[] for _ in programs]
    age = 0
    for turn in range(turns):
        order = range(len(programs))
        for index in order if turn % 2 else reversed(order):
            program = programs[index]
            for step in range(_STEPS_A_TURN):
                place = program.first_place + age + step
                start = time.thread_time()
                program.run(frame, [storages[index]], [place], [age + step])
                if step:  # the first finds the caches full of another program's
                    times[index].append((time.thread_time() - start) * 1e3)
        age += _STEPS_A_TURN
    return times


if __name__ == "__main__":
    main()
