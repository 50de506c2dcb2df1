"""movinet-lite evaluate-events and tune-events: what they print and write, and what they refuse."""

import json

import numpy as np
import pytest

from movinet_lite import EventDetector, StreamingClassifier, read_frames
from movinet_lite.classifiers import streams
from movinet_lite.cli import main
from movinet_lite.events import ScoredVideo, evaluate_events, read_annotations
from movinet_lite.events.settings import DELAY_S, HORIZON_S
from movinet_lite.testing import LABELS, FakeStreamModel
from movinet_lite.video import write_video

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
ENTER = ("--enter", "0.2")


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
def videos(tmp_path):
    """Three videos of four seconds, of two colours each."""
    paths = []
    for one, other in (("red", "green"), ("green", "blue"), ("blue", "red")):
        path = tmp_path / f"{one}_{other}.mp4"
        frames = [
            np.full((16, 16, 3), COLOURS[name], np.uint8)
            for name in [one] * 10 + [other] * 10
        ]
        write_video(path, frames, fps=5)
        paths.append(path)
    return paths


@pytest.fixture
def truth(tmp_path):
    """Annotations of the three videos, by their names, and of one more."""
    path = tmp_path / "truth.csv"
    path.write_text(
        "video,label,start_s,end_s\n"
        "red_green.mp4,red,0,4\n"
        "green_blue.mp4,green,0,4\n"
        "blue_red.mp4,blue,0,4\n"
    )
    return path


@pytest.fixture
def run(capsys):
    """Return a function that runs a command: arguments to status, text and errors."""

    def run(*arguments):
        command, *rest = map(str, arguments)
        model = () if "--model" in rest else ("--model", "fake")
        status = main([command, *rest, *model])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def evaluation_of(videos, truth, detector):
    """Return what the library says."""
    annotations = read_annotations(truth)
    session = StreamingClassifier(FakeStreamModel(), horizon_s=HORIZON_S)
    scored = {}
    for path in videos:
        session.reset()
        scored[str(path)] = ScoredVideo.from_predictions(
            session.run(read_frames(path, fps=5)), annotations[path.name]
        )
    return evaluate_events(scored, LABELS, detector)


@pytest.mark.usefixtures("loads")
def test_evaluation_is_that_of_the_library(run, videos, truth):
    """What is printed is what `evaluate_events` says of the same videos."""
    found = evaluation_of(videos, truth, EventDetector(enter=0.2, delay_s=DELAY_S))

    status, text, errors = run("evaluate-events", truth, *videos, *ENTER)
    _, objects, _ = run("evaluate-events", truth, *videos, *ENTER, "--json")

    assert (status, errors) == (0, "")
    assert 0 < found.event_f1[1.0].f1 <= 1
    assert text == found.to_text() + "\n"
    assert json.loads(objects) == found.to_dict()


@pytest.mark.usefixtures("loads")
def test_collars_are_those_asked_for(run, videos, truth):
    """Each --collar has a line, in the order given."""
    _, text, _ = run(
        "evaluate-events", truth, *videos, *ENTER, "--collar", 3, "--collar", 0.5
    )

    assert [line.split("  ")[0] for line in text.splitlines()[:2]] == [
        "event F1, collar 3 s",
        "event F1, collar 0.5 s",
    ]


@pytest.mark.usefixtures("loads")
def test_videos_left_out_are_said(run, videos, truth):
    """A video that is annotated and not given is no error, but is counted aloud."""
    status, text, errors = run("evaluate-events", truth, *videos[:2], *ENTER)

    assert status == 0
    assert "2 videos" in text
    assert f"1 of the 3 videos annotated in {truth} were not given" in errors


@pytest.mark.usefixtures("loads")
def test_annotations_of_labels_not_allowed_do_not_count(run, videos, truth):
    """With --allow, only the labels named are judged."""
    _, text, _ = run("evaluate-events", truth, *videos, *ENTER, "--allow", "red")

    assert ": 1 events annotated" in text


@pytest.mark.usefixtures("loads")
def test_tuning_writes_settings_that_commands_take(run, videos, truth, tmp_path):
    """The file written holds the settings chosen, and gives the value promised on the same videos."""
    path = tmp_path / "events.toml"
    options = ("--collar", 0.5, "--folds", 3)

    status, text, errors = run(
        "tune-events", truth, *videos, *options, "--output", path
    )
    _, objects, _ = run(
        "tune-events", truth, *videos, *options, "--output", path, "--json"
    )

    result = json.loads(objects)
    _, judged, _ = run(
        "evaluate-events", truth, *videos, "--settings", path, "--collar", 0.5
    )
    assert (status, errors) == (0, "")
    assert text.startswith("event_f1 on held-out videos: ")
    assert result["fitted"] > result["before"]
    assert f"{result['fitted']:.3f}" in judged.splitlines()[0]
    assert EventDetector.load(path).settings.enter != EventDetector().settings.enter


@pytest.mark.usefixtures("loads")
def test_a_video_that_cannot_be_read_ends_the_command(run, videos, truth):
    """Figures of fewer videos than were asked for would mislead, so there are none."""
    videos[1].write_bytes(b"no video")

    status, text, errors = run("evaluate-events", truth, *videos, *ENTER)

    assert (status, text) == (1, "")
    assert "green_blue.mp4" in errors


@pytest.mark.parametrize(
    "case",
    [
        ("", "truth.csv: a file of annotations must not be empty"),
        ("other.mp4,red,0,4\n", "every video must have annotations"),
        ("red_green.mp4,red,4,0\n", "an event must end at or after its start"),
        ("red_green.mp4,yog,0,4\n", "truth.csv: names must be among the 600 labels"),
    ],
)
def test_wrong_annotations_are_told_before_a_model_is_loaded(
    run, loads, videos, truth, case
):
    """What is wrong with the annotations ends with one line and status 2."""
    rows, message = case
    truth.write_text("video,label,start_s,end_s\n" + rows if rows else "")

    status, text, errors = run("evaluate-events", truth, videos[0], "--model", "a0")

    assert (status, text, loads) == (2, "", [])
    assert message in errors


def test_two_videos_of_one_name_are_refused(run, loads, videos, truth, tmp_path):
    """Annotations belong to one video, so that nothing is judged by those of another."""
    (tmp_path / "more").mkdir()
    twin = tmp_path / "more" / videos[0].name
    twin.write_bytes(videos[0].read_bytes())

    status, _, errors = run("evaluate-events", truth, videos[0], twin)

    assert (status, loads) == (2, [])
    assert "each video must have its own annotations" in errors


@pytest.mark.parametrize(
    "case",
    [
        (("--folds", 1), "--folds must be at least 2"),
        (("--output", "missing/events.toml"), "--output must be in a folder that"),
        (("--metric", "luck"), "invalid choice: 'luck'"),
    ],
)
def test_wrong_usage_of_tuning_is_told_first(run, loads, videos, truth, case):
    """Options that cannot work end the command before a model is loaded."""
    options, message = case
    given = ("--output", truth.with_suffix(".toml"), *options)

    status, _, errors = run("tune-events", truth, *videos, *given)

    assert (status, loads) == (2, [])
    assert message in errors
