"""Runs stream models as machine code; their states stay in storages of the engine.

A step changes no states that somebody holds, and copies none from frame to frame as long as a stream only goes on; see
`movinet_lite.engines.native.states`. The machine code runs without Python's interpreter lock, so Python threads may
step different streams of one model at the same time; where a call has several threads of its own, calls take turns.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FEATURE_NAMES, FeatureName, FrameSize, States
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.feature_models import StreamModelWithFeatures
from movinet_lite.engines.native.program import StreamProgram
from movinet_lite.engines.native.states import (
    Memory,
    NativeStates,
    Storage,
    Storages,
)
from movinet_lite.errors import ModelError
from movinet_lite.network.state_names import fit_states
from movinet_lite.network.states import from_published_states

__all__ = ["NativeStreamModel"]


class NativeStreamModel(StreamModelWithFeatures):
    """A stream model for any number of frames and streams per call; its states stay in storages of the engine."""

    def __init__(self, program: StreamProgram, info: ModelInfo) -> None:
        """Wrap a program; prefer `movinet_lite.engines.native.opening.load_native`.

        Args:
            program: The network as machine code.
            info: The facts of the model.
        """
        super().__init__(info)
        self._program = program
        self._storages = Storages(program)
        self._pattern = self._storages.empty()
        ends = np.cumsum(program.plan.head.channels)
        self._num_classes = int(ends[0])
        self._columns = {
            name: slice(int(begin), int(end))
            for name, begin, end in zip(FEATURE_NAMES, ends, ends[1:], strict=False)
        }
        self._last_call_s = 0.0

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream without frames; see `StreamModel.init_states`.

        Raises:
            ModelError: If *frame_size* is not that of the model.
        """
        self._check_frame_size(tuple(frame_size))
        return self._storages.empty()

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of its features: all."""
        return FEATURE_NAMES

    @property
    def takes_uint8(self) -> bool:
        """Whether it takes uint8 frames: it does."""
        return True

    @property
    def program(self) -> StreamProgram:
        """The network as machine code."""
        return self._program

    @property
    def last_call_s(self) -> float:
        """The seconds that the machine code took in the last step of one frame; the rest of the step was Python."""
        return self._last_call_s

    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return the result of `step` with features after the logits; see `FeatureStreamModel`."""
        frames = self._checked(frames)
        before = self._own(states)
        count = len(frames)
        # A longer step would overwrite the states that it begins from: it reads them where they are.
        source = None
        kept = self._program.kept_frames
        if before.storage is not None and min(count, self._program.max_images) >= kept:
            source = before.memory
            storage = self._storages.begin_long(before)
        else:
            storage = self._storages.begin(before, count)
        rows = []
        try:
            for begin in range(0, count, self._program.max_images):
                piece = frames[begin : begin + self._program.max_images]
                steps = range(begin, begin + len(piece))
                found = self._run(
                    piece,
                    [storage] * len(piece),
                    [storage.place + step for step in steps],
                    [before.age + step for step in steps],
                    None if begin else source,
                )
                rows.append(self._chosen(found, names))
        except BaseException:
            self._storages.give_up(storage)
            raise
        after = self._storages.finish(storage, before, count)
        return rows[0] if len(rows) == 1 else np.concatenate(rows), after

    def step_many_with_features(
        self,
        frames: NDArray[np.float32],
        states: Sequence[States],
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the result of `step_many` with features after the logits; see `BatchFeatureModel`."""
        frames = self._checked(frames)
        if len(states) != len(frames):
            raise ModelError(
                f"each stream must have a frame; got {len(states)} streams and {len(frames)} frames",
                self._info.source,
            )
        rows = []
        after: list[States] = []
        for begin in range(0, len(frames), self._program.max_images):
            piece = slice(begin, begin + self._program.max_images)
            found, stepped = self._step_together(frames[piece], states[piece])
            rows.append(self._chosen(found, names))
            after += stepped
        return rows[0] if len(rows) == 1 else np.concatenate(rows), after

    def _step_together(
        self, frames: NDArray[Any], given: Sequence[States]
    ) -> tuple[NDArray[np.float32], list[NativeStates]]:
        """Return the rows and the states of at most `StreamProgram.max_images` streams after a frame each, from one call."""
        states = [self._own(one) for one in given]
        storages: list[Storage] = []
        try:
            for one in states:
                storages.append(self._storages.begin(one, 1))  # noqa: PERF401 - all that were begun are given up
            rows = self._run(
                frames,
                storages,
                [storage.place for storage in storages],
                [one.age for one in states],
            )
        except BaseException:
            for storage in storages:
                self._storages.give_up(storage)
            raise
        pairs = zip(storages, states, strict=True)
        return rows, [self._storages.finish(*pair, 1) for pair in pairs]

    def _run(
        self,
        frames: NDArray[Any],
        storages: Sequence[Storage],
        places: Sequence[int],
        ages: Sequence[int],
        source: Memory | None = None,
    ) -> NDArray[np.float32]:
        start = time.perf_counter()
        memories = [storage.memory for storage in storages]
        rows = self._program.run(frames, memories, places, ages, source)
        if len(frames) == 1:
            self._last_call_s = time.perf_counter() - start
        return rows

    def _chosen(
        self, rows: NDArray[np.float32], names: Sequence[FeatureName]
    ) -> NDArray[np.float32]:
        """Return the logits and the features *names* in *rows*, without the memory of the others."""
        logits = rows[:, : self._num_classes]
        if not names:
            return logits.copy()
        return np.concatenate(
            [logits, *(rows[:, self._columns[name]] for name in names)], axis=1
        )

    def _own(self, states: States) -> NativeStates:
        """Return *states*, or a copy in a storage of this model if they are of another one or plain arrays."""
        if isinstance(states, NativeStates) and states.program is self._program:
            return states
        fitted = fit_states(states, self._pattern)
        return self._storages.filled(from_published_states(fitted))

    def _checked(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return *frames* in one piece of memory, after checking that they have the shape of the model's."""
        self._check_frame_size(frames.shape[1:3])
        if frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
            raise ModelError(
                f"frames must have shape (frames, height, width, 3), with at least one frame; got {frames.shape}",
                self._info.source,
            )
        kind = np.uint8 if frames.dtype == np.uint8 else np.float32
        return np.ascontiguousarray(frames, kind)

    def _check_frame_size(self, frame_size: tuple[int, ...]) -> None:
        expected = self._program.plan.spec.frame_size
        if frame_size != expected:
            raise ModelError(
                f"a compiled model takes frames of one size, {expected}; got {frame_size}",
                self._info.source,
                expected,
                frame_size,
            )
