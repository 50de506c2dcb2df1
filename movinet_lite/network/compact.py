"""Products of one row with half the weights' bytes, in a LiteRT graph.

A product of one row reads every weight once, and so takes as long as the memory takes to give them. LiteRT multiplies rows
with 8-bit weights, but rounds a row to 8 bits too. Several of such products make one that is right to 5e-5 of its largest
result: a weight is the sum of a coarse and a fine 8-bit number, of 254 times smaller steps, and a row is the sum of three.
The parts of a row are whole numbers, which the rounding [1] keeps as they are if its step is 1: two numbers at the end see
to that, the ends of the range, 127 and -128, whose weights are 0.

References:
    [1] XNNPACK, ``xnn_define_dynamically_quantized_tensor_value``, ``qdint8``: 8 bits between the smallest and the largest
        number of each row.
    [2] LiteRT 8-bit quantisation specification: weights from -127 to 127, a scale a channel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import ConversionError
from movinet_lite.network.converting import pack_graph, unpack_graph
from movinet_lite.network.layers import Convolution, Tensor, Timeline
from movinet_lite.network.tensorflow import tf

__all__ = ["CompactProducts"]

_ENDS: Final = (127.0, -128.0)
_FINER: Final = 254.0  # a rest of half a coarse step is 127 fine ones
_SMALLEST_STEP: Final = 1e-30  # of a row of zeros
_FEWEST_WEIGHTS: Final = 100_000  # of fewer, which caches may keep, too little is saved


@attrs.frozen(eq=False)
class _Matrix:
    """Weights as the graph has them while it is converted, and as they shall be stored.

    Attributes:
        weights: ``(2 * outputs, inputs + 2)`` float32: what *stored* stands for.
        stored: The same shape, int8.
        scales: ``(2 * outputs,)`` float32: what one step of each row is worth.
    """

    weights: NDArray[np.float32]
    stored: NDArray[np.int8]
    scales: NDArray[np.float32]


class CompactProducts:
    """Makes products of one row, and stores their weights in 8 bits once the graph is converted."""

    def __init__(self) -> None:
        """Begin with none."""
        self._matrices: list[_Matrix] = []

    @contextlib.contextmanager
    def of(self, layers: Iterable[Convolution]) -> Iterator[None]:
        """Make the products of the large ones of *layers* of a folded network, while a graph is traced."""
        large = [layer for layer in layers if layer.kernel.size >= _FEWEST_WEIGHTS]
        usual = [layer.convolve for layer in large]
        for layer in large:
            layer.convolve = self.convolve
        try:
            yield
        finally:
            for layer, convolve in zip(large, usual, strict=True):
                layer.convolve = convolve

    def convolve(self, x: Tensor, kernel: Tensor, _: Timeline) -> Tensor:
        """Return the product of rows ``(rows, 1, 1, inputs)`` and a kernel ``(1, 1, inputs, outputs)``."""
        rows, inputs = x.shape[0], x.shape[-1]
        weights = np.asarray(tf.get_static_value(kernel), np.float64)[0, 0].T
        matrix = _split(weights)
        self._matrices.append(matrix)
        row = tf.reshape(x, [rows, inputs])
        largest = tf.reduce_max(tf.abs(row), axis=-1, keepdims=True)
        step = tf.maximum(largest * (1.0 / _ENDS[0]), _SMALLEST_STEP)
        steps = row / step
        coarse = tf.round(steps)
        fine_steps = (steps - coarse) * _FINER
        fine = tf.round(fine_steps)
        parts = tf.concat([coarse, fine, fine_steps - fine], axis=0)
        ends = [_ENDS] * (2 * rows) + [(0.0, 0.0)] * rows
        parts = tf.concat([parts, tf.constant(ends, tf.float32)], axis=-1)
        products = tf.matmul(parts, tf.constant(matrix.weights), transpose_b=True)
        worth = np.repeat(np.array([1.0, 1.0 / _FINER, 1.0 / _FINER], np.float32), rows)
        outputs = len(weights)
        pairs = tf.reshape(products * worth[:, np.newaxis], [3, rows, 2, outputs])
        sums = tf.reduce_sum(pairs, axis=[0, 2])
        return tf.reshape(sums * step, [rows, 1, 1, outputs])

    def store(self, graph: bytes) -> bytes:
        """Return a converted graph with the weights of the products in 8 bits.

        Raises:
            ConversionError: If they are not all there.
        """
        if not self._matrices:
            return graph
        from ai_edge_litert import schema_py_generated as schema

        model = unpack_graph(graph)
        wanted = {matrix.weights.tobytes(): matrix for matrix in self._matrices}
        found = 0
        for tensor in model.subgraphs[0].tensors:
            data = model.buffers[tensor.buffer].data
            matrix = None if data is None else wanted.get(bytes(memoryview(data)))
            if matrix is None:
                continue
            found += 1
            model.buffers[tensor.buffer].data = matrix.stored.view(np.uint8).ravel()
            tensor.type = schema.TensorType.INT8
            quantization = schema.QuantizationParametersT()
            quantization.scale = matrix.scales
            quantization.zeroPoint = np.zeros(len(matrix.scales), np.int64)
            quantization.quantizedDimension = 0
            tensor.quantization = quantization
        if found != len(wanted):
            raise ConversionError(
                f"a converted graph must have the weights of all {len(wanted)} products that are stored in 8 bits; it has "
                f"those of {found}"
            )
        return pack_graph(model)


def _split(weights: NDArray[np.float64]) -> _Matrix:
    """Return the coarse rows of *weights* ``(outputs, inputs)``, then the fine ones, each with a 0 for each end."""
    coarse_step = np.abs(weights).max(axis=1, keepdims=True) / _ENDS[0]
    coarse_step[coarse_step == 0] = 1.0
    fine_step = coarse_step / _FINER
    coarse = np.rint(weights / coarse_step)
    fine = np.rint((weights - coarse * coarse_step) / fine_step)
    parts = np.pad(np.concatenate([coarse, fine]), [(0, 0), (0, len(_ENDS))])
    scales = np.concatenate([coarse_step, fine_step]).astype(np.float32)
    stored = parts.astype(np.int8)
    return _Matrix(stored.astype(np.float32) * scales, stored, scales.ravel())
