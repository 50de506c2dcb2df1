"""The layers of a stream network for one CPU and frame size: sizes, tiles, and the places of tensors and weights.

Needs numpy only: a program whose machine code is in the cache is loaded without writing any code.

All tensors lie in planes of as many channels as a vector has lanes, ``(channels / lanes, images, pixels, lanes)``. Lanes
without a channel hold zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.network.spec import NetworkSpec
from movinet_lite.network.variants import LayerSpec

__all__ = [
    "DENSE_ROWS",
    "Dense",
    "Group",
    "HeadPlan",
    "LayerPlan",
    "Machine",
    "Plan",
    "Positions",
    "Ring",
    "StemPlan",
]

DENSE_ROWS: Final = (4, 1)
"""Rows of the tiles of products with one row for each image."""

_BLOCKS_ONE_BY_ONE: Final = 2
"""Blocks that take one image after the other: their tensors are large and their weights small."""


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
        scales: Where the scales of 16-bit weights begin, ``(panels, planes of inputs, vectors, lanes)``; 0 for float32
            weights.
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
