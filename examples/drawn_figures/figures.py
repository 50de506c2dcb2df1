"""From an action's name to a clip of a drawn person who does it.

The clips are for training and trying small models: the person is a skeleton with joints and limits, seen by a camera,
and everything that tells nothing of the action (the body, the clothes, the room, the camera's place and its shake, the
speed) is drawn at random from a seed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from drawn_figures.actions import ACTIONS, DEMO_ACTIONS, NEW_ACTIONS
from drawn_figures.painting import Canvas, Colour, Limb, Pixels
from drawn_figures.scene import (
    Look,
    Scene,
    Thing,
    check_whole,
    draw_scene,
    generator_of,
)
from drawn_figures.skeleton import SIDES, Numbers
from movinet_lite.arrays import Clip, FrameSize, check_frame_size, check_positive

__all__ = ["ACTIONS", "DEMO_ACTIONS", "NEW_ACTIONS", "render_clip", "render_scene"]


def render_clip(
    action: str,
    *,
    seed: int,
    num_frames: int = 16,
    fps: float = 5.0,
    frame_size: FrameSize = (96, 96),
) -> Clip:
    """Return a clip of a drawn person who does *action*.

    The same arguments always give the same clip. What is seen depends on the action, the seed and the time alone: more
    frames go on where fewer end, a higher *fps* shows the same movement more finely, and a larger *frame_size* of the
    same shape shows it more sharply; only the noise of the pixels is another one.

    Args:
        action: One of `ACTIONS`.
        seed: Which of the many people, rooms and ways to move; a whole number of at least 0.
        num_frames: How many frames; at least 1.
        fps: Frames per second, above 0.
        frame_size: ``(height, width)`` in pixels.

    Returns:
        ``(frames, height, width, 3)``, uint8, 0 to 255, RGB.

    Raises:
        LabelsError: If *action* is unknown.
        ArrayError: If *seed* is no whole number of at least 0, *num_frames* none of at least 1, *fps* not above 0, or
            *frame_size* not two whole numbers of at least 1.

    Example:
        >>> from drawn_figures import render_clip
        >>> clip = render_clip("jumping jacks", seed=7)
        >>> clip.shape, clip.dtype
        ((16, 96, 96, 3), dtype('uint8'))
    """
    count = check_whole(num_frames, "num_frames", 1)
    rate = check_positive(fps, "fps")
    size = check_frame_size(frame_size)
    scene = draw_scene(action, seed=seed, frame_size=size)
    noise = generator_of(action, check_whole(seed, "seed", 0), "noise")
    return render_scene(scene, noise, num_frames=count, fps=rate)


def render_scene(
    scene: Scene, noise: np.random.Generator, *, num_frames: int, fps: float
) -> Clip:
    """Return the frames of a scene from its time 0 on, with noise of the pixels drawn from *noise*.

    Args:
        scene: What is seen.
        noise: A generator.
        num_frames: How many frames; at least 1.
        fps: Frames per second, above 0.

    Returns:
        ``(frames, height, width, 3)``, uint8, 0 to 255, RGB.
    """
    order = _back_to_front(scene)
    clip = np.empty((num_frames, *scene.frame_size, 3), np.uint8)
    for start in range(0, num_frames, _FRAMES_AT_ONCE):
        times_s = np.arange(start, min(start + _FRAMES_AT_ONCE, num_frames)) / fps
        canvas = _paint(scene, times_s, order)
        clip[start : start + len(times_s)] = _expose(canvas, scene.look, noise)
    return clip


_FRAMES_AT_ONCE: Final = 16
"""How many frames are painted together: enough to be fast, and few enough to stay in the processor's memory."""


def _paint(scene: Scene, times_s: Numbers, order: list[int]) -> Canvas:
    """Return the scene at each of *times_s*, the parts of the person painted in this order."""
    canvas = Canvas(len(times_s), scene.frame_size)
    softness = 1 + scene.look.blur * min(scene.frame_size)
    _paint_background(canvas, scene, times_s)
    for thing in scene.look.clutter:
        canvas.paint(_limb_of(thing, scene, times_s), softness=softness, in_depth=False)
    limbs = _Limbs(scene, times_s)
    canvas.paint(
        limbs.shadow(),
        softness=0.08 * scene.view.scale * min(scene.frame_size),
        opacity=scene.look.shadow,
        in_depth=False,
    )
    parts = limbs.person()
    for i in order:
        canvas.paint(parts[i], softness=softness)
    for thing in scene.look.foreground:
        canvas.paint(_limb_of(thing, scene, times_s), softness=softness, in_depth=False)
    return canvas


def _back_to_front(scene: Scene) -> list[int]:
    """Return in which order to paint the parts of the person: those first that are farther away most of the time.

    The canvas knows what is in front, but edges blend best with what was painted before. The order is one for the
    whole scene, so that a frame depends on its time alone.
    """
    times_s = np.arange(8) / 8 * scene.motion.period_s
    depths = [
        -float(np.mean(limb.start_depth + limb.end_depth))
        for limb in _Limbs(scene, times_s).person()
    ]
    return sorted(range(len(depths)), key=depths.__getitem__)


