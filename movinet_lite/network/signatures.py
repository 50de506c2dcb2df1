"""Loads only the signatures of a SavedModel.

TensorFlow rebuilds every function of a SavedModel when it loads it. A model saved with Keras has hundreds of them, several
per layer, of which its signatures need few. This module removes the others before TensorFlow loads the model. The
signatures, their variables and `init_states` are not changed, with one exception. The Model Garden marks its exports for
compilation with XLA, which takes seconds on CPU for each input shape and then runs 2-D convolutions at half the speed, so
these marks are removed. Grouped 3-D convolutions, which base models have, run on CPU only with XLA; their marks are kept.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from movinet_lite.network.flat_signatures import load_flat_signatures
from movinet_lite.network.tensorflow import DecodeError, saved_model_pb2, tf

__all__ = ["load_for_few_calls", "load_signatures", "takes_whole_clips"]

_SAVED_MODEL: Final = "saved_model.pb"
_COMPILE_MARK: Final = "_XlaMustCompile"
_NOTHING: Final = "_generic_user_object"  # an empty object
_GRADIENT_MARK: Final = "_gradient_op_type"


def load_signatures(path: str | Path) -> Any:
    """Return the result of ``tf.saved_model.load``, with only the signatures and `init_states` callable.

    A SavedModel without a signature for frames (``call`` or ``serving_default``), or with an unexpected structure, is
    loaded completely.

    Args:
        path: The directory of a SavedModel.

    Raises:
        OSError, ValueError, tf.errors.OpError: If it cannot be read, as from ``tf.saved_model.load``.
    """
    path = Path(os.path.realpath(path))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _write_without_other_functions(path, Path(scratch))
            return tf.saved_model.load(scratch)
        except Exception:  # noqa: BLE001 - TensorFlow's own error about the whole model is the best one
            return tf.saved_model.load(str(path))


def load_for_few_calls(path: str | Path) -> Any:
    """Return the result of `load_signatures`, faster where possible; each call may then be slower."""
    flat = load_flat_signatures(path)
    return load_signatures(path) if flat is None else flat


def takes_whole_clips(path: Path) -> bool:
    """Return whether the only signature of the SavedModel at *path* accepts a clip and no states, without loading it.

    Returns false for a SavedModel that cannot be read; loading it raises the error.
    """
    try:
        content = (path / _SAVED_MODEL).read_bytes()
        graphs = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    except (OSError, DecodeError):
        return False
    signatures = graphs[0].signature_def if graphs else {}
    return (
        not signatures.keys() & {"call", "init_states"}
        and "serving_default" in signatures
        and len(signatures["serving_default"].inputs) == 1
    )


def _write_without_other_functions(path: Path, target: Path) -> None:
    """Write the SavedModel at *path* to *target* without the functions that no signature needs, and link its variables."""
    saved = saved_model_pb2.SavedModel.FromString((path / _SAVED_MODEL).read_bytes())
    objects = saved.meta_graphs[0].object_graph_def
    entries = _entry_functions(objects)
    functions = saved.meta_graphs[0].graph_def.library.function
    by_name = {function.signature.name: function for function in functions}
    needed = _reached(entries, by_name)
    need_xla = {name for name in needed if _has_3d_convolution(by_name[name])}
    for index in reversed(range(len(functions))):
        if functions[index].signature.name in needed:
            _remove_compile_marks(functions[index], need_xla)
            _remove_gradient_marks(functions[index])
        else:
            del functions[index]
    # Gradients are functions too, and some were removed; nothing is trained here.
    del saved.meta_graphs[0].graph_def.library.registered_gradients[:]
    for name in set(objects.concrete_functions) - entries:
        del objects.concrete_functions[name]
    for node in objects.nodes:
        _forget_functions(node, entries)
    (target / _SAVED_MODEL).write_bytes(saved.SerializeToString())
    for entry in path.iterdir():
        if entry.is_dir():  # variables, and assets if any
            (target / entry.name).symlink_to(entry, target_is_directory=True)


def _entry_functions(objects: Any) -> set[str]:
    """Return the names of the functions of the signatures and of `init_states`."""
    below = {child.local_name: child.node_id for child in objects.nodes[0].children}
    signatures = {
        child.local_name: objects.nodes[child.node_id].bare_concrete_function
        for child in objects.nodes[below["signatures"]].children
    }
    if not signatures.keys() & {"call", "serving_default"}:
        raise ValueError("no signature takes frames")
    entries = {function.concrete_function_name for function in signatures.values()}
    if "init_states" in below:
        node = objects.nodes[below["init_states"]]
        entries.update(node.function.concrete_functions)
    return entries


def _reached(entries: set[str], by_name: dict[str, Any]) -> set[str]:
    """Return *entries* and all functions that they call, directly or indirectly."""
    reached: set[str] = set()
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(_called(by_name[name], by_name))
    return reached


def _called(function: Any, by_name: dict[str, Any]) -> Iterator[str]:
    for node in function.node_def:
        for value in node.attr.values():
            names = (value.func.name, *(branch.name for branch in value.list.func))
            yield from (name for name in names if name in by_name)


def _has_3d_convolution(function: Any) -> bool:
    return any(node.op.startswith("Conv3D") for node in function.node_def)


def _remove_compile_marks(function: Any, need_xla: set[str]) -> None:
    """Remove the marks for XLA, except on functions that need it and on calls of these."""
    if function.signature.name not in need_xla:
        function.attr.pop(_COMPILE_MARK, None)
    for node in function.node_def:
        if not any(value.func.name in need_xla for value in node.attr.values()):
            node.attr.pop(_COMPILE_MARK, None)


def _remove_gradient_marks(function: Any) -> None:
    """Remove the names of removed gradients (swish has one), since TensorFlow warns about each."""
    for node in function.node_def:
        node.attr.pop(_GRADIENT_MARK, None)


def _forget_functions(node: Any, entries: set[str]) -> None:
    """Remove from a node of the object graph the functions that were removed."""
    kind = node.WhichOneof("kind")
    if kind == "function":
        kept = [name for name in node.function.concrete_functions if name in entries]
        del node.function.concrete_functions[:]
        node.function.concrete_functions.extend(kept)
    elif kind == "bare_concrete_function":
        name = node.bare_concrete_function.concrete_function_name
        if (
            name not in entries
        ):  # nodes are referred to by number, so the node must stay
            node.user_object.identifier = _NOTHING
    elif (
        kind == "captured_tensor"
        and node.captured_tensor.concrete_function not in entries
    ):
        # A constant inside a function. If it is needed after all, loading fails, and the whole model is loaded.
        node.user_object.identifier = _NOTHING
