"""From a SavedModel or a network of ours to LiteRT graphs that were seen to give the same logits, made once and kept in the cache.

An entry of the cache is a folder with one graph a number of frames a call. Its name holds a checksum of the model, so
that a changed model gets an entry of its own, and its note holds the checksums of the graphs, so that a damaged one is
made anew. Loading from the cache imports no TensorFlow.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.engines.litert.clips import LiteRTClipModel
from movinet_lite.engines.litert.streams import (
    ONE_FRAME,
    Call,
    LiteRTStreamModel,
    load_graphs,
)
from movinet_lite.engines.native import quiet_start
from movinet_lite.engines.opening import is_checkpoint, open_to_compile
from movinet_lite.errors import ConversionError
from movinet_lite.hub.cache import (
    compiled_folder,
    locked,
    new_folder,
    read_note,
    write_note,
)
from movinet_lite.network.agreement import (
    COMPILED_TOLERANCE,
    PROBE_FRAMES,
    agrees,
    largest_difference,
    probe_clip,
)
from movinet_lite.network.spec import assumption_of, read_facts
from movinet_lite.network.variants import Mode, Variant

__all__ = ["load_compiled"]

# For `run`. More frames a call share the weights, fewer stay in the processor's caches; see docs/performance.
_FRAMES_PER_CALL: Final = {"t0": 16, "a0": 16}
_FRAMES_PER_CALL_OF_LARGER: Final = 8
# Raise it when what is compiled changes, so that old entries are made anew.
_FORMAT: Final = 1
# One model at a time: it takes all cores, and gigabytes.
_COMPILING: Final = threading.Lock()
_CHECKED_FRAMES: Final = 18  # a call of sixteen, or two of eight, and two of one


def load_compiled(
    path: Path,
    mode: Mode,
    *,
    source: str,
    threads: int | None = None,
    frame_size: FrameSize | None = None,
    streams: int = 1,
    labels: tuple[str, ...] | None = None,
) -> LiteRTClipModel | LiteRTStreamModel:
    """Return the model at *path* as a compiled model, from the cache if it was compiled before.

    Args:
        path: The folder of a SavedModel, or the ``.safetensors`` file of a network.
        mode: What the model has to be.
        source: What to call the model in `ModelInfo` and messages.
        threads: How many threads to compute with; `None` for one a core.
        frame_size: The ``(height, width)`` to compile for; `None` for what the model was trained on.
        streams: How many streams to compile a common call for; 1 for none.
        labels: The names of the classes; `None` for the model's own, if it knows them.

    Raises:
        ConversionError: If it does not compile, or the compiled model gives other logits.
        ModelError: If it cannot be read, or is not of this *mode*.
    """
    job = _Job(path, mode, source, frame_size, streams, labels)
    entry = compiled_folder() / job.entry_name()
    graphs = _kept_graphs(entry)
    if graphs is not None:
        _repeat_assumption(entry, path, source)
    else:
        with locked(entry):
            graphs = _kept_graphs(entry)
            if graphs is None:
                with _COMPILING, new_folder(entry) as folder:
                    _compile(job, folder)
                graphs = _kept_graphs(entry)
    if graphs is None:
        raise ConversionError(
            f"{source}: the compiled model must be readable where it was written; {entry} is not"
        )
    return _load(graphs, mode, threads, source)


@attrs.frozen
class _Job:
    """What to compile; see `load_compiled`."""

    path: Path
    mode: Mode
    source: str
    frame_size: FrameSize | None
    streams: int
    labels: tuple[str, ...] | None

    def entry_name(self) -> str:
        """Return the name of its entry in the cache, which differs where anything that is compiled differs."""
        facts = (_FORMAT, self.mode, self.frame_size, self.streams, self.labels)
        digest = hashlib.sha256(repr(facts).encode())
        if self.path.is_file():
            name = self.path.stem
            digest.update(_checksum(self.path).encode())
        else:
            name = self.path.name
            digest.update(repr(read_facts(self.path)).encode())
            for file in sorted(self.path.rglob("*")):
                if file.is_file() and file.suffix != ".json":  # notes have dates
                    digest.update(str(file.relative_to(self.path)).encode())
                    digest.update(_checksum(file).encode())
        name = name[:40].strip(".")  # a name with a dot before it is no entry
        return f"{name}-{self.mode}-{digest.hexdigest()[:16]}"

    def calls(self, variant: Variant) -> list[Call]:
        """Return what graphs to write."""
        if self.mode == "base":
            # The graph of a base model takes clips of any length, whatever length it is written for.
            return [Call(1, variant.clip_frames)]
        many = _FRAMES_PER_CALL.get(variant.name, _FRAMES_PER_CALL_OF_LARGER)
        calls = [ONE_FRAME, Call(1, many)]
        return calls if self.streams == 1 else [*calls, Call(self.streams, 1)]


def _load(
    graphs: Sequence[Path], mode: Mode, threads: int | None, source: str
) -> LiteRTClipModel | LiteRTStreamModel:
    if mode == "base":
        (graph,) = graphs
        return LiteRTClipModel(graph, threads=threads, source=source)
    return load_graphs(graphs, threads=threads, source=source)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept_graphs(entry: Path) -> list[Path] | None:
    """Return the graphs of an entry; `None` if one is missing or damaged."""
    note = read_note(entry)
    checksums = None if note is None else note.get("graphs")
    if not isinstance(checksums, dict) or not checksums:
        return None
    for name, expected in checksums.items():
        path = entry / str(name)
        if not path.is_file() or _checksum(path) != expected:
            return None
    return [entry / str(name) for name in checksums]


def _repeat_assumption(entry: Path, path: Path, source: str) -> None:
    """Warn of what was assumed when the checkpoint at *path* was compiled, as if it were compiled now."""
    note = read_note(entry) or {}
    if is_checkpoint(path):
        message = assumption_of(
            source, str(note.get("activation")), str(note.get("gate"))
        )
        warnings.warn(message, UserWarning, stacklevel=4)


def _compile(job: _Job, folder: Path) -> None:
    """Write the graphs of a model and their note into *folder*."""
    with quiet_start():
        from movinet_lite.network.export import export_litert

        reference, network = open_to_compile(
            job.path,
            job.mode,
            job.source,
            frame_size=job.frame_size,
            labels=job.labels,
        )
        graphs = []
        for call in job.calls(network.variant):
            graph = folder / f"streams_{call.streams}_frames_{call.frames}.tflite"
            export_litert(network, graph, num_frames=call.frames, batch=call.streams)
            graphs.append(graph)
    compiled = _load(graphs, job.mode, None, job.source)
    difference = _difference(compiled, reference, job.streams, network.spec.frame_size)
    if not agrees(difference, COMPILED_TOLERANCE):
        raise ConversionError(
            f"{job.source}: a compiled model must give the logits of its source to {COMPILED_TOLERANCE:g} of the largest; "
            f"this one differs by {difference:.1e}"
        )
    write_note(
        folder,
        source=job.source,
        mode=job.mode,
        frame_size=network.spec.frame_size,
        difference=difference,
        activation=network.spec.activation,
        gate=network.spec.gate,
        graphs={graph.name: _checksum(graph) for graph in graphs},
    )


def _difference(
    compiled: LiteRTClipModel | LiteRTStreamModel,
    reference: ClipModel | StreamModel,
    streams: int,
    frame_size: FrameSize,
) -> float:
    """Return the largest difference between the logits of a model and of its source, over the largest of these."""
    frames = probe_clip(_CHECKED_FRAMES, *frame_size)[0]
    # What rounding does to the logits grows with the frames, in models that are not trained to more than the tolerance.
    short = frames[:PROBE_FRAMES]
    if isinstance(compiled, LiteRTClipModel):
        assert isinstance(reference, ClipModel)  # noqa: S101 - both are of one mode
        pairs = [
            (compiled.predict(short[np.newaxis]), reference.predict(short[np.newaxis]))
        ]
    else:
        assert isinstance(reference, StreamModel)  # noqa: S101
        expected, _ = reference.step(short, reference.init_states(frame_size))
        singles = _one_by_one(compiled, frames, frame_size)
        together, _ = compiled.step(frames, compiled.init_states(frame_size))
        pairs = [(singles[: len(short)], expected), (together, singles)]
        if streams > 1:
            many = _answers_of_many(compiled, streams, short, frame_size)
            pairs += [(answer, singles[: len(short)]) for answer in many]
    # The maximum of numpy is NaN if one of them is; Python's is not.
    return float(np.max([largest_difference(*pair) for pair in pairs]))


def _one_by_one(
    compiled: LiteRTStreamModel, frames: NDArray[np.float32], frame_size: FrameSize
) -> NDArray[np.float32]:
    """Return the logits after each frame, from one call a frame."""
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
    """Return the logits of each stream when all see the same frames, in one call."""
    states = [compiled.init_states(frame_size) for _ in range(streams)]
    rows = []
    for frame in frames:
        logits, states = compiled.step_many(np.stack([frame] * streams), states)
        rows.append(logits)
    return [np.stack([row[lane] for row in rows]) for lane in range(streams)]
