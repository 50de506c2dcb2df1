"""The number of threads to use: one per core available to this process.

A container sees all cores of its machine, even if it may use only a few. Additional threads would wait for each other.

References:
    [1] Linux, ``Documentation/admin-guide/cgroup-v2.rst``, ``cpu.max``: microseconds of CPU time in each period, or ``max``.
    [2] Linux, ``Documentation/scheduler/sched-bwc.rst``, ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` of version 1; a
        quota of -1 is no limit. The limit of a group is the minimum of its own quota and those above it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_cores"]

_ROOT = Path("/")


def available_cores() -> int:
    """Return the number of cores available to this process, at least 1, by CPU affinity and the container's quota.

    Fractions of a core are rounded up.
    """
    quota = min(_quotas(_ROOT), default=math.inf)
    cores = _cores_of_process()
    return cores if quota >= cores else max(1, math.ceil(quota))


def _cores_of_process() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield the limits in cores of the control groups of this process."""
    mounts = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mount = mounts
        elif "cpu" in controllers.split(","):
            mount = mounts / controllers
        else:
            continue
        # In a container the path is often that of the host, while only the container's own group is mounted.
        group = mount / path.lstrip("/")
        for folder in (group, *group.parents):
            quota = _quota_of_version_2(folder) or _quota_of_version_1(folder)
            if quota:
                yield quota
            if folder == mount:
                break


def _quota_of_version_2(folder: Path) -> float | None:
    """Return the cores that ``cpu.max`` allows [1]; `None` if it sets no limit."""
    return _ratio(*_read(folder / "cpu.max").split()[:2])


def _quota_of_version_1(folder: Path) -> float | None:
    """Return the cores that a quota of version 1 allows [2]; `None` if there is none."""
    return _ratio(
        _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    )


def _ratio(quota: str = "", period: str = "") -> float | None:
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None


def _read(path: Path) -> str:
    """Return the text of a system file; empty if it does not exist."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
