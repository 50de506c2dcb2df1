"""Label lists: reading, checking, searching, and the labels of Kinetics-600.

Labels are a tuple of names in the order of the logits. The order is specific to the model: other libraries order the
classes of Kinetics differently, so use the list that belongs to the model.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from movinet_lite.atomic import write_atomically
from movinet_lite.errors import LabelsError

__all__ = [
    "check_labels",
    "kinetics_600_labels",
    "label_indices",
    "load_labels",
    "save_labels",
    "search_labels",
    "unnamed_classes",
]

_NUMBERED = re.compile(r"\s*(?P<number>\d{1,9})(?:\s*[:;,.)]\s*|\s+)(?P<name>\S.*)")
"""A line such as ``0 walking``, ``0: walking`` or ``0,"walking"``."""

# Maximum number of unknown names in a message, and of similar labels for each.
_MAX_OFFERS = 3

KINETICS_600 = "kinetics-600"
"""Stands for the labels of Kinetics-600 in place of a path."""

_KINETICS_600_PATH = Path(__file__).with_name("kinetics_600_labels.txt")
_KINETICS_600_SHA256 = (
    "8dfca4202520ea8291ce0242ef33b006d0a0772b409663c090a2876bc1978dcf"
)


def load_labels(path: str | Path) -> tuple[str, ...]:
    r"""Return the labels in the file at *path*: one per line, or JSON if its name ends in ``.json``.

    The file is UTF-8, with or without a byte order mark, with the line endings of any system. Trailing empty lines are
    ignored; names are kept unchanged, including surrounding spaces. If all lines are numbered from 0 or 1, such as
    ``0 walking`` or ``1: walking``, the numbers are removed and determine the order; a file whose name ends in ``.csv``
    may have a header, such as ``id,name``. JSON may be a list of names, an object from name to index, or an object from
    index to name, such as ``{"0": "walking", "1": "running"}``; indices count from 0.

    Args:
        path: The file; or ``"kinetics-600"``, for `kinetics_600_labels`.

    Returns:
        The names, in the order of the file.

    Raises:
        LabelsError: If the file cannot be read, is not such JSON or has no name, or if a name is empty or repeated; its
            `path` and `line` give the position.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "labels.txt")
        ...     _ = path.write_bytes(b"walking\r\nrunning")
        ...     load_labels(path)
        ('walking', 'running')
    """
    if str(path) == KINETICS_600 and not Path(path).exists():
        return kinetics_600_labels()
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise LabelsError(
            f"the file of labels must be readable; got {error.strerror!r}", path
        ) from error
    except ValueError as error:  # a null byte in the path
        raise LabelsError(
            f"the file of labels must be readable; {error}", path
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsError(
            "labels must be UTF-8 text; got other bytes (save the file as UTF-8)",
            path,
            data.count(b"\n", 0, error.start) + 1,
        ) from error
    if Path(path).suffix.lower() == ".json":
        return _read_json(text, path)
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    lines = text.split("\n") if text else []
    names = _without_numbers(lines)
    if names is None and Path(path).suffix.lower() == ".csv":
        names = _without_numbers(lines[1:])
    return check_labels(names or lines, path=path)


def _without_numbers(lines: Sequence[str]) -> list[str] | None:
    """Return the names after the numbers 0, 1, 2 ... or 1, 2, 3 ..., in order; `None` if they are not numbered so.

    If names would be equal without their numbers, such as ``1 finger`` to ``5 fingers``, the numbers are part of the
    names.
    """
    name_of: dict[int, str] = {}
    for line in lines:
        match = _NUMBERED.fullmatch(line)
        if match is None or int(match["number"]) in name_of:
            return None
        name_of[int(match["number"])] = match["name"]
    first = min(name_of, default=0)
    if len(lines) < 2 or first > 1 or max(name_of) != first + len(lines) - 1:
        return None
    names = [_without_quotes(name_of[number]) for number in sorted(name_of)]
    return names if len(set(names)) == len(names) else None


def _without_quotes(name: str) -> str:
    bare = name.strip()
    return bare[1:-1] if len(bare) > 2 and bare[0] == bare[-1] == '"' else name


def _read_json(text: str, path: str | Path) -> tuple[str, ...]:
    try:
        return check_labels(_names_in_json(text, path))
    except LabelsError as error:
        # Names have no line numbers here.
        raise LabelsError(error.message, path) from error


def _names_in_json(text: str, path: str | Path) -> list[Any]:
    """Return the names in a JSON text, in the order of their indices."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabelsError(f"labels must be valid JSON; {error}", path) from error
    if isinstance(found, list):
        return found
    if isinstance(found, dict):
        index_to_name = (
            {str(index): name for name, index in found.items()}
            if all(type(index) is int for index in found.values())
            else found
        )
        names = [index_to_name.get(str(index)) for index in range(len(found))]
        if None not in names:
            return names
    raise LabelsError(
        "labels in JSON must be a list of names, or an object from name to index or from index to name, with each index "
        "from 0 once; got something else",
        path,
    )


def save_labels(labels: Iterable[str], path: str | Path) -> None:
    """Write *labels* to a text file at *path*, one per line, for `load_labels`.

    Names that start with numbers, such as ``1 person`` and ``2 people``, are numbered from 0 in the file, so that their
    own numbers are not removed when the file is read.

    Args:
        labels: The labels, in the order of the logits.
        path: The file; an existing file is replaced atomically.

    Raises:
        LabelsError: If there is no label, or a label is empty, repeated, or contains a line break.
        OSError: If the file cannot be written.
    """
    names = check_labels(labels)
    if _without_numbers(names) is not None:
        names = tuple(f'{index},"{name}"' for index, name in enumerate(names))
    write_atomically(Path(path), "".join(f"{name}\n" for name in names).encode())


