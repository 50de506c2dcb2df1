"""From joint angles to the places of the joints: the body of a drawn person.

The world is measured in statures of an average person: x forward, y to the person's left, z up, and the ground at
z = 0. Angles are in degrees, zero where a person stands straight with the arms hanging down; what a positive angle
does stands beside each limit in `JOINT_LIMITS`. All arrays have one entry a moment, so a whole clip is computed at
once.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ANKLE_HEIGHT",
    "BONES",
    "JOINTS",
    "JOINT_LIMITS",
    "SIDES",
    "SOLE",
    "Angles",
    "Body",
    "Joints",
    "Numbers",
    "Pose",
    "draw_body",
    "joint_positions",
    "pelvis_rotation",
    "rotation",
    "side_sign",
    "trunk_positions",
]

Numbers: TypeAlias = NDArray[np.float64]
"""Numbers in floating point, one a moment unless said otherwise."""

Angles: TypeAlias = dict[str, Numbers]
"""The name of each angle in `JOINT_LIMITS`, and its values, ``(moments,)``, in degrees."""

Joints: TypeAlias = dict[str, Numbers]
"""The name of each joint in `JOINTS`, and its places, ``(moments, 3)``, in the world."""

SIDES: Final = ("left", "right")

_TRUNK_LIMITS: Final = {
    # The pelvis in the world; a person can lie on the back and on the belly.
    "pitch": (-95.0, 95.0),  # forward
    "roll": (-50.0, 50.0),  # to the right
    "yaw": (-60.0, 60.0),  # to the left
    "spine_flex": (-30.0, 75.0),  # forward
    "spine_side": (-35.0, 35.0),  # to the right
    "spine_turn": (-45.0, 45.0),  # to the left
    "neck_flex": (-60.0, 60.0),  # forward
    "neck_side": (-45.0, 45.0),  # to the right
    "neck_turn": (-80.0, 80.0),  # to the left
}

_LIMB_LIMITS: Final = {
    # How far the upper arm is lifted, and towards where: 0 forward, 90 to its own side, below 0 across the chest.
    "arm_lift": (0.0, 180.0),
    "arm_plane": (-60.0, 150.0),
    "arm_turn": (-100.0, 110.0),  # about its own axis, inwards
    "elbow": (0.0, 155.0),  # bent
    "hip_flex": (-30.0, 140.0),  # forward
    "hip_side": (-30.0, 80.0),  # outwards
    "knee": (0.0, 155.0),  # bent
    "ankle": (-55.0, 40.0),  # toes towards the shin
}

JOINT_LIMITS: Final[dict[str, tuple[float, float]]] = _TRUNK_LIMITS | {
    f"{side}_{name}": limits for side in SIDES for name, limits in _LIMB_LIMITS.items()
}
"""The lowest and the highest value of each angle, in degrees.

They are a little wider than the mean ranges of motion of healthy adults [1], as those of people in training are; the
hip goes out to 80 degrees only where a fighter's or a dancer's does.

References:
    [1] American Academy of Orthopaedic Surgeons, "Joint Motion: Method of Measuring and Recording", 1965.
