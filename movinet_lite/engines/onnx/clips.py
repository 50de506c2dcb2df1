"""Runs base models with ONNX Runtime: clips of any length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.onnx.runtime import OnnxSession

__all__ = ["OnnxClipModel"]


class OnnxClipModel:
    """A base model: whole clips in, logits out."""

    def __init__(self, opened: OnnxSession, info: ModelInfo) -> None:
        """Take a file that is open; prefer `movinet_lite.engines.onnx.opening.load_onnx`."""
        self._open = opened
        self._info = info

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    def predict(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of each clip; see `ClipModel.predict`.

        Raises:
            ModelError: If the frames are not of the one size that the file takes, or ONNX Runtime fails.
        """
        self._open.check_frame_size(clips.shape[2:4])
        with self._open.errors():
            return np.concatenate(
                [
                    self._open.session.run(["logits"], {"image": clip})[0]
                    for clip in clips
                ]
            )
