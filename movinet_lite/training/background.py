"""Examples for the background class: video that shows none of the other classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from movinet_lite.errors import ArrayError, DataError, VideoError
from movinet_lite.training.examples import (
    BACKGROUND,
    Example,
    ExampleSet,
    divide_examples,
)
from movinet_lite.training.folders import VIDEO_ENDINGS, find_files, is_video
from movinet_lite.training.groups import group_of
from movinet_lite.video import read_video_info

__all__ = ["with_background", "with_time_outside"]

_SHORTEST_S: Final = 1.0
"""A shorter gap between two segments is a transition, not background."""

_PIECE_S: Final = 10.0
"""Long background is divided into examples of this length, that of a Kinetics clip."""


def with_background(
    data: ExampleSet, folder: str | Path, *, validation: float, seed: int
) -> ExampleSet:
    """Return *data* with the videos of a folder added as examples of `BACKGROUND`.

    Args:
        data: The examples to add to.
        folder: A folder of videos that show none of the actions. Subfolders are searched.
        validation: The share of the videos for the validation split.
        seed: Random seed of the split.

    Raises:
        DataError: If the folder does not exist or contains no video.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("the folder of background videos does not exist", folder)
    videos = [path for path in find_files(folder) if is_video(path)]
    if not videos:
        raise DataError(
            "a folder of background videos must contain at least one; it contains no file that ends in "
            f"{', '.join(sorted(VIDEO_ENDINGS))}",
            folder,
        )
    known = {one.source for one in (*data.training, *data.validation, *data.test)}
    for path in videos:
        if path in known:
            raise DataError(
                "a background video must not also be an example of an action", path
            )
    examples = [Example(path, BACKGROUND, group=group_of(path.stem)) for path in videos]
    training, held_out = divide_examples(examples, validation=validation, seed=seed)
    return _added(data, training, held_out, ())


def with_time_outside(data: ExampleSet) -> ExampleSet:
    """Return *data* with the time outside the segments of its videos added as examples of `BACKGROUND`.

    Background goes into the same split as its video. Videos that are used as a whole, or cannot be read, add no
    examples.

    Raises:
        DataError: If no training video has time outside its segments.
    """
    parts = (data.training, data.validation, data.test)
    segments: dict[Path, list[Example]] = {}
    for example in (one for part in parts for one in part):
        if isinstance(example.source, Path):
            segments.setdefault(example.source, []).append(example)
    taken: set[Path] = set()
    found: list[tuple[Example, ...]] = []
    for part in parts:
        of_part = dict.fromkeys(
            one.source
            for one in part
            if isinstance(one.source, Path) and one.source not in taken
        )
        taken.update(of_part)
        found.append(
            tuple(one for path in of_part for one in _outside(path, segments[path]))
        )
    training, validation, test = found
    if not training:
        raise DataError(
            "to train a background class, at least one training video must have time outside its segments; none has "
            "(pass a folder of background videos)"
        )
    return _added(data, training, validation, test)


def _added(
    data: ExampleSet,
    training: Sequence[Example],
    validation: Sequence[Example],
    test: Sequence[Example],
) -> ExampleSet:
    return attrs.evolve(
        data,
        labels=tuple(sorted({*data.labels, BACKGROUND})),
        training=(*data.training, *training),
        validation=(*data.validation, *validation),
        test=(*data.test, *test),
    )


def _outside(path: Path, segments: Sequence[Example]) -> Iterator[Example]:
    """Yield the parts of a video that no segment covers, divided into pieces."""
    try:
        duration_s = read_video_info(path).duration_s
    except (VideoError, ArrayError):
        return
    if duration_s is None:
        return
    group = segments[0].group
    free_s = 0.0
    spans = sorted(
        (one.start_s or 0.0, duration_s if one.end_s is None else one.end_s)
        for one in segments
    )
    for start_s, end_s in (*spans, (duration_s, duration_s)):
        while min(start_s, duration_s) - free_s >= _SHORTEST_S:
            piece_s = min(free_s + _PIECE_S, start_s, duration_s)
            if min(start_s, duration_s) - piece_s < _SHORTEST_S:
                piece_s = min(start_s, duration_s)
            yield Example(path, BACKGROUND, free_s, piece_s, group)
            free_s = piece_s
        free_s = max(free_s, end_s)
