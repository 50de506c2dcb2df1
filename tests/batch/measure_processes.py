"""Measure `movinet-lite batch` with two workers beside two independent processes that call the same function.

Each of those loads the model and takes every second group of videos from the list: no limits, no retries, no common file of
results. Both ways run in turns. On a machine that others use too only the processor time is comparable. That of Ray's actors is not
known here: they are no children of the command.

python -m tests.batch.measure_processes videos/ --model a0 --rounds 3
python -m tests.batch.measure_processes videos/ --model a0 --rounds 3 --ray 10.0.0.1:6379    # Ray beside batch
"""

# ruff: noqa: T201 - this program prints

import argparse
import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from movinet_lite.batch import Job, find_videos
from movinet_lite.batch.one_video import process_video

NUM_PROCESSES = 2
GROUP = 4  # videos: the pattern in which lists of few different videos repeat


def main() -> None:
    """Run both ways in turns, and print what they take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--model", default="a0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray", metavar="ADDRESS")
    parser.add_argument("--list", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.list:
        run_alone(args.inputs[0], args.list, args.model)
        return
    adopt_orphans()
    paths = [str(Path(path).absolute()) for path in find_videos(args.inputs)]
    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Callable[[], None]] = {
            "processes": lambda: run_processes(Path(folder), paths, args.model),
            "batch": lambda: run_batch(Path(folder), paths, args.model, []),
        }
        if args.ray:
            ray = ["--ray", args.ray]
            ways = {
                "batch": ways["batch"],
                "ray": lambda: run_batch(Path(folder), paths, args.model, ray),
            }
        compare(ways, args.rounds)


def compare(ways: dict[str, Callable[[], None]], rounds: int) -> None:
    """Print the times of two ways, and the smallest of the first over the smallest of the second."""
    walls: dict[str, list[float]] = {name: [] for name in ways}
    cpus: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in sorted(ways, reverse=bool(number % 2)):
            begin_s, cpu_s = time.monotonic(), children_cpu_s()
            ways[name]()
            walls[name].append(time.monotonic() - begin_s)
            wait_for_orphans()
            cpus[name].append(children_cpu_s() - cpu_s)
            print(
                f"{name}: wall {walls[name][-1]:.2f} s, CPU {cpus[name][-1]:.2f} s",
                flush=True,
            )
    first, second = ways
    for what, times in (("wall", walls), ("CPU", cpus)):
        if what == "CPU" and second == "ray":
            continue
        print(
            f"{first} / {second}, {what}: {min(times[first]) / min(times[second]):.3f}"
        )


def adopt_orphans() -> None:
    """Become the parent of the fork server when the command, its parent, has ended: workers are its children."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def wait_for_orphans() -> None:
    """Wait for all children to end, so that their processor time counts."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def children_cpu_s() -> float:
    """Return the processor time of the child processes that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_processes(folder: Path, paths: list[str], model: str) -> None:
    """Process the videos with processes that know nothing of each other."""
    processes = []
    for number in range(NUM_PROCESSES):
        mine = [
            path
            for place, path in enumerate(paths)
            if place // GROUP % NUM_PROCESSES == number
        ]
        names = folder / f"{number}.json"
        names.write_text(json.dumps(mine))
        rows = folder / f"{number}.jsonl"
        command = [sys.executable, str(Path(__file__)), str(rows), "--list", str(names)]
        processes.append(
            subprocess.Popen([*command, "--model", model], stderr=subprocess.DEVNULL)
        )
    for process in processes:
        if process.wait():
            sys.exit("a process failed")


def run_alone(output: str, names: str, model: str) -> None:
    """Write a row for each video of a list."""
    job = Job(model=model)
    classifier = job.open()
    with Path(output).open("w") as rows:
        for path in json.loads(Path(names).read_text()):
            rows.write(json.dumps(process_video(classifier, path, job)) + "\n")
            rows.flush()


def run_batch(folder: Path, paths: list[str], model: str, options: list[str]) -> None:
    """Process the videos with the command."""
    output = folder / "batch.jsonl"
    output.unlink(missing_ok=True)
    names = folder / "list.txt"
    names.write_text("\n".join(paths))
    subprocess.run(
        [
            *(sys.executable, "-m", "movinet_lite", "batch", str(names)),
            *("--output", str(output), "--model", model),
            *("--workers", str(NUM_PROCESSES), *options),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
