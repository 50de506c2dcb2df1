"""Compiles a SavedModel or network to LiteRT graphs, checks their logits, and caches them.

An entry of the cache is a folder with one graph: for one frame per call, for several frames, or for several streams.
Its name contains a checksum of the model, so that a changed model gets new entries; labels are not included, since they
do not affect the computation. Only damaged graphs are compiled again. Loading from the cache does not import
TensorFlow.
"""

from __future__ import annotations

import functools
import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.engines.litert.clips import LiteRTClipModel
from movinet_lite.engines.litert.opening import load_graphs
from movinet_lite.engines.litert.step_graphs import ONE_FRAME, Call
from movinet_lite.engines.litert.streams import LiteRTStreamModel
from movinet_lite.engines.made_once import (
    check_agrees,
    difference_of_clips,
    difference_of_streams,
    is_close,
    logits_of_source,
    make_missing,
)
from movinet_lite.engines.opening import is_checkpoint, open_to_compile
from movinet_lite.errors import ModelError
from movinet_lite.hub.cache import compiled_folder, read_note, write_note
from movinet_lite.network.litert_file import read_litert_info
from movinet_lite.network.pytorch.recognition import repeat_warning
from movinet_lite.network.spec import Functions, assumption_of, read_facts
from movinet_lite.network.variants import Mode, Variant

__all__ = ["load_compiled", "name_of_entry", "repeat_assumption"]

# For `run`: more frames per call share the weights, fewer stay in the CPU's caches; see docs/performance.
_FRAMES_OF_LONG_CALL: Final = {"t0": 16, "a0": 16}
_FRAMES_OF_LONG_CALL_OF_LARGER: Final = 8
# Increase it when the compiled graphs change, so that old entries are compiled again.
_FORMAT: Final = 4
_GRAPH: Final = "graph.tflite"


def load_compiled(
    path: Path,
    mode: Mode,
    *,
    source: str,
    threads: int | None = None,
    frame_size: FrameSize | None = None,
    streams: int = 1,
    labels: tuple[str, ...] | None = None,
    functions: Functions | None = None,
) -> LiteRTClipModel | LiteRTStreamModel:
    """Return the compiled model of *path*, from the cache if it was compiled before.

    Args:
        path: The folder of a SavedModel, or the ``.safetensors`` file of a network.
        mode: The expected mode of the model.
        source: The name of the model in `ModelInfo` and messages.
        threads: Number of threads; `None` for one per core.
        frame_size: The ``(height, width)`` to compile for; `None` for the model's own.
        streams: Number of streams per call to compile for; 1 for none.
        labels: The labels; `None` for the model's own, if it has any.
        functions: The activation and the gate of a checkpoint; `None` if not given.

    Raises:
        ConversionError: If it cannot be compiled, or the compiled model computes other logits.
        LabelsError: If the number of labels is not the number of classes.
        ModelError: If it cannot be read, or does not have this *mode*.
    """
    job = _Job(path, mode, source, frame_size, streams, functions or Functions())
    name = job.name()
    entries = {kind: compiled_folder() / f"{name}-{kind}" for kind in job.kinds()}
    made = make_missing(
        name,
        entries,
        what=f"{source} ({mode}) for this machine",
        is_whole=_is_whole,
        make=functools.partial(_compile, job),
    )
    if not made:
        repeat_assumption(next(iter(entries.values())), path, source, job.functions)
    if labels is None and path.is_dir() and (facts := read_facts(path)):
        labels = facts.labels
    graphs = [entry / _GRAPH for entry in entries.values()]
    return _load(graphs, mode, threads, source, labels)


@attrs.frozen
class _Job:
    """The model to compile, and for which calls; see `load_compiled`."""

    path: Path
    mode: Mode
    source: str
    frame_size: FrameSize | None
    streams: int
    functions: Functions

    def name(self) -> str:
        """Return the start of the names of its cache entries."""
        return name_of_entry(self.path, self.mode, self.frame_size, self.functions)

    def kinds(self) -> list[str]:
        """Return the kinds of graphs it needs; a kind is the end of the name of an entry."""
        if self.mode == "base":
            return ["clip"]
        kinds = ["frame", "frames"]
        return kinds if self.streams == 1 else [*kinds, f"streams_{self.streams}"]

    def call(self, kind: str, variant: Variant) -> Call:
        """Return the call that the graph of a *kind* is for."""
        if kind == "clip":
            # The graph of a base model accepts clips of any length, whatever length it is written for.
            return Call(1, variant.clip_frames)
        if kind == "frame":
            return ONE_FRAME
        if kind == "frames":
            larger = _FRAMES_OF_LONG_CALL_OF_LARGER
            return Call(1, _FRAMES_OF_LONG_CALL.get(variant.name, larger))
        return Call(self.streams, 1)


