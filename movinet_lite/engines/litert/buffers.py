"""Stream states in LiteRT's own buffers, and their public form.

A buffer that nobody holds any more is used again, by whichever stream comes next. As many as one call can need at once
are kept; the rest go back to the system.
"""

from __future__ import annotations

import itertools
import operator
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.engines.leases import Lease
from movinet_lite.engines.litert.graphs import Buffer, Graph, TensorSpec
from movinet_lite.network.litert_file import (
    LiteRTInfo,
    from_litert_states,
    to_litert_states,
)
from movinet_lite.network.states import from_published_states, to_published_states
from movinet_lite.network.variants import get_variant

__all__ = [
    "BufferPools",
    "BufferStates",
    "Pool",
    "PublishedLayout",
    "Slot",
    "StateBuffers",
    "StateLayout",
    "StoredLayout",
]


_buffers_of = operator.attrgetter("buffers")


class StateLayout(Protocol):
    """How the states that a graph keeps turn into those that a caller sees, and back."""

    def show(self, stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return what a caller sees of the states that the graph *stored*."""

    def store(self, shown: States) -> dict[str, NDArray[Any]]:
        """Return what the graph stores for states that a caller was *shown*."""


class StoredLayout:
    """A caller sees the states of a file that others made under its own names, and quantised ones as real numbers.

    So they move between files of different scales, and to and from engines that do not quantise.
    """

    def __init__(self, tensors: Sequence[TensorSpec]) -> None:
        """Take the states as the graph declares them."""
        self._tensors = tuple(tensors)

    def show(self, stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the real values of what is *stored*."""
        return {
            tensor.name: tensor.real(stored[tensor.name]) for tensor in self._tensors
        }

    def store(self, shown: States) -> dict[str, NDArray[Any]]:
        """Return *shown* as it is stored."""
        return {
            tensor.name: tensor.store(shown[tensor.name]) for tensor in self._tensors
        }


class PublishedLayout:
    """A caller sees the states of the models on TF Hub, whatever the graph of ours stores."""

    def __init__(self, info: LiteRTInfo) -> None:
        """Take the facts of the graph."""
        self._info = info

    def show(self, stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return *stored* under published names, in published shapes."""
        return to_published_states(
            from_litert_states(stored, self._info),
            get_variant(self._info.variant),
            positional_encoding=self._info.positional_encoding,
        )

    def store(self, shown: States) -> dict[str, NDArray[Any]]:
        """Return what the graph keeps of states that were *shown*."""
        return to_litert_states(from_published_states(shown), self._info)


class Slot:
    """Buffers of states that are written and passed on together; they go back to their pool when nobody holds them any more.

    A step makes one of these for each group of states instead of one for each state, which is most of what Python does
    around LiteRT's call.
    """

    __slots__ = ("__weakref__", "_lease", "buffers")

    def __init__(
        self, buffers: tuple[Buffer, ...], give_back: Callable[[Lease], None]
    ) -> None:
        """Hold *buffers*; *give_back*, a C function, receives their lease when the slot ends."""
        self.buffers = buffers
        self._lease = lease = Lease(self, give_back)
        lease.lent = buffers


class Pool:
    """Buffers of a group of states, which may serve any group of the same shapes and dtypes.

    Attributes:
        free: Sets of buffers that nobody uses, at most `free.maxlen` of them: when another one comes back to a full
            deque, the oldest goes back to the system.
    """

    def __init__(self) -> None:
        """Begin with none, and keep none."""
        self.free: deque[Lease] = deque(maxlen=0)

    def keep(self, most: int) -> None:
        """Keep at least *most* sets of buffers that nobody uses."""
        if most > (self.free.maxlen or 0):
            self.free = deque(self.free, maxlen=most)

    def take(self, graph: Graph, names: Sequence[str]) -> Slot:
        """Return buffers for the states *names* of *graph*: free ones first, else new ones."""
        buffers = self.free.pop().lent if self.free else graph.input_buffers(names)
        return Slot(buffers, self.free.append)


class BufferPools:
    """The pools that the graphs of a model take buffers for states from."""

    def __init__(self) -> None:
        """Begin with no graph."""
        self._pools: defaultdict[object, Pool] = defaultdict(Pool)

    def serve(self, groups: Sequence[Sequence[TensorSpec]]) -> list[Pool]:
        """Return the pool of each of the *groups* of states that a graph takes and gives.

        While it runs, a stream has two buffers for each: so many are kept when nobody uses them.
        """
        kinds = [
            tuple((tensor.shape, tensor.dtype) for tensor in group) for group in groups
        ]
        for kind, count in Counter(kinds).items():
            self._pools[kind].keep(2 * count)
        return [self._pools[kind] for kind in kinds]


class StateBuffers:
    """The buffers of all states, of one stream, or of those of a batch, which share them.

    Attributes:
        slots: The buffers of each group of states, in the order of the model.
        streams: How many streams they have room for.
        holders: The states that are in them, where several streams share them.
    """

    __slots__ = ("__weakref__", "holders", "slots", "streams")

    def __init__(self, slots: list[Slot], streams: int = 1) -> None:
        self.slots = slots
        self.streams = streams
        self.holders: list[weakref.ref[BufferStates]] = []

    def in_order(self) -> list[Buffer]:
        """Return the buffer of each state, group by group."""
        return list(itertools.chain.from_iterable(map(_buffers_of, self.slots)))


class Shows(Protocol):
    """What shows the states in its buffers."""

    def show(self, states: BufferStates) -> dict[str, NDArray[Any]]:
        """Return *states* as a caller sees them."""


class BufferStates(Mapping[str, NDArray[Any]]):
    """The states of one stream in LiteRT's buffers, copied out when someone looks at one.

    Attributes:
        model: Whose states they are.
        buffers: Where they are.
        lane: Which stream of the buffers it is.
    """

    __slots__ = ("__weakref__", "_shown", "buffers", "lane", "model")

    def __init__(self, model: Shows, buffers: StateBuffers, lane: int = 0) -> None:
        self.model = model
        self.buffers = buffers
        self.lane = lane
        self._shown: dict[str, NDArray[Any]] | None = None
        if buffers.streams > 1:
            buffers.holders.append(weakref.ref(self))

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
