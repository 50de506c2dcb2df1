import json
import math
import pickle
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from movinet_lite.errors import ArrayError, LabelsError
from movinet_lite.predictions import (
    LabelFilter,
    Prediction,
    TopKOverTime,
    mean_prediction,
    softmax,
    top_k,
    top_k_over_time,
)
from tests.strategies import labels_of, logits_over_time, scores

INF = math.inf
LABELS = ("walking", "running", "yoga", "skiing")


def ranked(values):
    """Return the indices of *values* from best to worst, ties by index, in plain Python."""
    return sorted(range(len(values)), key=lambda index: (-float(values[index]), index))


# softmax


@given(logits=scores())
def test_softmax_gives_probabilities(logits):
    """Whatever the logits, their softmax is float32, 0 to 1, and sums to 1 within 1e-6."""
    probabilities = softmax(logits)

    assert probabilities.dtype == np.float32
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    np.testing.assert_allclose(probabilities.sum(dtype=np.float64), 1, atol=1e-6)


@given(logits=scores())
def test_softmax_agrees_with_its_formula(logits):
    """The softmax is exp(x) / sum(exp(x)), computed here in exact enough arithmetic, within 1e-6."""
    exponentials = [math.exp(float(x) - float(max(logits))) for x in logits]
    expected = [x / math.fsum(exponentials) for x in exponentials]

    np.testing.assert_allclose(softmax(logits), expected, atol=1e-6)


@given(logits=scores(), index=st.integers(0, 11), other=st.integers(0, 11))
def test_softmax_keeps_the_order(logits, index, other):
    """A class with a larger logit never gets a smaller probability."""
    index, other = index % len(logits), other % len(logits)
    probabilities = softmax(logits)

    if logits[index] >= logits[other]:
        assert probabilities[index] >= probabilities[other]


@given(
    logits=npst.arrays(np.float32, 5, elements=st.integers(-64, 64)),
    shift=st.integers(-1000, 1000),
)
def test_softmax_does_not_depend_on_the_level(logits, shift):
    """Adding the same number to all logits changes nothing."""
    np.testing.assert_array_equal(softmax(logits + np.float32(shift)), softmax(logits))


@given(logits=logits_over_time())
def test_softmax_works_on_the_last_axis(logits):
    """Each row of many is turned into probabilities by itself."""
    rows = np.stack([softmax(row) for row in logits])

    np.testing.assert_array_equal(softmax(logits), rows)
    np.testing.assert_array_equal(softmax(logits[np.newaxis])[0], rows)


@pytest.mark.parametrize(
    ("logits", "probabilities"),
    [
        ([1e4, -1e4], [1, 0]),
        ([-1e4, -1e4], [0.5, 0.5]),
        ([0, -INF], [1, 0]),
        (np.array([1e308, -1e308]), [1, 0]),
        (np.array([3e38, -3e38], np.float32), [1, 0]),
        (np.array([6e4, 0], np.float16), [1, 0]),
        (np.array([0, 255], np.uint8), [0, 1]),
    ],
)
def test_softmax_does_not_overflow(logits, probabilities):
    """Logits as large as their dtype allows overflow nowhere."""
    np.testing.assert_array_equal(softmax(logits), np.float32(probabilities))


@given(logits=scores())
def test_softmax_leaves_its_input_alone(logits):
    """The logits given are not changed."""
    before = logits.copy()
    softmax(logits)

    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([0, math.nan], "logits must be numbers; got NaN"),
        ([[0, 1], [INF, 0]], "logits must be numbers; got plus infinity"),
        ([-INF, -INF], "at least one logit must be above minus infinity"),
        ([], r"logits must be numbers of shape \(..., classes\); got shape \(0,\)"),
        (1.0, r"got shape \(\)$"),
        (["a"], r"got <U1 of shape \(1,\)$"),
        ([True], r"got bool of shape \(1,\)$"),
        ([[1.0], [1.0, 2.0]], "got a ragged sequence$"),
    ],
)
def test_softmax_refuses_what_has_no_probabilities(logits, message):
    """NaN, plus infinity, no class and no numbers are refused, each by name."""
    with pytest.raises(ArrayError, match=message):
        softmax(logits)


