"""Stream states in storages of the native engine, and their public form.

A storage is the memory of one stream. It holds the states at two places: those after the last frame, and those before it,
which the next step overwrites. So a stream goes on in its storage without a copy as long as nobody holds older states
than the last ones; otherwise a step works on a copy, and who holds the older ones keeps them.

Whoever holds states is known by weak references: states that are alive are never overwritten, so they can be read at
any time, without a lock.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.engines.leases import Lease
from movinet_lite.engines.native.program import StreamProgram
from movinet_lite.engines.own_states import OwnStates
from movinet_lite.errors import SessionError
from movinet_lite.network.states import FRAME_COUNT, init_states
from movinet_lite.network.variants import get_variant

__all__ = ["NativeStates", "Storage", "Storages"]

Memory: TypeAlias = NDArray[np.uint8]
"""The memory of one stream, as a program lays it out."""

_KEPT: Final = 4
"""How many memories that no stream uses are kept: a stream that goes through a video in long calls has two."""


def _nobody() -> None:
    """Stand for a weak reference to states that do not exist."""


class Storage:
    """The memory of one stream, and who holds the states in it.

    Attributes:
        memory: The memory.
        place: The place of the last states in it: how many frames it has taken in, counted from the program's first place.
        latest: Returns the states at this place, if somebody holds them.
        previous: Returns the states at the place before it, if they are in it and somebody holds them.
    """

    __slots__ = (
        "__weakref__",
        "_in_use",
        "_lease",
        "latest",
        "memory",
        "place",
        "previous",
    )

    def __init__(
        self, memory: Memory, place: int, give_back: Callable[[Lease], None]
    ) -> None:
        """Hold a memory that a step works on; *give_back*, a C function, receives its lease when the storage ends."""
        self.memory = memory
        self.place = place
        self.latest: Callable[[], NativeStates | None] = _nobody
        self.previous: Callable[[], NativeStates | None] = _nobody
        # Held during a step, and never waited for: in a forked process it may stay locked for ever.
        self._in_use = threading.Lock()
        self._in_use.acquire()
        self._lease = lease = Lease(self, give_back)
        lease.lent = memory

    def claim(self, place: int) -> bool:
        """Let a step of one frame from *place* work on it, if that overwrites no states that somebody holds."""
        if not self._in_use.acquire(blocking=False):
            return False
        if self.place == place + 1 and self.latest() is None:
            # Nobody holds what the last step gave: it is undone.
            self.place, self.latest, self.previous = place, self.previous, _nobody
        if self.place != place or self.previous() is not None:
            self.let_go()
            return False
        return True

    def let_go(self) -> None:
        """End the step that works on it."""
        self._in_use.release()


class NativeStates(OwnStates):
    """The states of one stream in its storage, converted to the published layout on access.

    Attributes:
        program: The program that they belong to.
        storage: Where they are; `None` for a stream without frames.
        place: At which place of the storage.
        age: How many frames their means are over.
    """

    def __init__(
        self,
        program: StreamProgram,
        storage: Storage | None = None,
        place: int = 0,
        age: int = 0,
    ) -> None:
        super().__init__(program.plan.spec)
        self.program = program
        self.storage = storage
        self.place = place
        self.age = age

    @property
    def memory(self) -> Memory:
        """The memory that they are in.

        Raises:
            SessionError: If later steps took it. Python forgets weak references to garbage before it calls ``__del__``: who
                steps there cannot know who still holds states.
        """
        storage = self.storage
        assert storage is not None  # noqa: S101 - the callers look
        if storage.place - self.place not in {0, 1}:
            raise SessionError(
                "states that are garbage must not be used after later steps; these were, and are overwritten "
                "(keep copies: dict(states))"
            )
        return storage.memory

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy them as arrays: a second object at the same place would not keep it from being overwritten."""
        return dict, (dict(self),)

    @property
    def own(self) -> Mapping[str, NDArray[Any]]:
        """The states in the network's own layout."""
        if self.storage is None:
            spec = self._spec
            return init_states(
                get_variant(spec.variant), 1, spec.frame_size, facts=spec
            )
        found = self.program.read_states(self.memory, self.place)
        return {**found, FRAME_COUNT: np.array([self.age], np.int32)}


class Storages:
    """The storages of all streams of a program; any number of threads may use it."""

    def __init__(self, program: StreamProgram) -> None:
        """Begin with none."""
        self._program = program
        # When another memory comes back to a full deque, the oldest goes back to the system.
        self._free: deque[Lease] = deque(maxlen=_KEPT)

    def empty(self) -> NativeStates:
        """Return the states of a stream without frames, which needs no memory."""
        return NativeStates(self._program)

    def filled(self, own: States) -> NativeStates:
        """Return states with the values of *own*, in the network's own layout."""
        storage = self._take(self._program.first_place)
        storage.place = self._program.write_states(storage.memory, own)
        return self._states_in(storage, int(own[FRAME_COUNT][0]))

    def begin_long(self, states: NativeStates) -> Storage:
        """Return a storage with anything in it, to step *states* by at least `StreamProgram.kept_frames` frames from their own.

        `finish` or `give_up` must follow.
        """
        return self._take(states.place)

    def begin(self, states: NativeStates, num_frames: int) -> Storage:
        """Return the storage in which to step *states* by so many frames; `finish` or `give_up` must follow.

        It is their own where that overwrites nothing that somebody holds, else a copy.
        """
        storage = states.storage
        if storage is None:
            fresh = self._take(self._program.first_place)
            fresh.memory.fill(0)
            return fresh
        # A longer step would overwrite the states that it begins from.
        if num_frames == 1 and storage.claim(states.place):
            return storage
        copy = self._take(states.place)
        np.copyto(copy.memory, states.memory)
        return copy

    def finish(
        self, storage: Storage, states: NativeStates, num_frames: int
    ) -> NativeStates:
        """Return the states after a step of so many frames from *states* in *storage*."""
        storage.place += num_frames
        storage.previous = storage.latest
        return self._states_in(storage, states.age + num_frames)

    @staticmethod
    def give_up(storage: Storage) -> None:
        """End a step that failed: the states that it began from are still there."""
        storage.let_go()

    def _states_in(self, storage: Storage, age: int) -> NativeStates:
        """Return the last states in a storage, which a step has written."""
        states = NativeStates(self._program, storage, storage.place, age)
        storage.latest = weakref.ref(states)
        storage.let_go()
        return states

    def _take(self, place: int) -> Storage:
        """Return a storage that nobody else has, with anything in it: one that was given back, else a new one."""
        try:
            memory = self._free.pop().lent
        except IndexError:
            memory = self._program.new_storage()
        return Storage(memory, place, self._free.append)
