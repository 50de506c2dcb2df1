"""Lists of public data sets, as they are published: which videos they name, of which class and part."""

import json

import pytest

from movinet_lite import DataError
from movinet_lite.training.reading import read_examples


@pytest.fixture
def videos(tmp_path):
    """Return a function that makes empty videos in a folder, and returns it."""

    def make(*names):
        for name in names:
            path = tmp_path / "videos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "videos"

    return make


def names(examples):
    """Return the file, the class and the segment of each example."""
    return [
        (one.source.name, one.label)
        if one.start_s is None
        else (one.source.name, one.label, one.start_s, one.end_s)
        for one in examples
    ]


def test_ucf_101(videos, tmp_path):
    """``trainlist01.txt`` has numbers that ``classInd.txt`` names; ``testlist01.txt`` beside it has none."""
    folder = videos(
        *(f"{label}/v_{label}_g{group:02}_c01.avi"
          for label in ("ApplyEyeMakeup", "Archery") for group in range(1, 6)),
    )  # fmt: skip
    (tmp_path / "classInd.txt").write_text("1 ApplyEyeMakeup\r\n2 Archery\r\n")
    (tmp_path / "trainlist01.txt").write_text(
        "".join(
            f"{label}/v_{label}_g{group:02}_c01.avi {number}\r\n"
            for number, label in ((1, "ApplyEyeMakeup"), (2, "Archery"))
            for group in (3, 4, 5, 9)
        )
    )
    (tmp_path / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\n")

    found = read_examples(tmp_path / "trainlist01.txt", videos=folder, validation=0)

    assert found.labels == ("ApplyEyeMakeup", "Archery")
    assert len(found.training) == 6
    assert names(found.test) == [("v_Archery_g01_c01.avi", "Archery")]
    assert [one.name for one in found.skipped] == [
        "v_ApplyEyeMakeup_g09_c01",
        "v_Archery_g09_c01",
    ]
    (tmp_path / "classInd.txt").write_text("1 Archery\n2 ApplyEyeMakeup\n")
    with pytest.raises(DataError, match="line 1 has class 1, which is 'Archery' in"):
        read_examples(tmp_path / "trainlist01.txt", videos=folder)


def test_hmdb51(videos, tmp_path):
    """Each class has a file for each split, in which 1 is to train, 2 to test, and 0 neither."""
    stems = {
        label: [f"Film_{n}_{label}_u_nm_np1_ba_goo_0.avi" for n in range(4)]
        for label in ("brush_hair", "run")
    }
    folder = videos(*(f"{label}/{name}" for label in stems for name in stems[label]))
    for label, files in stems.items():
        for split, numbers in (("1", "1120"), ("2", "2211")):
            (tmp_path / f"{label}_test_split{split}.txt").write_text(
                "".join(f"{f} {n} \n" for f, n in zip(files, numbers, strict=True))
            )

    found = read_examples(tmp_path / "run_test_split1.txt", videos=folder, validation=0)

    assert names(found.training) == [
        (name, label) for label in stems for name in stems[label][:2]
    ]
    assert names(found.test) == [(stems[label][2], label) for label in stems]


def test_kinetics(videos, tmp_path):
    """A video that was trimmed is taken whole, one that was not from its second to its second; the others are told."""
    header = "label,youtube_id,time_start,time_end,split\n"
    (tmp_path / "train.csv").write_text(
        header + "abseiling,aaaaaaaaaaa,7,17,train\n"
        '"cutting, apple",bbbbbbbbbbb,70,80,train\nabseiling,ccccccccccc,0,10,train\n'
    )
    (tmp_path / "validate.csv").write_text(
        header + "abseiling,ddddddddddd,1,11,validate\n"
    )
    folder = videos(
        "train/aaaaaaaaaaa_000007_000017.mp4", "bbbbbbbbbbb.mkv", "val/ddddddddddd_000001_000011.mp4",
    )  # fmt: skip

    found = read_examples(tmp_path / "train.csv", videos=folder)

    assert names(found.training) == [
        ("aaaaaaaaaaa_000007_000017.mp4", "abseiling"),
        ("bbbbbbbbbbb.mkv", "cutting, apple", 70.0, 80.0),
    ]
    assert names(found.validation) == [("ddddddddddd_000001_000011.mp4", "abseiling")]
    assert [one.name for one in found.skipped] == ["ccccccccccc"]


def test_something_something(videos, tmp_path):
    """A class is a template without its brackets."""
    for part, numbers in (("train", (1, 2)), ("validation", (3,))):
        (tmp_path / f"something-something-v2-{part}.json").write_text(
            json.dumps(
                [
                    {
                        "id": str(number),
                        "label": "holding potato next to bottle",
                        "template": ("Pushing", "Holding")[number % 2] + " [something]",
                        "placeholders": ["potato"],
                    }
                    for number in numbers
                ]
            )
        )
    path = tmp_path / "something-something-v2-train.json"
    found = read_examples(path, videos=videos("1.webm", "2.webm", "3.webm"))
    assert names(found.training) == [
        ("1.webm", "Holding something"),
        ("2.webm", "Pushing something"),
    ]
    assert names(found.validation) == [("3.webm", "Holding something")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("trainlist01.txt", "a.avi 1\n", "line 1 must be CLASS/VIDEO; got 'a.avi'"),
        ("run_test_split1.txt", "a.avi 7\n", "must be a video and 0, 1 or 2"),
        ("train.csv", "label,youtube_id\n,x\n", "line 2 does not"),
        ("train.json", '{"a": 1}', "a list of videos with id and template"),
        ("trainlist01.txt", "run/a.avi 1\n", "none of 1 is in .*, such as a .set the"),
    ],
)
def test_a_list_with_a_mistake_is_refused(videos, tmp_path, name, text, message):
    """The message says what was expected."""
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_examples(tmp_path / name, videos=videos("b.avi"))
