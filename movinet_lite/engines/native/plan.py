"""The layers of a stream network for one CPU and frame size: sizes, tiles, and the places of tensors and weights.

Needs numpy only: a program whose machine code is in the cache is loaded without writing any code.

All tensors lie in planes of as many channels as a vector has lanes, ``(channels / lanes, images, pixels, lanes)``. Lanes
without a channel hold zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import ConversionError
from movinet_lite.network.padding import STEM_PADDING, layer_paddings, size_after
from movinet_lite.network.positions import position_frequencies
from movinet_lite.network.spec import NetworkSpec
from movinet_lite.network.variants import LayerSpec, get_variant

__all__ = [
    "DENSE_ROWS",
    "Dense",
    "Group",
    "HeadPlan",
    "LayerPlan",
    "Plan",
    "Ring",
    "StemPlan",
    "make_plan",
]

DENSE_ROWS: Final = (4, 1)
"""Rows of the tiles of products with one row for each image."""

_BLOCKS_ONE_BY_ONE: Final = 2
"""Blocks that take one image after the other: their tensors are large and their weights small."""

_ALIGNMENT: Final = 64  # bytes: a vector of AVX-512, a line of the cache
_INT16_STEPS: Final = 32767


class Machine(Protocol):
    """What a plan needs to know of a CPU; see `movinet_lite.engines.native.target.Target`."""

    @property
    def lanes(self) -> int:
        """Float32 numbers of a vector."""

    @property
    def registers(self) -> int:
        """Vector registers."""


@attrs.frozen
class Group:
    """Panels of the same width of a product's weights.

    Attributes:
        vectors: Vectors of output channels of a panel.
        panels: Number of panels.
        first: The first vector of output channels.
        rows: Rows of a tile; 0 for a product with one row for each image, which has tiles of `DENSE_ROWS`.
        weights: Where the weights begin, in bytes.
        scales: Where the scales of 16-bit weights begin; 0 for float32 weights.
        biases: Where the biases begin.
    """

    vectors: int
    panels: int
    first: int
    rows: int
    weights: int
    scales: int
    biases: int

    @property
    def start(self) -> int:
        """Where the first of them begin, which is before the others."""
        return self.scales or self.weights


@attrs.frozen
class Dense:
    """A product: a pointwise convolution or a dense layer.

    Attributes:
        planes: Whole planes of input channels.
        rest: Input channels of the last, partial plane.
        outputs: Vectors of output channels.
        groups: The panels.
        is_int16: Whether the weights are 16-bit whole numbers.
    """

    planes: int
    rest: int
    outputs: int
    groups: tuple[Group, ...]
    is_int16: bool = False


@attrs.frozen
class Ring:
    """The frames that a layer keeps, in the storage of a stream: ``(planes, slots, pixels, lanes)``.

    Attributes:
        offset: Float32 numbers before it in the storage.
        slots: Frames of the convolution over time: those kept, and one that is written.
    """

    offset: int
    slots: int


@attrs.frozen
class StemPlan:
    """The stem.

    Attributes:
        size: ``(height, width)`` of the frames.
        result_size: ``(height, width)`` of its result.
        before: ``(top, left)`` padding.
        planes: Planes of its result.
        columns: Results computed at once.
        weights: Where the weights of each plane begin, in bytes.
    """

    size: tuple[int, int]
    result_size: tuple[int, int]
    before: tuple[int, int]
    planes: int
    columns: int
    weights: tuple[int, ...]


@attrs.frozen
class LayerPlan:
    """One layer.

    Attributes:
        path: Its name, such as ``b0/l0``.
        block: The number of its block.
        spec: Its channels, kernel and stride.
        size: ``(height, width)`` of its input.
        result_size: ``(height, width)`` of its result.
        before: ``(top, left)`` padding of its convolution over space.
        pool_before: The same of the pool of its skip path.
        counts_padding: Whether the padding of that pool counts as zeros.
        planes: Planes of the input, the expanded rows and the result.
        columns: Results of the convolution over space computed at once.
        parts: Parts of a plane that several threads share.
        expansion: The expansion.
        space: Where the weights over space begin, in bytes; for each plane ``(taps + 1, lanes)``, the bias last.
        time: The same of the weights over time; 0 for none.
        ring: The frames it keeps; `None` for none.
        sums: Float32 numbers before its sums in a set of sums.
        reduce: The first product of the squeeze-excitation.
        gates: The second.
        projection: The projection.
        skip: The projection of the skip path, whose bias is part of that of the projection; `None` for none.
        positions: Float32 numbers before its positions; -1 for none.
    """

    path: str
    block: int
    spec: LayerSpec
    size: tuple[int, int]
    result_size: tuple[int, int]
    before: tuple[int, int]
    pool_before: tuple[int, int]
    counts_padding: bool
    planes: tuple[int, int, int]
    columns: int
    parts: int
    expansion: Dense
    space: int
    time: int
    ring: Ring | None
    sums: int
    reduce: Dense
    gates: Dense
    projection: Dense
    skip: Dense | None
    positions: int


@attrs.frozen
class HeadPlan:
    """The head.

    Attributes:
        size: ``(height, width)`` of its input.
        project: The projection before the pool.
        sums: Float32 numbers before its sums in a set of sums.
        hidden: The hidden layer.
        classifier: The classifier.
        channels: Classes, channels of the pool, channels of the hidden layer.
    """

    size: tuple[int, int]
    project: Dense
    sums: int
    hidden: Dense
    classifier: Dense
    channels: tuple[int, int, int]


@attrs.frozen(eq=False)
class Positions:
    """The positional encoding of all layers: sines for the means over all frames, cosines for those of each frame.

    Attributes:
        frequencies: In radians a frame: of each layer those of the sines and then the same of the cosines.
        phases: 0 for sines, and a quarter of a wave for cosines, in radians.
        scales: What each is multiplied by.
    """

    frequencies: NDArray[np.float32]
    phases: NDArray[np.float64]
    scales: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        frequencies: Sequence[NDArray[np.float32]],
        scales: Sequence[NDArray[np.float32]],
    ) -> Positions:
        """Return those of layers whose means have these frequencies and scales."""
        phases = [
            part
            for waves in frequencies
            for part in (np.zeros(len(waves)), np.full(len(waves), np.pi / 2))
        ]
        return cls(
            np.concatenate([part for waves in frequencies for part in (waves, waves)]),
            np.concatenate(phases),
            np.concatenate([part for scale in scales for part in (scale, scale)]),
        )

    @property
    def size(self) -> int:
        """Numbers of an image."""
        return len(self.scales)

    def at(self, age: int) -> NDArray[np.float32]:
        """Return what is added to the means of a frame with so many frames of its stream before it."""
        # Angles are rounded to float32 first, as the network does.
        angles = np.float32(age) * self.frequencies
        waves = np.sin(angles.astype(np.float64) + self.phases)
        return (waves * self.scales).astype(np.float32)


@attrs.frozen(eq=False)
class Plan:
    """A network, ready to be written as machine code.

    Attributes:
        spec: The facts of the network.
        lanes: Float32 numbers of a vector.
        registers: Vector registers of the CPU.
        stem: The stem.
        layers: The layers.
        head: The head.
        blob: The weights, as bytes.
        sums_offset: Float32 numbers before the sums in the storage of a stream.
        sums_size: Float32 numbers of one of the two sets of sums.
        positions: Of every layer, what its means get from the position of a frame in time; `None` for nothing.
    """

    spec: NetworkSpec
    lanes: int
    registers: int
    stem: StemPlan
    layers: tuple[LayerPlan, ...]
    head: HeadPlan
    blob: NDArray[np.uint8]
    sums_offset: int
    sums_size: int
    positions: Positions | None

    @property
    def storage_numbers(self) -> int:
        """Float32 numbers of the storage of a stream."""
        return self.sums_offset + 2 * self.sums_size

    @property
    def text(self) -> str:
        """All that the machine code depends on."""
        parts = (self.lanes, self.registers, self.spec.activation, self.spec.gate)
        positions = 0 if self.positions is None else self.positions.size
        numbers = (self.sums_offset, self.sums_size, positions)
        return repr((parts, numbers, self.stem, self.layers, self.head))

    def is_one_by_one(self, layer: LayerPlan) -> bool:
        """Return whether a layer takes one image after the other."""
        return layer.block < _BLOCKS_ONE_BY_ONE


class _Weights:
    """Collects weights; their places are in bytes."""

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []
        self._size = 0

    def add(self, array: NDArray[Any]) -> int:
        """Return the place of a copy of *array*."""
        flat = np.ascontiguousarray(array).view(np.uint8).ravel()
        place = self._size
        padding = -len(flat) % _ALIGNMENT
        self._parts += [flat, np.zeros(padding, np.uint8)]
        self._size += len(flat) + padding
        return place

    def join(self) -> NDArray[np.uint8]:
        """Return all of them."""
        return np.concatenate(self._parts)


def vectors_of(channels: int, lanes: int) -> int:
    """Return the planes that so many channels take."""
    return -(-channels // lanes)


class _Planner:
    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        machine: Machine,
        *,
        is_compact: bool,
    ) -> None:
        self._given = weights
        self.lanes = machine.lanes
        self.registers = machine.registers
        self._is_compact = is_compact
        self.store = _Weights()
        # An offset of 0 stands for nothing.
        self.store.add(np.zeros(_ALIGNMENT, np.uint8))

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
            piece = matrix[:, columns]
            if is_int16:
                steps = np.abs(piece).max(axis=0) / np.float32(_INT16_STEPS)
                steps = np.where(steps > 0, steps, np.float32(1.0))
                piece = np.rint(piece / steps).astype(np.int16)
                scales = self.store.add(steps.astype(np.float32))
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


def _columns_at_once(width: int, registers: int) -> int:
    """Return how many results of a row to compute at once: as many as fit, in equal parts."""
    most = 11 if registers >= 32 else 6
    return -(-width // -(-width // most))


def _before(size: int, result: int, kernel: int, stride: int) -> int:
    """Return TensorFlow's "same" padding before a row or column; the odd pixel comes after it."""
    return max((result - 1) * stride + kernel - size, 0) // 2


