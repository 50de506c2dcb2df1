"""Predictions drawn onto frames and videos: legible on anything, in any size, at the right frame."""

from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite import (
    ArrayError,
    LabelFilter,
    LabelsError,
    Prediction,
    StreamingClassifier,
    VideoError,
    VideoFrame,
    VideoNotFoundError,
    read_frames,
    read_video_info,
    write_video,
)
from movinet_lite.show.overlay import (
    Corner,
    OverlaidFrame,
    draw_overlay,
    overlay_video,
)
from movinet_lite.testing import FakeStreamModel
from tests.video_files import write_numbered

SIZE = (240, 320)
BAR = (86, 180, 233)


def prediction_of(*probabilities, labels=None):
    """Return a prediction with these probabilities."""
    labels = labels or [f"class {index}" for index in range(len(probabilities))]
    with np.errstate(divide="ignore"):
        return Prediction(np.log(np.array(probabilities, np.float64)), labels)


def grey(level, size=SIZE):
    """Return a frame of one grey."""
    return np.full((*size, 3), level, np.uint8)


def panel_box(shown, frame):
    """Return the rows and columns that differ between a frame and what is shown: first and behind the last."""
    rows, columns = np.nonzero((shown != frame).any(-1))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def luminance(colour):
    """Return the relative luminance of a colour, 0 to 1.

    References:
        [1] Web Content Accessibility Guidelines 2.1, "relative luminance".
    """
    share = np.asarray(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


# One frame


@pytest.mark.parametrize("level", [0, 90, 128, 255])
def test_letters_can_be_read_on_any_frame(level):
    """White letters stand out from the panel by at least 7 to 1, the highest grade there is."""
    frame = grey(level)
    shown = draw_overlay(frame, prediction_of(0.75, 0.25))
    panel = shown[SIZE[0] - 14, 10]  # in the lower margin of the panel

    brightest = shown.reshape(-1, 3).max(0)
    assert brightest.tolist() == [255, 255, 255]
    assert (luminance([255] * 3) + 0.05) / (luminance(panel) + 0.05) >= 7


def test_letters_can_be_read_on_noise():
    """Behind the panel even noise of black and white is too dark to be taken for letters."""
    noise = np.random.default_rng(0).choice([0, 255], SIZE).astype(np.uint8)
    frame = np.repeat(noise[..., np.newaxis], 3, axis=-1)
    top, bottom, left, _ = panel_box(
        draw_overlay(grey(255), prediction_of(1.0)), grey(255)
    )

    margin = draw_overlay(frame, prediction_of(1.0))[top:bottom, left : left + 3]

    assert margin.max() < 80


def test_bars_are_as_long_as_the_probabilities():
    """Each action has a bar as long as it is probable, the longest first."""
    shown = draw_overlay(grey(0), prediction_of(0.25, 0.5, 0.125, 0.125), k=2)
    lengths = (shown == BAR).all(-1).sum(1)
    long, short = sorted(set(lengths[lengths > 20]), reverse=True)
    certain = draw_overlay(grey(0), prediction_of(1.0))
    whole = (certain == BAR).all(-1).sum(1).max()

    assert long == pytest.approx(whole / 2, abs=1)
    assert short == pytest.approx(whole / 4, abs=1)
    assert lengths.argmax() < len(lengths) - lengths[::-1].argmax() - 1


def test_the_frame_given_stays_as_it_is():
    """The result is a new array in whole numbers, for every kind of frame."""
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    before = frame.copy()
    prediction = prediction_of(0.75, 0.25)
    expected = draw_overlay(frame, prediction)
    as_floats = (frame / 255).astype(np.float32)

    assert expected.dtype == np.uint8
    assert expected.shape == frame.shape
    np.testing.assert_array_equal(frame, before)
    for given_frame in (as_floats, VideoFrame(frame, time_s=0.0, index=0)):
        np.testing.assert_array_equal(draw_overlay(given_frame, prediction), expected)


def test_the_result_may_be_written_to():
    """What is drawn is the caller's own: writing to it leaves later pictures as they are."""
    prediction = prediction_of(0.75, 0.25)
    first = draw_overlay(grey(9), prediction)
    before = first.copy()
    first[...] = 0

    np.testing.assert_array_equal(draw_overlay(grey(9), prediction), before)


@pytest.mark.parametrize(
    "size", [(172, 172), (240, 320), (1080, 1920), (1920, 1080), (200, 1200)], ids=str
)
def test_the_panel_lies_in_the_lower_left_corner(size):
    """The panel lies inside the frame in its lower left part, and the rest of the frame is untouched."""
    frame = grey(200, size)
    shown = draw_overlay(frame, prediction_of(*[0.02] * 50), k=50)
    top, bottom, left, right = panel_box(shown, frame)

    assert top >= size[0] / 2 - 1
    assert size[0] - 0.06 * min(size) <= bottom < size[0]
    assert 0 < left <= 0.06 * min(size)
    assert right < size[1]


def test_letters_grow_with_the_frame():
    """The panel of a frame four times as large is four times as high."""
    heights = []
    for size in ((360, 640), (1440, 2560)):
        frame = grey(200, size)
        top, bottom, *_ = panel_box(draw_overlay(frame, prediction_of(1.0)), frame)
        heights.append(bottom - top)

    assert heights[1] == pytest.approx(4 * heights[0], rel=0.1)


def test_the_panel_leaves_most_of_a_large_frame_free():
    """It takes no more than a third of the width of a frame of 1080 lines, and no more than a quarter of its height."""
    frame = grey(200, (1080, 1920))
    top, bottom, left, right = panel_box(
        draw_overlay(frame, prediction_of(0.5, 0.3, 0.2)), frame
    )

    assert right - left <= 1920 / 3
    assert bottom - top <= 1080 / 4


@pytest.mark.parametrize("corner", get_args(Corner))
@pytest.mark.parametrize("size", [(240, 320), (1080, 1920), (30, 20)], ids=str)
def test_the_panel_stands_in_the_corner_asked_for(corner, size):
    """It is nearer to the edges of that corner than to the others, and the same from corner to corner."""
    frame = grey(200, size)
    prediction = prediction_of(0.75, 0.25)
    top, bottom, left, right = panel_box(
        draw_overlay(frame, prediction, corner=corner), frame
    )
    usual = panel_box(draw_overlay(frame, prediction), frame)

    assert (top < size[0] - bottom) == corner.startswith("top") or top == 0
    assert (left < size[1] - right) == corner.endswith("left") or left + right == size[
        1
    ]
    assert right - left == usual[3] - usual[2]


def test_the_panel_is_as_large_as_asked_for():
    """Twice the scale makes its letters and so its width twice as large; half of it half."""
    frame = grey(200, (1080, 1920))
    widths = []
    for scale in (0.5, 1.0, 2.0):
        shown = draw_overlay(frame, prediction_of(1.0), scale=scale)
        _, _, left, right = panel_box(shown, frame)
        widths.append(right - left)

    assert widths[0] == pytest.approx(widths[1] / 2, rel=0.05)
    assert widths[2] == pytest.approx(widths[1] * 2, rel=0.05)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"corner": "middle"}, "corner must be one of top-left, .*; got 'middle'"),
        ({"scale": 0}, "scale must be"),
        ({"scale": float("nan")}, "scale must be"),
    ],
)
def test_impossible_places_and_sizes_are_refused(options, text, tmp_path):
    """For a frame and for a video, before anything is drawn."""
    path = tmp_path / "clip.mp4"
    write_numbered(path, 2, rate=5)
    classifier = StreamingClassifier(FakeStreamModel(), fps=5.0)
    with pytest.raises(ArrayError, match=text):
        draw_overlay(grey(0), prediction_of(1.0), **options)
    with pytest.raises(ArrayError, match=text):
        overlay_video(path, classifier, **options)


