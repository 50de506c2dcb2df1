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
from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.engines.litert.clips import LiteRTClipModel
from movinet_lite.engines.litert.opening import load_graphs
from movinet_lite.engines.litert.step_graphs import ONE_FRAME, Call
from movinet_lite.engines.litert.streams import LiteRTStreamModel
from movinet_lite.engines.made_once import (
    check_agrees,
    is_close,
    logits_of,
    make_missing,
)
from movinet_lite.engines.opening import is_checkpoint, open_to_compile
from movinet_lite.errors import ModelError
from movinet_lite.hub.cache import compiled_folder, read_note, write_note
from movinet_lite.network.agreement import (
    PROBE_FRAMES,
    largest_difference,
    probe_clip,
)
from movinet_lite.network.litert_file import read_litert_info
from movinet_lite.network.pytorch.recognition import repeat_warning
from movinet_lite.network.spec import Functions, assumption_of, read_facts
from movinet_lite.network.variants import Mode, Variant

__all__ = ["load_compiled", "name_of_entry"]

# For `run`: more frames per call share the weights, fewer stay in the CPU's caches; see docs/performance.
_FRAMES_OF_LONG_CALL: Final = {"t0": 16, "a0": 16}
_FRAMES_OF_LONG_CALL_OF_LARGER: Final = 8
# Increase it when the compiled graphs change, so that old entries are compiled again.
_FORMAT: Final = 4
_GRAPH: Final = "graph.tflite"
# One call of 16 frames or two of 8, and two calls of one frame.
_CHECKED_FRAMES: Final = 18


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
        _repeat_assumption(next(iter(entries.values())), job)
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


def _repeat_assumption(entry: Path, job: _Job) -> None:
    """Repeat the warning about assumptions from when the checkpoint of *job* was compiled."""
    note = read_note(entry) or {}
    if is_checkpoint(job.path) and None in attrs.astuple(job.functions):
        message = assumption_of(
            job.source, str(note.get("activation")), str(note.get("gate"))
        )
        warnings.warn(message, UserWarning, stacklevel=4)
    repeat_warning(job.path, job.source, stacklevel=4)


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
            compiled, reference, job.streams, network.spec.frame_size
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
    reference: ClipModel | StreamModel,
    streams: int,
    frame_size: FrameSize,
) -> float:
    """Return the largest difference between the logits of a model and of its source, relative to the largest logit."""
    frames = probe_clip(_CHECKED_FRAMES, *frame_size)[0]
    # Rounding errors grow with the number of frames, and in untrained models exceed the tolerance.
    short = frames[:PROBE_FRAMES]
    expected = logits_of(reference, short)
    if isinstance(compiled, LiteRTClipModel):
        pairs = [(logits_of(compiled, short), expected)]
    else:
        singles = _one_by_one(compiled, frames, frame_size)
        pairs = [
            (singles[: len(short)], expected),
            (logits_of(compiled, frames), singles),
        ]
        if streams > 1:
            many = _answers_of_many(compiled, streams, short, frame_size)
            pairs += [(answer, singles[: len(short)]) for answer in many]
    # The maximum of numpy is NaN if any value is NaN; Python's is not.
    return float(np.max([largest_difference(*pair) for pair in pairs]))


def _one_by_one(
    compiled: LiteRTStreamModel, frames: NDArray[np.float32], frame_size: FrameSize
) -> NDArray[np.float32]:
    """Return the logits after each frame, from one call per frame."""
    states = compiled.init_states(frame_size)
    rows = []
    for frame in frames:
        logits, states = compiled.step(frame[np.newaxis], states)
        rows.append(logits[0])
    return np.stack(rows)


def _answers_of_many(
    compiled: LiteRTStreamModel,
    streams: int,
    frames: NDArray[np.float32],
    frame_size: FrameSize,
) -> list[NDArray[np.float32]]:
    """Return the logits of each stream where all get the same frames, stepped in one call."""
    states = [compiled.init_states(frame_size) for _ in range(streams)]
    rows = []
    for frame in frames:
        logits, states = compiled.step_many(np.stack([frame] * streams), states)
        rows.append(logits)
    return [np.stack([row[lane] for row in rows]) for lane in range(streams)]
