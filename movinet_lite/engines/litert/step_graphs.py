"""Steps streams with a LiteRT graph: finds its image, logits and states, and passes states on from call to call."""

from __future__ import annotations

import itertools
import operator
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FEATURE_NAMES, FeatureName, FrameSize
from movinet_lite.engines.litert.buffers import BufferPools, Slot, StateBuffers
from movinet_lite.engines.litert.graphs import Buffer, Graph, TensorSpec
from movinet_lite.errors import ModelError
from movinet_lite.network.state_names import canonical_state_name, pair_names

__all__ = ["ONE_FRAME", "Call", "StepGraph"]


@attrs.frozen
class Call:
    """The frames that a graph accepts in one call.

    Attributes:
        streams: The number of streams.
        frames: The number of frames of each stream.
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
    """A state that the graph passes through from the image, or from another input with another scale.

    Attributes:
        place: Its place.
        read: How the next call reads it.
        origin: The place of the other state; `None` for the image.
        stored: The spec of the other input.
    """

    place: int
    read: TensorSpec
    origin: int | None
    stored: TensorSpec


class StepGraph:
    """A graph that steps streams by a fixed number of frames.

    After a call, a state is in the buffer that the graph wrote. A state that the graph does not write, because its output
    is an unchanged input or is missing in the file, is in the buffer of that input, so nothing is copied.

    Attributes:
        graph: The graph.
        call: The frames that it accepts.
        image: The spec of its image.
        logits: The spec of its logits.
        features: The specs of its features by name; see `movinet_lite.engines.features`.
        groups: The names of its states; those of a group are written and passed on together.
        states: Its states, group by group.
    """

    def __init__(
        self,
        graph: Graph,
        call: Call,
        source: str,
        *,
        moves: Mapping[str, str] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        pools: BufferPools | None = None,
    ) -> None:
        """Find the places of frames, logits and states.

        Args:
            graph: The graph.
            call: The frames that it accepts.
            source: The name of the model, for messages.
            moves: The states that the graph does not return, each with the input state that it is after a call.
            groups: The names of the states, grouped as in another graph of this model; `None` to group them as this graph
                passes them on.
            pools: The pools of buffers for states; `None` for new ones.

        Raises:
            ModelError: If the graph is not a step of a streaming MoViNet.
        """
        self.graph = graph
        self.call = call
        inputs = {tensor.name: tensor for tensor in graph.inputs}
        outputs = {tensor.name: tensor for tensor in graph.outputs}
        image = _only_image(graph.inputs, call, source)
        logits = _only_logits(graph, image, source)
        self.image, self.logits = inputs[image], outputs[logits]
        self.features = {
            name: outputs[name] for name in FEATURE_NAMES if name in outputs
        }
        _check_meaning(self.image, "image", source)
        _check_meaning(self.logits, "logits", source)
        names = [name for name in inputs if name != image]
        moves = moves or {}
        given = pair_names(
            [name for name in names if name not in moves],
            [name for name in outputs if name not in {logits, *self.features}],
            source=source,
            what="the outputs of the model",
        )
        passed = {
            name: graph.passed_through[output]
            for name, output in given.items()
            if output in graph.passed_through
        }
        moved = {
            name: origin
            for name, origin in {**moves, **passed}.items()
            if origin != image and inputs[name].means_the_same_as(inputs[origin])
        }
        self.groups = tuple(map(tuple, groups or _group(names, moved)))
        names = list(itertools.chain.from_iterable(self.groups))
        self.states = tuple(inputs[name] for name in names)
        rows = (self.logits, *self.features.values())
        _check_first_axes(self.states, rows, call, source)
        self._pools = (pools or BufferPools()).serve(
            [[inputs[name] for name in group] for group in self.groups]
        )
        self._moved = _moves_of_groups(self.groups, moved)
        self._written = [
            place for place in range(len(self.groups)) if place not in dict(self._moved)
        ]
        in_moved = {name for place, _ in self._moved for name in self.groups[place]}
        self._computed = [
            _Computed(names.index(name), inputs[name], outputs[output])
            for name, output in given.items()
            if name not in passed
        ]
        for state in self._computed:
            _check_same_kind(state.read, state.written, source)
        self._copied: list[_Copied] = []
        for name, origin in {**moves, **passed}.items():
            place, read, stored = names.index(name), inputs[name], inputs[origin]
            _check_same_kind(read, stored, source)
            if name not in in_moved:
                where = None if origin == image else names.index(origin)
                self._copied.append(_Copied(place, read, where, stored))
        self._requantised = [
            state
            for state in self._computed
            if not state.read.means_the_same_as(state.written)
        ]
        self._image_buffer = graph.input_buffer(image)
        self._logits_buffer = graph.output_buffer(logits)
        self._feature_buffers = {
            name: graph.output_buffer(name) for name in self.features
        }
        # Places among the states before the call, the image, the states after it, the logits and the features.
        before = [*names, image]
        self._inputs_of = operator.itemgetter(*(before.index(name) for name in inputs))
        # LiteRT needs a buffer for every output. For an output that it does not write, this must be the buffer of the
        # input: both are one tensor, and LiteRT reads it from the buffer that was set last.
        after = {
            given[names[state.place]]: len(before) + state.place
            for state in self._computed
        }
        after |= {given[name]: before.index(origin) for name, origin in passed.items()}
        for place, name in enumerate((logits, *self.features)):
            after[name] = len(before) + len(names) + place
        self._outputs_of = operator.itemgetter(*(after[name] for name in outputs))

    @property
    def frame_size(self) -> FrameSize:
        """The ``(height, width)`` of its frames."""
        height, width, _ = self.image.shape[-3:]
        return height, width

    def empty(self) -> dict[str, NDArray[Any]]:
        """Return the stored states of streams without frames."""
        return {tensor.name: tensor.empty() for tensor in self.states}

    def fill(self, stored: Mapping[str, NDArray[Any]]) -> StateBuffers:
        """Return buffers with the *stored* states."""
        slots = [self._take(place) for place in range(len(self.groups))]
        buffers = StateBuffers(slots, self.call.streams)
        for tensor, buffer in zip(self.states, buffers.in_order(), strict=True):
            buffer.write(np.ascontiguousarray(stored[tensor.name], tensor.dtype))
        return buffers

    def run(
        self,
        frames: NDArray[np.float32],
        buffers: StateBuffers,
        features: Sequence[FeatureName] = (),
    ) -> tuple[NDArray[np.float32], StateBuffers]:
        """Return the logits after each frame, ``(frames, classes)``, and buffers with the states after the last.

        Args:
            frames: ``(frames, height, width, 3)`` float32, of all streams.
            buffers: The states before the call, which are not changed.
            features: The features to return after the logits of each row; the graph must have them.

        Raises:
            ModelError: If LiteRT fails.
        """
        slots = buffers.slots
        new_slots = list(slots)
        for new, old in self._moved:
            new_slots[new] = slots[old]
        for place in self._written:
            new_slots[place] = self._take(place)
        after = StateBuffers(new_slots, self.call.streams)
        self._image_buffer.write(self.image.store(frames))
        given, written = buffers.in_order(), after.in_order()
        every = [
            *given,
            self._image_buffer,
            *written,
            self._logits_buffer,
            *self._feature_buffers.values(),
        ]
        self.graph.run(self._inputs_of(every), self._outputs_of(every))
        for state in self._requantised:
            buffer = written[state.place]
            _convert(buffer, state.written, buffer, state.read)
        for copied in self._copied:
            origin = (
                self._image_buffer if copied.origin is None else given[copied.origin]
            )
            _convert(origin, copied.stored, written[copied.place], copied.read)
        rows = _rows_in(self._logits_buffer, self.logits)
        if features:
            wanted = [
                _rows_in(self._feature_buffers[name], self.features[name])
                for name in features
            ]
            rows = np.concatenate([rows, *wanted], axis=1)
        return rows, after

    def _take(self, place: int) -> Slot:
        """Return buffers for the states of the group at *place*."""
        return self._pools[place].take(self.graph, self.groups[place])


def _rows_in(buffer: Buffer, tensor: TensorSpec) -> NDArray[np.float32]:
    """Return the real values of *tensor* in a *buffer*, one row for each frame."""
    real = tensor.real(buffer.read(tensor.size, tensor.dtype))
    return real.reshape(-1, tensor.shape[-1]).astype(np.float32, copy=False)


def _group(names: Sequence[str], moved: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the states in groups that the graph writes together and passes on together.

    With each call, the frames in the window of a layer move up by one. The frames of all layers whose windows have the
    same length move together; states that are only written are one group.

    Args:
        names: The states.
        moved: The states that are, after the call, another state from before it, with the name of that state.
    """
    members: defaultdict[tuple[int, int], list[tuple[int, str]]] = defaultdict(list)
    depths: dict[str, tuple[int, str]] = {}
    for name in names:
        depth, top = 0, name
        while top in moved and depth <= len(
            names
        ):  # ends where two states change places
            depth, top = depth + 1, moved[top]
        depths[name] = depth, top
    lengths: defaultdict[str, int] = defaultdict(int)
    for depth, top in depths.values():
        lengths[top] = max(lengths[top], depth)
    for name, (depth, top) in depths.items():
        members[depth, lengths[top]].append((names.index(top), name))
    return [tuple(name for _, name in sorted(group)) for group in members.values()]


