"""Recognise actions in video with MoViNet: whole clips, or frame by frame as they arrive."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from movinet_lite.arrays import VideoFrame
    from movinet_lite.classifiers import (
        BaseClassifier,
        FewShotBaseClassifier,
        FewShotClassifier,
        StreamingClassifier,
        step_many,
    )
    from movinet_lite.engines.base import ClipModel, ModelInfo, StreamModel
    from movinet_lite.errors import (
        ArrayError,
        ClusterError,
        ConversionError,
        DataError,
        LabelsError,
        LiveSourceError,
        MissingDependencyError,
        ModelError,
        MoViNetError,
        PageError,
        SessionError,
        VariantError,
        VideoError,
        VideoNotFoundError,
    )
    from movinet_lite.events import Event, EventDetector, find_events
    from movinet_lite.hub import (
        available_models,
        cached_models,
        clear_cache,
        download_model,
    )
    from movinet_lite.labels import kinetics_600_labels, load_labels, search_labels
    from movinet_lite.predictions import (
        LabelFilter,
        Prediction,
        PredictionTable,
        mean_prediction,
        predictions_to_table,
        softmax,
        top_k,
        top_k_over_time,
    )
    from movinet_lite.video import (
        FrameReader,
        VideoInfo,
        load_clip,
        read_frames,
        read_video_info,
        write_video,
    )

__all__ = [
    "ArrayError",
    "BaseClassifier",
    "ClipModel",
    "ClusterError",
    "ConversionError",
    "DataError",
    "Event",
    "EventDetector",
    "FewShotBaseClassifier",
    "FewShotClassifier",
    "FrameReader",
    "LabelFilter",
    "LabelsError",
    "LiveSourceError",
    "MissingDependencyError",
    "MoViNetError",
    "ModelError",
    "ModelInfo",
    "PageError",
    "Prediction",
    "PredictionTable",
    "SessionError",
    "StreamModel",
    "StreamingClassifier",
    "VariantError",
    "VideoError",
    "VideoFrame",
    "VideoInfo",
    "VideoNotFoundError",
    "available_models",
    "cached_models",
    "clear_cache",
    "download_model",
    "find_events",
    "kinetics_600_labels",
    "load_clip",
    "load_labels",
    "mean_prediction",
    "predictions_to_table",
    "read_frames",
    "read_video_info",
    "search_labels",
    "softmax",
    "step_many",
    "top_k",
    "top_k_over_time",
    "write_video",
]

__version__ = "0.1.0"

_NAMES = {
    "movinet_lite.arrays": ("VideoFrame",),
    "movinet_lite.classifiers": (
        "BaseClassifier",
        "FewShotBaseClassifier",
        "FewShotClassifier",
        "StreamingClassifier",
        "step_many",
    ),
    "movinet_lite.engines.base": (
        "ClipModel",
        "ModelInfo",
        "StreamModel",
    ),
    "movinet_lite.errors": (
        "ArrayError",
        "ClusterError",
        "ConversionError",
        "DataError",
        "LabelsError",
        "LiveSourceError",
        "MissingDependencyError",
        "ModelError",
        "MoViNetError",
        "PageError",
        "SessionError",
        "VariantError",
        "VideoError",
        "VideoNotFoundError",
    ),
    "movinet_lite.events": (
        "Event",
        "EventDetector",
        "find_events",
    ),
    "movinet_lite.hub": (
        "available_models",
        "cached_models",
        "clear_cache",
        "download_model",
    ),
    "movinet_lite.labels": (
        "kinetics_600_labels",
        "load_labels",
        "search_labels",
    ),
    "movinet_lite.predictions": (
        "LabelFilter",
        "Prediction",
        "PredictionTable",
        "mean_prediction",
        "predictions_to_table",
        "softmax",
        "top_k",
        "top_k_over_time",
    ),
    "movinet_lite.video": (
        "FrameReader",
        "VideoInfo",
        "load_clip",
        "read_frames",
        "read_video_info",
        "write_video",
    ),
}
"""The module of each public name: it is imported when the name is used first, so that a program imports only what it uses."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names}
_PARTS = {module.split(".")[1] for module in _NAMES}


def __getattr__(name: str) -> Any:
    """Import a public name, or a part of the package that has some; see :pep:`562`."""
    if name in _PARTS:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
