"""Write files and directories atomically: a reader never sees an incomplete one.

An incomplete file or directory is in the same directory under a temporary name that ends in `TEMPORARY_PATTERN`, and is
then renamed. It has the default permissions of the process.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["TEMPORARY_PATTERN", "new_directory", "remove", "write_atomically"]

TEMPORARY_PATTERN = "." + "[0-9a-f]" * 8 + ".tmp"
"""The end of temporary names, for `glob`; they start with a dot and the final name."""


def _temporary_name(path: Path) -> Path:
    """Return an unused name in the directory of *path*, hidden from listings."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name in the directory of *path*, then rename it, replacing an existing file.

    Args:
        path: The file; its directory is created if it does not exist.
        content: The content of the file.
    """
    path = Path(os.path.realpath(path))  # if path is a link, it is preserved
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_directory(path: Path, *, through_link: bool = True) -> Iterator[Path]:
    """Yield an empty directory next to *path*, and rename it to *path* at the end of the block.

    An existing directory is replaced. If the block raises, nothing is left and *path* is unchanged.

    Args:
        path: The final directory; its parent is created if it does not exist.
        through_link: Whether to keep a link at *path* and replace its target; otherwise the link itself is replaced.
    """
    if through_link and path.exists():
        path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        if os.path.lexists(path):
            remove(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or directory atomically: under its name it is either complete or absent."""
    going = path.rename(_temporary_name(path))
    if going.is_dir() and not going.is_symlink():
        shutil.rmtree(going)
    else:
        going.unlink()
