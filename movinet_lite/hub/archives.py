"""Unpacks downloaded archives safely: inside their folder, within limits on size and memory."""

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
"""Maximum unpacked size of an archive: 1 GiB. The largest MoViNet needs a fraction of that."""

MAX_FILES = 10_000
"""Maximum number of files and folders in an archive. A SavedModel has about ten."""

MAX_NAME_LENGTH = 1000
"""Maximum length of a name in an archive, including folders, in characters."""

_MAX_HEADER_BYTES = 1 << 16
"""Maximum size of an extended header in bytes; `tarfile` reads the whole header into memory."""

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
    """Unpack a ``.tar.gz`` file, rejecting anything that a model does not need.

    Only regular files and folders below *folder* are written, with default permissions. The checksum of the whole
    archive is verified.

    Args:
        archive: The file; its name can be anything.
        folder: The folder to unpack into; it must exist. After an error it may contain part of the archive.
        max_bytes: Maximum unpacked size, in bytes.
        max_files: Maximum number of files and folders, including parent folders that are only implied by names.

    Raises:
        ModelError: If the archive is damaged or truncated, exceeds the limits, or contains links, devices, or names
            outside the folder.
    """
    paths: set[PurePosixPath] = set()
    try:
        with _LimitedGzip(archive, max_bytes) as stream:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_BoundedHeader) as tar:
                for member in tar:
                    name = _check_name(member.name, archive)
                    paths.update((name, *name.parents))
                    if len(paths) > max_files + 1:  # "." is not one of them
                        raise ModelError(
                            f"an archive may contain at most {max_files} files and folders; this one contains more",
                            archive,
                        )
                    if member.size < 0:
                        raise tarfile.ReadError(f"a file of {member.size} bytes")
                    _unpack_member(tar, member, archive, folder / name)
            # The checksum is at the end.
            while stream.read(1 << 16):
                pass
    except _NOT_AN_ARCHIVE as error:
        raise ModelError(
            f"the archive is damaged or truncated ({said_by(error)})", archive
        ) from error


# `tarfile` does not convert errors from reading numbers and headers that refer to others.
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
    """A header of an archive; a large one raises an error."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _LONG_HEADERS and header.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(
                f"a header may have at most {_MAX_HEADER_BYTES} bytes; got {header.size}"
            )
        return header


class _LimitedGzip(gzip.GzipFile):
    """A gzip file that raises an error once it has unpacked more than *max_bytes*."""

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
        # The holes of a sparse file take no space in the archive, and would bypass the limit.
        if contents is None or member.issparse():
            kind = "a sparse file" if member.issparse() else _KINDS.get(member.type)
            raise ModelError(
                f"the archive of a model may contain only files and folders; got {kind or 'something else'} named "
                f"{member.name!r}",
                archive,
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with contents, target.open("xb") as file:
            shutil.copyfileobj(contents, file)
    except (FileExistsError, NotADirectoryError) as error:
        raise ModelError(
            f"an archive must contain each name only once; got {member.name!r} again",
            archive,
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
    # Backslash and colon are harmless here, but not on Windows.
    if path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
        raise ModelError(
            f"an archive must unpack inside its folder; got the name {name!r}", archive
        )
    return path


def _shortened(name: str) -> str:
    return repr(name) if len(name) <= 60 else f"{name[:60]!r}..."
