"""Labelled examples from folders and lists: which ones are found, how they are parted, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite import DataError
from movinet_lite.training.examples import (
    Example,
    ExampleSet,
    check_known,
    read_csv,
    read_examples,
    read_folder,
    split_examples,
)

CLIP = np.zeros((2, 4, 4, 3), np.uint8)


def _touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def _names(examples):
    return [(one.source.name, one.label) for one in examples]


def test_each_folder_is_a_class(tmp_path):
    """The name of a folder is the label; files that are no videos by their ending, and hidden ones, are passed over."""
    _touch(
        tmp_path,
        *("sit/b.mp4", "sit/a.MOV", "sit/notes.txt", "sit/.hidden.mp4"),
        *("run/deep/c.webm", ".cache/x/d.mp4", "list.csv"),
    )

    found = read_folder(tmp_path, validation=0)

    assert found.labels == ("run", "sit")
    assert _names(found.training) == [
        ("c.webm", "run"),
        ("a.MOV", "sit"),
        ("b.mp4", "sit"),
    ]
    assert found.validation == ()


@pytest.mark.parametrize(("first", "second"), [("train", "val"), ("Training", "test")])
def test_a_folder_that_is_parted_stays_so(tmp_path, first, second):
    """With folders for both parts, their files are the parts, whatever share was asked for."""
    _touch(
        tmp_path,
        *(f"{first}/sit/{n}.mp4" for n in range(3)),
        *(f"{first}/run/{n}.mp4" for n in range(3)),
        f"{second}/run/9.mp4",
    )

    found = read_folder(tmp_path, validation=0.9)

    assert len(found.training) == 6
    assert _names(found.validation) == [("9.mp4", "run")]


def test_a_class_that_is_only_validated_is_refused(tmp_path):
    """A model cannot be asked for what it was never shown."""
    _touch(tmp_path, "train/sit/a.mp4", "train/run/a.mp4", "val/jump/a.mp4")
    with pytest.raises(DataError, match=r"without videos to train on: 'jump'"):
        read_folder(tmp_path)


def test_a_class_without_videos_is_refused(tmp_path):
    """An empty folder is a mistake, and not a class that is never predicted."""
    _touch(tmp_path, "sit/a.mp4", "run/notes.txt")
    with pytest.raises(
        DataError, match=r"run: each class must have at least one video"
    ):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "it holds no folder"),
        (("a.mp4",), "it holds no folder"),
        (("sit/a.mp4",), "at least two classes to tell apart; got 1: sit"),
        (("train/a.mp4", "val/sit/a.mp4"), "it holds no folder"),
    ],
)
def test_what_is_no_folder_of_classes_is_refused(tmp_path, files, message):
    """The message says what the folder lacks."""
    _touch(tmp_path, *files)
    with pytest.raises(DataError, match=message):
        read_examples(tmp_path)


def test_a_path_of_another_kind_is_refused(tmp_path):
    """Nothing there, and a file that is no list."""
    with pytest.raises(
        DataError, match=r"nowhere: there is no such folder or \.csv file"
    ):
        read_examples(tmp_path / "nowhere")
    with pytest.raises(DataError, match="there is no such folder"):
        read_folder(tmp_path / "nowhere")
    _touch(tmp_path, "clip.mp4")
    with pytest.raises(DataError, match="got a file of another kind"):
        read_examples(tmp_path / "clip.mp4")


@given(
    counts=st.lists(st.integers(1, 12), min_size=2, max_size=4),
    share=st.floats(0, 0.99),
    seed=st.integers(0, 100),
)
def test_a_split_takes_each_example_once_and_each_class_alike(counts, share, seed):
    """No example is lost or in both parts; each class keeps one to train on, and one to validate if it has two."""
    examples = [
        Example(Path(f"{place}-{number}"), f"class {place}")
        for place, count in enumerate(counts)
        for number in range(count)
    ]

    found = split_examples(examples, validation=share, seed=seed)

    parts = [one.source for one in (*found.training, *found.validation)]
    assert sorted(parts) == sorted(one.source for one in examples)
    for place, count in enumerate(counts):
        aside = sum(one.label == f"class {place}" for one in found.validation)
        if share == 0 or count == 1:
            assert aside == 0
        else:
            assert 1 <= aside <= count - 1
            assert abs(aside - share * count) <= 1
    again = split_examples(examples, validation=share, seed=seed)
    assert [one.source for one in again.validation] == [
        one.source for one in found.validation
    ]


def test_seeds_choose_differently():
    """Which examples are kept aside depends on the seed."""
    examples = [Example(Path(f"{n}"), f"class {n % 2}") for n in range(40)]
    chosen = {
        tuple(one.source for one in split_examples(examples, seed=seed).validation)
        for seed in range(5)
    }
    assert len(chosen) == 5


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan")])
def test_an_impossible_share_is_refused(share):
    """All of the videos cannot be kept aside."""
    with pytest.raises(DataError, match="at least 0 and below 1; got"):
        split_examples([Example(CLIP, "a"), Example(CLIP, "b")], validation=share)


def _csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = _touch(folder, "a.mp4", "b.mp4", "c.mp4") / "list.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_list_names_videos_beside_it(tmp_path):
    """Paths start at the list's folder; a byte order mark and further columns do no harm; labels may hold commas."""
    path = _csv(
        tmp_path,
        'label,path,by\nrun,a.mp4,me\n"sit, down",b.mp4,me\nrun,c.mp4,me\n',
        "utf-8-sig",
    )

    found = read_examples(path, validation=0)

    assert found.labels == ("run", "sit, down")
    assert _names(found.training) == [
        ("a.mp4", "run"),
        ("c.mp4", "run"),
        ("b.mp4", "sit, down"),
    ]
    assert all(one.source.is_file() for one in found.training)


