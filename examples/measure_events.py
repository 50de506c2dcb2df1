"""Measure how well events are found in long drawn streams, with settings tuned on others.

    python examples/measure_events.py --streams 60 --tuned-on 20
    python examples/measure_events.py --model my_model --first-seed 500 --settings events.toml

Prints F1 at collars of 1 s and 2 s, delay and false alarms an hour with intervals, and writes the settings. The streams
are those of drawn_figures: actions of 6 to 20 s with pauses of 3 to 10 s between, in which a person holds still. Pauses
are nothing that should be found. The seeds to tune on begin far from those to measure on.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from drawn_figures import PAUSE, render_stream
from movinet_lite import EventDetector, StreamingClassifier
from movinet_lite.events import ScoredVideo, evaluate_events, tune_events
from movinet_lite.events.settings import HORIZON_S

COLLARS_S = (1.0, 2.0)
TUNING_SEEDS = 1_000_000
"""Where the seeds to tune on begin, unless told otherwise."""


def main() -> None:
    """Tune, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument(
        "--horizon",
        type=float,
        default=HORIZON_S,
        help="how far a stream looks back, s",
    )
    parser.add_argument("--streams", type=int, default=60, help="how many to measure")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tuned-on", type=int, default=20, help="how many to tune on")
    parser.add_argument("--first-tuning-seed", type=int, default=TUNING_SEEDS)
    parser.add_argument("--actions", type=int, default=10, help="actions of a stream")
    parser.add_argument(
        "--settings", type=Path, help="a file of settings: nothing is tuned"
    )
    parser.add_argument(
        "--write-settings", type=Path, help="where to write the settings tuned"
    )
    args = parser.parse_args()
    seeds = range(args.first_seed, args.first_seed + args.streams)
    tuning_seeds = range(args.first_tuning_seed, args.first_tuning_seed + args.tuned_on)
    if not args.settings and set(seeds) & set(tuning_seeds):
        parser.error("no stream may be both tuned and measured on")

    classifier = StreamingClassifier.load(args.model, horizon_s=args.horizon)
    if args.settings:
        detector = EventDetector.load(args.settings)
    else:
        actions = [label for label in classifier.labels if label != PAUSE]
        result = tune_events(
            score_streams(classifier, tuning_seeds, args.actions),
            classifier.labels,
            collar_s=COLLARS_S[0],
            start=EventDetector(labels=actions),
        )
        detector = result.detector
        print(result)
        if args.write_settings:
            detector.save(args.write_settings)
    print(detector, end="\n\n")

    videos = score_streams(classifier, seeds, args.actions)
    found = evaluate_events(videos, classifier.labels, detector, collars_s=COLLARS_S)
    print(found.to_text())


def score_streams(
    classifier: StreamingClassifier, seeds: Iterable[int], num_actions: int
) -> dict[str, ScoredVideo]:
    """Return what the model says of each drawn stream, with the truth."""
    videos: dict[str, ScoredVideo] = {}
    for seed in seeds:
        stream = render_stream(
            seed=seed, num_actions=num_actions, fps=classifier.fps or 5.0
        )
        classifier.reset()
        videos[f"stream {seed}"] = ScoredVideo.from_predictions(
            classifier.run(stream.frames()), stream.annotations
        )
    return videos


if __name__ == "__main__":
    main()
