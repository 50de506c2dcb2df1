"""Decides when a young session starts beside a long one, and when it takes over.

A MoViNet answers from the mean over all frames so far, so a session that has seen one action for long does not see the
next one. A *young* session, started lately, does. Only the logits, their change and the frames themselves are looked at,
so the rules suit any stream model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.classifiers.cuts import THUMBNAIL_SIZE, is_cut, novelty, thumbnail

__all__ = ["Decision", "Rules", "Watch"]

# Chosen on drawn clips and real videos other than those of the figures in docs/live_streams.md.
JUMP_RATIO: Final = (
    1.5  # the logits move 1.5 times as much as after any of the last frames
)
LOG_ODDS: Final = 3.0  # of the young session's answer against the long one's: 20 to 1
BUDGET: Final = 0.28  # steps of young sessions a frame, in the long run
VERDICTS: Final = 2  # frames in a row in which a young session must agree or, where no cut began it, disagree


@attrs.frozen
class Rules:
    """When young sessions start, are believed, and end, in frames.

    Attributes:
        horizon: Until this frame the answers are the published model's; a long session of twice this age is replaced soon.
        replace_from: The age of the long session from which a young one that is grown replaces it.
        life: How long a young session lives at most.
        ripe: The age from which a young session that agrees is believed.
        sure: The age from which one that disagrees is, where no cut began it: many a stretch of a video is ambiguous.
        ripe_after_cut: The same for both where a cut began it, so that a change is likely.
        memory: With how many of the last frames cuts and jumps are compared.
    """

    horizon: int
    replace_from: int
    life: int
    ripe: int
    sure: int
    ripe_after_cut: int
    memory: int

    @classmethod
    def of(cls, horizon: int, fps: float) -> Self:
        """Return the rules for a *horizon* in frames, at *fps* frames per second."""

        def frames(seconds: float) -> int:
            return max(1, round(seconds * fps))

        life = max(frames(1.0), round(0.4 * horizon))
        ripe = min(frames(1.2), life)
        return cls(
            horizon=horizon,
            replace_from=horizon * 3 // 2,
            life=life,
            ripe=ripe,
            sure=max(ripe, horizon // 3),
            ripe_after_cut=min(frames(0.6), life),
            memory=frames(10.0),
        )

    @property
    def reserve(self) -> int:
        """How many steps a young session needs to come to a verdict after a cut."""
        return self.ripe_after_cut + VERDICTS

    @property
    def savings(self) -> float:
        """How many steps of young sessions can be saved up: after a whole life, enough for a cut is left."""
        return self.life * (1 - BUDGET) + self.reserve


class Decision:
    """What comes of the logits of both sessions: the names of the outcomes."""

    KEEP: Final = "keep"
    DROP: Final = "drop"
    TAKE_OVER: Final = "take over"


@attrs.define
class Watch:
    """What a stream remembers, beside the states of its sessions, to decide.

    Attributes:
        num_frames: How many frames the stream has seen.
        long_age: How many of them the session that answers has seen.
        young_age: How many the young one has seen; -1 where there is none.
        after_cut: Whether a cut began the young one.
        against: For how many frames in a row the young one has disagreed.
        same: For how many it has agreed.
        tokens: How many steps of young sessions are saved up.
        logits: The last that were given out, ``(classes,)``; empty before the first.
        thumbnails: Those of the last frames, ``(frames, 192)``, the oldest first.
        novelties: How new each of these was.
        jumps: How far the logits moved with each of them.
    """

    num_frames: int
    long_age: int
    young_age: int
    after_cut: bool
    against: int
    same: int
    tokens: float
    logits: NDArray[np.float32]
    thumbnails: NDArray[np.float32]
    novelties: NDArray[np.float32]
    jumps: NDArray[np.float32]

    @classmethod
    def begin(cls, *, age: int = 0) -> Self:
        """Return that of a stream whose session has seen *age* frames."""
        nothing = np.zeros(0, np.float32)
        return cls(
            num_frames=age,
            long_age=age,
            young_age=-1,
            after_cut=False,
            against=0,
            same=0,
            tokens=0.0,
            logits=nothing,
            thumbnails=np.zeros((0, THUMBNAIL_SIZE), np.float32),
            novelties=nothing,
            jumps=nothing,
        )

    def copy(self) -> Self:
        """Return a watch that changes by itself; the arrays are replaced, never written to."""
        return type(self)(
            self.num_frames,
            self.long_age,
            self.young_age,
            self.after_cut,
            self.against,
            self.same,
            self.tokens,
            self.logits,
            self.thumbnails,
            self.novelties,
            self.jumps,
        )

    @property
    def has_young(self) -> bool:
        """Whether a young session runs beside the long one."""
        return self.young_age >= 0

    def see(self, frame: NDArray[np.uint8] | NDArray[np.float32], rules: Rules) -> bool:
        """Take the next frame; return whether it begins another scene.

        Frames can be seen ahead of what is decided about them (see `begin_frame`): no decision changes what is a cut.

        Args:
            frame: ``(height, width, 3)``, uint8, 0 to 255, or float32, 0 to 1, RGB.
            rules: With which frames it is compared.
        """
        thumb = thumbnail(frame)
        found = novelty(thumb, self.thumbnails)
        cut = is_cut(found, self.novelties, self.novelties[-rules.life :])
        self.thumbnails = _push(self.thumbnails, thumb, rules.memory)
        self.novelties = _push(self.novelties, found, rules.memory)
        return cut

    def begin_frame(self, rules: Rules, *, cut: bool) -> bool:
        """Count the next frame; return whether a young session starts with it.

        Args:
            rules: When it does.
            cut: Whether the frame begins another scene.
        """
        self.num_frames += 1
        self.long_age += 1
        self.tokens = min(rules.savings, self.tokens + BUDGET)
        if not self._may_start(rules):
            return False
        # A cut may go into debt, which is paid before others start.
        if cut and self.tokens > -2 * rules.reserve:
            # Anew, if one lives: it has seen the scene before.
            self._start(after_cut=True)
            return True
        is_due = self.long_age >= 2 * rules.horizon - rules.life
        if not self.has_young and (self.tokens >= rules.savings or is_due):
            self._start(after_cut=False)
            return True
        return False

    def hear(self, logits: NDArray[np.float32], rules: Rules) -> bool:
        """Take the logits of the long session; return whether a young one starts with this frame after all."""
        jump = 0.0
        if len(self.logits):
            change = logits - self.logits
            change -= float(np.add.reduce(change)) / len(change)
            # A mean over n frames moves by 1 / n.
            jump = math.sqrt(change.dot(change)) * self.long_age
        is_jump = len(self.jumps) > 0 and jump > JUMP_RATIO * float(self.jumps.max())
        self.jumps = _push(self.jumps, jump, rules.memory)
        self.logits = logits
        starts = (
            is_jump
            and not self.has_young
            and self.tokens >= rules.savings / 2
            and self._may_start(rules)
        )
        if starts:
            self._start(after_cut=False)
        return starts

    def judge(
        self,
        long: NDArray[np.float32],
        young: NDArray[np.float32],
        rules: Rules,
    ) -> str:
        """Take the logits of both sessions; return what becomes of the young one, one of `Decision`."""
        self.young_age += 1
        self.tokens -= 1
        old, new = int(long.argmax()), int(young.argmax())
        ripe, sure = (
            (rules.ripe_after_cut, rules.ripe_after_cut)
            if self.after_cut
            else (rules.ripe, rules.sure)
        )
        agrees = new == old and self.young_age >= ripe
        differs = young[new] - young[old] > LOG_ODDS and self.young_age >= sure
        self.same = self.same + 1 if agrees else 0
        self.against = self.against + 1 if differs else 0
        is_sure = self.against >= (1 if self.after_cut else VERDICTS)
        life = rules.life if self.long_age < 2 * rules.horizon else rules.ripe
        is_grown = self.young_age >= life
        is_old = self.long_age >= rules.replace_from
        if self.num_frames > rules.horizon and (is_sure or (is_grown and is_old)):
            self.long_age, self.young_age = self.young_age, -1
            self.logits = young
            return Decision.TAKE_OVER
        if is_grown or (self.same >= VERDICTS and not is_old):
            self.young_age = -1
            return Decision.DROP
        return Decision.KEEP

    def frames_to_keep(self, rules: Rules, cuts: Sequence[bool]) -> int:
        """Return with which of the next frames another session may answer at the earliest, counted from 1.

        The session that answers can be stepped up to it at once, and none of it is in vain.

        Args:
            rules: When one does.
            cuts: Whether each of the next frames begins another scene; at least one.
        """
        count = len(cuts)
        until_horizon = min(count, rules.horizon + 1 - self.num_frames)
        is_after_cut = self.has_young and self.after_cut
        verdict = rules.ripe_after_cut if is_after_cut else rules.sure + VERDICTS - 1
        is_very_old = self.long_age + count >= 2 * rules.horizon
        grown = rules.ripe if is_very_old else rules.life
        # Where there is no young session, one may start with the next frame.
        count = min(count, min(verdict, grown) - max(0, self.young_age))
        if True in cuts:
            count = min(count, cuts.index(True) + rules.ripe_after_cut)
        return max(1, count, until_horizon)

    def _may_start(self, rules: Rules) -> bool:
        """Return whether a verdict can come after the horizon; before it, none would change anything."""
        return self.num_frames > rules.horizon - rules.ripe - VERDICTS

    def restart(self) -> None:
        """Begin anew with the last frame: the session that answers has seen it alone."""
        self.long_age, self.young_age = 1, -1
        self.logits = self.logits[:0]

    def _start(self, *, after_cut: bool) -> None:
        self.young_age = self.against = self.same = 0
        self.after_cut = after_cut


def _push(
    last: NDArray[np.float32], value: float | NDArray[np.float32], memory: int
) -> NDArray[np.float32]:
    """Return the last *memory* of *last* and *value*."""
    kept = min(len(last), memory - 1)
    pushed = np.empty((kept + 1, *last.shape[1:]), np.float32)
    pushed[:kept] = last[len(last) - kept :]
    pushed[kept] = value
    return pushed
