"""Say how good the demo model is, and that it is the motion that it sees.

    python examples/judge_demo_model.py                     the model of the package
    python examples/judge_demo_model.py demo_model/demo.tflite

It is judged on clips that it was never trained on, and on the same clips with their order of time destroyed: one frame
repeated, the frames shuffled, the frames backwards.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from drawn_figures import DEMO_ACTIONS, render_clip
from movinet_lite import LabelFilter, StreamingClassifier
from movinet_lite.arrays import Clip
from movinet_lite.training.evaluate import evaluate
from movinet_lite.training.examples import Example

JUDGING_SEEDS = 2_000_000
"""Where the seeds begin; see train_demo_model.py."""

FRAMES_SEEN = (1, 2, 4, 8, 12, 16)


def main() -> None:
    """Judge a model, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="demo")
    parser.add_argument("--clips", type=int, default=1000)
    args = parser.parse_args()

    classifier = StreamingClassifier.load(args.model)
    examples = [
        Example(render_clip(action, seed=JUDGING_SEEDS + number), action)
        for number in range(args.clips)
        for action in [DEMO_ACTIONS[number % len(DEMO_ACTIONS)]]
    ]
    found = evaluate(classifier, examples)
    print(found.to_text())
    print()
    print(found.confusion_to_text())
    print("\nafter  " + "".join(f"{count:>7}" for count in FRAMES_SEEN) + "  frames")
    by_frame = np.asarray(found.top_1_by_frame)
    print("top-1  " + "".join(f"{by_frame[n - 1]:>7.1%}" for n in FRAMES_SEEN))

    rng = np.random.default_rng(0)
    still = "holding still"
    moving = [example for example in examples if example.label != still]
    print(f"\n{'the same clips':<34}{'all':>7}{'without ' + still:>24}")
    for name, change in (
        ("as they are", lambda clip: clip),
        ("one frame repeated", lambda clip: _repeat(clip, rng)),
        ("frames shuffled", rng.permutation),
        ("frames backwards", lambda clip: clip[::-1]),
    ):
        shares = []
        for part in (examples, moving):
            changed = [
                Example(change(np.asarray(one.source)), one.label) for one in part
            ]
            shares.append(evaluate(classifier, changed).top_1)
        print(f"{name:<34}{shares[0]:>7.1%}{shares[1]:>24.1%}")
    share = _share_where_still_is_no_answer(classifier, moving, rng)
    print(f"\none frame repeated, and {still!r} not allowed as an answer: {share:.1%}")


def _share_where_still_is_no_answer(
    classifier: StreamingClassifier,
    examples: Sequence[Example],
    rng: np.random.Generator,
) -> float:
    """Return how often the pose alone gives an action away."""
    right = 0
    moves = LabelFilter(classifier.labels, deny=["holding still"])
    for example in examples:
        classifier.reset()
        clip = _repeat(np.asarray(example.source), rng)
        last = classifier.predict_frames(clip)[-1]
        right += last.top_k(1, label_filter=moves)[0][0] == example.label
    return right / len(examples)


def _repeat(clip: Clip, rng: np.random.Generator) -> Clip:
    chosen = rng.integers(len(clip))
    return np.stack([clip[chosen]] * len(clip))


if __name__ == "__main__":
    main()
