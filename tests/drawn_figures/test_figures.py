"""The clips of drawn people: what they are made of, what they depend on, and what can be seen in them."""

import itertools
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from drawn_figures import ACTIONS, DEMO_ACTIONS, NEW_ACTIONS, render_clip
from drawn_figures.painting import Canvas, Limb
from drawn_figures.scene import draw_scene
from movinet_lite.errors import ArrayError, LabelsError

MOVING = tuple(action for action in ACTIONS if action != "holding still")
TIMES_S = np.arange(16) / 5

SMALL = (48, 48)
"""Large enough where only equality counts, and fast."""

EXAMPLES = Path(__file__).parents[2] / "examples"


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean difference of two clips in levels of 255, their noise averaged out by blocks of 4 x 4."""
    blocks = [_blocks(clip) for clip in (one, other)]
    return float(np.abs(blocks[0] - blocks[1]).mean())


def _blocks(clip: np.ndarray) -> np.ndarray:
    frames, height, width, _ = clip.shape
    parts = clip.reshape(frames, height // 4, 4, width // 4, 4, 3)
    return parts.astype(np.float64).mean(axis=(2, 4))


def _limb(colour: tuple[float, float, float], depth: float, column: float) -> Limb:
    one = np.ones(1)
    return Limb(
        start=np.array([[column, 4.0]]),
        end=np.array([[column, 12.0]]),
        start_radius=3 * one,
        end_radius=3 * one,
        colour=colour,
        start_depth=depth * one,
        end_depth=depth * one,
        rounding=0.0,
    )


@pytest.mark.parametrize("action", ACTIONS)
def test_a_clip_is_a_series_of_frames(action):
    """Every action gives uint8 RGB frames of the number and size asked for, neither black nor white all over."""
    clip = render_clip(action, seed=1, num_frames=3, frame_size=(40, 64))

    assert clip.shape == (3, 40, 64, 3)
    assert clip.dtype == np.uint8
    assert clip.std() > 10


def test_the_usual_clip():
    """Without further arguments a clip has 16 frames of 96 x 96."""
    assert render_clip("squat", seed=0).shape == (16, 96, 96, 3)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_seed_gives_one_clip(action):
    """The same arguments give the same pixels, whatever was drawn before and whatever numpy's global state is."""
    first = render_clip(action, seed=5, num_frames=4, frame_size=SMALL)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - that it is not used is the point
    render_clip(action, seed=6, num_frames=4, frame_size=SMALL)

    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    again = render_clip(action, seed=5, num_frames=4, frame_size=SMALL)
    np.testing.assert_array_equal(first, again)


def test_a_seed_gives_one_clip_in_every_process():
    """Another process, whose hashes of texts differ, renders the same pixels."""
    code = (
        "import zlib; from drawn_figures.figures import render_clip; "
        "print(zlib.crc32(render_clip('marching', seed=3, num_frames=4)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": str(EXAMPLES)},
    )
    here = render_clip("marching", seed=3, num_frames=4)

    assert int(found.stdout) == zlib.crc32(here)


def test_threads_do_not_disturb_each_other():
    """Clips rendered side by side are those rendered one by one."""

    def render(seed: int) -> np.ndarray:
        return render_clip("lunge", seed=seed, num_frames=4, frame_size=SMALL)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(render, range(8)))

    np.testing.assert_array_equal(together, [render(seed) for seed in range(8)])


@pytest.mark.parametrize("action", ACTIONS)
def test_seeds_differ(action):
    """Each seed shows another person in another room."""
    clips = [render_clip(action, seed=seed, num_frames=1) for seed in range(4)]

    for i in range(3):
        assert _difference(clips[i], clips[i + 1]) > 10


def test_actions_of_one_seed_differ():
    """The same seed shows different people in different actions, so that no look belongs to an action."""
    clips = [render_clip(action, seed=0, num_frames=1) for action in DEMO_ACTIONS]

    for one, other in itertools.pairwise(clips):
        assert _difference(one, other) > 10


