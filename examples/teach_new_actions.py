"""Teach the demo model three actions that it does not know, with 40 clips of each, in some minutes on two cores.

    python examples/teach_new_actions.py my_model

It is what `movinet-lite fine-tune` does with a folder of videos, on clips that are drawn. Then the new model is judged on
fresh clips.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from drawn_figures import NEW_ACTIONS, render_clip
from movinet_lite import StreamingClassifier
from movinet_lite.training.evaluate import evaluate
from movinet_lite.training.examples import Example, ExampleSet
from movinet_lite.training.settings import Settings

TRAINING_SEEDS = 3_000_000
JUDGING_SEEDS = 3_500_000
"""Where the seeds begin; the demo model saw none of these people."""


def make_examples(first_seed: int, count: int) -> tuple[Example, ...]:
    """Return so many clips of each new action."""
    return tuple(
        Example(render_clip(action, seed=first_seed + number), action)
        for number in range(count)
        for action in NEW_ACTIONS
    )


def main() -> None:
    """Train, then judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="the folder to write")
    parser.add_argument("--model", default="demo", help="what to start from")
    parser.add_argument("--clips", type=int, default=40, help="clips of each action")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--judge", type=int, default=100, help="fresh clips of each")
    args = parser.parse_args()

    from movinet_lite.training.fine_tune import fine_tune

    started = time.monotonic()
    result = fine_tune(
        args.model,
        ExampleSet(NEW_ACTIONS, make_examples(TRAINING_SEEDS, args.clips)),
        args.output,
        settings=Settings(epochs=args.epochs),
        on_epoch=lambda record: print(
            f"epoch {record.epoch} of {record.num_epochs}: loss {record.loss:.3f}",
            flush=True,
        ),
    )
    print(f"trained in {time.monotonic() - started:.0f} s, videos included")
    classifier = StreamingClassifier.load(result.path)
    print(evaluate(classifier, make_examples(JUDGING_SEEDS, args.judge)).to_text())


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the lines, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
