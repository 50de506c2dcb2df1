"""Imports the weights of a published or exported MoViNet.

The contents of a file are recognised from the names and shapes of its variables, never from their order. Every variable
is used exactly once, every weight is set exactly once, and the result must compute the same logits as the source.

Names come in generations. ``P`` is ``b{i}/l{j}`` or ``block{i}_layer{j}``:

==============  =====================================================  ==============  =================================
generation      made by                                                ``P``           batch norms of (2+1)D convolutions
==============  =====================================================  ==============  =================================
``A``           Model Garden up to 2.6: the models on TF Hub           ``b0/l0``       ``.../bn/gamma``
``B``           Model Garden 2.7 and 2.8                               ``block0_...``  ``.../bn/gamma``
``C``           Model Garden since 2.9                                 ``block0_...``  ``.../conv2d/bn/gamma``
``training``    any, before ``convert_3d_2plus1d``: 3-D kernels        either          ``.../bn/gamma``
==============  =====================================================  ==============  =================================

Base models of B and C have the same names; they are called ``C``.

References:
    [1] TensorFlow Model Garden, ``official/projects/movinet``: ``modeling`` and ``tools`` of the releases named above.
"""

from __future__ import annotations

import itertools
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.errors import ModelError
from movinet_lite.network.agreement import (
    IMPORT_TOLERANCE,
    SLIGHT_CHANGE,
    agrees,
    largest_difference,
    probe_clip,
    slightly_changed,
)
from movinet_lite.network.matching import check_complete, variant_of, wrong_shape
from movinet_lite.network.model import Movinet, build_movinet
from movinet_lite.network.probes import SavedModelRun
from movinet_lite.network.signatures import load_for_few_calls
from movinet_lite.network.sources import Source, Variable, read_source
from movinet_lite.network.spec import (
    USUAL_ACTIVATION,
    Activation,
    Gate,
    NetworkSpec,
    assumption_of,
    check_facts,
    read_facts,
)
from movinet_lite.network.variants import (
    Mode,
    Variant,
    as_mode,
    check_mode,
    get_variant,
)

__all__ = ["Generation", "Imported", "Recognised", "import_weights", "recognise"]

Generation: TypeAlias = Literal["A", "B", "C", "training"]
"""The generation of a file's names; see the module."""

_Functions: TypeAlias = tuple[Activation, Gate]
# Variables of the training in an export, in addition to the weights.
_BOOKKEEPING: Final = re.compile(
    r"^(?:.*/)?(?:iterations?|iter|learning_rate|current_learning_rate|decay|momentum|rho|epsilon|beta_[12]|global_step"
    r"|save_counter|total|count)$"
)
_PLACE: Final = re.compile(
    r"^(?:.*?/)??(?:block(\d+)_layer(\d+)|b(\d+)/l(\d+)|(stem|head|classifier_head)(?:_\d+)?)/(.+)$"
)
_OPERATION: Final = re.compile(r"^(?:depthwise_)?conv[23]d(?:_\d+)?$")
_TIME_OPERATIONS: Final = frozenset({"conv2d_temporal", "conv3d_temporal"})


@attrs.frozen(eq=False)
class Recognised:
    """The recognised contents of a file of weights.

    Attributes:
        variant: Its variant.
        mode: Its mode.
        generation: The generation of its names.
        num_classes: Number of classes of its classifier.
        positional_encoding: Whether it has a positional encoding.
        by_role: Its variables by role in the network, independent of the generation.
    """

    variant: Variant
    mode: Mode
    generation: Generation
    num_classes: int
    positional_encoding: bool
    by_role: Mapping[str, Variable] = attrs.field(repr=False)

    @property
    def told(self) -> str:
        """Its variant and mode, for messages."""
        return f"{self.variant.name} {self.mode}"


@attrs.frozen(eq=False)
class Imported:
    """A network with the weights of a file.

    Attributes:
        network: The network, with its ``spec``.
        generation: The generation of the file's names.
        difference: Largest difference between the logits of the source and of the network on a short clip, over the
            source's largest; `None` if the source could not be run.
        assumed: Unverified assumptions, if the source could not be run: ``"activation"`` and ``"gate"`` with the values
            of the network. Empty if the source was run.
    """

    network: Movinet
    generation: Generation
    difference: float | None
    assumed: Mapping[str, str] = attrs.field(factory=dict)


