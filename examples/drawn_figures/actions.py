"""From an action's name to a pose at any time: how people move in each.

Every action repeats. The way in which one clip shows it (how far, how fast, with which arm or leg, what the other limbs
do) is drawn once; after that the pose depends on the time alone. Poses overlap on purpose: arms that have no part in
an action may be held up, knees may be bent all along, and *holding still* keeps a pose out of any other action, so what
tells actions apart is how they go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import attrs
import numpy as np

from drawn_figures.posture import Posture
from drawn_figures.skeleton import (
    SIDES,
    Body,
    Numbers,
    Pose,
    joint_positions,
    side_sign,
)

__all__ = [
    "ACTIONS",
    "DEMO_ACTIONS",
    "FLOOR_ACTIONS",
    "NEW_ACTIONS",
    "Motion",
    "draw_motion",
]

PoseAt: TypeAlias = Callable[[Numbers], Pose]
"""From phases, ``(moments,)``, in periods, to a pose."""

Arm: TypeAlias = tuple[float, float, float, float]
"""Lift, plane, turn and elbow, in degrees."""

STILL: Final = "holding still"


@attrs.frozen
class Motion:
    """One person's way of doing an action.

    Attributes:
        pose_at: The pose at each phase; it repeats with every whole number.
        period_s: How long one repetition takes, in seconds.
        start: The phase at time 0.
        drift: How far the phase runs ahead and behind now and then, in periods: nobody is a clock.
        on_floor: Whether the person lies on the floor or leans on it with the hands.
    """

    pose_at: PoseAt
    period_s: float
    start: float
    drift: float
    on_floor: bool

    def at(self, times_s: Numbers) -> Pose:
        """Return the pose at each of *times_s*, ``(moments,)``, in seconds."""
        drift = self.drift * np.sin(2 * np.pi * times_s / _DRIFT_PERIOD_S)
        return self.pose_at(self.start + times_s / self.period_s + drift)


_DRIFT_PERIOD_S: Final = 5.3


def draw_motion(action: str, body: Body, rng: np.random.Generator) -> Motion:
    """Return a way of doing *action*, one of `ACTIONS`, drawn from *rng* for a person of these measures."""
    shown = action
    pose_at: PoseAt
    if action == STILL:
        others = [name for name in DEMO_ACTIONS if name != STILL]
        shown = others[rng.integers(len(others))]
        pose_at = _frozen(_DRAWS[shown](body, rng), rng.uniform())
    else:
        pose_at = _DRAWS[action](body, rng)
    return Motion(
        pose_at=pose_at,
        period_s=rng.uniform(*_PERIODS_S[action]),
        start=rng.uniform(),
        drift=rng.uniform(-0.03, 0.03),
        on_floor=shown in FLOOR_ACTIONS,
    )


def _frozen(pose_at: PoseAt, phase: float) -> PoseAt:
    """Return the pose at one phase, with the breath and the sway of a person who keeps it."""

    def still(phases: Numbers) -> Pose:
        pose = pose_at(np.full_like(phases, phase))
        breath = np.sin(2 * np.pi * phases)
        angles = pose.angles | {
            "spine_flex": pose.angles["spine_flex"] + 0.4 * breath,
            "neck_flex": pose.angles["neck_flex"] - 0.4 * breath,
        }
        return attrs.evolve(pose, angles=angles, lift=np.zeros_like(phases))

    return still


# How a movement goes within a period.


def _pulse(phases: Numbers, dwell: float = 0.0) -> Numbers:
    """Return 0 at whole phases and 1 halfway between, eased; *dwell* above 0 stays longer at 1, below 0 at 0."""
    pulse = 0.5 - 0.5 * np.cos(2 * np.pi * phases)
    return 1 - (1 - pulse) ** (1 + dwell) if dwell > 0 else pulse ** (1 - dwell)


def _half_pulse(phases: Numbers) -> Numbers:
    """Return a pulse in the first half of each period, and 0 in the second."""
    return np.maximum(np.sin(2 * np.pi * phases), 0) ** 1.5


def _ease(share: Numbers) -> Numbers:
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


# How people stand, and what their arms do meanwhile.

_RESTING_ARMS: Final[tuple[Arm, ...]] = (
    (8, 70, 0, 12),  # hanging
    (8, 70, 0, 12),
    (42, 115, 75, 100),  # hands on the hips
    (85, 12, 0, 12),  # stretched forward
    (86, 85, 0, 10),  # stretched sideways
    (160, 60, 0, 20),  # overhead
    (38, 20, 45, 125),  # fists before the chest
    (25, 40, 10, 90),  # forearms forward
    (80, 80, -80, 95),  # hands up
)


def _draw_arm(rng: np.random.Generator) -> Arm:
    lift, plane, turn, elbow = _RESTING_ARMS[rng.integers(len(_RESTING_ARMS))]
    jitter = rng.uniform(-8, 8, 4)
    return (
        abs(lift + jitter[0]),
        plane + jitter[1],
        turn + jitter[2],
        abs(elbow + jitter[3]),
    )


def _draw_arms(rng: np.random.Generator) -> dict[str, Arm]:
    left, right = _draw_arm(rng), _draw_arm(rng)
    return {"left": left, "right": left if rng.uniform() < 0.7 else right}


def _draw_side(rng: np.random.Generator) -> tuple[str, str]:
    """Return the side that leads, and the other."""
    return SIDES if rng.uniform() < 0.5 else SIDES[::-1]


@attrs.frozen
class _Stand:
    """How a person stands while something else moves.

    Attributes:
        spread: From the middle to each foot, in statures.
        stagger: How far one foot is before the other.
        drop: How far the knees let the hips down, in statures.
        lean: Of the pelvis, forward, in degrees.
        turn: Of the head, in degrees.
        arms: What the arms do.
    """

    spread: float
    stagger: float
    drop: float
    lean: float
    turn: float
    arms: dict[str, Arm]

    def posture(
        self,
        body: Body,
        num_moments: int,
        *,
        drop: Numbers | float = 0.0,
        forward: Numbers | float = 0.0,
        lean: Numbers | float = 0.0,
    ) -> Posture:
        """Return this stand, with the hips moved down and forward and the pelvis leaning by so much more."""
        posture = Posture(body, num_moments)
        posture.pelvis[:, 2] -= self.drop + drop
        posture.pelvis[:, 0] += forward - 0.3 * self.drop
        posture.bend(pitch=self.lean + 120 * self.drop + lean, neck_turn=self.turn)
        feet = [
            (sign * self.stagger, sign * self.spread) for sign in map(side_sign, SIDES)
        ]
        posture.sink_to_feet(*feet)
        for side, (ahead, _) in zip(SIDES, feet, strict=True):
            posture.plant(side, ahead, self.spread)
            posture.hold_arm(side, self.arms[side])
        return posture


def _draw_stand(
    rng: np.random.Generator, *, bent_knees: bool = True, stagger: float = 0.06
) -> _Stand:
    bent = bent_knees and rng.uniform() < 0.35
    return _Stand(
        spread=rng.uniform(0.05, 0.13),
        stagger=rng.uniform(-stagger, stagger),
        drop=rng.uniform(0.03, 0.11) if bent else rng.uniform(0.004, 0.015),
        lean=rng.uniform(-2, 8),
        turn=rng.uniform(-25, 25),
        arms=_draw_arms(rng),
    )


# The actions on two feet.


def _clapping(body: Body, rng: np.random.Generator) -> PoseAt:
    stand = _draw_stand(rng)
    width = rng.uniform(0.14, 0.28)
    forward = rng.uniform(0.18, 0.3)
    up = rng.uniform(-0.2, 0.2)
    dwell = rng.uniform(-0.2, 0.5)
    nod = rng.uniform(0, 5)

    def pose_at(phases: Numbers) -> Pose:
        apart = _pulse(phases, dwell)
        posture = stand.posture(body, len(phases))
        posture.bend(neck_flex=nod * (1 - apart))
        for side in SIDES:
            gap = 0.012 + width * apart
            posture.reach(side, forward - 0.25 * gap, gap, up, (-0.3, 0.5, -1.0))
        return posture.pose()

    return pose_at


def _headbanging(body: Body, rng: np.random.Generator) -> PoseAt:
    stand = _draw_stand(rng)
    share = rng.uniform(0.65, 1.0)
    spine = rng.uniform(20, 50) * share
    hips = rng.uniform(5, 30) * share

    def pose_at(phases: Numbers) -> Pose:
        down = _pulse(phases)
        # The head follows the trunk like a whip.
        head = _pulse(phases - 0.07)
        posture = stand.posture(
            body,
            len(phases),
            lean=hips * down,
            forward=-0.06 * down * share,
            drop=0.03 * down * share,
        )
        posture.bend(spine_flex=spine * down - 5, neck_flex=(85 * head - 30) * share)
        return posture.pose()

    return pose_at


def _jumping_jacks(body: Body, rng: np.random.Generator) -> PoseAt:
    highest = rng.uniform(105, 170)
    wide = rng.uniform(16, 32)
    plane = rng.uniform(70, 90)
    elbow = rng.uniform(5, 30)
    height = rng.uniform(0.03, 0.08)
    narrow = rng.uniform(0, 4)
    bend = rng.uniform(6, 16)

    def pose_at(phases: Numbers) -> Pose:
        apart = _pulse(phases)
        # One hop out and one back: the feet are on the ground, the knees bent, when they are together and apart.
        hop = np.sin(2 * np.pi * phases) ** 2
        posture = Posture(body, len(phases))
        for side in SIDES:
            knee = 4 + bend * (1 - hop)
            posture.bend(
                side,
                hip_side=narrow + (wide - narrow) * apart,
                hip_flex=knee / 2,
                knee=knee,
                ankle=knee / 2 - 30 * hop,
                arm_lift=8 + (highest - 8) * apart,
                arm_plane=plane,
                elbow=elbow,
            )
        posture.lift = height * hop
        return posture.pose()

    return pose_at


def _lunge(body: Body, rng: np.random.Generator) -> PoseAt:
    front, back = _draw_side(rng)
    arms = _draw_arms(rng)
    stride = rng.uniform(0.4, 0.56)
    depth = rng.uniform(0.13, 0.21)
    spread = rng.uniform(0.05, 0.08)
    lean = rng.uniform(0, 12)
    dwell = rng.uniform(0, 0.5)
    # Some step forward and back each time, some keep their feet where they are.
    steps = rng.uniform() < 0.6

    def pose_at(phases: Numbers) -> Pose:
        down = _pulse(phases, dwell)
        moved = _ease(down / 0.75) if steps else np.ones_like(phases)
        sunk = down**1.5 if steps else down
        posture = Posture(body, len(phases))
        ahead = stride * moved
        posture.pelvis[:, 0] = 0.52 * ahead
        posture.pelvis[:, 2] -= 0.01 + depth * sunk
        posture.bend(pitch=lean * down)
        rise = 8 + 62 * moved * (0.4 + 0.6 * sunk)
        posture.sink_to_feet((ahead, side_sign(front) * spread))
        posture.plant(front, ahead, spread, up=0.2 * moved * (1 - moved))
        posture.plant(back, 0.0, spread, heel_rise=rise)
        for side in SIDES:
            posture.hold_arm(side, arms[side])
        return posture.pose()

    return pose_at


def _marching(body: Body, rng: np.random.Generator) -> PoseAt:
    arms = _draw_arms(rng)
    thigh = rng.uniform(55, 100)
    knee = thigh * rng.uniform(0.9, 1.15)
    swing = rng.uniform(15, 50)
    elbow = rng.uniform(10, 90)
    swings = rng.uniform() < 0.6
    spread = rng.uniform(0, 3)

    def pose_at(phases: Numbers) -> Pose:
        posture = Posture(body, len(phases))
        for side, offset in zip(SIDES, (0.0, 0.5), strict=True):
            up = _half_pulse(phases + offset)
            posture.bend(
                side,
                hip_flex=thigh * up + 2,
                knee=knee * up + 4,
                hip_side=spread,
                ankle=2 - 22 * up,
            )
            posture.hold_arm(side, arms[side])
            if swings:
                # An arm goes forward with the other side's leg.
                along = np.sin(2 * np.pi * (phases + offset + 0.5))
                posture.hold_arm(side, (0, 0, 10, elbow))
                posture.bend(
                    side,
                    arm_lift=np.abs(swing * along + 6) + 2,
                    arm_plane=np.where(swing * along + 6 > 0, 10.0, 148.0),
                )
        return posture.pose()

    return pose_at


def _side_kick(body: Body, rng: np.random.Generator) -> PoseAt:
    kicking, standing = _draw_side(rng)
    stand = _draw_stand(rng, bent_knees=False, stagger=0.0)
    height = rng.uniform(40, 75)
    tilt = rng.uniform(12, 32)
    chamber = rng.uniform(30, 85)
    dwell = rng.uniform(-0.3, 0.3)

    def pose_at(phases: Numbers) -> Pose:
        out = _pulse(phases, dwell)
        sign = side_sign(standing)
        posture = Posture(body, len(phases))
        posture.pelvis[:, 1] = sign * 0.05 * out
        posture.pelvis[:, 2] -= 0.02
        posture.bend(roll=-sign * tilt * out, neck_side=sign * 10 * out)
        posture.plant(standing, 0.0, 0.06)
        # The knee comes up bent, and stretches while the leg goes out.
        bent = 4 * out * (1 - out)
        posture.bend(
            kicking,
            hip_side=3 + height * out,
            hip_flex=3 + 0.6 * chamber * bent + 8 * out,
            knee=6 + chamber * bent,
            ankle=10 * out,
        )
        for side in SIDES:
            posture.hold_arm(side, stand.arms[side])
        return posture.pose()

    return pose_at


def _squat(body: Body, rng: np.random.Generator) -> PoseAt:
    stand = _draw_stand(rng, bent_knees=False, stagger=0.02)
    depth = rng.uniform(0.26, 0.54) * body.leg
    lean = rng.uniform(15, 36) / depth
    dwell = rng.uniform(-0.3, 0.5)
    raised = rng.uniform(0, 90) if rng.uniform() < 0.3 else None

    def pose_at(phases: Numbers) -> Pose:
        down = depth * _pulse(phases, dwell)
        posture = stand.posture(
            body, len(phases), drop=down, forward=-0.55 * down, lean=lean * down
        )
        posture.bend(neck_flex=-0.4 * lean * down)
        if raised is not None:
            for side in SIDES:
                lift = 8 + raised * down / depth
                posture.hold_arm(side, (0, 10, 0, 12))
                posture.bend(side, arm_lift=lift)
        return posture.pose()

    return pose_at


def _stretching_arm(body: Body, rng: np.random.Generator) -> PoseAt:
    return (_stretch_across if rng.uniform() < 0.5 else _stretch_over)(body, rng)


def _stretch_across(body: Body, rng: np.random.Generator) -> PoseAt:
    """One straight arm is drawn across the chest, and the other hooks it."""
    stretched, other = _draw_side(rng)
    stand = _draw_stand(rng)
    height = rng.uniform(72, 95)
    outmost = rng.uniform(30, 85)
    across = rng.uniform(30, 48)
    turn = rng.uniform(5, 20)
    dwell = rng.uniform(0, 0.5)

    def pose_at(phases: Numbers) -> Pose:
        drawn = _pulse(phases, dwell)
        posture = stand.posture(body, len(phases))
        # Drawn to the right, a left arm turns the trunk to the right.
        posture.bend(spine_turn=-side_sign(stretched) * turn * drawn)
        posture.hold_arm(stretched, (height, 0, 0, 8))
        posture.bend(stretched, arm_plane=outmost - (outmost + across) * drawn)
        posture.hold_arm(other, (0, 30, 20, 0))
        posture.bend(other, arm_lift=25 + 35 * drawn, elbow=60 + 75 * drawn)
        return posture.pose()

    return pose_at


def _stretch_over(body: Body, rng: np.random.Generator) -> PoseAt:
    """One arm reaches over the head, and the trunk bends to the other side."""
    stretched, other = _draw_side(rng)
    stand = _draw_stand(rng)
    lowest = rng.uniform(60, 130)
    highest = rng.uniform(160, 178)
    bend = rng.uniform(14, 33)
    plane = rng.uniform(70, 95)
    hip = (42, 115, 75, 100) if rng.uniform() < 0.5 else stand.arms[other]

    def pose_at(phases: Numbers) -> Pose:
        over = _pulse(phases)
        away = side_sign(stretched)
        posture = stand.posture(body, len(phases))
        posture.bend(spine_side=away * bend * over, neck_side=away * 0.6 * bend * over)
        posture.hold_arm(stretched, (0, plane, 0, 15))
        posture.bend(stretched, arm_lift=lowest + (highest - lowest) * over)
        posture.hold_arm(other, hip)
        return posture.pose()

    return pose_at


def _waving_hand(body: Body, rng: np.random.Generator) -> PoseAt:
    waving, _ = _draw_side(rng)
    stand = _draw_stand(rng)
    lift = rng.uniform(55, 150)
    plane = rng.uniform(55, 95)
    middle = rng.uniform(60, 85) if lift < 100 else rng.uniform(40, 55)
    swing = rng.uniform(32, 48)
    whole_arm = rng.uniform(4, 16)

    def pose_at(phases: Numbers) -> Pose:
        to_and_fro = np.sin(2 * np.pi * phases)
        posture = stand.posture(body, len(phases))
        posture.hold_arm(waving, (0, plane, -85, 0))
        posture.bend(
            waving,
            arm_lift=lift - whole_arm * to_and_fro,
            elbow=np.maximum(middle + swing * to_and_fro, 3),
        )
        return posture.pose()

    return pose_at


def _front_raises(body: Body, rng: np.random.Generator) -> PoseAt:
    stand = _draw_stand(rng)
    highest = rng.uniform(75, 125)
    plane = rng.uniform(0, 20)
    elbow = rng.uniform(4, 25)
    dwell = rng.uniform(-0.3, 0.4)

    def pose_at(phases: Numbers) -> Pose:
        up = _pulse(phases, dwell)
        posture = stand.posture(body, len(phases))
        for side in SIDES:
            posture.hold_arm(side, (0, plane, 0, elbow))
            posture.bend(side, arm_lift=8 + (highest - 8) * up)
        return posture.pose()

    return pose_at


def _high_kick(body: Body, rng: np.random.Generator) -> PoseAt:
    kicking, standing = _draw_side(rng)
    arms = _draw_arms(rng)
    height = rng.uniform(75, 126)
    lean = rng.uniform(2, 14)
    behind = rng.uniform(0, 18)
    dwell = rng.uniform(-0.6, 0.0)

    def pose_at(phases: Numbers) -> Pose:
        up = _pulse(phases, dwell)
        sign = side_sign(standing)
        posture = Posture(body, len(phases))
        posture.pelvis[:, 1] = sign * 0.03
        posture.pelvis[:, 2] -= 0.015
        posture.bend(pitch=-lean * up, spine_flex=1.2 * lean * up)
        posture.plant(standing, 0.0, 0.06)
        posture.bend(
            kicking,
            hip_side=2.0,
            hip_flex=(height + behind) * up - behind * (1 - up),
            # Bent while it passes the other, so that it does not scrape the ground.
            knee=8 + 40 * (1 - up),
            ankle=30 - 55 * up,
        )
        for side in SIDES:
            posture.hold_arm(side, arms[side])
        return posture.pose()

    return pose_at


# The actions on the floor.


def _push_up(body: Body, rng: np.random.Generator) -> PoseAt:
    pike = rng.uniform(-4, 14)
    spread = rng.uniform(0, 8)
    outwards = body.shoulder + rng.uniform(0.01, 0.09)
    ahead = rng.uniform(-0.03, 0.02)
    highest = rng.uniform(0.9, 0.98) * body.arm
    lowest = rng.uniform(0.33, 0.6) * body.arm
    elbows = rng.uniform(0.2, 1.2)
    look = rng.uniform(-35, 0)
    dwell = rng.uniform(-0.3, 0.3)

    def pose_at(phases: Numbers) -> Pose:
        posture = Posture(body, len(phases))
        height = highest + (lowest - highest) * _pulse(phases, dwell)
        posture.lie_on_toes(height, pike, spread)
        posture.bend(neck_flex=look)
        posture.lean_on(
            _under_shoulders(body, pike, spread, ahead), outwards, (0.0, elbows, -1.0)
        )
        return posture.pose()

    return pose_at


def _mountain_climber(body: Body, rng: np.random.Generator) -> PoseAt:
    pike = rng.uniform(2, 26)
    spread = rng.uniform(0, 4)
    outwards = body.shoulder + rng.uniform(0.0, 0.05)
    ahead = rng.uniform(-0.03, 0.02)
    height = rng.uniform(0.8, 0.98) * body.arm
    stride = rng.uniform(0.26, 0.42) - 0.003 * pike
    rise = rng.uniform(0.02, 0.08)
    elbows = rng.uniform(0.2, 1.2)
    look = rng.uniform(-35, 0)

    def pose_at(phases: Numbers) -> Pose:
        posture = Posture(body, len(phases))
        posture.lie_on_toes(height, pike, spread)
        posture.bend(neck_flex=look)
        posture.lean_on(
            _under_shoulders(body, pike, spread, ahead), outwards, (0.0, elbows, -1.0)
        )
        plank = joint_positions(body, posture.pose())
        for side, offset in zip(SIDES, (0.0, 0.5), strict=True):
            drawn = _half_pulse(phases + offset)
            ankle = plank[f"{side}_ankle"].copy()
            ankle[:, 0] += stride * drawn
            ankle[:, 2] += rise * drawn
            posture.reach_foot(side, ankle)
            posture.bend(side, ankle=22 - 45 * drawn)
        return posture.pose()

    return pose_at


def _under_shoulders(body: Body, pike: float, spread: float, ahead: float) -> Numbers:
    """Return where the hands of a plank are: *ahead* of the shoulders at half the height of a push up."""
    posture = Posture(body, 1)
    posture.lie_on_toes(0.75 * body.arm, pike, spread)
    return joint_positions(body, posture.pose())["left_shoulder"][:, 0] + ahead


def _situp(body: Body, rng: np.random.Generator) -> PoseAt:
    feet = rng.uniform(0.62, 0.82) * body.leg
    highest = rng.uniform(-35, 6)
    curl = rng.uniform(10, 35)
    arms: tuple[Arm, ...] = (
        (115, 70, -60, 135),  # hands at the head
        (40, 10, 50, 140),  # arms crossed on the chest
        (60, 5, 0, 10),  # reaching for the knees
    )
    arm = arms[rng.integers(len(arms))]
    dwell = rng.uniform(-0.2, 0.4)

    def pose_at(phases: Numbers) -> Pose:
        up = _pulse(phases, dwell)
        posture = Posture(body, len(phases))
        posture.pelvis[:, 2] = 0.08
        posture.bend(
            pitch=-86 + (highest + 86) * up,
            spine_flex=curl * _pulse(phases + 0.05, dwell),
            neck_flex=25 * up,
        )
        for side in SIDES:
            posture.plant(side, feet, body.hip)
            posture.hold_arm(side, arm)
        return posture.pose()

    return pose_at


_DRAWS: Final[dict[str, Callable[[Body, np.random.Generator], PoseAt]]] = {
    "clapping": _clapping,
    "front raises": _front_raises,
    "headbanging": _headbanging,
    "high kick": _high_kick,
    "jumping jacks": _jumping_jacks,
    "lunge": _lunge,
    "marching": _marching,
    "mountain climber (exercise)": _mountain_climber,
    "push up": _push_up,
    "side kick": _side_kick,
    "situp": _situp,
    "squat": _squat,
    "stretching arm": _stretching_arm,
    "waving hand": _waving_hand,
}
"""What draws a way of doing each action that moves."""

_PERIODS_S: Final = {
    "clapping": (0.7, 1.2),
    "front raises": (1.2, 2.4),
    "headbanging": (0.7, 1.2),
    "high kick": (1.1, 2.0),
    STILL: (2.0, 2.4),
    "jumping jacks": (1.0, 1.7),
    "lunge": (1.5, 2.4),
    "marching": (1.1, 1.9),
    "mountain climber (exercise)": (1.0, 1.8),
    "push up": (1.2, 2.4),
    "side kick": (1.2, 2.2),
    "situp": (1.6, 2.4),
    "squat": (1.2, 2.4),
    "stretching arm": (1.5, 2.4),
    "waving hand": (0.7, 1.3),
}
"""The shortest and the longest period of each action, in seconds.

A model that sees 5 frames a second sees at least three in each.
"""

NEW_ACTIONS: Final[tuple[str, ...]] = ("front raises", "high kick", "situp")
"""Actions that the demo model was never shown, in the order of ASCII: for a model to learn in addition."""

ACTIONS: Final[tuple[str, ...]] = tuple(sorted(_PERIODS_S))
"""All actions that can be drawn, in the order of ASCII; named as in Kinetics-600 where it has them."""

DEMO_ACTIONS: Final[tuple[str, ...]] = tuple(
    name for name in ACTIONS if name not in NEW_ACTIONS
)
"""The actions that the demo model knows, in the order of ASCII."""

FLOOR_ACTIONS: Final = frozenset({"mountain climber (exercise)", "push up", "situp"})
"""The actions of a person who lies on the floor or leans on it with the hands."""
