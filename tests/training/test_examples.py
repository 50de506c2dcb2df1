"""Labelled examples from folders and lists: which ones are found, how they are parted, and what is refused."""

import os
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
    split_examples,
)
from movinet_lite.training.folders import read_folder
from movinet_lite.training.groups import group_of
from movinet_lite.training.lists import read_csv
from movinet_lite.training.reading import read_examples

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
    """The name of a folder is the label; hidden files are passed over, others that are no videos are told."""
    _touch(
        tmp_path,
        *("sit/b.mp4", "sit/a.MOV", "sit/notes.txt", "sit/.hidden.mp4"),
        *("run/deep/c.webm", ".cache/x/d.mp4", "list.csv", "lost.mp4"),
    )

    found = read_folder(tmp_path, validation=0)

    assert found.labels == ("run", "sit")
    assert _names(found.training) == [
        ("c.webm", "run"),
        ("a.MOV", "sit"),
        ("b.mp4", "sit"),
    ]
    assert found.validation == ()
    told = [(Path(one.name).name, one.reason) for one in found.skipped]
    assert told == [
        ("lost.mp4", "it is not in the folder of a class"),
        ("notes.txt", "it does not have the extension of a video"),
    ]


ENDINGS = "3gp ts flv mts m2ts asf ogv f4v qt h264 MPE vob wtv"


def test_what_the_reader_reads_counts(tmp_path):
    """Cameras, phones and old discs write other endings than .mp4."""
    names = [f"{number}.{ending}" for number, ending in enumerate(ENDINGS.split())]
    _touch(tmp_path, *(f"run/{name}" for name in names), "sit/a.mp4")
    found = read_folder(tmp_path, validation=0)
    assert sorted(one.source.name for one in found.training) == sorted(
        [*names, "a.mp4"]
    )
    assert found.skipped == ()


def test_a_folder_name_that_is_no_text_is_refused(tmp_path):
    """No file could hold the label: it says so before a training, and not after it."""
    _touch(tmp_path, "run/a.mp4")
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(odd)).mkdir()
    Path(os.fsdecode(odd + b"/b.mp4")).touch()
    with pytest.raises(DataError, match=r"encoded as UTF-8; got 'caf\\udce9'"):
        read_folder(tmp_path)


@pytest.mark.parametrize(("first", "second"), [("train", "val"), ("Training", "valid")])
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


@pytest.mark.parametrize("names", [("train", "val", "test"), ("train", "test")])
def test_test_videos_are_no_part_of_the_choice_of_weights(tmp_path, names):
    """They stay a part of their own; without a folder val, some of train are held out to validate with."""
    _touch(
        tmp_path,
        *(f"{part}/{label}/{n}{part}.mp4" for part in names for label in ("run", "sit") for n in range(5)),
    )  # fmt: skip
    found = read_folder(tmp_path)
    assert {one.source.parts[-3] for one in found.test} == {"test"}
    assert len(found.test) == 10
    parts = {one.source.parts[-3] for one in found.validation}
    assert parts == ({"val"} if "val" in names else {"train"})
    assert len(found.validation) == (10 if "val" in names else 2)


def test_a_folder_beside_the_parts_is_refused(tmp_path):
    """Else train and val would be taken for classes."""
    _touch(tmp_path, "train/run/a.mp4", "val/run/a.mp4", "lists/x/a.mp4")
    with pytest.raises(DataError, match="it also contains 'lists'"):
        read_folder(tmp_path)


def test_a_class_that_is_only_validated_is_refused(tmp_path):
    """A model cannot be asked for what it was never shown."""
    _touch(tmp_path, "train/sit/a.mp4", "train/run/a.mp4", "val/jump/a.mp4")
    with pytest.raises(DataError, match=r"these have none: 'jump'"):
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
        ((), "it contains no folder"),
        (("a.mp4",), "it contains no folder"),
        (("sit/a.mp4",), "at least two classes; got 1: sit"),
        (("train/a.mp4", "val/sit/a.mp4"), "it contains no folder"),
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
    with pytest.raises(DataError, match="the folder does not exist"):
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


@given(
    sizes=st.lists(
        st.lists(st.integers(1, 7), min_size=2, max_size=8), min_size=2, max_size=4
    ),
    shared=st.booleans(),
    seed=st.integers(0, 100),
)
def test_a_group_is_on_one_side_of_a_split(sizes, shared, seed):
    """Cut from one recording, videos are all trained on or all held out, also where a group has several classes."""
    examples = [
        Example(CLIP, f"class {place}", group=f"{'' if shared else place}-{number}")
        for place, groups in enumerate(sizes)
        for number, size in enumerate(groups)
        for _ in range(size)
    ]
    found = split_examples(examples, validation=0.3, seed=seed)
    sides = [{one.group for one in part} for part in (found.training, found.validation)]
    assert not sides[0] & sides[1]
    assert len(found.training) + len(found.validation) == len(examples)
    if not shared:
        assert {one.label for one in found.validation} == set(found.labels)


