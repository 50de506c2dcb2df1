"""Unpacks downloaded archives safely: nothing outside the folder, within limits on size and memory."""

from __future__ import annotations

import errno
import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Self

from movinet_lite.errors import ModelError, said_by

__all__ = ["MAX_FILES", "MAX_NAME_LENGTH", "MAX_UNPACKED_BYTES", "unpack"]

MAX_UNPACKED_BYTES = 1 << 30
"""The most that an archive may unpack to: 1 GiB. The largest MoViNet takes a fraction of that."""

MAX_FILES = 10_000
"""The most files and folders that an archive may hold or need. A SavedModel holds about ten."""

MAX_NAME_LENGTH = 1000
"""The longest name that an archive may hold, its folders included, in characters."""

_MAX_HEADER_BYTES = 1 << 16
"""The most bytes of a header that holds a long name or other facts of a file; `tarfile` reads all of it at once."""

_LONG_HEADERS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}

_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


def unpack(
    archive: Path,
    folder: Path,
    *,
    max_bytes: int = MAX_UNPACKED_BYTES,
    max_files: int = MAX_FILES,
) -> None:
    """Unpack a ``.tar.gz`` file, and refuse whatever a model has no need of.

    Only plain files and folders below *folder* are written, with the permissions that new files have. The archive's
    checksum is verified to its last byte.

    Args:
        archive: The file; its name does not matter.
        folder: Where to put its contents; must exist. After an error it may hold a part of them.
        max_bytes: The most that the archive may unpack to.
        max_files: The most files and folders that it may hold, those that its names imply included.

    Raises:
        ModelError: If the archive is damaged or cut short, larger than the limits, or holds links, devices, or
            names that lead outside.
    """
    paths: set[PurePosixPath] = set()
    try:
        with _LimitedGzip(archive, max_bytes) as stream:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_BoundedHeader) as tar:
                for member in tar:
                    name = _check_name(member.name, archive)
                    paths.update((name, *name.parents))
                    if len(paths) > max_files + 1:  # "." is none of them
                        raise ModelError(
                            f"an archive may hold at most {max_files} files and folders; this one holds more",
                            archive,
                        )
                    if member.size < 0:
                        raise tarfile.ReadError(f"a file of {member.size} bytes")
                    _unpack_member(tar, member, archive, folder / name)
            # The checksum stands at the very end.
            while stream.read(1 << 16):
                pass
    except _NOT_AN_ARCHIVE as error:
        raise ModelError(
            f"the archive is damaged or cut short ({said_by(error)})", archive
        ) from error


# `tarfile` lets through what goes wrong where it reads numbers and headers that refer to others.
_NOT_AN_ARCHIVE = (
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    tarfile.TarError,
    ArithmeticError,
    LookupError,
    ValueError,
    RecursionError,
)


class _BoundedHeader(tarfile.TarInfo):
    """A header of an archive; one that would take much memory is an error."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _LONG_HEADERS and header.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(
                f"a header may have at most {_MAX_HEADER_BYTES} bytes; got {header.size}"
            )
        return header


class _LimitedGzip(gzip.GzipFile):
    """A gzip file that ends in an error when more than *max_bytes* come out of it."""

    def __init__(self, archive: Path, max_bytes: int) -> None:
        super().__init__(archive, "rb")
        self._archive = archive
        self._max_bytes = max_bytes
        self._num_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._num_bytes += len(data)
        if self._num_bytes > self._max_bytes:
            raise ModelError(
                f"an archive may unpack to at most {self._max_bytes} bytes; this one is larger",
                self._archive,
            )
        return data


def _unpack_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path, target: Path
) -> None:
    try:
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            return
        contents = tar.extractfile(member) if member.isreg() else None
        # A sparse file's holes cost nothing in the archive, and would escape the limit.
        if contents is None or member.issparse():
            kind = "a sparse file" if member.issparse() else _KINDS.get(member.type)
            raise ModelError(
                "an archive of a model may hold files and folders only; "
                f"got {kind or 'something else'} named {member.name!r}",
                archive,
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with contents, target.open("xb") as file:
            shutil.copyfileobj(contents, file)
    except (FileExistsError, NotADirectoryError) as error:
        raise ModelError(
            f"an archive must hold each name once; got {member.name!r} again", archive
        ) from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise ModelError(
            f"a name in an archive must be short enough for a file; got {_shortened(member.name)}",
            archive,
        ) from error


def _check_name(name: str, archive: Path) -> PurePosixPath:
    if len(name) > MAX_NAME_LENGTH:
        raise ModelError(
            f"a name in an archive may have at most {MAX_NAME_LENGTH} characters; got {len(name)}: {_shortened(name)}",
            archive,
        )
    path = PurePosixPath(name)
    # The backslash and the colon are harmless here, and not on Windows.
    if path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
        raise ModelError(
            f"an archive must unpack inside its folder; got the name {name!r}", archive
        )
    return path


def _shortened(name: str) -> str:
    return repr(name) if len(name) <= 60 else f"{name[:60]!r}..."
