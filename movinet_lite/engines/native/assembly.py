"""Writes the code of a planned network: one function that all members of a team run, with a barrier after each part.

The function reads its numbers and addresses from a context, an array of 64-bit numbers; `CONTEXT` has their places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from llvmlite import ir

from movinet_lite.engines.native.emit import (
    F32_P,
    I16_P,
    I64,
    I64_P,
    U8_P,
    Emitter,
    Function,
)
from movinet_lite.engines.native.kernels.depthwise import (
    Depthwise,
    Pool,
    emit_depthwise,
    emit_pool,
)
from movinet_lite.engines.native.kernels.means import emit_means, emit_weighing
from movinet_lite.engines.native.kernels.product import Product, emit_product
from movinet_lite.engines.native.kernels.stem import Stem, emit_frame, emit_stem
from movinet_lite.engines.native.plan import DENSE_ROWS, Dense, Group, LayerPlan, Plan
from movinet_lite.engines.native.rooms import CONTEXT, ENTRY, Rooms
from movinet_lite.engines.native.team import emit_barrier

__all__ = ["write_code"]

_LINE_BYTES: Final = 64
_MOST_LINES: Final = (
    8  # in four input channels: more than the memory gives in this time
)


@attrs.frozen
class _Tensor:
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


def write_code(
    plan: Plan, rooms: Rooms, triple: str, profile: list[str] | None = None
) -> str:
    """Return the code of the network of a plan, for LLVM to compile.

    Args:
        plan: The network.
        rooms: Where its tensors lie.
        triple: LLVM's name of the platform.
        profile: Takes the names of the parts, for code that measures them; `None` for code that does not.
    """
    return _Assembly(plan, rooms, triple, profile).write()


class _Assembly:
    def __init__(
        self, plan: Plan, rooms: Rooms, triple: str, profile: list[str] | None
    ) -> None:
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
        self.storages, self.places, self.ages = (
            self.code.pointer(read[name], I64_P)
            for name in ("storages", "places", "ages")
        )
        self.activation: Function = plan.spec.activation
        self.gate: Function = "sigmoid" if plan.spec.gate == "sigmoid" else "relu6"

    def write(self) -> str:
        plan, code = self.plan, self.code
        if self.profile is not None:
            self._measure(0)
        one_by_one = [layer for layer in plan.layers if plan.is_one_by_one(layer)]
        later = [layer for layer in plan.layers if not plan.is_one_by_one(layer)]

        def image(number: Any) -> None:
            rows = self._stem(number)
            for layer in one_by_one:
                is_last = layer is one_by_one[-1]
                rows = self._layer(layer, rows, 1, number, leaves=is_last)

        code.loop(0, self.images, image)
        last = one_by_one[-1]
        pixels = last.result_size[0] * last.result_size[1]
        rows = _Tensor(self.rooms.between, pixels, self.images, 0)
        for layer in later:
            rows = self._layer(layer, rows, self.images, 0)
        self._head(rows)
        code.finish()
        return str(self.module)

    # Addresses.

    def start(self, tensor: _Tensor) -> Any:
        """Return the address of the first image of a tensor."""
        first = self.code.multiply(tensor.first, tensor.pixels * self.plan.lanes)
        return self.code.at(self.arena, first, tensor.offset)

    def step(self, tensor: _Tensor) -> Any:
        """Return the numbers from one plane of a tensor to the next."""
        return self.code.multiply(tensor.images, tensor.pixels * self.plan.lanes)

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
        self._measure(len(self.profile))

    def _measure(self, place: int) -> None:
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

    # Layers.

    def _stem(self, number: Any) -> _Tensor:
        plan, code = self.plan, self.code
        stem = Stem(
            plan.stem.size,
            plan.stem.result_size,
            plan.stem.before,
            self.activation,
            plan.stem.columns,
        )
        numbers = plan.stem.size[0] * plan.stem.size[1] * 3
        padded = code.at(self.arena, self.rooms.frame)
        low, high = self.share(stem.padded_size[0])
        is_uint8 = code.builder.icmp_signed(
            "!=", self.numbers["is_uint8"], code.number(0)
        )
        for kind, condition in (
            (True, is_uint8),
            (False, code.builder.not_(is_uint8)),
        ):
            convert = emit_frame(self.module, stem, plan.lanes, is_uint8=kind)
            frames = code.pointer(self.numbers["frames"], U8_P if kind else F32_P)

            def call(convert: Any = convert, frames: Any = frames) -> None:
                frame = code.at(frames, code.multiply(number, numbers))
                code.call(convert, frame, padded, low, high)

            code.when(condition, call)
        self.wait("stem frame")
        convolve = emit_stem(self.module, stem, plan.lanes)
        pixels = stem.result_size[0] * stem.result_size[1]
        result = _Tensor(self.rooms.stem, pixels, 1, 0)
        low, high = self.share(stem.result_size[0])
        for plane, place in enumerate(plan.stem.weights):
            target = code.at(
                self.start(result), code.multiply(self.step(result), plane)
            )
            code.call(convolve, padded, self.weight(place), target, low, high)
        self.wait("stem convolution")
        return result

    def _layer(
        self,
        layer: LayerPlan,
        rows: _Tensor,
        images: Any,
        first: Any,
        *,
        leaves: bool = False,
    ) -> _Tensor:
        """Write one layer.

        Args:
            layer: The layer.
            rows: Its input.
            images: How many images it takes.
            first: The number of the first of them in the call.
            leaves: Whether its result is the last of those that take one image after the other.
        """
        rooms = self.rooms
        before = layer.size[0] * layer.size[1]
        after = layer.result_size[0] * layer.result_size[1]
        expanded = _Tensor(rooms.expanded, before, images, 0)
        filtered = _Tensor(rooms.filtered, after, images, 0)
        pooled = rows
        self._product(
            layer.expansion,
            rows,
            expanded,
            images,
            function=self.activation,
            fetched=[
                *self._ring(layer, first, after),
                self._weights_of(layer.reduce, layer.gates),
            ],
        )
        if layer.skip is not None and layer.spec.stride > 1:
            pooled = _Tensor(rooms.pooled, after, images, 0)
            self._pool(layer, rows, pooled, images)
        self.wait(f"{layer.path} expansion")
        self._depthwise(layer, expanded, filtered, images, first)
        self.wait(f"{layer.path} depthwise")
        squeezed = _Tensor(rooms.squeezed, 1, images, 0)
        self._means(
            layer.planes[1],
            _Tensor(rooms.parts, layer.parts, images, 0),
            after,
            layer.sums,
            squeezed,
            images,
            first,
            positions=layer.positions,
        )
        self.wait(f"{layer.path} means")
        reduced = _Tensor(rooms.reduced, 1, images, 0)
        self._product(layer.reduce, squeezed, reduced, images, function=self.activation)
        self.wait(f"{layer.path} reduce")
        gates = _Tensor(rooms.gates, 1, images, 0)
        self._product(
            layer.gates,
            reduced,
            gates,
            images,
            function=self.gate,
            weighed=(filtered, layer.planes[1]),
        )
        self.wait(f"{layer.path} gates")
        if leaves:
            result = _Tensor(rooms.between, after, self.images, first)
        else:
            place = rooms.turns[rows.offset == rooms.turns[0]]
            result = _Tensor(place, after, images, 0)
        fetched = []
        last = [
            one for one in self.plan.layers if one.block == self.plan.layers[-1].block
        ]
        if layer in last:
            head = self.plan.head
            fetched = [
                self._weights_of(
                    head.hidden,
                    head.classifier,
                    part=last.index(layer),
                    parts=len(last),
                )
            ]
        if layer.skip is None:
            self._product(
                layer.projection,
                filtered,
                result,
                images,
                added=rows,
                fetched=fetched,
            )
        else:
            self._product(
                layer.projection,
                filtered,
                result,
                images,
                second=(layer.skip, pooled),
                fetched=fetched,
            )
        self.wait(f"{layer.path} projection")
        return result

    def _product(
        self,
        dense: Dense,
        inputs: _Tensor,
        results: _Tensor,
        images: Any,
        *,
        function: Function = "none",
        added: _Tensor | None = None,
        second: tuple[Dense, _Tensor] | None = None,
        weighed: tuple[_Tensor, int] | None = None,
        fetched: Sequence[tuple[Any, int]] = (),
    ) -> None:
        """Write a product.

        Args:
            dense: Its weights.
            inputs: Its input.
            results: Its result.
            images: Number of images.
            function: What is computed of the result.
            added: Rows to add.
            second: A product to add, and its input.
            weighed: Rows to multiply by the result, with one row for each image, and their planes.
            fetched: Pieces of memory that are used soon: where they begin, and their bytes.
        """
        code = self.code
        rows = code.multiply(images, inputs.pixels)
        largest = max(dense.groups, key=lambda group: group.vectors * group.panels)
        for group in dense.groups:
            pieces = []
            if fetched and group is largest:
                steps = _steps_of(dense, group, inputs.pixels, code.lanes)
                pieces = [
                    (start, min(_MOST_LINES, -(-size // (_LINE_BYTES * steps))))
                    for start, size in fetched
                    if steps
                ]

            def write(tile: int, group: Any = group, pieces: Any = pieces) -> None:
                kind = Product(
                    tile,
                    group.vectors,
                    function,
                    "rows" if added else "product" if second else "",
                    dense.is_int16,
                    tuple(lines for _, lines in pieces),
                )
                kernel = self.kernel(
                    kind.name, lambda: emit_product(self.module, kind, code.lanes)
                )
                tiles = code.builder.sdiv(code.add(rows, tile - 1), code.number(tile))
                panels = group.panels
                target = code.at(
                    self.start(results),
                    code.multiply(self.step(results), group.first),
                )
                weights_p = I16_P if dense.is_int16 else F32_P

                def call(low: Any, high: Any) -> None:
                    given = [
                        self.start(inputs),
                        self.step(inputs),
                        self.weight(group.weights, weights_p),
                        self.weight(group.scales),
                        self.weight(group.biases),
                        target,
                        self.step(results),
                        rows,
                        dense.planes,
                        dense.rest,
                        low,
                        high,
                        tiles,
                    ]
                    if added:
                        step = self.step(added)
                        begin = code.multiply(step, group.first)
                        given += [code.at(self.start(added), begin), step]
                    if second:
                        other, source = second
                        (place,) = (
                            one.weights
                            for one in other.groups
                            if one.first == group.first
                        )
                        given += [
                            self.start(source),
                            self.step(source),
                            self.weight(place),
                            other.planes,
                            other.rest,
                        ]
                    given += [start for start, _ in pieces]
                    code.call(kernel, *given)

                if weighed is None:
                    low, high = self.share(code.multiply(tiles, panels))
                    call(low, high)
                    return
                # Whole panels, so that a member weighs the planes whose gates it computed.
                low, high = self.share(panels)
                call(code.multiply(low, tiles), code.multiply(high, tiles))
                weighing = self.kernel(
                    "weighing", lambda: emit_weighing(self.module, code.lanes)
                )
                planes = weighed[0]
                code.call(
                    weighing,
                    target,
                    code.at(
                        self.start(planes),
                        code.multiply(self.step(planes), group.first),
                    ),
                    images,
                    planes.pixels,
                    code.multiply(low, group.vectors),
                    code.multiply(high, group.vectors),
                )

            if group.rows:
                write(group.rows)
                continue
            is_many = code.builder.icmp_signed(
                ">=", code.number(images), code.number(DENSE_ROWS[0])
            )
            if isinstance(images, int):
                write(DENSE_ROWS[images < DENSE_ROWS[0]])
                continue
            code.when(is_many, lambda write=write: write(DENSE_ROWS[0]))  # type: ignore[misc]
            code.when(
                code.builder.not_(is_many),
                lambda write=write: write(DENSE_ROWS[1]),  # type: ignore[misc]
            )

    def _ring(self, layer: LayerPlan, first: Any, pixels: int) -> list[tuple[Any, int]]:
        """Return the frames that a layer keeps of the first stream, as memory to fetch."""
        if layer.ring is None:
            return []
        code = self.code
        storage = code.builder.load(code.at(self.storages, first))
        start = code.at(code.pointer(storage), layer.ring.offset)
        size = layer.planes[1] * layer.ring.slots * pixels * code.lanes * 4
        return [(code.cast(start, U8_P), size)]

    def _weights_of(self, *products: Dense, part: int = 0, parts: int = 1) -> Any:
        """Return one of some parts of the weights of products, which follow each other, as memory to fetch."""
        start = products[0].groups[0].start
        size = (products[-1].groups[-1].biases - start) // parts
        return self.code.at(self.weights, start + part * size), size

    def _pool(
        self, layer: LayerPlan, rows: _Tensor, pooled: _Tensor, images: Any
    ) -> None:
        code = self.code
        kind = Pool(
            layer.size, layer.result_size, layer.pool_before, layer.counts_padding
        )
        kernel = self.kernel(
            kind.name, lambda: emit_pool(self.module, kind, code.lanes)
        )
        # Planes of one image each, whatever they belong to.
        low, high = self.share(code.multiply(layer.planes[0], images))

        def plane(number: Any) -> None:
            source, target = (
                code.at(
                    self.start(tensor),
                    code.multiply(number, tensor.pixels * code.lanes),
                )
                for tensor in (rows, pooled)
            )
            code.call(kernel, source, target)

        code.loop(low, high, plane)

    def _depthwise(
        self,
        layer: LayerPlan,
        expanded: _Tensor,
        filtered: _Tensor,
        images: Any,
        first: Any,
    ) -> None:
        code, lanes = self.code, self.plan.lanes
        builder = code.builder
        ring = layer.ring
        frames = ring.slots if ring else 1
        kind = Depthwise(
            layer.size,
            layer.result_size,
            layer.spec.kernel[1],
            layer.spec.stride,
            layer.before,
            frames,
            self.activation,
            layer.columns,
        )
        kernel = self.kernel(
            kind.name, lambda: emit_depthwise(self.module, kind, lanes)
        )
        height = layer.result_size[0]
        numbers = filtered.pixels * lanes
        parts = self.rooms.parts
        low, high = self.share(layer.planes[1] * layer.parts)

        def unit(index: Any) -> None:
            plane = builder.sdiv(index, code.number(layer.parts))
            part = builder.sub(index, code.multiply(plane, layer.parts))
            top = builder.sdiv(code.multiply(part, height), code.number(layer.parts))
            bottom = builder.sdiv(
                code.multiply(code.add(part, 1), height), code.number(layer.parts)
            )
            taps = layer.spec.kernel[1] ** 2
            space = code.at(
                self.weight(layer.space), code.multiply(plane, (taps + 1) * lanes)
            )
            time = code.at(
                self.weight(layer.time), code.multiply(plane, (frames + 1) * lanes)
            )

            def image(number: Any) -> None:
                given = [
                    code.at(
                        self.start(expanded),
                        code.multiply(plane, self.step(expanded)),
                        code.multiply(number, expanded.pixels * lanes),
                    ),
                    space,
                    time,
                    code.at(
                        self.start(filtered),
                        code.multiply(plane, self.step(filtered)),
                        code.multiply(number, numbers),
                    ),
                    code.at(
                        self.arena,
                        parts,
                        code.multiply(
                            code.add(
                                code.multiply(
                                    code.add(code.multiply(plane, images), number),
                                    layer.parts,
                                ),
                                part,
                            ),
                            lanes,
                        ),
                    ),
                    top,
                    bottom,
                ]
                if ring:
                    at_image = code.add(first, number)
                    storage = code.pointer(
                        builder.load(code.at(self.storages, at_image))
                    )
                    place = builder.load(code.at(self.places, at_image))
                    slots = code.at(
                        storage, ring.offset, code.multiply(plane, frames * numbers)
                    )
                    # This frame, and then the oldest, which is all but one slot before it.
                    for back in (0, *range(frames - 1, 0, -1)):
                        slot = builder.urem(
                            code.add(place, frames - back), code.number(frames)
                        )
                        given.append(code.at(slots, code.multiply(slot, numbers)))
                code.call(kernel, *given)

            code.loop(0, images, image)

        code.loop(low, high, unit)

    def _means(
        self,
        planes: int,
        parts: _Tensor,
        pixels: int,
        sums: int,
        means: _Tensor,
        images: Any,
        first: Any,
        *,
        positions: int = -1,
    ) -> None:
        """Write the means of a layer.

        Args:
            planes: Its planes.
            parts: Sums over the pixels of each image, in parts.
            pixels: Pixels of an image.
            sums: Float32 numbers before its sums in a set of sums.
            means: The means over all frames, and after them those of each frame.
            images: Number of images.
            first: The number of the first in the call.
            positions: Float32 numbers before its positions; -1 for none.
        """
        code, plan = self.code, self.plan
        encoding = plan.positions
        has_positions = encoding is not None and positions >= 0
        kernel = self.kernel(
            f"means {has_positions}",
            lambda: emit_means(self.module, plan.lanes, has_positions=has_positions),
        )
        low, high = self.share(planes)
        given = [
            self.start(parts),
            parts.pixels,
            pixels,
            *(
                code.at(array, first)
                for array in (self.storages, self.places, self.ages)
            ),
            images,
            plan.sums_offset + sums,
            plan.sums_size,
            self.start(means),
            code.at(self.start(means), code.multiply(self.step(means), planes)),
            low,
            high,
        ]
        if encoding is not None and has_positions:
            given += [
                code.at(
                    code.pointer(self.numbers["positions"]),
                    code.multiply(first, encoding.size),
                    positions,
                ),
                encoding.size,
                planes,
            ]
        code.call(kernel, *given)

    def _head(self, rows: _Tensor) -> None:
        head, rooms, images = self.plan.head, self.rooms, self.images
        pixels = head.size[0] * head.size[1]
        projected = _Tensor(rooms.expanded, pixels, images, 0)
        self._product(head.project, rows, projected, images, function=self.activation)
        self.wait("head project")
        pooled, hidden, logits = (
            _Tensor(place, 1, images, 0)
            for place in (rooms.pooled_means, rooms.hidden, rooms.logits)
        )
        self._means(
            head.project.outputs, projected, pixels, head.sums, pooled, images, 0
        )
        self.wait("head means")
        self._product(head.hidden, pooled, hidden, images, function="swish")
        self.wait("head hidden")
        self._product(head.classifier, hidden, logits, images)
        self.wait("head classifier")


def _steps_of(dense: Dense, group: Group, rows: int, lanes: int) -> int:
    """Return how many times a group of panels asks for memory."""
    return group.panels * -(-rows // group.rows) * dense.planes * (lanes // 4)