"""

_LIMB_BONES: Final = (
    ("neck", "shoulder"),
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("wrist", "hand"),
    ("pelvis", "hip"),
    ("hip", "knee"),
    ("knee", "ankle"),
    ("ankle", "toe"),
    ("ankle", "heel"),
)

_TRUNK: Final = ("pelvis", "waist", "neck", "head", "face")


def _of_side(joint: str, side: str) -> str:
    return joint if joint in _TRUNK else f"{side}_{joint}"


BONES: Final[tuple[tuple[str, str], ...]] = (
    *itertools.pairwise(_TRUNK),
    *(
        (_of_side(start, side), _of_side(end, side))
        for side in SIDES
        for start, end in _LIMB_BONES
    ),
)
"""The joint where each bone starts, and where it ends."""

JOINTS: Final[tuple[str, ...]] = ("pelvis", *(end for _, end in BONES))
"""The joints and the ends of limbs: the root first, each after the one it hangs on."""


@attrs.frozen
class Body:
    """The measures of one body, in statures of an average person.

    The defaults are those of an average person: lengths of segments as fractions of stature [1, figure 4.1].

    Attributes:
        shoulder: From the middle to a shoulder.
        hip: From the middle to a hip.
        lower_trunk: From the hips to the waist.
        upper_trunk: From the waist to the bottom of the neck.
        neck: From there to the middle of the head.
        upper_arm: From shoulder to elbow.
        forearm: From elbow to wrist.
        hand: From the wrist to the knuckles.
        thigh: From hip to knee.
        shank: From knee to ankle.
        foot: From the ankle forward to the toes.
        girth: How stout the limbs and the trunk are; 1 is average.
        head: Radius of the head.

    References:
        [1] D. A. Winter, "Biomechanics and Motor Control of Human Movement", 4th edition, Wiley 2009; after R. Drillis
            and R. Contini, "Body Segment Parameters", New York University 1966.
    """

    shoulder: float = 0.125
    hip: float = 0.07
    lower_trunk: float = 0.1
    upper_trunk: float = 0.188
    neck: float = 0.12
    upper_arm: float = 0.186
    forearm: float = 0.146
    hand: float = 0.07
    thigh: float = 0.245
    shank: float = 0.246
    foot: float = 0.11
    girth: float = 1.0
    head: float = 0.065

    @property
    def leg(self) -> float:
        """From hip to ankle along a straight leg."""
        return self.thigh + self.shank

    @property
    def arm(self) -> float:
        """From the shoulder to the knuckles along a straight arm."""
        return self.upper_arm + self.forearm + self.hand

    @property
    def hip_height(self) -> float:
        """From the ground to the hips of a person who stands straight."""
        return self.leg + ANKLE_HEIGHT

    @property
    def stature(self) -> float:
        """From the ground to the top of the head of a person who stands straight."""
        trunk = self.lower_trunk + self.upper_trunk + self.neck
        return self.hip_height + trunk + self.head


ANKLE_HEIGHT: Final = 0.039
"""From the sole to the ankle, in statures [`Body`, 1]."""

SOLE: Final = 0.018
"""From the ground to the heel and the toes of a foot that stands on it: half the thickness of a foot."""

_HEEL: Final = 0.035
"""How far the heel is behind the ankle."""

_SHOULDER_DROP: Final = 0.02
"""How far the shoulders are below the bottom of the neck."""

_CONTACTS: Final = {
    "pelvis": 0.08,
    "neck": 0.075,
    "hand": 0.02,
    "knee": 0.04,
    "toe": SOLE,
    "heel": SOLE,
}
"""The joints that can touch the ground, and how thick the body is around them."""


@attrs.frozen(eq=False)
class Pose:
    """A body's posture at a series of moments.

    Attributes:
        angles: All angles of `JOINT_LIMITS`.
        pelvis: Where the pelvis is in the world, ``(moments, 3)``. Its height does not count: the body stands on the
            ground.
        lift: How far the lowest part of the body is above the ground, ``(moments,)``; above 0 in a jump.
    """

    angles: Angles
    pelvis: Numbers
    lift: Numbers


def draw_body(rng: np.random.Generator) -> Body:
    """Return the measures of a random grown-up, drawn from *rng*."""
    average = Body()
    legs, arms, trunk = rng.uniform(0.92, 1.08, 3)
    girth = rng.uniform(0.8, 1.3)
    return Body(
        shoulder=average.shoulder * rng.uniform(0.88, 1.12),
        hip=average.hip * rng.uniform(0.85, 1.15),
        lower_trunk=average.lower_trunk * trunk,
        upper_trunk=average.upper_trunk * trunk,
        neck=average.neck * rng.uniform(0.95, 1.1),
        upper_arm=average.upper_arm * arms,
        forearm=average.forearm * arms,
        hand=average.hand * rng.uniform(0.9, 1.1),
        thigh=average.thigh * legs,
        shank=average.shank * legs * rng.uniform(0.95, 1.05),
        foot=average.foot * rng.uniform(0.9, 1.1),
        girth=girth,
        head=average.head * rng.uniform(0.9, 1.2),
    )


def side_sign(side: str) -> float:
    """Return the direction along y in which *side* lies: 1 for left, -1 for right."""
    return 1.0 if side == "left" else -1.0


def rotation(axis: str, degrees: Numbers) -> Numbers:
    """Return matrices, ``(moments, 3, 3)``, that turn about an axis of the world.

    Args:
        axis: ``"x"``, ``"y"`` or ``"z"``.
        degrees: By how much, ``(moments,)``; right-handed.
    """
    radians = np.radians(degrees)
    cosine, sine = np.cos(radians), np.sin(radians)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrices = np.zeros((*radians.shape, 3, 3))
    matrices[..., 3 - first - second, 3 - first - second] = 1
    matrices[..., first, first] = matrices[..., second, second] = cosine
    matrices[..., first, second] = -sine
    matrices[..., second, first] = sine
    return matrices


def pelvis_rotation(angles: Mapping[str, Numbers]) -> Numbers:
    """Return matrices, ``(moments, 3, 3)``, from the axes of the pelvis to those of the world."""
    return (
        rotation("z", angles["yaw"])
        @ rotation("x", angles["roll"])
        @ rotation("y", angles["pitch"])
    )


def trunk_positions(
    body: Body, angles: Mapping[str, Numbers], pelvis: Numbers
) -> tuple[Joints, Numbers, Numbers]:
    """Return where the trunk, the shoulders and the hips are, and how pelvis and chest are turned.

    Args:
        body: The measures.
        angles: As in `Pose`.
        pelvis: Where the pelvis is in the world, ``(moments, 3)``.

    Returns:
        The joints, and two series of matrices, ``(moments, 3, 3)``: from the axes of the pelvis, and of the chest, to
        those of the world.
    """
    root = pelvis_rotation(angles)
    chest = root @ _bend(angles, "spine")
    head = chest @ _bend(angles, "neck")
    joints = {"pelvis": pelvis}
    joints["waist"] = pelvis + root[..., 2] * body.lower_trunk
    joints["neck"] = joints["waist"] + chest[..., 2] * body.upper_trunk
    joints["head"] = joints["neck"] + head[..., 2] * body.neck
    joints["face"] = joints["head"] + head[..., 0] * body.head
    for side in SIDES:
        outwards = side_sign(side)
        joints[f"{side}_shoulder"] = joints["neck"] + chest @ np.array(
            [0, outwards * body.shoulder, -_SHOULDER_DROP]
        )
        joints[f"{side}_hip"] = pelvis + root[..., 1] * (outwards * body.hip)
    return joints, root, chest


def joint_positions(body: Body, pose: Pose) -> Joints:
    """Return where all joints are in the world, the lowest part of the body on the ground or `Pose.lift` above it."""
    joints, root, chest = trunk_positions(body, pose.angles, pose.pelvis)
    for side in SIDES:
        joints |= _arm(body, pose.angles, side, joints[f"{side}_shoulder"], chest)
        joints |= _leg(body, pose.angles, side, joints[f"{side}_hip"], root)
    shift = np.zeros_like(pose.pelvis)
    shift[:, 2] = pose.lift - _lowest(joints)
    return {name: joints[name] + shift for name in JOINTS}


def _bend(angles: Mapping[str, Numbers], part: str) -> Numbers:
    return (
        rotation("x", angles[f"{part}_side"])
        @ rotation("y", angles[f"{part}_flex"])
        @ rotation("z", angles[f"{part}_turn"])
    )


def _arm(
    body: Body, angles: Angles, side: str, shoulder: Numbers, chest: Numbers
) -> Joints:
    outwards = side_sign(side)
    plane = outwards * angles[f"{side}_arm_plane"]
    turn = outwards * angles[f"{side}_arm_turn"]
    # Lifted along the shortest way, and turned about its axis before: so a hanging arm has no plane.
    upper = (
        chest
        @ rotation("z", plane)
        @ rotation("y", -angles[f"{side}_arm_lift"])
        @ rotation("z", -plane - turn)
    )
    lower = upper @ rotation("y", -angles[f"{side}_elbow"])
    elbow = shoulder - upper[..., 2] * body.upper_arm
    wrist = elbow - lower[..., 2] * body.forearm
    return {
        f"{side}_elbow": elbow,
        f"{side}_wrist": wrist,
        f"{side}_hand": wrist - lower[..., 2] * body.hand,
    }


def _leg(body: Body, angles: Angles, side: str, hip: Numbers, root: Numbers) -> Joints:
    upper = (
        root
        @ rotation("x", side_sign(side) * angles[f"{side}_hip_side"])
        @ rotation("y", -angles[f"{side}_hip_flex"])
    )
    lower = upper @ rotation("y", angles[f"{side}_knee"])
    foot = lower @ rotation("y", -angles[f"{side}_ankle"])
    knee = hip - upper[..., 2] * body.thigh
    ankle = knee - lower[..., 2] * body.shank
    sole = ankle - foot[..., 2] * (ANKLE_HEIGHT - SOLE)
    return {
        f"{side}_knee": knee,
        f"{side}_ankle": ankle,
        f"{side}_toe": sole + foot[..., 0] * body.foot,
        f"{side}_heel": sole - foot[..., 0] * _HEEL,
    }


def _lowest(joints: Joints) -> Numbers:
    heights = [
        joints[name][:, 2] - radius
        for joint, radius in _CONTACTS.items()
        for name in dict.fromkeys(_of_side(joint, side) for side in SIDES)
    ]
    lowest: Numbers = np.min(heights, axis=0)
    return lowest