def import_weights(
    path: str | Path,
    *,
    variant: str | None = None,
    mode: str | None = None,
    gate: Gate | None = None,
    activation: Activation | None = None,
    labels: Sequence[str] | None = None,
    frame_size: FrameSize | None = None,
    fps: float | None = None,
    loaded: Any = None,
    name: str | None = None,
) -> Imported:
    """Return a network with the weights of a SavedModel or a checkpoint.

    A SavedModel is also run on a short clip, and must return the same logits; this determines activation and gate,
    which are not stored. A checkpoint cannot be run: activation and gate of the published models of its generation are
    assumed, and reported in the result.

    Args:
        path: The directory of a SavedModel; or an object-based checkpoint, see `read_source`.
        variant: The expected value; `None` to detect it.
        mode: The expected value; `None` to detect it.
        gate: The expected gate; `None` to detect it. The gates of stream models are ``hard_sigmoid`` (trained with
            Model Garden 2.8 or later), ``keras2_hard_sigmoid`` (before, as all published ones), or ``sigmoid``.
        activation: The expected activation; `None` to detect it.
        labels: The labels, in the order of the logits; `None` for those stored with a SavedModel of this package.
        frame_size: ``(height, width)`` it was trained at; `None` for the value stored in a SavedModel of this package,
            or else the variant's.
        fps: Frame rate it was trained at; `None` as for *frame_size*.
        loaded: The SavedModel as returned by ``tf.saved_model.load`` or ``tensorflow_hub.load``, if it is already
            loaded; or a function from ``(1, frames, height, width, 3)`` float32 to logits ``(1, classes)``.
        name: The name of the source in messages; `None` for *path*.

    Warns:
        UserWarning: If the source cannot be run, and *gate* or *activation* is not given.

    Raises:
        ModelError: If the file cannot be read, is not as expected, does not fit the network exactly, or its logits are
            not reproduced.
        VariantError: If *variant* or *mode* does not exist.
        LabelsError: If the number of labels is not the number of classes.
    """
    source = read_source(path)
    found = recognise(source)
    facts = _facts_beside(source, found)
    own_mode = found.mode
    if facts is not None and facts.mode != found.mode:
        # Causal layers that take whole clips: their weights serve both modes.
        own_mode = facts.mode if mode is None else as_mode(mode)
    _check_wanted(source, found, own_mode, variant, mode)
    if facts is not None:
        labels = facts.labels if labels is None else labels
        frame_size = frame_size or facts.frame_size
        fps = fps or facts.fps
        # While the residual scales are 0, as initially, all gates yield the same logits.
        gate = gate or facts.gate
        activation = activation or facts.activation
    candidates = _candidates(found, activation, gate)
    network = build_movinet(
        found.variant.name,
        own_mode,
        found.num_classes,
        gate=candidates[0][1],
        activation=candidates[0][0],
        positional_encoding=found.positional_encoding,
        padding="same" if facts is None else facts.padding,
        transformer=None if facts is None else facts.transformer,
        labels=labels,
        frame_size=frame_size,
        fps=fps,
        source=str(path) if name is None else name,
    )
    if facts is not None:
        # Other facts in the file are kept; the arguments override the rest.
        given = network.spec
        network.spec = attrs.evolve(
            facts,
            mode=given.mode,
            gate=given.gate,
            activation=given.activation,
            positional_encoding=given.positional_encoding,
            labels=given.labels,
            frame_size=given.frame_size,
            fps=given.fps,
            source=given.source,
        )
    _assign(network, source, found)
    if loaded is None and not source.is_saved_model:
        if gate is None or activation is None:
            spec = network.spec
            warnings.warn(
                assumption_of(str(spec.source), spec.activation, spec.gate),
                UserWarning,
                stacklevel=2,
            )
        assumed = {"activation": network.spec.activation, "gate": network.spec.gate}
        return Imported(network, found.generation, None, assumed)
    difference = _check_logits(network, source, candidates, loaded)
    return Imported(network, found.generation, difference)


def _facts_beside(source: Source, found: Recognised) -> NetworkSpec | None:
    """Return the facts stored in a SavedModel of this package; `None` for others."""
    facts = read_facts(source.path) if source.is_saved_model else None
    if facts is not None:
        check_facts(
            facts,
            variant=found.variant.name,
            mode=facts.mode if facts.layer_mode == found.mode else found.mode,
            num_classes=found.num_classes,
            source=source.path,
        )
    return facts


