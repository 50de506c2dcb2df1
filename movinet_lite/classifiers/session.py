"""The base of both classifiers: a model, its labels, and the size and rate of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, check_fps, check_frame_size
from movinet_lite.engines import Engine, Provider, load_model
from movinet_lite.engines.base import ClipModel, ModelInfo, StreamModel
from movinet_lite.engines.features import split_rows
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError, SessionError
from movinet_lite.labels import check_labels, kinetics_600_labels, load_labels
from movinet_lite.network.spec import Activation, Functions, Gate
from movinet_lite.network.variants import Mode, check_mode, evaluation_short_side
from movinet_lite.predictions import Prediction
from movinet_lite.video import Fit, FrameReader
from movinet_lite.video.ahead import FramesAhead
from movinet_lite.video.decoding import MAX_PIXELS, Quality
from movinet_lite.video.scaling import FrameScaler, check_fit
from movinet_lite.video.source import VideoSource

__all__ = ["Session"]


class Session:
    """What both classifiers have: a model, its labels, and the size and rate of its frames."""

    _model: ClipModel | StreamModel
    _mode: ClassVar[Mode]
    _to_copy: ClassVar[str]  # what to do instead of copying one

    def __init__(
        self,
        model: ClipModel | StreamModel,
        labels: Sequence[str] | str | Path | None,
        *,
        frame_size: FrameSize | None,
        fps: float | None,
        fit: Fit,
    ) -> None:
        info = model.info
        check_mode(info.mode, self._mode, info.source)
        self._info = info
        self._labels = _choose_labels(labels, info)
        self._background = (
            None
            if info.background_index is None
            else self._labels[info.background_index]
        )
        self._frame_size = _choose_frame_size(frame_size, info)
        self._fps = check_fps(fps) if fps is not None else info.fps
        self._fit: Fit = check_fit(fit)
        self._short_side = (
            evaluation_short_side(info.variant, self._frame_size)
            if fit == "evaluation"
            else None
        )
        self._closed = False

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        labels: Sequence[str] | str | Path | None = None,
        engine: Engine = "auto",
        threads: int | None = None,
        frame_size: FrameSize | None = None,
        fps: float | None = None,
        fit: Fit = "stretch",
        offline: bool = False,
        provider: Provider | None = None,
        activation: Activation | None = None,
        gate: Gate | None = None,
    ) -> Self:
        """Return a classifier for the model at *source*.

        Args:
            source: ``"a0"`` to ``"a5"``; ``"demo"``, a stream model that ships with the package; an address on TF Hub or
                Kaggle; another address of an archive or a file; ``hf://owner/name[/file][@revision]`` on Hugging Face; or
                the path of a SavedModel, a ``.tflite`` file (for clips: one that this library wrote), an ``.onnx`` file that
                this library wrote, weights of PyTorch, or what fine-tuning wrote.
            labels: The labels in the order of the logits, or the path of a file with one per line; `None` for
                the model's own (Kinetics-600 for the published models).
            engine: The runtime; see `Engine`.
            threads: Number of threads of the engine; `None` for one per core, of the native engine at most 8.
            frame_size: The ``(height, width)`` to resize frames to; `None` for the model's own.
            fps: The frame rate of the model, if it does not store one.
            fit: How frames of another aspect ratio are resized; see `prepare_frame`.
            offline: Whether to use only local and cached models; the environment variable
                ``MOVINET_LITE_OFFLINE=1`` sets this for all calls.
            provider: The execution provider of ONNX Runtime, such as ``"cuda"``; `None` for the CPU. For
                ``.onnx`` files and *engine* ``"onnx"``.
            activation: For checkpoints only, which do not store it: ``"swish"`` or
                ``"hard_swish"``. `None` assumes that of the published models, with a warning.
            gate: For checkpoints only: ``"sigmoid"``, ``"hard_sigmoid"`` (stream models trained with Model Garden 2.8 or
                later) or ``"keras2_hard_sigmoid"`` (before). `None` assumes it, with a warning.

        Raises:
            ModelError: If the model cannot be found, fetched or read, is of the other mode, or *activation* or *gate* is
                given for a model that is not a checkpoint.
            VariantError: If *activation* or *gate* is unknown.
            LabelsError: If the number of labels is not the number of classes, or the labels are unknown.
        """
        model = load_model(
            source,
            cls._mode,
            engine=engine,
            threads=threads,
            frame_size=frame_size,
            offline=offline,
            provider=provider,
            functions=Functions(activation, gate),
        )
        return cls(model, labels, frame_size=frame_size, fps=fps, fit=fit)

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        return self._labels

    @property
    def frame_size(self) -> FrameSize:
        """The ``(height, width)`` that every frame is resized to."""
        return self._frame_size

    @property
    def fps(self) -> float | None:
        """The frame rate that the model was trained at; `None` if unknown.

        Give it to `read_frames`: a model that is fed six times as many frames as it learnt on sees everything in slow
        motion.
        """
        return self._fps

    def read_video(
        self,
        path: VideoSource,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        decode_threads: int | None = None,
        quality: Quality = "exact",
    ) -> FramesAhead:
        """Return the frames of a video file at the rate and in the size that the model takes.

        They are those of ``read_frames(path, fps=session.fps)``, and the session answers the same to them, in less time:
        a thread of its own decodes and scales up to 32 frames ahead.

        Args:
            path: The file; see `read_frames`.
            start_s: Start time in seconds; `None` for the first frame.
            end_s: End time in seconds, exclusive; `None` for the end of the video.
            decode_threads: How many threads of FFmpeg decode; `None` for one for each core. One alone takes the least
                CPU time, as in one worker among others.
            quality: ``"exact"``, or ``"fast"``, which takes less CPU time and changes the pictures a little: no filter
                smooths the edges of blocks, and colours are converted after scaling.

        Returns:
            An iterator of `VideoFrame`, and a context manager. Pixels are ``(height, width, 3)`` of `frame_size`,
            uint8, 0 to 255, RGB. The file is closed after the last frame, and when this is closed.

        Raises:
            VideoError: If the video cannot be opened; while it is read, if it is damaged.
            ArrayError: If *start_s* and *end_s* do not select a part of the video, or *decode_threads* or *quality* is
                impossible.
            ModelError: If the frame rate of the model is unknown, and no *fps* was passed to `load`.
            SessionError: If the session is closed.

        Example:
            ::

                classifier = StreamingClassifier.load("a2")
                with classifier.read_video("clip.mp4") as frames:
                    for prediction in classifier.run(frames):
                        print(prediction.top_k(1))
        """
        fps = self._trained_fps()
        self._check_open()
        return FramesAhead(
            FrameReader(
                path,
                fps=fps,
                frame_size=None,
                start_s=start_s,
                end_s=end_s,
                max_pixels=MAX_PIXELS,
                skip_damage=False,
                threads=available_cores() if decode_threads is None else decode_threads,
                quality=quality,
                scaler=self._new_scaler(),
            )
        )

    def _new_scaler(self) -> FrameScaler:
        """Return a scaler for the session's frames; it serves one thread at a time."""
        return FrameScaler(self._frame_size, self._fit, short_side=self._short_side)

    @property
    def background(self) -> str | None:
        """The label of the class for "none of these", which makes no event; `None` if the model has none."""
        return self._background

    def _predicted(self, row: NDArray[np.float32], **place: Any) -> Prediction:
        """Return the prediction with the logits, and the features if any, in a *row*, and the model's temperature."""
        logits, features = split_rows(row, self._info)
        return Prediction(
            logits,
            self._labels,
            temperature=self._info.temperature or 1.0,
            background=self._background,
            features=features if features.size else None,
            **place,
        )

    @property
    def fit(self) -> Fit:
        """How a frame of another size is scaled; see `prepare_frame`."""
        return self._fit

    @property
    def short_side(self) -> int | None:
        """The length of a frame's short side before the crop of ``fit="evaluation"``, in pixels; `None` for the others."""
        return self._short_side

    def close(self) -> None:
        """End the session; every later use of it is a `SessionError`. The model lives on in other sessions."""
        self._closed = True

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self._frame_size
        closed = ", closed" if self._closed else ""
        return (
            f"{type(self).__name__}({self._info.source!r}, {len(self._labels)} classes, "
            f"{height} x {width}, {self._info.engine}{closed})"
        )

    def _check_open(self) -> None:
        if self._closed:
            raise SessionError("the session must be open; it has been closed")

    def _trained_fps(self) -> float:
        """Return the frame rate that the model was trained on, or refuse to guess it."""
        if self._fps is None:
            raise ModelError(
                "the model must know how many frames per second it was trained on; it does not (give them: fps=5)",
                self._info.source,
            )
        return self._fps

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        # copy.copy, copy.deepcopy and pickle all come here. A copy would share its lock and its states with the first.
        raise SessionError(
            f"a {type(self).__name__} cannot be copied or pickled; {self._to_copy}"
        )


def _choose_labels(
    labels: Sequence[str] | str | Path | None, info: ModelInfo
) -> tuple[str, ...]:
    if isinstance(labels, (str, Path)):
        labels = load_labels(labels)
    chosen = labels if labels is not None else info.labels
    if chosen is None:
        published = "labels='kinetics-600' if it is a published model, "
        is_likely = info.num_classes == len(kinetics_600_labels())
        raise ModelError(
            f"the model must know the names of its {info.num_classes} classes; it does not "
            f"(give them: {published if is_likely else ''}labels=[...], or labels='labels.txt' with one name a line)",
            info.source,
        )
    return check_labels(chosen, info.num_classes)


def _choose_frame_size(frame_size: FrameSize | None, info: ModelInfo) -> FrameSize:
    chosen = frame_size if frame_size is not None else info.frame_size
    if chosen is None:
        raise ModelError(
            "the model must know the size of its frames; it does not (give it: frame_size=(height, width))",
            info.source,
        )
    return check_frame_size(chosen)
