"""What computes: TensorFlow runs a SavedModel as it is, LiteRT a compiled model."""

from movinet_lite.engines.loading import Engine, load_model

__all__ = ["Engine", "load_model"]
