r"""Appends rows to a JSON lines file: only complete lines, and each video once.

A line is written and synced to the disk before its video is counted as done. A process that is killed in the middle of a
line leaves one without its end, which the next run cuts off; that video is then done again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from movinet_lite.atomic import write_atomically
from movinet_lite.batch.one_video import Row
from movinet_lite.errors import DataError

__all__ = ["Journal", "read_rows"]


class Journal:
    """The rows of a batch, in a file of JSON lines: a context manager.

    Args:
        path: The file; it is created if it does not exist.
        settings: The digest of the job; a file with rows of another job raises an error.
        retry_errors: Whether to drop rows with errors, so that their videos are processed again.

    Attributes:
        done: The paths of the videos that have a row.
        failed: Those whose row was an error when the file was opened.

    Raises:
        DataError: If the file cannot be read or written, is in use by another batch, or is not a file of results.
    """

    def __init__(
        self, path: Path, settings: str, *, retry_errors: bool = False
    ) -> None:
        self._path = path
        self.done: set[str] = set()
        self.failed: set[str] = set()
        with _as_data_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        try:
            self._lock()
            with _as_data_errors(path):
                self._cut_torn_line()
            self._check(settings)
            if retry_errors:
                self._drop_errors()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # A line that could not be written is written once more, in vain; its error was said.
        with contextlib.suppress(OSError):
            self._file.close()

    def append(self, rows: Iterable[Row]) -> None:
        """Write rows, and sync them to disk together.

        Raises:
            DataError: If it cannot be written.
        """
        # ASCII: a file name may contain bytes that are not UTF-8.
        lines = {row["path"]: f"{json.dumps(row, allow_nan=False)}\n" for row in rows}
        with _as_data_errors(self._path):
            self._file.write("".join(lines.values()).encode("ascii"))
            self._file.flush()
            os.fsync(self._file.fileno())
        self.done.update(lines)

    def _lock(self) -> None:
        """Lock the file until it is closed or the process ends."""
        try:
            from fcntl import LOCK_EX, LOCK_NB, flock
        except ImportError:  # Windows
            return
        try:
            flock(self._file, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            raise DataError(
                "only one batch at a time can write a file of results; another one is writing it",
                self._path,
            ) from error

    def _cut_torn_line(self) -> None:
        length = self._file.seek(0, os.SEEK_END)
        whole = _end_of_last_line(self._file, length)
        if whole < length:
            self._file.truncate(whole)
            os.fsync(self._file.fileno())

    def _check(self, settings: str) -> None:
        for number, row in _numbered_rows(self._path):
            if row["settings"] != settings:
                raise DataError(
                    f"a file of results must belong to one model with one set of options; line {number} belongs to "
                    "others "
                    "(use another --output, or the same options)",
                    self._path,
                )
            self.done.add(row["path"])
            if row["error"] is not None:
                self.failed.add(row["path"])

    def _drop_errors(self) -> None:
        if not self.failed:
            return
        kept = [row for _, row in _numbered_rows(self._path) if row["error"] is None]
        lines = b"".join(json.dumps(row).encode("ascii") + b"\n" for row in kept)
        with _as_data_errors(self._path):
            write_atomically(self._path, lines)
            self._file.close()
            self._file = self._path.open("a+b")
        self._lock()
        self.done -= self.failed
        self.failed = set()


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file of results.

    Raises:
        DataError: If it cannot be read, or is not a file of results.
    """
    for _, row in _numbered_rows(path):
        yield row


def _numbered_rows(path: Path) -> Iterator[tuple[int, Row]]:
    with _as_data_errors(path), path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            yield number, _as_row(path, number, line)


def _as_row(path: Path, number: int, line: bytes) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not {"path", "settings", "error"} <= set(row):
        raise DataError(
            f"the file must contain rows of a batch; line {number} is not a row (use another --output)",
            path,
        )
    return row


def _end_of_last_line(file: BinaryIO, length: int) -> int:
    """Return the end of the last complete line of a file."""
    end = length
    while end:
        start = max(0, end - 2**16)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


@contextlib.contextmanager
def _as_data_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"the file of results must be writable; got {error.strerror or error!r}",
            path,
        ) from error
