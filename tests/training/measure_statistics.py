"""Print what new batch-norm statistics after each epoch of a short training cost and gain, as docs/training gives it.

    PYTHONPATH=examples python -m tests.training.measure_statistics

For each seed, the demo model is fine-tuned on a few drawn clips of actions it does not know, once as `fine_tune` does it and once
with the usual moving statistics. Both trainings choose their best epoch on the same validation clips. The figures are top-1 and
loss after the last frame of other clips, and the CPU time of the training. No clip of a seed serves two of these purposes.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

import attrs
import numpy as np

from drawn_figures import NEW_ACTIONS, render_clip
from movinet_lite.predictions import softmax
from movinet_lite.training.examples import Example, ExampleSet
from movinet_lite.training.settings import Settings

_WAYS: Final = ("new statistics", "moving statistics")


@attrs.frozen
class Result:
    """What one training gave.

    Attributes:
        top_1: Of the best epoch, on test clips, 0 to 1.
        loss: Cross-entropy of the same.
        seconds: CPU time of the training.
    """

    top_1: float
    loss: float
    seconds: float


def main() -> None:
    """Train, test, and print a row for each seed, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8, help="pairs, at least 2")
    parser.add_argument("--first-seed", type=int, default=70_000_000, help="of clips")
    parser.add_argument("--training", type=int, default=5, help="clips of each action")
    parser.add_argument("--validation", type=int, default=5)
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    args = parser.parse_args()

    from movinet_lite.training.starts import load_start

    start = load_start("demo", "stream")
    clip_seeds = itertools.count(args.first_seed)
    print_row("seed", [f"{way}: top-1, loss, CPU" for way in _WAYS])
    found: dict[str, list[Result]] = {way: [] for way in _WAYS}
    for seed in range(args.seeds):
        data = ExampleSet(
            NEW_ACTIONS,
            tuple(render(args.training, clip_seeds)),
            tuple(render(args.validation, clip_seeds)),
        )
        test = list(render(args.test, clip_seeds))
        settings = Settings(
            epochs=args.epochs, learning_rate=args.learning_rate, seed=seed
        )
        # In turn, so that neither is always the first.
        for way in _WAYS[:: 1 if seed % 2 else -1]:
            found[way].append(train_and_test(start, data, test, settings, way))
        print_row(seed, [describe(found[way][-1:]) for way in _WAYS])
    print_row("mean", [describe(found[way]) for way in _WAYS])
    pairs = list(zip(*found.values(), strict=True))
    gains = [new.top_1 - moving.top_1 for new, moving in pairs]
    costs = [new.seconds / moving.seconds for new, moving in pairs]
    error = statistics.stdev(gains) / len(gains) ** 0.5
    sys.stdout.write(
        f"\ntop-1: {statistics.fmean(gains):+.1%}, standard error {error:.1%}; better for {sum(gain > 0 for gain in gains)} "
        f"and worse for {sum(gain < 0 for gain in gains)} of {len(gains)} seeds\n"
        f"CPU time: {min(costs):.2f} to {max(costs):.2f} times, median {statistics.median(costs):.2f}\n"
    )


def render(count: int, clip_seeds: Iterator[int]) -> Iterator[Example]:
    """Yield *count* clips of each action, each with a seed of its own."""
    for action in NEW_ACTIONS:
        for seed in itertools.islice(clip_seeds, count):
            yield Example(render_clip(action, seed=seed), action)


def train_and_test(
    start: Any, data: ExampleSet, test: Sequence[Example], settings: Settings, way: str
) -> Result:
    """Fine-tune *start*, and test the weights of the best epoch."""
    from movinet_lite.network.files import load_network
    from movinet_lite.training import trainer
    from movinet_lite.training.fine_tune import fine_tune

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        started = time.process_time()
        if way == "moving statistics":
            with mock.patch.object(
                trainer.Trainer, "_renew_statistics", return_value=[]
            ):
                fine_tune(start, data, output, settings=settings)
        else:
            fine_tune(start, data, output, settings=settings)
        seconds = time.process_time() - started
        network = load_network(output / trainer.NETWORK_NAME)
    clips = np.stack([np.asarray(one.source) for one in test]).astype(np.float32) / 255
    scores = softmax(np.asarray(network.call_by_frame(clips))[:, -1])
    targets = [NEW_ACTIONS.index(one.label) for one in test]
    right = scores[np.arange(len(targets)), targets]
    return Result(
        float((scores.argmax(axis=1) == targets).mean()),
        float(-np.log(right).mean()),
        seconds,
    )


def describe(results: Sequence[Result]) -> str:
    """Return the means of *results* as text."""
    top_1, loss, seconds = (
        statistics.fmean(values)
        for values in zip(*map(attrs.astuple, results), strict=True)
    )
    return f"{top_1:.1%} {loss:.3f} {seconds:.1f} s"


def print_row(first: object, others: Sequence[str]) -> None:
    """Print a row of the table."""
    sys.stdout.write(f"{first!s:<6}" + "".join(f"{one:>36}" for one in others) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
