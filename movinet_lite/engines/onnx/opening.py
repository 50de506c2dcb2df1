"""Opens ONNX files as models."""

from __future__ import annotations

from pathlib import Path

from movinet_lite.engines.base import ClipModel, ModelInfo, StreamModel
from movinet_lite.engines.onnx.clips import OnnxClipModel
from movinet_lite.engines.onnx.runtime import Provider, import_runtime, open_session
from movinet_lite.engines.onnx.streams import OnnxStreamModel
from movinet_lite.network.variants import Mode

__all__ = ["check_onnx", "load_onnx"]


def check_onnx() -> None:
    """Check that an ONNX file can be written and run, before any slow work.

    Raises:
        MissingDependencyError: If ONNX or ONNX Runtime is not installed.
    """
    import movinet_lite.network.onnx  # noqa: F401

    import_runtime()


def load_onnx(
    path: str | Path,
    mode: Mode,
    *,
    provider: Provider | None = None,
    threads: int | None = None,
    source: str | None = None,
    labels: tuple[str, ...] | None = None,
) -> ClipModel | StreamModel:
    """Return the model in an ``.onnx`` file that this library exported.

    Args:
        path: The file.
        mode: The expected mode of the model.
        provider: The execution provider; `None` for the CPU.
        threads: Number of CPU threads; `None` for one per core.
        source: The name of the model in messages; *path* if `None`.
        labels: The labels; `None` for those in the file.

    Raises:
        LabelsError: If the number of labels is not the number of classes.
        MissingDependencyError: If ONNX Runtime is not installed.
        ModelError: If it is not such a file, or the provider is not available.
    """
    opened = open_session(path, mode, provider=provider, threads=threads, source=source)
    info = ModelInfo.of(opened.spec, opened.source, "onnx", labels)
    return (OnnxClipModel if mode == "base" else OnnxStreamModel)(opened, info)
