"""Measure how well streams that run for long see what happens.

    python examples/judge_long_streams.py pairs                               the demo model, on drawn clips
    python examples/judge_long_streams.py pairs --history 2000 --pairs 48 --seed 7 --horizon 5 10
    python examples/judge_long_streams.py pairs --model a0.tflite --video ice.mp4="carving ice" --video ...
    python examples/judge_long_streams.py alternating --minutes 10            actions that follow each other at random
    python examples/judge_long_streams.py endless --steps 1000000             a small model, a million frames

``pairs`` shows one action for long, then another one for 50 frames. It prints, for each way to bound the stream:

steady   the share of frames that are right while the first action goes on, from the 21st frame on
switch   the share of the 50 frames after the change that are right
latency  how many frames it takes until one is right; 51 where none is
cost     calls of the model for one frame each, a frame

``alternating`` prints the share of all frames that are right. ``reset`` is a stream that is told of each change.
``endless`` runs a session over a model that answers from the mean colour of all frames, and says how much memory the
process has, how many answers are right, and how far they look back, after each tenth.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from drawn_figures import DEMO_ACTIONS, render_clip
from drawn_figures.actions import draw_motion
from drawn_figures.figures import render_scene
from drawn_figures.long_streams import PAUSE
from drawn_figures.scene import draw_scene
from movinet_lite import (
    ModelInfo,
    Prediction,
    StreamingClassifier,
    StreamModel,
    VideoFrame,
    load_clip,
)
from movinet_lite.arrays import Clip, FrameSize, States
from movinet_lite.classifiers.horizon import Horizon

AFTER = 50
"""Frames of the second action."""

WARM_UP = 20
"""Frames at the beginning that do not count: a stream needs some before its answers say much."""

GAP_S = 10.0
"""How long the camera is away between two actions, where a way looks at times."""

SHORTEST_S, LONGEST_S = 4.0, 40.0
"""How long an action lasts among those that alternate."""


@attrs.frozen
class Way:
    """A way to bound a stream.

    Attributes:
        name: What to call it.
        horizon_s: As `StreamingClassifier` takes it.
        restart_at_cuts: As `StreamingClassifier` takes it.
        max_gap_s: As `StreamingClassifier` takes it; then the camera is away at each change.
        is_told: Whether the session is told of each change: no stream can do better.
    """

    name: str
    horizon_s: Horizon = None
    restart_at_cuts: bool = False
    max_gap_s: float | None = None
    is_told: bool = False

    def over(self, model: StreamModel, loaded: StreamingClassifier) -> Any:
        """Return a session of this way over *model*, for streams of *loaded*."""
        return StreamingClassifier(
            model,
            loaded.labels,
            frame_size=loaded.frame_size,
            fps=loaded.fps,
            horizon_s=self.horizon_s,
            restart_at_cuts=self.restart_at_cuts,
            max_gap_s=self.max_gap_s,
        )


@attrs.frozen(eq=False)
class Part:
    """An action in a stream.

    Attributes:
        clip: ``(frames, height, width, 3)``, uint8.
        label: What it is.
    """

    clip: Clip
    label: str


class CountingModel:
    """A stream model that counts the frames it is stepped by."""

    def __init__(self, model: StreamModel) -> None:
        """Count those of *model*."""
        self._model = model
        self.frames = 0

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self._model.info

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream that has seen no frame."""
        return self._model.init_states(frame_size)

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last."""
        self.frames += len(frames)
        return self._model.step(frames, states)


class MeanColour:
    """A stream model that takes the mean colour of all frames so far for the class, as sharply as a MoViNet."""

    info = ModelInfo(
        source="mean colour",
        mode="stream",
        engine="numpy",
        num_classes=3,
        frame_size=(8, 8),
        fps=5.0,
    )

    def init_states(self, frame_size: FrameSize) -> States:  # noqa: ARG002 - any size
        """Return the states of a stream that has seen no frame."""
        return {
            "state/head/pool_buffer": np.zeros((1, 1, 1, 1, 3), np.float32),
            "state/head/pool_frame_count": np.zeros((1,), np.int32),
        }

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last."""
        means = frames.mean((1, 2), dtype=np.float32)
        sums = states["state/head/pool_buffer"] + means.cumsum(0)[:, None, None, None]
        counts = states["state/head/pool_frame_count"] + np.arange(1, len(means) + 1)
        logits = 20 * sums.reshape(-1, 3) / counts[:, np.newaxis]
        return logits.astype(np.float32), {
            "state/head/pool_buffer": sums[-1:].reshape(1, 1, 1, 1, 3),
            "state/head/pool_frame_count": counts[-1:].astype(np.int32),
        }


