"""Make the pictures of the documentation, from the model and the clips that ship with the package.

python examples/make_pictures.py docs/pictures
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from drawn_figures import DEMO_ACTIONS, render_clip
from movinet_lite import StreamingClassifier
from movinet_lite.arrays import Clip
from movinet_lite.show.overlay import draw_overlay
from movinet_lite.show.plotting import draw_step, plot_scores

SHOWN = ("jumping jacks", 2_500_001)
"""The action and the seed of the clip that the tutorial shows."""

GALLERY_FRAMES = 6


def draw_actions() -> Figure:
    """Return some frames of each action of the demo model."""
    rows = len(DEMO_ACTIONS)
    figure = Figure(figsize=(GALLERY_FRAMES * 1.2, rows * 1.32), layout="constrained")
    grid = figure.subplots(rows, GALLERY_FRAMES)
    for row, action in enumerate(DEMO_ACTIONS):
        clip = render_clip(action, seed=2_600_000 + row, num_frames=GALLERY_FRAMES)
        for column, frame in enumerate(clip):
            grid[row, column].imshow(frame)
            grid[row, column].set_axis_off()
        grid[row, 0].set_title(action, loc="left", fontsize=9)
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
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)

    classifier = StreamingClassifier.load(args.model)
    action, seed = SHOWN
    clip = render_clip(action, seed=seed, num_frames=25, fps=5.0, frame_size=(240, 240))
    predictions = classifier.predict_frames(clip)

    curves = Figure(figsize=(8, 4), layout="constrained")
    plot_scores(predictions, fps=classifier.fps, ax=curves.subplots())
    curves.savefig(args.folder / "curves.png", dpi=90)
    save(
        draw_step(clip[16], predictions, 16, fps=classifier.fps),
        args.folder / "step.png",
    )
    save(draw_overlay(clip[16], predictions[16]), args.folder / "overlay.png")
    draw_actions().savefig(args.folder / "actions.png", dpi=60)
    for path in sorted(args.folder.glob("*.png")):
        print(path)


if __name__ == "__main__":
    main()
