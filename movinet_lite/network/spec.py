"""What a network is, apart from its weights (no TensorFlow)."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import attrs

from movinet_lite.arrays import FrameSize
from movinet_lite.errors import LabelsError, ModelError, VariantError
from movinet_lite.variants import Mode, as_mode, get_variant

__all__ = ["Gate", "NetworkSpec"]

Gate: TypeAlias = Literal["sigmoid", "hard_sigmoid", "keras2_hard_sigmoid"]
"""What turns the squeeze into a gate: ``sigmoid`` in base models; in stream models ``hard_sigmoid``, relu6(x + 3) / 6
as the Model Garden rounds it, or ``keras2_hard_sigmoid``, clip(0.2 x + 0.5, 0, 1), with which the models on TF Hub were
trained."""


@attrs.frozen
class NetworkSpec:
    """What a network is, apart from its weights; it travels with them.

    Attributes:
        variant: ``t0``, ``a0`` ... ``a5``.
        mode: ``base`` or ``stream``.
        num_classes: How many logits it gives.
        gate: The gate of its squeeze-excitation, a property of the weights.
        positional_encoding: Whether the squeeze is told the position in time.
        frame_size: ``(height, width)`` it was trained at.
        fps: Frames per second it was trained at.
        labels: Names of the classes in the order of the logits; `None` if unknown.
        source: Where the weights came from; `None` if they were made here.
    """

    variant: str
    mode: Mode
    num_classes: int
    gate: Gate
    positional_encoding: bool
    frame_size: FrameSize
    fps: float
    labels: tuple[str, ...] | None = None
    source: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check that the parts belong together."""
        get_variant(self.variant)
        as_mode(self.mode)
        gates = get_args(Gate)
        if self.gate not in gates or (self.gate == "sigmoid") != (self.mode == "base"):
            raise VariantError(
                "gate must be 'sigmoid' in mode 'base', 'hard_sigmoid' or 'keras2_hard_sigmoid' in mode 'stream'; "
                f"got {self.gate!r} in mode {self.mode!r}",
                str(self.gate),
                gates,
            )
        if self.positional_encoding and self.mode == "base":
            raise VariantError(
                "a network of mode 'base' has no positional encoding", "base"
            )
        if self.num_classes < 1:
            raise ModelError(f"num_classes must be at least 1; got {self.num_classes}")
        if self.labels is not None and len(self.labels) != self.num_classes:
            raise LabelsError(
                f"labels must be as many as num_classes, {self.num_classes}; got {len(self.labels)}"
            )
