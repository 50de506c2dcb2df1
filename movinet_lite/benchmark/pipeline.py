"""Measures CPU time by stage, from a video file to its predictions."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.engines import load_model
from movinet_lite.video.decoding import Quality, VideoDecoder
from movinet_lite.video.reading import sampled_pictures
from movinet_lite.video.scaling import FrameScaler
from movinet_lite.video.source import VideoFile
from movinet_lite.video.thinning import Samples

__all__ = ["PipelineCost", "measure_pipeline"]

_Result = TypeVar("_Result")

_DEFAULT_FPS: Final = 5.0  # of a model that does not know its own: A0 to A2
_FRAMES_PER_CALL: Final = 16


@attrs.frozen
class PipelineCost:
    """The CPU time of a pipeline by stage, in seconds over all threads.

    Attributes:
        video: The file.
        codec: FFmpeg's name of its codec.
        frame_size: ``(height, width)`` of its frames.
        fps: Frame rate of the model.
        quality: The decoding quality.
        num_frames: Number of frames of the file, up to the last sampled one.
        num_decoded: Number of decoded frames.
        num_sampled: Number of sampled frames.
        demux_s: Reading the file.
        decode_all_s: Decoding every frame.
        decode_s: Decoding the frames that are needed.
        scale_s: Scaling the sampled frames and converting their colours.
        infer_s: Running the model.
        total_s: The whole pipeline, as in ``predict_video``, with one decoding thread.
        wall_s: Wall-clock time of the whole pipeline, in seconds.
    """

    video: str
    codec: str
    frame_size: FrameSize
    fps: float
    quality: Quality
    num_frames: int
    num_decoded: int
    num_sampled: int
    demux_s: float
    decode_all_s: float
    decode_s: float
    scale_s: float
    infer_s: float
    total_s: float
    wall_s: float

    def to_text(self) -> str:
        """Return a table of the stages, for decoding all frames and only the required ones."""
        height, width = self.frame_size
        saved_s = self.decode_all_s - self.decode_s
        parts_s = self.demux_s + self.decode_s + self.scale_s + self.infer_s
        rows = [
            ("demux", self.demux_s, self.demux_s),
            ("decode", self.decode_all_s, self.decode_s),
            ("scale", self.scale_s, self.scale_s),
            ("infer", self.infer_s, self.infer_s),
            ("rest", self.total_s - parts_s, self.total_s - parts_s),
            ("total", self.total_s + saved_s, self.total_s),
        ]
        about = (
            f"{self.video}: {self.codec}, {width} x {height}, {self.num_sampled} frames at {self.fps:g} fps, "
            f"{self.num_decoded} of {self.num_frames} decoded; CPU seconds:"
        )
        head = f"{'':8} {'every frame':>12} {'needed only':>12}"
        lines = [f"{name:8} {all_s:12.2f} {s:12.2f}" for name, all_s, s in rows]
        return "\n".join([about, head, *lines, f"by the clock {self.wall_s:.2f} s"])


def measure_pipeline(
    video: str | Path,
    model: str | Path,
    *,
    threads: int | None = None,
    quality: Quality = "exact",
    offline: bool = False,
) -> PipelineCost:
    """Measure where the CPU time goes when a stream model goes through a video file.

    Args:
        video: The file.
        model: The stream model; one that does not know its frame rate gets 5 frames per second.
        threads: Number of threads of the engine; `None` for one per core. One thread decodes.
        quality: ``"exact"`` or ``"fast"``.
        offline: Whether the network must not be touched.

    Raises:
        VideoError: If the video cannot be read, or is damaged.
        ModelError: If the model cannot be had, or is a base model.
    """
    engine = load_model(model, "stream", threads=threads, offline=offline)
    labels = engine.info.labels or [str(n) for n in range(engine.info.num_classes)]
    classifier = StreamingClassifier(
        engine, labels, fps=engine.info.fps or _DEFAULT_FPS
    )
    fps = classifier.fps or _DEFAULT_FPS
    decode = _Decoding(video, quality)
    _, demux_s = _cpu_time(decode.demux)
    _, all_s = _cpu_time(lambda: decode.count(None))
    (num_frames, num_decoded), needed_s = _cpu_time(lambda: decode.count(Samples(fps)))
    num_sampled, scale_s, infer_s = _scale_and_infer(classifier, video, fps, quality)

    begin_s = time.perf_counter()
    _, total_s = _cpu_time(
        lambda: classifier.predict_video(video, decode_threads=1, quality=quality)
    )
    wall_s = time.perf_counter() - begin_s
    return PipelineCost(
        video=str(video),
        codec=decode.codec,
        frame_size=decode.frame_size,
        fps=fps,
        quality=quality,
        num_frames=num_frames,
        num_decoded=num_decoded,
        num_sampled=num_sampled,
        demux_s=demux_s,
        decode_all_s=all_s - demux_s,
        decode_s=needed_s - demux_s,
        scale_s=scale_s,
        infer_s=infer_s,
        total_s=total_s,
        wall_s=wall_s,
    )


class _Decoding:
    """Reads a file without using its frames.

    Attributes:
        codec: FFmpeg's name of the codec.
        frame_size: ``(height, width)``.
    """

    def __init__(self, video: str | Path, quality: Quality) -> None:
        self._video = video
        self._quality: Quality = quality
        with closing(VideoDecoder(video)) as decoder:
            self.codec = decoder.info.codec
            self.frame_size = decoder.info.frame_size

    def demux(self) -> None:
        """Read the packets."""
        import av

        with av.open(VideoFile.of(self._video).for_pyav(), "r") as file:
            collections.deque(file.demux(video=0), maxlen=0)

    def count(self, samples: Samples | None) -> tuple[int, int]:
        """Decode, and return how many frames there are and how many of them were decoded."""
        with closing(
            VideoDecoder(self._video, samples=samples, threads=1, quality=self._quality)
        ) as decoder:
            is_decoded = [picture is not None for *_, picture in decoder.frames(0.0)]
        return len(is_decoded), sum(is_decoded)


def _scale_and_infer(
    classifier: StreamingClassifier, video: str | Path, fps: float, quality: Quality
) -> tuple[int, float, float]:
    """Return how many frames are sampled, and the CPU time that scaling and the model take."""
    num_sampled, scale_s, infer_s = 0, 0.0, 0.0
    session = classifier.new_session()
    scaler = FrameScaler(session.frame_size)
    pixels: list[NDArray[np.uint8]] = []
    samples = Samples(fps)
    with closing(
        VideoDecoder(video, samples=samples, threads=1, quality=quality)
    ) as decoder:
        for _, picture in sampled_pictures(decoder, samples):
            begin_s = time.process_time()
            pixels.append(decoder.prepared(picture, scaler))
            scale_s += time.process_time() - begin_s
            num_sampled += 1
            if len(pixels) == _FRAMES_PER_CALL:
                infer_s += _run(session, pixels)
                pixels = []
        infer_s += _run(session, pixels)
    return num_sampled, scale_s, infer_s


def _run(session: StreamingClassifier, frames: list[NDArray[np.uint8]]) -> float:
    _, seconds = _cpu_time(lambda: list(session.run(frames)))
    return seconds


def _cpu_time(work: Callable[[], _Result]) -> tuple[_Result, float]:
    begin_s = time.process_time()
    return work(), time.process_time() - begin_s