def name_of_entry(
    path: Path, mode: Mode, frame_size: FrameSize | None, functions: Functions
) -> str:
    """Return the start of the names of a model's cache entries: two models that compute different logits differ in it."""
    digest = hashlib.sha256(repr((_FORMAT, mode, frame_size)).encode())
    if functions != Functions():
        digest.update(repr(functions).encode())
    if path.is_file():
        name = path.stem
        digest.update(_checksum(path).encode())
    else:
        name = path.name
        if facts := read_facts(path):
            digest.update(repr(attrs.evolve(facts, labels=None)).encode())
        for file in sorted(path.rglob("*")):
            if file.is_file() and _counts(file.relative_to(path)):
                digest.update(str(file.relative_to(path)).encode())
                digest.update(_checksum(file).encode())
    name = name[:40].strip(".")  # a name that starts with a dot is not an entry
    return f"{name}-{mode}-{digest.hexdigest()[:16]}"


def _counts(file: Path) -> bool:
    """Return whether a file of a SavedModel affects its logits; notes and labels do not."""
    return file.suffix != ".json" and file != Path("labels.txt")


def _load(
    graphs: Sequence[Path],
    mode: Mode,
    threads: int | None,
    source: str,
    labels: tuple[str, ...] | None,
) -> LiteRTClipModel | LiteRTStreamModel:
    if mode == "base":
        (graph,) = graphs
        return LiteRTClipModel(graph, threads=threads, source=source, labels=labels)
    return load_graphs(graphs, threads=threads, source=source, labels=labels)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def repeat_assumption(
    entry: Path, path: Path, source: str, functions: Functions
) -> None:
    """Repeat the warnings from when *entry* was made from the model at *path*, such as what was assumed of a checkpoint."""
    note = read_note(entry) or {}
    if is_checkpoint(path) and None in attrs.astuple(functions):
        message = assumption_of(
            source, str(note.get("activation")), str(note.get("gate"))
        )
        warnings.warn(message, UserWarning, stacklevel=4)
    repeat_warning(path, source, stacklevel=4)


def _is_whole(entry: Path) -> bool:
    if read_note(entry) is None:
        return False
    try:
        return read_litert_info(entry / _GRAPH) is not None
    except ModelError:
        return False


def _compile(job: _Job, folders: Mapping[str, Path], missing: Sequence[str]) -> None:
    """Write the *missing* graphs and their notes to their *folders*, after checking that all agree with the source."""
    from movinet_lite.network.export import export_litert

    reference, network = open_to_compile(
        job.path,
        job.mode,
        job.source,
        frame_size=job.frame_size,
        functions=job.functions,
    )
    expected = logits_of_source(reference, network.spec.frame_size)
    # A compact graph, which is smaller and faster, can be too far from its source in untrained models.
    difference = math.inf
    for compact in (True, False) if job.mode == "stream" else (False,):
        for kind in missing:
            call = job.call(kind, network.variant)
            export_litert(
                network,
                folders[kind] / _GRAPH,
                num_frames=call.frames,
                batch=call.streams,
                compact=compact and call == ONE_FRAME,
                joins_sums=job.mode == "stream",
            )
        graphs = [folder / _GRAPH for folder in folders.values()]
        compiled = _load(graphs, job.mode, None, job.source, None)
        difference = _difference(
            compiled, expected, job.streams, network.spec.frame_size
        )
        if is_close(difference):
            break
    check_agrees(difference, job.source, "a compiled")
    for kind in missing:
        write_note(
            folders[kind],
            source=job.source,
            mode=job.mode,
            frame_size=network.spec.frame_size,
            difference=difference,
            activation=network.spec.activation,
            gate=network.spec.gate,
        )


def _difference(
    compiled: LiteRTClipModel | LiteRTStreamModel,
    expected: NDArray[np.float32],
    streams: int,
    frame_size: FrameSize,
) -> float:
    """Return how far the logits of a model are from the *expected* ones of its source."""
    if isinstance(compiled, LiteRTClipModel):
        return difference_of_clips(compiled, expected, frame_size)
    return difference_of_streams(compiled, expected, frame_size, streams=streams)
