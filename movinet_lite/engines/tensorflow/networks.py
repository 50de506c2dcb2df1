"""Runs the network of a ``.safetensors`` file with TensorFlow.

A stream steps by any number of frames in one call. Its states stay TensorFlow's, in the network's own layout; who looks at
them sees the layout of the models on TF Hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.tensorflow.saved_models import foreign_errors
from movinet_lite.network.spec import NetworkSpec
from movinet_lite.network.states import (
    FRAME_COUNT,
    from_published_states,
    state_shapes,
    to_published_states,
)
from movinet_lite.network.variants import get_variant

__all__ = ["NetworkClipModel", "NetworkStreamModel", "as_model"]


def as_model(network: Any, source: str) -> NetworkClipModel | NetworkStreamModel:
    """Return an engine's model that runs *network*, a `Movinet`."""
    if network.spec.mode == "base":
        return NetworkClipModel(network, source)
    return NetworkStreamModel(network, source)


class NetworkClipModel:
    """A base model: whole clips in, logits out."""

    def __init__(self, network: Any, source: str) -> None:
        """Take a `Movinet` of mode ``base``."""
        from movinet_lite.network.tensorflow import tf

        self._info = ModelInfo.of(network.spec, source, "tensorflow")
        clips = tf.TensorSpec([None, None, None, None, 3], tf.float32)
        self._run = tf.function(network.call, input_signature=[clips], autograph=False)

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


class NetworkStreamModel:
    """A stream model: frames in, one or several a call, with the states that the caller keeps."""

    def __init__(self, network: Any, source: str) -> None:
        """Take a `Movinet` of mode ``stream``."""
        from movinet_lite.network.tensorflow import tf

        self._network = network
        self._info = ModelInfo.of(network.spec, source, "tensorflow")
        self._step = tf.function(
            network.step, input_signature=_step_signature(network), autograph=False
        )

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream that has seen no frame; see `StreamModel.init_states`."""
        return self._show(self._network.init_states(1, frame_size))

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`."""
        from movinet_lite.network.tensorflow import tf

        own = (
            states.own
            if isinstance(states, NetworkStates)
            else from_published_states(states)
        )
        with foreign_errors(tf, "the frame or the states", self._info.source):
            logits, new = self._step(tf.constant(frames[np.newaxis]), own)
        rows: NDArray[np.float32] = logits.numpy()[0]
        return rows, self._show(new)

    def _show(self, own: Mapping[str, Any]) -> NetworkStates:
        return NetworkStates(own, self._network.spec)


class NetworkStates(Mapping[str, NDArray[Any]]):
    """States of a network of ours, shown in the published layout when someone reads one.

    Attributes:
        own: The states as the network keeps them, TensorFlow's or numpy's.
    """

    def __init__(self, own: Mapping[str, Any], spec: NetworkSpec) -> None:
        self.own = own
        self._spec = spec
        self._shown: dict[str, NDArray[Any]] | None = None

    def _show(self) -> dict[str, NDArray[Any]]:
        if self._shown is None:
            self._shown = to_published_states(
                self.own,
                get_variant(self._spec.variant),
                positional_encoding=self._spec.positional_encoding,
            )
        return self._shown

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one state as an array of its own: that of TensorFlow may be its very memory."""
        return np.array(self._show()[name])

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._show())

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self._show())


def _step_signature(network: Any) -> list[Any]:
    """Return what a step takes, sizes left open: TensorFlow takes seconds to prepare for each new one."""
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