@given(st.integers(1, 80), st.integers(1, 80), st.integers(1, 5))
def test_a_frame_of_any_size_will_do(height, width, k):
    """However small or narrow the frame, it comes back in its size."""
    frame = grey(200, (height, width))

    assert draw_overlay(frame, prediction_of(*[0.2] * 5), k=k).shape == frame.shape


@pytest.mark.parametrize(
    "label",
    ["w" * 200, "throwing ball (not baseball or American football)", "$x_{", "\u6f22"],
)
def test_labels_of_any_length_stay_in_the_panel(label):
    """A long name is cut, inside the panel, and its probability still stands there whole."""
    frame = grey(200)
    short = draw_overlay(frame, prediction_of(0.625, 0.375, labels=["a", "b"]), k=1)
    shown = draw_overlay(frame, prediction_of(0.625, 0.375, labels=[label, "b"]), k=1)
    box = panel_box(short, frame)
    right = box[3]

    assert panel_box(shown, frame) == box
    np.testing.assert_array_equal(
        shown[:, right - 36 : right], short[:, right - 36 : right]
    )
    assert not np.array_equal(shown, short)


def test_k_says_how_many_actions():
    """The panel has a row for each of the k best actions, and no more than there are classes."""
    frame = grey(200)

    def height(k):
        top, bottom, *_ = panel_box(
            draw_overlay(frame, prediction_of(0.5, 0.25, 0.25), k=k), frame
        )
        return bottom - top

    assert height(1) < height(2) < height(3) == height(9)
    with pytest.raises(ArrayError, match=r"k must be .* at least 1; got 0"):
        height(0)


