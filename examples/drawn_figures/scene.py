"""From an action's name and a seed to all that a clip shows: the person, the room and the camera."""

from __future__ import annotations

import operator
import zlib
from typing import Final, SupportsIndex

import attrs
import numpy as np
from numpy.typing import NDArray

from drawn_figures.actions import ACTIONS, Motion, draw_motion
from drawn_figures.camera import Camera, View, draw_camera, draw_view
from drawn_figures.painting import Colour
from drawn_figures.skeleton import Body, Joints, Numbers, draw_body, joint_positions
from movinet_lite.arrays import FrameSize
from movinet_lite.errors import ArrayError, LabelsError

__all__ = [
    "Look",
    "Scene",
    "Thing",
    "check_whole",
    "draw_look",
    "draw_scene",
    "draw_take",
    "generator_of",
]


@attrs.frozen(eq=False)
class Look:
    """The colours of a scene, and what the camera makes of them.

    Attributes:
        skin, hair, shirt, trousers, shoes: Colours.
        sleeve: How far down the arm the shirt goes: 1 to the elbow, 2 to the wrist.
        leg_wear: How far down the leg the trousers go: 1 to the knee, 2 to the ankle.
        wall: Two colours, ``(2, 3)``: that of the background at the height of the camera, and what a stature further
            down adds to it.
        floor: The same of the floor, from its far end.
        floor_distance: How far behind the person the floor ends, in statures.
        waves: The pattern of the background, ``(waves, 6)``: right and down, both in radians a stature; start, in
            radians; and red, green and blue.
        sharpness: How hard the pattern's edges are.
        clutter: Things behind the person.
        foreground: Things before.
        blur: How much wider edges are than a pixel, in shorter sides of the picture.
        noise: Of the sensor, in levels of 255.
        gain: Contrast.
        shadow: How dark the shadow on the floor is, 0 to 1.
    """

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    sleeve: float
    leg_wear: float
    wall: NDArray[np.float64]
    floor: NDArray[np.float64]
    floor_distance: float
    waves: NDArray[np.float64]
    sharpness: float
    clutter: tuple[Thing, ...]
    foreground: tuple[Thing, ...]
    blur: float
    noise: float
    gain: float
    shadow: float


@attrs.frozen(eq=False)
class Thing:
    """A thing that drifts through the picture: a rod with round ends.

    Attributes:
        start: Where its middle begins, right and down of the picture's middle, in shorter sides.
        end: Where it ends.
        radius: Half its thickness.
        colour: Its colour.
        drift: How far it moves to and fro, right and down.
        period_s: How long this takes, in seconds.
        phase: Where in this it starts.
    """

    start: Numbers
    end: Numbers
    radius: float
    colour: Colour
    drift: Numbers
    period_s: float
    phase: float


@attrs.frozen(eq=False)
class Scene:
    """All that a clip shows, at any time.

    Attributes:
        body: The person's measures.
        motion: What the person does, and how.
        camera: From where it is seen.
        view: What part of it is seen.
        look: The colours.
        frame_size: ``(height, width)`` in pixels.
    """

    body: Body
    motion: Motion
    camera: Camera
    view: View
    look: Look
    frame_size: FrameSize

    def joints(self, times_s: Numbers) -> Joints:
        """Return where the joints are in the world, in statures, at each of *times_s*, ``(moments,)``, in seconds."""
        return joint_positions(self.body, self.motion.at(times_s))

    def project(self, places: Numbers, times_s: Numbers) -> tuple[Numbers, Numbers]:
        """Return where places of the world, ``(moments, ..., 3)``, appear in the picture.

        Returns:
            ``(moments, ..., 3)``: right and down in pixels, and the distance into the depth in statures; and
            ``(moments, ...)``, the pixels in a stature there.
        """
        matrices, shifts, scale = self.view.at(times_s, self.frame_size)
        seen, nearness = self.camera.project(places)
        flat = seen.reshape(len(times_s), -1, 3)
        flat[..., :2] = flat[..., :2] @ np.swapaxes(matrices, 1, 2) + shifts[:, None]
        rest = (1,) * (nearness.ndim - 1)
        return flat.reshape(seen.shape), nearness * scale.reshape(-1, *rest)

    def floor_end(self) -> float:
        """Return how far down the floor ends, in statures as the camera projects them."""
        yaw = np.radians(self.camera.yaw)
        away = np.array((-np.cos(yaw), np.sin(yaw), 0.0)) * self.look.floor_distance
        seen, _ = self.camera.project(away)
        return float(seen[1])


def draw_scene(action: str, *, seed: int, frame_size: FrameSize = (96, 96)) -> Scene:
    """Return the scene of a clip.

    Args:
        action: As in `render_clip`.
        seed: As there.
        frame_size: As there.

    Raises:
        LabelsError: If *action* is unknown.
        ArrayError: If *seed* is no whole number of at least 0.
    """
    if action not in ACTIONS:
        known = ", ".join(ACTIONS)
        raise LabelsError(f"action must be one of {known}; got {action!r}")
    rng = generator_of(action, check_whole(seed, "seed", 0), "scene")
    body = draw_body(rng)
    motion, camera, view = draw_take(action, body, rng, frame_size)
    return Scene(body, motion, camera, view, draw_look(rng), frame_size)


def draw_take(
    action: str, body: Body, rng: np.random.Generator, frame_size: FrameSize
) -> tuple[Motion, Camera, View]:
    """Return how a person of these measures does *action*, and from where it is seen."""
    motion = draw_motion(action, body, rng)
    camera = draw_camera(rng, on_floor=motion.on_floor)
    return motion, camera, draw_view(rng, camera, body, motion, frame_size)


