"""The frequencies of the positional encoding. Needs no TensorFlow.

References:
    [1] A. Vaswani et al., "Attention Is All You Need", NIPS 2017, arXiv:1706.03762, section 3.5.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["position_frequencies"]

_LONGEST_WAVE: Final = 10_000.0  # [1]


def position_frequencies(channels: int) -> NDArray[np.float32]:
    """Return the frequencies of the positional encoding [1], ``(channels / 2,)``, in radians a frame."""
    exponents = np.arange(0, channels, 2, dtype=np.float32) / np.float32(channels)
    return 1.0 / np.power(np.float32(_LONGEST_WAVE), exponents)
