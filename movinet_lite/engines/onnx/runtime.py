"""Opens ONNX files with ONNX Runtime; the only module that imports it.

References:
    [1] ONNX Runtime, "Execution Providers", https://onnxruntime.ai/docs/execution-providers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import attrs

from movinet_lite.arrays import FEATURE_NAMES, FeatureName
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import MissingDependencyError, ModelError, said_by
from movinet_lite.network.onnx_file import parse_onnx_facts
from movinet_lite.network.spec import NetworkSpec
from movinet_lite.network.variants import Mode, check_mode

__all__ = [
    "OnnxSession",
    "Provider",
    "import_runtime",
    "open_session",
    "read_onnx_spec",
]

Provider: TypeAlias = Literal[
    "cpu", "cuda", "tensorrt", "openvino", "coreml", "directml"
]
"""The execution provider [1]."""


@attrs.frozen
class _Target:
    """A provider: its name in ONNX Runtime, its package, and the device of its tensors."""

    name: str
    package: str
    device: str = "cpu"


_TARGETS: Final[dict[str, _Target]] = {  # [1]
    "cpu": _Target("CPUExecutionProvider", "onnxruntime"),
    "cuda": _Target("CUDAExecutionProvider", "onnxruntime-gpu", "cuda"),
    "tensorrt": _Target("TensorrtExecutionProvider", "onnxruntime-gpu", "cuda"),
    "openvino": _Target("OpenVINOExecutionProvider", "onnxruntime-openvino"),
    "coreml": _Target("CoreMLExecutionProvider", "onnxruntime"),
    "directml": _Target("DmlExecutionProvider", "onnxruntime-directml", "dml"),
}


@attrs.frozen
class OnnxSession:
    """An open ONNX file.

    Attributes:
        session: The ``InferenceSession`` of ONNX Runtime.
        spec: The facts of the model in the file.
        device: The device of the provider's tensors: ``"cpu"``, ``"cuda"`` or ``"dml"``.
        source: The name of the model in messages.
    """

    session: Any
    spec: NetworkSpec
    device: str
    source: str

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of the file's features; empty for a file without such outputs."""
        outputs = {output.name for output in self.session.get_outputs()}
        return tuple(name for name in FEATURE_NAMES if name in outputs)

    def check_frame_size(self, frame_size: tuple[int, ...]) -> None:
        """Raise an error for frames of another size than that of the file.

        Raises:
            ModelError: If *frame_size*, ``(height, width)``, differs.
        """
        if frame_size != self.spec.frame_size:
            raise ModelError(
                f"an ONNX model takes frames of one size, {self.spec.frame_size}; got {frame_size}",
                self.source,
                self.spec.frame_size,
                frame_size,
            )

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Convert errors of ONNX Runtime in the block to a `ModelError`."""
        try:
            yield
        except ModelError:
            raise
        except Exception as error:  # ONNX Runtime has a class for each kind of failure
            raise ModelError(
                f"ONNX Runtime must be able to run the model; it says: {said_by(error)}",
                self.source,
            ) from error


def open_session(
    path: str | Path,
    mode: Mode,
    *,
    provider: Provider | None = None,
    threads: int | None = None,
    source: str | None = None,
) -> OnnxSession:
    """Open an ONNX file written by this library.

    Args:
        path: The file.
        mode: The expected mode of the model.
        provider: The execution provider; `None` for the CPU.
        threads: Number of CPU threads; `None` for one per core.
        source: The name of the model in messages; *path* if `None`.

    Raises:
        MissingDependencyError: If ONNX Runtime is not installed.
        ModelError: If the file or provider does not exist, or the file has another mode or was not written by this
            library.
    """
    source = source or str(path)
    runtime = import_runtime()
    target = _target(runtime, provider or "cpu", source)
    if not Path(path).is_file():
        raise ModelError("an ONNX model must be a file; there is none", source)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.log_severity_level = 3  # errors
    session = _load(runtime, path, options, target, source)
    if target.name not in session.get_providers():
        raise _not_started(
            target, f"fell back to {', '.join(session.get_providers())}", source
        )
    spec = _spec_of(session, source)
    check_mode(spec.mode, mode, source)
    return OnnxSession(session, spec, target.device, source)


def read_onnx_spec(path: Path, source: str) -> NetworkSpec:
    """Return the facts of the model in an ONNX file of this library; for arguments and errors see `open_session`."""
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _spec_of(_load(runtime, path, options, _TARGETS["cpu"], source), source)


def _spec_of(session: Any, source: str) -> NetworkSpec:
    spec = parse_onnx_facts(session.get_modelmeta().custom_metadata_map, source)
    if spec is None:
        raise ModelError(
            "an ONNX model must be a file that this library exported; this one is not (export it with: movinet-lite export "
            "NAME.onnx --to onnx --model MODEL)",
            source,
        )
    return spec


def _load(
    runtime: Any, path: str | Path, options: Any, target: _Target, source: str
) -> Any:
    try:
        # ONNX Runtime would print a failure of the provider, and go on with another one.
        session = runtime.InferenceSession(
            str(path), options, providers=[target.name], enable_fallback=0
        )
        session.disable_fallback()  # also in `run`; earlier versions ignore the argument
    except Exception as error:
        if target != _TARGETS["cpu"]:
            raise _not_started(target, f"says: {said_by(error)}", source) from error
        raise ModelError(
            f"an ONNX model must be a file that ONNX Runtime can load; it says: {said_by(error)} (damaged? export it again)",
            source,
        ) from error
    return session


def _not_started(target: _Target, what: str, source: str) -> ModelError:
    (provider,) = (name for name, other in _TARGETS.items() if other == target)
    return ModelError(
        f"the execution provider {provider!r} must start with the model; ONNX Runtime {what} (are its driver and libraries "
        "installed?)",
        source,
    )


def import_runtime() -> Any:
    """Return the module of ONNX Runtime.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", "onnx") from error
    return onnxruntime


def _target(runtime: Any, provider: str, source: str) -> _Target:
    if provider not in _TARGETS:
        raise ModelError(
            f"provider must be one of {', '.join(get_args(Provider))}; got {provider!r}",
            source,
        )
    target = _TARGETS[provider]
    available = runtime.get_available_providers()
    if target.name not in available:
        here = [name for name, other in _TARGETS.items() if other.name in available]
        raise ModelError(
            f"the execution provider {provider!r} must be part of the installed ONNX Runtime; it has {', '.join(here)} "
            f"(pip install {target.package})",
            source,
        )
    return target
