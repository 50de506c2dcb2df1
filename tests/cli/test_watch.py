"""``movinet-lite watch``: lines, JSON, a table; files of cameras; mistakes; and how it ends."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from movinet_lite import Event, ModelError, StreamingClassifier, demo
from movinet_lite.cli import main, watch
from movinet_lite.cli.output import FAILED
from movinet_lite.cli.program import make_parser
from movinet_lite.cli.watch_views import JsonView, LinesView, TableView, event_line
from movinet_lite.events.settings import HORIZON_S
from movinet_lite.live.camera import CameraStatus
from movinet_lite.live.clips import Clip
from movinet_lite.live.pace import Load
from movinet_lite.live.status import SourceStatus
from movinet_lite.live.watched_event import WatchedEvent
from movinet_lite.live.watching import WatchStatus
from movinet_lite.testing import FakeStreamModel
from tests.live.pushed_source import COLOURS, picture

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVENT = WatchedEvent(
    id="abc",
    source="door",
    event=Event(
        label="squat",
        start_s=60.0,
        end_s=64.5,
        peak=0.9,
        mean=0.75,
        num_frames=20,
    ),
    opened_at=NOON,
)


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch):
    """Every model is the fake one."""
    monkeypatch.setattr(
        StreamingClassifier,
        "load",
        lambda *_, **__: StreamingClassifier(FakeStreamModel()),
    )


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video of a second and a half, all red."""
    from movinet_lite import write_video

    path = tmp_path_factory.mktemp("videos") / "red.mp4"
    write_video(path, [picture("red", (16, 16))] * 15, fps=10)
    return str(path)


SENSITIVE = ("--enter", "0.3", "--min-duration", "0.3", "--model", "fake.tflite")


