"""Writes the products of a network: which kernels compute them, on which tensors, and what each member computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from movinet_lite.engines.native.assembly.scope import Scope, Tensor
from movinet_lite.engines.native.emit import F32_P, I16_P, Function
from movinet_lite.engines.native.kernels.means import emit_weighing
from movinet_lite.engines.native.kernels.product import (
    CHANNELS_A_STEP,
    LINE_BYTES,
    Product,
    emit_product,
)
from movinet_lite.engines.native.plan import DENSE_ROWS, Dense, Group

__all__ = ["DenseCall", "Piece", "Weighed"]

_MOST_LINES: Final = 8
"""Lines of a piece that a step of the kernel fetches, at most: more than the memory gives in this time."""


@attrs.frozen
class Piece:
    """Memory that is used soon.

    Attributes:
        start: Its address.
        size: Its bytes.
    """

    start: Any
    size: int


@attrs.frozen
class Weighed:
    """Rows to multiply by the result of a product with one row for each image.

    Attributes:
        rows: The rows.
        planes: Their planes.
    """

    rows: Tensor
    planes: int


@attrs.frozen
class DenseCall:
    """A product as a part of a network.

    Attributes:
        dense: Its weights.
        inputs: Its input.
        results: Its result.
        images: Number of images.
        function: What is computed of the result.
        added: Rows to add; `None` for none.
        second: A product to add, and its input; `None` for none.
        weighed: What is multiplied by the result; `None` for nothing.
        fetched: Memory to fetch meanwhile.
    """

    dense: Dense
    inputs: Tensor
    results: Tensor
    images: Any
    function: Function = "none"
    added: Tensor | None = None
    second: tuple[Dense, Tensor] | None = None
    weighed: Weighed | None = None
    fetched: Sequence[Piece] = ()

    def write(self, scope: Scope) -> None:
        """Write it."""
        groups = self.dense.groups
        largest = max(groups, key=lambda group: group.vectors * group.panels)
        for group in groups:
            fetched = self.fetched if group is largest else ()
            self._write_group(scope, group, fetched)

    def _write_group(
        self, scope: Scope, group: Group, fetched: Sequence[Piece]
    ) -> None:
        """Write the panels of a group."""
        if group.rows:
            self._write_tiles(scope, group, group.rows, fetched)
            return
        code = scope.code
        most, one = DENSE_ROWS
        if isinstance(self.images, int):
            self._write_tiles(scope, group, most if self.images >= most else one)
            return
        is_many = code.builder.icmp_signed(">=", self.images, code.number(most))
        code.when(is_many, lambda: self._write_tiles(scope, group, most))
        code.when(
            code.builder.not_(is_many), lambda: self._write_tiles(scope, group, one)
        )

    def _write_tiles(
        self, scope: Scope, group: Group, size: int, fetched: Sequence[Piece] = ()
    ) -> None:
        """Write the panels of a group with tiles of *size* rows."""
        code = scope.code
        lines = self._lines(group, fetched, code.lanes)
        adds = "rows" if self.added else "product" if self.second else ""
        kind = Product(
            size, group.vectors, self.function, adds, self.dense.is_int16, lines
        )
        kernel = scope.kernel(
            kind.name, lambda: emit_product(scope.module, kind, code.lanes)
        )
        rows = code.multiply(self.images, self.inputs.pixels)
        tiles = code.builder.sdiv(code.add(rows, size - 1), code.number(size))
        # Who weighs planes computes whole panels, and so the gates of these planes.
        panels = scope.share(group.panels)
        low, high = (
            (code.multiply(panel, tiles) for panel in panels)
            if self.weighed
            else scope.share(code.multiply(tiles, group.panels))
        )
        starts = [piece.start for piece in fetched] if lines else []
        code.call(
            kernel,
            *self._factors(scope, group),
            rows,
            self.dense.planes,
            self.dense.rest,
            low,
            high,
            tiles,
            *self._others(scope, group),
            *starts,
        )
        if self.weighed:
            self._weigh(scope, self.weighed, group, panels)

    def _lines(
        self, group: Group, fetched: Sequence[Piece], lanes: int
    ) -> tuple[int, ...]:
        """Return how many lines of each piece to fetch in a step of the kernel, so that all are fetched in the end."""
        if not fetched:
            return ()
        tiles = -(-self.inputs.pixels // group.rows)
        steps = group.panels * tiles * self.dense.planes * lanes // CHANNELS_A_STEP
        if not steps:
            return ()
        needed = [-(-piece.size // (LINE_BYTES * steps)) for piece in fetched]
        # Powers of two, so that few kernels are compiled.
        return tuple(
            min(_MOST_LINES, 1 << (lines - 1).bit_length()) for lines in needed
        )

    def _factors(self, scope: Scope, group: Group) -> list[Any]:
        """Return the arguments of the kernel for inputs, weights and results."""
        return [
            scope.start(self.inputs),
            scope.step(self.inputs),
            scope.weight(group.weights, I16_P if self.dense.is_int16 else F32_P),
            scope.weight(group.scales),
            scope.weight(group.biases),
            scope.plane(self.results, group.first),
            scope.step(self.results),
        ]

    def _others(self, scope: Scope, group: Group) -> list[Any]:
        """Return the arguments of the kernel for what is added."""
        if self.added:
            return [scope.plane(self.added, group.first), scope.step(self.added)]
        if self.second is None:
            return []
        other, source = self.second
        # Both have the same output channels, and so the same groups.
        (same,) = (one for one in other.groups if one.first == group.first)
        return [
            scope.start(source),
            scope.step(source),
            scope.weight(same.weights),
            other.planes,
            other.rest,
        ]

    def _weigh(
        self, scope: Scope, weighed: Weighed, group: Group, panels: Sequence[Any]
    ) -> None:
        """Write the multiplication of planes by the gates in some panels."""
        code = scope.code
        kernel = scope.kernel(
            "weighing", lambda: emit_weighing(scope.module, code.lanes)
        )
        code.call(
            kernel,
            scope.plane(self.results, group.first),
            scope.plane(weighed.rows, group.first),
            self.images,
            weighed.rows.pixels,
            *(code.multiply(panel, group.vectors) for panel in panels),
        )
