"""The settings of a training, with checks (no TensorFlow)."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Final

import attrs

from movinet_lite.arrays import as_number
from movinet_lite.errors import DataError
from movinet_lite.training.augmentation import Augmentation
from movinet_lite.video import Fit

__all__ = ["LONG_STREAM_S", "TRAINING_FIT", "Settings", "check_count"]

LONG_STREAM_S: Final = 10.0
"""How long a stream is that a clip is the end of, in seconds: as the clips that published models are judged on."""

TRAINING_FIT: Final[Fit] = "stretch"
"""How frames are scaled in a training, as sessions do by default; it is kept with the model."""


@attrs.frozen
class Settings:
    """How to train.

    Attributes:
        num_frames: Frames of a clip.
        long_streams: Whether clips are trained as parts of long streams, for models that run live: half of the batches
            come after a random number of earlier frames of their videos, up to ten seconds in all. A shorter video goes
            round. The network takes over what it remembers of these frames, and learns from the clips alone. For stream
            models.
        epochs: How often to go through all examples.
        batch_size: Clips a step.
        learning_rate: The largest one, of AdamW.
        warmup_epochs: How many epochs the learning rate rises to it; then it falls along a cosine to 0.
        weight_decay: Of AdamW, for kernels alone.
        label_smoothing: Share of the target that is spread over all classes, 0 to below 1.
        dropout_rate: Share of the hidden layer's outputs dropped, 0 to below 1.
        freeze_backbone: Whether only the two last layers learn: faster, and enough for few videos of actions like those
            the backbone knows.
        balance_classes: Whether a class with few videos counts as much as one with many.
        patience: How many epochs in a row may be no better than the best before the training ends early; `None` for
            any number.
        augmentation: How much to change the clips.
        seed: Of every choice: of clips, of their order and of new weights.
    """

    num_frames: int = 16
    long_streams: bool = False
    epochs: int = 20
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup_epochs: float = 1.0
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    dropout_rate: float = 0.2
    freeze_backbone: bool = False
    balance_classes: bool = True
    patience: int | None = None
    augmentation: Augmentation = attrs.field(factory=Augmentation)
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        """Check the ranges."""
        for name in ("num_frames", "epochs", "batch_size"):
            check_count(name, getattr(self, name))
        if self.patience is not None:
            check_count("patience", self.patience)
        if not isinstance(self.long_streams, bool):
            raise DataError(
                f"long_streams must be True or False; got {self.long_streams!r}"
            )
        check_count("seed", self.seed, low=0)
        _check(
            "learning_rate",
            self.learning_rate,
            "above 0",
            lambda value: 0 < value < 1e6,
        )
        for name in ("warmup_epochs", "weight_decay"):
            _check(
                name, getattr(self, name), "0 or more", lambda value: 0 <= value < 1e6
            )
        for name in ("label_smoothing", "dropout_rate"):
            _check(
                name,
                getattr(self, name),
                "at least 0 and below 1",
                lambda value: 0 <= value < 1,
            )

    def lead_frames(self, fps: float) -> int:
        """Return how many frames come before a clip at most, at *fps* frames a second."""
        if not self.long_streams:
            return 0
        return max(0, round(LONG_STREAM_S * fps) - self.num_frames)

    def num_steps(self, num_examples: int) -> int:
        """Return how many steps a training on so many examples takes."""
        return self.epochs * -(-num_examples // self.batch_size)


def check_count(name: str, value: object, *, low: int = 1) -> None:
    """Refuse what is no whole number, or below *low*.

    Raises:
        DataError: It names the option.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or as_number(value) < low:
        raise DataError(f"{name} must be a whole number, at least {low}; got {value!r}")


def _check(name: str, value: object, rule: str, holds: Callable[[float], bool]) -> None:
    if not holds(as_number(value)):  # also false for NaN
        raise DataError(f"{name} must be {rule}; got {value!r}")
