"""Batches on a Ray cluster: the rows of one machine, whatever part of the cluster is lost."""

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from movinet_lite.batch import Job, Limits, cluster, on_ray, ray_pool, run
from movinet_lite.batch.ray_pool import num_wanted
from movinet_lite.cli import main
from movinet_lite.demo import CLIP
from movinet_lite.errors import (
    ArrayError,
    ClusterError,
    MissingDependencyError,
    ModelError,
)
from tests.batch import models
from tests.model_server import serve_models

of_ray = pytest.mark.filterwarnings("ignore")  # Ray has warnings of its own


@pytest.fixture
def folder(tmp_path):
    """Return a function that makes a folder of videos with these names."""

    def make(*names: str) -> Path:
        folder = tmp_path / "videos"
        folder.mkdir()
        for name in names:
            (folder / f"{name}.mp4").symlink_to(CLIP)
        return folder

    return make


@pytest.fixture
def ray_cluster():
    """Return a function that begins a cluster with these numbers of cores, beside a head without any."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with contextlib.ExitStack() as stack:

        def begin(*cores: int):
            here = Cluster(
                initialize_head=True,
                head_node_args={"num_cpus": 0, "include_dashboard": False},
            )
            stack.callback(here.shutdown)
            return here, [here.add_node(num_cpus=number) for number in cores]

        yield begin


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({row["path"] for row in rows}) == len(rows)
    return {Path(row["path"]).stem: {**row, "seconds": None} for row in rows}


@of_ray
@pytest.mark.slow
def test_rows_are_those_of_one_machine(folder, tmp_path, ray_cluster):
    """Good, broken, crashing and endless videos have the same rows, and a batch goes on where the other kind was."""
    videos = folder("a", "b", "c", "crash", "endless")
    (videos / "broken.mp4").write_bytes(b"no video")
    (videos / "list.txt").write_text("a.mp4\nmissing.mp4\n")
    inputs = [videos, videos / "list.txt"]
    job = Job(model=models.told)
    limits = Limits(timeout_s=10.0)
    run(inputs, tmp_path / "here.jsonl", job, workers=2, limits=limits)
    output = tmp_path / "there.jsonl"
    run([videos / "a.mp4"], output, job, workers=1)
    here, _ = ray_cluster(2)

    end = on_ray(inputs, output, job, address=here.address, limits=limits)

    assert (end.num_before, end.num_done, end.num_errors) == (1, 6, 4)
    assert _rows(output) == _rows(tmp_path / "here.jsonl")


@of_ray
@pytest.mark.slow
@pytest.mark.parametrize("lost", ["actor", "node"])
def test_what_is_lost_in_the_middle_of_a_video_loses_no_row(
    lost, folder, tmp_path, ray_cluster
):
    """The video of an actor that dies, alone or with its node, is done by another one."""
    videos = folder("a_stuck", *(f"b{number}" for number in range(8)))
    output = tmp_path / "rows.jsonl"
    here, nodes = ray_cluster(1, 1)
    marker = videos / "a_stuck.started"
    killed: list[int] = []

    def kill_once(_progress):
        if killed or not marker.exists():
            return
        killed.append(int(marker.read_text()))
        if lost == "actor":
            os.kill(killed[0], signal.SIGKILL)
            return
        [node] = [node for node in nodes if _raylet(node) == _parent(killed[0])]
        here.remove_node(node, allow_graceful=False)

    end = on_ray(
        videos,
        output,
        Job(model=models.partnered),
        address=here.address,
        on_progress=kill_once,
    )

    assert killed
    assert (end.num_done, end.num_errors) == (9, 0)
    rows = _rows(output)
    assert rows["a_stuck"]["predictions"] == rows["b0"]["predictions"]
    assert rows.pop("a_stuck")["attempts"] == 2
    assert {row["attempts"] for row in rows.values()} == {1}


@of_ray
@pytest.mark.slow
def test_a_video_that_every_actor_dies_of_is_given_up(
    folder, tmp_path, ray_cluster, monkeypatch
):
    """Its row tells how many had it, and the other videos are done."""
    monkeypatch.setattr(ray_pool, "_MAX_LOST", 2)  # an actor takes seconds to start
    videos = folder("a", "b_deadly", "c")
    output = tmp_path / "rows.jsonl"
    here, _ = ray_cluster(2)

    end = on_ray(videos, output, Job(model=models.told), address=here.address)

    assert (end.num_done, end.num_errors) == (3, 1)
    rows = _rows(output)
    deadly = rows.pop("b_deadly")
    assert deadly["attempts"] == 2
    assert "the actor that has it must live; 2 died" in deadly["error"]
    # One of them may have been done again: its actor died of the next video before it could return the row.
    assert {row["error"] for row in rows.values()} == {None}


def _raylet(node: Any) -> int:
    return node.all_processes["raylet"][0].process.pid


def _parent(process_id: int) -> int:
    return int(
        Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[1]
    )


@of_ray
@pytest.mark.slow
def test_a_cluster_that_grows_is_used(folder, tmp_path, ray_cluster):
    """Two videos that must be processed at the same time are, once a second node has come."""
    videos = folder("a", "pair1", "pair2")
    here, _ = ray_cluster(1)

    def grow_once(progress):
        if progress.num_done == 1:
            here.add_node(num_cpus=1)

    end = on_ray(
        videos,
        tmp_path / "rows.jsonl",
        Job(model=models.partnered),
        address=here.address,
        limits=Limits(timeout_s=120.0),
        on_progress=grow_once,
    )

    assert (end.num_done, end.num_errors) == (3, 0)


@of_ray
@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_ends_it(folder, tmp_path, ray_cluster):
    """No video is tried, and the error is the model's."""
    here, _ = ray_cluster(1)

    with pytest.raises(ModelError, match="there is no such model"):
        on_ray(
            folder("a"),
            tmp_path / "rows.jsonl",
            Job(model=models.missing),
            address=here.address,
        )


