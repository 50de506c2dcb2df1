"""Batches: each video has one row, whatever happens."""

import collections
import contextlib
import json
import multiprocessing
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from movinet_lite import StreamingClassifier
from movinet_lite.batch import Job, Limits, find_videos, run
from movinet_lite.batch.journal import Journal
from movinet_lite.batch.pool import Pool, _Task
from movinet_lite.cli import main
from movinet_lite.demo import CLIP
from movinet_lite.errors import DataError, ModelError
from tests.batch import models


@pytest.fixture
def folder(tmp_path):
    """Return a folder of four videos, of which one is broken."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.mp4").symlink_to(CLIP)
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "notes.md").write_text("no video either")
    return folder


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({row["path"] for row in rows}) == len(rows)
    return {Path(row["path"]).stem: row for row in rows}


def test_a_full_disk_ends_a_batch_with_the_name_of_its_file(tmp_path):
    """The row that could not be written is said once, by the error that names the file; the next run cuts it off."""
    path = tmp_path / "rows.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    row = {"path": "a.mp4", "settings": "x", "error": None, "rest": "." * 5_000}

    def write() -> None:
        with Journal(path, "x") as journal:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
            journal.append([row])

    try:
        with pytest.raises(DataError, match=r"rows\.jsonl: .*'File too large'"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with Journal(path, "x") as journal:
        assert journal.done == set()
        journal.append([row])
    assert set(_rows(path)) == {"a"}


def test_each_video_has_a_row_and_a_broken_one_an_error(folder, tmp_path):
    """A row holds what the classifier says of the video, or why there is nothing to say."""
    output = tmp_path / "rows.jsonl"

    end = run(folder, output, Job(model=models.told), workers=2)

    rows = _rows(output)
    assert (end.num_videos, end.num_done, end.num_errors) == (4, 4, 1)
    assert set(rows) == {"a", "b", "c", "broken"}
    assert rows["broken"]["predictions"] is None
    assert "video" in rows["broken"]["error"]
    predictions = models.told().predict_video(CLIP)
    leading = [one.label for one in predictions]
    changes = [
        label
        for place, label in enumerate(leading)
        if not place or label != leading[place - 1]
    ]
    assert [one["label"] for one in rows["a"]["predictions"]] == changes
    assert rows["a"]["size"] == CLIP.stat().st_size


@pytest.fixture(params=["spawn", "forkserver"])
def start_method(request):
    """Start workers in one of the ways that a program can choose."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("start_method")
def test_crashing_endless_and_greedy_videos_become_errors(folder, tmp_path):
    """A video with which a worker dies, or which takes too long or too much memory, is given up; the others are done."""
    for name in ("crash", "endless", "greedy"):
        (folder / f"{name}.mp4").symlink_to(CLIP)
    output = tmp_path / "rows.jsonl"

    end = run(
        folder,
        output,
        Job(model=models.told),
        workers=2,
        limits=Limits(timeout_s=5.0, memory_mb=450),
    )

    rows = _rows(output)
    assert (end.num_done, end.num_errors) == (7, 4)
    assert "SIGKILL" in rows["crash"]["error"]
    assert rows["crash"]["attempts"] == 2
    assert "at most 5 s" in rows["endless"]["error"]
    assert rows["endless"]["attempts"] == 1
    assert "450 MiB" in rows["greedy"]["error"]


def test_the_video_ahead_is_not_to_blame(tmp_path):
    """A worker that dies or takes too long has one more video; that one is done by another, at its first attempt."""
    names = ("crash", "a", "endless", "b", "greedy", "c")
    for name in names:
        (tmp_path / f"{name}.mp4").symlink_to(CLIP)
    output = tmp_path / "rows.jsonl"

    run(
        [tmp_path / f"{name}.mp4" for name in names],
        output,
        Job(model=models.told),
        workers=1,
        limits=Limits(timeout_s=4.0, memory_mb=450, attempts=1),
    )

    rows = _rows(output)
    assert {name for name in rows if rows[name]["error"]} == set(names[::2])
    assert {row["attempts"] for row in rows.values()} == {1}
    assert list(rows) == list(names)


