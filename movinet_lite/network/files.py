"""This library's network file: ``.safetensors`` with weights under their published names, and the spec.

The weights are float32 or float16 arrays under the names that the models on TF Hub give them (`Movinet.named_weights`), so
that any tool that reads safetensors reads them. What the network is stands in the file's metadata as JSON under the key
``movinet_lite``. Reading a file's facts (`read_network_spec`) takes no TensorFlow and reads no weights.

References:
    [1] The safetensors format: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import attrs
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from movinet_lite.arrays import FrameSize
from movinet_lite.atomic import write_atomically
from movinet_lite.errors import ModelError, MoViNetError
from movinet_lite.network.spec import NetworkSpec, parse_facts

__all__ = [
    "WeightsDtype",
    "change_network_spec",
    "load_network",
    "read_network_spec",
    "save_network",
]

WeightsDtype: TypeAlias = Literal["float32", "float16"]
"""How weights are stored: as they are, or in half the size, rounded to about three digits."""

_KEY: Final = "movinet_lite"
_FORMAT: Final = 1


def save_network(
    network: Any, path: str | Path, *, dtype: WeightsDtype = "float32"
) -> None:
    """Write a network, its weights and what it is, as one ``.safetensors`` file.

    Args:
        network: A `Movinet` that is not folded.
        path: The file; one that is there is replaced, once the new one is whole.
        dtype: How to store the weights.

    Raises:
        ModelError: If the network is folded: its weights are no longer those of a MoViNet. Also if a weight is too
            large for float16, or *dtype* is unknown.
    """
    if dtype not in get_args(WeightsDtype):
        raise ModelError(
            f"dtype must be one of {', '.join(get_args(WeightsDtype))}; got {dtype!r}",
            path,
        )
    if network.options.folded:
        raise ModelError(
            "a network to save must not be folded; this one is (save the one it was folded from)",
            path,
        )
    weights = {
        name: _stored(name, weight, dtype, path)
        for name, weight in network.named_weights.items()
    }
    write_atomically(Path(path), _packed(weights, network.spec))


def change_network_spec(path: Path, output: Path, **changes: Any) -> None:
    """Write the network in a file to *output* with other facts; its weights stay as they are.

    Raises:
        ModelError: If there is no such file, it is damaged or of another kind, or the facts are impossible.
    """
    spec, weights = _read(path, with_weights=True)
    write_atomically(output, _packed(weights, attrs.evolve(spec, **changes)))


def _packed(weights: dict[str, NDArray[Any]], spec: NetworkSpec) -> bytes:
    header = {
        "format": _FORMAT,
        "sha256": _checksum(weights),
        **attrs.asdict(spec),
    }
    return to_bytes(weights, {_KEY: json.dumps(header, ensure_ascii=False)})


def _stored(name: str, weight: Any, dtype: str, path: str | Path) -> NDArray[Any]:
    value = np.asarray(weight, np.float32)
    largest = np.finfo(dtype).max
    if dtype == "float16" and (np.abs(value) > largest).any():
        raise ModelError(
            f"weights to store as float16 must be at most {largest:g}; {name!r} is not (store them as float32)",
            path,
        )
    return value.astype(dtype)


def read_network_spec(path: str | Path) -> NetworkSpec:
    """Return what the network in a file is, without reading its weights.

    Args:
        path: What `save_network` wrote.

    Raises:
        ModelError: If there is no such file, it is damaged, of another kind, or of a later format.
    """
    return _read(Path(path), with_weights=False)[0]


def load_network(
    path: str | Path,
    *,
    dropout_rate: float = 0.0,
    labels: Sequence[str] | None = None,
    frame_size: FrameSize | None = None,
) -> Any:
    """Return the network in a file.

    Args:
        path: What `save_network` wrote.
        dropout_rate: Share of the hidden layer's outputs dropped in training, 0 to 1.
        labels: Names of the classes in place of those in the file.
        frame_size: ``(height, width)`` in place of the one in the file.

    Returns:
        A `Movinet`, its weights float32 however they were stored.

    Raises:
        ModelError: If there is no such file, it is damaged, of another kind, or of a later format.
        LabelsError: If *labels* are not as many as the classes.
    """
    from movinet_lite.network.model import Movinet

    path = Path(path)
    spec, values = _read(path, with_weights=True)
    if labels is not None:
        spec = attrs.evolve(spec, labels=tuple(labels))
    if frame_size is not None:
        spec = attrs.evolve(spec, frame_size=frame_size)
    network = Movinet(spec, dropout_rate=dropout_rate)
    weights = network.named_weights
    if weights.keys() != values.keys():
        differing = sorted(weights.keys() ^ values.keys())
        raise ModelError(
            f"the file must hold the weights of {spec.variant} {spec.mode} exactly; {len(differing)} are missing or too "
            f"many, the first {differing[0]!r}",
            path,
        )
    for name, weight in weights.items():
        if str(values[name].dtype) not in get_args(WeightsDtype):
            raise ModelError(
                f"the weight {name!r} must be {' or '.join(get_args(WeightsDtype))}; got {values[name].dtype}",
                path,
            )
        if values[name].shape != tuple(weight.shape):
            raise ModelError(
                f"the weight {name!r} must have shape {tuple(weight.shape)}; got {values[name].shape}",
                path,
                tuple(weight.shape),
                values[name].shape,
            )
    for name, weight in weights.items():
        weight.assign(values[name].astype(np.float32))
    return network


def _read(
    path: Path, *, with_weights: bool
) -> tuple[NetworkSpec, dict[str, NDArray[Any]]]:
    if not path.is_file():
        raise ModelError("there is no such file", path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = (file.metadata() or {}).get(_KEY)
            names = file.keys() if with_weights else ()
            values = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"a network's file must be a whole .safetensors file; it cannot be read ({error}; damaged, or cut short?)",
            path,
        ) from error
    if header is None:
        raise ModelError(
            f"a network's file must have {_KEY!r} in its metadata; this one has not (written by another program?)",
            path,
        )
    spec, checksum = _parse_header(path, header)
    if with_weights and _checksum(values) != checksum:
        raise ModelError(
            "the weights of a network's file must have the checksum in its metadata; these have another (damaged?)",
            path,
        )
    return spec, values


def _checksum(weights: dict[str, NDArray[Any]]) -> str:
    """Return a checksum of weights: the format itself would not notice a changed number."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def _parse_header(path: Path, header: str) -> tuple[NetworkSpec, str]:
    try:
        facts = json.loads(header)
        found = facts.pop("format")
        checksum = facts.pop("sha256")
        spec = parse_facts(facts) if found == _FORMAT else None
    except (ValueError, KeyError, TypeError, AttributeError, MoViNetError) as error:
        raise ModelError(
            f"what a network's file says of itself must be readable; it is not: {error}",
            path,
        ) from error
    if spec is None:
        raise ModelError(
            f"a network's file must be of format {_FORMAT}; it is of format {found!r} (written by a later release?)",
            path,
            _FORMAT,
            found,
        )
    return spec, checksum
