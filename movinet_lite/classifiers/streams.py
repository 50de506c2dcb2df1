"""The classifier for streams, frame by frame."""

from __future__ import annotations

import functools
import itertools
import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import (
    Clip,
    FeatureName,
    Frame,
    FrameSize,
    States,
    VideoFrame,
    as_clip,
    as_frame,
    check_positive,
)
from movinet_lite.classifiers.exclusive import exclusively
from movinet_lite.classifiers.frame_room import FrameRoom
from movinet_lite.classifiers.horizon import (
    BoundedStreamModel,
    Horizon,
    advance,
    bound,
)
from movinet_lite.classifiers.long_streams import frame_count, has_seen_frames
from movinet_lite.classifiers.lookahead import Chunk, gather
from movinet_lite.classifiers.place import Place
from movinet_lite.classifiers.session import Session
from movinet_lite.engines import Engine, Provider, load_model
from movinet_lite.engines.base import FitsStates, StreamModel, TakesBytes
from movinet_lite.engines.features import (
    check_feature_name,
    split_rows,
    stream_with_features,
)
from movinet_lite.errors import ArrayError, SessionError
from movinet_lite.network.spec import Activation, Functions, Gate
from movinet_lite.network.state_names import fit_states
from movinet_lite.network.variants import Mode
from movinet_lite.predictions import Prediction
from movinet_lite.video import Fit
from movinet_lite.video.decoding import Quality
from movinet_lite.video.source import VideoSource

__all__ = ["StreamingClassifier"]

_Result = TypeVar("_Result")

_FRAMES_PER_CALL = 16  # what `run` gives the model at once: beyond it, a call gains little and a result waits longer