def test_a_list_may_part_the_videos(tmp_path):
    """The column split says which part a video is of."""
    path = _csv(
        tmp_path, "path,label,split\na.mp4,run,train\nb.mp4,sit,train\nc.mp4,run,val\n"
    )
    found = read_csv(path)
    assert _names(found.validation) == [("c.mp4", "run")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "path and label are missing"),
        ("path,class\na.mp4,run\n", "label is missing"),
        ("path,label\n", "at least one video"),
        ("path,label\na.mp4,\n", "line 2 does not"),
        ("path,label\na.mp4\n", "line 2 does not"),
        ("path,label\nz.mp4,run\n", "z.mp4 of line 2 is not"),
        (
            "path,label\na.mp4,run\nb.mp4,sit\na.mp4,sit\n",
            "line 4 names .*a.mp4' again, after line 2",
        ),
        ("path,label,split\na.mp4,run,train\nb.mp4,sit,maybe\n", "line 3 has 'maybe'"),
        ("path,label\na.mp4,run\nb.mp4,run\n", "at least two classes"),
        ("path,label,split\na.mp4,run,train\nb.mp4,sit,val\n", "without one: 'sit'"),
    ],
)
def test_a_list_with_a_mistake_is_refused(tmp_path, text, message):
    """The message names the line."""
    path = _csv(tmp_path, text)
    with pytest.raises(DataError, match=message):
        read_csv(path)


def test_a_list_that_is_no_text_is_refused(tmp_path):
    """A spreadsheet's own format, say."""
    path = tmp_path / "list.csv"
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(DataError, match="must be a UTF-8 text that can be read"):
        read_csv(path)


def test_examples_must_be_of_known_classes():
    """Of many unknown labels the first are named."""
    examples = [Example(CLIP, label) for label in "abcde"]
    with pytest.raises(DataError, match=r"not among them: 'b', 'c', 'd' and 1 more"):
        check_known(("a",), examples)
    with pytest.raises(DataError, match="not among them: 'c'"):
        ExampleSet(
            ("a", "b"), (Example(CLIP, "a"), Example(CLIP, "b"), Example(CLIP, "c"))
        )


def test_an_example_has_a_name_for_messages():
    """A file's path; a clip in memory has none."""
    assert Example(Path("a.mp4"), "run").name == "a.mp4"
    assert Example(CLIP, "run").name == "a clip in memory"
