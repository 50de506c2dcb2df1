"""From a seed to a long recording of a drawn person who does one action after the other, with the truth about it.

It is for trying what finds events in long streams: between two actions the person holds still for a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from drawn_figures.actions import ACTIONS, DEMO_ACTIONS
from drawn_figures.figures import render_scene
from drawn_figures.scene import (
    Scene,
    check_whole,
    draw_look,
    draw_take,
    generator_of,
)
from drawn_figures.skeleton import draw_body
from movinet_lite.arrays import (
    Clip,
    FrameSize,
    VideoFrame,
    check_frame_size,
    check_positive,
)
from movinet_lite.errors import ArrayError, LabelsError
from movinet_lite.events import Annotation

__all__ = ["PAUSE", "DrawnStream", "render_stream"]

PAUSE: Final = "holding still"
"""What the person does between two actions."""


@attrs.frozen(eq=False)
class DrawnStream:
    """A long recording, and what happens in it.

    Attributes:
        clip: ``(frames, height, width, 3)``, uint8, 0 to 255, RGB.
        fps: Frames per second.
        parts: All that happens, pauses included, in the order of time and without a hole.
    """

    clip: Clip
    fps: float
    parts: tuple[Annotation, ...]

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """The actions, without the pauses."""
        return tuple(part for part in self.parts if part.label != PAUSE)

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames with their times."""
        for index, pixels in enumerate(self.clip):
            yield VideoFrame(pixels, index / self.fps, index)


def render_stream(
    *,
    seed: int,
    num_actions: int = 10,
    actions: Sequence[str] = DEMO_ACTIONS,
    action_s: tuple[float, float] = (6.0, 20.0),
    pause_s: tuple[float, float] = (3.0, 10.0),
    fps: float = 5.0,
    frame_size: FrameSize = (96, 96),
) -> DrawnStream:
    """Return a long recording of one drawn person in one room.

    It begins and ends with a pause, and there is one between two actions. In each part the camera stands at another
    place, as in a video that was cut. No action follows itself. The same arguments always give the same stream.

    Args:
        seed: Which of the many people, rooms, actions and lengths; a whole number of at least 0.
        num_actions: How many actions, at least 0.
        actions: What the person may do, some of `ACTIONS`, at least two; pauses need not be among them.
        action_s: The shortest and the longest action, in seconds.
        pause_s: The shortest and the longest pause, in seconds. Lengths are whole numbers of frames.
        fps: Frames per second, above 0.
        frame_size: ``(height, width)`` in pixels.

    Raises:
        LabelsError: If an action is unknown, or there are fewer than two.
        ArrayError: If a number is out of its range.

    Example:
        >>> from drawn_figures import render_stream
        >>> stream = render_stream(seed=7, num_actions=1, action_s=(1, 2), pause_s=(0.5, 1), frame_size=(24, 24))
        >>> [part.label for part in stream.parts]
        ['holding still', 'mountain climber (exercise)', 'holding still']
    """
    count = check_whole(num_actions, "num_actions", 0)
    rate = check_positive(fps, "fps")
    size = check_frame_size(frame_size)
    names = _check_actions(actions)
    rng = generator_of("", check_whole(seed, "seed", 0), "stream")
    body, look = draw_body(rng), draw_look(rng)
    clips: list[Clip] = []
    parts: list[Annotation] = []
    num_frames = 0
    for label in _order(names, count, rng):
        limits = pause_s if label == PAUSE else action_s
        length = _draw_length(limits, rate, rng)
        motion, camera, view = draw_take(label, body, rng, size)
        scene = Scene(body, motion, camera, view, look, size)
        clips.append(render_scene(scene, rng, num_frames=length, fps=rate))
        start_s, num_frames = num_frames / rate, num_frames + length
        parts.append(Annotation(label, start_s, num_frames / rate))
    clip: NDArray[np.uint8] = np.concatenate(clips)
    return DrawnStream(clip, rate, tuple(parts))


def _check_actions(actions: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in actions if name not in ACTIONS]
    if unknown:
        raise LabelsError(
            f"actions must be some of {', '.join(ACTIONS)}; got {unknown[0]!r}"
        )
    names = tuple(name for name in dict.fromkeys(actions) if name != PAUSE)
    if len(names) < 2:
        raise LabelsError(
            f"there must be at least two actions besides {PAUSE!r}; got {len(names)}"
        )
    return names


def _order(
    actions: tuple[str, ...], count: int, rng: np.random.Generator
) -> Iterator[str]:
    last = PAUSE
    yield PAUSE
    for _ in range(count):
        others = [name for name in actions if name != last]
        last = others[rng.integers(len(others))]
        yield last
        yield PAUSE


def _draw_length(
    limits: tuple[float, float], fps: float, rng: np.random.Generator
) -> int:
    shortest, longest = limits
    if not 0 < shortest <= longest < np.inf:
        raise ArrayError(
            f"lengths must be above 0 seconds, and the shortest not above the longest; got {limits}"
        )
    return max(round(rng.uniform(shortest, longest) * fps), 1)
