"""Tuning: it finds what was planted, says honestly what it gained, and repeats itself."""

import attrs
import numpy as np
import pytest

from movinet_lite import DataError, EventDetector, LabelsError
from movinet_lite.events import Annotation, ScoredVideo, tune_events
from movinet_lite.events.metrics import event_f1
from movinet_lite.events.tuning import _middle_of_best

LABELS = ("jump", "run", "rest")


def _video(seed, *, delay_s=1.0, level=0.8, noise=0.1, num_events=4):
    """Return scores of a slow model: each action is seen late, and flickers."""
    generator = np.random.default_rng(seed)
    times_s = np.arange(0, 60, 0.4)
    scores = generator.uniform(0, noise, (len(times_s), 3))
    annotations = []
    start_s = 2.0
    for _ in range(num_events):
        start_s += float(generator.uniform(2, 4))
        end_s = start_s + float(generator.uniform(5, 9))
        label = int(generator.integers(2))
        is_on = (times_s >= start_s + delay_s) & (times_s < end_s + delay_s)
        is_on &= generator.uniform(size=len(times_s)) > 0.1
        scores[is_on, label] = generator.uniform(level - 0.1, level, is_on.sum())
        annotations.append(Annotation(LABELS[label], start_s, end_s))
        start_s = end_s
    return ScoredVideo(times_s, np.clip(scores, 0, 1), annotations)


@pytest.fixture(scope="module")
def videos():
    """Six videos of a model that is one second late."""
    return {f"v{seed}": _video(seed) for seed in range(6)}


@pytest.fixture(scope="module")
def result(videos):
    """What tuning makes of them."""
    return tune_events(videos, LABELS, collar_s=0.5, num_folds=3)


def test_tuning_finds_the_delay(result):
    """The delay that the scores have is found, and events are then right where they were wrong."""
    own_s = result.settings.smooth_s  # smoothing is late, too
    assert result.settings.delay_s == pytest.approx(1.0 + own_s, abs=0.5)
    assert result.before < 0.2
    assert result.held_out > 0.8
    assert result.gain.value == pytest.approx(result.held_out - result.before)
    assert result.gain.low > 0.5
    assert "event_f1 on held-out videos: " in str(result)


def test_the_gain_is_of_videos_left_out(videos, result):
    """Each fold is judged with settings chosen without it, and every video is left out once."""
    left_out = [name for fold in result.folds for name in fold.videos]
    assert sorted(left_out) == sorted(videos)

    for fold in result.folds:
        truth = {name: videos[name].annotations for name in fold.videos}
        detector = EventDetector.from_settings(fold.settings)
        found = {
            name: detector.detect(videos[name].scores, videos[name].times_s, LABELS)
            for name in fold.videos
        }
        assert fold.value == event_f1(truth, found, collar_s=0.5).f1


def test_a_fold_does_not_see_its_videos(videos, result):
    """Other annotations in the videos left out change what they are worth, and nothing in what is chosen without them."""
    first = result.folds[0]
    changed = {
        name: attrs.evolve(
            video,
            annotations=[
                Annotation(span.label, span.start_s + 2, span.end_s + 2)
                for span in video.annotations
            ],
        )
        if name in first.videos
        else video
        for name, video in videos.items()
    }

    again = tune_events(changed, LABELS, collar_s=0.5, num_folds=3).folds[0]

    assert again.videos == first.videos
    assert again.settings == first.settings
    assert again.value < first.value


def test_tuning_repeats_itself(videos, result):
    """The same videos give the same result, whatever the order of the videos."""
    again = tune_events(
        dict(reversed(videos.items())), LABELS, collar_s=0.5, num_folds=3
    )

    assert again.settings == result.settings
    assert [fold.settings for fold in again.folds] == [
        fold.settings for fold in result.folds
    ]


