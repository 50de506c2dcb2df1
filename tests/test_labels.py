import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite import labels as labels_module
from movinet_lite.errors import LabelsError
from movinet_lite.labels import (
    check_labels,
    kinetics_600_labels,
    label_indices,
    load_labels,
    save_labels,
    search_labels,
)
from tests.strategies import label_lists

SPORTS = ("walking the dog", "Running", "water skiing", "skiing slalom", "yoga")


@pytest.fixture(scope="session")
def labels_path(tmp_path_factory):
    """Return a path that tests may write labels to, again and again."""
    return tmp_path_factory.mktemp("labels") / "labels.txt"


@given(labels=label_lists())
def test_saved_labels_are_loaded_unchanged(labels_path, labels):
    """Whatever names are saved, the same are loaded."""
    save_labels(labels, labels_path)

    assert load_labels(labels_path) == labels


@given(
    labels=label_lists(),
    mark=st.sampled_from(["", "\ufeff"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    num_last=st.integers(0, 3),
)
def test_marks_and_line_ends_are_not_part_of_a_name(
    labels_path, labels, mark, line_end, num_last
):
    """A byte order mark, line ends of any system and empty last lines change no name."""
    text = mark + line_end.join(labels) + line_end * num_last
    labels_path.write_bytes(text.encode())

    assert load_labels(labels_path) == labels


@given(data=st.data(), labels=label_lists())
def test_repeated_names_are_refused_with_their_line(labels_path, data, labels):
    """A name that stands twice is an error that points to its second line and names its first."""
    first = data.draw(st.integers(0, len(labels) - 1))
    second = data.draw(st.integers(first + 1, len(labels)))
    lines = [*labels[:second], labels[first], *labels[second:]]
    labels_path.write_bytes("\n".join(lines).encode())

    with pytest.raises(LabelsError, match=f"is also label {first + 1}$") as caught:
        load_labels(labels_path)

    assert (caught.value.path, caught.value.line) == (labels_path, second + 1)
    assert str(caught.value).startswith(f"{labels_path}:{second + 1}: every label must")


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_empty_names_are_refused_with_their_line(labels_path, blank):
    """An empty line between names is an error that points to it."""
    labels_path.write_text(f"walking\n{blank}\nyoga\n")

    with pytest.raises(LabelsError, match=r"label 2, '.*', is empty$") as caught:
        load_labels(labels_path)

    assert caught.value.line == 2


@pytest.mark.parametrize(
    "lines",
    [
        ("0 active-lying", "1 drinking", "2 3 steps"),
        ("1 active-lying", "2 drinking", "3 3 steps"),
        ("0: active-lying", "1: drinking", "2: 3 steps"),
        ("0,active-lying", "1,drinking", '2,"3 steps"'),
        ("0\tactive-lying", "1\tdrinking", "2\t3 steps"),
        ("1. active-lying", " 2. drinking", " 3. 3 steps"),
        ("2  3 steps", "0  active-lying", "1  drinking"),
    ],
)
def test_numbered_lines_give_their_names(labels_path, lines):
    """Lines numbered from 0 or from 1 are read without their numbers, in the order of these."""
    labels_path.write_text("\n".join(lines))

    assert load_labels(labels_path) == ("active-lying", "drinking", "3 steps")


def test_a_table_of_numbers_and_names_may_have_headings(tmp_path):
    """The first line of a ``.csv`` file is left out if only the others are numbered."""
    path = tmp_path / "labels.csv"
    path.write_text('id,name\n0,walking\n1,"running"\n')
    assert load_labels(path) == ("walking", "running")

    path.write_text("name\nwalking\nrunning\n")
    assert load_labels(path) == ("name", "walking", "running")


@pytest.mark.parametrize(
    "lines",
    [
        ("100 m race", "400 m race"),
        ("2 legs", "3 tails"),
        ("0 legs", "2 tails"),
        ("0 legs", "0 tails"),
        ("0 legs", "1 tail", "tails"),
        ("1 finger", "2 fingers", "3 fingers"),
        ("0", "1", "2"),
        ("1 person",),
        ("3.5 km race", "4x100 m race"),
    ],
)
def test_names_that_begin_with_numbers_stay_whole(labels_path, lines):
    """Numbers that do not count the lines, or without which names are no longer different, are parts of the names."""
    labels_path.write_text("\n".join(lines))

    assert load_labels(labels_path) == lines


@given(
    labels=st.sampled_from([label_lists(2), st.just(("person", ' "people" '))]).flatmap(
        lambda lists: lists
    ),
    first=st.integers(0, 1),
    between=st.sampled_from([" ", ": ", ",", "  "]),
)
def test_labels_that_look_numbered_are_saved_unchanged(
    labels_path, labels, first, between
):
    """Names that a reader would take for numbered lines come back whole."""
    labels = tuple(f"{n}{between}{name}" for n, name in enumerate(labels, first))
    save_labels(labels, labels_path)

    assert load_labels(labels_path) == labels


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\r\n"])
def test_a_file_without_a_name_is_refused(labels_path, content):
    """A file that holds no name is an error with its path."""
    labels_path.write_bytes(content)

    with pytest.raises(LabelsError, match=r"at least one label; got none$") as caught:
        load_labels(labels_path)

    assert (caught.value.path, caught.value.line) == (labels_path, None)


def test_a_file_in_another_encoding_is_refused_with_the_line(labels_path):
    """Bytes that are not UTF-8 are an error that points to their line and says what to do."""
    labels_path.write_bytes(b"walking\ncaf\xe9 visit\n")

    with pytest.raises(
        LabelsError, match=r"UTF-8 text; .* \(save the file as UTF-8\)$"
    ) as caught:
        load_labels(labels_path)

    assert caught.value.line == 2


def test_a_missing_file_is_an_error_with_its_path(tmp_path):
    """A path where no file is, or a folder, is an error that says so."""
    with pytest.raises(
        LabelsError, match=r"none\.txt: .*'No such file or directory'$"
    ) as caught:
        load_labels(tmp_path / "none.txt")
    with pytest.raises(LabelsError, match=r"'Is a directory'$"):
        load_labels(str(tmp_path))

    assert caught.value.path == tmp_path / "none.txt"
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_names_that_a_file_cannot_hold_are_not_saved(tmp_path):
    """A name with a line end in it is refused before anything is written."""
    with pytest.raises(LabelsError, match="label 2, 'a\\\\nb', contains a line break"):
        save_labels(["yoga", "a\nb"], tmp_path / "labels.txt")

    assert not list(tmp_path.iterdir())


def test_labels_must_be_as_many_as_classes():
    """A count that does not fit is an error that states both counts, and the file if there is one."""
    assert check_labels(SPORTS, 5) == SPORTS
    with pytest.raises(LabelsError, match=r"^labels .* each of the 600 .* got 5 names"):
        check_labels(SPORTS, 600)
    with pytest.raises(LabelsError, match=r"^sports\.txt: .* the 4 classes; got 5"):
        check_labels(SPORTS, 4, path="sports.txt")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "at least one label; got none"),
        (("a", "b", "a"), "label 3, 'a', is also label 1"),
        (("a", " "), "label 2, ' ', is empty"),
        ((b"a",), "label 1, b'a', is of type bytes"),
        (("a", 1), "label 2, 1, is of type int"),
        (("\ufeffa",), "contains a line break or a byte order mark"),
        ("labels.txt", "got the str 'labels.txt' .*, use load_labels"),
    ],
)
def test_labels_that_name_no_class_are_refused(labels, message):
    """Labels that are no names, or not one for each class, are refused, whatever brought them."""
    with pytest.raises(LabelsError, match=message):
        check_labels(labels)