def recognise(source: Source) -> Recognised:
    """Return the contents of *source*, recognised from the names and shapes of its variables.

    Raises:
        ModelError: If it is not a MoViNet, or its variables are ambiguous.
    """
    by_role: dict[str, Variable] = {}
    for variable in source.variables:
        role = _role(variable.name) or _role_from_owner(source, variable)
        if role is None:
            continue
        if role in by_role:
            raise ModelError(
                f"every weight must stand in the file once; {by_role[role].name!r} and {variable.name!r} are the same",
                source.path,
            )
        by_role[role] = variable
    names = [variable.name for variable in source.variables]
    variant = variant_of(by_role, source.path)
    is_stream = any(
        part in name
        for name in names
        for part in ("conv2d", "temporal", "pos_encoding")
    )
    classifier = by_role.get("classifier_head/classifier/bias")
    if classifier is None:
        raise ModelError(
            "weights must hold a classifier, 'classifier_head/classifier'; these do not (the backbone alone?)",
            source.path,
        )
    return Recognised(
        variant=variant,
        mode="stream" if is_stream else "base",
        generation=_generation(names),
        num_classes=classifier.shape[-1],
        positional_encoding=any("/pos_encoding/" in role for role in by_role),
        by_role=by_role,
    )


def _role(name: str) -> str | None:
    """Return the role of a variable in the network in any generation; `None` if the name is not sufficient.

    Example:
        >>> _role("block1_layer0/bneck/feature/conv2d_temporal/bn_temporal/gamma")
        'b1/l0/bneck/feature/bn_temporal/gamma'
        >>> _role("b1/l0/bneck/feature/conv3d_temporal/kernel")
        'b1/l0/bneck/feature/temporal/kernel'
        >>> _role("classifier_head_1/head/conv3d/bias")
        'classifier_head/head/bias'
    """
    place = _PLACE.match(name)
    if place is None:
        return None
    block, layer = place[1] or place[3], place[2] or place[4]
    where = place[5] if block is None else f"b{block}/l{layer}"
    *scopes, leaf = place[6].split("/")
    parts = []
    for scope in scopes:
        if scope in _TIME_OPERATIONS:
            parts.append("temporal")
        elif not _OPERATION.match(scope):
            parts.append(scope)
    if parts[-2:] == ["temporal", "bn_temporal"]:
        del parts[-2]
    return "/".join([where, *parts, leaf.removeprefix("depthwise_")])


def _role_from_owner(source: Source, variable: Variable) -> str | None:
    """Return the role of a variable from the object that owns it; `None` if it is not a weight."""
    if _BOOKKEEPING.match(variable.name):
        return None
    if variable.name != "scale":
        raise ModelError(
            f"every variable must be a weight of a MoViNet; {variable.name!r} is not",
            source.path,
        )
    # The scale of a positional encoding: an owner of it and of a single layer's weights belongs to that layer.
    layers = {_only_layer(names) for names in variable.names_around()} - {None}
    if len(layers) == 1:
        return f"{layers.pop()}/bneck/se/pos_encoding/scale"
    raise ModelError(
        f"the layer of each positional encoding must be told by the objects around it; that of {variable.key!r} is not",
        source.path,
    )


def _only_layer(names: Iterable[str]) -> str | None:
    """Return the layer of the weights *names*; `None` if they are not the weights of exactly one layer."""
    found = None
    for role in filter(None, map(_role, names)):
        layer = role.split("/bneck/")[0].removesuffix("/scale")
        if found is not None and layer != found:
            return None
        found = layer
    return found


def _generation(names: list[str]) -> Generation:
    if any("conv3d_temporal" in name for name in names):
        return "training"
    if any(re.search(r"(?:^|/)b\d+/l\d+/", name) for name in names):
        return "A"
    is_stream = any("conv2d" in name for name in names)
    if is_stream and not any("/conv2d/bn/" in name for name in names):
        return "B"
    return "C"


def _check_wanted(
    source: Source,
    found: Recognised,
    own_mode: Mode,
    variant: str | None,
    mode: str | None,
) -> None:
    if variant is not None and get_variant(variant).name != found.variant.name:
        raise ModelError(
            f"weights must be of variant {variant!r}, as asked for; they are of {found.variant.name!r}",
            source.path,
            variant,
            found.variant.name,
        )
    if mode is not None:
        check_mode(own_mode, as_mode(mode), source.path)


def _candidates(
    found: Recognised, activation: Activation | None, gate: Gate | None
) -> list[_Functions]:
    """Return the possible activations and gates of the weights, most likely first."""
    usual = USUAL_ACTIVATION[found.mode]
    activations = sorted(get_args(Activation), key=lambda name: name != usual)
    hard: list[Gate] = ["keras2_hard_sigmoid", "hard_sigmoid"]
    if found.generation == "C":
        hard.reverse()
    # Among those with equal logits, as while the residual scales are 0, the first is used.
    gates: dict[Activation, tuple[Gate, ...]] = {
        "swish": ("sigmoid", *hard),
        "hard_swish": (*hard, "sigmoid"),
    }
    return [
        (one, other)
        for one in (activations if activation is None else (activation,))
        for other in (gates.get(one, get_args(Gate)) if gate is None else (gate,))
    ]


