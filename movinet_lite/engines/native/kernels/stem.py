"""The stem: a frame as padded float32 rows, and its first convolution, 3 x 3 with stride 2."""

from __future__ import annotations

from typing import Any

import attrs
from llvmlite import ir

from movinet_lite.engines.native.emit import F32, F32_P, I64, U8_P, Emitter, Function

__all__ = ["CHANNELS", "KERNEL", "STRIDE", "Stem", "emit_frame", "emit_stem"]

CHANNELS = 3
KERNEL = 3
STRIDE = 2


@attrs.frozen
class Stem:
    """The stem for one frame size.

    Attributes:
        size: ``(height, width)`` of the frames.
        result_size: ``(height, width)`` of the result.
        before: ``(top, left)`` padding in pixels.
        function: The activation.
        columns: Results computed at once.
    """

    size: tuple[int, int]
    result_size: tuple[int, int]
    before: tuple[int, int]
    function: Function
    columns: int

    @property
    def padded_size(self) -> tuple[int, int]:
        """``(height, width)`` of what the convolution reads."""
        rows, columns = (STRIDE * (length - 1) + KERNEL for length in self.result_size)
        return rows, columns

    @property
    def padded_numbers(self) -> int:
        """Float32 numbers of a padded frame."""
        rows, columns = self.padded_size
        return rows * columns * CHANNELS


def emit_frame(module: ir.Module, stem: Stem, lanes: int, *, is_uint8: bool) -> Emitter:
    """Write the function that pads rows of a frame and makes them float32, 0 to 1.

    Its arguments are: the frame; the padded frame; first and end of the padded rows to write.
    """
    if is_uint8:
        name, frame_p, load, load_one = "uint8", U8_P, _bytes, _byte
    else:
        name, frame_p, load, load_one = "float32", F32_P, _numbers, _number
    code = Emitter(module, f"frame_{name}", [frame_p, F32_P, I64, I64], lanes)
    frame, padded, low, high = code.arguments
    height, width = stem.size
    numbers = width * CHANNELS
    _, padded_width = stem.padded_size
    left = stem.before[1] * CHANNELS
    taken = min(numbers, padded_width * CHANNELS - left)
    builder = code.builder

    def fill(pointer: Any, count: Any) -> None:
        def one(index: Any) -> None:
            builder.store(ir.Constant(F32, 0.0), code.at(pointer, index))

        code.loop(0, count, one)

    def row(index: Any) -> None:
        target = code.at(padded, code.multiply(index, padded_width * CHANNELS))
        line = code.add(index, -stem.before[0])
        is_inside = builder.and_(
            builder.icmp_signed(">=", line, code.number(0)),
            builder.icmp_signed("<", line, code.number(height)),
        )

        def copy() -> None:
            source = code.at(frame, code.multiply(line, numbers))
            inner = code.at(target, left)
            fill(target, left)

            def some(place: Any) -> None:
                value = load(code, code.at(source, place))
                code.store(value, code.at(inner, place), is_aligned=False)

            def one(place: Any) -> None:
                value = load_one(code, code.at(source, place))
                builder.store(value, code.at(inner, place))

            whole = taken // lanes * lanes
            code.loop(0, whole, some, step=lanes)
            code.loop(whole, taken, one)
            fill(code.at(inner, taken), padded_width * CHANNELS - left - taken)

        code.when(is_inside, copy)
        code.when(
            builder.not_(is_inside),
            lambda: fill(target, padded_width * CHANNELS),
        )

    code.loop(low, high, row)
    return code.finish()


def _bytes(code: Emitter, pointer: Any) -> Any:
    """Return the vector of bytes at *pointer* as 0 to 1: what a division by 255 gives, in less time.

    The quotient times the rounded 1 / 255 may be off by its last bit; one step of correction makes it right for all bytes.
    """
    value = code.load_uint8(pointer)
    share = code.constant(1.0 / 255.0)
    quotient = code.builder.fmul(value, share)
    rest = code.fma(quotient, code.constant(-255.0), value)
    return code.fma(rest, share, quotient)


def _byte(code: Emitter, pointer: Any) -> Any:
    """Return the byte at *pointer* as 0 to 1."""
    value = code.builder.uitofp(code.builder.load(pointer), F32)
    return code.builder.fdiv(value, ir.Constant(F32, 255.0))


def _numbers(code: Emitter, pointer: Any) -> Any:
    """Return the vector of float32 at *pointer*."""
    return code.load(pointer, is_aligned=False)


def _number(code: Emitter, pointer: Any) -> Any:
    """Return the float32 at *pointer*."""
    return code.builder.load(pointer)


def emit_stem(module: ir.Module, stem: Stem, lanes: int) -> Emitter:
    """Write the function of the convolution, for one plane of its result.

    Its arguments are: the padded frame; weights, ``(3, 3, 3, lanes)``, with their bias after them; the result plane;
    first and end of the rows of the result.
    """
    code = Emitter(module, "stem", [F32_P, F32_P, F32_P, I64, I64], lanes)
    padded, weights, results, low, high = code.arguments
    width = stem.result_size[1]
    line_numbers = stem.padded_size[1] * CHANNELS
    taps = KERNEL * CHANNELS
    bias = code.load(code.at(weights, KERNEL * taps * lanes))
    tiles = -(-width // stem.columns)

    def row(index: Any) -> None:
        top = code.at(padded, code.multiply(index, STRIDE * line_numbers))

        def tile(number: Any) -> None:
            start = code.minimum(
                code.multiply(number, stem.columns), width - stem.columns
            )
            first = code.multiply(start, STRIDE * CHANNELS)

            def line(y: Any, *sums: Any) -> list[Any]:
                source = code.at(top, code.multiply(y, line_numbers), first)
                matrix = code.at(weights, code.multiply(y, taps * lanes))
                now = list(sums)
                for tap in range(taps):
                    column = code.load(code.at(matrix, tap * lanes))
                    for pixel in range(stem.columns):
                        place = pixel * STRIDE * CHANNELS + tap
                        now[pixel] = code.fma(
                            code.spread(code.at(source, place)), column, now[pixel]
                        )
                return now

            sums = code.loop(0, KERNEL, line, carried=[bias] * stem.columns)
            place = code.multiply(code.add(code.multiply(index, width), start), lanes)
            for pixel, value in enumerate(sums):
                code.store(
                    code.apply(stem.function, value),
                    code.at(results, place, pixel * lanes),
                )

        code.loop(0, tiles, tile)

    code.loop(low, high, row)
    return code.finish()
