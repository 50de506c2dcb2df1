"""From where feet and hands should be to a whole pose: a posture is put together step by step."""

from __future__ import annotations

from typing import Final

import numpy as np

from drawn_figures.reach import STRAIGHTEST, arm_angles, leg_angles
from drawn_figures.skeleton import (
    ANKLE_HEIGHT,
    JOINT_LIMITS,
    SIDES,
    SOLE,
    Body,
    Numbers,
    Pose,
    joint_positions,
    pelvis_rotation,
    side_sign,
    trunk_positions,
)

__all__ = ["Posture"]

_PALM: Final = 0.02
"""From the ground to the knuckles of a hand that leans on it, in statures."""


class Posture:
    """A pose in the making: a person who stands straight, until told otherwise.

    Attributes:
        body: The measures.
        angles: As in `Pose`; they may still be beyond the limits.
        pelvis: As in `Pose`, but its height counts here: the feet are at the ground of the world.
        lift: As in `Pose`.
    """

    def __init__(self, body: Body, num_moments: int) -> None:
        self.body = body
        self.angles = {name: np.zeros(num_moments) for name in JOINT_LIMITS}
        self.pelvis = np.zeros((num_moments, 3))
        self.pelvis[:, 2] = body.hip_height
        self.lift = np.zeros(num_moments)

    def bend(self, side: str = "", **degrees: Numbers | float) -> None:
        """Set angles, in degrees; with a *side*, those of this side's limbs."""
        for name, value in degrees.items():
            full_name = f"{side}_{name}" if side else name
            self.angles[full_name] = np.zeros_like(self.lift) + value

    def hold_arm(self, side: str, arm: tuple[float, float, float, float]) -> None:
        """Set an arm: its lift, its plane, its turn and its elbow, in degrees."""
        lift, plane, turn, elbow = arm
        self.bend(side, arm_lift=lift, arm_plane=plane, arm_turn=turn, elbow=elbow)

    def reach(
        self,
        side: str,
        forward: Numbers | float,
        outwards: Numbers | float,
        up: Numbers | float,
        elbow_towards: tuple[float, float, float],
    ) -> None:
        """Bring the knuckles to a place.

        Args:
            side: Which hand.
            forward: From the bottom of the neck, along the axes of the chest.
            outwards: From the middle to the hand's own side.
            up: From the bottom of the neck.
            elbow_towards: As in `arm_angles`.
        """
        hand = np.zeros((len(self.lift), 3))
        hand[:, 0] += forward
        hand[:, 1] += outwards
        hand[:, 1] -= self.body.shoulder
        hand[:, 2] += up
        lift, plane, turn, elbow = arm_angles(self.body, hand, elbow_towards)
        self.bend(side, arm_lift=lift, arm_plane=plane, arm_turn=turn, elbow=elbow)

    def lean_on(
        self, place: Numbers, outwards: float, elbow_towards: tuple[float, float, float]
    ) -> None:
        """Bring both hands to the ground, *place* forward in the world and *outwards* to their own sides."""
        trunk, _, chest = trunk_positions(self.body, self.angles, self.pelvis)
        for side in SIDES:
            sign = side_sign(side)
            target = np.stack(
                np.broadcast_arrays(place, sign * outwards, _PALM), axis=-1
            )
            hand = np.einsum("tji,tj->ti", chest, target - trunk[f"{side}_shoulder"])
            hand[:, 1] *= sign
            lift, plane, turn, elbow = arm_angles(self.body, hand, elbow_towards)
            self.bend(side, arm_lift=lift, arm_plane=plane, arm_turn=turn, elbow=elbow)

    def plant(
        self,
        side: str,
        forward: Numbers | float,
        outwards: Numbers | float,
        *,
        up: Numbers | float = 0.0,
        heel_rise: Numbers | float = 0.0,
    ) -> None:
        """Bring a foot to a place, flat.

        Args:
            side: Which foot.
            forward: Where its ankle is in the world, were the foot flat.
            outwards: From the middle to the foot's own side.
            up: How far above the ground.
            heel_rise: By how much the foot stands on its toes, in degrees.
        """
        sign = side_sign(side)
        rise = np.radians(heel_rise)
        ankle = np.zeros_like(self.pelvis)
        along, above = self.body.foot, ANKLE_HEIGHT - SOLE
        # The foot turns about its toes.
        ankle[:, 0] += forward + along - along * np.cos(rise) + above * np.sin(rise)
        ankle[:, 1] += sign * outwards
        ankle[:, 2] += SOLE + above * np.cos(rise) + along * np.sin(rise) + up
        self.reach_foot(side, ankle)
        flat = (
            self.angles["pitch"]
            - self.angles[f"{side}_hip_flex"]
            + self.angles[f"{side}_knee"]
        )
        self.bend(side, ankle=flat - heel_rise)

    def reach_foot(self, side: str, ankle: Numbers) -> None:
        """Bring an ankle to a place in the world, ``(moments, 3)``."""
        sign = side_sign(side)
        root = pelvis_rotation(self.angles)
        hip = self.pelvis + root[..., 1] * (sign * self.body.hip)
        target = np.einsum("tji,tj->ti", root, ankle - hip)
        target[:, 1] *= sign
        flex, aside, knee = leg_angles(self.body, target)
        self.bend(side, hip_flex=flex, hip_side=aside, knee=knee)

    def sink_to_feet(self, *feet: tuple[Numbers | float, Numbers | float]) -> None:
        """Lower the pelvis as far as legs that stand flat at these places, forward and to the left, need."""
        longest = STRAIGHTEST * self.body.leg
        for forward, left in feet:
            sign = np.sign(np.mean(left))
            aside = np.hypot(
                self.pelvis[:, 0] - forward,
                self.pelvis[:, 1] + sign * self.body.hip - left,
            )
            height = ANKLE_HEIGHT + np.sqrt(
                np.maximum(longest**2 - aside**2, 0.2 * longest**2)
            )
            self.pelvis[:, 2] = np.minimum(self.pelvis[:, 2], height)

    def lie_on_toes(
        self, shoulder_height: Numbers | float, pike: float, spread: float
    ) -> None:
        """Turn the straight body about its toes, face down, until the shoulders are at a height.

        Args:
            shoulder_height: Above the ground, in statures.
            pike: By how much the hips are bent, in degrees.
            spread: By how much the legs are spread, in degrees.
        """
        self.bend(pitch=90.0)
        for side in SIDES:
            self.bend(side, hip_flex=pike, hip_side=spread, knee=3.0, ankle=22.0)
        joints = joint_positions(self.body, self.pose())
        line = joints["left_shoulder"] - joints["left_toe"]
        length = np.hypot(line[:, 0], line[:, 2])
        wanted = np.arcsin(np.clip((shoulder_height - SOLE) / length, -1, 1))
        self.bend(
            pitch=90 + np.degrees(np.arctan2(line[:, 2], line[:, 0]) - wanted),
        )
        joints = joint_positions(self.body, self.pose())
        self.pelvis = joints["pelvis"] - joints["left_toe"] * (1.0, 0.0, 1.0)
        self.pelvis[:, 2] += SOLE

    def pose(self) -> Pose:
        """Return the pose, each angle within its limits."""
        angles = {
            name: np.clip(self.angles[name], *limits)
            for name, limits in JOINT_LIMITS.items()
        }
        return Pose(angles, self.pelvis, self.lift)
