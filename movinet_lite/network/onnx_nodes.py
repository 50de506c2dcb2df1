"""Builds the nodes and constants of an ONNX graph for the operations of a MoViNet.

References:
    [1] ONNX operators, https://onnx.ai/onnx/operators.
    [2] TensorFlow, ``tf.nn.convolution``, "Note on padding": what SAME pads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.network.onnx import onnx
from movinet_lite.network.padding import size_after

__all__ = ["Graph"]


class Graph:
    """The nodes and constants so far, and the size of the last output."""

    def __init__(self, frame_size: FrameSize) -> None:
        self.size = frame_size
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, **options: Any) -> str:
        """Add a node; return the name of its output."""
        name = options.pop("output", f"{operator.lower()}_{len(self.nodes)}")
        self.nodes.append(
            onnx.helper.make_node(operator, list(inputs), [name], **options)
        )
        return name

    def constant(self, value: NDArray[Any] | list[int]) -> str:
        """Add a constant; return its name."""
        array = np.asarray(value, None if isinstance(value, np.ndarray) else np.int64)
        name = f"constant_{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def tensor(self, name: str, shape: list[Any], dtype: Any = np.float32) -> Any:
        """Return the declaration of an input or output; free sizes have names."""
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return onnx.helper.make_tensor_value_info(name, kind, shape)

    def convolve(
        self,
        x: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        stride: int = 1,
        padded: int | None = None,
    ) -> str:
        """Add a convolution with a kernel ``(height, width, in, out)``; *padded* as in `size_after`."""
        weights = kernel.transpose(3, 2, 0, 1)
        return self._convolve(x, weights, bias, stride, padded, group=1)

    def convolve_channels(
        self,
        x: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        stride: int = 1,
        padded: int | None = None,
    ) -> str:
        """Add a depthwise convolution with a kernel ``(height, width, channels, 1)``; *padded* as in `size_after`."""
        weights = kernel.transpose(2, 3, 0, 1)
        return self._convolve(x, weights, bias, stride, padded, group=len(weights))

    def _convolve(
        self,
        x: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        stride: int,
        padded: int | None,
        *,
        group: int,
    ) -> str:
        weights = [self.constant(np.ascontiguousarray(kernel))]
        if bias is not None:
            weights.append(self.constant(bias))
        height, width = kernel.shape[2:]
        return self.add(
            "Conv",
            x,
            *weights,
            group=group,
            kernel_shape=[height, width],
            strides=[stride, stride],
            pads=self.pads((height, width), stride, padded),
        )

    def pads(
        self, window: tuple[int, int], stride: int, padded: int | None = None
    ) -> list[int]:
        """Return the padding in pixels (top, left, bottom, right): *padded* each, or that of SAME [2]."""
        if padded is not None:
            return [padded] * 4
        before, after = [], []
        for size, length in zip(self.size, window, strict=True):
            total = max((-(-size // stride) - 1) * stride + length - size, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        return [*before, *after]

    def shrink(
        self, window: tuple[int, int], stride: int, padded: int | None = None
    ) -> None:
        """Reduce the current size, as a convolution does."""
        height, width = (
            size_after(size, length, stride, padded)
            for size, length in zip(self.size, window, strict=True)
        )
        self.size = (height, width)

    def activate(self, x: str, activation: str) -> str:
        """Add an activation of the backbone."""
        if activation == "swish":
            return self.add("Mul", x, self.add("Sigmoid", x))
        return self.add("Mul", x, self.add("HardSigmoid", x, alpha=1.0 / 6.0, beta=0.5))

    def spatial_mean(self, x: str) -> str:
        """Add the mean over the pixels of each row."""
        return self.add("GlobalAveragePool", x)

    def pointwise(self, x: str, layer: Any) -> str:
        """Add a convolution of 1 x 1 pixel."""
        kernel = layer.kernel
        return self.convolve(x, kernel.reshape(1, 1, *kernel.shape[-2:]), layer.bias)

    def row_wise(
        self, x: str, kernel: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> str:
        """Add a dense layer over the last axis, with a kernel ``(in, out)``."""
        x = self.add("MatMul", x, self.constant(np.ascontiguousarray(kernel)))
        return self.add("Add", x, self.constant(bias))

    def scalar(self, value: float) -> str:
        """Add a scalar constant."""
        return self.constant(np.array(value, np.float32))
