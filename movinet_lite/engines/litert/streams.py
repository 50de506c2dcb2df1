"""Runs compiled stream models with LiteRT.

The states of a stream stay in LiteRT's own buffers. A step reads one set of buffers and writes another; the set that it
read can be reused as soon as nobody holds those states. So no state is copied from frame to frame, and a step does not
change the states it was called with.
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
from movinet_lite.engines.feature_models import StreamModelWithFeatures
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


class LiteRTStreamModel(StreamModelWithFeatures):
    """A stream model for one or several frames per call; its states stay in LiteRT's buffers."""

    def __init__(
        self,
        paths: Mapping[Call, str | Path],
        info: ModelInfo,
        *,
        graph_info: LiteRTInfo | None = None,
        threads: int | None = None,
    ) -> None:
        """Prepare the graphs of a model for this CPU.

        Args:
            paths: The ``.tflite`` file for each kind of call, all of one model; one must accept one frame of one stream.
            info: The facts of the model.
            graph_info: The facts of its graph, for a file of this library; `None` for another file.
            threads: The number of threads; `None` for one per core.

        Raises:
            ModelError: If a file is not a stream model.
        """
        super().__init__(info)
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
        self._empty: StateBuffers | None = None  # of a stream without frames
        self._batch: StepGraph | None = None
        self._unopened: dict[Call, GraphFile] = {}  # by `_open_longer`
        self._longer: list[StepGraph] = []
        for call, path in paths.items():
            if call.streams > 1:
                self._batch = self._open(call, path, self._single.groups)
            elif call != ONE_FRAME:
                # A live stream does not need it, and it has its own copy of the weights.
                self._unopened[call] = GraphFile.now(path)
        self._opening = threading.Lock()

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream without frames; see `StreamModel.init_states`.

        Raises:
            ModelError: If *frame_size* is not that of the file.
        """
        self._check_frame_size(tuple(frame_size))
        with self._lock:
            if self._empty is None:
                self._empty = self._single.fill(self._single.empty())
        # All streams share one set: a step reads it, and writes another.
        return BufferStates(self, self._empty)

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of the file's features; empty for a file without such outputs."""
        return tuple(self._single.features)

    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return the result of `step` with features after the logits; see `FeatureStreamModel`."""
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

    def step_many_with_features(
        self,
        frames: NDArray[np.float32],
        states: Sequence[States],
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the result of `step_many` with features after the logits; see `BatchFeatureModel`.

        Streams that were in the last call together are stepped without copying their states. A call that would be less
        than half full is split into calls of one stream each, which is faster.
        """
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
        """The seconds that LiteRT took in the last step of one frame; the rest of the step was Python."""
        return self._single.graph.last_call_s

    def show(self, states: BufferStates) -> dict[str, NDArray[Any]]:
        """Return *states* in the layout of the public states."""
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
        """Return *states*, as arrays if the buffers belong to another model: waiting for its lock under ours could deadlock."""
        if isinstance(states, BufferStates) and states.model is not self:
            return dict(states)
        return states

    def _read_all(self, buffers: StateBuffers) -> dict[str, NDArray[Any]]:
        """Return the states in *buffers*, each as ``(streams, *shape of a state)``."""
        numbers = {}
        found = zip(self._single.states, buffers.in_order(), strict=True)
        for tensor, buffer in found:
            flat = buffer.read(tensor.size * buffers.streams, tensor.dtype)
            numbers[tensor.name] = flat.reshape(buffers.streams, *tensor.shape)
        return numbers

    def _stored(self, given: Sequence[States]) -> list[dict[str, NDArray[Any]]]:
        """Return each of the states *given* as the graph of one stream stores it; shared buffers are read once."""
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
        """Return the buffers of one stream with *states*: their own, or a copy."""
        if isinstance(states, BufferStates) and states.buffers.streams == 1:
            return states.buffers
        (stored,) = self._stored([states])
        return self._single.fill(stored)

    def _common_buffers(
        self, graph: StepGraph, given: Sequence[States]
    ) -> tuple[StateBuffers, list[int]]:
        """Return the buffers of a batch with the states *given*, and the lane of each."""
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
        """Move the other states in *buffers* to buffers of their own, which need less memory than those of a batch."""
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
        """Return the graph in the file at *path*, its states grouped as in the first graph that was opened."""
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
        """Open the graphs for several frames per call, once; without one, frames are stepped one by one."""
        if not self._unopened:
            return
        with self._opening:
            for call, file in list(self._unopened.items()):
                try:
                    file.check_unchanged(self._info.source)
                    graph = self._open(call, file.path, self._single.groups)
                except (ModelError, OSError) as error:
                    warnings.warn(
                        f"frames are stepped one by one, which is slower, since the graph for {call.frames} frames can no "
                        f"longer be opened: {error} (load the model again)",
                        UserWarning,
                        stacklevel=4,
                    )
                else:
                    self._longer.append(graph)
                # Only now: other threads look here without waiting for the lock.
                del self._unopened[call]

    def _longest(self, count: int) -> StepGraph:
        """Return the graph that steps one stream by the most frames, *count* at most."""
        fitting = [graph for graph in self._longer if graph.call.frames <= count]
        return max(fitting, key=lambda graph: graph.call.frames, default=self._single)


def _lane_of(
    numbers: Mapping[str, NDArray[Any]], states: BufferStates
) -> dict[str, NDArray[Any]]:
    return {name: value[states.lane] for name, value in numbers.items()}


def _group_of(states: States) -> Hashable | None:
    """Return the identity of the buffers that *states* share with other streams; `None` for unshared buffers."""
    if isinstance(states, BufferStates) and states.buffers.streams > 1:
        return id(states.buffers)
    return None


def _in_lanes(
    frames: NDArray[np.float32], places: list[int], lanes: list[int], streams: int
) -> NDArray[np.float32]:
    """Return the frames at *places* in their *lanes* of a batch; the results of the other lanes are not used."""
    everyone = list(range(len(frames)))
    if len(frames) == streams and places == everyone == lanes:
        return frames
    batch = np.zeros((streams, *frames.shape[1:]), np.float32)
    batch[lanes] = frames[places]
    return batch
