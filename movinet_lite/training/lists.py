"""Reads labelled examples from a ``.csv`` file."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from movinet_lite.errors import DataError
from movinet_lite.training.examples import (
    PARTS,
    Example,
    ExampleSet,
    Part,
    listed,
    make_example_set,
)
from movinet_lite.training.groups import group_of

__all__ = ["parse_seconds", "read_csv", "read_rows"]

_COLUMNS: Final = {
    "path": "path",
    "label": "label",
    "split": "split",
    "group": "group",
    **dict.fromkeys(("start", "start_s", "time_start", "start_time"), "start"),
    **dict.fromkeys(("end", "end_s", "time_end", "end_time"), "end"),
}


def read_csv(
    path: str | Path,
    *,
    videos: str | Path | None = None,
    validation: float = 0.2,
    seed: int = 0,
) -> ExampleSet:
    """Return the labelled videos, or segments of videos, listed in a ``.csv`` file.

    Args:
        path: A UTF-8 file, with a header and the columns ``path`` and ``label``. It may also have ``start`` and ``end``
            (seconds; a video may then have several rows), ``group`` (videos of one group go into the same split) and
            ``split`` (``train``, ``val`` or ``test``). Other columns are ignored, with a warning.
        videos: The folder that relative paths start from; `None` for the file's folder.
        validation: The share for validation, if no row has ``val``; see `split_examples`.
        seed: Random seed of the split.

    Raises:
        DataError: If the file does not exist, a column, value or video is missing, a segment is repeated, or there are
            fewer than two classes.
    """
    path = Path(path)
    root = path.parent if videos is None else Path(videos)
    rows = [(line, _rename(path, row)) for line, row in read_rows(path)]
    columns = rows[0][1]
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        raise DataError(
            f"a list of examples must have the columns path and label in its first line; {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing",
            path,
        )
    unknown = [name for name in columns if name not in _COLUMNS.values()]
    if unknown:
        warnings.warn(
            f"{path}: the columns {listed(unknown)} are ignored; known columns are path, label, split, start, end "
            "and group",
            stacklevel=2,
        )
    found: dict[Part, list[Example]] = {}
    seen: dict[object, int] = {}
    for line, row in rows:
        example = _as_example(path, root, line, row)
        segment = (example.source, example.start_s, example.end_s)
        first = seen.setdefault(segment, line)
        if first != line:
            raise DataError(
                f"each video or segment must be listed once; line {line} lists {example.name!r} again, after line "
                f"{first}",
                path,
            )
        found.setdefault(_part(path, line, row), []).append(example)
    return make_example_set(found, validation=validation, seed=seed)


def read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a ``.csv`` file as dictionaries by column name, each with its line number.

    Raises:
        DataError: If the file cannot be read, has no rows, or a row has more cells than the header.
    """
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            for cells in reader:
                if not any(map(str.strip, cells)):
                    continue
                if len(cells) > len(header):
                    raise DataError(
                        f"each line must have at most {len(header)} cells, as in the first line; line "
                        f"{reader.line_num} has {len(cells)} (quote text that contains a comma)",
                        path,
                    )
                padded = [*cells, *[""] * (len(header) - len(cells))]
                row = zip(header, map(str.strip, padded), strict=True)
                rows.append((reader.line_num, dict(row)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"a list of examples must be readable UTF-8 text: {error}", path
        ) from error
    if not rows:
        raise DataError(
            "a list of examples must have the columns path and label in its first line, and at least one row",
            path,
        )
    return rows


def parse_seconds(path: Path, line: int, name: str, text: str) -> float | None:
    """Return a time in seconds; `None` for an empty cell.

    Raises:
        DataError: If the text is not a number.
    """
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise DataError(
            f"{name} must be a number of seconds; line {line} has {text!r}", path
        ) from error


def _rename(path: Path, row: Mapping[str, str]) -> dict[str, str]:
    """Return a row with the standard names of its columns."""
    found: dict[str, str] = {}
    for name, value in row.items():
        known = _COLUMNS.get(name.lower(), name)
        if known in found:
            raise DataError(
                f"a list must have at most one column for {known}; it has another, {name!r}",
                path,
            )
        found[known] = value
    return found


def _as_example(path: Path, root: Path, line: int, row: Mapping[str, str]) -> Example:
    name, label = row["path"], row["label"]
    if not name or not label:
        raise DataError(
            f"each line must have a path and a label; line {line} does not", path
        )
    video = root / name
    if not video.is_file():
        raise DataError(f"each video must exist; {video} of line {line} does not", path)
    start_s, end_s = (
        parse_seconds(path, line, column, row.get(column, ""))
        for column in ("start", "end")
    )
    group = row.get("group") or group_of(video.stem)
    try:
        return Example(video, label, start_s, end_s, group)
    except DataError as error:
        raise DataError(f"{error.message} (line {line})", path) from error


def _part(path: Path, line: int, row: Mapping[str, str]) -> Part:
    if "split" not in row:
        return "training"
    part = PARTS.get(row["split"].lower())
    if part is None:
        raise DataError(
            f"split must be train, val or test; line {line} has {row['split']!r}", path
        )
    return part
