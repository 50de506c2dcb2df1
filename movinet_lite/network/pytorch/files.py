"""Reads PyTorch files, and ``.safetensors`` files with PyTorch tensors, without PyTorch.

PyTorch has two formats. Since 1.6 a file is a zip archive: ``<name>/data.pkl``, a pickle of the tensors' metadata, and
``<name>/data/0`` ... with their values, uncompressed. The older format, still optional, is five pickles followed by the
values. Sizes in the pickle are checked against the file before memory is allocated.

References:
    [1] PyTorch, ``torch/serialization.py``: ``_save``, ``_legacy_save``, ``_legacy_load``.
    [2] The safetensors format: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from movinet_lite.errors import ModelError
from movinet_lite.network.pytorch.pickles import (
    MAX_PICKLE_BYTES,
    PickleRefusedError,
    Storage,
    StoredTensor,
    read_pickle,
)

__all__ = ["Tensor", "is_pytorch_file", "open_file", "tensor_names"]

_ZIP_START: Final = b"PK\x03\x04"
_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C  # [1]
_LEGACY_START: Final = pickle.dumps(_LEGACY_MAGIC, protocol=2)
_LEGACY_PROTOCOL: Final = 1001  # [1]
_SAFETENSORS_SUFFIX: Final = ".safetensors"

_Read = Callable[[], NDArray[Any]]


@attrs.frozen(eq=False)
class Tensor:
    """A tensor of a file.

    Attributes:
        shape: Its shape.
        read: Reads its values while the file is open.
    """

    shape: tuple[int, ...]
    read: _Read = attrs.field(repr=False)


def is_pytorch_file(path: Path) -> bool:
    """Return whether the file at *path* looks like the output of ``torch.save``, in either format."""
    with path.open("rb") as file:
        start = file.read(len(_LEGACY_START))
    if start == _LEGACY_START:
        return True
    if not start.startswith(_ZIP_START):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return _pickle_name(archive) is not None
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        # A truncated archive has no directory; those of PyTorch begin with the pickle.
        with path.open("rb") as file:
            return b"/data.pkl" in file.read(512)


def tensor_names(path: Path) -> tuple[str, ...]:
    """Return the names of the tensors in a ``.safetensors`` file; none if it is not one."""
    try:
        with safe_open(path, framework="numpy") as file:
            return tuple(file.keys())
    except (SafetensorError, OSError, ValueError):
        return ()


@contextmanager
def open_file(path: Path) -> Iterator[Any]:
    """Open a PyTorch file, and yield its contents: dicts, lists and plain data, with a `Tensor` for each tensor.

    Yields:
        The contents; for a ``.safetensors`` file a dict of tensors by name.

    Raises:
        ModelError: If it is damaged or truncated, or contains anything but tensors and plain data. Nothing in it is executed.
    """
    with ExitStack() as stack:
        try:
            contents = _open(path, stack)
        except PickleRefusedError as error:
            raise ModelError(
                f"a PyTorch file must contain only tensors and plain data; {error} (nothing in it was executed; save only the "
                "state dict: torch.save(model.state_dict(), path))",
                path,
            ) from error
        except _DAMAGES as error:
            raise _damaged(path, error) from error
        yield contents


_DAMAGES: Final = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    NotImplementedError,  # an unknown compression
    RuntimeError,  # an archive marked as encrypted
    zlib.error,
    struct.error,
    SafetensorError,
    ValueError,
    KeyError,
)


def _damaged(path: Path, error: BaseException) -> ModelError:
    return ModelError(
        f"a PyTorch file must be complete; it cannot be read ({error}; damaged or truncated?)",
        path,
    )


def _open(path: Path, stack: ExitStack) -> Any:
    if path.suffix == _SAFETENSORS_SUFFIX:
        return _open_safetensors(path, stack)
    file = stack.enter_context(path.open("rb"))
    if file.read(len(_LEGACY_START)) == _LEGACY_START:
        file.seek(0)
        contents, numbers = _open_legacy(file)
    else:
        archive = stack.enter_context(zipfile.ZipFile(file))
        contents, numbers = _open_zip(archive)
    storages: dict[str, Storage] = {}

    def replace(found: Any) -> Any:
        """Return *found* with tensors that can be read."""
        if isinstance(found, StoredTensor):
            known = storages.setdefault(found.storage.key, found.storage)
            if known != found.storage:
                raise PickleRefusedError("two of its storages have the same name")
            return Tensor(found.shape, lambda: _guarded(path, numbers, found))
        return found

    return _map_dicts(contents, replace)


def _map_dicts(contents: Any, change: Callable[[Any], Any]) -> Any:
    """Return *contents* with *change* applied to the values of its dicts, three levels deep; state dicts are no deeper."""

    def go(found: Any, depth: int) -> Any:
        if isinstance(found, dict) and depth:
            return {key: go(value, depth - 1) for key, value in found.items()}
        return change(found)

    return go(contents, 3)


_Numbers = Callable[[StoredTensor], bytes]


def _guarded(path: Path, numbers: _Numbers, tensor: StoredTensor) -> NDArray[Any]:
    try:
        content = numbers(tensor)
    except _DAMAGES as error:
        raise _damaged(path, error) from error
    return _view(content, tensor)


def _view(content: bytes, tensor: StoredTensor) -> NDArray[Any]:
    """Return a tensor from the bytes of its `StoredTensor.span`."""
    if tensor.storage.dtype == "bf16":  # the upper half of a float32
        wide = np.frombuffer(content, "<u2").astype(np.uint32) << 16
        flat: NDArray[Any] = wide.view(np.float32)
    else:
        flat = np.frombuffer(content, f"<{tensor.storage.dtype}")
    strides = [step * flat.itemsize for step in tensor.strides]
    # The reader of the pickle has checked the bounds.
    view = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
    return view.copy()


def _item_bytes(dtype: str) -> int:
    return 2 if dtype == "bf16" else np.dtype(dtype).itemsize


# ---------------------------------------------------------------- the zip format


def _pickle_name(archive: zipfile.ZipFile) -> str | None:
    """Return the name of the pickle in a PyTorch archive; `None` if there is not exactly one."""
    found = [
        name
        for name in archive.namelist()
        if name == "data.pkl" or (name.count("/") == 1 and name.endswith("/data.pkl"))
    ]
    return found[0] if len(found) == 1 else None


def _open_zip(archive: zipfile.ZipFile) -> tuple[Any, _Numbers]:
    name = _pickle_name(archive)
    if name is None:
        raise zipfile.BadZipFile("it has no data.pkl")
    folder = name.removesuffix("data.pkl")
    members = {info.filename: info for info in archive.infolist()}
    _check_kind(archive, folder, members)
    stream = io.BytesIO(_read_member(archive, members[name], MAX_PICKLE_BYTES))
    contents = read_pickle(stream)

    def numbers(tensor: StoredTensor) -> bytes:
        storage = tensor.storage
        info = members.get(f"{folder}data/{storage.key}")
        if info is None:
            raise zipfile.BadZipFile(f"it has no storage {storage.key!r}")
        size = _item_bytes(storage.dtype)
        _check_stored(info)
        if info.file_size != storage.count * size:
            raise zipfile.BadZipFile(
                f"the storage {storage.key!r} must have {storage.count * size} bytes; it has {info.file_size}"
            )
        with archive.open(info) as file:
            if tensor.span == storage.count:  # which also verifies the checksum
                return file.read()
            file.seek(tensor.offset * size)
            return _read_exactly(file, tensor.span * size)

    return contents, numbers


def _check_kind(
    archive: zipfile.ZipFile, folder: str, members: Mapping[str, zipfile.ZipInfo]
) -> None:
    if f"{folder}constants.pkl" in members:
        raise PickleRefusedError(
            "it is a TorchScript program (torch.jit.save), not a state dict"
        )
    if f"{folder}byteorder" in members:
        order = _read_member(archive, members[f"{folder}byteorder"], 16)
        if order != b"little":
            raise PickleRefusedError(f"its byte order is {order!r}")


def _check_stored(info: zipfile.ZipInfo) -> None:
    """Check that a member is not compressed, so that its size is that in the file."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise zipfile.BadZipFile(
            f"{info.filename!r} is compressed, unlike in files of PyTorch"
        )


