"""Depthwise convolutions over space and then over time, the average pool of a skip path, and means over space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from llvmlite import ir

from movinet_lite.engines.native.emit import F32_P, I64, Emitter, Function

__all__ = ["Depthwise", "Pool", "emit_depthwise", "emit_pool"]


@attrs.frozen
class Depthwise:
    """One kind of depthwise convolution.

    Attributes:
        size: ``(height, width)`` of its input.
        result_size: ``(height, width)`` of its result.
        kernel: Height and width of its kernel.
        stride: 1 or 2.
        before: ``(top, left)`` padding in pixels.
        frames: Frames of the convolution over time that follows; 1 for none.
        function: The activation after each of them.
        columns: Results computed at once.
    """

    size: tuple[int, int]
    result_size: tuple[int, int]
    kernel: int
    stride: int
    before: tuple[int, int]
    frames: int
    function: Function
    columns: int

    @property
    def name(self) -> str:
        """The name of its function."""
        numbers = (
            *self.size,
            *self.result_size,
            self.kernel,
            self.stride,
            *self.before,
            self.frames,
            self.columns,
        )
        return f"depthwise_{'_'.join(map(str, numbers))}_{self.function}"


def emit_depthwise(module: ir.Module, kind: Depthwise, lanes: int) -> Emitter:
    """Write the function of a depthwise convolution of one plane.

    Its arguments are: input plane; weights over space, ``(kernel, kernel, lanes)``, with their bias after them; weights
    over time, ``(frames, lanes)``, oldest first, with their bias after them; result plane; where to write the sum of the
    result over its pixels; first and end of the rows of the result; the frame of this call before the convolution over
    time, which is written; and the frames before it, the oldest first.
    """
    arguments = [*[F32_P] * 5, I64, I64]
    if kind.frames > 1:
        arguments += [F32_P] * kind.frames
    code = Emitter(module, kind.name, arguments, lanes)
    return _Convolution(code, kind).write()


@attrs.frozen
class _Row:
    """A row of the result: its number, the row of the input at its top, and the rows of the kernel inside the input."""

    index: Any
    top: Any
    first: Any
    end: Any


class _Convolution:
    """Writes the body of a depthwise convolution."""

    def __init__(self, code: Emitter, kind: Depthwise) -> None:
        self.code = code
        self.kind = kind
        lanes = code.lanes
        self.plane, self.weights, time_weights, self.results, self.total = (
            code.arguments[:5]
        )
        self.bias = code.load(code.at(self.weights, kind.kernel**2 * lanes))
        self.over_time = [
            code.load(code.at(time_weights, index * lanes))
            for index in range(kind.frames + 1 if kind.frames > 1 else 0)
        ]

    def write(self) -> Emitter:
        code = self.code
        low, high = code.arguments[5:7]
        (total,) = code.loop(low, high, self._row, carried=[code.constant(0.0)])
        code.store(total, self.total)
        return code.finish()

    def _row(self, index: Any, *carried: Any) -> list[Any]:
        """Write a row of the result; return the sum of its pixels and those before."""
        code, kind = self.code, self.kind
        top = code.add(code.multiply(index, kind.stride), -kind.before[0])
        first = code.maximum(0, code.builder.neg(top))
        end = code.minimum(
            kind.kernel, code.builder.sub(code.number(kind.size[0]), top)
        )
        row = _Row(index, top, first, end)
        values = list(carried)
        width = kind.result_size[1]
        starts = list(range(0, width, kind.columns))
        is_inner = [self._is_inner(start) for start in starts]
        place = 0
        while place < len(starts):
            end_of_run = place
            while end_of_run < len(starts) and is_inner[end_of_run]:
                end_of_run += 1
            if end_of_run - place > 1:
                values = code.loop(
                    starts[place],
                    starts[end_of_run - 1] + 1,
                    lambda start, *inside: self._columns(
                        row, start, kind.columns, inside
                    ),
                    step=kind.columns,
                    carried=values,
                )
                place = end_of_run
                continue
            count = min(kind.columns, width - starts[place])
            values = self._columns(row, starts[place], count, values)
            place += 1
        return values

    def _is_inner(self, start: int) -> bool:
        """Return whether the results from *start* on are all there, and read no padding."""
        kind = self.kind
        left = start * kind.stride - kind.before[1]
        right = left + (kind.columns - 1) * kind.stride + kind.kernel
        is_whole = start + kind.columns <= kind.result_size[1]
        return left >= 0 and right <= kind.size[1] and is_whole

    def _columns(self, row: _Row, start: Any, count: int, values: Any) -> list[Any]:
        """Write some results of a row; return the sum of them and those before."""
        code, kind = self.code, self.kind
        if isinstance(start, int):
            left: Any = start * kind.stride - kind.before[1]
        else:
            left = code.add(code.multiply(start, kind.stride), -kind.before[1])
        sums = code.loop(
            row.first,
            row.end,
            lambda line, *sums: self._line(row, line, left, sums),
            carried=[self.bias] * count,
        )
        place = code.multiply(
            code.add(code.multiply(row.index, kind.result_size[1]), start), code.lanes
        )
        (total,) = values
        for column, value in enumerate(sums):
            result = code.apply(kind.function, value)
            offset = (place, column * code.lanes)
            if kind.frames > 1:
                result = self._over_time(result, offset)
            code.store(result, code.at(self.results, *offset))
            total = code.builder.fadd(total, result)
        return [total]

    def _line(self, row: _Row, line: Any, left: Any, sums: Any) -> list[Any]:
        """Write what a row of the kernel adds to some results, whose input begins at column *left*."""
        code, kind = self.code, self.kind
        lanes, width = code.lanes, kind.size[1]
        now = list(sums)
        source = code.at(
            self.plane, code.multiply(code.add(row.top, line), width * lanes)
        )
        matrix = code.at(self.weights, code.multiply(line, kind.kernel * lanes))
        taps = [code.load(code.at(matrix, tap * lanes)) for tap in range(kind.kernel)]
        for offset in range((len(now) - 1) * kind.stride + kind.kernel):
            if isinstance(left, int) and not 0 <= left + offset < width:
                continue
            used = [
                (column, offset - column * kind.stride)
                for column in range(len(now))
                if 0 <= offset - column * kind.stride < kind.kernel
            ]
            if not used:
                continue
            if isinstance(left, int):
                place: Any = (left + offset) * lanes
            else:
                place = code.multiply(code.add(left, offset), lanes)
            pixel = code.load(code.at(source, place))
            for column, tap in used:
                now[column] = code.fma(pixel, taps[tap], now[column])
        return now

    def _over_time(self, value: Any, offset: Sequence[Any]) -> Any:
        """Write a result of the convolution over space; return that of the convolution over time."""
        code, weights = self.code, self.over_time
        now, *older = code.arguments[7:]
        code.store(value, code.at(now, *offset))
        result = code.fma(value, weights[-2], weights[-1])
        for weight, frame in zip(weights, older, strict=False):
            result = code.fma(code.load(code.at(frame, *offset)), weight, result)
        return code.apply(self.kind.function, result)


@attrs.frozen
class Pool:
    """One kind of average pool, 3 x 3 with stride 2.

    Attributes:
        size: ``(height, width)`` of its input.
        result_size: ``(height, width)`` of its result.
        before: ``(top, left)`` padding in pixels.
        counts_padding: Whether the padding counts as zeros.
    """

    size: tuple[int, int]
    result_size: tuple[int, int]
    before: tuple[int, int]
    counts_padding: bool

    @property
    def name(self) -> str:
        """The name of its function."""
        numbers = (*self.size, *self.result_size, *self.before)
        kind = "of_all" if self.counts_padding else "of_pixels"
        return f"pool_{'_'.join(map(str, numbers))}_{kind}"


def emit_pool(module: ir.Module, kind: Pool, lanes: int) -> Emitter:
    """Write the function of an average pool of one plane; its arguments are the plane and the result."""
    code = Emitter(module, kind.name, [F32_P, F32_P], lanes)
    plane, results = code.arguments
    (height, width), (rows, columns) = kind.size, kind.result_size

    def row(index: Any) -> None:
        top = code.add(code.multiply(index, 2), -kind.before[0])
        first = code.maximum(top, 0)
        end = code.minimum(code.add(top, 3), height)

        def column(number: Any) -> None:
            left = code.add(code.multiply(number, 2), -kind.before[1])
            start = code.maximum(left, 0)
            stop = code.minimum(code.add(left, 3), width)

            def line(y: Any, *values: Any) -> list[Any]:
                source = code.at(plane, code.multiply(y, width * lanes))

                def pixel(x: Any, value: Any) -> list[Any]:
                    found = code.load(code.at(source, code.multiply(x, lanes)))
                    return [code.builder.fadd(value, found)]

                return code.loop(start, stop, pixel, carried=values)

            (total,) = code.loop(first, end, line, carried=[code.constant(0.0)])
            builder = code.builder
            count = code.multiply(builder.sub(end, first), builder.sub(stop, start))
            if kind.counts_padding:
                count = code.number(9)
            share = code.splat(builder.sitofp(count, ir.FloatType()))
            place = code.multiply(
                code.add(code.multiply(index, columns), number), lanes
            )
            code.store(builder.fdiv(total, share), code.at(results, place))

        code.loop(0, columns, column)

    code.loop(0, rows, row)
    return code.finish()
