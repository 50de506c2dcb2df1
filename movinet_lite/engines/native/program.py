"""A stream network as machine code: frames and the storages of streams in, logits out."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.atomic import write_atomically
from movinet_lite.engines.native.compiler import (
    MachineCode,
    compile_module,
    fingerprint,
)
from movinet_lite.engines.native.memory import address_of, aligned_zeros
from movinet_lite.engines.native.plan import LayerPlan, Plan, Positions
from movinet_lite.engines.native.planning import make_plan
from movinet_lite.engines.native.rooms import CONTEXT, ENTRY, Rooms
from movinet_lite.engines.native.target import Target
from movinet_lite.engines.native.team import BARRIER_BYTES, Team, possible_members
from movinet_lite.errors import ModelError
from movinet_lite.network.spec import NetworkSpec

__all__ = ["MAX_IMAGES", "StreamProgram", "code_format"]

MAX_IMAGES: Final = 8
"""Images of a call at most, where a model does not say otherwise; more gained nothing."""

_FIRST_PLACE: Final = 16
"""Above the frames that any layer keeps, so that no slot before it is negative."""

_OF_IMAGES: Final = ("storages", "places", "ages", "sources", "begins")
"""What the context has for each image."""


class _Room:
    """The arena and the context of one call at a time."""

    def __init__(
        self,
        rooms: Rooms,
        weights: NDArray[np.uint8],
        positions: Positions | None,
        profile: NDArray[np.int64],
    ) -> None:
        self.arena = aligned_zeros(rooms.size * 4).view(np.float32)
        self.context = np.zeros(len(CONTEXT), np.int64)
        self.streams = np.zeros((len(_OF_IMAGES), rooms.images), np.int64)
        size = positions.size if positions else 0
        numbers = aligned_zeros(rooms.images * size * 4).view(np.float32)
        self.positions = numbers.reshape(rooms.images, size)
        self.barrier = aligned_zeros(BARRIER_BYTES)
        first = self.streams.ctypes.data
        row = self.streams.strides[0]
        addresses = {
            "barrier": self.barrier.ctypes.data,
            "arena": self.arena.ctypes.data,
            "weights": weights.ctypes.data,
            **{name: first + index * row for index, name in enumerate(_OF_IMAGES)},
            "positions": self.positions.ctypes.data,
            "profile": profile.ctypes.data,
        }
        self.tell(**addresses)
        self.address = self.context.ctypes.data

    def tell(self, **numbers: int) -> None:
        """Write numbers to the context, by name."""
        for name, number in numbers.items():
            self.context[CONTEXT.index(name)] = number


class StreamProgram:
    """A stream network as machine code for this CPU.

    It has no states: a stream's are in its storage. Any number of threads may use it at the same time, each with
    storages of its own; Python runs on meanwhile.

    Attributes:
        plan: The network.
        num_columns: Columns of a row: logits, then the features ``pooled``, then ``hidden``.
        kept_frames: Frames that the layers keep, at most.
        max_images: Images of a call, at most.
    """

    def __init__(
        self,
        plan: Plan,
        code: MachineCode,
        *,
        threads: int,
        max_images: int,
        profile: NDArray[np.int64] | None = None,
    ) -> None:
        """Prepare the program; prefer `of`.

        Args:
            plan: The network.
            code: Its machine code.
            threads: Threads of a call.
            max_images: Images of a call, at most.
            profile: Takes the ticks of each part, of code that measures them; see `movinet_lite.engines.native.profiler`.
        """
        self._weights = aligned_zeros(plan.blob.size)
        self._weights[:] = plan.blob
        self.plan = attrs.evolve(plan, blob=self._weights)
        self.max_images = max_images
        self.num_columns = sum(plan.head.channels)
        self.kept_frames = max(layer.spec.buffered_frames for layer in plan.layers)
        self._team = Team(possible_members(threads))
        self._code = code
        self._rooms = Rooms.of(plan, max_images)
        self._address = code.address(ENTRY)
        self._profile = np.zeros(0, np.int64) if profile is None else profile
        self._free: list[_Room] = []
        rooms, lanes = self._rooms, plan.lanes
        self._columns = [
            (place, -(-channels // lanes), channels)
            for place, channels in zip(
                (rooms.logits, rooms.pooled_means, rooms.hidden),
                plan.head.channels,
                strict=True,
            )
        ]

    @classmethod
    def of(
        cls,
        spec: NetworkSpec,
        weights: Mapping[str, NDArray[np.float32]],
        *,
        target: Target,
        threads: int = 1,
        max_images: int = MAX_IMAGES,
        is_compact: bool = True,
        cache: Path | None = None,
    ) -> Self:
        """Return the program of a network.

        Args:
            spec: The facts of the network.
            weights: Its folded weights, ``fold(network).named_weights``, as float32 arrays.
            target: The CPU.
            threads: Threads of a call.
            max_images: Images of a call, at most.
            is_compact: Whether products of one row have 16-bit weights: a third less memory to read.
            cache: A folder for machine code; `None` for none. Where it cannot be written, nothing is kept.

        Raises:
            ConversionError: If it is a network that the native engine cannot run.
        """
        plan = make_plan(spec, weights, target, is_compact=is_compact)
        code = _machine_code(plan, target, max_images, cache)
        return cls(plan, code, threads=threads, max_images=max_images)

    @property
    def storage_size(self) -> int:
        """Bytes of the storage of a stream."""
        return self.plan.storage_numbers * 4

    def new_storage(self) -> NDArray[np.uint8]:
        """Return the storage of a stream without frames; its place is `first_place`."""
        return aligned_zeros(self.storage_size)

    @property
    def first_place(self) -> int:
        """The place of a new storage."""
        return _FIRST_PLACE

    def run(
        self,
        frames: NDArray[np.uint8] | NDArray[np.float32],
        storages: Sequence[NDArray[np.uint8]],
        places: Sequence[int],
        ages: Sequence[int],
        source: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.float32]:
        """Take in one image for each entry of *storages*; return their rows.

        Args:
            frames: ``(images, height, width, 3)``, contiguous: uint8, 0 to 255, or float32, 0 to 1; RGB.
            storages: The storage of the stream of each image, from `new_storage`. The images of a stream stand one after
                the other.
            places: How many frames the storage of each image has taken in, those of this call before it included,
                counted from `first_place`.
            ages: How many frames the stream of each image counts before it; its means are over one more.
            source: The storage with the states before the call, if all images are of one stream and *storages* do not
                have them: it stays as it is. After at least `kept_frames` images the storage has all it needs. `None` for
                the storages themselves.

        Returns:
            ``(images, num_columns)``, float32.
        """
        images = len(frames)
        room = self._take()
        room.streams[0, :images] = [address_of(storage) for storage in storages]
        room.streams[1, :images] = places
        room.streams[2, :images] = ages
        if source is None:
            room.streams[3:, :images] = room.streams[:2, :images]
        else:
            room.streams[3, :images] = address_of(source)
            room.streams[4, :images] = places[0]
        room.tell(
            members=self._team.members,
            images=images,
            frames=address_of(frames),
            is_uint8=frames.dtype == np.uint8,
        )
        if self.plan.positions is not None:
            for index, age in enumerate(ages):
                room.positions[index] = self.plan.positions.at(age)
        self._team.run(self._address, room.address)
        arena, lanes = room.arena, self.plan.lanes
        rows = np.empty((images, self.num_columns), np.float32)
        column = 0
        for place, planes, channels in self._columns:
            block = arena[place : place + planes * images * lanes]
            block = block.reshape(planes, images, lanes).transpose(1, 0, 2)
            flat = block.reshape(images, planes * lanes)
            rows[:, column : column + channels] = flat[:, :channels]
            column += channels
        self._free.append(room)
        return rows

    def read_states(
        self, storage: NDArray[np.uint8], place: int
    ) -> dict[str, NDArray[np.float32]]:
        """Return copies of the states in a storage, in the network's own layout, without the count of frames.

        Args:
            storage: The storage of a stream.
            place: How many frames it has taken in.
        """
        numbers = storage.view(np.float32)
        states = {}
        for layer in self.plan.layers:
            path = f"state/{layer.path}"
            if layer.ring is not None:
                slots = self._slots(numbers, layer)
                kept = layer.spec.buffered_frames
                order = [(place - back) % (kept + 1) for back in range(kept, 0, -1)]
                frames = slots[:, order].transpose(1, 2, 0, 3)
                frames = frames.reshape(1, kept, *layer.result_size, -1)
                states[f"{path}/stream_buffer"] = np.array(
                    frames[..., : layer.spec.expanded]
                )
            sums = self._sums(numbers, place, layer.sums, layer.spec.expanded)
            states[f"{path}/pool_buffer"] = sums.reshape(1, 1, 1, 1, -1).copy()
        head = self.plan.head
        sums = self._sums(numbers, place, head.sums, head.channels[1])
        states["state/head/pool_buffer"] = sums.reshape(1, 1, 1, 1, -1).copy()
        return states

    def write_states(
        self, storage: NDArray[np.uint8], states: Mapping[str, NDArray[Any]]
    ) -> int:
        """Fill a storage with states in the network's own layout, of one stream; return its place."""
        numbers = storage.view(np.float32)
        numbers[:] = 0.0
        place = _FIRST_PLACE
        lanes = self.plan.lanes
        for layer in self.plan.layers:
            path = f"state/{layer.path}"
            channels = layer.spec.expanded
            if layer.ring is not None:
                slots = self._slots(numbers, layer)
                kept = layer.spec.buffered_frames
                given = np.asarray(states[f"{path}/stream_buffer"], np.float32)
                frames = np.zeros(
                    (kept, slots.shape[2], slots.shape[0] * lanes), np.float32
                )
                frames[..., :channels] = given.reshape(kept, -1, channels)
                by_plane = frames.reshape(kept, -1, slots.shape[0], lanes)
                for index in range(kept):
                    slot = (place - kept + index) % (kept + 1)
                    slots[:, slot] = by_plane[index].transpose(1, 0, 2)
            sums = self._sums(numbers, place, layer.sums, channels)
            sums[:] = np.asarray(states[f"{path}/pool_buffer"]).reshape(-1)
        head = self.plan.head
        sums = self._sums(numbers, place, head.sums, head.channels[1])
        sums[:] = np.asarray(states["state/head/pool_buffer"]).reshape(-1)
        return place

    def _slots(
        self, numbers: NDArray[np.float32], layer: LayerPlan
    ) -> NDArray[np.float32]:
        """Return the ring of a layer, ``(planes, slots, pixels, lanes)``."""
        ring = layer.ring
        assert ring is not None  # noqa: S101 - the callers look
        pixels = layer.result_size[0] * layer.result_size[1]
        shape = (layer.planes[1], ring.slots, pixels, self.plan.lanes)
        size = int(np.prod(shape))
        return numbers[ring.offset : ring.offset + size].reshape(shape)

    def _sums(
        self, numbers: NDArray[np.float32], place: int, offset: int, channels: int
    ) -> NDArray[np.float32]:
        """Return the sums of a layer at a place, ``(channels,)``."""
        start = self.plan.sums_offset + place % 2 * self.plan.sums_size + offset
        return numbers[start : start + channels]

    def _take(self) -> _Room:
        """Return a room that no other call has."""
        try:
            return self._free.pop()
        except IndexError:
            return _Room(self._rooms, self._weights, self.plan.positions, self._profile)


@functools.cache
def code_format() -> str:
    """Return a checksum of the modules that write code and lay out weights.

    Code that other modules wrote is not used any more, and new code is compared with its source again.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _machine_code(
    plan: Plan, target: Target, max_images: int, cache: Path | None
) -> MachineCode:
    """Return the machine code of a plan, from the cache if it is there."""
    text = f"{code_format()} {plan.text} {max_images} {fingerprint(target)}"
    digest = hashlib.sha256(text.encode())
    key = digest.digest()  # code of another network could end the process
    path = None
    if cache is not None:
        path = cache / f"code-{digest.hexdigest()[:16]}.bin"
        with contextlib.suppress(OSError, ModelError):
            # Where it is not there yet, or damaged, it is made anew.
            found = path.read_bytes()
            if found.startswith(key):
                return MachineCode(found[len(key) :], target)
    from movinet_lite.engines.native.assembly import write_code

    written = write_code(plan, Rooms.of(plan, max_images), target.triple)
    code = compile_module(written, target)
    if path is not None:
        # A folder that is read only: the next load compiles again.
        with contextlib.suppress(OSError):
            write_atomically(path, key + code)
    return MachineCode(code, target)