def test_a_filter_decides_what_is_shown():
    """Only actions that pass the filter are drawn, and without any there is no panel."""
    frame = grey(200)
    prediction = prediction_of(0.5, 0.25, 0.25)
    labels = prediction.labels
    only = LabelFilter(labels, allow=["class 1"])
    none = LabelFilter(labels, min_score=0.75)

    shown = draw_overlay(frame, prediction, label_filter=only)

    lengths = (shown == BAR).all(-1).sum(1)
    assert len(set(lengths[lengths > 20])) == 1
    np.testing.assert_array_equal(
        draw_overlay(frame, prediction, label_filter=none), frame
    )
    with pytest.raises(LabelsError, match="it has others"):
        draw_overlay(frame, prediction, label_filter=LabelFilter(["a", "b"]))


def test_what_is_no_frame_is_refused():
    """A clip is no frame."""
    with pytest.raises(ArrayError, match="frame must be"):
        draw_overlay(np.zeros((2, 8, 8, 3), np.uint8), prediction_of(1.0))


# A whole video


def stream():
    """Return a session over a fake model that takes five frames a second."""
    return StreamingClassifier(FakeStreamModel())


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video of two seconds at 24 frames a second, each frame of another colour."""
    path = tmp_path_factory.mktemp("videos") / "numbers.mp4"
    write_numbered(path, 48, rate=24)
    return path


def plain_predictions(path, **options):
    """Return what a session says of the frames read at its rate."""
    session = stream()
    frames = read_frames(path, fps=session.fps, **options)
    return [session.step(frame) for frame in frames]


def assert_same_predictions(ours, theirs):
    """Compare predictions and their times."""
    assert [p.time_s for p in ours] == [p.time_s for p in theirs]
    assert [p.frame_index for p in ours] == [p.frame_index for p in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)


@pytest.mark.parametrize(
    "span",
    [
        {},
        {"start_s": 0.51},
        {"end_s": 1.3},
        {"start_s": 0.4, "end_s": 0.42},
        {"start_s": 2 / 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("rate", [2, 5, 24, Fraction(30000, 1001)], ids=str)
def test_predictions_are_those_of_the_frames_at_the_models_rate(
    tmp_path, rate, span, ending
):
    """At whatever rate the video comes, the model sees the same frames as without the overlay."""
    path = tmp_path / f"video.{ending}"
    write_numbered(path, round(2 * rate), rate=rate)

    overlaid = list(overlay_video(path, stream(), **span))

    ours = [p for frame in overlaid for p in frame.predictions]
    assert ours
    assert_same_predictions(ours, plain_predictions(path, **span))


def test_every_frame_is_given_once(video):
    """The frames are all those of the video, in their size, order and time."""
    given_frames = list(overlay_video(video, stream()))
    frames = list(read_frames(video))

    assert [f.time_s for f in given_frames] == [f.time_s for f in frames]
    assert [f.index for f in given_frames] == list(range(48))
    assert {f.pixels.shape for f in given_frames} == {frames[0].pixels.shape}


@pytest.mark.parametrize("rate", [2, 24])
def test_a_prediction_stays_until_the_next(tmp_path, rate):
    """Each frame shows the latest prediction, also where it lasts for several, drawn as `draw_overlay` draws it."""
    path = tmp_path / "video.mp4"
    write_numbered(path, 2 * rate, rate=rate)
    predictions = plain_predictions(path)

    for frame, plain in zip(
        overlay_video(path, stream(), k=2), read_frames(path), strict=True
    ):
        until_s = frame.time_s + 1 / rate - 1e-3
        latest = [p for p in predictions if p.time_s < until_s][-1]
        np.testing.assert_array_equal(frame.pixels, draw_overlay(plain, latest, k=2))


def test_it_begins_with_the_frame_shown_at_the_start(video):
    """With a start between two frames, the first frame is the one shown then."""
    first = next(overlay_video(video, stream(), start_s=0.51))

    assert first.time_s == pytest.approx(12 / 24)
    assert first.predictions[0].time_s == 0.51


def test_an_overlaid_video_can_be_written(video, tmp_path):
    """The frames go straight to a file of the same size and rate."""
    path = tmp_path / "shown.mp4"
    before = read_video_info(video)

    write_video(path, overlay_video(video, stream()), fps=24)

    after = read_video_info(path)
    assert after.frame_size == before.frame_size
    assert after.fps == pytest.approx(24)
    assert after.num_frames == 48


def test_the_session_goes_on(video):
    """The classifier counts the frames it sees, and is reset by no one but its owner."""
    session = stream()
    session.step(np.zeros((32, 48, 3), np.uint8))

    first = next(overlay_video(video, session))

    assert first.predictions[0].frame_index == 1


def test_what_is_wrong_is_said_at_the_call(video, tmp_path):
    """A missing file, an impossible span and an unknown rate fail before a frame is asked for."""
    with pytest.raises(VideoNotFoundError):
        overlay_video(tmp_path / "missing.mp4", stream())
    with pytest.raises(ArrayError, match="end_s must be a number above start_s"):
        overlay_video(video, stream(), start_s=1, end_s=1)
    with pytest.raises(VideoError, match="start_s must be before the end"):
        overlay_video(video, stream(), start_s=9)
    model = FakeStreamModel()
    object.__setattr__(model.info, "fps", None)
    with pytest.raises(ArrayError, match="frame rate of the classifier must be known"):
        overlay_video(video, StreamingClassifier(model))


def test_a_damaged_video_fails_after_its_last_good_frame(tmp_path):
    """The good frames of a file that was cut short are given, then an error says so."""
    path = tmp_path / "cut.mp4"
    write_numbered(path, 48, rate=24)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    seen: list[OverlaidFrame] = []

    with pytest.raises(VideoError, match="damaged or truncated after"):
        seen.extend(overlay_video(path, stream()))

    frames = overlay_video(path, stream())
    first = next(frames)
    assert first.predictions
