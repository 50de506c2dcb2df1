"""The only module that imports onnx."""

from __future__ import annotations

from movinet_lite.errors import MissingDependencyError

__all__ = ["onnx"]

try:
    import onnx
    import onnx.checker
    import onnx.helper
    import onnx.numpy_helper
except ImportError as error:
    raise MissingDependencyError("onnx", "onnx") from error
