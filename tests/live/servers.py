"""Servers on 127.0.0.1 that play the part of cameras: GStreamer, FFmpeg, and ones that do not keep to any protocol."""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

LIMIT_S = 20.0
"""How long to wait for anything, in seconds, before a test fails."""

_SYSTEM_PYTHON = "/usr/bin/python3"
_RTSP_SERVER = Path(__file__).parents[2] / "examples" / "live_camera" / "rtsp_server.py"


def wait_for(condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Return what *condition* returns as soon as it is true."""
    tick = threading.Event()
    until_s = time.monotonic() + limit_s
    while not (found := condition()):
        if time.monotonic() > until_s:
            raise AssertionError(f"it did not come true within {limit_s:g} s")
        tick.wait(0.01)
    return found


def free_port() -> int:
    """Return a port that nobody has at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@functools.cache
def _has_gstreamer() -> bool:
    code = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    return (
        Path(_SYSTEM_PYTHON).exists()
        and subprocess.run(
            [_SYSTEM_PYTHON, "-c", code], check=False, capture_output=True
        ).returncode
        == 0
    )


class RtspServer:
    """GStreamer's RTSP server in a process of its own, which can be killed and started again."""

    def __init__(self, **options: object) -> None:
        if not _has_gstreamer():
            pytest.skip(
                "no GStreamer RTSP server (gir1.2-gst-rtsp-server-1.0) for the system's Python"
            )
        self.port = free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/cam"
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def start(self, **changed: object) -> None:
        """Start, and return when it listens."""
        arguments = [
            f"--{name}={value}" for name, value in (self._options | changed).items()
        ]
        self._process = subprocess.Popen(
            [_SYSTEM_PYTHON, str(_RTSP_SERVER), f"--port={self.port}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"

    def kill(self) -> None:
        """Kill it: no connection is closed in an orderly way."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()


def ffmpeg_camera(
    *output: str,
    size: str = "160x120",
    rate: int = 25,
    codec: tuple[str, ...] = ("libx264", "-tune", "zerolatency", "-g", "25"),
    duration_s: float | None = None,
    pace: bool = True,
) -> subprocess.Popen[bytes]:
    """Start an FFmpeg that sends a test picture somewhere."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("no ffmpeg")
    limit = [] if duration_s is None else ["-t", str(duration_s)]
    return subprocess.Popen(
        [
            program, "-nostdin", "-loglevel", "error", *(["-re"] if pace else []), "-f", "lavfi", "-i",
            f"testsrc2=size={size}:rate={rate}", *limit, "-pix_fmt", "yuv420p", "-c:v", *codec, *output,
        ],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


@contextlib.contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End the process at the end of the block."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class RudeServer:
    """Accepts connections, sends each what *talk* sends, and then says nothing more; closing it ends them.

    Args:
        talk: Is given each connection, on a thread of its own; `None` says nothing at all.
    """

    def __init__(self, talk: Callable[[socket.socket], None] | None = None) -> None:
        self._talk = talk
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def num_connections(self) -> int:
        """How many were accepted."""
        return len(self._connections)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            if self._talk is not None:
                threading.Thread(
                    target=self._talk_to, args=(connection,), daemon=True
                ).start()

    def _talk_to(self, connection: socket.socket) -> None:
        assert self._talk is not None
        with contextlib.suppress(OSError):
            self._talk(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._thread.join()


@contextlib.contextmanager
def served_folder(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP; give its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
