"""From where a hand or a foot should be to the joint angles that bring it there."""

from __future__ import annotations

import numpy as np

from drawn_figures.skeleton import Body, Numbers, rotation

__all__ = ["STRAIGHTEST", "arm_angles", "leg_angles"]

STRAIGHTEST = 0.998
"""The part of its length to which a limb stretches: a limb that is quite straight has no plane in which it bends."""


def leg_angles(body: Body, ankle: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return the angles with which the ankle comes to a place: hip forward, hip outwards, knee.

    Args:
        body: The measures.
        ankle: Where it should be, ``(moments, 3)``, seen from the hip along the axes of the pelvis: forward, to the
            leg's own side, up. A place too far away is approached along a straight line.

    Returns:
        Three times ``(moments,)``, in degrees.
    """
    forward, outwards, up = ankle[:, 0], ankle[:, 1], ankle[:, 2]
    # A foot as high as its hip has no direction outwards; one a little lower hardly has.
    hip_side = np.arctan2(outwards, np.maximum(-up, 0.1))
    down = -up / np.cos(hip_side)
    at_hip, knee = _bend(np.hypot(forward, down), body.thigh, body.shank)
    hip_flex = np.degrees(np.arctan2(forward, down)) + at_hip
    return hip_flex, np.degrees(hip_side), knee


def arm_angles(
    body: Body, hand: Numbers, elbow_towards: tuple[float, float, float]
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Return the angles with which the knuckles come to a place: arm lift, arm plane, arm turn, elbow.

    Args:
        body: The measures.
        hand: Where the knuckles should be, ``(moments, 3)``, seen from the shoulder along the axes of the chest:
            forward, to the arm's own side, up. A place too far away is approached along a straight line.
        elbow_towards: Towards where the elbow points, along the same axes.

    Returns:
        Four times ``(moments,)``, in degrees.
    """
    lower = body.forearm + body.hand
    distance = np.linalg.norm(hand, axis=-1)
    towards = hand / distance[:, np.newaxis]
    distance = np.minimum(distance, STRAIGHTEST * (body.upper_arm + lower))
    at_shoulder, elbow = _bend(distance, body.upper_arm, lower)
    aside = np.asarray(elbow_towards) - towards * (towards @ elbow_towards)[:, None]
    aside /= np.linalg.norm(aside, axis=-1, keepdims=True)
    angle = np.radians(at_shoulder)[:, np.newaxis]
    upper_arm = towards * np.cos(angle) + aside * np.sin(angle)
    forearm = towards * distance[:, np.newaxis] - upper_arm * body.upper_arm
    lift = np.degrees(np.arccos(np.clip(-upper_arm[:, 2], -1, 1)))
    plane = np.degrees(np.arctan2(upper_arm[:, 1], upper_arm[:, 0]))
    lifted = rotation("z", plane) @ rotation("y", -lift) @ rotation("z", -plane)
    bent = np.einsum("tji,tj->ti", lifted, forearm)
    return lift, plane, np.degrees(np.arctan2(-bent[:, 1], bent[:, 0])), elbow


def _bend(distance: Numbers, upper: float, lower: float) -> tuple[Numbers, Numbers]:
    """Return by how much a limb of two parts turns away at its start and bends in its middle, in degrees."""
    distance = np.clip(
        distance, abs(upper - lower) + 1e-3, STRAIGHTEST * (upper + lower)
    )
    start = (upper**2 + distance**2 - lower**2) / (2 * upper * distance)
    middle = (distance**2 - upper**2 - lower**2) / (2 * upper * lower)
    return np.degrees(np.arccos(np.clip(start, -1, 1))), np.degrees(
        np.arccos(np.clip(middle, -1, 1))
    )
