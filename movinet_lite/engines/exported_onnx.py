"""Exports a model to ONNX, checks its logits, and caches the file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from movinet_lite.arrays import FrameSize
from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.engines.compiled import name_of_entry
from movinet_lite.engines.made_once import check_agrees, logits_of_source, make_missing
from movinet_lite.engines.onnx.opening import check_onnx, load_onnx
from movinet_lite.engines.onnx.runtime import Provider
from movinet_lite.engines.opening import open_to_compile
from movinet_lite.hub.cache import compiled_folder, read_note, write_note
from movinet_lite.network.agreement import largest_difference
from movinet_lite.network.spec import Functions, read_facts
from movinet_lite.network.variants import Mode

__all__ = ["load_as_onnx"]

_FILE: Final = "model.onnx"


def load_as_onnx(
    path: Path,
    mode: Mode,
    *,
    source: str,
    provider: Provider | None = None,
    threads: int | None = None,
    frame_size: FrameSize | None = None,
    functions: Functions | None = None,
    labels: tuple[str, ...] | None = None,
) -> ClipModel | StreamModel:
    """Return the model at *path* as an ONNX model, from the cache if it was exported before.

    Args:
        path: The folder of a SavedModel, a checkpoint, or the ``.safetensors`` file of a network.
        mode: As in `load_onnx`.
        source: As in `load_onnx`.
        provider: As in `load_onnx`.
        threads: As in `load_onnx`.
        frame_size: The ``(height, width)`` to export for; `None` for the model's own.
        functions: The activation and the gate of a checkpoint; `None` if not given.
        labels: As in `load_onnx`.

    Raises:
        ConversionError: If the exported model computes other logits than its source.
        MissingDependencyError: If ONNX, ONNX Runtime or, for the export, TensorFlow is not installed.
        ModelError: If it cannot be read, or does not have this *mode*.
    """
    said = functions or Functions()
    name = f"{name_of_entry(path, mode, frame_size, said)}-onnx"
    entry = compiled_folder() / name
    if read_note(entry) is None:
        check_onnx()  # before anything takes long
    make_missing(
        f"{name}-making",
        {_FILE: entry},
        what=f"{source} ({mode}) for ONNX Runtime",
        is_whole=lambda folder: read_note(folder) is not None,
        make=lambda folders, _: _export(
            path, mode, source, frame_size, said, folder=folders[_FILE]
        ),
    )
    if labels is None and path.is_dir() and (facts := read_facts(path)):
        labels = facts.labels  # which may have changed since
    return load_onnx(
        entry / _FILE,
        mode,
        provider=provider,
        threads=threads,
        source=source,
        labels=labels,
    )


def _export(
    path: Path,
    mode: Mode,
    source: str,
    frame_size: FrameSize | None,
    functions: Functions,
    *,
    folder: Path,
) -> None:
    """Write the file and a note to *folder*, and compare its logits with the source."""
    from movinet_lite.network.onnx_graph import export_onnx

    reference, network = open_to_compile(
        path, mode, source, frame_size=frame_size, functions=functions
    )
    export_onnx(network, folder / _FILE)
    exported = load_onnx(folder / _FILE, mode, source=source)
    size = network.spec.frame_size
    difference = largest_difference(
        logits_of_source(exported, size), logits_of_source(reference, size)
    )
    check_agrees(difference, source, "an exported")
    write_note(folder, source=source, mode=mode, difference=difference)
