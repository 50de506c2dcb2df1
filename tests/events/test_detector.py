"""The detector: what each setting does, that a stream and a recording give the same, and what bad input does."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movinet_lite import (
    ArrayError,
    EventDetector,
    LabelsError,
    Prediction,
    SessionError,
    find_events,
    kinetics_600_labels,
)
from tests.events.streams import (
    changes_of,
    detectors,
    predictions_of,
    spans_of,
    streams,
)

PLAIN = {"enter": 0.6, "leave": 0.4, "min_duration_s": 0.0, "max_gap_s": 0.0}
QUARTERS = [place / 4 for place in range(16)]


def _as_row(scores):
    """Return scores of some labels with the rest as one more, so that they sum to 1."""
    rows = np.asarray(scores, float) / (np.sum(scores, axis=1, keepdims=True) + 0.25)
    return np.column_stack([rows, 1 - rows.sum(axis=1)])


# What is found


def test_two_thresholds():
    """A label is on from the first frame at or above enter until the first frame below leave."""
    scores = [0.5, 0.6, 0.5, 0.4, 0.3, 0.5, 0.3]

    assert spans_of(EventDetector(**PLAIN), scores, QUARTERS[:7]) == [(0.25, 1.0)]


def test_the_life_of_an_event():
    """An event is reported when it begins, when it has lasted long enough, and when its pause is too long."""
    detector = EventDetector(enter=0.6, leave=0.4, min_duration_s=0.5, max_gap_s=0.25)
    scores = [0, 0.9, 0.9, 0.9, 0, 0.9, 0, 0, 0, 0.9, 0, 0, 0]

    assert changes_of(detector, scores, QUARTERS[:13]) == [
        "0.25: began 0.25",
        "0.75: confirmed 0.25",
        "2.0: ended 0.25 1.5",
        "2.25: began 2.25",
        "3.0: dropped 2.25 2.5",
    ]


def test_a_pause_of_exactly_the_longest_gap_is_bridged():
    """Frames at 0.2 s are counted as people count them, though 1.4 - 0.8 is less than 0.6 for a computer."""
    times_s = [place * 0.2 for place in range(12)]
    for first in range(1, 6):
        scores = [0.0] * 12
        scores[first] = scores[first + 4] = 0.9  # off for three frames
        detector = EventDetector(enter=0.6, max_gap_s=0.6, min_duration_s=0.0)
        assert len(spans_of(detector, scores, times_s)) == 1
        detector = EventDetector(enter=0.6, max_gap_s=0.59, min_duration_s=0.0)
        assert len(spans_of(detector, scores, times_s)) == 2


def test_a_duration_of_exactly_the_shortest_is_enough():
    """Three frames of 0.2 s last 0.6 s wherever they stand."""
    times_s = [place * 0.2 for place in range(12)]
    for first in range(9):
        scores = [0.0] * 12
        scores[first : first + 3] = [0.9] * 3
        detector = EventDetector(enter=0.6, min_duration_s=0.6, max_gap_s=0.0)
        assert len(spans_of(detector, scores, times_s)) == 1
        detector = EventDetector(enter=0.6, min_duration_s=0.61, max_gap_s=0.0)
        assert spans_of(detector, scores, times_s) == []


def test_a_float32_score_reaches_its_threshold():
    """A score of 0.7 enters at 0.7, though float32 keeps a little less."""
    scores = np.full((4, 1), 0.7, np.float32)
    detector = EventDetector(enter=0.7, leave=0.7, min_duration_s=0)

    assert len(detector.detect(scores, [0, 1, 2, 3], ["on"])) == 1


def test_leave_is_a_little_below_enter():
    """Without leave, it is enter - 0.15, but never 0, where no event would end."""
    assert EventDetector(enter=0.6).settings.leave == 0.45
    assert EventDetector(enter=0.1).settings.leave == 0.01
    assert EventDetector(enter=0.005).settings.leave == 0.005


def test_padding_widens_and_joins():
    """Padding moves both ends out, never before the first frame, and joins events whose padding touches."""
    scores = [0.9, 0, 0, 0, 0, 0.9, 0.9, 0, 0, 0.9, 0, 0, 0, 0, 0, 0]
    detector = EventDetector(**PLAIN | {"pad_s": 0.25})

    assert spans_of(detector, scores, QUARTERS) == [(0.0, 0.5), (1.0, 2.75)]


def test_a_known_delay_is_taken_back():
    """Onset and offset move back by the delay; an event that the end cuts off lasts until the end."""
    scores = [0, 0, 0.9, 0.9, 0.9, 0.9, 0, 0, 0, 0, 0, 0, 0.9, 0.9, 0.9, 0.9]
    detector = EventDetector(**PLAIN | {"delay_s": 0.5})

    assert spans_of(detector, scores, QUARTERS) == [(0.0, 1.0), (2.5, 4.0)]


def test_what_a_delay_moves_before_the_first_frame_is_no_event():
    """An event at the start counts from the first frame on, and one that ended before it is dropped."""
    detector = EventDetector(**PLAIN | {"delay_s": 0.5})

    assert spans_of(detector, [0.9, 0, 0, 0], QUARTERS[:4]) == []
    assert spans_of(detector, [0.9, 0.9, 0.9, 0], QUARTERS[:4]) == [(0.0, 0.25)]


def test_cooldown():
    """After an offset, a label is ignored for the cooldown, and may then come on though it was on all along."""
    scores = [0, 0.9, 0.9, 0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0, 0, 0, 0, 0]
    detector = EventDetector(**PLAIN | {"cooldown_s": 1.0})

    assert spans_of(detector, scores, QUARTERS) == [(0.25, 0.75), (1.75, 2.75)]


def test_a_dropped_event_starts_no_cooldown():
    """What was never confirmed does not keep the next event away."""
    scores = [0, 0.9, 0, 0.9, 0.9, 0.9, 0, 0]
    detector = EventDetector(**PLAIN | {"cooldown_s": 2.0, "min_duration_s": 0.5})

    assert spans_of(detector, scores, QUARTERS[:8]) == [(0.75, 1.5)]


def test_longest_duration():
    """An event that lasts too long ends, and another begins at once without a hole."""
    detector = EventDetector(**PLAIN | {"max_duration_s": 1.0, "pad_s": 0.25})
    scores = [0, 0, *[0.9] * 10, 0, 0, 0, 0]

    assert spans_of(detector, scores, QUARTERS) == [
        (0.25, 1.5),
        (1.5, 2.5),
        (2.5, 3.25),
    ]


def test_longest_duration_with_cooldown():
    """A label that is stuck is reported once in a while."""
    detector = EventDetector(**PLAIN | {"max_duration_s": 0.5, "cooldown_s": 1.0})

    assert spans_of(detector, [0.9] * 16, QUARTERS) == [
        (0.0, 0.5),
        (1.5, 2.0),
        (3.0, 3.5),
    ]


def test_padding_does_not_cross_a_cut():
    """An event after one that was cut does not start before that one's end, however wide the padding."""
    detector = EventDetector(
        **PLAIN | {"max_duration_s": 0.5, "cooldown_s": 0.25, "pad_s": 1.0}
    )

    assert spans_of(detector, [0.9] * 5, QUARTERS[:5]) == [(0.0, 0.5), (0.5, 1.25)]