# top_k


@given(values=scores(), k=st.integers(1, 15))
def test_top_k_is_the_head_of_the_plain_ranking(values, k):
    """For any k the result is the first k of all classes, best first, ties in the order of the labels."""
    labels = labels_of(len(values))

    best = top_k(values, labels, k=k)

    assert best == tuple((labels[i], float(values[i])) for i in ranked(values)[:k])


@given(values=scores(), k=st.integers(1, 15))
def test_top_k_leaves_out_no_better_class(values, k):
    """Every class chosen is there once, and none left out beats one chosen."""
    labels = labels_of(len(values))

    chosen = dict(top_k(values, labels, k=k))

    assert len(chosen) == min(k, len(values))
    left_out = [values[i] for i, label in enumerate(labels) if label not in chosen]
    assert max(left_out, default=-INF) <= min(chosen.values())


@given(values=scores())
def test_top_k_leaves_its_input_alone(values):
    """The scores given are not changed."""
    before = values.copy()
    top_k(values, labels_of(len(values)))

    np.testing.assert_array_equal(values, before)


def test_top_k_gives_plain_values():
    """Labels come back as `str`, scores as `float`, whatever they came as."""
    labels: Any = np.array(["a", "b", "c"])
    best = top_k(np.array([1, 200, 200], np.uint8), labels, k=2)

    assert best == (("b", 200.0), ("c", 200.0))
    assert [(type(label), type(score)) for label, score in best] == [(str, float)] * 2


def test_top_k_ranks_infinite_scores():
    """Infinite scores are ranked like any others."""
    assert top_k([0, -INF, INF], ["a", "b", "c"], k=3) == (
        ("c", INF),
        ("a", 0.0),
        ("b", -INF),
    )


@pytest.mark.parametrize("k", [0, -1, 2.5, None, "5"])
def test_a_k_that_counts_nothing_is_refused(k):
    """A k below 1, or one that is no whole number, is refused wherever there is a k."""
    message = f"^k must be a whole number, at least 1; got {re.escape(repr(k))}$"
    prediction = Prediction([0, 0], ("a", "b"))
    with pytest.raises(ArrayError, match=message):
        top_k([0, 0], ["a", "b"], k=k)
    with pytest.raises(ArrayError, match=message):
        top_k_over_time([[0, 0]], ["a", "b"], k=k)
    with pytest.raises(ArrayError, match=message):
        prediction.top_k(k)
    with pytest.raises(ArrayError, match=message):
        prediction.top_k(k, label_filter=LabelFilter(("a", "b")))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, math.nan], "scores must be numbers; got NaN"),
        ([[0.5, 0.5]], r"got shape \(1, 2\) \(for a batch, pass one row\)$"),
        ([], r"scores must be numbers of shape \(classes,\); got shape \(0,\)$"),
        (0.5, r"got shape \(\)$"),
        ([1j, 0], r"got complex128 of shape \(2,\)$"),
    ],
)
def test_top_k_refuses_scores_without_an_order(values, message):
    """NaN, several rows, no class and no numbers are refused, each by name."""
    with pytest.raises(ArrayError, match=message):
        top_k(values, ["a", "b"])


@pytest.mark.parametrize("labels", [("a",), ("a", "b", "c")])
def test_a_label_count_that_does_not_fit_is_refused(labels):
    """Labels that are not as many as the classes are refused wherever both meet, with both counts."""
    message = f"one name for each of the 2 classes; got {len(labels)} name"
    with pytest.raises(LabelsError, match=message):
        top_k([0, 0], labels)
    with pytest.raises(LabelsError, match=message):
        top_k_over_time([[0, 0]], labels)
    with pytest.raises(LabelsError, match=message):
        Prediction([0, 0], labels)


def test_a_text_is_no_list_of_labels():
    """A `str` is not read as labels of one letter each."""
    with pytest.raises(LabelsError, match="got the str 'ab'"):
        top_k([0, 0], "ab")
    with pytest.raises(LabelsError, match="got the str 'ab'"):
        Prediction([0, 0], "ab")


