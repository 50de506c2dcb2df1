"""What computes: TensorFlow runs a SavedModel as it is, LiteRT a compiled model, ONNX Runtime an exported one."""

from movinet_lite.engines.loading import Engine, load_model
from movinet_lite.engines.onnx.runtime import Provider

__all__ = ["Engine", "Provider", "load_model"]
