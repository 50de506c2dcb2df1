"""From frames to predictions: a whole clip at once, or frame by frame as they arrive.

A classifier is a thin session around an engine's model. The model holds the weights and is shared; a session owns the
states of its one stream.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
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
from movinet_lite.engines import Engine, load_model
from movinet_lite.engines.base import (
    BatchStreamModel,
    ClipModel,
    ModelInfo,
    StreamModel,
)
from movinet_lite.errors import ModelError, SessionError
from movinet_lite.labels import check_labels, kinetics_600_labels, load_labels
from movinet_lite.predictions import Prediction
from movinet_lite.preprocess import (
    Fit,
    check_fit,
    check_frame_size,
    check_positive,
    prepare_clip,
    prepare_frame,
)
from movinet_lite.states import fit_states
from movinet_lite.variants import Mode

__all__ = ["BaseClassifier", "StreamingClassifier", "step_many"]

_FRAMES_PER_CALL = 16  # what `run` gives the model at once: beyond it, a call gains little and a result waits longer


@attrs.define
class _Chunk:
    """Frames for one call: prepared, with their times and the shape they came in, and what stopped it short."""

    frames: NDArray[np.float32]
    times: list[float | None] = attrs.Factory(list)
    shape: tuple[int, ...] | None = None
    failure: Exception | None = None


class _Session:
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
        if info.mode != mode:
            other = "StreamingClassifier" if mode == "base" else "BaseClassifier"
            raise ModelError(
                f"a {type(self).__name__} needs a {mode} model; this is a {info.mode} model (give it to {other})",
                info.source,
                mode,
                info.mode,
            )
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


class BaseClassifier(_Session):
    """Recognises the action in a whole clip.

    Example:
        ::

            classifier = BaseClassifier.load("a2")
            clip = load_clip("clip.mp4", fps=classifier.fps)
            classifier.predict(clip).top_k(5)
    """

    _model: ClipModel

    def __init__(
        self,
        model: ClipModel,
        labels: Sequence[str] | str | Path | None = None,
        *,
        frame_size: FrameSize | None = None,
        fps: float | None = None,
        fit: Fit = "stretch",
    ) -> None:
        """Open a session over *model*; see `load` for the arguments.

        Raises:
            ModelError: If *model* is a stream model.
            LabelsError: If there are not as many labels as classes.
        """
        super().__init__(
            model, labels, frame_size=frame_size, fps=fps, fit=fit, mode="base"
        )
        self._model = model

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
    ) -> Self:
        """Return a classifier for the base model at *source*.

        Args:
            source: ``"a0"`` to ``"a5"``, an address on TF Hub or Kaggle, another address of an archive, or the path of
                a SavedModel, a ``.tflite`` file that this library wrote, or what fine-tuning wrote.
            labels: The names of the classes in the order of the logits, or the path of a file with one a line;
                `None` for the model's own (Kinetics-600 for the published models).
            engine: What computes; see `Engine`.
            threads: How many threads the engine may use; `None` for one a core.
            frame_size: The ``(height, width)`` to scale frames to; `None` for what the model was trained on.
            fps: The frames per second that the model was trained on, where it does not know.
            fit: How a frame of another size is scaled; see `prepare_frame`.
            offline: Whether the network must not be touched; the environment variable
                ``MOVINET_LITE_OFFLINE=1`` says so for all calls.

        Raises:
            ModelError: If the model cannot be found, fetched or read, or is a stream model.
            LabelsError: If the labels are not as many as the model's classes, or unknown.
        """
        model = load_model(
            source,
            "base",
            engine=engine,
            threads=threads,
            frame_size=frame_size,
            offline=offline,
        )
        return cls(model, labels, frame_size=frame_size, fps=fps, fit=fit)

    @property
    def model(self) -> ClipModel:
        """The engine's model, which other sessions may share."""
        return self._model

    def predict(self, clip: Clip | Sequence[Frame | VideoFrame]) -> Prediction:
        """Return the prediction for *clip*.

        Args:
            clip: ``(frames, height, width, 3)``, uint8, 0 to 255, or float32, 0 to 1, RGB, of any size and length, at
                `fps` frames per second; or a list of such frames.

        Raises:
            ArrayError: If *clip* is something else.
            SessionError: If the session is closed, or in use by another thread.
        """
        prepared = prepare_clip(as_clip(clip), self._frame_size, fit=self._fit)
        with self._alone():
            logits = self._model.predict(prepared[np.newaxis])
        return Prediction(logits[0], self._labels)

    def predict_many(
        self, clips: Iterable[Clip | Sequence[Frame | VideoFrame]]
    ) -> list[Prediction]:
        """Return the prediction for each of *clips*, those of one length in one call.

        Args:
            clips: Any number of clips, each as `predict` takes it.

        Raises:
            ArrayError: If one is no clip; then none is predicted.
            SessionError: If the session is closed, or in use by another thread.
        """
        prepared = [
            prepare_clip(as_clip(clip), self._frame_size, fit=self._fit)
            for clip in clips
        ]
        predictions: dict[int, Prediction] = {}
        with self._alone():
            for length in sorted({len(clip) for clip in prepared}):
                places = [i for i, clip in enumerate(prepared) if len(clip) == length]
                logits = self._model.predict(np.stack([prepared[i] for i in places]))
                for place, row in zip(places, logits, strict=True):
                    predictions[place] = Prediction(row, self._labels)
        return [predictions[place] for place in range(len(prepared))]


