"""The file that names cameras: what it says is done, and what is wrong in it is named."""

import textwrap

import pytest

from movinet_lite import EventDetector
from movinet_lite.errors import DataError
from movinet_lite.live.camera_file import read_camera_file

WHOLE = """
    model = "a2"
    fps = 4
    horizon_s = 20

    [events]
    settings = "tuned.toml"
    labels = ["yoga", "squat"]

    [clips]
    folder = "clips"
    pre_s = 0
    max_gb = 2.5

    [serve]
    address = "0.0.0.0:8080"
    token = "${PAGE_TOKEN}"

    [cameras.door]
    source = "rtsp://admin:${DOOR_PASSWORD}@10.0.0.5/a$$b"
    transport = "udp"
    [cameras.door.events]
    enter = 0.9

    [cameras."back yard"]
    source = 0
    fps = 2
"""


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(text):
        path = tmp_path / "cameras.toml"
        path.write_text(textwrap.dedent(text))
        return path

    return write


def test_a_whole_file(write, tmp_path):
    """Each setting arrives; a camera's own go before those of all, and these before those of a file."""
    EventDetector(enter=0.5, leave=0.2, smooth_s=1.5).save(tmp_path / "tuned.toml")
    variables = {"PAGE_TOKEN": "t" * 20, "DOOR_PASSWORD": "secret"}
    file = read_camera_file(write(WHOLE), environment=variables)
    door, yard = file.cameras

    assert (file.model, file.fps, file.horizon_s) == ("a2", 4, 20)
    assert (file.clips.folder, file.clips.pre_s, file.clips.max_gb) == (
        tmp_path / "clips",
        0,
        2.5,
    )
    assert (file.page.address, file.page.token) == ("0.0.0.0:8080", "t" * 20)
    assert (door.name, yard.name) == ("door", "back yard")
    assert door.source == "rtsp://admin:secret@10.0.0.5/a$b"
    assert (door.transport, yard.source, yard.fps) == ("udp", 0, 2)
    assert (yard.detector.enter, yard.detector.leave) == (0.5, 0.2)
    assert (door.detector.enter, door.detector.leave) == (0.9, 0.75)
    for camera in (door, yard):
        assert camera.detector.smooth_s == 1.5
        assert camera.detector.labels == ("yoga", "squat")
    assert "secret" not in repr(file)
    assert "t" * 20 not in repr(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cameras.door\n", r"cameras\.toml: the file must be TOML; .*line 1"),
        ("modle = 'a0'", r"got 'modle'; did you mean 'model'\?"),
        ("[cameras.door]\nurl = '0'", r"\[cameras\.door\] must be one of .*got 'url'"),
        ("[cameras.door]\nfps = 5", r"\[cameras\.door\] must have a source"),
        (
            "[cameras.door]\nsource = 0\nfps = '5'",
            "fps of .* a number above 0; got '5'",
        ),
        ("[cameras.door]\nsource = 0\ntransport = 'ip'", "'tcp' or 'udp'; got 'ip'"),
        (
            "[cameras.door]\nsource = 'rtsp://a:${DOOR}@b'",
            r"source of \[cameras\.door\] requires the environment variable 'DOOR'",
        ),
        ("[cameras.door]\nsource = 0\nevents.enter = 2", r"door\.events\]: enter"),
        ("[events]\nentre = 0.5", "did you mean 'enter'"),
        ("enter = 0.6", r"got 'enter' \(enter belongs in \[events\]; give a file"),
        ("[events]\nsettings = 'no.toml'", r"no\.toml"),
        ("[clips]\nmax_gb = 1", r"\[clips\] must have a folder"),
        ("[serve]\ntoken = 'x'", r"\[serve\] must have an address"),
        ("cameras = 3", r"tables such as \[cameras\.door\]; got 3"),
        ("events = 3", r"\[events\] must be a table; got 3"),
        ("events.thresholds = 3\n[cameras.door]\nsource = 0", "thresholds must give"),
        ("[cameras.door]\nsource = ''", "must have a source: .*; got ''"),
        ("[cameras.door]\nsource = -1", "must have a source: .*; got -1"),
        (f"fps = 1{'0' * 400}", "fps of the file must be a number above 0; got 1000"),
        ("[clips]\nfolder = 'c'\npost_s = -1", "post_s .* a number of at least 0"),
        ("[cameras.'']\nsource = 0", "name of a camera must be a line of text"),
        ('[cameras."a\\u001b[31m"]\nsource = 0', r"line of text .*; got 'a\\x1b"),
    ],
)
def test_what_is_wrong_is_named(write, text, message):
    """A mistake is one error that names the file, the place, and what is expected there."""
    with pytest.raises(DataError, match=message):
        read_camera_file(write(text), environment={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cameras.a = {source = 0, fps = '${SECRET}'}", r"got '\$\{SECRET\}'"),
        ("cameras.a = {source = 0, events = {enter = '${SECRET}'}}", "enter must be"),
        ("cameras.a = {source = 0, events = {labels = '${SECRET}'}}", "names must be"),
    ],
)
def test_a_secret_is_not_in_a_message(write, text, message):
    """A value that cannot be meant is shown as it stands in the file, not with what a variable holds."""
    with pytest.raises(DataError, match=message) as caught:
        read_camera_file(write(text), environment={"SECRET": "hidden"})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "cameras = 'rtsp://me:hidden@host/x'",
        "cameras.door = 'rtsp://me:hidden@host/x'",
        "cameras.door.source = ['rtsp://me:hidden@host/x']",
        "cameras.door = {source = 0, transport = 'rtsp://me:hidden@host/x'}",
        "cameras.door = {source = 0, fps = 'rtsp://me:hidden@host/x'}",
        "model = ['rtsp://me:hidden@host/x']",
        "serve.token = ['hidden']",
        "cameras.'rtsp://me:hidden@host/x'.source = 0",
        "cameras.door = {source = 0, 'rtsp://me:hidden@host/x' = 0}",
    ],
)
def test_credentials_are_not_in_a_message(write, text):
    """An address in a place where none can stand is shown without its password, and a token not at all."""
    with pytest.raises(DataError, match=r"must (be|have)") as caught:
        read_camera_file(write(text))
    assert "hidden" not in str(caught.value)


def test_credentials_of_the_model_are_not_shown(write):
    """The content of a file can be logged: the address of the model is shown without its password."""
    file = read_camera_file(write("model = 'https://me:hidden@host/a0.tar.gz'"))

    assert file.model == "https://me:hidden@host/a0.tar.gz"
    assert "model='https://host/a0.tar.gz'" in repr(file)


def test_a_missing_file(tmp_path):
    """A file that is not there is named."""
    with pytest.raises(DataError, match=r"no\.toml"):
        read_camera_file(tmp_path / "no.toml")
