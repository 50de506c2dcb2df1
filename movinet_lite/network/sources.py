"""Reads the variables of a SavedModel or TensorFlow checkpoint, with names and shapes.

Values come from the checkpoint, names and owners from the object graph; no function is loaded. This takes a second,
where loading the model takes ten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
from numpy.typing import NDArray

from movinet_lite.errors import ModelError, said_by
from movinet_lite.network.tensorflow import (
    DecodeError,
    saved_model_pb2,
    tf,
    trackable_object_graph_pb2,
)

__all__ = ["SavedModel", "Source", "Variable", "read_saved_model", "read_source"]

_OBJECT_GRAPH: Final = "_CHECKPOINTABLE_OBJECT_GRAPH"
_INDEX_SUFFIX: Final = ".index"


@attrs.frozen(eq=False)
class Variable:
    """One variable of a source.

    Attributes:
        name: Its name in the model, without ``:0``; need not be unique.
        key: The key of its value in the checkpoint; unique.
        shape: Its shape.
        read: Reads its value.
        names_around: Yields, for each direct or indirect owner of the variable, the names of all variables that this
            object owns. They distinguish variables with the same name.
    """

    name: str
    key: str
    shape: tuple[int, ...]
    read: Callable[[], NDArray[Any]] = attrs.field(repr=False)
    names_around: Callable[[], Iterator[Iterator[str]]] = attrs.field(repr=False)


@attrs.frozen(eq=False)
class Source:
    """The variables of a SavedModel or a checkpoint, except those of an optimizer.

    Attributes:
        path: Its path.
        is_saved_model: Whether it is a SavedModel, which can also be run.
        variables: Its variables.
    """

    path: Path
    is_saved_model: bool
    variables: tuple[Variable, ...]


@attrs.frozen(eq=False)
class SavedModel:
    """The content of the files of a SavedModel.

    Attributes:
        meta_graph: Its functions, signatures and objects, as a protocol buffer.
        variables: Its variables by node number in the object graph.
    """

    meta_graph: Any
    variables: dict[int, Variable]


class _Graph:
    """An object graph: which object owns which."""

    def __init__(self, nodes: Any, names: Mapping[int, str]) -> None:
        """Read the nodes of an object graph; *names* are those of its variables."""
        self.names = names
        self._children = [[child.node_id for child in node.children] for node in nodes]
        self._parents: list[list[int]] = [[] for _ in self._children]
        for index, below in enumerate(self._children):
            for child in below:
                self._parents[child].append(index)

    def names_around(self, start: int) -> Iterator[Iterator[str]]:
        """Yield, for each object above *start*, the names of the variables below it."""
        for node in self._walk(start, self._parents):
            if node != start:
                yield self._names_below(node)

    def below(self, start: int, *, without: frozenset[int]) -> set[int]:
        """Return *start* and all that it owns directly or indirectly, except through the objects in *without*."""
        return set(self._walk(start, self._children, without))

    def _names_below(self, start: int) -> Iterator[str]:
        for node in self._walk(start, self._children):
            if node in self.names:
                yield self.names[node]

    @staticmethod
    def _walk(
        start: int, links: list[list[int]], without: frozenset[int] = frozenset()
    ) -> Iterator[int]:
        seen = {start}
        waiting = deque([start])
        while waiting:
            node = waiting.popleft()
            yield node
            for other in links[node]:
                if other not in seen and other not in without:
                    seen.add(other)
                    waiting.append(other)


def read_source(path: str | Path) -> Source:
    """Return the variables of the SavedModel or the checkpoint at *path*.

    Args:
        path: The directory of a SavedModel; or an object-based checkpoint: its prefix (``ckpt-1``), its ``.index``
            file, or the directory of checkpoints, whose latest one is read.

    Raises:
        ModelError: If there is neither, or it cannot be read.
    """
    path = Path(path)
    if (path / "saved_model.pb").is_file():
        variables = read_saved_model(path).variables
        return Source(path, True, _once(variables))  # noqa: FBT003 - is_saved_model
    prefix = _find_checkpoint(path)
    reader, nodes = _open_checkpoint(path, prefix)
    names = {
        index: attribute.full_name
        for index, node in enumerate(nodes)
        for attribute in node.attributes
        if attribute.name == "VARIABLE_VALUE"
    }
    graph = _Graph(nodes, names)
    # A training checkpoint also owns the optimizer, whose variables have the names of the weights.
    optimizer = frozenset(
        child.node_id for child in nodes[0].children if child.local_name == "optimizer"
    ) | frozenset(
        slot.slot_variable_node_id for node in nodes for slot in node.slot_variables
    )
    wanted = graph.below(0, without=optimizer)
    keys = {index: key for index, key in _keys(nodes).items() if index in wanted}
    variables = _variables(path, graph, keys, reader)
    return Source(path, False, _once(variables))  # noqa: FBT003 - is_saved_model


def _once(variables: Mapping[int, Variable]) -> tuple[Variable, ...]:
    """Return each variable once; several objects may refer to its value."""
    return tuple({variable.key: variable for variable in variables.values()}.values())


def read_saved_model(path: Path) -> SavedModel:
    """Return the content of the SavedModel at *path*, without loading it.

    Raises:
        ModelError: If they cannot be read, or a variable has no value.
    """
    try:
        content = (path / "saved_model.pb").read_bytes()
        meta_graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
    except OSError as error:
        raise ModelError(
            f"saved_model.pb must be a file that can be read; {error}", path
        ) from error
    except (DecodeError, IndexError) as error:
        raise ModelError(
            "saved_model.pb must be a SavedModel; it cannot be read (damaged, or cut short?)",
            path,
        ) from error
    nodes = meta_graph.object_graph_def.nodes
    if not nodes:
        raise ModelError(
            "a SavedModel must be of TensorFlow 2, with an object graph; this one has none",
            path,
        )
    reader, stored = _open_checkpoint(path, path / "variables" / "variables")
    names = {
        index: node.variable.name
        for index, node in enumerate(nodes)
        if node.WhichOneof("kind") == "variable"
    }
    graph = _Graph(nodes, names)
    keys = _match_nodes(nodes, stored)
    for index, name in names.items():
        if index not in keys:
            raise ModelError(
                f"every variable of a SavedModel must have a value; {name!r} has none "
                "(variables of another model?)",
                path,
            )
    wanted = {index: key for index, key in keys.items() if index in names}
    return SavedModel(meta_graph, _variables(path, graph, wanted, reader))


def _find_checkpoint(path: Path) -> Path:
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


def _open_checkpoint(path: Path, prefix: Path) -> tuple[Any, Any]:
    """Return a reader and the nodes of the object graph of the checkpoint with this prefix."""
    with _reading(path):
        reader = tf.train.load_checkpoint(str(prefix))
    graph = _read_tensor(path, reader, _OBJECT_GRAPH)
    with _reading(path):
        nodes = trackable_object_graph_pb2.TrackableObjectGraph.FromString(graph).nodes
    return reader, nodes


def _read_tensor(path: Path, reader: Any, key: str) -> Any:
    with _reading(path):
        return reader.get_tensor(key)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise `ModelError` for whatever TensorFlow raises about an unreadable checkpoint."""
    try:
        yield
    except (
        tf.errors.OpError,
        RuntimeError,
        ValueError,
        IndexError,
        DecodeError,
    ) as error:
        raise ModelError(
            "the variables must be an object-based TensorFlow checkpoint; they cannot be read as one "
            f"(damaged, cut short, or written without tf.train.Checkpoint?): {said_by(error)}",
            path,
        ) from error


