"""The training loop: steps, epochs, validation, and saving."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.errors import ArrayError, DataError, ModelError, said_by
from movinet_lite.network.files import save_network
from movinet_lite.network.layers import NORM_MOMENTUM
from movinet_lite.network.model import Movinet
from movinet_lite.network.tensorflow import keras, tf
from movinet_lite.training.batches import Batch, Batches, ClipSpec
from movinet_lite.training.calibration import fit_temperature
from movinet_lite.training.checkpoint import (
    Checkpoint,
    write_checkpoint,
)
from movinet_lite.training.examples import ExampleSet, Skipped, count_labels
from movinet_lite.training.records import EpochRecord, Recorder
from movinet_lite.training.schedule import (
    balanced_weights,
    frame_weights,
    learning_rate_at,
)
from movinet_lite.training.settings import Settings

__all__ = ["CHECKPOINT_NAME", "NETWORK_NAME", "FineTuned", "Trainer"]

NETWORK_NAME: Final = "network.safetensors"
"""The file in the output folder with the best weights so far."""

CHECKPOINT_NAME: Final = "checkpoint/training.safetensors"
"""The file in the output folder that training resumes from."""

_MIN_TIMED_STEPS: Final = 3  # the median then is of a step that builds no graph
_MAX_STATISTICS_BATCHES: Final = 50  # of the renewed batch-norm statistics

_LARGEST_GRADIENT: Final = 1.0  # global norm; larger gradients are scaled down


@attrs.frozen(eq=False)
class FineTuned:
    """The result of a training run.

    Attributes:
        path: The folder with the best weights, for `StreamingClassifier.load` or `BaseClassifier.load`.
        history: The metrics of each epoch.
        best: The epoch whose weights were saved.
        skipped: The videos that were skipped.
        ended_early: Why training ended before the last epoch: ``"patience"`` or ``"interrupted"``; otherwise `None`.
    """

    path: Path
    history: tuple[EpochRecord, ...]
    best: EpochRecord
    skipped: tuple[Skipped, ...]
    ended_early: str | None = None


class Trainer:
    """A training run: the network, its optimiser, the examples, and the metrics so far."""

    def __init__(
        self, network: Movinet, data: ExampleSet, settings: Settings, output: Path
    ) -> None:
        """Prepare a training run; videos that cannot be opened are skipped immediately.

        Args:
            network: The network; its weights are updated.
            data: The examples.
            settings: The training settings.
            output: The output folder.

        Raises:
            DataError: If no video of a class can be opened.
        """
        spec = network.spec
        labels = spec.labels or ()
        clips = ClipSpec(
            settings.num_frames,
            spec.fps,
            spec.frame_size,
            lead_frames=settings.lead_frames(spec.fps),
        )
        self._network = network
        self._settings = settings
        self._output = output
        self._videos = _describe(data)
        self._pending: EpochRecord | None = None  # recorded, but not fully written yet
        self._has_graphs = False  # they are built in the first epoch
        self._batches = Batches(
            data.training,
            labels,
            clips,
            batch_size=settings.batch_size,
            augmentation=settings.augmentation,
            seed=settings.seed,
        )
        self._validation = Batches(
            data.validation, labels, clips, batch_size=settings.batch_size
        )
        self._check_readable(data)
        self._class_weights = tf.constant(
            _class_weights(self._batches, labels, settings)
        )
        self._optimizer = _optimizer(network, settings)
        self._recorder = Recorder(output)
        self._clips = clips
        self._statistics = _trained_statistics(network)
        self._learn, self._learn_after, self._judge = self._as_graphs()
        self._observe, self._observe_after = self._as_observing_graphs()

    def _check_readable(self, data: ExampleSet) -> None:
        """Skip the videos that cannot be opened, before the first step."""
        self._batches.check()
        self._validation.check()
        usable = count_labels(self._batches.examples, data.labels)
        for label, count in usable.items():
            if not count:
                first = next(one for one in self._batches.skipped if one.label == label)
                raise DataError(
                    f"each class must have a readable video; {label!r} has none ({first.reason})",
                    first.name,
                )

    @property
    def _fingerprint(self) -> dict[str, Any]:
        """The settings that must not change on resuming."""
        spec = self._network.spec
        settings = attrs.asdict(self._settings)
        for may_change in ("epochs", "patience"):
            del settings[may_change]
        return {
            "variant": spec.variant,
            "mode": spec.mode,
            "labels": list(spec.labels or ()),
            "frame_size": list(spec.frame_size),
            "fps": spec.fps,
            "videos": self._videos,
            **settings,
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from *checkpoint*.

        Raises:
            DataError: If it belongs to another training run.
        """
        path = self._output / CHECKPOINT_NAME
        for name, now in self._fingerprint.items():
            before = checkpoint.settings.get(name)
            if before != now:
                raise DataError(
                    f"a training run must be resumed with its own settings; {name} was {before} and is now {now}",
                    path,
                )
        for name, weight in self._network.named_weights.items():
            weight.assign(checkpoint.weights[name])
        for variable, value in zip(
            self._optimizer.variables, checkpoint.optimizer, strict=True
        ):
            variable.assign(value)
        for state, value in zip(self._random_states, checkpoint.random, strict=True):
            state.assign(value)
        for part, batches in self._parts.items():
            batches.skip(checkpoint.skipped[part])
        self._recorder.restore(checkpoint.history)
        if checkpoint.history and self._recorder.best is self._recorder.history[-1]:
            # The run may have ended after writing the checkpoint and before writing the best weights.
            self._save_network()

    @property
    def _random_states(self) -> list[Any]:
        dropout = self._network.head.dropout
        return [dropout.seed_generator.state] if dropout.rate else []

    @property
    def _parts(self) -> dict[str, Batches]:
        return {"training": self._batches, "validation": self._validation}

    def run(
        self,
        on_epoch: Callable[[EpochRecord], None] | None,
        on_step: Callable[[int, int], None] | None,
    ) -> FineTuned:
        """Train to the end, and return the result.

        Raises:
            DataError: If the output folder cannot be created.
            ModelError: If weights cannot be written, for example on a full disk; files written before stay intact.
        """
        self._make_output()
        ended_early = None
        try:
            for epoch in range(len(self._recorder.history), self._settings.epochs):
                record = self._run_epoch(epoch, on_step)
                if on_epoch is not None:
                    on_epoch(record)
                if self._is_patience_over():
                    ended_early = "patience"
                    break
        except KeyboardInterrupt:
            if self._pending is not None:
                self._keep(self._pending)
            if not self._recorder.history:
                self._discard_start()
                raise
            ended_early = "interrupted"
        finally:
            self._recorder.close()
        return FineTuned(
            self._output,
            tuple(self._recorder.history),
            self._recorder.best,
            (*self._batches.skipped, *self._validation.skipped),
            ended_early,
        )

    def _make_output(self) -> None:
        try:
            self._output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"the output folder cannot be created: {error.strerror}",
                self._output,
            ) from error
        if not self._recorder.history:
            # Makes the first epoch resumable, and detects a full disk before it.
            try:
                self._write_checkpoint()
            except ModelError:
                self._discard_start()
                raise

    def _discard_start(self) -> None:
        """Remove the checkpoint before the first epoch, so that the folder is as good as new."""
        path = self._output / CHECKPOINT_NAME
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()

    def _run_epoch(
        self, epoch: int, on_step: Callable[[int, int], None] | None
    ) -> EpochRecord:
        started = time.monotonic()
        training_times: list[float] = []
        validation_times: list[float] = []
        loss, top_1 = _means(_timed(self._train(epoch, on_step), training_times))
        if loss is None:
            raise DataError(
                "there must be readable training videos; none could be read"
            )
        norm_times = self._renew_statistics(epoch)
        answers: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = []
        validation_loss, validation_top_1 = _means(
            _timed(self._validate(answers), validation_times)
        )
        record = EpochRecord(
            epoch=epoch + 1,
            num_epochs=self._settings.epochs,
            loss=loss,
            top_1=top_1 or 0.0,
            validation_loss=validation_loss,
            validation_top_1=validation_top_1,
            learning_rate=float(self._optimizer.learning_rate),
            seconds=time.monotonic() - started,
            num_skipped=len(self._batches.skipped) + len(self._validation.skipped),
            steady_seconds=_steady(
                training_times,
                norm_times,
                validation_times,
                builds_graphs=not self._has_graphs,
            ),
            temperature=_temperature(answers),
        )
        self._has_graphs = True
        self._keep(record)
        return record

    def _keep(self, record: EpochRecord) -> None:
        """Write the result of an epoch; called again after Ctrl-C, it writes what is missing.

        The checkpoint is written first: the best weights can be restored from it, but not the reverse.
        """
        self._pending = record
        if not any(record is one for one in self._recorder.history):
            self._recorder.add(record)
        is_best = record is self._recorder.best
        try:
            self._write_checkpoint()
        except ModelError:
            if is_best:  # it is smaller and may still fit
                with contextlib.suppress(ModelError):
                    self._save_network()
            raise
        if is_best:
            self._save_network()
        with self._must_write("metrics.csv"):
            self._recorder.write()
        self._pending = None

    def _save_network(self) -> None:
        self._network.spec = attrs.evolve(
            self._network.spec, temperature=self._recorder.best.temperature
        )
        with self._must_write(NETWORK_NAME):
            save_network(self._network, self._output / NETWORK_NAME)

    def _write_checkpoint(self) -> None:
        checkpoint = Checkpoint(
            settings=self._fingerprint,
            history=[one.to_dict() for one in self._recorder.history],
            weights={
                name: np.asarray(weight)
                for name, weight in self._network.named_weights.items()
            },
            optimizer=[np.asarray(one) for one in self._optimizer.variables],
            random=[np.asarray(one) for one in self._random_states],
            skipped={name: part.skip_reasons for name, part in self._parts.items()},
        )
        with self._must_write(CHECKPOINT_NAME):
            write_checkpoint(self._output / CHECKPOINT_NAME, checkpoint)

    @contextlib.contextmanager
    def _must_write(self, name: str) -> Iterator[None]:
        """Raise an error that names the output file that cannot be written, with a hint."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or said_by(error)
            hint = ""
            if (self._output / CHECKPOINT_NAME).is_file():
                hint = " (free some space, then continue with resume)"
            raise ModelError(
                f"the output of a training run must be writable; {reason}{hint}",
                self._output / name,
            ) from error

    def _train(
        self, epoch: int, on_step: Callable[[int, int], None] | None
    ) -> Iterator[tuple[float, float, int]]:
        """Yield the loss, the accuracy and the number of clips of each step."""
        settings = self._settings
        num_batches = self._batches.num_batches
        for number, batch in enumerate(self._batches.epoch(epoch)):
            self._optimizer.learning_rate.assign(
                learning_rate_at(
                    epoch * num_batches + number,
                    peak=settings.learning_rate,
                    warmup_steps=round(settings.warmup_epochs * num_batches),
                    num_steps=settings.epochs * num_batches,
                )
            )
            loss, right = self._step(batch, epoch, number)
            yield float(loss), float(right), len(batch.targets)
            if on_step is not None:
                on_step(number + 1, num_batches)

    def _step(self, batch: Batch, epoch: int, number: int) -> tuple[Any, Any]:
        before, clips = self._split(batch, epoch, number)
        if before is None:
            return self._learn(clips, batch.targets, self._weigh_frames())
        weights = self._weigh_frames(first=before.shape[1] + 1)
        return self._learn_after(before, clips, batch.targets, weights)

    def _split(self, batch: Batch, epoch: int, number: int) -> tuple[Any, Any]:
        """Return the frames before the clips, if any, and the clips.

        For long streams, half of the batches are starts of streams, half come after some of the frames before.
        """
        longest = self._clips.lead_frames
        clips = batch.clips[:, longest:]
        if longest:
            rng = np.random.default_rng([self._settings.seed, epoch, number])
            lead = int(rng.integers(1, longest + 1)) if rng.random() < 0.5 else 0
            if lead:
                return batch.clips[:, longest - lead : longest], clips
        return None, clips

    def _renew_statistics(self, epoch: int) -> list[float]:
        """Compute the batch-norm statistics anew, with fixed weights, over the clips of an epoch ("precise" statistics [1]).

        The moving statistics are of weights that have changed since, and of few clips. In a run too short for the usual
        momentum that shows: the logits in inference differ from those in training by up to their own size.

        Returns:
            The seconds that each batch took; none if there is nothing to do.

        References:
            [1] Y. Wu and J. Johnson, "Rethinking 'Batch' in BatchNorm", 2021, arXiv:2105.07576, section 3.
        """
        times: list[float] = []
        kept = self._network.options.norm_momentum
        if not self._statistics or kept >= NORM_MOMENTUM:
            return times
        before = [np.asarray(one).copy() for one in self._statistics]
        found: list[list[NDArray[np.float64]]] = [[] for _ in before]  # of each batch
        counts: list[int] = []
        for number, batch in enumerate(self._batches.epoch(epoch)):
            if number == _MAX_STATISTICS_BATCHES:
                break
            started = time.monotonic()
            frames, clips = self._split(batch, epoch, number)
            if frames is None:
                self._observe(clips)
            else:
                self._observe_after(frames, clips)
            for place, one in enumerate(self._statistics):
                # What the moving average became tells what this batch had.
                old, new = before[place], np.asarray(one, np.float64)
                found[place].append((new - kept * old) / (1.0 - kept))
                one.assign(old)
            counts.append(len(clips))
            times.append(time.monotonic() - started)
        if counts:  # videos may have become unreadable
            for one, value in zip(
                self._statistics, _pooled(found, counts), strict=True
            ):
                one.assign(value.astype(np.float32))
        return times

    def _weigh_frames(
        self, *, first: int = 1, last: int | None = None
    ) -> NDArray[np.float32]:
        """Return the weight of each prediction; see `frame_weights`."""
        if self._network.spec.mode == "base":
            return np.ones(1, np.float32)
        return frame_weights(self._clips.num_frames, first=first, last=last)

    def _validate(
        self, answers: list[tuple[NDArray[np.float32], NDArray[np.int32]]]
    ) -> Iterator[tuple[float, float, int]]:
        """Yield the same for the validation examples, and append their last logits and targets to *answers*."""
        weights = self._weigh_frames(last=self._clips.total_frames)
        for batch in self._validation.epoch(0) if self._validation.num_examples else ():
            loss, right, last = self._judge(batch.clips, batch.targets, weights)
            answers.append((np.asarray(last), np.asarray(batch.targets)))
            yield float(loss), float(right), len(batch.targets)

    def _is_patience_over(self) -> bool:
        patience = self._settings.patience
        since_best = self._recorder.history[-1].epoch - self._recorder.best.epoch
        return patience is not None and since_best >= patience

    def _as_graphs(self) -> tuple[Any, Any, Any]:
        """Return the functions that train on clips, train on clips after other frames, and evaluate.

        Each returns the loss and the accuracy; the last one also the last logits of each clip.
        """
        network, variables = self._network, self._network.trainable_variables
        lead_frames = self._clips.lead_frames

        def update(frames: Any, targets: Any, weights: Any, states: Any) -> Any:
            with tf.GradientTape() as tape:
                logits = self._forward(frames, training=True, states=states)
                loss = self._loss(logits, targets, weights)
            self._optimizer.apply(tape.gradient(loss, variables), variables)
            return loss, _share_right(logits[:, -1:], targets)

        def learn(frames: Any, targets: Any, weights: Any) -> Any:
            return update(frames, targets, weights, None)

        def learn_after(before: Any, frames: Any, targets: Any, weights: Any) -> Any:
            # As in inference: the batch norms use their moving statistics, and the states are constants.
            return update(frames, targets, weights, network.states_after(before))

        def judge(frames: Any, targets: Any, weights: Any) -> Any:
            logits = self._forward(frames, training=False)
            # For long streams, all predictions from a full clip length on.
            right = _share_right(logits[:, -1 - lead_frames :], targets)
            return self._loss(logits, targets, weights), right, logits[:, -1]

        clips, any_number, whole = map(
            self._frames_spec,
            (self._clips.num_frames, None, self._clips.total_frames),
        )
        given = (tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None,), tf.float32))

        def as_graph(function: Any, *frames: Any) -> Any:
            return tf.function(
                function, input_signature=(*frames, *given), autograph=False
            )

        return (
            as_graph(learn, clips),
            as_graph(learn_after, any_number, clips),
            as_graph(judge, whole),
        )

    def _as_observing_graphs(self) -> tuple[Any, Any]:
        """Return the functions that only learn batch-norm statistics, from clips and from clips after other frames."""
        network = self._network

        def observe(frames: Any) -> None:
            self._forward(frames, training=True)

        def observe_after(before: Any, frames: Any) -> None:
            self._forward(frames, training=True, states=network.states_after(before))

        clips, any_number = map(self._frames_spec, (self._clips.num_frames, None))
        return (
            tf.function(observe, input_signature=(clips,), autograph=False),
            tf.function(
                observe_after, input_signature=(any_number, clips), autograph=False
            ),
        )

    def _forward(self, frames: Any, *, training: bool, states: Any = None) -> Any:
        """Return ``(clips, frames, classes)`` logits; of a base model, those of one frame."""
        network = self._network
        if network.spec.mode == "stream":
            return network.call_by_frame(frames, training=training, states=states)
        return network(frames, training=training)[:, tf.newaxis]

    def _frames_spec(self, num_frames: int | None) -> Any:
        return tf.TensorSpec((None, num_frames, *self._clips.frame_size, 3), tf.float32)

    def _loss(self, logits: Any, targets: Any, weights: Any) -> Any:
        """Return the cross-entropy, averaged over clips and, weighted by *weights*, over their frames."""
        classes = logits.shape[-1]
        smoothing = self._settings.label_smoothing
        wanted = tf.one_hot(targets, classes) * (1.0 - smoothing) + smoothing / classes
        by_frame = tf.nn.softmax_cross_entropy_with_logits(
            tf.broadcast_to(wanted[:, tf.newaxis], tf.shape(logits)), logits
        )
        by_clip = tf.reduce_sum(by_frame * weights, axis=1)
        return tf.reduce_mean(by_clip * tf.gather(self._class_weights, targets))


def _temperature(
    answers: Sequence[tuple[NDArray[np.float32], NDArray[np.int32]]],
) -> float | None:
    """Return the temperature for the last logits of some clips; `None` if none can be fitted."""
    if not answers:
        return None
    logits, targets = map(np.concatenate, zip(*answers, strict=True))
    try:
        return fit_temperature(logits, targets)
    except (ArrayError, DataError):
        return None


def _share_right(logits: Any, targets: Any) -> Any:
    """Return the top-1 accuracy of ``(clips, frames, classes)`` *logits*."""
    best = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.reduce_mean(tf.cast(best == targets[:, tf.newaxis], tf.float32))


def _describe(data: ExampleSet) -> str:
    """Return text that identifies these examples, independent of the location of their folder."""
    digest = hashlib.sha256()
    for example in (*data.training, *data.validation):
        digest.update(
            f"{Path(example.name).name}\0{example.label}\0".encode(
                errors="surrogateescape"
            )
        )
    return (
        f"{len(data.training)} to train on and {len(data.validation)} to validate with "
        f"(checksum {digest.hexdigest()[:8]})"
    )


def _class_weights(
    batches: Batches, labels: tuple[str, ...], settings: Settings
) -> Any:
    counts = count_labels(batches.examples, labels)
    if not settings.balance_classes:
        return np.ones(len(labels), np.float32)
    used = [label for label in labels if counts[label]]
    found = dict(
        zip(used, balanced_weights([counts[label] for label in used]), strict=True)
    )
    return np.array([found.get(label, 1.0) for label in labels], np.float32)


def _optimizer(network: Movinet, settings: Settings) -> Any:
    optimizer = keras.optimizers.AdamW(
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        global_clipnorm=_LARGEST_GRADIENT,
    )
    variables = network.trainable_variables
    optimizer.exclude_from_weight_decay(
        var_list=[one for one in variables if not one.name.endswith("kernel")]
    )
    optimizer.build(variables)
    return optimizer


def _trained_statistics(network: Movinet) -> list[Any]:
    """Return the moving statistics of the batch norms that are trained."""
    named = network.named_weights
    trained = {id(one) for one in network.trainable_variables}
    norms = [
        name.removesuffix("/gamma")
        for name, weight in named.items()
        if name.endswith("/gamma") and id(weight) in trained
    ]
    return [
        named[f"{norm}/{part}"]
        for norm in norms
        for part in ("moving_mean", "moving_variance")
    ]


def _pooled(
    found: Sequence[Sequence[NDArray[np.float64]]], counts: Sequence[int]
) -> Iterator[NDArray[np.float64]]:
    """Yield the mean and the variance of each norm over all clips.

    Args:
        found: The mean of the first norm in each batch, then its variance; the same of the next norm.
        counts: Number of clips of each batch.
    """
    for means, variances in zip(found[::2], found[1::2], strict=True):
        mean = np.average(means, axis=0, weights=counts)
        yield mean
        # The means of batches differ, which is part of the variance over all clips.
        between = np.average((np.stack(means) - mean) ** 2, axis=0, weights=counts)
        yield np.average(variances, axis=0, weights=counts) + between


def _timed(
    steps: Iterator[tuple[float, float, int]], times: list[float]
) -> Iterator[tuple[float, float, int]]:
    """Yield *steps*, and append the seconds that each takes to *times*."""
    before = time.monotonic()
    for step in steps:
        now = time.monotonic()
        times.append(now - before)
        before = now
        yield step


def _steady(
    training: list[float], *others: list[float], builds_graphs: bool
) -> float | None:
    """Return the total duration of an epoch's steps without the one-time work of the first ones; `None` if unknown."""
    if builds_graphs and len(training) < _MIN_TIMED_STEPS:
        return None
    step = float(np.median(training))
    # Any other batch is faster than one trained on, so a slower single one included building its graph.
    return step * len(training) + sum(
        min(step, float(np.median(times))) * len(times) for times in others if times
    )


def _means(
    steps: Iterator[tuple[float, float, int]],
) -> tuple[float | None, float | None]:
    """Return the mean loss and the accuracy over all clips; `None` if there were none."""
    losses = rights = clips = 0.0
    for loss, right, count in steps:
        losses += loss * count
        rights += right * count
        clips += count
    return (losses / clips, rights / clips) if clips else (None, None)
