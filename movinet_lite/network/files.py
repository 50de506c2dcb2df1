"""This library's network file: ``.safetensors`` with weights under their published names, and the spec.

The weights are float32 or float16 arrays under the names of the models on TF Hub (`Movinet.named_weights`), readable
with any safetensors tool. The spec of the network is stored as JSON in the file's metadata under the key
``movinet_lite``. Reading it (`read_network_spec`) requires no TensorFlow and reads no weights.

Arrays that were computed from a network, such as folded weights, are stored in the same way under the key
``movinet_lite_arrays`` (`save_arrays`), so that nobody takes them for a network.

References:
    [1] The safetensors format: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
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
from movinet_lite.network.facts import check_format, known_facts
from movinet_lite.network.matching import check_complete, wrong_shape
from movinet_lite.network.spec import NetworkSpec, parse_facts

__all__ = [
    "WeightsDtype",
    "change_network_spec",
    "load_network",
    "read_arrays",
    "read_network_spec",
    "save_arrays",
    "save_network",
]

WeightsDtype: TypeAlias = Literal["float32", "float16"]
"""The dtype of stored weights: float32, or float16 with half the size, rounded to about three digits."""

_FORMAT: Final = 1


@attrs.frozen
class _Kind:
    """A kind of file: the key of its metadata, and its name in messages."""

    key: str
    noun: str


_NETWORK: Final = _Kind("movinet_lite", "a network file")
_ARRAYS: Final = _Kind("movinet_lite_arrays", "a file of arrays of a network")


def save_network(
    network: Any, path: str | Path, *, dtype: WeightsDtype = "float32"
) -> None:
    """Write a network, its weights and spec, to a ``.safetensors`` file.

    Args:
        network: A `Movinet` that is not folded.
        path: The file; an existing file is replaced atomically.
        dtype: The dtype of the stored weights.

    Raises:
        ModelError: If the network is folded, so that its weights are no longer those of a MoViNet; if a weight is too
            large for float16; or if *dtype* is unknown.
    """
    if dtype not in get_args(WeightsDtype):
        raise ModelError(
            f"dtype must be one of {', '.join(get_args(WeightsDtype))}; got {dtype!r}",
            path,
        )
    if network.options.folded:
        raise ModelError(
            "a network must not be folded to be saved; this one is (save the one that it was folded from)",
            path,
        )
    weights = {
        name: _stored(name, weight, dtype, path)
        for name, weight in network.named_weights.items()
    }
    write_atomically(Path(path), _packed(weights, network.spec, _NETWORK))


def save_arrays(
    path: Path, spec: NetworkSpec, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write arrays that were computed from a network to a ``.safetensors`` file, with the spec of the network."""
    write_atomically(path, _packed(dict(arrays), spec, _ARRAYS))


def read_arrays(path: Path) -> tuple[NetworkSpec, dict[str, NDArray[Any]]]:
    """Return what `save_arrays` wrote.

    Raises:
        ModelError: If the file does not exist, is damaged, of another kind, or of a later format.
    """
    return _read(path, with_weights=True, kind=_ARRAYS)


def change_network_spec(path: Path, output: Path, **changes: Any) -> None:
    """Write the network in a file to *output* with changed facts and unchanged weights.

    Raises:
        ModelError: If the file does not exist, is damaged or of another kind, or the facts are invalid.
    """
    spec, weights = _read(path, with_weights=True)
    write_atomically(output, _packed(weights, attrs.evolve(spec, **changes), _NETWORK))


def _packed(weights: dict[str, NDArray[Any]], spec: NetworkSpec, kind: _Kind) -> bytes:
    header = {
        "format": _FORMAT,
        "sha256": _checksum(weights),
        **attrs.asdict(spec),
    }
    return to_bytes(weights, {kind.key: json.dumps(header, ensure_ascii=False)})


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
    """Return the spec of the network in a file, without reading its weights.

    Args:
        path: A file written by `save_network`.

    Raises:
        ModelError: If the file does not exist, is damaged, of another kind, or of a later format.
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
        path: A file written by `save_network`.
        dropout_rate: Dropout rate of the hidden layer in training, 0 to 1.
        labels: Labels that replace those in the file.
        frame_size: ``(height, width)`` that replaces the one in the file.

    Returns:
        A `Movinet` with float32 weights.

    Raises:
        ModelError: If the file does not exist, is damaged, of another kind, or of a later format.
        LabelsError: If the number of *labels* is not the number of classes.
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
    model = f"{spec.variant} {spec.mode}"
    check_complete(
        [name for name in weights if name not in values],
        [name for name in values if name not in weights],
        model=model,
        path=path,
        cause="written by another program?",
    )
    for name, weight in weights.items():
        if str(values[name].dtype) not in get_args(WeightsDtype):
            raise ModelError(
                f"the weight {name!r} of {model} must be {' or '.join(get_args(WeightsDtype))}; got {values[name].dtype}",
                path,
            )
        if values[name].shape != tuple(weight.shape):
            raise wrong_shape(
                name,
                tuple(weight.shape),
                values[name].shape,
                model=model,
                path=path,
                cause="written by another program?",
            )
    for name, weight in weights.items():
        weight.assign(values[name].astype(np.float32))
    return network


def _read(
    path: Path, *, with_weights: bool, kind: _Kind = _NETWORK
) -> tuple[NetworkSpec, dict[str, NDArray[Any]]]:
    if not path.is_file():
        raise ModelError(f"{kind.noun} must exist; there is none at this path", path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = (file.metadata() or {}).get(kind.key)
            names = file.keys() if with_weights else ()
            values = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{kind.noun} must be a complete .safetensors file; it cannot be read: {error} (damaged, or cut short?)",
            path,
        ) from error
    if header is None:
        raise ModelError(
            f"{kind.noun} must have {kind.key!r} in its metadata; this one does not (written by another program?)",
            path,
        )
    spec, checksum = _parse_header(path, header, kind.noun)
    if with_weights and _checksum(values) != checksum:
        raise ModelError(
            f"the weights in {kind.noun} must have the checksum in its metadata; these have another (damaged?)",
            path,
        )
    return spec, values


def _checksum(weights: dict[str, NDArray[Any]]) -> str:
    """Return a checksum of weights, since the format itself does not detect changed values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def _parse_header(path: Path, header: str, noun: str) -> tuple[NetworkSpec, str]:
    with _readable(path, noun):
        facts = dict(json.loads(header))
        found = facts.pop("format")
        checksum = facts.pop("sha256")
    check_format(found, _FORMAT, noun, path)
    facts = known_facts(NetworkSpec, facts, noun, path)
    with _readable(path, noun):
        return parse_facts(facts), checksum


@contextlib.contextmanager
def _readable(path: Path, noun: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, MoViNetError) as error:
        raise ModelError(
            f"the facts in {noun} must be readable; they are not: {error} (damaged?)",
            path,
        ) from error