def test_longest_duration_over_a_pause():
    """An event that would grow too long over a pause ends where the pause begins."""
    detector = EventDetector(**PLAIN | {"max_duration_s": 1.0, "max_gap_s": 1.0})
    scores = [0.9, 0.9, 0, 0, 0.9, 0.9, 0, 0, 0, 0, 0, 0]

    assert spans_of(detector, scores, QUARTERS[:12]) == [(0.0, 0.5), (1.0, 1.5)]


def test_smoothing_goes_by_time():
    """The mean weighs by seconds: after one time constant, 63 % of a step have come, at any frame rate."""
    for per_second in (5, 50):
        times_s = [place / per_second for place in range(3 * per_second + 1)]
        scores = [0.0] + [1.0] * (3 * per_second)
        detector = EventDetector(
            enter=1 - np.exp(-1) - 1e-6, smooth_s=1.0, min_duration_s=0
        )
        assert spans_of(detector, scores, times_s)[0][0] == pytest.approx(1.0)


def test_peak_mean_and_frames():
    """An event has its highest score, its mean and its frames, bridged pauses included and the last pause not."""
    detector = EventDetector(enter=0.5, leave=0.5, max_gap_s=0.25, min_duration_s=0)
    scores = np.array([[0.0], [0.5], [1.0], [0.25], [0.75], [0.0], [0.0]])

    (event,) = detector.detect(scores, QUARTERS[:7], ["on"])

    assert (event.peak, event.mean, event.num_frames) == (1.0, 0.625, 4)
    assert event.confirmed_s == 0.25


