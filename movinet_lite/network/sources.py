"""What stands in a SavedModel or a TensorFlow checkpoint: its variables, with their names and places.

Neither is loaded as a program: the variables are read from the checkpoint, their names and the objects that own them
from the object graph. That takes a fraction of a second where loading the graph takes ten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import ModelError

__all__ = ["Source", "Variable", "read_source"]

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_INDEX_SUFFIX = ".index"


@attrs.frozen(eq=False)
class Variable:
    """One variable of a source.

    Attributes:
        name: As its model called it, without ``:0``. Names need not be unique.
        key: Where its value stands in the checkpoint, which is unique.
        shape: Its shape.
        neighbours: Names of the variables that the nearest objects around it own, the nearest object first: what
            tells variables of one name apart.
    """

    name: str
    key: str
    shape: tuple[int, ...]
    neighbours: Callable[[], list[frozenset[str]]] = attrs.field(repr=False)


@attrs.frozen(eq=False)
class Source:
    """The variables of a SavedModel or a checkpoint.

    Attributes:
        path: Where it stands.
        is_saved_model: Whether it is a SavedModel, which can also be run.
        variables: All of them.
        read: From a variable to its value.
    """

    path: Path
    is_saved_model: bool
    variables: tuple[Variable, ...]
    read: Callable[[Variable], NDArray[Any]] = attrs.field(repr=False)


def read_source(path: str | Path) -> Source:
    """Return the variables of the SavedModel or the checkpoint at *path*.

    Args:
        path: The directory of a SavedModel; or a checkpoint: its prefix (``ckpt-1``), its ``.index`` file, or the
            directory of checkpoints, of which the latest is taken.

    Raises:
        ModelError: If there is neither, or it cannot be read.
    """
    path = Path(path)
    if (path / "saved_model.pb").is_file():
        return _read_saved_model(path)
    prefix = _find_checkpoint(path)
    reader, graph = _open_checkpoint(path, prefix)
    if graph is None:
        raise ModelError(
            "a checkpoint must be object-based (written by tf.train.Checkpoint), so that its variables can be told "
            "apart; this one has no object graph",
            path,
        )
    names = {
        index: attribute.full_name
        for index, node in enumerate(graph.nodes)
        for attribute in node.attributes
        if attribute.name == "VARIABLE_VALUE"
    }
    keys = _checkpoint_keys(graph)
    children = [[child.node_id for child in node.children] for node in graph.nodes]
    return _as_source(path, False, names, keys, children, reader)


def _read_saved_model(path: Path) -> Source:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        saved = saved_model_pb2.SavedModel.FromString(
            (path / "saved_model.pb").read_bytes()
        )
        nodes = saved.meta_graphs[0].object_graph_def.nodes
    except (DecodeError, IndexError) as error:
        raise ModelError(
            "saved_model.pb must be a SavedModel of TensorFlow 2; it cannot be read (damaged, or cut short?)",
            path,
        ) from error
    if not nodes:
        raise ModelError(
            "a SavedModel must have an object graph; this one has none (written by TensorFlow 1?)",
            path,
        )
    reader, graph = _open_checkpoint(path, path / "variables" / "variables")
    if graph is None:
        raise ModelError(
            "the variables of a SavedModel must have an object graph", path
        )
    names = {
        index: node.variable.name
        for index, node in enumerate(nodes)
        if node.WhichOneof("kind") == "variable"
    }
    children = [[child.node_id for child in node.children] for node in nodes]
    keys = _match_nodes(nodes, graph)
    return _as_source(path, True, names, keys, children, reader)


def _find_checkpoint(path: Path) -> Path:
    import tensorflow as tf

    if path.is_dir():
        latest = tf.train.latest_checkpoint(str(path))
        if latest is not None:
            return Path(latest)
    elif path.name.endswith(_INDEX_SUFFIX) and path.is_file():
        return path.with_name(path.name.removesuffix(_INDEX_SUFFIX))
    elif path.with_name(path.name + _INDEX_SUFFIX).is_file():
        return path
    raise ModelError(
        "weights must be a directory with a saved_model.pb, or a TensorFlow checkpoint; there is neither",
        path,
    )


def _open_checkpoint(path: Path, prefix: Path) -> tuple[Any, Any | None]:
    """Return a reader and the object graph of the checkpoint with this prefix."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        if not reader.has_tensor(_OBJECT_GRAPH):
            return reader, None
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
            reader.get_tensor(_OBJECT_GRAPH)
        )
    except (tf.errors.OpError, RuntimeError, ValueError, DecodeError) as error:
        raise ModelError(
            f"the variables must be a TensorFlow checkpoint; {prefix.name!r} cannot be read "
            f"(damaged, or cut short?): {error}",
            path,
        ) from error
    return reader, graph


