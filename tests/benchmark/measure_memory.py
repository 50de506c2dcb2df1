"""Print the memory that a stream model and a base model of a variant take, as docs/performance gives it.

    python -m tests.benchmark.measure_memory a2 --frames 25 50 100 200

The models have random weights, and are compiled into a cache before they are measured, each measurement in a process of its
own. One thread computes. ``--engine`` names the engine of the stream model, which otherwise takes its own. Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

_STEPS: Final = 200
_MODES: Final = ("stream", "base")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant")
    parser.add_argument("--frames", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument(
        "--engine", default="auto", choices=("auto", "native", "litert")
    )
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        what, path, frames = args.measure
        _print_memory(what, Path(path), int(frames), args.engine)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MOVINET_LITE_CACHE"] = str(Path(folder) / "cache")
        paths = {mode: _save_model(args.variant, mode, Path(folder)) for mode in _MODES}
        rows = [("stream", "load", 1), ("stream", "step", _STEPS)]
        rows += [("stream", "run", max(args.frames))]
        rows += [("base", "load", 1)]
        rows += [("base", "predict", count) for count in args.frames]
        # Once before, so that nothing has to be compiled.
        for mode in _MODES:
            _measure(args, mode, "load", paths[mode], 1)
        lines = [f"{args.variant:26} {'peak, MB':>9} {'then, MB':>9}"]
        for mode, what, count in rows:
            measured = _measure(args, mode, what, paths[mode], count)
            name = f"{mode}, {what}" + ("" if what == "load" else f", {count} frames")
            lines.append(f"{name:26} {measured}")
    sys.stdout.write("\n".join(lines) + "\n")


def _save_model(variant: str, mode: str, folder: Path) -> Path:
    from movinet_lite.network.files import save_network
    from movinet_lite.network.model import build_movinet

    path = folder / f"{variant}_{mode}.safetensors"
    save_network(build_movinet(variant, mode, 600), path)
    return path


def _measure(
    args: argparse.Namespace, mode: str, what: str, path: Path, frames: int
) -> str:
    """Return the row of a process of its own: its highest memory and its last, in 10^6 bytes."""
    command = [sys.executable, "-m", __spec__.name, args.variant]
    if mode == "stream":
        command += ["--engine", args.engine]
    command += ["--measure", f"{mode} {what}", str(path), str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr.strip().splitlines()[-1])
    return done.stdout.rstrip().splitlines()[-1]


def _print_memory(mode_and_what: str, path: Path, frames: int, engine: str) -> None:
    from movinet_lite import BaseClassifier, StreamingClassifier

    mode, what = mode_and_what.split()
    labels = [str(number) for number in range(600)]
    loads: Any = StreamingClassifier if mode == "stream" else BaseClassifier
    classifier = loads.load(path, labels=labels, threads=1, engine=engine)
    if what != "load":
        clip = np.zeros((frames, *classifier.frame_size, 3), np.uint8)
        if what == "step":
            for frame in clip:
                classifier.step(frame)
        elif what == "run":
            for _ in classifier.run(clip):
                pass
        else:
            classifier.predict(clip)
        del clip
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak, last = (
        int(status.split(f"{name}:")[1].split()[0]) * 1024 / 1e6
        for name in ("VmHWM", "VmRSS")
    )
    sys.stdout.write(f"{peak:9.0f} {last:9.0f}\n")


if __name__ == "__main__":
    main()