def generator_of(action: str, seed: int, purpose: str) -> np.random.Generator:
    """Return a generator of random numbers that belongs to a clip and to one *purpose* in it."""
    # Python's own hash of a text differs from one run to the next.
    words = (zlib.crc32(action.encode()), zlib.crc32(purpose.encode()))
    return np.random.default_rng(np.random.SeedSequence((seed, *words)))


def check_whole(value: SupportsIndex, noun: str, least: int) -> int:
    """Return *value* as a plain integer.

    Raises:
        ArrayError: If it is no whole number, or below *least*; *noun* says what it is.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ArrayError(
            f"{noun} must be a whole number of at least {least}; got {value!r}"
        )
    return number


# What a scene looks like.

_SKIN_TONES: Final = np.array(
    ((0.95, 0.8, 0.69), (0.76, 0.55, 0.4), (0.36, 0.23, 0.17))
)


def draw_look(rng: np.random.Generator) -> Look:
    """Return colours of a person and a room."""
    wall_light = rng.uniform(0.12, 0.9)
    floor_light = np.clip(wall_light + rng.uniform(-0.25, 0.25), 0.08, 0.92)
    lights = (wall_light, floor_light)
    wall = _draw_gradient(rng, wall_light)
    floor = _draw_gradient(rng, floor_light)
    num_waves = rng.integers(1, 4)
    directions = rng.uniform(0, np.pi, num_waves)
    pitches = np.exp(rng.uniform(np.log(3), np.log(28), num_waves))
    waves = np.column_stack(
        [
            pitches * np.cos(directions),
            pitches * np.sin(directions),
            rng.uniform(0, 2 * np.pi, num_waves),
            rng.normal(0, 0.035, (num_waves, 3)) + rng.normal(0, 0.03, (num_waves, 1)),
        ]
    )
    tone = rng.uniform(0, 2)
    skin = [np.interp(tone, range(3), _SKIN_TONES[:, i]) for i in range(3)]
    shirt = _draw_colour(rng, _contrasting(rng, lights))
    suit = rng.uniform() < 0.2
    trousers = shirt if suit else _draw_colour(rng, _contrasting(rng, lights))
    return Look(
        skin=(skin[0], skin[1], skin[2]),
        hair=_draw_colour(rng, rng.uniform(0.05, 0.5), 0.08),
        shirt=shirt,
        trousers=trousers,
        shoes=_draw_colour(rng, rng.uniform(0.05, 0.95)),
        sleeve=rng.choice((0.0, 0.6, 1.4, 2.0)) + rng.uniform(-0.2, 0.2),
        leg_wear=rng.choice((0.6, 1.5, 2.0, 2.0)) + rng.uniform(-0.2, 0.2),
        wall=wall,
        floor=floor,
        floor_distance=rng.uniform(0.2, 2.5),
        waves=waves,
        sharpness=rng.choice((1.0, 1.0, 4.0)),
        clutter=tuple(_draw_thing(rng, wall_light) for _ in range(rng.integers(2, 6))),
        foreground=tuple(
            _draw_thing(rng, wall_light, in_front=True)
            for _ in range(rng.integers(0, 3))
        ),
        blur=rng.uniform(0, 0.012),
        noise=rng.uniform(1, 9),
        gain=rng.uniform(0.75, 1.1),
        shadow=rng.uniform(0.1, 0.45),
    )


def _contrasting(rng: np.random.Generator, lights: tuple[float, ...]) -> float:
    """Return a lightness, 0 to 1, that is unlike *lights*."""
    candidates = rng.uniform(0.05, 0.95, 6)
    distances = np.min(np.abs(candidates[:, np.newaxis] - lights), axis=1)
    far = np.flatnonzero(distances > 0.25)
    return float(candidates[far[0] if len(far) else np.argmax(distances)])


def _draw_colour(
    rng: np.random.Generator, light: float, saturation: float = 0.25
) -> Colour:
    tint = rng.normal(size=3)
    tint -= tint @ (0.3, 0.59, 0.11)
    tint *= rng.uniform(0, saturation) / (float(np.linalg.norm(tint)) + 1e-6)
    red, green, blue = np.clip(light + 1.6 * tint, 0.02, 0.98)
    return float(red), float(green), float(blue)


def _draw_gradient(rng: np.random.Generator, light: float) -> NDArray[np.float64]:
    return np.stack([_draw_colour(rng, light), rng.normal(0, 0.06, 3)])


def _draw_thing(
    rng: np.random.Generator, light: float, *, in_front: bool = False
) -> Thing:
    start = rng.uniform(-0.5, 0.5, 2)
    radius = rng.uniform(0.02, 0.1)
    length = rng.uniform(0, 0.5)
    if in_front:
        # Along an edge of the picture, mostly the lower one, so that the action is still to be seen.
        start[rng.integers(2)] = rng.choice((-0.5, 0.5, 0.5))
        radius = rng.uniform(0.02, 0.06)
        length = rng.uniform(0, 0.2)
    # Upright and lying things are more common than slanting ones.
    angle = rng.choice((0, np.pi / 2)) + rng.normal(0, 0.3)
    shift = np.array((np.cos(angle), np.sin(angle))) * length
    lightness = np.clip(light + rng.normal(0, 0.16), 0.05, 0.95)
    return Thing(
        start=start,
        end=start + shift,
        radius=radius,
        colour=_draw_colour(rng, float(lightness)),
        drift=rng.normal(0, 0.07, 2) * (1.0, 0.3),
        period_s=rng.uniform(5, 14),
        phase=rng.uniform(),
    )
