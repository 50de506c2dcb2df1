"""Live sources against real servers, rude ones, and files: what a program sees of each."""

import gc
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from movinet_lite import load_clip, write_video
from movinet_lite.live import open_source
from movinet_lite.live.runner import Runner
from tests.live.servers import (
    LIMIT_S,
    RtspServer,
    RudeServer,
    ffmpeg_camera,
    free_port,
    running,
    served_folder,
    wait_for,
)
from tests.python_calls import python_calls
from tests.video_files import number_in, write_numbered


def source_threads():
    """Return the names of the threads of sources that live."""
    return [t.name for t in threading.enumerate() if t.name.startswith("movinet-lite")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Each test must leave no thread of a source, but for those that wait in FFmpeg until their time is out."""
    yield
    wait_for(lambda: not source_threads())


def some_frames(source, count):
    """Return the next *count* frames of a source, each within the limit."""
    frames = []
    for _ in range(count):
        frame = source.take(LIMIT_S)
        assert frame is not None, source.status
        frames.append(frame)
    return frames


def stream_to(kind):
    """Return an FFmpeg that serves a stream, and the address to read it from."""
    port = free_port()
    if kind == "tcp":
        return ffmpeg_camera("-f", "mpegts", f"tcp://127.0.0.1:{port}?listen=1"), (
            f"tcp://127.0.0.1:{port}"
        )
    if kind == "udp":
        url = f"udp://127.0.0.1:{port}"
        return ffmpeg_camera("-f", "mpegts", url), url
    if kind == "http":
        url = f"http://127.0.0.1:{port}/live.ts"
        return ffmpeg_camera("-f", "mpegts", "-listen", "1", url), url
    if kind == "rtmp":
        url = f"rtmp://127.0.0.1:{port}/live/cam"
        return ffmpeg_camera("-f", "flv", "-listen", "1", url), url
    assert kind == "mjpeg"
    url = f"http://127.0.0.1:{port}/cam.mjpg"
    boundary = "multipart/x-mixed-replace;boundary=ffmpeg"
    return ffmpeg_camera(
        "-f", "mpjpeg", "-content_type", boundary, "-listen", "1", url, codec=("mjpeg",)
    ), url  # fmt: skip


@pytest.mark.parametrize("kind", ["tcp", "udp", "http", "rtmp", "mjpeg"])
def test_streams_of_the_network_are_read(kind):
    """Frames of MPEG-TS, RTMP and MJPEG come at the rate asked for, in the size asked for, times rising."""
    camera, url = stream_to(kind)
    with (
        running(camera),
        open_source(url, fps=5.0, frame_size=(32, 48), timeout_s=5.0) as source,
    ):
        frames = some_frames(source, 6)
        status = source.status

    assert {frame.shape for frame in frames} == {(32, 48, 3)}
    assert all(frame.pixels.std() > 20 for frame in frames)
    times = [frame.time_s for frame in frames]
    assert times == sorted(set(times))
    taken = (times[-1] - times[0]) / (frames[-1].index - frames[0].index)
    assert taken == pytest.approx(0.2, abs=0.05)
    assert (status.state, status.frame_size, status.reconnects) == (
        "live",
        (120, 160),
        0,
    )


def test_hls_is_spread_out_over_time(tmp_path):
    """Frames of a stream in segments come one by one as they are due, not a segment at once."""
    camera = ffmpeg_camera(
        "-f", "hls", "-hls_time", "1", str(tmp_path / "live.m3u8"), pace=False, duration_s=8
    )  # fmt: skip
    with running(camera), served_folder(tmp_path) as url:
        camera.wait(LIMIT_S)
        with open_source(f"{url}/live.m3u8", fps=5.0) as source:
            came = []
            for _ in range(6):
                some_frames(source, 1)
                came.append(source.now_s)

    steps = [b - a for a, b in itertools.pairwise(came)]
    assert 0.5 < came[-1] - came[0] < 3.0
    assert max(steps) < 1.0


def test_rtsp_is_read_and_saved(tmp_path):
    """An RTSP camera gives frames, a snapshot in full size, and a clip of the last seconds that decodes whole."""
    with (
        RtspServer() as server,
        open_source(server.url, fps=5.0, frame_size=(24, 24), keep_s=5.0) as source,
    ):
        frames = some_frames(source, 10)
        last_s = frames[-1].time_s
        clip = source.save_clip(
            tmp_path / "clip.mp4", start_s=last_s - 1.0, end_s=last_s
        )
        snapshot = source.snapshot()

    assert frames[-1].shape == (24, 24, 3)
    assert snapshot.shape == (120, 160, 3)
    saved = load_clip(clip.path)
    assert saved.shape[1:] == (120, 160, 3)
    assert 25 <= len(saved) <= 51


def test_rtsp_over_udp_is_read():
    """An RTSP camera is read over datagrams where the program asks for it."""
    with (
        RtspServer() as server,
        open_source(server.url, fps=5.0, transport="udp") as source,
    ):
        assert len(some_frames(source, 3)) == 3


def test_a_login_works_and_never_shows():
    """A camera that wants a password gets it; a wrong one is a reason in words without it."""
    told = []
    with RtspServer(login="me:s3cret-word") as server:
        good = server.url.replace("//", "//me:s3cret-word@")
        with open_source(good, fps=5.0, on_change=told.append) as source:
            some_frames(source, 1)
            told += [source, source.name]
        bad = server.url.replace("//", "//me:wr0ng-word@")
        with open_source(bad, fps=5.0, on_change=told.append) as source:
            wait_for(lambda: source.status.state == "waiting")
            told.append(source.status)

    assert told[-1].last_error == "it rejects the user or password"
    assert "-word" not in repr(told)


def test_a_camera_that_comes_back_is_read_again():
    """Frames come again after a server was killed; time went on meanwhile, and states tell what happened."""
    states = []
    with (
        RtspServer() as server,
        open_source(
            server.url,
            fps=5.0,
            timeout_s=3.0,
            on_change=lambda status: states.append(status.state),
        ) as source,
    ):
        before = some_frames(source, 2)[-1]
        server.kill()
        wait_for(lambda: source.status.state == "waiting")
        server.start(size="96x64", fps=15)
        after = wait_for(lambda: source.status.reconnects and source.take(LIMIT_S))
        status = source.status

    assert after.time_s > before.time_s + 0.3
    assert after.index > before.index
    assert (status.reconnects, status.frame_size) == (1, (64, 96))
    assert status.last_error
    assert states[0] == "live"
    assert states[-2:] == ["live", "closed"]
    assert {"waiting", "connecting"} <= set(states)


@pytest.mark.slow
def test_twenty_restarts_leave_nothing_behind():
    """A server that is killed and started again 20 times is found again each time, and nothing grows."""
    random = np.random.default_rng(0)
    with (
        RtspServer(size="320x240") as server,
        open_source(server.url, fps=5.0, timeout_s=5.0, keep_s=2.0) as source,
    ):
        some_frames(source, 3)
        counts = []
        for restart in range(20):
            until_s = source.now_s + random.uniform(0.1, 1.5)
            while source.now_s < until_s:
                source.take(0.05)
            server.kill()
            wait_for(lambda: source.status.state != "live")
            server.start()
            wait_for(lambda: source.status.state == "live")
            some_frames(source, 1)
            gc.collect()
            counts.append(
                (threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))
            )
            assert source.status.reconnects == restart + 1

    assert counts[-1] == counts[0]


def half_a_packet(connection):
    """Send what begins like MPEG-TS, and stop in its middle."""
    connection.recv(1000)
    connection.sendall(b"\x47\x40\x11\x10" + bytes(60))


def garbage(connection):
    """Send noise without end."""
    noise = np.random.default_rng(0).bytes(4096)
    while True:
        connection.sendall(noise)
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("scheme", "talk"),
    [
        ("rtsp", None),
        ("rtsp", garbage),
        ("http", half_a_packet),
        ("tcp", garbage),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ("rtsp", half_a_packet),
                ("http", None),
                ("http", garbage),
                ("tcp", None),
                ("tcp", half_a_packet),
            ]
        ),
    ],
)
def test_a_server_that_says_nothing_of_use_is_reported(scheme, talk):
    """A server that accepts and is silent, stops half-way or sends noise is reported within the time-out, and tried again."""
    with RudeServer(talk) as server:
        url = f"{scheme}://127.0.0.1:{server.port}/x"
        with open_source(url, fps=5.0, timeout_s=0.7) as source:
            status = wait_for(
                lambda: source.status.last_error and source.status, 2 * 0.7 + 2.0
            )
            wait_for(lambda: server.num_connections >= 2)

    assert status.frames == 0
    assert status.last_error in {
        "it sent nothing for 0.7 s",
        "no frame arrived for 0.7 s",
        "it does not send video",
        "it ended",
    }


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp"])
def test_closing_never_waits_for_the_network(scheme):
    """`close` returns within two seconds while a server is silent, and the thread that waits ends by itself."""
    with RudeServer() as server:
        source = open_source(
            f"{scheme}://127.0.0.1:{server.port}/x", fps=5.0, timeout_s=1.5
        )
        wait_for(lambda: server.num_connections)
        began_s = time.monotonic()
        source.close()
        source.close()
        lasted_s = time.monotonic() - began_s
        assert (source.status.state, source.ended, source.take(None)) == (
            "closed",
            True,
            None,
        )
        wait_for(lambda: not source_threads(), 1.5 + 2.0)

    assert lasted_s < 2.0


def send_file(path, *, then_wait=True):
    """Return a talk that sends a file and then keeps silent."""

    def talk(connection):
        connection.sendall(path.read_bytes())
        if not then_wait:
            connection.close()

    return talk


def transport_stream(path, *, codec, size, rate, first=0):
    """Write two seconds of MPEG-TS whose time stamps begin at *first* seconds."""
    height, width = size
    with av.open(path, "w", format="mpegts") as file:
        stream = file.add_stream(codec, rate=rate, options={"g": "10", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(2 * rate):
            pixels = np.full((height, width, 3), number * 3, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = first * rate + number
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def test_a_stream_that_stops_is_called_stalled_and_then_lost(tmp_path):
    """A connection that stands and brings nothing is reported while it stands, and given up at the time-out."""
    path = transport_stream(tmp_path / "a.ts", codec="libx264", size=(64, 96), rate=10)
    states = []
    with (
        RudeServer(send_file(path)) as server,
        open_source(
            f"tcp://127.0.0.1:{server.port}",
            fps=5.0,
            timeout_s=1.5,
            on_change=lambda status: states.append((status.state, status.last_error)),
        ) as source,
    ):
        wait_for(lambda: server.num_connections >= 2)
        wait_for(lambda: source.status.reconnects)

    assert states[:2] == [("live", None), ("stalled", None)]
    lost = states.index(("waiting", "it sent nothing for 1.5 s"))
    assert states[lost + 1] == ("connecting", "it sent nothing for 1.5 s")


def test_size_and_rate_may_change_in_mid_stream(tmp_path):
    """A stream that changes its resolution and rate goes on without a new connection."""
    first = transport_stream(tmp_path / "a.ts", codec="libx264", size=(64, 96), rate=10)
    second = transport_stream(
        tmp_path / "b.ts", codec="libx264", size=(96, 128), rate=25, first=2
    )
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    with (
        RudeServer(send_file(both)) as server,
        open_source(
            f"tcp://127.0.0.1:{server.port}",
            fps=None,
            frame_size=(32, 32),
            policy="all",
            timeout_s=3.0,
        ) as source,
    ):
        frames = some_frames(source, 60)
        status = source.status

    assert {frame.shape for frame in frames} == {(32, 32, 3)}
    assert (status.frame_size, status.reconnects) == ((96, 128), 0)
    assert status.fps > 15


def test_another_codec_in_mid_stream_is_recovered_from(tmp_path):
    """A stream whose codec changes is connected to anew within the time-out, and gives frames again."""
    first = transport_stream(tmp_path / "a.ts", codec="libx264", size=(64, 96), rate=10)
    second = transport_stream(
        tmp_path / "b.ts", codec="mpeg2video", size=(64, 96), rate=25, first=2
    )
    files = iter([[first, second], [second]])

    def talk(connection):
        for path in next(files, [second]):
            connection.sendall(path.read_bytes())

    with (
        RudeServer(talk) as server,
        open_source(f"tcp://127.0.0.1:{server.port}", fps=5.0, timeout_s=2.0) as source,
    ):
        some_frames(source, 1)
        wait_for(lambda: source.status.reconnects)
        assert source.status.state == "live"


def test_an_undisturbed_end_without_reconnection_is_the_end(tmp_path):
    """With reconnect=False a stream that ends gives what it held and is over, with a reason."""
    path = transport_stream(tmp_path / "a.ts", codec="libx264", size=(64, 96), rate=10)
    with RudeServer(send_file(path, then_wait=False)) as server:
        source = open_source(
            f"tcp://127.0.0.1:{server.port}", fps=None, policy="all", reconnect=False
        )
        frames = list(source)

    assert len(frames) == 20
    assert source.ended
    assert (source.status.state, source.status.last_error) == ("closed", "it ended")


def test_a_file_is_played_at_its_own_pace(tmp_path):
    """Every frame of a file that is due at the rate asked for comes once, when it is due, and then it is over."""
    path = write_numbered(tmp_path / "clip.mp4", 30, rate=25)
    changes = []
    source = open_source(
        path, fps=5.0, on_change=lambda status: changes.append(status.state)
    )
    came = [(number_in(frame.pixels), frame.time_s, source.now_s) for frame in source]

    assert [number for number, _, _ in came] == [0, 5, 10, 15, 20, 25]
    assert all(now_s >= time_s for _, time_s, now_s in came)
    steps = [b[1] - a[1] for a, b in itertools.pairwise(came)]
    assert steps == pytest.approx([0.2] * 5, abs=1e-3)
    assert changes == ["live", "closed"]
    assert (source.ended, source.status.last_error) == (True, None)


def test_frames_that_nobody_needs_are_not_decoded(tmp_path, monkeypatch):
    """Of a stream with B-frames the right frames come, in order, though most of the others were never decoded."""
    path = write_numbered(
        tmp_path / "clip.mp4",
        60,
        rate=25,
        options={"bf": "3", "b_strategy": "0", "g": "30", "sc_threshold": "0"},
    )
    decoded = []
    monkeypatch.setattr(
        Runner,
        "decoded",
        lambda self, *told, really=Runner.decoded: (
            decoded.append(told[2]),
            really(self, *told),
        ),
    )
    numbers = [number_in(frame.pixels) for frame in open_source(path, fps=5.0)]

    assert numbers == list(range(0, 60, 5))
    assert len(decoded) < 45


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
def test_pictures_of_mjpeg_are_only_decoded_when_due(tmp_path, monkeypatch):
    """Of a stream of single pictures only those that are given are decoded."""
    path = write_numbered(tmp_path / "clip.avi", 50, rate=25)
    subprocess.run(
        ["ffmpeg", "-i", path, "-c:v", "mjpeg", "-q:v", "2", tmp_path / "mjpeg.avi"],
        check=True,
        capture_output=True,
    )
    decoded = []
    monkeypatch.setattr(
        Runner,
        "decoded",
        lambda self, *told, really=Runner.decoded: (
            decoded.append(told[2]),
            really(self, *told),
        ),
    )
    frames = list(open_source(tmp_path / "mjpeg.avi", fps=5.0))

    assert [number_in(frame.pixels) for frame in frames] == list(range(0, 50, 5))
    assert len(decoded) == 10


def test_a_late_consumer_of_a_file_gets_every_frame(tmp_path):
    """A file waits for a slow consumer; asked to, it drops what is late as a camera does."""
    path = write_numbered(tmp_path / "clip.mp4", 25, rate=25)
    numbers = {}
    for policy in ("all", "newest"):
        with open_source(path, fps=None, policy=policy) as source:
            wait_for(lambda: source.now_s > 0.6)
            numbers[policy] = [number_in(frame.pixels) for frame in source]

    assert numbers["all"] == list(range(25))
    assert numbers["newest"][0] > 5
    assert numbers["newest"][-1] == 24


def test_a_pipe_is_read_until_it_ends(tmp_path):
    """A named pipe gives the frames that are written to it, and closing it does not wait for more."""
    path = transport_stream(tmp_path / "a.ts", codec="libx264", size=(64, 96), rate=10)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with open_source(pipe, fps=None, policy="all") as source:
        wait_for(lambda: source.status.state == "connecting")
        with pipe.open("wb") as writing:
            writing.write(path.read_bytes())
            writing.flush()
            frames = some_frames(source, 10)
            began_s = time.monotonic()
            source.close()

    assert time.monotonic() - began_s < 2.0
    assert len(frames) == 10


def test_standard_input_is_read(tmp_path):
    """``-`` reads what is piped into the program, once."""
    path = transport_stream(tmp_path / "a.ts", codec="libx264", size=(64, 96), rate=10)
    code = "from movinet_lite.live import open_source as o; print(sum(1 for _ in o('-', fps=None, policy='all')))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=path.read_bytes(),
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.split() == [b"20"]


def test_a_program_ends_although_a_source_waits():
    """A program that forgot to close a source that waits for a silent server ends at once, and well."""
    with RudeServer() as server:
        code = (
            "import time\nfrom movinet_lite.live import open_source\n"
            f"source = open_source('tcp://127.0.0.1:{server.port}', fps=5.0, timeout_s=60.0)\n"
            "while source.status.state != 'connecting': pass\n"
            "time.sleep(0.3)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=False, timeout=30
        )

    assert (done.returncode, done.stderr) == (0, b"")


def run_and_list_threads(code):
    """Run a program that may use `open_source` and `time`; it prints last which threads it ends with."""
    # What is registered first runs last.
    start = (
        "import atexit, threading, time\n"
        "atexit.register(lambda: print([one.name for one in threading.enumerate()]))\n"
        "from movinet_lite.live import open_source\n"
    )
    return subprocess.run(
        [sys.executable, "-c", start + code],
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
    )


@pytest.mark.parametrize("num_taken", [0, 18])
def test_no_thread_is_in_ffmpeg_when_python_ends(tmp_path, num_taken):
    """Whether the server has said nothing or no longer says anything: a thread that FFmpeg blocks would use an ended Python."""
    path = transport_stream(tmp_path / "a.ts", codec="libx264", size=(64, 96), rate=10)
    sent = path.read_bytes() if num_taken else b""
    with RudeServer(lambda connection: connection.sendall(sent)) as server:
        done = run_and_list_threads(
            f"source = open_source('tcp://127.0.0.1:{server.port}', fps=None, timeout_s=60.0, policy='all')\n"
            f"for number in range({num_taken}): source.take(30.0)\n"
            "time.sleep(0.3)"
        )

    assert (done.stdout.strip(), done.stderr) == ("['MainThread']", "")
    assert done.returncode == 0


def test_a_source_that_is_dropped_is_closed(tmp_path):
    """Whoever forgets a source leaves no thread behind."""
    path = write_numbered(tmp_path / "clip.mp4", 60, rate=10)
    source = open_source(path, fps=5.0)
    some_frames(source, 1)
    del source
    gc.collect()

    wait_for(lambda: not source_threads())


def test_no_python_code_runs_when_a_source_is_dropped(tmp_path):
    """Ctrl-C in a finaliser would be printed and lost; the source is closed by its own thread, also while it is lost."""
    path = write_numbered(tmp_path / "clip.mp4", 60, rate=10)
    refused = f"tcp://127.0.0.1:{free_port()}"
    sources = [open_source(path, fps=5.0), open_source(refused, fps=5.0)]
    some_frames(sources[0], 1)
    wait_for(lambda: sources[1].status.state == "waiting")
    assert python_calls(sources.clear) == []
    wait_for(lambda: not source_threads())


def test_a_lost_source_leaves_no_thread_when_python_ends():
    """The thread that waits to reconnect ends with the program, and its listener hears it."""
    done = run_and_list_threads(
        f"source = open_source('tcp://127.0.0.1:{free_port()}', fps=None, on_change=lambda status: print(status.state))\n"
        "while source.status.state != 'waiting': time.sleep(0.01)\n"
        "print(end='', flush=True)\n"
    )

    assert done.stdout.splitlines()[-2:] == ["closed", "['MainThread']"]
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_listener_that_fails_stops_nothing(tmp_path):
    """An exception in a listener becomes the last error; frames go on."""
    path = write_numbered(tmp_path / "clip.mp4", 10, rate=25)

    def fail(*_):
        raise ZeroDivisionError("my mistake")

    source = open_source(path, fps=None, on_frame=fail, on_change=fail)

    assert len(list(source)) == 10
    assert source.status.last_error == "a listener failed: my mistake"


def test_one_loop_can_wait_for_many(tmp_path):
    """`on_frame` wakes a loop that has slept, for each frame and for the end."""
    path = write_numbered(tmp_path / "clip.mp4", 10, rate=25)
    woken = threading.Event()
    sources = [open_source(path, fps=None, on_frame=woken.set) for _ in range(3)]
    counts = [0, 0, 0]
    while not all(source.ended for source in sources):
        assert woken.wait(LIMIT_S)
        woken.clear()
        for place, source in enumerate(sources):
            while source.take() is not None:
                counts[place] += 1

    assert counts == [10, 10, 10]


def has_srt():
    """Tell whether PyAV's FFmpeg can read SRT."""
    with open_source("srt://127.0.0.1:1", fps=5.0, reconnect=False) as source:
        wait_for(lambda: source.ended)
    return "Protocol not found" not in source.status.last_error


def test_what_this_ffmpeg_cannot_read_is_final():
    """An address whose protocol FFmpeg was built without ends at once, and SRT's reason says what to do in one line."""
    if has_srt():
        pytest.skip("this FFmpeg has SRT")
    with open_source("srt://me:s3cret@127.0.0.1:1", fps=5.0) as source:
        wait_for(lambda: source.ended)

    reason = source.status.last_error
    assert reason.startswith(
        "PyAV's FFmpeg cannot read it: Protocol not found (PyAV's wheels do not support SRT: build"
    )
    assert "pip install --no-binary av av" in reason
    assert "ffmpeg -i srt://... -c copy -f mpegts udp://127.0.0.1:5000" in reason
    assert "\n" not in reason
    assert "s3cret" not in reason


def test_srt_is_read_through_a_relay():
    """The relay that the error names brings an SRT stream to a source."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("no ffmpeg")
    protocols = subprocess.run(
        [program, "-hide_banner", "-protocols"], check=True, capture_output=True
    )
    if b"\n  srt\n" not in protocols.stdout:
        pytest.skip("ffmpeg has no SRT")
    srt, udp = f"srt://127.0.0.1:{free_port()}", f"udp://127.0.0.1:{free_port()}"
    camera = ffmpeg_camera("-f", "mpegts", f"{srt}?mode=listener")
    relay = [program, "-nostdin", "-i", srt, "-c", "copy", "-f", "mpegts", udp]
    relays = []

    def is_live():
        if not relays or relays[-1].poll() is not None:  # the camera did not listen yet
            relays.append(subprocess.Popen(relay, stderr=subprocess.DEVNULL))
        return source.status.state == "live"

    with running(camera), open_source(udp, fps=5.0, timeout_s=8.0) as source:
        try:
            wait_for(is_live)
            frames = some_frames(source, 3)
        finally:
            for one in relays:
                one.kill()
                one.communicate()

    assert {frame.shape for frame in frames} == {(120, 160, 3)}


class Webcam:
    """Stands in for a camera at PyAV's border, since no test machine has one: a file, opened with its options."""

    def __init__(self, path, monkeypatch, *, absent=0):
        self._path = path
        self._open = av.open
        self._absent = absent
        self.asked = []
        self.flags = None
        monkeypatch.setattr(av, "open", self.open)

    def open(self, file, *arguments, **options):
        """Open the file in place of a camera."""
        if not str(file).startswith("/dev/video"):
            return self._open(file, *arguments, **options)
        self.asked.append((file, options))
        if len(self.asked) <= self._absent:
            raise av.error.FileNotFoundError(2, "No such file or directory", file)
        container = self._open(str(self._path), options=options["options"])
        self.flags = container.flags
        return container


@pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux's")
def test_a_camera_of_this_computer_is_opened_as_its_system_does(tmp_path, monkeypatch):
    """A camera by number is V4L2's, read without blocking; one that is not plugged in yet is waited for."""
    path = write_numbered(tmp_path / "clip.mkv", 40, rate=25)
    webcam = Webcam(path, monkeypatch, absent=2)
    told = []
    with open_source(3, fps=5.0, on_change=told.append) as source:
        frames = some_frames(source, 1)

    file, options = webcam.asked[0]
    assert (file, options["format"]) == ("/dev/video3", "v4l2")
    assert webcam.flags & 0x4  # AVFMT_FLAG_NONBLOCK
    assert source.name == "camera 3"
    assert told[0].last_error == "No such file or directory"
    assert frames[0].shape == (32, 48, 3)


def test_pictures_are_scaled_like_any_other(tmp_path):
    """A live frame in a model's size is, within two levels, what scaling the whole frame gives, whatever the fit."""
    from movinet_lite.video import prepare_frame, read_frames, to_uint8

    rows = np.linspace(0, 255, 64, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    write_video(tmp_path / "a.mp4", np.broadcast_to(rows, (8, 64, 96, 3)), fps=25)
    whole = next(read_frames(tmp_path / "a.mp4")).pixels
    for fit in ("stretch", "crop", "pad"):
        with open_source(
            tmp_path / "a.mp4", fps=None, frame_size=(32, 32), fit=fit
        ) as source:
            (frame,) = some_frames(source, 1)
        expected = to_uint8(prepare_frame(whole, (32, 32), fit=fit)).astype(int)
        assert np.abs(frame.pixels.astype(int) - expected).max() <= 2


def test_live_sources_need_no_tensorflow(tmp_path):
    """Sources, clips and their command of a page run without TensorFlow being imported."""
    path = write_numbered(tmp_path / "clip.mp4", 10, rate=25)
    code = (
        "import sys\nfrom movinet_lite.live import open_source\n"
        f"print(len(list(open_source({str(path)!r}, fps=None))), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout == "10 False\n"
