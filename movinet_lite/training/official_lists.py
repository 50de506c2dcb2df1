"""Reads the official lists of UCF-101, HMDB51, Kinetics and Something-Something.

References:
    [1] UCF-101, "Train/Test Splits for Action Recognition": https://www.crcv.ucf.edu/data/UCF101.php
    [2] HMDB51, "three splits": 1 is for training, 2 for testing, 0 for neither.
    [3] Kinetics: https://github.com/cvdfoundation/kinetics-dataset
    [4] Something-Something: R. Goyal et al., arXiv:1706.04261; a class is a template without its brackets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs

from movinet_lite.errors import DataError
from movinet_lite.training.examples import (
    PARTS,
    Example,
    ExampleSet,
    Part,
    Skipped,
    listed,
    make_example_set,
)
from movinet_lite.training.folders import find_files, is_video
from movinet_lite.training.groups import group_of
from movinet_lite.training.lists import parse_seconds, read_rows

__all__ = ["ListFormat", "find_format", "read_official_list"]

ListFormat: TypeAlias = Literal["UCF-101", "HMDB51", "Kinetics", "Something-Something"]

_HMDB_NAME: Final = re.compile(r"(.+)_test_split(\d+)\.txt")
_OTHER_PARTS: Final = ("val", "validate", "validation", "test")


@attrs.frozen
class _Row:
    """A row of a list: the name of a video without extension, its label and segment."""

    stem: str
    label: str
    part: Part
    start_s: float | None = None
    end_s: float | None = None


def find_format(path: Path) -> ListFormat | None:
    """Return the data set of a list, recognised by its name and first line; `None` if unknown."""
    if _HMDB_NAME.fullmatch(path.name):
        return "HMDB51"
    if re.fullmatch(r"(train|test)list\d*\.txt", path.name):
        return "UCF-101"
    if path.suffix.lower() == ".json":
        return "Something-Something"
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            if "youtube_id" in map(str.strip, file.readline(1000).split(",")):
                return "Kinetics"
    return None


def read_official_list(
    path: str | Path,
    *,
    videos: str | Path | None = None,
    validation: float = 0.2,
    seed: int = 0,
) -> ExampleSet:
    """Return the labelled videos in an official list of a public data set.

    - UCF-101: ``trainlist01.txt``; ``testlist01.txt`` and ``classInd.txt`` in the same folder are read as well.
    - HMDB51: one of the files ``*_test_split1.txt``; all files of that split in the same folder are read.
    - Kinetics: a ``.csv`` with the columns ``label,youtube_id,time_start,time_end,split``; for ``..train...csv``, the
      files with ``val``, ``validate`` or ``test`` in place of ``train`` are read as well.
    - Something-Something: ``...-train.json``; the file with ``validation`` in place of ``train`` is read as well.

    Videos are found by name in any folder below *videos*, with any extension. For Kinetics this is
    ``ID_START_END.mp4``, as the data set is published, or else ``ID.mp4``, of which the segment is used. Missing videos
    are listed in `ExampleSet.skipped`.

    Args:
        path: The list.
        videos: The folder of the videos; `None` for the list's own.
        validation: The share for validation, if no list specifies it; see `split_examples`.
        seed: Random seed of the split.

    Raises:
        DataError: If the list cannot be read, or none of its videos exists.
    """
    path = Path(path)
    kind = find_format(path)
    if kind is None:
        raise DataError("this is not an official list of a known data set", path)
    rows = list(_READERS[kind](path))
    root = path.parent if videos is None else Path(videos)
    if not root.is_dir():
        raise DataError("the folder of videos does not exist", root)
    files: dict[str, list[Path]] = {}
    for file in find_files(root):
        if is_video(file):
            files.setdefault(file.stem, []).append(file)
    found: dict[Part, list[Example]] = {}
    skipped: list[Skipped] = []
    for row in rows:
        example = _find(files, row)
        if example is None:
            skipped.append(Skipped(row.stem, row.label, f"it is not in {root}"))
        else:
            found.setdefault(row.part, []).append(example)
    if not found:
        raise DataError(
            f"at least one video of a list must exist; none of {len(rows)} is in {root}, such as {rows[0].stem} "
            "(set the folder with videos)",
            path,
        )
    return make_example_set(found, validation=validation, seed=seed, skipped=skipped)


def _find(files: dict[str, list[Path]], row: _Row) -> Example | None:
    start_s, end_s = row.start_s, row.end_s
    stem = row.stem
    if start_s is not None and end_s is not None:
        trimmed = f"{stem}_{round(start_s):06}_{round(end_s):06}"
        if trimmed in files:
            stem, start_s, end_s = trimmed, None, None
    matches = files.get(stem, [])
    if len(matches) > 1:
        raise DataError(
            f"each video of a list must exist only once; {stem} exists as {listed([str(one) for one in matches])}"
        )
    if not matches:
        return None
    group = group_of(stem) or row.stem
    return Example(matches[0], row.label, start_s, end_s, group)


def _read_ucf(path: Path) -> Iterator[_Row]:
    classes: dict[str, str] = {}
    index = path.with_name("classInd.txt")
    if index.is_file():
        for number, line in _lines(index):
            place, _, label = line.partition(" ")
            if not label:
                raise DataError(f"line {number} must be a number and a class", index)
            classes[place] = label.strip()
    for part, file in _with_other_parts(path).items():
        for number, line in _lines(file):
            name, _, place = line.partition(" ")
            label, _, video = name.rpartition("/")
            if not label:
                raise DataError(
                    f"line {number} must be CLASS/VIDEO; got {name!r}", file
                )
            if place and classes and classes.get(place.strip()) != label:
                raise DataError(
                    f"line {number} has class {place.strip()}, which is {classes.get(place.strip())!r} in {index.name} "
                    f"and not {label!r}",
                    file,
                )
            yield _Row(Path(video).stem, label, part)


def _read_hmdb(path: Path) -> Iterator[_Row]:
    match = _HMDB_NAME.fullmatch(path.name)
    number = match[2] if match else "1"
    parts: dict[str, Part | None] = {"0": None, "1": "training", "2": "test"}
    for file in sorted(path.parent.glob(f"*_test_split{number}.txt")):
        label = file.name.removesuffix(f"_test_split{number}.txt")
        for line_number, line in _lines(file):
            name, _, which = line.rpartition(" ")
            if which not in parts or not name:
                raise DataError(
                    f"line {line_number} must be a video and 0, 1 or 2; got {line!r}",
                    file,
                )
            part = parts[which]
            if part is not None:
                yield _Row(Path(name.strip()).stem, label, part)


def _read_kinetics(path: Path) -> Iterator[_Row]:
    for part, file in _with_other_parts(path).items():
        for line, row in read_rows(file):
            if not row.get("label") or not row.get("youtube_id"):
                raise DataError(
                    f"each line must have a label and a youtube_id; line {line} does not",
                    file,
                )
            start_s, end_s = (
                parse_seconds(file, line, column, row.get(column, ""))
                for column in ("time_start", "time_end")
            )
            split = PARTS.get(row.get("split", "").lower(), part)
            yield _Row(row["youtube_id"], row["label"], split, start_s, end_s)


def _read_something(path: Path) -> Iterator[_Row]:
    for part, file in _with_other_parts(path).items():
        if part == "test":
            continue  # its labels are not published
        try:
            videos = json.loads(file.read_text(encoding="utf-8"))
            for video in videos:
                label = video["template"].replace("[", "").replace("]", "")
                yield _Row(str(video["id"]), label, part)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"a list of Something-Something must be JSON, a list of videos with id and template; this one is not: {error!r}",
                file,
            ) from error


_READERS: Final[dict[ListFormat, Callable[[Path], Iterator[_Row]]]] = {
    "UCF-101": _read_ucf,
    "HMDB51": _read_hmdb,
    "Kinetics": _read_kinetics,
    "Something-Something": _read_something,
}


def _with_other_parts(path: Path) -> dict[Part, Path]:
    """Return the list and, for a training list, the lists of the other splits in the same folder."""
    before, word, after = path.name.rpartition("train")
    found: dict[Part, Path] = {"training": path}
    if not word:
        return found
    for name in _OTHER_PARTS:
        other = path.with_name(before + name + after)
        if other.is_file():
            found.setdefault(PARTS[name], other)
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a list must be readable text: {error}", path) from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()
