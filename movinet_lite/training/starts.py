"""The network that a training starts from."""

from __future__ import annotations

from pathlib import Path

from movinet_lite import demo
from movinet_lite.errors import ModelError
from movinet_lite.hub import resolve_model
from movinet_lite.network.files import load_network
from movinet_lite.network.model import Movinet
from movinet_lite.network.weights import import_weights
from movinet_lite.variants import Mode

__all__ = ["load_start"]


def load_start(source: str | Path, mode: Mode, *, offline: bool = False) -> Movinet:
    """Return the network at *source*, ready to be trained.

    Args:
        source: A name, an address or a path, as the classifiers load them.
        mode: Whether a name stands for its stream model or its base model.
        offline: Whether the network must not be touched.

    Raises:
        ModelError: If there is no such model, it cannot be read, or is of a kind that cannot be trained.
    """
    if source == "demo":
        return load_network(demo.WEIGHTS)
    path = resolve_model(source, mode, offline=offline)
    if path.suffix == ".tflite":
        raise ModelError(
            "a model to train must be a SavedModel or a .safetensors file; a .tflite file is made for inference alone",
            source,
        )
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if files:
        return load_network(files[0])
    return import_weights(path, mode=mode, name=str(source)).network
