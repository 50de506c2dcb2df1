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
"""Maximum length of a stream up to the end of a clip, in seconds: as the clips that published models are evaluated
on."""

TRAINING_FIT: Final[Fit] = "stretch"
"""How frames are resized in training, the default of the classifiers; it is stored with the model."""


@attrs.frozen
class Settings:
    """The training settings.

    Attributes:
        num_frames: Number of frames per clip.
        long_streams: Whether to train on clips within long streams, for models that run live: half of the batches
            follow a random number of earlier frames of their videos, up to ten seconds in total. Shorter videos are
            repeated. The network starts with the states after these frames, and learns only from the clips. For stream
            models.
        epochs: Number of epochs.
        batch_size: Number of clips per step.
        learning_rate: The peak learning rate of AdamW.
        warmup_epochs: Number of epochs over which the learning rate rises to its peak; then it falls to 0 along a
            cosine.
        weight_decay: Weight decay of AdamW, applied to kernels only.
        label_smoothing: Share of the target that is spread over all classes, at least 0 and below 1.
        dropout_rate: Dropout rate of the hidden layer, at least 0 and below 1.
        freeze_backbone: Whether to train only the last two layers: faster, and sufficient for few videos of actions
            similar to those of the pretrained model.
        balance_classes: Whether to weight examples so that all classes count equally.
        patience: Number of epochs without improvement after which training ends early; `None` for no limit.
        augmentation: The strength of the augmentation.
        seed: Random seed of clips, their order and new weights.
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
        """Return the maximum number of frames before a clip, at *fps* frames per second."""
        if not self.long_streams:
            return 0
        return max(0, round(LONG_STREAM_S * fps) - self.num_frames)

    def num_steps(self, num_examples: int) -> int:
        """Return the number of training steps for *num_examples* examples."""
        return self.epochs * -(-num_examples // self.batch_size)


def check_count(name: str, value: object, *, low: int = 1) -> None:
    """Raise an error for a value that is not a whole number or is below *low*.

    Raises:
        DataError: If it is; the message names the option.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or as_number(value) < low:
        raise DataError(f"{name} must be a whole number, at least {low}; got {value!r}")


def _check(name: str, value: object, rule: str, holds: Callable[[float], bool]) -> None:
    if not holds(as_number(value)):  # also false for NaN
        raise DataError(f"{name} must be {rule}; got {value!r}")