def test_a_cluster_that_cannot_be_reached_is_told(folder, tmp_path, capsys):
    """Nobody at the address is one error at once."""
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    output = str(tmp_path / "rows.jsonl")
    status = main(
        ["batch", str(folder("a")), "--output", output, "--ray", f"127.0.0.1:{port}"]
    )

    assert status == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"127.0.0.1:{port}: the Ray cluster cannot be reached" in line


def test_a_server_that_never_answers_is_told(folder, tmp_path, monkeypatch):
    """A silent server is given up after a while."""
    pytest.importorskip("ray")
    monkeypatch.setattr(cluster, "_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match="timed out"):
            on_ray(folder("a"), tmp_path / "rows.jsonl", address=address)


def test_a_server_of_another_kind_is_told(folder, tmp_path):
    """A web server at the address is no cluster."""
    pytest.importorskip("ray")
    with serve_models() as server:
        address = server.address.removeprefix("http://")
        with pytest.raises(ClusterError, match="not of Ray"):
            on_ray(folder("a"), tmp_path / "rows.jsonl", address=address)


@pytest.mark.parametrize(("mode", "is_advised"), [(None, True), ("token", False)])
def test_a_cluster_with_authentication_is_advised(
    mode, is_advised, folder, tmp_path, monkeypatch
):
    """A cluster that lets nobody in without a token is one whose error says how to have one."""
    ray = pytest.importorskip("ray")

    def refuse(*_given: object, **_options: object) -> None:
        raise ConnectionError("failed to connect")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)

    with pytest.raises(ClusterError, match="failed to connect") as caught:
        on_ray(folder("a"), tmp_path / "rows.jsonl", address="auto")

    assert ("RAY_AUTH_MODE=token" in str(caught.value)) == is_advised


def test_without_ray_it_says_what_to_install(folder, tmp_path, monkeypatch, capsys):
    """The error is one line with the command that installs Ray."""
    monkeypatch.setitem(sys.modules, "ray", None)
    output = tmp_path / "rows.jsonl"

    with pytest.raises(MissingDependencyError, match="pip install"):
        on_ray(folder("a"), output)

    status = main(["batch", str(tmp_path / "videos"), "--output", str(output), "--ray"])
    assert status == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "pip install 'movinet-lite[cluster]'" in line
    assert not output.exists()


def test_impossible_options_are_refused(folder, tmp_path, capsys):
    """Numbers of actors are at least 1, and belong to a cluster."""
    videos = folder("a")
    output = tmp_path / "rows.jsonl"

    with pytest.raises(ArrayError, match="max_workers must be"):
        on_ray(videos, output, max_workers=0)
    line = ["batch", str(videos), "--output", str(output), "--min-workers", "2"]
    assert main(line) == 2
    assert "--min-workers requires --ray" in capsys.readouterr().err


def test_a_model_of_the_program_itself_is_refused(folder, tmp_path, monkeypatch):
    """Nodes cannot import the file that the driver runs."""
    monkeypatch.setattr(models.told, "__module__", "__main__")

    with pytest.raises(ArrayError, match="a module that nodes can import"):
        on_ray(folder("a"), tmp_path / "rows.jsonl", Job(model=models.told))


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"num_ready": 1, "num_cores": 16}, 16),
        ({"num_ready": 16, "num_cores": 16}, 32),
        ({"num_ready": 16, "num_cores": 16, "max_workers": 20}, 20),
        ({"num_ready": 16, "num_cores": 16, "num_videos": 3}, 3),
        ({"num_ready": 1, "num_cores": 1, "min_workers": 8}, 8),
        ({"num_ready": 0, "num_cores": 0}, 1),
    ],
)
def test_the_number_of_actors(facts, wanted):
    """It follows the cores of the cluster and asks it to double, between the least and the most, and the videos left."""
    usual = {"num_videos": 1000, "min_workers": 1, "max_workers": None}

    assert num_wanted(**{**usual, **facts}) == wanted
