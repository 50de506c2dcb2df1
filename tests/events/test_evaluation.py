"""All metrics of one detector on annotated videos."""

import json

import numpy as np
import pytest

from movinet_lite import EventDetector, Prediction
from movinet_lite.errors import ArrayError, DataError, LabelsError
from movinet_lite.events import Annotation, ScoredVideo, evaluate_events
from movinet_lite.events.metrics import detection_delay, event_f1, false_alarms

TIMES_S = np.arange(100) / 5


def video(start_s, end_s, *annotations):
    """Return a video of 20 s in which "wave" scores high for some of the time."""
    is_on = (start_s <= TIMES_S) & (end_s > TIMES_S)
    scores = np.where(is_on, 0.9, 0.05)[:, None] * [1, 0.1]
    return ScoredVideo(TIMES_S, scores, annotations)


VIDEOS = {
    "right": video(4, 8, Annotation("wave", 4, 8)),
    "late": video(6, 9, Annotation("wave", 4.5, 9)),
    "alarm": video(2, 5),
    "missed": video(30, 31, Annotation("rest", 1, 5)),
}


def test_every_metric_is_that_of_its_function():
    """The evaluation holds what each function says of the events found."""
    found = evaluate_events(VIDEOS, ["wave", "rest"])

    truth = {name: one.annotations for name, one in VIDEOS.items()}
    durations_s = dict.fromkeys(VIDEOS, 20.0)
    for collar_s in (1.0, 2.0):
        expected = event_f1(truth, found.events, collar_s=collar_s)
        np.testing.assert_array_equal(found.event_f1[collar_s].counts, expected.counts)
    assert found.event_f1[1.0].micro.num_correct == 1
    assert found.event_f1[2.0].micro.num_correct == 2
    assert found.delay.delays_s == detection_delay(truth, found.events).delays_s
    assert found.false_alarms.per_hour == pytest.approx(
        false_alarms(truth, found.events, durations_s).per_hour
    )
    assert found.false_alarms.per_hour == pytest.approx(45)


def test_text_and_dictionary_say_the_same():
    """Both name each metric with its interval, and each label; a value that there is not is no NaN in JSON."""
    found = evaluate_events(VIDEOS, ["wave", "rest"], collars_s=[0.5])

    text, values = found.to_text(), found.to_dict()
    for name, interval in found.intervals().items():
        (line,) = (line for line in text.splitlines() if line.startswith(name))
        assert (
            f"{interval.value:.3f}   {interval.low:.3f} to {interval.high:.3f}" in line
        )
        assert values["metrics"][name]["value"] == interval.value
    assert "4 videos of 0.02 hours: 3 events annotated, 3 found, 1 missed" in text
    assert values["by_label"]["rest"]["delay_s"] is None
    assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_labels_that_may_not_be_found_are_not_missed():
    """A detector of some labels is judged by their annotations alone."""
    found = evaluate_events(VIDEOS, ["wave", "rest"], EventDetector(labels=["wave"]))

    assert found.event_f1[1.0].labels == ("wave",)
    assert found.delay.num_missed == 0


def test_predictions_become_a_scored_video():
    """Scores and times are those of the predictions; the last frame lasts as long as the one before."""
    predictions = [
        Prediction(np.log([score, 1 - score]), ("wave", "rest"), time_s=place / 4)
        for place, score in enumerate([0.25, 0.5, 0.75])
    ]

    one = ScoredVideo.from_predictions(predictions, [Annotation("wave", 0.0, 1.0)])

    np.testing.assert_allclose(one.scores[:, 0], [0.25, 0.5, 0.75], rtol=1e-6)
    assert one.times_s.tolist() == [0.0, 0.25, 0.5]
    assert one.duration_s == 0.75
    assert one.annotations == (Annotation("wave", 0.0, 1.0),)


def test_what_cannot_be_judged_is_refused():
    """No frames, no times, no collar and unknown labels are one clear error each."""
    with pytest.raises(ArrayError, match="at least one frame"):
        ScoredVideo.from_predictions([])
    with pytest.raises(ArrayError, match="must have the time of its frame"):
        ScoredVideo.from_predictions([Prediction([1.0, 0.0], ("a", "b"))])
    with pytest.raises(DataError, match="at least one video"):
        evaluate_events({}, ["wave"])
    with pytest.raises(DataError, match="at least one collar"):
        evaluate_events(VIDEOS, ["wave", "rest"], collars_s=[])
    with pytest.raises(LabelsError, match=r"'rest'.*missed"):
        evaluate_events(VIDEOS, ["wave", "jump"])
