"""Train the demo model that ships with the package: MoViNet A0, stream, on drawn figures.

    python examples/train_demo_model.py demo_model

It renders clips (`drawn_figures.figures`), trains on them with `fine_tune` from random weights, and writes the files of
the package: ``demo.tflite``, ``demo.safetensors`` and ``demo.mp4``. With ``--resume`` it goes on where it was stopped.
``examples/judge_demo_model.py`` says how good the result is. docs/demo-model.md tells how long it took, and on what.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from drawn_figures import DEMO_ACTIONS, render_clip
from movinet_lite import write_video
from movinet_lite.arrays import Clip
from movinet_lite.training.augmentation import Augmentation
from movinet_lite.training.examples import Example, ExampleSet
from movinet_lite.training.settings import Settings
from movinet_lite.video import prepare_clip

FRAME_SIZE = (96, 96)
FPS = 5.0
NUM_FRAMES = 16

TRAINING_SEEDS = 0
VALIDATION_SEEDS = 1_000_000
"""Where the seeds begin; those of the clips that judge the model begin at 2,000,000."""

SHOWN = ("jumping jacks", 2_500_000, 6.0)
"""The action of the clip that ships with the model, its seed, and its length in seconds."""


def render(args: argparse.Namespace) -> ExampleSet:
    """Render the clips to train on and to validate with."""
    parts = []
    for first, count in (
        (TRAINING_SEEDS, args.clips),
        (VALIDATION_SEEDS, max(1, args.clips // 20)),
    ):
        actions = [action for _ in range(count) for action in DEMO_ACTIONS]
        seeds = [first + number for number in range(count) for _ in DEMO_ACTIONS]
        with ProcessPoolExecutor() as pool:
            clips = pool.map(_render, actions, seeds, chunksize=32)
            parts.append(
                tuple(
                    Example(clip, action)
                    for clip, action in zip(clips, actions, strict=True)
                )
            )
    training, validation = parts
    return ExampleSet(DEMO_ACTIONS, training, validation)


def _render(action: str, seed: int) -> Clip:
    return render_clip(
        action, seed=seed, num_frames=NUM_FRAMES, fps=FPS, frame_size=FRAME_SIZE
    )


def main() -> None:
    """Render, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="the folder to write")
    parser.add_argument("--clips", type=int, default=800, help="clips of each action")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--variant", default="a0")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()

    # TensorFlow is loaded after the clips are rendered, by processes that it would not survive.
    data = render(args)
    print(len(data.training), "clips to train on,", len(data.validation), "to validate")

    from movinet_lite.engines.exporting import export_model
    from movinet_lite.network.files import load_network, save_network
    from movinet_lite.network.model import build_movinet
    from movinet_lite.training.fine_tune import fine_tune

    network = build_movinet(
        args.variant,
        "stream",
        len(DEMO_ACTIONS),
        labels=DEMO_ACTIONS,
        frame_size=FRAME_SIZE,
        fps=FPS,
        source="examples/train_demo_model.py",
    )
    training = args.output / "training"
    result = fine_tune(
        network,
        data,
        training,
        settings=Settings(
            num_frames=NUM_FRAMES,
            epochs=args.epochs,
            learning_rate=args.learning_rate,
            warmup_epochs=0.25,
            augmentation=Augmentation(crop=0.08),
        ),
        resume=args.resume,
        on_epoch=lambda record: print(record, flush=True),
    )
    print("the best epoch is", result.best.epoch)

    best = load_network(training / "network.safetensors")
    save_network(best, args.output / "demo.safetensors", dtype="float16")
    export_model(training, args.output / "demo.tflite", quantize="float16")
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


if __name__ == "__main__":
    main()
