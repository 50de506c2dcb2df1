"""The position of a stream: its states and frame count, updated together or not at all."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.classifiers.horizon import advance
from movinet_lite.classifiers.long_streams import MAX_COUNT, age, bound_counts
from movinet_lite.engines.base import StreamModel

__all__ = ["Place", "Position", "commit"]


@attrs.frozen(eq=False)
class Call:
    """A call of the model for several frames, whose predictions are handed out one after the other.

    Attributes:
        frames: ``(frames, height, width, 3)``, as `FrameRoom.prepared` returns them.
        states: The states after the last of them.
    """

    frames: NDArray[np.float32]
    states: States


@attrs.frozen(eq=False)
class Position:
    """Where a stream is.

    A caller of `run` may stop at any prediction. So until the last one of a call is handed out, *states* are those
    before the call (or after its first *start* frames), and the rest is computed when someone asks for it.

    Attributes:
        states: As said.
        num_frames: How many frames the stream has seen, those handed out included.
        frame_shape: The shape in which its frames come; `None` before the first.
        time_s: When the last frame was shown, in seconds; `None` where it is not known.
        begun_at: How many frames the stream had seen when it was last started anew.
        moves: How often the stream moved or was moved; a run notices by it that the session was used otherwise.
        recount_at: The number of frames at which the counts in the states are looked at again.
        call: What is being handed out.
        start: How many frames of the call are in *states*.
        stop: How many were handed out.
    """

    states: States
    num_frames: int = 0
    frame_shape: tuple[int, ...] | None = None
    time_s: float | None = None
    begun_at: int = 0
    moves: int = 0
    recount_at: int = MAX_COUNT
    call: Call | None = None
    start: int = 0
    stop: int = 0


class Place:
    """Where a stream is, and how it moves on.

    Every change replaces `position` as a whole, which nothing can interrupt.

    Attributes:
        position: Where the stream is now.
    """

    def __init__(self, model: StreamModel, states: States) -> None:
        """Begin with *states*, before the first frame."""
        self._model = model
        self.position = Position(states)

    def states(self) -> States:
        """Return the states after the last frame that was handed out."""
        position = self.position
        if position.call is not None and position.start < position.stop:
            new = position.call.frames[position.start : position.stop]
            states = self._model.step(new, position.states)[1]
            position = attrs.evolve(position, states=states, start=position.stop)
            self.position = position
        return position.states

    def states_to_step(self) -> States:
        """Return the states to step from, with counts and sums so small that float32 can still add a frame to them."""
        states = self.states()
        if self.position.num_frames >= self.position.recount_at:
            states = bound_counts(states)
            left = MAX_COUNT - age(states)
            self.position = attrs.evolve(
                self.position,
                states=states,
                recount_at=self.position.num_frames + left,
            )
        return states

    def after(
        self,
        states: States,
        frame_shape: tuple[int, ...],
        time_s: float | None,
        *,
        begun_at: int,
    ) -> Position:
        """Return where the stream will be one frame on, at *states*.

        Args:
            states: As said.
            frame_shape: The shape in which the frame came.
            time_s: When it was shown, in seconds.
            begun_at: As in `Position`.
        """
        position = self.position
        recount_at = position.recount_at
        if begun_at != position.begun_at:
            recount_at = begun_at + MAX_COUNT
        return Position(
            states,
            position.num_frames + 1,
            frame_shape,
            time_s,
            begun_at,
            position.moves + 1,
            recount_at,
        )

    def go_to(
        self, states: States, num_frames: int, frame_shape: tuple[int, ...] | None
    ) -> None:
        """Go to *states*, after *num_frames* frames."""
        self.position = Position(
            states,
            num_frames,
            frame_shape,
            moves=self.position.moves + 1,
            recount_at=num_frames + MAX_COUNT - age(states),
        )

    @property
    def age(self) -> int:
        """How many frames the stream has seen since it was last started anew."""
        return self.position.num_frames - self.position.begun_at

    def begin_anew(self, states: States) -> None:
        """Start the stream anew from *states*; frames are counted on."""
        position = self.position
        self.position = attrs.evolve(
            position,
            states=states,
            begun_at=position.num_frames,
            recount_at=position.num_frames + MAX_COUNT,
            call=None,
            start=0,
            stop=0,
        )

    def renumber(self, num_frames: int) -> None:
        """Say that the stream has seen *num_frames* frames; its states stay as they are."""
        position = self.position
        self.position = attrs.evolve(
            position,
            num_frames=num_frames,
            begun_at=max(0, position.begun_at + num_frames - position.num_frames),
            moves=position.moves + 1,
            recount_at=position.recount_at + num_frames - position.num_frames,
        )

    def begin(
        self,
        frames: NDArray[np.float32],
        model: StreamModel,
        *,
        anew: States | None = None,
    ) -> tuple[NDArray[np.float32], list[int], int]:
        """Call the model for *frames*, whose predictions will be handed out.

        Args:
            frames: ``(frames, height, width, 3)``, as `FrameRoom.prepared` returns them.
            model: The model, or the same with features.
            anew: The states to begin from, where the stream starts anew with them; `None` where it goes on.

        Returns:
            Their rows, how many frames each looks back on, and what `Position.moves` is until someone else moves the
            stream.
        """
        if anew is not None:
            self.begin_anew(anew)
        before = self.states_to_step()
        rows, ages, after = advance(model, frames, before, self.age)
        moves = self.position.moves + 1  # another run that is still going on must not
        self.position = attrs.evolve(
            self.position, moves=moves, call=Call(frames, after), start=0, stop=0
        )
        return rows, ages, moves

    def hand_out(
        self, frame_shape: tuple[int, ...] | None, time_s: float | None
    ) -> None:
        """Say that the prediction of one more frame of the call was handed out."""
        position = self.position
        stop = position.stop + 1
        new = attrs.evolve(
            position,
            num_frames=position.num_frames + 1,
            frame_shape=frame_shape,
            time_s=time_s,
            stop=stop,
        )
        if position.call is not None and stop == len(position.call.frames):
            new = attrs.evolve(
                new, states=position.call.states, call=None, start=0, stop=0
            )
        self.position = new

    def leave(self) -> None:
        """Give the states back: the stream is over."""
        self.position = Position({}, self.position.num_frames)


def commit(places: Sequence[Place], positions: Sequence[Position]) -> None:
    """Move all of *places* to their new *positions*: one call into C, which Ctrl-C cannot cut in two."""
    deque(map(setattr, places, itertools.repeat("position"), positions), 0)
