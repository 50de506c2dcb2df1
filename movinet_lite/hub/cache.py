"""Caches downloads and compiled models in a folder that processes share.

::

    <cache folder>/
        models/<entry>/                   a model: saved_model.pb and variables/, or one .tflite file
        models/<entry>/movinet_lite_cache.json    the note: where it came from, when, its size and checksum
        models/.<entry>.lock              empty; locked by the system while a process makes the entry
        models/.<entry>.<random>.tmp/     an entry being made; what a killed process left goes with the next attempt
        compiled/<entry>/                 the same for models that the library compiled

An entry appears under its name by one rename, when all of it is there. To make one::

    with locked(entry):                 # other processes and threads wait here
        if not entry.exists():          # another may have made it meanwhile
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
"""The file in an entry that says where the entry came from; not ``movinet_lite.json``, which models of ours bring."""

LOCK_POLL_S = 0.1
"""Seconds between two looks at a lock that another process holds."""

logger = logging.getLogger(__name__)


@attrs.frozen
class CacheEntry:
    """One folder of the cache.

    Attributes:
        path: The folder.
        num_bytes: How much it takes on the disk.
        address: Where its contents came from; `None` if it was put there by hand.
        sha256: The checksum of what was downloaded, in hexadecimal; `None` if unknown.
        fetched: When, as ISO 8601 in UTC; `None` if unknown.
    """

    path: Path
    num_bytes: int
    address: str | None = None
    sha256: str | None = None
    fetched: str | None = None


def cache_folder() -> Path:
    """Return the folder where models are kept; it need not exist yet.

    It is the one that the environment variable ``MOVINET_LITE_CACHE`` names, or else ``movinet-lite`` in the
    platform's folder for caches (``~/.cache`` on Linux).

    Raises:
        ModelError: If the variable begins with ``~`` and a user that does not exist.
    """
    named = os.environ.get("MOVINET_LITE_CACHE")
    if named:
        try:
            return Path(named).expanduser().absolute()
        except RuntimeError as error:
            raise ModelError(
                f"MOVINET_LITE_CACHE must name a folder; got {named!r}, and no home folder of such a user is known"
            ) from error
    from platformdirs import user_cache_path

    return user_cache_path("movinet-lite", appauthor=False)


def models_folder() -> Path:
    """Return the folder of the cache that holds the models as they were fetched."""
    return cache_folder() / "models"


def compiled_folder() -> Path:
    """Return the folder of the cache that holds what the library compiled."""
    return cache_folder() / "compiled"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep all other processes and threads out while one makes, replaces or removes *path*.

    The lock is the system's, on an empty file beside *path*: it goes when its holder ends, however that ends. It is
    not reentrant: asking for it twice in one thread waits for ever.

    Args:
        path: What to make; its parent folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as file:
        waiting = False
        while not _try_lock(file):
            if not waiting:
                logger.info("waiting for another process that is making %s", path)
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
        # Closing would not do: a process forked meanwhile shares the lock.
        fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which becomes *final* when all went well and disappears when not.

    To be used under `locked`. What stood at *final* is replaced; what killed processes left behind is removed.

    Args:
        final: Where the folder shall appear, complete, by one rename.

    Yields:
        The folder to fill, on the same disk as *final*.
    """
    _remove_leftovers(final)
    with new_directory(final, through_link=False) as folder:
        yield folder


def write_note(folder: Path, **facts: object) -> None:
    """Write into *folder* where its contents came from.

    Args:
        folder: The entry, before it gets its final name.
        **facts: What JSON can hold. `cached_models` shows ``address`` and ``sha256``; the time is added.
    """
    fetched = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = json.dumps({**facts, "fetched": fetched}, indent=2)
    (folder / NOTE_NAME).write_text(text + "\n", encoding="utf-8")


def read_note(folder: Path) -> dict[str, object] | None:
    """Return what `write_note` wrote into *folder*, or `None` if there is no such note."""
    try:
        note = json.loads((folder / NOTE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def cached_models() -> tuple[CacheEntry, ...]:
    """Return the models in the cache, by name, those unpacked there by hand included."""
    return tuple(_read_entry(folder) for folder in _entries(models_folder()))


def clear_cache() -> tuple[CacheEntry, ...]:
    """Remove what the library put into the cache, and return what that was.

    Folders without the library's note, such as a model unpacked by hand, stay. Waits for downloads under way.

    Returns:
        The entries removed: models fetched, and models compiled.
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