def _expose(canvas: Canvas, look: Look, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the pixels as a camera with a noisy sensor sees them."""
    _, count, height, width = canvas.planes.shape
    # Two numbers, all from 0 to 255 equally likely, add up to a triangle, which is near enough to a normal distribution, and faster.
    dice = rng.integers(0, 256, (count, 2, height, width, 3), np.uint8)
    levels = np.add(dice[:, 0], dice[:, 1], dtype=np.int16).astype(np.float32)
    levels *= np.float32(look.noise / _TRIANGLE_DEVIATION)
    bias = 127.5 * (1 - look.gain) - 255 * look.noise / _TRIANGLE_DEVIATION
    planes = canvas.planes
    planes *= np.float32(255 * look.gain)
    planes += np.float32(bias)
    levels += np.moveaxis(planes, 0, -1)
    np.clip(levels, 0, 255, out=levels)
    pixels: NDArray[np.uint8] = levels.astype(np.uint8)
    return pixels


_TRIANGLE_DEVIATION: Final = 104.5
"""The standard deviation of the sum of two whole numbers, each anything from 0 to 255 and equally likely."""


def _paint_background(canvas: Canvas, scene: Scene, times_s: Numbers) -> None:
    look = scene.look
    matrices, shifts, _ = scene.view.at(times_s, scene.frame_size)
    # From a pixel back to a place in statures, as the camera projects it.
    back: Numbers = np.asarray(np.linalg.inv(matrices), np.float64)
    origin: Numbers = -np.einsum("tij,tj->ti", back, shifts)
    pattern = _pattern(canvas, look, back, origin)
    height = canvas.plane_of(back[:, 1, 0], back[:, 1, 1], origin[:, 1])
    canvas.fill(_on_gradient(pattern, look.wall, height))
    height -= np.float32(scene.floor_end())
    stature = scene.view.scale * min(scene.frame_size)
    cover = np.clip(height * np.float32(stature) + np.float32(0.5), 0, 1)
    pattern *= np.float32(0.5)
    canvas.blend(_on_gradient(pattern, look.floor, height), cover)


def _pattern(canvas: Canvas, look: Look, back: Numbers, origin: Numbers) -> Pixels:
    """Return what the pattern of the background adds to red, green and blue."""
    pattern = np.zeros_like(canvas.planes)
    for wave in look.waves:
        across = wave[0] * back[:, 0] + wave[1] * back[:, 1]
        start = wave[0] * origin[:, 0] + wave[1] * origin[:, 1] + wave[2]
        values = canvas.waves(across[:, 0], across[:, 1], start)
        if look.sharpness > 1:
            values *= np.float32(look.sharpness)
            np.clip(values, -1, 1, out=values)
        for channel, strength in enumerate(wave[3:]):
            pattern[channel] += values * np.float32(strength)
    return pattern


def _on_gradient(
    pattern: Pixels, gradient: NDArray[np.float64], height: Pixels
) -> list[Pixels]:
    """Return *pattern* on colours that change by *gradient*, its mean and its change downwards."""
    return [
        values + (height * np.float32(change) + np.float32(mean))
        for values, mean, change in zip(pattern, *gradient, strict=True)
    ]


def _limb_of(thing: Thing, scene: Scene, times_s: Numbers) -> Limb:
    # Things keep their places in the room, so they move with it when the camera does.
    matrices, shifts, scale = scene.view.at(times_s, scene.frame_size)
    swing = np.sin(2 * np.pi * (times_s / thing.period_s + thing.phase))
    drift = swing[:, np.newaxis] * thing.drift
    centre = np.asarray(scene.view.centre)

    def place(point: Numbers) -> Numbers:
        statures = centre + (point + drift) / scene.view.scale
        seen: Numbers = np.einsum("tij,tj->ti", matrices, statures) + shifts
        return seen

    radius = thing.radius / scene.view.scale * scale
    nowhere = np.zeros_like(times_s)
    return Limb(
        start=place(thing.start),
        end=place(thing.end),
        start_radius=radius,
        end_radius=radius,
        colour=thing.colour,
        start_depth=nowhere,
        end_depth=nowhere,
        rounding=0.15,
    )


class _Limbs:
    """The rods of which a person is made, as the camera sees them at a series of times."""

    def __init__(self, scene: Scene, times_s: Numbers) -> None:
        self._look = scene.look
        self._girth = scene.body.girth
        self._head = scene.body.head
        self._scene = scene
        self._times_s = times_s
        self._joints = scene.joints(times_s)
        places = np.stack(list(self._joints.values()), axis=1)
        seen, scale = scene.project(places, times_s)
        self._seen = {name: seen[:, i] for i, name in enumerate(self._joints)}
        self._scale = {name: scale[:, i] for i, name in enumerate(self._joints)}

    def shadow(self) -> Limb:
        """Return the shadow on the floor."""
        names = ("left_toe", "right_toe")
        if self._scene.motion.on_floor:
            names = ("left_toe", "neck")
        ends = np.stack([self._joints[name] for name in names], axis=1)
        ends[..., 2] = 0
        seen, scale = self._scene.project(ends, self._times_s)
        return Limb(
            start=seen[:, 0, :2],
            end=seen[:, 1, :2],
            start_radius=0.06 * scale[:, 0],
            end_radius=0.06 * scale[:, 1],
            colour=(0.0, 0.0, 0.0),
            start_depth=seen[:, 0, 2],
            end_depth=seen[:, 1, 2],
        )

    def person(self) -> list[Limb]:
        """Return all parts of the person."""
        limbs = self._trunk()
        for side in SIDES:
            limbs += self._arm(side)
            limbs += self._leg(side)
        return limbs

    def _rod(
        self,
        start: str,
        end: str,
        radii: tuple[Numbers | float, Numbers | float],
        colour: Colour,
        *,
        part: tuple[float, float] = (0.0, 1.0),
        nearer: float = 0.0,
        rounding: float = 0.4,
    ) -> Limb:
        """Return a rod along a bone or a *part* of it; radii in statures."""
        bone = self._seen[end] - self._seen[start]
        first, last = (self._seen[start] + bone * share for share in part)
        start_radius = radii[0] * self._scale[start]
        end_radius = radii[1] * self._scale[end]
        near = nearer + 0.5 * (radii[0] + radii[1])
        return Limb(
            start=first[:, :2],
            end=last[:, :2],
            start_radius=start_radius + (end_radius - start_radius) * part[0],
            end_radius=start_radius + (end_radius - start_radius) * part[1],
            colour=colour,
            start_depth=first[:, 2] - near,
            end_depth=last[:, 2] - near,
            rounding=rounding,
        )

    def _trunk(self) -> list[Limb]:
        look, girth, head = self._look, self._girth, self._head
        across = self._seen["left_shoulder"] - self._seen["right_shoulder"]
        # The trunk is as wide as the shoulders from the front, and half as wide from the side.
        half = np.hypot(across[:, 0], across[:, 1]) / (2 * self._scale["neck"])
        chest = np.hypot(0.82 * half, 0.075 * girth)
        waist = np.hypot(0.6 * half, 0.062 * girth)
        back = tuple(
            2 * self._seen["head"][:, i] - self._seen["face"][:, i] for i in range(3)
        )
        self._seen["nape"] = np.stack(back, axis=-1)
        self._scale["nape"] = self._scale["head"]
        return [
            self._rod(
                "left_hip",
                "right_hip",
                (0.068 * girth,) * 2,
                look.trousers,
                rounding=0.3,
            ),
            self._rod(
                "pelvis",
                "waist",
                (0.95 * waist, waist),
                look.shirt,
                part=(0.6, 1.0),
                rounding=0.3,
                nearer=-0.02,
            ),
            self._rod(
                "waist",
                "neck",
                (waist, chest),
                look.shirt,
                part=(0.0, 0.55),
                rounding=0.3,
                nearer=-0.03,
            ),
            self._rod(
                "left_shoulder",
                "right_shoulder",
                (0.05 * girth,) * 2,
                look.shirt,
                rounding=0.3,
            ),
            self._rod("neck", "head", (0.035 * girth,) * 2, look.skin),
            self._rod("head", "face", (head, 0.8 * head), look.skin, part=(0.0, 0.3)),
            self._rod(
                "head", "nape", (1.05 * head, 1.0 * head), look.hair, part=(0.25, 0.4)
            ),
        ]

    def _arm(self, side: str) -> list[Limb]:
        look, girth = self._look, self._girth
        joints = [f"{side}_{name}" for name in ("shoulder", "elbow", "wrist", "hand")]
        radii = [girth * radius for radius in (0.043, 0.034, 0.025)]
        limbs = self._dressed(joints[:3], radii, look.sleeve, look.shirt)
        hand = self._rod(joints[2], joints[3], (0.024 * girth, 0.028), look.skin)
        return [*limbs, hand]

    def _leg(self, side: str) -> list[Limb]:
        look, girth = self._look, self._girth
        joints = [f"{side}_{name}" for name in ("hip", "knee", "ankle")]
        radii = [girth * radius for radius in (0.066, 0.047, 0.032)]
        limbs = self._dressed(joints, radii, look.leg_wear, look.trousers)
        foot = self._rod(f"{side}_heel", f"{side}_toe", (0.028, 0.024), look.shoes)
        return [*limbs, foot]

    def _dressed(
        self, joints: list[str], radii: list[float], reach: float, cloth: Colour
    ) -> list[Limb]:
        """Return the two parts of an arm or a leg, in *cloth* as far as *reach*: 1 to the middle joint, 2 to the end."""
        limbs = []
        for part in range(2):
            covered = min(max(reach - part, 0.0), 1.0)
            bone = joints[part], joints[part + 1], (radii[part], radii[part + 1])
            whole = cloth if covered > 0.85 else self._look.skin
            limbs.append(self._rod(*bone, whole))
            if 0.1 < covered <= 0.85:
                limbs.append(self._rod(*bone, cloth, part=(0.0, covered), nearer=0.035))
        return limbs
