"""Converts a function of TensorFlow to a LiteRT graph that knows its inputs and outputs by name.

TensorFlow's own way, ``TFLiteConverter.from_concrete_functions``, traces a function several times, writes it as a SavedModel
and loads that twice: three times the work of the conversion itself. Here the function is traced once, with its variables as
constants, and goes to the converter of graphs. That one gives a graph without names, which are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs
import numpy as np

from movinet_lite.errors import ConversionError, said_by
from movinet_lite.network.tensorflow import keras, tf

__all__ = ["Quantize", "Traced", "convert", "pack_graph", "trace", "unpack_graph"]

Quantize: TypeAlias = Literal["float16", "dynamic"]
"""How weights are stored: as float16, or as int8 with activations quantised as they come."""

_SIGNATURE: Final = "serving_default"
_FILE_IDENTIFIER: Final = b"TFL3"


@attrs.frozen
class Traced:
    """A function as a graph of TensorFlow's without variables.

    Attributes:
        graph_def: The graph.
        inputs: The shape of each input by its name, `None` for sizes left open. In the graph it has the same name.
        outputs: What each output is called in the graph, by its name.
    """

    graph_def: Any
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Mapping[str, str]


def trace(
    function: Callable[..., Mapping[str, Any]],
    inputs: Mapping[str, tuple[int | None, ...]],
    variables: Iterable[Any],
) -> Traced:
    """Return *function* as a graph.

    Args:
        function: Takes float32 tensors by name, and returns tensors by name.
        inputs: The shape of each input.
        variables: The variables of Keras that it reads, which become constants.
    """
    values = [(variable, np.asarray(variable)) for variable in variables]
    graph = tf.Graph()
    with graph.as_default():
        given = {
            name: tf.compat.v1.placeholder(tf.float32, shape, name)
            for name, shape in inputs.items()
        }
        constants = [(variable, tf.constant(value)) for variable, value in values]
        with keras.StatelessScope(state_mapping=constants):
            results = function(**given)
        outputs = {
            name: tf.identity(result, name=name).op.name
            for name, result in results.items()
        }
    return Traced(graph.as_graph_def(), inputs, outputs)


def convert(traced: Traced, quantize: Quantize | None = None) -> bytes:
    """Return the LiteRT graph of a function, with one signature, ``serving_default``.

    Raises:
        ConversionError: If the converter refuses, or leaves out an input or output.
    """
    shapes = [
        (name, [-1 if size is None else size for size in shape])
        for name, shape in traced.inputs.items()
    ]
    try:
        converter = tf.compat.v1.lite.TFLiteConverter(
            traced.graph_def,
            None,
            None,
            input_arrays_with_shape=shapes,
            output_arrays=list(traced.outputs.values()),
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        graph = bytes(converter.convert())
    except Exception as error:  # the converter raises a class of its own, and bare ones
        raise ConversionError(
            f"LiteRT could not convert the network: {said_by(error)}"
        ) from error
    return _with_names(graph, list(traced.inputs), list(traced.outputs))


def _with_names(graph: bytes, inputs: list[str], outputs: list[str]) -> bytes:
    """Return *graph* with a signature that names its inputs and outputs, which it has in this order."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack_graph(graph)
    (body, *_) = model.subgraphs
    found = [body.tensors[index].name.decode() for index in body.inputs]
    if found != inputs or len(body.outputs) != len(outputs):
        raise ConversionError(
            f"a LiteRT model must have the inputs and outputs of the network; the converter gave the inputs {found} and "
            f"{len(body.outputs)} outputs"
        )
    signature = schema.SignatureDefT()
    signature.signatureKey = _SIGNATURE
    signature.inputs = _name(schema, inputs, body.inputs)
    signature.outputs = _name(schema, outputs, body.outputs)
    model.signatureDefs = [signature]
    return pack_graph(model)


def unpack_graph(graph: bytes) -> Any:
    """Return a LiteRT graph as the objects of its schema, a ``ModelT`` that can be changed."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(graph, 0)


def pack_graph(model: Any) -> bytes:
    """Return the LiteRT graph of a ``ModelT``."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), _FILE_IDENTIFIER)
    return bytes(builder.Output())


def _name(schema: Any, names: Iterable[str], indices: Iterable[int]) -> list[Any]:
    named = []
    for name, index in zip(names, indices, strict=True):
        tensor = schema.TensorMapT()
        tensor.name, tensor.tensorIndex = name, int(index)
        named.append(tensor)
    return named
