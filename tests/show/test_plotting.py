"""Curves, frames above their curves and animations: where things stand on the pictures, and what bad input gets."""

import io
import itertools
import math
import subprocess
import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from movinet_lite import (
    ArrayError,
    LabelsError,
    MissingDependencyError,
    Prediction,
    VideoError,
    VideoFrame,
    load_clip,
    read_frames,
    read_video_info,
    write_video,
)
from movinet_lite.show import plotting
from movinet_lite.show.curves import COLOURS
from movinet_lite.show.overlay import draw_overlay
from movinet_lite.show.panel import draw_panel
from movinet_lite.show.plotting import (
    animate,
    animate_video,
    draw_step,
    plot_scores,
    save_animation,
)
from movinet_lite.video import prepare_frame, to_uint8
from tests.strategies import labels_of

LONG_LABELS = (
    "throwing ball (not baseball or American football)",
    "passing american football (not in game)",
    "using remote controller (not gaming)",
    "cooking sausages (not on barbeque)",
    "a" * 80,
    "$\\frac{1}{2$",
    "_private",
)


def probabilities_of(num_frames, num_classes=7, seed=0):
    """Return probabilities of classes of which each leads for a while."""
    rng = np.random.default_rng(seed)
    times = np.linspace(0, 1, num_frames)[:, np.newaxis]
    peaks = np.linspace(0, 1, num_classes)
    logits = 5 * np.exp(-(((times - peaks) / 0.2) ** 2))
    logits = logits + rng.normal(0, 0.3, logits.shape)
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


def predictions_of(num_frames, *, labels=None, fps=5.0, start_s=0.0):
    """Return predictions that know their times."""
    labels = labels or labels_of(7)
    return [
        Prediction(np.log(row), labels, frame_index=index, time_s=start_s + index / fps)
        for index, row in enumerate(probabilities_of(num_frames, len(labels)))
    ]


def frame_of(colour=(200, 120, 40), size=(24, 32)):
    """Return a frame of one colour."""
    return np.full((*size, 3), colour, np.uint8)


def clip_of(num_frames, size=(24, 32)):
    """Return frames that get brighter."""
    levels = np.linspace(80, 250, num_frames).astype(np.uint8)
    return np.broadcast_to(
        levels[:, np.newaxis, np.newaxis, np.newaxis], (num_frames, *size, 3)
    ).copy()


def drawn(ax):
    """Return the figure of *ax*, drawn, so that everything has its place."""
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()
    return figure


def points_of(line):
    """Return where the points of a curve lie: along the axis, and up."""
    return line.get_xydata().T


def legend_box(ax):
    """Return the place of the legend, in pixels."""
    return ax.get_legend().get_window_extent()


def legend_texts(ax):
    """Return what the legend says, a text for each curve."""
    return [text.get_text() for text in ax.get_legend().get_texts()]


def write_video_of(folder, clip, *, fps):
    """Write a clip to a file and return its path."""
    path = folder / "clip.mp4"
    write_video(path, clip, fps=fps)
    return path


def half_a_figure():
    """Return axes that fill a subfigure."""
    halves: Any = Figure((8, 4)).subfigures(1, 2)
    return halves[0].subplots()


# Curves


def test_curves_are_those_of_the_leading_classes_over_seconds():
    """Each curve shows one leading class at the times of its predictions."""
    predictions = predictions_of(9, start_s=2.0)

    ax = plot_scores(predictions, k=3)

    assert len(ax.lines) == 3
    for line, text in zip(ax.lines, legend_texts(ax), strict=True):
        place = predictions[0].labels.index(text)
        expected = [prediction.scores[place] for prediction in predictions]
        np.testing.assert_array_equal(points_of(line)[1], expected)
        np.testing.assert_allclose(points_of(line)[0], 2 + np.arange(9) / 5)
    assert "(s)" in ax.get_xlabel()


def test_an_array_gives_the_curves_of_its_predictions():
    """Probabilities with labels and a frame rate are drawn as the predictions they come from."""
    predictions = predictions_of(6)
    array = np.stack([prediction.scores for prediction in predictions])

    ours = plot_scores(predictions)
    theirs = plot_scores(array, predictions[0].labels, fps=5)

    assert legend_texts(ours) == legend_texts(theirs)
    for one, other in zip(ours.lines, theirs.lines, strict=True):
        np.testing.assert_allclose(points_of(one), points_of(other))