def _checkpoint_keys(graph: Any) -> dict[int, str]:
    return {
        index: attribute.checkpoint_key
        for index, node in enumerate(graph.nodes)
        for attribute in node.attributes
        if attribute.name == "VARIABLE_VALUE"
    }


def _match_nodes(nodes: Any, graph: Any) -> dict[int, str]:
    """Return the checkpoint key of each node of a SavedModel, walking both object graphs by the children's names."""
    keys = _checkpoint_keys(graph)
    partner = {0: 0}
    waiting = deque([0])
    while waiting:
        index = waiting.popleft()
        theirs = {
            child.local_name: child.node_id
            for child in graph.nodes[partner[index]].children
        }
        for child in nodes[index].children:
            if child.node_id not in partner and child.local_name in theirs:
                partner[child.node_id] = theirs[child.local_name]
                waiting.append(child.node_id)
    return {index: keys[other] for index, other in partner.items() if other in keys}


def _as_source(
    path: Path,
    is_saved_model: bool,  # noqa: FBT001 - private
    names: Mapping[int, str],
    keys: Mapping[int, str],
    children: list[list[int]],
    reader: Any,
) -> Source:
    parents: list[list[int]] = [[] for _ in children]
    for index, below in enumerate(children):
        for child in below:
            parents[child].append(index)
    shapes = reader.get_variable_to_shape_map()
    variables: dict[str, Variable] = {}
    for index, name in names.items():
        if index not in keys or keys[index] not in shapes:
            raise ModelError(
                f"every variable must have a value; {name!r} has none (a file of the model is missing?)",
                path,
            )

        def neighbours(start: int = index) -> list[frozenset[str]]:
            return _names_around(start, names, children, parents)

        key = keys[index]
        variables[key] = Variable(
            name.removesuffix(":0"), key, tuple(shapes[key]), neighbours
        )
    if not variables:
        raise ModelError("weights must hold variables; there are none", path)

    def read(variable: Variable) -> NDArray[Any]:
        return np.asarray(reader.get_tensor(variable.key))

    return Source(path, is_saved_model, tuple(variables.values()), read)


def _names_around(
    start: int,
    names: Mapping[int, str],
    children: list[list[int]],
    parents: list[list[int]],
) -> list[frozenset[str]]:
    """Return the names of the variables below each object above *start*, the nearest objects first."""
    found = []
    seen = {start}
    level = [start]
    while level:
        level = [parent for parent in _unique(parents, level) if parent not in seen]
        seen.update(level)
        found.extend(_names_below(node, names, children) for node in level)
    return found


def _unique(links: list[list[int]], nodes: list[int]) -> list[int]:
    return list(dict.fromkeys(other for node in nodes for other in links[node]))


def _names_below(
    node: int, names: Mapping[int, str], children: list[list[int]]
) -> frozenset[str]:
    seen = {node}
    waiting = [node]
    while waiting:
        for child in children[waiting.pop()]:
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return frozenset(names[index] for index in seen if index in names)
