"""Label lists: reading, checking, searching, and the labels of Kinetics-600.

Labels are a tuple of names in the order of the logits, which is the model's own: other libraries order the classes of
Kinetics differently, and nothing but the list that came with a model tells its order.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
from collections.abc import Iterable
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

# How many unknown names one message explains, and how many labels it offers for each.
_MAX_OFFERS = 3

KINETICS_600 = "kinetics-600"
"""What stands for the labels of Kinetics-600 where the path of a file is taken."""

_KINETICS_600_PATH = Path(__file__).with_name("kinetics_600_labels.txt")
_KINETICS_600_SHA256 = (
    "8dfca4202520ea8291ce0242ef33b006d0a0772b409663c090a2876bc1978dcf"
)


def load_labels(path: str | Path) -> tuple[str, ...]:
    r"""Return the labels in the file at *path*: one a line, or JSON if its name ends in ``.json``.

    The file is UTF-8, with or without a byte order mark, with line ends of any system. Empty lines at its end are
    left out; names are kept as they stand, space around them included. JSON may be a list of names, an object from name
    to index, or an object from index to name, such as ``{"0": "walking", "1": "running"}``; indices count from 0.

    Args:
        path: The file; or ``"kinetics-600"``, for `kinetics_600_labels`.

    Returns:
        The names, in the order of the file.

    Raises:
        LabelsError: If the file cannot be read, is no such JSON or holds no name, or if a name is empty or repeated;
            its `path` and `line` say where.

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
            f"labels must be in a file that can be read; got {error.strerror!r}", path
        ) from error
    except ValueError as error:  # a null byte in the path
        raise LabelsError(
            f"labels must be in a file that can be read; {error}", path
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsError(
            "labels must be UTF-8 text; got bytes that are not (save the file as UTF-8)",
            path,
            data.count(b"\n", 0, error.start) + 1,
        ) from error
    if Path(path).suffix.lower() == ".json":
        return _read_json(text, path)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    return check_labels(lines.split("\n") if lines else (), path=path)


def _read_json(text: str, path: str | Path) -> tuple[str, ...]:
    try:
        return check_labels(_names_in_json(text, path))
    except LabelsError as error:
        # No line of the file is the place of a name.
        raise LabelsError(error.message, path) from error


def _names_in_json(text: str, path: str | Path) -> list[Any]:
    """Return what stands in a JSON text for names, in the order of their indices."""
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
    """Write *labels* to a text file at *path*, one a line, for `load_labels` to read.

    Args:
        labels: The names, in the order of the logits.
        path: The file; one that exists is replaced, once the new one is whole.

    Raises:
        LabelsError: If there is no name, or one is empty, repeated, or longer than a line.
        OSError: If the file cannot be written.
    """
    text = "".join(f"{label}\n" for label in check_labels(labels))
    write_atomically(Path(path), text.encode())


def check_labels(
    labels: Iterable[str],
    num_classes: int | None = None,
    *,
    path: str | Path | None = None,
) -> tuple[str, ...]:
    """Return *labels* as a tuple that certainly names every class once.

    Args:
        labels: The names, in the order of the logits.
        num_classes: How many classes the model has; `None` if that is not known yet.
        path: The file they came from, one a line, for the error to point to; `None` if they came from no file.

    Returns:
        The names.

    Raises:
        LabelsError: If there is no name, or not one for each class; or if a name is empty, repeated, not a `str`, or
            longer than a line.

    Example:
        >>> check_labels(["walking", "running"], 3)
        Traceback (most recent call last):
        movinet_lite.errors.LabelsError: labels must be one name for each of the 3 classes; got 2 names \
(labels of another model?)
    """
    names = as_names(labels)
    if not names:
        raise LabelsError("labels must name at least one class; got no name", path)
    place_of: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        problem = _problem(name) or (
            f"is also label {place_of[name]}" if name in place_of else ""
        )
        if problem:
            raise LabelsError(
                f"every label must be one line of text that stands once; "
                f"label {place}, {name!r}, {problem}",
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
    return tuple(map(str, names))  # numpy's strings become plain ones


def unnamed_classes(num_classes: int) -> tuple[str, ...]:
    """Return labels for a model whose classes nobody has named, or whose predictions nobody reads.

    Example:
        >>> unnamed_classes(2)
        ('class 0', 'class 1')
    """
    return tuple(f"class {index}" for index in range(num_classes))


def as_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return *names* as a tuple, unless they are a lone `str`, which would be taken for a list of letters.

    Args:
        names: Any number of names.

    Returns:
        The names.

    Raises:
        LabelsError: If *names* is a lone `str`.
    """
    if isinstance(names, str):
        raise LabelsError(
            f"names must be a sequence of str; got the str {names!r} "
            f"(one name? write [{names!r}]; a file of names? read it with load_labels)"
        )
    return tuple(names)


def _problem(name: object) -> str:
    if not isinstance(name, str):
        return f"is of type {type(name).__name__}"
    if not name.strip():
        return "is empty"
    if any(character in name for character in "\r\n\ufeff"):
        return "holds a line end or a byte order mark"
    return ""


@functools.cache
def kinetics_600_labels() -> tuple[str, ...]:
    """Return the 600 names of Kinetics-600 in the order of the logits of the published models.

    Returns:
        The names, in plain ASCII order.

    Raises:
        LabelsError: If the file that ships with the library was changed.

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
            "the labels must be those that ship with the library; the file was changed "
            "(install movinet-lite again)",
            _KINETICS_600_PATH,
        )
    return labels


def label_indices(names: Iterable[str], labels: Iterable[str]) -> tuple[int, ...]:
    """Return the place of each of *names* among *labels*.

    Args:
        names: The names to look up, written exactly as the labels are.
        labels: The names of all classes, in the order of the logits.

    Returns:
        For each name, from 0, the index of its class.

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
    """Return the labels that contain *pattern*, in upper or lower case.

    Args:
        pattern: Any part of a name, as plain text.
        labels: The names to search.

    Returns:
        The labels that contain it, in their own order; all of them for an empty pattern.

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
        return f"{name!r} (nothing near it)"
    return f"{name!r} (nearest: {', '.join(map(repr, offered))})"
