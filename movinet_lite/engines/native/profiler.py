"""How long each part of a network takes on the native engine, by code that reads the CPU's clock after each of them.

A part is what the members of a team compute between two barriers, such as the expansion of a layer. Its time is that of member
0, the calling thread, and so includes its wait for the slowest member.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.native.assembly import write_code
from movinet_lite.engines.native.compiler import MachineCode, compile_module
from movinet_lite.engines.native.plan import LayerPlan, Plan
from movinet_lite.engines.native.program import MAX_IMAGES, StreamProgram
from movinet_lite.engines.native.rooms import Rooms
from movinet_lite.engines.native.target import Target
from movinet_lite.errors import ModelError

__all__ = ["PartTimes", "Profiler", "TimedPart"]

_WARM_UP: Final = 5


@attrs.frozen
class TimedPart:
    """A part of a network and its time.

    Attributes:
        layer: ``"stem"``, the layer, such as ``"b0/l0"``, or ``"head"``.
        kind: What it is there, such as ``"expansion"``.
        us: Microseconds a call, the lower quartile of all calls.
        multiply_adds: Multiply-adds of its convolutions and products in a call.
    """

    layer: str
    kind: str
    us: float
    multiply_adds: int


@attrs.frozen
class PartTimes:
    """Where the time of a call goes.

    Attributes:
        parts: The parts, in the order they run in.
        around_us: Microseconds a call around them, the lower quartile of all calls: the start of the team, and what Python
            does to call the code.
    """

    parts: tuple[TimedPart, ...]
    around_us: float

    @property
    def call_us(self) -> float:
        """Microseconds of a call in which nothing is disturbed; on a busy machine hardly any is."""
        return sum(one.us for one in self.parts) + self.around_us


class Profiler:
    """A network as machine code that measures its parts.

    Args:
        plan: The network.
        target: The CPU of this machine.
    """

    def __init__(self, plan: Plan, target: Target) -> None:
        self._plan = plan
        self._names: list[str] = []
        rooms = Rooms.of(plan, MAX_IMAGES)
        written = write_code(plan, rooms, target.triple, self._names)
        self._code = MachineCode(compile_module(written, target), target)

    def measure(self, *, frames: int, threads: int, calls: int) -> PartTimes:
        """Return where the time of a call goes.

        Args:
            frames: Frames of a call, all of one stream; 1 to `MAX_IMAGES`.
            threads: How many threads to compute with.
            calls: How many calls to measure, at least 1.

        Raises:
            ModelError: If there are too many frames.
        """
        if not 1 <= frames <= MAX_IMAGES:
            raise ModelError(f"a call must take 1 to {MAX_IMAGES} frames; got {frames}")
        # The clock at the end of the last part, and then the ticks of each part.
        ticks = np.zeros(len(self._names) + 1, np.int64)
        program = StreamProgram(
            self._plan,
            self._code,
            threads=threads,
            max_images=MAX_IMAGES,
            profile=ticks,
        )
        shape = (frames, *self._plan.spec.frame_size, 3)
        # Bytes, as videos give them.
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        storages = [program.new_storage()] * frames
        ages = iter(range(0, frames * (_WARM_UP + calls), frames))

        def call() -> float:
            age = next(ages)
            place = program.first_place + age
            begin = time.perf_counter()
            program.run(
                images,
                storages,
                range(place, place + frames),
                range(age, age + frames),
            )
            return time.perf_counter() - begin

        us, rows, clocks = [], [], []
        for _ in range(_WARM_UP + calls):
            ticks[1:] = 0
            us.append(call() * 1e6)
            clocks.append((time.perf_counter() * 1e6, int(ticks[0])))
            rows.append(ticks[1:].copy())
        parts_us = np.array(rows[_WARM_UP:]) * _us_of_tick(clocks)
        around_us = us[_WARM_UP:] - parts_us.sum(axis=1)
        counts = _multiply_adds(self._plan)
        parts = tuple(
            _timed(name, float(part_us), counts.get(name, 0) * frames)
            for name, part_us in zip(self._names, _quartile(parts_us), strict=True)
        )
        return PartTimes(parts, float(_quartile(around_us)))


def _timed(name: str, us: float, multiply_adds: int) -> TimedPart:
    layer, kind = name.split(" ")
    return TimedPart(layer, kind, us, multiply_adds)


def _us_of_tick(clocks: Sequence[tuple[float, int]]) -> float:
    """Return the microseconds of a tick, from times that were read at about the same moment on both clocks."""
    us, ticks = np.array(clocks).T
    half = len(clocks) // 2
    # The median of many: where something came between the two readings, the ratio is wrong.
    return float(np.median((us[half:] - us[:-half]) / (ticks[half:] - ticks[:-half])))


def _quartile(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the lower quartile: others on the machine make calls longer, never shorter."""
    quartile: NDArray[np.float64] = np.quantile(values, 0.25, axis=0)
    return quartile


def _multiply_adds(plan: Plan) -> dict[str, int]:
    """Return the multiply-adds of a frame in each part that has any."""
    stem, head = plan.stem, plan.head
    classes, pooled, hidden = head.channels
    stem_channels = plan.layers[0].spec.in_channels
    counts = {
        "stem convolution": _pixels(stem.result_size) * 3 * 3 * 3 * stem_channels,
        "head project": _pixels(head.size) * plan.layers[-1].spec.out_channels * pooled,
        "head hidden": pooled * hidden,
        "head classifier": hidden * classes,
    }
    for layer in plan.layers:
        for kind, count in _of_layer(layer).items():
            counts[f"{layer.path} {kind}"] = count
    return counts


def _of_layer(layer: LayerPlan) -> dict[str, int]:
    spec = layer.spec
    after = _pixels(layer.result_size)
    frames, height, width = spec.kernel
    taps = height * width + (frames if spec.buffered_frames else 0)
    skipped = spec.in_channels if spec.has_skip_projection else 0
    squeezed = spec.squeezed("stream")
    return {
        "expansion": _pixels(layer.size) * spec.in_channels * spec.expanded,
        "depthwise": after * spec.expanded * taps,
        "reduce": 2 * spec.expanded * squeezed,
        "gates": squeezed * spec.expanded,
        "projection": after * spec.out_channels * (spec.expanded + skipped),
    }


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]
