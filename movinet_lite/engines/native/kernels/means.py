"""Means over space and over all frames of a stream, and channels weighed by their gates."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from movinet_lite.engines.native.emit import F32, F32_P, I64, I64_P, Emitter

__all__ = ["emit_means", "emit_weighing"]


def emit_means(module: ir.Module, lanes: int, *, has_positions: bool) -> Emitter:
    """Write the function of the means of some planes.

    It adds the mean of each image to the sum of its stream. A storage has two sets of sums: that of an even and that of
    an odd number of frames; one is read and the other is written.

    Its arguments are: parts of sums over space, ``(planes, images, parts, lanes)``; parts of an image; pixels of an
    image; of the images: addresses of their storages, places, ages, addresses of the storages with what came before the
    call, and places from which on sums are in their own storages; number of images; numbers of float32 before the sums
    of the layer in a storage; numbers from one set of sums to the other; the means over all frames, ``(planes, images,
    lanes)``; the means of each frame, of the same shape; first and end of the planes. With positions: what is added to
    both, for each image, and numbers from image to image; number of planes.
    """
    arguments = [
        F32_P,
        I64,
        I64,
        *[I64_P] * 5,
        I64,
        I64,
        I64,
        F32_P,
        F32_P,
        I64,
        I64,
    ]
    if has_positions:
        arguments += [F32_P, I64, I64]
    name = "means_with_positions" if has_positions else "means"
    code = Emitter(module, name, arguments, lanes)
    parts, part_count, pixels = code.arguments[:3]
    of_images = code.arguments[3:8]
    images, offset, set_size, over_frames, of_frame, low, high = code.arguments[8:15]
    builder = code.builder
    one = ir.Constant(F32, 1.0)
    share = code.splat(builder.fdiv(one, builder.sitofp(pixels, F32)))

    def plane(index: Any) -> None:
        def image(number: Any) -> None:
            row = code.add(code.multiply(index, images), number)
            first = code.at(parts, code.multiply(code.multiply(row, part_count), lanes))

            def part(count: Any, value: Any) -> list[Any]:
                found = code.load(code.at(first, code.multiply(count, lanes)))
                return [builder.fadd(value, found)]

            (total,) = code.loop(0, part_count, part, carried=[code.constant(0.0)])
            mean = builder.fmul(total, share)
            storage, place, age, source, begin = (
                builder.load(code.at(array, number)) for array in of_images
            )
            sums, earlier = (
                code.at(code.pointer(memory), offset, code.multiply(index, lanes))
                for memory in (
                    storage,
                    builder.select(
                        builder.icmp_signed("==", place, begin), source, storage
                    ),
                )
            )
            parity = builder.and_(place, code.number(1))
            other = builder.xor(parity, code.number(1))
            before = code.load(code.at(earlier, code.multiply(parity, set_size)))
            after = builder.fadd(before, mean)
            code.store(after, code.at(sums, code.multiply(other, set_size)))
            count = builder.sitofp(code.add(age, 1), F32)
            overall = builder.fdiv(after, code.splat(count))
            if has_positions:
                positions, step, planes = code.arguments[15:]
                given = code.at(
                    positions, code.multiply(number, step), code.multiply(index, lanes)
                )
                overall = builder.fadd(overall, code.load(given))
                given = code.at(given, code.multiply(planes, lanes))
                mean = builder.fadd(mean, code.load(given))
            target = code.multiply(row, lanes)
            code.store(overall, code.at(over_frames, target))
            code.store(mean, code.at(of_frame, target))

        code.loop(0, images, image)

    code.loop(low, high, plane)
    return code.finish()


def emit_weighing(module: ir.Module, lanes: int) -> Emitter:
    """Write the function that multiplies planes by their gates, in place.

    Its arguments are: gates, ``(planes, images, lanes)``; rows, ``(planes, images, pixels, lanes)``; number of images;
    pixels of an image; first and end of the planes.
    """
    code = Emitter(module, "weighing", [F32_P, F32_P, I64, I64, I64, I64], lanes)
    gates, rows, images, pixels, low, high = code.arguments

    def image(number: Any) -> None:
        gate = code.load(code.at(gates, code.multiply(number, lanes)))
        start = code.at(rows, code.multiply(code.multiply(number, pixels), lanes))

        def pixel(index: Any) -> None:
            place = code.at(start, code.multiply(index, lanes))
            code.store(code.builder.fmul(code.load(place), gate), place)

        code.loop(0, pixels, pixel)

    # Planes follow each other, so that the images of all are one row of images.
    code.loop(code.multiply(low, images), code.multiply(high, images), image)
    return code.finish()
