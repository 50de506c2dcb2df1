"""Train the demo model that ships with the package: MoViNet A0, stream, on drawn figures.

    python examples/train_demo_model.py demo_model
    python examples/train_demo_model.py demo_model --start demo --epochs 0

It renders clips (`drawn_figures.figures`) and trains on them with `fine_tune`: first on short clips, from random weights,
then on long streams, so that the model stays right while an action goes on for minutes. It writes the files of the
package: ``demo.tflite``, ``demo.safetensors`` and ``demo.mp4``. With ``--start`` it begins from the weights of another
model, and with ``--epochs 0`` it leaves out the short clips. With ``--resume`` it goes on where it was stopped.
``examples/judge_demo_model.py`` and ``examples/judge_long_streams.py`` say how good the result is. docs/demo-model.md
tells how long it took, and on what.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import attrs

from drawn_figures import DEMO_ACTIONS, render_clip
from movinet_lite import write_video
from movinet_lite.arrays import Clip
from movinet_lite.training.augmentation import Augmentation
from movinet_lite.training.examples import Example, ExampleSet
from movinet_lite.training.settings import LONG_STREAM_S, Settings
from movinet_lite.video import prepare_clip

FRAME_SIZE = (96, 96)
FPS = 5.0
NUM_FRAMES = 16

VALIDATION_SEEDS = 1_000_000
"""Where the seeds to validate with begin. Those to train on begin at 0, those of long streams where those of short clips
end, and those of the clips that judge the model at 2,000,000."""

SHOWN = ("jumping jacks", 2_500_000, 6.0)
"""The action of the clip that ships with the model, its seed, and its length in seconds."""


@attrs.frozen
class Stage:
    """A part of the training.

    Attributes:
        name: Of its folder.
        first_seed: Of the clips to train on.
        clips: How many of each action.
        epochs: How often to go through them; none leaves the stage out.
        settings: How to train.
    """

    name: str
    first_seed: int
    clips: int
    epochs: int
    settings: Settings


def main() -> None:
    """Render, train, write."""
    parser = make_parser()
    args = parser.parse_args()
    if not args.epochs and not args.long_epochs:
        parser.error("there must be an epoch at least")
    short = Settings(
        num_frames=NUM_FRAMES,
        learning_rate=args.learning_rate,
        warmup_epochs=0.25,
        augmentation=Augmentation(crop=0.08),
    )
    long = attrs.evolve(short, long_streams=True, learning_rate=args.long_learning_rate)
    stages = (
        Stage("training", 0, args.clips, args.epochs, short),
        Stage("training_long", args.clips, args.long_clips, args.long_epochs, long),
    )
    # TensorFlow is loaded after the clips are rendered, by processes that it would not survive.
    stages_with_clips = [(stage, render(stage)) for stage in stages if stage.epochs]

    from movinet_lite.engines.exporting import export_model
    from movinet_lite.network.files import load_network, save_network

    network = make_start(args)
    folders = [args.output / stage.name for stage, _ in stages_with_clips]
    for folder, (stage, data) in zip(folders, stages_with_clips, strict=True):
        train(stage, network, data, folder, resume=args.resume)
        network = load_network(folder / "network.safetensors")
    save_network(network, args.output / "demo.safetensors", dtype="float16")
    export_model(folders[-1], args.output / "demo.tflite", quantize="float16")
    action, seed, seconds = SHOWN
    # The mean of three by three pixels has a third of the noise.
    clip = render_clip(
        action,
        seed=seed,
        num_frames=round(25 * seconds),
        fps=25.0,
        frame_size=(1200, 1200),
    )
    write_video(args.output / "demo.mp4", prepare_clip(clip, (400, 400)), fps=25.0)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="the folder to write")
    parser.add_argument("--clips", type=int, default=800, help="clips of each action")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--long-clips", type=int, default=400, help="long streams of each action"
    )
    parser.add_argument("--long-epochs", type=int, default=2)
    parser.add_argument("--long-learning-rate", type=float, default=1e-3)
    parser.add_argument("--variant", default="a0")
    parser.add_argument("--start", help="a model to begin from, in place of chance")
    parser.add_argument("--resume", action="store_true")
    return parser


def render(stage: Stage) -> ExampleSet:
    """Render the clips to train on and to validate with."""
    parts = []
    num_frames = NUM_FRAMES
    if stage.settings.long_streams:
        num_frames = round(LONG_STREAM_S * FPS)
    for first, count in (
        (stage.first_seed, stage.clips),
        (VALIDATION_SEEDS, max(1, stage.clips // 20)),
    ):
        actions = [action for _ in range(count) for action in DEMO_ACTIONS]
        seeds = [first + number for number in range(count) for _ in DEMO_ACTIONS]
        lengths = [num_frames] * len(seeds)
        with ProcessPoolExecutor() as pool:
            clips = pool.map(_render, actions, seeds, lengths, chunksize=8)
            parts.append(
                tuple(
                    Example(clip, action)
                    for clip, action in zip(clips, actions, strict=True)
                )
            )
    training, validation = parts
    print(
        f"{stage.name}: {len(training)} clips of {num_frames} frames to train on, {len(validation)} to validate"
    )
    return ExampleSet(DEMO_ACTIONS, training, validation)


def _render(action: str, seed: int, num_frames: int) -> Clip:
    return render_clip(
        action, seed=seed, num_frames=num_frames, fps=FPS, frame_size=FRAME_SIZE
    )


def make_start(args: argparse.Namespace) -> Any:
    """Return the network that the training begins with."""
    from movinet_lite.network.model import build_movinet
    from movinet_lite.training.starts import load_start

    if args.start is not None:
        return load_start(args.start, "stream")
    return build_movinet(
        args.variant,
        "stream",
        len(DEMO_ACTIONS),
        labels=DEMO_ACTIONS,
        frame_size=FRAME_SIZE,
        fps=FPS,
        source="examples/train_demo_model.py",
    )


def train(
    stage: Stage, network: Any, data: ExampleSet, folder: Path, *, resume: bool
) -> None:
    """Train *network* on *data*, and keep the best weights in *folder*."""
    from movinet_lite.training.fine_tune import fine_tune
    from movinet_lite.training.trainer import CHECKPOINT_NAME

    result = fine_tune(
        network,
        data,
        folder,
        settings=attrs.evolve(stage.settings, epochs=stage.epochs),
        resume=resume and (folder / CHECKPOINT_NAME).is_file(),
        on_epoch=lambda record: print(record, flush=True),
    )
    print("the best epoch is", result.best.epoch)


if __name__ == "__main__":
    main()
