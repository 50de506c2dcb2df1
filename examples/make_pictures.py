"""Make the pictures of the documentation, from the model and the clips that ship with the package.

python examples/make_pictures.py docs/pictures
"""

import argparse
import math
import os
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from drawn_figures import DEMO_ACTIONS, render_clip
from movinet_lite import StreamingClassifier
from movinet_lite.arrays import Clip
from movinet_lite.show.overlay import draw_overlay
from movinet_lite.show.plotting import draw_step, plot_scores
from movinet_lite.video import prepare_clip, to_uint8

SHOWN = ("jumping jacks", 2_500_001)
"""The action and the seed of the clip that the tutorial shows."""

GALLERY_FRAMES = 4
GALLERY_COLUMNS = 2
"""How many frames of each action the gallery shows, and how many actions side by side."""


def draw_clip(action: str, *, seed: int, num_frames: int, side: int) -> Clip:
    """Return a clip at 5 frames per second without most of its noise, which is of no use to readers."""
    drawn = render_clip(
        action,
        seed=seed,
        num_frames=num_frames,
        fps=5.0,
        frame_size=(3 * side, 3 * side),
    )
    return to_uint8(prepare_clip(drawn, (side, side)))


def draw_actions() -> Figure:
    """Return some frames of each action of the demo model."""
    rows = math.ceil(len(DEMO_ACTIONS) / GALLERY_COLUMNS)
    figure = Figure(figsize=(8, 1.25 * rows), layout="constrained")
    parts = figure.subfigures(rows, GALLERY_COLUMNS, wspace=0.03, squeeze=False)
    for number, action in enumerate(DEMO_ACTIONS):
        part = parts[divmod(number, GALLERY_COLUMNS)]
        clip = draw_clip(
            action, seed=2_600_000 + number, num_frames=GALLERY_FRAMES, side=120
        )
        part.suptitle(action, x=0.01, ha="left", fontsize=9)
        for axes, frame in zip(part.subplots(1, GALLERY_FRAMES), clip, strict=True):
            axes.imshow(frame)
            axes.set_axis_off()
    return figure


def save(pixels: Clip, path: Path) -> None:
    """Write one picture to a file."""
    from matplotlib.image import imsave

    imsave(path, np.asarray(pixels))


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--model", default="demo")
    parser.add_argument(
        "--side",
        type=int,
        default=560,
        metavar="PIXELS",
        help="side of the clip that the curves, the step and the overlay show (default: %(default)s)",
    )
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)

    classifier = StreamingClassifier.load(args.model)
    action, seed = SHOWN
    clip = draw_clip(action, seed=seed, num_frames=25, side=args.side)
    predictions = classifier.predict_frames(clip)

    ax = plot_scores(predictions, fps=classifier.fps)
    if (curves := ax.get_figure(root=True)) is not None:
        curves.savefig(args.folder / "curves.png", dpi=180)
    step = draw_step(clip[16], predictions, 16, fps=classifier.fps, height=1000)
    save(step, args.folder / "step.png")
    save(draw_overlay(clip[16], predictions[16]), args.folder / "overlay.png")
    draw_actions().savefig(args.folder / "actions.png", dpi=120)
    for path in sorted(args.folder.glob("*.png")):
        print(path)


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the lines, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
