"""Measure live sources: how fast a camera that was lost is back, how old frames are, and what silent servers do.

The camera is GStreamer's RTSP server on this computer (Debian: gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly);
where it is missing, only what needs no camera is measured.

    python examples/measure_live.py --restarts 20 --seconds 60
"""

import argparse
import contextlib
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from movinet_lite.live import LiveSource, open_source

SERVER = Path(__file__).parent / "live_camera" / "rtsp_server.py"
PYTHON = "/usr/bin/python3"  # the one that has GStreamer
FPS = 5.0


class Camera:
    """An RTSP server that can be killed and started again."""

    def __init__(self) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{port}/cam"
        self._command = [PYTHON, str(SERVER), f"--port={port}", "--size=1280x720"]
        self._command += ["--kbit=2000"]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> bool:
        """Start it; tell whether it listens."""
        self._process = subprocess.Popen(  # noqa: S603 - our own server
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        output = self._process.stdout
        return output is not None and output.readline() == "listening\n"

    def kill(self) -> None:
        """Kill it without a word to whoever is connected."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """Accept connections and say nothing; give the address without a scheme."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(listening.accept())

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}/x"
        listening.shutdown(socket.SHUT_RDWR)


def resources() -> tuple[int, int, float]:
    """Return how many threads and descriptors this program has, and its memory in MB."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return threading.active_count(), descriptors, pages * 4096 / 1e6


def take_until(source: LiveSource, end_s: float) -> None:
    """Take frames until the clock of the source shows *end_s*."""
    while source.now_s < end_s:
        source.take(0.1)


def measure_restarts(camera: Camera, count: int) -> None:
    """Kill the camera at random moments, start it again, and print how long it takes until a frame comes."""
    back_s = []
    with open_source(camera.url, fps=FPS, frame_size=(172, 172), keep_s=5.0) as source:
        source.take(None)
        before = (0, 0, 0.0)
        for number in range(count):
            take_until(source, source.now_s + random.uniform(0.2, 2.0))  # noqa: S311
            camera.kill()
            take_until(source, source.now_s + random.uniform(0.0, 3.0))  # noqa: S311
            camera.start()
            began_s = source.now_s
            while (frame := source.take(None)) is None or frame.time_s < began_s:
                pass
            back_s.append(source.now_s - began_s)
            if number == 1:  # the first ones warm up
                before = resources()
        after = resources()
    print(f"{count} restarts: frames again after {describe(back_s)} s")
    if count > 1:
        print(
            f"    threads {before[0]} -> {after[0]}, descriptors {before[1]} -> {after[1]}, "
            f"memory {before[2]:.1f} -> {after[2]:.1f} MB"
        )


def measure_age(camera: Camera, seconds: float, *, slowness: float) -> None:
    """Print how old frames are when they are taken by a consumer that works on each for *slowness* periods."""
    with open_source(camera.url, fps=FPS, frame_size=(172, 172)) as source:
        take_until(source, source.now_s + 3.0)
        ages, first = [], source.status
        end_s = source.now_s + seconds
        while source.now_s < end_s:
            frame = source.take(5.0)
            if frame is not None:
                ages.append(source.now_s - frame.time_s)
                time.sleep(slowness / FPS)
        last = source.status
    print(
        f"age of a frame, consumer {slowness:g} periods a frame: {describe(ages)} s, "
        f"{len(ages)} taken, {last.dropped - first.dropped} dropped"
    )


def measure_silence(timeout_s: float) -> None:
    """Print when a server that accepts and says nothing is reported, and how long `close` takes meanwhile."""
    with silent_server() as place:
        for scheme in ("rtsp", "http", "tcp"):
            with open_source(
                f"{scheme}://{place}", fps=FPS, timeout_s=timeout_s
            ) as source:
                while source.status.last_error is None:
                    time.sleep(0.01)
                reported_s = source.now_s
                reason = source.status.last_error
                while source.status.state != "connecting":
                    time.sleep(0.01)
                time.sleep(0.2)
                began_s = time.monotonic()
                source.close()
                lasted_s = time.monotonic() - began_s
            print(
                f"a silent server, {scheme}: reported after {reported_s:.2f} s ({reason}), closed in {lasted_s:.2f} s"
            )


def describe(values: list[float]) -> str:
    """Return median, 95th percentile and maximum."""
    median, high = np.percentile(values, [50, 95])
    return f"{median:.3f} (median), {high:.3f} (95 %), {max(values):.3f} (most)"


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--timeout", type=float, default=3.0)
    options = parser.parse_args()
    measure_silence(options.timeout)
    camera = Camera()
    try:
        if not (Path(PYTHON).exists() and camera.start()):
            print("no GStreamer RTSP server here: restarts and ages are not measured")
            return
        for slowness in (0.1, 3.0):
            measure_age(camera, options.seconds, slowness=slowness)
        measure_restarts(camera, options.restarts)
    finally:
        camera.kill()


if __name__ == "__main__":
    main()
