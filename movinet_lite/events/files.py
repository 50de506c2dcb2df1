"""Reads and writes text files."""

from __future__ import annotations

from pathlib import Path

from movinet_lite.atomic import write_atomically
from movinet_lite.errors import DataError

__all__ = ["read_filled", "read_text", "write_text"]


def read_text(path: str | Path) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark.

    Raises:
        DataError: If it cannot be read, or is not UTF-8.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"the file must be one that can be read; got {error.strerror!r}", path
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            "the file must be UTF-8 text; got bytes that are not (save it as UTF-8)",
            path,
        ) from error


def read_filled(path: str | Path) -> str:
    """Return the text of a UTF-8 file that must say something.

    Raises:
        DataError: If it cannot be read, is not UTF-8, or is empty.
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(
            "a file of annotations must not be empty "
            "(a video in which nothing happens? name it alone on a line of CSV: video,,,)",
            path,
        )
    return text


def write_text(path: str | Path, text: str) -> None:
    """Write *text* to a UTF-8 file, so that nobody sees half of it.

    Raises:
        DataError: If it cannot be written, or the text is not one that UTF-8 can hold.
    """
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the text must be one that UTF-8 can hold; got {text[error.start]!r} "
            "(the name of a file that is not UTF-8?)",
            path,
        ) from error
    try:
        write_atomically(Path(path), content)
    except OSError as error:
        raise DataError(
            f"the file must be one that can be written; got {error.strerror!r}", path
        ) from error
