"""Annotations and events of the same videos."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import attrs

from movinet_lite.errors import DataError
from movinet_lite.events.event import Span, completed

__all__ = ["Paired", "check_videos", "pair_videos"]


@attrs.frozen
class Paired:
    """The annotations and events of one video.

    Attributes:
        reference: The annotations.
        estimated: The events.
    """

    reference: tuple[Span, ...]
    estimated: tuple[Span, ...]

    def by_label(self) -> dict[str, tuple[list[Span], list[Span]]]:
        """Return the reference and the estimated spans of each label that has any."""
        found: dict[str, tuple[list[Span], list[Span]]] = {}
        for place, spans in enumerate((self.reference, self.estimated)):
            for span in spans:
                found.setdefault(span.label, ([], []))[place].append(span)
        return found


def pair_videos(
    reference: Mapping[str, Iterable[Span]], estimated: Mapping[str, Iterable[Span]]
) -> tuple[dict[str, Paired], tuple[str, ...]]:
    """Return the videos of *reference* with their events, and all labels in alphabetical order.

    Videos without events may be missing from *estimated*.

    Raises:
        DataError: If there is no video, *estimated* has one that is missing from *reference*, or an event has not
            ended.
    """
    check_videos(estimated, reference)
    paired = {
        video: Paired(completed(spans), completed(estimated.get(video, ())))
        for video, spans in reference.items()
    }
    labels = {
        span.label
        for pair in paired.values()
        for span in (*pair.reference, *pair.estimated)
    }
    return paired, tuple(sorted(labels))


def check_videos(names: Iterable[str], known: Iterable[str]) -> None:
    """Check that every named video is annotated.

    Raises:
        DataError: If one is not, or no video is annotated at all.
    """
    annotated = tuple(known)
    if not annotated:
        raise DataError("there must be annotations of at least one video; got none")
    unknown = [name for name in names if name not in set(annotated)]
    if unknown:
        near = difflib.get_close_matches(unknown[0], annotated, 3)
        offer = f" (similar: {', '.join(map(repr, near))})" if near else ""
        raise DataError(
            f"every video must have annotations, possibly empty; {len(unknown)} have none: "
            f"{', '.join(map(repr, unknown[:3]))}{offer}"
        )
