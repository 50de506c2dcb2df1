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
            f"the file must be readable; got {error.strerror!r}", path
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            "the file must be UTF-8 text; got other bytes (save it as UTF-8)",
            path,
        ) from error


def read_filled(path: str | Path) -> str:
    """Return the text of a UTF-8 file that must not be empty.

    Raises:
        DataError: If it cannot be read, is not UTF-8, or is empty.
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(
            "a file of annotations must not be empty "
            "(for a video without events, write a CSV row with its name only: video,,,)",
            path,
        )
    return text


def write_text(path: str | Path, text: str) -> None:
    """Write *text* to a UTF-8 file atomically.

    Raises:
        DataError: If it cannot be written, or the text cannot be encoded as UTF-8.
    """
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the text must be encodable as UTF-8; got {text[error.start]!r} "
            "(the name of a file that is not UTF-8?)",
            path,
        ) from error
    try:
        write_atomically(Path(path), content)
    except OSError as error:
        raise DataError(
            f"the file must be writable; got {error.strerror!r}", path
        ) from error
