"""Fine-tunes a MoViNet on other classes.

A stream network is trained as it will be used: causal, on whole clips that start at an empty stream or, for long streams,
after earlier frames of one, with a prediction after every frame. Its weights then run frame by frame, with states, as
they are.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from movinet_lite.arrays import FrameSize, check_frame_size, check_positive
from movinet_lite.errors import DataError
from movinet_lite.network.layers import NORM_MOMENTUM
from movinet_lite.network.model import Movinet, replace_head
from movinet_lite.network.spec import Activation, Functions, Gate
from movinet_lite.network.variants import Mode
from movinet_lite.training.checkpoint import Checkpoint, read_checkpoint
from movinet_lite.training.examples import ExampleSet
from movinet_lite.training.records import EpochRecord
from movinet_lite.training.schedule import norm_momentum_for
from movinet_lite.training.settings import TRAINING_FIT, Settings
from movinet_lite.training.starts import load_start
from movinet_lite.training.trainer import CHECKPOINT_NAME, FineTuned, Trainer

__all__ = ["fine_tune"]


def fine_tune(
    model: str | Path | Movinet,
    data: ExampleSet,
    output: str | Path,
    *,
    settings: Settings | None = None,
    mode: Mode = "stream",
    keep_head: bool = False,
    frame_size: FrameSize | None = None,
    fps: float | None = None,
    resume: bool = False,
    offline: bool = False,
    activation: Activation | None = None,
    gate: Gate | None = None,
    on_resume: Callable[[int], None] | None = None,
    on_ready: Callable[[], None] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> FineTuned:
    """Train a model on the classes of *data*, and keep the best weights in a folder.

    Of the logits of the examples to validate with, the temperature is fitted that goes with the weights
    (`movinet_lite.training.calibration`); the classifiers apply it. A class of the name ``background`` stands for "nothing
    of these": its events are never reported.

    The best epoch is the one with the highest top-1 on the examples to validate with, and of these the one with the
    smallest loss there; without such examples, the one with the smallest training loss. After each epoch the folder
    holds

    - ``network.safetensors``: the best weights so far, which the classifiers load and `export_model` exports,
    - ``metrics.csv``, and ``tensorboard/`` for TensorBoard: what was measured,
    - ``checkpoint/``: what *resume* goes on from.

    Ctrl-C ends the training with the best weights so far, once there is a first epoch. A training that is killed and
    resumed gives the same weights as one that runs through.

    Args:
        model: What to start from: a name, an address or a path, as the classifiers load them, ``"demo"`` among them; or a
            network, which stays as it is.
        data: The examples. Classes that the model knows by name keep their weights.
        output: The folder to write; a new one, unless *resume*.
        settings: How to train; `None` for the defaults.
        mode: Whether a name stands for its stream model or its base model.
        keep_head: Whether the model keeps all its classes, in their order; each label must be among them.
        frame_size: ``(height, width)`` to train at; `None` for the model's own. Smaller is faster.
        fps: Frames per second to train at; `None` for the model's own.
        resume: Whether to go on where an earlier call with this *output* ended. Everything must be as it was then, but
            for the number of epochs and *patience*.
        offline: Whether the network must not be touched to find *model*.
        activation: Of a checkpoint to start from, as in `BaseClassifier.load`.
        gate: Of a checkpoint to start from, as there.
        on_resume: Called before the first step where the training goes on, with the number of epochs that are done.
        on_ready: Called before the first step, once the network is loaded and every video was opened.
        on_epoch: Called after each epoch.
        on_step: Called after each step, with the number of steps done in this epoch, and of all steps in it.

    Raises:
        DataError: If the examples or options cannot be trained with, *output* is taken, or there is nothing to resume.
        ArrayError: If *frame_size* or *fps* is impossible.
        ModelError: If *model* cannot be found, read, or trained, or the output cannot be written; what was written
            before stays whole, and *resume* goes on from it.
        KeyboardInterrupt: After Ctrl-C within the first epoch.
    """
    settings = settings or Settings()
    output = Path(output)
    checkpoint = _find_checkpoint(output, resume=resume)
    if frame_size is not None:
        frame_size = check_frame_size(frame_size)
    if fps is not None:
        fps = check_positive(fps, "fps")
    with _seeded(settings.seed):
        start = _find_start(
            model, mode, offline=offline, functions=Functions(activation, gate)
        )
        network = _new_network(start, data, settings, keep_head=keep_head)
    background = data.background
    network.spec = attrs.evolve(
        network.spec,
        background_index=(
            None
            if background is None
            else (network.spec.labels or data.labels).index(background)
        ),
        frame_size=frame_size or network.spec.frame_size,
        fps=fps or network.spec.fps,
        clip_frames=settings.num_frames,
        fit=TRAINING_FIT,
    )
    trainer = Trainer(network, data, settings, output)
    if checkpoint is not None:
        trainer.restore(checkpoint)
        if on_resume is not None:
            on_resume(len(checkpoint.history))
    if on_ready is not None:
        on_ready()
    return trainer.run(on_epoch, on_step)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let the new weights and the dropout of a network depend on *seed*, and on nothing else.

    Keras draws the seed of each from Python's `random`, whose state is given back to the process.
    """
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def _find_checkpoint(output: Path, *, resume: bool) -> Checkpoint | None:
    path = output / CHECKPOINT_NAME
    if resume:
        if not path.is_file():
            raise DataError(
                f"there must be a training to resume; {CHECKPOINT_NAME} is not there (train without resume)",
                output,
            )
        return read_checkpoint(path)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        hint = " (or go on with the training in it: resume)" if path.is_file() else ""
        raise DataError(
            f"the output must be a new folder; this one is taken{hint}", output
        )
    return None


def _find_start(
    model: str | Path | Movinet, mode: Mode, *, offline: bool, functions: Functions
) -> Movinet:
    if isinstance(model, Movinet):
        functions.check_needed(model.spec.source or "the network", is_checkpoint=False)
        return model
    return load_start(model, mode, offline=offline, functions=functions)


def _new_network(
    start: Movinet, data: ExampleSet, settings: Settings, *, keep_head: bool
) -> Movinet:
    """Return a network of its own for the training, with the classes to learn."""
    if settings.long_streams and start.spec.mode != "stream":
        raise DataError(
            "only a stream model sees long streams; this one is a base model (train without long_streams)"
        )
    labels = start.spec.labels
    if keep_head:
        if labels is None:
            raise DataError(
                "to keep its head the model must know its labels; it does not"
            )
        unknown = [label for label in data.labels if label not in labels]
        if unknown:
            raise DataError(
                f"to keep its head the model must know every label; it does not know {unknown[0]!r}"
                f"{f' and {len(unknown) - 1} more' if len(unknown) > 1 else ''}"
            )
    else:
        labels = data.labels
    known = start.spec.labels or ()
    network = replace_head(
        start,
        labels=labels,
        keep=any(label in known for label in labels),
        dropout_rate=settings.dropout_rate,
        norm_momentum=norm_momentum_for(
            settings.num_steps(len(data.training)), usual=NORM_MOMENTUM
        ),
    )
    if settings.freeze_backbone:
        frozen: tuple[Any, ...] = (
            network.stem,
            *network.bottlenecks,
            network.head.project,
        )
        for layer in frozen:
            layer.trainable = False
    return network
