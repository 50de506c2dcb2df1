"""From a folder or a list of videos to labelled examples, some to train on and some to validate with (no TensorFlow)."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from movinet_lite.arrays import Clip
from movinet_lite.errors import DataError
from movinet_lite.labels import check_labels

__all__ = [
    "VIDEO_ENDINGS",
    "Example",
    "ExampleSet",
    "Skipped",
    "check_known",
    "count_labels",
    "read_csv",
    "read_examples",
    "read_folder",
    "split_examples",
]

VIDEO_ENDINGS: Final = frozenset(
    {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
)
"""Endings, in small letters, of the files in a folder that count as videos."""

_PARTS: Final = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "validation",
}
_MAX_NAMED: Final = 3


@attrs.frozen(eq=False)
class Example:
    """A clip and what it shows.

    Attributes:
        source: The path of a video file; or a clip, ``(frames, height, width, 3)``, uint8, 0 to 255, or
            float32, 0 to 1, RGB, at the frame rate of the model that will see it.
        label: The name of the action.
    """

    source: Path | Clip
    label: str

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return str(self.source) if isinstance(self.source, Path) else "a clip in memory"


@attrs.frozen
class Skipped:
    """A video that could not be used.

    Attributes:
        name: The path of the file.
        label: What it was to show.
        reason: What is wrong with it.
    """

    name: str
    label: str
    reason: str


@attrs.frozen(eq=False)
class ExampleSet:
    """Examples to train on, and others to validate with.

    Attributes:
        labels: The names of the classes, in ASCII order.
        training: Examples that the weights are learnt from.
        validation: Examples that tell how good they are; none if none were kept aside.
    """

    labels: tuple[str, ...]
    training: tuple[Example, ...]
    validation: tuple[Example, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Check that there is something to learn."""
        check_labels(self.labels)
        if len(self.labels) < 2:
            raise DataError(
                f"there must be at least two classes to tell apart; got {len(self.labels)}: {', '.join(self.labels)}"
            )
        check_known(self.labels, (*self.training, *self.validation))
        counts = count_labels(self.training, self.labels)
        empty = [label for label, count in counts.items() if not count]
        if empty:
            raise DataError(
                f"each class must have a video to train on; without one: {_listed(empty)}"
            )


def count_labels(
    examples: Iterable[Example], labels: Sequence[str]
) -> Mapping[str, int]:
    """Return how many of *examples* each of *labels* has."""
    counts = dict.fromkeys(labels, 0)
    for example in examples:
        counts[example.label] += 1
    return counts


def read_examples(
    path: str | Path, *, validation: float = 0.2, seed: int = 0
) -> ExampleSet:
    """Return the labelled videos in a folder, or those a ``.csv`` file names.

    Args:
        path: As `read_folder` or `read_csv` takes it.
        validation: As in `read_folder`.
        seed: As in `read_folder`.

    Raises:
        DataError: As `read_folder` and `read_csv`; also if there is nothing at *path*.
    """
    path = Path(path)
    if path.is_dir():
        return read_folder(path, validation=validation, seed=seed)
    if not path.is_file():
        raise DataError("there is no such folder or .csv file", path)
    if path.suffix.lower() != ".csv":
        raise DataError(
            "examples must be a folder with a folder of videos for each class, or a .csv file with the columns path and "
            "label; got a file of another kind",
            path,
        )
    return read_csv(path, validation=validation, seed=seed)


