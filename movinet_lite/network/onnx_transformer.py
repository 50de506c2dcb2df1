"""Writes the head of models trained with GRW-smoothing as nodes of an ONNX graph; see `movinet_lite.network.transformer`."""

from __future__ import annotations

from typing import Any, Protocol

import attrs
import numpy as np

from movinet_lite.arrays import FrameSize
from movinet_lite.network.facts import TRANSFORMER_WINDOW
from movinet_lite.network.model import Movinet
from movinet_lite.network.onnx_nodes import Graph
from movinet_lite.network.transformer import HIDDEN, NORM_EPSILON, wave_frequencies

__all__ = ["Sequences", "last_frames", "relate", "whole_clip"]


@attrs.frozen
class Sequences:
    """The inputs of the transformer, by the names of their nodes.

    Attributes:
        tokens: ``(sequences, places, channels)``.
        positions: ``(sequences or 1, places, 1)``.
        present: ``(sequences, places, 1)``: 1 for a frame, 0 for padding before the first; `None` if there is no padding.
    """

    tokens: str
    positions: str
    present: str | None


class StreamMemory(Protocol):
    """The states of streams in a graph."""

    count: str

    def window(
        self, path: str, x: str, channels: int, length: int, size: FrameSize
    ) -> str:
        """Add the last *length* frames before *x*: ``(batch, channels, length + 1, pixels)``."""


def last_frames(
    graph: Graph, network: Movinet, x: str, memory: StreamMemory
) -> Sequences:
    """Add the embeddings of the last frames of each stream; *x*, ``(batch, channels, 1, 1)``, is the mean over pixels."""
    length, channels = TRANSFORMER_WINDOW, _facts(network).embed_dim
    embedded = _embed(graph, network, x)
    as_row = graph.add("Reshape", embedded, graph.constant([0, channels, 1, 1]))
    window = memory.window("head", as_row, channels, length - 1, (1, 1))
    tokens = graph.add("Transpose", window, perm=[0, 2, 1, 3])
    tokens = graph.add("Reshape", tokens, graph.constant([0, length, channels]))
    count = graph.add("Reshape", memory.count, graph.constant([-1, 1, 1]))
    slots = np.arange(length, dtype=np.float32).reshape(1, length, 1)
    seen = graph.add("Min", count, graph.scalar(float(length)))
    before = graph.add("Sub", graph.constant(slots), graph.scalar(float(length)))
    places = graph.add("Add", before, seen)
    zero, one = graph.scalar(0.0), graph.scalar(1.0)
    present = graph.add("Clip", graph.add("Add", places, one), zero, one)
    return Sequences(tokens, graph.add("Relu", places), present)


def whole_clip(graph: Graph, network: Movinet, x: str) -> Sequences:
    """Add the embeddings of all frames of a clip; *x*, ``(frames, channels, 1, 1)``, is the mean over pixels."""
    channels = _facts(network).embed_dim
    embedded = _embed(graph, network, x)
    tokens = graph.add("Reshape", embedded, graph.constant([1, -1, channels]))
    some = graph.add("ReduceMean", tokens, axes=[2], keepdims=1)
    zeros = graph.add("Mul", some, graph.scalar(0.0))
    ones = graph.add("Add", zeros, graph.scalar(1.0))
    axis = graph.constant(np.ones((), np.int64))
    return Sequences(tokens, graph.add("CumSum", ones, axis, exclusive=1), None)


