"""Reads the operators of a ``.tflite`` file, with the shapes of their inputs and outputs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs

__all__ = ["PRODUCTS", "Operator", "read_operators"]

PRODUCTS = {"CONV_2D", "FULLY_CONNECTED"}
"""Operators that multiply rows by a matrix of weights, at each place."""

_MOVES = {
    "CONCATENATION",
    "PAD",
    "RESHAPE",
    "SLICE",
    "SPLIT",
    "STRIDED_SLICE",
    "TRANSPOSE",
}
_ACTIVATIONS = {"HARD_SWISH", "LOGISTIC", "RELU", "RELU6"}


@attrs.frozen
class Operator:
    """One operator.

    Attributes:
        kind: Its name in the file format, such as ``CONV_2D``.
        inputs: Shapes of its inputs, including weights.
        output: Shape of its output.
        num_bytes: Size of all of these, in bytes.
    """

    kind: str
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    num_bytes: int

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of a convolution or a matrix product; 0 of others."""
        if self.kind in PRODUCTS:
            return math.prod(self.output) * math.prod(self.inputs[1][1:])
        if self.kind == "DEPTHWISE_CONV_2D":
            return math.prod(self.output) * math.prod(self.inputs[1][1:3])
        return 0

    @property
    def group(self) -> str:
        """Its purpose in a MoViNet."""
        if self.kind in PRODUCTS:
            if self.kind == "FULLY_CONNECTED" or math.prod(self.output[1:-1]) == 1:
                return "products of one row a frame"
            is_pointwise = math.prod(self.inputs[1][1:-1]) == 1
            return "pointwise convolutions" if is_pointwise else "first convolution"
        if self.kind == "DEPTHWISE_CONV_2D":
            # The frames of a window are the rows of a picture, so a kernel over time has one column.
            over_time = self.inputs[1][2] == 1
            return f"depthwise convolutions over {'time' if over_time else 'space'}"
        if self.kind in _MOVES:
            return "copies"
        if self.kind in _ACTIVATIONS:
            return "activations"
        return "sums, gates, means, pools"


def read_operators(path: str | Path) -> tuple[Operator, ...]:
    """Return the operators of the first graph in a ``.tflite`` file, in the order they run in."""
    from ai_edge_litert import schema_py_generated as schema

    names = {
        code: name
        for name, code in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
    model = schema.Model.GetRootAs(Path(path).read_bytes(), 0)
    graph = model.Subgraphs(0)
    sizes = _sizes(schema)

    def shape(index: int) -> tuple[int, ...]:
        tensor = graph.Tensors(index)
        return tuple(int(tensor.Shape(axis)) for axis in range(tensor.ShapeLength()))

    found = []
    for place in range(graph.OperatorsLength()):
        operator = graph.Operators(place)
        code = model.OperatorCodes(operator.OpcodeIndex())
        inputs = [operator.Inputs(k) for k in range(operator.InputsLength())]
        inputs = [index for index in inputs if index >= 0]  # -1: left out
        outputs = [operator.Outputs(k) for k in range(operator.OutputsLength())]
        num_bytes = sum(
            math.prod(shape(index)) * sizes.get(graph.Tensors(index).Type(), 4)
            for index in [*inputs, *outputs]
        )
        kind = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        shapes = tuple(shape(index) for index in inputs)
        found.append(Operator(kind, shapes, shape(outputs[0]), num_bytes))
    return tuple(found)


def _sizes(schema: Any) -> dict[int, int]:
    """Return the bytes of a number of each type that is not four bytes long."""
    types = schema.TensorType
    return {
        types.FLOAT16: 2,
        types.INT16: 2,
        types.INT64: 8,
        types.INT8: 1,
        types.UINT8: 1,
    }
