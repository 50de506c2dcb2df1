"""Changes the facts stored in a model file or folder, and nothing else (no TensorFlow)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import attrs

from movinet_lite.atomic import new_directory
from movinet_lite.errors import ModelError
from movinet_lite.network.facts import NetworkFacts
from movinet_lite.network.files import change_network_spec, read_network_spec
from movinet_lite.network.litert_file import change_litert_info, read_litert_info
from movinet_lite.network.spec import read_facts, write_facts

__all__ = ["change_facts", "read_own_facts"]

_EXPORT: Final = "movinet-lite export FILE.tflite --model MODEL"


def read_own_facts(path: Path) -> NetworkFacts:
    """Return the facts stored in a model that this library wrote.

    Args:
        path: A ``.safetensors`` or ``.tflite`` file, or the folder of a SavedModel.

    Raises:
        ModelError: If this library did not write it, or it is damaged.
    """
    facts: NetworkFacts | None = None
    if path.is_dir():
        facts = read_facts(path)
    elif path.suffix == ".tflite":
        facts = read_litert_info(path)
    elif path.suffix == ".safetensors":
        facts = read_network_spec(path)
    if facts is None:
        if path.suffix == ".onnx":
            raise ModelError(
                "an .onnx file cannot keep more facts (change the model that it was made from, and export that again)",
                path,
            )
        which = "the model that it was made from" if path.suffix == ".tflite" else "it"
        raise ModelError(
            "only a model that this library wrote can keep more facts; this one comes from elsewhere "
            f"(export {which} first: {_EXPORT})",
            path,
        )
    return facts


def change_facts(path: Path, output: Path, **changes: Any) -> None:
    """Write the model at *path* to *output* with other facts.

    Args:
        path: A ``.safetensors`` or ``.tflite`` file, or the folder of a SavedModel, that this library wrote.
        output: Where to write it: a file or folder of the same kind, or *path* itself. One that is there is replaced,
            once the new one is whole.
        changes: The facts, by their names in `movinet_lite.network.facts.ModelFacts`.

    Raises:
        ModelError: If this library did not write the model, it is damaged, or the facts are invalid.
    """
    read_own_facts(path)
    if path.is_dir():
        _change_saved_model(path, output, changes)
    elif path.suffix == ".tflite":
        change_litert_info(path, output, **changes)
    else:
        change_network_spec(path, output, **changes)


def _change_saved_model(path: Path, output: Path, changes: dict[str, Any]) -> None:
    facts = read_facts(path)
    assert facts is not None  # noqa: S101 - the caller saw that they are there
    changed = attrs.evolve(facts, **changes)
    if output.resolve() == path.resolve():
        write_facts(changed, path)
        return
    with new_directory(output) as folder:
        shutil.copytree(path, folder, dirs_exist_ok=True)
        write_facts(changed, folder)
