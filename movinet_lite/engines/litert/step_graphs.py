"""A graph that steps streams: the places of its image, logits and states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.engines.litert.buffers import BufferPools, Slot, StateBuffers
from movinet_lite.engines.litert.graphs import Graph, TensorSpec
from movinet_lite.errors import ModelError
from movinet_lite.network.state_names import canonical_state_name, pair_names

__all__ = ["ONE_FRAME", "Call", "StepGraph"]


@attrs.frozen
class Call:
    """What a graph takes in one call.

    Attributes:
        streams: How many streams.
        frames: How many frames of each.
    """

    streams: int
    frames: int


ONE_FRAME = Call(streams=1, frames=1)


@attrs.frozen
class _Computed:
    """A state that the graph writes: its place, how the next call reads it, and how this one writes it."""

    place: int
    read: TensorSpec
    written: TensorSpec


@attrs.frozen
class _Copied:
    """A state that the graph passes through from another input that stores its numbers in another way, or from the image.

    Attributes:
        place: Its place.
        read: How the next call reads it.
        origin: The place of the other state; `None` for the image.
        stored: How the other input is stored.
    """

    place: int
    read: TensorSpec
    origin: int | None
    stored: TensorSpec


class StepGraph:
    """A graph that steps streams by a fixed number of frames.

    After a call, a state is where the graph wrote it. A state that the graph does not write, since its output is an
    input as it came or since the file leaves it out, is where that input was: nothing is copied.

    Attributes:
        graph: The graph.
        call: What it takes.
        image: Its image.
        logits: Its logits.
        states: Its states, in order.
    """

    def __init__(
        self,
        graph: Graph,
        call: Call,
        source: str,
        *,
        moves: Mapping[str, str] | None = None,
        order: Sequence[str] | None = None,
        pools: BufferPools | None = None,
    ) -> None:
        """Find the places of frames, logits and states.

        Args:
            graph: The graph.
            call: What it takes.
            source: The model, for messages.
            moves: The states that the graph does not give, and which input state each of them is after a call.
            order: The names of the states in the order to hold them; `None` for the graph's own.
            pools: Where to have buffers for states from; `None` for pools of its own.

        Raises:
            ModelError: If the graph is no step of a streaming MoViNet.
        """
        self.graph = graph
        self.call = call
        inputs = {tensor.name: tensor for tensor in graph.inputs}
        outputs = {tensor.name: tensor for tensor in graph.outputs}
        image = _only_image(graph.inputs, call, source)
        logits = _only_logits(graph, image, source)
        self.image, self.logits = inputs[image], outputs[logits]
        _check_meaning(self.image, "image", source)
        _check_meaning(self.logits, "logits", source)
        names = list(order or (name for name in inputs if name != image))
        self.states = tuple(inputs[name] for name in names)
        _check_first_axes(self.states, self.logits, call, source)
        self._pools = (pools or BufferPools()).serve(self.states)
        moves = moves or {}
        given = pair_names(
            [name for name in names if name not in moves],
            [name for name in outputs if name != logits],
            source=source,
            what="the outputs of the model",
        )
        passed = {
            name: graph.passed_through[output]
            for name, output in given.items()
            if output in graph.passed_through
        }
        self._computed = [
            _Computed(names.index(name), inputs[name], outputs[output])
            for name, output in given.items()
            if name not in passed
        ]
        self._moved: list[tuple[int, int]] = []
        self._copied: list[_Copied] = []
        for state in self._computed:
            _check_same_kind(state.read, state.written, source)
        for name, origin in {**moves, **passed}.items():
            place, read, stored = names.index(name), inputs[name], inputs[origin]
            _check_same_kind(read, stored, source)
            if origin == image:
                self._copied.append(_Copied(place, read, None, stored))
            elif read.means_the_same_as(stored):
                self._moved.append((place, names.index(origin)))
            else:
                self._copied.append(_Copied(place, read, names.index(origin), stored))
        self._requantised = [
            state
            for state in self._computed
            if not state.read.means_the_same_as(state.written)
        ]
        self._image_buffer = graph.input_buffer(image)
        # LiteRT wants a buffer for every output. That of one it does not write must be the buffer of the input: it is
        # one tensor, and LiteRT reads it where it was told last.
        self._passed = [[*names, image].index(origin) for origin in passed.values()]
        self._logits_buffer = graph.output_buffer(logits)
        self._input_places = [[*names, image].index(name) for name in inputs]
        results = [given[names[state.place]] for state in self._computed]
        results += [*(given[name] for name in passed), logits]
        self._output_places = [results.index(name) for name in outputs]

    @property
    def frame_size(self) -> FrameSize:
        """The ``(height, width)`` of the frames that it takes."""
        height, width, _ = self.image.shape[-3:]
        return height, width

    def empty(self) -> dict[str, NDArray[Any]]:
        """Return what it stores for streams that have seen no frame."""
        return {tensor.name: tensor.empty() for tensor in self.states}

    def fill(self, stored: Mapping[str, NDArray[Any]]) -> StateBuffers:
        """Return buffers with the states *stored* in them."""
        slots = []
        for place, tensor in enumerate(self.states):
            slot = self._take(place)
            slot.buffer.write(np.ascontiguousarray(stored[tensor.name], tensor.dtype))
            slots.append(slot)
        return StateBuffers(slots, self.call.streams)

    def run(
        self, frames: NDArray[np.float32], buffers: StateBuffers
    ) -> tuple[NDArray[np.float32], StateBuffers]:
        """Return the logits after each frame, ``(frames, classes)``, and buffers with the states after the last.

        Args:
            frames: ``(frames, height, width, 3)`` float32, of all streams.
            buffers: The states before, which stay as they are.

        Raises:
            ModelError: If LiteRT fails.
        """
        slots = buffers.slots
        new_slots = list(slots)
        for new, old in self._moved:
            new_slots[new] = slots[old]
        for state in self._computed:
            new_slots[state.place] = self._take(state.place)
        self._image_buffer.write(self.image.store(frames))
        given = [*(slot.buffer for slot in slots), self._image_buffer]
        taken = [new_slots[state.place].buffer for state in self._computed]
        taken += [*(given[place] for place in self._passed), self._logits_buffer]
        self.graph.run(
            [given[place] for place in self._input_places],
            [taken[place] for place in self._output_places],
        )
        for state in self._requantised:
            buffer = new_slots[state.place].buffer
            _convert(buffer, state.written, buffer, state.read)
        for copied in self._copied:
            new_slots[copied.place] = self._take(copied.place)
            origin = given[-1 if copied.origin is None else copied.origin]
            buffer = new_slots[copied.place].buffer
            _convert(origin, copied.stored, buffer, copied.read)
        logits = self._logits_buffer.read(self.logits.size, self.logits.dtype)
        rows = self.logits.real(logits).reshape(-1, self.logits.shape[-1])
        return rows.astype(np.float32, copy=False), StateBuffers(
            new_slots, self.call.streams
        )

    def _take(self, place: int) -> Slot:
        """Return a buffer for the state at *place*."""
        return self._pools[place].take(self.graph, self.states[place].name)


def _convert(origin: Any, stored: TensorSpec, target: Any, read: TensorSpec) -> None:
    """Write the real values in the buffer *origin* to the buffer *target*, as *read* stores them."""
    real = stored.real(origin.read(stored.size, stored.dtype))
    target.write(read.store(real).reshape(read.shape))


def _only_image(inputs: Sequence[TensorSpec], call: Call, source: str) -> str:
    """Return the name of the one input that is no state."""
    others = [
        tensor
        for tensor in inputs
        if not canonical_state_name(tensor.name).startswith("state")
    ]
    if len(others) != 1 or len(others) == len(inputs):
        what = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in inputs)
        raise ModelError(
            "a streaming MoViNet takes one image and its states; this model takes "
            f"{what or 'nothing'} (a model of whole clips, or of something else?)",
            source,
        )
    image = others[0]
    # Graphs of ours have no axis for time: (frames of all streams, height, width, 3).
    frames_first = (
        len(image.shape) == 4 and image.shape[0] == call.streams * call.frames
    )
    one_frame = len(image.shape) == 5 and image.shape[:2] == (1, 1)
    if not (frames_first or one_frame) or image.shape[-1] != 3:
        raise ModelError(
            "a streaming MoViNet takes an image of shape (1, 1, height, width, 3); "
            f"this one takes {image.shape}",
            source,
        )
    return image.name


def _only_logits(graph: Graph, image: str, source: str) -> str:
    """Return the name of the one output that is no state."""
    meanings = {
        canonical_state_name(tensor.name)
        for tensor in graph.inputs
        if tensor.name != image
    }
    others = [
        tensor.name
        for tensor in graph.outputs
        if canonical_state_name(tensor.name) not in meanings
    ]
    if len(others) != 1:
        raise ModelError(
            f"a streaming MoViNet gives logits and its states; beside the states this model gives {others or 'nothing'}",
            source,
        )
    if others[0] in graph.passed_through:
        raise ModelError(
            f"a streaming MoViNet computes its logits; {others[0]!r} is the input {graph.passed_through[others[0]]!r} as it came",
            source,
        )
    return others[0]


def _check_meaning(tensor: TensorSpec, what: str, source: str) -> None:
    """See that one knows what the numbers of *tensor* stand for."""
    if tensor.dtype.kind in "iu" and not tensor.scale:
        raise ModelError(
            f"whole numbers must say what real ones they stand for, by a scale and a zero point; the {what} of this model, "
            f"{tensor.name!r}, is {tensor.dtype} and says nothing (convert it with inference_input_type float32, or with "
            "quantisation)",
            source,
            received=str(tensor.dtype),
        )


def _check_same_kind(read: TensorSpec, written: TensorSpec, source: str) -> None:
    """See that the next call can read a state where this one leaves it."""
    if (read.shape, read.dtype) != (written.shape, written.dtype):
        raise ModelError(
            f"a state must have the shape and dtype that it had before; {read.name!r} goes in as {read.dtype} {read.shape} "
            f"and comes out as {written.dtype} {written.shape} (is the file damaged?)",
            source,
        )


def _check_first_axes(
    states: Sequence[TensorSpec], logits: TensorSpec, call: Call, source: str
) -> None:
    """See that there is a state of each stream and a row of logits of each frame: LiteRT writes beyond the end of others."""
    for state in states:
        if state.shape and state.shape[0] != call.streams:
            raise ModelError(
                f"a state must have {call.streams} on its first axis, one for each stream; {state.name!r} has shape {state.shape}",
                source,
            )
    rows = call.streams * call.frames
    if not logits.shape or logits.size != rows * logits.shape[-1]:
        raise ModelError(
            f"logits must be of shape ({rows}, classes), one row for each frame; {logits.name!r} has shape {logits.shape}",
            source,
        )
