"""The check that a converted model reproduces its source's logits: the test clip and the tolerances.

Whoever imports, compiles or exports a model compares logits here, and nowhere else.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COMPILED_TOLERANCE",
    "IMPORT_TOLERANCE",
    "PROBE_FRAMES",
    "PROBE_SIZE",
    "QUANTISED_TOLERANCE",
    "SLIGHT_CHANGE",
    "agrees",
    "largest_difference",
    "probe_clip",
    "slightly_changed",
]

IMPORT_TOLERANCE: Final = 1e-3
"""Of a network from the SavedModel whose weights it has, over the largest logit: two programs that round otherwise, the
Model Garden's and ours. The two hard gates differ by some hundredths."""

COMPILED_TOLERANCE: Final = 1e-4
"""Of what is compiled or exported in float32 from the network it was made from: one program, other kernels."""

QUANTISED_TOLERANCE: Final = 0.5
"""Of what is quantised; more leaves nothing of what the model says."""

SLIGHT_CHANGE: Final = 1e-7
"""About what rounding to float32 does to a number, as a part of it: half a unit in the last place is up to 6e-8."""

# Odd and not square, since padding shows its mistakes there; more frames than the longest kernel in time, which is 5.
PROBE_FRAMES: Final = 6
PROBE_SIZE: Final = (75, 66)
_CELL: Final = (
    11  # pixels; coarse squares survive the strides, fine noise would average out
)


def probe_clip(
    frames: int = PROBE_FRAMES,
    height: int = PROBE_SIZE[0],
    width: int = PROBE_SIZE[1],
) -> NDArray[np.float32]:
    """Return a clip that is always the same and whose frames all differ.

    Returns:
        ``(1, frames, height, width, 3)`` float32, 0 to 1.
    """
    cells = (-(-height // _CELL), -(-width // _CELL))
    values = np.random.default_rng(0).random((frames, *cells, 3), np.float32)
    pixels = values.repeat(_CELL, axis=1).repeat(_CELL, axis=2)
    return pixels[np.newaxis, :, :height, :width]


def largest_difference(got: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference over the largest absolute value of *expected*; infinite if shapes differ."""
    if got.shape != expected.shape:
        return float("inf")
    # In float64: in float32, the largest number over one below 1 overflows, with a warning.
    difference = np.abs(got.astype(np.float64) - expected).max()
    with np.errstate(divide="ignore", invalid="ignore"):  # of logits that are all 0
        return float(difference / np.abs(expected).max())


def slightly_changed(clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return *clip* with each number larger or smaller by `SLIGHT_CHANGE` of itself.

    How far logits move then is how well they can be compared at all.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], clip.shape)
    return (clip * (1.0 + SLIGHT_CHANGE * signs)).astype(np.float32)


def agrees(difference: float, tolerance: float) -> bool:
    """Return whether *difference* is within *tolerance*; one that is no number is not."""
    return bool(difference <= tolerance)  # false for NaN
