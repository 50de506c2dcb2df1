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
    """Return the labelled videos in a folder or in a list.

    A class named ``background`` stands for "none of these"; its videos may also come from another folder.

    Args:
        path: A folder, as for `read_folder`; a ``.csv`` file, as for `read_csv`; or an official list, as for
            `read_official_list`.
        videos: The folder of the videos in a list; `None` for the list's own.
        validation: The share for validation, if *path* is not already split; see `split_examples`.
        seed: Random seed of the split.
        background: A folder of videos of the background class; it is split like the other classes.
        background_outside: Whether to use the time outside the listed segments as background.

    Raises:
        DataError: As in `read_folder`, `read_csv` and `read_official_list`; also if *path* does not exist.
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
