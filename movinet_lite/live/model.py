"""Loads the model of all cameras, for batched steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.engines.few_shot.files import few_shot_base, is_few_shot
from movinet_lite.events.settings import HORIZON_S

__all__ = ["MAX_STREAMS", "load_for_cameras"]

MAX_STREAMS: Final = 8
"""Maximum number of streams per call; larger batches gain little and increase latency."""


def load_for_cameras(
    source: str | Path, num_cameras: int, **options: Any
) -> StreamingClassifier:
    """Return the stream model at *source*, prepared to step several cameras in one call.

    Additional cameras are stepped in further calls.

    Args:
        source: The model, as for `StreamingClassifier.load`.
        num_cameras: Expected number of cameras.
        options: The other arguments of `StreamingClassifier.load`. The default horizon is three seconds.

    Raises:
        ModelError: As in `StreamingClassifier.load`.
    """
    # Only compiled models step several streams in one call; for the others `load` would warn.
    below = few_shot_base(source) if is_few_shot(source) else str(source)
    is_compiled = (
        Path(below).suffix not in {".tflite", ".onnx"}
        and below.lower() != "demo"
        and options.get("engine", "auto") in {"auto", "litert"}
    )
    if is_compiled:
        options["streams"] = min(num_cameras, MAX_STREAMS)
    return StreamingClassifier.load(source, **{"horizon_s": HORIZON_S, **options})