def _moves_of_groups(
    groups: Sequence[tuple[str, ...]], moved: Mapping[str, str]
) -> list[tuple[int, int]]:
    """Return the groups that are, after a call, another group from before it, as pairs of places in *groups*."""
    places = {group: place for place, group in enumerate(groups)}
    moves = []
    for place, group in enumerate(groups):
        origins = tuple(moved.get(name, "") for name in group)
        if origins in places:
            moves.append((place, places[origins]))
    return moves


def _convert(
    origin: Buffer, stored: TensorSpec, target: Buffer, read: TensorSpec
) -> None:
    """Write the real values in the buffer *origin* to the buffer *target*, as *read* stores them."""
    real = stored.real(origin.read(stored.size, stored.dtype))
    target.write(read.store(real).reshape(read.shape))


def _only_image(inputs: Sequence[TensorSpec], call: Call, source: str) -> str:
    """Return the name of the only input that is not a state."""
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
    # Graphs of this library have no time axis: (frames of all streams, height, width, 3).
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
    """Return the name of the only output that is neither a state nor a feature."""
    meanings = {
        canonical_state_name(tensor.name)
        for tensor in graph.inputs
        if tensor.name != image
    }
    others = [
        tensor.name
        for tensor in graph.outputs
        if canonical_state_name(tensor.name) not in meanings
        and tensor.name not in FEATURE_NAMES
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
    """Check that a *tensor* of integers has a scale."""
    if tensor.dtype.kind in "iu" and not tensor.scale:
        raise ModelError(
            f"whole numbers must say what real ones they stand for, by a scale and a zero point; the {what} of this model, "
            f"{tensor.name!r}, is {tensor.dtype} and says nothing (convert it with inference_input_type float32, or with "
            "quantisation)",
            source,
            received=str(tensor.dtype),
        )


def _check_same_kind(read: TensorSpec, written: TensorSpec, source: str) -> None:
    """Check that the next call can read a state as this one writes it."""
    if (read.shape, read.dtype) != (written.shape, written.dtype):
        raise ModelError(
            f"a state must have the shape and dtype that it had before; {read.name!r} goes in as {read.dtype} {read.shape} "
            f"and comes out as {written.dtype} {written.shape} (is the file damaged?)",
            source,
        )


def _check_first_axes(
    states: Sequence[TensorSpec],
    results: Sequence[TensorSpec],
    call: Call,
    source: str,
) -> None:
    """Check that there is a state for each stream and a row for each frame: LiteRT does not check the size of buffers."""
    for state in states:
        if state.shape and state.shape[0] != call.streams:
            raise ModelError(
                f"a state must have {call.streams} on its first axis, one for each stream; {state.name!r} has shape {state.shape}",
                source,
            )
    rows = call.streams * call.frames
    for result in results:
        if not result.shape or result.size != rows * result.shape[-1]:
            what = "features" if result.name in FEATURE_NAMES else "logits"
            raise ModelError(
                f"{what} must be of shape ({rows}, {'channels' if what == 'features' else 'classes'}), one row for each "
                f"frame; {result.name!r} has shape {result.shape}",
                source,
            )
