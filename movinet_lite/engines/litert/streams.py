"""Runs compiled stream models with LiteRT.

The states of a stream stay in LiteRT's own buffers. A step reads them from one set of buffers and writes them to
another, and the set it read from is free again as soon as nobody holds those states: no state is copied from frame to
frame, and yet a step changes nothing that anyone can see.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName, FrameSize, States
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.litert.batches import plan_calls
from movinet_lite.engines.litert.buffers import (
    BufferPools,
    BufferStates,
    PublishedLayout,
    StateBuffers,
    StateLayout,
    StoredLayout,
)
from movinet_lite.engines.litert.graphs import Graph, GraphFile
from movinet_lite.engines.litert.step_graphs import ONE_FRAME, Call, StepGraph
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError
from movinet_lite.network.litert_file import LiteRTInfo
from movinet_lite.network.state_names import fit_states

__all__ = ["LiteRTStreamModel"]


class LiteRTStreamModel:
    """A stream model: frames in, one or several a call, with states that stay in LiteRT's buffers."""

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
        self._threads = threads or available_cores()
        self._pools = BufferPools()
        self._lock = threading.Lock()
        self._single = self._open(ONE_FRAME, paths[ONE_FRAME])
        self._layout: StateLayout = (
            PublishedLayout(graph_info)
            if graph_info
            else StoredLayout(self._single.states)
        )
        self._frame_size = self._single.frame_size
        self._unseen: StateBuffers | None = None  # of a stream that has seen no frame
        self._batch: StepGraph | None = None
        self._unopened: dict[Call, GraphFile] = {}  # by `_open_longer`
        self._longer: list[StepGraph] = []
        for call, path in paths.items():
            if call.streams > 1:
                self._batch = self._open(call, path, self._single.groups)
            elif call != ONE_FRAME:
                # A live stream never needs it, and it holds the weights once more.
                self._unopened[call] = GraphFile.now(path)
        self._opening = threading.Lock()

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream that has seen no frame; see `StreamModel.init_states`.

        Raises:
            ModelError: If *frame_size* is not the one that the model was compiled for.
        """
        self._check_frame_size(tuple(frame_size))
        with self._lock:
            if self._unseen is None:
                self._unseen = self._single.fill(self._single.empty())
        # One set for all streams: a step reads it and writes to others.
        return BufferStates(self, self._unseen)

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`.

        Raises:
            ModelError: If the frames are not of the one size that the model was compiled for, or LiteRT fails.
            SessionError: If *states* are none of this model.
        """
        return self.step_with_features(frames, states, ())

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """Which features the graph gives; empty for a file without such outputs."""
        return tuple(self._single.features)

    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return what `step` does, and features behind the logits; see `FeatureStreamModel.step_with_features`."""
        self._check_frame_size(frames.shape[1:3])
        states = self._without_other_models(states)
        if len(frames) == 1:
            with self._lock:
                answer, buffers = self._single.run(
                    frames, self._buffers_of(states), names
                )
            return answer, BufferStates(self, buffers)
        self._open_longer()
        with self._lock:
            rows = []
            place = 0
            buffers = self._buffers_of(states)
            while place < len(frames):
                graph = self._longest(len(frames) - place)
                piece = frames[place : place + graph.call.frames]
                answer, buffers = graph.run(piece, buffers, names)
                rows.append(answer)
                place += len(piece)
        joined = rows[0] if len(rows) == 1 else np.concatenate(rows)
        return joined, BufferStates(self, buffers)

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
        return self.step_many_with_features(frames, states, ())

    def step_many_with_features(
        self,
        frames: NDArray[np.float32],
        states: Sequence[States],
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return what `step_many` does, and features behind the logits; see `BatchFeatureModel`."""
        self._check_frame_size(frames.shape[1:3])
        rows: dict[int, NDArray[np.float32]] = {}
        states = [self._without_other_models(one) for one in states]
        after: list[States] = list(states)
        with self._lock:
            lanes_of_batch = 1 if self._batch is None else self._batch.call.streams
            for places in plan_calls(
                [_group_of(one) for one in states], lanes_of_batch
            ):
                given = [states[place] for place in places]
                if len(places) == 1 or self._batch is None:
                    graph, lanes = self._single, [0]
                    buffers = self._buffers_of(given[0])
                else:
                    graph = self._batch
                    buffers, lanes = self._common_buffers(graph, given)
                    self._move_out(buffers, given)
                batch = _in_lanes(frames, places, lanes, graph.call.streams)
                answers, buffers = graph.run(batch, buffers, names)
                for place, lane in zip(places, lanes, strict=True):
                    rows[place] = answers[lane]
                    after[place] = BufferStates(self, buffers, lane)
        return np.stack([rows[place] for place in range(len(frames))]), after

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

    def _without_other_models(self, states: States) -> States:
        """Return *states*, read out if another model has the buffers: its lock must not be waited for under ours."""
        if isinstance(states, BufferStates) and states.model is not self:
            return dict(states)
        return states

    def _read_all(self, buffers: StateBuffers) -> dict[str, NDArray[Any]]:
        """Return what *buffers* hold of each stream: ``(streams, *shape of a state)``."""
        numbers = {}
        found = zip(self._single.states, buffers.in_order(), strict=True)
        for tensor, buffer in found:
            flat = buffer.read(tensor.size * buffers.streams, tensor.dtype)
            numbers[tensor.name] = flat.reshape(buffers.streams, *tensor.shape)
        return numbers

    def _stored(self, given: Sequence[States]) -> list[dict[str, NDArray[Any]]]:
        """Return what the graph of one stream stores for each of the states *given*, reading shared buffers once."""
        read: dict[int, dict[str, NDArray[Any]]] = {}
        stored = []
        for states in given:
            if isinstance(states, BufferStates):
                key = id(states.buffers)
                if key not in read:
                    read[key] = self._read_all(states.buffers)
                stored.append(_lane_of(read[key], states))
            else:
                pattern = self._layout.show(self._single.empty())
                stored.append(self._layout.store(fit_states(states, pattern)))
        return stored

    def _buffers_of(self, states: States) -> StateBuffers:
        """Return buffers of one stream with *states* in them: their own, or a copy."""
        if isinstance(states, BufferStates) and states.buffers.streams == 1:
            return states.buffers
        (stored,) = self._stored([states])
        return self._single.fill(stored)

    def _common_buffers(
        self, graph: StepGraph, given: Sequence[States]
    ) -> tuple[StateBuffers, list[int]]:
        """Return buffers of a batch with the states *given* in them, and the lane of each."""
        first = given[0]
        if isinstance(first, BufferStates) and first.buffers.streams > 1:
            lanes = [
                states.lane
                for states in given
                if isinstance(states, BufferStates) and states.buffers is first.buffers
            ]
            if len(set(lanes)) == len(given):
                return first.buffers, lanes
        stored = self._stored(given)
        stored += [self._single.empty()] * (graph.call.streams - len(stored))
        joined = {
            tensor.name: np.concatenate([one[tensor.name] for one in stored])
            for tensor in self._single.states
        }
        return graph.fill(joined), list(range(len(given)))

    def _move_out(self, buffers: StateBuffers, going_on: Sequence[States]) -> None:
        """Give the states that stay behind in *buffers* buffers of their own, which take less memory than those of all."""
        going = {id(states) for states in going_on}
        late = [
            states
            for states in [holder() for holder in buffers.holders]
            if states is not None
            and states.buffers is buffers
            and id(states) not in going
        ]
        for states, stored in zip(late, self._stored(late), strict=True):
            states.buffers, states.lane = self._single.fill(stored), 0

    def _open(
        self,
        call: Call,
        path: str | Path,
        groups: Sequence[Sequence[str]] | None = None,
    ) -> StepGraph:
        """Return the graph in the file at *path*, with its states grouped as those of the first one opened."""
        source = self._info.source
        moves = None
        if self._graph_info is not None:
            moves = attrs.evolve(self._graph_info, num_frames=call.frames).moves
        return StepGraph(
            Graph(path, threads=self._threads, source=source),
            call,
            source,
            moves=moves,
            groups=groups,
            pools=self._pools,
        )

    def _open_longer(self) -> None:
        """Open the graphs of several frames a call, once; without one, the frames go one by one."""
        if not self._unopened:
            return
        with self._opening:
            for call, file in list(self._unopened.items()):
                try:
                    file.check_unchanged(self._info.source)
                    graph = self._open(call, file.path, self._single.groups)
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

    def _longest(self, count: int) -> StepGraph:
        """Return the graph of one stream that takes the most of *count* frames."""
        fitting = [graph for graph in self._longer if graph.call.frames <= count]
        return max(fitting, key=lambda graph: graph.call.frames, default=self._single)


def _lane_of(
    numbers: Mapping[str, NDArray[Any]], states: BufferStates
) -> dict[str, NDArray[Any]]:
    return {name: value[states.lane] for name, value in numbers.items()}


def _group_of(states: States) -> Hashable | None:
    """Return what tells the buffers that *states* share with other streams; `None` if they share none."""
    if isinstance(states, BufferStates) and states.buffers.streams > 1:
        return id(states.buffers)
    return None


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
