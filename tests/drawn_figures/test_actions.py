"""How drawn people move: within their limits, on the ground, and as their action says."""

import numpy as np
import pytest

from drawn_figures.actions import (
    ACTIONS,
    DEMO_ACTIONS,
    FLOOR_ACTIONS,
    NEW_ACTIONS,
    Motion,
    draw_motion,
)
from drawn_figures.skeleton import (
    JOINT_LIMITS,
    SIDES,
    Body,
    Joints,
    draw_body,
    joint_positions,
)

MOVING = tuple(action for action in ACTIONS if action != "holding still")
SEEDS = range(12)

TIMES_S = np.arange(48) / 20
"""As long as the longest period."""


def _draw(action: str, seed: int) -> tuple[Body, Motion]:
    rng = np.random.default_rng(seed)
    body = draw_body(rng)
    return body, draw_motion(action, body, rng)


def _joints(action: str, seed: int) -> Joints:
    body, motion = _draw(action, seed)
    return joint_positions(body, motion.at(TIMES_S))


def _spread(joints: Joints) -> float:
    """Return how far the joint that moves most comes from its mean place, in statures."""
    places = np.stack(list(joints.values()))
    away = places - places.mean(axis=1, keepdims=True)
    return float(np.linalg.norm(away, axis=-1).max())


def test_names_are_sorted_and_apart():
    """The classes of the demo model and the new actions are all actions, in the order of ASCII, and none is both."""
    assert len(DEMO_ACTIONS) == 12
    assert len(NEW_ACTIONS) == 3
    assert list(ACTIONS) == sorted({*DEMO_ACTIONS, *NEW_ACTIONS})
    for names in (ACTIONS, DEMO_ACTIONS, NEW_ACTIONS):
        assert list(names) == sorted(set(names))


@pytest.mark.parametrize("action", ACTIONS)
def test_joints_stay_within_their_limits(action):
    """No joint is ever bent further than a person can."""
    for seed in SEEDS:
        _, motion = _draw(action, seed)
        angles = motion.at(TIMES_S).angles
        assert angles.keys() == JOINT_LIMITS.keys()
        for name, (low, high) in JOINT_LIMITS.items():
            assert low - 0.5 <= angles[name].min(), (seed, name)
            assert angles[name].max() <= high + 0.5, (seed, name)


@pytest.mark.parametrize("action", MOVING)
def test_a_moving_person_moves(action):
    """In every action but holding still, some joint moves far enough for anybody to see."""
    for seed in SEEDS:
        assert _spread(_joints(action, seed)) > 0.06, seed


def test_a_person_who_holds_still_does_not_move():
    """Breath and sway move no joint by more than a hundredth of the stature."""
    for seed in range(40):
        assert 0 < _spread(_joints("holding still", seed)) < 0.01, seed


def test_holding_still_keeps_poses_of_other_actions():
    """Some hold still on the floor and some on their feet, some with an arm up and some with a leg up."""
    still = [_joints("holding still", seed) for seed in range(40)]
    on_floor = [_draw("holding still", seed)[1].on_floor for seed in range(40)]

    assert 0 < sum(on_floor) < 20
    hands_up = [
        max(joints[f"{side}_hand"][0, 2] for side in SIDES) > joints["head"][0, 2]
        for joints in still
    ]
    feet_up = [
        max(joints[f"{side}_heel"][0, 2] for side in SIDES) > 0.1 for joints in still
    ]
    assert 0 < sum(hands_up) < 40
    assert 0 < sum(feet_up) < 40


@pytest.mark.parametrize("action", ACTIONS)
def test_a_movement_is_smooth(action):
    """Nothing jumps: between two moments a hundredth of a second apart no joint goes further than a fast hand."""
    for seed in SEEDS:
        body, motion = _draw(action, seed)
        joints = joint_positions(body, motion.at(np.arange(240) / 100))
        for name, places in joints.items():
            speed = np.linalg.norm(np.diff(places, axis=0), axis=-1).max() * 100
            assert speed < 6, (seed, name)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_movement_repeats(action):
    """A period lasts from 0.7 to 2.4 seconds, and after it the pose is the same again."""
    for seed in SEEDS:
        _, motion = _draw(action, seed)
        first, second = (motion.pose_at(np.linspace(k, k + 1, 9)) for k in (0, 1))
        assert 0.7 <= motion.period_s <= 2.4
        for name in JOINT_LIMITS:
            np.testing.assert_allclose(
                first.angles[name], second.angles[name], atol=1e-6
            )


@pytest.mark.parametrize("action", ACTIONS)
def test_the_body_touches_the_ground(action):
    """The lowest part is on the ground at all times, and nothing below; only jumping jacks leave it."""
    for seed in SEEDS:
        joints = _joints(action, seed)
        heights = np.min([places[:, 2] for places in joints.values()], axis=0)
        assert heights.min() > 0.01, seed
        if action != "jumping jacks":
            assert heights.max() < 0.1, seed
            assert np.ptp(heights) < 0.03, seed


def test_jumping_jacks_jump_and_land():
    """In jumping jacks the feet are in the air and on the ground in turn."""
    for seed in SEEDS:
        joints = _joints("jumping jacks", seed)
        feet = np.min([joints[f"{side}_toe"][:, 2] for side in SIDES], axis=0)
        assert feet.min() < 0.025, seed
        assert feet.max() > 0.04, seed


@pytest.mark.parametrize(
    "action",
    [
        "clapping",
        "front raises",
        "headbanging",
        "squat",
        "stretching arm",
        "waving hand",
    ],
)
def test_feet_stand_still_where_they_do_not_step(action):
    """Where only the trunk, the arms or the knees move, both feet stand flat and do not slide."""
    for seed in SEEDS:
        joints = _joints(action, seed)
        for side in SIDES:
            ankle = joints[f"{side}_ankle"]
            assert np.ptp(ankle, axis=0).max() < 0.02, (seed, side)
            assert joints[f"{side}_toe"][:, 2].max() < 0.05, (seed, side)


@pytest.mark.parametrize("action", ["mountain climber (exercise)", "push up"])
def test_hands_stand_still_on_the_floor(action):
    """A person who leans on the hands does not slide on them, and the elbows do not bend the wrong way."""
    for seed in SEEDS:
        joints = _joints(action, seed)
        for side in SIDES:
            hand = joints[f"{side}_hand"]
            assert np.ptp(hand, axis=0).max() < 0.03, (seed, side)
            assert hand[:, 2].max() < 0.06, (seed, side)


@pytest.mark.parametrize("action", ["high kick", "marching", "side kick"])
def test_one_foot_stands_while_the_other_is_up(action):
    """One foot at a time leaves the ground, and does so clearly."""
    for seed in SEEDS:
        joints = _joints(action, seed)
        heights = np.stack([joints[f"{side}_ankle"][:, 2] for side in SIDES])
        assert heights.min(axis=0).max() < 0.06, seed
        assert heights.max() > 0.12, seed


def test_both_sides_lead():
    """Left and right lead about equally often."""
    heights = [
        [_joints("side kick", seed)[f"{side}_ankle"][:, 2].max() for side in SIDES]
        for seed in range(30)
    ]
    lefts = sum(left > right for left, right in heights)

    assert 6 < lefts < 24


def test_floor_actions_are_low():
    """In the actions on the floor the shoulders stay below those of a standing person."""
    for action in ACTIONS:
        joints = _joints(action, 3)
        low = joints["neck"][:, 2].max() < 0.6
        assert low == (action in FLOOR_ACTIONS) or action == "holding still"
