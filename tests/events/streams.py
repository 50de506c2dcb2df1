"""Scores over time for the tests of events: strategies, and predictions made of them."""

import itertools

import numpy as np
from hypothesis import strategies as st

from movinet_lite import EventDetector, Prediction


def predictions_of(scores, times_s, labels):
    """Return a prediction for each row of *scores*, which sums to 1."""
    return [
        Prediction(np.log(np.asarray(row, np.float64) + 1e-9), labels, time_s=time_s)
        for row, time_s in zip(scores, times_s, strict=True)
    ]


def changes_of(detector, scores, times_s):
    """Return all that a detector reports of the scores of one label, as text: time, state, start, end."""
    lines = []
    for score, time_s in zip(scores, times_s, strict=True):
        row = np.log([max(score, 1e-9), max(1 - score, 1e-9)])
        changes = detector.update(Prediction(row, ("on", "off"), time_s=time_s))
        lines += [_line(time_s, event) for event in changes if event.label == "on"]
    lines += [
        _line("finish", event) for event in detector.finish() if event.label == "on"
    ]
    return lines


def _line(when, event):
    end = "" if event.end_s is None else f" {event.end_s:g}"
    return f"{when}: {event.state} {event.start_s:g}{end}"


def spans_of(detector, scores, times_s):
    """Return onset and offset of the events that a detector finds in the scores of one label."""
    found = detector.detect(np.asarray(scores)[:, None], times_s, ["on"])
    return [(event.start_s, event.end_s) for event in found]


@st.composite
def streams(draw, max_frames=40, max_classes=3):
    """Return scores, ``(frames, classes)``, and times that rise unevenly, repeat, and are lost now and then."""
    num_frames = draw(st.integers(1, max_frames))
    num_classes = draw(st.integers(1, max_classes))
    levels = st.sampled_from([0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0])
    scores = draw(
        st.lists(
            st.lists(levels, min_size=num_classes, max_size=num_classes),
            min_size=num_frames,
            max_size=num_frames,
        )
    )
    steps = st.sampled_from([0.0, 0.125, 0.125, 0.25, 0.25, 0.25, 0.5, 1.0, 4.0, 20.0])
    intervals = draw(st.lists(steps, min_size=num_frames - 1, max_size=num_frames - 1))
    start_s = draw(st.sampled_from([0.0, -3.5, 1.7e9]))
    return np.array(scores), np.array(
        list(itertools.accumulate(intervals, initial=start_s))
    )


def durations():
    """Return a strategy for a time of the settings."""
    return st.sampled_from([0.0, 0.0, 0.125, 0.25, 0.5, 1.0, 2.5])


@st.composite
def detectors(draw, /, **fixed):
    """Return a detector with any settings, but those in *fixed*."""
    enter = draw(st.sampled_from([0.25, 0.5, 0.625, 0.75]))
    settings = {
        "enter": enter,
        "leave": enter * draw(st.sampled_from([0.5, 0.75, 1.0])),
        "max_duration_s": draw(st.sampled_from([None, None, 2.5, 4.0])),
        **{
            name: draw(durations())
            for name in (
                "min_duration_s",
                "max_gap_s",
                "smooth_s",
                "pad_s",
                "cooldown_s",
                "delay_s",
            )
        },
    }
    return EventDetector(**{**settings, **fixed})
