"""Runs a LiteRT graph on buffers, and opens ``.tflite`` files.

References:
    [1] LiteRT, ``ai_edge_litert.compiled_model.CompiledModel`` and ``ai_edge_litert.interpreter.Interpreter``.
    [2] Quantised tensors: real value = scale * (stored value - zero point); LiteRT 8-bit quantisation specification.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.litert.huge_pages import HugePages
from movinet_lite.errors import ModelError, said_by

__all__ = [
    "Buffer",
    "Graph",
    "GraphFile",
    "TensorSpec",
    "choose_signature",
    "foreign_errors",
    "open_interpreter",
]


# By then all memory of a graph is there and has been written to; a process that makes fewer calls does not pay for it.
_CALLS_BEFORE_HUGE_PAGES: Final = 8


@attrs.frozen
class TensorSpec:
    """An input or output as the graph declares it.

    Attributes:
        name: Its name in the signature.
        shape: Its shape.
        dtype: The dtype of the stored values.
        scale: The scale of a quantised tensor; 0.0 if it is not quantised [2].
        zero_point: The stored value of 0 [2].
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    def empty(self) -> NDArray[Any]:
        """Return an array of this shape and dtype whose real values are 0."""
        return np.full(self.shape, self.zero_point, self.dtype)

    def means_the_same_as(self, other: TensorSpec) -> bool:
        """Return whether both have the same scale and zero point."""
        return (self.scale, self.zero_point) == (other.scale, other.zero_point)

    def store(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return real *values* as they are stored, clipped to the range of a quantised tensor."""
        if not self.scale:
            return values.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        steps = np.rint(values / np.float32(self.scale)) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def real(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the real values of *stored* ones: float32 if quantised, unchanged otherwise."""
        if not self.scale:
            return stored
        steps = stored.astype(np.float32) - np.float32(self.zero_point)
        return steps * np.float32(self.scale)


@attrs.frozen
class GraphFile:
    """A ``.tflite`` file that may be opened later, if it has not changed.

    Attributes:
        path: Its path.
        identity: Its inode, size and time of modification.
    """

    path: Path
    identity: tuple[int, ...]

    @classmethod
    def now(cls, path: str | Path) -> GraphFile:
        """Return the file at *path*, as it is now."""
        path = Path(path).absolute()  # the working directory may change
        return cls(path, _identity_of(path))

    def check_unchanged(self, source: str) -> None:
        """Check that the file has not changed.

        Raises:
            ModelError: If it has changed or been replaced.
            OSError: If it no longer exists.
        """
        if _identity_of(self.path) != self.identity:
            raise ModelError(
                f"the file must be the one that was loaded; {self.path} has changed since",
                source,
            )


def _identity_of(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


class Buffer:
    """A buffer of LiteRT for one input or output.

    A call reads the capsule of every buffer, so it is stored as an attribute instead of being computed each time.

    Attributes:
        capsule: The object that represents it in LiteRT's runtime.
        write: Copies an array into it.
        read: Returns a number of values of a dtype from it.
    """

    __slots__ = ("capsule", "read", "write")

    def __init__(self, buffer: Any) -> None:
        """Wrap a buffer that LiteRT made."""
        self.capsule = buffer.capsule
        self.write: Callable[[NDArray[Any]], None] = buffer.write
        self.read: Callable[[int, np.dtype[Any]], NDArray[Any]] = buffer.read


class Graph:
    """One signature of a ``.tflite`` file, compiled for the CPU.

    Inputs and outputs are buffers that the caller makes and passes. So the output buffers of one call can be the input
    buffers of the next, without copying. A graph runs one call at a time.

    Attributes:
        signature: The name of its signature.
        inputs: Its inputs.
        outputs: Its outputs.
        passed_through: The outputs that are an unchanged input, with the name of that input. LiteRT does not write to the
            buffers of these outputs.
        last_call_s: The duration of LiteRT's last call, in seconds.
    """

    def __init__(self, path: str | Path, *, threads: int, source: str) -> None:
        """Compile the only signature of the file at *path*; of several, ``call`` or otherwise ``serving_default``.

        Raises:
            ModelError: If it is not a ``.tflite`` file that LiteRT can compile, or has several other signatures.
        """
        self.last_call_s = 0.0
        self._source = source
        self._memory = HugePages()
        self._calls = 0
        with foreign_errors(source), self._memory.noting():
            self._compile(Path(path), threads, source)

    def _compile(self, path: Path, threads: int, source: str) -> None:
        from ai_edge_litert.compiled_model import (
            CompiledModel,
            CpuOptions,
            HardwareAccelerator,
            Options,
        )

        # The interpreter verifies the file; CompiledModel crashes on a truncated one.
        declared = open_interpreter(path, threads=1, source=source)
        self.signature = choose_signature(declared.get_signature_list(), source)
        runner = declared.get_signature_runner(self.signature)
        inputs = runner.get_input_details()
        outputs = runner.get_output_details()
        options = Options(HardwareAccelerator.CPU, CpuOptions(num_threads=threads))
        self._model = CompiledModel.from_file(
            str(path), environment=_environment(), options=options
        )
        self._index = self._model.get_signature_index(self.signature)
        self._touch_memory()
        signature = self._model.get_signature_by_index(self._index)
        self.inputs = tuple(_tensor(name, inputs[name]) for name in signature["inputs"])
        self.outputs = tuple(
            _tensor(name, outputs[name]) for name in signature["outputs"]
        )
        by_index = {details["index"]: name for name, details in inputs.items()}
        self.passed_through = {
            name: by_index[details["index"]]
            for name, details in outputs.items()
            if details["index"] in by_index
        }

    def _touch_memory(self) -> None:
        """Write to a buffer: for the first one, LiteRT makes another environment and prints notes about it."""
        buffer = self._model.create_input_buffers(self._index)[0]
        details = buffer.get_tensor_details()
        buffer.write(np.zeros(details["shape"], details["dtype"]))

    def input_buffer(self, name: str) -> Buffer:
        """Return a new buffer for the input *name*, which can also be the output of the same size."""
        (buffer,) = self.input_buffers([name])
        return buffer

    def input_buffers(self, names: Sequence[str]) -> tuple[Buffer, ...]:
        """Return a new buffer for each of the inputs *names*; see `input_buffer`."""
        create = self._model.create_input_buffer_by_name
        with foreign_errors(self._source), self._memory.noting():
            return tuple(Buffer(create(self.signature, name)) for name in names)

    def output_buffer(self, name: str) -> Buffer:
        """Return a new buffer for the output *name*."""
        with foreign_errors(self._source):
            return Buffer(
                self._model.create_output_buffer_by_name(self.signature, name)
            )

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        """Compute *outputs* from *inputs*: buffers in the order of `outputs` and `inputs`.

        Raises:
            ModelError: If LiteRT fails.
        """
        start = time.perf_counter()
        # LiteRT takes memory for tensors in the first call.
        first = contextlib.nullcontext() if self._calls else self._memory.noting()
        try:
            with first:
                self._model.run_by_index(self._index, inputs, outputs)
        except RuntimeError as error:
            raise ModelError(
                f"LiteRT must be able to run the model; it says: {said_by(error)}",
                self._source,
            ) from error
        self.last_call_s = time.perf_counter() - start
        self._calls += 1
        if self._calls == _CALLS_BEFORE_HUGE_PAGES:
            self._memory.collapse()


def open_interpreter(path: str | Path, *, threads: int, source: str) -> Any:
    """Return LiteRT's interpreter for the file at *path*, after it has verified the file.

    Raises:
        ModelError: If it is not a ``.tflite`` file that LiteRT can run.
    """
    with foreign_errors(source):
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(str(path), num_threads=threads)


def choose_signature(found: Iterable[str], source: str) -> str:
    """Return which of the signatures *found* in a file steps a stream.

    Raises:
        ModelError: If their names do not tell.
    """
    names = tuple(found)
    if len(names) == 1:
        return names[0]
    # A file converted from all signatures of a stream model also has ``init_states``.
    for name in ("call", "serving_default"):
        if name in names:
            return name
    raise ModelError(
        "a .tflite file must have one signature, or one called 'call' or 'serving_default'; "
        f"this one has {', '.join(map(repr, names)) or 'none'}",
        source,
        received=names,
    )


@contextlib.contextmanager
def foreign_errors(source: str) -> Iterator[None]:
    """Raise `ModelError` for what LiteRT raises about a damaged or unsupported file."""
    try:
        yield
    except ModelError:  # also a RuntimeError, with a message of its own
        raise
    except (
        RuntimeError,
        ValueError,  # includes UnicodeDecodeError, for a name
        KeyError,
        IndexError,
        TypeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise ModelError(
            f"the file must be a .tflite model that LiteRT can run; LiteRT says: {said_by(error)}",
            source,
        ) from error


_MAKING_ENVIRONMENT = threading.Lock()


def _environment() -> Any:
    """Return the LiteRT environment of this process: making another would load all accelerators again."""
    with _MAKING_ENVIRONMENT:
        return _made_environment()


@functools.cache
def _made_environment() -> Any:
    import ai_edge_litert
    from ai_edge_litert.environment import Environment

    environment = Environment.create(
        runtime_path=str(Path(ai_edge_litert.__file__).parent)
    )
    # Never released: its destructor prints to the terminal when Python exits.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(environment))
    return environment


def _tensor(name: str, details: dict[str, Any]) -> TensorSpec:
    scales = details["quantization_parameters"]["scales"]
    points = details["quantization_parameters"]["zero_points"]
    return TensorSpec(
        name=name,
        shape=tuple(int(length) for length in details["shape"]),
        dtype=np.dtype(details["dtype"]),
        scale=float(scales[0]) if len(scales) else 0.0,
        zero_point=int(points[0]) if len(points) else 0,
    )
