"""Downloads a video from remote storage, with fsspec or pyarrow."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from movinet_lite.errors import DataError, MissingDependencyError, VideoError, said_by

__all__ = ["is_remote", "list_remote", "local_copy"]

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_PIECE_BYTES: Final = 2**23


def is_remote(path: str) -> bool:
    """Return whether *path* is an address, such as ``s3://bucket/clip.mp4``."""
    return _ADDRESS.match(path) is not None


def list_remote(address: str, endings: Collection[str]) -> list[str]:
    """Return the addresses that *address* stands for: those that match a pattern, the videos below a folder, or itself.

    Args:
        address: A pattern if it holds ``*``, a folder if it ends in ``/``.
        endings: Of the files in a folder that count as videos, in small letters.

    Raises:
        DataError: If the storage cannot be listed.
        MissingDependencyError: If what opens it is not installed.
    """
    if "*" not in address and not address.endswith("/"):
        return [address]
    system, path = _open_storage(address)
    try:
        names = system.glob(path) if "*" in address else system.find(path)
    except Exception as error:  # each storage has errors of its own
        raise DataError(
            f"the storage must be one that can be listed; got {said_by(error)}", address
        ) from error
    scheme = _ADDRESS.match(address)
    return [
        name if is_remote(name) else f"{scheme[0] if scheme else ''}{name}"
        for name in sorted(names)
        if PurePosixPath(name).suffix.lower() in endings
    ]


@contextlib.contextmanager
def local_copy(address: str) -> Iterator[str]:
    """Fetch a file piece by piece, and give the path of a copy that is deleted when the block ends.

    Raises:
        VideoError: If it cannot be fetched.
        MissingDependencyError: If what opens the storage is not installed.
    """
    system, path = _open_storage(address)
    descriptor, copy = tempfile.mkstemp(suffix=PurePosixPath(path).suffix)
    try:
        with open(descriptor, "wb") as target:  # noqa: PTH123 - as mkstemp
            try:
                with system.open(path, "rb") as source:
                    while piece := source.read(_PIECE_BYTES):
                        target.write(piece)
            except Exception as error:  # each storage has errors of its own
                raise VideoError(
                    f"the video must be one that can be fetched; got {said_by(error)}",
                    address,
                ) from error
        yield copy
    finally:
        os.unlink(copy)  # noqa: PTH108 - as mkstemp


def _open_storage(address: str) -> tuple[Any, str]:
    """Return fsspec's file system for an address, and the path within it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingDependencyError("fsspec", "cluster") from error
    try:
        system, path = url_to_fs(address)
    except ValueError as error:  # a protocol that nobody knows
        raise VideoError(said_by(error), address) from error
    except ImportError:
        # s3fs or gcsfs is not installed; pyarrow has both storages built in.
        return _open_with_arrow(address)
    return system, str(path)


def _open_with_arrow(address: str) -> tuple[Any, str]:
    try:
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import FileSystem
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "cluster") from error
    try:
        system, path = FileSystem.from_uri(address)
    except Exception as error:  # each storage has errors of its own
        raise VideoError(said_by(error), address) from error
    return ArrowFSWrapper(system), path
