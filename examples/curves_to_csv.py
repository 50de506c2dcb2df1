"""Write the scores of the leading actions of a video over time, as a table.

python examples/curves_to_csv.py clip.mp4 > curves.csv
"""

import argparse
import os
import sys

from movinet_lite import (
    StreamingClassifier,
    predictions_to_table,
    read_frames,
    top_k_over_time,
)


def main() -> None:
    """Write a column for each leading action and a line for each frame."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--model", default="a0")
    parser.add_argument("--top-k", type=int, default=5)
    args = parser.parse_args()

    classifier = StreamingClassifier.load(args.model)
    predictions = list(classifier.run(read_frames(args.video, fps=classifier.fps)))
    scores = [prediction.scores for prediction in predictions]
    leading = top_k_over_time(scores, classifier.labels, k=args.top_k).labels
    sys.stdout.write(predictions_to_table(predictions, labels=leading).to_csv())


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the lines, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
