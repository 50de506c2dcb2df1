"""Labelled examples and their splits (no TensorFlow)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs
import numpy as np

from movinet_lite.arrays import Clip, as_number
from movinet_lite.errors import DataError
from movinet_lite.labels import check_labels

__all__ = [
    "BACKGROUND",
    "PARTS",
    "Example",
    "ExampleSet",
    "Part",
    "Skipped",
    "check_known",
    "count_labels",
    "divide_examples",
    "listed",
    "make_example_set",
    "split_examples",
]

Part: TypeAlias = Literal["training", "validation", "test"]
"""A part of a data set: to train on, to choose the best weights with, to judge these in the end."""

PARTS: Final[Mapping[str, Part]] = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What folders and lists call the parts of a data set, in small letters."""

BACKGROUND: Final = "background"
"""The label of the class for "none of these"."""

_MAX_NAMED: Final = 3


@attrs.frozen(eq=False)
class Example:
    """A clip and what it shows.

    Attributes:
        source: The path of a video file; or a clip, ``(frames, height, width, 3)``, uint8, 0 to 255, or
            float32, 0 to 1, RGB, at the frame rate of the model that will see it.
        label: The name of its class.
        start_s: Where in the file it begins, in seconds; `None` at the start.
        end_s: Where it ends, in seconds; `None` at the end of the file.
        group: What it shares with others, such as the recording that they were cut from: a split keeps all of a group on
            one side. `None` for the file itself.
    """

    source: Path | Clip
    label: str
    start_s: float | None = None
    end_s: float | None = None
    group: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check the segment."""
        start_s = 0.0 if self.start_s is None else as_number(self.start_s)
        end_s = math.inf if self.end_s is None else as_number(self.end_s)
        if not (0 <= start_s < end_s and start_s < math.inf):  # also refuses NaN
            raise DataError(
                f"a segment must start at 0 or later and end after its start; got {self.start_s!r} to {self.end_s!r} seconds"
            )
        is_segment = (self.start_s, self.end_s) != (None, None)
        if is_segment and not isinstance(self.source, Path):
            raise DataError("only a file can have a segment; got one of a clip")

    @property
    def name(self) -> str:
        """What to call it in messages."""
        if not isinstance(self.source, Path):
            return "a clip in memory"
        if self.start_s is None and self.end_s is None:
            return str(self.source)
        end = "its end" if self.end_s is None else f"{self.end_s:g} s"
        return f"{self.source} from {self.start_s or 0:g} s to {end}"


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
    """Examples to train on, and others that are held out.

    Attributes:
        labels: The names of the classes, in ASCII order.
        training: Examples that the weights are learnt from.
        validation: Examples that the best weights are chosen with; none if none were held out.
        test: Examples that no choice depends on, to judge the result with.
        skipped: Files that were left out when the examples were read, and why.
    """

    labels: tuple[str, ...]
    training: tuple[Example, ...]
    validation: tuple[Example, ...] = ()
    test: tuple[Example, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def background(self) -> str | None:
        """`BACKGROUND` if that is one of the classes: videos of nothing of the others; else `None`."""
        return BACKGROUND if BACKGROUND in self.labels else None

    def __attrs_post_init__(self) -> None:
        """Check that there is something to learn."""
        for label in self.labels:
            _check_text(label)
        check_labels(self.labels)
        if len(self.labels) < 2:
            raise DataError(
                f"there must be at least two classes to tell apart; got {len(self.labels)}: {', '.join(self.labels)}"
            )
        check_known(self.labels, (*self.training, *self.validation, *self.test))
        counts = count_labels(self.training, self.labels)
        empty = [label for label, count in counts.items() if not count]
        if empty:
            raise DataError(
                f"each class must have a video to train on; without one: {listed(empty)}"
            )


def count_labels(
    examples: Iterable[Example], labels: Sequence[str]
) -> Mapping[str, int]:
    """Return how many of *examples* each of *labels* has."""
    counts = dict.fromkeys(labels, 0)
    for example in examples:
        counts[example.label] += 1
    return counts


def make_example_set(
    parts: Mapping[Part, Sequence[Example]],
    *,
    validation: float,
    seed: int,
    skipped: Sequence[Skipped] = (),
) -> ExampleSet:
    """Return examples that may already be parted as one set.

    What is to validate with is split from what is to train on where there is no such part; test examples never are.

    Args:
        parts: The examples of each part. A single part is split, whatever it is called.
        validation: The share to validate with; see `split_examples`.
        seed: Of the choice.
        skipped: What was left out.

    Raises:
        DataError: If a class is held out that is not trained, and as `split_examples`.
    """
    filled: dict[Part, Sequence[Example]] = {
        part: examples for part, examples in parts.items() if examples
    }
    training = filled.pop("training", ())
    if not training and len(filled) == 1:
        ((_, training),) = filled.items()
        filled = {}
    known = {example.label for example in training}
    unknown = sorted({one.label for part in filled.values() for one in part} - known)
    if unknown:
        raise DataError(
            f"each class to validate or test with must be trained too; without videos to train on: {listed(unknown)}"
        )
    if "validation" in filled:
        found = ExampleSet(
            tuple(sorted(known)), tuple(training), tuple(filled["validation"])
        )
    else:
        found = split_examples(training, validation=validation, seed=seed)
    return attrs.evolve(
        found, test=tuple(filled.get("test", ())), skipped=tuple(skipped)
    )


def split_examples(
    examples: Iterable[Example], *, validation: float = 0.2, seed: int = 0
) -> ExampleSet:
    """Return *examples* in two parts, each class split alike, and no group on both sides.

    Args:
        examples: Any number, of two classes at least.
        validation: The share of each class to validate with, at least 0 and below 1. A class with two groups or more
            keeps at least one for each part, where groups that it shares with other classes allow it.
        seed: Of the choice; the same examples are chosen for the same seed.

    Raises:
        DataError: If *validation* is impossible, or there are not two classes.
    """
    examples = tuple(examples)
    training, held_out = divide_examples(examples, validation=validation, seed=seed)
    labels = tuple(sorted({example.label for example in examples}))
    return ExampleSet(labels, training, held_out)


def divide_examples(
    examples: Sequence[Example], *, validation: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return *examples* to train on, and those to validate with; see `split_examples`.

    Raises:
        DataError: If *validation* is impossible.
    """
    if not 0 <= as_number(validation) < 1:  # also refuses NaN
        raise DataError(
            f"validation must be a share of the examples, at least 0 and below 1; got {validation!r}"
        )
    groups: dict[object, list[int]] = {}
    for place, example in enumerate(examples):
        groups.setdefault(_group_key(example, place), []).append(place)
    chosen = _choose_groups(
        [
            Counter(examples[place].label for place in group)
            for group in groups.values()
        ],
        validation,
        np.random.default_rng(seed),
    )
    members = list(groups.values())
    aside = {place for number in chosen for place in members[number]}
    by_label = sorted(range(len(examples)), key=lambda place: examples[place].label)
    return (
        tuple(examples[place] for place in by_label if place not in aside),
        tuple(examples[place] for place in by_label if place in aside),
    )