def _assign(network: Movinet, source: Source, found: Recognised) -> None:
    """Set every weight of *network* from exactly one variable, and use every variable."""
    weights = {
        str(_role(name)): (name, weight)
        for name, weight in network.named_weights.items()
    }
    missing = [role for role in weights if role not in found.by_role]
    left_over = [role for role in found.by_role if role not in weights]
    check_complete(
        missing,
        left_over,
        model=found.told,
        path=source.path,
        cause=_likely_cause(missing, left_over),
    )
    values = {}
    for role, (name, weight) in weights.items():
        variable = found.by_role[role]
        values[name] = _fit(variable, tuple(weight.shape), source, found)
    for name, weight in network.named_weights.items():
        weight.assign(values[name])


def _likely_cause(missing: list[str], left_over: list[str]) -> str:
    text = " ".join([*missing, *left_over])
    if "pos_encoding" in text:
        return "only some layers have a positional encoding; a file cut short?"
    if missing and any("/se/" in role for role in missing) and not left_over:
        return "a model without squeeze-excitation, as the published int8 TFLite files are?"
    if "temporal" in text:
        return "a stream model must have (2+1)D convolutions, conv_type 2plus1d or 3d_2plus1d"
    return "a changed network, or a file cut short?"


def _fit(
    variable: Variable, shape: tuple[int, ...], source: Source, found: Recognised
) -> NDArray[Any]:
    value = variable.read()
    if value.shape == shape:
        return value
    # A 3-D kernel of a (2+1)D convolution has the same numbers in the same order, and ones in its shape besides.
    if (
        found.generation == "training"
        and value.ndim == 5
        and [size for size in value.shape if size > 1]
        == [size for size in shape if size > 1]
    ):
        return value.reshape(shape)
    raise wrong_shape(
        variable.name,
        shape,
        value.shape,
        model=found.told,
        path=source.path,
        cause=_shape_hint(variable, value.shape, shape),
    )


def _shape_hint(
    variable: Variable, got: tuple[int, ...], wanted: tuple[int, ...]
) -> str:
    if "se_reduce" in variable.name and got[-2:-1] == (2 * wanted[-2],):
        return "a causal model with 3-D convolutions, conv_type 3d and se_type 2plus3d? convert it to 2plus1d first"
    if "se_reduce" in variable.name and 2 * got[-2] == wanted[-2]:
        return "a model with se_type 3d? stream models have se_type 2plus3d"
    return "another variant, or a changed network?"


def _check_logits(
    network: Movinet, source: Source, candidates: Sequence[_Functions], loaded: Any
) -> float:
    """Set the activation and gate of *network* that reproduce the source's logits; return the difference."""
    if loaded is None:
        loaded = load_for_few_calls(source.path)
    if hasattr(loaded, "signatures"):
        run = SavedModelRun(loaded, source.path, facts=network.spec)
        clip = run.probe_clip(network.spec.frame_size)
        logits_of = run.logits
    else:
        clip = probe_clip()
        logits_of = loaded
    expected = np.asarray(logits_of(clip))
    differences: dict[_Functions, float] = {}
    best = candidates[0]
    # All gates of one activation are compared, since two of them differ by little; then the next activation.
    for _, group in itertools.groupby(candidates, key=lambda functions: functions[0]):
        for functions in group:
            network.set_functions(*functions)
            logits = np.asarray(network(clip))
            differences[functions] = largest_difference(logits, expected)
        best = min(differences, key=lambda one: _or_infinite(differences[one]))
        if agrees(differences[best], IMPORT_TOLERANCE):
            network.set_functions(*best)
            return differences[best]
    moved = largest_difference(np.asarray(logits_of(slightly_changed(clip))), expected)
    reason = "weights mixed up, another activation or gate, or a changed network?"
    if moved > IMPORT_TOLERANCE / 10:
        reason = (
            f"the source's own move by {moved:.1e} when each pixel changes by {SLIGHT_CHANGE:g} of itself, as "
            "rounding does: weights that were never trained?"
        )
    activation, gate = best
    raise ModelError(
        f"the logits of the source must be reproduced to {IMPORT_TOLERANCE:g} of the largest; they differ by "
        f"{differences[best]:.1e} with activation {activation!r} and gate {gate!r}, and by more with any other that was "
        f"tried ({reason})",
        source.path,
        IMPORT_TOLERANCE,
        differences[best],
    )


def _or_infinite(difference: float) -> float:
    return math.inf if math.isnan(difference) else difference
