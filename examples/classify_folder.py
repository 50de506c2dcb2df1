"""Write a table of the videos in a folder and what each shows.

python examples/classify_folder.py videos > table.csv
"""

import argparse
import csv
import os
import sys
from pathlib import Path

from movinet_lite import BaseClassifier, VideoError, load_clip

CLIP_S = 10.0
"""The first seconds of each video that are looked at: what the models were trained on."""


def main() -> None:
    """Write one line of CSV for each file; skip what is no video."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="a0")
    args = parser.parse_args()

    classifier = BaseClassifier.load(args.model)
    table = csv.writer(sys.stdout)
    table.writerow(["video", "action", "score"])
    for path in sorted(args.folder.iterdir()):
        try:
            clip = load_clip(path, fps=classifier.fps, end_s=CLIP_S)
        except VideoError as error:
            print(f"skipped: {error}", file=sys.stderr)
            continue
        prediction = classifier.predict(clip)
        table.writerow([path.name, prediction.label, f"{prediction.score:.3f}"])


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the lines, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