def make_plan(
    spec: NetworkSpec,
    weights: Mapping[str, NDArray[np.float32]],
    machine: Machine,
    *,
    is_compact: bool = True,
) -> Plan:
    """Return the plan of a folded stream network.

    Args:
        spec: Its facts; the size of its frames is theirs.
        weights: Its folded weights under their published names.
        machine: The CPU.
        is_compact: Whether products of one row have 16-bit weights.

    Raises:
        ConversionError: If it is a network that cannot be planned.
    """
    if spec.layer_mode != "stream" or spec.mode != "stream":
        raise ConversionError(
            "the native engine runs stream models; this is a base model"
        )
    if spec.transformer is not None:
        raise ConversionError(
            "the native engine runs no transformers; this model has one"
        )
    variant = get_variant(spec.variant)
    planner = _Planner(weights, machine, is_compact=is_compact)
    lanes, registers = planner.lanes, planner.registers
    stem_padding = None if spec.padding == "same" else STEM_PADDING
    height, width = (
        size_after(length, 3, 2, stem_padding) for length in spec.frame_size
    )
    size = (height, width)
    stem = _plan_stem(planner, spec, size, stem_padding)
    layers = []
    ring_end = sums = positions = 0
    waves: list[NDArray[np.float32]] = []
    scales: list[NDArray[np.float32]] = []
    for block, index, layer, padding in layer_paddings(variant, spec.padding):
        edge = None if padding is None else padding.convolution
        kernel = layer.kernel[1]
        result = tuple(size_after(n, kernel, layer.stride, edge) for n in size)
        pooled = padding.pool if padding else None
        pixels = result[0] * result[1]
        if layer.stride > 1:
            skipped = tuple(size_after(n, 3, 2, pooled) for n in size)
            if skipped != result:
                raise ConversionError(
                    f"both paths of a layer must give frames of one size; got {result} and {skipped}"
                )
        path = f"b{block}/l{index}"
        below = f"{path}/bneck"
        planes = tuple(
            vectors_of(n, lanes)
            for n in (layer.in_channels, layer.expanded, layer.out_channels)
        )
        ring = None
        time = 0
        if layer.buffered_frames:
            ring = Ring(ring_end, layer.kernel[0])
            ring_end += planes[1] * ring.slots * pixels * lanes
            name = f"{below}/feature/conv2d_temporal/depthwise_conv2d_1"
            time = planner.store.add(
                planner.by_plane(planner.kernel(name)[:, 0, :, 0], planner.bias(name))
            )
        name = f"{below}/feature/conv2d/depthwise_conv2d"
        space_kernel = planner.kernel(name)[..., 0].reshape(kernel * kernel, -1)
        space = planner.store.add(planner.by_plane(space_kernel, planner.bias(name)))
        skip = None
        if layer.has_skip_projection:
            skip = f"{below}/skip/skip_project/conv2d/conv2d_4"
        parts = 4 if planes[1] < 4 else 2 if planes[1] < 16 else 1
        layers.append(
            LayerPlan(
                path=path,
                block=block,
                spec=layer,
                size=size,
                result_size=(result[0], result[1]),
                before=_padding_before(size, result, kernel, layer.stride, edge),
                pool_before=_padding_before(size, result, 3, 2, pooled),
                counts_padding=padding is not None,
                planes=(planes[0], planes[1], planes[2]),
                columns=_columns_at_once(result[1], registers),
                parts=min(parts, result[0]),
                expansion=planner.dense(
                    f"{below}/expansion/conv2d/conv2d", rows=size[0] * size[1]
                ),
                space=space,
                time=time,
                ring=ring,
                sums=sums,
                reduce=planner.dense(
                    f"{below}/se/se_reduce/conv2d/conv2d_1",
                    inputs=(layer.expanded, layer.expanded),
                ),
                gates=planner.dense(f"{below}/se/se_expand/conv2d/conv2d_2"),
                projection=planner.dense(
                    f"{below}/projection/conv2d/conv2d_3", rows=pixels, added=skip
                ),
                skip=None if skip is None else planner.dense(skip, rows=pixels),
                positions=positions if spec.positional_encoding else -1,
            )
        )
        sums += planes[1] * lanes
        positions += 2 * planes[1] * lanes
        if spec.positional_encoding:
            scale = planner.scalar(f"{below}/se/pos_encoding/scale")
            waves.append(planner.padded(position_frequencies(2 * layer.expanded)))
            scales.append(planner.padded(np.full(layer.expanded, scale, np.float32)))
        size = (result[0], result[1])
    head = HeadPlan(
        size=size,
        project=planner.dense("head/project/conv2d/conv2d", rows=size[0] * size[1]),
        sums=sums,
        hidden=planner.dense("classifier_head/head/conv2d/conv2d"),
        classifier=planner.dense("classifier_head/classifier/conv2d/conv2d_1"),
        channels=(spec.num_classes, variant.head_channels, variant.hidden_channels),
    )
    sums += vectors_of(variant.head_channels, lanes) * lanes
    return Plan(
        spec=spec,
        lanes=lanes,
        registers=registers,
        stem=stem,
        layers=tuple(layers),
        head=head,
        blob=planner.store.join(),
        sums_offset=ring_end,
        sums_size=sums,
        positions=Positions.of(waves, scales) if waves else None,
    )


def _padding_before(
    size: Sequence[int],
    result: Sequence[int],
    kernel: int,
    stride: int,
    given: int | None,
) -> tuple[int, int]:
    if given is not None:
        return (given, given)
    top, left = (
        _before(length, after, kernel, stride)
        for length, after in zip(size, result, strict=True)
    )
    return (top, left)


def _plan_stem(
    planner: _Planner,
    spec: NetworkSpec,
    result: tuple[int, int],
    padding: int | None,
) -> StemPlan:
    name = "stem/stem/conv2d/conv2d"
    kernel = planner.kernel(name)
    rows = kernel.reshape(-1, kernel.shape[-1])
    by_plane = planner.by_plane(rows, planner.bias(name))
    most = 14 if planner.registers >= 32 else 8
    return StemPlan(
        size=spec.frame_size,
        result_size=result,
        before=_padding_before(spec.frame_size, result, 3, 2, padding),
        planes=len(by_plane),
        columns=min(
            range(1, min(most, result[1]) + 1),
            key=lambda count: (-(-result[1] // count) * max(count, 8), -count),
        ),
        weights=tuple(planner.store.add(plane) for plane in by_plane),
    )
