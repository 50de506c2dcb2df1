"""Say what happens in a video, frame by frame.

python examples/stream_video.py clip.mp4
"""

import argparse
import os
import sys

from movinet_lite import StreamingClassifier, read_frames


def main() -> None:
    """Print the three leading actions after each frame."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--model", default="a0")
    args = parser.parse_args()

    classifier = StreamingClassifier.load(args.model)
    for frame in read_frames(args.video, fps=classifier.fps):
        ranking = classifier.step(frame).top_k(3)
        actions = ", ".join(f"{label} {score:.2f}" for label, score in ranking)
        print(f"{frame.time_s:7.1f} s  {actions}")


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the lines, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
