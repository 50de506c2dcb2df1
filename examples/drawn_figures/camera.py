"""From places in the world to places in a picture: where the camera stands, and how the hand that holds it moves."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np

from drawn_figures.actions import Motion
from drawn_figures.skeleton import Body, Joints, Numbers, joint_positions
from movinet_lite.arrays import FrameSize

__all__ = ["Camera", "View", "draw_camera", "draw_view"]


@attrs.frozen
class Camera:
    """From where a person is seen.

    Attributes:
        yaw: How far the person is turned away from the camera, in degrees: above 0 to the right of the picture.
        pitch: How far the camera looks down, in degrees.
        distance: From the person, in statures.
    """

    yaw: float
    pitch: float
    distance: float

    def project(self, places: Numbers) -> tuple[Numbers, Numbers]:
        """Return where places of the world appear.

        Args:
            places: ``(..., 3)``, forward, left and up of the person, in statures.

        Returns:
            ``(..., 3)``: right, down, both in statures as they are at the person's distance, and the distance from
            the person towards the depth; and ``(...)``, how much larger than there things appear.
        """
        yaw, pitch = np.radians(self.yaw), np.radians(self.pitch)
        forward, left, up = np.moveaxis(places, -1, 0)
        # Seen from the front: the person looks at the camera, and the left hand is on the right of the picture.
        right = left * np.cos(yaw) + forward * np.sin(yaw)
        away = left * np.sin(yaw) - forward * np.cos(yaw)
        above = up - _EYE_LEVEL
        depth = away * np.cos(pitch) - above * np.sin(pitch)
        risen = above * np.cos(pitch) + away * np.sin(pitch)
        scale = self.distance / (self.distance + depth)
        return np.stack([right * scale, -risen * scale, depth], axis=-1), scale


_EYE_LEVEL: Final = 0.5
"""The height at which the camera points, in statures."""


@attrs.frozen
class View:
    """What part of the world the picture shows, and how it moves.

    Attributes:
        scale: How large a stature is, in the shorter sides of the picture.
        centre: Where the picture's middle is, right and down, in statures as the camera projects them.
        roll: How far the picture is turned, in degrees.
        pan: How far it wanders, right and down, in shorter sides.
        sway: How far it turns to and fro, in degrees.
        zoom: By what part it grows and shrinks.
        periods_s: How long pan, down-pan, sway and zoom take, in seconds.
        phases: Where in these they start.
    """

    scale: float
    centre: tuple[float, float]
    roll: float
    pan: tuple[float, float]
    sway: float
    zoom: float
    periods_s: Numbers
    phases: Numbers

    def at(
        self, times_s: Numbers, frame_size: FrameSize
    ) -> tuple[Numbers, Numbers, Numbers]:
        """Return how a place in statures, as the camera projects it, becomes a pixel at each time.

        Returns:
            Matrices ``(moments, 2, 2)`` and shifts ``(moments, 2)``, so that a pixel is ``matrix @ place + shift``;
            and the pixels in a stature, ``(moments,)``.
        """
        height, width = frame_size
        side = min(height, width)
        waves = np.sin(
            2 * np.pi * (times_s[:, np.newaxis] / self.periods_s + self.phases)
        )
        angle = np.radians(self.roll + self.sway * waves[:, 2])
        scale = self.scale * side * (1 + self.zoom * waves[:, 3])
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        matrices = np.stack(
            [np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], axis=-2
        )
        shifts = waves[:, :2] * self.pan * side + (width / 2, height / 2)
        return matrices, shifts - matrices @ np.asarray(self.centre), scale


def draw_camera(rng: np.random.Generator, *, on_floor: bool) -> Camera:
    """Return a camera drawn from *rng*: before a person who stands, beside one who lies."""
    if on_floor:
        yaw = rng.uniform(40, 90) * rng.choice((-1, 1))
        pitch = rng.uniform(0, 22)
    else:
        yaw = rng.uniform(-50, 50)
        pitch = rng.uniform(-4, 16)
    return Camera(yaw=yaw, pitch=pitch, distance=rng.uniform(3, 6))


def draw_view(
    rng: np.random.Generator,
    camera: Camera,
    body: Body,
    motion: Motion,
    frame_size: FrameSize,
) -> View:
    """Return a view drawn from *rng* that shows the whole motion, or nearly."""
    low, high = _extent(camera, body, motion)
    size = high - low + _THICKNESS
    room = np.asarray(frame_size[::-1]) / min(frame_size)
    share = rng.uniform(0.55, 0.95)
    if motion.on_floor:
        wanted = (0.25 + 0.75 * share) * room[0] / max(size[0], 0.9)
    else:
        wanted = share * room[1] / body.stature
    scale = min(wanted, *(_FILLED * room / size))
    # What is left free beside the person is shared out at random.
    free = room / scale - size
    centre = (low + high) / 2 + rng.uniform(-0.45, 0.45, 2) * free
    return View(
        scale=scale,
        centre=(centre[0], centre[1]),
        roll=rng.uniform(-5, 5),
        pan=(rng.uniform(0, 0.03), rng.uniform(0, 0.02)),
        sway=rng.uniform(0, 2),
        zoom=rng.uniform(0, 0.04),
        periods_s=rng.uniform(7, 16, 4),
        phases=rng.uniform(size=4),
    )


_THICKNESS: Final = np.array((0.12, 0.12))
"""What the flesh adds to the width and the height of the joints, in statures."""

_FILLED: Final = 0.95
"""How much of the picture's width or height a motion may fill."""


def _extent(camera: Camera, body: Body, motion: Motion) -> tuple[Numbers, Numbers]:
    pose = motion.pose_at(np.arange(16) / 16)
    joints: Joints = joint_positions(body, pose)
    places, _ = camera.project(np.concatenate(list(joints.values())))
    return places[:, :2].min(axis=0), places[:, :2].max(axis=0)
