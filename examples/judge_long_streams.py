"""Measure how well a stream sees an action that follows a long one.

    python examples/judge_long_streams.py                                     the demo model, on drawn clips
    python examples/judge_long_streams.py --history 2000 --pairs 48 --seed 7
    python examples/judge_long_streams.py --model a0.tflite --labels kinetics-600 --video ice.mp4="carving ice" --video ...

Each trial shows one action for long, then another one for 50 frames. It prints, for each way to bound the stream:

steady   the share of frames that are right while the first action goes on, from the 21st frame on
switch   the share of the 50 frames after the change that are right
latency  how many frames it takes until one is right; 51 where none is
cost     calls of the model for one frame each, a frame
"""

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from drawn_figures import DEMO_ACTIONS, render_clip
from movinet_lite import ModelInfo, StreamingClassifier, StreamModel, load_clip
from movinet_lite.arrays import Clip, FrameSize, States
from movinet_lite.classifiers.horizon import Horizon

AFTER = 50
"""Frames of the second action."""

WARM_UP = 20
"""Frames at the beginning that do not count: a stream needs some before its answers say much."""


@attrs.frozen(eq=False)
class Trial:
    """A long action, and the one after it.

    Attributes:
        history: ``(frames, height, width, 3)``, uint8: the first action.
        after: The second one.
        labels: What they are.
    """

    history: Clip
    after: Clip
    labels: tuple[str, str]


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


def main() -> None:
    """Print the figures of every way to bound the stream."""
    args = make_parser().parse_args()
    loaded = StreamingClassifier.load(args.model, labels=args.labels, threads=1)
    ways: dict[str, Any] = {"published": None, "auto": "auto"}
    ways |= {f"{seconds:g} s": seconds for seconds in args.horizon}
    print(
        f"{'history':>8} {'horizon':>10} {'steady':>7} {'switch':>7} {'latency':>8} {'cost':>6} {'trials':>7}"
    )
    for history in args.history:
        trials = (
            video_trials(loaded, args.video, history)
            if args.video
            else drawn_trials(args.pairs, args.seed, history)
        )
        found: dict[str, list[tuple[float, float, float, float]]] = {}
        for trial in trials:
            for name, horizon_s in ways.items():
                found.setdefault(name, []).append(judge(loaded, trial, horizon_s))
            found.setdefault("reset", []).append(judge(loaded, trial, None, reset=True))
        for name, rows in found.items():
            steady, switch, latency, cost = np.mean(rows, axis=0)
            print(
                f"{history:>8} {name:>10} {steady:7.3f} {switch:7.3f} {latency:8.1f} {cost:6.2f} {len(rows):>7}",
                flush=True,
            )


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--labels")
    parser.add_argument("--history", type=int, nargs="+", default=[50, 180])
    parser.add_argument("--horizon", type=float, nargs="*", default=[])
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--video", action="append", metavar="FILE=LABEL", default=[])
    return parser


def drawn_trials(pairs: int, seed: int, history: int) -> Iterator[Trial]:
    """Yield trials of drawn clips, each with a figure of its own, of actions drawn at random."""
    rng = np.random.default_rng(seed)
    for number in range(pairs):
        first, second = map(str, rng.choice(DEMO_ACTIONS, 2, replace=False))
        seeds = [6_000_000 + 2 * (1000 * seed + number) + part for part in (0, 1)]
        yield Trial(
            render_clip(first, seed=seeds[0], num_frames=history),
            render_clip(second, seed=seeds[1], num_frames=AFTER),
            (first, second),
        )


def video_trials(
    classifier: StreamingClassifier, videos: list[str], history: int
) -> Iterator[Trial]:
    """Yield a trial for each ordered pair of *videos*; a short one goes on from its beginning."""
    clips = []
    for video in videos:
        path, _, label = video.rpartition("=")
        clip = load_clip(path, fps=classifier.fps, frame_size=classifier.frame_size)
        clips.append((clip, label))
    for (first, label), (second, next_label) in itertools.permutations(clips, 2):
        yield Trial(_loop(first, history), _loop(second, AFTER), (label, next_label))


def _loop(clip: Clip, count: int) -> Clip:
    return clip[np.arange(count) % len(clip)]


def judge(
    loaded: StreamingClassifier,
    trial: Trial,
    horizon_s: Horizon,
    *,
    reset: bool = False,
) -> tuple[float, float, float, float]:
    """Return steady, switch, latency and cost of one trial.

    Args:
        loaded: Whose model to run.
        trial: What to show.
        horizon_s: As `StreamingClassifier` takes it.
        reset: Whether the session is told of the change: no stream can do better.
    """
    model = CountingModel(loaded.model)
    session = StreamingClassifier(
        model,
        loaded.labels,
        frame_size=loaded.frame_size,
        fps=loaded.fps,
        horizon_s=horizon_s,
    )
    before = [session.step(frame).label for frame in trial.history]
    if reset:
        session.reset()
    after = [session.step(frame).label for frame in trial.after]
    right = np.array(after) == trial.labels[1]
    return (
        float(np.mean(np.array(before[WARM_UP:]) == trial.labels[0])),
        float(right.mean()),
        float(right.argmax() + 1 if right.any() else AFTER + 1),
        model.frames / (len(before) + len(after)),
    )


if __name__ == "__main__":
    main()
