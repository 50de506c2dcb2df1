"""The specification of a network: everything but its weights, and how it is stored (no TensorFlow)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import attrs

from movinet_lite.arrays import check_fps, check_frame_size
from movinet_lite.atomic import write_atomically
from movinet_lite.errors import LabelsError, ModelError, MoViNetError, VariantError
from movinet_lite.network.facts import NetworkFacts, known_facts
from movinet_lite.network.padding import Padding
from movinet_lite.network.variants import Mode, as_mode, get_variant
from movinet_lite.video.scaling import check_fit

__all__ = [
    "FACTS_NAME",
    "USUAL_ACTIVATION",
    "Activation",
    "Functions",
    "Gate",
    "NetworkSpec",
    "assumption_of",
    "check_facts",
    "parse_facts",
    "read_facts",
    "write_facts",
]

FACTS_NAME: Final = "movinet_lite.json"
"""The file with the spec of a network, next to a SavedModel of this package."""

Gate: TypeAlias = Literal["sigmoid", "hard_sigmoid", "keras2_hard_sigmoid"]
"""The gate of squeeze-excitation: ``sigmoid`` in published base models; in stream models ``hard_sigmoid``, relu6(x + 3)
/ 6 as the Model Garden rounds it, or ``keras2_hard_sigmoid``, clip(0.2 x + 0.5, 0, 1), with which the models on TF Hub
were trained."""

Activation: TypeAlias = Literal["swish", "hard_swish"]
"""The activation of the backbone: ``swish`` in published base models, ``hard_swish`` in published stream models. It can
be chosen in training with the Model Garden, so it is a property of the weights, like the gate."""

USUAL_ACTIVATION: Final[Mapping[Mode, Activation]] = {
    "base": "swish",
    "stream": "hard_swish",
}
"""The activation of the published models of each mode."""


@attrs.frozen(kw_only=True)
class NetworkSpec(NetworkFacts):
    """The specification of a network, stored with its weights. `ModelFacts` has the other attributes.

    Attributes:
        gate: The gate of its squeeze-excitation, a property of the weights.
        activation: The activation of its backbone, a property of the weights.
    """

    gate: Gate
    # Files of earlier releases without it have that of the published models.
    activation: Activation = attrs.field(
        default=attrs.Factory(
            lambda self: USUAL_ACTIVATION.get(self.mode, "swish"), takes_self=True
        )
    )

    def __attrs_post_init__(self) -> None:
        """Check that the facts are consistent."""
        get_variant(self.variant)
        as_mode(self.mode)
        _check_choice("gate", self.gate, get_args(Gate))
        _check_choice("activation", self.activation, get_args(Activation))
        _check_choice("padding", self.padding, get_args(Padding))
        if self.positional_encoding and self.mode == "base":
            raise VariantError(
                "a network of mode 'base' has no positional encoding", "base"
            )
        check_frame_size(self.frame_size)
        check_fps(self.fps)
        if self.clip_frames is not None and self.clip_frames < 1:
            raise ModelError(f"clip_frames must be at least 1; got {self.clip_frames}")
        if self.fit is not None:
            check_fit(self.fit)
        self._check_classes()

    def _check_classes(self) -> None:
        if self.num_classes < 1:
            raise ModelError(f"num_classes must be at least 1; got {self.num_classes}")
        if self.labels is not None and len(self.labels) != self.num_classes:
            raise LabelsError(
                f"labels must be as many as num_classes, {self.num_classes}; got {len(self.labels)}"
            )


@attrs.frozen
class Functions:
    """The activation and the gate of a checkpoint, which does not store them, as given by the user.

    Attributes:
        activation: The activation of the backbone; `None` if not given.
        gate: The gate of squeeze-excitation; `None` if not given.

    Raises:
        VariantError: If there is no such activation or gate.
    """

    activation: Activation | None = None
    gate: Gate | None = None

    def __attrs_post_init__(self) -> None:
        for name, value, known in (
            ("activation", self.activation, get_args(Activation)),
            ("gate", self.gate, get_args(Gate)),
        ):
            if value is not None:
                _check_choice(name, value, known)

    def check_needed(self, source: str, *, is_checkpoint: bool) -> None:
        """Raise an error if they are given for a model that is not a checkpoint.

        Raises:
            ModelError: If one is given and the model is not a checkpoint.
        """
        if not is_checkpoint and (self.activation or self.gate):
            raise ModelError(
                "activation and gate must be given for a checkpoint alone; this model says or shows its own "
                "(leave them out)",
                source,
            )


def assumption_of(source: str, activation: str, gate: str) -> str:
    """Return the warning that activation and gate of a checkpoint are assumed."""
    return (
        f"{source}: a checkpoint does not say its activation and gate, and cannot be run to find them out; assumed are "
        f"activation {activation!r} and gate {gate!r} (if it was trained with others, the scores are wrong: say which, with "
        "activation and gate)"
    )


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise VariantError(
            f"{name} must be one of {', '.join(known)}; got {value!r}",
            str(value),
            known,
        )


def parse_facts(facts: Mapping[str, Any]) -> NetworkSpec:
    """Return the spec of a network from JSON values.

    Args:
        facts: The result of ``attrs.asdict`` for a `NetworkSpec`, after a round trip through JSON and `known_facts`.

    Raises:
        TypeError: If a value is missing, unknown, or of the wrong type.
        MoViNetError: If the facts are inconsistent.
    """
    given = dict(facts)
    given["frame_size"] = tuple(given.get("frame_size") or ())
    if given.get("labels") is not None:
        given["labels"] = tuple(given["labels"])
        if not all(isinstance(label, str) for label in given["labels"]):
            raise TypeError("labels must be text")
    return NetworkSpec(**given)


def write_facts(spec: NetworkSpec, folder: Path) -> None:
    """Write the spec of a network to the folder of its SavedModel."""
    facts = json.dumps(attrs.asdict(spec), indent=1, ensure_ascii=False)
    write_atomically(folder / FACTS_NAME, facts.encode())


def read_facts(folder: Path) -> NetworkSpec | None:
    """Return the facts that `write_facts` wrote to the folder of a SavedModel; `None` for models of others.

    Raises:
        ModelError: If it is damaged.
    """
    path = folder / FACTS_NAME
    if not path.is_file():
        return None
    with _readable(folder):
        facts = dict(json.loads(path.read_text(encoding="utf-8")))
    if "variant" not in facts and "fetched" in facts:
        return None  # a note of the cache, which had this name once
    facts = known_facts(NetworkSpec, facts, f"{FACTS_NAME} beside a SavedModel", folder)
    with _readable(folder):
        return parse_facts(facts)


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, AttributeError, MoViNetError) as error:
        raise ModelError(
            f"the facts beside a SavedModel must be readable; {FACTS_NAME} is not: {error} "
            "(damaged? without the file the model is taken as one of others)",
            folder,
        ) from error


def check_facts(
    facts: NetworkSpec,
    *,
    variant: str | None,
    mode: Mode,
    num_classes: int,
    source: str | Path,
) -> None:
    """Check that the facts stored with a SavedModel match it.

    Args:
        facts: The stored facts.
        variant: Its actual variant; `None` if unknown.
        mode: Its actual mode; `None` if unknown.
        num_classes: Its actual number of classes; `None` if unknown.
        source: The name of the model in messages.

    Raises:
        ModelError: If they belong to another model.
    """
    told = (facts.variant, facts.mode, facts.num_classes)
    found = (facts.variant if variant is None else variant, mode, num_classes)
    if told != found:
        raise ModelError(
            f"{FACTS_NAME} must describe the SavedModel that it lies beside; it describes {_words(told)}, and this is "
            f"{_words(found)} (a file of another model?)",
            source,
            told,
            found,
        )


def _words(facts: tuple[str, str, int]) -> str:
    variant, mode, num_classes = facts
    return f"{variant} {mode} with {num_classes} classes"
