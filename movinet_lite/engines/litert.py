"""Runs compiled models with LiteRT: the fast engine.

The states of a stream stay in LiteRT's own memory. A step reads them from one set of buffers and writes them to
another, and the set it read from is free again as soon as nobody holds those states: no state is copied from frame to
frame, and yet a step changes nothing that anyone can see.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States
from movinet_lite.engines.base import ModelInfo
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
    """The states of one stream in LiteRT's memory, copied out when someone looks at one."""

    def __init__(self, model: LiteRTStreamModel, slots: list[_Slot]) -> None:
        self.model = model
        self.slots = slots
        self._shown: dict[str, NDArray[Any]] | None = None

    def _show(self) -> dict[str, NDArray[Any]]:
        if self._shown is None:
            self._shown = self.model.show(self.slots)
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


class _StepGraph:
    """A graph that steps one stream by a fixed number of frames."""

    def __init__(
        self, graph: Graph, source: str, moves: Mapping[str, str] | None = None
    ) -> None:
        """Find the places of frames, logits and states.

        Args:
            graph: The graph.
            source: The model, for messages.
            moves: The states that the graph does not give, and which input state each of them is after a call.
        """
        self._graph = graph
        moves = moves or {}
        inputs = {tensor.name: tensor for tensor in graph.inputs}
        outputs = {tensor.name: tensor for tensor in graph.outputs}
        image = _only_image(graph.inputs, source)
        logits = _only_logits(graph, image, source)
        self.image, self.logits = inputs[image], outputs[logits]
        names = [name for name in inputs if name != image]
        self.states = tuple(inputs[name] for name in names)
        computed = pair_names(
            [name for name in names if name not in moves],
            [name for name in outputs if name != logits],
            source=source,
            what="the outputs of the model",
        )
        self.moved = [(names.index(new), names.index(old)) for new, old in moves.items()]
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
        return self._graph.input_buffer(self.states[place].name)

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
        given = [*states, self._image_buffer]
        taken = [*results, self._logits_buffer]
        self._graph.run(
            [given[place] for place in self._input_places],
            [taken[place] for place in self._output_places],
        )
        logits = self._logits_buffer.read(self.logits.size, self.logits.dtype)
        return self.logits.real(logits).reshape(-1, self.logits.shape[-1])


class LiteRTStreamModel:
    """A stream model: frames in, one or several a call, with states that stay in LiteRT's memory."""

    def __init__(
        self,
        paths: Mapping[int, str | Path],
        info: ModelInfo,
        *,
        graph_info: LiteRTInfo | None = None,
        threads: int | None = None,
    ) -> None:
        """Compile a model for the processor.

        Args:
            paths: For each number of frames a call, the ``.tflite`` file; one must be for 1. All have the same states.
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
        self._graphs: dict[int, _StepGraph] = {}
        first = self._step_graph(1)
        self._states = first.states
        # Memory that is free again, one list a shape: a state's memory may serve any state of its shape.
        shapes = {(tensor.shape, tensor.dtype): [] for tensor in first.states}
        self._free: list[list[Any]] = [
            shapes[tensor.shape, tensor.dtype] for tensor in first.states
        ]
        self._frame_size = _frame_size_of(first.image)

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
            return self._fill({tensor.name: tensor.empty() for tensor in self._states})

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`."""
        with self._lock:
            rows = []
            place = 0
            while place < len(frames):
                count = self._largest_call(len(frames) - place)
                logits, states = self._step(frames[place : place + count], states)
                rows.append(logits)
                place += count
        return rows[0] if len(rows) == 1 else np.concatenate(rows), states

    def show(self, slots: Sequence[_Slot]) -> dict[str, NDArray[Any]]:
        """Return the states in *slots* as a caller sees them."""
        stored = {
            tensor.name: slot.buffer.read(tensor.size, tensor.dtype).reshape(
                tensor.shape
            )
            for tensor, slot in zip(self._states, slots, strict=True)
        }
        return self._layout.show(stored)

    def _step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], BufferStates]:
        if not isinstance(states, BufferStates) or states.model is not self:
            states = self._fill(self._layout.store(states))
        graph = self._step_graph(len(frames))
        slots = list(states.slots)
        for new, old in graph.moved:
            slots[new] = states.slots[old]
        for place, _, _ in graph.computed:
            slots[place] = self._take(place)
        logits = graph.run(
            frames,
            [slot.buffer for slot in states.slots],
            [slots[place].buffer for place, _, _ in graph.computed],
        )
        for place, old_tensor, new_tensor in graph.requantised:
            buffer = slots[place].buffer
            real = new_tensor.real(buffer.read(new_tensor.size, new_tensor.dtype))
            buffer.write(old_tensor.store(real).reshape(old_tensor.shape))
        return logits, BufferStates(self, slots)

    def _step_graph(self, count: int) -> _StepGraph:
        if count not in self._graphs:
            source = self._info.source
            graph = Graph(self._paths[count], threads=self._threads, source=source)
            moves = None
            if self._graph_info is not None:
                moves = attrs.evolve(self._graph_info, num_frames=count).moves
            self._graphs[count] = _StepGraph(graph, source, moves)
        return self._graphs[count]

    def _largest_call(self, count: int) -> int:
        return max(number for number in self._paths if number <= count)

    def _take(self, place: int) -> _Slot:
        """Return memory for the state at *place*."""
        free = self._free[place]
        if free:
            return _Slot(free.pop(), free)
        return _Slot(self._graphs[1].new_buffer(place), free)

    def _fill(self, stored: Mapping[str, NDArray[Any]]) -> BufferStates:
        slots = []
        for place, tensor in enumerate(self._states):
            slot = self._take(place)
            array = np.ascontiguousarray(stored[tensor.name], tensor.dtype)
            slot.buffer.write(array.reshape(tensor.shape))
            slots.append(slot)
        return BufferStates(self, slots)


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
        return load_graphs({ours.num_frames: path}, threads=threads, source=source)
    step = _StepGraph(Graph(path, threads=1, source=source), source)
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
    return LiteRTStreamModel({1: path}, info, threads=threads)


def load_graphs(
    paths: Mapping[int, str | Path],
    *,
    threads: int | None = None,
    source: str,
) -> LiteRTStreamModel:
    """Return the stream model in files of ours.

    Args:
        paths: For each number of frames a call, the file; one must be for 1.
        threads: How many threads to compute with; `None` for one a core.
        source: What to call the model in messages.

    Raises:
        ModelError: If they are no stream model for one stream and one frame a call.
    """
    if 1 not in paths:
        raise ModelError(
            f"a stream model must have a graph of one frame a call; this one takes {sorted(paths)} "
            "(export it with num_frames=1)",
            source,
        )
    ours = read_litert_info(paths[1])
    if ours is None or ours.mode != "stream" or ours.batch != 1:
        raise ModelError(
            "the file must be a stream model for one stream; "
            f"this one is {'no model of ours' if ours is None else f'a {ours.mode} model, {ours.batch} a call'}",
            source,
        )
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
    return LiteRTStreamModel(paths, info, graph_info=ours, threads=threads)


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