class StreamingClassifier(_Session):
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
        self._states: States = model.init_states(self._frame_size)
        self._num_frames = 0
        self._given_size: tuple[int, ...] | None = None
        # While `run` hands out the predictions of one call, `_states` are those before the call, and `_handed_out`
        # the frames of it whose predictions the caller has.
        self._handed_out: NDArray[np.float32] | None = None
        self._changes = 0
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
            self._states = {}
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
        ahead = 0 if self._handed_out is None else len(self._handed_out)
        return self._num_frames + ahead

    @property
    def init_states(self) -> dict[str, NDArray[Any]]:
        """The states of a stream that has seen no frame: the model's own names to arrays, yours to keep."""
        return _copy(self._model.init_states(self._frame_size))

    @property
    def states(self) -> dict[str, NDArray[Any]]:
        """The states after the last frame: the model's own names to arrays, yours to keep.

        Assign such a dict to go back to it, or to go on with a stream that another session began, on whichever engine.
        Names may be in any published form (see `movinet_lite.states`).

        Raises:
            SessionError: If what is assigned does not fit the model; the message names the first state that differs,
                and the session stays as it was. Also if the session is closed, or in use by another thread.
        """
        with self._alone():
            return _copy(self._current_states())

    @states.setter
    def states(self, states: States) -> None:
        with self._alone():
            fitted = fit_states(states, self._model.init_states(self._frame_size))
            self._settle()
            self._states = fitted
            self._changes += 1

    def reset(self) -> None:
        """Forget all frames, to begin with another video.

        Raises:
            SessionError: If the session is closed, or in use by another thread.
        """
        with self._alone():
            self._states = self._model.init_states(self._frame_size)
            self._num_frames = 0
            self._given_size = None
            self._handed_out = None
            self._changes += 1

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
            shape = self._prepare(frame, self._room[0])
            logits, states = self._model.step(self._room, self._current_states())
            return self._advance(logits[0], states, shape, _time_of(frame, time_s))

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
            chunk = self._take(frames, room)
            if chunk.times:
                yield from self._run_chunk(chunk)
            if chunk.failure is not None:
                raise chunk.failure
            if len(chunk.times) < frames_per_call:
                return

    def _take(
        self, frames: Iterator[Frame | VideoFrame], room: NDArray[np.float32]
    ) -> _Chunk:
        """Return as many frames as there is *room* for, or as come."""
        chunk = _Chunk(room)
        changes = self._changes
        try:
            for place, frame in enumerate(itertools.islice(frames, len(room))):
                self._check_unchanged(changes)
                shape = self._prepare(frame, room[place])
                self._check_size(shape, chunk.shape)
                chunk.shape = shape
                chunk.times.append(_time_of(frame, None))
        except Exception as error:  # noqa: BLE001 - raised once the frames before it are answered
            chunk.failure = error
        return chunk

    def _run_chunk(self, chunk: _Chunk) -> Iterator[Prediction]:
        frames = chunk.frames[: len(chunk.times)]
        with self._alone():
            self._settle()
            logits, states = self._model.step(frames, self._states)
            self._given_size = chunk.shape
            self._changes += 1  # another run that is still going on must not
            changes = self._changes
        try:
            for place, (row, time_s) in enumerate(
                zip(logits, chunk.times, strict=True)
            ):
                with self._alone():
                    self._handed_out = frames[: place + 1]
                yield Prediction(
                    row,
                    self._labels,
                    frame_index=self._num_frames + place,
                    time_s=time_s,
                )
                self._check_unchanged(changes)
        finally:
            self._end_chunk(frames, states, changes)

    def _end_chunk(
        self, frames: NDArray[np.float32], states: States, changes: int
    ) -> None:
        """Leave the session just after the last prediction that was handed out."""
        if self._closed or self._changes != changes or self._handed_out is None:
            return
        with self._alone():
            if len(self._handed_out) == len(frames):
                self._states = states
                self._num_frames += len(frames)
                self._handed_out = None
            else:
                self._settle()

    def _advance(
        self,
        logits: NDArray[np.float32],
        states: States,
        shape: tuple[int, ...],
        time_s: float | None,
    ) -> Prediction:
        """Take one frame as seen, and return its prediction."""
        before = self.num_frames
        prediction = Prediction(logits, self._labels, frame_index=before, time_s=time_s)
        self._states = states
        self._given_size = shape
        self._num_frames = before + 1
        self._handed_out = None
        self._changes += 1
        return prediction

    def _check_unchanged(self, changes: int) -> None:
        """Refuse to go on with a run where the session was used otherwise since *changes* were counted."""
        if self._changes != changes:
            raise SessionError(
                "a session must not be used otherwise while it runs over frames; it was stepped, reset, given other "
                "states or run a second time between two predictions (at a cut, end the run, call reset(), run again)"
            )

    def _current_states(self) -> States:
        """Return the states just after the last prediction that a run has handed out, or the last step."""
        if self._handed_out is None:
            return self._states
        return self._model.step(self._handed_out, self._states)[1]

    def _settle(self) -> None:
        """Make an end of a run that is still going on, before the session is used otherwise."""
        if self._handed_out is not None:
            self._states = self._current_states()
            self._num_frames += len(self._handed_out)
            self._handed_out = None

    def _prepare(
        self, frame: Frame | VideoFrame, room: NDArray[np.float32]
    ) -> tuple[int, ...]:
        """Write *frame* into *room* as the model takes it, and return the shape it came in."""
        pixels = as_frame(frame)
        self._check_size(pixels.shape, self._given_size)
        prepare_frame(pixels, self._frame_size, fit=self._fit, out=room)
        return pixels.shape

    @staticmethod
    def _check_size(shape: tuple[int, ...], first: tuple[int, ...] | None) -> None:
        if first is not None and shape != first:
            raise SessionError(
                f"every frame of a session must have shape {first}, as the first had; got {shape} "
                "(call reset() before another video)"
            )


