"""A batch that is killed at any moment, again and again, does each video exactly once in the end."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from movinet_lite.demo import CLIP

_NUM_VIDEOS = 120
_BROKEN = {f"{number:03}" for number in (7, 40, 77, 119)}
_NUM_KILLS = 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_killed_three_times_each_video_has_one_row(seed, tmp_path):
    """Rows that were written stay, none comes twice, and the broken videos are the errors."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(_NUM_VIDEOS):
        video = folder / f"{number:03}.mp4"
        if video.stem in _BROKEN:
            video.write_bytes(CLIP.read_bytes()[: 1000 * number])
        else:
            video.symlink_to(CLIP)
    output = tmp_path / "rows.jsonl"
    chance = random.Random(seed)  # noqa: S311 - repeatable
    kept = b""

    for _ in range(_NUM_KILLS):
        num_lines = kept.count(b"\n") + chance.randrange(1, _NUM_VIDEOS // 4)
        process = _start(folder, output)
        while _lines(output) < num_lines:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        now = output.read_bytes()
        assert now.startswith(kept[: kept.rfind(b"\n") + 1])
        kept = now
    last = _start(folder, output)

    assert last.wait() in (0, 1)  # 1 if a broken one was left for this run
    rows = [json.loads(line) for line in output.read_bytes().splitlines()]
    assert Counter(Path(row["path"]).stem for row in rows) == Counter(
        f"{number:03}" for number in range(_NUM_VIDEOS)
    )
    assert {Path(row["path"]).stem for row in rows if row["error"]} == _BROKEN
    predictions = [row["predictions"] for row in rows if row["error"] is None]
    assert all(one == predictions[0] for one in predictions)


def _start(folder: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "movinet_lite", "batch", str(folder)]
    options = ["--model", "demo", "--output", str(output), "--workers", "2"]
    return subprocess.Popen([*command, *options], start_new_session=True)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
