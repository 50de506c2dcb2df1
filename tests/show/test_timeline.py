"""Events as lines of text over time."""

import pytest
from rich.cells import cell_len

from movinet_lite.errors import ArrayError
from movinet_lite.events import Annotation
from movinet_lite.show.timeline import draw_timeline, tick_times

SPANS = [
    Annotation("squat", 50.0, 75.0),
    Annotation("a label of many words, as other people's models have", 0.0, 40.0),
    Annotation("squat", 99.0, 99.01),
    Annotation("太極拳", 10.0, 20.0),
]


@pytest.mark.parametrize("width", [30, 47, 80, 120, 300])
def test_lines_are_as_wide_as_asked_for(width):
    """Every line but the one with times is exactly as wide, whatever the labels."""
    ruler, *lines = draw_timeline(SPANS, end_s=100.0, width=width).splitlines()

    assert len(lines) == 3
    assert {cell_len(line) for line in lines} == {width}
    assert cell_len(ruler) <= width


def test_blocks_stand_where_the_events_are():
    """Half a column is drawn as half a block; what is shorter has half a column all the same."""
    spans = [Annotation("a", 5.0, 7.5), Annotation("a", 16.0, 16.01)]

    line = draw_timeline(spans, end_s=20.0, width=30).splitlines()[1]

    name, track, total = line.split("  ")
    assert (name, track, total) == ("a", "·····██▌········▌···", "2.5 s")


def test_labels_stand_in_the_order_of_their_first_onsets():
    """The one that begins first stands on top."""
    lines = draw_timeline(SPANS, end_s=100.0, width=80).splitlines()[1:]

    assert [line[:2] for line in lines] == ["a ", "太極", "sq"]


def test_a_part_of_a_recording_is_drawn_from_its_start():
    """Blocks and times count from *start_s*; what lies outside is cut."""
    text = draw_timeline(
        [Annotation("a", 0.0, 100.0)], start_s=60.0, end_s=80.0, width=40
    )

    ruler, line = text.splitlines()
    assert ruler.split() == ["1:00", "1:10"]
    assert "·" not in line


def test_a_time_that_does_not_fit_is_left_out():
    """No time of the ruler is cut short, which would be another time."""
    for width in range(30, 100):
        span = Annotation("a" * 16, 0.0, 11.0)
        ruler = draw_timeline([span], end_s=10.4, width=width).splitlines()[0]

        assert set(ruler.split()) <= {f"0:{second:02}" for second in range(11)}


def test_nothing_is_drawn_of_nothing():
    """Without events there is no timeline."""
    assert draw_timeline([], end_s=10.0) == ""


@pytest.mark.parametrize("length_s", [0.4, 7.0, 61.0, 3599.0, 90_000.0, 3e6])
def test_ticks_are_round_and_fit(length_s):
    """There are never more ticks than there is room for, and one at the start."""
    ticks = list(tick_times(0.0, length_s, 5))

    assert ticks[0] == 0.0
    assert len(ticks) <= 6
    assert all(time_s == round(time_s) for time_s in ticks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"end_s": 1.0, "width": 29}, "width must be at least 30 columns; got 29"),
        ({"end_s": 0.0}, "end_s must be after start_s"),
        ({"end_s": float("inf")}, "end_s must be after start_s"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, message):
    """A width or a time that is impossible is one clear error."""
    with pytest.raises(ArrayError, match=message):
        draw_timeline([], **options)