def test_the_right_video_is_to_blame_when_rows_are_taken_late(tmp_path):
    """A video that was finished before its worker died keeps its row, however late that is received."""
    paths = [str(tmp_path / f"{name}.mp4") for name in ("a", "b", "crash", "c")]
    for path in paths:
        Path(path).symlink_to(CLIP)

    with Pool(Job(model=models.told), 1, Limits(attempts=1)) as pool:
        groups = pool.process(paths)
        rows = next(groups)
        pool._workers[0]._process.join()
        for group in groups:
            rows += group

    assert [Path(row["path"]).stem for row in rows if row["error"]] == ["crash"]
    assert sorted(row["path"] for row in rows) == sorted(paths)


def test_a_video_ahead_goes_to_an_idle_worker(tmp_path):
    """A video does not wait for the end of a long one when another worker has nothing to do."""
    for name in ("pair0", "pair1"):
        (tmp_path / f"{name}.mp4").symlink_to(CLIP)
    output = tmp_path / "rows.jsonl"

    # Each of the two ends only after both have begun.
    run(
        tmp_path,
        output,
        Job(model=models.partnered),
        workers=2,
        limits=Limits(timeout_s=60.0),
    )

    assert [row["error"] for row in _rows(output).values()] == [None, None]


def test_a_video_given_back_by_a_worker_that_is_killed_is_not_lost(tmp_path):
    """What a worker sent before it was killed counts, although it is received later."""
    with Pool(Job(model=models.told), 1, Limits()) as pool:
        pool.start()
        [worker] = pool._workers
        for name in ("endless", "a", "b"):
            worker.give(_Task(str(tmp_path / name)))
        worker.ask_back()
        assert worker._connection.poll(60.0)
        waiting = collections.deque[_Task]()

        rows = pool._end(worker, waiting)

    assert rows == []
    assert sorted(Path(one.path).name for one in waiting) == ["a", "b", "endless"]


def test_a_torn_line_is_cut_and_rows_are_kept(folder, tmp_path):
    """What a killed run left half-written is done again, and nothing else."""
    output = tmp_path / "rows.jsonl"
    run(folder, output, Job(model=models.told), workers=1)
    first, *_, last = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(first + last[:20])

    end = run(folder, output, Job(model=models.told), workers=1)

    assert (end.num_before, end.num_done) == (1, 3)
    assert len(_rows(output)) == 4
    assert output.read_bytes().startswith(first)


def test_rows_of_another_job_are_refused(folder, tmp_path):
    """Results of two models never stand in one file."""
    output = tmp_path / "rows.jsonl"
    run(folder / "a.mp4", output, Job(model=models.told), workers=1)

    with pytest.raises(DataError, match="one model with one set of options"):
        run(folder, output, Job(model=models.told, top_k=2), workers=1)


def test_errors_of_an_earlier_run_are_not_forgotten(folder, tmp_path, capsys):
    """A second run of the same line says that the file has an error, and how to try again."""
    (folder / "b.mp4").unlink()
    (folder / "c.mp4").unlink()
    line = ["batch", str(folder), "--model", "demo", "--workers", "1"]
    line += ["--output", str(tmp_path / "rows.jsonl")]

    for counted, hint in (
        ("2 videos, 1 error\n", ""),
        ("0 videos, 2 before, 1 error\n", " (--retry-errors processes them again)"),
    ):
        status = main(line)

        output, errors = capsys.readouterr()
        assert status == 1
        assert output.endswith(counted)
        assert f"1 of 2 videos has an error{hint}\n" in errors


def test_errors_are_tried_again_when_asked_for(folder, tmp_path):
    """A video that was repaired gets its predictions, and still one row."""
    output = tmp_path / "rows.jsonl"
    run(folder, output, Job(model=models.told), workers=1)
    again = run(folder, output, Job(model=models.told), workers=1)
    assert (again.num_errors, again.num_errors_before) == (0, 1)
    (folder / "broken.mp4").unlink()
    (folder / "broken.mp4").symlink_to(CLIP)

    end = run(folder, output, Job(model=models.told), workers=1, retry_errors=True)

    assert (end.num_before, end.num_done, end.num_errors) == (3, 1, 0)
    assert end.num_errors_before == 0
    assert _rows(output)["broken"]["error"] is None


