"""The body of a drawn person: its bones, its limits, and the reach of its limbs."""

import numpy as np
import pytest

from drawn_figures.posture import Posture
from drawn_figures.reach import arm_angles, leg_angles
from drawn_figures.skeleton import (
    BONES,
    JOINT_LIMITS,
    JOINTS,
    SIDES,
    Body,
    Pose,
    draw_body,
    joint_positions,
    side_sign,
)

BODY = Body()


def _random_pose(seed: int, num_moments: int = 12) -> Pose:
    rng = np.random.default_rng(seed)
    angles = {
        name: rng.uniform(*limits, num_moments) for name, limits in JOINT_LIMITS.items()
    }
    return Pose(angles, np.zeros((num_moments, 3)), np.zeros(num_moments))


def _straight(**degrees: float) -> Pose:
    posture = Posture(BODY, 1)
    for name, value in degrees.items():
        posture.angles[name][:] = value
    return posture.pose()


def test_bones_hang_together():
    """Every joint but the pelvis hangs on one joint that comes before it."""
    ends = [end for _, end in BONES]

    assert ends == list(JOINTS[1:])
    assert all(JOINTS.index(start) < JOINTS.index(end) for start, end in BONES)


@pytest.mark.parametrize("seed", range(5))
def test_bones_keep_their_lengths(seed):
    """However the joints are bent, no bone gets longer or shorter."""
    body = draw_body(np.random.default_rng(seed))
    joints = joint_positions(body, _random_pose(seed))

    for start, end in BONES:
        lengths = np.linalg.norm(joints[end] - joints[start], axis=-1)
        np.testing.assert_allclose(lengths, lengths[0], atol=1e-9)
        assert lengths[0] > 0.02


def test_a_person_stands_upright_on_the_ground():
    """With all angles 0 the feet are flat on the ground, the head is on top, and both sides are alike."""
    joints = joint_positions(BODY, _straight())

    lows = [
        joints[f"{side}_{part}"][0, 2] for side in SIDES for part in ("toe", "heel")
    ]
    np.testing.assert_allclose(lows, 0.018, atol=1e-9)
    assert max(joints, key=lambda name: joints[name][0, 2]) in ("head", "face")
    mirrored = joints["left_hand"][0] * (1, -1, 1)
    np.testing.assert_allclose(joints["right_hand"][0], mirrored, atol=1e-9)


@pytest.mark.parametrize(
    ("angles", "joint", "axis", "sign"),
    [
        ({"pitch": 30.0}, "head", 0, 1),
        ({"roll": 20.0}, "head", 1, -1),
        ({"spine_flex": 30.0}, "head", 0, 1),
        ({"neck_flex": 30.0}, "head", 0, 1),
        ({"left_arm_lift": 90.0}, "left_hand", 0, 1),
        ({"left_arm_lift": 90.0, "left_arm_plane": 90.0}, "left_hand", 1, 1),
        ({"right_arm_lift": 90.0, "right_arm_plane": 90.0}, "right_hand", 1, -1),
        ({"left_elbow": 90.0}, "left_hand", 0, 1),
        ({"left_elbow": 90.0, "left_arm_turn": 90.0}, "left_hand", 1, -1),
        ({"left_hip_flex": 60.0}, "left_toe", 2, 1),
        ({"right_hip_side": 40.0}, "right_toe", 1, -1),
        ({"left_knee": 90.0}, "left_toe", 0, -1),
        ({"left_ankle": 30.0}, "left_toe", 2, 1),
    ],
)
def test_angles_turn_the_way_they_say(angles, joint, axis, sign):
    """Elbows bend forward, knees back; arms and legs lift forward and to their own side."""
    before = joint_positions(BODY, _straight())
    after = joint_positions(BODY, _straight(**angles))

    # Seen from the pelvis, for a bent leg may lower or lift the whole body.
    moved = (after[joint] - after["pelvis"]) - (before[joint] - before["pelvis"])
    assert moved[0, axis] * sign > 0.05 - 0.03 * (joint == "left_toe")


def test_a_jump_leaves_the_ground():
    """The lowest part of the body is as far above the ground as the pose says."""
    pose = _straight()
    jump = Pose(pose.angles, pose.pelvis, np.array([0.3]))

    low = joint_positions(BODY, pose)["left_heel"][0, 2]
    high = joint_positions(BODY, jump)["left_heel"][0, 2]
    assert high - low == pytest.approx(0.3)


@pytest.mark.parametrize("side", SIDES)
def test_feet_come_to_the_places_asked_for(side):
    """A planted foot stands flat at its place, whatever the pelvis does within the leg's reach."""
    posture = Posture(BODY, 3)
    posture.pelvis[:, 2] -= (0.05, 0.15, 0.1)
    posture.bend(pitch=np.array((0.0, 30.0, -5.0)), roll=np.array((0.0, 0.0, 10.0)))
    other = SIDES[1 - SIDES.index(side)]
    posture.plant(side, 0.1, 0.12)
    posture.plant(other, 0.0, 0.12)
    joints = joint_positions(BODY, posture.pose())

    expected = np.broadcast_to((0.1, 0.12 * side_sign(side)), (3, 2))
    np.testing.assert_allclose(joints[f"{side}_ankle"][:, :2], expected, atol=0.002)
    tilt = joints[f"{side}_toe"][:, 2] - joints[f"{side}_heel"][:, 2]
    np.testing.assert_allclose(tilt, 0, atol=0.01)


@pytest.mark.parametrize("side", SIDES)
def test_hands_come_to_the_places_asked_for(side):
    """A hand within reach comes to its place, with the elbow on the side that was asked for."""
    posture = Posture(BODY, 2)
    up = np.array((-0.1, 0.15))
    posture.reach(side, 0.2, 0.05, up, (0.0, 0.3, -1.0))
    joints = joint_positions(BODY, posture.pose())

    places = joints[f"{side}_hand"] - joints["neck"]
    sides = np.full(2, 0.05 * side_sign(side))
    # From the shoulder, which is a little below the neck.
    expected = np.stack([np.full(2, 0.2), sides, up - 0.02], axis=-1)
    np.testing.assert_allclose(places, expected, atol=1e-6)
    middle = (joints[f"{side}_hand"] + joints[f"{side}_shoulder"]) / 2
    assert (joints[f"{side}_elbow"][:, 2] < middle[:, 2]).all()


def test_a_place_out_of_reach_is_approached():
    """A limb that is too short is stretched towards the place, and no angle becomes NaN."""
    far = np.array([[2.0, 0.0, -2.0], [0.0, 0.0, -5.0], [1e-3, 0.0, -1e-3]])
    for angles in (leg_angles(BODY, far), arm_angles(BODY, far, (0.0, 1.0, 0.0))):
        assert all(np.isfinite(values).all() for values in angles)
    *_, knee = leg_angles(BODY, far)
    assert (knee[:2] < 10).all()
    assert knee[2] > 150


def test_bodies_differ():
    """Two people have different measures, each near the average."""
    first, second = (draw_body(np.random.default_rng(seed)) for seed in (0, 1))

    assert first != second
    for body in (first, second):
        assert 0.9 < body.stature < 1.12
