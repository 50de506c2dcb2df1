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
        is_int16: Whether weights are 16-bit whole numbers, with scales: one for each output channel and plane of
            input channels.
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

    Its arguments are: inputs; elements from one plane of them to the next; weights; scales of
    16-bit weights, ``(panels, planes of inputs, vectors, lanes)``; biases; results; elements from one plane of them to the next; number of rows; whole planes of inputs;
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
        given = _Factors(inputs, step, weights, planes, rest, scales)
        fetched = _places_to_fetch(code, kind, unit, planes)
        where = (place, panel)
        sums = _add_up(code, kind, given, where, bias * kind.rows, fetched=fetched)
        if kind.adds == "product":
            sums = _add_up(code, kind, _Factors(*extra[:5]), where, sums)
        for vector in range(kind.vectors):
            number = code.add(code.multiply(panel, kind.vectors), vector)
            plane = code.multiply(number, result_step)
            added = code.multiply(number, extra[1]) if kind.adds == "rows" else None
            for index, value in enumerate(sums[vector :: kind.vectors]):
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
    scales: Any = None


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
    channels = code.add(code.multiply(planes, lanes), rest)
    start = code.at(given.weights, code.multiply(code.multiply(panel, channels), width))

    def add_plane(plane: Any, values: Sequence[Any], count: int | Any) -> list[Any]:
        """Add the first channels of a plane, a number of times `CHANNELS_A_STEP` if that is known."""
        source = code.at(given.inputs, code.multiply(plane, given.step), place)
        matrix = code.at(start, code.multiply(plane, lanes * width))
        at_once = CHANNELS_A_STEP if isinstance(count, int) else 1

        def some_channels(channel: Any, *values: Any) -> list[Any]:
            now = list(values)
            if at_once > 1:
                _fetch(code, kind, code.multiply(plane, lanes), channel, fetched)
            ways = len(now) // len(sums)
            for index in range(at_once):
                begin = index % ways * len(sums)
                way = slice(begin, begin + len(sums))
                now[way] = _add_channel(
                    code,
                    kind,
                    code.at(source, channel, index),
                    code.at(matrix, code.multiply(channel, width), index * width),
                    now[way],
                )
            return now

        return code.loop(0, count, some_channels, step=at_once, carried=values)

    ways = 2 if len(sums) < _FEW_SUMS else 1
    zeros = [code.constant(0.0)] * len(sums)
    if not kind.is_int16:
        found = code.loop(
            0,
            planes,
            lambda plane, *values: add_plane(plane, values, lanes),
            carried=sums + zeros * (ways - 1),
        )
        found[: len(sums)] = add_plane(planes, found[: len(sums)], rest)
        return _join(code, found, ways)

    def add_scaled(plane: Any, values: Sequence[Any], count: Any) -> list[Any]:
        """Add a plane, or the rest of one, whose whole numbers have scales of their own."""
        several = ways if isinstance(count, int) else 1
        found = _join(code, add_plane(plane, zeros * several, count), several)
        # Of no rest there are no scales either, and any others do.
        last = code.add(planes, code.minimum(rest, 1), -1)
        row = code.add(
            code.multiply(panel, code.add(last, 1)), code.minimum(plane, last)
        )
        scales = code.at(given.scales, code.multiply(row, width))
        steps = [
            code.load(code.at(scales, lanes * vector)) for vector in range(kind.vectors)
        ]
        return [
            code.fma(value, steps[index % kind.vectors], total)
            for index, (value, total) in enumerate(zip(found, values, strict=True))
        ]

    whole = code.loop(
        0,
        planes,
        lambda plane, *values: add_scaled(plane, values, lanes),
        carried=sums,
    )
    return add_scaled(planes, whole, rest)


def _join(code: Emitter, sums: list[Any], ways: int) -> list[Any]:
    """Return the sums of each of some ways, added."""
    if ways == 1:
        return sums
    half = len(sums) // 2
    pairs = zip(sums[:half], sums[half:], strict=True)
    return [code.builder.fadd(left, right) for left, right in pairs]


def _fetch(
    code: Emitter, kind: Product, first: Any, channel: Any, fetched: Sequence[Any]
) -> None:
    """Ask for the lines that belong to the next channels, where *first* is the first channel of the plane."""
    so_far = code.add(first, channel)
    for lines, start in zip(kind.fetched, fetched, strict=False):
        place = code.multiply(so_far, lines * LINE_BYTES // CHANNELS_A_STEP)
        for line in range(lines):
            code.fetch(code.at(start, place, line * LINE_BYTES))


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
