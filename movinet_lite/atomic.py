"""Write files and directories so that a reader never sees half of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["new_directory", "write_atomically"]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name beside *path*, then rename it; a file that is there is replaced.

    Args:
        path: The file; its directory is made if there is none.
        content: What to write.
    """
    path = Path(os.path.realpath(path))  # where path is a link, it stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)  # mkstemp lets only its maker read
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give an empty directory beside *path*, and rename it to *path* once the block is through.

    A directory that is there is replaced. If the block raises, nothing is left and *path* stays as it was.

    Args:
        path: The directory to be; its parent is made if there is none.
    """
    path = Path(os.path.realpath(path))  # where path is a link, it stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp lets only its maker in
        if path.is_dir():
            old = temporary.with_name(temporary.name + "-old")
            path.replace(old)
            temporary.replace(path)
            shutil.rmtree(old)
        else:
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