def _read_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int
) -> bytes:
    _check_stored(info)
    if info.file_size > max_bytes:
        raise PickleRefusedError(
            f"{info.filename!r} in it has {info.file_size} bytes; the limit for a state dict is {max_bytes}"
        )
    return archive.read(info)


def _read_exactly(file: IO[bytes], count: int) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise EOFError("its values end too early")
    return content


# ------------------------------------------------------------- the older format


def _open_legacy(file: IO[bytes]) -> tuple[Any, _Numbers]:
    head = io.BytesIO(file.read(MAX_PICKLE_BYTES))
    magic, protocol, system = (read_pickle(head) for _ in range(3))
    if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL:
        raise PickleRefusedError(f"its format {protocol!r} is unknown")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise PickleRefusedError("its byte order is not little-endian")
    contents, keys = read_pickle(head), read_pickle(head)
    if not isinstance(keys, list) or len(keys) != len(set(map(str, keys))):
        raise ValueError("its list of storages is invalid")
    starts = _legacy_starts(file, head.tell(), keys, _storages_in(contents))

    def numbers(tensor: StoredTensor) -> bytes:
        step = _item_bytes(tensor.storage.dtype)
        file.seek(starts[tensor.storage.key] + tensor.offset * step)
        return _read_exactly(file, tensor.span * step)

    return contents, numbers


def _legacy_starts(
    file: IO[bytes], place: int, keys: list[Any], storages: Mapping[str, Storage]
) -> dict[str, int]:
    """Return the offset of each storage's values; the storages follow each other from *place* on."""
    size = file.seek(0, io.SEEK_END)
    starts: dict[str, int] = {}
    for key in keys:
        if key not in storages:
            raise PickleRefusedError(
                f"it has a storage {key!r}, which no tensor of its state dict uses"
            )
        file.seek(place)
        (count,) = struct.unpack("<q", _read_exactly(file, 8))
        if count != storages[key].count:
            raise ValueError(f"its storage {key!r} has {count} values")
        starts[key] = place + 8
        place += 8 + count * _item_bytes(storages[key].dtype)
        if place > size:
            raise EOFError("its values end too early")
    return starts


def _storages_in(contents: Any) -> Mapping[str, Storage]:
    """Return the storages that *contents* use at any depth."""
    found: dict[str, Storage] = {}
    seen: set[int] = set()
    waiting = [contents]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, StoredTensor):
            found[thing.storage.key] = thing.storage
        elif isinstance(thing, dict):
            waiting.extend(thing.values())
        elif isinstance(thing, (list, tuple)):
            waiting.extend(thing)
    return found


# ------------------------------------------------------------------ safetensors


def _open_safetensors(path: Path, stack: ExitStack) -> dict[str, Tensor]:
    file = stack.enter_context(safe_open(path, framework="numpy"))
    return {
        name: Tensor(tuple(file.get_slice(name).get_shape()), partial(_get, file, name))
        for name in file.keys()  # noqa: SIM118 - not a dict
    }


def _get(file: Any, name: str) -> NDArray[Any]:
    value: NDArray[Any] = file.get_tensor(name)
    return value.astype(np.float32) if value.dtype.kind == "V" else value
