"""The metrics agree with sed_eval, with the evaluation of ActivityNet, and with scikit-learn; see make_reference.py."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from movinet_lite.events import Annotation, ScoredVideo
from movinet_lite.events.metrics import event_f1, frame_map, segment_f1, temporal_map

DATA = Path(__file__).with_name("data") / "reference.json.gz"


@pytest.fixture(scope="module")
def document():
    """The cases, and what the other programs say of them."""
    return json.loads(gzip.decompress(DATA.read_bytes()))


def _spans(videos):
    return {
        name: [Annotation(*values) for values in spans]
        for name, spans in videos.items()
    }


def _assert_f1(report, expected):
    def assert_counts(counts, values):
        found = (counts.f1, counts.precision, counts.recall)
        wanted = [math.nan if value is None else value for value in values]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)

    assert_counts(report.micro, expected["micro"])
    for label, counts in report.by_label.items():
        assert_counts(counts, expected["by_label"][label])
    macro = expected["macro"][0]
    np.testing.assert_allclose(
        report.macro_f1, math.nan if macro is None else macro, rtol=0, atol=1e-9
    )


def test_event_f1_equals_sed_eval(document):
    """Precision, recall and F1 of events are sed_eval's to 1e-9 in 240 cases, overall, by label and as a mean."""
    assert len(document["cases"]) == 240
    for case in document["cases"]:
        report = event_f1(
            _spans(case["reference"]), _spans(case["estimated"]), **case["event"]
        )
        _assert_f1(report, case["event_f1"])


def test_segment_f1_equals_sed_eval(document):
    """Precision, recall and F1 of segments are sed_eval's to 1e-9 in 240 cases, overall, by label and as a mean."""
    for case in document["cases"]:
        report = segment_f1(
            _spans(case["reference"]),
            _spans(case["estimated"]),
            segment_s=case["segment_s"],
        )
        _assert_f1(report, case["segment_f1"])


def test_temporal_map_equals_activitynet(document):
    """Average precision by threshold and label, and their mean, are those of ActivityNet to 1e-9 in over 200 cases."""
    judged = [case for case in document["cases"] if case["temporal_map"] is not None]
    assert len(judged) > 200
    for case in judged:
        report = temporal_map(
            _spans(case["reference"]),
            _spans(case["estimated"]),
            thresholds=document["thresholds"],
        )
        expected = case["temporal_map"]
        wanted = np.array([expected["ap"][label] for label in report.labels]).T
        np.testing.assert_allclose(report.ap, wanted, rtol=0, atol=1e-9)
        np.testing.assert_allclose(
            report.mean_ap, expected["mean_ap"], rtol=0, atol=1e-9
        )


def test_frame_map_equals_scikit_learn(document):
    """Average precision of frames is scikit-learn's to 1e-9 in 200 cases, ties included."""
    assert len(document["frames"]) == 200
    for case in document["frames"]:
        on = np.flatnonzero(case["is_on"]).tolist()
        video = ScoredVideo(
            np.arange(len(case["scores"]), dtype=float),
            np.array(case["scores"])[:, None],
            [Annotation("run", frame, frame + 1) for frame in on],
        )
        report = frame_map({"v": video}, ["run"])
        np.testing.assert_allclose(report.mean_ap, case["ap"], rtol=0, atol=1e-9)


def test_the_cases_are_of_use(document):
    """The reference values differ from case to case, and few are 0 or 1."""
    for name in ("event_f1", "segment_f1"):
        values = [case[name]["micro"][0] for case in document["cases"]]
        between = [value for value in values if value is not None and 0 < value < 1]
        assert len(set(between)) > 50
    maps = {
        case["temporal_map"]["mean_ap"]
        for case in document["cases"]
        if case["temporal_map"]
    }
    assert len(maps) > 100
