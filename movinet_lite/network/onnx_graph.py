"""Writes a network as an ONNX graph.

The graph has the operations of the network with folded batch norms, as operators that every ONNX runtime has. Inside, tensors are
``(rows, channels, height, width)``. The number of streams or frames is free; the frame size is fixed, since the padding of a
strided convolution depends on it.

A stream model takes one frame of each stream:

- ``image``: ``(batch, height, width, 3)`` float32, 0 to 1, RGB.
- ``logits``: ``(batch, classes)`` float32; ``pooled``, ``(batch, channels)``, the input of the hidden layer; and ``hidden``,
  ``(batch, hidden channels)``, its output.
- Its states, each an input and, as ``next/<name>``, an output (a graph may use a name once):

  ================================  =================================  ================================================
  name                              shape                              meaning
  ================================  =================================  ================================================
  ``state/b1/l0/stream_buffer``     ``(batch, C, k - 1, H * W)`` f32   the last frames before a temporal convolution,
                                                                       the oldest first
  ``state/b1/l0/pool_buffer``       ``(batch, C, 1, 1)`` f32           sum over all frames of a layer's spatial mean
  ``state/frame_count``             ``(batch,)`` int32                 the number of frames of each stream so far
  ================================  =================================  ================================================

A base model takes one clip: ``image`` is ``(frames, height, width, 3)``, and ``logits``, ``pooled`` and ``hidden`` have one
row.

References:
    [1] ONNX operators, https://onnx.ai/onnx/operators: ``Conv``, ``AveragePool``, ``HardSigmoid``.
    [2] TensorFlow, ``tf.nn.convolution``, "Note on padding": what SAME pads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from movinet_lite.arrays import FrameSize
from movinet_lite.atomic import write_atomically
from movinet_lite.network.model import Movinet, fold
from movinet_lite.network.onnx import onnx
from movinet_lite.network.onnx_file import FACTS_KEY, FORMAT, NEXT
from movinet_lite.network.onnx_nodes import Graph
from movinet_lite.network.onnx_transformer import (
    Sequences,
    last_frames,
    relate,
    whole_clip,
)
from movinet_lite.network.padding import STEM_PADDING, LayerPadding, layer_paddings
from movinet_lite.network.positions import position_frequencies
from movinet_lite.network.states import FRAME_COUNT
from movinet_lite.network.variants import LayerSpec

__all__ = ["export_onnx"]

OPSET: Final = 17
"""The version of the ONNX operators: that of ONNX 1.12 (2022), which ONNX Runtime 1.12 and OpenVINO 2023 read."""

IR_VERSION: Final = 8
"""The file format version that belongs to it."""


def export_onnx(
    network: Movinet, path: str | Path, *, frame_size: FrameSize | None = None
) -> None:
    """Write *network* as an ``.onnx`` file; the docstring of this module describes its inputs and outputs.

    Args:
        network: The network.
        path: The file; an existing one is replaced atomically.
        frame_size: ``(height, width)``, the only size that the file accepts; `None` for the network's.
    """
    folded = network if network.options.folded else fold(network)
    spec = attrs.evolve(network.spec, frame_size=frame_size or network.spec.frame_size)
    graph = Graph(spec.frame_size)
    if spec.mode == "stream":
        inputs, outputs = _build_stream(graph, folded)
    else:
        inputs, outputs = _build_clip(graph, folded)
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


def _enter(graph: Graph, network: Movinet) -> str:
    """Add the stem."""
    kernel = network.stem.kernel
    kernel = kernel.reshape(kernel.shape[-4:])
    padded = None if network.spec.padding == "same" else STEM_PADDING
    x = graph.add("Transpose", "image", perm=[0, 3, 1, 2])
    x = graph.convolve(x, kernel, network.stem.bias, 2, padded)
    graph.shrink(kernel.shape[:2], 2, padded)
    return graph.activate(x, network.options.activation)


def _add_skip(graph: Graph, bottleneck: Any, layer: _Layer, x: str, y: str) -> str:
    """Add the skip connection of a bottleneck with the output *y*; the size is that of its input."""
    if bottleneck.skip is not None:
        if layer.spec.stride > 1:
            padded = None if layer.padding is None else layer.padding.pool
            x = graph.add(
                "AveragePool",
                x,
                kernel_shape=[3, 3],
                strides=[2, 2],
                pads=graph.pads((3, 3), 2, padded),
                count_include_pad=0 if padded is None else 1,
            )
        x = graph.pointwise(x, bottleneck.skip)
    return graph.add("Add", x, y)


def _classify(graph: Graph, network: Movinet, pooled: str, rows: Any) -> list[Any]:
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


@attrs.frozen
class _Layer:
    """A layer of the variant, and its padding if it differs from TensorFlow's."""

    path: str
    spec: LayerSpec
    padding: LayerPadding | None

    @property
    def padded(self) -> int | None:
        """The padding of its convolution in pixels; `None` for TensorFlow's SAME."""
        return None if self.padding is None else self.padding.convolution


