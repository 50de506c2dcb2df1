"""Packs the weights of a network as its code reads them. Needs numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.native.memory import ALIGNMENT
from movinet_lite.engines.native.plan import Dense, Group, Machine
from movinet_lite.errors import ConversionError

__all__ = ["Packer", "WeightStore", "columns_at_once", "tile_rows", "vectors_of"]

_INT16_STEPS: Final = 32767


class WeightStore:
    """Collects weights; their places are in bytes."""

    def __init__(self) -> None:
        """Begin with none."""
        self._parts: list[NDArray[Any]] = []
        self._size = 0

    def add(self, array: NDArray[Any]) -> int:
        """Return the place of a copy of *array*."""
        flat = np.ascontiguousarray(array).view(np.uint8).ravel()
        place = self._size
        padding = -len(flat) % ALIGNMENT
        self._parts += [flat, np.zeros(padding, np.uint8)]
        self._size += len(flat) + padding
        return place

    def join(self) -> NDArray[np.uint8]:
        """Return all of them."""
        return np.concatenate(self._parts)


def vectors_of(channels: int, lanes: int) -> int:
    """Return the planes that so many channels take."""
    return -(-channels // lanes)


class Packer:
    """Packs the weights of a network, and chooses tiles for its products.

    Attributes:
        lanes: Float32 numbers of a vector.
        registers: Vector registers of the CPU.
        store: The packed weights.
    """

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        machine: Machine,
        *,
        is_compact: bool,
    ) -> None:
        """Begin; the arguments are those of `movinet_lite.engines.native.planning.make_plan`."""
        self._given = weights
        self.lanes = machine.lanes
        self.registers = machine.registers
        self._is_compact = is_compact
        self.store = WeightStore()
        # An offset of 0 stands for nothing.
        self.store.add(np.zeros(ALIGNMENT, np.uint8))

    def kernel(self, name: str) -> NDArray[np.float32]:
        """Return a kernel by the start of its name."""
        for part in ("kernel", "depthwise_kernel"):
            if f"{name}/{part}" in self._given:
                return np.asarray(self._given[f"{name}/{part}"], np.float32)
        raise ConversionError(
            f"a stream network must have all published weights; {name}/kernel is missing"
        )

    def bias(self, name: str) -> NDArray[np.float32]:
        """Return a bias by the start of its name."""
        return np.asarray(self._given[f"{name}/bias"], np.float32)

    def scalar(self, name: str) -> float:
        """Return a weight that is one number."""
        return float(np.asarray(self._given[name]))

    def padded(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an array with zeros up to whole vectors at the end of its last axis."""
        missing = -array.shape[-1] % self.lanes
        return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])

    def dense(
        self,
        name: str,
        *,
        rows: int = 0,
        inputs: Sequence[int] = (),
        added: str | None = None,
    ) -> Dense:
        """Return a product, with its weights stored.

        Args:
            name: The start of the names of its weights.
            rows: Rows of an image; 0 for a product with one row for each image.
            inputs: Channels of each part of its input, where each part begins with a plane of its own.
            added: The start of the names of the weights of a product that is added to this one; `None` for none.
        """
        kernel = self.kernel(name)
        matrix: NDArray[np.float32] = kernel.reshape(kernel.shape[-2:])
        if inputs:
            ends = np.cumsum(inputs)[:-1]
            parts = [self.padded(part.T).T for part in np.split(matrix, ends)]
            matrix = np.concatenate(parts)
        bias = self.bias(name)
        if added is not None:
            bias = bias + self.bias(added)
        matrix, bias = self.padded(matrix), self.padded(bias)
        outputs = matrix.shape[1] // self.lanes
        is_int16 = self._is_compact and not rows
        groups = []
        first = 0
        for vectors, panels, tile in self._divide(outputs, rows):
            if not panels:
                continue
            columns = slice(first * self.lanes, (first + vectors * panels) * self.lanes)
            scales = 0
            piece: NDArray[Any] = matrix[:, columns]
            if is_int16:
                piece, steps = self._round(piece)
                scales = self.store.add(
                    steps.reshape(len(steps), panels, -1).transpose(1, 0, 2)
                )
            packed = piece.reshape(len(matrix), panels, -1).transpose(1, 0, 2)
            groups.append(
                Group(
                    vectors,
                    panels,
                    first,
                    tile,
                    self.store.add(packed),
                    scales,
                    self.store.add(bias[columns]),
                )
            )
            first += vectors * panels
        planes, rest = divmod(len(matrix), self.lanes)
        return Dense(planes, rest, outputs, tuple(groups), is_int16)

    def _round(
        self, matrix: NDArray[np.float32]
    ) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Return weights as 16-bit whole numbers, and what one step is worth in each plane of inputs and output channel."""
        planes = vectors_of(len(matrix), self.lanes)
        missing = planes * self.lanes - len(matrix)
        by_plane = np.pad(matrix, [(0, missing), (0, 0)]).reshape(
            planes, self.lanes, -1
        )
        steps = np.abs(by_plane).max(axis=1) / np.float32(_INT16_STEPS)
        steps = np.where(steps > 0, steps, np.float32(1.0)).astype(np.float32)
        rounded = np.rint(by_plane / steps[:, np.newaxis]).astype(np.int16)
        return rounded.reshape(planes * self.lanes, -1)[: len(matrix)], steps

    def _divide(self, outputs: int, rows: int) -> list[tuple[int, int, int]]:
        """Return panels as (vectors, number, rows of a tile): those that take the fewest operations."""
        if rows:
            widths: Sequence[int] = range(1, 5)
        else:
            # Few panels would leave some threads without any.
            most = 1 if outputs < 6 else 2 if outputs < 16 else 4
            widths = [min(most, _DENSE_VECTORS[self.registers >= 32])]
        ways = []
        for width in widths:
            whole, rest = divmod(outputs, width)
            pieces = [(width, whole)] + [(rest, 1)] * (rest > 0)
            way = []
            for vectors, panels in pieces:
                tile = tile_rows(vectors, rows, self.registers) if rows else 0
                way.append((vectors, panels, tile))
            ways.append(way)

        def cost(way: list[tuple[int, int, int]]) -> float:
            return sum(_cost(*piece, rows) for piece in way)

        return min(ways, key=cost)

    def by_plane(self, *arrays: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows of channels as ``(planes, all rows, lanes)``."""
        rows = np.concatenate([np.atleast_2d(self.padded(array)) for array in arrays])
        return rows.reshape(len(rows), -1, self.lanes).transpose(1, 0, 2)


