"""Measure this edition and an earlier one in turns, and print the figures of docs/performance that matter most.

    python -m tests.benchmark.compare_editions --earlier CHECKOUT --a0 A0 --a2 A2 --stock-a0 A0.tflite --stock-a2 A2.tflite

``A0`` and ``A2`` are SavedModels of stream models, the others LiteRT files of the same models that the converter made from the
Model Garden's graph. Each edition is measured in processes of its own, with medians of 60 calls, on the engine that it takes by
itself. So a ratio is of two ways in one process, a share of the limit goes by the matrix product of its process, and only the
milliseconds are of different minutes. An edition whose engine is not LiteRT measures LiteRT too. It takes about eight minutes
on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

_CALLS: Final = 60
_STEP: Final = "step, one frame a call"
_RUN: Final = "run over a clip"
_LITERT: Final = (
    "LiteRT: "  # before the ways of LiteRT where the edition has a faster engine
)
_RUNNER: Final = "LiteRT signature runner, stock file"
_LOOP: Final = "SavedModel, states carried in a loop"
_FIRST_LOAD: Final = "stream: first load, compiled and checked"

Report = dict[str, Any]
Reports = dict[tuple[str, int, str], Report]  # by variant, threads, edition


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--earlier", type=Path, required=True)
    for name in ("a0", "a2", "stock-a0", "stock-a2"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    editions = {"earlier": args.earlier, "now": Path(__file__).parents[2]}
    measured: Reports = {}
    with tempfile.TemporaryDirectory() as cache:
        for variant in ("a0", "a2"):
            model = getattr(args, variant)
            stock = getattr(args, f"stock_{variant}")
            for threads in (1, 2):
                for edition, checkout in editions.items():
                    starts = (variant, threads) == ("a0", 2)
                    measured[variant, threads, edition] = _measure(
                        checkout,
                        Path(cache) / edition,
                        model,
                        stock,
                        threads,
                        starts=starts,
                    )
    machine = measured["a0", 1, "now"]["machine"]
    lines = [
        ", ".join(f"{key} {value}" for key, value in machine.items()),
        f"{'engine':52} {_engine(measured, 'earlier'):>9} {_engine(measured, 'now'):>9}",
        f"{'':52} {'earlier':>9} {'now':>9} {'at least':>9}",
        *_rows(measured),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _measure(
    checkout: Path,
    cache: Path,
    model: Path,
    stock: Path,
    threads: int,
    *,
    starts: bool,
) -> Report:
    """Return what ``movinet-lite benchmark`` of an edition reports."""
    command = [sys.executable, "-m", "movinet_lite", "benchmark", "--json"]
    command += ["--stream", str(model), "--stock-tflite", str(stock)]
    command += ["--threads", str(threads), "--calls", str(_CALLS)]
    if not starts:
        command.append("--no-starts")
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "MOVINET_LITE_CACHE": str(cache),
    }
    done = subprocess.run(
        command,
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{checkout}: {done.stderr.strip().splitlines()[-1]}")
    report: Report = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def _rows(measured: Reports) -> list[str]:
    def ways(variant: str, threads: int, edition: str) -> dict[str, Report]:
        return _ways(measured, variant, threads, edition)

    rows = []
    for variant, aim in (("a0", 40), ("a2", 45)):
        shares = [
            ways(variant, 1, edition)[_STEP]["share_of_limit"]
            for edition in ("earlier", "now")
        ]
        rows.append(
            f"{variant + ' step, 1 thread, share of the limit':52} "
            f"{shares[0]:9.1%} {shares[1]:9.1%} {f'{aim}%':>9}"
        )
    runner = "LiteRT's signature runner"
    rows += [
        _times(measured, ("a0", 1), _RUNNER, what=runner, aim=1.6),
        _times(measured, ("a2", 1), _RUNNER, what=runner, aim=1.6),
        _times(measured, ("a2", 2), _LOOP, what="the loop on the SavedModel", aim=8.0),
    ]
    shares = [
        ways("a0", 2, edition)[_RUN]["share_of_limit"] for edition in ("earlier", "now")
    ]
    rows.append(
        f"{'a0 run, 2 threads, share of the limit':52} {shares[0]:9.1%} {shares[1]:9.1%} {'60%':>9}"
    )
    loads = [
        next(
            one["load_s"]
            for one in measured["a0", 2, edition]["starts"]
            if one["way"] == _FIRST_LOAD
        )
        for edition in ("earlier", "now")
    ]
    rows.append(f"{'a0 first load, s':52} {loads[0]:9.1f} {loads[1]:9.1f} {'12':>9}")
    for variant in ("a0", "a2"):
        for threads in (1, 2):
            rows += [
                _against_litert(measured, (variant, threads), way)
                for way in (_STEP, _RUN)
            ]
    for variant in ("a0", "a2"):
        for threads in (1, 2):
            for way in (_STEP, _RUN):
                ms = [
                    ways(variant, threads, edition)[way]["median_ms"]
                    for edition in ("earlier", "now")
                ]
                what = f"{variant} {way.split(',')[0]}, {threads} threads, ms a frame"
                rows.append(f"{what:52} {ms[0]:9.3f} {ms[1]:9.3f}")
    return rows


def _times(
    measured: Reports, which: tuple[str, int], other: str, *, what: str, aim: float
) -> str:
    """Return the row of how many times faster a step is than another way."""
    found = []
    for edition in ("earlier", "now"):
        ways = _ways(measured, *which, edition)
        found.append(ways[other]["median_ms"] / ways[_STEP]["median_ms"])
    name = f"{which[0]} step, {which[1]} threads, against {what}"
    return f"{name:52} {found[0]:8.2f}x {found[1]:8.2f}x {f'{aim:g}x':>9}"


def _against_litert(measured: Reports, which: tuple[str, int], way: str) -> str:
    """Return the row of how many times faster a way is than the same on LiteRT, where an edition has both."""
    found = []
    for edition in ("earlier", "now"):
        ways = _ways(measured, *which, edition)
        litert = ways.get(f"{_LITERT}{way}")
        found.append(
            f"{litert['median_ms'] / ways[way]['median_ms']:.2f}x" if litert else "-"
        )
    name = f"{which[0]} {way.split(',', maxsplit=1)[0]}, {which[1]} threads, against LiteRT"
    return f"{name:52} {found[0]:>9} {found[1]:>9}"


def _engine(measured: Reports, edition: str) -> str:
    """Return the engine of an edition; early ones had LiteRT alone and do not say it."""
    engine: str = measured["a0", 1, edition].get("engine", "litert")
    return engine


def _ways(
    measured: Reports, variant: str, threads: int, edition: str
) -> dict[str, Report]:
    """Return what was measured of each way."""
    found = measured[variant, threads, edition]["measurements"]
    return {one["way"]: one for one in found}


if __name__ == "__main__":
    main()
