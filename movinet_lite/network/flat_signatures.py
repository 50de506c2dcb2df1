"""Load the signatures of a SavedModel as flat graphs, for a few calls: to compare what a model computes.

``tf.saved_model.load`` builds every function anew in Python, and the first call of one makes TensorFlow copy and optimise it in
many passes: four to six seconds for A0. Here each signature becomes one graph, with the functions that it calls written out in
place and its variables as constants, and TensorFlow runs that as it stands, without optimising. That takes about one second.

It serves signatures that only read their variables, which is what every export of a stream model has. Where one does
anything else, `load_flat_signatures` returns `None`; so it does where a 3-D convolution in groups needs XLA, as in base models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from movinet_lite.errors import ModelError
from movinet_lite.network.sources import Variable, read_saved_model
from movinet_lite.network.tensorflow import tf

__all__ = ["FlatSignature", "FlatSignatures", "load_flat_signatures"]

_CALLS: Final = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_VARIABLE: Final = "the variable "  # in place of the name of a tensor


class _CannotBeFlatError(Exception):
    """The signature does more than to read variables and compute."""


@attrs.frozen(eq=False)
class FlatSignature:
    """A signature that can be called as ``tf.saved_model.load`` gives it: tensors by name in and out.

    Attributes:
        structured_input_signature: No positional inputs, and the spec of each input by name.
        structured_outputs: The spec of each output by name.
        variables: What it reads.
    """

    structured_input_signature: tuple[tuple[()], dict[str, Any]]
    structured_outputs: dict[str, Any]
    variables: tuple[Variable, ...]
    _run: Callable[[Mapping[str, Any]], dict[str, Any]]

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        """Return the outputs as tensors."""
        return self._run(inputs)


@attrs.frozen(eq=False)
class FlatSignatures:
    """What stands in for a SavedModel that TensorFlow has loaded.

    Attributes:
        signatures: Its signatures by name.
    """

    signatures: dict[str, FlatSignature]


def load_flat_signatures(path: str | Path) -> FlatSignatures | None:
    """Return the signatures of the SavedModel at *path*, or `None` if one cannot be written as a flat graph."""
    try:
        saved = read_saved_model(Path(path))
    except ModelError:  # what is wrong with it, whoever loads it whole says
        return None
    signatures = saved.meta_graph.signature_def
    children = saved.meta_graph.object_graph_def.nodes[0].children
    names = [
        name for name, one in signatures.items() if one.outputs and name[:2] != "__"
    ]
    if not {"call", "serving_default"} & set(names) or (
        "init_states" not in names
        and any(child.local_name == "init_states" for child in children)
    ):
        return None
    try:
        flat = {name: _flatten(saved, signatures[name]) for name in names}
    except (
        _CannotBeFlatError,
        ImportError,
        LookupError,
        ValueError,
        tf.errors.OpError,
    ):
        return None
    return FlatSignatures(flat)


def _flatten(saved: Any, signature: Any) -> FlatSignature:
    """Return one signature, ready to be called."""
    graph_def = saved.meta_graph.graph_def
    nodes = {node.name: node for node in graph_def.node}
    functions = {one.signature.name: one for one in graph_def.library.function}
    (call,) = {nodes[_node_of(one.name)].name for one in signature.outputs.values()}
    function = functions[nodes[call].attr["f"].func.name]
    objects = saved.meta_graph.object_graph_def
    bound = objects.concrete_functions[function.signature.name].bound_inputs
    if not all(number in saved.variables for number in bound):
        raise _CannotBeFlatError("it is bound to something else than variables")
    specs = {_node_of(one.name): one for one in signature.inputs.values()}
    flat = _FlatGraph(functions, saved.variables)
    flat.graph_def.versions.CopyFrom(graph_def.versions)
    # TensorFlow calls the inputs as the function does, which has no slashes in its names.
    inputs, fed = {}, {}
    given = list(nodes[call].input)
    for place, tensor in enumerate(given[: len(given) - len(bound)]):
        name = function.signature.input_arg[place].name
        inputs[name] = _spec(name, specs[_node_of(tensor)])
        fed[name] = flat.add_input(place, inputs[name].dtype)
    results = flat.expand(
        function.signature.name,
        "flat/",
        [*fed.values(), *(f"{_VARIABLE}{number}" for number in bound)],
    )
    outputs = {
        name: results[int(one.name.partition(":")[2] or 0)]
        for name, one in signature.outputs.items()
    }
    return FlatSignature(
        ((), inputs),
        {name: _spec(name, one) for name, one in signature.outputs.items()},
        tuple(saved.variables[number] for number in dict.fromkeys(bound)),
        _runner(flat.graph_def, fed, outputs),
    )


def _node_of(tensor: str) -> str:
    return tensor.partition(":")[0]


def _spec(name: str, info: Any) -> Any:
    return tf.TensorSpec(tf.TensorShape(info.tensor_shape), info.dtype, name)


def _runner(
    graph_def: Any, fed: Mapping[str, str], outputs: Mapping[str, str]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what runs a graph, as it stands."""
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = -1
    session = tf.compat.v1.Session(graph=graph, config=config)

    def run(inputs: Mapping[str, Any]) -> dict[str, Any]:
        if inputs.keys() != fed.keys():
            odd = sorted(inputs.keys() ^ fed.keys())
            raise ValueError(
                f"the inputs must be those of the signature; not {odd[0]!r}"
            )
        values = {f"{fed[name]}:0": np.asarray(value) for name, value in inputs.items()}
        results = session.run(dict(outputs), values)
        return {name: tf.constant(value) for name, value in results.items()}

    return run


