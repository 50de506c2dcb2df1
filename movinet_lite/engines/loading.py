"""From what a user calls a model to an engine's model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, overload

from movinet_lite.arrays import FrameSize
from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.errors import ConversionError, ModelError
from movinet_lite.hub import resolve_model
from movinet_lite.labels import load_labels
from movinet_lite.variants import Mode

__all__ = ["load_model"]

_ENGINES = ("auto", "litert", "tensorflow")
