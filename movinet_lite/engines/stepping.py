"""Steps several streams by a frame each, with any stream model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.engines.base import BatchStreamModel, StreamModel

__all__ = ["step_all", "step_one_by_one"]


def step_all(
    model: StreamModel, frames: NDArray[np.float32], states: list[States]
) -> tuple[NDArray[np.float32], list[States]]:
    """Return the rows and the states of each stream after its frame, from one call if the model supports it.

    The arguments and results are those of `BatchStreamModel.step_many`.
    """
    if isinstance(model, BatchStreamModel):
        return model.step_many(frames, states)
    return step_one_by_one(model, frames, states)


def step_one_by_one(
    model: StreamModel, frames: NDArray[np.float32], states: Sequence[States]
) -> tuple[NDArray[np.float32], list[States]]:
    """Return the result of `step_all`, from one call per stream."""
    steps = [
        model.step(frame[np.newaxis], one)
        for frame, one in zip(frames, states, strict=True)
    ]
    return np.concatenate([rows for rows, _ in steps]), [after for _, after in steps]