def test_only_labels_that_are_allowed():
    """An allow list leaves all other labels out."""
    scores = np.full((4, 3), 0.9)
    found = EventDetector(labels=["c", "a"]).detect(scores, range(4), ["a", "b", "c"])

    assert [event.label for event in found] == ["a", "c"]


def test_thresholds_of_a_label():
    """A label may have thresholds of its own."""
    scores = np.array([[0.3, 0.3], [0.3, 0.3], [0.15, 0.15], [0.05, 0.05]])
    detector = EventDetector(thresholds={"b": (0.3, 0.1)}, min_duration_s=0)

    (event,) = detector.detect(scores, [0, 1, 2, 3], ["a", "b"])

    assert (event.label, event.start_s, event.end_s) == ("b", 0, 3)


@given(streams(), detectors(smooth_s=0, cooldown_s=0, max_duration_s=None))
def test_equals_the_rules_one_after_the_other(stream, detector):
    """The states give what the rules give when each is applied to a whole recording by itself."""
    scores, times_s = stream
    options = detector.settings
    labels = [f"label {index}" for index in range(scores.shape[1])]
    expected = []
    for index, label in enumerate(labels):
        for first, last in _unbroken(times_s, options):
            part = slice(first, last + 1)
            hold_s = _hold(times_s, first, last, options)
            spans = _spans_by_rules(scores[part, index], times_s[part], hold_s, options)
            expected += [(label, *span) for span in spans]

    found = detector.detect(scores, times_s, labels)

    assert sorted((one.label, one.start_s, one.end_s) for one in found) == sorted(
        expected
    )


def _bridged(options):
    return max(options.max_gap_s, 2 * options.pad_s)


def _unbroken(times_s, options):
    """Yield the first and last place of each stretch without a loss."""
    first, before = 0, 0.0
    for place in range(1, len(times_s)):
        interval = times_s[place] - times_s[place - 1]
        if interval > max(2.0, _bridged(options)) and 0 < 3 * before < interval:
            yield first, place - 1
            first = place
        before = interval or before
    yield first, len(times_s) - 1


def _hold(times_s, first, last, options):
    """Return the last interval above 0, up to a stretch's end, that was no loss."""
    starts = {one for one, _ in _unbroken(times_s, options)}
    intervals = [
        times_s[place] - times_s[place - 1]
        for place in range(1, last + 1)
        if place not in starts and times_s[place] > times_s[place - 1]
    ]
    assert first <= last
    return intervals[-1] if intervals else 0.0


