"""Recognises the MoViNet in a PyTorch file: variant, mode, and the role of each tensor (no TensorFlow).

References:
    [1] Atze00/MoViNet-pytorch, ``movinets/models.py``.
    [2] The same, ``movinet_tutorial.ipynb``: a new classifier in place of ``classifier[3]``.
    [3] cmusatyalab/grw-smoothing, ``model/action_recognition_model.py``, ``save``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from movinet_lite.errors import ModelError
from movinet_lite.network.facts import TransformerFacts
from movinet_lite.network.matching import (
    check_complete,
    listed,
    variant_of,
    wrong_shape,
)
from movinet_lite.network.pytorch.files import (
    Tensor,
    is_pytorch_file,
    open_file,
    tensor_names,
)
from movinet_lite.network.pytorch.naming import (
    Place,
    places,
    places_with_transformer,
)
from movinet_lite.network.pytorch.pickles import Record
from movinet_lite.network.variants import Mode, Variant, check_mode

__all__ = [
    "PyTorchWeights",
    "check_pytorch_mode",
    "holds_pytorch_weights",
    "recognise_tensors",
    "repeat_warning",
    "warn_of_padding",
]

_CONTAINERS: Final = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network"),
    *("module", "weights"),
)
"""The names under which training programs store the state dict of a model in a checkpoint."""

_STEM: Final = re.compile(r"^(.*?)conv1\.conv_1\.conv([23])d\.weight$")
_ENCODER: Final = "video_backbone._encoder."  # [3]
_LAYER: Final = re.compile(r"^blocks\.b(\d+)_l(\d+)\.")
# Files of MoViNet-pytorch; its tests compare them with the models on TF Hub, built with tf_like=True.
_PUBLISHED: Final = re.compile(r"\bmodelA[0-5](?:_stream)?_statedict(?:_v\d)?\b")
_COUNTER: Final = ".num_batches_tracked"  # of a batch norm; without effect on inference
_SHOWN: Final = 3


@attrs.frozen(eq=False)
class PyTorchWeights:
    """The contents of a file.

    Attributes:
        variant: Its variant.
        modes: The modes it can be used in, the usual one first.
        num_classes: Number of classes.
        transformer: Its transformer over time; `None` if it has none.
        tensors: The place and the tensor of each weight, by its published name.
    """

    variant: Variant
    modes: tuple[Mode, ...]
    num_classes: int
    transformer: TransformerFacts | None
    tensors: Mapping[str, tuple[Place, Tensor]] = attrs.field(repr=False)

    def check_mode(self, wanted: Mode, source: str | Path) -> None:
        """Check that it can be used in this mode.

        Raises:
            ModelError: If not.
        """
        if wanted not in self.modes:
            check_mode(self.modes[0], wanted, source)


def holds_pytorch_weights(path: Path) -> bool:
    """Return whether the file at *path* has weights of PyTorch, judging by its format or its tensor names."""
    if not path.is_file():
        return False
    if path.suffix == ".safetensors":
        return any(map(_STEM.match, tensor_names(path)))
    return path.suffix not in {".index", ".tflite"} and is_pytorch_file(path)


def check_pytorch_mode(path: Path, mode: Mode, source: str) -> None:
    """Check that the model in a file can be used in this mode, without reading its values.

    Raises:
        ModelError: If not, or as `recognise_tensors`.
    """
    with open_file(path) as contents:
        recognise_tensors(contents, path).check_mode(mode, source)


def warn_of_padding(source: str, *, stacklevel: int) -> None:
    """Warn that the padding of a model is assumed, unless *source* is the name of a published file."""
    if _PUBLISHED.search(source):
        return
    warnings.warn(
        f"{source}: PyTorch weights do not store the padding of the model; TensorFlow's is assumed (tf_like=True), as in the "
        "published files (if the model was built with tf_like=False, the scores are wrong: import it with "
        "movinet_lite.network.pytorch.importing.import_pytorch(path, padding='pytorch'), and save the network with "
        "save_network)",
        UserWarning,
        stacklevel=stacklevel + 1,
    )


def repeat_warning(path: Path, source: str, *, stacklevel: int) -> None:
    """Repeat the warning about assumptions that were made when a cached model was imported."""
    if not holds_pytorch_weights(path):
        return
    with open_file(path) as contents:
        found = recognise_tensors(contents, path)
    if found.transformer is None:
        warn_of_padding(source, stacklevel=stacklevel + 1)


def recognise_tensors(
    contents: Any, path: Path, *, averaged: bool = False
) -> PyTorchWeights:
    """Recognise a model by the names and shapes of its tensors.

    Args:
        contents: The contents from `open_file`: a state dict, bare or in a checkpoint, of a bare or a wrapped model.
        path: The file, for messages.
        averaged: Whether to use the weights of a snapshot of GRW-smoothing that were averaged over the training [3].

    Raises:
        ModelError: If it is not a MoViNet, or tensors are missing, left over or of another shape; the message names the
            first of them and the likely cause.
    """
    state = _averaged(contents, path) if averaged else _state_dict(contents, path)
    named, has_transformer = _without_prefix(state, path)
    mode: Mode = "stream" if "conv1.conv_1.conv2d.weight" in named else "base"
    layers = [match for name in named if (match := _LAYER.match(name))]
    variant = variant_of((f"b{one[1]}/l{one[2]}/" for one in layers), path)
    if has_transformer:
        return _with_transformer(contents, named, variant, mode, path)
    _rename_replaced_classifier(named, mode)
    classifier = f"classifier.3.conv_1.conv{'2' if mode == 'stream' else '3'}d.weight"
    if classifier not in named or not named[classifier].shape:
        raise ModelError(
            f"weights must include a classifier, {classifier!r}; these do not (only the backbone?)",
            path,
        )
    num_classes = named[classifier].shape[0]
    return PyTorchWeights(
        variant=variant,
        modes=(mode,),
        num_classes=num_classes,
        transformer=None,
        tensors=_match(
            named,
            list(places(variant, mode, num_classes)),
            f"{variant.name} {mode}",
            path,
        ),
    )


def _with_transformer(
    contents: Any, named: dict[str, Tensor], variant: Variant, mode: Mode, path: Path
) -> PyTorchWeights:
    """Recognise a snapshot of GRW-smoothing [3]."""
    record = contents.get("transformer_params") if isinstance(contents, dict) else None
    if not isinstance(record, Record):
        raise ModelError(
            "weights of GRW-smoothing must be a complete snapshot, as saved by that project; this one has no "
            "'transformer_params', which store the number of attention heads",
            path,
        )
    fields = dict(record.fields)
    try:
        num_classes = fields.pop("num_classes")
        facts = TransformerFacts(**fields, causal=mode == "stream")
    except (TypeError, KeyError, ModelError) as error:
        raise ModelError(
            f"'transformer_params' must be those of GRW-smoothing; they are {record.fields} ({error})",
            path,
        ) from error
    if not isinstance(num_classes, int) or facts.depth > len(named):
        raise ModelError(
            f"'transformer_params' must fit the weights; they are {record.fields}", path
        )
    wanted = list(places_with_transformer(variant, mode, num_classes, facts))
    told = f"{variant.name} {mode} with GRW-smoothing"
    return PyTorchWeights(
        variant=variant,
        # The paper classifies whole clips also with a causal backbone.
        modes=("stream", "base") if mode == "stream" else ("base",),
        num_classes=num_classes,
        transformer=facts,
        tensors=_match(named, wanted, told, path),
    )


def _averaged(contents: Any, path: Path) -> dict[str, Any]:
    state = contents.get("ema_weights") if isinstance(contents, dict) else None
    if not isinstance(state, dict) or not _has_tensors(state):
        raise ModelError(
            "averaged weights must be stored under 'ema_weights'; there are none", path
        )
    return {name: value for name, value in state.items() if name != "n_averaged"}


def _state_dict(contents: Any, path: Path) -> dict[str, Any]:
    """Return the one state dict in *contents*."""
    if not isinstance(contents, dict):
        raise ModelError(
            f"a PyTorch file must contain a state dict; it contains a {type(contents).__name__} "
            "(save it with torch.save(model.state_dict(), path))",
            path,
        )
    if _has_tensors(contents):
        return contents
    found = [name for name in _CONTAINERS if _has_tensors(contents.get(name))]
    if len(found) != 1:
        listed = ", ".join(map(repr, found or list(contents)[:8])) or "nothing"
        raise ModelError(
            f"a PyTorch file must contain one state dict, bare or under one of {', '.join(_CONTAINERS)}; it contains {listed} "
            "(save only the state dict: torch.save(model.state_dict(), path))",
            path,
        )
    inner: dict[str, Any] = contents[found[0]]
    return inner


def _has_tensors(contents: object) -> bool:
    return isinstance(contents, dict) and any(
        isinstance(value, Tensor) for value in contents.values()
    )


def _without_prefix(
    state: dict[str, Any], path: Path
) -> tuple[dict[str, Tensor], bool]:
    """Return the tensors without a wrapper's prefix, such as ``module.``, and whether they are of GRW-smoothing [3]."""
    stems = [match for name in state if (match := _STEM.match(str(name)))]
    if len(stems) != 1:
        shown = ", ".join(map(repr, list(state)[:_SHOWN]))
        raise ModelError(
            "PyTorch weights must have the names of MoViNet-pytorch, with one 'conv1.conv_1.conv2d.weight' or "
            f"'conv1.conv_1.conv3d.weight'; there are {len(stems)} among {len(state)} tensors, the first {shown} "
            "(another architecture or implementation?)",
            path,
        )
    prefix = stems[0][1].removesuffix(_ENCODER)
    has_transformer = prefix != stems[0][1]
    foreign = [name for name in state if not str(name).startswith(prefix)]
    foreign += [name for name, value in state.items() if not isinstance(value, Tensor)]
    if foreign:
        raise ModelError(
            f"every tensor must belong to the MoViNet, with names that begin with {prefix!r}; {len(foreign)} do not: "
            f"{listed(foreign)} (were other modules trained with it?)",
            path,
        )
    names = {name: name.removeprefix(prefix) for name in state}
    if has_transformer:
        names = {name: rest.removeprefix(_ENCODER) for name, rest in names.items()}
    return {names[name]: value for name, value in state.items()}, has_transformer


