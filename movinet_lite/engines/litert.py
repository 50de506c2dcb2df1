"""Runs compiled models with LiteRT: the fast engine.

The states of a stream stay in LiteRT's own memory. A step reads them from one set of buffers and writes them to
another, and the set it read from is free again as soon as nobody holds those states: no state is copied from frame to
frame, and yet a step changes nothing that anyone can see.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States
from movinet_lite.engines.base import ModelInfo, check_mode
from movinet_lite.engines.graphs import Graph, Tensor
from movinet_lite.errors import ModelError
from movinet_lite.network.litert_file import (
    LiteRTInfo,
    from_litert_states,
    read_litert_info,
    to_litert_states,
)
from movinet_lite.network.states import from_published_states, to_published_states
from movinet_lite.states import canonical_state_name, pair_names
from movinet_lite.variants import get_variant, recognise_variant

__all__ = ["LiteRTStreamModel", "load_graphs", "load_tflite"]


class StateLayout(Protocol):
    """How the states that a graph keeps turn into those that a caller sees, and back."""

    def show(self, stored: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return what a caller sees of the states that the graph *stored*."""

    def store(self, shown: States) -> dict[str, NDArray[Any]]:
        """Return what the graph stores for states that a caller was *shown*."""


class StoredLayout:
    """A caller sees what the graph stores: the layout of files that others made."""

    def show(self, stored: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return *stored*."""
        return stored

    def store(self, shown: States) -> dict[str, NDArray[Any]]:
        """Return *shown* as a dict."""
        return dict(shown)


class PublishedLayout:
    """A caller sees the states of the models on TF Hub, whatever the graph of ours stores."""

    def __init__(self, info: LiteRTInfo) -> None:
        self._info = info

    def show(self, stored: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return *stored* under published names, in published shapes."""
        return to_published_states(
            from_litert_states(stored, self._info),
            get_variant(self._info.variant),
            positional_encoding=self._info.positional_encoding,
        )

    def store(self, shown: States) -> dict[str, NDArray[Any]]:
        """Return what the graph keeps of states that were *shown*."""
        return to_litert_states(from_published_states(shown))


class _Slot:
    """Memory of one state, which goes back to where it can be used again when nobody holds it any more."""

    __slots__ = ("_free", "buffer")

    def __init__(self, buffer: Any, free: list[Any]) -> None:
        self.buffer = buffer
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.buffer)


