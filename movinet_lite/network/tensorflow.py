"""Imports TensorFlow and Keras in one place, so that where they are missing, one line says what to install.

Modules that cannot do without TensorFlow take ``tf`` and ``keras`` from here.
"""

from __future__ import annotations

from movinet_lite.errors import MissingDependencyError

try:
    import tensorflow as tf
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

    import keras  # isort: skip  # TensorFlow first: its own import is quicker
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"tensorflow", "keras", "google"}:
        raise
    raise MissingDependencyError("tensorflow") from error

__all__ = [
    "DecodeError",
    "keras",
    "saved_model_pb2",
    "tf",
    "trackable_object_graph_pb2",
]
