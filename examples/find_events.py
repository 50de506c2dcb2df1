"""Find when actions begin and end in a video.

python examples/find_events.py clip.mp4 "carving ice" "ice fishing" --enter 0.4
"""

import argparse
import os
import sys

from movinet_lite import EventDetector, StreamingClassifier, find_events, read_frames


def main() -> None:
    """Print a line for each event."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument(
        "labels", nargs="*", help="names that `movinet-lite labels` prints; all if none"
    )
    parser.add_argument("--model", default="a0")
    parser.add_argument("--enter", type=float, default=0.6)
    args = parser.parse_args()

    detector = EventDetector(
        enter=args.enter, max_gap_s=1.0, labels=args.labels or None
    )
    classifier = StreamingClassifier.load(args.model)
    predictions = classifier.run(read_frames(args.video, fps=classifier.fps))
    for event in find_events(predictions, detector):
        print(f"{event.start_s:.1f} s to {event.end_s:.1f} s: {event.label}")


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the lines, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
