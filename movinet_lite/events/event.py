"""Events and annotations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, get_args

import attrs

from movinet_lite.errors import DataError

__all__ = ["Annotation", "Event", "EventState", "Span", "completed", "end_of"]

EventState: TypeAlias = Literal["began", "confirmed", "ended", "dropped"]
"""The state of an event: it begins, is confirmed once it has lasted long enough, and ends; or it is dropped."""


class Span(Protocol):
    """The common interface of `Event` and `Annotation`, as used by metrics and formats."""

    @property
    def label(self) -> str:
        """The class."""

    @property
    def start_s(self) -> float:
        """The onset in seconds."""

    @property
    def end_s(self) -> float | None:
        """The offset in seconds; `None` while it is not known."""

    @property
    def score(self) -> float | None:
        """The score, 0 to 1; `None` if unknown."""


def _check_start(_span: object, _field: object, value: float) -> None:
    if not math.isfinite(value):
        raise DataError(f"start_s must be a number of seconds; got {value}")


def _check_end(span: Any, _field: object, value: Any) -> None:
    if value is not None and not span.start_s <= value < math.inf:  # false for NaN too
        raise DataError(
            f"an event must end at or after its start; got {span.start_s:g} s to {value:g} s"
        )


def _check_state(_event: object, _field: object, value: str) -> None:
    if value not in get_args(EventState):
        raise DataError(
            f"state must be one of {', '.join(get_args(EventState))}; got {value!r}"
        )


@attrs.frozen(kw_only=True)
class Event:
    """An event in time, after the frame at which its state changed.

    An event keeps its `label` and `start_s` through all states; no two confirmed events of a stream share both.

    Attributes:
        label: The class.
        start_s: The onset, in seconds on the clock of the predictions.
        end_s: The offset in seconds; `None` while the event is active.
        peak: The highest score so far, 0 to 1.
        mean: The mean score of its frames so far, 0 to 1, including bridged gaps.
        num_frames: Number of frames so far.
        state: ``"began"``, ``"confirmed"``, ``"ended"``, or ``"dropped"`` if it ended before it was confirmed.
        confirmed_s: The time of the frame that confirmed it; `None` until then.

    Raises:
        DataError: If it ends before it starts, or *state* is unknown.

    Example:
        >>> event = Event(label="yoga", start_s=1.0, end_s=3.5, peak=0.75, mean=0.5, num_frames=12)
        >>> event
        Event('yoga', 1.0 s to 3.5 s, ended, mean 0.50, peak 0.75, 12 frames)
        >>> event.duration_s
        2.5
    """

    label: str
    start_s: float = attrs.field(converter=float, validator=_check_start)
    end_s: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(float),
        validator=_check_end,
    )
    peak: float = attrs.field(converter=float)
    mean: float = attrs.field(converter=float)
    num_frames: int
    state: EventState = attrs.field(default="ended", validator=_check_state)
    confirmed_s: float | None = None

    @property
    def score(self) -> float:
        """The score of the event, 0 to 1: its mean score."""
        return self.mean

    @property
    def duration_s(self) -> float | None:
        """Duration in seconds; `None` while the event is active."""
        return None if self.end_s is None else self.end_s - self.start_s

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes of the event as JSON-compatible values."""
        return attrs.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Event:
        """Return the event for the *values* of `to_dict`.

        Raises:
            DataError: If a value is missing, unknown or of the wrong type.
        """
        known = {field.name: field for field in attrs.fields(cls)}
        missing = [
            name
            for name, field in known.items()
            if field.default is attrs.NOTHING and name not in values
        ]
        unknown = [name for name in values if name not in known]
        if missing or unknown:
            raise DataError(
                f"an event must have {', '.join(known)}; "
                f"missing: {', '.join(missing) or 'none'}, unknown: {', '.join(unknown) or 'none'}"
            )
        for name, given in values.items():
            if not _fits(name, given):
                raise DataError(
                    f"{name} of an event must be {_KINDS[name]}; got {given!r}"
                )
        return cls(**values)

    def __repr__(self) -> str:
        frames = f"{self.num_frames} frame{'' if self.num_frames == 1 else 's'}"
        end = "" if self.end_s is None else f" to {round(self.end_s, 3)} s"
        return (
            f"Event({self.label!r}, {'from ' if self.end_s is None else ''}{round(self.start_s, 3)} s{end}, "
            f"{self.state}, mean {self.mean:.2f}, peak {self.peak:.2f}, {frames})"
        )


_KINDS = {
    "label": "text",
    "start_s": "a number",
    "end_s": "a number or null",
    "peak": "a number",
    "mean": "a number",
    "num_frames": "a whole number",
    "state": "text",
    "confirmed_s": "a number or null",
}


def _fits(name: str, value: object) -> bool:
    kind = _KINDS[name]
    if kind == "text":
        return isinstance(value, str)
    if value is None:
        return kind == "a number or null"
    if isinstance(value, bool):
        return False
    return isinstance(value, int if kind == "a whole number" else (int, float))


def _check_label(_annotation: object, _field: object, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"label must be a non-empty name; got {value!r}")


def _check_score(_annotation: object, _field: object, value: float | None) -> None:
    if value is not None and not math.isfinite(value):
        raise DataError(f"score must be a number; got {value}")


@attrs.frozen
class Annotation:
    """An annotated action with its onset and offset.

    Attributes:
        label: The class.
        start_s: The onset in seconds.
        end_s: The offset in seconds.
        score: The score of a detection; `None` for ground truth.

    Raises:
        DataError: If it ends before it starts, or a value is not a number.
    """

    label: str = attrs.field(validator=_check_label)
    start_s: float = attrs.field(converter=float, validator=_check_start)
    end_s: float = attrs.field(converter=float, validator=_check_end)
    score: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(float),
        validator=_check_score,
    )


def end_of(span: Span) -> float:
    """Return the offset of *span*.

    Raises:
        DataError: If it has none.
    """
    if span.end_s is None:
        raise DataError(
            f"every event must have an end; {span.label!r} from {span.start_s:g} s has none"
        )
    return span.end_s


AnySpan = TypeVar("AnySpan", bound=Span)


def completed(spans: Iterable[AnySpan]) -> tuple[AnySpan, ...]:
    """Return the completed *spans*: all annotations, and events that ended.

    This accepts everything that `EventDetector.update` and `finish` return, in any order: events in other states are
    left out, since confirmed events end later.

    Raises:
        DataError: If an event was confirmed and never ended.
    """
    given = tuple(spans)
    over = tuple(span for span in given if _is_over(span))
    names = {(span.label, span.start_s) for span in over}
    for span in given:
        if (
            isinstance(span, Event)
            and span.state == "confirmed"
            and (span.label, span.start_s) not in names
        ):
            raise DataError(
                f"every confirmed event must have ended; {span.label!r} from {span.start_s:g} s has not "
                "(add the events that the detector's finish() returns)"
            )
    return over


def _is_over(span: Span) -> bool:
    return not isinstance(span, Event) or span.state == "ended"
