"""Reads and writes files of taught classes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from movinet_lite.arrays import FrameSize, as_number
from movinet_lite.atomic import write_atomically
from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.engines.features import check_feature_name
from movinet_lite.engines.few_shot.head import FewShotHead
from movinet_lite.engines.few_shot.models import (
    FewShotClipModel,
    FewShotStreamModel,
    fingerprint,
    with_head,
)
from movinet_lite.errors import ModelError, MoViNetError
from movinet_lite.labels import check_labels
from movinet_lite.network.variants import Mode, check_mode

__all__ = [
    "FEW_SHOT_ENDING",
    "few_shot_base",
    "few_shot_frame_size",
    "few_shot_mode",
    "is_few_shot",
    "load_few_shot",
    "save_few_shot",
]

FEW_SHOT_ENDING: Final = ".fewshot"
"""The extension of files with taught classes."""

_KEY: Final = "movinet_lite_few_shot"
_FORMAT: Final = 4
_ARRAYS: Final = (
    "weights",
    "bias",
    "feature_means",
    "score_means",
    "similarity_means",
    "similarity_stds",
    "fingerprint",
)
_CLASSES: Final[Mapping[Mode, str]] = {
    "base": "FewShotBaseClassifier",
    "stream": "FewShotClassifier",
}
_TOLERANCE: Final = 0.03
"""Of the largest feature or logit: engines and float16 weights round differently; other weights differ by far more."""


def save_few_shot(
    model: FewShotClipModel | FewShotStreamModel,
    path: str | Path,
    *,
    base: str,
    frame_size: FrameSize,
) -> None:
    """Write the taught classes to a file atomically.

    Args:
        model: The model with the taught classes.
        path: The file; its extension must be `FEW_SHOT_ENDING`.
        base: The source of the underlying model, as for ``load``.
        frame_size: ``(height, width)`` of its frames.

    Raises:
        ModelError: If the name has another extension, or the file cannot be written.
    """
    path, head = Path(path), model.head
    _check_ending(path)
    arrays = {
        name: np.ascontiguousarray(getattr(head, name), np.float64) for name in _ARRAYS
    }
    facts = {
        "labels": head.labels,
        "feature": head.feature,
        "threshold": head.threshold,
        "z_score_std": head.z_score_std,
        "kind": head.kind,
        "accuracy": head.accuracy,
        "mode": model.info.mode,
        "base": base,
        "frame_size": frame_size,
    }
    header = {"format": _FORMAT, "sha256": _checksum(arrays, facts), "facts": facts}
    try:
        write_atomically(path, to_bytes(arrays, {_KEY: json.dumps(header)}))
    except OSError as error:
        raise ModelError(
            f"the file must be writable; {error.strerror or error}", path
        ) from error


def load_few_shot(
    path: str | Path,
    mode: Mode,
    load: Callable[[str, FrameSize], ClipModel | StreamModel],
    *,
    base: str | Path | None = None,
) -> FewShotClipModel | FewShotStreamModel:
    """Return the model in a file written by `save_few_shot`.

    Args:
        path: The file.
        mode: The expected mode.
        load: Loads the underlying model of this mode from its name, URL or path, for frames of the size that the classes
            were taught from.
        base: Another source of the same model; `None` for the original one, or a file of the same name next to *path*.

    Raises:
        ModelError: If the file does not exist or is damaged, its classes were taught on a model of the other mode, or the
            model does not exist any more or returns other features or scores.
    """
    path = Path(path)
    head, facts = _read(path)
    check_mode(facts["mode"], mode, path)
    height, width = facts["frame_size"]
    source = _base_of(path, facts["base"], mode) if base is None else str(base)
    model = load(source, (height, width))
    found = fingerprint(model, head.feature, (height, width))
    if not _is_same(found, head):
        raise ModelError(
            f"the model must be the one that the classes were taught on, {facts['base']}; {model.info.source} "
            "returns other features or scores (teach the classes again on it)",
            path,
        )
    return with_head(model, head, str(path), frame_size=(height, width))


def _is_same(found: NDArray[np.float32], head: FewShotHead) -> bool:
    """Return whether the logits and features of a model for the fixed clip are those of the model that was taught."""
    known = head.fingerprint
    if found.shape != known.shape:
        return False
    num_scores = head.score_means.shape[1]
    return all(
        np.abs(now - before).max() <= _TOLERANCE * np.abs(before).max()
        for now, before in zip(
            np.split(found, [num_scores]), np.split(known, [num_scores]), strict=True
        )
    )


def few_shot_mode(path: str | Path) -> Mode:
    """Return the mode of the model that the classes in a file were taught on.

    Raises:
        ModelError: If the file does not exist or is damaged.
    """
    mode: Mode = _read(Path(path))[1]["mode"]
    return mode


def few_shot_frame_size(path: str | Path) -> FrameSize:
    """Return ``(height, width)`` of the frames that the classes in a file were taught from.

    Raises:
        ModelError: If the file does not exist or is damaged.
    """
    height, width = _read(Path(path))[1]["frame_size"]
    return height, width


def few_shot_base(path: str | Path) -> str:
    """Return the source of the model that the classes in a file were taught on.

    Raises:
        ModelError: If the file does not exist or is damaged.
    """
    base: str = _read(Path(path))[1]["base"]
    return base


def _base_of(path: Path, base: str, mode: Mode) -> str:
    """Return the location of the model of the file at *path*: the original one, or next to the file."""
    if not Path(base).is_absolute() or Path(base).exists():
        return base  # a name, a URL, or an existing path
    beside = path.parent / Path(base).name
    if beside.exists():
        return str(beside)
    raise ModelError(
        f"the model that the classes were taught on must be at {base} or next to the file; it is not "
        f"(pass its new path: {_CLASSES[mode]}.load({path.name!r}, model=...), or movinet-lite teach {path.name} "
        f"--model MODEL --output {path.name})",
        path,
        base,
    )


def _read(path: Path) -> tuple[FewShotHead, dict[str, Any]]:
    _check_ending(path)
    if not path.is_file():
        raise ModelError("there is no such file", path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            if header["format"] != _FORMAT:
                raise ValueError(  # noqa: TRY301 - one message for all faults
                    f"it has format {header['format']!r}, not {_FORMAT}: from another release? teach the classes again"
                )
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        facts = header["facts"]
        if header["sha256"] != _checksum(arrays, facts):
            raise ValueError(  # noqa: TRY301 - one message for all faults
                "its checksum differs"
            )
        _check_facts(facts)
        _check_arrays(arrays, len(facts["labels"]) - 1)
        head = FewShotHead(
            labels=check_labels(facts["labels"]),
            feature=check_feature_name(facts["feature"]),
            threshold=float(facts["threshold"]),
            z_score_std=float(facts["z_score_std"]),
            kind=str(facts["kind"]),
            accuracy=float(facts["accuracy"]),
            **{**arrays, "fingerprint": arrays["fingerprint"].astype(np.float32)},
        )
    except (
        SafetensorError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        MoViNetError,
    ) as error:
        raise ModelError(
            f"a file of taught classes must be complete and written by this library; it cannot be read ({error})",
            path,
        ) from error
    return head, facts


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Raise an error for facts that no `save_few_shot` writes."""
    if facts["mode"] not in get_args(Mode):
        raise ValueError(f"its mode is {facts['mode']!r}")
    if not isinstance(facts["base"], str):
        raise TypeError(f"its model is {facts['base']!r}")
    height, width = facts["frame_size"]
    if not (0 < as_number(height) < np.inf and 0 < as_number(width) < np.inf):
        raise ValueError(f"its frame size is {facts['frame_size']!r}")
    numbers = facts["threshold"], facts["z_score_std"]
    if not (np.isfinite(numbers).all() and facts["z_score_std"] > 0):
        raise ValueError(f"its threshold and its deviation are {numbers}")


def _check_arrays(arrays: Mapping[str, NDArray[Any]], num_taught: int) -> None:
    """Raise an error for arrays that do not fit each other or the number of taught classes."""
    channels, num_scores = len(arrays["weights"]), arrays["score_means"].shape[-1]
    shapes = {
        "weights": (channels, num_taught),
        "bias": (num_taught,),
        "feature_means": (num_taught, channels),
        "score_means": (num_taught, num_scores),
        "similarity_means": (num_taught, 2),
        "similarity_stds": (num_taught, 2),
        "fingerprint": (num_scores + channels,),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"its {name} must be numbers of shape {shape}; got {arrays[name].shape}"
            )
    if arrays["similarity_stds"].min() <= 0:
        raise ValueError("its similarity_stds must be above 0")


def _checksum(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in _ARRAYS:
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _check_ending(path: Path) -> None:
    if path.suffix != FEW_SHOT_ENDING:
        raise ModelError(
            f"a file of taught classes must end in {FEW_SHOT_ENDING}; got {path.name!r}",
            path,
        )


def is_few_shot(source: str | Path) -> bool:
    """Return whether *source* is a file of taught classes."""
    return Path(source).suffix == FEW_SHOT_ENDING
