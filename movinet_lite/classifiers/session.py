"""What both classifiers have: a model, its labels, and the size and rate of its frames."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from movinet_lite.arrays import FrameSize, check_frame_size, check_positive
from movinet_lite.engines.base import ClipModel, ModelInfo, StreamModel
from movinet_lite.errors import ModelError, SessionError
from movinet_lite.labels import check_labels, kinetics_600_labels, load_labels
from movinet_lite.network.variants import Mode, check_mode
from movinet_lite.video import Fit
from movinet_lite.video.scaling import check_fit

__all__ = ["Session"]


class Session:
    """What both classifiers have: a model, its labels, and the size and rate of its frames."""

    _model: ClipModel | StreamModel

    def __init__(
        self,
        model: ClipModel | StreamModel,
        labels: Sequence[str] | str | Path | None,
        *,
        frame_size: FrameSize | None,
        fps: float | None,
        fit: Fit,
        mode: Mode,
    ) -> None:
        info = model.info
        check_mode(info.mode, mode, info.source)
        self._info = info
        self._labels = _choose_labels(labels, info)
        self._frame_size = _choose_frame_size(frame_size, info)
        self._fps = check_positive(fps, "fps") if fps is not None else info.fps
        self._fit: Fit = check_fit(fit)
        self._closed = False
        self._in_use = threading.Lock()

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self._info

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self._labels

    @property
    def frame_size(self) -> FrameSize:
        """The ``(height, width)`` that every frame is scaled to."""
        return self._frame_size

    @property
    def fps(self) -> float | None:
        """The frames per second that the model was trained on; `None` if unknown.

        Give it to `read_frames`: a model that is fed six times as many frames as it learnt on sees everything in slow
        motion.
        """
        return self._fps

    def close(self) -> None:
        """End the session; every later use of it is a `SessionError`. The model lives on in other sessions."""
        self._closed = True

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse a second thread rather than mix up its frames with those of the first."""
        if not self._in_use.acquire(blocking=False):
            raise SessionError(
                "a session serves one thread at a time; another is using this one "
                "(open one session for each thread: they can share the model)"
            )
        try:
            self._check_open()
            yield
        finally:
            self._release()

    def _release(self) -> None:
        """Let another use of the session begin."""
        self._in_use.release()


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
