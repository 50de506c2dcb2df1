"""The product of rows with a matrix of weights: pointwise convolutions and dense layers.

Tensors lie in planes of so many channels as a vector has lanes, ``(channels / lanes, rows, lanes)``: then the rows of a
tile stand next to each other, and the result of a tile is written as whole vectors. Weights lie in panels of a few
vectors of output channels, ``(panels, input channels, vectors, lanes)``, so that they are read one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
from llvmlite import ir

from movinet_lite.engines.native.emit import F32_P, I16_P, I64, U8_P, Emitter, Function

__all__ = ["CHANNELS_A_STEP", "LINE_BYTES", "Product", "emit_product"]

CHANNELS_A_STEP: Final = 4
LINE_BYTES: Final = 64
_FEW_SUMS: Final = 8  # fewer wait for each other: an addition takes four cycles, and two can begin in each


@attrs.frozen
class Product:
    """One kind of product.

    Attributes:
        rows: Rows of a tile.
        vectors: Vectors of output channels of a tile.
        function: What is computed of the result.
        adds: What is added to it: nothing, rows of the same shape, or a second product.
        is_int16: Whether weights are 16-bit whole numbers, with a scale for each output channel.
        fetched: Lines of other memory that are asked for in every few input channels, while sums are computed; a number
            for each place that memory is fetched from.
    """

    rows: int
    vectors: int
    function: Function = "none"
    adds: str = ""
    is_int16: bool = False
    fetched: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name of its function."""
        weights = "int16" if self.is_int16 else "float32"
        parts = [f"product_{self.rows}x{self.vectors}", self.function, weights]
        if self.adds:
            parts.append(self.adds)
        if self.fetched:
            parts += ["fetching", *map(str, self.fetched)]
        return "_".join(parts)


def emit_product(module: ir.Module, kind: Product, lanes: int) -> Emitter:
    """Write the function of a product.

    Its arguments are: inputs; elements from one plane of them to the next; weights; 32-bit scales of the output
    channels; biases; results; elements from one plane of them to the next; number of rows; whole planes of inputs;
    input channels of the last, partial plane; first and end of the tiles to compute, counted through all panels; number
    of tiles of a panel. Then, if rows are added: these, and elements from one plane of them to the next. If a second
    product is added: its inputs, elements from plane to plane, weights, whole planes and rest. Last, if memory is
    fetched: where each piece begins.
    """
    weights_p = I16_P if kind.is_int16 else F32_P
    arguments: list[Any] = [F32_P, I64, weights_p, F32_P, F32_P, F32_P, *[I64] * 7]
    added = {"rows": [F32_P, I64], "product": [F32_P, I64, weights_p, I64, I64]}
    arguments += added.get(kind.adds, []) + [U8_P] * len(kind.fetched)
    code = Emitter(module, kind.name, arguments, lanes)
    (inputs, step, weights, scales, biases, results, result_step, rows) = (
        code.arguments[:8]
    )
    planes, rest, low, high, tiles = code.arguments[8:13]
    extra = code.arguments[13:]
    width = kind.vectors * lanes

    def tile(unit: Any) -> None:
        panel = code.builder.sdiv(unit, tiles)
        row = code.minimum(
            code.multiply(
                code.builder.sub(unit, code.multiply(panel, tiles)), kind.rows
            ),
            code.add(rows, -kind.rows),
        )
        place = code.multiply(row, lanes)
        channel = code.multiply(panel, width)
        bias = [
            code.load(code.at(biases, channel, lanes * vector))
            for vector in range(kind.vectors)
        ]
        zero = code.constant(0.0)
        start = [zero if kind.is_int16 else value for value in bias]
        given = _Factors(inputs, step, weights, planes, rest)
        fetched = _places_to_fetch(code, kind, unit, planes)
        where = (place, panel)
        sums = _add_up(code, kind, given, where, start * kind.rows, fetched=fetched)
        if kind.adds == "product":
            sums = _add_up(code, kind, _Factors(*extra[:5]), where, sums)
        for vector in range(kind.vectors):
            number = code.add(code.multiply(panel, kind.vectors), vector)
            plane = code.multiply(number, result_step)
            added = code.multiply(number, extra[1]) if kind.adds == "rows" else None
            column = sums[vector :: kind.vectors]
            if kind.is_int16:
                scale = code.load(code.at(scales, channel, lanes * vector))
                column = [code.fma(value, scale, bias[vector]) for value in column]
            for index, value in enumerate(column):
                result = code.apply(kind.function, value)
                offset = (place, lanes * index)
                if added is not None:
                    row_to_add = code.load(code.at(extra[0], added, *offset))
                    result = code.builder.fadd(result, row_to_add)
                code.store(result, code.at(results, plane, *offset))

    code.loop(low, high, tile)
    return code.finish()