def test_without_times_the_axis_counts_frames():
    """Where no time is known, the axis shows the numbers of the frames, and says so."""
    labels = labels_of(7)
    rows = probabilities_of(4)
    numbered = [
        Prediction(np.log(row), labels, frame_index=10 + i)
        for i, row in enumerate(rows)
    ]

    plain, counted = plot_scores(rows, labels), plot_scores(numbered)

    assert points_of(plain.lines[0])[0].tolist() == [0, 1, 2, 3]
    assert points_of(counted.lines[0])[0].tolist() == [10, 11, 12, 13]
    assert plain.get_xlabel() == counted.get_xlabel() == "frame"


def test_more_curves_than_classes_are_all_classes():
    """A k beyond the number of classes draws every class that ever leads."""
    assert len(plot_scores(predictions_of(5), k=100).lines) == 7


def test_a_generator_will_do():
    """Predictions may come from a generator, as a stream gives them."""
    assert plot_scores(p for p in predictions_of(3)).lines


def test_the_former_name_still_plots():
    """Code that calls `plot_probabilities` goes on."""
    assert plotting.plot_probabilities(predictions_of(3)).lines


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("labels", [labels_of(14), LONG_LABELS], ids=["14", "long"])
@pytest.mark.parametrize(
    "make_ax",
    [
        lambda: None,
        lambda: Figure((8, 4)).subplots(),
        lambda: Figure((10, 5), layout="constrained").subplots(1, 2)[0],
        lambda: Figure((6, 4), layout="tight").subplots(),
        lambda: Figure((9, 5)).subplots(1, 2)[0],
        half_a_figure,
    ],
    ids=["own", "plain", "constrained", "tight", "two", "subfigure"],
)
def test_legend_covers_nothing_and_all_text_is_inside(make_ax, labels, log):
    """The legend lies beside the curves and over no neighbour, and every letter lies inside the figure."""
    ax = make_ax()
    ax = plot_scores(predictions_of(12, labels=labels), k=14, log=log, ax=ax)
    figure = drawn(ax)
    legend = legend_box(ax)

    assert legend.x0 >= ax.get_window_extent().x1
    for other in figure.axes:
        if other is not ax:
            assert not legend.overlaps(other.get_window_extent())
    whole = figure.bbox.padded(1)
    for text in ax.get_legend().get_texts():
        box = text.get_window_extent()
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1
        assert whole.y0 <= box.y0
        assert box.y1 <= whole.y1


def test_labels_are_drawn_as_they_are():
    """Dollars are no mathematics, a leading underscore hides nothing, and a long label keeps both its ends."""
    ax = plot_scores(predictions_of(20, labels=LONG_LABELS), k=7)
    drawn(ax)
    texts = [text.replace("\n", " ") for text in legend_texts(ax)]

    assert "$\\frac{1}{2$" in texts
    assert "_private" in texts
    assert any(
        text.startswith("throwing") and text.endswith("football)") for text in texts
    )
    assert len(set(texts)) == len(LONG_LABELS)


def test_a_medium_label_is_whole_in_two_lines():
    """A label of two lines loses nothing."""
    labels = ("passing american football (not in game)", "yoga")

    ax = plot_scores([[0.75, 0.25]], labels)

    assert " ".join(legend_texts(ax)[0].split()) == labels[0]


SEEN_WITHOUT_GREEN = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
SEEN_WITHOUT_RED = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)
"""What people see who lack one kind of cone, on linear RGB.

References:
    [1] G. Machado, M. Oliveira, L. Fernandes, "A Physiologically-based Model for Simulation of Color Vision
        Deficiency", 2009, Table 1.
"""


@pytest.mark.parametrize(
    "seen", [np.eye(3), SEEN_WITHOUT_GREEN, SEEN_WITHOUT_RED], ids=["all", "g", "r"]
)
def test_colours_can_be_told_apart(seen):
    """Any two colours of curves differ clearly, for people with any kind of colour vision."""
    linear = np.array([to_rgb(colour) for colour in COLOURS]) ** 2.2
    colours = np.clip(linear @ seen.T, 0, 1) ** (1 / 2.2)

    for one, other in itertools.combinations(colours, 2):
        assert np.abs(one - other).max() > 0.15


