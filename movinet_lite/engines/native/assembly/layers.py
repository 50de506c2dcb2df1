"""Writes one layer of a network: expand, convolve over space and time, squeeze and excite, project, add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from movinet_lite.engines.native.assembly.means import MeansCall
from movinet_lite.engines.native.assembly.products import DenseCall, Piece, Weighed
from movinet_lite.engines.native.assembly.scope import Scope, Tensor
from movinet_lite.engines.native.emit import U8_P
from movinet_lite.engines.native.kernels.depthwise import (
    Depthwise,
    Pool,
    emit_depthwise,
    emit_pool,
)
from movinet_lite.engines.native.plan import Dense, LayerPlan

__all__ = ["LayerCode", "weights_of"]


def weights_of(
    scope: Scope, products: Sequence[Dense], part: int = 0, parts: int = 1
) -> Piece:
    """Return one of some parts of the weights of products, which follow each other, as memory to fetch."""
    start = products[0].groups[0].start
    size = (products[-1].groups[-1].biases - start) // parts
    return Piece(scope.code.at(scope.weights, start + part * size), size)


@attrs.frozen
class LayerCode:
    """A layer as a part of a network.

    Attributes:
        scope: The function of the network.
        layer: The layer.
        images: Number of images.
        first: The number of the first in the call.
    """

    scope: Scope
    layer: LayerPlan
    images: Any
    first: Any

    def write(self, rows: Tensor, result: Tensor, fetched: Sequence[Piece]) -> None:
        """Write it.

        Args:
            rows: Its input.
            result: Its result.
            fetched: Memory to fetch while it projects.
        """
        scope, layer, rooms = self.scope, self.layer, self.scope.rooms
        path = layer.path
        before = layer.size[0] * layer.size[1]
        after = layer.result_size[0] * layer.result_size[1]
        expanded = self._tensor(rooms.expanded, before)
        filtered = self._tensor(rooms.filtered, after)
        self._dense(
            layer.expansion,
            rows,
            expanded,
            function=scope.activation,
            fetched=[
                *self._ring(after),
                weights_of(scope, [layer.reduce, layer.gates]),
            ],
        )
        skipped = rows
        if layer.skip is not None and layer.spec.stride > 1:
            skipped = self._tensor(rooms.pooled, after)
            self._pool(rows, skipped)
        scope.wait(f"{path} expansion")
        self._depthwise(expanded, filtered)
        scope.wait(f"{path} depthwise")
        self._squeeze_and_excite(filtered)
        second = None if layer.skip is None else (layer.skip, skipped)
        self._dense(
            layer.projection,
            filtered,
            result,
            added=rows if second is None else None,
            second=second,
            fetched=fetched,
        )
        scope.wait(f"{path} projection")

    def _tensor(self, offset: int, pixels: int) -> Tensor:
        """Return a tensor of the images of this layer."""
        return Tensor(offset, pixels, self.images, 0)

    def _dense(
        self, dense: Dense, inputs: Tensor, results: Tensor, **options: Any
    ) -> None:
        DenseCall(dense, inputs, results, self.images, **options).write(self.scope)

    def _squeeze_and_excite(self, rows: Tensor) -> None:
        """Write the gates of the channels of *rows*, and multiply these by them."""
        scope, layer, rooms = self.scope, self.layer, self.scope.rooms
        squeezed, reduced, gates = (
            self._tensor(offset, 1)
            for offset in (rooms.squeezed, rooms.reduced, rooms.gates)
        )
        MeansCall(
            layer.planes[1],
            self._tensor(rooms.parts, layer.parts),
            rows.pixels,
            layer.sums,
            squeezed,
            self.images,
            self.first,
            layer.positions,
        ).write(scope)
        scope.wait(f"{layer.path} means")
        self._dense(layer.reduce, squeezed, reduced, function=scope.activation)
        scope.wait(f"{layer.path} reduce")
        weighed = Weighed(rows, layer.planes[1])
        self._dense(layer.gates, reduced, gates, function=scope.gate, weighed=weighed)
        scope.wait(f"{layer.path} gates")

    def _ring(self, pixels: int) -> list[Piece]:
        """Return the frames that the layer keeps of the first stream, as memory to fetch."""
        ring, code = self.layer.ring, self.scope.code
        if ring is None:
            return []
        storage = code.builder.load(code.at(self.scope.sources, self.first))
        start = code.at(code.pointer(storage), ring.offset)
        size = self.layer.planes[1] * ring.slots * pixels * code.lanes * 4
        return [Piece(code.cast(start, U8_P), size)]

    def _pool(self, rows: Tensor, pooled: Tensor) -> None:
        """Write the average pool of the skip path."""
        scope, layer, code = self.scope, self.layer, self.scope.code
        kind = Pool(
            layer.size, layer.result_size, layer.pool_before, layer.counts_padding
        )
        kernel = scope.kernel(
            kind.name, lambda: emit_pool(scope.module, kind, code.lanes)
        )
        # The images of all planes stand in a row: each is a plane of one image.
        low, high = scope.share(code.multiply(layer.planes[0], self.images))

        def plane(number: Any) -> None:
            source = scope.image(rows, 0, number)
            code.call(kernel, source, scope.image(pooled, 0, number))

        code.loop(low, high, plane)

    def _depthwise(self, expanded: Tensor, filtered: Tensor) -> None:
        """Write the convolutions over space and time, and the sums of their result over parts of each plane."""
        scope, layer, code = self.scope, self.layer, self.scope.code
        kind = Depthwise(
            layer.size,
            layer.result_size,
            layer.spec.kernel[1],
            layer.spec.stride,
            layer.before,
            layer.ring.slots if layer.ring else 1,
            scope.activation,
            layer.columns,
        )
        kernel = scope.kernel(
            kind.name, lambda: emit_depthwise(scope.module, kind, code.lanes)
        )
        sums = self._tensor(scope.rooms.parts, layer.parts)
        low, high = scope.share(layer.planes[1] * layer.parts)

        def unit(index: Any) -> None:
            plane = code.divide(index, layer.parts)
            part = code.builder.sub(index, code.multiply(plane, layer.parts))
            top, bottom = (
                code.divide(code.multiply(edge, layer.result_size[0]), layer.parts)
                for edge in (part, code.add(part, 1))
            )
            space = code.multiply(plane, (kind.kernel**2 + 1) * code.lanes)
            time = code.multiply(plane, (kind.frames + 1) * code.lanes)

            def image(number: Any) -> None:
                code.call(
                    kernel,
                    scope.image(expanded, plane, number),
                    code.at(scope.weight(layer.space), space),
                    code.at(scope.weight(layer.time), time),
                    scope.image(filtered, plane, number),
                    code.at(
                        scope.image(sums, plane, number),
                        code.multiply(part, code.lanes),
                    ),
                    top,
                    bottom,
                    *self._slots(plane, number, filtered.pixels * code.lanes),
                )

            code.loop(0, self.images, image)

        code.loop(low, high, unit)

    def _slots(self, plane: Any, number: Any, size: int) -> list[Any]:
        """Return where this frame of an image goes, and then the frames before it, the oldest first.

        Args:
            plane: The plane.
            number: The image.
            size: Float32 numbers of a slot.
        """
        scope, ring, code = self.scope, self.layer.ring, self.scope.code
        if ring is None:
            return []
        at_image = code.add(self.first, number)
        storage, source, place, begin = (
            code.builder.load(code.at(array, at_image))
            for array in (scope.storages, scope.sources, scope.places, scope.begins)
        )
        offset = code.multiply(plane, ring.slots * size)

        def slot(back: int) -> Any:
            """Return where the frame so many places back is."""
            is_older = code.builder.icmp_signed("<", code.add(place, -back), begin)
            memory = code.builder.select(is_older, source, storage) if back else storage
            index = code.remainder(code.add(place, ring.slots - back), ring.slots)
            ring_start = code.at(code.pointer(memory), ring.offset, offset)
            return code.at(ring_start, code.multiply(index, size))

        return [slot(back) for back in (0, *range(ring.slots - 1, 0, -1))]
