"""Fine-tunes a MoViNet on new classes.

A stream network is trained in the form in which it is used: causal, with a prediction after every frame, on whole clips
that start with empty states or, for long streams, with the states after earlier frames. The trained weights then run
frame by frame without conversion.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from movinet_lite.arrays import FrameSize, check_fps, check_frame_size
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
    """Train a model on the classes of *data*, and save the best weights in a folder.

    A temperature is fitted on the validation examples and saved with the weights (`movinet_lite.training.calibration`);
    the classifiers apply it. A class named ``background`` stands for "none of these": its events are never reported.

    The best epoch is the one with the highest validation top-1, and among equals the one with the lowest validation
    loss; without validation examples, the one with the lowest training loss. After each epoch the folder contains

    - ``network.safetensors``: the best weights so far, which the classifiers load and `export_model` exports,
    - ``metrics.csv``, and ``tensorboard/`` for TensorBoard: the metrics,
    - ``checkpoint/``: the state that *resume* continues from.

    Ctrl-C ends the training with the best weights so far, if the first epoch is complete. A training run that is killed
    and resumed yields the same weights as an uninterrupted one.

    Args:
        model: The model to start from: a name, URL or path, as for the classifiers, including ``"demo"``; or a network,
            which is not changed.
        data: The examples. Classes that the model already has, by label, keep their weights.
        output: The output folder; it must be new, unless *resume* is set.
        settings: The training settings; `None` for the defaults.
        mode: Whether a name refers to the stream model or the base model.
        keep_head: Whether the model keeps all its classes, in their order; each label must be one of them.
        frame_size: ``(height, width)`` to train at; `None` for the model's own. Smaller is faster.
        fps: Frame rate to train at, in frames per second; `None` for the model's own.
        resume: Whether to continue an earlier call with this *output*. All arguments must be the same, except the
            number of epochs and *patience*.
        offline: Whether to use only local and cached models.
        activation: For checkpoints only; see `BaseClassifier.load`.
        gate: For checkpoints only; see `BaseClassifier.load`.
        on_resume: Called before the first step when training resumes, with the number of completed epochs.
        on_ready: Called before the first step, after the network was loaded and every video opened.
        on_epoch: Called after each epoch.
        on_step: Called after each step with the number of completed steps and of all steps in this epoch.

    Raises:
        DataError: If the examples or options cannot be used, *output* exists, or there is nothing to resume.
        ArrayError: If *frame_size* or *fps* is invalid.
        ModelError: If *model* cannot be found, read or trained, or the output cannot be written; files written before
            stay intact, and *resume* continues from them.
        KeyboardInterrupt: On Ctrl-C during the first epoch.
    """
    settings = settings or Settings()
    output = Path(output)
    checkpoint = _find_checkpoint(output, resume=resume)
    if frame_size is not None:
        frame_size = check_frame_size(frame_size)
    if fps is not None:
        fps = check_fps(fps)
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
    """Make new weights and dropout of a network depend only on *seed*.

    Keras draws their seeds from Python's `random`, whose state is restored afterwards.
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
                f"there is no training run to resume; {CHECKPOINT_NAME} does not exist (train without resume)",
                output,
            )
        return read_checkpoint(path)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        hint = (
            " (to continue the training run in it, use resume)"
            if path.is_file()
            else ""
        )
        raise DataError(
            f"the output must be a new folder; this one exists{hint}", output
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
    """Return a new network for the training run, with the classes to learn."""
    if settings.long_streams and start.spec.mode != "stream":
        raise DataError(
            "long_streams requires a stream model; this is a base model (train without long_streams)"
        )
    labels = start.spec.labels
    if keep_head:
        if labels is None:
            raise DataError("keep_head requires a model with labels; this one has none")
        unknown = [label for label in data.labels if label not in labels]
        if unknown:
            raise DataError(
                f"keep_head requires a model with every label; it lacks {unknown[0]!r}"
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
