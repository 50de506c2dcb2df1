"""Reads and writes video files, samples frames by time, and scales them for a model."""

from movinet_lite.video.decoding import VideoInfo
from movinet_lite.video.reading import (
    FrameReader,
    load_clip,
    read_frames,
    read_video_info,
)
from movinet_lite.video.sampling import frames_shown_at, sample_times
from movinet_lite.video.scaling import (
    Fit,
    FrameScaler,
    prepare_clip,
    prepare_frame,
    to_float01,
    to_uint8,
)
from movinet_lite.video.writing import write_video

__all__ = [
    "Fit",
    "FrameReader",
    "FrameScaler",
    "VideoInfo",
    "frames_shown_at",
    "load_clip",
    "prepare_clip",
    "prepare_frame",
    "read_frames",
    "read_video_info",
    "sample_times",
    "to_float01",
    "to_uint8",
    "write_video",
]
