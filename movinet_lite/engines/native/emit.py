"""Writes LLVM's intermediate code: loops with carried values, vectors of float32, activations.

References:
    [1] A. Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv:1905.02244: hard swish.
    [2] S. L. Moshier, Cephes Mathematical Library, ``expf``: the polynomial of `Emitter.exp`, accurate to 2e-7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

from llvmlite import ir

__all__ = ["F32", "F32_P", "I16_P", "I64", "I64_P", "U8_P", "Emitter", "Function"]

F32: Final = ir.FloatType()
I16: Final = ir.IntType(16)
I32: Final = ir.IntType(32)
I64: Final = ir.IntType(64)
U8: Final = ir.IntType(8)
F32_P: Final = F32.as_pointer()
I16_P: Final = I16.as_pointer()
I64_P: Final = I64.as_pointer()
U8_P: Final = U8.as_pointer()

Value: TypeAlias = Any
"""A value of LLVM's code; llvmlite ships no types."""

Function: TypeAlias = Literal["none", "swish", "hard_swish", "sigmoid", "relu6"]
"""What is computed of each element of a result."""

# [2]: ln 2 in two parts, so that multiples of the first are exact; then the coefficients, highest power first.
_LN2: Final = (0.693359375, -2.12194440e-4)
_LOG2_E: Final = 1.44269504088896341
_EXP: Final = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
_EXP_RANGE: Final = (-87.0, 88.0)  # within float32


