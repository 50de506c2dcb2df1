"""The command line's overlaid videos: stream --output and --show."""

import sys

import numpy as np
import pytest

from movinet_lite import StreamingClassifier, read_frames
from movinet_lite.classifiers import streams
from movinet_lite.cli import main, stream
from movinet_lite.cli.arguments import OUTPUT_ENDINGS
from movinet_lite.errors import MoViNetError
from movinet_lite.show.overlay import draw_overlay
from movinet_lite.testing import FakeStreamModel
from movinet_lite.video import load_clip, read_video_info, write_video

COLOURS = [(200, 20, 20), (20, 200, 20), (20, 20, 200), (90, 90, 90)]


@pytest.fixture
def loads(monkeypatch):
    """Return the models loaded: fake ones take the place of all others."""
    models = []

    def load_model(*_, **__):
        models.append(FakeStreamModel())
        return models[-1]

    monkeypatch.setattr(streams, "load_model", load_model)
    return models


@pytest.fixture
def video(tmp_path):
    """A video of two seconds at 15 frames a second, of four colours."""
    path = tmp_path / "colours.mp4"
    frames = [np.full((120, 160, 3), COLOURS[i // 8], np.uint8) for i in range(30)]
    write_video(path, frames, fps=15)
    return path


@pytest.fixture
def run(capsys):
    """Return a function that runs the command: arguments to status, lines and errors."""

    def run(*arguments):
        status = main(["stream", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    return run


class FakeWindow:
    """A window that remembers what it shows, and is closed by its watcher after some frames."""

    closes_after = 1000

    def __init__(self, _title):
        self.shown = []
        self.is_left = False

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.is_left = True

    @property
    def is_open(self):
        """Whether it was not closed yet."""
        return len(self.shown) < self.closes_after

    def show(self, frame, time_s):
        """Remember a frame."""
        if self.is_open:
            self.shown.append((time_s, frame.copy()))


@pytest.fixture
def windows(monkeypatch):
    """Return the windows opened, none of them real."""
    opened = []

    def open_window(title):
        opened.append(FakeWindow(title))
        return opened[-1]

    monkeypatch.setattr(stream, "Window", open_window)
    return opened


@pytest.mark.usefixtures("loads")
@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_output_keeps_size_rate_and_frames(run, video, tmp_path, ending):
    """The file written has every frame of the video, in its size and at its rate."""
    path = tmp_path / f"shown.{ending}"

    status, _, errors = run(video, "--output", path)

    before, after = read_video_info(video), read_video_info(path)
    assert (status, errors) == (0, "")
    assert after.frame_size == before.frame_size
    assert after.duration_s == pytest.approx(before.duration_s, abs=0.02)
    assert len(load_clip(path)) == 30


@pytest.mark.usefixtures("loads")
def test_output_shows_the_prediction_of_each_moment(run, video, tmp_path):
    """Each frame of the file is the frame of the video with its latest prediction."""
    path = tmp_path / "shown.mp4"
    run(video, "--output", path, "--top-k", 2)
    session = StreamingClassifier(FakeStreamModel())
    predictions = [session.step(frame) for frame in read_frames(video, fps=5)]

    for index, (shown, plain) in enumerate(
        zip(read_frames(path), read_frames(video), strict=True)
    ):
        expected = draw_overlay(plain, predictions[index // 3], k=2)
        difference = np.abs(shown.pixels.astype(int) - expected)
        assert difference.mean() < 4


@pytest.mark.usefixtures("loads")
@pytest.mark.parametrize(
    "options", [(), ("--every", "--json"), ("--start", 0.51, "--end", 1.3, "--every")]
)
def test_output_prints_what_is_printed_without(run, video, tmp_path, options):
    """The lines printed are the same with and without a file."""
    plain = run(video, *options)

    assert plain[1]
    assert run(video, "--output", tmp_path / "shown.mp4", *options) == plain


@pytest.mark.usefixtures("loads")
def test_pictures_show_three_actions_where_lines_show_one(run, video, windows):
    """Without --top-k a line names one action and a picture three."""
    _, lines, _ = run(video, "--show", "--every")
    _, three, _ = run(video, "--show", "--every", "--top-k", 3)

    assert all(len(line.split("  ")) == 2 for line in lines)
    assert all(len(line.split("  ")) == 4 for line in three)
    for (_, one), (_, other) in zip(*(w.shown for w in windows), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("loads")
def test_place_and_size_of_the_panel_can_be_chosen(run, video, windows):
    """--corner and --scale are those of `draw_overlay`."""
    run(video, "--show", "--corner", "top-right", "--scale", 1.5, "--top-k", 1)

    session = StreamingClassifier(FakeStreamModel())
    first = next(read_frames(video))
    expected = draw_overlay(
        first, session.step(first), k=1, corner="top-right", scale=1.5
    )
    np.testing.assert_array_equal(windows[0].shown[0][1], expected)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--corner", "middle"), "invalid choice: 'middle'"),
        (("--scale", "0"), "from 0.1 to 10; got '0'"),
        (("--scale", "nan"), "from 0.1 to 10; got 'nan'"),
    ],
)
def test_impossible_panels_are_refused(run, video, options, text):
    """Before a model is loaded."""
    status, lines, errors = run(video, "--show", *options)

    assert (status, lines) == (2, [])
    assert text in errors


@pytest.mark.usefixtures("loads")
def test_filters_hold_for_pictures_too(run, video, windows):
    """What no filter lets through is not drawn."""
    run(video, "--show", "--threshold", 1)

    for (_, shown), plain in zip(windows[0].shown, read_frames(video), strict=True):
        np.testing.assert_array_equal(shown, plain.pixels)


@pytest.mark.usefixtures("loads")
def test_show_plays_every_frame_at_its_time(run, video, windows):
    """The window gets every frame of each video with its time, and is left in the end."""
    status, _, errors = run(video, video, "--show")

    times_s = [frame.time_s for frame in read_frames(video)]
    (window,) = windows
    assert (status, errors) == (0, "")
    assert [time_s for time_s, _ in window.shown] == times_s * 2
    assert window.is_left


def test_a_closed_window_ends_the_stream(run, video, windows, loads, monkeypatch):
    """Once the window is closed no more frames are read, and that is no failure."""
    monkeypatch.setattr(FakeWindow, "closes_after", 4)

    status, lines, errors = run(video, "--show", "--every")

    assert (status, errors) == (0, "")
    assert len(windows[0].shown) == 4
    assert len(lines) == loads[0].calls == 2


@pytest.mark.usefixtures("loads", "windows")
def test_a_file_is_written_whole_though_the_window_is_closed(
    run, video, tmp_path, monkeypatch
):
    """With --output too, closing the window only ends the show."""
    monkeypatch.setattr(FakeWindow, "closes_after", 4)
    path = tmp_path / "shown.mp4"

    assert run(video, "--show", "--output", path)[0] == 0
    assert len(load_clip(path)) == 30


# What bad input gets


def test_without_a_screen_show_fails_before_a_model_is_loaded(
    run, video, loads, monkeypatch
):
    """On a machine without a screen --show is one line on the standard error, and status 1."""

    def fail(_title):
        raise MoViNetError("a window needs a screen")

    monkeypatch.setattr(stream, "Window", fail)

    assert run(video, "--show") == (
        1,
        [],
        "movinet-lite: error: a window needs a screen\n",
    )
    assert loads == []


@pytest.mark.parametrize("option", [("--output", "shown.mp4"), ("--show",)])
def test_without_matplotlib_the_extra_is_named(run, video, loads, option, monkeypatch):
    """Where matplotlib is missing, the error names the extra before a model is loaded."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    status, lines, errors = run(video, *option)

    assert (status, lines, loads) == (1, [], [])
    assert "movinet-lite[plot]" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda video: (video, "--output", "shown.avi"), "must end in one of"),
        (lambda video: (video, "--output", "shown"), "must end in one of .mp4, .gif"),
        (lambda video: (video, video, "--output", "x.mp4"), "takes one video; got 2"),
        (lambda video: (video, "--output", video), "another file than the video"),
    ],
    ids=["ending", "no ending", "two", "itself"],
)
def test_wrong_usage(run, video, loads, make, said):
    """What cannot be written is wrong usage, said before a model is loaded."""
    before = video.read_bytes()

    status, lines, errors = run(*make(video))

    assert (status, lines, loads) == (2, [], [])
    assert said in errors
    assert video.read_bytes() == before


@pytest.mark.usefixtures("loads")
def test_a_folder_that_does_not_exist(run, video, tmp_path):
    """A file in a folder that does not exist is one line on the standard error."""
    status, _, errors = run(video, "--output", tmp_path / "missing" / "x.mp4")

    assert status == 1
    assert "its folder does not exist" in errors
    assert errors.count("\n") == 1


@pytest.mark.usefixtures("loads")
def test_a_damaged_video_leaves_no_file(run, video, tmp_path):
    """Of a video that was cut short no file is left that looks whole."""
    video.write_bytes(video.read_bytes()[:-500])
    path = tmp_path / "shown.mp4"

    status, _, errors = run(video, "--output", path)

    assert status == 1
    assert "damaged or truncated" in errors
    assert [p.name for p in tmp_path.iterdir()] == [video.name]


def test_every_ending_that_is_taken_can_be_written(tmp_path):
    """The endings that --output takes are those that the library writes."""
    for ending in OUTPUT_ENDINGS:
        write_video(tmp_path / f"x{ending}", np.zeros((1, 8, 8, 3), np.uint8), fps=5)
