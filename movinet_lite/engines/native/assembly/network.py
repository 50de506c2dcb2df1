"""Writes the function of a network, part by part."""

from __future__ import annotations

from typing import Any

from movinet_lite.engines.native.assembly.layers import LayerCode, weights_of
from movinet_lite.engines.native.assembly.means import MeansCall
from movinet_lite.engines.native.assembly.products import DenseCall, Piece
from movinet_lite.engines.native.assembly.scope import Scope, Tensor
from movinet_lite.engines.native.emit import F32_P, U8_P
from movinet_lite.engines.native.kernels.stem import (
    CHANNELS,
    Stem,
    emit_frame,
    emit_stem,
)
from movinet_lite.engines.native.plan import LayerPlan, Plan
from movinet_lite.engines.native.rooms import Rooms

__all__ = ["write_code"]


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
    scope = Scope(plan, rooms, triple, profile)
    if profile is not None:
        scope.measure()
    one_by_one = [layer for layer in plan.layers if plan.is_one_by_one(layer)]
    later = [layer for layer in plan.layers if not plan.is_one_by_one(layer)]
    between = _result(one_by_one[-1], rooms.between, scope.images)

    def image(number: Any) -> None:
        rows = _write_stem(scope, number)
        for layer in one_by_one[:-1]:
            rows = _write_layer(scope, layer, rows, 1, number)
        last = one_by_one[-1]
        result = _result(last, rooms.between, scope.images, number)
        LayerCode(scope, last, 1, number).write(rows, result, [])

    scope.code.loop(0, scope.images, image)
    rows = between
    for layer in later:
        rows = _write_layer(scope, layer, rows, scope.images, 0)
    _write_head(scope, rows)
    scope.code.finish()
    return str(scope.module)


def _result(layer: LayerPlan, offset: int, images: Any, first: Any = 0) -> Tensor:
    """Return the tensor of a layer's result."""
    height, width = layer.result_size
    return Tensor(offset, height * width, images, first)


def _write_layer(
    scope: Scope, layer: LayerPlan, rows: Tensor, images: Any, first: Any
) -> Tensor:
    """Write a layer; return its result, in the other of the two places that layers read and write in turns."""
    here, there = scope.rooms.turns
    result = _result(layer, there if rows.offset == here else here, images)
    LayerCode(scope, layer, images, first).write(rows, result, _for_head(scope, layer))
    return result


def _for_head(scope: Scope, layer: LayerPlan) -> list[Piece]:
    """Return the part of the head's weights that is fetched while a layer of the last block computes."""
    layers, head = scope.plan.layers, scope.plan.head
    last = [one.path for one in layers if one.block == layers[-1].block]
    if layer.path not in last:
        return []
    part = last.index(layer.path)
    return [weights_of(scope, [head.hidden, head.classifier], part, len(last))]


def _write_stem(scope: Scope, number: Any) -> Tensor:
    """Write the stem for one image; return its result."""
    plan, code = scope.plan, scope.code
    stem = Stem(
        plan.stem.size,
        plan.stem.result_size,
        plan.stem.before,
        scope.activation,
        plan.stem.columns,
    )
    padded = code.at(scope.arena, scope.rooms.frame)
    _write_frame(scope, stem, number, padded)
    scope.wait("stem frame")
    kernel = scope.kernel("stem", lambda: emit_stem(scope.module, stem, plan.lanes))
    height, width = stem.result_size
    result = Tensor(scope.rooms.stem, height * width, 1, 0)
    low, high = scope.share(height)
    for plane, place in enumerate(plan.stem.weights):
        target = scope.plane(result, plane)
        code.call(kernel, padded, scope.weight(place), target, low, high)
    scope.wait("stem convolution")
    return result


def _write_frame(scope: Scope, stem: Stem, number: Any, padded: Any) -> None:
    """Write the conversion of an image, of either kind of numbers, to a padded float32 frame."""
    code = scope.code
    numbers = code.multiply(number, stem.size[0] * stem.size[1] * CHANNELS)
    low, high = scope.share(stem.padded_size[0])
    is_uint8 = code.builder.icmp_signed("!=", scope.numbers["is_uint8"], code.number(0))

    def convert(*, from_uint8: bool) -> None:
        kernel = scope.kernel(
            f"frame of {'uint8' if from_uint8 else 'float32'}",
            lambda: emit_frame(
                scope.module, stem, scope.plan.lanes, is_uint8=from_uint8
            ),
        )
        frames = code.pointer(scope.numbers["frames"], U8_P if from_uint8 else F32_P)
        code.call(kernel, code.at(frames, numbers), padded, low, high)

    code.when(is_uint8, lambda: convert(from_uint8=True))
    code.when(code.builder.not_(is_uint8), lambda: convert(from_uint8=False))


def _write_head(scope: Scope, rows: Tensor) -> None:
    """Write the head; the features stay where they are computed, beside the logits."""
    head, rooms, images = scope.plan.head, scope.rooms, scope.images
    pixels = head.size[0] * head.size[1]
    projected = Tensor(rooms.expanded, pixels, images, 0)
    pooled, hidden, logits = (
        Tensor(place, 1, images, 0)
        for place in (rooms.pooled_means, rooms.hidden, rooms.logits)
    )
    DenseCall(head.project, rows, projected, images, scope.activation).write(scope)
    scope.wait("head project")
    planes = head.project.outputs
    means = MeansCall(planes, projected, pixels, head.sums, pooled, images, 0)
    means.write(scope)
    scope.wait("head means")
    DenseCall(head.hidden, pooled, hidden, images, "swish").write(scope)
    scope.wait("head hidden")
    DenseCall(head.classifier, hidden, logits, images).write(scope)
    scope.wait("head classifier")