def test_labels_become_a_tuple_of_plain_strings():
    """A list, an iterator or an array of names becomes a tuple of plain `str`."""
    for given_labels in (list(SPORTS), iter(SPORTS), np.array(SPORTS)):
        labels = check_labels(given_labels)

        assert labels == SPORTS
        assert {type(label) for label in labels} == {str}


def test_kinetics_600_is_whole_and_sorted():
    """The labels of Kinetics-600 are 600 different names in ASCII order, read once."""
    labels = kinetics_600_labels()

    assert len(labels) == len(set(labels)) == 600
    assert list(labels) == sorted(labels)
    assert labels[0] == "abseiling"
    assert labels[287] == "massaging person's head"
    assert labels[599] == "zumba"
    assert kinetics_600_labels() is labels


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("zumba\n", "zumbas\n", "the file was modified"),
        ("zumba\n", "", "each of the 600 classes; got 599 names"),
        ("abseiling\nacting in play\n", "acting in play\nabseiling\n", "was modified"),
    ],
)
def test_changed_kinetics_600_is_refused(tmp_path, monkeypatch, old, new, message):
    """A shipped list that was edited, cut or sorted anew is an error."""
    path = tmp_path / "kinetics.txt"
    shutil.copy(labels_module._KINETICS_600_PATH, path)
    monkeypatch.setattr(labels_module, "_KINETICS_600_PATH", path)
    uncached = kinetics_600_labels.__wrapped__
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert uncached() == kinetics_600_labels()  # line ends make no difference

    path.write_text(path.read_text().replace(old, new))

    with pytest.raises(LabelsError, match=message):
        uncached()


