"""Caches downloads and compiled models in a folder shared by all processes.

::

    <cache folder>/
        models/<entry>/                   a model: saved_model.pb and variables/, or one .tflite file
        models/<entry>/movinet_lite_cache.json    the note: source, date, size and checksum
        models/.<entry>.lock              empty; locked while a process creates the entry
        models/.<entry>.<random>.tmp/     an incomplete entry; the next attempt removes leftovers of killed processes
        compiled/<entry>/                 the same for compiled models

A complete entry is renamed to its final name in one step. To create one::

    with locked(entry):                 # other processes and threads wait here
        if not entry.exists():          # another may have created it meanwhile
            with new_folder(entry) as folder:
                ...                     # write files into folder
                write_note(folder, address=...)
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs

from movinet_lite.atomic import TEMPORARY_PATTERN, new_directory, remove
from movinet_lite.errors import ModelError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = [
    "CacheEntry",
    "cache_folder",
    "cached_models",
    "clear_cache",
    "compiled_folder",
    "locked",
    "models_folder",
    "new_folder",
    "read_note",
    "write_note",
]

NOTE_NAME = "movinet_lite_cache.json"
"""The file in an entry that records its source; not ``movinet_lite.json``, which is part of models of this package."""

LOCK_POLL_S = 0.1
"""Polling interval for a lock that another process holds, in seconds."""

logger = logging.getLogger(__name__)


@attrs.frozen
class CacheEntry:
    """A folder of the cache.

    Attributes:
        path: The folder.
        num_bytes: Size on disk, in bytes.
        address: The source of its contents; `None` if it was added by hand.
        sha256: The checksum of the download, in hexadecimal; `None` if unknown.
        fetched: The time of the download, as ISO 8601 in UTC; `None` if unknown.
    """

    path: Path
    num_bytes: int
    address: str | None = None
    sha256: str | None = None
    fetched: str | None = None


def cache_folder() -> Path:
    """Return the cache folder; it need not exist yet.

    This is the value of the environment variable ``MOVINET_LITE_CACHE``, or else ``movinet-lite`` in the platform's
    cache folder (``~/.cache`` on Linux).

    Raises:
        ModelError: If the variable starts with ``~`` and the name of a user that does not exist.
    """
    named = os.environ.get("MOVINET_LITE_CACHE")
    if named:
        try:
            return Path(named).expanduser().absolute()
        except RuntimeError as error:
            raise ModelError(
                f"MOVINET_LITE_CACHE must be a folder; got {named!r}, whose home folder is unknown"
            ) from error
    from platformdirs import user_cache_path

    return user_cache_path("movinet-lite", appauthor=False)


def models_folder() -> Path:
    """Return the cache folder of downloaded models."""
    return cache_folder() / "models"


def compiled_folder() -> Path:
    """Return the cache folder of compiled models."""
    return cache_folder() / "compiled"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock *path* against other processes and threads while it is created, replaced or removed.

    This is a file lock of the operating system, on an empty file next to *path*: it is released when its process ends,
    for any reason. It is not reentrant: a thread that locks twice waits forever.

    Args:
        path: The path to lock; its parent folder is created if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as file:
        waiting = False
        while not _try_lock(file):
            if not waiting:
                logger.info("waiting for another process that is creating %s", path)
                waiting = True
            time.sleep(LOCK_POLL_S)
        try:
            yield
        finally:
            _unlock(file)


if sys.platform == "win32":

    def _try_lock(file: IO[str]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(file: IO[str]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: IO[str]) -> None:
        # Closing would not suffice: a process forked meanwhile shares the lock.
        fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield an empty folder, which is renamed to *final* on success and removed on failure.

    Use it under `locked`. An existing *final* is replaced; leftovers of killed processes are removed.

    Args:
        final: The final path of the complete folder.

    Yields:
        The folder to fill, on the same disk as *final*.
    """
    _remove_leftovers(final)
    with new_directory(final, through_link=False) as folder:
        yield folder


def write_note(folder: Path, **facts: object) -> None:
    """Write a note on the source of the contents to *folder*.

    Args:
        folder: The entry, before it has its final name.
        **facts: JSON-compatible values. `cached_models` returns ``address`` and ``sha256``; the time is added.
    """
    fetched = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = json.dumps({**facts, "fetched": fetched}, indent=2)
    (folder / NOTE_NAME).write_text(text + "\n", encoding="utf-8")


def read_note(folder: Path) -> dict[str, object] | None:
    """Return the note that `write_note` wrote to *folder*, or `None` if there is none."""
    try:
        note = json.loads((folder / NOTE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def cached_models() -> tuple[CacheEntry, ...]:
    """Return the models in the cache, sorted by name, including those unpacked there by hand."""
    return tuple(_read_entry(folder) for folder in _entries(models_folder()))


def clear_cache() -> tuple[CacheEntry, ...]:
    """Remove the library's entries from the cache, and return them.

    Folders without the library's note, such as models unpacked by hand, are kept. The call waits for running downloads.

    Returns:
        The removed entries: downloaded and compiled models.
    """
    removed = []
    for parent in (models_folder(), compiled_folder()):
        for folder in _entries(parent):
            with locked(folder):
                if read_note(folder) is not None:
                    removed.append(_read_entry(folder))
                    remove(folder)
        for lock in parent.glob(".*.lock"):
            final = parent / lock.name.removeprefix(".").removesuffix(".lock")
            with locked(final):
                _remove_leftovers(final)
    return tuple(removed)


def _entries(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(
        path
        for path in parent.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )


def _read_entry(folder: Path) -> CacheEntry:
    note = read_note(folder) or {}

    def text(key: str) -> str | None:
        value = note.get(key)
        return value if isinstance(value, str) else None

    num_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return CacheEntry(
        path=folder,
        num_bytes=num_bytes,
        address=text("address"),
        sha256=text("sha256"),
        fetched=text("fetched"),
    )


def _remove_leftovers(final: Path) -> None:
    for leftover in final.parent.glob(f".{final.name}{TEMPORARY_PATTERN}"):
        shutil.rmtree(leftover, ignore_errors=True)
