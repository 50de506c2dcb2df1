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
"""A split of a data set: to train on, to select the best weights, or to evaluate the result."""

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
"""Names of the splits in folders and lists, in lower case."""

BACKGROUND: Final = "background"
"""The label of the class for "none of these"."""

_MAX_NAMED: Final = 3


@attrs.frozen(eq=False)
class Example:
    """A labelled clip.

    Attributes:
        source: The path of a video file; or a clip, ``(frames, height, width, 3)``, uint8, 0 to 255, or float32, 0 to
            1, RGB, at the frame rate of the model.
        label: The label.
        start_s: Start time in the file, in seconds; `None` for the start of the file.
        end_s: End time in the file, in seconds; `None` for the end of the file.
        group: Examples of one group, such as clips of one recording, always go into the same split. `None` uses the
            file as the group.
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
                f"a segment must start at 0 or later and end after its start; got {self.start_s!r} to "
                f"{self.end_s!r} seconds"
            )
        is_segment = (self.start_s, self.end_s) != (None, None)
        if is_segment and not isinstance(self.source, Path):
            raise DataError(
                "only files can have a segment; got one for a clip in memory"
            )

    @property
    def name(self) -> str:
        """The name of the example in messages."""
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
        label: Its label.
        reason: Why it was skipped.
    """

    name: str
    label: str
    reason: str


@attrs.frozen(eq=False)
class ExampleSet:
    """Training examples and held-out examples.

    Attributes:
        labels: The labels, in ASCII order.
        training: Examples to train on.
        validation: Examples to select the best weights with; empty if none were held out.
        test: Examples to evaluate the result on.
        skipped: Files that were skipped when the examples were read, with reasons.
    """

    labels: tuple[str, ...]
    training: tuple[Example, ...]
    validation: tuple[Example, ...] = ()
    test: tuple[Example, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def background(self) -> str | None:
        """`BACKGROUND` if it is one of the labels; otherwise `None`."""
        return BACKGROUND if BACKGROUND in self.labels else None

    def __attrs_post_init__(self) -> None:
        """Check that there are at least two classes with training examples."""
        for label in self.labels:
            _check_text(label)
        check_labels(self.labels)
        if len(self.labels) < 2:
            raise DataError(
                f"there must be at least two classes; got {len(self.labels)}: {', '.join(self.labels)}"
            )
        check_known(self.labels, (*self.training, *self.validation, *self.test))
        counts = count_labels(self.training, self.labels)
        empty = [label for label, count in counts.items() if not count]
        if empty:
            raise DataError(
                f"each class must have at least one training video; these have none: {listed(empty)}"
            )


def count_labels(
    examples: Iterable[Example], labels: Sequence[str]
) -> Mapping[str, int]:
    """Return the number of *examples* for each of *labels*."""
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
    """Return an `ExampleSet` from examples that may already be split.

    If there is no validation part, it is split from the training part, never from the test part.

    Args:
        parts: The examples of each part. A single part is always split, whatever its name.
        validation: The share for the validation split; see `split_examples`.
        seed: Random seed of the split.
        skipped: The files that were skipped.

    Raises:
        DataError: If a held-out class has no training examples, or as in `split_examples`.
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
            f"each class of the validation and test parts must have training videos; these have none: {listed(unknown)}"
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
    """Return *examples* split by class into training and validation, with no group in both.

    Args:
        examples: The examples, of at least two classes.
        validation: The share of each class for validation, at least 0 and below 1. A class with two or more groups has
            at least one in each part, if the groups that it shares with other classes allow it.
        seed: Random seed; the same seed selects the same examples.

    Raises:
        DataError: If *validation* is out of range, or there are fewer than two classes.
    """
    examples = tuple(examples)
    training, held_out = divide_examples(examples, validation=validation, seed=seed)
    labels = tuple(sorted({example.label for example in examples}))
    return ExampleSet(labels, training, held_out)


def divide_examples(
    examples: Sequence[Example], *, validation: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return the *examples* for training and those for validation; see `split_examples`.

    Raises:
        DataError: If *validation* is out of range.
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
    """Return the *groups* to hold out; each is given by its number of examples per class."""
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
    # If all groups of a class are larger than its share, the smallest one is held out.
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
    """Return whether holding out one more group brings the counts closer to the wanted ones."""
    missing = {label: targets[label] - taken[label] for label in group}
    after = sum(abs(missing[label] - count) for label, count in group.items())
    return after < sum(abs(number) for number in missing.values())


def _num_aside(count: int, share: float) -> int:
    """Return the number of *count* for validation: at least one on each side if there are two."""
    if share == 0 or count < 2:
        return 0
    return min(max(1, math.floor(count * share + 0.5)), count - 1)


def check_known(labels: Sequence[str], examples: Iterable[Example]) -> None:
    """Raise an error if an example's label is not among *labels*.

    Raises:
        DataError: If there is one; the message names the first few.
    """
    unknown = sorted({example.label for example in examples} - set(labels))
    if unknown:
        raise DataError(
            f"each label must be one of the {len(labels)} classes; not among them: {listed(unknown)}"
        )


def _check_text(label: str) -> None:
    """Raise an error for a label that cannot be encoded as UTF-8, such as the name of some folders."""
    try:
        str(label).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"each label must be text that can be encoded as UTF-8; got {label!r} (rename its folder)"
        ) from error


def listed(names: Sequence[object]) -> str:
    """Return the first few of *names* and the number of others."""
    shown = ", ".join(repr(name) for name in names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