_DENSE_VECTORS: Final = {True: 4, False: 2}  # by whether there are 32 registers


def tile_rows(vectors: int, rows: int, registers: int) -> int:
    """Return the number of rows of a tile that takes the fewest operations.

    The last tile of all ends with the last row; what it shares with the one before is computed twice.

    Args:
        vectors: Vectors of output channels of a tile.
        rows: All rows.
        registers: Vector registers of the CPU; sums, weights and one input stay in them.
    """
    most = max(1, (registers - 1 - vectors) // vectors)
    return min(
        range(1, min(most, rows) + 1),
        key=lambda size: (_cost(vectors, 1, size, rows), -size),
    )


def _cost(vectors: int, panels: int, size: int, rows: int) -> float:
    """Return about how many half cycles the tiles of a product take for each input channel."""
    if not size:
        return float(vectors * panels)
    tiles = -(-rows // size)
    reads = size + vectors
    # Two products and two reads begin in each cycle; fewer than eight sums wait for each other.
    return panels * tiles * (max(size * vectors, reads, 8) + 0.1 * reads)


def columns_at_once(width: int, registers: int) -> int:
    """Return how many results of a row to compute at once: as many as fit, in equal parts."""
    most = 11 if registers >= 32 else 6
    return -(-width // -(-width // most))
