"""From a downloaded archive to files: nothing lands outside the folder, and nothing fills the disk."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from movinet_lite.errors import ModelError

__all__ = ["MAX_FILES", "MAX_UNPACKED_BYTES", "unpack"]

MAX_UNPACKED_BYTES = 1 << 30
"""The most that an archive may unpack to: 1 GiB. The largest MoViNet takes a fraction of that."""

MAX_FILES = 10_000
"""The most files and folders that an archive may hold. A SavedModel holds about ten."""

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
        max_files: The most files and folders that it may hold.

    Raises:
        ModelError: If the archive is damaged or cut short, larger than the limits, or holds links, devices, or
            names that lead outside.
    """
    try:
        with _LimitedGzip(archive, max_bytes) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for number, member in enumerate(tar):
                    if number == max_files:
                        raise ModelError(
                            f"an archive may hold at most {max_files} files and folders; this one holds more",
                            archive,
                        )
                    _unpack_member(tar, member, archive, folder)
            # The checksum stands at the very end.
            while stream.read(1 << 16):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise ModelError(
            f"the archive is damaged or cut short ({error})", archive
        ) from error


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
    tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path, folder: Path
) -> None:
    target = folder / _check_name(member.name, archive)
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


def _check_name(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    # The backslash and the colon are harmless here, and not on Windows.
    if path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
        raise ModelError(
            f"an archive must unpack inside its folder; got the name {name!r}", archive
        )
    return path
