"""Makes the native engine's models from any source, checks their logits, and keeps what they are made of in the cache.

An entry of the cache holds, in one file, the folded weights of a network and what its source says of the test clip. Beside
it stand the machine code for each CPU, and whether that code computes what the source does. So TensorFlow is needed once
for a model, the compiler once for a CPU, and code that was never compared with the source runs nowhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.atomic import write_atomically
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.compiled import name_of_entry, repeat_assumption
from movinet_lite.engines.made_once import (
    check_agrees,
    difference_of_streams,
    is_close,
    logits_of_source,
    make_missing,
)
from movinet_lite.engines.native.compiler import fingerprint
from movinet_lite.engines.native.program import StreamProgram, code_format
from movinet_lite.engines.native.streams import NativeStreamModel
from movinet_lite.engines.native.target import Target, host_target, why_not
from movinet_lite.engines.opening import open_to_compile
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ConversionError, ModelError
from movinet_lite.hub.cache import compiled_folder, locked, read_note, write_note
from movinet_lite.network.files import read_arrays, save_arrays
from movinet_lite.network.spec import Functions, NetworkSpec, read_facts

__all__ = ["load_native"]

_LOG = logging.getLogger("movinet_lite.engines")

# Increase it when what an entry holds changes, so that old entries are made again.
_FORMAT: Final = 2
_FILE: Final = "folded.safetensors"
# No weight has these names.
_EXPECTED: Final = "expected_logits"
_ENTRY: Final = "entry"
# By default. Threads wait for each other after each part of a layer, and a frame has little work for more of them.
_MOST_THREADS: Final = 8
# Streams in one call when the code is checked; odd, so that it has a full and a part-filled group of frames.
_CHECKED_STREAMS: Final = 5


def load_native(
    path: Path,
    *,
    source: str,
    threads: int | None = None,
    frame_size: FrameSize | None = None,
    labels: tuple[str, ...] | None = None,
    functions: Functions | None = None,
) -> NativeStreamModel:
    """Return the stream model of *path* as machine code, from the cache if it was made before.

    Args:
        path: The folder of a SavedModel, the ``.safetensors`` file of a network, a checkpoint, or weights of PyTorch.
        source: The name of the model in `ModelInfo` and messages.
        threads: Number of threads; `None` for one per core, at most 8.
        frame_size: The ``(height, width)`` to make it for; `None` for the model's own.
        labels: The labels; `None` for the model's own, if it has any.
        functions: The activation and the gate of a checkpoint; `None` if not given.

    Raises:
        ConversionError: If this machine or this network cannot run on the native engine, or the machine code computes
            other logits than the source.
        LabelsError: If the number of labels is not the number of classes.
        ModelError: If it cannot be read, or is not a stream model.
    """
    target = host_target()
    if target is None:
        raise ConversionError(
            f"{source}: {why_not()} (engine='litert' runs the model on this machine)"
        )
    functions = functions or Functions()
    name = f"{name_of_entry(path, 'stream', frame_size, functions)}-native"
    entry = _Entry(compiled_folder() / name)
    made = make_missing(
        f"{name}-making",
        {_FILE: entry.folder},
        what=f"{source} (stream) for the native engine",
        is_whole=entry.read,
        make=lambda folders, _: _fold(
            path, source, frame_size, functions, folder=folders[_FILE], entry=name
        ),
    )
    if not made:
        repeat_assumption(entry.folder, path, source, functions)
    spec = entry.contents.spec
    if path.is_dir():  # their labels are no part of the entry, and may have changed
        facts = read_facts(path)
        spec = attrs.evolve(spec, labels=facts.labels if facts else None)
    info = ModelInfo.of(spec, source, "native", labels)
    return entry.open(target, threads or min(available_cores(), _MOST_THREADS), info)


@attrs.frozen
class _Contents:
    """What an entry holds.

    Attributes:
        spec: The spec of the network.
        weights: Its folded weights by name.
        expected: The `logits_of_source`.
    """

    spec: NetworkSpec
    weights: dict[str, NDArray[np.float32]]
    expected: NDArray[np.float32]


class _Entry:
    """An entry of the cache.

    Attributes:
        folder: Its folder.
        contents: What it holds, once it was read.
    """

    contents: _Contents

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, folder: Path) -> bool:
        """Read the entry at *folder*; return whether it is whole."""
        if (read_note(folder) or {}).get("format") != _FORMAT:
            return False
        try:
            spec, arrays = read_arrays(folder / _FILE)
        except ModelError:
            return False
        # Under the name of another model's entry it would answer for that.
        if arrays.pop(_ENTRY, np.empty(0)).tobytes() != os.fsencode(folder.name):
            return False
        expected = arrays.pop(_EXPECTED)
        self.contents = _Contents(spec, arrays, expected)
        return True

    def open(self, target: Target, threads: int, info: ModelInfo) -> NativeStreamModel:
        """Return the model, with code that was checked on this CPU once.

        Raises:
            ConversionError: If the network cannot be run, or the code computes other logits.
        """
        verdict = _Verdict.of(self.folder, target)
        if (known := verdict.read()) is None:
            with _one_process(self.folder):
                # Another one may have checked it meanwhile.
                if (known := verdict.read()) is None:
                    return self._check(verdict, target, threads, info)
        if known.refused is not None:
            raise ConversionError(known.refused)
        return self._load(target, threads, info, is_compact=known.is_compact)

    def _check(
        self, verdict: _Verdict, target: Target, threads: int, info: ModelInfo
    ) -> NativeStreamModel:
        """Return the model after checking its code, and write the verdict."""
        _LOG.info(
            "making machine code of %s for this CPU; this happens once and takes seconds",
            info.source,
        )
        try:
            model, difference = self._compare(target, threads, info, is_compact=True)
            is_compact = is_close(difference)
            if not is_compact:
                # Compact weights, which are faster, can be too far from the source in untrained models.
                model, difference = self._compare(
                    target, threads, info, is_compact=False
                )
            check_agrees(difference, info.source, "a compiled")
        except ConversionError as error:
            verdict.write(_Known(refused=str(error)))
            raise
        verdict.write(_Known(difference=difference, is_compact=is_compact))
        return model

    def _compare(
        self, target: Target, threads: int, info: ModelInfo, *, is_compact: bool
    ) -> tuple[NativeStreamModel, float]:
        """Return the model, and how far its logits are from those of the source."""
        model = self._load(target, threads, info, is_compact=is_compact)
        difference = difference_of_streams(
            model,
            self.contents.expected,
            self.contents.spec.frame_size,
            streams=_CHECKED_STREAMS,
        )
        return model, difference

    def _load(
        self, target: Target, threads: int, info: ModelInfo, *, is_compact: bool
    ) -> NativeStreamModel:
        program = StreamProgram.of(
            self.contents.spec,
            self.contents.weights,
            target=target,
            threads=threads,
            is_compact=is_compact,
            cache=self.folder,
        )
        return NativeStreamModel(program, info)


@attrs.frozen(kw_only=True)
class _Known:
    """What is known of the code for one CPU.

    Attributes:
        difference: How far its logits are from those of the source; `None` if it was refused.
        is_compact: Whether it is the code with compact weights that may be used.
        refused: Why it must not be used; `None` if it may.
    """

    difference: float | None = None
    is_compact: bool = True
    refused: str | None = None


@attrs.frozen
class _Verdict:
    """The file that says whether the code for one CPU computes what the source does."""

    path: Path

    @classmethod
    def of(cls, entry: Path, target: Target) -> _Verdict:
        """Return the verdict on the code that this release makes for *target*."""
        code = f"{code_format()} {fingerprint(target)}"
        name = hashlib.sha256(code.encode()).hexdigest()[:16]
        return cls(entry / f"checked-{name}.json")

    def read(self) -> _Known | None:
        """Return what it says; `None` if it is missing or damaged."""
        try:
            return _Known(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, known: _Known) -> None:
        """Write it, where the cache can be written to."""
        with contextlib.suppress(OSError):
            write_atomically(self.path, json.dumps(attrs.asdict(known)).encode())


@contextlib.contextmanager
def _one_process(entry: Path) -> Iterator[None]:
    """Let one process, and one thread, compile and check at a time, where the cache can be written to."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(locked(entry.with_name(f"{entry.name}-code")))
        yield


def _fold(
    path: Path,
    source: str,
    frame_size: FrameSize | None,
    functions: Functions,
    *,
    folder: Path,
    entry: str,
) -> None:
    """Write the folded weights, what the source says, the name of the *entry*, and a note to *folder*."""
    from movinet_lite.network.model import fold

    reference, network = open_to_compile(
        path, "stream", source, frame_size=frame_size, functions=functions
    )
    spec = network.spec
    arrays: dict[str, NDArray[Any]] = {
        name: np.asarray(weight, np.float32)
        for name, weight in fold(network).named_weights.items()
    }
    arrays[_EXPECTED] = logits_of_source(reference, spec.frame_size)
    arrays[_ENTRY] = np.frombuffer(os.fsencode(entry), np.uint8)
    save_arrays(folder / _FILE, spec, arrays)
    write_note(
        folder,
        format=_FORMAT,
        source=source,
        mode="stream",
        frame_size=spec.frame_size,
        activation=spec.activation,
        gate=spec.gate,
    )
