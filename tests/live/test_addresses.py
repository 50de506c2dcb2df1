"""What a live source may be, and how FFmpeg opens each."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import pytest

from movinet_lite import LiveSourceError, VideoError, VideoNotFoundError
from movinet_lite.live import open_source
from movinet_lite.live.addresses import Address

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux's")


@pytest.mark.parametrize(
    ("source", "kind", "url"),
    [
        ("rtsp://cam/x", "network", "rtsp://cam/x"),
        ("HTTPS://cam/x.m3u8", "network", "HTTPS://cam/x.m3u8"),
        ("udp://@:1234", "network", "udp://@:1234"),
        ("-", "pipe", "-"),
        pytest.param(0, "camera", "/dev/video0", marks=on_linux),
        pytest.param("2", "camera", "/dev/video2", marks=on_linux),
        pytest.param("/dev/video99", "camera", "/dev/video99", marks=on_linux),
        pytest.param("camera:/dev/v4l/x", "camera", "/dev/v4l/x", marks=on_linux),
    ],
)
def test_each_source_is_known_by_its_form(source, kind, url):
    """Addresses, cameras and standard input are told apart without a look at the network or a device."""
    address = Address.of(source)

    assert (address.kind, address.url) == (kind, url)


def test_files_and_pipes_are_known_by_what_they_are(tmp_path):
    """A regular file is played, a named pipe is read."""
    clip, pipe = tmp_path / "12:30 a.mp4", tmp_path / "pipe"
    clip.write_bytes(b"x")
    os.mkfifo(pipe)

    assert Address.of(clip).kind == Address.of(f"file:{clip}").kind == "file"
    assert Address.of(str(clip)).url == f"file:{clip}"
    assert Address.of(str(pipe)).kind == "pipe"


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (
            "bogus://cam",
            LiveSourceError,
            "must start with one of .*rtsp.*; got 'bogus'",
        ),
        ("rtsp:/cam", LiveSourceError, "two slashes"),
        ("", LiveSourceError, "a live source must be an address .* or - for standard"),
        (-1, LiveSourceError, "a live source must be .*; got -1"),
        (True, LiveSourceError, "a live source must be .*; got True"),
        (None, LiveSourceError, "a live source must be .*; got None"),
        ("nowhere/clip.mp4", LiveSourceError, "there is no such file"),
        (
            "me:hunter2@cam/x",
            LiveSourceError,
            r"^cam/x: an address must start with its",
        ),
        ("missing.mp4", VideoNotFoundError, "there is no such file"),
        (Path(), VideoError, "it is a directory"),
    ],
)
def test_what_can_never_be_opened_is_refused_at_once(source, error, message):
    """A mistake in a source is one clear error, before any thread is started."""
    with pytest.raises(error, match=message):
        open_source(source, fps=5.0)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"policy": "oldest"}, "policy must be one of newest, all; got 'oldest'"),
        ({"transport": "http"}, "transport must be one of tcp, udp; got 'http'"),
        ({"fps": 0}, "fps must be a number above 0; got 0"),
        ({"timeout_s": 0}, "timeout_s must be a number above 0; got 0"),
        ({"keep_s": -1}, "keep_s must be a number of at least 0; got -1"),
        ({"frame_size": 172}, "frame_size must be"),
        ({"frame_size": (8, 8), "fit": "squeeze"}, "fit must be one of"),
        ({"frame_size": (8, 8), "fit": "evaluation"}, "short_side must be"),
    ],
)
def test_impossible_options_are_refused(option, message):
    """An option that makes no sense is one clear error."""
    with pytest.raises((LiveSourceError, ValueError), match=message):
        open_source("rtsp://127.0.0.1:1/x", **({"fps": 5.0} | option))


def test_ffmpeg_is_told_every_limit():
    """Each protocol gets the time-out under the name that FFmpeg has for it, and RTSP its transport."""
    rtsp = Address.of("rtsp://cam/x", transport="udp", timeout_s=2.5).options
    http = Address.of("http://cam/x", timeout_s=2.5).options
    rtmp = Address.of("rtmp://cam/x", timeout_s=2.5).options

    assert (rtsp["timeout"], rtsp["rtsp_transport"]) == ("2500000", "udp")
    assert http["timeout"] == http["rw_timeout"] == "2500000"
    assert rtmp["rw_timeout"] == "2500000"


@pytest.mark.parametrize(
    ("platform", "source", "url", "form"),
    [
        ("darwin", 1, "1:none", "avfoundation"),
        ("darwin", "camera:FaceTime", "FaceTime:none", "avfoundation"),
        ("win32", "camera:video=Cam", "video=Cam", "dshow"),
        ("win32", 1, "video=Second", "dshow"),
    ],
)
def test_cameras_of_other_systems_are_named_as_they_name_them(
    monkeypatch, platform, source, url, form
):
    """On macOS the numbers and names of AVFoundation are taken, on Windows those of DirectShow; tried without such a system."""
    devices = [
        SimpleNamespace(description=name, media_types=kinds)
        for name, kinds in [
            ("First", ["video"]),
            ("Microphone", ["audio"]),
            ("Second", ["video"]),
        ]
    ]
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(av, "enumerate_input_devices", lambda _: devices)

    address = Address.of(source)

    assert (address.url, address.format) == (url, form)


def test_a_camera_that_windows_does_not_know_is_an_error(monkeypatch):
    """A number that no camera of DirectShow has is an error that lists those that are there."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(av, "enumerate_input_devices", lambda _: [])

    with pytest.raises(LiveSourceError, match="DirectShow lists none"):
        Address.of(0)
