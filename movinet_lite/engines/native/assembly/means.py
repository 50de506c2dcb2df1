"""Writes the means of a layer, over space and over all frames of a stream."""

from __future__ import annotations

from typing import Any

import attrs

from movinet_lite.engines.native.assembly.scope import Scope, Tensor
from movinet_lite.engines.native.kernels.means import emit_means

__all__ = ["MeansCall"]


@attrs.frozen
class MeansCall:
    """The means of a layer as a part of a network.

    Attributes:
        planes: Planes of the layer.
        parts: Sums over the pixels of each image, in parts.
        pixels: Pixels of an image.
        sums: Float32 numbers before the sums of the layer in a set of sums.
        means: The result: the means over all frames, and after them those of each frame.
        images: Number of images.
        first: The number of the first in the call.
        positions: Float32 numbers before the positions of the layer; -1 for none.
    """

    planes: int
    parts: Tensor
    pixels: int
    sums: int
    means: Tensor
    images: Any
    first: Any
    positions: int = -1

    def write(self, scope: Scope) -> None:
        """Write it."""
        code, plan = scope.code, scope.plan
        positions = self._positions(scope)
        kernel = scope.kernel(
            "means with positions" if positions else "means",
            lambda: emit_means(scope.module, plan.lanes, has_positions=bool(positions)),
        )
        low, high = scope.share(self.planes)
        code.call(
            kernel,
            scope.start(self.parts),
            self.parts.pixels,
            self.pixels,
            code.at(scope.storages, self.first),
            code.at(scope.places, self.first),
            code.at(scope.ages, self.first),
            code.at(scope.sources, self.first),
            code.at(scope.begins, self.first),
            self.images,
            plan.sums_offset + self.sums,
            plan.sums_size,
            scope.start(self.means),
            scope.plane(self.means, self.planes),
            low,
            high,
            *positions,
        )

    def _positions(self, scope: Scope) -> list[Any]:
        """Return the arguments of the kernel for what is added for the position in time; none where nothing is."""
        code, encoding = scope.code, scope.plan.positions
        if encoding is None or self.positions < 0:
            return []
        start = code.pointer(scope.numbers["positions"])
        first = code.multiply(self.first, encoding.size)
        return [code.at(start, first, self.positions), encoding.size, self.planes]
