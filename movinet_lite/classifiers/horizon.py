"""Limits how far back a stream looks, so that it sees changes after a long action.

`BoundedStreamModel` is a stream model over another one. Its states are those of the long session, those of a young one,
and what is needed to decide between them (`movinet_lite.classifiers.takeover`). A step stays pure, so everything that
works over a model works over this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States, check_positive
from movinet_lite.classifiers.cuts import THUMBNAIL_SIZE
from movinet_lite.classifiers.takeover import Decision, Rules, Watch
from movinet_lite.engines.base import (
    FitsStates,
    ModelInfo,
    StreamModel,
)
from movinet_lite.engines.stepping import step_all
from movinet_lite.errors import ArrayError, SessionError
from movinet_lite.network.state_names import canonical_state_name, fit_states
from movinet_lite.network.variants import get_variant

__all__ = [
    "BoundedStates",
    "BoundedStreamModel",
    "Horizon",
    "advance",
    "advance_many",
    "bound",
]

Horizon: TypeAlias = float | Literal["auto"] | None
"""How far a stream looks back, in seconds; ``"auto"`` for as long as the clips that its model was trained on; `None` for
ever."""

_DEFAULT_FPS: Final = 5.0  # that of A0 to A2, where a model does not tell its own
_DEFAULT_HORIZON_S: Final = 10.0  # the clips of Kinetics
_MAX_HORIZON_S: Final = 1e7  # four months
_NEVER: Final = 2**62  # a horizon in frames that no stream reaches

_YOUNG: Final = "young/"
_WATCH: Final = "horizon/"
_COUNTS: Final = ("num_frames", "long_age", "young_age", "after_cut", "against", "same")
_ARRAYS: Final = ("logits", "thumbnails", "novelties", "jumps")


class BoundedStates(Mapping[str, NDArray[Any]]):
    """The states of a bounded stream: under their own names those of the session that answers.

    Beside them stand those of the young session, with ``young/`` before their names, where there is one; and what was
    remembered to decide, with ``horizon/`` before it.

    Attributes:
        long: The states of the session that answers.
        young: Those of the young one; `None` where there is none.
        watch: What was remembered.
    """

    __slots__ = ("long", "watch", "young")

    def __init__(self, long: States, young: States | None, watch: Watch) -> None:
        self.long = long
        self.young = young
        self.watch = watch

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one state."""
        if name.startswith(_YOUNG) and self.young is not None:
            return self.young[name.removeprefix(_YOUNG)]
        if name.startswith(_WATCH):
            return self._remembered()[name]
        return self.long[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        yield from self.long
        if self.young is not None:
            yield from (_YOUNG + name for name in self.young)
        yield from self._remembered()

    def __len__(self) -> int:
        """Return the number of states."""
        return sum(1 for _ in self)

    def _remembered(self) -> dict[str, NDArray[Any]]:
        watch = self.watch
        found: dict[str, NDArray[Any]] = {
            _WATCH + name: np.array(getattr(watch, name), np.int64) for name in _COUNTS
        }
        found[_WATCH + "tokens"] = np.array(watch.tokens, np.float64)
        found |= {_WATCH + name: getattr(watch, name) for name in _ARRAYS}
        return found


class BoundedStreamModel:
    """A stream model over another one that looks back no further than its horizon.

    Up to the horizon its logits are those of the other model, bit for bit. After it they are too, until a young session
    is sure of another answer, or the session that answers is as old as the horizon.
    """

    def __init__(
        self,
        model: StreamModel,
        rules: Rules,
        frame_size: FrameSize,
        *,
        horizon_s: float | None = None,
        restart_at_cuts: bool = False,
    ) -> None:
        """Bound a model.

        Args:
            model: The model.
            rules: When another session takes over.
            frame_size: ``(height, width)`` of its frames.
            horizon_s: The horizon of the *rules* in seconds; `None` if they have none.
            restart_at_cuts: Whether to start the stream anew at a scene cut.
        """
        self.model = model
        self._num_classes = model.info.num_classes
        self.rules = rules
        self.horizon_s = horizon_s
        self._frame_size = frame_size
        self.restart_at_cuts = restart_at_cuts

    def over(self, model: StreamModel) -> BoundedStreamModel:
        """Return one with the same rules over *model*, which steps the same streams but gives features too."""
        return BoundedStreamModel(
            model,
            self.rules,
            self._frame_size,
            horizon_s=self.horizon_s,
            restart_at_cuts=self.restart_at_cuts,
        )

    @property
    def info(self) -> ModelInfo:
        """What the other model says of itself."""
        return self.model.info

    def init_states(self, frame_size: FrameSize) -> BoundedStates:
        """Return the states of a stream that has seen no frame; see `StreamModel.init_states`."""
        return BoundedStates(self.model.init_states(frame_size), None, Watch.begin())

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`."""
        logits, _, after = self.advance(frames, states)
        return logits, after

    def advance(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], list[int], BoundedStates]:
        """Return the logits of each frame, how many frames each looks back on, and the states after the last.

        Args:
            frames: ``(frames, height, width, 3)``, float32, 0 to 1, RGB; at least one.
            states: What `init_states` or the last step returned.
        """
        given = self._own(states)
        long, young, watch = given.long, given.young, given.watch.copy()
        cuts = [watch.see(frame, self.rules) for frame in frames]
        logits: list[NDArray[np.float32]] = []
        ages: list[int] = []
        while len(logits) < len(frames):
            restarts = self.restart_at_cuts and cuts[len(logits)]
            if restarts:
                long, young = self.model.init_states(self._frame_size), None
            count = self._count_ahead(watch, cuts[len(logits) :])
            ahead = frames[len(logits) : len(logits) + count]
            rows, after = self.model.step(ahead, long)
            for row in rows:
                frame = frames[len(logits)]
                starts = watch.begin_frame(self.rules, cut=cuts[len(logits)])
                if restarts:
                    watch.restart()
                    starts = restarts = False
                if watch.hear(self._logits(row), self.rules) or starts:
                    young = self.model.init_states(self._frame_size)
                answer: NDArray[np.float32] = row
                taken: States | None = None
                if young is not None:
                    (other,), young = self.model.step(frame[np.newaxis], young)
                    answer, young, taken = self._judge(watch, row, other, young)
                logits.append(answer)
                ages.append(watch.long_age)
                if taken is not None:
                    long = after = taken
                    break  # the other rows are those of the session that answered before
            else:
                long = after
        return np.array(logits), ages, BoundedStates(long, young, watch)

    def step_many(
        self, frames: NDArray[np.float32], states: Sequence[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the logits and the states of each stream after its frame; see `BatchStreamModel.step_many`."""
        logits, _, after = self.advance_many(frames, states)
        return logits, list(after)

    def advance_many(
        self, frames: NDArray[np.float32], states: Sequence[States]
    ) -> tuple[NDArray[np.float32], list[int], list[BoundedStates]]:
        """Return the logits of each stream, how many frames each looks back on, and its states after its frame.

        All sessions that answer are stepped in one call, and all young ones in another.
        """
        given = [self._own(one) for one in states]
        watches = [one.watch.copy() for one in given]
        cuts = [
            watch.see(frame, self.rules)
            for frame, watch in zip(frames, watches, strict=True)
        ]
        starts = [
            watch.begin_frame(self.rules, cut=cut)
            for cut, watch in zip(cuts, watches, strict=True)
        ]
        longs: list[States] = [one.long for one in given]
        youngs: list[States | None] = [one.young for one in given]
        for place, watch in enumerate(watches):
            if self.restart_at_cuts and cuts[place]:
                watch.restart()
                longs[place] = self.model.init_states(self._frame_size)
                youngs[place], starts[place] = None, False
        rows, longs = step_all(self.model, frames, longs)
        for place, (watch, row) in enumerate(zip(watches, rows, strict=True)):
            if watch.hear(self._logits(row), self.rules) or starts[place]:
                youngs[place] = self.model.init_states(self._frame_size)
        places = [place for place, young in enumerate(youngs) if young is not None]
        logits = np.array(rows)
        if places:
            others, stepped = step_all(
                self.model,
                frames[places],
                [young for young in youngs if young is not None],
            )
            for place, other, young in zip(places, others, stepped, strict=True):
                answer, youngs[place], taken = self._judge(
                    watches[place], rows[place], other, young
                )
                logits[place] = answer
                if taken is not None:
                    longs[place] = taken
        after = [
            BoundedStates(long, young, watch)
            for long, young, watch in zip(longs, youngs, watches, strict=True)
        ]
        return logits, [watch.long_age for watch in watches], after

    def _count_ahead(self, watch: Watch, cuts: Sequence[bool]) -> int:
        """Return how many of the next frames to step at once, so that none is likely to be stepped in vain.

        Args:
            watch: Before these frames.
            cuts: Whether each of them begins another scene.
        """
        if len(cuts) == 1:
            return 1
        if self.restart_at_cuts and any(cuts[1:]):
            cuts = cuts[: 1 + cuts[1:].index(True)]
        return watch.frames_to_keep(self.rules, cuts)

    def _judge(
        self,
        watch: Watch,
        row: NDArray[np.float32],
        other: NDArray[np.float32],
        young: States,
    ) -> tuple[NDArray[np.float32], States | None, States | None]:
        """Return the answer, the young session that goes on, and the states of one that took over."""
        decision = watch.judge(self._logits(row), self._logits(other), self.rules)
        if decision == Decision.TAKE_OVER:
            return other, None, young
        return row, young if decision == Decision.KEEP else None, None

    def _logits(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of a row, which are all of it but for a model with features."""
        return row[: self._num_classes]

    def _own(self, states: States) -> BoundedStates:
        return states if isinstance(states, BoundedStates) else self.fit(states)

    def fit(self, given: object) -> BoundedStates:
        """Return the states *given* as this model takes them.

        Args:
            given: What `BoundedStates` shows, as a dict of arrays; or the states of a stream without a horizon.

        Raises:
            SessionError: If they do not fit; the message names the first that does not.
        """
        if not isinstance(given, Mapping):
            raise SessionError(
                f"states must be a mapping of names to arrays; got {type(given).__name__}"
            )
        parts: dict[str, dict[str, Any]] = {"": {}, _YOUNG: {}, _WATCH: {}}
        for name, value in given.items():
            prefix = ""
            for known in (_YOUNG, _WATCH):
                if str(name).startswith(known):
                    prefix = known
            parts[prefix][str(name).removeprefix(prefix)] = value
        long = self._fit_one(parts[""])
        if not parts[_WATCH]:
            watch = Watch.begin(age=_frames_of(long))
            return BoundedStates(long, None, watch)
        watch = _fit_watch(parts[_WATCH], self.rules, self.info.num_classes)
        young = self._fit_one(parts[_YOUNG]) if watch.has_young else None
        return BoundedStates(long, young, watch)

    def _fit_one(self, given: Mapping[str, Any]) -> States:
        if isinstance(self.model, FitsStates):
            return self.model.fit(given)
        return fit_states(given, self.model.init_states(self._frame_size))


def bound(
    model: StreamModel,
    horizon_s: Horizon,
    *,
    frame_size: FrameSize,
    fps: float | None,
    restart_at_cuts: bool = False,
) -> StreamModel:
    """Return *model* with a horizon, or as it is where there is none and cuts do not count either.

    Args:
        model: A stream model.
        horizon_s: The horizon.
        frame_size: ``(height, width)`` of the frames to come.
        fps: Frames per second; `None` if unknown: five.
        restart_at_cuts: Whether to start the stream anew at a scene cut.

    Raises:
        ArrayError: If *horizon_s* is no number from above 0 to 10,000,000, nor ``"auto"`` or `None`.
    """
    rate = fps or _DEFAULT_FPS
    seconds: float | None
    if horizon_s == "auto":
        seconds = _trained_s(model.info, rate)
    elif horizon_s is None:
        seconds = None
    else:
        seconds = check_positive(horizon_s, "horizon_s (or 'auto', or None)")
        if seconds > _MAX_HORIZON_S:
            raise ArrayError(
                f"horizon_s must be at most {_MAX_HORIZON_S:g}; got {horizon_s!r} (to look back for ever: None)"
            )
    if seconds is None and not restart_at_cuts:
        return model
    rules = Rules.of(max(2, round((seconds or _DEFAULT_HORIZON_S) * rate)), rate)
    if seconds is None:  # cuts are found as with a horizon, and no session takes over
        rules = attrs.evolve(rules, horizon=_NEVER, replace_from=_NEVER)
    return BoundedStreamModel(
        model,
        rules,
        frame_size,
        horizon_s=seconds,
        restart_at_cuts=restart_at_cuts,
    )


def _trained_s(info: ModelInfo, fps: float) -> float:
    """Return how long the clips were that a model was trained on, in seconds."""
    if info.clip_frames is not None:
        return info.clip_frames / fps
    known = get_variant(info.variant) if info.variant else None
    return known.clip_frames / known.fps if known else _DEFAULT_HORIZON_S


def advance(
    model: StreamModel, frames: NDArray[np.float32], states: States, num_frames: int
) -> tuple[NDArray[np.float32], list[int], States]:
    """Return the logits of each frame, how many frames each looks back on, and the states after the last.

    Args:
        model: A model with a horizon, or without.
        frames: ``(frames, height, width, 3)``, float32, 0 to 1, RGB; at least one.
        states: The states before them.
        num_frames: How many frames the stream has seen before.
    """
    if isinstance(model, BoundedStreamModel):
        return model.advance(frames, states)
    logits, after = model.step(frames, states)
    return logits, [num_frames + 1 + place for place in range(len(frames))], after


def advance_many(
    model: StreamModel,
    frames: NDArray[np.float32],
    states: list[States],
    num_frames: list[int],
) -> tuple[NDArray[np.float32], list[int], list[States]]:
    """Return what `advance` does for one frame of each of several streams, in one call where the model can."""
    if isinstance(model, BoundedStreamModel):
        logits, ages, bounded = model.advance_many(frames, states)
        return logits, ages, list(bounded)
    logits, after = step_all(model, frames, states)
    return logits, [count + 1 for count in num_frames], after


def _frames_of(states: States) -> int:
    """Return how many frames a stream without a horizon has seen, as far as its states say."""
    for name, value in states.items():
        if canonical_state_name(name) == "state/head/pool_frame_count":
            return int(np.asarray(value).reshape(-1)[0])
    return 0


def _fit_watch(given: Mapping[str, Any], rules: Rules, num_classes: int) -> Watch:
    names = {*_COUNTS, "tokens", *_ARRAYS}
    if names != set(given):
        wrong = min(names ^ set(given))
        raise SessionError(
            f"states must hold all of horizon/ or nothing of it; {_WATCH + wrong!r} is "
            f"{'missing' if wrong in names else 'unknown'}"
        )
    watch = Watch(
        num_frames=_whole("num_frames", given["num_frames"]),
        long_age=_whole("long_age", given["long_age"]),
        young_age=_whole("young_age", given["young_age"]),
        after_cut=bool(_whole("after_cut", given["after_cut"])),
        against=_whole("against", given["against"]),
        same=_whole("same", given["same"]),
        tokens=float(_floats("tokens", given["tokens"], 0)),
        logits=_floats("logits", given["logits"], 1),
        thumbnails=_floats("thumbnails", given["thumbnails"], 2),
        novelties=_floats("novelties", given["novelties"], 1),
        jumps=_floats("jumps", given["jumps"], 1),
    )
    lengths = {len(watch.thumbnails), len(watch.novelties), len(watch.jumps)}
    fits = (
        len(lengths) == 1
        and max(lengths) <= rules.memory
        and watch.thumbnails.shape[1] == THUMBNAIL_SIZE
        and len(watch.logits) in {0, num_classes}
        and 0 <= watch.long_age <= watch.num_frames
        and -1 <= watch.young_age <= rules.life
    )
    if not fits:
        raise SessionError(
            "the states under horizon/ must be those of a session with this model and this horizon; these are not "
            "(leave them out to go on with the stream states alone)"
        )
    return watch


def _whole(name: str, value: object) -> int:
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind not in "iub":
        raise SessionError(
            f"state {_WATCH + name!r} must be one whole number; got {array.dtype} of shape {array.shape}"
        )
    return int(array)


def _floats(name: str, value: object, ndim: int) -> NDArray[np.float32]:
    array = np.asarray(value)
    if array.ndim != ndim or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise SessionError(
            f"state {_WATCH + name!r} must be finite floating-point numbers with {ndim} axes; "
            f"got {array.dtype} of shape {array.shape}"
        )
    return array if ndim == 0 else array.astype(np.float32)
