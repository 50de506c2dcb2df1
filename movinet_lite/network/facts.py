"""The facts of a model, declared once: files carry them from where they are known to where a user reads them."""

from __future__ import annotations

import math
from typing import Any, Self

import attrs

from movinet_lite.arrays import FrameSize, as_number
from movinet_lite.errors import ModelError
from movinet_lite.network.variants import Mode

__all__ = ["ModelFacts", "NetworkFacts"]


def _check_temperature(_facts: object, _field: object, value: Any) -> None:
    if value is not None and not 0 < as_number(value) < math.inf:  # false for NaN too
        raise ModelError(f"temperature must be a number above 0; got {value!r}")


def _check_background(facts: ModelFacts, _field: object, value: Any) -> None:
    if value is None:
        return
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not 0 <= as_number(value) < facts.num_classes:
        raise ModelError(
            f"background_index must be the place of one of {facts.num_classes} classes; got {value!r}"
        )


@attrs.frozen(kw_only=True)
class ModelFacts:
    """What is known of a model, wherever it comes from and whatever computes it.

    `NetworkSpec` and `LiteRTInfo`, which stand in files, and `ModelInfo`, which an engine gives, extend this record. A
    new fact needs one line here, with a default for the files that do not have it, and its line below.

    Attributes:
        mode: ``base`` for whole clips, ``stream`` for frames as they arrive.
        num_classes: How many logits it gives.
        variant: ``t0``, ``a0`` ... ``a5``; `None` if it is none of them.
        frame_size: The ``(height, width)`` it was trained on, or the only one that it takes; `None` if unknown.
        fps: The frames per second it was trained on; `None` if unknown.
        labels: The labels of its classes in the order of the logits; `None` if unknown.
        source: Where it came from: a name, an address or a path; `None` if it was made here.
        clip_frames: How many frames the clips had that it was trained on; `None` for those of its variant.
        temperature: What its logits are divided by before softmax, above 0; `None` if it was not calibrated.
        background_index: The place of its class for "nothing of these" in the order of the logits; `None` if it has none.

    Raises:
        ModelError: If *temperature* is no number above 0, or *background_index* is no class.
    """

    mode: Mode
    num_classes: int
    variant: str | None = None
    frame_size: FrameSize | None = None
    fps: float | None = None
    labels: tuple[str, ...] | None = None
    source: str | None = None
    clip_frames: int | None = None
    temperature: float | None = attrs.field(default=None, validator=_check_temperature)
    background_index: int | None = attrs.field(
        default=None, validator=_check_background
    )

    @property
    def background(self) -> str | None:
        """The label of the class for "nothing of these"; `None` if there is none, or its label is unknown."""
        if self.background_index is None or self.labels is None:
            return None
        return self.labels[self.background_index]

    @classmethod
    def from_facts(cls, facts: ModelFacts, **more: Any) -> Self:
        """Return this kind of record with what *facts* says as well, and *more* beside that or in its place."""
        own = attrs.fields_dict(cls)
        carried = {
            name: getattr(facts, name)
            for name in attrs.fields_dict(type(facts))
            if name in own
        }
        return cls(**{**carried, **more})


@attrs.frozen(kw_only=True)
class NetworkFacts(ModelFacts):
    """The facts of a network of ours, of which more is known.

    Attributes:
        variant: ``t0``, ``a0`` ... ``a5``.
        frame_size: The ``(height, width)`` it was trained on, or the only one that it takes.
        fps: The frames per second it was trained on.
        positional_encoding: Whether the squeeze is told the position in time.
    """

    variant: str
    frame_size: FrameSize
    fps: float
    positional_encoding: bool
