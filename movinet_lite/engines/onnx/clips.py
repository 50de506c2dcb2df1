"""Runs base models with ONNX Runtime: clips of any length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.feature_models import ClipModelWithFeatures
from movinet_lite.engines.onnx.runtime import OnnxSession

__all__ = ["OnnxClipModel"]


class OnnxClipModel(ClipModelWithFeatures):
    """A base model: whole clips in, logits out."""

    def __init__(self, opened: OnnxSession, info: ModelInfo) -> None:
        """Wrap an open file; prefer `movinet_lite.engines.onnx.opening.load_onnx`."""
        self._open = opened
        super().__init__(info)

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of the file's features; empty for a file without such outputs."""
        return self._open.feature_names

    def predict_with_features(
        self, clips: NDArray[np.float32], names: Sequence[FeatureName]
    ) -> NDArray[np.float32]:
        """Return the result of `predict` with features after the logits; see `FeatureClipModel`."""
        self._open.check_frame_size(clips.shape[2:4])
        wanted = ["logits", *names]
        with self._open.errors():
            rows = [self._open.session.run(wanted, {"image": clip}) for clip in clips]
        return np.concatenate([np.concatenate(parts, axis=1) for parts in rows])
