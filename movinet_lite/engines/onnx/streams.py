"""Runs stream models with ONNX Runtime; the states stay on the device.

The file takes one frame of any number of streams. Streams that stay together share tensors, and nothing is copied between
calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.onnx.runtime import OnnxSession
from movinet_lite.network.onnx_file import NEXT, from_onnx_states, to_onnx_states
from movinet_lite.network.spec import NetworkSpec
from movinet_lite.network.states import (
    from_published_states,
    init_states,
    to_published_states,
)
from movinet_lite.network.variants import get_variant

__all__ = ["OnnxStreamModel"]


class OnnxStreamModel:
    """A stream model: frames in, with the states that the caller keeps."""

    def __init__(self, opened: OnnxSession, info: ModelInfo) -> None:
        """Take a file that is open; prefer `movinet_lite.engines.onnx.opening.load_onnx`."""
        self._open = opened
        self._info = info
        self._outputs = [output.name for output in opened.session.get_outputs()]

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream that has seen no frame; see `StreamModel.init_states`.

        Raises:
            ModelError: If *frame_size* is not the one that the file takes.
        """
        self._open.check_frame_size(tuple(frame_size))
        variant = get_variant(self._open.spec.variant)
        return self._on_device(to_onnx_states(init_states(variant, 1, frame_size)))

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`.

        Raises:
            ModelError: If the frames are not of the one size that the file takes, or ONNX Runtime fails.
            SessionError: If *states* are none of this model.
        """
        self._open.check_frame_size(frames.shape[1:3])
        rows = []
        current = self._together([states])
        for frame in frames:
            logits, current = self._run(frame[np.newaxis], current)
            rows.append(logits[0])
        return np.stack(rows), current

    def step_many(
        self, frames: NDArray[np.float32], states: Sequence[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the logits and the states of each stream after its frame; see `BatchStreamModel.step_many`.

        Raises:
            ModelError: As `step`.
            SessionError: As `step`.
        """
        self._open.check_frame_size(frames.shape[1:3])
        logits, after = self._run(frames, self._together(states))
        lanes = range(len(frames))
        return logits, [
            OnnxStates(after.tensors, lane, self._open.spec) for lane in lanes
        ]

    def _run(
        self, frames: NDArray[np.float32], states: OnnxStates
    ) -> tuple[NDArray[np.float32], OnnxStates]:
        """Return the logits and the states of all streams in *states* after one frame of each."""
        session, device = self._open.session, self._open.device
        with self._open.errors():
            # A binding for each call: two threads may step two streams at once.
            binding = session.io_binding()
            binding.bind_cpu_input("image", np.ascontiguousarray(frames))
            for name, tensor in states.tensors.items():
                binding.bind_ortvalue_input(name, tensor)
            for name in self._outputs:
                binding.bind_output(name, "cpu" if name == "logits" else device)
            session.run_with_iobinding(binding)
            given = dict(zip(self._outputs, binding.get_outputs(), strict=True))
        logits: NDArray[np.float32] = given.pop("logits").numpy()
        tensors = {name.removeprefix(NEXT): tensor for name, tensor in given.items()}
        return logits, OnnxStates(tensors, 0, self._open.spec)

    def _together(self, given: Sequence[States]) -> OnnxStates:
        """Return states of all streams in one batch, in order: those they share already, or a copy."""
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
            return states.own()
        return from_published_states(states)

    def _on_device(self, states: Mapping[str, NDArray[Any]]) -> OnnxStates:
        import onnxruntime

        tensors = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(value, self._open.device)
            for name, value in states.items()
        }
        return OnnxStates(tensors, 0, self._open.spec)


class OnnxStates(Mapping[str, NDArray[Any]]):
    """The states of one stream of a batch, shown in the published layout when someone reads one.

    Attributes:
        tensors: The tensors of the whole batch, where the execution provider keeps them.
        lane: The stream's place in the batch.
    """

    def __init__(
        self, tensors: Mapping[str, Any], lane: int, spec: NetworkSpec
    ) -> None:
        self.tensors = tensors
        self.lane = lane
        self._spec = spec
        self._shown: dict[str, NDArray[Any]] | None = None

    @property
    def streams(self) -> int:
        """The number of streams in the batch."""
        first: Any = next(iter(self.tensors.values()))
        return int(first.shape()[0])

    def own(self) -> dict[str, NDArray[Any]]:
        """Return the states of this stream in the network's own layout."""
        lane = slice(self.lane, self.lane + 1)
        stored = {
            name: np.array(tensor.numpy()[lane])
            for name, tensor in self.tensors.items()
        }
        return from_onnx_states(stored, self._spec)

    def _show(self) -> dict[str, NDArray[Any]]:
        if self._shown is None:
            self._shown = to_published_states(
                self.own(),
                get_variant(self._spec.variant),
                positional_encoding=self._spec.positional_encoding,
            )
        return self._shown

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one state, as an array of the caller's own."""
        return np.array(self._show()[name])

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._show())

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self._show())
