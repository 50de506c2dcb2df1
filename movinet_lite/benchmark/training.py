"""Measures training throughput, in clips per second."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import attrs
import numpy as np

from movinet_lite.errors import DataError
from movinet_lite.network.model import build_movinet
from movinet_lite.network.variants import Mode
from movinet_lite.training.examples import Example, ExampleSet
from movinet_lite.training.fine_tune import fine_tune
from movinet_lite.training.settings import Settings

__all__ = ["TrainingSpeed", "measure_training_speed"]

_SIZE = (128, 128)
_LABELS = ("a", "b")
_WARM_UP = 4  # steps that are not counted: the first one builds the graph


@attrs.frozen
class TrainingSpeed:
    """What was measured.

    Attributes:
        variant: The variant of the network.
        mode: The mode of the network.
        num_frames: Frames of a clip.
        frame_size: ``(height, width)``.
        batch_size: Clips of a step.
        clips_per_second: The batch size over the median time of a step, augmentation included.
    """

    variant: str
    mode: Mode
    num_frames: int
    frame_size: tuple[int, int]
    batch_size: int
    clips_per_second: float

    def to_text(self) -> str:
        """Return it in one line."""
        height, width = self.frame_size
        return (
            f"training {self.variant} {self.mode}, clips of {self.num_frames} frames of {height} x {width}, "
            f"{self.batch_size} a step: {self.clips_per_second:.1f} clips a second"
        )


def measure_training_speed(
    variant: str, *, mode: Mode = "stream", steps: int = 30
) -> TrainingSpeed:
    """Train a network with random weights on noise for some steps, and measure the speed.

    Args:
        variant: ``t0``, ``a0`` ... ``a5``.
        mode: The mode of the network.
        steps: Number of steps to measure, at least 1.

    Raises:
        DataError: If *steps* is too few.
        VariantError: If there is no such variant.
    """
    if steps < 1:
        raise DataError(f"steps must be at least 1; got {steps}")
    settings = Settings(num_frames=8, epochs=1, batch_size=8)
    rng = np.random.default_rng(0)
    shape = (settings.num_frames, *_SIZE, 3)
    clips = [rng.integers(0, 256, shape, np.uint8) for _ in range(settings.batch_size)]
    count = (steps + _WARM_UP) * settings.batch_size
    examples = tuple(
        Example(clips[number % len(clips)], _LABELS[number % 2])
        for number in range(count)
    )
    network = build_movinet(variant, mode, 2, labels=_LABELS, frame_size=_SIZE)
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        fine_tune(
            network,
            ExampleSet(_LABELS, examples),
            Path(folder) / "output",
            settings=settings,
            on_step=lambda *_: times.append(time.perf_counter()),
        )
    seconds = float(np.median(np.diff(times)[_WARM_UP - 1 :]))
    return TrainingSpeed(
        network.variant.name,
        mode,
        settings.num_frames,
        _SIZE,
        settings.batch_size,
        settings.batch_size / seconds,
    )