def _spans_by_rules(scores, times_s, hold_s, options):
    # Raw spans, as [onset, offset, whether the offset was seen].
    raw, is_on = [], False
    for score, time_s in zip(scores, times_s, strict=True):
        if not is_on and score >= options.enter:
            raw.append([time_s, times_s[-1] + hold_s, False])
            is_on = True
        elif is_on and score < options.leave:
            raw[-1][1:] = [time_s, True]
            is_on = False
    bridged_s = _bridged(options)
    joined = []
    for span in raw:
        if joined and bridged_s > 0 and span[0] - joined[-1][1] <= bridged_s:
            joined[-1][1:] = span[1:]
        else:
            joined.append(span)
    for onset, offset, is_seen in joined:
        stop_s = times_s[-1] + hold_s
        start = max(onset - options.delay_s, times_s[0])
        end = offset - options.delay_s if is_seen else stop_s
        if end - start >= options.min_duration_s:
            padded = min(end + options.pad_s, stop_s) if is_seen else stop_s
            yield max(start - options.pad_s, times_s[0]), padded


# A stream and a recording


@given(streams(), detectors(), st.randoms())
def test_online_equals_offline(stream, detector, random):
    """However a recording is cut, and whatever other stream runs beside it, the same events come, to the last bit."""
    scores, times_s = stream
    rows = _as_row(scores)
    labels = tuple(f"label {index}" for index in range(rows.shape[1]))
    predictions = predictions_of(rows, times_s, labels)
    other = detector.fresh()

    reported = []
    rest = predictions
    while rest:
        size = random.randint(1, len(rest))
        piece, rest = rest[:size], rest[size:]
        for prediction in piece:
            reported += detector.update(prediction)
        other.update(Prediction(-prediction.logits, labels, time_s=prediction.time_s))
    reported += detector.finish()
    ended = [event for event in reported if event.state == "ended"]

    assert tuple(sorted(ended, key=lambda event: event.start_s)) == find_events(
        predictions, detector
    )
    scores = [prediction.scores for prediction in predictions]
    assert detector.detect(scores, times_s, labels) == find_events(
        predictions, detector
    )


@given(streams(), detectors())
def test_labels_do_not_disturb_each_other(stream, detector):
    """A label has the same events alone as among others."""
    scores, times_s = stream
    labels = [f"label {index}" for index in range(scores.shape[1])]
    together = detector.detect(scores, times_s, labels)

    for index, label in enumerate(labels):
        alone = detector.detect(scores[:, [index]], times_s, [label])
        assert alone == tuple(event for event in together if event.label == label)


@given(streams(max_classes=1), detectors())
def test_every_event_lives_one_life(stream, detector):
    """An event begins, is confirmed and ends, or begins and is dropped, under one label and start; none overlaps another."""
    scores, times_s = stream
    rows = _as_row(scores)
    changes = []
    for prediction in predictions_of(rows, times_s, ("on", "off")):
        now = detector.update(prediction)
        assert all(event.start_s <= prediction.time_s for event in now)
        changes += now
    changes += detector.finish()

    for label in ("on", "off"):
        lives = {}
        for event in changes:
            if event.label == label:
                lives.setdefault(event.start_s, []).append(event)
        last_end = -np.inf
        for start_s, life in sorted(lives.items()):
            states = " ".join(event.state for event in life)
            assert re.fullmatch(
                r"(began dropped )*(began (confirmed ended|dropped))( began (confirmed ended|dropped))*",
                states,
            )
            for event in life:
                assert event.end_s is None or event.end_s >= start_s
                assert 0 <= event.mean <= event.peak <= 1
                assert event.num_frames >= 1
            ends = [event.end_s for event in life if event.state == "ended"]
            if ends:
                assert start_s >= last_end - 1e-6
                last_end = max(ends)


