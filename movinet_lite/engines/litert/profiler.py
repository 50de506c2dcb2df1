"""How long each operator of a graph takes, by LiteRT's own profiler.

LiteRT's Python package has no access to it, but the library in it has: its C interface, which is called here. XNNPACK, which
computes the operators, gives each one's time in whole microseconds, rounded down.

References:
    [1] LiteRT, ``litert/c/litert_profiler.h`` and ``litert_profiler_event.h``: the profiler and its events.
    [2] LiteRT, ``litert/c/options/litert_runtime_options.cc`` and ``litert_cpu_options.cc``: options are lines of TOML under
        the names used here.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import time
from collections.abc import Sequence
from ctypes import (
    Structure,
    byref,
    c_char,
    c_char_p,
    c_int,
    c_size_t,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.litert.operators import (
    PRODUCTS,
    Operator,
    read_operators,
)
from movinet_lite.errors import ModelError

__all__ = ["Profile", "TimedOperator", "profile_graph"]

_FIRST_VERSION: Final = (2, 3)
"""Of ``ai-edge-litert``: the first whose C interface is known to be the one called here."""

_CPU: Final = 1  # kLiteRtHwAcceleratorCpu
_LOCK_TO_WRITE: Final = 1  # kLiteRtTensorBufferLockModeWrite
_OPERATOR_EVENT: Final = 1 << 3  # of a delegate's operator [1]
_WARM_UP: Final = 5
_TENSOR_TYPE_BYTES: Final = 512  # more than a LiteRtRankedTensorType takes

# How XNNPACK's names of what it runs for an operator of the file begin.
_NAMES: Final = {
    "ABS": ("Abs",),
    "ADD": ("Add",),
    "AVERAGE_POOL_2D": ("Average Pooling",),
    "CONCATENATION": ("Copy",),
    "CONV_2D": ("Fully Connected", "Convolution"),
    "DEPTHWISE_CONV_2D": ("Convolution", "VMulCAddC"),
    "DIV": ("Divide",),
    "FULLY_CONNECTED": ("Fully Connected",),
    "HARD_SWISH": ("HardSwish",),
    "LOGISTIC": ("Sigmoid",),
    "MAXIMUM": ("Maximum", "Clamp"),
    "MEAN": ("Mean",),
    "MUL": ("Multiply",),
    "PAD": ("Constant Pad",),
    "REDUCE_MAX": ("Reduce Max",),
    "RELU": ("Clamp",),
    "RELU6": ("Clamp",),
    "RESHAPE": ("Static Reshape",),
    "ROUND": ("Bank",),
    "SLICE": ("Slice",),
    "STRIDED_SLICE": ("Slice",),
    "SUB": ("Subtract",),
    "SUM": ("Sum",),
}
# What it runs before a product, as part of it: to bring its input into two axes, or into 8 bits.
_BEFORE_PRODUCTS: Final = ("Static Reshape", "Convert")


@attrs.frozen
class TimedOperator:
    """An operator of a graph and its time.

    Attributes:
        operator: The operator; `None` if it is not known which one XNNPACK ran.
        name: XNNPACK's name of what it ran.
        us: Microseconds a call, the lower quartile of all calls.
    """

    operator: Operator | None
    name: str
    us: float


@attrs.frozen
class Profile:
    """Where the time of a call goes.

    Attributes:
        operators: The operators, in the order they run in.
        call_us: Microseconds a call without the profiler, the lower quartile of all calls.
        buffers_us: Of these, how many LiteRT takes before and after the operators to tell them where inputs and outputs are.
    """

    operators: tuple[TimedOperator, ...]
    call_us: float
    buffers_us: float


def profile_graph(path: str | Path, *, threads: int, calls: int) -> Profile:
    """Return where the time of a call of the graph at *path* goes.

    Args:
        path: A ``.tflite`` file with one signature, of float32 inputs.
        threads: How many threads to compute with.
        calls: How many calls to measure, at least 1.

    Raises:
        ModelError: If LiteRT is too old, or cannot run the file.
    """
    _check_version(path)
    operators = read_operators(path)
    with _Runner(path, threads, profiled=False) as runner:
        call_us = _quartile([runner.timed() for _ in range(calls)])
    with _Runner(path, threads, profiled=True) as runner:
        rows = [runner.events() for _ in range(calls)]
    names = [name for name, kind, _ in rows[0] if kind == _OPERATOR_EVENT]
    times = np.array(
        [[us for _, kind, us in row if kind == _OPERATOR_EVENT] for row in rows]
    )
    buffers = [
        sum(us for name, _, us in row if name.startswith("LiteRT::Run")) for row in rows
    ]
    found = _match(operators, names)
    timed = tuple(
        TimedOperator(operator, name, _quartile(times[:, place]))
        for place, (operator, name) in enumerate(zip(found, names, strict=True))
    )
    return Profile(timed, call_us, _quartile(buffers))


def _quartile(values: Any) -> float:
    """Return the lower quartile: others on the machine make calls longer, never shorter."""
    return float(np.quantile(values, 0.25))


def _match(
    operators: Sequence[Operator], names: Sequence[str]
) -> list[Operator | None]:
    """Return the operator of the file that each of XNNPACK's stands for; all `None` if they do not go together.

    XNNPACK leaves out reshapes that need no copy. For one operator it runs several where it joins more tensors than it can
    at once, or quantises the input of a product first.
    """
    found: list[Operator | None] = []

    def follows(begins: tuple[str, ...]) -> bool:
        return len(found) < len(names) and names[len(found)].startswith(begins)

    for place, operator in enumerate(operators):
        begins = _NAMES.get(operator.kind, (operator.kind,))
        while operator.kind in PRODUCTS and follows(_BEFORE_PRODUCTS):
            found.append(operator)
        if not follows(begins):
            if operator.kind == "RESHAPE":
                continue
            break
        found.append(operator)
        if operator.kind == "CONCATENATION" and not _joins_next(operators, place):
            while follows(begins):
                found.append(operator)
    return found if len(found) == len(names) else [None] * len(names)


def _joins_next(operators: Sequence[Operator], place: int) -> bool:
    """Return whether the next operator that takes time joins tensors too."""
    following = (one for one in operators[place + 1 :] if one.kind != "RESHAPE")
    return next((one.kind for one in following), "") == "CONCATENATION"


def _check_version(path: str | Path) -> None:
    found = importlib.metadata.version("ai-edge-litert")
    if tuple(map(int, found.split(".")[:2])) < _FIRST_VERSION:
        wanted = ".".join(map(str, _FIRST_VERSION))
        raise ModelError(
            f"a profile needs ai-edge-litert {wanted} or later; found {found} (update it)",
            path,
        )


class _Memory(Structure):
    _fields_ = [(name, c_size_t) for name in ("allocated", "in_use", "private")]


class _Event(Structure):
    _fields_ = [
        ("tag", c_char_p),
        ("kind", c_int),
        ("start_us", c_uint64),
        ("elapsed_us", c_uint64),
        ("memory_before", _Memory),
        ("memory_after", _Memory),
        ("metadata_1", c_uint64),
        ("metadata_2", c_uint64),
        ("source", c_int),
    ]


class _Runner:
    """A graph with its buffers, compiled as the library compiles it, and what to call of it."""

    def __init__(self, path: str | Path, threads: int, *, profiled: bool) -> None:
        import ai_edge_litert

        folder = Path(ai_edge_litert.__file__).parent
        self._library = ctypes.CDLL(str(folder / "libLiteRt.so"))
        self._path = path
        self._kept: list[Any] = []  # that LiteRT reads later
        self._undo = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._undo = stack
            self._open(threads, profiled=profiled)
            self._undo = stack.pop_all()

    def __enter__(self) -> Self:
        for _ in range(_WARM_UP):
            self._run()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def timed(self) -> float:
        """Run once and return the microseconds that it took."""
        begin = time.perf_counter()
        self._run()
        return (time.perf_counter() - begin) * 1e6

    def events(self) -> list[tuple[str, int, float]]:
        """Run once and return the name, the kind and the microseconds of each event."""
        profiler = self._made("CompiledModelGetProfiler", self._model)
        self._call("ResetProfiler", profiler)
        self._call("StartProfiler", profiler)
        self._run()
        self._call("StopProfiler", profiler)
        count = c_int()
        self._call("GetNumProfilerEvents", profiler, byref(count))
        events = (_Event * count.value)()
        self._call("GetProfilerEvents", profiler, count, events)
        return [(one.tag.decode(), one.kind, float(one.elapsed_us)) for one in events]

    def _open(self, threads: int, *, profiled: bool) -> None:
        environment = self._made("CreateEnvironment", c_int(0), None)
        self._undo.callback(self._destroy, "Environment", environment)
        model = self._made("CreateModelFromFile", environment, str(self._path).encode())
        self._undo.callback(self._destroy, "Model", model)
        options = self._made("CreateOptions")
        self._undo.callback(self._destroy, "Options", options)
        self._call("SetOptionsHardwareAccelerators", options, c_int(_CPU))
        self._add(options, b"xnnpack", f"num_threads = {threads}\n")
        if profiled:
            self._add(options, b"runtime_options_string", "enable_profiling = true\n")
        self._model = self._made("CreateCompiledModel", environment, model, options)
        self._undo.callback(self._destroy, "CompiledModel", self._model)
        signature = self._made("GetModelSignature", model, c_size_t(0))
        self._inputs = self._buffers(environment, signature, "Input")
        self._outputs = self._buffers(environment, signature, "Output")
        for place, buffer in enumerate(self._inputs):
            self._fill(c_void_p(buffer), place)

    def _buffers(self, environment: Any, signature: Any, what: str) -> Any:
        count = c_size_t()
        self._call(f"GetNumSignature{what}s", signature, byref(count))
        buffers = (c_void_p * count.value)()
        for place in range(count.value):
            tensor = self._made(
                f"GetSignature{what}TensorByIndex", signature, c_size_t(place)
            )
            kind = (c_char * _TENSOR_TYPE_BYTES)()
            self._call("GetRankedTensorType", tensor, kind)
            needs = self._made(
                f"GetCompiledModel{what}BufferRequirements",
                self._model,
                c_size_t(0),
                c_size_t(place),
            )
            buffer = self._made(
                "CreateManagedTensorBufferFromRequirements", environment, kind, needs
            )
            self._undo.callback(self._destroy, "TensorBuffer", buffer)
            buffers[place] = buffer.value
        return buffers

    def _fill(self, buffer: Any, seed: int) -> None:
        """Write random numbers from 0 to 1 into a buffer: zeros may be faster, and so may what was there."""
        size, memory = c_size_t(), c_void_p()
        self._call("GetTensorBufferSize", buffer, byref(size))
        numbers: NDArray[np.float32] = np.random.default_rng(seed).random(
            size.value // 4, np.float32
        )
        self._call("LockTensorBuffer", buffer, byref(memory), c_int(_LOCK_TO_WRITE))
        ctypes.memmove(memory, numbers.ctypes.data, numbers.nbytes)
        self._call("UnlockTensorBuffer", buffer)

    def _add(self, options: Any, name: bytes, text: str) -> None:
        """Add options [2], which LiteRT reads while it compiles."""
        payload = ctypes.create_string_buffer(text.encode())
        free = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)
        self._kept += [payload, free]
        added = self._made("CreateOpaqueOptions", name, payload, free)
        self._call("AddOpaqueOptions", options, added)

    def _run(self) -> None:
        self._call(
            "RunCompiledModel",
            self._model,
            c_size_t(0),
            c_size_t(len(self._inputs)),
            self._inputs,
            c_size_t(len(self._outputs)),
            self._outputs,
        )

    def _made(self, name: str, *arguments: Any) -> Any:
        """Return what a function of LiteRT writes to its last argument."""
        made = c_void_p()
        self._call(name, *arguments, byref(made))
        return made

    def _call(self, name: str, *arguments: Any) -> None:
        status = self._function(name)(*arguments)
        if status:
            raise ModelError(
                f"LiteRT must be able to profile the graph; its {name} failed with status {status}",
                self._path,
            )

    def _destroy(self, kind: str, what: Any) -> None:
        destroy = self._function(f"Destroy{kind}")
        destroy.restype = None
        destroy(what)

    def _function(self, name: str) -> Any:
        try:
            return getattr(self._library, f"LiteRt{name}")
        except AttributeError as error:
            raise ModelError(
                f"a profile needs LiteRt{name}, which this ai-edge-litert has not",
                self._path,
            ) from error
