"""``movinet-lite demo``: stream the clip in the package through the model in the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from movinet_lite import demo
from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.cli.arguments import add_command, add_json, output_path
from movinet_lite.cli.output import PROGRAM, timeline_line
from movinet_lite.errors import MissingDependencyError
from movinet_lite.hub.handles import DEMO_NAME
from movinet_lite.predictions import Prediction
from movinet_lite.show.curves import check_matplotlib
from movinet_lite.video import read_frames, read_video_info, write_video

__all__ = ["add_commands"]

_OUTPUT: Final = Path("movinet_lite_demo.mp4")
_HEIGHT: Final = 720
"""Of the animation, in pixels."""


def add_commands(commands: Any) -> None:
    """Add the command of this module to the command line's."""
    parser = add_command(
        commands,
        "demo",
        _demo,
        description=(
            "Stream the clip that ships with the package through the model that ships with it,\n"
            "and write an animation. The clip shows a drawn figure, and the model only knows\n"
            "such figures. Nothing is downloaded."
        ),
        examples=("demo", "demo --output demo.gif"),
    )
    parser.add_argument(
        "--output",
        type=output_path,
        metavar="FILE",
        help=f"where to write the animation, an .mp4 or .gif (default: {_OUTPUT}; needs the extra 'plot')",
    )
    add_json(parser)


def _demo(args: argparse.Namespace) -> int:
    """Stream the clip of the package, print the predictions, and write the animation."""
    if args.output is not None:
        check_matplotlib()
    classifier = StreamingClassifier.load(DEMO_NAME)
    predictions = []
    leading = None
    for prediction in classifier.run(read_frames(demo.CLIP, fps=classifier.fps)):
        predictions.append(prediction)
        if prediction.label != leading:
            leading = prediction.label
            ranking = prediction.top_k(1)
            print(
                timeline_line(demo.CLIP.name, prediction, ranking, as_json=args.json),
                flush=True,
            )
    _say_end(classifier, predictions[-1])
    _draw(args, predictions)
    _say(
        "for 600 actions of people (downloads a model): "
        f"{PROGRAM} stream VIDEO --model a2"
    )
    return 0


def _say_end(classifier: StreamingClassifier, prediction: Prediction) -> None:
    ((label, score),) = prediction.top_k(1)
    _say(f"last prediction: {label}, {score:.2f}")
    _say(
        f"the demo model knows {len(classifier.labels)} actions of drawn figures, not of people"
    )


def _draw(args: argparse.Namespace, predictions: list[Prediction]) -> None:
    """Write the frames above their score curves, if matplotlib is there."""
    path = args.output or _OUTPUT
    try:
        check_matplotlib()
    except MissingDependencyError as error:
        _say(f"no animation: {error}")
        return
    from movinet_lite.show.plotting import animate_video

    fps = read_video_info(demo.CLIP).fps
    assert fps is not None  # noqa: S101 - our own clip has a frame rate
    pictures = animate_video(demo.CLIP, predictions, height=_HEIGHT)
    write_video(path, pictures, fps=fps)
    _say(f"animation: {path}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