def _rename_replaced_classifier(named: dict[str, Tensor], mode: Mode) -> None:
    """Rename the tensors of a classifier that was replaced by a plain convolution [2] to their original names."""
    wanted = 4 if mode == "stream" else 5
    for part in ("weight", "bias"):
        tensor = named.pop(f"classifier.3.{part}", None)
        if tensor is None:
            continue
        name = f"classifier.3.conv_1.conv{wanted - 2}d.{part}"
        # All spatial and temporal axes of the kernel are 1, so 2-D and 3-D kernels are equivalent.
        if part == "weight" and set(tensor.shape[2:]) <= {1}:
            tensor = _reshaped(tensor, tensor.shape[:2] + (1,) * (wanted - 2))
        named[name] = tensor


def _reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    return Tensor(shape, lambda: tensor.read().reshape(shape))


def _match(
    named: Mapping[str, Tensor], wanted: list[Place], told: str, path: Path
) -> dict[str, tuple[Place, Tensor]]:
    """Return the tensor of each place; every tensor except counters of batch norms is used exactly once."""
    names = {place.tensor for place in wanted}
    norms = {name.rpartition(".")[0] for name in names if name.endswith("running_mean")}
    missing = [place.tensor for place in wanted if place.tensor not in named]
    left_over = [
        name
        for name in named
        if name not in names and name.removesuffix(_COUNTER) not in norms
    ]
    misfits = [
        place
        for place in wanted
        if place.tensor in named and named[place.tensor].shape != place.shape
    ]
    cause = _likely_cause(named, missing, left_over, misfits)
    check_complete(missing, left_over, model=told, path=path, cause=cause)
    if misfits:
        first = misfits[0]
        got = named[first.tensor].shape
        raise wrong_shape(
            first.tensor, first.shape, got, model=told, path=path, cause=cause
        )
    return {place.weight: (place, named[place.tensor]) for place in wanted}


def _likely_cause(
    named: Mapping[str, Tensor],
    missing: list[str],
    left_over: list[str],
    misfits: list[Place],
) -> str:
    squeezes = [place for place in misfits if ".se.fc1." in place.tensor]
    for place in squeezes:
        got, wanted = named[place.tensor].shape[1:2], place.shape[1:2]
        if "conv3d" in place.tensor and got == (2 * wanted[0],):
            return (
                "built with causal=True and conv_type='3d'? a stream model needs causal=True with conv_type='2plus1d', "
                "a base model causal=False with conv_type='3d'"
            )
        if "conv2d" in place.tensor and (2 * got[0],) == wanted:
            return "built with causal=False and conv_type='2plus1d'? build it with causal=True"
    if misfits and not (missing or left_over):
        return "another variant, or a changed architecture?"
    if missing and not left_over:
        return "an incomplete state dict, or a changed architecture?"
    if left_over and not missing:
        return "additional modules, or a changed architecture?"
    return "a changed architecture?"