def _places_to_fetch(code: Emitter, kind: Product, unit: Any, planes: Any) -> list[Any]:
    """Return where to begin in each piece of memory that is fetched during a tile."""
    steps = code.multiply(planes, code.lanes // CHANNELS_A_STEP)
    pieces = code.arguments[len(code.arguments) - len(kind.fetched) :]
    return [
        code.at(piece, code.multiply(code.multiply(unit, steps), lines * LINE_BYTES))
        for lines, piece in zip(kind.fetched, pieces, strict=True)
    ]


@attrs.frozen
class _Factors:
    """The inputs and weights of a product."""

    inputs: Any
    step: Any
    weights: Any
    planes: Any
    rest: Any


def _add_up(
    code: Emitter,
    kind: Product,
    given: _Factors,
    where: tuple[Any, Any],
    sums: list[Any],
    *,
    fetched: Sequence[Any] = (),
) -> list[Any]:
    """Write the loop over the input channels of a tile.

    Args:
        code: The function.
        kind: The product.
        given: Its inputs and weights.
        where: The place of the first row of the tile in a plane, and the number of its panel.
        sums: What to add to, row by row, each of so many vectors.
        fetched: Where the memory begins that is asked for meanwhile.

    Returns:
        The sums, in the same order.
    """
    place, panel = where
    planes, rest = given.planes, given.rest
    lanes, width = code.lanes, kind.vectors * code.lanes
    count = len(sums)
    ways = 2 if count < _FEW_SUMS else 1
    sums = sums + [code.constant(0.0)] * (count * (ways - 1))
    channels = code.add(code.multiply(planes, lanes), rest)
    panel_start = code.at(
        given.weights, code.multiply(code.multiply(panel, channels), width)
    )

    def one_plane(plane: Any, *values: Any) -> list[Any]:
        source = code.at(given.inputs, code.multiply(plane, given.step), place)
        matrix = code.at(panel_start, code.multiply(plane, lanes * width))

        def some_channels(channel: Any, *values: Any) -> list[Any]:
            now = list(values)
            so_far = code.add(code.multiply(plane, lanes), channel)
            for lines, start in zip(kind.fetched, fetched, strict=False):
                first = code.multiply(so_far, lines * LINE_BYTES // CHANNELS_A_STEP)
                for line in range(lines):
                    code.fetch(code.at(start, first, line * LINE_BYTES))
            for index in range(CHANNELS_A_STEP):
                way = slice(index % ways * count, (index % ways + 1) * count)
                now[way] = _add_channel(
                    code,
                    kind,
                    code.at(source, channel, index),
                    code.at(matrix, code.multiply(channel, width), index * width),
                    now[way],
                )
            return now

        return code.loop(0, lanes, some_channels, step=CHANNELS_A_STEP, carried=values)

    sums = code.loop(0, planes, one_plane, carried=sums)
    source = code.at(given.inputs, code.multiply(planes, given.step), place)
    matrix = code.at(panel_start, code.multiply(planes, lanes * width))
    sums[:count] = code.loop(
        0,
        rest,
        lambda channel, *values: _add_channel(
            code,
            kind,
            code.at(source, channel),
            code.at(matrix, code.multiply(channel, width)),
            values,
        ),
        carried=sums[:count],
    )
    if ways == 1:
        return sums
    halves = zip(sums[:count], sums[count:], strict=True)
    return [code.builder.fadd(left, right) for left, right in halves]


def _add_channel(
    code: Emitter, kind: Product, source: Any, matrix: Any, sums: Sequence[Any]
) -> list[Any]:
    """Write what one input channel adds to the sums of a tile; return the sums."""
    load = code.load_int16 if kind.is_int16 else code.load
    columns = [
        load(code.at(matrix, code.lanes * vector)) for vector in range(kind.vectors)
    ]
    after = []
    for index in range(kind.rows):
        number = code.spread(code.at(source, code.lanes * index))
        after += [
            code.fma(number, column, sums[index * kind.vectors + vector])
            for vector, column in enumerate(columns)
        ]
    return after