@given(streams(max_classes=1), detectors(delay_s=0, pad_s=0))
def test_durations_and_cooldowns_hold(stream, detector):
    """No event is shorter than the shortest, longer than the longest by more than a frame, or within a cooldown."""
    scores, times_s = stream
    options = detector.settings
    found = detector.detect(scores, times_s, ["on"])
    longest_s = np.inf if options.max_duration_s is None else options.max_duration_s
    intervals = np.append(np.diff(times_s), 0)

    for event in found:
        assert event.duration_s >= options.min_duration_s - 1e-6
        assert event.duration_s < longest_s + 2 * intervals.max() + 1e-6
    for one, other in itertools.pairwise(found):
        assert other.start_s - one.end_s >= options.cooldown_s - 1e-5


def test_finish_lets_another_stream_begin():
    """After finish, times start over, and other labels may come; so after reset, which ends nothing."""
    detector = EventDetector(min_duration_s=0)
    on = [Prediction([3.0, 0.0], ("a", "b"), time_s=place) for place in (5.0, 6.0)]
    other = Prediction([0.0], ("c",), time_s=0.0)

    for prediction in on:
        detector.update(prediction)
    (ended,) = detector.finish()
    assert (ended.label, ended.start_s, ended.end_s) == ("a", 5.0, 7.0)
    assert detector.finish() == ()
    detector.update(other)
    detector.reset()
    assert detector.finish() == ()
    assert [event.start_s for event in detector.update(on[0])] == [5.0, 5.0]


def test_find_events_leaves_its_detector_alone():
    """A detector that follows a stream may be lent to find events in a recording."""
    detector = EventDetector(min_duration_s=0)
    prediction = Prediction([3.0, 0.0], ("a", "b"), time_s=9.0)
    detector.update(prediction)

    assert len(find_events([prediction, prediction], detector)) == 1
    detector.detect([[0.9]], [0.0], ["z"])
    assert [event.start_s for event in detector.finish()] == [9.0]


def test_nothing_gives_nothing():
    """A recording without frames has no events."""
    assert find_events([]) == ()
    assert EventDetector().detect(np.empty((0, 2)), [], ["a", "b"]) == ()


# Times


def test_a_lost_camera_ends_what_goes_on():
    """When frames stop for long, an event ends with the last frame before, and what comes after is another."""
    times_s = [0.0, 0.25, 0.5, 0.75, 60.0, 60.25, 60.5]
    detector = EventDetector(**PLAIN | {"delay_s": 0.25})

    assert spans_of(detector, [0.9] * 7, times_s) == [(0.0, 1.0), (60.0, 60.75)]


def test_what_a_loss_ends_is_known_after_it():
    """An event that only the end of the stream makes long enough is confirmed with the next frame there is."""
    detector = EventDetector(enter=0.6, min_duration_s=0.75)
    scores, times_s = [[0.9], [0.9], [0.9], [0.0]], [0.0, 0.25, 0.5, 60.0]

    (event,) = detector.detect(scores, times_s, ["on"])

    assert (event.end_s, event.confirmed_s) == (0.75, 60.0)


def test_smoothing_starts_over_after_a_loss():
    """Scores from before a loss do not weigh on those after."""
    times_s = [0.0, 0.25, 0.5, 60.0, 60.25]
    detector = EventDetector(**PLAIN | {"smooth_s": 100.0})

    assert spans_of(detector, [0, 0, 0, 0.9, 0.9], times_s) == [(60.0, 60.5)]


def test_a_longer_gap_bridges_a_loss():
    """Who allows pauses of a minute, allows them for a camera too."""
    times_s = [0.0, 0.25, 0.5, 30.0, 30.25]
    detector = EventDetector(**PLAIN | {"max_gap_s": 60.0})

    assert spans_of(detector, [0.9] * 5, times_s) == [(0.0, 30.5)]


def test_few_frames_are_no_loss():
    """A stream of one frame in ten seconds is a stream, also if it was a faster one before."""
    detector = EventDetector(**PLAIN)
    assert spans_of(detector, [0.9] * 4, [0, 10, 20, 30]) == [(0, 40)]

    times_s = [0.0, 0.25, 0.5, 10.0, 20.0, 30.0]
    assert spans_of(detector, [0.9] * 6, times_s) == [(0.0, 0.75), (10.0, 40.0)]


