"""Events and annotations in files: written and read back, what a player sees, and what is wrong with a bad file."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movinet_lite import DataError, Event
from movinet_lite.events import (
    FORMATS,
    Annotation,
    events_to_text,
    read_annotations,
    read_events,
    write_events,
)

ENDINGS = dict(
    zip(FORMATS, (".jsonl", ".csv", ".json", ".vtt", ".srt", ".txt"), strict=True)
)
TWO = {
    "a.mp4": [Annotation("yoga & rest", 1.0, 2.5), Annotation("run", 3661.0, 3662.5)]
}


def _times():
    return st.integers(0, 10**7).map(lambda time_ms: time_ms / 1000)


@st.composite
def annotations(draw):
    """Return an annotation on whole milliseconds, with a label of one line of any characters."""
    text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))
    label = draw(
        text.map(str.strip).filter(lambda label: label and label[0] != "\ufeff")
    )
    start_s = draw(_times())
    end_s = start_s + draw(st.integers(1, 10**6)) / 1000
    return Annotation(label, start_s, round(end_s, 3), draw(st.floats(0, 1)))


def _as_event(one):
    return Event(
        label=one.label,
        start_s=one.start_s,
        end_s=one.end_s,
        peak=one.score,
        mean=one.score,
        num_frames=3,
    )


def _rounded(spans, *, scored):
    return [
        (
            one.label,
            pytest.approx(one.start_s, abs=1e-6),
            pytest.approx(one.end_s, abs=1e-6),
            one.score if scored else None,
        )
        for one in sorted(spans, key=lambda one: one.start_s)
    ]


@pytest.mark.parametrize("name", FORMATS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(annotations(), min_size=1, max_size=4))
def test_what_is_written_is_read(tmp_path, name, spans):
    """Labels and times come back from every format, and scores from those that keep them."""
    path = tmp_path / f"clip{ENDINGS[name]}"
    write_events(path, {"clip": [_as_event(one) for one in spans]})

    (read,) = read_annotations(path).items()

    scored = name in ("jsonl", "csv", "activitynet")
    expected = _rounded(spans, scored=scored)
    found = sorted(read[1], key=lambda one: one.start_s)
    assert read[0] == "clip"
    assert [(one.label, one.start_s, one.end_s, one.score) for one in found] == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(annotations(), max_size=4))
def test_json_lines_keep_all_of_an_event(tmp_path, spans):
    """An event in any state comes back from JSON lines to the last bit."""
    path = tmp_path / "log.jsonl"
    events = {}
    for place, one in enumerate(spans):
        state = ("ended", "began")[place % 2]
        values = {**_as_event(one).to_dict(), "state": state, "confirmed_s": 0.1 + 0.2}
        events.setdefault(f"v{place % 3}", []).append(Event(**values))
    write_events(path, events)

    assert read_events(path) == {video: tuple(one) for video, one in events.items()}


@pytest.mark.parametrize("name", ["csv", "activitynet"])
def test_several_videos_and_one_without_events(tmp_path, name):
    """Videos keep their names, also one in which nothing happens."""
    path = tmp_path / f"all{ENDINGS[name]}"
    truth = {
        'a, "b".mp4': (Annotation("yoga", 0.1 + 0.2, 1.0, 0.5),),
        "quiet.mp4": (),
    }
    write_events(path, truth)

    read = read_annotations(path)

    assert list(read) == list(truth)
    assert read["quiet.mp4"] == ()
    assert read['a, "b".mp4'] == (Annotation("yoga", 0.3, 1.0, 0.5),)


def test_webvtt_is_as_players_want_it():
    """A cue has hours, minutes, seconds and milliseconds, and its text is escaped."""
    assert events_to_text(TWO, "vtt") == (
        "WEBVTT\n\n"
        "00:00:01.000 --> 00:00:02.500\nyoga &amp; rest\n\n"
        "01:01:01.000 --> 01:01:02.500\nrun\n"
    )


def test_srt_is_as_players_want_it():
    """A cue has its number, its times with a comma, and its text."""
    assert events_to_text(TWO, "srt") == (
        "1\n00:00:01,000 --> 00:00:02,500\nyoga & rest\n\n"
        "2\n01:01:01,000 --> 01:01:02,500\nrun\n"
    )


def test_a_cue_lasts_at_least_a_millisecond():
    """Players leave out cues of no length, so an event that short is shown for a millisecond."""
    text = events_to_text({"a": [Annotation("hit", 1.0, 1.0001)]}, "vtt")
    assert "00:00:01.000 --> 00:00:01.001" in text


def test_audacity_takes_tabs():
    """A line is start, end and label with tabs between."""
    assert events_to_text(TWO, "audacity") == (
        "1.000000\t2.500000\tyoga & rest\n3661.000000\t3662.500000\trun\n"
    )


def test_csv_has_its_columns():
    """The first line names the columns, and times are written short."""
    spans = [Annotation("run", 0.1 + 0.2, 12.4)]
    assert events_to_text({"a.mp4": spans}, "csv") == (
        "video,label,start_s,end_s,score\na.mp4,run,0.3,12.4,\n"
    )


def test_activitynet_is_what_its_evaluation_reads():
    """The JSON has the fields that the evaluation asks for, and a score for each."""
    document = json.loads(
        events_to_text({"v": [Annotation("run", 1, 2)]}, "activitynet")
    )

    assert set(document) == {"version", "results", "external_data"}
    assert document["results"] == {
        "v": [{"label": "run", "score": 1.0, "segment": [1.0, 2.0]}]
    }


def test_only_what_ended_is_written():
    """Formats of what is over leave out that an event began."""
    ended = _as_event(Annotation("run", 1.0, 2.0, 0.5))
    began = Event(**{**ended.to_dict(), "state": "began", "end_s": None})

    assert events_to_text({"v": [began, ended]}, "csv").count("run") == 1
    assert events_to_text({"v": [began, ended]}, "jsonl").count("run") == 2


@pytest.mark.parametrize(
    ("events", "name", "text"),
    [
        (TWO, "xml", "one of jsonl, csv, .*; got 'xml'"),
        (TWO | {"b": []}, "vtt", "vtt holds the events of one video; got 2"),
        ({}, "srt", "holds the events of one video; got 0"),
        (TWO, "jsonl", "JSON lines support events only; got an annotation"),
        ({"a": [Annotation("x", -1, 2)]}, "srt", "0 or more; 'x' starts at -1 s"),
        ({"a": [Annotation("x\ty", 1, 2)]}, "audacity", r"labels of one line.*'x\\ty'"),
        ({"a": [Annotation("x\ny", 1, 2)]}, "vtt", "labels of one line"),
        (
            {
                "a": [
                    Event(
                        label="x",
                        start_s=1,
                        peak=1,
                        mean=1,
                        num_frames=1,
                        state="confirmed",
                    )
                ]
            },
            "csv",
            r"'x' from 1 s has not",
        ),
    ],
)
def test_what_a_format_cannot_hold(events, name, text):
    """A format that cannot hold the events is an error, and nothing is written."""
    with pytest.raises(DataError, match=text):
        events_to_text(events, name)


def test_a_name_that_is_not_utf8_is_an_error(tmp_path):
    """The name of a file that is no UTF-8, as Linux allows, cannot be written, and nothing is."""
    path = tmp_path / "log.csv"
    with pytest.raises(
        DataError, match=r"encodable as UTF-8; got '\\udcff' \(the name"
    ):
        write_events(path, {"\udcff.mp4": []})
    assert not path.exists()


def test_a_failed_write_leaves_the_file(tmp_path):
    """A file that is there stays as it was if the new events cannot be written."""
    path = tmp_path / "a.vtt"
    path.write_text("before")
    with pytest.raises(DataError, match="one video"):
        write_events(path, {})
    assert path.read_text() == "before"
    with pytest.raises(DataError, match=r"must end in one of \.jsonl, .*; got '\.doc'"):
        write_events(tmp_path / "a.doc", TWO)


BAD_FILES = {
    "empty.csv": ("", "must not be empty"),
    "empty.json": (" \n", "must not be empty"),
    "empty.txt": ("", "must not be empty"),
    "empty.srt": ("", "must not be empty"),
    "empty.vtt": ("", "must not be empty"),
    "empty.jsonl": ("", "at least one video; got none"),
    "header.csv": ("video,label,start_s,end_s\n", "at least one video; got none"),
    "columns.csv": ("video,label,start\n", "start_s, end_s are missing"),
    "values.csv": (
        "video,label,start_s,end_s\na,b,1,2\na,b,1\n",
        "must have 4 values.*; line 3 has 3",
    ),
    "number.csv": (
        "video,label,start_s,end_s\na,b,one,2\n",
        "must be numbers; line 2 has 'one'",
    ),
    "backwards.csv": (
        "video,label,start_s,end_s\na,b,1,2\na,b,5,4\n",
        r"got 5 s to 4 s \(line 3\)",
    ),
    "label.csv": ("video,label,start_s,end_s\na,,1,2\n", r"got '' \(line 2\)"),
    "video.csv": ("video,label,start_s,end_s\n,b,1,2\n", "have a video; line 2"),
    "nan.csv": ("video,label,start_s,end_s\na,b,nan,2\n", r"got nan \(line 2\)"),
    "quote.csv": ('video,label,start_s,end_s\na,"b" c,1,2\n', r"must be CSV; .*line 2"),
    "backwards.txt": ("1\t2\tyoga\n4\t3\tyoga\n", r"got 4 s to 3 s \(line 2\)"),
    "spaces.txt": ("1 2 yoga\n", "separated by tabs; line 1 does not"),
    "number.txt": ("1\tx\tyoga\n", "line 1 has 'x'"),
    "backwards.srt": (
        "1\n00:00:02,000 --> 00:00:01,000\nyoga\n",
        r"got 2 s to 1 s \(line 2\)",
    ),
    "times.vtt": ("WEBVTT\n\n1 --> 2\nyoga\n", "two times; line 3 has '1 --> 2'"),
    "label.vtt": ("WEBVTT\n\n00:01.000 --> 00:02.000\n\n", r"got '' \(line 3\)"),
    "none.srt": ("hello\n", "must have cues; got none"),
    "text.json": ("{", r"must be JSON; .*line 1"),
    "list.json": ("[]", "a database or with results; got neither"),
    "entry.json": ('{"database": {"v": 1}}', "an object at database, v"),
    "none.json": ('{"database": {"v": {}}}', "a list of annotations at database, v"),
    "segment.json": (
        '{"results": {"v": [{"label": "a", "segment": [1]}]}}',
        "segment of start and end at results, v, 0",
    ),
    "backwards.json": (
        '{"results": {"v": [{"label": "a", "segment": [2, 1]}]}}',
        r"got 2 s to 1 s \(results, v, 0\)",
    ),
    "label.json": (
        '{"results": {"v": [{"segment": [1, 2]}]}}',
        r"got None \(results, v, 0\)",
    ),
    "number.json": (
        '{"results": {"v": [{"label": "a", "segment": [true, 2]}]}}',
        "results, v, 0 has True",
    ),
    "text.jsonl": ("{}\n{", "must be JSON|with a video; line 1"),
    "video.jsonl": ("[1]\n", "JSON object with a video; line 1 is not"),
    "event.jsonl": ('\n{"video": "a"}\n', r"missing: label, .*\(line 2\)"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_error(tmp_path, name):
    """A file that is empty or wrong is one error with its path and the line or place of the fault."""
    text, message = BAD_FILES[name]
    (tmp_path / name).write_text(text)

    with pytest.raises(DataError, match=message) as caught:
        read_annotations(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_files_of_other_programs(tmp_path):
    """Byte order marks, Windows lines, cue settings, short times and ranges of frequencies are read."""
    vtt = tmp_path / "a.vtt"
    vtt.write_text(
        "WEBVTT - x\r\n\r\n1\r\n00:01.500 --> 00:02.000 align:start\r\n&lt;jump&gt;\r\n"
    )
    assert read_annotations(vtt) == {"a": (Annotation("<jump>", 1.5, 2.0),)}

    labels = tmp_path / "b.txt"
    labels.write_bytes(
        b"\xef\xbb\xbf0.5\t1.5\tjump\r\n\\\t100.0\t200.0\r\n2.0\t2.0\thit\r\n"
    )
    assert read_annotations(labels, video="b.mp4") == {
        "b.mp4": (Annotation("jump", 0.5, 1.5), Annotation("hit", 2.0, 2.0))
    }

    table = tmp_path / "c.csv"
    table.write_text("note,end_s,start_s,label,video\r\nx,2,1,jump,c.mp4\r\n\r\n")
    assert read_annotations(table) == {"c.mp4": (Annotation("jump", 1, 2),)}

    database = tmp_path / "d.json"
    segments = [{"label": "jump", "segment": [1, 2]}]
    database.write_text(
        json.dumps(
            {
                "database": {
                    "v": {"subset": "validation", "annotations": segments},
                    "w": {"subset": "training", "annotations": []},
                }
            }
        )
    )
    assert read_annotations(database, subset="validation") == {
        "v": (Annotation("jump", 1, 2),)
    }
    assert list(read_annotations(database)) == ["v", "w"]
    with pytest.raises(DataError, match="at least one video"):
        read_annotations(database, subset="testing")
