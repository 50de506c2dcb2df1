"""What notebooks show: tables with bars that hold any label, and clips as videos."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from movinet_lite import ArrayError, Prediction, read_video_info
from movinet_lite.events import Annotation, Event
from movinet_lite.show.notebook import show_clip, show_events, show_predictions
from movinet_lite.show.plotting import plot_confusion, plot_probabilities
from tests.strategies import label_lists

NASTY = "<script>alert('1')</script> & \"two\""


def draw_curves():
    """Return axes with curves."""
    return plot_probabilities([Prediction([0.0, 1.0], ["a", "b"])] * 3)


def draw_confusion():
    """Return axes with a confusion matrix."""
    return plot_confusion([[3, 1], [0, 2]], ["a", "b"])


class Page(HTMLParser):
    """The texts of each row of the tables in some HTML, which must close every tag that it opens."""

    def __init__(self, text):
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.caption = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - what HTMLParser calls
        """Remember an open tag."""
        self.tags.add(tag)
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        """Forget it."""
        assert self._open.pop() == tag

    def handle_data(self, data):
        """Keep a text."""
        if "td" in self._open:
            self.rows[-1][-1] += data
        elif "caption" in self._open:
            self.caption += data


def widths(text):
    """Return how wide the bars are, in per cent."""
    return [float(width) for width in re.findall(r"width: ([\d.]+)%; height", text)]


def test_a_prediction_is_a_table_of_its_five_best():
    """A row for each of the five best classes: name, bar and per cent, below its place in the video."""
    probabilities = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625, 0.0], np.float64)
    labels = ["a", "b", "c", "d", "e", "f"]
    with np.errstate(divide="ignore"):
        prediction = Prediction(
            np.log(probabilities), labels, frame_index=3, time_s=0.6
        )

    text = prediction._repr_html_()

    page = Page(text)
    assert [row[0] for row in page.rows] == ["a", "b", "c", "d", "e"]
    assert [row[-1] for row in page.rows][:2] == ["50.0\xa0%", "25.0\xa0%"]
    assert widths(text)[:3] == [50.0, 25.0, 12.5]
    assert page.caption == "frame 3, 0.6 s"
    assert "caption" not in Page(Prediction([0.0], ["a"])._repr_html_()).tags


@given(label_lists())
def test_any_label_is_shown_as_text(labels):
    """Whatever characters a label holds, they are the text of its cell."""
    page = Page(Prediction(np.arange(len(labels))[::-1] * 1.0, labels)._repr_html_())

    assert [row[0] for row in page.rows] == list(labels[:5])


def test_a_label_cannot_run_a_script():
    """Tags in a label are text."""
    prediction = Prediction([0.0], [NASTY])

    for text in (prediction._repr_html_(), show_predictions([prediction]).text):
        page = Page(text)
        assert "script" not in page.tags
        assert NASTY in page.rows[0]


def test_predictions_are_a_table_over_time():
    """A row for each prediction: its time, its best action, a bar and per cent."""
    labels = ["a", "b"]
    predictions = [
        Prediction([0.0, 0.0], labels, time_s=0.0),
        Prediction([-90.0, 0.0], labels, time_s=1.25, frame_index=7),
        Prediction([-90.0, 0.0], labels, frame_index=9),
        Prediction([0.0, -90.0], labels),
    ]

    shown = show_predictions(iter(predictions))

    rows = Page(shown._repr_html_()).rows
    assert [row[:2] for row in rows] == [
        ["0.0 s", "a"],
        ["1.2 s", "b"],
        ["9", "b"],
        ["3", "a"],
    ]
    assert widths(shown.text) == [50.0, 100.0, 100.0, 100.0]
    assert str(shown) == shown.text


def test_times_are_counted_where_predictions_know_none():
    """With *fps*, the place of a prediction is its frame's number as seconds; its own time goes before."""
    predictions = [
        Prediction([0.0], ["a"]),
        Prediction([0.0], ["a"], frame_index=10),
        Prediction([0.0], ["a"], frame_index=10, time_s=7.0),
    ]

    rows = Page(show_predictions(predictions, fps=4.0).text).rows

    assert [row[0] for row in rows] == ["0.0 s", "2.5 s", "7.0 s"]
    with pytest.raises(ArrayError, match="fps must be"):
        show_predictions(predictions, fps=0)


