"""Measure how well classes are taught from a few drawn clips, and how well other actions are rejected.

    python examples/measure_few_shot.py --choosing-seed 41000000 --measuring-seed 52000000

Each draw teaches some clips of three actions. The remaining clips of these are to be recognised, and those of all other
actions rejected. Either the three actions that the demo model does not know are taught, or any three of the fifteen.

The tolerance with the highest mean of both shares, over both kinds of draws, is chosen on clips of one range of seeds
and measured on clips of another. Then clips of six other actions are given as background, and the remaining six are to
be rejected. Last, the CPU time of a step with and without taught classes is measured.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np

from drawn_figures import ACTIONS, NEW_ACTIONS, render_clip
from movinet_lite import FewShotClassifier, Prediction, StreamingClassifier
from movinet_lite.arrays import Clip
from movinet_lite.classifiers.few_shot import BACKGROUND, DEFAULT_TOLERANCE
from movinet_lite.engines.few_shot.head import FewShotHead

TOLERANCES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
BACKGROUND_ACTIONS = 6
BACKGROUND_CLIPS = 2
TIMED_RUNS = 12


@attrs.frozen
class DrawnSet:
    """Clips of every action, and the model's predictions for them.

    Attributes:
        clips: The clips of each action.
        predictions: The prediction after the last frame of each, with features.
    """

    clips: Mapping[str, Sequence[Clip]]
    predictions: Mapping[str, Sequence[Prediction]]


@attrs.frozen
class Draw:
    """Three actions to teach, and which of their clips.

    Attributes:
        actions: The actions to teach.
        others: All other actions, in random order.
        taught: The numbers of the clips to teach.
        fresh: The numbers of the remaining clips.
    """

    actions: tuple[str, ...]
    others: tuple[str, ...]
    taught: tuple[int, ...]
    fresh: tuple[int, ...]


@attrs.frozen
class Shares:
    """Shares of clips, 0 to 1.

    Attributes:
        recognised: Of the taught actions, those with the right label.
        rejected: Of the other actions, those that are background.
    """

    recognised: float
    rejected: float

    def __str__(self) -> str:
        return f"{self.recognised:>12.1%}{self.rejected:>10.1%}"

    @classmethod
    def mean(cls, shares: Sequence["Shares"]) -> "Shares":
        """Return the mean of several."""
        return cls(
            statistics.fmean(one.recognised for one in shares),
            statistics.fmean(one.rejected for one in shares),
        )


def main() -> None:
    """Choose a tolerance, measure it on other clips, and print."""
    args = parse_arguments()
    model = StreamingClassifier.load(args.model, horizon_s=None)
    drawn = render(model, args.choosing_seed, args.clips)
    new, every = measure(model, drawn, args, args.choosing_seed)
    print_table("choosing", args.choosing_seed, args.clips, new, every)
    chosen = max(
        TOLERANCES,
        key=lambda one: sum(
            found[one].recognised + found[one].rejected for found in (new, every)
        ),
    )
    print(f"chosen tolerance: {chosen:g} (the default is {DEFAULT_TOLERANCE:g})\n")

    drawn = render(model, args.measuring_seed, args.clips)
    new, every = measure(model, drawn, args, args.measuring_seed)
    print_table("measuring", args.measuring_seed, args.clips, new, every)
    print()

    print(f"{'new actions taught':<34}{'recognised':>12}{'rejected':>10}")
    for name, shares in measure_background(model, drawn, args, chosen).items():
        print(f"{name:<34}{shares}")
    print()
    print_speed(args.model, drawn)


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--choosing-seed", type=int, required=True, help="the first")
    parser.add_argument("--measuring-seed", type=int, required=True, help="the first")
    parser.add_argument("--clips", type=int, default=24, help="clips of each action")
    parser.add_argument("--taught", type=int, default=5, help="how many are taught")
    parser.add_argument("--draws", type=int, default=30, help="draws of each kind")
    args = parser.parse_args()
    num_seeds = args.clips * len(ACTIONS)
    if abs(args.choosing_seed - args.measuring_seed) < num_seeds:
        parser.error(
            f"the first seeds must be at least {num_seeds} apart: no clip may serve to choose and to measure"
        )
    if args.clips <= max(args.taught, BACKGROUND_CLIPS):
        parser.error("--clips must be more than --taught: some clips must be fresh")
    return args


def render(model: StreamingClassifier, first_seed: int, num_clips: int) -> DrawnSet:
    """Render clips of every action, each with a seed of its own, and classify them."""
    seeds = iter(range(first_seed, first_seed + num_clips * len(ACTIONS)))
    clips = {
        action: [render_clip(action, seed=next(seeds)) for _ in range(num_clips)]
        for action in ACTIONS
    }
    predictions = {
        action: [
            model.new_session().predict_frames(clip, features="pooled")[-1]
            for clip in some
        ]
        for action, some in clips.items()
    }
    return DrawnSet(clips, predictions)


def make_draws(
    args: argparse.Namespace, seed: int, *, only_new: bool
) -> Iterator[Draw]:
    """Yield random draws of clips, and also of actions unless the new ones are taught."""
    rng = np.random.default_rng(seed)
    for _ in range(args.draws):
        actions = [ACTIONS[place] for place in rng.permutation(len(ACTIONS))]
        clips = rng.permutation(args.clips).tolist()
        taught = NEW_ACTIONS if only_new else tuple(actions[:3])
        yield Draw(
            taught,
            tuple(action for action in actions if action not in taught),
            tuple(clips[: args.taught]),
            tuple(clips[args.taught :]),
        )


def teach(
    model: StreamingClassifier,
    drawn: DrawnSet,
    draw: Draw,
    tolerance: float,
    background: Sequence[Clip] = (),
) -> FewShotHead:
    """Return what *draw* teaches."""
    examples = {
        action: [drawn.clips[action][number] for number in draw.taught]
        for action in draw.actions
    }
    if background:
        examples[BACKGROUND] = list(background)
    return FewShotClassifier.teach(examples, model, tolerance=tolerance).head


def judge(
    head: FewShotHead, drawn: DrawnSet, draw: Draw, others: Sequence[str]
) -> Shares:
    """Return the shares of the fresh clips that *head* recognises and rejects."""

    def share(action: str, label: str) -> float:
        found = []
        for number in draw.fresh:
            prediction = drawn.predictions[action][number]
            features = np.asarray(prediction.features, np.float32)
            logits = head.logits(features, prediction.logits)
            found.append(head.labels[logits.argmax()] == label)
        return statistics.fmean(found)

    return Shares(
        statistics.fmean(share(action, action) for action in draw.actions),
        statistics.fmean(share(action, BACKGROUND) for action in others),
    )


def measure(
    model: StreamingClassifier, drawn: DrawnSet, args: argparse.Namespace, seed: int
) -> tuple[dict[float, Shares], dict[float, Shares]]:
    """Return the mean shares by tolerance, for new actions and for any."""
    means = []
    for only_new in (True, False):
        found: dict[float, list[Shares]] = {one: [] for one in TOLERANCES}
        for draw in make_draws(args, seed, only_new=only_new):
            head = teach(model, drawn, draw, tolerance=0.0)
            for tolerance, shares in found.items():
                # What `teach` does with a tolerance, without running the model again.
                threshold = head.threshold - tolerance * head.z_score_std
                changed = attrs.evolve(head, threshold=threshold)
                shares.append(judge(changed, drawn, draw, draw.others))
        means.append({one: Shares.mean(shares) for one, shares in found.items()})
    return means[0], means[1]


def print_table(
    purpose: str,
    first_seed: int,
    num_clips: int,
    new: Mapping[float, Shares],
    every: Mapping[float, Shares],
) -> None:
    """Print the shares by tolerance."""
    last_seed = first_seed + num_clips * len(ACTIONS) - 1
    print(f"{purpose}: seeds {first_seed} to {last_seed}")
    print(f"{'':<11}{'new actions taught':>22}{'any three taught':>22}")
    print(f"{'tolerance':<11}" + 2 * f"{'recognised':>12}{'rejected':>10}")
    for tolerance in TOLERANCES:
        print(f"{tolerance:<11g}{new[tolerance]}{every[tolerance]}")


def measure_background(
    model: StreamingClassifier,
    drawn: DrawnSet,
    args: argparse.Namespace,
    tolerance: float,
) -> dict[str, Shares]:
    """Return the mean shares with and without clips of six other actions as background."""
    with_clips: list[Shares] = []
    without: list[Shares] = []
    for draw in make_draws(args, args.measuring_seed, only_new=True):
        known = draw.others[:BACKGROUND_ACTIONS]
        unknown = draw.others[BACKGROUND_ACTIONS:]
        clips = [
            drawn.clips[action][number]
            for action in known
            for number in draw.taught[:BACKGROUND_CLIPS]
        ]
        for found, background in ((with_clips, clips), (without, [])):
            head = teach(model, drawn, draw, tolerance, background)
            found.append(judge(head, drawn, draw, unknown))
    return {
        f"{BACKGROUND_CLIPS} clips of each as background": Shares.mean(with_clips),
        f"no background, tolerance {tolerance:g}": Shares.mean(without),
    }


def print_speed(name: str, drawn: DrawnSet) -> None:
    """Print the CPU time of a step with one thread, in interleaved runs."""
    model = StreamingClassifier.load(name, horizon_s=None, threads=1)
    clips = {action: drawn.clips[action][:2] for action in NEW_ACTIONS}
    taught = FewShotClassifier.teach(clips, model)
    (clip, _) = clips[NEW_ACTIONS[0]]
    times_ms: dict[str, list[float]] = {"the model": [], "three classes taught": []}
    for _ in range(TIMED_RUNS + 1):
        for found, classifier in zip(times_ms.values(), (model, taught), strict=True):
            classifier.reset()
            started = time.process_time()
            for frame in clip:
                classifier.step(frame)
            found.append((time.process_time() - started) / len(clip) * 1000)
    print(
        f"{'CPU time of a step, ' + str(TIMED_RUNS) + ' runs':<30}{'minimum':>10}{'median':>10}"
    )
    for what, found in times_ms.items():
        runs = found[1:]  # the first one warms up
        print(f"{what:<30}{min(runs):>7.2f} ms{statistics.median(runs):>7.2f} ms")


if __name__ == "__main__":
    main()
