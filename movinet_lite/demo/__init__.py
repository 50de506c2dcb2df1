"""The demo model, its weights, and a clip that it recognises.

A model that was trained on them, and one clip, ship with the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["CLIP", "MODEL", "WEIGHTS"]

_FOLDER: Final = Path(__file__).parent

MODEL: Final = _FOLDER / "demo.tflite"
"""The model that ``StreamingClassifier.load("demo")`` loads: compiled, float16."""

WEIGHTS: Final = _FOLDER / "demo.safetensors"
"""The weights it was compiled from, stored as float16, to train further."""

CLIP: Final = _FOLDER / "demo.mp4"
"""A clip that it recognises."""