def test_official_names_tell_the_groups(tmp_path):
    """UCF-101's ``_g01_``: all clips of a group are on one side, and the share is close to what was asked for."""
    _touch(
        tmp_path,
        *(f"{label}/v_{label}_g{group:02}_c{clip:02}.avi"
          for label in ("Archery", "Diving") for group in range(1, 26) for clip in range(1, 5)),
    )  # fmt: skip
    found = read_folder(tmp_path)
    sides = [
        {one.source.name.rpartition("_")[0] for one in part}
        for part in (found.training, found.validation)
    ]
    assert not sides[0] & sides[1]
    assert len(found.validation) == 40


@pytest.mark.parametrize(
    ("stem", "group"),
    [
        ("v_ApplyEyeMakeup_g08_c01", "v_ApplyEyeMakeup_g08"),
        ("April_09_brush_hair_u_nm_np1_ba_goo_0", "April_09_brush_hair"),
        ("-3B32lodo2M_000059_000069", "-3B32lodo2M"),
        ("g01_song", None),
        ("IMG_0001", None),
    ],
)
def test_names_tell_the_recording(stem, group):
    """By the schemes of public data sets, and of no other name."""
    assert group_of(stem) == group


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
        'label, Path,by\nrun,a.mp4,me\n"sit, down",b.mp4,me\nrun ,c.mp4,me\n',
        "utf-8-sig",
    )

    with pytest.warns(UserWarning, match=r"list\.csv: the columns 'by' are ignored"):
        found = read_examples(path, validation=0)

    assert found.labels == ("run", "sit, down")
    assert _names(found.training) == [
        ("a.mp4", "run"),
        ("c.mp4", "run"),
        ("b.mp4", "sit, down"),
    ]
    assert all(one.source.is_file() for one in found.training)


def test_a_list_may_name_segments(tmp_path):
    """A video may stand in many lines with other seconds; its segments stay on one side of a split."""
    lines = [
        f"{name}.mp4,{('run', 'sit')[start % 2]},{start},{start + 2.5}\n"
        for name in "abc"
        for start in range(0, 9, 3)
    ]
    path = _csv(tmp_path, "path,label,start,end\n" + "".join(lines) + "c.mp4,run,9,\n")
    found = read_csv(path)
    segments = [
        (one.start_s, one.end_s) for one in (*found.training, *found.validation)
    ]
    assert len(segments) == 10
    assert segments.count((3.0, 5.5)) == 3
    assert segments.count((9.0, None)) == 1
    sides = [
        {one.source for one in part} for part in (found.training, found.validation)
    ]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_a_list_may_name_groups_and_a_folder(tmp_path):
    """Videos of one person, say, stay on one side; paths start at the folder given."""
    folder = tmp_path / "videos"
    text = "path,label,group\n" + "".join(
        f"{n}.mp4,{label},person {n % 3}\n"
        for n, label in enumerate(["run", "sit"] * 9)
    )
    _touch(folder, *(f"{n}.mp4" for n in range(18)))
    found = read_examples(_csv(tmp_path, text), videos=folder)
    sides = [{one.group for one in part} for part in (found.training, found.validation)]
    assert all(sides)
    assert not sides[0] & sides[1]


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
        ("", "the columns path and label in its first line"),
        ("path,class\na.mp4,run\n", "label is missing"),
        ("path,label\n", "at least one row"),
        ("path,label\na.mp4,\n", "line 2 does not"),
        ("path,label\na.mp4\n", "line 2 does not"),
        ("path,label\nz.mp4,run\n", "z.mp4 of line 2 does not"),
        (
            "path,label\na.mp4,run\nb.mp4,sit\na.mp4,sit\n",
            "line 4 lists .*a.mp4' again, after line 2",
        ),
        ("path,label,split\na.mp4,run,train\nb.mp4,sit,maybe\n", "line 3 has 'maybe'"),
        ("path,label\na.mp4,run\nb.mp4,run\n", "at least two classes"),
        (
            "path,label,split\na.mp4,run,train\nb.mp4,sit,val\n",
            "these have none: 'sit'",
        ),
        (
            "path,label\na.mp4,sit, down\n",
            r"line 2 has 3 \(quote text that contains a comma",
        ),
        (
            "path,label,start\na.mp4,run,1:30\n",
            "start must be a number of seconds; line 2",
        ),
        ("path,label,start,end\na.mp4,run,3,2\n", r"got 3.0 to 2.0 seconds \(line 2\)"),
        ("path,label,start\na.mp4,run,nan\n", r"start at 0 or later.*\(line 2\)"),
        ("path,label,end,end_s\na.mp4,run,3,2\n", "one column for end"),
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
    with pytest.raises(DataError, match="must be readable UTF-8 text"):
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
