"""Write a video of a video above the curves of its leading actions, and print where it is.

python examples/plot_video.py clip.mp4 curves.mp4
"""

import argparse

from movinet_lite import StreamingClassifier, load_clip
from movinet_lite.show.plotting import save_animation


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
    clip = load_clip(args.video, fps=classifier.fps)
    predictions = classifier.predict_frames(clip)
    save_animation(
        args.output,
        clip,
        predictions,
        fps=classifier.fps or 5.0,
        k=args.top_k,
        log=args.log,
    )
    print(f"{args.output}: {len(clip)} pictures")


if __name__ == "__main__":
    main()