def read_folder(
    path: str | Path, *, validation: float = 0.2, seed: int = 0
) -> ExampleSet:
    """Return the labelled videos of a folder that has one folder of videos for each class.

    The name of a folder is the label. The folder may also have two folders, ``train`` and ``val``, with the classes in
    each; then these are the two parts. Files that are no videos by their ending, and hidden ones, are passed over.

    Args:
        path: The folder.
        validation: The share of each class's videos to validate with, at least 0 and below 1, where the folder is not
            parted already. A class with two videos or more keeps at least one for each part.
        seed: Of the choice; the same files are chosen for the same seed.

    Raises:
        DataError: If there is no such folder, a class has no video, or there are not two classes.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError("there is no such folder", path)
    folders = _folders(path)
    parts = {_PARTS.get(folder.name.lower()) for folder in folders}
    if folders and parts == {"training", "validation"}:
        return _read_parted_folder(path, folders)
    if not folders:
        raise DataError(
            "a folder of examples must hold a folder of videos for each class, named as the class; it holds no folder",
            path,
        )
    return split_examples(_read_classes(path), validation=validation, seed=seed)


def _read_parted_folder(path: Path, folders: Sequence[Path]) -> ExampleSet:
    found: dict[str, list[Example]] = {"training": [], "validation": []}
    for folder in folders:
        if not _folders(folder):
            raise DataError(
                "a part of the examples must hold a folder of videos for each class; it holds no folder",
                folder,
            )
        found[_PARTS[folder.name.lower()]] += _read_classes(folder)
    labels = sorted({example.label for example in found["training"]})
    unknown = sorted({one.label for one in found["validation"]} - set(labels))
    if unknown:
        raise DataError(
            f"each class to validate must be trained too; without videos to train on: {_listed(unknown)}",
            path,
        )
    return ExampleSet(
        tuple(labels), tuple(found["training"]), tuple(found["validation"])
    )


def _read_classes(path: Path) -> list[Example]:
    examples: list[Example] = []
    for folder in _folders(path):
        videos = _videos(folder)
        if not videos:
            raise DataError(
                "each class must have at least one video; its folder holds no file that ends in "
                f"{', '.join(sorted(VIDEO_ENDINGS))}",
                folder,
            )
        examples += [Example(video, folder.name) for video in videos]
    return examples


def _folders(path: Path) -> list[Path]:
    return sorted(
        one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")
    )


def _videos(folder: Path) -> list[Path]:
    return sorted(
        one
        for one in folder.rglob("*")
        if one.suffix.lower() in VIDEO_ENDINGS
        and one.is_file()
        and not one.name.startswith(".")
    )


def read_csv(path: str | Path, *, validation: float = 0.2, seed: int = 0) -> ExampleSet:
    """Return the labelled videos that a ``.csv`` file names.

    Args:
        path: A UTF-8 file, with a header and the columns ``path`` and ``label``, and, if it parts them itself,
            ``split`` with ``train`` or ``val`` in each row. Paths that are not absolute start at the file's folder.
        validation: As in `read_folder`, where there is no column ``split``.
        seed: As in `read_folder`.

    Raises:
        DataError: If there is no such file, a column or a value is missing, a video is not there or named twice, or
            there are not two classes.
    """
    path = Path(path)
    rows = _read_rows(path)
    examples = [_as_example(path, line, row) for line, row in rows]
    seen: dict[object, int] = {}
    for (line, _), example in zip(rows, examples, strict=True):
        first = seen.setdefault(example.source, line)
        if first != line:
            raise DataError(
                f"each video must be named once; line {line} names {example.name!r} again, after line {first}",
                path,
            )
    if "split" not in rows[0][1]:
        return split_examples(examples, validation=validation, seed=seed)
    found: dict[str, list[Example]] = {"training": [], "validation": []}
    for (line, row), example in zip(rows, examples, strict=True):
        part = _PARTS.get((row["split"] or "").strip().lower())
        if part is None:
            raise DataError(
                f"split must be train or val; line {line} has {row['split']!r}", path
            )
        found[part].append(example)
    labels = sorted({example.label for example in examples})
    return ExampleSet(
        tuple(labels), tuple(found["training"]), tuple(found["validation"])
    )


def _read_rows(path: Path) -> list[tuple[int, dict[str, str | None]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows: list[tuple[int, dict[str, str | None]]] = [
                (reader.line_num, row) for row in reader
            ]
            columns = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"a list of examples must be a UTF-8 text that can be read: {error}", path
        ) from error
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        raise DataError(
            f"a list of examples must have the columns path and label in its first line; {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing",
            path,
        )
    if not rows:
        raise DataError("a list of examples must name at least one video", path)
    return rows


def _as_example(path: Path, line: int, row: Mapping[str, str | None]) -> Example:
    name, label = row["path"], row["label"]
    if not name or not label:
        raise DataError(
            f"each line must have a path and a label; line {line} does not", path
        )
    video = path.parent / name
    if not video.is_file():
        raise DataError(
            f"each video must be there; {video} of line {line} is not", path
        )
    return Example(video, label)


def split_examples(
    examples: Iterable[Example], *, validation: float = 0.2, seed: int = 0
) -> ExampleSet:
    """Return *examples* in two parts, each class split alike.

    Args:
        examples: Any number, of two classes at least.
        validation: The share of each class to validate with; see `read_folder`.
        seed: Of the choice.

    Raises:
        DataError: If *validation* is impossible, or there are not two classes.
    """
    if not 0 <= validation < 1:  # also refuses NaN
        raise DataError(
            f"validation must be a share of the examples, at least 0 and below 1; got {validation!r}"
        )
    by_label: dict[str, list[Example]] = {}
    for example in examples:
        by_label.setdefault(example.label, []).append(example)
    training: list[Example] = []
    kept_aside: list[Example] = []
    for place, label in enumerate(sorted(by_label)):
        members = by_label[label]
        order = np.random.default_rng([seed, place]).permutation(len(members))
        aside = set(order[: _num_aside(len(members), validation)].tolist())
        for index, member in enumerate(members):
            (kept_aside if index in aside else training).append(member)
    return ExampleSet(tuple(sorted(by_label)), tuple(training), tuple(kept_aside))


def _num_aside(count: int, share: float) -> int:
    """Return how many of *count* to validate with: at least one on each side, where there are two."""
    if share == 0 or count < 2:
        return 0
    return min(max(1, math.floor(count * share + 0.5)), count - 1)


def check_known(labels: Sequence[str], examples: Iterable[Example]) -> None:
    """Refuse examples of classes that are not among *labels*.

    Raises:
        DataError: It names the first ones.
    """
    unknown = sorted({example.label for example in examples} - set(labels))
    if unknown:
        raise DataError(
            f"each label must be one of the {len(labels)} classes; not among them: {_listed(unknown)}"
        )


def _listed(names: Sequence[Any]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
