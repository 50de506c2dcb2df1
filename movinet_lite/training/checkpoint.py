"""Reads and writes the checkpoint that training resumes from: one file, replaced after every epoch.

The file is a ``.safetensors``: weights as ``weight/NAME``, the optimiser's variables as ``optimizer/NUMBER``, the
states of random generators as ``random/NUMBER``. Progress and settings are stored in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from movinet_lite.atomic import write_atomically
from movinet_lite.errors import DataError

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

_KEY: Final = "movinet_lite_training"
_FORMAT: Final = 2


@attrs.frozen(eq=False)
class Checkpoint:
    """The state of a training run after an epoch.

    Attributes:
        settings: The settings that must not change on resuming.
        history: The metrics of each epoch.
        weights: The network's weights, by published name.
        optimizer: The optimiser's variables.
        random: The states of the random generators that a step uses (for dropout).
        skipped: For each split, the reasons why examples were skipped, by index.
    """

    settings: Mapping[str, Any]
    history: list[dict[str, Any]]
    weights: Mapping[str, NDArray[Any]]
    optimizer: list[NDArray[Any]]
    random: list[NDArray[Any]]
    skipped: Mapping[str, Mapping[int, str]]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write *checkpoint*, replacing an existing file atomically."""
    arrays = {f"weight/{name}": value for name, value in checkpoint.weights.items()}
    for kind in ("optimizer", "random"):
        for number, value in enumerate(getattr(checkpoint, kind)):
            arrays[f"{kind}/{number:05}"] = value
    header = {
        "format": _FORMAT,
        "settings": dict(checkpoint.settings),
        "history": checkpoint.history,
        "skipped": {
            part: list(reasons.items()) for part, reasons in checkpoint.skipped.items()
        },
    }
    write_atomically(
        path, to_bytes(arrays, {_KEY: json.dumps(header, default=_as_plain)})
    )


def _as_plain(value: Any) -> Any:
    """Return a numpy scalar as a Python number."""
    return value.item()


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint in a file written by `write_checkpoint`.

    Raises:
        DataError: If the file cannot be read, or has another or a later format.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(
            f"the checkpoint of a training run must be readable; it is not: {error} (train from the start, without resume)",
            path,
        ) from error
    if header["format"] != _FORMAT:
        raise DataError(
            f"the checkpoint of a training run must have format {_FORMAT}; it has format {header['format']} "
            "(written by another release?)",
            path,
        )

    def of(kind: str) -> dict[str, NDArray[Any]]:
        return {
            name.removeprefix(f"{kind}/"): value
            for name, value in arrays.items()
            if name.startswith(f"{kind}/")
        }

    return Checkpoint(
        settings=header["settings"],
        history=header["history"],
        weights=of("weight"),
        optimizer=list(of("optimizer").values()),
        random=list(of("random").values()),
        skipped={part: dict(reasons) for part, reasons in header["skipped"].items()},
    )