def test_no_two_curves_look_alike():
    """Of twenty curves no two share both the colour and the kind of line."""
    ax = plot_scores(predictions_of(60, labels=labels_of(20)), k=20)
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.lines}

    assert len(looks) == len(ax.lines) == 20


def test_a_logarithmic_axis_shows_small_probabilities():
    """A logarithmic axis reaches below the smallest probability, but not to zero."""
    ax = plot_scores([[0.999, 0.001], [1.0, 0.0]], ["a", "b"], log=True)
    low, high = ax.get_ylim()

    assert ax.get_yscale() == "log"
    assert 1e-6 <= low <= 0.001
    assert high > 1


def test_one_frame_is_a_dot():
    """The curve of one frame, which has no length, is a dot in the middle."""
    ax = plot_scores(predictions_of(1))
    low, high = ax.get_xlim()

    assert all(line.get_marker() == "o" for line in ax.lines)
    assert low < 0 < high
    assert ax.get_xticks().tolist() == [0]


def test_given_axes_are_drawn_on():
    """Axes that are given are drawn on and returned, within the place they had."""
    figure = Figure((8, 4))
    ax = figure.subplots()
    before = ax.get_position()

    assert plot_scores(predictions_of(5), ax=ax) is ax

    after = ax.get_position()
    assert (after.x0, after.y0, after.y1) == (before.x0, before.y0, before.y1)
    legend = legend_box(ax)
    assert after.x1 < legend.x1 / figure.bbox.width <= before.x1 + 1e-3


# A frame above its curves


def play_heads(pictures):
    """Return the first column of the play-head of each picture: the darkest one below that moves."""
    top = math.ceil(0.56 * pictures.shape[1])
    dark = (pictures[:, top:] < 40).all(-1).sum(1)
    moving = dark - dark.min(0)
    return moving.argmax(1)


def test_play_head_is_at_the_time_of_the_frame():
    """The play-head moves in proportion to time, which need not be regular."""
    times_s = np.array([0.0, 0.2, 0.4, 1.0, 2.0])
    predictions = [
        Prediction(np.log(row), labels_of(7), time_s=time_s)
        for row, time_s in zip(probabilities_of(5), times_s, strict=True)
    ]

    columns = play_heads(animate(clip_of(5), predictions, progress=False))

    length = columns[-1] - columns[0]
    assert length > 200
    np.testing.assert_allclose(
        columns, columns[0] + length * times_s / times_s[-1], atol=1.5
    )


def test_what_is_to_come_is_grey():
    """Right of the play-head the curves have no colour, left of it they have."""
    predictions = predictions_of(21)
    frame = frame_of((128, 128, 128))
    first, middle, last = (
        draw_step(frame, predictions, index).astype(int) for index in (0, 10, 20)
    )
    columns = play_heads(np.stack([first, middle, last]))
    top = math.ceil(0.56 * len(first))

    def colourful(picture, start, stop):
        part = picture[top:, start:stop]
        return int((part.max(-1) - part.min(-1)).max())

    dot = 8
    assert colourful(first, columns[0] + dot, columns[2]) == 0
    assert colourful(middle, columns[1] + dot, columns[2]) == 0
    assert colourful(middle, columns[0], columns[1] - dot) > 100
    assert colourful(last, columns[0], columns[2] - dot) > 100


def test_curves_to_come_can_be_seen():
    """The grey of what is to come differs from the paper."""
    picture = draw_step(frame_of(), predictions_of(21), 0)
    last = draw_step(frame_of(), predictions_of(21), 20)
    start, stop = play_heads(np.stack([picture, last]))
    part = picture[math.ceil(0.56 * len(picture)) :, start + 10 : stop - 10]

    assert ((part > 150) & (part < 200)).all(-1).sum() > 200