def _group_key(example: Example, place: int) -> object:
    if example.group is not None:
        return "group", example.group
    return ("file", example.source) if isinstance(example.source, Path) else place


def _choose_groups(
    groups: Sequence[Counter[str]], share: float, rng: np.random.Generator
) -> list[int]:
    """Return which of *groups*, each given by the number of its examples of each class, to hold out."""
    counts: Counter[str] = Counter()
    for group in groups:
        counts.update(group)
    targets = {label: _num_aside(count, share) for label, count in counts.items()}
    taken: Counter[str] = Counter()
    chosen: list[int] = []

    def take(number: int) -> None:
        taken.update(groups[number])
        chosen.append(number)

    def leaves_some(group: Counter[str]) -> bool:
        return all(
            taken[label] + count < counts[label] for label, count in group.items()
        )

    order = rng.permutation(len(groups)).tolist()
    for number in order:
        if leaves_some(groups[number]) and _comes_closer(
            groups[number], taken, targets
        ):
            take(number)
    # A class whose groups are all larger than its share still gets its smallest one held out.
    smallest_first = sorted(order, key=lambda number: groups[number].total())
    for number in smallest_first:
        group = groups[number]
        is_wanted = any(targets[label] and not taken[label] for label in group)
        if is_wanted and leaves_some(group):
            take(number)
    return chosen


def _comes_closer(
    group: Counter[str], taken: Counter[str], targets: Mapping[str, int]
) -> bool:
    """Return whether the numbers held out are closer to those wanted with one more group."""
    missing = {label: targets[label] - taken[label] for label in group}
    after = sum(abs(missing[label] - count) for label, count in group.items())
    return after < sum(abs(number) for number in missing.values())


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
            f"each label must be one of the {len(labels)} classes; not among them: {listed(unknown)}"
        )


def _check_text(label: str) -> None:
    """Refuse a label that no file can hold, as the name of a folder that is not UTF-8."""
    try:
        str(label).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"each label must be text that UTF-8 can hold; got {label!r} (rename its folder)"
        ) from error


def listed(names: Sequence[object]) -> str:
    """Return the first few of *names*, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