# top_k_over_time


def plainly_over_time(probabilities, k):
    """Return the indices that `top_k_over_time` promises, in plain Python."""
    count: Counter[int] = Counter()
    for frame in probabilities:
        count.update(ranked(frame)[:k])
    first = ranked(probabilities[-1])[0]
    seen = list(count)  # in the order of their first time among the k best
    others = sorted(seen, key=lambda index: (-count[index], seen.index(index)))
    return [first, *(index for index in others if index != first)][:k]


@given(logits=logits_over_time(), k=st.integers(1, 8))
def test_top_k_over_time_agrees_with_a_plain_count(logits, k):
    """The classes are the most frequent of the frames' k best, the last frame's best first."""
    probabilities = softmax(logits)
    labels = labels_of(logits.shape[1])
    before = probabilities.copy()

    over_time = top_k_over_time(probabilities, labels, k=k)

    expected = plainly_over_time(probabilities, k)
    assert over_time.indices.tolist() == expected
    assert over_time.labels == tuple(labels[i] for i in expected)
    np.testing.assert_array_equal(over_time.scores, before[:, expected].T)
    np.testing.assert_array_equal(probabilities, before)


@given(logits=logits_over_time(), k=st.integers(1, 8))
def test_the_last_frames_best_class_comes_first(logits, k):
    """At most k classes come back, each once, and the best of the last frame is the first."""
    probabilities = softmax(logits)
    labels = labels_of(logits.shape[1])

    over_time = top_k_over_time(probabilities, labels, k=k)

    assert over_time.labels[0] == top_k(probabilities[-1], labels, k=1)[0][0]
    assert len(set(over_time.labels)) == len(over_time.labels) <= k


@given(logits=logits_over_time(max_frames=1), k=st.integers(1, 8))
def test_one_frame_over_time_is_its_top_k(logits, k):
    """Of a video of one frame the classes are those of `top_k`."""
    probabilities = softmax(logits)
    labels = labels_of(logits.shape[1])

    over_time = top_k_over_time(probabilities, labels, k=k)

    expected = top_k(probabilities[0], labels, k=k)
    curves = over_time.scores[:, 0].tolist()
    assert tuple(zip(over_time.labels, curves, strict=True)) == expected


def test_top_k_over_time_makes_room_for_the_last_frame():
    """A class that leads the last frame alone takes the place of the k-th most frequent."""
    probabilities = [[0.75, 0.25, 0, 0]] * 3 + [[0, 0.25, 0, 0.75]]

    over_time = top_k_over_time(probabilities, LABELS, k=2)

    assert over_time.labels == ("skiing", "running")


def test_top_k_over_time_unpacks():
    """The result is a value with three fields, which can be unpacked in their order."""
    over_time = top_k_over_time([[0.25, 0.75], [0.5, 0.5]], ["a", "b"], k=2)
    labels, probabilities, indices = over_time

    assert isinstance(over_time, TopKOverTime)
    assert labels == over_time.labels == ("a", "b")
    assert probabilities is over_time.scores
    assert indices is over_time.indices
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (2, 2)
    assert indices.dtype == np.intp


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[0.5, math.nan]], "from 0 to 1; got nan to nan"),
        ([[3.0, -1.0]], r"got -1 to 3 \(if these are logits, apply softmax\)"),
        ([[1.5, 0.0]], "got 0 to 1.5"),
        ([0.5, 0.5], r"of shape \(frames, classes\); got shape \(2,\)"),
        (np.zeros((0, 2)), r"got shape \(0, 2\)"),
        (np.zeros((2, 0)), r"got shape \(2, 0\)"),
    ],
)
def test_top_k_over_time_refuses_what_are_no_probabilities(probabilities, message):
    """NaN, logits, one row, no frame and no class are refused, each by name."""
    with pytest.raises(ArrayError, match=message):
        top_k_over_time(probabilities, ["a", "b"])


# LabelFilter


