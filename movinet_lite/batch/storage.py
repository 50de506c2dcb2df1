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
    """Return the URLs for *address*: those that match a pattern, the videos below a folder, or itself.

    Args:
        address: A URL: a pattern if it contains ``*``, a folder if it ends in ``/``.
        endings: File extensions of videos in a folder, in lower case.

    Raises:
        DataError: If the storage cannot be listed.
        MissingDependencyError: If a required package is not installed.
    """
    if "*" not in address and not address.endswith("/"):
        return [address]
    system, path = _open_storage(address)
    try:
        names = system.glob(path) if "*" in address else system.find(path)
    except Exception as error:  # each storage has its own errors
        raise DataError(
            f"the storage cannot be listed; got {said_by(error)}", address
        ) from error
    scheme = _ADDRESS.match(address)
    return [
        name if is_remote(name) else f"{scheme[0] if scheme else ''}{name}"
        for name in sorted(names)
        if PurePosixPath(name).suffix.lower() in endings
    ]


@contextlib.contextmanager
def local_file(address: str) -> Iterator[str | BinaryIO]:
    """Yield a file of remote storage: its path if it is on this machine, or else a copy, which is downloaded in chunks.

    The copy is unnamed, so that nothing is left behind, however this process ends.

    Raises:
        VideoError: If it cannot be downloaded.
        VideoNotFoundError: If it does not exist.
        MissingDependencyError: If a required package is not installed.
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
        except Exception as error:  # each storage has its own errors
            raise VideoError(
                f"the video cannot be downloaded; got {said_by(error)}",
                address,
            ) from error
        copy.flush()
        yield copy


def _open_storage(address: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path within it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingDependencyError("fsspec", "cluster") from error
    try:
        system, path = url_to_fs(address)
    except ValueError as error:  # an unknown protocol
        raise VideoError(said_by(error), address) from error
    except ImportError as error:
        # s3fs or gcsfs is not installed; pyarrow supports both storages.
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
    except Exception as error:  # each storage has its own errors
        raise VideoError(said_by(error), address) from error
    return ArrowFSWrapper(system), path


def _quoted(address: str) -> str:
    """Return a URL with a percent-encoded file name; fsspec, and listings, use it unencoded."""
    place, mark, options = address.partition("?")
    scheme, bucket_and_name = place.split("://", 1)
    bucket, slash, name = bucket_and_name.partition("/")
    return f"{scheme}://{bucket}{slash}{quote(name)}{mark}{options}"