def test_a_repeated_time_counts_and_takes_no_time():
    """Two frames of one time are both frames of an event, which lasts no longer for it."""
    detector = EventDetector(**PLAIN)
    (event,) = detector.detect([[0.9]] * 3 + [[0.1]], [0.0, 0.5, 0.5, 1.0], ["on"])

    assert (event.start_s, event.end_s, event.num_frames) == (0.0, 1.0, 3)


@pytest.mark.parametrize(
    ("time_s", "error", "text"),
    [
        (
            0.5,
            SessionError,
            r"must be in ascending order; got 0.5 s after 1 s \(another",
        ),
        (None, ArrayError, r"must have the time of its frame; .*step\(frame, time_s="),
        (float("nan"), ArrayError, "must be numbers of seconds; got nan"),
        (float("inf"), ArrayError, "must be numbers of seconds; got inf"),
    ],
)
def test_bad_times_change_nothing(time_s, error, text):
    """A time that runs backwards, is missing or is no number is an error, and the detector goes on as before."""
    detector = EventDetector(min_duration_s=0)
    labels = ("a", "b")
    detector.update(Prediction([3.0, 0.0], labels, time_s=0.0))
    detector.update(Prediction([3.0, 0.0], labels, time_s=1.0))

    with pytest.raises(error, match=text):
        detector.update(Prediction([0.0, 3.0], labels, time_s=time_s))

    (event,) = detector.finish()
    assert (event.start_s, event.end_s, event.num_frames) == (0.0, 2.0, 2)


def test_other_labels_are_an_error():
    """Predictions of another model do not go on with the events of the first."""
    detector = EventDetector()
    detector.update(Prediction([0.0], ("a",), time_s=0.0))

    with pytest.raises(LabelsError, match=r"must have the same labels.*reset\(\)"):
        detector.update(Prediction([0.0], ("b",), time_s=1.0))
    detector.update(Prediction([0.0], tuple("a"), time_s=1.0))


@pytest.mark.parametrize(
    ("scores", "times_s", "text"),
    [
        ([[0.5]], [0.0, 1.0], "one for each of the 1 frames; got 2"),
        (
            [[0.5], [0.5]],
            [1.0, 0.5],
            "ascending order; got 0.5 s for frame 1 after 1 s",
        ),
        ([[0.5]], [np.nan], "numbers of seconds; got nan for frame 0"),
        ([[np.nan]], [0.0], r"scores must be numbers; got NaN"),
        (
            [[2.0]],
            [0.0],
            r"from 0 to 1; got 2 to 2 \(if these are logits, apply softmax",
        ),
        ([0.5], [0.0], r"shape \(frames, classes\); got float64 of shape \(1,\)"),
        ([[0.5], [0.5, 0.5]], [0.0, 1.0], "ragged"),
        ([["a"]], [0.0], "must be numbers of shape"),
        (np.empty((0, 0)), [], "at least one class"),
    ],
)
def test_arrays_are_checked(scores, times_s, text):
    """Arrays that are no scores or no times are an error that says why."""
    with pytest.raises(ArrayError, match=text):
        EventDetector().detect(scores, times_s, ["a"])


# For ever


def test_memory_does_not_grow():
    """What a detector stores after 20,000 frames is what it stored after 1,000 at most, losses and all."""
    generator = np.random.default_rng(0)
    labels = tuple(f"label {index}" for index in range(20))
    detector = EventDetector(
        enter=0.2, smooth_s=0.3, max_gap_s=1.0, cooldown_s=2.0, max_duration_s=5.0
    )
    time_s, stored, ended = 0.0, [], 0
    for frame in range(20_000):
        time_s += 60.0 if frame % 997 == 0 else float(generator.uniform(0, 0.4))
        logits = 3 * generator.normal(size=20)
        changes = detector.update(Prediction(logits, labels, time_s=time_s))
        ended += sum(event.state == "ended" for event in changes)
        stored.append(detector.num_stored)

    assert ended > 1000
    assert max(stored[1000:]) <= max(stored[:1000]) + 20
    assert max(stored) <= 20 * 15


