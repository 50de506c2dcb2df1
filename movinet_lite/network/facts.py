"""The facts of a model, such as labels, frame size and rate, declared once for all file formats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Self

import attrs

from movinet_lite.arrays import FrameSize, as_number
from movinet_lite.errors import ModelError
from movinet_lite.network.padding import Padding
from movinet_lite.network.variants import Mode
from movinet_lite.video.scaling import Fit

__all__ = ["TRANSFORMER_WINDOW", "ModelFacts", "NetworkFacts", "TransformerFacts"]

TRANSFORMER_WINDOW: Final = 50
"""How many frames the transformer of a stream looks back, this one included: ten seconds of A0 to A2, as many as the
clips have on which the accuracy of whole clips was measured."""


@attrs.frozen
class TransformerFacts:
    """A transformer over the embeddings of frames, in place of the hidden layer; see `movinet_lite.network.transformer`.

    Attributes:
        embed_dim: Channels of the embedding of a frame; even, and a multiple of *num_heads*.
        depth: How many layers it has.
        num_heads: Heads of its attention.
        mlp_dim: Channels inside the two dense layers of each of its layers.
        causal: Whether the layers before it are those of a stream model, also where the model takes whole clips.
    """

    embed_dim: int
    depth: int
    num_heads: int
    mlp_dim: int
    causal: bool

    def __attrs_post_init__(self) -> None:
        """Check that the parts belong together."""
        sizes = (self.embed_dim, self.depth, self.num_heads, self.mlp_dim)
        if not all(map(_is_size, sizes)):
            raise ModelError(
                f"the sizes of a transformer must be whole numbers, at least 1; got {sizes}"
            )
        if self.embed_dim % self.num_heads or self.embed_dim % 2 or self.embed_dim < 4:
            raise ModelError(
                "embed_dim of a transformer must be even, at least 4, and a multiple of num_heads; got "
                f"{self.embed_dim} with {self.num_heads} heads"
            )


def _is_size(found: object) -> bool:
    return isinstance(found, int) and found > 0


def _as_transformer(
    given: TransformerFacts | Mapping[str, Any] | None,
) -> TransformerFacts | None:
    """Return what *given* says, which may have come a way through JSON."""
    if given is None or isinstance(given, TransformerFacts):
        return given
    return TransformerFacts(**given)


def _check_temperature(_facts: object, _field: object, value: float | None) -> None:
    if value is not None and not 0 < as_number(value) < math.inf:  # false for NaN too
        raise ModelError(f"temperature must be a number above 0; got {value!r}")


def _check_background(facts: ModelFacts, _field: object, value: int | None) -> None:
    if value is None:
        return
    if type(value) is not int or not 0 <= value < facts.num_classes:
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
        fit: How frames of another shape were scaled in the training, as in `movinet_lite.video.prepare_frame`; `None` if
            unknown.
        temperature: What its logits are divided by before softmax, above 0; `None` if it was not calibrated.
        background_index: The place of its class for "none of these" in the order of the logits; `None` if it has none.

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
    fit: Fit | None = None
    temperature: float | None = attrs.field(default=None, validator=_check_temperature)
    background_index: int | None = attrs.field(
        default=None, validator=_check_background
    )

    @property
    def background(self) -> str | None:
        """The label of the class for "none of these"; `None` if there is none, or its label is unknown."""
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
        transformer: The transformer over the embeddings of frames; `None` for the hidden layer of the published models.
        padding: How its convolutions of stride 2 treat the edge of a frame, a property of the weights.
    """

    variant: str
    frame_size: FrameSize
    fps: float
    positional_encoding: bool
    transformer: TransformerFacts | None = attrs.field(
        default=None, converter=_as_transformer
    )
    padding: Padding = "same"

    @property
    def layer_mode(self) -> Mode:
        """Whose layers it has, of a base or of a stream model; a causal model may take whole clips."""
        if self.transformer is not None and self.transformer.causal:
            return "stream"
        return self.mode