def main() -> None:
    """Measure what was asked for."""
    args = make_parser().parse_args()
    {
        "pairs": judge_pairs,
        "alternating": judge_alternating,
        "endless": judge_endless,
    }[args.what](args)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("pairs", "alternating", "endless"))
    parser.add_argument("--model", default="demo")
    parser.add_argument("--labels")
    parser.add_argument("--history", type=int, nargs="+", default=[50, 180])
    parser.add_argument("--horizon", type=float, nargs="*", default=[])
    parser.add_argument("--ways", nargs="*", help="which of those printed to measure")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument(
        "--one-scene", action="store_true", help="pairs of one person in one room"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--video", action="append", metavar="FILE=LABEL", default=[])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--streams", type=int, default=8, help="of those that alternate"
    )
    parser.add_argument(
        "--frames-per-call", type=int, help="use run, in place of step, with so many"
    )
    parser.add_argument("--steps", type=int, default=1_000_000)
    return parser


def make_ways(args: argparse.Namespace) -> list[Way]:
    """Return the ways to compare."""
    ways = (
        Way("published"),
        Way("auto", "auto"),
        *(Way(f"{seconds:g} s", seconds) for seconds in args.horizon),
        Way("auto, cuts", "auto", restart_at_cuts=True),
        Way("none, cuts", restart_at_cuts=True),
        Way("auto, gap", "auto", max_gap_s=2.0),
        Way("reset", is_told=True),
    )
    return [way for way in ways if not args.ways or way.name in args.ways]


def judge_pairs(args: argparse.Namespace) -> None:
    """Print the figures of every way to bound the stream, for actions that follow a long one."""
    loaded = StreamingClassifier.load(args.model, labels=args.labels, threads=1)
    print(
        f"{'history':>8} {'way':>12} {'steady':>7} {'switch':>7} {'latency':>8} {'cost':>6} {'trials':>7}"
    )
    for history in args.history:
        if args.video:
            trials = video_pairs(loaded, args.video, history)
        else:
            draw = pairs_in_one_scene if args.one_scene else drawn_pairs
            trials = draw(args.pairs, args.seed, history)
        found: dict[str, list[tuple[float, float, float, float]]] = {}
        for trial in trials:
            for way in make_ways(args):
                right, cost = judge(loaded, trial, way, args.frames_per_call)
                after = right[-AFTER:]
                found.setdefault(way.name, []).append(
                    (
                        float(right[WARM_UP:-AFTER].mean()),
                        float(after.mean()),
                        float(after.argmax() + 1 if after.any() else AFTER + 1),
                        cost,
                    )
                )
        for name, rows in found.items():
            steady, switch, latency, cost = np.mean(rows, axis=0)
            print(
                f"{history:>8} {name:>12} {steady:7.3f} {switch:7.3f} {latency:8.1f} {cost:6.2f} {len(rows):>7}",
                flush=True,
            )


def judge_alternating(args: argparse.Namespace) -> None:
    """Print the share of frames that are right in long streams whose actions follow each other at random."""
    loaded = StreamingClassifier.load(args.model, labels=args.labels, threads=1)
    num_frames = round(60 * args.minutes * loaded.fps)
    found: dict[str, list[tuple[float, float]]] = {}
    num_changes = 0
    for number in range(args.streams):
        rng = np.random.default_rng([args.seed, number])
        parts = list(alternate(loaded, args.video, rng, num_frames))
        num_changes += len(parts) - 1
        for way in make_ways(args):
            right, cost = judge(loaded, parts, way, args.frames_per_call)
            found.setdefault(way.name, []).append((float(right.mean()), cost))
    print(
        f"{args.streams} streams of {args.minutes:g} minutes, {num_changes} changes\n{'way':>12} {'right':>7} {'cost':>6}"
    )
    for name, rows in found.items():
        share, cost = np.mean(rows, axis=0)
        print(f"{name:>12} {share:7.3f} {cost:6.2f}")


def drawn_pairs(pairs: int, seed: int, history: int) -> Iterator[list[Part]]:
    """Yield trials of drawn clips, each with a figure of its own, of actions drawn at random."""
    rng = np.random.default_rng(seed)
    for number in range(pairs):
        first, second = map(str, rng.choice(DEMO_ACTIONS, 2, replace=False))
        seeds = [6_000_000 + 2 * (1000 * seed + number) + part for part in (0, 1)]
        yield [
            Part(render_clip(first, seed=seeds[0], num_frames=history), first),
            Part(render_clip(second, seed=seeds[1], num_frames=AFTER), second),
        ]


def pairs_in_one_scene(pairs: int, seed: int, history: int) -> Iterator[list[Part]]:
    """Yield trials in which one person in one room, seen by one camera, begins something else: there is no cut."""
    rng = np.random.default_rng(seed)
    moving = [action for action in DEMO_ACTIONS if action != PAUSE]
    number = 0
    while number < pairs:
        labels = list(map(str, rng.choice(moving, 2, replace=False)))
        scene_seed = 6_500_000 + 1000 * seed + number
        before = draw_scene(labels[0], seed=scene_seed)
        motion = draw_motion(labels[1], before.body, np.random.default_rng(scene_seed))
        if motion.on_floor != before.motion.on_floor:
            continue
        after = attrs.evolve(before, motion=motion)
        noise = np.random.default_rng(scene_seed)
        total = history + AFTER  # the camera pans on from where it was
        clips = (
            render_scene(before, noise, num_frames=history, fps=5.0),
            render_scene(after, noise, num_frames=total, fps=5.0)[history:],
        )
        yield list(map(Part, clips, labels))
        number += 1