def test_the_tuned_detector_is_saved_and_loaded(tmp_path, videos, result):
    """What tuning chose is written to a file, and a detector that is loaded from it is as good."""
    result.detector.save(tmp_path / "events.toml")
    detector = EventDetector.load(tmp_path / "events.toml")

    found = {
        name: detector.detect(video.scores, video.times_s, LABELS)
        for name, video in videos.items()
    }
    truth = {name: video.annotations for name, video in videos.items()}
    assert event_f1(truth, found, collar_s=0.5).f1 == result.fitted


def test_thresholds_by_class():
    """A class whose scores are low gets a threshold of its own, where a common one cannot serve both."""
    videos = {}
    for seed in range(4):
        video = _video(seed, delay_s=0.0, noise=0.05, num_events=5)
        scores = video.scores.copy()
        scores[:, 1] *= 0.4  # run: at most 0.32
        for (
            span
        ) in video.annotations:  # jump: at 0.5 for as long as an event, after each
            after = (video.times_s > span.end_s + 1) & (video.times_s < span.end_s + 7)
            scores[after, 0] = np.maximum(scores[after, 0], 0.5)
        videos[f"v{seed}"] = attrs.evolve(video, scores=scores)

    common = tune_events(videos, LABELS, num_folds=2)
    by_class = tune_events(videos, LABELS, num_folds=2, by_class=True)

    assert common.settings.thresholds == {}
    assert by_class.settings.thresholds
    assert by_class.fitted > common.fitted
    assert by_class.held_out > common.held_out


@pytest.mark.parametrize(
    "metric", ["event_f1_macro", "segment_f1", "segment_f1_macro", "mean_ap"]
)
def test_any_metric_that_is_named(metric):
    """Each metric can be tuned for, and none ends lower than it began on the videos tuned on."""
    videos = {f"v{seed}": _video(seed) for seed in range(2)}

    result = tune_events(videos, LABELS, metric=metric, num_folds=2)

    assert result.metric == metric
    assert result.fitted > result.before


def test_what_is_not_tuned_stays():
    """Settings of the start that are not tuned stay, and limit what is."""
    start = EventDetector(
        labels=["jump"],
        cooldown_s=3.0,
        pad_s=0.1,
        max_duration_s=1.0,
        enter=0.666666666,
    )
    videos = {f"v{seed}": _video(seed) for seed in range(2)}

    chosen = tune_events(videos, LABELS, start=start, num_folds=2).settings

    assert (chosen.labels, chosen.cooldown_s, chosen.pad_s) == (("jump",), 3.0, 0.1)
    assert chosen.max_duration_s == 1.0
    assert chosen.min_duration_s <= 1.0


def test_the_middle_of_the_best_is_taken():
    """Of values that do equally well, the middle of the longest run is taken."""
    assert _middle_of_best([0, 1, 1, 1, 0, 1]) == 2
    assert _middle_of_best([1, 0, 1, 1]) == 2
    assert _middle_of_best([0.5]) == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"metric": "accuracy"}, "one of event_f1, .*; got 'accuracy'"),
        ({"num_folds": 1}, "num_folds must be at least 2; got 1"),
        ({"collar_s": -1}, "collar_s must be 0 seconds or more"),
    ],
)
def test_options_are_checked(options, text):
    """An option that is unknown or out of its range is an error that names it."""
    videos = {f"v{seed}": _video(seed) for seed in range(2)}
    with pytest.raises(DataError, match=text):
        tune_events(videos, LABELS, **options)


def test_too_little_to_tune_on():
    """Tuning needs two videos with something annotated, and labels that the classes have."""
    one = {"a": _video(0), "b": _video(1, num_events=0)}
    with pytest.raises(DataError, match="at least two videos must have"):
        tune_events(one, LABELS)
    with pytest.raises(DataError, match="at least two videos must have"):
        tune_events({}, LABELS)
    with pytest.raises(LabelsError, match="video 'a'"):
        tune_events(one, ("jump", "walk", "rest"))
