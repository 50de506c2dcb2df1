"""Loads the network that training starts from."""

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
    """Return the network at *source*, ready for training.

    Args:
        source: A name, URL or path, as for the classifiers.
        mode: Whether a name refers to the stream model or the base model.
        offline: Whether to use only local and cached models.
        functions: The activation and the gate of a checkpoint; `None` if not given.

    Raises:
        ModelError: If the model does not exist, cannot be read, or is of a kind that cannot be trained.
    """
    path = resolve_weights(source, mode, offline=offline)
    if path.suffix == ".tflite":
        raise ModelError(
            "a model to train must be a SavedModel, a checkpoint or a .safetensors file; .tflite files are for "
            "inference only",
            source,
        )
    return open_network(path, mode, str(source), functions=functions)
