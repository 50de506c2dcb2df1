"""Loads only the signatures of a SavedModel.

TensorFlow builds every function of a SavedModel anew when it loads one. A model saved with Keras has hundreds, several for
each layer, and its signatures need a few of them. Here the others are left out of what TensorFlow gets to see; the signatures,
their variables and `init_states` stay as they are, but for one mark: the Model Garden exports them to be compiled with
XLA, which on a CPU takes seconds for each shape of the inputs and then runs 2-D convolutions at half the speed. A 3-D
convolution in groups, as base models have, runs on a CPU with XLA alone; Keras marks each one, and these marks stay.
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
_NOTHING: Final = "_generic_user_object"  # an object without anything in it
_GRADIENT_MARK: Final = "_gradient_op_type"


def load_signatures(path: str | Path) -> Any:
    """Return what ``tf.saved_model.load`` gives, of which only the signatures and `init_states` can be called.

    A SavedModel with no signature that takes frames (``call`` or ``serving_default``), and one that is built otherwise
    than expected, is loaded whole.

    Args:
        path: The folder of a SavedModel.

    Raises:
        OSError, ValueError, tf.errors.OpError: As ``tf.saved_model.load`` does, if it cannot be read.
    """
    path = Path(os.path.realpath(path))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _write_without_other_functions(path, Path(scratch))
            return tf.saved_model.load(scratch)
        except Exception:  # noqa: BLE001 - whatever is the matter, TensorFlow says it best, of the whole model
            return tf.saved_model.load(str(path))


def load_for_few_calls(path: str | Path) -> Any:
    """Return the same as `load_signatures`, sooner where that is possible; each call may take longer."""
    flat = load_flat_signatures(path)
    return load_signatures(path) if flat is None else flat


def takes_whole_clips(path: Path) -> bool:
    """Return whether the one signature of the SavedModel at *path* takes a clip and no states, without loading it.

    Of one that cannot be read, it returns false: what is the matter with it, loading it tells.
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
    """Write the SavedModel at *path* to *target*, without functions that no signature needs; its variables are linked."""
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
    # Gradients are functions too, some of them gone now; nothing is trained here.
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
    """Return the names of the functions behind the signatures and `init_states`."""
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
    """Return *entries* and all functions that they call, directly or through others."""
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
    """Remove what asks for XLA, but for functions that need it and calls of them."""
    if function.signature.name not in need_xla:
        function.attr.pop(_COMPILE_MARK, None)
    for node in function.node_def:
        if not any(value.func.name in need_xla for value in node.attr.values()):
            node.attr.pop(_COMPILE_MARK, None)


def _remove_gradient_marks(function: Any) -> None:
    """Remove the names of gradients that are gone: TensorFlow warns of each, swish has one, and nothing is trained here."""
    for node in function.node_def:
        node.attr.pop(_GRADIENT_MARK, None)


def _forget_functions(node: Any, entries: set[str]) -> None:
    """Leave a node of the object graph only the functions that stay."""
    kind = node.WhichOneof("kind")
    if kind == "function":
        kept = [name for name in node.function.concrete_functions if name in entries]
        del node.function.concrete_functions[:]
        node.function.concrete_functions.extend(kept)
    elif kind == "bare_concrete_function":
        name = node.bare_concrete_function.concrete_function_name
        if name not in entries:  # nodes are known by their numbers: one must stay here
            node.user_object.identifier = _NOTHING
    elif (
        kind == "captured_tensor"
        and node.captured_tensor.concrete_function not in entries
    ):
        # A constant inside a function; one that is needed after all makes the load fail, and the model is loaded whole.
        node.user_object.identifier = _NOTHING
