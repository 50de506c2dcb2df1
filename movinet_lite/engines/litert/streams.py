"""Runs compiled models with LiteRT: the fast engine.

The states of a stream stay in LiteRT's own memory. A step reads them from one set of buffers and writes them to
another, and the set it read from is free again as soon as nobody holds those states: no state is copied from frame to
frame, and yet a step changes nothing that anyone can see.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States
from movinet_lite.engines.base import ModelInfo, check_mode
from movinet_lite.engines.litert.buffers import (
    BufferStates,
    Memory,
    PublishedLayout,
    Slot,
    StateLayout,
    StatesMemory,
    StoredLayout,
)
from movinet_lite.engines.litert.graphs import Graph, GraphFile, Tensor
from movinet_lite.errors import ModelError
from movinet_lite.network.litert_file import LiteRTInfo, read_litert_info
from movinet_lite.network.state_names import (
    canonical_state_name,
    fit_states,
    pair_names,
)
from movinet_lite.network.variants import recognise_variant

__all__ = ["LiteRTStreamModel", "load_graphs", "load_tflite"]


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
        *,
        moves: Mapping[str, str] | None = None,
        order: Sequence[str] | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Find the places of frames, logits and states.

        Args:
            graph: The graph.
            call: What it takes.
            source: The model, for messages.
            moves: The states that the graph does not give, and which input state each of them is after a call.
            order: The names of the states in the order to hold them; `None` for the graph's own.
            memory: Where to have memory for states from; `None` for memory of its own.
        """
        self.graph = graph
        self.call = call
        moves = moves or {}
        inputs = {tensor.name: tensor for tensor in graph.inputs}
        outputs = {tensor.name: tensor for tensor in graph.outputs}
        image = _only_image(graph.inputs, source)
        logits = _only_logits(graph, image, source)
        self.image, self.logits = inputs[image], outputs[logits]
        _check_meaning(self.image, "image", source)
        _check_meaning(self.logits, "logits", source)
        names = list(order or (name for name in inputs if name != image))
        self.states = tuple(inputs[name] for name in names)
        self.pools = (memory or Memory()).serve(self.states)
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
        rows = self.logits.real(logits).reshape(-1, self.logits.shape[-1])
        return rows.astype(np.float32, copy=False)


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
        self._graph_info = graph_info
        self._threads = threads or os.cpu_count() or 1
        self._memory = Memory()
        self._lock = threading.Lock()
        self._single = self._open(ONE_FRAME, paths[ONE_FRAME])
        self._layout: StateLayout = (
            PublishedLayout(graph_info)
            if graph_info
            else StoredLayout(self._single.states)
        )
        self._frame_size = _frame_size_of(self._single.image)
        self._batch: _StepGraph | None = None
        self._unopened: dict[Call, GraphFile] = {}  # by `_open_longer`
        self._longer: list[_StepGraph] = []
        for call, path in paths.items():
            if call.streams > 1:
                self._batch = self._open(call, path, self._single.states)
            elif call != ONE_FRAME:
                # A live stream never needs it, and it holds the weights once more.
                self._unopened[call] = GraphFile.now(path)
        self._opening = threading.Lock()

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self._info

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream that has seen no frame; see `StreamModel.init_states`.

        Raises:
            ModelError: If *frame_size* is not the one that the model was compiled for.
        """
        self._check_frame_size(tuple(frame_size))
        with self._lock:
            return BufferStates(self, self._fill(self._single, self._empty()))

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`.

        Raises:
            ModelError: If the frames are not of the one size that the model was compiled for, or LiteRT fails.
            SessionError: If *states* are none of this model.
        """
        self._check_frame_size(frames.shape[1:3])
        states = self._without_other_models(states)
        if len(frames) > 1:
            self._open_longer()
        with self._lock:
            rows = []
            place = 0
            memory = self._memory_of(states)
            while place < len(frames):
                graph = self._longest(len(frames) - place)
                piece = frames[place : place + graph.call.frames]
                logits, memory = self._run(graph, piece, memory)
                rows.append(logits)
                place += len(piece)
        logits = rows[0] if len(rows) == 1 else np.concatenate(rows)
        return logits, BufferStates(self, memory)

    def step_many(
        self, frames: NDArray[np.float32], states: Sequence[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the logits and the states of each stream after its frame; see `BatchStreamModel.step_many`.

        Streams that were in one call before need no copying of states, and the fewer of them come together again, the
        less a call is worth it: less than half go one by one.

        Raises:
            ModelError: As `step`.
            SessionError: As `step`.
        """
        self._check_frame_size(frames.shape[1:3])
        rows = np.empty((len(frames), self._info.num_classes), np.float32)
        states = [self._without_other_models(one) for one in states]
        after: list[States] = list(states)
        with self._lock:
            for places in self._calls(states):
                given = [states[place] for place in places]
                if len(places) == 1 or self._batch is None:
                    graph, memory, lanes = self._single, self._memory_of(given[0]), [0]
                else:
                    graph = self._batch
                    memory, lanes = self._common_memory(graph, given)
                    self._move_out(memory, given)
                batch = _in_lanes(frames, places, lanes, graph.call.streams)
                logits, memory = self._run(graph, batch, memory)
                rows[places] = logits[lanes]
                for place, lane in zip(places, lanes, strict=True):
                    after[place] = BufferStates(self, memory, lane)
        return rows, after

    @property
    def last_call_s(self) -> float:
        """Seconds that LiteRT itself took in the last step of one frame; the rest of that step was Python's."""
        return self._single.graph.last_call_s

    def show(self, states: BufferStates) -> dict[str, NDArray[Any]]:
        """Return *states* as a caller sees them."""
        with self._lock:
            (stored,) = self._stored([states])
        return self._layout.show(stored)

    def _check_frame_size(self, frame_size: tuple[int, ...]) -> None:
        if frame_size != self._frame_size:
            raise ModelError(
                f"a compiled model takes frames of one size, {self._frame_size}; got {frame_size}",
                self._info.source,
                self._frame_size,
                frame_size,
            )

    def _empty(self) -> dict[str, NDArray[Any]]:
        """Return what the graph of one stream stores for a stream that has seen no frame."""
        return {tensor.name: tensor.empty() for tensor in self._single.states}

    def _without_other_models(self, states: States) -> States:
        """Return *states*, read out if another model has the memory: its lock must not be waited for under ours."""
        if isinstance(states, BufferStates) and states.model is not self:
            return dict(states)
        return states

    def _read_all(self, memory: StatesMemory) -> dict[str, NDArray[Any]]:
        """Return what *memory* holds of each stream: ``(streams, *shape of a state)``."""
        numbers = {}
        for tensor, slot in zip(self._single.states, memory.slots, strict=True):
            flat = slot.buffer.read(tensor.size * memory.streams, tensor.dtype)
            numbers[tensor.name] = flat.reshape(memory.streams, *tensor.shape)
        return numbers

    def _stored(self, given: Sequence[States]) -> list[dict[str, NDArray[Any]]]:
        """Return what the graph of one stream stores for each of the states *given*, reading shared memory once."""
        read: dict[int, dict[str, NDArray[Any]]] = {}
        stored = []
        for states in given:
            if isinstance(states, BufferStates):
                key = id(states.memory)
                if key not in read:
                    read[key] = self._read_all(states.memory)
                stored.append(_lane_of(read[key], states))
            else:
                pattern = self._layout.show(self._empty())
                stored.append(self._layout.store(fit_states(states, pattern)))
        return stored

    def _memory_of(self, states: States) -> StatesMemory:
        """Return memory for one stream with *states* in it: the very memory, or a copy."""
        if isinstance(states, BufferStates) and states.memory.streams == 1:
            return states.memory
        (stored,) = self._stored([states])
        return self._fill(self._single, stored)

    def _calls(self, states: Sequence[States]) -> list[list[int]]:
        """Return which streams to step together: places in *states*.

        Those that share memory stay together, unless bringing all together anew takes less time: a batch takes about as
        long as half of its streams one by one.
        """
        if self._batch is None:
            return [[place] for place in range(len(states))]
        together: defaultdict[int, list[int]] = defaultdict(list)
        for place, state in enumerate(states):
            memory = 0
            if isinstance(state, BufferStates) and state.memory.streams > 1:
                memory = id(state.memory)
            together[memory].append(place)
        streams = self._batch.call.streams
        loose = together.pop(0, [])
        kept = []
        for places in together.values():
            if 2 * len(places) >= streams:
                kept.append(places)
            else:
                loose += places
        calls = kept + _cut(loose, streams)
        anew = _cut(list(range(len(states))), streams)
        return min(calls, anew, key=lambda plan: _cost(plan, streams))

    def _common_memory(
        self, graph: _StepGraph, given: Sequence[States]
    ) -> tuple[StatesMemory, list[int]]:
        """Return memory for a batch with the states *given* in it, and the lane of each."""
        first = given[0]
        if isinstance(first, BufferStates) and first.memory.streams > 1:
            lanes = [
                states.lane
                for states in given
                if isinstance(states, BufferStates) and states.memory is first.memory
            ]
            if len(set(lanes)) == len(given):
                return first.memory, lanes
        stored = self._stored(given)
        stored += [self._empty()] * (graph.call.streams - len(stored))
        joined = {
            tensor.name: np.concatenate([one[tensor.name] for one in stored])
            for tensor in self._single.states
        }
        return self._fill(graph, joined), list(range(len(given)))

    def _move_out(self, memory: StatesMemory, going_on: Sequence[States]) -> None:
        """Give the states that stay behind in *memory*, while others go on, memory of their own: less than that of all."""
        going = {id(states) for states in going_on}
        late = [
            states
            for states in [holder() for holder in memory.holders]
            if states is not None
            and states.memory is memory
            and id(states) not in going
        ]
        for states, stored in zip(late, self._stored(late), strict=True):
            states.memory, states.lane = self._fill(self._single, stored), 0

    def _run(
        self, graph: _StepGraph, frames: NDArray[np.float32], memory: StatesMemory
    ) -> tuple[NDArray[np.float32], StatesMemory]:
        slots = memory.slots
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
        return logits, StatesMemory(new_slots, graph.call.streams)

    def _fill(
        self, graph: _StepGraph, stored: Mapping[str, NDArray[Any]]
    ) -> StatesMemory:
        slots = []
        for place, tensor in enumerate(graph.states):
            slot = self._take(graph, place)
            slot.buffer.write(np.ascontiguousarray(stored[tensor.name], tensor.dtype))
            slots.append(slot)
        return StatesMemory(slots, graph.call.streams)

    def _take(self, graph: _StepGraph, place: int) -> Slot:
        """Return memory for the state at *place*."""
        return graph.pools[place].take(graph.graph, graph.states[place].name)

    def _open(
        self, call: Call, path: str | Path, order: Sequence[Tensor] = ()
    ) -> _StepGraph:
        """Return the graph in the file at *path*, with its states in the order of those of the first one opened."""
        source = self._info.source
        moves = None
        if self._graph_info is not None:
            moves = attrs.evolve(self._graph_info, num_frames=call.frames).moves
        return _StepGraph(
            Graph(path, threads=self._threads, source=source),
            call,
            source,
            moves=moves,
            order=[tensor.name for tensor in order] or None,
            memory=self._memory,
        )

    def _open_longer(self) -> None:
        """Open the graphs of several frames a call, once; without one, the frames go one by one."""
        if not self._unopened:
            return
        with self._opening:
            for call, file in list(self._unopened.items()):
                try:
                    file.check_unchanged(self._info.source)
                    graph = self._open(call, file.path, self._single.states)
                except (ModelError, OSError) as error:
                    warnings.warn(
                        f"frames go through the model one by one, which takes longer, since its graph of {call.frames} "
                        f"frames cannot be opened any more: {error} (load the model again)",
                        UserWarning,
                        stacklevel=4,
                    )
                else:
                    self._longer.append(graph)
                # Not before: other threads look here without waiting.
                del self._unopened[call]

    def _longest(self, count: int) -> _StepGraph:
        """Return the graph of one stream that takes the most of *count* frames."""
        fitting = [graph for graph in self._longer if graph.call.frames <= count]
        return max(fitting, key=lambda graph: graph.call.frames, default=self._single)


def _lane_of(
    numbers: Mapping[str, NDArray[Any]], states: BufferStates
) -> dict[str, NDArray[Any]]:
    return {name: value[states.lane] for name, value in numbers.items()}


def load_tflite(
    path: str | Path,
    *,
    threads: int | None = None,
    source: str | None = None,
    labels: tuple[str, ...] | None = None,
) -> LiteRTStreamModel:
    """Return the stream model in a ``.tflite`` file, ours or one that others made.

    Args:
        path: A file with one signature: float32, with float16 weights, or quantised to 8 bits in part or whole. Files
            of others take one frame a call.
        threads: How many threads to compute with; `None` for one a core.
        source: What to call the model in messages; *path* if `None`.
        labels: The names of the classes of a file of others, if they are known.

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
        labels=labels,
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


def _cut(places: list[int], streams: int) -> list[list[int]]:
    """Return *places* in batches; what does not fill one to the half goes one by one."""
    calls: list[list[int]] = []
    for start in range(0, len(places), streams):
        piece = places[start : start + streams]
        calls += [piece] if 2 * len(piece) >= streams else [[one] for one in piece]
    return calls


def _cost(calls: list[list[int]], streams: int) -> float:
    """Return how long *calls* take, in steps of one stream."""
    return sum(streams / 2 if len(places) > 1 else 1.0 for places in calls)


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
    # Graphs of ours have no axis for time: (frames of all streams, height, width, 3).
    frames_first = len(image.shape) == 4
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
    return others[0]


def _check_meaning(tensor: Tensor, what: str, source: str) -> None:
    """See that one knows what the numbers of *tensor* stand for."""
    if tensor.dtype.kind in "iu" and not tensor.scale:
        raise ModelError(
            f"whole numbers must say what real ones they stand for, by a scale and a zero point; the {what} of this model, "
            f"{tensor.name!r}, is {tensor.dtype} and says nothing (convert it with inference_input_type float32, or with "
            "quantisation)",
            source,
            received=str(tensor.dtype),
        )


def _frame_size_of(image: Tensor) -> FrameSize:
    height, width, _ = image.shape[-3:]
    return height, width
