"""Steps many streams in one call of their model."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from movinet_lite.arrays import FeatureName, Frame, VideoFrame
from movinet_lite.classifiers.exclusive import exclusively
from movinet_lite.classifiers.horizon import BoundedStreamModel, advance_many
from movinet_lite.classifiers.place import commit
from movinet_lite.classifiers.streams import StreamingClassifier, time_of
from movinet_lite.errors import ArrayError, SessionError
from movinet_lite.predictions import Prediction

__all__ = ["step_many"]


def step_many(
    sessions: Sequence[StreamingClassifier],
    frames: Sequence[Frame | VideoFrame],
    *,
    times_s: Sequence[float | None] | None = None,
    features: bool | FeatureName = False,
) -> list[Prediction]:
    """Step each of *sessions* by one frame, in one call of the model, and return their predictions.

    The predictions are those of `StreamingClassifier.step`. The sessions may have seen different numbers of frames, and may
    differ from call to call: leave out a stream that has no new frame. Either all sessions are updated or none is, also if a
    frame is refused or Ctrl-C is pressed.

    It is faster than separate steps if the model was loaded for as many *streams*; see `StreamingClassifier.load`.

    Args:
        sessions: Different sessions over one model.
        frames: One frame for each session, as for `StreamingClassifier.step`.
        times_s: Display time of each frame in seconds, for its prediction; `None` (for all, or for single ones) uses
            the time of a `VideoFrame`.
        features: As in `StreamingClassifier.step`.

    Returns:
        The predictions, in the order of *sessions*.

    Raises:
        ArrayError: If a frame is not an RGB picture, or there are not as many times as frames.
        ModelError: If the model gives no *features*, which are asked for.
        SessionError: If the sessions differ in model or frame size, if one is repeated or has no frame, or as in
            `StreamingClassifier.step`.
    """
    _check_sessions(sessions, frames)
    times = [None] * len(frames) if times_s is None else list(times_s)
    if len(times) != len(frames):
        raise ArrayError(
            f"times_s must be one time for each frame; got {len(times)} times and {len(frames)} frames"
        )
    if not sessions:
        return []
    return exclusively(
        [session._in_use for session in sessions],  # noqa: SLF001
        functools.partial(_step_all, sessions, frames, times, features=features),
    )


def _step_all(
    sessions: Sequence[StreamingClassifier],
    frames: Sequence[Frame | VideoFrame],
    times_s: Sequence[float | None],
    *,
    features: bool | FeatureName,
) -> list[Prediction]:
    for session in sessions:
        session._check_open()  # noqa: SLF001
    model = sessions[0]._model_giving(features)  # noqa: SLF001
    room = sessions[0]._new_room(len(frames))  # noqa: SLF001
    places = [session._place for session in sessions]  # noqa: SLF001
    shapes = [
        session._prepare(frame, room, index, place.position.frame_shape)  # noqa: SLF001
        for index, (session, place, frame) in enumerate(
            zip(sessions, places, frames, strict=True)
        )
    ]
    times = [
        time_of(frame, time_s) for frame, time_s in zip(frames, times_s, strict=True)
    ]
    starts = [
        session._to_step_from(time_s)  # noqa: SLF001
        for session, time_s in zip(sessions, times, strict=True)
    ]
    rows, seen, states = advance_many(
        model,
        room.prepared(len(frames), sessions[0]._scaler),  # noqa: SLF001
        [before for before, _ in starts],
        [age for _, age in starts],
    )
    predictions = [
        session._next_prediction(row, time_s, count)  # noqa: SLF001
        for session, row, time_s, count in zip(sessions, rows, times, seen, strict=True)
    ]
    commit(
        places,
        [
            place.after(after, shape, time_s, begun_at=place.position.num_frames - age)
            for place, after, shape, time_s, (_, age) in zip(
                places, states, shapes, times, starts, strict=True
            )
        ],
    )
    for session in sessions:
        session._leave_if_closed()  # noqa: SLF001
    return predictions


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
    if len({session.horizon_s for session in sessions}) > 1:
        raise SessionError(
            "sessions that are stepped together must have one horizon_s; "
            f"got {sorted({str(session.horizon_s) for session in sessions})}"
        )
    if len({_bounds(session) for session in sessions}) > 1:
        raise SessionError(
            "sessions that are stepped together must have one fps and one restart_at_cuts; got several "
            "(open them with new_session())"
        )
    if len({session.frame_size for session in sessions}) > 1:
        raise SessionError(
            "sessions that are stepped together must have one frame size; "
            f"got {sorted({session.frame_size for session in sessions})}"
        )


def _bounds(session: StreamingClassifier) -> object:
    """Return what must be one for all that are stepped together: by it the common call decides for each stream."""
    stepped = session._stepped  # noqa: SLF001
    if isinstance(stepped, BoundedStreamModel):
        return stepped.rules, stepped.restart_at_cuts
    return None