def step_many(
    sessions: Sequence[StreamingClassifier], frames: Sequence[Frame | VideoFrame]
) -> list[Prediction]:
    """Step each of *sessions* by its frame, all in one call, and return the prediction of each.

    The predictions are those of `StreamingClassifier.step`. The sessions may be of any age, and need not be the same
    from call to call: a stream that has no frame yet is left out. If a frame is refused, no session has moved.

    It gains time over single steps where the model was loaded for as many *streams*; see `StreamingClassifier.load`.

    Args:
        sessions: Different sessions over one model.
        frames: One frame for each, as `StreamingClassifier.step` takes it.

    Returns:
        The predictions, in the order of *sessions*.

    Raises:
        ArrayError: If a frame is not one RGB picture.
        SessionError: If the sessions are not of one model and frame size, if one stands there twice, or has no frame,
            or as in `StreamingClassifier.step`.
    """
    _check_sessions(sessions, frames)
    if not sessions:
        return []
    model = sessions[0].model
    with contextlib.ExitStack() as stack:
        for session in sessions:
            stack.enter_context(session._alone())  # noqa: SLF001
        batch = np.empty((len(frames), *sessions[0].frame_size, 3), np.float32)
        shapes = [
            session._prepare(frame, room)  # noqa: SLF001
            for session, frame, room in zip(sessions, frames, batch, strict=True)
        ]
        states = [session._current_states() for session in sessions]  # noqa: SLF001
        if isinstance(model, BatchStreamModel):
            logits, after = model.step_many(batch, states)
        else:
            steps = [
                model.step(frame[np.newaxis], state)
                for frame, state in zip(batch, states, strict=True)
            ]
            logits = np.concatenate([rows for rows, _ in steps])
            after = [state for _, state in steps]
        return [
            session._advance(row, state, shape, _time_of(frame, None))  # noqa: SLF001
            for session, row, state, shape, frame in zip(
                sessions, logits, after, shapes, frames, strict=True
            )
        ]


def _check_sessions(
    sessions: Sequence[StreamingClassifier], frames: Sequence[Frame | VideoFrame]
) -> None:
    if len(sessions) != len(frames):
        raise SessionError(
            f"each session must have one frame; got {len(sessions)} sessions and {len(frames)} frames"
        )
    if len({id(session) for session in sessions}) < len(sessions):
        raise SessionError("a session must be given once a call; got one twice")
    if len({id(session.model) for session in sessions}) > 1:
        raise SessionError(
            "sessions that are stepped together must share one model; got several (open them with new_session())"
        )
    if len({session.frame_size for session in sessions}) > 1:
        raise SessionError(
            "sessions that are stepped together must have one frame size; "
            f"got {sorted({session.frame_size for session in sessions})}"
        )


def _choose_labels(
    labels: Sequence[str] | str | Path | None, info: ModelInfo
) -> tuple[str, ...]:
    if isinstance(labels, (str, Path)):
        labels = load_labels(labels)
    chosen = labels if labels is not None else info.labels
    if chosen is None and info.num_classes == len(kinetics_600_labels()):
        chosen = kinetics_600_labels()
    if chosen is None:
        raise ModelError(
            f"the model must know the names of its {info.num_classes} classes; it does not "
            "(give them: labels=[...], or labels='labels.txt' with one name a line)",
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


def _time_of(frame: Frame | VideoFrame, time_s: float | None) -> float | None:
    if time_s is None and isinstance(frame, VideoFrame):
        return frame.time_s
    return time_s


def _is_frames(clip: object) -> bool:
    return isinstance(clip, (list, tuple))


def _copy(states: States) -> dict[str, NDArray[Any]]:
    return {name: np.array(states[name]) for name in states}
