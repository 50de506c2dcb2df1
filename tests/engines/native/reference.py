"""A stand-in for the machine code of a network: the same storages, computed by TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from movinet_lite.network.model import Movinet
from movinet_lite.network.states import FRAME_COUNT, state_shapes


class ReferenceProgram:
    """Steps streams whose storages are rings with one slot to spare and two sets of sums.

    Attributes:
        calls: How many images each call of `run` took.
    """

    def __init__(self, network: Movinet) -> None:
        spec = network.spec
        self._compute = tf.function(network.step_with_features, autograph=False)
        shapes = state_shapes(network.variant, 1, spec.frame_size, facts=spec)
        self._shapes = {
            name: shape for name, shape in shapes.items() if name != FRAME_COUNT
        }
        variant = network.variant
        self.num_columns = (
            spec.num_classes + variant.head_channels + variant.hidden_channels
        )
        self.calls: list[int] = []
        self.max_images = 8
        self.first_place = 7
        self._ends: dict[str, tuple[int, tuple[int, ...]]] = {}
        size = 0
        for name, shape in self._shapes.items():
            slots = shape[1] + 1 if name.endswith("stream_buffer") else 2
            whole = (slots, *shape[2:])
            self._ends[name] = size, whole
            size += int(np.prod(whole)) * 4
        self._size = size

    def new_storage(self) -> NDArray[np.uint8]:
        """Return the memory of a stream without frames."""
        return np.zeros(self._size, np.uint8)

    def run(
        self,
        frames: NDArray[Any],
        storages: Sequence[NDArray[np.uint8]],
        places: Sequence[int],
        ages: Sequence[int],
    ) -> NDArray[np.float32]:
        """Return a row for each frame."""
        assert frames.flags.c_contiguous
        assert (
            len(frames) == len(storages) == len(places) == len(ages) <= self.max_images
        )
        self.calls.append(len(frames))
        images = zip(frames, storages, places, ages, strict=True)
        return np.stack([self._step(*image) for image in images])

    def _step(
        self, frame: NDArray[Any], storage: NDArray[np.uint8], place: int, age: int
    ) -> NDArray[np.float32]:
        states = self.read_states(storage, place)
        states[FRAME_COUNT] = np.array([age], np.int32)
        logits, after, features = self._compute(frame[np.newaxis, np.newaxis], states)
        for name in self._shapes:
            ring, value = self._ring(storage, name), np.asarray(after[name])[0]
            if name.endswith("stream_buffer"):
                ring[place % len(ring)] = value[-1]
            else:
                ring[(place + 1) % 2] = value[0]
        parts = (logits, features["pooled"], features["hidden"])
        return np.concatenate([np.asarray(part).ravel() for part in parts])

    def read_states(
        self, storage: NDArray[np.uint8], place: int
    ) -> dict[str, NDArray[Any]]:
        """Return the states at a place, as copies."""
        return {
            name: self._ring(storage, name)[self._slots(name, place)][np.newaxis]
            for name in self._shapes
        }

    def write_states(
        self, storage: NDArray[np.uint8], states: Mapping[str, NDArray[Any]]
    ) -> int:
        """Fill a storage with states, and return their place."""
        storage[:] = 255  # NaN
        place = 3
        for name in self._shapes:
            self._ring(storage, name)[self._slots(name, place)] = states[name][0]
        return place

    def _slots(self, name: str, place: int) -> list[int]:
        """Return where the states at a place are in a ring, the oldest first."""
        length = self._ends[name][1][0]
        if not name.endswith("stream_buffer"):
            return [place % 2]
        return [slot % length for slot in range(place - length + 1, place)]

    def _ring(self, storage: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
        begin, shape = self._ends[name]
        end = begin + int(np.prod(shape)) * 4
        return storage[begin:end].view(np.float32).reshape(shape)
