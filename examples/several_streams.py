"""Watch several videos at once: one model, a session and a thread for each.

python examples/several_streams.py door.mp4 yard.mp4
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from movinet_lite import StreamingClassifier, read_frames


def main() -> None:
    """Print the last prediction of each video."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--model", default="a0")
    args = parser.parse_args()

    first = StreamingClassifier.load(args.model)

    def watch(path: str) -> str:
        # The weights are shared; the states of the stream are the session's own.
        with StreamingClassifier(first.model, first.labels) as session:
            label = "nothing"
            for frame in read_frames(path, fps=session.fps):
                label = session.step(frame).label
            return label

    with ThreadPoolExecutor() as threads:
        labels = threads.map(watch, args.videos)
        for path, label in zip(args.videos, labels, strict=True):
            print(f"{path}: {label}")


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the lines, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