def check_labels(
    labels: Iterable[str],
    num_classes: int | None = None,
    *,
    path: str | Path | None = None,
) -> tuple[str, ...]:
    """Return *labels* as a tuple, after checking that there is one unique label per class.

    Args:
        labels: The labels, in the order of the logits.
        num_classes: Number of classes of the model; `None` if unknown.
        path: Their file, with one label per line, for the error; `None` if they are not from a file.

    Returns:
        The names.

    Raises:
        LabelsError: If there is no label, or not one per class; or if a label is empty, repeated, not a `str`, or
            contains a line break.

    Example:
        >>> check_labels(["walking", "running"], 3)
        Traceback (most recent call last):
        movinet_lite.errors.LabelsError: labels must be one name for each of the 3 classes; got 2 names \
(labels of another model?)
    """
    names = as_names(labels)
    if not names:
        raise LabelsError("there must be at least one label; got none", path)
    place_of: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        problem = _problem(name) or (
            f"is also label {place_of[name]}" if name in place_of else ""
        )
        if problem:
            raise LabelsError(
                f"every label must be a unique line of text; label {place}, {name!r}, {problem}",
                path,
                None if path is None else place,
            )
        place_of[name] = place
    if num_classes is not None and len(names) != num_classes:
        raise LabelsError(
            f"labels must be one name for each of the {num_classes} classes; "
            f"got {len(names)} names (labels of another model?)",
            path,
        )
    return tuple(map(str, names))  # converts numpy strings


def unnamed_classes(num_classes: int) -> tuple[str, ...]:
    """Return placeholder labels, for a model without labels or if the labels are not used.

    Example:
        >>> unnamed_classes(2)
        ('class 0', 'class 1')
    """
    return tuple(f"class {index}" for index in range(num_classes))


def as_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return *names* as a tuple; a single `str` raises an error, since it would be read as a list of characters.

    Args:
        names: Any number of names.

    Returns:
        The names.

    Raises:
        LabelsError: If *names* is a single `str`.
    """
    if isinstance(names, str):
        raise LabelsError(
            f"names must be a sequence of str; got the str {names!r} "
            f"(for one name, write [{names!r}]; for a file of names, use load_labels)"
        )
    return tuple(names)


def _problem(name: object) -> str:
    if not isinstance(name, str):
        return f"is of type {type(name).__name__}"
    if not name.strip():
        return "is empty"
    if any(character in name for character in "\r\n\ufeff"):
        return "contains a line break or a byte order mark"
    return ""


@functools.cache
def kinetics_600_labels() -> tuple[str, ...]:
    """Return the 600 labels of Kinetics-600 in the order of the published models' logits.

    Returns:
        The labels, in ASCII order.

    Raises:
        LabelsError: If the file that ships with the library was modified.

    Example:
        >>> labels = kinetics_600_labels()
        >>> len(labels), labels[0], labels[-1]
        (600, 'abseiling', 'zumba')

    References:
        [1] https://github.com/tensorflow/models, ``official/projects/movinet/files/kinetics_600_labels.txt`` at commit
            f8af2291cced43fc9f1d9b41ddbf772ae7b0d7d2.
    """
    labels = check_labels(load_labels(_KINETICS_600_PATH), 600, path=_KINETICS_600_PATH)
    text = "".join(f"{label}\n" for label in labels)
    if hashlib.sha256(text.encode()).hexdigest() != _KINETICS_600_SHA256:
        raise LabelsError(
            "the labels must be those that ship with the library; the file was modified (reinstall movinet-lite)",
            _KINETICS_600_PATH,
        )
    return labels


def label_indices(names: Iterable[str], labels: Iterable[str]) -> tuple[int, ...]:
    """Return the index of each of *names* in *labels*.

    Args:
        names: The names to look up, spelled exactly as the labels.
        labels: All labels, in the order of the logits.

    Returns:
        The index of each name, from 0.

    Raises:
        LabelsError: If a name is not among the labels; the message suggests similar ones.

    Example:
        >>> label_indices(["yoga", "abseiling"], kinetics_600_labels())
        (598, 0)
    """
    labels = tuple(labels)
    index_of = {label: index for index, label in enumerate(labels)}
    wanted = as_names(names)
    unknown = [name for name in wanted if name not in index_of]
    if unknown:
        offers = ", ".join(_offer(name, labels) for name in unknown[:_MAX_OFFERS])
        if len(unknown) > _MAX_OFFERS:
            offers += f" and {len(unknown) - _MAX_OFFERS} more"
        raise LabelsError(f"names must be among the {len(labels)} labels; got {offers}")
    return tuple(index_of[name] for name in wanted)


def search_labels(pattern: str, labels: Iterable[str]) -> tuple[str, ...]:
    """Return the labels that contain *pattern*, ignoring case.

    Args:
        pattern: Part of a label, as plain text.
        labels: The labels to search.

    Returns:
        The labels that contain it, in order; all of them for an empty pattern.

    Example:
        >>> search_labels("Jogging", ["dog walking", "jogging", "jogging backwards"])
        ('jogging', 'jogging backwards')
    """
    folded = pattern.casefold()
    return tuple(label for label in labels if folded in label.casefold())


def _offer(name: str, labels: tuple[str, ...]) -> str:
    label_of = {label.casefold(): label for label in labels}
    close = difflib.get_close_matches(name.casefold(), label_of, _MAX_OFFERS)
    nearest = [*search_labels(name, labels), *(label_of[folded] for folded in close)]
    offered = list(dict.fromkeys(nearest))[:_MAX_OFFERS]
    if not offered:
        return f"{name!r} (nothing similar)"
    return f"{name!r} (similar: {', '.join(map(repr, offered))})"
