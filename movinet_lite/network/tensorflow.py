"""Imports TensorFlow and Keras, or says in one line what to install.

Modules that cannot do without TensorFlow take ``tf`` and ``keras`` from here. It logs errors alone, unless the application
has set ``TF_CPP_MIN_LOG_LEVEL``, which TensorFlow reads once, when it is first imported. LiteRT 2.3 has no such setting:
its notes stay, since the standard error belongs to the process. The command line, which is the process, holds them back
(`movinet_lite.cli.quiet`).
"""

from __future__ import annotations

import os

from movinet_lite.errors import MissingDependencyError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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