@pytest.mark.parametrize("height", [200, 333, 500, 720])
@pytest.mark.parametrize(
    "size", [(24, 32), (180, 60), (40, 200), (1, 1), (9, 500)], ids=str
)
def test_the_whole_frame_stands_above_in_its_shape(size, height):
    """The picture has the height asked for and an even width, and the frame fills its part as far as its shape allows."""
    colour = (200, 120, 40)
    picture = draw_step(frame_of(colour, size), predictions_of(4), 1, height=height)
    rows, columns = np.nonzero((picture[: round(0.56 * height)] == colour).all(-1))
    shown = (np.ptp(rows) + 1, np.ptp(columns) + 1)

    assert picture.dtype == np.uint8
    assert picture.shape[0] == height
    assert picture.shape[1] % 2 == 0
    assert 1.29 * height <= picture.shape[1] <= 1.8 * height
    upper = rows < rows.min() + shown[0] // 2  # a name stands on the lower half
    assert upper.sum() == shown[0] // 2 * shown[1]
    margin = round(0.02 * height)
    room = (round(0.56 * height) - margin, picture.shape[1] - 2 * margin)
    scale = min(room[0] / size[0], room[1] / size[1])
    assert shown == (
        max(1, round(size[0] * scale)),
        max(1, round(size[1] * scale)),
    )


@pytest.mark.parametrize("labels", [labels_of(12), LONG_LABELS], ids=["12", "long"])
@pytest.mark.parametrize("height", [200, 500])
def test_no_letter_is_cut_off(labels, height):
    """Around the curves the picture is paper to its very edge."""
    predictions = predictions_of(30, labels=labels)
    picture = draw_step(
        frame_of((255, 255, 255)), predictions, 3, k=len(labels), height=height
    )

    for edge in (picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 255).all()


def test_every_kind_of_frame_will_do():
    """A float frame and a video frame give the picture of the same frame in whole numbers."""
    predictions = predictions_of(4)
    frame = frame_of((255, 51, 0))
    expected = draw_step(frame, predictions, 2)

    for given in (
        (frame / 255).astype(np.float32),
        VideoFrame(frame, time_s=0.4, index=2),
    ):
        np.testing.assert_array_equal(draw_step(given, predictions, 2), expected)


def test_a_style_is_respected():
    """Under a dark style the paper is dark and the play-head light."""
    with mpl.rc_context({"figure.facecolor": "black", "axes.labelcolor": "white"}):
        picture = draw_step(frame_of(), predictions_of(9), 4)

    assert picture[-1, 0].tolist() == [0, 0, 0]
    below = picture[math.ceil(0.56 * len(picture)) :]
    assert (below == 255).all(-1).sum(0).max() > 0.5 * len(below)


# Animations


def test_animation_is_its_steps():
    """Each picture of an animation is the step drawn alone, and nothing given is changed."""
    clip, predictions = clip_of(6), predictions_of(6)
    before = clip.copy()

    pictures = animate(clip, predictions, k=3, height=240, progress=False)

    assert pictures.dtype == np.uint8
    assert pictures.shape[:2] == (6, 240)
    for index, picture in enumerate(pictures):
        np.testing.assert_array_equal(
            picture, draw_step(clip[index], predictions, index, k=3, height=240)
        )
    np.testing.assert_array_equal(clip, before)


@pytest.mark.parametrize("num_frames", [1, 2, 300])
def test_clips_of_any_length_are_animated(num_frames):
    """One frame and 300 frames have as many pictures, with the play-head moving to the right."""
    pictures = animate(
        clip_of(num_frames, (8, 8)),
        probabilities_of(num_frames),
        labels=labels_of(7),
        height=200,
        progress=False,
    )

    assert len(pictures) == num_frames
    if num_frames > 1:
        columns = play_heads(pictures)
        assert (np.diff(columns) >= 0).all()
        assert columns[-1] - columns[0] > 60


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_animation_is_saved(tmp_path, ending):
    """The file has the pictures of the animation, at the frame rate asked for."""
    path = tmp_path / f"animation.{ending}"
    clip, predictions = clip_of(5), predictions_of(5)

    save_animation(path, clip, predictions, fps=5, height=240, progress=False)

    expected = animate(clip, predictions, fps=5, height=240, progress=False)
    saved = load_clip(path)
    assert saved.shape == expected.shape
    assert np.abs(saved.astype(int) - expected).mean() < 3
    assert read_video_info(path).fps == pytest.approx(5)


def test_a_video_is_animated_at_its_own_rate(tmp_path):
    """Every frame has a picture with its time, and the play-head moves between two predictions too."""
    path = write_video_of(tmp_path, clip_of(31, (100, 150)), fps=30)
    predictions = predictions_of(6, fps=5.0)

    pictures = list(animate_video(path, predictions, height=400))

    assert [one.time_s for one in pictures] == pytest.approx(np.arange(31) / 30)
    steps = np.diff(play_heads(np.stack([one.pixels for one in pictures])))
    assert (steps > 0).all()
    assert steps.max() <= steps.min() + 1  # as even as pixels allow
    frames = [frame.pixels for frame in read_frames(path)]
    for index in (0, 3, 5):
        np.testing.assert_array_equal(
            pictures[6 * index].pixels,
            draw_step(frames[6 * index], predictions, index, height=400),
        )


