"""movinet-lite events: what it prints for people and for programs, and the videos that it writes."""

import io
import json
import sys

import numpy as np
import pytest

from movinet_lite import EventDetector, StreamingClassifier, find_events, read_frames
from movinet_lite.classifiers import streams
from movinet_lite.cli import main
from movinet_lite.events import read_annotations
from movinet_lite.events.settings import DELAY_S, HORIZON_S
from movinet_lite.testing import FakeStreamModel
from movinet_lite.video import load_clip, read_video_info, write_video

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
ENTER = 0.2
"""The fake model's scores are near 1/6: above this is what leads clearly."""


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
    """A video of six seconds at 15 frames a second, of three colours."""
    path = tmp_path / "colours.mp4"
    frames = [np.full((120, 160, 3), COLOURS[i // 30], np.uint8) for i in range(90)]
    write_video(path, frames, fps=15)
    return path


@pytest.fixture
def run(capsys):
    """Return a function that runs the command: arguments to status, text and errors."""

    def run(*arguments):
        status = main(["events", "--model", "fake", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def events_of(video, **settings):
    """Return what the library finds with the horizon and the delay of the commands."""
    session = StreamingClassifier(FakeStreamModel(), horizon_s=HORIZON_S)
    detector = EventDetector(**{"delay_s": DELAY_S, **settings})
    return find_events(session.run(read_frames(video, fps=5)), detector)


@pytest.mark.usefixtures("loads")
def test_people_read_each_event_and_a_timeline(run, video, monkeypatch):
    """An event has a line with its times, score and label; below, a label has a line with blocks."""
    monkeypatch.setenv("COLUMNS", "60")

    status, text, errors = run(video, "--enter", ENTER)

    found = events_of(video, enter=ENTER)
    lines = text.splitlines()
    labels = {event.label for event in found}
    assert (status, errors) == (0, "")
    assert len(labels) > 1
    assert sorted(lines[: len(found)]) == sorted(
        f"0:{event.start_s:04.1f} to 0:{event.end_s:04.1f}  {event.mean:.2f}  {event.label}"
        for event in found
    )
    chart = lines[len(found) + 1 : -1]
    assert "0:00" in chart[0]
    assert {line.split("  ")[0].strip() for line in chart[1:]} == labels
    assert all(len(line) == 60 and "█" in line for line in chart[1:])


@pytest.mark.usefixtures("loads")
def test_a_terminal_without_blocks_gets_plain_signs(video, monkeypatch):
    """Where the output's encoding has no blocks, the timeline is drawn with number signs."""
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", out)

    assert main(["events", "--model", "fake", str(video), "--enter", str(ENTER)]) == 0

    out.flush()
    text = out.buffer.getvalue().decode("ascii")
    assert "###" in text
    assert "\\u" not in text


@pytest.mark.usefixtures("loads")
@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (("--leave", 0.19), {"leave": 0.19}),
        (("--min-duration", 1.5), {"min_duration_s": 1.5}),
        (("--pad", 0.3, "--max-gap", 0.2), {"pad_s": 0.3, "max_gap_s": 0.2}),
        (("--smooth", 1), {"smooth_s": 1}),
        (("--pad", 0.3), {"pad_s": 0.3}),
        (("--cooldown", 9), {"cooldown_s": 9, "max_duration_s": 1}),
        (("--max-duration", 1), {"max_duration_s": 1}),
        (("--delay", 0.4), {"delay_s": 0.4}),
        (("--allow", "red"), {"labels": ["red"]}),
        (("--thresholds", "red=0.3,0.1"), {"thresholds": {"red": (0.3, 0.1)}}),
    ],
)
def test_each_setting_has_an_option(run, video, options, settings):
    """Programs get the events that the library finds with the same settings, all of each."""
    if "--cooldown" in options:
        options = (*options, "--max-duration", 1)

    status, text, errors = run(video, "--enter", ENTER, "--format", "json", *options)

    expected = events_of(video, enter=ENTER, **settings)
    found = [json.loads(line) for line in text.splitlines()]
    assert (status, errors) == (0, "")
    assert expected != events_of(video, enter=ENTER)
    assert sorted(found, key=lambda one: (one["start_s"], one["end_s"])) == sorted(
        ({"video": str(video), **event.to_dict()} for event in expected),
        key=lambda one: (one["start_s"], one["end_s"]),
    )


@pytest.mark.usefixtures("loads")
def test_settings_come_from_a_file_and_options_go_first(run, video, tmp_path):
    """A file gives the settings; an option beside it changes one and leaves the others."""
    path = tmp_path / "events.toml"
    EventDetector(
        enter=0.9, leave=0.1, delay_s=0.4, thresholds={"red": (0.9, 0.5)}
    ).save(path)

    _, text, errors = run(
        video, "--settings", path, "--enter", ENTER, "--format", "json"
    )

    assert errors == ""
    expected = events_of(
        video,
        enter=ENTER,
        leave=0.1,
        delay_s=0.4,
        thresholds={"red": (0.9, 0.5)},
    )
    starts = sorted(json.loads(line)["start_s"] for line in text.splitlines())
    assert starts == [event.start_s for event in expected]


@pytest.mark.usefixtures("loads")
@pytest.mark.parametrize("name", ["csv", "vtt", "srt"])
def test_formats_are_those_of_the_library(run, video, tmp_path, name):
    """What is printed can be read back as annotations."""
    status, text, _ = run(video, "--enter", ENTER, "--format", name)

    path = tmp_path / f"colours.{name}"
    path.write_text(text)
    (spans,) = read_annotations(path).values()
    expected = events_of(video, enter=ENTER)
    assert status == 0
    assert [span.label for span in spans] == [event.label for event in expected]
    assert [span.end_s for span in spans] == pytest.approx(
        [event.end_s for event in expected], abs=1e-3
    )


@pytest.mark.usefixtures("loads")
def test_a_video_that_fails_is_no_video_without_events(run, video, tmp_path):
    """CSV has a row for a video in which nothing happens, none for one that cannot be read, and the status says so."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")

    status, text, errors = run(video, broken, "--enter", 1, "--format", "csv")

    assert status == 1
    assert text.splitlines()[1:] == [f"{video},,,,"]
    assert "broken.mp4" in errors


@pytest.mark.usefixtures("loads")
def test_videos_know_nothing_of_each_other(run, video, tmp_path):
    """The events of a video are the same after another one; each has its name above them."""
    other = tmp_path / "other.mp4"
    write_video(other, np.full((30, 120, 160, 3), COLOURS[2], np.uint8), fps=15)

    _, alone, _ = run(video, "--enter", ENTER)
    _, after, _ = run(other, video, "--enter", ENTER)

    assert after.startswith(f"{other}\n")
    assert after.split(f"{video}\n")[1] == alone


@pytest.mark.usefixtures("loads")
def test_nothing_found_is_said(run, video):
    """A video without events says so to people."""
    assert run(video, "--enter", 1) == (0, "no events\n", "")


@pytest.mark.usefixtures("loads")
def test_output_has_every_frame_with_a_bar_below(run, video, tmp_path):
    """The file has the pictures of the video as they are, and below them a bar that changes with time."""
    path = tmp_path / "shown.mp4"

    status, _, errors = run(video, "--enter", ENTER, "--output", path)

    before, after = load_clip(video), load_clip(path)
    height = before.shape[1]
    assert (status, errors) == (0, "")
    assert read_video_info(path).fps == read_video_info(video).fps
    assert len(after) == len(before)
    assert after.shape[1] > height
    assert np.abs(after[:, : height - 4].astype(int) - before[:, :-4]).mean() < 4
    assert np.abs(after[-1, height:].astype(int) - after[0, height:]).max() > 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.mp4", "--enter", 0.3, "--leave", 0.5), "leave not above enter"),
        (("a.mp4", "--allow", "jugling balls"), "juggling balls"),
        (("a.mp4", "--thresholds", "yog=0.5,0.3"), "yoga"),
        (("a.mp4", "--thresholds", "yoga=0.5"), "must be NAME=ENTER,LEAVE"),
        (("a.mp4", "--thresholds", "yoga=0.5,high"), "from 0 to 1"),
        (("a.mp4", "--min-duration", -1), "must be from 0 to 1000000000 seconds"),
        (("a.mp4", "--settings", "missing.toml"), "missing.toml"),
        (("a.mp4", "b.mp4", "--format", "vtt"), "--format vtt takes one video"),
        (("a.mp4", "b.mp4", "--output", "c.mp4"), "--output takes one video"),
        (("a.mp4", "--start", 5, "--end", 4), "--end must be later"),
    ],
)
def test_wrong_usage_is_told_before_a_model_is_loaded(run, loads, arguments, message):
    """What cannot work ends with one line and status 2."""
    status, text, errors = run(*arguments, "--model", "a0")

    assert (status, text, loads) == (2, "", [])
    assert message in errors
