"""Write a video of a video above the curves of its leading actions, and print where it is.

python examples/plot_video.py clip.mp4 curves.mp4
"""

import argparse
import os
import sys

from movinet_lite import (
    StreamingClassifier,
    read_frames,
    read_video_info,
    write_video,
)
from movinet_lite.show.plotting import animate_video


def main() -> None:
    """Predict frame by frame, and write the animation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("output", help="an .mp4 or a .gif")
    parser.add_argument("--model", default="a0")
    parser.add_argument("--top-k", type=int, default=5)
    parser.add_argument("--log", action="store_true", help="a logarithmic axis")
    args = parser.parse_args()

    classifier = StreamingClassifier.load(args.model)
    predictions = list(classifier.run(read_frames(args.video, fps=classifier.fps)))
    pictures = animate_video(args.video, predictions, k=args.top_k, log=args.log)
    write_video(args.output, pictures, fps=read_video_info(args.video).fps or 25.0)
    print(args.output)


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the lines, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