def video_pairs(
    classifier: StreamingClassifier, videos: list[str], history: int
) -> Iterator[list[Part]]:
    """Yield a trial for each ordered pair of *videos*; a short one goes on from its beginning."""
    for first, second in itertools.permutations(read_videos(classifier, videos), 2):
        yield [
            Part(_loop(first.clip, history), first.label),
            Part(_loop(second.clip, AFTER), second.label),
        ]


def alternate(
    classifier: StreamingClassifier,
    videos: list[str],
    rng: np.random.Generator,
    num_frames: int,
) -> Iterator[Part]:
    """Yield actions that are *num_frames* long together; none follows itself."""
    shown = read_videos(classifier, videos)
    labels = [part.label for part in shown] or list(DEMO_ACTIONS)
    fps = classifier.fps or 5.0
    last = -1
    while num_frames > 0:
        choice = int(rng.choice([n for n in range(len(labels)) if n != last]))
        count = min(num_frames, round(rng.uniform(SHORTEST_S, LONGEST_S) * fps))
        seed = int(rng.integers(7_000_000, 8_000_000))
        clip = (
            _loop(shown[choice].clip, count)
            if shown
            else render_clip(labels[choice], seed=seed, num_frames=count)
        )
        yield Part(clip, labels[choice])
        last = choice
        num_frames -= count


def read_videos(classifier: StreamingClassifier, videos: list[str]) -> list[Part]:
    """Return each ``FILE=LABEL`` as the frames of the file and its label."""
    found = []
    for video in videos:
        path, _, label = video.rpartition("=")
        clip = load_clip(path, fps=classifier.fps, frame_size=classifier.frame_size)
        found.append(Part(clip, label))
    return found


def _loop(clip: Clip, count: int) -> Clip:
    return clip[np.arange(count) % len(clip)]


def judge(
    loaded: StreamingClassifier,
    parts: Sequence[Part],
    way: Way,
    frames_per_call: int | None,
) -> tuple[NDArray[np.bool_], float]:
    """Return which frames of a stream are right, and how many steps of the model each cost.

    Args:
        loaded: Whose model to run.
        parts: What to show.
        way: How the stream is bounded.
        frames_per_call: How many frames to run at once; `None` to step.
    """
    model = CountingModel(loaded.model)
    session = way.over(model, loaded)
    found: list[str] = []
    if frames_per_call is None or way.is_told:
        for number in range(len(parts)):
            if number and way.is_told:
                session.reset()
            found += [session.step(frame).label for frame in _timed(parts, number, way)]
    else:
        frames = itertools.chain.from_iterable(
            _timed(parts, number, way) for number in range(len(parts))
        )
        shown: Iterator[Prediction] = session.run(
            frames, frames_per_call=frames_per_call
        )
        found = [prediction.label for prediction in shown]
    labels = [part.label for part in parts for _ in part.clip]
    return np.array(found) == np.array(labels), model.frames / len(labels)


def _timed(parts: Sequence[Part], number: int, way: Way) -> Iterator[VideoFrame]:
    """Yield the frames of a part with their times."""
    before = sum(len(part.clip) for part in parts[:number])
    away_s = GAP_S * number if way.max_gap_s is not None else 0.0
    for index, frame in enumerate(parts[number].clip, before):
        yield VideoFrame(frame, index / 5.0 + away_s, index)


def judge_endless(args: argparse.Namespace) -> None:
    """Print what becomes of a session that never ends."""
    rng = np.random.default_rng(args.seed)
    model = CountingModel(MeanColour())
    session = StreamingClassifier(model, ["red", "green", "blue"], horizon_s="auto")
    print(f"{'frames':>9} {'right':>7} {'oldest':>7} {'cost':>6} {'memory, MB':>11}")
    tenth = max(1, args.steps // 10)
    right, oldest, before = 0, 0, 0
    colour, left = 0, 0
    for number in range(1, args.steps + 1):
        if not left:
            colour, left = (
                int((colour + rng.integers(1, 3)) % 3),
                int(rng.integers(20, 400)),
            )
        left -= 1
        frame = rng.random((8, 8, 3), np.float32) * np.float32(0.2)
        frame[..., colour] += np.float32(0.7)
        prediction = session.step(frame)
        right += int(prediction.logits.argmax()) == colour
        oldest = max(oldest, prediction.frames_seen or 0)
        if number % tenth == 0:
            print(
                f"{number:>9,} {right / tenth:7.4f} {oldest:>7} {(model.frames - before) / tenth:6.3f} {_memory_mb():>11.1f}",
                flush=True,
            )
            right, oldest, before = 0, 0, model.frames


def _memory_mb() -> float:
    """Return the resident memory of this process, on Linux; NaN elsewhere."""
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        return float("nan")
    return int(statm.read_text().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
