"""From a SavedModel to LiteRT graphs that were seen to give the same logits, made once and kept in the cache.

An entry of the cache is a folder with one graph a number of frames a call. Its name holds a checksum of the model, so
that a changed model gets an entry of its own, and its note holds the checksums of the graphs, so that a damaged one is
made anew. Loading from the cache imports no TensorFlow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.cache import (
    compiled_folder,
    locked,
    new_folder,
    read_note,
    write_note,
)
from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.engines.litert import LiteRTStreamModel, load_graphs
from movinet_lite.engines.litert_clips import LiteRTClipModel
from movinet_lite.engines.native import quiet_start
from movinet_lite.errors import ConversionError, MoViNetError
from movinet_lite.variants import Mode

__all__ = ["FRAMES_PER_CALL", "TOLERANCE", "load_compiled"]

FRAMES_PER_CALL: Final = (1, 8)
"""For how many frames a call a stream model is compiled: one for `step`, eight for `run`."""

TOLERANCE: Final = 1e-4
"""How far the logits of a compiled model may be from its source's, over the largest of the source."""

_FORMAT: Final = 1  # raise it when what is compiled changes, so that old entries are made anew
_CHECKED_FRAMES: Final = 10  # a call of eight, and two of one


def load_compiled(
    path: Path,
    mode: Mode,
    *,
    source: str,
    threads: int | None = None,
    frame_size: FrameSize | None = None,
    labels: tuple[str, ...] | None = None,
) -> LiteRTClipModel | LiteRTStreamModel:
    """Return the SavedModel at *path* as a compiled model, from the cache if it was compiled before.

    Args:
        path: The folder of the SavedModel.
        mode: What the model has to be.
        source: What to call the model in `ModelInfo` and messages.
        threads: How many threads to compute with; `None` for one a core.
        frame_size: The ``(height, width)`` to compile for; `None` for what the model was trained on.
        labels: The names of the classes, where they are known.

    Raises:
        ConversionError: If it does not compile, or the compiled model gives other logits.
        ModelError: If it cannot be read, or is not of this *mode*.
    """
    entry = compiled_folder() / _entry_name(path, mode, frame_size, labels)
    graphs = _kept_graphs(entry)
    if graphs is None:
        with locked(entry):
            graphs = _kept_graphs(entry)
            if graphs is None:
                with new_folder(entry) as folder:
                    _compile(path, folder, mode, source, frame_size, labels)
                graphs = _kept_graphs(entry)
    if graphs is None:
        raise ConversionError(
            f"{source}: the compiled model must be readable where it was written; {entry} is not"
        )
    if mode == "base":
        (graph,) = graphs.values()
        return LiteRTClipModel(graph, threads=threads, source=source)
    return load_graphs(graphs, threads=threads, source=source)


def _entry_name(
    path: Path, mode: Mode, frame_size: FrameSize | None, labels: tuple[str, ...] | None
) -> str:
    digest = hashlib.sha256(repr((_FORMAT, mode, frame_size, labels)).encode())
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.suffix != ".json":
            digest.update(str(file.relative_to(path)).encode())
            digest.update(_checksum(file).encode())
    return f"{path.name[:40]}-{mode}-{digest.hexdigest()[:16]}"


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept_graphs(entry: Path) -> dict[int, Path] | None:
    """Return the graphs of an entry by frames a call; `None` if it is missing or damaged."""
    note = read_note(entry)
    if note is None or note.get("format") != _FORMAT:
        return None
    checksums = note.get("graphs")
    if not isinstance(checksums, dict) or not checksums:
        return None
    graphs = {}
    for name, expected in checksums.items():
        path = entry / str(name)
        if not path.is_file() or _checksum(path) != expected:
            return None
        graphs[int(path.stem.removeprefix("frames_"))] = path
    return graphs


def _compile(
    path: Path,
    folder: Path,
    mode: Mode,
    source: str,
    frame_size: FrameSize | None,
    labels: tuple[str, ...] | None,
) -> None:
    """Write the graphs of a SavedModel and their note into *folder*."""
    with quiet_start():
        from movinet_lite.engines.tensorflow import load_saved_model
        from movinet_lite.network.export import export_litert
        from movinet_lite.network.weights import import_weights

        reference = load_saved_model(path, mode, source=source, labels=labels)
        network = import_weights(
            path,
            mode=mode,
            labels=labels,
            frame_size=frame_size,
            loaded=reference.module,
            name=source,
        ).network
        graphs = {}
        # The graph of a base model takes clips of any length, whatever length it is written for.
        clip_frames = network.variant.clip_frames
        for num_frames in FRAMES_PER_CALL if mode == "stream" else (clip_frames,):
            graphs[num_frames] = folder / f"frames_{num_frames}.tflite"
            export_litert(network, graphs[num_frames], num_frames=num_frames)
    difference = _difference(graphs, reference, network.spec.frame_size, source)
    if not difference <= TOLERANCE:  # also false for NaN
        raise ConversionError(
            f"{source}: a compiled model must give the logits of its source to {TOLERANCE:g} of the largest; "
            f"this one differs by {difference:.1e}"
        )
    write_note(
        folder,
        format=_FORMAT,
        source=source,
        mode=mode,
        frame_size=network.spec.frame_size,
        difference=float(difference),
        graphs={graph.name: _checksum(graph) for graph in graphs.values()},
    )


def _difference(
    graphs: Mapping[int, Path],
    reference: ClipModel | StreamModel,
    frame_size: FrameSize,
    source: str,
) -> float:
    """Return the largest difference between the logits of the graphs and of their source, over the largest of these."""
    frames = _check_frames(frame_size)
    if isinstance(reference, ClipModel):
        (graph,) = graphs.values()
        compiled = LiteRTClipModel(graph, source=source)
        expected = reference.predict(frames[np.newaxis])
        actual = compiled.predict(frames[np.newaxis])
    else:
        stream = load_graphs(graphs, source=source)
        expected, _ = reference.step(frames, reference.init_states(frame_size))
        actual, _ = stream.step(frames, stream.init_states(frame_size))
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def _check_frames(frame_size: FrameSize) -> NDArray[np.float32]:
    """Return frames that differ in every place: a gradient that moves, and noise from a fixed seed."""
    height, width = frame_size
    rng = np.random.default_rng(0)
    shape = (_CHECKED_FRAMES, height, width, 3)
    places = np.linspace(0, 1, height * width).reshape(1, height, width, 1)
    moving = np.linspace(0, 1, _CHECKED_FRAMES).reshape(-1, 1, 1, 1)
    noise = rng.uniform(0, 0.5, shape)
    return (0.5 * np.abs(np.sin(6 * (places + moving))) + noise).astype(np.float32)