class StreamingClassifier(Session):
    """Classifies a stream frame by frame with a stream model.

    The session owns the states of one stream. For another stream, open a `new_session`, which shares the model;
    `step_many` steps many sessions at once.

    Example:
        ::

            classifier = StreamingClassifier.load("a2")
            for frame in read_frames("clip.mp4", fps=classifier.fps):
                print(classifier.step(frame).top_k(5))
    """

    _model: StreamModel
    _mode: ClassVar[Mode] = "stream"
    _to_copy: ClassVar[str] = (
        "open another one with new_session(), and give it the states of this one: other.states = session.states "
        "(in another process: load the model there, and send the states)"
    )

    def __init__(
        self,
        model: StreamModel,
        labels: Sequence[str] | str | Path | None = None,
        *,
        frame_size: FrameSize | None = None,
        fps: float | None = None,
        fit: Fit = "stretch",
        horizon_s: Horizon = "auto",
        max_gap_s: float | None = None,
        restart_at_cuts: bool = False,
    ) -> None:
        """Open a session over *model*; see `load` for the arguments.

        Raises:
            ArrayError: If *horizon_s* or *max_gap_s* is not above 0.
            ModelError: If *model* is a base model.
            LabelsError: If there are not as many labels as classes.
        """
        super().__init__(model, labels, frame_size=frame_size, fps=fps, fit=fit)
        self._model = model
        self._horizon_s = horizon_s
        self._max_gap_s = (
            None if max_gap_s is None else check_positive(max_gap_s, "max_gap_s")
        )
        self._restart_at_cuts = restart_at_cuts
        self._stepped = bound(
            model,
            horizon_s,
            frame_size=self._frame_size,
            fps=self._fps,
            restart_at_cuts=restart_at_cuts,
        )
        self._giving: dict[FeatureName, StreamModel] = {}  # by `_model_giving`
        self._in_use = threading.Lock()
        self._place = Place(self._stepped, self._stepped.init_states(self._frame_size))
        self._scaler = self._new_scaler()
        self._room = self._new_room(1)

    @classmethod
    def load(  # noqa: D417 - `BaseClassifier.load` describes the others
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
        provider: Provider | None = None,
        horizon_s: Horizon = "auto",
        max_gap_s: float | None = None,
        restart_at_cuts: bool = False,
        activation: Activation | None = None,
        gate: Gate | None = None,
    ) -> Self:
        """Return a classifier for the stream model at *source*.

        `BaseClassifier.load` describes *source*, *labels*, *engine*, *threads*, *frame_size*, *fps*, *fit*, *offline*,
        *provider*, *activation* and *gate*.

        Args:
            streams: Number of streams that `step_many` steps in one call on LiteRT (the native engine takes any number); open
                the others with `new_session`.
            horizon_s: How far predictions look back, in seconds. A published stream model averages over *all* frames so
                far, and after half a minute of one action it no longer sees the next. With a horizon, predictions
                are bit-identical to the published model for that long; later a second, younger session takes over
                when it is sure of another label, and no prediction looks back further than two horizons. ``"auto"``
                is the length of the training clips (ten seconds); `None` averages over all frames, as published.
            max_gap_s: Reset the stream where two frames are further apart than this, in seconds, by their *time_s*;
                `None` for never.
            restart_at_cuts: Whether to reset the stream at a scene cut: a frame whose 8 x 8 thumbnail differs from
                those of all of the last ten seconds by more than 0.08 (mean absolute difference, 0 to 1) and by
                more than twice as much as usual, and more than any frame of the last 0.4 horizons did.

        Raises:
            ArrayError: If *horizon_s* or *max_gap_s* is not above 0.
            ModelError: As in `BaseClassifier.load`.
            LabelsError: As in `BaseClassifier.load`.
        """
        model = load_model(
            source,
            "stream",
            engine=engine,
            threads=threads,
            frame_size=frame_size,
            streams=streams,
            offline=offline,
            provider=provider,
            functions=Functions(activation, gate),
        )
        return cls(
            model,
            labels,
            frame_size=frame_size,
            fps=fps,
            fit=fit,
            horizon_s=horizon_s,
            max_gap_s=max_gap_s,
            restart_at_cuts=restart_at_cuts,
        )

    def close(self) -> None:
        """Close the session and free its states; every later use raises a `SessionError`.

        Other sessions over the model are not affected.
        """
        super().close()
        # Where another thread is still in a step, it does so at the end.
        if not self._in_use.locked():
            exclusively([self._in_use], self._leave_if_closed)

    def _leave_if_closed(self) -> None:
        if self._closed:
            self._place.leave()

    @property
    def model(self) -> StreamModel:
        """The engine's model, which other sessions may share."""
        return self._model

    def new_session(self) -> Self:
        """Return a new session over the same model, for another stream."""
        return type(self)(
            self._model,
            self._labels,
            frame_size=self._frame_size,
            fps=self._fps,
            fit=self._fit,
            horizon_s=self._horizon_s,
            max_gap_s=self._max_gap_s,
            restart_at_cuts=self._restart_at_cuts,
        )

    @property
    def horizon_s(self) -> float | None:
        """How far predictions look back, in seconds; `None` for no limit. See `load`."""
        return (
            self._stepped.horizon_s
            if isinstance(self._stepped, BoundedStreamModel)
            else None
        )

    @property
    def num_frames(self) -> int:
        """How many frames the stream has seen; the next prediction has this *frame_index*.

        Frames are counted since the session was opened or `reset`, or, after states were assigned, as the states count
        them. Where they do not count (no published model is without a count), or where the stream is older than its
        states say, assign the number.

        Raises:
            SessionError: If what is assigned is not a whole number of at least 0, or the session is closed, or in use by
                another thread.
        """
        return self._place.position.num_frames

    @num_frames.setter
    def num_frames(self, num_frames: int) -> None:
        try:
            count = operator.index(num_frames)
        except TypeError:
            count = -1
        if count < 0:
            raise SessionError(
                f"num_frames must be a whole number, at least 0; got {num_frames!r}"
            )
        self._alone(functools.partial(self._place.renumber, count))

    @property
    def init_states(self) -> dict[str, NDArray[Any]]:
        """The states of a stream that has seen no frame: the model's own names to arrays, yours to keep."""
        return _copy(self._stepped.init_states(self._frame_size))

    @property
    def states(self) -> dict[str, NDArray[Any]]:
        """The states after the last frame: the model's own names to arrays, copies that are yours to keep.

        Assign such a dict to go back to it, or to go on with a stream that another session began, on whichever engine.
        Names may be in any published form (see `movinet_lite.network.state_names`). `num_frames` goes on from the count
        in the states.

        Raises:
            SessionError: If what is assigned does not fit the model; the message names the first state that differs,
                and the session stays as it was. Also if the session is closed, or in use by another thread.
        """
        return self._alone(lambda: _copy(self._place.states()))

    @states.setter
    def states(self, states: States) -> None:
        self._alone(functools.partial(self._set_states, states))

    def _set_states(self, states: States) -> None:
        fitted: States
        if isinstance(self._stepped, FitsStates):
            fitted = self._stepped.fit(states)
        else:
            fitted = fit_states(states, self._pattern)
        num_frames = frame_count(fitted)
        if not num_frames and has_seen_frames(fitted, self.init_states):
            num_frames = self.num_frames  # of a model that counts none
        self._place.go_to(fitted, num_frames, self._place.position.frame_shape)

    @functools.cached_property
    def _pattern(self) -> dict[str, NDArray[Any]]:
        """The names, shapes and dtypes of the states; without their memory."""
        init_states = self._stepped.init_states(self._frame_size)
        return {
            name: np.broadcast_to(np.zeros((), value.dtype), value.shape)
            for name, value in init_states.items()
        }

    def reset(self) -> None:
        """Reset the states, to start another video.

        Raises:
            SessionError: If the session is closed, or in use by another thread.
        """
        self._alone(
            lambda: self._place.go_to(
                self._stepped.init_states(self._frame_size), 0, None
            )
        )

    def step(
        self,
        frame: Frame | VideoFrame,
        *,
        time_s: float | None = None,
        features: bool | FeatureName = False,
    ) -> Prediction:
        """Return the prediction after *frame*.

        If the call fails, the session is unchanged.

        Args:
            frame: ``(height, width, 3)``, uint8, 0 to 255, or float32, 0 to 1, RGB, of any size, but of one size
                between two calls of `reset`; or a `VideoFrame`.
            time_s: Display time of the frame in seconds, for the prediction; a `VideoFrame` has its own.
            features: Which `Prediction.features` to give: ``"pooled"`` (or `True`) or ``"hidden"``, as in `features`; `False`
                for none. They are those that the answer comes from, even if a horizon switched sessions.

        Raises:
            ArrayError: If *frame* is not an RGB picture.
            ModelError: If the model gives no *features*, which are asked for.
            SessionError: If its size differs from the first frame's, or the session is closed or in use by another
                thread.
        """
        return self._alone(
            functools.partial(self._step, frame, time_s, features=features)
        )

    def _step(
        self,
        frame: Frame | VideoFrame,
        time_s: float | None,
        *,
        features: bool | FeatureName,
    ) -> Prediction:
        model = self._model_giving(features)
        place = self._place
        time_s = time_of(frame, time_s)
        shape = self._prepare(frame, self._room, 0, place.position.frame_shape)
        states, age = self._to_step_from(time_s)
        prepared = self._room.prepared(1, self._scaler)
        rows, (seen,), states = advance(model, prepared, states, age)
        prediction = self._next_prediction(rows[0], time_s, seen)
        place.position = place.after(
            states, shape, time_s, begun_at=place.position.num_frames - age
        )
        return prediction

    def _to_step_from(self, time_s: float | None) -> tuple[States, int]:
        """Return the states to step from with a frame at *time_s*, and how many frames are in them."""
        if self._is_gap(self._place.position.time_s, time_s):
            return self._stepped.init_states(self._frame_size), 0
        return self._place.states_to_step(), self._place.age

    def _is_gap(self, last_s: float | None, time_s: float | None) -> bool:
        """Return whether the stream starts anew between frames at these times."""
        return (
            self._max_gap_s is not None
            and last_s is not None
            and time_s is not None
            and time_s - last_s > self._max_gap_s
        )

    def run(
        self,
        frames: Iterable[Frame | VideoFrame],
        *,
        frames_per_call: int = _FRAMES_PER_CALL,
        features: bool | FeatureName = False,
    ) -> Iterator[Prediction]:
        """Yield the prediction after each of *frames*: the same as with `step`, but faster.

        It gathers *frames_per_call* frames before it yields their predictions. For live frames, call `step`. If you stop
        early, the session is in the state after the last prediction that was yielded.

        Args:
            frames: Any number of frames, as for `step`.
            frames_per_call: Number of frames per call of the model.
            features: As in `step`.

        Yields:
            One prediction per frame.

        Raises:
            ArrayError: If a frame is not an RGB picture; the predictions of all earlier frames have been yielded.
            ModelError: If the model gives no *features*, which are asked for.
            SessionError: As `step`; also if the session was used otherwise between two predictions.
            ValueError: If *frames_per_call* is less than 1.
        """
        if frames_per_call < 1:
            raise ValueError(
                f"frames_per_call must be at least 1; got {frames_per_call}"
            )
        return self._run(iter(frames), frames_per_call, self._model_giving(features))

    def predict_frames(
        self,
        clip: Clip | Sequence[Frame | VideoFrame],
        *,
        features: bool | FeatureName = False,
    ) -> list[Prediction]:
        """Return the prediction after each frame of *clip*, continuing the stream.

        Args:
            clip: ``(frames, height, width, 3)``, each frame as for `step`.
            features: As in `step`.

        Raises:
            ArrayError: If *clip* is not a clip; the session is then unchanged.
            ModelError: If the model gives no *features*, which are asked for.
            SessionError: As `step`.
        """
        frames = clip if _is_frames(clip) else as_clip(clip)
        return list(self.run(frames, features=features))

    def predict_video(
        self,
        path: VideoSource,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        decode_threads: int | None = None,
        quality: Quality = "exact",
    ) -> list[Prediction]:
        """Return the prediction after each frame of a video file, or of a part of it.

        Frames are read at the frame rate of the model. The video is a separate stream; this session is not affected. For a
        long video, pass `read_video` to `run`, which does not keep the predictions.

        The arguments and the errors are those of `BaseClassifier.predict_video`.

        Example:
            ::

                StreamingClassifier.load("a2").predict_video("clip.mp4")[-1].top_k(5)
        """
        with (
            self.read_video(
                path,
                start_s=start_s,
                end_s=end_s,
                decode_threads=decode_threads,
                quality=quality,
            ) as frames,
            self.new_session() as session,
        ):
            return list(session.run(frames))

    def features(
        self,
        clip: Iterable[Frame | VideoFrame] | Clip,
        name: FeatureName = "pooled",
    ) -> NDArray[np.float32]:
        """Return features of the model after each frame of *clip*, a stream of its own without a horizon.

        The last row stands for the whole clip. This session stays as it is.

        Args:
            clip: ``(frames, height, width, 3)``, or frames one after the other, each as `step` takes it.
            name: ``"pooled"``, the backbone's output averaged over space and over all frames so far: 480 channels in A0,
                600 in A1, 640 in A2 to A5. Or ``"hidden"``, the output of the hidden layer that follows, after its
                activation, which the classifier takes: 2,048 channels. A model with a transformer has ``"hidden"`` alone.

        Returns:
            ``(frames, channels)``, float32.

        Raises:
            ArrayError: If there is no frame, or a frame is not an RGB picture.
            ModelError: If the model does not give these features: a ``.tflite`` file that others made has no output for
                ``"hidden"``.
            SessionError: If the session is closed.
        """
        return split_rows(self._feature_rows(clip, name), self._info)[1]

    def _feature_rows(
        self, clip: Iterable[Frame | VideoFrame] | Clip, name: FeatureName
    ) -> NDArray[np.float32]:
        """Return the logits and, behind them, the features after each frame of *clip*; see `features`."""
        self._check_open()
        name = check_feature_name(name, self._info.source)
        model = stream_with_features(self._model, [name])
        scaler = self._new_scaler()
        room = np.empty((_FRAMES_PER_CALL, *self._frame_size, 3), np.float32)
        states = model.init_states(self._frame_size)
        rows = []
        frames = iter(as_clip(clip) if isinstance(clip, np.ndarray) else clip)
        while pieces := list(itertools.islice(frames, len(room))):
            for frame, place in zip(pieces, room, strict=False):
                scaler.scale_into(as_frame(frame), place)
            found, states = model.step(room[: len(pieces)], states)
            rows.append(found)
        if not rows:
            raise ArrayError("a clip must have at least one frame; got none")
        return np.concatenate(rows)

    def _model_giving(self, features: bool | FeatureName) -> StreamModel:  # noqa: FBT001 - as `step` takes it
        """Return what steps the stream, and gives *features* too where they are asked for."""
        if features is False:
            return self._stepped
        name = check_feature_name(features, self._info.source)
        if name not in self._giving:
            model = stream_with_features(self._model, [name])
            if isinstance(self._stepped, BoundedStreamModel):
                model = self._stepped.over(model)
            self._giving[name] = model
        return self._giving[name]

    def _alone(self, work: Callable[[], _Result]) -> _Result:
        """Return what *work* returns, done while nobody else uses the session."""

        def work_if_open() -> _Result:
            self._check_open()
            result = work()
            self._leave_if_closed()  # by another thread, meanwhile
            return result

        return exclusively([self._in_use], work_if_open)

    def _run(
        self,
        frames: Iterator[Frame | VideoFrame],
        frames_per_call: int,
        model: StreamModel,
    ) -> Iterator[Prediction]:
        room = self._new_room(frames_per_call)
        while True:
            position = self._place.position
            chunk = gather(
                frames,
                frames_per_call,
                functools.partial(self._prepare_next, room),
                functools.partial(self._check_unchanged, position.moves),
                is_gap=self._is_gap,
                last_s=position.time_s,
            )
            if chunk.times_s:
                yield from self._run_chunk(chunk, room, model)
            if chunk.failure is not None:
                raise chunk.failure
            if chunk.held is not None:
                frames = itertools.chain([chunk.held], frames)
            elif len(chunk.times_s) < frames_per_call:
                return

    def _run_chunk(
        self, chunk: Chunk, room: FrameRoom, model: StreamModel
    ) -> Iterator[Prediction]:
        prepared = room.prepared(len(chunk.times_s), self._scaler)
        anew = self._stepped.init_states(self._frame_size) if chunk.anew else None
        rows, ages, moves = self._alone(
            functools.partial(self._place.begin, prepared, model, anew=anew)
        )
        for row, seen, time_s in zip(rows, ages, chunk.times_s, strict=True):
            prediction = self._next_prediction(row, time_s, seen)
            self._alone(functools.partial(self._hand_out, moves, chunk.shape, time_s))
            yield prediction
            self._check_unchanged(moves)

    def _hand_out(
        self, moves: int, frame_shape: tuple[int, ...] | None, time_s: float | None
    ) -> None:
        self._check_unchanged(moves)
        self._place.hand_out(frame_shape, time_s)

    def _next_prediction(
        self, row: NDArray[np.float32], time_s: float | None, seen: int
    ) -> Prediction:
        """Return the prediction of the next frame, which has this *row* and looks back on *seen* frames."""
        return self._predicted(
            row,
            frame_index=self.num_frames,
            time_s=time_s,
            frames_seen=seen,
        )

    def _check_unchanged(self, moves: int) -> None:
        """Refuse to go on with a run where the session was used otherwise since *moves* were counted."""
        self._check_open()
        if self._place.position.moves != moves:
            raise SessionError(
                "a session must not be used otherwise while it runs over frames; it was stepped, reset, given other "
                "states or run a second time between two predictions (at a cut, end the run, call reset(), run again)"
            )

    def _new_room(self, count: int) -> FrameRoom:
        """Return memory for so many frames as the model takes them."""
        model = self._model
        takes_uint8 = isinstance(model, TakesBytes) and model.takes_uint8
        return FrameRoom(count, self._frame_size, takes_uint8=takes_uint8)

    def _prepare_next(
        self,
        room: FrameRoom,
        frame: Frame | VideoFrame,
        index: int,
        first: tuple[int, ...] | None,
    ) -> tuple[int, ...]:
        """Write *frame* into *room*; its shape must be the session's, or else that of the *first* of its call."""
        shape = self._place.position.frame_shape or first
        return self._alone(functools.partial(self._prepare, frame, room, index, shape))

    def _prepare(
        self,
        frame: Frame | VideoFrame,
        room: FrameRoom,
        index: int,
        first: tuple[int, ...] | None,
    ) -> tuple[int, ...]:
        """Write *frame* to a place of *room* as the model takes it, and return the shape it came in."""
        pixels = as_frame(frame)
        if first is not None and pixels.shape != first:
            raise SessionError(
                f"every frame of a session must have shape {first}, as the first had; got {pixels.shape} "
                "(call reset() before another video)"
            )
        room.put(index, pixels, self._scaler)
        return pixels.shape


def time_of(frame: Frame | VideoFrame, time_s: float | None) -> float | None:
    if time_s is None and isinstance(frame, VideoFrame):
        return frame.time_s
    return time_s


def _is_frames(clip: object) -> bool:
    return isinstance(clip, (list, tuple))


def _copy(states: States) -> dict[str, NDArray[Any]]:
    return {name: np.array(states[name]) for name in states}