def relate(graph: Graph, network: Movinet, sequences: Sequences) -> str:
    """Add the transformer; return the mean over frames, ``(sequences, channels)``."""
    facts, present = _facts(network), sequences.present
    frequencies = wave_frequencies(facts.embed_dim).reshape(1, 1, -1)
    angles = graph.add("Mul", sequences.positions, graph.constant(frequencies))
    waves = graph.add(
        "Concat", graph.add("Sin", angles), graph.add("Cos", angles), axis=-1
    )
    x = graph.add("Add", sequences.tokens, waves)
    for index in range(facts.depth):
        layer = f"l{index}"
        y = _norm(graph, network, f"{layer}/attention_norm", x)
        y = _attend(graph, network, f"{layer}/attention", y, present)
        x = graph.add("Add", x, y)
        y = _norm(graph, network, f"{layer}/mlp_norm", x)
        y = _gelu(graph, _dense(graph, network, f"{layer}/mlp/hidden", y))
        x = graph.add("Add", x, _dense(graph, network, f"{layer}/mlp/output", y))
    x = _norm(graph, network, "last_norm", x)
    if present is None:
        return graph.add("ReduceMean", x, axes=[1], keepdims=0)
    axis = graph.constant([1])
    total = graph.add("ReduceSum", graph.add("Mul", x, present), axis, keepdims=0)
    count = graph.add("ReduceSum", present, axis, keepdims=0)
    return graph.add("Div", total, count)


def _facts(network: Movinet) -> Any:
    return network.spec.transformer


def _embed(graph: Graph, network: Movinet, x: str) -> str:
    """Add the embedding of each row and its norm, ``(rows, channels)``."""
    x = graph.add("Flatten", graph.pointwise(x, network.head.hidden), axis=1)
    return _norm(graph, network, "norm", x)


def _attend(
    graph: Graph, network: Movinet, name: str, x: str, present: str | None
) -> str:
    """Add multi-head self-attention over the frames, ``(sequences, places, channels)``."""
    heads, channels = _facts(network).num_heads, _facts(network).embed_dim
    width = channels // heads
    all_three = _dense(graph, network, f"{name}/input", x)
    by_head = graph.constant([0, 0, heads, width])
    parts = []
    for place, order in enumerate(([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])):
        start, end, axis = (
            graph.constant([value])
            for value in (place * channels, (place + 1) * channels, 2)
        )
        part = graph.add("Slice", all_three, start, end, axis)
        part = graph.add("Reshape", part, by_head)
        parts.append(graph.add("Transpose", part, perm=order))
    query, key, value = parts
    query = graph.add("Mul", query, graph.scalar(float(width**-0.5)))
    scores = graph.add("MatMul", query, key)
    if present is not None:
        seen = graph.add("Transpose", present, perm=[0, 2, 1])
        seen = graph.add("Unsqueeze", seen, graph.constant([1]))
        absent = graph.add("Sub", graph.scalar(1.0), seen)
        scores = graph.add(
            "Add", scores, graph.add("Mul", absent, graph.scalar(HIDDEN))
        )
    taken = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
    taken = graph.add("Transpose", taken, perm=[0, 2, 1, 3])
    taken = graph.add("Reshape", taken, graph.constant([0, 0, channels]))
    return _dense(graph, network, f"{name}/output", taken)


def _dense(graph: Graph, network: Movinet, name: str, x: str) -> str:
    part = network.head.part
    return graph.row_wise(x, part(f"{name}/kernel"), part(f"{name}/bias"))


def _gelu(graph: Graph, x: str) -> str:
    erf = graph.add("Erf", graph.add("Mul", x, graph.scalar(float(0.5**0.5))))
    half = graph.add("Mul", x, graph.scalar(0.5))
    return graph.add("Mul", half, graph.add("Add", erf, graph.scalar(1.0)))


def _norm(graph: Graph, network: Movinet, name: str, x: str) -> str:
    part = network.head.part
    away = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[-1], keepdims=1))
    square = graph.add("Mul", away, away)
    variance = graph.add("ReduceMean", square, axes=[-1], keepdims=1)
    deviation = graph.add(
        "Sqrt", graph.add("Add", variance, graph.scalar(NORM_EPSILON))
    )
    x = graph.add(
        "Mul", graph.add("Div", away, deviation), graph.constant(part(f"{name}/gamma"))
    )
    return graph.add("Add", x, graph.constant(part(f"{name}/beta")))
