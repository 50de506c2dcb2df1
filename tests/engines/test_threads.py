"""How many threads compute: the cores that a process may use, not those of the machine."""

import os
import subprocess
import sys

import pytest

from movinet_lite.engines import threads
from movinet_lite.engines.threads import available_cores


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return a function that sets up a machine of eight cores with these files, given by path."""

    def set_up(cores=8, **files):
        monkeypatch.setattr(threads, "_ROOT", tmp_path)
        monkeypatch.setattr(threads, "_cores_of_process", lambda: cores)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")

    return set_up


def version_2(limit, *, group="/", where=""):
    """Return the files of control groups of version 2: the group of the process, and a limit at a folder."""
    return {"proc/self/cgroup": f"0::{group}", f"sys/fs/cgroup{where}/cpu.max": limit}


def version_1(quota, *, group="/", where="", controllers="cpu,cpuacct"):
    """Return the files of control groups of version 1."""
    folder = f"sys/fs/cgroup/{controllers}{where}"
    return {
        "proc/self/cgroup": f"11:memory:/else\n4:{controllers}:{group}\n0::/",
        f"{folder}/cpu.cfs_quota_us": quota,
        f"{folder}/cpu.cfs_period_us": "100000",
    }


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        (version_2("max 100000"), 8),
        (version_2("200000 100000"), 2),
        (version_2("150000 100000"), 2),
        (version_2("10000 100000"), 1),
        (version_2("1600000 100000"), 8),
        (version_2("50000 25000", group="/a/b", where="/a/b"), 2),
        (version_2("300000 100000", group="/a/b", where="/a"), 3),
        (version_2("300000 100000", group="/not/seen/here"), 3),
        (version_1("-1"), 8),
        (version_1("400000"), 4),
        (version_1("400000", controllers="cpu"), 4),
        (version_1("250000", group="/docker/f00", where="/docker/f00"), 3),
        (version_1("250000", group="/docker/f00"), 3),
        (version_2("what is this"), 8),
        (version_2(""), 8),
        (version_2("100 0"), 8),
        ({"proc/self/cgroup": "nothing"}, 8),
    ],
)
def test_a_containers_quota_counts(system, files, cores):
    """Of either version of control groups, of the group itself or one above it; what cannot be read sets no limit."""
    system(**files)
    assert available_cores() == cores


def test_the_least_quota_counts(system):
    """A group cannot use more than the one around it."""
    system(
        **version_2("400000 100000", group="/a/b", where="/a/b"),
        **{"sys/fs/cgroup/a/cpu.max": "200000 100000"},
    )
    assert available_cores() == 2


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system has no affinity"
)
def test_a_process_bound_to_one_core_computes_with_one_thread():
    """As `taskset` and schedulers of clusters bind it."""
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from movinet_lite.engines.threads import available_cores;"
        "print(available_cores())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