def test_the_frame_names_what_leads_at_its_time(tmp_path):
    """Until the next prediction it is the last one's; the class need not be among the curves."""
    path = write_video_of(tmp_path, clip_of(12, (100, 150)), fps=10)
    scores = np.array([[0.9, 0.1, 0.0], [0.3, 0.3, 0.4], [0.2, 0.8, 0.0]])
    predictions = [
        Prediction(np.log(row + 1e-9), ["first", "second", "third"], time_s=0.4 * index)
        for index, row in enumerate(scores)
    ]

    pictures = [one.pixels for one in animate_video(path, predictions, k=1, height=400)]

    for index, frame in enumerate(read_frames(path)):
        leader = ("first", "third", "second")[index // 4]
        score = scores[index // 4].max()
        shown = to_uint8(prepare_frame(frame, (216, 324)))
        draw_panel(shown, ((leader, score),), scale=1.4)
        np.testing.assert_array_equal(pictures[index][8:224, 98:422], shown)


def test_predictions_without_times_are_no_animation_of_a_video(tmp_path):
    """Nothing says to which frames they belong."""
    path = write_video_of(tmp_path, clip_of(3), fps=5)
    with pytest.raises(ArrayError, match="must have a time"):
        animate_video(path, [Prediction([0.0], ["a"])])
    with pytest.raises(ArrayError, match="at least one prediction; got none"):
        animate_video(path, [])


def test_saving_keeps_one_picture_at_a_time(monkeypatch):
    """The pictures are made as the file is written."""
    given = []
    monkeypatch.setattr(
        plotting, "write_video", lambda _path, frames, **_: given.append(frames)
    )

    save_animation("x.mp4", clip_of(3), predictions_of(3), fps=5, progress=False)

    assert iter(given[0]) is given[0]


class Terminal(io.StringIO):
    """A text file that says it is a terminal."""

    def isatty(self):
        """Return that it is one."""
        return True


@pytest.mark.parametrize("is_asked", [True, False])
def test_progress_is_shown_on_a_terminal(monkeypatch, is_asked):
    """A bar appears on a terminal unless it is not wanted, and changes nothing of the pictures."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    pictures = animate(clip_of(3), predictions_of(3), height=200, progress=is_asked)

    assert len(pictures) == 3
    assert ("Drawing" in terminal.getvalue()) is is_asked


def test_progress_is_silent_elsewhere(capsys):
    """Nothing is printed where nobody watches."""
    animate(clip_of(2), predictions_of(2), height=200)

    assert capsys.readouterr() == ("", "")


# What bad input gets


@pytest.mark.parametrize(
    ("predictions", "options", "error", "match"),
    [
        ([], {}, ArrayError, "at least one prediction; got none"),
        (np.zeros((0, 7)), {"labels": labels_of(7)}, ArrayError, r"got shape \(0, 7\)"),
        (3, {"labels": labels_of(7)}, ArrayError, r"\(frames, classes\)"),
        (predictions_of(1)[0], {}, ArrayError, r"write \[prediction\]"),
        ([*predictions_of(1), 3], {}, ArrayError, "got a int among them"),
        (probabilities_of(3), {}, LabelsError, "requires labels"),
        (
            probabilities_of(3),
            {"labels": labels_of(6)},
            LabelsError,
            "the 7 classes; got 6",
        ),
        (
            predictions_of(3),
            {"labels": labels_of(6)},
            LabelsError,
            "those of the predictions",
        ),
        (
            predictions_of(1) + predictions_of(1, labels=labels_of(3)),
            {},
            LabelsError,
            "same labels",
        ),
        (
            np.full((2, 7), np.nan),
            {"labels": labels_of(7)},
            ArrayError,
            "from 0 to 1",
        ),
        (
            np.full((2, 7), 3.0),
            {"labels": labels_of(7)},
            ArrayError,
            "from 0 to 1",
        ),
        (
            predictions_of(2) + predictions_of(2),
            {},
            ArrayError,
            "backwards; got 0.2 s and then 0 s",
        ),
        (
            [Prediction([0.0], ["a"], time_s=math.nan)],
            {},
            ArrayError,
            "times of predictions must be numbers",
        ),
        (predictions_of(2), {"k": 0}, ArrayError, "k must be .* at least 1; got 0"),
        (predictions_of(2), {"fps": 0}, ArrayError, "fps must be .* above 0; got 0"),
        (predictions_of(2), {"fps": math.nan}, ArrayError, "fps must be"),
    ],
)
def test_bad_predictions_are_one_clear_error(predictions, options, error, match):
    """Predictions that cannot be drawn are refused in the same words by every function."""
    with pytest.raises(error, match=match):
        plot_scores(predictions, **options)
    with pytest.raises(error, match=match):
        draw_step(frame_of(), predictions, 0, **options)
    with pytest.raises(error, match=match):
        animate(clip_of(2), predictions, **options)


@pytest.mark.parametrize("index", [-1, 4])
def test_an_index_without_a_prediction_is_refused(index):
    """An index beyond the predictions is an error that tells how many there are."""
    with pytest.raises(ArrayError, match=f"from 0 to 3.*4 predictions; got {index}"):
        draw_step(frame_of(), predictions_of(4), index)


@pytest.mark.parametrize("height", [199, 0, 300.5, "tall"])
def test_an_impossible_height_is_refused(height):
    """A height that is too small to read, or no whole number, is an error."""
    with pytest.raises(ArrayError, match=r"height must be .* at least 200; got"):
        draw_step(frame_of(), predictions_of(4), 0, height=height)


def test_a_clip_of_another_length_is_refused(tmp_path):
    """A clip needs one prediction for each frame; the message tells both numbers."""
    with pytest.raises(ArrayError, match="got 3 frames and 4 predictions"):
        animate(clip_of(3), predictions_of(4))
    with pytest.raises(ArrayError, match="got 5 frames and 4 predictions"):
        save_animation(tmp_path / "x.mp4", clip_of(5), predictions_of(4), fps=5)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_frame_is_refused():
    """A frame or a clip of the wrong kind is refused as everywhere in the library."""
    with pytest.raises(ArrayError, match="channels first"):
        draw_step(np.zeros((3, 8, 8), np.uint8), predictions_of(1), 0)
    with pytest.raises(ArrayError, match="clip must be"):
        animate(frame_of(), predictions_of(1))


def test_an_unknown_ending_is_refused(tmp_path):
    """An animation can be saved under a name whose ending says how."""
    with pytest.raises(VideoError, match=r"must end in one of .mp4, .gif; got '.webp'"):
        save_animation(tmp_path / "x.webp", clip_of(2), predictions_of(2), fps=5)


# Matplotlib itself


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot_scores(predictions_of(2)),
        lambda: draw_step(frame_of(), predictions_of(2), 0),
        lambda: animate(clip_of(2), predictions_of(2)),
        lambda: save_animation("x.mp4", clip_of(2), predictions_of(2), fps=5),
        lambda: draw_overlay(frame_of(), predictions_of(1)[0]),
    ],
    ids=["plot", "step", "animate", "save", "overlay"],
)
def test_without_matplotlib_the_message_names_the_extra(monkeypatch, call):
    """Where matplotlib is missing, the error says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingDependencyError, match=r"movinet-lite\[plot\]"):
        call()


def test_matplotlib_stays_as_it_was(tmp_path):
    """No function loads pyplot, leaves a figure open or changes a setting."""
    code = """
import sys, numpy as np, matplotlib as mpl
from movinet_lite.show.overlay import draw_overlay
from movinet_lite.show.panel import draw_panel
from movinet_lite import Prediction
from movinet_lite.show.plotting import animate, draw_step, plot_scores
before = mpl.rcParams.copy()
predictions = [Prediction([0.0, 1.0], ["a", "b"])] * 2
clip = np.zeros((2, 8, 8, 3), np.uint8)
plot_scores(predictions).figure.savefig(sys.argv[1])
draw_step(clip[0], predictions, 0)
animate(clip, predictions)
draw_overlay(clip[0], predictions[0])
print("matplotlib.pyplot" in sys.modules, mpl.rcParams.copy() == before)
import matplotlib.pyplot as plt
print(plt.get_fignums())
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "curves.png")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.split() == ["False", "True", "[]"]