class _FlatGraph:
    """A graph that functions are written into, in place of calls of them.

    Attributes:
        graph_def: The graph so far.
    """

    def __init__(
        self, functions: Mapping[str, Any], variables: Mapping[int, Variable]
    ) -> None:
        self.graph_def = tf.compat.v1.GraphDef()
        self._functions = functions
        self._variables = variables

    def add_input(self, number: int, dtype: Any) -> str:
        """Add an input and return what it is called."""
        node = self.graph_def.node.add()
        node.name, node.op = f"input_{number}", "Placeholder"
        node.attr["dtype"].type = dtype.as_datatype_enum
        return str(node.name)

    def expand(self, name: str, scope: str, inputs: Sequence[str]) -> list[str]:
        """Write the function called *name* into the graph and return the names of its results.

        Args:
            name: Of the function.
            scope: What the names of its nodes begin with.
            inputs: The tensors that it gets.
        """
        # No public module flattens the names of tensors inside a function ("node:output:0") to those of graphs ("node:0").
        from tensorflow.python.framework.function_def_to_graph import (
            function_def_to_graph_def,
        )

        function = type(self._functions[name])()
        function.CopyFrom(self._functions[name])
        called = {
            node.name: node.attr.pop("f").func.name
            for node in function.node_def
            if node.op in _CALLS
        }
        body, flat_names = function_def_to_graph_def(function)
        arguments = [argument.name for argument in function.signature.input_arg]
        known = dict(zip(arguments, inputs, strict=True))
        nodes = {node.name: node for node in body.node}
        results: dict[str, list[str]] = {}

        def resolve(tensor: str) -> str:
            node, _, place = tensor.partition(":")
            if node in known:
                return known[node]
            if node in called:
                if node not in results:
                    given = [resolve(one) for one in _without_order(nodes[node].input)]
                    results[node] = self.expand(called[node], f"{scope}{node}/", given)
                return results[node][int(place or 0)]
            return f"{scope}{tensor}"

        for node in body.node:
            if node.name not in known and node.name not in called:
                given = [resolve(one) for one in _without_order(node.input)]
                self._add(node, f"{scope}{node.name}", given)
        return [
            resolve(flat_names[function.ret[result.name]])
            for result in function.signature.output_arg
        ]

    def _add(self, node: Any, name: str, inputs: Sequence[str]) -> None:
        """Add a copy of *node* that gets *inputs*; the reading of a variable becomes its value."""
        added = self.graph_def.node.add()
        if node.op == "ReadVariableOp" and inputs[0].startswith(_VARIABLE):
            variable = self._variables[int(inputs[0].removeprefix(_VARIABLE))]
            added.name, added.op = name, "Const"
            added.attr["dtype"].type = node.attr["dtype"].type
            added.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(variable.read()))
            return
        if (
            any(one.startswith(_VARIABLE) for one in inputs)
            or any(
                value.WhichOneof("value") == "func" or value.list.func
                for value in node.attr.values()
            )
            or node.op.startswith("Conv3D")
        ):
            raise _CannotBeFlatError(f"{node.name} is a {node.op}")
        added.name, added.op = name, node.op
        added.input.extend(inputs)
        for key, value in node.attr.items():
            if not key.startswith("_"):  # hints that name other nodes, devices or XLA
                added.attr[key].CopyFrom(value)


def _without_order(inputs: Sequence[str]) -> list[str]:
    """Return *inputs* without those that say what to compute before: nothing here has effects that could come too early."""
    return [one for one in inputs if not one.startswith("^")]
