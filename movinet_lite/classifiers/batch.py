"""Steps many streams in one call of their model."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from movinet_lite.arrays import Frame, VideoFrame
from movinet_lite.classifiers.streams import StreamingClassifier
from movinet_lite.engines.base import BatchStreamModel
from movinet_lite.errors import SessionError
from movinet_lite.predictions import Prediction

__all__ = ["step_many"]


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
            session._prepare(frame, room, session._given_size)  # noqa: SLF001
            for session, frame, room in zip(sessions, frames, batch, strict=True)
        ]
        states = [session._place.states() for session in sessions]  # noqa: SLF001
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
            session._advance(row, state, shape, frame, None)  # noqa: SLF001
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
