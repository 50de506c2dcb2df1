"""What all parts of a network's code share: addresses, the shares of the members of a team, and the kernels.

The code is one function, which all members run, with a barrier after each part. It reads its numbers and addresses from a
context, an array of 64-bit numbers; `movinet_lite.engines.native.rooms.CONTEXT` has their places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from llvmlite import ir

from movinet_lite.engines.native.emit import (
    F32_P,
    I64,
    I64_P,
    U8_P,
    Emitter,
    Function,
)
from movinet_lite.engines.native.plan import Plan
from movinet_lite.engines.native.rooms import CONTEXT, ENTRY, Rooms
from movinet_lite.engines.native.team import emit_barrier

__all__ = ["Scope", "Tensor"]


@attrs.frozen
class Tensor:
    """A tensor in the arena.

    Attributes:
        offset: Float32 numbers before it.
        pixels: Pixels of an image.
        images: Images that it has room for in this call.
        first: The image to begin with.
    """

    offset: int
    pixels: int
    images: Any
    first: Any


class Scope:
    """The function of a network while it is written.

    Attributes:
        plan: The network.
        rooms: Where its tensors lie.
        code: The body of the function.
        member: The number of the member that runs it.
        members: Their number.
        images: Images of the call.
        storages: Addresses of the storages of the images.
        places: Places of the images.
        ages: Ages of the images.
        sources: Addresses of the storages that hold what came before the call.
        begins: Places from which on frames are in the storages of the images themselves.
        numbers: All of the context by name.
        activation: The activation of the network.
        gate: The gate of its squeeze-excitation, with slope and shift in the weights.
    """

    def __init__(
        self, plan: Plan, rooms: Rooms, triple: str, profile: list[str] | None
    ) -> None:
        """Begin the function; the arguments are those of `movinet_lite.engines.native.assembly.write_code`."""
        self.profile = profile
        self.plan = plan
        self.rooms = rooms
        self.module = ir.Module(name="movinet")
        self.module.triple = triple
        self.kernels: dict[str, Emitter] = {}
        self.barrier = emit_barrier(self.module)
        self.code = Emitter(
            self.module, ENTRY, [I64_P, I64], plan.lanes, is_public=True
        )
        context, self.member = self.code.arguments
        builder = self.code.builder
        read = {
            name: builder.load(self.code.at(context, place))
            for place, name in enumerate(CONTEXT)
        }
        self.numbers = read
        self.barrier_state = self.code.pointer(read["barrier"], I64_P)
        self.arena = self.code.pointer(read["arena"])
        self.weights = self.code.pointer(read["weights"], U8_P)
        self.members = read["members"]
        self.images = read["images"]
        self.storages, self.places, self.ages, self.sources, self.begins = (
            self.code.pointer(read[name], I64_P)
            for name in ("storages", "places", "ages", "sources", "begins")
        )
        self.activation: Function = plan.spec.activation
        self.gate: Function = "sigmoid" if plan.spec.gate == "sigmoid" else "relu6"

    # Addresses.

    def start(self, tensor: Tensor) -> Any:
        """Return the address of the first image of a tensor."""
        first = self.code.multiply(tensor.first, tensor.pixels * self.plan.lanes)
        return self.code.at(self.arena, first, tensor.offset)

    def step(self, tensor: Tensor) -> Any:
        """Return the numbers from one plane of a tensor to the next."""
        return self.code.multiply(tensor.images, tensor.pixels * self.plan.lanes)

    def plane(self, tensor: Tensor, index: Any) -> Any:
        """Return the address of the first image of a plane of a tensor."""
        return self.code.at(
            self.start(tensor), self.code.multiply(self.step(tensor), index)
        )

    def image(self, tensor: Tensor, plane: Any, number: Any) -> Any:
        """Return the address of an image of a plane of a tensor, counted from the first that it begins with."""
        numbers = tensor.pixels * self.plan.lanes
        return self.code.at(
            self.plane(tensor, plane), self.code.multiply(number, numbers)
        )

    def weight(self, place: int, kind: Any = F32_P) -> Any:
        """Return the address of weights."""
        return self.code.cast(self.code.at(self.weights, place), kind)

    def kernel(self, name: str, emit: Callable[[], Emitter]) -> Emitter:
        """Return a kernel, written if it is not yet."""
        if name not in self.kernels:
            self.kernels[name] = emit()
        return self.kernels[name]

    # What members share.

    def share(self, units: Any) -> tuple[Any, Any]:
        """Return the first and the end of the units that this member computes."""
        builder, units = self.code.builder, self.code.number(units)
        low = builder.sdiv(builder.mul(units, self.member), self.members)
        after = self.code.add(self.member, 1)
        high = builder.sdiv(builder.mul(units, after), self.members)
        return low, high

    def wait(self, part: str) -> None:
        """Wait for all members at the end of a part of the network."""
        code = self.code
        is_shared = code.builder.icmp_signed(">", self.members, code.number(1))
        code.when(
            is_shared,
            lambda: code.call(self.barrier, self.barrier_state, self.members),
        )
        if self.profile is None:
            return
        self.profile.append(part)
        self.measure(len(self.profile))

    def measure(self, place: int = 0) -> None:
        """Add the cycles since the last part to number *place* of the profile; only begin, if that is 0."""
        code, builder = self.code, self.code.builder
        counter = (
            "llvm.readcyclecounter"
            if self.module.triple.startswith("x86")
            else "llvm.readsteadycounter"
        )
        read = self.module.globals.get(counter)
        if read is None:
            read = ir.Function(self.module, ir.FunctionType(I64, []), counter)
        profile = code.pointer(self.numbers["profile"], I64_P)

        def add() -> None:
            now = builder.call(read, [])
            if place:
                total = code.at(profile, place)
                spent = builder.sub(now, builder.load(profile))
                builder.store(builder.add(builder.load(total), spent), total)
            builder.store(now, profile)

        code.when(builder.icmp_signed("==", self.member, code.number(0)), add)