@st.composite
def filtered_scores(draw):
    """Return probabilities with ties, a filter for their labels, and the filter's settings."""
    probabilities = softmax(draw(scores(min_classes=2)))
    labels = labels_of(len(probabilities))
    names = st.sampled_from(labels)
    allow = draw(st.none() | st.lists(names, min_size=1, unique=True))
    kept = draw(st.sampled_from(allow or labels))
    deny = draw(st.lists(names.filter(lambda name: name != kept), max_size=3))
    settings = {
        "allow": allow,
        "deny": deny,
        "min_score": draw(st.sampled_from([0.0, 0.25, 1.0]) | st.floats(0, 1)),
        "max_results": draw(st.none() | st.integers(1, 4)),
    }
    return probabilities, LabelFilter(labels, **settings), settings


@given(case=filtered_scores())
def test_a_filter_lets_through_what_its_settings_say(case):
    """What passes is the ranking without the classes not allowed, denied, or below the score, cut to the maximum."""
    probabilities, label_filter, settings = case
    ranking = top_k(probabilities, label_filter.labels, k=99)

    expected = [
        (label, score)
        for label, score in ranking
        if (settings["allow"] is None or label in settings["allow"])
        and label not in settings["deny"]
        and np.float32(score) >= np.float32(settings["min_score"])
    ]
    assert label_filter.apply(ranking) == tuple(expected[: settings["max_results"]])


@given(case=filtered_scores(), k=st.integers(1, 15))
def test_a_prediction_filters_before_it_counts(case, k):
    """The k best of a filtered prediction are the first k of all that the filter lets through."""
    probabilities, label_filter, _ = case
    with np.errstate(divide="ignore"):
        prediction = Prediction(np.log(probabilities), label_filter.labels)

    everything = prediction.top_k(len(probabilities))

    passing = label_filter.apply(everything)
    assert prediction.top_k(k, label_filter=label_filter) == passing[:k]


def test_a_filter_without_settings_lets_everything_through():
    """A filter made of labels alone changes no ranking."""
    ranking = top_k([0.5, 0.25, 0.25, 0.0], LABELS)

    assert LabelFilter(LABELS).apply(ranking) == ranking


@pytest.mark.parametrize("score", [0.1, 0.3, 0.7])
def test_a_score_passes_a_threshold_equal_to_it(score):
    """A score equal to the threshold passes, as a Python float and rounded to float32."""
    label_filter = LabelFilter(["a"], min_score=score)

    for value in (score, float(np.float32(score))):
        assert label_filter.apply([("a", value)]) == (("a", value),)
    assert label_filter.apply([("a", score - 1e-6)]) == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"allow": ["yogga"]}, r"got 'yogga' \(similar: 'yoga'\)$"),
        ({"deny": ["ski"]}, r"among the 4 labels; got 'ski' \(similar: 'skiing'\)$"),
        ({"allow": []}, r"leave at least one label; got allow=\(\), deny=\(\)"),
        ({"deny": LABELS}, r"at least one label; got allow=None, deny=\('walking'"),
        ({"allow": ["yoga"], "deny": ["yoga"]}, "at least one label"),
        ({"deny": "yoga"}, "got the str 'yoga'"),
        ({"allow": "yoga"}, "got the str 'yoga'"),
    ],
)
def test_a_filter_that_names_no_label_is_refused(settings, message):
    """A name that is no label, or names that leave nothing, are refused when the filter is made."""
    with pytest.raises(LabelsError, match=message):
        LabelFilter(LABELS, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_score": 1.5}, "min_score must be a score from 0 to 1; got 1.5$"),
        ({"min_score": -0.1}, "got -0.1$"),
        ({"min_score": math.nan}, "got nan$"),
        ({"min_score": "high"}, "got 'high'$"),
        ({"max_results": 0}, "max_results must be a whole number, at least 1; got 0$"),
        ({"max_results": 2.5}, "got 2.5$"),
    ],
)
def test_a_filter_with_an_impossible_number_is_refused(settings, message):
    """A threshold that is no score, and a maximum below 1, are refused."""
    with pytest.raises(ArrayError, match=message):
        LabelFilter(LABELS, **settings)


