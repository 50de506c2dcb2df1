"""Reads labelled examples from a folder with one folder of videos per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from movinet_lite.errors import DataError
from movinet_lite.training.examples import (
    BACKGROUND,
    PARTS,
    Example,
    ExampleSet,
    Part,
    Skipped,
    listed,
    make_example_set,
)
from movinet_lite.training.groups import group_of

__all__ = ["VIDEO_ENDINGS", "find_files", "is_video", "read_folder"]

VIDEO_ENDINGS: Final = frozenset(
    [
        ".264",
        ".265",
        ".3g2",
        ".3gp",
        ".amv",
        ".apng",
        ".asf",
        ".avi",
        ".divx",
        ".dv",
        ".f4v",
        ".flv",
        ".gif",
        ".h264",
        ".h265",
        ".hevc",
        ".ivf",
        ".m1v",
        ".m2t",
        ".m2ts",
        ".m2v",
        ".m4v",
        ".mjpeg",
        ".mjpg",
        ".mkv",
        ".mod",
        ".mov",
        ".mp4",
        ".mpe",
        ".mpeg",
        ".mpg",
        ".mpv",
        ".mts",
        ".mxf",
        ".nut",
        ".ogg",
        ".ogm",
        ".ogv",
        ".qt",
        ".rm",
        ".rmvb",
        ".tod",
        ".ts",
        ".vob",
        ".webm",
        ".webp",
        ".wmv",
        ".wtv",
        ".y4m",
    ]
)
"""File extensions that are read as videos, in lower case."""


_BACKGROUND_NAMES: Final = (BACKGROUND, f"_{BACKGROUND}_")


def is_video(path: Path) -> bool:
    """Return whether a file has the extension of a video."""
    return path.suffix.lower() in VIDEO_ENDINGS


def read_folder(
    path: str | Path, *, validation: float = 0.2, seed: int = 0
) -> ExampleSet:
    """Return the labelled videos of a folder with one folder of videos per class.

    The name of each folder is its label; ``background`` and ``_background_`` both stand for `BACKGROUND`. The folder
    may instead contain ``train``, and ``val`` or ``test`` or both, with the class folders in each. Without ``val``,
    part of ``train`` is held out for validation. Hidden files are ignored; other files without the extension of a video
    are listed in `ExampleSet.skipped`.

    Args:
        path: The folder.
        validation: The share of each class for validation, if the folder is not already split; see `split_examples`.
            Videos of one recording, recognised by name as in UCF-101 (``_g01_``), stay together.
        seed: Random seed; the same seed selects the same files.

    Raises:
        DataError: If the folder does not exist, a class has no video, or there are fewer than two classes.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError("the folder does not exist", path)
    folders = _folders(path)
    if not folders:
        raise DataError(
            "a folder of examples must contain a folder of videos for each class, named after the class; it "
            "contains no folder",
            path,
        )
    skipped = [
        Skipped(str(one), "", "it is not in the folder of a class")
        for one in sorted(path.iterdir())
        if one.is_file() and is_video(one)
    ]
    found: dict[Part, list[Example]] = {}
    if _is_parted(path, folders):
        for folder in folders:
            if not _folders(folder):
                raise DataError(
                    "each split must contain a folder of videos for each class; it contains no folder",
                    folder,
                )
            part = PARTS[folder.name.lower()]
            found.setdefault(part, []).extend(_read_classes(folder, skipped))
    else:
        found["training"] = _read_classes(path, skipped)
    return make_example_set(found, validation=validation, seed=seed, skipped=skipped)


def _is_parted(path: Path, folders: Sequence[Path]) -> bool:
    parts = {PARTS.get(folder.name.lower()) for folder in folders}
    if "training" not in parts or len(parts) == 1:
        return parts == {"training"} and any(map(_folders, folders))
    others = [folder.name for folder in folders if folder.name.lower() not in PARTS]
    if not others:
        return True
    if parts > {"training", None} and any(map(_folders, folders)):
        raise DataError(
            f"a folder with splits must contain only train, val and test; it also contains {listed(others)}",
            path,
        )
    return False


def _read_classes(path: Path, skipped: list[Skipped]) -> list[Example]:
    examples: list[Example] = []
    for folder in _folders(path):
        files = find_files(folder)
        videos = [one for one in files if is_video(one)]
        if not videos:
            raise DataError(
                "each class must have at least one video; its folder contains no file that ends in "
                f"{', '.join(sorted(VIDEO_ENDINGS))}",
                folder,
            )
        label = BACKGROUND if folder.name in _BACKGROUND_NAMES else folder.name
        examples += [
            Example(video, label, group=group_of(video.stem)) for video in videos
        ]
        skipped += [
            Skipped(str(one), folder.name, "it does not have the extension of a video")
            for one in files
            if not is_video(one)
        ]
    return examples


def _folders(path: Path) -> list[Path]:
    return sorted(
        one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")
    )


def find_files(folder: Path) -> list[Path]:
    """Return all files below *folder* that are not hidden, in order."""
    return sorted(
        one
        for one in folder.rglob("*")
        if not one.name.startswith(".") and one.is_file()
    )
