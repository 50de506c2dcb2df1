"""Measure how many cameras this machine watches, and what decoding and the model take of it.

FFmpeg plays one h264 file, 1280 x 720 at 30 frames a second and 1.5 Mbit/s, to as many TCP ports as there are cameras.
CPU time is that of this process alone, so the figures hold on a machine that others use too; FFmpeg's own is not in it.

python examples/measure_watch.py --cameras 20 --seconds 60
python examples/measure_watch.py --cameras 20 --opencv     # the loop that many write by hand; needs OpenCV
python examples/measure_watch.py --cameras 4 --seconds 1800 --every 60     # does anything grow?
"""

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from movinet_lite import EventDetector, StreamingClassifier, demo
from movinet_lite.live import Watcher

FPS = 5.0
CAMERA_FPS = 30.0
WARM_UP_S = 5.0


def main() -> None:
    """Watch, and print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument(
        "--every", type=float, default=0.0, help="print a line each so many seconds"
    )
    parser.add_argument("--model", default="demo")
    parser.add_argument("--labels")
    parser.add_argument("--video", type=Path, help="a file to play (default: made)")
    parser.add_argument("--opencv", action="store_true")
    args = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("this needs the program ffmpeg")
    classifier = StreamingClassifier.load(args.model, labels=args.labels, fps=FPS)
    with tempfile.TemporaryDirectory() as folder:
        video = args.video or make_video(Path(folder) / "camera.mp4")
        with playing(video, args.cameras) as addresses:
            measure = measure_opencv if args.opencv else measure_watcher
            measure(classifier, addresses, args.seconds, args.every)


def make_video(path: Path) -> Path:
    """Write half a minute of moving pictures."""
    half_a_minute = ("-stream_loop", "-1", "-i", str(demo.CLIP), "-t", "30")
    size = "scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:-1:-1"
    rate = ("-b:v", "1500k", "-maxrate", "1800k", "-bufsize", "3000k", "-g", "60")
    subprocess.run(  # noqa: S603
        [
            *("ffmpeg", "-v", "error", *half_a_minute),
            *("-vf", f"{size},noise=alls=6:allf=t,fps={CAMERA_FPS:g}"),
            *("-c:v", "libx264", "-preset", "veryfast", *rate, str(path)),
        ],
        check=True,
    )
    return path


@contextlib.contextmanager
def playing(video: Path, cameras: int) -> Iterator[list[str]]:
    """Play *video* for ever, to one address a camera."""
    ports = free_ports(cameras)
    servers = [
        subprocess.Popen(  # noqa: S603
            [
                *("ffmpeg", "-v", "quiet", "-re", "-stream_loop", "-1", "-i"),
                *(str(video), "-c", "copy", "-an", "-f", "mpegts"),
                f"tcp://127.0.0.1:{port}?listen=1",
            ]
        )
        for port in ports
    ]
    time.sleep(1.0)
    try:
        yield [f"tcp://127.0.0.1:{port}" for port in ports]
    finally:
        for server in servers:
            server.kill()
            server.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@attrs.define
class Tally:
    """CPU time and frames between two looks."""

    cameras: int
    begun_s: float = attrs.field(factory=time.monotonic)
    cpu_s: float = attrs.field(factory=time.process_time)
    frames: int = 0
    decoding_s: float = 0.0

    def line(self, frames: int, decoding_s: float | None, lags_s: list[float]) -> str:
        """Return what has happened since, and begin anew."""
        passed = time.monotonic() - self.begun_s
        cores = (time.process_time() - self.cpu_s) / passed
        fps = (frames - self.frames) / passed / self.cameras
        parts = [
            f"{fps:.2f} fps a camera",
            f"{cores:.2f} cores",
            f"{100 * cores / self.cameras:.1f} % of a core a camera",
        ]
        if decoding_s is not None:
            decoding = (decoding_s - self.decoding_s) / passed
            parts.append(
                f"decoding {100 * decoding / self.cameras:.1f} %, model and rest "
                f"{100 * (cores - decoding) / self.cameras:.1f} %"
            )
        if lags_s:
            ordered = sorted(lags_s)
            late = ordered[int(0.95 * (len(ordered) - 1))]
            parts.append(
                f"lag median {1000 * statistics.median(lags_s):.0f} ms, 95th percentile {1000 * late:.0f} ms"
            )
        parts.append(f"{resident_mib():.0f} MiB")
        self.begun_s, self.cpu_s = time.monotonic(), time.process_time()
        self.frames, self.decoding_s = frames, decoding_s or 0.0
        return ", ".join(parts)


def measure_watcher(
    classifier: StreamingClassifier, addresses: list[str], seconds: float, every: float
) -> None:
    """Watch with `Watcher`."""
    lags: list[float] = []
    lock = threading.Lock()
    with Watcher(classifier, detector=EventDetector(enter=0.5)) as watcher:

        def note(name: str, *_: object) -> None:
            lag_s = by_name[name].lag_s
            if lag_s is not None:
                with lock:
                    lags.append(lag_s)

        watcher._on_prediction = note  # noqa: SLF001 - it needs the cameras
        by_name = watcher._cameras  # noqa: SLF001
        for address in addresses:
            watcher.add(address)
        taking = threading.Thread(target=lambda: list(watcher), daemon=True)
        taking.start()

        def look() -> tuple[int, float, list[float]]:
            with lock:
                taken = lags.copy()
                lags.clear()
            frames = sum(camera.num_frames for camera in watcher.status().cameras)
            return frames, decoding_time_s(), taken

        time.sleep(WARM_UP_S)
        follow(len(addresses), seconds, every, look)
        load = watcher.status().load
        print(f"rate {load.rate:.2f}, needed of the loop {load.needed:.2f}")


def measure_opencv(
    classifier: StreamingClassifier, addresses: list[str], seconds: float, every: float
) -> None:
    """Watch with a loop of OpenCV for each camera, as many write it by hand."""
    import cv2  # type: ignore[import-not-found, unused-ignore]

    stepped = [0] * len(addresses)
    lag = [0.0] * len(addresses)
    ended = threading.Event()

    def loop(place: int) -> None:
        capture = cv2.VideoCapture(addresses[place])
        session = classifier.new_session()
        begun_s = next_s = time.monotonic()
        shown = 0
        while not ended.is_set():
            there, frame = capture.read()
            if not there:
                break
            if shown == 0:
                begun_s = next_s = time.monotonic()
            shown += 1
            lag[place] = time.monotonic() - begun_s - shown / CAMERA_FPS
            if time.monotonic() >= next_s:
                next_s += 1 / FPS
                session.step(frame[..., ::-1])
                stepped[place] += 1
        capture.release()

    threads = [
        threading.Thread(target=loop, args=(i,), daemon=True)
        for i in range(len(addresses))
    ]
    for thread in threads:
        thread.start()
    time.sleep(WARM_UP_S)
    follow(
        len(addresses),
        seconds,
        every,
        lambda: (sum(stepped), None, [max(one, 0.0) for one in lag]),
    )
    ended.set()
    for thread in threads:
        thread.join(5.0)


def follow(
    cameras: int,
    seconds: float,
    every: float,
    look: Callable[[], tuple[int, float | None, list[float]]],
) -> None:
    """Print a line now and then, and one about all of it."""
    whole, part = Tally(cameras), Tally(cameras)
    frames, decoding_s, _ = look()
    for tally in (whole, part):
        tally.frames, tally.decoding_s = frames, decoding_s or 0.0
    all_lags: list[float] = []
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(every or seconds, left_s))
        frames, decoding_s, lags = look()
        all_lags += lags
        if every:
            print(
                f"{time.strftime('%H:%M:%S')}  {part.line(frames, decoding_s, lags)}",
                flush=True,
            )
    print(f"{cameras} cameras: {whole.line(frames, decoding_s, all_lags)}", flush=True)


def decoding_time_s() -> float:
    """Return the CPU time of the threads that read, decode and scale."""
    return sum(
        cpu_time_s(one.native_id or 0)
        for one in threading.enumerate()
        if one.name.startswith("movinet-lite reader")
    )


def cpu_time_s(thread_id: int) -> float:
    """Return the CPU time of a thread of this process (Linux)."""
    try:
        text = Path(f"/proc/self/task/{thread_id}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib() -> float:
    """Return how much memory this process has (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
