"""Find when an action begins and ends in a video.

python examples/find_events.py clip.mp4 "carving ice" --threshold 0.4
"""

import argparse
from collections.abc import Iterable, Iterator

from movinet_lite import Prediction, StreamingClassifier, read_frames

CONFIRM_FRAMES = 3
"""How many frames in a row have to agree that the action has begun, or has ended."""


def find_events(
    predictions: Iterable[Prediction], label: str, threshold: float
) -> Iterator[tuple[float, float]]:
    """Yield the start and end of each time that *label* is probable, in seconds."""
    count = 0  # how many frames in a row say otherwise than the ones before
    start_s: float | None = None
    first_s = last_s = 0.0
    for prediction in predictions:
        time_s = prediction.time_s or 0.0
        probability = prediction.scores[prediction.labels.index(label)]
        if (probability >= threshold) == (start_s is not None):
            count = 0
            last_s = time_s
            continue
        count += 1
        if count == 1:
            first_s = time_s
        if count < CONFIRM_FRAMES:
            continue
        if start_s is None:
            start_s, last_s = first_s, time_s
        else:
            yield start_s, last_s
            start_s = None
        count = 0
    if start_s is not None:
        yield start_s, last_s


def main() -> None:
    """Print a line for each event."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("label", help="a name that `movinet-lite labels` prints")
    parser.add_argument("--model", default="a0")
    parser.add_argument("--threshold", type=float, default=0.5)
    args = parser.parse_args()

    classifier = StreamingClassifier.load(args.model)
    if args.label not in classifier.labels:
        parser.error(f"the model has no action {args.label!r}")
    predictions = classifier.run(read_frames(args.video, fps=classifier.fps))
    for start_s, end_s in find_events(predictions, args.label, args.threshold):
        print(f"{start_s:.1f} s to {end_s:.1f} s: {args.label}")


if __name__ == "__main__":
    main()
