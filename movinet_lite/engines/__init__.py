"""Engines that compute: TensorFlow runs SavedModels, LiteRT compiled models, ONNX Runtime ONNX files."""

from movinet_lite.engines.loading import Engine, load_model
from movinet_lite.engines.onnx.runtime import Provider

__all__ = ["Engine", "Provider", "load_model"]
