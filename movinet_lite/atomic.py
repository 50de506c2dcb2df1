"""Write files and directories so that a reader never sees half of one.

What is being made stands beside its place under a name of its own, which ends in `TEMPORARY_PATTERN`, and moves there by one rename. It has
the permissions that the process gives to whatever it makes.
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
"""How the names of what is being made end, for `glob`; they begin with a dot and the name of what is made."""


def _temporary_name(path: Path) -> Path:
    """Return a name beside *path* that nothing has, hidden from listings."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name beside *path*, then rename it; a file that is there is replaced.

    Args:
        path: The file; its directory is made if there is none.
        content: What to write.
    """
    path = Path(os.path.realpath(path))  # where path is a link, it stays one
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
    """Give an empty directory beside *path*, and rename it to *path* once the block is through.

    What is there is replaced. If the block raises, nothing is left and *path* stays as it was.

    Args:
        path: The directory to be; its parent is made if there is none.
        through_link: Whether a link at *path* stays, and what it points to is replaced; else the link is.
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
    """Remove a file or a directory, which is all there under its name or not there at all, also while it goes."""
    going = path.rename(_temporary_name(path))
    if going.is_dir() and not going.is_symlink():
        shutil.rmtree(going)
    else:
        going.unlink()