class Emitter:
    """Writes the body of one function.

    Attributes:
        lanes: Float32 numbers of a vector.
        builder: The builder of llvmlite.
        arguments: The arguments of the function.
    """

    def __init__(
        self,
        module: ir.Module,
        name: str,
        arguments: Sequence[Any],
        lanes: int,
        *,
        is_public: bool = False,
    ) -> None:
        """Begin a function without a result.

        Args:
            module: The module it becomes part of.
            name: Its name.
            arguments: The types of its arguments.
            lanes: Float32 numbers of a vector.
            is_public: Whether it is called from outside the module.
        """
        self.module = module
        self.lanes = lanes
        self.function = ir.Function(
            module, ir.FunctionType(ir.VoidType(), list(arguments)), name
        )
        if not is_public:
            self.function.linkage = "internal"
            self.function.attributes.add("noinline")
        self.arguments = self.function.args
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self._vector = ir.VectorType(F32, lanes)

    # Whole numbers and addresses.

    @staticmethod
    def number(value: int | Value) -> Value:
        """Return *value* as a 64-bit whole number."""
        return ir.Constant(I64, value) if isinstance(value, int) else value

    def add(self, *parts: int | Value) -> Value:
        """Return the sum of whole numbers."""
        known = sum(part for part in parts if isinstance(part, int))
        total = None
        for part in parts:
            if not isinstance(part, int):
                total = part if total is None else self.builder.add(total, part)
        if total is None:
            return self.number(known)
        return self.builder.add(total, self.number(known)) if known else total

    def multiply(self, left: int | Value, right: int | Value) -> Value:
        """Return the product of whole numbers."""
        if isinstance(left, int) and isinstance(right, int):
            return self.number(left * right)
        return self.builder.mul(self.number(left), self.number(right))

    def divide(self, left: Value, right: int) -> Value:
        """Return the quotient of whole numbers of at least 0, rounded down."""
        return self.builder.udiv(left, self.number(right))

    def remainder(self, left: Value, right: int) -> Value:
        """Return the remainder of whole numbers of at least 0."""
        return self.builder.urem(left, self.number(right))

    def minimum(self, left: int | Value, right: int | Value) -> Value:
        """Return the lesser of two signed whole numbers."""
        left, right = self.number(left), self.number(right)
        return self.builder.select(
            self.builder.icmp_signed("<", left, right), left, right
        )

    def maximum(self, left: int | Value, right: int | Value) -> Value:
        """Return the greater of two signed whole numbers."""
        left, right = self.number(left), self.number(right)
        return self.builder.select(
            self.builder.icmp_signed(">", left, right), left, right
        )

    def at(self, pointer: Value, *offset: int | Value) -> Value:
        """Return the address so many elements after *pointer*."""
        return self.builder.gep(pointer, [self.add(*offset)])

    def pointer(self, address: Value, kind: Any = F32_P) -> Value:
        """Return a number as a pointer."""
        return self.builder.inttoptr(address, kind)

    def cast(self, pointer: Value, kind: Any) -> Value:
        """Return a pointer to another type."""
        return self.builder.bitcast(pointer, kind)

    def call(self, function: Emitter | Any, *arguments: int | Value) -> None:
        """Call a function."""
        callee = function.function if isinstance(function, Emitter) else function
        values = [
            self.number(value) if isinstance(value, int) else value
            for value in arguments
        ]
        self.builder.call(callee, values)

    # Control flow.

    def loop(
        self,
        low: int | Value,
        high: int | Value,
        body: Callable[..., Sequence[Value] | None],
        *,
        step: int = 1,
        carried: Sequence[Value] = (),
    ) -> list[Value]:
        """Write a loop over whole numbers; return the carried values after it.

        Args:
            low: The first number.
            high: The end, exclusive.
            body: Called once, with the number and the carried values; writes the body and returns the new values.
            step: From one number to the next.
            carried: Values that change from one round to the next.
        """
        builder = self.builder
        before = builder.block
        head, inside, after = (
            builder.append_basic_block(part) for part in ("head", "body", "after")
        )
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(I64)
        index.add_incoming(self.number(low), before)
        values = []
        for value in carried:
            phi = builder.phi(value.type)
            phi.add_incoming(value, before)
            values.append(phi)
        goes_on = builder.icmp_signed("<", index, self.number(high))
        builder.cbranch(goes_on, inside, after)
        builder.position_at_end(inside)
        changed = body(index, *values) or ()
        index.add_incoming(self.add(index, step), builder.block)
        for phi, value in zip(values, changed, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return values

    def when(self, condition: Value, body: Callable[[], None]) -> None:
        """Write what is done only under a condition."""
        builder = self.builder
        inside, after = (builder.append_basic_block(part) for part in ("then", "next"))
        builder.cbranch(condition, inside, after)
        builder.position_at_end(inside)
        body()
        builder.branch(after)
        builder.position_at_end(after)

    def finish(self) -> Emitter:
        """End the function."""
        self.builder.ret_void()
        return self

    # Vectors.

    def constant(self, value: float) -> Value:
        """Return a vector of one number."""
        return ir.Constant(self._vector, [value] * self.lanes)

    def load(self, pointer: Value, *, is_aligned: bool = True) -> Value:
        """Return the vector at a float32 *pointer*."""
        place = self.builder.bitcast(pointer, self._vector.as_pointer())
        value = self.builder.load(place)
        value.align = 4 * self.lanes if is_aligned else 4
        return value

    def load_int16(self, pointer: Value) -> Value:
        """Return the vector of 16-bit whole numbers at *pointer*, as float32."""
        kind = ir.VectorType(I16, self.lanes)
        place = self.builder.bitcast(pointer, kind.as_pointer())
        value = self.builder.load(place)
        value.align = 2 * self.lanes
        return self.builder.sitofp(value, self._vector)

    def load_uint8(self, pointer: Value) -> Value:
        """Return the vector of bytes at *pointer*, 0 to 255, as float32."""
        kind = ir.VectorType(U8, self.lanes)
        place = self.builder.bitcast(pointer, kind.as_pointer())
        value = self.builder.load(place)
        value.align = 1
        return self.builder.uitofp(value, self._vector)

    def store(self, value: Value, pointer: Value, *, is_aligned: bool = True) -> None:
        """Write a vector to a float32 *pointer*."""
        place = self.builder.bitcast(pointer, self._vector.as_pointer())
        written = self.builder.store(value, place)
        written.align = 4 * self.lanes if is_aligned else 4

    def spread(self, pointer: Value) -> Value:
        """Return a vector of the one float32 number at *pointer*."""
        return self.splat(self.builder.load(pointer))

    def splat(self, number: Value) -> Value:
        """Return a vector of one float32 number."""
        nothing = ir.Constant(self._vector, ir.Undefined)
        first = self.builder.insert_element(nothing, number, ir.Constant(I32, 0))
        mask = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, nothing, mask)

    def fma(self, left: Value, right: Value, total: Value) -> Value:
        """Return left * right + total."""
        kind = self._vector
        intrinsic = self._intrinsic(f"llvm.fma.v{self.lanes}f32", [kind] * 3, kind)
        return self.builder.call(intrinsic, [left, right, total])

    def clip(self, value: Value, low: float, high: float) -> Value:
        """Return *value* between two numbers."""
        builder = self.builder
        for bound, operator in ((low, ">"), (high, "<")):
            limit = self.constant(bound)
            within = builder.fcmp_ordered(operator, value, limit)
            value = builder.select(within, value, limit)
        return value

    def exp(self, value: Value) -> Value:
        """Return e to the power of *value* [2]."""
        builder = self.builder
        value = self.clip(value, *_EXP_RANGE)
        kind = self._vector
        nearest = self._intrinsic(f"llvm.rint.v{self.lanes}f32", [kind], kind)
        power = builder.call(nearest, [builder.fmul(value, self.constant(_LOG2_E))])
        rest = value
        for part in _LN2:
            rest = self.fma(power, self.constant(-part), rest)
        series = self.constant(_EXP[0])
        for coefficient in _EXP[1:]:
            series = self.fma(series, rest, self.constant(coefficient))
        square = builder.fmul(rest, rest)
        result = builder.fadd(self.fma(series, square, rest), self.constant(1.0))
        whole = ir.VectorType(I32, self.lanes)
        exponent = builder.fptosi(power, whole)
        bits = builder.shl(
            builder.add(exponent, ir.Constant(whole, [127] * self.lanes)),
            ir.Constant(whole, [23] * self.lanes),
        )
        return builder.fmul(result, builder.bitcast(bits, kind))

    def apply(self, function: Function, value: Value) -> Value:
        """Return the activation or gate of *value*."""
        builder = self.builder
        if function == "none":
            return value
        if function == "relu6":
            return self.clip(value, 0.0, 6.0)
        if function == "hard_swish":  # x relu6(x + 3) / 6 [1]
            sixth, half = self.constant(1.0 / 6.0), self.constant(0.5)
            share = self.clip(self.fma(value, sixth, half), 0.0, 1.0)
            return builder.fmul(value, share)
        below = self.exp(builder.fsub(self.constant(0.0), value))
        below = builder.fadd(below, self.constant(1.0))
        above = value if function == "swish" else self.constant(1.0)
        return builder.fdiv(above, below)

    def fetch(self, pointer: Value) -> None:
        """Ask for a line of memory that will be read or written later, into the L2 cache."""
        kinds = [U8_P, I32, I32, I32]
        ask = self._intrinsic("llvm.prefetch.p0", kinds, ir.VoidType())
        for_reading, l2_cache, data = 0, 2, 1
        options = [ir.Constant(I32, n) for n in (for_reading, l2_cache, data)]
        self.builder.call(ask, [pointer, *options])

    def _intrinsic(self, name: str, kinds: Sequence[Any], result: Any) -> Any:
        found = self.module.globals.get(name)
        if found is None:
            found = ir.Function(self.module, ir.FunctionType(result, kinds), name)
        return found
