"""Write how probable the leading actions of a video are over time, as a table.

python examples/curves_to_csv.py clip.mp4 > curves.csv
"""

import argparse
import csv
import sys

import numpy as np

from movinet_lite import StreamingClassifier, read_frames, top_k_over_time


def main() -> None:
    """Write a column for each leading action and a line for each frame."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--model", default="a0")
    parser.add_argument("--top-k", type=int, default=5)
    args = parser.parse_args()

    classifier = StreamingClassifier.load(args.model)
    predictions = list(classifier.run(read_frames(args.video, fps=classifier.fps)))
    curves = top_k_over_time(
        np.stack([prediction.scores for prediction in predictions]),
        classifier.labels,
        k=args.top_k,
    )
    table = csv.writer(sys.stdout)
    table.writerow(["time_s", *curves.labels])
    for prediction, row in zip(predictions, curves.scores.T, strict=True):
        table.writerow([prediction.time_s, *(f"{value:.4f}" for value in row)])


if __name__ == "__main__":
    main()
