"""Each kernel of the native engine computes what numpy does, and writes its result alone."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any, get_args

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movinet_lite.engines.native.compiler import MachineCode, compile_module
from movinet_lite.engines.native.target import host_target

ir = pytest.importorskip("llvmlite.ir")

from movinet_lite.engines.native.emit import Function  # noqa: E402 - needs llvmlite
from movinet_lite.engines.native.kernels.depthwise import (  # noqa: E402
    Depthwise,
    Pool,
    emit_depthwise,
    emit_pool,
)
from movinet_lite.engines.native.kernels.means import (  # noqa: E402
    emit_means,
    emit_weighing,
)
from movinet_lite.engines.native.kernels.product import (  # noqa: E402
    Product,
    emit_product,
)
from movinet_lite.engines.native.kernels.stem import (  # noqa: E402
    Stem,
    emit_frame,
    emit_stem,
)
from movinet_lite.engines.native.memory import aligned_zeros  # noqa: E402

pytestmark = pytest.mark.skipif(
    host_target() is None, reason="the native engine cannot run here"
)

# Each example compiles a kernel.
few = settings(max_examples=15, derandomize=True, deadline=None)
functions = st.sampled_from(get_args(Function))
seeds = st.integers(0, 2**31)

GUARD = 64
"""Float32 numbers around a result, which no kernel may touch."""
UNTOUCHED = np.float32(-7.25e30)


def compiled(emit: Any, *arguments: Any, **options: Any) -> Any:
    """Return a kernel as a function of arrays and whole numbers.

    Args:
        emit: What writes the kernel to a module; called with the module and *arguments*, which end with the lanes.
        arguments: More of them.
        options: More of them, by name.
    """
    target = host_target()
    assert target is not None
    module = ir.Module()
    module.triple = target.triple
    kernel = emit(module, *arguments, **options).function
    kernel.linkage = "external"
    code = MachineCode(compile_module(str(module), target, optimise=False), target)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(kernel.args))(
        code.address(kernel.name)
    )

    def call(*given: Any) -> None:
        numbers = [
            one.ctypes.data if isinstance(one, np.ndarray) else int(one)
            for one in given
        ]
        function(*numbers)
        assert code is not None  # it lives as long as this function

    return call


def lanes() -> int:
    """Return the lanes of this machine."""
    target = host_target()
    assert target is not None
    return target.lanes


def aligned(array: Any, kind: Any = np.float32) -> Any:
    """Return a copy that begins where a vector may."""
    array = np.asarray(array, kind)
    copy = aligned_zeros(array.nbytes).view(kind).reshape(array.shape)
    copy[...] = array
    return copy


@attrs.define
class Guarded:
    """A result with guards around it."""

    whole: Any
    inner: Any

    @classmethod
    def of(cls, *shape: int) -> Guarded:
        """Return one of this shape."""
        size = int(np.prod(shape))
        whole = aligned(np.full(size + 2 * GUARD, UNTOUCHED))
        return cls(whole, whole[GUARD : GUARD + size].reshape(shape))

    def check(self, expected: Any, tolerance: float = 2e-5) -> None:
        """Assert that the result is as expected, whole, and all there is."""
        assert (self.whole[:GUARD] == UNTOUCHED).all()
        assert (self.whole[-GUARD:] == UNTOUCHED).all()
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(self.inner, expected, rtol=0, atol=tolerance * scale)


def as_planes(rows: Any) -> Any:
    """Return rows of channels, ``(rows, channels)``, as ``(planes, rows, lanes)``."""
    rows = np.pad(rows, [(0, 0), (0, -rows.shape[1] % lanes())])
    return aligned(rows.reshape(len(rows), -1, lanes()).transpose(1, 0, 2))


def apply(function: str, x: Any) -> Any:
    """Return an activation or gate, in float64."""
    x = np.asarray(x, np.float64)
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-x))
    return {
        "none": x,
        "swish": x * sigmoid,
        "hard_swish": x * np.clip(x + 3, 0, 6) / 6,
        "sigmoid": sigmoid,
        "relu6": np.clip(x, 0, 6),
    }[function]


# Products.


@given(
    st.builds(
        Product,
        rows=st.integers(1, 6),
        vectors=st.integers(1, 4),
        function=functions,
        adds=st.sampled_from(["", "rows", "product"]),
        is_int16=st.booleans(),
        fetched=st.lists(st.integers(1, 3), max_size=2).map(tuple),
    ),
    st.integers(0, 5),
    st.integers(1, 3),
    st.tuples(st.integers(1, 70), st.integers(1, 40)),
    seeds,
)
@settings(few, max_examples=40)
def test_product(kind, more_rows, panels, channels, seed):
    """A product computes any numbers of rows, channels and panels, with all that may be added."""
    rng = np.random.default_rng(seed)
    if kind.adds == "product":
        kind = attrs.evolve(kind, is_int16=False)
    rows, is_int16 = kind.rows + more_rows, kind.is_int16
    call = compiled(emit_product, kind, lanes())
    outputs = panels * kind.vectors * lanes()

    def factors(count: int) -> Any:
        given = rng.normal(size=(rows, count)).astype(np.float32)
        if is_int16:
            matrix = rng.integers(-32767, 32768, (count, outputs)).astype(np.int16)
        else:
            matrix = rng.normal(size=(count, outputs)).astype(np.float32)
        packed = matrix.reshape(count, panels, -1).transpose(1, 0, 2)
        return given, matrix, aligned(packed, matrix.dtype)

    given, matrix, packed = factors(channels[0])
    planes = -(-channels[0] // lanes())
    scales = rng.uniform(1e-5, 1e-4, (planes, outputs)).astype(np.float32)
    biases = rng.normal(size=outputs).astype(np.float32)
    true_weights = matrix.astype(np.float64)
    if is_int16:
        true_weights *= np.repeat(scales, lanes(), axis=0)[: channels[0]]
    expected = given.astype(np.float64) @ true_weights + biases
    result = Guarded.of(outputs // lanes(), rows, lanes())
    inputs = as_planes(given)
    tiles = -(-rows // kind.rows)
    step = rows * lanes()
    arguments = [
        inputs,
        step,
        packed,
        aligned(scales.reshape(planes, panels, -1).transpose(1, 0, 2)),
        aligned(biases),
    ]
    arguments += [result.inner, step, rows, *divmod(channels[0], lanes())]
    more = []
    if kind.adds == "rows":
        added = rng.normal(size=(rows, outputs)).astype(np.float32)
        more = [as_planes(added), step]
    elif kind.adds == "product":
        given, matrix, other_packed = factors(channels[1])
        expected = expected + given.astype(np.float64) @ matrix
        other = as_planes(given)
        more = [other, step, other_packed, *divmod(channels[1], lanes())]
    more += [packed.view(np.uint8) for _ in kind.fetched]
    expected = apply(kind.function, expected)
    if kind.adds == "rows":
        expected = expected + added
    # In two parts, as two members would.
    middle = int(rng.integers(0, tiles * panels + 1))
    call(*arguments, 0, middle, tiles, *more)
    call(*arguments, middle, tiles * panels, tiles, *more)
    expected = expected.reshape(rows, -1, lanes()).transpose(1, 0, 2)
    result.check(expected)


# Convolutions over space.


def convolved(plane: Any, weights: Any, kind: Any, result_size: Any) -> Any:
    """Return a depthwise convolution of ``(height, width, lanes)``, where what is outside counts as zero."""
    size = weights.shape[0]
    height, width = result_size
    below = [(height - 1) * kind.stride + size, (width - 1) * kind.stride + size]
    padded = np.zeros((below[0] + 9, below[1] + 9, plane.shape[2]))
    top, left = kind.before
    padded[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
    result = np.zeros((height, width, plane.shape[2]))
    for y in range(size):
        for x in range(size):
            rows = slice(y, y + (height - 1) * kind.stride + 1, kind.stride)
            columns = slice(x, x + (width - 1) * kind.stride + 1, kind.stride)
            result += padded[rows, columns] * weights[y, x]
    return result


Size = tuple[int, int]


def space_of(
    size: Size, kernel: int, stride: int, edge: int | None
) -> tuple[Size, Size]:
    """Return the padding before an input and the size of the result: with an *edge* as PyTorch, without as TensorFlow."""
    if edge is not None:
        height, width = ((n + 2 * edge - kernel) // stride + 1 for n in size)
        return (edge, edge), (height, width)
    height, width = (-(-n // stride) for n in size)
    top, left = (
        max((result - 1) * stride + kernel - n, 0) // 2
        for n, result in zip(size, (height, width), strict=True)
    )
    return (top, left), (height, width)


@st.composite
def spaces(draw: Any, kernel: int, stride: int) -> tuple[Size, Size, Size]:
    """Draw the size of an input, the padding before it, and the size of the result."""
    edge = draw(st.one_of(st.none(), st.integers(0, kernel // 2)))
    smallest = 1 if edge is None else kernel - 2 * edge
    sizes = st.integers(max(1, smallest), 40)
    size = draw(st.tuples(sizes, sizes))
    return (size, *space_of(size, kernel, stride, edge))


@given(data=st.data(), seed=seeds)
@settings(few, max_examples=30)
def test_depthwise(data, seed):
    """Depthwise convolutions over space and time compute any size, kernel, stride and padding."""
    kernel = data.draw(st.sampled_from([1, 3, 5]))
    stride = data.draw(st.sampled_from([1, 2]))
    size, before, result_size = data.draw(spaces(kernel, stride))
    columns = data.draw(st.integers(1, min(11, result_size[1])))
    frames = data.draw(st.sampled_from([1, 3, 5]))
    function = data.draw(functions)
    check_depthwise(
        Depthwise(size, result_size, kernel, stride, before, frames, function, columns),
        seed,
    )


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
@pytest.mark.parametrize("edge", [None, 0, 1])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_in_wide_frames(kernel, stride, edge, columns):
    """Results computed at once meet the edges of a frame where they should, whether they fill the row or not."""
    for width in (24, 25):
        before, result_size = space_of((6, width), kernel, stride, edge)
        check_depthwise(
            Depthwise(
                (6, width), result_size, kernel, stride, before, 3, "none", columns
            ),
            width,
        )


def check_depthwise(kind, seed):
    """Assert that a depthwise convolution is that of numpy."""
    rng = np.random.default_rng(seed)
    size, result_size, kernel = kind.size, kind.result_size, kind.kernel
    frames, function = kind.frames, kind.function
    call = compiled(emit_depthwise, kind, lanes())
    plane = aligned(rng.normal(size=(*size, lanes())))
    space = aligned(rng.normal(size=(kernel**2 + 1, lanes())))
    time = aligned(rng.normal(size=(frames + 1, lanes())))
    weights = space[:-1].reshape(kernel, kernel, lanes()).astype(np.float64)
    expected = apply(function, convolved(plane, weights, kind, result_size) + space[-1])
    older = [aligned(rng.normal(size=expected.shape)) for _ in range(frames - 1)]
    now = Guarded.of(*expected.shape)
    now_expected = expected
    if frames > 1:
        over_time = sum(
            frame * weight
            for frame, weight in zip([*older, expected], time, strict=False)
        )
        expected = apply(function, over_time + time[-1])
    result = Guarded.of(*expected.shape)
    more = [now.inner, *older] if frames > 1 else []
    # In parts, as members do.
    height = result_size[0]
    ends = [0, *sorted(rng.integers(0, height + 1, 2)), height]
    for low, high in itertools.pairwise(ends):
        total = Guarded.of(lanes())
        call(plane, space, time, result.inner, total.inner, low, high, *more)
        total.check(expected[low:high].sum(axis=(0, 1)), 1e-4)
    result.check(expected)
    if frames > 1:
        now.check(now_expected)


@given(data=st.data(), counts_padding=st.booleans(), seed=seeds)
@few
def test_pool(data, counts_padding, seed):
    """The average pool of a skip path counts pixels alone, as TensorFlow does, or padding too, as PyTorch does."""
    size, before, result_size = data.draw(spaces(3, 2))
    kind = Pool(size, result_size, before, counts_padding)
    call = compiled(emit_pool, kind, lanes())
    plane = aligned(np.random.default_rng(seed).normal(size=(*size, lanes())))
    result = Guarded.of(*result_size, lanes())
    call(plane, result.inner)
    strided = Depthwise(size, result_size, 3, 2, before, 1, "none", 1)
    ones = np.ones((3, 3, lanes()))
    total = convolved(plane, ones, strided, result_size)
    count = convolved(np.ones_like(plane), ones, strided, result_size)
    result.check(total / (9 if counts_padding else count))


@pytest.mark.parametrize("is_uint8", [False, True])
@pytest.mark.parametrize("edge", [None, 1])
@pytest.mark.parametrize(
    ("size", "columns", "function"),
    [
        ((1, 1), 1, "swish"),
        ((2, 3), 2, "hard_swish"),
        ((3, 2), 1, "none"),
        ((10, 10), 5, "hard_swish"),
        ((33, 34), 14, "none"),
        ((20, 33), 7, "swish"),
        ((7, 130), 8, "none"),
    ],
)
def test_stem(size, columns, function, edge, is_uint8):
    """The stem makes a frame of bytes or numbers a padded one, and convolves it."""
    rng = np.random.default_rng(0)
    before, result_size = space_of(size, 3, 2, edge)
    stem = Stem(size, result_size, before, function, min(columns, result_size[1]))
    frame = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    numbers = frame / np.float32(255)
    padded = Guarded.of(*stem.padded_size, 3)
    pad = compiled(emit_frame, stem, lanes(), is_uint8=is_uint8)
    middle = int(rng.integers(0, stem.padded_size[0] + 1))
    for low, high in ((0, middle), (middle, stem.padded_size[0])):
        pad(frame if is_uint8 else numbers, padded.inner, low, high)
    expected = np.zeros((*stem.padded_size, 3))
    top, left = before
    inside = expected[top : top + size[0], left : left + size[1]]
    inside[...] = numbers[: inside.shape[0], : inside.shape[1]]
    padded.check(expected, 1e-6)
    weights = aligned(rng.normal(size=(28, lanes())))
    convolve = compiled(emit_stem, stem, lanes())
    result = Guarded.of(*result_size, lanes())
    middle = int(rng.integers(0, result_size[0] + 1))
    for low, high in ((0, middle), (middle, result_size[0])):
        convolve(padded.inner, weights, result.inner, low, high)
    summed = np.zeros((*result_size, lanes())) + weights[-1]
    for y in range(3):
        for x in range(3):
            taken = expected[y::2, x::2][: result_size[0], : result_size[1]]
            summed += taken @ weights[(y * 3 + x) * 3 :][:3].astype(np.float64)
    result.check(apply(function, summed))


# Means and gates.


@pytest.mark.parametrize("has_positions", [False, True])
def test_means(has_positions):
    """Means count the frames of each stream, and add to the sums that its place tells."""
    rng = np.random.default_rng(0)
    planes, images, part_count, pixels = 3, 4, 2, 35
    set_size, offset = (planes + 1) * lanes(), lanes()
    call = compiled(emit_means, lanes(), has_positions=has_positions)
    parts = aligned(rng.normal(size=(planes, images, part_count, lanes())))
    # The first stream has two frames in this call.
    owners, places, ages = [0, 0, 1, 2], [16, 17, 21, 40], [0, 1, 3, 1000]
    storages = [aligned(rng.normal(size=(3, planes + 1, lanes()))) for _ in range(4)]
    # What the second stream had before the call is in the last storage.
    sources, begins = [0, 0, 3, 2], [16, 16, 21, 40]
    expected_sums = [storage.astype(np.float64) for storage in storages]
    over_frames, of_frame = (Guarded.of(planes, images, lanes()) for _ in range(2))
    positions = aligned(rng.normal(size=(images, 2, planes, lanes())))
    expected = np.zeros((2, planes, images, lanes()))

    def sets_of(storage: int) -> Any:
        """Return the two sets of sums of a storage, which lie behind each other from the offset on."""
        sets = expected_sums[storage].reshape(-1)[offset:][: 2 * set_size]
        return sets.reshape(2, planes + 1, lanes())[:, :planes]

    for image, (owner, place, age) in enumerate(zip(owners, places, ages, strict=True)):
        mean = parts[:, image].astype(np.float64).sum(axis=1) / pixels
        sets = sets_of(owner)
        earlier = sets_of(sources[image]) if place == begins[image] else sets
        sets[1 - place % 2] = earlier[place % 2] + mean
        expected[0, :, image] = sets[1 - place % 2] / (age + 1)
        expected[1, :, image] = mean
        if has_positions:
            expected[:, :, image] += positions[image]
    addresses, source_addresses = (
        np.array([storages[index].ctypes.data for index in indices])
        for indices in (owners, sources)
    )
    more = [positions, 2 * planes * lanes(), planes] if has_positions else []
    for low, high in ((0, 2), (2, planes)):
        call(
            parts,
            part_count,
            pixels,
            addresses,
            np.array(places),
            np.array(ages),
            source_addresses,
            np.array(begins),
            images,
            offset,
            set_size,
            over_frames.inner,
            of_frame.inner,
            low,
            high,
            *more,
        )
    over_frames.check(expected[0])
    of_frame.check(expected[1])
    for storage, sums in zip(storages, expected_sums, strict=True):
        np.testing.assert_allclose(storage, sums, rtol=1e-5, atol=1e-5)


def test_weighing():
    """Gates multiply the planes that a member computed, and no others."""
    rng = np.random.default_rng(0)
    planes, images, pixels = 4, 3, 5
    gates = aligned(rng.normal(size=(planes, images, lanes())))
    given = rng.normal(size=(planes, images, pixels, lanes())).astype(np.float32)
    rows = Guarded.of(*given.shape)
    rows.inner[...] = given
    compiled(emit_weighing, lanes())(gates, rows.inner, images, pixels, 1, 3)
    expected = given.copy()
    expected[1:3] *= gates[1:3, :, np.newaxis]
    rows.check(expected, 1e-6)


# Functions of single numbers.


@pytest.mark.parametrize(
    "function", [one for one in get_args(Function) if one != "none"]
)
def test_functions_at_all_magnitudes(function):
    """Activations and gates are right to a few units in the last place, for the largest numbers and the smallest too."""
    magnitudes = np.geomspace(1e-30, 1e4, 500)
    points = np.concatenate([-magnitudes[::-1], [0.0], magnitudes, [3.0, -3.0, 6.0]])
    points = np.pad(points, (0, -len(points) % lanes())).astype(np.float32)
    # A product with one channel whose weights are the points.
    call = compiled(emit_product, Product(1, 1, function), lanes())
    panels = len(points) // lanes()
    result = Guarded.of(panels, lanes())
    one, zeros = aligned(np.ones(lanes())), aligned(np.zeros_like(points))
    call(
        one,
        1,
        aligned(points),
        zeros,
        zeros,
        result.inner,
        lanes(),
        1,
        0,
        1,
        0,
        panels,
        1,
    )
    expected = apply(function, points.astype(np.float64)).reshape(panels, lanes())
    np.testing.assert_allclose(result.inner, expected, rtol=4e-6, atol=1e-30)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_swish_of_what_is_no_number(bad):
    """No activation hides that its input was no number, or below all numbers, as a hard swish could."""
    for function in ("swish", "hard_swish"):
        call = compiled(emit_product, Product(1, 1, function), lanes())
        result = Guarded.of(1, lanes())
        one, zeros = aligned(np.ones(lanes())), aligned(np.zeros(lanes()))
        weights = aligned(np.full(lanes(), bad))
        call(one, 1, weights, zeros, zeros, result.inner, lanes(), 1, 0, 1, 0, 1, 1)
        assert not np.isfinite(result.inner).any()
