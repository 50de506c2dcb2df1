"""Writes a network as an ONNX graph.

The graph is made from the folded network, operation by operation, and uses operators that every ONNX runtime has. It works
on ``(rows, channels, height, width)`` inside. The number of streams or frames stays free; the frame size is fixed, since the
padding of a strided convolution depends on it.

A stream model takes one frame of each stream:

- ``image``: ``(batch, height, width, 3)`` float32, 0 to 1, RGB.
- ``logits``: ``(batch, classes)`` float32; ``pooled``, ``(batch, channels)``, the input of the hidden layer; and ``hidden``,
  ``(batch, hidden channels)``, its output.
- Its states, each an input and, as ``next/<name>``, an output (a graph may use a name once):

  ================================  =================================  ================================================
  name                              shape                              what it is
  ================================  =================================  ================================================
  ``state/b1/l0/stream_buffer``     ``(batch, C, k - 1, H * W)`` f32   the last frames before a temporal convolution,
                                                                       the oldest first
  ``state/b1/l0/pool_buffer``       ``(batch, C, 1, 1)`` f32           sum over all frames of a layer's spatial mean
  ``state/frame_count``             ``(batch,)`` int32                 the number of frames each stream has had
  ================================  =================================  ================================================

A base model takes one clip: ``image`` is ``(frames, height, width, 3)``, and ``logits``, ``pooled`` and ``hidden`` have one
row.

References:
    [1] ONNX operators, https://onnx.ai/onnx/operators: ``Conv``, ``AveragePool``, ``HardSigmoid``.
    [2] TensorFlow, ``tf.nn.convolution``, "Note on padding": what SAME pads.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.atomic import write_atomically
from movinet_lite.network.layers import position_frequencies
from movinet_lite.network.model import Movinet, fold
from movinet_lite.network.onnx import onnx
from movinet_lite.network.onnx_file import FACTS_KEY, FORMAT, NEXT
from movinet_lite.network.states import FRAME_COUNT

__all__ = ["export_onnx"]

OPSET: Final = 17
"""The version of the ONNX operators: that of ONNX 1.12 (2022), which ONNX Runtime 1.12 and OpenVINO 2023 read."""

IR_VERSION: Final = 8
"""The version of the file format that goes with it."""


def export_onnx(
    network: Movinet, path: str | Path, *, frame_size: FrameSize | None = None
) -> None:
    """Write *network* as an ``.onnx`` file; the module's page describes its inputs and outputs.

    Args:
        network: What to write.
        path: The file; one that is there is replaced, once the new one is complete.
        frame_size: ``(height, width)``, the only one the file will take; `None` for the network's.

    """
    folded = network if network.options.folded else fold(network)
    spec = attrs.evolve(network.spec, frame_size=frame_size or network.spec.frame_size)
    graph = _Graph(spec.frame_size)
    build = _build_stream if spec.mode == "stream" else _build_clip
    inputs, outputs = build(graph, folded)
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            f"movinet_{spec.variant}_{spec.mode}",
            inputs,
            outputs,
            graph.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="movinet_lite",
    )
    facts = {"format": FORMAT, **attrs.asdict(spec)}
    onnx.helper.set_model_props(
        made, {FACTS_KEY: json.dumps(facts, ensure_ascii=False)}
    )
    onnx.checker.check_model(made, full_check=True)
    write_atomically(Path(path), made.SerializeToString())


class _Graph:
    """Nodes and constants so far, and the size of the pictures that the last node gave."""

    def __init__(self, frame_size: FrameSize) -> None:
        self.size = frame_size
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, **options: Any) -> str:
        """Add a node; return the name of what it gives."""
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
        """Return the declaration of an input or output; sizes that are free have names."""
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return onnx.helper.make_tensor_value_info(name, kind, shape)

    def convolve(
        self,
        x: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        stride: int = 1,
    ) -> str:
        """Add a convolution with a kernel ``(height, width, in, out)``, padded to keep the size [2]."""
        return self._convolve(x, kernel.transpose(3, 2, 0, 1), bias, stride, 1)

    def convolve_channels(
        self,
        x: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        stride: int = 1,
    ) -> str:
        """Add a depthwise convolution with a kernel ``(height, width, channels, 1)``, padded to keep the size [2]."""
        return self._convolve(
            x, kernel.transpose(2, 3, 0, 1), bias, stride, kernel.shape[2]
        )

    def _convolve(
        self,
        x: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        stride: int,
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
            pads=self.pads((height, width), stride),
        )

    def pads(self, window: tuple[int, int], stride: int) -> list[int]:
        """Return what SAME pads [2]: above, left, below, right."""
        before, after = [], []
        for size, length in zip(self.size, window, strict=True):
            total = max((-(-size // stride) - 1) * stride + length - size, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        return [*before, *after]

    def stride(self, stride: int) -> None:
        """Take note that pictures are smaller from here on."""
        height, width = self.size
        self.size = (-(-height // stride), -(-width // stride))

    def activate(self, x: str, activation: str) -> str:
        """Add an activation of the backbone."""
        if activation == "swish":
            return self.add("Mul", x, self.add("Sigmoid", x))
        return self.add("Mul", x, self.add("HardSigmoid", x, alpha=1.0 / 6.0, beta=0.5))

    def spatial_mean(self, x: str) -> str:
        """Add the mean over the pixels of each picture."""
        return self.add("GlobalAveragePool", x)

    def pointwise(self, x: str, layer: Any) -> str:
        """Add a convolution of 1 x 1 pixel."""
        kernel = layer.kernel
        return self.convolve(x, kernel.reshape(1, 1, *kernel.shape[-2:]), layer.bias)


def _enter(graph: _Graph, network: Movinet) -> str:
    """Add the stem."""
    kernel = network.stem.kernel
    x = graph.add("Transpose", "image", perm=[0, 3, 1, 2])
    x = graph.convolve(x, kernel.reshape(kernel.shape[-4:]), network.stem.bias, 2)
    graph.stride(2)
    return graph.activate(x, network.options.activation)


def _add_skip(graph: _Graph, bottleneck: Any, x: str, y: str, stride: int) -> str:
    """Add the way past a bottleneck, whose own way gave *y*; the size is that before it."""
    if bottleneck.skip is not None:
        if stride > 1:
            x = graph.add(
                "AveragePool",
                x,
                kernel_shape=[3, 3],
                strides=[2, 2],
                pads=graph.pads((3, 3), 2),
                count_include_pad=0,
            )
        x = graph.pointwise(x, bottleneck.skip)
    return graph.add("Add", x, y)


def _classify(graph: _Graph, network: Movinet, pooled: str, rows: Any) -> list[Any]:
    """Add hidden layer and classifier; return the declarations of logits and features, each ``(rows, channels)``."""
    head, variant = network.head, network.variant
    hidden = graph.activate(graph.pointwise(pooled, head.hidden), "swish")
    logits = graph.pointwise(hidden, head.classifier)
    results = {
        "logits": (logits, network.spec.num_classes),
        "pooled": (pooled, variant.head_channels),
        "hidden": (hidden, variant.hidden_channels),
    }
    for name, (x, _) in results.items():
        graph.add("Flatten", x, axis=1, output=name)
    return [graph.tensor(name, [rows, size]) for name, (_, size) in results.items()]


def _excite(graph: _Graph, squeeze_excitation: Any, squeeze: str, options: Any) -> str:
    """Add the two layers that turn a squeeze into gates."""
    x = graph.pointwise(squeeze, squeeze_excitation.reduce)
    x = graph.activate(x, options.activation)
    x = graph.pointwise(x, squeeze_excitation.expand)
    if squeeze_excitation.gate == "sigmoid":
        return graph.add("Sigmoid", x)
    # Slope, shift and factor of a hard gate stand in the weights.
    low, high = (graph.constant(np.array(value, np.float32)) for value in (0.0, 6.0))
    return graph.add("Clip", x, low, high)


class _Streams:
    """The states of streams as inputs and outputs of a graph."""

    def __init__(self, graph: _Graph) -> None:
        self._graph = graph
        self.inputs = [graph.tensor(FRAME_COUNT, ["batch"], np.int32)]
        self.outputs = [graph.tensor(NEXT + FRAME_COUNT, ["batch"], np.int32)]
        one = graph.constant(np.ones((), np.int32))
        count = graph.add("Add", FRAME_COUNT, one, output=NEXT + FRAME_COUNT)
        number = graph.add("Cast", count, to=onnx.TensorProto.FLOAT)
        self.count = graph.add("Reshape", number, graph.constant([-1, 1, 1, 1]))

    def _declare(self, name: str, shape: list[Any]) -> None:
        self.inputs.append(self._graph.tensor(name, shape))
        self.outputs.append(self._graph.tensor(NEXT + name, shape))

    def window(self, path: str, x: str, channels: int, length: int) -> str:
        """Add the last *length* frames before *x*: ``(batch, channels, length + 1, pixels)``."""
        graph = self._graph
        name = f"state/{path}/stream_buffer"
        height, width = graph.size
        self._declare(name, ["batch", channels, length, height * width])
        row = graph.add("Reshape", x, graph.constant([0, channels, 1, height * width]))
        window = graph.add("Concat", name, row, axis=2)
        start, end, axis = (graph.constant([value]) for value in (1, length + 1, 2))
        graph.add("Slice", window, start, end, axis, output=NEXT + name)
        return window

    def running_mean(self, path: str, x: str, channels: int) -> str:
        """Add the mean of *x* over all frames so far."""
        name = f"state/{path}/pool_buffer"
        self._declare(name, ["batch", channels, 1, 1])
        total = self._graph.add("Add", name, x, output=NEXT + name)
        return self._graph.add("Div", total, self.count)

    def position(self, channels: int) -> str:
        """Add the positional encoding of the frame, ``(batch, channels, 1, 1)``."""
        graph = self._graph
        frequencies = position_frequencies(channels).reshape(1, -1, 1, 1)
        index = graph.add("Sub", self.count, graph.constant(np.ones((), np.float32)))
        angles = graph.add("Mul", index, graph.constant(frequencies))
        return graph.add(
            "Concat", graph.add("Sin", angles), graph.add("Cos", angles), axis=1
        )


def _build_stream(graph: _Graph, network: Movinet) -> tuple[list[Any], list[Any]]:
    options = network.options
    height, width = graph.size
    image = graph.tensor("image", ["batch", height, width, 3])
    streams = _Streams(graph)
    x = _enter(graph, network)
    layers = network.variant.layers
    for (block, index, layer), bottleneck in zip(
        layers, network.bottlenecks, strict=True
    ):
        path, channels = f"b{block}/l{index}", layer.expanded
        entry, before = x, graph.size
        x = graph.activate(graph.pointwise(x, bottleneck.expansion), options.activation)
        feature = bottleneck.feature
        x = graph.convolve_channels(x, feature.kernel, feature.bias, layer.stride)
        graph.stride(layer.stride)
        x = graph.activate(x, options.activation)
        if bottleneck.feature_in_time is not None:
            x = _convolve_in_time(
                graph,
                streams,
                path,
                x,
                layer=bottleneck.feature_in_time,
                activation=options.activation,
            )
        mean = graph.spatial_mean(x)
        squeeze = graph.add(
            "Concat", streams.running_mean(path, mean, channels), mean, axis=1
        )
        squeeze_excitation = bottleneck.squeeze_excitation
        if squeeze_excitation.position_scale is not None:
            scale = graph.constant(
                np.asarray(squeeze_excitation.position_scale, np.float32)
            )
            position = graph.add("Mul", streams.position(2 * channels), scale)
            squeeze = graph.add("Add", squeeze, position)
        gates = _excite(graph, squeeze_excitation, squeeze, options)
        y = graph.pointwise(graph.add("Mul", x, gates), bottleneck.projection)
        after, graph.size = graph.size, before
        x = _add_skip(graph, bottleneck, entry, y, layer.stride)
        graph.size = after
    head = network.head
    x = graph.activate(graph.pointwise(x, head.project), options.activation)
    mean = graph.spatial_mean(x)
    pooled = streams.running_mean("head", mean, network.variant.head_channels)
    results = _classify(graph, network, pooled, "batch")
    return [image, *streams.inputs], [*results, *streams.outputs]


def _convolve_in_time(
    graph: _Graph, streams: _Streams, path: str, x: str, *, layer: Any, activation: str
) -> str:
    """Add a causal depthwise convolution over time."""
    length, _, channels, _ = layer.kernel.shape
    window = streams.window(path, x, channels, length - 1)
    height, width = graph.size
    y = graph.add(
        "Conv",
        window,
        graph.constant(np.ascontiguousarray(layer.kernel.transpose(2, 3, 0, 1))),
        graph.constant(layer.bias),
        group=channels,
        kernel_shape=[length, 1],
    )
    y = graph.activate(y, activation)
    return graph.add("Reshape", y, graph.constant([0, channels, height, width]))


def _build_clip(graph: _Graph, network: Movinet) -> tuple[list[Any], list[Any]]:
    options = network.options
    height, width = graph.size
    image = graph.tensor("image", ["frames", height, width, 3])
    x = _enter(graph, network)
    layers = network.variant.layers
    for (_, _, layer), bottleneck in zip(layers, network.bottlenecks, strict=True):
        entry, before = x, graph.size
        x = graph.activate(graph.pointwise(x, bottleneck.expansion), options.activation)
        x = _convolve_clip(graph, x, bottleneck.feature, layer.stride)
        graph.stride(layer.stride)
        x = graph.activate(x, options.activation)
        squeeze = graph.add("ReduceMean", x, axes=[0, 2, 3], keepdims=1)
        gates = _excite(graph, bottleneck.squeeze_excitation, squeeze, options)
        y = graph.pointwise(graph.add("Mul", x, gates), bottleneck.projection)
        after, graph.size = graph.size, before
        x = _add_skip(graph, bottleneck, entry, y, layer.stride)
        graph.size = after
    head = network.head
    x = graph.activate(graph.pointwise(x, head.project), options.activation)
    pooled = graph.add("ReduceMean", x, axes=[0, 2, 3], keepdims=1)
    return [image], _classify(graph, network, pooled, 1)


def _convolve_clip(graph: _Graph, x: str, layer: Any, stride: int) -> str:
    """Add a depthwise convolution over space and time, as a sum of 2-D ones; frames before and after a clip are zeros."""
    # A 2-D depthwise kernel is (height, width, channels, 1), a 3-D one (..., 1, channels).
    slices = np.transpose(layer.kernel, (0, 1, 2, 4, 3))
    reach = len(slices) // 2
    if reach == 0:
        return graph.convolve_channels(x, slices[0], layer.bias, stride)
    pads = graph.constant([reach, 0, 0, 0, reach, 0, 0, 0])
    padded = graph.add("Pad", x, pads)
    total = ""
    for place, kernel in enumerate(slices):
        end = place - 2 * reach or np.iinfo(np.int64).max
        bounds = (graph.constant([value]) for value in (place, end, 0))
        rows = x if place == reach else graph.add("Slice", padded, *bounds)
        bias = layer.bias if place == reach else None
        part = graph.convolve_channels(rows, kernel, bias, stride)
        total = graph.add("Add", total, part) if total else part
    return total
