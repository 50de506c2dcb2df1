"""Metrics of each epoch, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from movinet_lite.atomic import write_atomically
from movinet_lite.network.tensorflow import tf

__all__ = ["EpochRecord", "Recorder"]

# The plugin name of scalars in TensorBoard:
# https://github.com/tensorflow/tensorboard/blob/master/tensorboard/plugins/scalar/metadata.py
_SCALARS = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
)


@attrs.frozen
class EpochRecord:
    """The metrics of one epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        num_epochs: Number of planned epochs.
        loss: The mean training loss.
        top_1: The top-1 accuracy of the last predictions on the augmented training clips, 0 to 1.
        validation_loss: The validation loss; `None` without validation examples.
        validation_top_1: The validation top-1 accuracy, 0 to 1; `None` without validation examples.
        learning_rate: The learning rate of the last step.
        seconds: Duration of the epoch.
        num_skipped: Number of videos skipped so far.
        steady_seconds: Duration of the epoch without one-time work, such as building TensorFlow's graphs; `None` if the
            epoch has too few steps to tell.
        temperature: The temperature fitted on the validation examples; `None` if none could be fitted (see
            `movinet_lite.training.calibration`).
    """

    epoch: int
    num_epochs: int
    loss: float
    top_1: float
    validation_loss: float | None
    validation_top_1: float | None
    learning_rate: float
    seconds: float
    num_skipped: int = 0
    steady_seconds: float | None = None
    temperature: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """The estimated remaining time in seconds, from the duration of this epoch without one-time work; `None` if unknown."""
        epochs = self.num_epochs - self.epoch
        if not epochs:
            return 0.0
        return None if self.steady_seconds is None else self.steady_seconds * epochs

    def to_dict(self) -> dict[str, float | None]:
        """Return the metrics by name."""
        return attrs.asdict(self)

    @property
    def rank(self) -> tuple[float, float]:
        """The key that epochs are ranked by; larger is better."""
        if self.validation_top_1 is None or self.validation_loss is None:
            return 0.0, -self.loss
        return self.validation_top_1, -self.validation_loss


class Recorder:
    """Writes the metrics of a training run to its folder.

    Attributes:
        history: The records so far.
    """

    def __init__(self, output: Path) -> None:
        """Store the folder; nothing is written before the first record."""
        self._output = output
        self._writer: Any = None
        self.history: list[EpochRecord] = []

    @property
    def best(self) -> EpochRecord:
        """The best record so far; the first one among equals."""
        return max(self.history, key=lambda record: record.rank)

    def restore(self, history: Iterable[Mapping[str, Any]]) -> None:
        """Restore the records of a resumed training run."""
        self.history = [EpochRecord(**record) for record in history]

    def add(self, record: EpochRecord) -> EpochRecord:
        """Add a record, and return it."""
        self.history.append(record)
        return record

    def write(self) -> None:
        """Write all records to ``metrics.csv`` and the last one to the TensorBoard log."""
        names = [field.name for field in attrs.fields(EpochRecord)]
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(record.to_dict() for record in self.history)
        write_atomically(self._output / "metrics.csv", text.getvalue().encode())
        self._write_for_tensorboard(self.history[-1])

    def _write_for_tensorboard(self, record: EpochRecord) -> None:
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(
                str(self._output / "tensorboard")
            )
        with self._writer.as_default():
            for name in (
                "loss",
                "top_1",
                "validation_loss",
                "validation_top_1",
                "learning_rate",
            ):
                value = getattr(record, name)
                if value is not None:
                    # ``tf.summary.scalar`` writes the same, but requires TensorBoard.
                    scalar = tf.constant(value, tf.float32)
                    tf.summary.write(name, scalar, step=record.epoch, metadata=_SCALARS)
        self._writer.flush()

    def close(self) -> None:
        """Close the TensorBoard log."""
        if self._writer is not None:
            self._writer.close()