def _layers(network: Movinet) -> Iterator[tuple[_Layer, Any]]:
    """Yield each layer with its bottleneck."""
    found = layer_paddings(network.variant, network.spec.padding)
    for (block, index, spec, padding), bottleneck in zip(
        found, network.bottlenecks, strict=True
    ):
        yield _Layer(f"b{block}/l{index}", spec, padding), bottleneck


def _excite(graph: Graph, squeeze_excitation: Any, squeeze: str, options: Any) -> str:
    """Add the two layers that compute the gates from the squeezed rows."""
    x = graph.pointwise(squeeze, squeeze_excitation.reduce)
    x = graph.activate(x, options.activation)
    x = graph.pointwise(x, squeeze_excitation.expand)
    if squeeze_excitation.gate == "sigmoid":
        return graph.add("Sigmoid", x)
    # The weights include the slope, offset and factor of a hard gate.
    low, high = (graph.constant(np.array(value, np.float32)) for value in (0.0, 6.0))
    return graph.add("Clip", x, low, high)


class _Streams:
    """The states of streams as inputs and outputs of a graph, whose rows are one frame of each stream.

    Attributes:
        inputs: The declarations of the states as inputs.
        outputs: The declarations of the states as outputs.
        count: The number of frames of each stream, including this one, ``(batch, 1, 1, 1)``.
    """

    def __init__(self, graph: Graph) -> None:
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

    def window(
        self, path: str, x: str, channels: int, length: int, size: FrameSize
    ) -> str:
        """Add the last *length* frames before *x*: ``(batch, channels, length + 1, pixels)``."""
        graph = self._graph
        name = f"state/{path}/stream_buffer"
        pixels = size[0] * size[1]
        self._declare(name, ["batch", channels, length, pixels])
        row = graph.add("Reshape", x, graph.constant([0, channels, 1, pixels]))
        window = graph.add("Concat", name, row, axis=2)
        start, end, axis = (graph.constant([value]) for value in (1, length + 1, 2))
        graph.add("Slice", window, start, end, axis, output=NEXT + name)
        return window

    def rows(self, x: str, channels: int, size: FrameSize) -> str:
        """Add the rows of *x*, ``(batch, channels, 1, pixels)``."""
        return self._graph.add("Reshape", x, self._graph.constant([0, channels, *size]))

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
        index = graph.add("Sub", self.count, graph.scalar(1.0))
        angles = graph.add("Mul", index, graph.constant(frequencies))
        return graph.add(
            "Concat", graph.add("Sin", angles), graph.add("Cos", angles), axis=1
        )


