"""Reads labelled examples from a folder, a list, or an official list of a data set."""

from __future__ import annotations

from pathlib import Path

from movinet_lite.errors import DataError
from movinet_lite.training.background import with_background, with_time_outside
from movinet_lite.training.examples import ExampleSet
from movinet_lite.training.folders import read_folder
from movinet_lite.training.lists import read_csv
from movinet_lite.training.official_lists import find_format, read_official_list

__all__ = ["read_examples"]


def read_examples(
    path: str | Path,
    *,
    videos: str | Path | None = None,
    validation: float = 0.2,
    seed: int = 0,
    background: str | Path | None = None,
    background_outside: bool = False,
) -> ExampleSet:
    """Return the labelled videos in a folder, or those that a list names.

    A class of the name ``background`` stands for "none of these"; it may also come from elsewhere.

    Args:
        path: A folder, as `read_folder` takes it; a ``.csv`` file, as `read_csv` takes it; or an official list, as
            `read_official_list` takes it.
        videos: The folder of the videos that a list names; `None` for the list's own.
        validation: The share to validate with, where *path* does not part them itself; see `split_examples`.
        seed: Of the choice.
        background: A folder of videos of nothing of these, which is split as each class is.
        background_outside: Whether the time of the videos outside the segments that the list names is background, too.

    Raises:
        DataError: As `read_folder`, `read_csv` and `read_official_list`; also if there is nothing at *path*.
    """
    data = _read(path, videos=videos, validation=validation, seed=seed)
    if background_outside:
        data = with_time_outside(data)
    if background is not None:
        data = with_background(data, background, validation=validation, seed=seed)
    return data


def _read(
    path: str | Path, *, videos: str | Path | None, validation: float, seed: int
) -> ExampleSet:
    path = Path(path)
    if path.is_dir():
        return read_folder(path, validation=validation, seed=seed)
    if not path.is_file():
        raise DataError("there is no such folder or .csv file", path)
    if find_format(path) is not None:
        return read_official_list(path, videos=videos, validation=validation, seed=seed)
    if path.suffix.lower() != ".csv":
        raise DataError(
            "examples must be a folder with a folder of videos for each class, a .csv file with the columns path and "
            "label, or an official list of UCF-101, HMDB51, Kinetics or Something-Something; got a file of another kind",
            path,
        )
    return read_csv(path, videos=videos, validation=validation, seed=seed)
