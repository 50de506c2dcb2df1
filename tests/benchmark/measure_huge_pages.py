"""Measure what huge pages gain on LiteRT: one model on them and one not, in one process, in turns.

    python -m tests.benchmark.measure_huge_pages a2 --rounds 15
    python -m tests.benchmark.measure_huge_pages a2 --run --plain-first

Which model is loaded first matters: measure both orders. It prints CPU times a frame with one thread, how much memory moved and
how long the move took, and fails if the logits differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, Final
from unittest import mock

import numpy as np

from movinet_lite import StreamingClassifier
from movinet_lite.engines import load_model
from movinet_lite.engines.litert import graphs
from movinet_lite.engines.litert.huge_pages import HugePages
from movinet_lite.labels import unnamed_classes

_FRAMES: Final = 48
_NEVER: Final = 10**9
_WARM_UP: Final = graphs._CALLS_BEFORE_HUGE_PAGES
_LONGEST_CALL: Final = 16  # frames


def main() -> None:
    """Measure, and print the times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a stream model, as for load_model")
    parser.add_argument("--run", action="store_true", help="measure run, not step")
    parser.add_argument("--plain-first", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    order = ["plain", "huge"] if args.plain_first else ["huge", "plain"]
    sessions = {kind: _session(args.model, is_huge=kind == "huge") for kind in order}
    height, width = sessions["huge"].frame_size
    shape = (_FRAMES, height, width, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def step_or_run(session: StreamingClassifier) -> list[Any]:
        return list(session.run(frames) if args.run else map(session.step, frames))

    huge, plain = (
        [one.logits for one in step_or_run(sessions[kind])]
        for kind in ("huge", "plain")
    )
    np.testing.assert_array_equal(huge, plain)
    times: dict[str, list[float]] = {kind: [] for kind in order}
    for _ in range(args.rounds):
        for kind, session in sessions.items():
            step_or_run(session)
            times[kind].append(_us_of(step_or_run, session) / _FRAMES)
    for kind, us in times.items():
        _say(f"{kind}: {min(us):.0f} us a frame, median {np.median(us):.0f}")
    ratios = np.array(times["huge"]) / times["plain"]
    least = min(times["huge"]) / min(times["plain"])
    _say(f"huge / plain: minimum {least:.3f}, median of pairs {np.median(ratios):.3f}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _us_of(work: Callable[..., object], *arguments: Any) -> float:
    """Return the microseconds of CPU time that *work* takes."""
    start = time.process_time()
    work(*arguments)
    return (time.process_time() - start) * 1e6


def _session(model: str, *, is_huge: bool) -> StreamingClassifier:
    """Return a session whose graphs have moved to huge pages, or never will."""
    calls = graphs._CALLS_BEFORE_HUGE_PAGES if is_huge else _NEVER
    collapse = HugePages.collapse

    def report(pages: HugePages) -> int:
        start = time.perf_counter()
        moved = collapse(pages)
        ms = (time.perf_counter() - start) * 1e3
        _say(f"{moved / 1e6:.1f} MB moved in {ms:.0f} ms")
        return moved

    with (
        mock.patch.object(graphs, "_CALLS_BEFORE_HUGE_PAGES", calls),
        mock.patch.object(HugePages, "collapse", report),
    ):
        loaded = load_model(model, "stream", engine="litert", threads=1)
        labels = unnamed_classes(loaded.info.num_classes)
        session = StreamingClassifier(loaded, labels, horizon_s=None)
        frame = np.zeros((*session.frame_size, 3), np.uint8)
        # Enough calls of each graph, inside the block: the one of several frames is opened by the first `run`.
        list(map(session.step, [frame] * _WARM_UP))
        list(session.run([frame] * (_LONGEST_CALL * _WARM_UP)))
        session.reset()
    return session


if __name__ == "__main__":
    main()
