"""Recognise actions in video with MoViNet: whole clips, or frame by frame as they arrive."""

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
