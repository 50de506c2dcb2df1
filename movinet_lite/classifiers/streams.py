"""Recognises actions frame by frame, as the frames arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import (
    Clip,
    Frame,
    FrameSize,
    States,
    VideoFrame,
    as_clip,
    as_frame,
)
from movinet_lite.classifiers.lookahead import Chunk, Place, gather
from movinet_lite.classifiers.session import Session
from movinet_lite.engines import Engine, load_model
from movinet_lite.engines.base import StreamModel
from movinet_lite.errors import SessionError
from movinet_lite.network.state_names import fit_states
from movinet_lite.predictions import Prediction
from movinet_lite.video import Fit, prepare_frame

__all__ = ["StreamingClassifier"]

_FRAMES_PER_CALL = 16  # what `run` gives the model at once: beyond it, a call gains little and a result waits longer


class StreamingClassifier(Session):
    """Recognises actions frame by frame, as the frames arrive.

    The session owns the states of one stream. For another stream at the same time open a `new_session`, which shares the
    model; `step_many` steps many sessions at once.

    Example:
        ::

            classifier = StreamingClassifier.load("a2")
            for frame in read_frames("clip.mp4", fps=classifier.fps):
                print(classifier.step(frame).top_k(5))
    """

    _model: StreamModel

    def __init__(
        self,
        model: StreamModel,
        labels: Sequence[str] | str | Path | None = None,
        *,
        frame_size: FrameSize | None = None,
        fps: float | None = None,
        fit: Fit = "stretch",
    ) -> None:
        """Open a session over *model*; see `load` for the arguments.

        Raises:
            ModelError: If *model* is a base model.
            LabelsError: If there are not as many labels as classes.
        """
        super().__init__(
            model, labels, frame_size=frame_size, fps=fps, fit=fit, mode="stream"
        )
        self._model = model
        self._place = Place(model, model.init_states(self._frame_size))
        self._given_size: tuple[int, ...] | None = None
        # Where frames are prepared, taken once: new memory for each frame costs more than the preparing.
        self._room = np.empty((1, *self._frame_size, 3), np.float32)

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
        streams: int = 1,
        offline: bool = False,
    ) -> Self:
        """Return a classifier for the stream model at *source*.

        Args:
            source: ``"demo"``, which ships with the package; ``"a0"`` to ``"a5"``; an address on TF Hub or Kaggle;
                another address of an archive; or the path of a SavedModel, a ``.tflite`` file, or what fine-tuning wrote.
            labels: The names of the classes in the order of the logits, or the path of a file with one a line;
                `None` for the model's own (Kinetics-600 for the published models).
            engine: What computes; see `Engine`.
            threads: How many threads the engine may use; `None` for one a core.
            frame_size: The ``(height, width)`` to scale frames to; `None` for what the model was trained on.
            fps: The frames per second that the model was trained on, where it does not know.
            fit: How a frame of another size is scaled; see `prepare_frame`.
            streams: How many streams `step_many` shall step in one call; for the others see `new_session`.
            offline: Whether the network must not be touched; the environment variable
                ``MOVINET_LITE_OFFLINE=1`` says so for all calls.

        Raises:
            ModelError: If the model cannot be found, fetched or read, or is a base model.
            LabelsError: If the labels are not as many as the model's classes, or unknown.
        """
        model = load_model(
            source,
            "stream",
            engine=engine,
            threads=threads,
            frame_size=frame_size,
            streams=streams,
            offline=offline,
        )
        return cls(model, labels, frame_size=frame_size, fps=fps, fit=fit)

    def close(self) -> None:
        """End the session and give its states back; every later use of it is a `SessionError`.

        The model lives on in other sessions.
        """
        super().close()
        # Where another thread is still in a step, it does so at the end.
        if self._in_use.acquire(blocking=False):
            self._release()

    def _release(self) -> None:
        if self._closed:
            self._place = Place(self._model, {}, self._place.num_frames)
        super()._release()

    @property
    def model(self) -> StreamModel:
        """The engine's model, which other sessions may share."""
        return self._model

    def new_session(self) -> Self:
        """Return another session over the same model, for another stream: it has seen no frame."""
        return type(self)(
            self._model,
            self._labels,
            frame_size=self._frame_size,
            fps=self._fps,
            fit=self._fit,
        )

    @property
    def num_frames(self) -> int:
        """How many frames the session has taken since it was opened or `reset`."""
        return self._place.num_frames

    @property
    def init_states(self) -> dict[str, NDArray[Any]]:
        """The states of a stream that has seen no frame: the model's own names to arrays, yours to keep."""
        return _copy(self._model.init_states(self._frame_size))

    @property
    def states(self) -> dict[str, NDArray[Any]]:
        """The states after the last frame: the model's own names to arrays, yours to keep.

        Assign such a dict to go back to it, or to go on with a stream that another session began, on whichever engine.
        Names may be in any published form (see `movinet_lite.network.state_names`).

        Raises:
            SessionError: If what is assigned does not fit the model; the message names the first state that differs,
                and the session stays as it was. Also if the session is closed, or in use by another thread.
        """
        with self._alone():
            return _copy(self._place.states())

    @states.setter
    def states(self, states: States) -> None:
        with self._alone():
            fitted = fit_states(states, self._model.init_states(self._frame_size))
            self._place.move(fitted, self._place.num_frames)

    def reset(self) -> None:
        """Forget all frames, to begin with another video.

        Raises:
            SessionError: If the session is closed, or in use by another thread.
        """
        with self._alone():
            self._place.move(self._model.init_states(self._frame_size), 0)
            self._given_size = None

    def step(
        self, frame: Frame | VideoFrame, *, time_s: float | None = None
    ) -> Prediction:
        """Return the prediction after all frames so far, *frame* included.

        A frame that fails leaves the session as it was.

        Args:
            frame: ``(height, width, 3)``, uint8, 0 to 255, or float32, 0 to 1, RGB, of any size, but of one size
                between two calls of `reset`; or a `VideoFrame`.
            time_s: When the frame is shown, in seconds, for the prediction; a `VideoFrame` brings its own.

        Raises:
            ArrayError: If *frame* is not one RGB picture.
            SessionError: If its size differs from the first frame's, or the session is closed or in use by another
                thread.
        """
        with self._alone():
            shape = self._prepare(frame, self._room[0], self._given_size)
            logits, states = self._model.step(self._room, self._place.states())
            return self._advance(logits[0], states, shape, frame, time_s)

    def run(
        self,
        frames: Iterable[Frame | VideoFrame],
        *,
        frames_per_call: int = _FRAMES_PER_CALL,
    ) -> Iterator[Prediction]:
        """Yield the prediction after each of *frames*, as `step` would give it, and faster.

        It waits for *frames_per_call* frames before it gives their predictions. For frames that arrive live, call
        `step`. A caller that stops early finds the session just after the last prediction it was given.

        Args:
            frames: Any number of frames, each as `step` takes it.
            frames_per_call: How many frames the model gets at once.

        Yields:
            One prediction a frame.

        Raises:
            ArrayError: If a frame is not one RGB picture; the predictions of all frames before it have been given.
            SessionError: As `step`; also if the session was used otherwise between two predictions.
            ValueError: If *frames_per_call* is less than 1.
        """
        if frames_per_call < 1:
            raise ValueError(
                f"frames_per_call must be at least 1; got {frames_per_call}"
            )
        return self._run(iter(frames), frames_per_call)

    def predict_frames(
        self, clip: Clip | Sequence[Frame | VideoFrame]
    ) -> list[Prediction]:
        """Return the prediction after each frame of *clip*, which goes on from the frames so far.

        Args:
            clip: ``(frames, height, width, 3)``, each frame as `step` takes it.

        Raises:
            ArrayError: If *clip* is something else; then the session is as it was.
            SessionError: As `step`.
        """
        return list(self.run(clip if _is_frames(clip) else as_clip(clip)))

    def _run(
        self, frames: Iterator[Frame | VideoFrame], frames_per_call: int
    ) -> Iterator[Prediction]:
        room = np.empty((frames_per_call, *self._frame_size, 3), np.float32)
        while True:
            changes = self._place.changes
            chunk = gather(
                frames,
                room,
                self._prepare_next,
                lambda changes=changes: self._check_unchanged(changes),  # type: ignore[misc]
            )
            if len(chunk.frames):
                yield from self._run_chunk(chunk)
            if chunk.failure is not None:
                raise chunk.failure
            if len(chunk.frames) < frames_per_call:
                return

    def _run_chunk(self, chunk: Chunk) -> Iterator[Prediction]:
        with self._alone():
            before, changes = self._place.begin()
            first = self._place.num_frames
            logits, states = self._model.step(chunk.frames, before)
            self._given_size = chunk.shape
        try:
            for index, row in enumerate(logits):
                with self._alone():
                    self._place.hand_out(chunk.frames[: index + 1])
                yield Prediction(
                    row,
                    self._labels,
                    frame_index=first + index,
                    time_s=chunk.times_s[index],
                )
                self._check_unchanged(changes)
        finally:
            if not self._closed and self._place.changes == changes:
                with self._alone():
                    self._place.end(len(chunk.frames), states)

    def _advance(
        self,
        logits: NDArray[np.float32],
        states: States,
        shape: tuple[int, ...],
        frame: Frame | VideoFrame,
        time_s: float | None,
    ) -> Prediction:
        """Take one frame as seen, and return its prediction."""
        if time_s is None and isinstance(frame, VideoFrame):
            time_s = frame.time_s
        before = self._place.num_frames
        prediction = Prediction(logits, self._labels, frame_index=before, time_s=time_s)
        self._place.move(states, before + 1)
        self._given_size = shape
        return prediction

    def _check_unchanged(self, changes: int) -> None:
        """Refuse to go on with a run where the session was used otherwise since *changes* were counted."""
        if self._place.changes != changes:
            raise SessionError(
                "a session must not be used otherwise while it runs over frames; it was stepped, reset, given other "
                "states or run a second time between two predictions (at a cut, end the run, call reset(), run again)"
            )

    def _prepare_next(
        self,
        frame: Frame | VideoFrame,
        room: NDArray[np.float32],
        first: tuple[int, ...] | None,
    ) -> tuple[int, ...]:
        """Write *frame* into *room*; its shape must be the session's, or else that of the *first* of its call."""
        return self._prepare(frame, room, self._given_size or first)

    def _prepare(
        self,
        frame: Frame | VideoFrame,
        room: NDArray[np.float32],
        first: tuple[int, ...] | None,
    ) -> tuple[int, ...]:
        """Write *frame* into *room* as the model takes it, and return the shape it came in."""
        pixels = as_frame(frame)
        if first is not None and pixels.shape != first:
            raise SessionError(
                f"every frame of a session must have shape {first}, as the first had; got {pixels.shape} "
                "(call reset() before another video)"
            )
        prepare_frame(
            pixels,
            self._frame_size,
            fit=self._fit,
            short_side=self._short_side,
            out=room,
        )
        return pixels.shape


def _is_frames(clip: object) -> bool:
    return isinstance(clip, (list, tuple))


def _copy(states: States) -> dict[str, NDArray[Any]]:
    return {name: np.array(states[name]) for name in states}
