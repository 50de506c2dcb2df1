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

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.graphs import Graph, Tensor
from movinet_lite.errors import ArrayError, ModelError
from movinet_lite.states import canonical_state_name, pair_names
from movinet_lite.variants import recognise_variant

__all__ = ["LiteRTStreamModel", "StateLayout", "load_tflite"]


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


class BufferStates(Mapping[str, NDArray[Any]]):
    """The states of one stream in LiteRT's memory, copied out when someone looks at one."""

    def __init__(self, model: LiteRTStreamModel, buffers: list[Any]) -> None:
        self.model = model
        self.buffers = buffers
        self._shown: dict[str, NDArray[Any]] | None = None

    def __del__(self) -> None:
        self.model.give_back(self.buffers)

    def _show(self) -> dict[str, NDArray[Any]]:
        if self._shown is None:
            self._shown = self.model.show(self.buffers)
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
    """A graph that steps one stream by a fixed number of frames, with its places for frames, logits and states."""

    def __init__(self, graph: Graph, source: str) -> None:
        self.graph = graph
        inputs = {tensor.name: tensor for tensor in graph.inputs}
        outputs = {tensor.name: tensor for tensor in graph.outputs}
        image = _only_image(graph.inputs, source)
        logits = _only_logits(graph, image, source)
        self.image, self.logits = inputs[image], outputs[logits]
        states = [name for name in inputs if name != image]
        pairs = pair_names(
            states,
            [name for name in outputs if name != logits],
            source=source,
            what="the outputs of the model",
        )
        self.states = tuple(inputs[name] for name in states)
        self.new_states = tuple(outputs[pairs[name]] for name in states)
        self._input_places = [[*states, image].index(name) for name in inputs]
        new_names = [*pairs.values(), logits]
        self._output_places = [new_names.index(name) for name in outputs]
        self._image_buffer = graph.input_buffer(image)
        self._logits_buffer = graph.output_buffer(logits)

    def run(
        self, frames: NDArray[np.float32], states: list[Any], new_states: list[Any]
    ) -> NDArray[np.float32]:
        """Return the logits after *frames*, ``(frames, classes)``, and write *new_states*."""
        self._image_buffer.write(self.image.store(frames))
        given = [*states, self._image_buffer]
        results = [*new_states, self._logits_buffer]
        self.graph.run(
            [given[place] for place in self._input_places],
            [results[place] for place in self._output_places],
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
        layout: StateLayout | None = None,
        threads: int | None = None,
    ) -> None:
        """Compile a model for the processor.

        Args:
            paths: For each number of frames a call, the ``.tflite`` file; one must be for 1. All have the same states.
            info: What the model says of itself; see `read_info` for a file that others made.
            layout: How the states that the graphs keep are shown to callers.
            threads: How many threads to compute with; `None` for one a core.

        Raises:
            ModelError: If a file is no stream model.
        """
        self._info = info
        self._paths = dict(paths)
        self._threads = threads or os.cpu_count() or 1
        self._layout: StateLayout = layout or StoredLayout()
        self._lock = threading.Lock()
        self._free: list[list[Any]] = []
        self._steps: dict[int, _StepGraph] = {}
        first = self._step_graph(1)
        self._states = first.states
        self._requantised = [
            (place, old, new)
            for place, (old, new) in enumerate(
                zip(first.states, first.new_states, strict=True)
            )
            if (old.scale, old.zero_point) != (new.scale, new.zero_point)
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

    def show(self, buffers: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Return the states in *buffers* as a caller sees them."""
        stored = {
            tensor.name: buffer.read(tensor.size, tensor.dtype).reshape(tensor.shape)
            for tensor, buffer in zip(self._states, buffers, strict=True)
        }
        return self._layout.show(stored)

    def give_back(self, buffers: list[Any]) -> None:
        """Take *buffers* that no states live in any more."""
        self._free.append(buffers)

    def _step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], BufferStates]:
        if not isinstance(states, BufferStates) or states.model is not self:
            states = self._fill(self._layout.store(states))
        new_states = BufferStates(self, self._take())
        logits = self._step_graph(len(frames)).run(
            frames, states.buffers, new_states.buffers
        )
        for place, old, new in self._requantised:
            buffer = new_states.buffers[place]
            stored = buffer.read(new.size, new.dtype)
            buffer.write(old.store(new.real(stored)).reshape(old.shape))
        return logits, new_states

    def _step_graph(self, count: int) -> _StepGraph:
        if count not in self._steps:
            graph = Graph(
                self._paths[count], threads=self._threads, source=self._info.source
            )
            self._steps[count] = _StepGraph(graph, self._info.source)
        return self._steps[count]

    def _largest_call(self, count: int) -> int:
        return max(number for number in self._paths if number <= count)

    def _take(self) -> list[Any]:
        if self._free:
            return self._free.pop()
        graph = self._steps[1].graph
        return [graph.input_buffer(tensor.name) for tensor in self._states]

    def _fill(self, stored: Mapping[str, NDArray[Any]]) -> BufferStates:
        states = BufferStates(self, self._take())
        for tensor, buffer in zip(self._states, states.buffers, strict=True):
            buffer.write(
                np.ascontiguousarray(stored[tensor.name], tensor.dtype).reshape(
                    tensor.shape
                )
            )
        return states


def load_tflite(
    path: str | Path,
    *,
    threads: int | None = None,
    source: str | None = None,
    labels: tuple[str, ...] | None = None,
) -> LiteRTStreamModel:
    """Return the stream model in a ``.tflite`` file that others made.

    Args:
        path: A file with one signature, one frame a call: float32, with float16 weights, or quantised to 8 bits in
            part or whole.
        threads: How many threads to compute with; `None` for one a core.
        source: What to call the model in messages; *path* if `None`.
        labels: The names of the classes, where they are known.

    Raises:
        ModelError: If it is no such file.
    """
    source = source or str(path)
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
        labels=labels,
    )
    return LiteRTStreamModel({1: path}, info, threads=threads)


def _only_image(inputs: Sequence[Tensor], source: str) -> str:
    """Return the name of the one input that is no state."""
    others = [
        tensor
        for tensor in inputs
        if not canonical_state_name(tensor.name).startswith("state/")
    ]
    if len(others) != 1 or len(others) == len(inputs):
        what = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in inputs)
        raise ModelError(
            "a streaming MoViNet takes one image and its states; this model takes "
            f"{what or 'nothing'} (a model of whole clips, or of something else?)",
            source,
        )
    image = others[0]
    if len(image.shape) != 5 or image.shape[:2] != (1, 1) or image.shape[-1] != 3:
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
    return (image.shape[2], image.shape[3])