@pytest.mark.parametrize("action", MOVING)
def test_movement_is_seen(action):
    """In every action that moves, the person moves by several pixels at least."""
    for seed in range(6):
        scene = draw_scene(action, seed=seed)
        places = np.stack(list(scene.joints(TIMES_S).values()), axis=1)
        # Seen by a camera that does not move.
        seen, scale = scene.project(places, np.zeros_like(TIMES_S))
        travel = np.ptp(seen[..., :2], axis=0).max()
        assert travel > 5, seed
        assert travel > 0.07 * scale.mean(), seed


def test_frames_differ():
    """No two frames of a clip are the same, not even where somebody holds still, for noise and camera go on."""
    for action in ("holding still", "waving hand"):
        clip = render_clip(action, seed=2)
        for before, after in itertools.pairwise(clip):
            assert (before != after).mean() > 0.1


def test_still_clips_change_less_than_moving_ones():
    """Between frames, a clip of holding still changes less than one of jumping jacks."""
    changes = {
        action: np.median(
            [
                _difference(clip[:-1], clip[1:])
                for clip in (render_clip(action, seed=seed) for seed in range(6))
            ]
        )
        for action in ("holding still", "jumping jacks")
    }

    assert 2 * changes["holding still"] < changes["jumping jacks"]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_higher_rate_shows_the_same_scene(action):
    """Frame k at 5 frames a second is frame 5 k at 25, but for the noise."""
    coarse = render_clip(action, seed=4, num_frames=4, fps=5)
    fine = render_clip(action, seed=4, num_frames=16, fps=25)

    assert _difference(coarse, fine[::5]) < 3


def test_a_longer_clip_begins_like_a_shorter_one():
    """More frames go on where fewer end, noise included."""
    short = render_clip("push up", seed=8, num_frames=7, frame_size=SMALL)
    long = render_clip("push up", seed=8, num_frames=40, frame_size=SMALL)

    np.testing.assert_array_equal(long[:7], short)
    assert _difference(long[32:39], short) > 1


def test_a_larger_frame_shows_the_same_scene():
    """Twice as many pixels show the same picture, more sharply."""
    small = render_clip("high kick", seed=9, num_frames=3)
    large = render_clip("high kick", seed=9, num_frames=3, frame_size=(192, 192))

    means = large.reshape(3, 96, 2, 96, 2, 3).astype(np.float64).mean(axis=(2, 4))
    assert _difference(small, means) < 4


@pytest.mark.parametrize("action", ACTIONS)
def test_the_person_is_in_the_picture(action):
    """Nearly all joints are seen in nearly all clips, in wide and in high pictures too."""
    for frame_size in ((96, 96), (96, 128), (128, 72)):
        inside = []
        for seed in range(12):
            scene = draw_scene(action, seed=seed, frame_size=frame_size)
            places = np.stack(list(scene.joints(TIMES_S).values()), axis=1)
            seen, _ = scene.project(places, TIMES_S)
            limits = frame_size[::-1]
            inside.append(
                np.mean(((seen[..., :2] > 0) & (seen[..., :2] < limits)).all(-1))
            )
        assert np.mean(inside) > 0.97
        assert min(inside) > 0.8


@pytest.mark.parametrize("action", ACTIONS)
def test_the_person_is_large_enough(action):
    """The person fills a good part of the picture."""
    for seed in range(12):
        scene = draw_scene(action, seed=seed)
        places = np.stack(list(scene.joints(TIMES_S).values()), axis=1)
        seen, _ = scene.project(places, TIMES_S)
        extent = np.ptp(seen[..., :2].reshape(-1, 2), axis=0)
        assert extent.max() > 0.35 * 96, seed


