"""The class for "nothing of these": every way to events leaves it out."""

import numpy as np
import pytest

from movinet_lite import EventDetector, LabelsError, Prediction, find_events
from movinet_lite.events import (
    Annotation,
    ScoredVideo,
    evaluate_events,
    tune_events,
)

LABELS = ("background", "wave")
TIMES_S = np.arange(0, 20, 0.2)
IS_ON = (TIMES_S >= 5) & (TIMES_S < 12)
SCORES = np.stack([np.where(IS_ON, 0.1, 0.9), np.where(IS_ON, 0.9, 0.1)], axis=1)


def predictions(**more):
    """Return what a model says that sees a wave between five and twelve seconds."""
    for row, time_s in zip(SCORES, TIMES_S, strict=True):
        yield Prediction(np.log(row), LABELS, time_s=time_s, **more)


def test_background_makes_no_event():
    """Of a stream, a recording and arrays; without the word of the model it is a label as any other."""
    found = find_events(predictions(background="background"))
    assert [(event.label, event.start_s) for event in found] == [("wave", 5.0)]
    assert found == EventDetector().detect(
        SCORES, TIMES_S, LABELS, background="background"
    )
    assert [event.label for event in find_events(predictions())] == [
        "background",
        "wave",
        "background",
    ]


def test_background_is_neither_found_nor_missed_in_figures():
    """What people annotated as background counts as nothing, in an evaluation and in tuning."""
    truth = [Annotation("background", 0, 5), Annotation("wave", 5, 12)]
    videos = {
        name: ScoredVideo.from_predictions(predictions(background="background"), truth)
        for name in "abc"
    }

    report = evaluate_events(videos, LABELS).event_f1[1.0]
    assert list(report.by_label) == ["wave"]
    assert report.micro.f1 == 1.0
    assert tune_events(videos, LABELS, num_folds=3).fitted == 1.0


@pytest.mark.parametrize(
    "settings",
    [{"labels": ["background"]}, {"thresholds": {"background": (0.5, 0.4)}}],
)
def test_background_cannot_be_asked_for(settings):
    """Settings that name it are refused, wherever it becomes known which class it is."""
    detector = EventDetector(**settings)
    with pytest.raises(LabelsError, match="makes no event"):
        find_events(predictions(background="background"), detector)
    video = ScoredVideo(TIMES_S, SCORES, [Annotation("wave", 5, 12)], "background")
    with pytest.raises(LabelsError, match="makes no event"):
        tune_events({"a": video, "b": video}, LABELS, start=detector)