def run(capsys, *arguments):
    """Return the status, the output and the errors of a command."""
    status = main(["watch", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_events_are_printed_as_lines(video, capsys):
    """Each event is a line when it is confirmed and when it has ended; what the cameras do goes to the standard error."""
    status, out, err = run(capsys, f"door={video}", *SENSITIVE)

    assert status == 0
    confirmed, ended = out.splitlines()
    assert "door  red  confirmed, score 0.3" in confirmed
    assert "door  red  ended after 1." in ended
    assert "door: live\n" in err
    assert "door: closed\n" in err


def test_json_is_one_object_a_line(video, capsys):
    """For programs everything is JSON, and says its kind."""
    status, out, _ = run(capsys, f"door={video}", *SENSITIVE, "--json")
    lines = [json.loads(line) for line in out.splitlines()]

    assert status == 0
    assert {line["kind"] for line in lines} == {"camera", "event"}
    times = [line.get("since") or line["started_at"] for line in lines]
    assert all(re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{3}Z", time) for time in times)
    events = [line for line in lines if line["kind"] == "event"]
    assert [line["state"] for line in events] == ["confirmed", "ended"]
    assert {line["source"] for line in lines} == {"door"}


def test_events_have_labels_and_thresholds(video, capsys):
    """--event chooses labels, each with its own threshold."""
    _, out, _ = run(capsys, video, *SENSITIVE, "--event", "red", "--event", "green")
    assert "red" in out
    _, out, _ = run(capsys, video, *SENSITIVE, "--event", "red:0.9")
    assert out == ""
    _, out, _ = run(capsys, video, *SENSITIVE, "--event", "green")
    assert out == ""


def test_cameras_come_from_a_file(video, tmp_path, capsys, monkeypatch):
    """The file names cameras and their thresholds; options go before it, and cameras are added to it."""
    monkeypatch.setenv("FOLDER", os.path.dirname(video))  # noqa: PTH120
    path = tmp_path / "cameras.toml"
    path.write_text(
        'model = "fake.tflite"\n[events]\nenter = 0.3\nmin_duration_s = 0.3\n'
        '[cameras.door]\nsource = "${FOLDER}/red.mp4"\n'
        '[cameras.yard]\nsource = "${FOLDER}/red.mp4"\nevents.enter = 0.9\n'
    )
    _, out, _ = run(capsys, "--config", str(path), f"gate={video}")
    assert "door" in out
    assert "gate" in out
    assert "yard" not in out
    _, out, _ = run(capsys, "--config", str(path), "--enter", "0.3")
    assert "yard" in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((), 2, "requires a SOURCE"),
        (("0", "--event", "jumping jax"), 2, "similar: 'jumping jacks'"),
        (("0", "--event", "squat:2"), 2, "a score from 0.01 to 1; got '2'"),
        (("no.mp4",), 1, "no.mp4: there is no such file"),
        (("0", "--config", "no.toml"), 2, "no.toml"),
        (("0", "--clips-gb", "1"), 2, "--clips-gb requires --clips FOLDER"),
        (("0", "--serve", "0.0.0.0:0"), 1, "must have a token"),
        (("0", "--serve", "nowhere"), 1, "[HOST:]PORT"),
    ],
)
def test_mistakes_are_one_line(arguments, status, message, capsys, monkeypatch):
    """What cannot work is told in one line, with what to do."""
    monkeypatch.delenv("MOVINET_LITE_TOKEN", raising=False)
    found, out, err = run(capsys, *arguments)

    assert (found, out) == (status, "")
    assert message in err
    assert "Traceback" not in err


def test_a_port_in_use_is_told_before_the_model_is_loaded(capsys, monkeypatch):
    """A port that is taken costs no time."""
    monkeypatch.setattr(StreamingClassifier, "load", None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, err = run(capsys, "0", "--serve", str(port))

    assert status == 1
    assert f"port {port} of 127.0.0.1 must be free" in err


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)]
)
def test_signals_end_it_quietly(number, status, tmp_path):
    """After Ctrl-C and SIGTERM events end, clips are finished, and nothing is complained about."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "movinet_lite", "watch", f"door={demo.CLIP}"),
            *("--model", "demo", "--json", "--clips", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(json.loads(line))
        if lines[-1].get("state") == "confirmed":
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    lines += map(json.loads, out.splitlines())

    assert (process.returncode, err) == (status, "")
    assert "ended" in {line.get("state") for line in lines}
    (path,) = {line["path"] for line in lines if line["kind"] == "clip"}
    assert os.path.getsize(path) > 0  # noqa: PTH202
    assert len(list(tmp_path.iterdir())) == 1


def status_of(*cameras, load=None):
    """The status of a watcher."""
    return WatchStatus(cameras=cameras, load=load or Load(1.0, 0.2, 0.0))


def camera(name="door", *, state="live", error=None, **changes):
    """The status of a camera."""
    source = SourceStatus(name, state, 100, 0, 0, 0.1, 25.0, (720, 1280), error, NOON)
    values = {
        "name": name,
        "source": source,
        "fps": 4.97,
        "full_fps": 5.0,
        "lag_s": 0.12,
        "leading": ("squat", 0.8),
        "going_on": ("squat",),
        "num_frames": 90,
        "num_unusable": 0,
        "num_events": 3,
        "last_event": EVENT,
    }
    return CameraStatus(**{**values, **changes})


def drawn(*statuses, width=120):
    """What the table looks like in a terminal."""
    from rich.console import Console

    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=width, color_system=None)
    with TableView(console) as view:
        view.event(EVENT)
        for status in statuses:
            view.look(status)
    return output.getvalue()


def test_the_table_shows_each_camera():
    """State, rate, lag, leading action and events of each camera, and the last event above."""
    text = drawn(
        status_of(
            camera(),
            camera(
                "yard",
                state="waiting",
                error="connection refused",
                lag_s=None,
                leading=None,
                going_on=(),
                last_event=None,
            ),
        )
    )

    for expected in ("door", "live", "5.0", "0.1 s", "squat", "0.80", "3"):
        assert expected in text
    assert "waiting" in text
    assert "connection refused" in text
    assert "keeps up" in text
    assert "ended after 4.5 s, mean 0.75" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_fits_the_terminal(width):
    """No line is wider than the terminal, whatever the names."""
    odd = camera("a [bold]very[/] long name of a camera " * 3)
    text = drawn(status_of(odd, camera()), width=width)

    lines = text.replace("\r", "\n").split("\n")
    assert max(len(line.partition("\x1b")[0]) for line in lines) <= width


def test_labels_and_errors_can_be_read_in_80_columns():
    """In a terminal of the usual width, neither the label of a camera nor its error is cut off."""
    lost = camera("off", state="waiting", error="connection refused", leading=None)
    text = drawn(
        status_of(camera("back yard", leading=("mowing the lawn", 0.8)), lost), width=80
    )

    for expected in ("back yard", "mowing the lawn", "0.80", "connection refused"):
        assert expected in text


def test_overload_is_told_in_words():
    """The table says how much too much there is to do, and at which rate cameras are watched."""
    text = drawn(status_of(camera(), load=Load(0.5, 1.7, 0.0)))

    assert "all frame rates are reduced to 50%" in text
    assert "170% of its time" in text


def test_a_camera_that_is_tried_again_is_no_news(capsys):
    """A camera that stays lost is told once, not at each attempt."""
    view = LinesView()
    for state in (
        "connecting",
        "waiting",
        "connecting",
        "waiting",
        "connecting",
        "live",
    ):
        view.look(status_of(camera(state=state, error="refused")))
    err = capsys.readouterr().err

    assert err == "door: connecting (refused)\ndoor: waiting (refused)\ndoor: live\n"


def test_an_event_that_goes_on():
    """A confirmed event is told with its score."""
    going = attrs.evolve(
        EVENT, event=attrs.evolve(EVENT.event, end_s=None, state="confirmed")
    )
    assert event_line(going).endswith("door  squat  confirmed, score 0.90")


def test_colours_are_labels_of_the_fake():
    """The pictures of these tests are of colours that the model knows."""
    assert "red" in COLOURS


@pytest.mark.parametrize(
    ("num_bytes", "line", "path"),
    [
        (7, "door: the clip of squat: c.mp4 (it was cut after 300 s)", "c.mp4"),
        (0, "door: no clip of squat: it was cut after 300 s", None),
    ],
)
def test_a_clip_that_was_cut_is_still_a_clip(num_bytes, line, path, capsys):
    """A clip that is shorter than wanted is named with the reason; only one without a file is none."""
    clip = Clip(
        clip_id="1",
        path=Path("c.mp4"),
        source="door",
        label="squat",
        start_s=0.0,
        end_s=300.0,
        begun_at=datetime(2026, 1, 1, tzinfo=UTC),
        num_bytes=num_bytes,
        error="it was cut after 300 s",
    )

    LinesView().clip(clip)
    JsonView().clip(clip)

    printed = capsys.readouterr()
    assert printed.err.strip() == line
    assert json.loads(printed.out)["path"] == path


@pytest.mark.parametrize(
    ("options", "horizon_s"),
    [
        ((), HORIZON_S),
        (("--horizon", "none"), None),
        (("--horizon", "7"), 7.0),
        (("--config", "cameras.toml"), 5.0),
        (("--config", "cameras.toml", "--horizon", "7"), 7.0),
    ],
)
def test_cameras_are_watched_with_a_horizon(options, horizon_s, tmp_path, monkeypatch):
    """Nobody gets the published mean, with which a stream goes blind, unless it is asked for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cameras.toml").write_text(
        "horizon_s = 5.0\n[cameras.door]\nsource = 0\n"
    )
    asked = []

    def note(*_, **options):
        asked.append(options["horizon_s"])
        raise ModelError("that is enough")

    monkeypatch.setattr(watch, "load_for_cameras", note)

    assert main(["watch", "0", "--model", "demo", *options]) == FAILED
    assert asked == [horizon_s]


@pytest.mark.parametrize(
    ("options", "transports"),
    [((), ("udp", "tcp", "tcp")), (("--transport", "udp"), ("udp", "udp", "udp"))],
)
def test_the_transport_of_the_command_line_overrides_the_file(
    options, transports, tmp_path
):
    """Cameras of the file keep their transport, unless the command line names one."""
    path = tmp_path / "cameras.toml"
    path.write_text(
        "[cameras.a]\nsource = 0\ntransport = 'udp'\n[cameras.b]\nsource = 0\n"
    )
    args = make_parser().parse_args(
        ["watch", "1", "--config", str(path), "--model", "demo", *options]
    )

    cameras = watch._plan(args).cameras

    assert tuple(camera.transport for camera in cameras) == transports


def test_a_signal_that_comes_twice_at_once_is_one(monkeypatch):
    """``timeout`` signals a process and its group: the events still end. A second Ctrl-C, later, ends at once."""
    with watch._signals() as stop:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        assert stop.number == signal.SIGINT

        later_s = time.monotonic() + 1.0
        monkeypatch.setattr(time, "monotonic", lambda: later_s)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
