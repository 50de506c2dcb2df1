"""Runs the network of a ``.safetensors`` file with TensorFlow.

A stream steps by any number of frames in one call. Its states remain TensorFlow tensors in the network's own layout,
and are converted to the layout of the models on TF Hub on access.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName, FrameSize, States
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.own_states import OwnStates
from movinet_lite.engines.tensorflow.raising import foreign_errors
from movinet_lite.network.spec import NetworkSpec
from movinet_lite.network.states import (
    FRAME_COUNT,
    from_published_states,
    state_shapes,
)

__all__ = ["NetworkClipModel", "NetworkStreamModel", "as_model"]


def as_model(network: Any, source: str) -> NetworkClipModel | NetworkStreamModel:
    """Return an engine's model that runs *network*, a `Movinet`."""
    if network.spec.mode == "base":
        return NetworkClipModel(network, source)
    return NetworkStreamModel(network, source)


class NetworkClipModel:
    """A base model: whole clips in, logits out."""

    def __init__(self, network: Any, source: str) -> None:
        """Wrap a `Movinet` of mode ``base``."""
        from movinet_lite.network.tensorflow import tf

        self._info = ModelInfo.of(network.spec, source, "tensorflow")
        clips = tf.TensorSpec([None, None, None, None, 3], tf.float32)
        self._run = tf.function(network.call, input_signature=[clips], autograph=False)
        self._run_with_features = tf.function(  # traced on first use
            network.call_with_features, input_signature=[clips], autograph=False
        )
        self._feature_names: tuple[FeatureName, ...] = network.head.feature_names

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    def predict(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of each clip; see `ClipModel.predict`."""
        from movinet_lite.network.tensorflow import tf

        with foreign_errors(tf, "the clip", self._info.source):
            logits: NDArray[np.float32] = self._run(tf.constant(clips)).numpy()
        return logits

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of its features."""
        return self._feature_names

    def predict_with_features(
        self, clips: NDArray[np.float32], names: Sequence[FeatureName]
    ) -> NDArray[np.float32]:
        """Return the result of `predict` with features after the logits; see `FeatureClipModel`."""
        from movinet_lite.network.tensorflow import tf

        with foreign_errors(tf, "the clip", self._info.source):
            logits, features = self._run_with_features(tf.constant(clips))
        return np.concatenate(
            [logits.numpy(), *(features[name].numpy() for name in names)], axis=1
        )


class NetworkStreamModel:
    """A stream model for one or several frames per call; the caller owns the states."""

    def __init__(self, network: Any, source: str) -> None:
        """Wrap a `Movinet` of mode ``stream``."""
        from movinet_lite.network.tensorflow import tf

        self._network = network
        self._info = ModelInfo.of(network.spec, source, "tensorflow")
        signature = _step_signature(network)
        self._step = tf.function(
            network.step, input_signature=signature, autograph=False
        )
        self._step_with_features = tf.function(  # traced on first use
            network.step_with_features, input_signature=signature, autograph=False
        )
        self._feature_names: tuple[FeatureName, ...] = network.head.feature_names

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream without frames; see `StreamModel.init_states`."""
        return self._show(self._network.init_states(1, frame_size))

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`."""
        from movinet_lite.network.tensorflow import tf

        with foreign_errors(tf, "the frame or the states", self._info.source):
            logits, new = self._step(tf.constant(frames[np.newaxis]), _own(states))
        rows: NDArray[np.float32] = logits.numpy()[0]
        return rows, self._show(new)

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of its features."""
        return self._feature_names

    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return the result of `step` with features after the logits; see `FeatureStreamModel`."""
        from movinet_lite.network.tensorflow import tf

        with foreign_errors(tf, "the frame or the states", self._info.source):
            logits, new, features = self._step_with_features(
                tf.constant(frames[np.newaxis]), _own(states)
            )
        parts = [logits, *(features[name] for name in names)]
        rows = np.concatenate([part.numpy()[0] for part in parts], axis=1)
        return rows, self._show(new)

    def _show(self, own: Mapping[str, Any]) -> NetworkStates:
        return NetworkStates(own, self._network.spec)


def _own(states: States) -> Mapping[str, Any]:
    """Return *states* in the network's own layout."""
    if isinstance(states, NetworkStates):
        return states.own
    return from_published_states(states)


class NetworkStates(OwnStates):
    """States of a network of this package, as TensorFlow tensors."""

    def __init__(self, own: Mapping[str, Any], spec: NetworkSpec) -> None:
        super().__init__(spec)
        self._own = own

    @property
    def own(self) -> Mapping[str, Any]:
        """The states in the network's layout, as TensorFlow tensors or numpy arrays."""
        return self._own


def _step_signature(network: Any) -> list[Any]:
    """Return the input signature of a step, with variable sizes: retracing for a new size takes seconds."""
    from movinet_lite.network.tensorflow import tf

    states = {}
    shapes = state_shapes(network.variant, 1, (1, 1), facts=network.spec)
    for name, (_, *rest) in shapes.items():
        shape: list[int | None] = [1, *rest]
        if name.endswith("stream_buffer"):
            shape[2:4] = [None, None]
        states[name] = tf.TensorSpec(
            shape, tf.int32 if name == FRAME_COUNT else tf.float32
        )
    return [tf.TensorSpec([1, None, None, None, 3], tf.float32), states]
