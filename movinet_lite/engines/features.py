"""Reads the pooled output of the backbone from the states of a stream, on whichever engine."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.errors import ModelError
from movinet_lite.network.state_names import canonical_state_name

__all__ = ["pooled_features"]

_SUM: Final = "state/head/pool_buffer"
_COUNT: Final = "state/head/pool_frame_count"


def pooled_features(states: States, source: str = "") -> NDArray[np.float32]:
    """Return the pooled output of the backbone: its mean over space and over all frames that the stream looks back on.

    It is what the hidden layer of the model takes. The states of every published stream model hold it as a sum and a count.

    Args:
        states: After at least one frame.
        source: What to call the model in messages.

    Returns:
        ``(channels,)``, float32: 480 of A0, 600 of A1, 640 of A2 and larger.

    Raises:
        ModelError: If the states hold no such sum, as those of a model with a transformer, or count no frame.
    """
    named = {canonical_state_name(name): name for name in states}
    if _SUM not in named or _COUNT not in named:
        raise ModelError(
            f"a model that gives features must keep {_SUM!r} and {_COUNT!r} in its states; this one does not",
            source,
        )
    count = float(np.asarray(states[named[_COUNT]]).reshape(-1)[0])
    if count < 1:
        raise ModelError("features need at least one frame; got none", source)
    total = np.asarray(states[named[_SUM]], np.float64).reshape(-1)
    return (total / count).astype(np.float32)