class BufferStates(Mapping[str, NDArray[Any]]):
    """The states of one stream in LiteRT's memory, copied out when someone looks at one.

    Attributes:
        model: Whose states they are.
        slots: Where they are: memory for one stream, or for all streams of a batch, which its streams share.
        lane: Which stream of the batch it is.
        batch: How many streams the memory is for.
    """

    def __init__(
        self,
        model: LiteRTStreamModel,
        slots: list[_Slot],
        *,
        lane: int = 0,
        batch: int = 1,
    ) -> None:
        self.model = model
        self.slots = slots
        self.lane = lane
        self.batch = batch
        self._shown: dict[str, NDArray[Any]] | None = None

    def _show(self) -> dict[str, NDArray[Any]]:
        if self._shown is None:
            self._shown = self.model.show(self)
        return self._shown

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one state."""
        return self._show()[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._show())

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self._show())


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


class _StepGraph:
    """A graph that steps streams by a fixed number of frames."""

    def __init__(
        self,
        graph: Graph,
        call: Call,
        source: str,
        moves: Mapping[str, str] | None = None,
        order: Sequence[str] | None = None,
    ) -> None:
        """Find the places of frames, logits and states.

        Args:
            graph: The graph.
            call: What it takes.
            source: The model, for messages.
            moves: The states that the graph does not give, and which input state each of them is after a call.
            order: The names of the states in the order to hold them; `None` for the graph's own.
        """
        self.graph = graph
        self.call = call
        moves = moves or {}
        inputs = {tensor.name: tensor for tensor in graph.inputs}
        outputs = {tensor.name: tensor for tensor in graph.outputs}
        image = _only_image(graph.inputs, source)
        logits = _only_logits(graph, image, source)
        self.image, self.logits = inputs[image], outputs[logits]
        names = list(order or (name for name in inputs if name != image))
        self.states = tuple(inputs[name] for name in names)
        computed = pair_names(
            [name for name in names if name not in moves],
            [name for name in outputs if name != logits],
            source=source,
            what="the outputs of the model",
        )
        self.moved = [
            (names.index(new), names.index(old)) for new, old in moves.items()
        ]
        self.computed = [
            (names.index(name), inputs[name], outputs[output])
            for name, output in computed.items()
        ]
        self.requantised = [
            (place, old, new)
            for place, old, new in self.computed
            if (old.scale, old.zero_point) != (new.scale, new.zero_point)
        ]
        self._input_places = [[*names, image].index(name) for name in inputs]
        results = [*computed.values(), logits]
        self._output_places = [results.index(name) for name in outputs]
        self._image_buffer = graph.input_buffer(image)
        self._logits_buffer = graph.output_buffer(logits)

    def new_buffer(self, place: int) -> Any:
        """Return new memory for the state at *place*."""
        return self.graph.input_buffer(self.states[place].name)

    def _in_order(
        self, states: list[Any], results: list[Any]
    ) -> tuple[list[Any], list[Any]]:
        given = [*states, self._image_buffer]
        taken = [*results, self._logits_buffer]
        return (
            [given[place] for place in self._input_places],
            [taken[place] for place in self._output_places],
        )

    def run(
        self, frames: NDArray[np.float32], states: list[Any], results: list[Any]
    ) -> NDArray[np.float32]:
        """Return the logits after *frames*, ``(frames, classes)``, and write the states that the graph computes.

        Args:
            frames: ``(frames, height, width, 3)`` float32.
            states: Buffers of all states.
            results: Buffers for the states in `computed`.
        """
        self._image_buffer.write(self.image.store(frames))
        self.graph.run(*self._in_order(states, results))
        logits = self._logits_buffer.read(self.logits.size, self.logits.dtype)
        return self.logits.real(logits).reshape(-1, self.logits.shape[-1])


class LiteRTStreamModel:
    """A stream model: frames in, one or several a call, with states that stay in LiteRT's memory."""

    def __init__(
        self,
        paths: Mapping[Call, str | Path],
        info: ModelInfo,
        *,
        graph_info: LiteRTInfo | None = None,
        threads: int | None = None,
    ) -> None:
        """Compile a model for the processor.

        Args:
            paths: The ``.tflite`` file of each call; one must be for one stream and one frame. All are of one model.
            info: What the model says of itself.
            graph_info: What a file of ours says of its graph; `None` for a file that others made.
            threads: How many threads to compute with; `None` for one a core.

        Raises:
            ModelError: If a file is no stream model.
        """
        self._info = info
        self._paths = dict(paths)
        self._graph_info = graph_info
        self._threads = threads or os.cpu_count() or 1
        self._layout: StateLayout = (
            PublishedLayout(graph_info) if graph_info else StoredLayout()
        )
        self._lock = threading.Lock()
        self._graphs: dict[Call, _StepGraph] = {}
        # Memory that is free again, by shape and dtype: it may serve any state of these.
        self._free: defaultdict[tuple[object, ...], list[Any]] = defaultdict(list)
        self._single = self._graph(ONE_FRAME)
        self._frame_size = _frame_size_of(self._single.image)
        self._streams = max(call.streams for call in self._paths)

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self._info

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream that has seen no frame; see `StreamModel.init_states`.

        Raises:
            ModelError: If *frame_size* is not the one that the model was compiled for.
        """
        if tuple(frame_size) != self._frame_size:
            raise ModelError(
                f"a compiled model takes frames of one size, {self._frame_size}; got {tuple(frame_size)}",
                self._info.source,
                self._frame_size,
                tuple(frame_size),
            )
        with self._lock:
            empty = {tensor.name: tensor.empty() for tensor in self._single.states}
            return BufferStates(self, self._fill(self._single, empty))

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`."""
        states = self._without_other_models(states)
        with self._lock:
            rows = []
            place = 0
            slots = self._slots_of(states)
            while place < len(frames):
                graph = self._largest_call(len(frames) - place)
                piece = frames[place : place + graph.call.frames]
                logits, slots = self._run(graph, piece, slots)
                rows.append(logits)
                place += len(piece)
        logits = rows[0] if len(rows) == 1 else np.concatenate(rows)
        return logits, BufferStates(self, slots)

    def step_many(
        self, frames: NDArray[np.float32], states: Sequence[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the logits and the states of each stream after its frame; see `BatchStreamModel.step_many`.

        Streams that were in one call before need no copying of states, and the fewer of them come together again, the
        less a call is worth it: less than half go one by one.
        """
        rows = np.empty((len(frames), self._info.num_classes), np.float32)
        states = [self._without_other_models(one) for one in states]
        after: list[States] = list(states)
        with self._lock:
            for places in self._calls(states):
                given = [states[place] for place in places]
                if len(places) == 1:
                    graph, slots = self._single, self._slots_of(given[0])
                    lanes = [0]
                else:
                    graph = self._graph(Call(self._streams, 1))
                    slots, lanes = self._batch_slots(graph, given)
                batch = _in_lanes(frames, places, lanes, graph.call.streams)
                logits, slots = self._run(graph, batch, slots)
                rows[places] = logits[lanes]
                for place, lane in zip(places, lanes, strict=True):
                    after[place] = BufferStates(
                        self, slots, lane=lane, batch=graph.call.streams
                    )
        return rows, after

    @property
    def last_call_s(self) -> float:
        """Seconds that LiteRT itself took in the last step of one frame; the rest of that step was Python's."""
        return self._single.graph.last_call_s

    def show(self, states: BufferStates) -> dict[str, NDArray[Any]]:
        """Return *states* as a caller sees them."""
        with self._lock:
            stored = self._read(states)
        return self._layout.show(stored)

    def _without_other_models(self, states: States) -> States:
        """Return *states*, read out if another model has the memory: its lock must not be waited for under ours."""
        if isinstance(states, BufferStates) and states.model is not self:
            return dict(states)
        return states

    def _read(self, states: BufferStates) -> dict[str, NDArray[Any]]:
        stored = {}
        for tensor, slot in zip(self._single.states, states.slots, strict=True):
            numbers = slot.buffer.read(tensor.size * states.batch, tensor.dtype)
            if states.batch == 1:
                stored[tensor.name] = numbers.reshape(tensor.shape)
            else:
                lanes = numbers.reshape(states.batch, *tensor.shape)
                stored[tensor.name] = lanes[states.lane]
        return stored

    def _slots_of(self, states: States) -> list[_Slot]:
        """Return memory for one stream with *states* in it: the very memory, or a copy."""
        if isinstance(states, BufferStates):
            if states.batch == 1:
                return states.slots
            return self._fill(self._single, self._read(states))
        return self._fill(self._single, self._layout.store(states))

    def _calls(self, states: Sequence[States]) -> list[list[int]]:
        """Return which streams to step together: places in *states*."""
        if self._streams == 1:
            return [[place] for place in range(len(states))]
        together: defaultdict[int, list[int]] = defaultdict(list)
        for place, state in enumerate(states):
            memory = 0
            if isinstance(state, BufferStates) and state.batch > 1:
                memory = id(state.slots)
            together[memory].append(place)
        calls: list[list[int]] = []
        loose = together.pop(0, [])
        for places in together.values():
            if 2 * len(places) >= self._streams:
                calls.append(places)
            else:
                loose += places
        for start in range(0, len(loose), self._streams):
            places = loose[start : start + self._streams]
            if 2 * len(places) >= self._streams:
                calls.append(places)
            else:
                calls += [[place] for place in places]
        return calls

    def _batch_slots(
        self, graph: _StepGraph, states: Sequence[States]
    ) -> tuple[list[_Slot], list[int]]:
        """Return memory for a batch with *states* in it, and the lane of each."""
        first = states[0]
        if isinstance(first, BufferStates) and first.batch > 1:
            lanes = [
                state.lane
                for state in states
                if isinstance(state, BufferStates) and state.slots is first.slots
            ]
            if len(set(lanes)) == len(states):
                return first.slots, lanes
        stored = [
            self._read(state)
            if isinstance(state, BufferStates)
            else self._layout.store(state)
            for state in states
        ]
        idle = {tensor.name: tensor.empty() for tensor in self._single.states}
        stored += [idle] * (graph.call.streams - len(stored))
        joined = {
            tensor.name: np.concatenate([one[tensor.name] for one in stored])
            for tensor in self._single.states
        }
        return self._fill(graph, joined), list(range(len(states)))

    def _run(
        self, graph: _StepGraph, frames: NDArray[np.float32], slots: list[_Slot]
    ) -> tuple[NDArray[np.float32], list[_Slot]]:
        new_slots = list(slots)
        for new, old in graph.moved:
            new_slots[new] = slots[old]
        for place, _, _ in graph.computed:
            new_slots[place] = self._take(graph, place)
        logits = graph.run(
            frames,
            [slot.buffer for slot in slots],
            [new_slots[place].buffer for place, _, _ in graph.computed],
        )
        for place, old_tensor, new_tensor in graph.requantised:
            buffer = new_slots[place].buffer
            real = new_tensor.real(buffer.read(new_tensor.size, new_tensor.dtype))
            buffer.write(old_tensor.store(real).reshape(old_tensor.shape))
        return logits, new_slots

    def _graph(self, call: Call) -> _StepGraph:
        if call not in self._graphs:
            source = self._info.source
            graph = Graph(self._paths[call], threads=self._threads, source=source)
            moves = None
            if self._graph_info is not None:
                moves = attrs.evolve(self._graph_info, num_frames=call.frames).moves
            order = (
                [tensor.name for tensor in self._single.states]
                if self._graphs
                else None
            )
            self._graphs[call] = _StepGraph(graph, call, source, moves, order)
        return self._graphs[call]

    def _largest_call(self, count: int) -> _StepGraph:
        """Return the graph of one stream that takes the most of *count* frames."""
        return self._graph(
            max(
                (
                    call
                    for call in self._paths
                    if call.streams == 1 and call.frames <= count
                ),
                key=lambda call: call.frames,
            )
        )

    def _take(self, graph: _StepGraph, place: int) -> _Slot:
        """Return memory for the state at *place*."""
        tensor = graph.states[place]
        free = self._free[tensor.shape, tensor.dtype]
        if free:
            return _Slot(free.pop(), free)
        return _Slot(graph.new_buffer(place), free)

    def _fill(
        self, graph: _StepGraph, stored: Mapping[str, NDArray[Any]]
    ) -> list[_Slot]:
        slots = []
        for place, tensor in enumerate(graph.states):
            slot = self._take(graph, place)
            array = np.ascontiguousarray(stored[tensor.name], tensor.dtype)
            slot.buffer.write(array.reshape(tensor.shape))
            slots.append(slot)
        return slots


def load_tflite(
    path: str | Path,
    *,
    threads: int | None = None,
    source: str | None = None,
) -> LiteRTStreamModel:
    """Return the stream model in a ``.tflite`` file, ours or one that others made.

    Args:
        path: A file with one signature: float32, with float16 weights, or quantised to 8 bits in part or whole. Files
            of others take one frame a call.
        threads: How many threads to compute with; `None` for one a core.
        source: What to call the model in messages; *path* if `None`.

    Raises:
        ModelError: If it is no such file.
    """
    source = source or str(path)
    ours = read_litert_info(path)
    if ours is not None:
        return load_graphs([path], threads=threads, source=source)
    step = _StepGraph(Graph(path, threads=1, source=source), ONE_FRAME, source)
    variant = recognise_variant(tensor.name for tensor in step.states)
    info = ModelInfo(
        source=source,
        mode="stream",
        engine="litert",
        num_classes=step.logits.shape[-1],
        variant=variant.name if variant else None,
        frame_size=_frame_size_of(step.image),
        fps=variant.fps if variant else None,
    )
    return LiteRTStreamModel({ONE_FRAME: path}, info, threads=threads)


def load_graphs(
    paths: Iterable[str | Path],
    *,
    threads: int | None = None,
    source: str,
) -> LiteRTStreamModel:
    """Return the stream model in files of ours.

    Args:
        paths: The files, one a kind of call; one must be for one stream and one frame.
        threads: How many threads to compute with; `None` for one a core.
        source: What to call the model in messages.

    Raises:
        ModelError: If they are no stream model.
    """
    by_call: dict[Call, Path] = {}
    infos: dict[Call, LiteRTInfo] = {}
    for path in paths:
        found = read_litert_info(path)
        if found is None:
            raise ModelError(
                "the file must be a stream model that this library wrote; it is none",
                source,
            )
        check_mode(found.mode, "stream", source)
        call = Call(found.batch, found.num_frames)
        by_call[call], infos[call] = Path(path), found
    if ONE_FRAME not in infos:
        raise ModelError(
            "a stream model must have a graph for one stream and one frame a call; "
            f"this one takes {', '.join(f'{call.streams} streams and {call.frames} frames' for call in infos)} "
            "(export it with num_frames=1 and batch=1)",
            source,
        )
    ours = infos[ONE_FRAME]
    info = ModelInfo(
        source=source,
        mode="stream",
        engine="litert",
        num_classes=ours.num_classes,
        variant=ours.variant,
        frame_size=ours.frame_size,
        fps=ours.fps,
        labels=ours.labels,
    )
    return LiteRTStreamModel(by_call, info, graph_info=ours, threads=threads)


def _in_lanes(
    frames: NDArray[np.float32], places: list[int], lanes: list[int], streams: int
) -> NDArray[np.float32]:
    """Return the frames at *places* in their *lanes* of a batch; the other lanes compute what nobody reads."""
    everyone = list(range(len(frames)))
    if len(frames) == streams and places == everyone == lanes:
        return frames
    batch = np.zeros((streams, *frames.shape[1:]), np.float32)
    batch[lanes] = frames[places]
    return batch


def _only_image(inputs: Sequence[Tensor], source: str) -> str:
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
    if len(image.shape) == 5 and image.shape[:2] != (1, 1):
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
    return others[0]


def _frame_size_of(image: Tensor) -> FrameSize:
    height, width, _ = image.shape[-3:]
    return height, width
