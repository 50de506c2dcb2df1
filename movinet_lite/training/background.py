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
"""Less time between two segments is where one ends and the next begins, not background."""

_PIECE_S: Final = 10.0
"""A long stretch of background is as many examples as it has clips of Kinetics' length."""


def with_background(
    data: ExampleSet, folder: str | Path, *, validation: float, seed: int
) -> ExampleSet:
    """Return *data* and the videos in a folder as examples of `BACKGROUND`.

    Args:
        data: What to add them to.
        folder: A folder of videos, at any depth, in which none of the actions happens.
        validation: The share of them to validate with.
        seed: Of the choice.

    Raises:
        DataError: If there is no such folder, or no video in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("there is no such folder of background videos", folder)
    videos = [path for path in find_files(folder) if is_video(path)]
    if not videos:
        raise DataError(
            "a folder of background videos must hold at least one; it holds no file that ends in "
            f"{', '.join(sorted(VIDEO_ENDINGS))}",
            folder,
        )
    known = {one.source for one in (*data.training, *data.validation, *data.test)}
    for path in videos:
        if path in known:
            raise DataError(
                "a background video must not be an example of an action, too", path
            )
    examples = [Example(path, BACKGROUND, group=group_of(path.stem)) for path in videos]
    training, held_out = divide_examples(examples, validation=validation, seed=seed)
    return _added(data, training, held_out, ())


def with_time_outside(data: ExampleSet) -> ExampleSet:
    """Return *data* and the time outside the segments of its videos as examples of `BACKGROUND`.

    A stretch is on the side of a split on which its video is. Videos that are an example as a whole have no time outside,
    and those that cannot be read give none.

    Raises:
        DataError: If no video to train on has time outside its segments.
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
            "to train a class of background, a video to train on must have time outside its segments; none has "
            "(give a folder of background videos)"
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
    """Yield the stretches of a video that no segment covers, in pieces."""
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