def test_the_person_stands_out():
    """Where the person is, the picture is mostly of another colour than the same place of the empty room."""
    shares = []
    for seed in range(20):
        scene = draw_scene("clapping", seed=seed)
        clip = render_clip("clapping", seed=seed, num_frames=1)[0].astype(np.float64)
        joints = scene.joints(np.zeros(1))
        places = np.stack([joints["waist"], joints["head"], joints["left_knee"]], 1)
        seen, _ = scene.project(places, np.zeros(1))
        right, down = np.clip(seen[0, :, :2].astype(int), 1, 94).T
        beside = np.median(clip[:, [0, 1, 94, 95]], axis=(0, 1))
        person = clip[down, right]
        shares.append(np.mean(np.abs(person - beside).max(axis=-1) > 25))

    assert np.mean(shares) > 0.8


def test_a_canvas_hides_what_is_behind():
    """Of two rods that cross, the nearer one is seen, in whichever order they are painted."""
    red, green = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    for order in ((0, 1), (1, 0)):
        canvas = Canvas(1, (16, 16))
        limbs = _limb(red, 1.0, 8.0), _limb(green, 2.0, 9.0)
        for i in order:
            canvas.paint(limbs[i])
        np.testing.assert_allclose(canvas.planes[:, 0, 8, 7], red, atol=1e-6)


def test_a_canvas_paints_edges_softly():
    """A rod covers the pixels within its radius wholly, those at its edge in part, and none beyond."""
    canvas = Canvas(1, (16, 16))
    canvas.paint(_limb((1.0, 1.0, 1.0), 1.0, 8.25))
    row = canvas.planes[0, 0, 8]

    np.testing.assert_allclose(row[6:11], 1)
    assert 0 < row[11] < 1
    np.testing.assert_allclose(row[12:], 0)


def test_a_canvas_leaves_out_what_is_out_of_sight():
    """A rod beyond the edge of the picture changes nothing."""
    canvas = Canvas(1, (16, 16))
    canvas.paint(_limb((1.0, 1.0, 1.0), 1.0, -30.0))

    assert not canvas.planes.any()


@pytest.mark.parametrize("action", ["jumping", "Squat", "", None])
def test_unknown_actions_are_refused(action):
    """The message names all actions there are."""
    with pytest.raises(
        LabelsError, match=r"action must be one of clapping, .*got"
    ) as e:
        render_clip(action, seed=0)

    assert all(known in str(e.value) for known in DEMO_ACTIONS + NEW_ACTIONS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0; got -1"),
        ({"seed": 0.5}, "seed must be a whole number of at least 0; got 0.5"),
        ({"num_frames": 0}, "num_frames must be a whole number of at least 1; got 0"),
        ({"num_frames": 2.0}, "num_frames must be a whole number of at least 1"),
        ({"num_frames": True}, "num_frames must be a whole number .*got True"),
        ({"fps": 0}, "fps must be a number above 0; got 0"),
        ({"fps": float("nan")}, "fps must be a number above 0; got nan"),
        ({"frame_size": (0, 96)}, r"frame_size must be \(height, width\)"),
        ({"frame_size": 96}, r"frame_size must be \(height, width\)"),
    ],
)
def test_bad_numbers_are_refused(arguments, message):
    """A number that cannot be meant is refused with the rule and with what came."""
    with pytest.raises(ArrayError, match=message):
        render_clip("squat", **{"seed": 0, **arguments})


def test_numbers_of_numpy_are_taken():
    """Seeds and counts may be integers of numpy, and a large seed is a seed."""
    clip = render_clip(
        "situp", seed=np.int64(2**40), num_frames=np.int32(2), frame_size=SMALL
    )

    assert clip.shape == (2, *SMALL, 3)


def test_a_tiny_clip():
    """A single frame of very few pixels is a clip, too."""
    assert render_clip("squat", seed=0, num_frames=1, frame_size=(2, 3)).shape == (
        1,
        2,
        3,
        3,
    )
