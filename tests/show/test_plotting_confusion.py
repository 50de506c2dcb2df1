"""The picture of what was taken for what: every count in its place, and text that can be read."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from movinet_lite import ArrayError, LabelsError
from movinet_lite.show.plotting import plot_confusion

LABELS = ("jump", "run", "throwing ball (not baseball or American football)", "wave")
COUNTS = np.array([[6, 0, 3, 0], [0, 5, 0, 0], [0, 2, 7, 0], [0, 0, 0, 0]])


def _texts(ax):
    return {text.get_position(): text.get_text() for text in ax.texts}


def test_each_count_stands_in_its_row_and_column():
    """Rows are the truth; a class that is nowhere is left out; the colour is the share of the row."""
    ax = plot_confusion(COUNTS, LABELS)
    assert _texts(ax) == {
        (0, 0): "6",
        (2, 0): "3",
        (1, 1): "5",
        (1, 2): "2",
        (2, 2): "7",
    }
    for axis in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert [one.get_text() for one in axis] == list(LABELS[:3])
    (image,) = ax.images
    np.testing.assert_allclose(
        image.get_array(), [[2 / 3, 0, 1 / 3], [0, 1, 0], [0, 2 / 9, 7 / 9]]
    )
    assert ax.get_ylabel() == "true"
    assert ax.get_xlabel() == "predicted"


@pytest.mark.parametrize("count", [2, 12, 60])
def test_names_stay_inside_the_picture(count):
    """Long ones too, with few classes and with many."""
    labels = [f"{LABELS[2]} {number}" for number in range(count)]
    figure = plot_confusion(np.eye(count, dtype=int), labels).figure
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    for name in [*figure.axes[0].get_xticklabels(), *figure.axes[0].get_yticklabels()]:
        box = name.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_many_classes_have_no_numbers():
    """They could not be read."""
    assert (
        _texts(plot_confusion(np.eye(40, dtype=int), [str(n) for n in range(40)])) == {}
    )


def test_numbers_can_be_read_on_their_field():
    """White on a dark field, black on a light one."""
    ax = plot_confusion([[9, 1], [0, 10]], ["a", "b"])
    colours = {text.get_text(): text.get_color() for text in ax.texts}
    assert colours == {"9": "white", "1": "black", "10": "white"}


def test_it_is_drawn_where_asked():
    """On the axes given, which are returned."""
    ax = Figure().subplots()
    assert plot_confusion(COUNTS, LABELS, ax=ax) is ax


@pytest.mark.parametrize(
    ("confusion", "labels", "error", "match"),
    [
        ([[1, 0]], ["a"], ArrayError, r"shape \(classes, classes\); got int64 of shape \(1, 2\)"),
        ([[0.5]], ["a"], ArrayError, "whole numbers"),
        ([[-1]], ["a"], ArrayError, "none below 0"),
        ([[0, 0], [0, 0]], ["a", "b"], ArrayError, "at least one count above 0"),
        ([[1, 0], [0, 1]], ["a"], LabelsError, "one name for each of the 2 classes"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(confusion, labels, error, match):
    """It says what came."""
    with pytest.raises(error, match=match):
        plot_confusion(confusion, labels)
