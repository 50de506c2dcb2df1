"""Models small and exact enough to say what a session must give: no weights, only sums."""

from __future__ import annotations

import numpy as np

from movinet_lite.engines.base import ModelInfo

LABELS = ("red rising", "green rising", "blue rising", "red", "green", "blue")


class FakeStreamModel:
    """Logits that depend on every frame so far and on their order.

    The first three are the colour of the last frame minus that of the frame before; the others the mean colour so far.
    It counts its calls, and fails on a frame that is all white.
    """

    def __init__(self, *, mode="stream", labels=LABELS, frame_size=(8, 6)):
        self.info = ModelInfo(
            source="fake",
            mode=mode,
            engine="fake",
            num_classes=6,
            frame_size=frame_size,
            fps=5.0,
            labels=labels,
        )
        self.calls = 0

    def init_states(self, frame_size):
        """Return the states of a stream that has seen no frame."""
        height, width = frame_size
        return {
            "state/b0/l0/stream_buffer": np.zeros((1, 1, height, width, 3), np.float32),
            "state/head/pool_buffer": np.zeros((1, 1, 1, 1, 3), np.float32),
            "state/head/pool_frame_count": np.zeros((1,), np.int32),
        }

    def step(self, frames, states):
        """Return the logits of each frame, and the states after the last."""
        self.calls += 1
        last = np.array(states["state/b0/l0/stream_buffer"])
        total = np.array(states["state/head/pool_buffer"])
        count = np.array(states["state/head/pool_frame_count"])
        rows = []
        for frame in frames:
            if frame.min() == 1.0:
                raise RuntimeError("the fake model takes no white frame")
            colour = frame.mean(axis=(0, 1))
            total = total + colour
            count = count + 1
            rising = colour - last.mean(axis=(0, 1, 2, 3))
            rows.append(np.concatenate([rising, total.reshape(3) / count]))
            last = frame[np.newaxis, np.newaxis].copy()
        states = {
            "state/b0/l0/stream_buffer": last,
            "state/head/pool_buffer": total.astype(np.float32),
            "state/head/pool_frame_count": count,
        }
        return np.stack(rows).astype(np.float32), states


class FakeClipModel:
    """Logits that depend on every frame of the clip and on their order."""

    def __init__(self, *, mode="base", labels=LABELS, frame_size=(8, 6)):
        self.info = ModelInfo(
            source="fake",
            mode=mode,
            engine="fake",
            num_classes=6,
            frame_size=frame_size,
            fps=5.0,
            labels=labels,
        )
        self.calls = 0

    def predict(self, clips):
        """Return the logits of each clip."""
        self.calls += 1
        colours = clips.mean(axis=(2, 3))  # (clips, frames, 3)
        weights = np.arange(1, colours.shape[1] + 1, dtype=np.float32)[:, np.newaxis]
        return np.concatenate(
            [(colours * weights).sum(axis=1), colours.mean(axis=1)], axis=1
        ).astype(np.float32)