def _keys(nodes: Any) -> dict[int, str]:
    """Return the checkpoint's key of each node that is a variable."""
    return {
        index: attribute.checkpoint_key
        for index, node in enumerate(nodes)
        for attribute in node.attributes
        if attribute.name == "VARIABLE_VALUE"
    }


def _match_nodes(nodes: Any, stored: Any) -> dict[int, str]:
    """Return the checkpoint's key of each node of a SavedModel, walking both object graphs by the children's names."""
    keys = _keys(stored)
    partner = {0: 0}
    waiting = deque([0])
    while waiting:
        index = waiting.popleft()
        theirs = {
            child.local_name: child.node_id for child in stored[partner[index]].children
        }
        for child in nodes[index].children:
            if child.node_id not in partner and child.local_name in theirs:
                partner[child.node_id] = theirs[child.local_name]
                waiting.append(child.node_id)
    return {index: keys[other] for index, other in partner.items() if other in keys}


def _variables(
    path: Path, graph: _Graph, keys: Mapping[int, str], reader: Any
) -> dict[int, Variable]:
    shapes = reader.get_variable_to_shape_map()
    found = {}
    for index, key in keys.items():
        if key not in shapes:
            raise ModelError(
                f"every variable must have a value; the checkpoint has none called {key!r}",
                path,
            )
        found[index] = Variable(
            name=graph.names[index].removesuffix(":0"),
            key=key,
            shape=tuple(shapes[key]),
            read=partial(_read_tensor, path, reader, key),
            names_around=partial(graph.names_around, index),
        )
    if not found:
        raise ModelError("weights must hold variables; there are none", path)
    return found