class _CausalClip:
    """The past frames of each frame of one clip, for a causal model of whole clips."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def window(
        self, _path: str, x: str, channels: int, length: int, size: FrameSize
    ) -> str:
        """Add *length* zeros before the frames of the clip: ``(1, channels, length + frames, pixels)``."""
        graph = self._graph
        flat = graph.constant([1, -1, channels, size[0] * size[1]])
        frames = graph.add(
            "Transpose", graph.add("Reshape", x, flat), perm=[0, 2, 1, 3]
        )
        pads = graph.constant([0, 0, length, 0, 0, 0, 0, 0])
        return graph.add("Pad", frames, pads)

    def rows(self, x: str, channels: int, size: FrameSize) -> str:
        """Add the rows of *x*, ``(1, channels, frames, pixels)``."""
        graph = self._graph
        x = graph.add("Transpose", x, perm=[0, 2, 1, 3])
        return graph.add("Reshape", x, graph.constant([-1, channels, *size]))

    def running_mean(self, _path: str, x: str, _channels: int) -> str:
        """Add the mean of *x* over the frames of the clip up to each."""
        graph = self._graph
        first = graph.constant(np.zeros((), np.int64))
        ones = graph.add(
            "Add", graph.add("Mul", x, graph.scalar(0.0)), graph.scalar(1.0)
        )
        counts = graph.add("CumSum", ones, first)
        return graph.add("Div", graph.add("CumSum", x, first), counts)

    def position(self, _channels: int) -> str:
        """A model of whole clips has no positional encoding."""
        raise AssertionError("a model of whole clips has no positional encoding")


def _build_stream(graph: Graph, network: Movinet) -> tuple[list[Any], list[Any]]:
    image = graph.tensor("image", ["batch", *graph.size, 3])
    streams = _Streams(graph)
    x = _add_causal(graph, network, streams)
    if network.spec.transformer is None:
        channels = network.variant.head_channels
        pooled = streams.running_mean("head", x, channels)
        results = _classify(graph, network, pooled, "batch")
    else:
        sequences = last_frames(graph, network, x, streams)
        results = _classify_sequences(graph, network, sequences, "batch")
    return [image, *streams.inputs], [*results, *streams.outputs]


def _add_causal(graph: Graph, network: Movinet, memory: _Streams | _CausalClip) -> str:
    """Add the causal backbone and the projection; return the mean over the pixels of each row."""
    activation = network.options.activation
    x = _enter(graph, network)
    for layer, bottleneck in _layers(network):
        channels, entry, before = layer.spec.expanded, x, graph.size
        x = graph.activate(graph.pointwise(x, bottleneck.expansion), activation)
        feature, stride = bottleneck.feature, layer.spec.stride
        x = graph.convolve_channels(
            x, feature.kernel, feature.bias, stride, layer.padded
        )
        graph.shrink(feature.kernel.shape[:2], stride, layer.padded)
        x = graph.activate(x, activation)
        if bottleneck.feature_in_time is not None:
            x = _convolve_in_time(graph, memory, layer.path, x, bottleneck)
            x = graph.activate(x, activation)
        mean = graph.spatial_mean(x)
        squeeze = graph.add(
            "Concat", memory.running_mean(layer.path, mean, channels), mean, axis=1
        )
        squeeze_excitation = bottleneck.squeeze_excitation
        if squeeze_excitation.position_scale is not None:
            scale = graph.scalar(float(squeeze_excitation.position_scale))
            position = graph.add("Mul", memory.position(2 * channels), scale)
            squeeze = graph.add("Add", squeeze, position)
        gates = _excite(graph, squeeze_excitation, squeeze, network.options)
        y = graph.pointwise(graph.add("Mul", x, gates), bottleneck.projection)
        after, graph.size = graph.size, before
        x = _add_skip(graph, bottleneck, layer, entry, y)
        graph.size = after
    x = graph.activate(graph.pointwise(x, network.head.project), activation)
    return graph.spatial_mean(x)


def _convolve_in_time(
    graph: Graph,
    memory: _Streams | _CausalClip,
    path: str,
    x: str,
    bottleneck: Any,
) -> str:
    """Add a causal depthwise convolution over time."""
    layer = bottleneck.feature_in_time
    length, _, channels, _ = layer.kernel.shape
    window = memory.window(path, x, channels, length - 1, graph.size)
    y = graph.add(
        "Conv",
        window,
        graph.constant(np.ascontiguousarray(layer.kernel.transpose(2, 3, 0, 1))),
        graph.constant(layer.bias),
        group=channels,
        kernel_shape=[length, 1],
    )
    return memory.rows(y, channels, graph.size)


def _build_clip(graph: Graph, network: Movinet) -> tuple[list[Any], list[Any]]:
    image = graph.tensor("image", ["frames", *graph.size, 3])
    is_causal = network.spec.layer_mode == "stream"
    if is_causal:
        x = _add_causal(graph, network, _CausalClip(graph))
    else:
        x = _add_clip(graph, network)
    if network.spec.transformer is not None:
        if not is_causal:
            x = graph.spatial_mean(x)
        sequences = whole_clip(graph, network, x)
        return [image], _classify_sequences(graph, network, sequences, 1)
    pooled = graph.add("ReduceMean", x, axes=[0, 2, 3], keepdims=1)
    return [image], _classify(graph, network, pooled, 1)


def _add_clip(graph: Graph, network: Movinet) -> str:
    """Add the backbone of a base model and the projection, of every frame."""
    options = network.options
    x = _enter(graph, network)
    for layer, bottleneck in _layers(network):
        entry, before = x, graph.size
        x = graph.activate(graph.pointwise(x, bottleneck.expansion), options.activation)
        x = _convolve_clip(graph, x, bottleneck.feature, layer)
        kernel = bottleneck.feature.kernel.shape[1:3]
        graph.shrink(kernel, layer.spec.stride, layer.padded)
        x = graph.activate(x, options.activation)
        squeeze = graph.add("ReduceMean", x, axes=[0, 2, 3], keepdims=1)
        gates = _excite(graph, bottleneck.squeeze_excitation, squeeze, options)
        y = graph.pointwise(graph.add("Mul", x, gates), bottleneck.projection)
        after, graph.size = graph.size, before
        x = _add_skip(graph, bottleneck, layer, entry, y)
        graph.size = after
    return graph.activate(graph.pointwise(x, network.head.project), options.activation)


def _classify_sequences(
    graph: Graph, network: Movinet, sequences: Sequences, rows: Any
) -> list[Any]:
    """Add transformer and classifier; return the declarations of logits and features, each ``(rows, channels)``."""
    head, facts = network.head, network.spec.transformer
    assert facts is not None  # noqa: S101 - checked by the caller
    hidden = relate(graph, network, sequences)
    kernel = head.classifier.kernel
    logits = graph.row_wise(
        hidden, kernel.reshape(kernel.shape[-2:]), head.classifier.bias
    )
    sizes = {"logits": network.spec.num_classes, "hidden": facts.embed_dim}
    for name, x in (("logits", logits), ("hidden", hidden)):
        graph.add("Identity", x, output=name)
    return [graph.tensor(name, [rows, size]) for name, size in sizes.items()]


def _convolve_clip(graph: Graph, x: str, feature: Any, layer: _Layer) -> str:
    """Add a depthwise convolution over space and time, as a sum of 2-D ones; frames before and after a clip are zeros."""
    # A 2-D depthwise kernel is (height, width, channels, 1), a 3-D one (..., 1, channels).
    slices = np.transpose(feature.kernel, (0, 1, 2, 4, 3))
    reach = len(slices) // 2
    if reach == 0:
        return graph.convolve_channels(
            x, slices[0], feature.bias, layer.spec.stride, layer.padded
        )
    pads = graph.constant([reach, 0, 0, 0, reach, 0, 0, 0])
    padded = graph.add("Pad", x, pads)
    total = ""
    for place, kernel in enumerate(slices):
        end = place - 2 * reach or np.iinfo(np.int64).max
        bounds = (graph.constant([value]) for value in (place, end, 0))
        rows = x if place == reach else graph.add("Slice", padded, *bounds)
        bias = feature.bias if place == reach else None
        part = graph.convolve_channels(
            rows, kernel, bias, layer.spec.stride, layer.padded
        )
        total = graph.add("Add", total, part) if total else part
    return total
