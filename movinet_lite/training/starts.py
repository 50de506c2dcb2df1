"""Builds the network that a training starts from."""

from __future__ import annotations

from pathlib import Path

from movinet_lite.engines.opening import open_network
from movinet_lite.errors import ModelError
from movinet_lite.hub import resolve_weights
from movinet_lite.network.model import Movinet
from movinet_lite.network.spec import Functions
from movinet_lite.network.variants import Mode

__all__ = ["load_start"]


def load_start(
    source: str | Path,
    mode: Mode,
    *,
    offline: bool = False,
    functions: Functions | None = None,
) -> Movinet:
    """Return the network at *source*, ready to be trained.

    Args:
        source: A name, an address or a path, as the classifiers load them.
        mode: Whether a name stands for its stream model or its base model.
        offline: Whether the network must not be touched.
        functions: The activation and the gate of a checkpoint; `None` for not said.

    Raises:
        ModelError: If there is no such model, it cannot be read, or is of a kind that cannot be trained.
    """
    path = resolve_weights(source, mode, offline=offline)
    if path.suffix == ".tflite":
        raise ModelError(
            "a model to train must be a SavedModel, a checkpoint or a .safetensors file; a .tflite file is made for inference alone",
            source,
        )
    return open_network(path, mode, str(source), functions=functions)
