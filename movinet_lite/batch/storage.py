"""Downloads a video from remote storage, with fsspec or pyarrow."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from movinet_lite.errors import (
    DataError,
    MissingDependencyError,
    VideoError,
    VideoNotFoundError,
    said_by,
)

__all__ = ["is_remote", "list_remote", "local_file"]

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_PIECE_BYTES: Final = 2**23
_OF_ARROW: Final = ("s3://", "gs://", "gcs://")


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
def local_file(address: str) -> Iterator[str | BinaryIO]:
    """Give a file of remote storage: the path of one that is on this machine, or a copy, which is fetched piece by piece.

    The copy has no name, so that nothing of it is left, however this process ends.

    Raises:
        VideoError: If it cannot be fetched.
        VideoNotFoundError: If there is none.
        MissingDependencyError: If what opens the storage is not installed.
    """
    system, path = _open_storage(address)
    if "file" in system.protocol:
        yield path
        return
    with tempfile.TemporaryFile() as copy:
        try:
            with system.open(path, "rb") as source:
                while piece := source.read(_PIECE_BYTES):
                    copy.write(piece)
        except FileNotFoundError as error:
            raise VideoNotFoundError("there is no such file", address) from error
        except Exception as error:  # each storage has errors of its own
            raise VideoError(
                f"the video must be one that can be fetched; got {said_by(error)}",
                address,
            ) from error
        copy.flush()
        yield copy


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
    except ImportError as error:
        # s3fs or gcsfs is not installed; pyarrow has both storages built in.
        if address.lower().startswith(_OF_ARROW):
            return _open_with_arrow(address)
        raise VideoError(said_by(error), address) from error
    return system, str(path)


def _open_with_arrow(address: str) -> tuple[Any, str]:
    try:
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import FileSystem
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "cluster") from error
    try:
        system, path = FileSystem.from_uri(_quoted(address))
    except Exception as error:  # each storage has errors of its own
        raise VideoError(said_by(error), address) from error
    return ArrowFSWrapper(system), path


def _quoted(address: str) -> str:
    """Return an address with the name of the file as URIs have it; fsspec, and what is listed, have it as it is."""
    place, mark, options = address.partition("?")
    scheme, bucket_and_name = place.split("://", 1)
    bucket, slash, name = bucket_and_name.partition("/")
    return f"{scheme}://{bucket}{slash}{quote(name)}{mark}{options}"
