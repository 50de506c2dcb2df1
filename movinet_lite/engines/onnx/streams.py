"""Runs stream models with ONNX Runtime; the states stay on the device.

The file accepts one frame of any number of streams. Streams that stay together share tensors, and nothing is copied
between calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName, FrameSize, States
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.feature_models import StreamModelWithFeatures
from movinet_lite.engines.onnx.runtime import OnnxSession
from movinet_lite.engines.own_states import OwnStates
from movinet_lite.network.onnx_file import NEXT, from_onnx_states, to_onnx_states
from movinet_lite.network.spec import NetworkSpec
from movinet_lite.network.states import (
    from_published_states,
    init_states,
)
from movinet_lite.network.variants import get_variant

__all__ = ["OnnxStreamModel"]


class OnnxStreamModel(StreamModelWithFeatures):
    """A stream model; the caller owns the states."""

    def __init__(self, opened: OnnxSession, info: ModelInfo) -> None:
        """Wrap an open file; prefer `movinet_lite.engines.onnx.opening.load_onnx`."""
        self._open = opened
        super().__init__(info)
        self._states = [
            output.name
            for output in opened.session.get_outputs()
            if output.name.startswith(NEXT)
        ]

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream without frames; see `StreamModel.init_states`.

        Raises:
            ModelError: If *frame_size* is not that of the file.
        """
        self._open.check_frame_size(tuple(frame_size))
        spec = self._open.spec
        empty = init_states(get_variant(spec.variant), 1, frame_size, facts=spec)
        return self._on_device(to_onnx_states(empty))

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of the file's features; empty for a file without such outputs."""
        return self._open.feature_names

    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return the result of `step` with features after the logits; see `FeatureStreamModel`."""
        self._open.check_frame_size(frames.shape[1:3])
        rows = []
        current = self._together([states])
        for frame in frames:
            answers, current = self._run(frame[np.newaxis], current, names)
            rows.append(answers[0])
        return np.stack(rows), current

    def step_many_with_features(
        self,
        frames: NDArray[np.float32],
        states: Sequence[States],
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the result of `step_many` with features after the logits; see `BatchFeatureModel`."""
        self._open.check_frame_size(frames.shape[1:3])
        rows, after = self._run(frames, self._together(states), names)
        lanes = range(len(frames))
        return rows, [
            OnnxStates(after.tensors, lane, self._open.spec) for lane in lanes
        ]

    def _run(
        self,
        frames: NDArray[np.float32],
        states: OnnxStates,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], OnnxStates]:
        """Return logits, features and states of all streams in *states* after one frame of each."""
        session, device = self._open.session, self._open.device
        with self._open.errors():
            # A binding for each call: two threads may step two streams at the same time.
            binding = session.io_binding()
            binding.bind_cpu_input("image", np.ascontiguousarray(frames))
            for name, tensor in states.tensors.items():
                binding.bind_ortvalue_input(name, tensor)
            # Outputs that are not bound are not fetched.
            wanted = ["logits", *names]
            for name in wanted:
                binding.bind_output(name, "cpu")
            for name in self._states:
                binding.bind_output(name, device)
            session.run_with_iobinding(binding)
            given = binding.get_outputs()
            rows = np.concatenate(
                [tensor.numpy() for tensor in given[: len(wanted)]], axis=1
            )
        states_after = zip(self._states, given[len(wanted) :], strict=True)
        tensors = {name.removeprefix(NEXT): tensor for name, tensor in states_after}
        return rows, OnnxStates(tensors, 0, self._open.spec)

    def _together(self, given: Sequence[States]) -> OnnxStates:
        """Return the states of all streams as one batch, in order: their shared tensors, or a copy."""
        first = given[0]
        if (
            isinstance(first, OnnxStates)
            and first.streams == len(given)
            and all(
                isinstance(states, OnnxStates)
                and states.tensors is first.tensors
                and states.lane == place
                for place, states in enumerate(given)
            )
        ):
            return first
        each = [to_onnx_states(self._own(states)) for states in given]
        return self._on_device(
            {name: np.concatenate([one[name] for one in each]) for name in each[0]}
        )

    def _own(self, states: States) -> States:
        if isinstance(states, OnnxStates):
            return states.own
        return from_published_states(states)

    def _on_device(self, states: Mapping[str, NDArray[Any]]) -> OnnxStates:
        import onnxruntime

        tensors = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(value, self._open.device)
            for name, value in states.items()
        }
        return OnnxStates(tensors, 0, self._open.spec)


class OnnxStates(OwnStates):
    """The states of one stream of a batch, converted to the published layout on access.

    Attributes:
        tensors: The tensors of the whole batch, on the device of the execution provider.
        lane: The stream's index in the batch.
    """

    def __init__(
        self, tensors: Mapping[str, Any], lane: int, spec: NetworkSpec
    ) -> None:
        super().__init__(spec)
        self.tensors = tensors
        self.lane = lane

    @property
    def streams(self) -> int:
        """The number of streams in the batch."""
        first: Any = next(iter(self.tensors.values()))
        return int(first.shape()[0])

    @property
    def own(self) -> dict[str, NDArray[Any]]:
        """Return the states of this stream in the network's own layout."""
        lane = slice(self.lane, self.lane + 1)
        stored = {
            name: np.array(tensor.numpy()[lane])
            for name, tensor in self.tensors.items()
        }
        return from_onnx_states(stored, self._spec)
