"""Lists the videos in folders, glob patterns and list files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from movinet_lite.batch.storage import is_remote, list_remote
from movinet_lite.errors import DataError
from movinet_lite.training.folders import VIDEO_ENDINGS, is_video
from movinet_lite.training.lists import read_rows

__all__ = ["find_videos"]

_COLUMNS: Final = ("path", "video")


def find_videos(inputs: str | Path | Iterable[str | Path]) -> list[str]:
    """Return the paths of the videos for *inputs*, each once, in order.

    Args:
        inputs: One of these, or several:

            - a folder, for all videos below it by file extension; hidden files and folders are ignored;
            - a pattern such as ``"videos/**/*.mp4"``;
            - a ``.txt`` file with a path or URL per line; empty lines and lines that start with ``#`` are ignored;
            - a ``.csv`` file with a column ``path`` or ``video``;
            - a URL in remote storage, such as ``"s3://bucket/clip.mp4"``; a pattern, or a folder that ends in ``/``;
            - the path of a video.

            Paths in a list are relative to the folder of the list.

    Returns:
        The paths as given or found. Existence is not checked: a missing file becomes a row with an error.

    Raises:
        DataError: If a list cannot be read, or there is no video in a folder, a pattern or in total.
    """
    given = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    found = [path for one in given for path in _videos_of(os.fspath(one))]
    if not found:
        raise DataError("a batch must have at least one video; got none")
    return list(dict.fromkeys(found))


def _videos_of(text: str) -> Iterable[str]:
    if is_remote(text):
        return _filled(text, list_remote(text, VIDEO_ENDINGS))
    path = Path(text)
    if path.is_dir():
        return _filled(text, _below(text))
    if path.suffix.lower() == ".txt":
        return _in_list(path, _lines(path))
    if path.suffix.lower() == ".csv":
        return _in_list(path, _cells(path))
    if glob.has_magic(text) and not path.exists():
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - also absolute ones
        return _filled(text, [one for one in matches if Path(one).is_file()])
    return [str(path)]


def _filled(text: str, found: Iterable[str]) -> list[str]:
    paths = list(found)
    if not paths:
        raise DataError(
            "a folder or pattern must match at least one video; it matches none",
            text,
        )
    return paths


def _below(folder: str) -> Iterator[str]:
    # pathlib does not follow links to folders before Python 3.13, and only some later.
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and is_video(path) and path.is_file():
                yield str(path)


def _in_list(path: Path, names: Iterable[str]) -> list[str]:
    found = [
        name if is_remote(name) else str(path.parent / name) for name in names if name
    ]
    if not found:
        raise DataError(
            "a list of videos must contain at least one; it contains none", path
        )
    return found


def _lines(path: Path) -> Iterator[str]:
    try:
        text = os.fsdecode(path.read_bytes()).removeprefix("\ufeff")
    except OSError as error:
        raise DataError(
            f"a list of videos must be a readable file; got {error.strerror!r}",
            path,
        ) from error
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            yield line.strip()


def _cells(path: Path) -> Iterator[str]:
    rows = read_rows(path)
    columns = {name.lower(): name for name in rows[0][1]}
    column = next((columns[name] for name in _COLUMNS if name in columns), None)
    if column is None:
        raise DataError(
            f"a list of videos must have a column {' or '.join(_COLUMNS)} in its first line; got {', '.join(columns)}",
            path,
        )
    return (row[column] for _, row in rows)
