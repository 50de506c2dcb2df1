"""The learning rate schedule and the class weights (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "balanced_weights",
    "frame_weights",
    "learning_rate_at",
    "norm_momentum_for",
]


def learning_rate_at(
    step: int, *, peak: float, warmup_steps: int, num_steps: int
) -> float:
    """Return the learning rate of a step: it rises linearly to *peak*, then falls to 0 along half a cosine [1].

    Args:
        step: Index of the step, from 0.
        peak: The largest learning rate.
        warmup_steps: Number of warm-up steps.
        num_steps: Number of training steps.

    Example:
        >>> [round(learning_rate_at(i, peak=1.0, warmup_steps=2, num_steps=6), 2) for i in range(6)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]

    References:
        [1] I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
            arXiv:1608.03983, equation 5, with one period.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def balanced_weights(counts: Sequence[int]) -> NDArray[np.float32]:
    """Return a weight for the examples of each class that gives all classes equal total weight.

    Args:
        counts: Number of examples per class, at least 1.

    Returns:
        ``(classes,)`` float32; the mean over all examples is 1.

    Example:
        >>> balanced_weights([30, 10, 20]).tolist()[1:]
        [2.0, 1.0]
    """
    numbers = np.asarray(counts, np.float64)
    return (numbers.sum() / (len(numbers) * numbers)).astype(np.float32)


def frame_weights(
    num_frames: int, *, first: int = 1, last: int | None = None
) -> NDArray[np.float32]:
    """Return the training weights of the predictions after each frame of a stream, which grow with the frames seen.

    A stream model predicts after every frame, so every prediction is trained. The first predictions of a clip have
    little evidence and small weights. From a full clip length on, the weight is constant.

    Args:
        num_frames: Number of frames of a clip.
        first: The first frame of the stream with a weight, from 1.
        last: The last frame with a weight; `None` for the last frame of a clip that starts at *first*.

    Returns:
        ``(frames,)`` float32; the sum is 1.

    Example:
        >>> [round(float(weight), 2) for weight in frame_weights(4)]
        [0.1, 0.2, 0.3, 0.4]
    """
    end = first + num_frames if last is None else last + 1
    seen = np.arange(first, end, dtype=np.float64)
    rising = np.minimum(seen, num_frames)
    return (rising / rising.sum()).astype(np.float32)


def norm_momentum_for(num_steps: int, *, usual: float) -> float:
    """Return the batch-norm momentum for a training run of this length.

    The usual momentum averages over about the last 1 / (1 - *usual*) steps. In a short run the statistics would lag
    behind the weights until the end: accuracy would be high on the training batches and low in inference, which uses
    the statistics. The average therefore covers at most a tenth of the run.

    Args:
        num_steps: Number of training steps.
        usual: The momentum for long runs, at least 0 and below 1.

    Example:
        >>> norm_momentum_for(200, usual=0.99), norm_momentum_for(5000, usual=0.99)
        (0.95, 0.99)
    """
    return max(0.0, min(usual, 1.0 - 10.0 / num_steps))
