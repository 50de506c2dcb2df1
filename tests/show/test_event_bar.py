"""The bar of events under the pictures of a video."""

import numpy as np
import pytest

from movinet_lite import write_video
from movinet_lite.arrays import VideoFrame
from movinet_lite.errors import ArrayError, VideoNotFoundError
from movinet_lite.events import Annotation, Event
from movinet_lite.show.event_bar import EventBar, add_event_bar

SIZE = (120, 160)
SPANS = [Annotation("squat", 2.0, 4.0), Annotation("lunge", 6.0, 8.0)]


def bar_at(time_s, spans=SPANS, **options):
    """Return the bar below a grey frame."""
    frame = VideoFrame(np.full((*SIZE, 3), 99, np.uint8), time_s, 0)
    picture = EventBar(spans, SIZE, end_s=10.0, **options).draw(frame)
    assert (picture[: SIZE[0]] == 99).all()
    return picture[SIZE[0] :].astype(int)


def colourful(bar):
    """Return the columns of each half of the bar in which there is a colour, as bright as it is."""
    strength = bar.max(axis=2) - bar.min(axis=2)
    return [half.max(axis=0) for half in np.array_split(strength, 2)]


def test_each_label_has_a_row_with_blocks_at_its_time():
    """The first label stands on top; its block ends before that of the second begins."""
    upper, lower = (np.flatnonzero(row) for row in colourful(bar_at(10.0)))

    assert np.ptp(upper) == np.ptp(lower)  # both last two seconds
    assert upper.max() < lower.min()


def test_what_is_to_come_is_dark():
    """A block brightens as time passes it."""
    before, during, after = (colourful(bar_at(time_s))[0] for time_s in (0, 3, 9))

    assert 0 < before.max() < after.max()
    assert during.max() == after.max()
    assert 0 < during[np.flatnonzero(during)[-1]] < after.max()


def test_a_label_is_white_while_it_is_on():
    """The letters of what goes on are brighter than those of what does not."""
    names = [bar_at(time_s)[:, :20].max(axis=(1, 2)) for time_s in (1.0, 3.0, 7.0)]
    upper = [rows[: len(rows) // 2].max() for rows in names]
    lower = [rows[len(rows) // 2 :].max() for rows in names]

    assert upper[0] < upper[1] > upper[2]
    assert lower[0] == lower[1] < lower[2]


def test_labels_without_room_are_left_out():
    """Where there are more labels than rows, those that last longest are shown."""
    long = Annotation("plank", 0.0, 9.0)

    np.testing.assert_array_equal(
        bar_at(5.0, [*SPANS, long], max_rows=1), bar_at(5.0, [long])
    )


@pytest.mark.parametrize("size", [(2, 2), (3, 40), (40, 3), (8, 6)])
def test_tiny_frames_have_a_bar_too(size):
    """However small the frame, the picture is as wide and taller."""
    bar = EventBar(SPANS, size, end_s=10.0)
    for time_s in (0.0, 5.0, 10.0):
        picture = bar.draw(VideoFrame(np.zeros((*size, 3), np.uint8), time_s, 0))
        assert picture.shape == (size[0] + bar.height, size[1], 3)


def test_a_video_keeps_its_frames_and_times(tmp_path):
    """Every frame of the part asked for comes out with its time."""
    path = tmp_path / "grey.mp4"
    write_video(path, np.full((20, *SIZE, 3), 99, np.uint8), fps=10)

    frames = list(add_event_bar(path, SPANS, start_s=0.5, end_s=1.5))

    assert [round(frame.time_s, 3) for frame in frames] == [
        round(0.5 + place / 10, 3) for place in range(10)
    ]
    assert {frame.pixels.shape[1:] for frame in frames} == {(160, 3)}


def test_events_that_have_not_ended_are_left_out():
    """What was only begun or dropped is not drawn."""
    values = {"peak": 1, "mean": 1, "num_frames": 1}
    dropped = Event(label="a", start_s=1, end_s=2, state="dropped", **values)

    np.testing.assert_array_equal(bar_at(5.0, [*SPANS, dropped]), bar_at(5.0))


def test_what_cannot_be_drawn_is_refused(tmp_path):
    """Impossible times, rows and sizes, and a missing file, are one clear error each."""
    with pytest.raises(ArrayError, match="end_s must be after start_s"):
        EventBar(SPANS, SIZE, end_s=0.0)
    with pytest.raises(ArrayError, match="max_rows must be at least 1"):
        EventBar(SPANS, SIZE, end_s=1.0, max_rows=0)
    frame = VideoFrame(np.zeros((9, 9, 3), np.uint8), 0.0, 0)
    with pytest.raises(ArrayError, match="every frame must have the size"):
        EventBar(SPANS, SIZE, end_s=1.0).draw(frame)
    with pytest.raises(VideoNotFoundError, match=r"missing\.mp4"):
        add_event_bar(tmp_path / "missing.mp4", SPANS)
