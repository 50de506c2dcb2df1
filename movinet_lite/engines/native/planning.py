"""Plans a network: chooses tiles and parts, packs weights, and places states. Needs numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.native.packing import Packer, columns_at_once, vectors_of
from movinet_lite.engines.native.plan import (
    HeadPlan,
    LayerPlan,
    Machine,
    Plan,
    Positions,
    Ring,
    StemPlan,
)
from movinet_lite.errors import ConversionError
from movinet_lite.network.padding import (
    STEM_PADDING,
    LayerPadding,
    layer_paddings,
    size_after,
)
from movinet_lite.network.positions import position_frequencies
from movinet_lite.network.spec import NetworkSpec
from movinet_lite.network.variants import LayerSpec, get_variant

__all__ = ["make_plan"]

_Size = tuple[int, int]


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
    packer = Packer(weights, machine, is_compact=is_compact)
    return _Planner(spec, packer).plan()


class _Planner:
    """Plans the parts of a network in order."""

    def __init__(self, spec: NetworkSpec, packer: Packer) -> None:
        self._spec = spec
        self._packer = packer
        self._lanes = packer.lanes
        self._ring_end = 0  # numbers of a storage that are taken
        self._sums = 0  # numbers of a set of sums that are taken
        self._frequencies: list[NDArray[np.float32]] = []
        self._scales: list[NDArray[np.float32]] = []

    def plan(self) -> Plan:
        """Return the plan."""
        spec, packer = self._spec, self._packer
        variant = get_variant(spec.variant)
        stem = self._stem()
        size = stem.result_size
        layers = []
        for block, index, layer, padding in layer_paddings(variant, spec.padding):
            path = f"b{block}/l{index}"
            layers.append(self._layer(path, block, layer, padding, size))
            size = layers[-1].result_size
        head = HeadPlan(
            size=size,
            project=packer.dense("head/project/conv2d/conv2d", rows=size[0] * size[1]),
            sums=self._take_sums(vectors_of(variant.head_channels, self._lanes)),
            hidden=packer.dense("classifier_head/head/conv2d/conv2d"),
            classifier=packer.dense("classifier_head/classifier/conv2d/conv2d_1"),
            channels=(spec.num_classes, variant.head_channels, variant.hidden_channels),
        )
        positions = None
        if spec.positional_encoding:
            positions = Positions.of(self._frequencies, self._scales)
        return Plan(
            spec=spec,
            lanes=self._lanes,
            registers=packer.registers,
            stem=stem,
            layers=tuple(layers),
            head=head,
            blob=packer.store.join(),
            sums_offset=self._ring_end,
            sums_size=self._sums,
            positions=positions,
        )

    def _stem(self) -> StemPlan:
        spec, packer = self._spec, self._packer
        padding = None if spec.padding == "same" else STEM_PADDING
        height, width = (
            size_after(length, 3, 2, padding) for length in spec.frame_size
        )
        name = "stem/stem/conv2d/conv2d"
        kernel = packer.kernel(name)
        rows = kernel.reshape(-1, kernel.shape[-1])
        by_plane = packer.by_plane(rows, packer.bias(name))
        most = 14 if packer.registers >= 32 else 8
        columns = min(
            range(1, min(most, width) + 1),
            key=lambda count: (-(-width // count) * max(count, 8), -count),
        )
        return StemPlan(
            size=spec.frame_size,
            result_size=(height, width),
            before=_before(spec.frame_size, (height, width), 3, 2, padding),
            planes=len(by_plane),
            columns=columns,
            weights=tuple(packer.store.add(plane) for plane in by_plane),
        )

    def _layer(
        self,
        path: str,
        block: int,
        layer: LayerSpec,
        padding: LayerPadding | None,
        size: _Size,
    ) -> LayerPlan:
        packer, lanes = self._packer, self._lanes
        below = f"{path}/bneck"
        result = _result_size(layer, padding, size)
        pixels = result[0] * result[1]
        kernel, stride = layer.kernel[1], layer.stride
        edge, pool_edge = (
            (padding.convolution, padding.pool) if padding else (None,) * 2
        )
        incoming, expanded, outgoing = (
            vectors_of(channels, lanes)
            for channels in (layer.in_channels, layer.expanded, layer.out_channels)
        )
        skip = None
        if layer.has_skip_projection:
            skip = f"{below}/skip/skip_project/conv2d/conv2d_4"
        # So that threads get equal numbers of parts of planes.
        parts = 4 if expanded < 4 else 2 if expanded < 16 else 1
        return LayerPlan(
            path=path,
            block=block,
            spec=layer,
            size=size,
            result_size=result,
            before=_before(size, result, kernel, stride, edge),
            pool_before=_before(size, result, 3, 2, pool_edge),
            counts_padding=padding is not None,
            planes=(incoming, expanded, outgoing),
            columns=columns_at_once(result[1], packer.registers),
            parts=min(parts, result[0]),
            expansion=packer.dense(
                f"{below}/expansion/conv2d/conv2d", rows=size[0] * size[1]
            ),
            space=self._space(below),
            time=self._time(below) if layer.buffered_frames else 0,
            ring=self._ring(layer, expanded * pixels * lanes),
            sums=self._take_sums(expanded),
            reduce=packer.dense(
                f"{below}/se/se_reduce/conv2d/conv2d_1",
                inputs=(layer.expanded, layer.expanded),
            ),
            gates=packer.dense(f"{below}/se/se_expand/conv2d/conv2d_2"),
            projection=packer.dense(
                f"{below}/projection/conv2d/conv2d_3", rows=pixels, added=skip
            ),
            skip=None if skip is None else packer.dense(skip, rows=pixels),
            positions=self._positions(below, layer.expanded),
        )

    def _space(self, below: str) -> int:
        """Return the place of the weights of a convolution over space."""
        packer = self._packer
        name = f"{below}/feature/conv2d/depthwise_conv2d"
        kernel = packer.kernel(name)[..., 0]
        taps = kernel.reshape(-1, kernel.shape[-1])
        return packer.store.add(packer.by_plane(taps, packer.bias(name)))

    def _time(self, below: str) -> int:
        """Return the place of the weights of a convolution over time."""
        packer = self._packer
        name = f"{below}/feature/conv2d_temporal/depthwise_conv2d_1"
        taps = packer.kernel(name)[:, 0, :, 0]
        return packer.store.add(packer.by_plane(taps, packer.bias(name)))

    def _ring(self, layer: LayerSpec, numbers: int) -> Ring | None:
        """Return the ring of a layer, whose frames have so many numbers; `None` for none."""
        if not layer.buffered_frames:
            return None
        ring = Ring(self._ring_end, layer.kernel[0])
        self._ring_end += ring.slots * numbers
        return ring

    def _take_sums(self, planes: int) -> int:
        """Return the place of so many planes of sums."""
        place = self._sums
        self._sums += planes * self._lanes
        return place

    def _positions(self, below: str, channels: int) -> int:
        """Return the place of the positions of a layer; -1 for none."""
        if not self._spec.positional_encoding:
            return -1
        packer = self._packer
        place = 2 * sum(len(scales) for scales in self._scales)
        scale = packer.scalar(f"{below}/se/pos_encoding/scale")
        frequencies = packer.padded(position_frequencies(2 * channels))
        self._frequencies.append(frequencies)
        self._scales.append(packer.padded(np.full(channels, scale, np.float32)))
        return place


def _result_size(layer: LayerSpec, padding: LayerPadding | None, size: _Size) -> _Size:
    """Return the size of a layer's result.

    Raises:
        ConversionError: If nothing is left of the frames, or its two paths give frames of different sizes.
    """
    edge, pool_edge = (padding.convolution, padding.pool) if padding else (None,) * 2
    height, width = (
        size_after(length, layer.kernel[1], layer.stride, edge) for length in size
    )
    if min(height, width) < 1:
        raise ConversionError(
            f"frames must be large enough for all layers; nothing is left of {size} in a layer with a kernel of "
            f"{layer.kernel[1]} pixels"
        )
    if layer.stride > 1:
        skipped = tuple(size_after(length, 3, 2, pool_edge) for length in size)
        if skipped != (height, width):
            raise ConversionError(
                f"both paths of a layer must give frames of one size; got {(height, width)} and {skipped}"
            )
    return height, width


def _before(
    size: Sequence[int],
    result: Sequence[int],
    kernel: int,
    stride: int,
    given: int | None,
) -> _Size:
    """Return ``(top, left)`` padding: as *given*, or TensorFlow's "same", whose odd pixel comes after a row or column."""
    if given is not None:
        return given, given
    top, left = (
        max((after - 1) * stride + kernel - length, 0) // 2
        for length, after in zip(size, result, strict=True)
    )
    return top, left
