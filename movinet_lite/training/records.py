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

# What TensorBoard's time series know a number by:
# https://github.com/tensorflow/tensorboard/blob/master/tensorboard/plugins/scalar/metadata.py
_SCALARS = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
)


@attrs.frozen
class EpochRecord:
    """What was measured in one epoch.

    Attributes:
        epoch: Which one, from 1.
        num_epochs: How many were planned.
        loss: The mean training loss.
        top_1: The share of training clips whose last prediction was right, as augmented, 0 to 1.
        validation_loss: The loss on the examples to validate with; `None` if there are none.
        validation_top_1: The share of them that was right; `None` if there are none.
        learning_rate: Of the last step.
        seconds: How long it took.
        num_skipped: How many videos could not be used so far.
        steady_seconds: How long it would have taken without what is done once, such as to build TensorFlow's graphs.
        temperature: What the logits are to be divided by, fitted on the examples to validate with; `None` if they tell
            none (see `movinet_lite.training.calibration`).
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
    def seconds_left(self) -> float:
        """How long the rest will take, if each epoch takes as long as this one without what is done once."""
        seconds = self.seconds if self.steady_seconds is None else self.steady_seconds
        return seconds * (self.num_epochs - self.epoch)

    def to_dict(self) -> dict[str, float | None]:
        """Return all of it by name."""
        return attrs.asdict(self)

    @property
    def rank(self) -> tuple[float, float]:
        """What makes one epoch better than another: the larger, the better."""
        if self.validation_top_1 is None or self.validation_loss is None:
            return 0.0, -self.loss
        return self.validation_top_1, -self.validation_loss


class Recorder:
    """The records of a training, in its folder.

    Attributes:
        history: The records so far.
    """

    def __init__(self, output: Path) -> None:
        """Take the folder; it is written to with the first record."""
        self._output = output
        self._writer: Any = None
        self.history: list[EpochRecord] = []

    @property
    def best(self) -> EpochRecord:
        """The best record so far; of equal ones the first."""
        return max(self.history, key=lambda record: record.rank)

    def restore(self, history: Iterable[Mapping[str, Any]]) -> None:
        """Take the records of a training that goes on."""
        self.history = [EpochRecord(**record) for record in history]

    def add(self, record: EpochRecord) -> EpochRecord:
        """Take one more record, and return it."""
        self.history.append(record)
        return record

    def write(self) -> None:
        """Write ``metrics.csv`` with all records, and the last one for TensorBoard."""
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
                    # ``tf.summary.scalar`` writes the same, and needs TensorBoard itself for it.
                    scalar = tf.constant(value, tf.float32)
                    tf.summary.write(name, scalar, step=record.epoch, metadata=_SCALARS)
        self._writer.flush()

    def close(self) -> None:
        """Close the file for TensorBoard."""
        if self._writer is not None:
            self._writer.close()