def test_a_filter_for_other_labels_is_refused():
    """A filter made for the labels of another model is refused, not applied to the wrong classes."""
    prediction = Prediction([0, 0], ("walking", "running"))
    with pytest.raises(LabelsError, match="must have the labels of the prediction"):
        prediction.top_k(label_filter=LabelFilter(LABELS))


def test_a_filter_is_a_value():
    """Filters with the same settings are equal, hash alike, print briefly, and pickle."""
    label_filter = LabelFilter(LABELS, deny=["yoga"], max_results=3)
    same = LabelFilter(list(LABELS), deny=("yoga",), max_results=3)

    assert label_filter == same == pickle.loads(pickle.dumps(label_filter))  # noqa: S301
    assert hash(label_filter) == hash(same)
    assert label_filter != LabelFilter(LABELS, deny=["yoga"])
    assert repr(label_filter) == (
        "LabelFilter(labels=<4 labels>, allow=None, deny=('yoga',), min_score=0.0, max_results=3)"
    )


# Prediction


@given(logits=scores(), k=st.integers(1, 15))
def test_a_prediction_ranks_its_probabilities(logits, k):
    """A prediction's probabilities, ranking, label and score are those of the functions on its logits."""
    labels = labels_of(len(logits))
    prediction = Prediction(logits, labels)

    np.testing.assert_array_equal(prediction.logits, logits)
    np.testing.assert_array_equal(prediction.scores, softmax(logits))
    assert prediction.top_k(k) == top_k(softmax(logits), labels, k=k)
    assert ((prediction.label, prediction.score),) == prediction.top_k(1)


def test_the_default_is_the_five_best():
    """Without a k, five classes come back."""
    prediction = Prediction(range(9), labels_of(9))

    assert len(prediction.top_k()) == 5
    assert len(prediction.to_dict()["top_k"]) == 5


@given(logits=scores())
def test_nobody_changes_a_prediction(logits):
    """A prediction keeps its own logits, and refuses to have them or its fields changed."""
    before = logits.copy()
    prediction = Prediction(logits, labels_of(len(logits)))

    logits += 1

    np.testing.assert_array_equal(prediction.logits, before)
    for array in (prediction.logits, prediction.scores):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        prediction.time_s = 1.0  # type: ignore[misc]
    with pytest.raises(AttributeError):
        prediction.note = "no such field"  # type: ignore[attr-defined]


def test_probabilities_are_computed_once():
    """The probabilities are computed at their first use and kept."""
    prediction = Prediction([0, 1], ("a", "b"))

    assert prediction.scores is prediction.scores


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([0, math.nan], "logits must be numbers; got NaN .NaN in the frames or"),
        ([0, INF], "got plus infinity"),
        ([0, 1e300], "got plus infinity"),
        ([-INF, -INF], "all are minus infinity"),
        ([[0, 1]], r"of shape \(classes,\); got shape \(1, 2\) \(for a batch"),
        ([], r"got shape \(0,\)"),
        (["a", "b"], "got <U1"),
        (
            np.array([0, math.nan], np.float32),
            "logits must be numbers; got NaN .NaN in the frames",
        ),
        (np.array([math.nan, INF], np.float32), "logits must be numbers; got NaN"),
        (np.array([0, INF], np.float32), "got plus infinity"),
        (np.array([-INF, -INF], np.float32), "all are minus infinity"),
        (np.array([], np.float32), r"got shape \(0,\)"),
        (np.array([[0, 1]], np.float32), r"got shape \(1, 2\) \(for a batch"),
    ],
)
def test_logits_without_probabilities_make_no_prediction(logits, message):
    """NaN, infinity, a batch, no class and no numbers are refused when the prediction is made."""
    with pytest.raises(ArrayError, match=message):
        Prediction(logits, ("a", "b"))