# Settings


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"enter": 0.5, "leave": 0.6},
            "leave not above enter; got enter=0.5, leave=0.6",
        ),
        ({"enter": 0}, "above 0 and up to 1"),
        ({"enter": 1.5}, "above 0 and up to 1"),
        ({"enter": float("nan")}, "above 0 and up to 1"),
        ({"leave": 0.0}, "above 0 and up to 1"),
        ({"enter": "0.5"}, "enter must be a number; got '0.5'"),
        ({"enter": True}, "enter must be a number; got True"),
        ({"min_duration_s": -1}, "min_duration_s must be 0 seconds or more; got -1"),
        ({"max_gap_s": -0.1}, "max_gap_s must be 0 seconds or more; got -0.1"),
        ({"smooth_s": float("nan")}, "smooth_s must be 0 seconds or more; got nan"),
        ({"pad_s": float("inf")}, "pad_s must be 0 seconds or more; got inf"),
        ({"delay_s": None}, "delay_s must be a number; got None"),
        ({"delay_s": 10**400}, "delay_s must be 0 seconds or more; got 1000"),
        ({"max_duration_s": 0}, "max_duration_s must be above 0"),
        (
            {"max_duration_s": 1, "min_duration_s": 2},
            "at least min_duration_s; got max_duration_s=1, min_duration_s=2",
        ),
        (
            {"thresholds": {"a": 0.5}},
            "a pair of numbers, enter and leave, for each label; got 0.5",
        ),
        ({"thresholds": {"a": (0.3, 0.5)}}, "enter and leave of 'a' must be above 0"),
        ({"thresholds": [("a", (0.5, 0.3))]}, r"for each label; got \[\('a'"),
    ],
)
def test_settings_are_checked(options, text):
    """A setting that is out of its range is an error that names it."""
    with pytest.raises(ArrayError, match=text):
        EventDetector(**options)


def test_unknown_labels_offer_the_nearest():
    """A label that the model does not have is an error at the first prediction, with the nearest names."""
    labels = kinetics_600_labels()
    prediction = Prediction(np.zeros(600), labels, time_s=0.0)

    for options in (
        {"labels": ["joging"]},
        {"thresholds": {"joging": (0.5, 0.4)}},
    ):
        with pytest.raises(LabelsError, match=r"'joging' \(similar: 'jogging'"):
            EventDetector(**options).update(prediction)


def test_labels_of_the_settings_are_checked():
    """An allow list must hold a label, each once; thresholds are for labels that are allowed."""
    with pytest.raises(LabelsError, match="at least one label"):
        EventDetector(labels=[])
    with pytest.raises(LabelsError, match="is also label 1"):
        EventDetector(labels=["a", "a"])
    with pytest.raises(LabelsError, match="sequence of str; got the str 'abc'"):
        EventDetector(labels="abc")
    with pytest.raises(LabelsError, match="among the 1 labels; got 'b'"):
        EventDetector(labels=["a"], thresholds={"b": (0.5, 0.4)})


@settings(max_examples=20)
@given(streams(), detectors())
def test_a_fresh_detector_has_the_same_settings(stream, detector):
    """A fresh detector finds the same, and shows its settings."""
    scores, times_s = stream
    labels = [f"label {index}" for index in range(scores.shape[1])]
    fresh = detector.fresh()

    assert fresh.settings == detector.settings
    assert repr(fresh) == repr(detector)
    assert fresh.detect(scores, times_s, labels) == detector.detect(
        scores, times_s, labels
    )
