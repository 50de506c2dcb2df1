"""A LiteRT graph: its inputs and outputs, its buffers, and one call of it.

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
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

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


@attrs.frozen
class TensorSpec:
    """An input or output as the graph declares it.

    Attributes:
        name: Its name in the signature.
        shape: Its shape.
        dtype: What is stored.
        scale: What one step of a quantised tensor is worth; 0.0 if it is not quantised [2].
        zero_point: The stored value that means 0 [2].
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    def empty(self) -> NDArray[Any]:
        """Return an array of this shape and dtype that means 0 everywhere."""
        return np.full(self.shape, self.zero_point, self.dtype)

    def means_the_same_as(self, other: TensorSpec) -> bool:
        """Return whether a stored number stands for the same real one in both."""
        return (self.scale, self.zero_point) == (other.scale, other.zero_point)

    def store(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return real *values* as they are stored; what lies beyond the range of a quantised tensor becomes its end."""
        if not self.scale:
            return values.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        steps = np.rint(values / np.float32(self.scale)) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def real(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the real values of what is *stored*: float32 if it is quantised, else what it is."""
        if not self.scale:
            return stored
        steps = stored.astype(np.float32) - np.float32(self.zero_point)
        return steps * np.float32(self.scale)


@attrs.frozen
class GraphFile:
    """A ``.tflite`` file that is opened again later, if it is still the one that it was.

    Attributes:
        path: Where it is.
        identity: What the system tells of it: another file under its name would differ.
    """

    path: Path
    identity: tuple[int, ...]

    @classmethod
    def now(cls, path: str | Path) -> GraphFile:
        """Return the file that is at *path* now."""
        path = Path(path).absolute()  # the folder that one works in may change
        return cls(path, _identity_of(path))

    def check_unchanged(self, source: str) -> None:
        """See that nobody has put another file there.

        Raises:
            ModelError: If somebody has.
            OSError: If there is none any more.
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
    """Memory of LiteRT's own for one input or output.

    A call asks for the capsule of every buffer; here it is an attribute, not computed anew by a property each time.

    Attributes:
        capsule: What LiteRT's runtime takes for it.
        write: Copies an array into it.
        read: Returns so many numbers of a dtype from it.
    """

    __slots__ = ("capsule", "read", "write")

    def __init__(self, buffer: Any) -> None:
        """Take one that LiteRT made."""
        self.capsule = buffer.capsule
        self.write: Callable[[NDArray[Any]], None] = buffer.write
        self.read: Callable[[int, np.dtype[Any]], NDArray[Any]] = buffer.read


class Graph:
    """One signature of a ``.tflite`` file, compiled for the CPU.

    It holds no memory of a call: inputs and outputs are buffers that the caller makes and passes, so that the output
    buffers of one call can be the input buffers of the next and nothing is copied. It runs one call at a time.

    Attributes:
        signature: The name of its signature.
        inputs: What it takes.
        outputs: What it gives.
        passed_through: The outputs that are an input as it came, and which input. LiteRT writes nothing to the buffers of
            these outputs.
        last_call_s: Seconds that LiteRT took for the last call.
    """

    def __init__(self, path: str | Path, *, threads: int, source: str) -> None:
        """Compile the only signature of the file at *path*; of several, ``call`` or else ``serving_default``.

        Raises:
            ModelError: If it is no ``.tflite`` file that LiteRT can compile, or does not say which signature to run.
        """
        self.last_call_s = 0.0
        self._source = source
        with foreign_errors(source):
            self._compile(Path(path), threads, source)

    def _compile(self, path: Path, threads: int, source: str) -> None:
        from ai_edge_litert.compiled_model import (
            CompiledModel,
            CpuOptions,
            HardwareAccelerator,
            Options,
        )

        # The interpreter verifies the file; CompiledModel crashes on one that is cut short.
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
        """Write to a buffer: LiteRT makes an environment of its own for the first one, with notes on it."""
        buffer = self._model.create_input_buffers(self._index)[0]
        details = buffer.get_tensor_details()
        buffer.write(np.zeros(details["shape"], details["dtype"]))

    def input_buffer(self, name: str) -> Buffer:
        """Return new memory for the input *name*, which may serve as the output of the same size too."""
        with foreign_errors(self._source):
            return Buffer(self._model.create_input_buffer_by_name(self.signature, name))

    def output_buffer(self, name: str) -> Buffer:
        """Return new memory for the output *name*."""
        with foreign_errors(self._source):
            return Buffer(
                self._model.create_output_buffer_by_name(self.signature, name)
            )

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        """Compute *outputs* from *inputs*, buffers in the order of `inputs` and `outputs`.

        Raises:
            ModelError: If LiteRT fails.
        """
        start = time.perf_counter()
        try:
            self._model.run_by_index(self._index, inputs, outputs)
        except RuntimeError as error:
            raise ModelError(
                f"LiteRT must be able to run the model; it says: {said_by(error)}",
                self._source,
            ) from error
        self.last_call_s = time.perf_counter() - start


def open_interpreter(path: str | Path, *, threads: int, source: str) -> Any:
    """Return LiteRT's interpreter of the file at *path*, which it has verified.

    Raises:
        ModelError: If it is no ``.tflite`` file that LiteRT can run.
    """
    with foreign_errors(source):
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(str(path), num_threads=threads)


def choose_signature(found: Iterable[str], source: str) -> str:
    """Return which of the signatures *found* in a file is the step of a stream.

    Raises:
        ModelError: If they do not say.
    """
    names = tuple(found)
    if len(names) == 1:
        return names[0]
    # A file converted from all signatures of a stream model has ``init_states`` too.
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
    """Say of what LiteRT raises where a file is damaged, or not one that it can run, that it is the file."""
    try:
        yield
    except ModelError:  # a RuntimeError too, and clear already
        raise
    except (
        RuntimeError,
        ValueError,  # UnicodeDecodeError too, of a name
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
    """Return the one LiteRT environment of this process: making one loads all accelerators anew."""
    with _MAKING_ENVIRONMENT:
        return _made_environment()


@functools.cache
def _made_environment() -> Any:
    import ai_edge_litert
    from ai_edge_litert.environment import Environment

    environment = Environment.create(
        runtime_path=str(Path(ai_edge_litert.__file__).parent)
    )
    # Never given back: it would take its leave on the terminal while Python ends.
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
