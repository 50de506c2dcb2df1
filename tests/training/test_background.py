"""The class for "nothing of these": where its examples come from, and that its events are never reported."""

import numpy as np
import pytest

from movinet_lite import DataError, write_video
from movinet_lite.training.background import with_time_outside
from movinet_lite.training.examples import BACKGROUND, Example, ExampleSet
from movinet_lite.training.reading import read_examples

CLIP = np.zeros((10, 16, 16, 3), np.uint8)


def make_folder(path, *classes):
    """Write ten clips of a second for each class."""
    for label in classes:
        (path / label).mkdir(parents=True)
        for number in range(10):
            write_video(path / label / f"{number}.mp4", CLIP, fps=10)
    return path


@pytest.mark.parametrize("name", ["background", "_background_"])
def test_a_folder_of_that_name_is_background(tmp_path, name):
    """Whichever of the two names it has, the class is called background."""
    found = read_examples(make_folder(tmp_path, "squat", name))
    assert found.labels == ("background", "squat")
    assert found.background == BACKGROUND


def test_background_may_stand_elsewhere(tmp_path):
    """A folder of its own is split as the classes are, at whatever depth its videos lie."""
    data = make_folder(tmp_path / "data", "lunge", "squat")
    assert read_examples(data).background is None

    found = read_examples(
        data, background=make_folder(tmp_path / "other", "park", "street")
    )

    assert found.labels == ("background", "lunge", "squat")
    parts = [
        sum(one.label == BACKGROUND for one in part)
        for part in (found.training, found.validation)
    ]
    assert parts == [16, 4]


def test_time_outside_the_segments_is_background(tmp_path):
    """What no segment covers, in pieces of ten seconds, on the side of its video."""
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", np.repeat(CLIP, 30, axis=0), fps=10)
    (tmp_path / "list.csv").write_text(
        "path,label,start,end,split\n"
        "a.mp4,squat,2,5,train\na.mp4,lunge,4,8,train\na.mp4,lunge,8.5,10,train\nb.mp4,squat,25,,val\n"
    )

    found = read_examples(tmp_path / "list.csv", background_outside=True)

    spans = [
        [(one.start_s, one.end_s) for one in part if one.label == BACKGROUND]
        for part in (found.training, found.validation)
    ]
    assert spans == [[(0, 2), (10, 20), (20, 30)], [(0, 10), (10, 20), (20, 25)]]
    assert found.background == BACKGROUND


def test_videos_without_time_outside_are_refused(tmp_path):
    """Whole videos have none, nor has one that cannot be read."""
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    data = ExampleSet(
        ("a", "b"), (Example(CLIP, "a"), Example(tmp_path / "bad.mp4", "b", 1, 2))
    )
    with pytest.raises(DataError, match="must have time outside its segments"):
        with_time_outside(data)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", "folder of background videos does not exist"),
        ("empty", "must contain at least one"),
        ("data/squat", "must not also be an example of an action"),
    ],
)
def test_what_is_no_background_is_refused(tmp_path, folder, message):
    """The message says where."""
    data = make_folder(tmp_path / "data", "lunge", "squat")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message) as caught:
        read_examples(data, background=tmp_path / folder)
    assert folder in str(caught.value)
