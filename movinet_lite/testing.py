"""Models without weights, for the tests of applications.

They compute sums of colours: tiny, deterministic, and exact enough to say what a session must give. Give one to a
classifier in the place of a real model, and everything else is the library's own code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States
from movinet_lite.engines.base import ModelInfo
from movinet_lite.labels import check_labels
from movinet_lite.network.variants import Mode

__all__ = ["LABELS", "FakeClipModel", "FakeStreamModel"]

LABELS: Final = (
    "red rising",
    "green rising",
    "blue rising",
    "red",
    "green",
    "blue",
)
"""The classes of the fake models, in the order of their logits."""

_LAST: Final = "state/b0/l0/stream_buffer"
_SUM: Final = "state/head/pool_buffer"
_COUNT: Final = "state/head/pool_frame_count"


class _FakeModel:
    """A model of six classes that says what it is told to say."""

    _mode: ClassVar[Mode]

    def __init__(
        self,
        *,
        labels: Sequence[str] | None = LABELS,
        frame_size: FrameSize = (8, 6),
        fps: float | None = 5.0,
    ) -> None:
        self.info = ModelInfo(
            source="fake",
            mode=self._mode,
            engine="fake",
            num_classes=len(LABELS),
            frame_size=frame_size,
            fps=fps,
            labels=None if labels is None else check_labels(labels, len(LABELS)),
        )
        self.calls = 0


class FakeStreamModel(_FakeModel):
    """A stream model whose logits depend on every frame so far and on their order.

    The first three logits are the mean red, green and blue (0 to 1) of the last frame minus those of the frame before;
    the other three the means over all frames so far. Its states have published names.

    Args:
        labels: Six names of classes; `None` for a model that does not know them.
        frame_size: The ``(height, width)`` that it says it was trained on.
        fps: The frames per second that it says it was trained on.

    Attributes:
        info: What the model says of itself.
        calls: How often `step` or `predict` was called.

    Example:
        >>> import numpy as np
        >>> from movinet_lite import StreamingClassifier
        >>> session = StreamingClassifier(FakeStreamModel())
        >>> green = np.full((8, 6, 3), (0, 255, 0), np.uint8)
        >>> session.step(green).logits.tolist()
        [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
        >>> session.step(green).label
        'green'
    """

    _mode = "stream"

    def init_states(self, frame_size: FrameSize) -> dict[str, NDArray[Any]]:
        """Return the states of a stream that has seen no frame; see `StreamModel.init_states`."""
        height, width = frame_size
        return {
            _LAST: np.zeros((1, 1, height, width, 3), np.float32),
            _SUM: np.zeros((1, 1, 1, 1, 3), np.float32),
            _COUNT: np.zeros((1,), np.int32),
        }

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`."""
        self.calls += 1
        colours = frames.mean(axis=(1, 2))
        before = states[_LAST].mean(axis=(1, 2, 3))
        rising = np.diff(colours, axis=0, prepend=before)
        # One addition a frame, in their order: so a call for many frames gives what many calls give, bit for bit.
        sums = np.cumsum(np.concatenate([states[_SUM].reshape(1, 3), colours]), axis=0)[
            1:
        ]
        counts = states[_COUNT] + np.arange(1, len(frames) + 1, dtype=np.int32)
        logits = np.concatenate([rising, sums / counts[:, np.newaxis]], axis=1)
        return logits.astype(np.float32), {
            _LAST: frames[-1:][np.newaxis].copy(),
            _SUM: sums[-1].reshape(1, 1, 1, 1, 3).astype(np.float32),
            _COUNT: counts[-1:],
        }


class FakeClipModel(_FakeModel):
    """A base model whose logits depend on every frame of the clip and on their order.

    The first three logits are the sums of the mean red, green and blue (0 to 1) of the frames, each times the number of
    the frame, from 1; the other three their means over the clip. The arguments and attributes are those of
    `FakeStreamModel`.

    Example:
        >>> import numpy as np
        >>> from movinet_lite import BaseClassifier
        >>> clip = np.full((2, 8, 6, 3), (0, 0, 255), np.uint8)
        >>> BaseClassifier(FakeClipModel()).predict(clip).logits.tolist()
        [0.0, 0.0, 3.0, 0.0, 0.0, 1.0]
    """

    _mode = "base"

    def predict(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of each clip; see `ClipModel.predict`."""
        self.calls += 1
        colours = clips.mean(axis=(2, 3))  # (clips, frames, 3)
        numbers = np.arange(1, colours.shape[1] + 1, dtype=np.float32)
        logits = np.concatenate(
            [(colours * numbers[:, np.newaxis]).sum(axis=1), colours.mean(axis=1)],
            axis=1,
        )
        return logits.astype(np.float32, copy=False)
