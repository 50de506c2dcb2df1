"""Base classes of models that return features in the same call as the logits.

A call without features is that call, with none requested.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName, States
from movinet_lite.engines.base import ModelInfo

__all__ = ["ClipModelWithFeatures", "ModelWithFeatures", "StreamModelWithFeatures"]


class ModelWithFeatures(ABC):
    """The facts and the features of a model."""

    def __init__(self, info: ModelInfo) -> None:
        self._info = info

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    @property
    @abstractmethod
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of its features; empty for none."""


class ClipModelWithFeatures(ModelWithFeatures):
    """A base model: whole clips in, logits out."""

    def predict(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of each clip; see `ClipModel.predict`.

        Raises:
            ModelError: If the frames do not have the size of the model, or the runtime fails.
        """
        return self.predict_with_features(clips, ())

    @abstractmethod
    def predict_with_features(
        self, clips: NDArray[np.float32], names: Sequence[FeatureName]
    ) -> NDArray[np.float32]:
        """Return the result of `predict` with features after the logits; see `FeatureClipModel`."""


class StreamModelWithFeatures(ModelWithFeatures):
    """A stream model that steps one stream by several frames, or several streams by a frame each."""

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`.

        Raises:
            ModelError: If the frames do not have the size of the model, or the runtime fails.
            SessionError: If *states* do not belong to this model.
        """
        return self.step_with_features(frames, states, ())

    @abstractmethod
    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return the result of `step` with features after the logits; see `FeatureStreamModel`."""

    def step_many(
        self, frames: NDArray[np.float32], states: Sequence[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the logits and the states of each stream after its frame; see `BatchStreamModel.step_many`.

        Raises:
            ModelError: As in `step`.
            SessionError: As in `step`.
        """
        return self.step_many_with_features(frames, states, ())

    @abstractmethod
    def step_many_with_features(
        self,
        frames: NDArray[np.float32],
        states: Sequence[States],
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the result of `step_many` with features after the logits; see `BatchFeatureModel`."""
