"""The facts of a model, such as labels, frame size and frame rate, for all file formats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import attrs

from movinet_lite.arrays import FrameSize, as_number
from movinet_lite.errors import ModelError
from movinet_lite.network.padding import Padding
from movinet_lite.network.variants import Mode
from movinet_lite.video.scaling import Fit

__all__ = [
    "TRANSFORMER_WINDOW",
    "ModelFacts",
    "NetworkFacts",
    "TransformerFacts",
    "check_format",
    "known_facts",
]

TRANSFORMER_WINDOW: Final = 50
"""The window of a stream's transformer in frames, including the current one: ten seconds for A0 to A2, the length of
the clips on which accuracies were measured."""


@attrs.frozen
class TransformerFacts:
    """A transformer over the embeddings of frames, in place of the hidden layer; see `movinet_lite.network.transformer`.

    Attributes:
        embed_dim: Channels of the embedding of a frame; even, and a multiple of *num_heads*.
        depth: Number of layers.
        num_heads: Number of attention heads.
        mlp_dim: Hidden channels of the feed-forward network of each layer.
        causal: Whether the layers before it are those of a stream model, even if the model is for whole clips.
    """

    embed_dim: int
    depth: int
    num_heads: int
    mlp_dim: int
    causal: bool

    def __attrs_post_init__(self) -> None:
        """Check that the sizes are consistent."""
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


def check_format(found: object, known: int, noun: str, source: str | Path) -> None:
    """Check that a file has the format of this release.

    Args:
        found: The format of the file.
        known: The format of this release.
        noun: The kind of file, for the message.
        source: The name of the model, for messages.

    Raises:
        ModelError: If it has another format.
    """
    if found != known:
        raise ModelError(
            f"{noun} must be of format {known}; it is of format {found!r} (written by a later release?)",
            source,
            known,
            found,
        )


def known_facts(
    record: type, given: Mapping[str, Any], noun: str, source: str | Path = ""
) -> dict[str, Any]:
    """Return the facts in a file for the attributes of *record*.

    Unknown facts may change what the model computes, or what its logits mean. They raise an error, unless they are
    `None`.

    Args:
        record: The class whose attributes are the facts.
        given: The facts in the file.
        noun: The kind of file, for the message.
        source: The name of the model, for messages.

    Raises:
        ModelError: If the file has a fact that *record* has no attribute for.
    """
    known = attrs.fields_dict(record)
    unknown = sorted(
        name for name, fact in given.items() if name not in known and fact is not None
    )
    if unknown:
        raise ModelError(
            f"{noun} must say only what this release knows; it also has {', '.join(unknown)} (written by a later release? "
            "upgrade movinet-lite)",
            source,
        )
    return {name: fact for name, fact in given.items() if name in known}


def _is_size(found: object) -> bool:
    return isinstance(found, int) and found > 0


def _as_transformer(
    given: TransformerFacts | Mapping[str, Any] | None,
) -> TransformerFacts | None:
    """Return the facts for *given*, which may be decoded JSON."""
    if given is None or isinstance(given, TransformerFacts):
        return given
    return TransformerFacts(**known_facts(TransformerFacts, given, "a transformer"))


def _check_temperature(_facts: object, _field: object, value: float | None) -> None:
    if value is not None and not 0 < as_number(value) < math.inf:  # false for NaN too
        raise ModelError(f"temperature must be a number above 0; got {value!r}")


def _check_background(facts: ModelFacts, _field: object, value: int | None) -> None:
    if value is None:
        return
    if type(value) is not int or not 0 <= value < facts.num_classes:
        raise ModelError(
            f"background_index must be the index of one of {facts.num_classes} classes; got {value!r}"
        )


@attrs.frozen(kw_only=True)
class ModelFacts:
    """The facts of a model of any source and engine.

    `NetworkSpec` and `LiteRTInfo`, which are stored in files, and `ModelInfo`, which engines return, extend this
    record. To add a fact, add an attribute with the default `None`, for files without it, and document it below.
    Earlier releases can read files that do not use it; see `known_facts`.

    Attributes:
        mode: ``base`` for whole clips, ``stream`` for frames as they arrive.
        num_classes: Number of classes, which is the number of logits.
        variant: ``t0``, ``a0`` ... ``a5``; `None` if it is not one of them.
        frame_size: The ``(height, width)`` it was trained on, or the only one that it accepts; `None` if unknown.
        fps: The frame rate it was trained at; `None` if unknown.
        labels: The labels of its classes in the order of the logits; `None` if unknown.
        source: Its source: a name, URL or path; `None` if it was created here.
        clip_frames: Number of frames of the clips it was trained on; `None` for the default of its variant.
        fit: How frames of another aspect ratio were resized in training, as in `movinet_lite.video.prepare_frame`;
            `None` if unknown.
        temperature: The divisor of its logits before softmax, above 0; `None` if it is not calibrated.
        background_index: The index of its class for "none of these"; `None` if it has none.

    Raises:
        ModelError: If *temperature* is not a number above 0, or *background_index* is not the index of a class.
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
        """Return a record of this class with the values of *facts*, updated with *more*."""
        own = attrs.fields_dict(cls)
        carried = {
            name: getattr(facts, name)
            for name in attrs.fields_dict(type(facts))
            if name in own
        }
        return cls(**{**carried, **more})


@attrs.frozen(kw_only=True)
class NetworkFacts(ModelFacts):
    """The facts of a network of this package.

    Attributes:
        variant: ``t0``, ``a0`` ... ``a5``.
        frame_size: The ``(height, width)`` it was trained on, or the only one that it accepts.
        fps: The frame rate it was trained at.
        positional_encoding: Whether squeeze-excitation uses a positional encoding of time.
        transformer: The transformer over the embeddings of frames; `None` for the hidden layer of the published models.
        padding: The padding of its convolutions of stride 2, a property of the weights.
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
        """The mode of its layers, base or stream; a causal model may be for whole clips."""
        if self.transformer is not None and self.transformer.causal:
            return "stream"
        return self.mode