def test_a_model_that_cannot_be_loaded_ends_it(folder, tmp_path):
    """No video is tried, and the error is the model's."""
    output = tmp_path / "rows.jsonl"

    with pytest.raises(ModelError, match="there is no such model"):
        run(folder, output, Job(model=models.missing), workers=2)

    assert output.read_bytes() == b""


@pytest.mark.parametrize("model", [models.slow, models.slow_after_the_first])
def test_a_model_that_loads_for_ever_ends_it(model, folder, tmp_path, monkeypatch):
    """A load has a limit of its own, in the first worker as in those that come after it."""
    monkeypatch.setenv("LOADED_ONCE", str(tmp_path / "loaded"))
    (folder / "a_endless.mp4").symlink_to(CLIP)
    output = tmp_path / "rows.jsonl"

    with pytest.raises(ModelError, match="in at most 2 s; it took longer"):
        run(
            folder,
            output,
            Job(model=model),
            workers=2,
            limits=Limits(load_timeout_s=2.0),
        )


def test_the_horizon_of_clips_does_not_count():
    """Whole videos have no horizon, so that rows made with another one are of the same job."""
    horizons = [{"horizon_s": 3.0}, {"horizon_s": None}, {}]

    clips = {Job(mode="clip", load_options=options).digest for options in horizons}
    streams = {Job(load_options=options).digest for options in horizons[:2]}

    assert (len(clips), len(streams)) == (1, 2)


def test_two_batches_never_write_one_file(folder, tmp_path):
    """A second batch into the same results is refused while the first runs."""
    fcntl = pytest.importorskip("fcntl")
    output = tmp_path / "rows.jsonl"
    with output.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        with pytest.raises(DataError, match="one batch at a time"):
            run(folder, output, Job(model=models.told), workers=1)


def test_inputs(folder, tmp_path):
    """Folders, patterns, lists and paths stand for the same videos, each once."""
    videos = [str(folder / f"{name}.mp4") for name in ("a", "b", "broken", "c")]
    (tmp_path / "list.txt").write_text("# two\nvideos/a.mp4\n\nvideos/b.mp4\n")
    (tmp_path / "list.csv").write_text("path,label\nvideos/c.mp4,x\n")

    assert find_videos(folder) == videos
    assert find_videos(f"{folder}/*.mp4") == videos
    assert find_videos([tmp_path / "list.txt", videos[0]]) == videos[:2]
    assert find_videos(tmp_path / "list.csv") == videos[3:]
    assert find_videos(["s3://bucket/a.mp4"]) == ["s3://bucket/a.mp4"]
    with pytest.raises(DataError, match="matches none"):
        find_videos(tmp_path / "videos" / "*.avi")


def test_the_command_goes_on_after_it_was_killed(folder, tmp_path):
    """Killed at any moment and typed again, the command leaves one row for each video."""
    output = tmp_path / "rows.jsonl"
    for number in range(12):
        (folder / f"more{number}.mp4").symlink_to(CLIP)
    line = ["batch", str(folder), "--model", "demo", "--output", str(output)]
    command = [sys.executable, "-m", "movinet_lite", *line, "--workers", "1"]
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
        if output.exists() and output.read_bytes().count(b"\n") >= 2:
            process.kill()
    process.wait()

    status = main([*line, "--workers", "2"])

    assert status == 1
    rows = _rows(output)
    assert len(rows) == 16
    assert Counter(row["error"] is None for row in rows.values()) == {
        True: 15,
        False: 1,
    }
    demo = StreamingClassifier.load("demo", threads=1)
    first = demo.predict_video(CLIP)[0].top_k(1)[0]
    assert rows["a"]["predictions"][0]["label"] == first[0]