def test_labels_of_a_prediction_are_checked_unless_a_session_did():
    """Labels that come as a list are checked for repeats and become a tuple."""
    assert Prediction([0, 0], ["a", "b"]).labels == ("a", "b")
    with pytest.raises(LabelsError, match="label 2, 'a', is also label 1"):
        Prediction([0, 0], ["a", "a"])


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (
            {"frame_index": 12, "time_s": 2.4},
            "Prediction('yoga', 0.50, frame 12, 2.4 s)",
        ),
        ({"frame_index": 0}, "Prediction('yoga', 0.50, frame 0)"),
        ({"time_s": 100000 / 3}, "Prediction('yoga', 0.50, 33333.333 s)"),
        ({}, "Prediction('yoga', 0.50)"),
    ],
)
def test_a_prediction_prints_what_matters(place, text):
    """A prediction prints as its label, score, frame and time, as far as they are known."""
    assert repr(Prediction([0, 0], ("yoga", "skiing"), **place)) == text


def test_a_prediction_becomes_json():
    """A prediction becomes a dict that JSON carries unchanged, whatever kinds of numbers it was made of."""
    prediction = Prediction(
        np.array([0, 0, -INF]),
        ("walking", "running", "yoga"),
        frame_index=np.int64(12),
        time_s=np.float32(2.5),
    )

    expected: dict[str, Any] = {
        "frame_index": 12,
        "time_s": 2.5,
        "top_k": [
            {"label": "walking", "score": 0.5},
            {"label": "running", "score": 0.5},
            {"label": "yoga", "score": 0.0},
        ],
    }
    assert prediction.to_dict() == json.loads(json.dumps(prediction.to_dict()))
    assert prediction.to_dict() == expected
    assert prediction.to_dict(1)["top_k"] == expected["top_k"][:1]
    label_filter = LabelFilter(prediction.labels, allow=["running"])
    filtered = prediction.to_dict(label_filter=label_filter)
    assert filtered["top_k"] == expected["top_k"][1:2]


def test_a_prediction_survives_pickling():
    """A pickled prediction has the same fields, probabilities and read-only arrays."""
    prediction = Prediction([0, 1], ("a", "b"), frame_index=3, time_s=0.5)
    probabilities = prediction.scores

    copied = pickle.loads(pickle.dumps(prediction))  # noqa: S301

    np.testing.assert_array_equal(copied.logits, prediction.logits)
    np.testing.assert_array_equal(copied.scores, probabilities)
    assert (copied.labels, copied.frame_index, copied.time_s) == (("a", "b"), 3, 0.5)
    assert not copied.logits.flags.writeable


def test_predictions_can_be_told_apart():
    """Predictions compare by identity, so that they can be kept in sets and dicts."""
    prediction = Prediction([0, 1], ("a", "b"))

    assert {prediction: "kept"}[prediction] == "kept"
    assert prediction != Prediction([0, 1], ("a", "b"))


# mean_prediction


@given(logits=logits_over_time())
def test_the_mean_prediction_has_the_mean_probabilities(logits):
    """The mean of predictions has the mean of their probabilities, within 1e-6, and no place in time."""
    labels = labels_of(logits.shape[1])
    predictions = [Prediction(row, labels, frame_index=3) for row in logits]

    mean = mean_prediction(iter(predictions))

    expected = softmax(logits).mean(axis=0)
    np.testing.assert_allclose(mean.scores, expected, atol=1e-6)
    assert (mean.labels, mean.frame_index, mean.time_s) == (labels, None, None)


def test_the_mean_of_impossible_classes_is_impossible():
    """A class of probability 0 in every prediction has probability 0 in their mean, without a warning."""
    prediction = Prediction([0, -INF], ("a", "b"))

    assert mean_prediction([prediction] * 2).top_k() == (("a", 1.0), ("b", 0.0))


def test_no_mean_of_nothing_or_of_different_models():
    """No prediction, and predictions with different labels, have no mean."""
    one, other = Prediction([0, 1], ("a", "b")), Prediction([0, 1], ("b", "a"))
    with pytest.raises(ArrayError, match="at least one prediction; got none"):
        mean_prediction([])
    with pytest.raises(LabelsError, match="must have the same labels; got different"):
        mean_prediction([one, other])
