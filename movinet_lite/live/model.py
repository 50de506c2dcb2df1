"""Loads the model of all cameras, so that it steps several of them in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.events.settings import HORIZON_S

__all__ = ["MAX_STREAMS", "load_for_cameras"]

MAX_STREAMS: Final = 8
"""How many streams are stepped in one call at most; beyond it a call gains little, and the frames in it wait longer."""


def load_for_cameras(
    source: str | Path, num_cameras: int, **options: Any
) -> StreamingClassifier:
    """Return the stream model at *source*, which steps the frames of as many cameras in one call as it can.

    More cameras may be watched; they are then stepped in several calls.

    Args:
        source: What `StreamingClassifier.load` takes.
        num_cameras: How many cameras are going to be watched.
        options: The other arguments of `StreamingClassifier.load`. It looks back three seconds unless they say otherwise.

    Raises:
        ModelError: As in `StreamingClassifier.load`.
    """
    # Only models that the library compiles step several streams in one call; of the others `load` would warn.
    is_compiled = (
        Path(source).suffix not in {".tflite", ".onnx"}
        and str(source).lower() != "demo"
        and options.get("engine", "auto") in {"auto", "litert"}
    )
    if is_compiled:
        options["streams"] = min(num_cameras, MAX_STREAMS)
    return StreamingClassifier.load(source, **{"horizon_s": HORIZON_S, **options})
