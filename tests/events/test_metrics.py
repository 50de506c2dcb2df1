"""The metrics: what they count, their intervals, and what bad input does; see also test_metrics_reference."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as npst

from movinet_lite import ArrayError, DataError, Event, LabelsError
from movinet_lite.events import Annotation, ScoredVideo
from movinet_lite.events.metrics import (
    Counts,
    bootstrap,
    detection_delay,
    event_f1,
    false_alarms,
    frame_map,
    segment_f1,
    temporal_map,
)
from movinet_lite.events.metrics.matching import num_pairs
from movinet_lite.events.metrics.temporal_map import temporal_iou


def _run(start_s, end_s, score=None):
    return Annotation("run", start_s, end_s, score)


def _event(start_s, end_s, **values):
    return Event(
        **{
            "label": "run",
            "start_s": start_s,
            "end_s": end_s,
            "peak": 0.75,
            "mean": 0.5,
            "num_frames": 5,
            **values,
        }
    )


# Counting


@given(npst.arrays(np.bool_, npst.array_shapes(min_dims=2, max_dims=2, max_side=5)))
def test_as_many_pairs_as_can_be(allowed):
    """The number of pairs is that of the best of all ways to pair."""
    rows, columns = allowed.shape
    small, large = (allowed, columns) if rows <= columns else (allowed.T, rows)
    best = max(
        sum(small[row, column] for row, column in enumerate(order))
        for order in itertools.permutations(range(large), len(small))
    )

    assert num_pairs(allowed) == best


def test_a_long_chain_is_paired():
    """Thousands of pairs that all have to move are no problem."""
    size = 1500
    allowed = np.eye(size, dtype=bool) | np.eye(size, k=1, dtype=bool)
    allowed = allowed[::-1]

    assert num_pairs(allowed) == size


def test_counts_without_anything():
    """Nothing found is precision 0 and F1 0; without a reference, there is no recall and no F1."""
    assert (Counts(0, 2, 0).precision, Counts(0, 2, 0).f1) == (0.0, 0.0)
    assert math.isnan(Counts(0, 0, 2).recall)
    assert math.isnan(Counts(0, 0, 2).f1)


def test_f1_by_label_and_mean():
    """F1 is given overall, by label, and as the mean of the labels that are annotated."""
    reference = {"a": [_run(0, 1), Annotation("jump", 2, 3)], "b": []}
    estimated = {"a": [_run(0, 1), _run(5, 6)], "b": [Annotation("rest", 1, 2)]}

    report = event_f1(reference, estimated)

    assert report.labels == ("jump", "rest", "run")
    assert report.micro == Counts(1, 2, 3)
    assert report.by_label["run"].f1 == pytest.approx(2 / 3)
    assert report.f1 == pytest.approx(2 / 5)
    assert report.macro_f1 == pytest.approx(1 / 3)


def test_each_event_is_paired_once():
    """Two events for one annotation are one hit and one false one."""
    report = event_f1({"a": [_run(0, 5)]}, {"a": [_run(0.1, 5), _run(0.2, 5)]})

    assert report.micro == Counts(1, 1, 2)


def test_a_collar_is_inclusive_and_may_be_one_sided():
    """A time that is off by exactly the collar is right; offsets may be left out, or judged by length."""
    reference, estimated = {"a": [_run(1, 11)]}, {"a": [_run(2, 14)]}

    def f1(**options):
        return event_f1(reference, estimated, **options).f1

    assert f1(collar_s=1.0) == 0
    assert f1(collar_s=1.0, offset=False) == 1
    assert f1(collar_s=0.9, offset=False) == 0
    assert f1(collar_s=1.0, percentage_of_length=0.3) == 1
    assert f1(collar_s=3.0, onset=False) == 1


def test_segments_of_clock_times():
    """Segments work on the clock of a camera, and before 0."""
    start_s = 1.7e9
    report = segment_f1(
        {"a": [_run(start_s, start_s + 4)], "b": [_run(-1.5, 0.5)]},
        {"a": [_run(start_s + 2, start_s + 6)]},
    )

    assert report.micro == Counts(2, 4 + 3, 4)


def test_temporal_iou_of_nothing_is_nothing():
    """Spans without length overlap nothing, and nothing is divided by 0."""
    assert temporal_iou(1.0, 1.0, np.array([[1.0, 1.0], [0.0, 2.0]])).tolist() == [0, 0]


def test_temporal_map_by_threshold_and_label():
    """Average precision is given by threshold, by label and as the mean of all."""
    reference = {"a": [_run(0, 10)], "b": [Annotation("jump", 0, 10)]}
    estimated = {"a": [_run(0, 6, 0.5)], "b": [Annotation("jump", 0, 10, 0.5)]}

    report = temporal_map(reference, estimated, thresholds=[0.5, 0.7])

    assert report.by_threshold == {0.5: 1.0, 0.7: 0.5}
    assert report.by_label == {"jump": 1.0, "run": 0.5}
    assert report.mean_ap == 0.75


def test_an_event_is_ranked_by_its_mean():
    """Of two events for one annotation, the one with the higher mean score is tried first."""
    found = [_event(0, 9, mean=0.4), _event(0, 5, mean=0.6, peak=0.6)]
    report = temporal_map({"a": [_run(0, 10)]}, {"a": found}, thresholds=[0.3])
    assert report.mean_ap == 1.0
    report = temporal_map({"a": [_run(0, 10)]}, {"a": found}, thresholds=[0.8])
    assert report.mean_ap == 0.5


def test_frame_map_judges_scores():
    """A label is on from its onset until before its offset, and labels that never are do not count."""
    video = ScoredVideo(
        [0.0, 1.0, 2.0, 3.0],
        [[0.1, 0.5], [0.9, 0.5], [0.8, 0.5], [0.2, 0.5]],
        [_run(1.0, 3.0)],
    )
    report = frame_map({"a": video}, ["run", "rest"])

    assert report.labels == ("run",)
    assert (report.mean_ap, report.by_label) == (1.0, {"run": 1.0})
    assert report.interval(num_resamples=3).value == 1.0
    assert math.isnan(frame_map({"a": ScoredVideo([0], [[0.5]])}, ["run"]).mean_ap)


# Delay and false alarms


def test_delay_counts_from_the_onset_to_the_confirmation():
    """The delay is until the first overlapping event was confirmed; what was missed is counted apart."""
    reference = {"a": [_run(10, 20), _run(30, 40), _run(50, 60)], "b": []}
    found = [
        _event(5, 8, confirmed_s=6.0),
        _event(15, 18, confirmed_s=17.0),
        _event(11, 14, confirmed_s=12.5),
        _event(29, 35, confirmed_s=29.5),
        _event(50, 60, confirmed_s=51.0, label="jump"),
    ]

    report = detection_delay(reference, {"a": found})

    assert report.delays_s == (
        (("run", 2.5), ("run", 0.0), ("run", math.inf)),
        (),
    )
    assert (report.num_found, report.num_missed, report.median_s) == (2, 1, 1.25)
    assert report.median_s_by_label == {"run": 1.25}
    assert report.interval().value == 1.25
    assert math.isnan(detection_delay({"a": []}, {}).median_s)


def test_false_alarms_by_the_hour():
    """An event that shares time with an annotation of its label is none; others count by the hour."""
    reference = {"a": [_run(10, 20)], "b": []}
    estimated = {
        "a": [_event(19, 30), _event(20, 30), _event(12, 13, label="jump")],
        "b": [_event(1, 2)],
    }
    report = false_alarms(reference, estimated, {"a": 1800.0, "b": 1800.0})

    assert report.num_alarms == 3
    assert report.per_hour == 3.0
    assert report.per_hour_by_label == {"jump": 1.0, "run": 2.0}
    interval = report.interval()
    assert interval.low < 3.0 < interval.high


# Intervals


def test_intervals_are_repeatable_and_hold_the_value():
    """The same seed gives the same interval, another seed nearly the same, around the value."""
    generator = np.random.default_rng(0)
    reference, estimated = {}, {}
    for place in range(30):
        reference[f"v{place}"] = [_run(0, 10), _run(20, 30)]
        shift = generator.uniform(0, 2)
        estimated[f"v{place}"] = [_run(shift, 10 + shift), _run(20, 30)]
    report = event_f1(reference, estimated)

    one, same = report.interval(seed=1), report.interval(seed=1)
    assert one == same
    assert one.low < one.value == report.f1 < one.high
    assert one.low == pytest.approx(report.interval(seed=2).low, abs=0.03)
    wide = report.interval(confidence=0.99)
    assert wide.low < one.low
    assert report.interval("macro").value == report.macro_f1
    assert str(one) == f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def test_an_interval_covers_as_often_as_it_says():
    """The interval of a mean of 40 normal numbers holds the true mean in about 95 of 100 draws."""
    generator = np.random.default_rng(3)
    covered = 0
    for _ in range(100):
        numbers = generator.normal(size=40)
        interval = bootstrap(
            lambda drawn, numbers=numbers: float(numbers[drawn].mean()),
            40,
            num_resamples=200,
        )
        covered += interval.low <= 0 <= interval.high
    assert 85 <= covered <= 99


def test_videos_without_a_value_are_left_out():
    """Draws in which nothing is annotated have no F1 and are left out; if all have none, so has the interval."""
    report = event_f1({"a": [_run(0, 1)], "b": []}, {"a": [_run(0, 1)]})
    assert report.interval().low == 1.0
    assert math.isnan(event_f1({"a": []}, {}).interval().low)


# What is refused


@pytest.mark.parametrize(
    "metric", [event_f1, segment_f1, temporal_map, detection_delay]
)
def test_videos_must_be_annotated(metric):
    """An event of a video without annotations is an error that offers the nearest name, and so is no video at all."""
    with pytest.raises(
        DataError, match=r"1 have none: 'clip.mpg' \(similar: 'clip.mp4'"
    ):
        metric({"clip.mp4": []}, {"clip.mpg": []})
    with pytest.raises(DataError, match="at least one video; got none"):
        metric({}, {})
    with pytest.raises(DataError, match=r"has not .*finish\(\)"):
        metric({"a": []}, {"a": [_event(0, None, state="confirmed")]})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: event_f1({"a": []}, {}, collar_s=-1), "collar_s must be 0 seconds"),
        (lambda: event_f1({"a": []}, {}, percentage_of_length=50), "from 0 to 1"),
        (lambda: event_f1({"a": []}, {}, onset=False, offset=False), "got neither"),
        (lambda: segment_f1({"a": []}, {}, segment_s=0), "above 0 seconds; got 0"),
        (lambda: temporal_map({"a": []}, {}, thresholds=[]), "at least one"),
        (lambda: temporal_map({"a": []}, {}, thresholds=[1.5]), "up to 1; got"),
        (
            lambda: temporal_map({"a": [_run(0, 1)]}, {"a": [_run(0, 1)]}),
            "a score to be ranked by; 'run' from 0 s has none",
        ),
        (
            lambda: false_alarms({"a": []}, {}, {}),
            "above 0 for every video; got None for 'a'",
        ),
        (lambda: false_alarms({"a": []}, {}, {"a": 0}), "got 0 for 'a'"),
        (
            lambda: event_f1({"a": []}, {}).interval("mean"),
            "micro or macro; got 'mean'",
        ),
        (lambda: event_f1({"a": []}, {}).interval(confidence=1), "below 1"),
        (lambda: frame_map({}, ["a"]), "at least one video; got none"),
    ],
)
def test_options_are_checked(call, text):
    """An option that is out of its range is an error that names it."""
    with pytest.raises(DataError, match=text):
        call()


def test_scored_videos_are_checked():
    """Scores without their times, or annotated with a label that no class has, are an error that names the video."""
    with pytest.raises(ArrayError, match="one for each of the 2 frames; got 1"):
        ScoredVideo([0.0], [[0.5], [0.5]])
    video = ScoredVideo([0.0], [[0.5]], [Annotation("jog", 0, 1)])
    with pytest.raises(
        LabelsError, match=r"'jog' \(similar: 'jogging'\) \(video 'v'\)"
    ):
        frame_map({"v": video}, ["jogging"])
    with pytest.raises(LabelsError, match=r"each of the 1 classes; .*\(video 'v'\)"):
        frame_map({"v": video}, ["jog", "run"])