@pytest.mark.parametrize("draw", [draw_curves, draw_confusion])
def test_what_is_drawn_is_a_picture_in_a_notebook(draw):
    """The last line of a cell shows it as IPython asks for it: as a PNG with the size to show it in."""
    ax = draw()

    data, metadata = ax._repr_png_()

    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
        assert len(picture.getcolors(1 << 16) or range(99)) > 10  # not blank
    assert (width, height) == (2 * metadata["width"], 2 * metadata["height"])
    assert (metadata["width"], metadata["height"]) == tuple(ax.figure.bbox.size)


def test_ipython_shows_what_is_drawn_as_a_picture():
    """IPython's own formatter, which notebooks use, makes a PNG of it."""
    formatters = pytest.importorskip("IPython.core.formatters")

    shown, metadata = formatters.DisplayFormatter().format(draw_curves())

    assert shown["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"] == {"width": 800, "height": 400}


def test_no_predictions_are_refused():
    """An empty list is an error."""
    with pytest.raises(ArrayError, match="at least one prediction; got none"):
        show_predictions([])


def test_a_clip_is_a_video_that_needs_no_file(tmp_path):
    """The video is in the HTML itself, in the clip's size and at the frame rate asked for."""
    shown = show_clip(np.zeros((4, 16, 24, 3), np.uint8), fps=5)
    (data,) = re.findall(r'src="data:video/mp4;base64,([^"]+)"', shown._repr_html_())
    path = tmp_path / "clip.mp4"
    path.write_bytes(base64.b64decode(data))

    info = read_video_info(path)

    assert (info.frame_size, info.num_frames, info.fps) == ((16, 24), 4, 5.0)
    assert len(repr(shown)) < 50


def test_what_is_no_clip_is_refused():
    """A lone frame and an impossible rate are errors."""
    with pytest.raises(ArrayError, match="clip must be"):
        show_clip(np.zeros((16, 24, 3), np.uint8), fps=5)
    with pytest.raises(ArrayError, match="fps must be"):
        show_clip(np.zeros((1, 16, 24, 3), np.uint8), fps=0)


def test_events_are_a_timeline():
    """A row a label in the order of the onsets; blocks stand where the events are, and the total at the end."""
    spans = [
        Annotation(NASTY, 10.0, 15.0),
        Annotation("squat", 0.0, 5.0),
        Annotation("squat", 15.0, 20.0),
    ]

    shown = show_events(spans)

    rows = Page(shown.text).rows[1:]
    assert [(row[0], row[-1].split()) for row in rows] == [
        ("squat", ["10.0", "s"]),
        (NASTY, ["5.0", "s"]),
    ]
    places = re.findall(r"left: ([\d.]+)%; width: ([\d.]+)%", shown.text)
    assert places == [("0.00", "25.00"), ("75.00", "25.00"), ("50.00", "25.00")]
    assert "script" not in Page(shown.text).tags


def test_a_timeline_of_a_part_begins_at_its_left_end():
    """Places count from *start_s*, and under the mouse stand times, and the score of an event."""
    event = Event(
        label="squat", start_s=65.0, end_s=70.0, peak=0.75, mean=0.5, num_frames=10
    )

    shown = show_events([event], start_s=60.0, end_s=80.0)

    assert "left: 25.00%; width: 25.00%" in shown.text
    assert 'title="65.0 s to 70.0 s, score 0.50"' in shown.text


@pytest.mark.parametrize(
    ("spans", "end_s", "message"),
    [
        ([], None, "at least one event that has ended"),
        ([Annotation("squat", 0.0, 5.0)], -1.0, "end_s must be after start_s"),
    ],
)
def test_a_timeline_of_nothing_is_refused(spans, end_s, message):
    """Nothing to show is an error that says so."""
    with pytest.raises(ArrayError, match=message):
        show_events(spans, end_s=end_s)
