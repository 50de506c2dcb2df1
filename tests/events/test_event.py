"""Events and annotations as values."""

import json

import pytest

from movinet_lite import DataError, Event
from movinet_lite.events import Annotation
from movinet_lite.events.event import completed, end_of

EVENT = Event(
    label="yoga",
    start_s=1.0,
    end_s=3.0,
    peak=0.75,
    mean=0.5,
    num_frames=10,
    confirmed_s=1.5,
)


def _going_on(state, start_s=1.0):
    return Event(
        label="yoga", start_s=start_s, peak=0.75, mean=0.5, num_frames=2, state=state
    )


def test_an_event_survives_json():
    """What to_dict gives, json takes, and from_dict gives back, while an event goes on and after."""
    for event in (EVENT, _going_on("began")):
        assert Event.from_dict(json.loads(json.dumps(event.to_dict()))) == event


def test_repr_says_what_matters():
    """An event reads as a sentence."""
    assert repr(EVENT) == (
        "Event('yoga', 1.0 s to 3.0 s, ended, mean 0.50, peak 0.75, 10 frames)"
    )
    assert repr(_going_on("confirmed")) == (
        "Event('yoga', from 1.0 s, confirmed, mean 0.50, peak 0.75, 2 frames)"
    )


def test_length_and_score():
    """The score of an event is its mean; it has no duration while it goes on."""
    assert (EVENT.duration_s, EVENT.score) == (2.0, 0.5)
    assert _going_on("began").duration_s is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"end_s": 0.5}, "end at or after its start; got 1 s to 0.5 s"),
        ({"end_s": float("inf")}, "end at or after its start"),
        ({"start_s": float("nan")}, "start_s must be a number of seconds; got nan"),
        ({"state": "over"}, "one of began, confirmed, ended, dropped; got 'over'"),
        ({"label": 1}, "label of an event must be text; got 1"),
        ({"num_frames": 1.5}, "num_frames of an event must be a whole number; got 1.5"),
        ({"peak": True}, "peak of an event must be a number; got True"),
        ({"end_s": "3"}, "end_s of an event must be a number or null; got '3'"),
        ({"mood": 1}, "unknown: mood"),
    ],
)
def test_impossible_events_are_refused(changes, text):
    """An event that ends before it starts, or has a value of another kind, is an error."""
    with pytest.raises(DataError, match=text):
        Event.from_dict({**EVENT.to_dict(), **changes})


def test_missing_values_are_named():
    """An event without its label is an error that says so."""
    values = EVENT.to_dict()
    del values["label"]
    with pytest.raises(DataError, match="missing: label"):
        Event.from_dict(values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (("yoga", 2.0, 1.0), "got 2 s to 1 s"),
        (("", 1.0, 2.0), "label must be a non-empty name; got ''"),
        ((None, 1.0, 2.0), "label must be a non-empty name; got None"),
        (("yoga", 1.0, float("nan")), "end at or after"),
        (("yoga", 1.0, 2.0, float("nan")), "score must be a number; got nan"),
    ],
)
def test_impossible_annotations_are_refused(values, text):
    """An annotation that ends before it starts, or is without a label or numbers, is an error."""
    with pytest.raises(DataError, match=text):
        Annotation(*values)


def test_what_is_over():
    """Of all that a detector reports, what ended counts, once; annotations always do."""
    life = [_going_on("began"), _going_on("confirmed"), EVENT]
    dropped = [
        _going_on("began", 9.0),
        Event(**{**EVENT.to_dict(), "state": "dropped"}),
    ]
    annotation = Annotation("rest", 0.0, 1.0)

    assert completed([*life, *dropped, annotation]) == (EVENT, annotation)


def test_what_was_never_finished_is_an_error():
    """A confirmed event that never ended would be lost without a word, so it is an error that tells of finish."""
    with pytest.raises(DataError, match=r"'yoga' from 1 s has not \(add .*finish\(\)"):
        completed([_going_on("began"), _going_on("confirmed")])
    with pytest.raises(DataError, match="'yoga' from 1 s has none"):
        end_of(_going_on("confirmed"))