@given(labels=label_lists(), data=st.data())
def test_indices_lead_back_to_the_names(labels, data):
    """Whatever labels are looked up, in whatever order, their indices lead back to them."""
    names = data.draw(st.lists(st.sampled_from(labels)))

    assert [labels[i] for i in label_indices(names, labels)] == names


@pytest.mark.parametrize(
    ("name", "offer"),
    [
        ("running", "'running' (similar: 'Running')"),
        ("skiing", "'skiing' (similar: 'water skiing', 'skiing slalom')"),
        ("YOGGA", "'YOGGA' (similar: 'yoga')"),
        ("dog", "'dog' (similar: 'walking the dog')"),
        ("xylophone", "'xylophone' (nothing similar)"),
    ],
)
def test_unknown_names_come_with_the_nearest(name, offer):
    """The error for an unknown name offers labels that contain it or are written alike."""
    message = f"names must be among the 5 labels; got {offer}"
    with pytest.raises(LabelsError, match=f"^{re.escape(message)}$"):
        label_indices(["yoga", name], SPORTS)


def test_many_unknown_names_make_one_short_message():
    """Of many unknown names the first three are explained and the others counted."""
    with pytest.raises(
        LabelsError, match=r"'b1' \(.*'b3' \(nothing similar\) and 6 more$"
    ):
        label_indices([f"b{i}" for i in range(1, 10)], SPORTS)


def test_a_lone_name_is_no_list_of_names():
    """One `str` in place of several names is refused, not read letter by letter."""
    with pytest.raises(LabelsError, match=r"got the str 'yoga' .*\['yoga'\]"):
        label_indices("yoga", SPORTS)


@given(labels=label_lists(), data=st.data())
def test_search_finds_any_part_of_a_name_in_any_case(labels, data):
    """Any part of a label, in any case, finds that label; what is found keeps its order."""
    label = data.draw(st.sampled_from(labels))
    start = data.draw(st.integers(0, len(label)))
    end = data.draw(st.integers(start, len(label)))
    pattern = label.casefold()[start:end]

    found = search_labels(pattern, labels)

    assert label in found
    assert list(found) == [one for one in labels if one in found]
    assert all(pattern in one.casefold() for one in found)


def test_search_takes_a_pattern_as_plain_text():
    """A search knows no special characters, and an empty pattern finds every label."""
    assert search_labels("SKIING", SPORTS) == ("water skiing", "skiing slalom")
    assert search_labels("s.*g", SPORTS) == ()
    assert search_labels("", SPORTS) == SPORTS


@pytest.mark.parametrize(
    "text",
    [
        '["walking", "running", "5"]',
        '{"running": 1, "walking": 0, "5": 2}',
        '{"1": "running", "2": "5", "0": "walking"}',
    ],
)
def test_json_gives_names_in_the_order_of_their_indices(text, tmp_path):
    """A list, name to index and index to name are read, whatever their order in the file."""
    path = tmp_path / "labels.json"
    path.write_text(text, encoding="utf-8-sig")
    assert load_labels(path) == ("walking", "running", "5")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "must be valid JSON"),
        ("[" * 100_000, "must be valid JSON"),
        ("3", "list of names, or an object"),
        ('{"walking": 0, "running": 2}', "with each index from 0 once"),
        ('{"walking": 1, "running": 2}', "with each index from 0 once"),
        ('{"walking": 0, "running": 0}', "with each index from 0 once"),
        ('{"walking": true, "running": false}', "with each index from 0 once"),
        ("{}", "at least one label"),
        ('["walking", "walking"]', "'walking', is also label 1"),
        ('["walking", 3]', "label 2, 3, is of type int"),
    ],
)
def test_json_that_holds_no_labels_is_refused(text, words, tmp_path):
    """JSON of another form, with gaps or with names twice is an error that names the file."""
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(LabelsError, match=words) as caught:
        load_labels(path)
    assert caught.value.path == path
