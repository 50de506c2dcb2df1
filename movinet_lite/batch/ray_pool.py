"""A pool of actors on a Ray cluster, as many as the cluster has room for; lost actors are replaced."""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, Self, TypeAlias

import attrs

from movinet_lite.batch.cluster import connected
from movinet_lite.batch.job import Job
from movinet_lite.batch.one_video import Row, error_row
from movinet_lite.batch.pool import Limits, Pool
from movinet_lite.batch.worker import Failed, Finished, Ready
from movinet_lite.errors import ClusterError, MoViNetError, said_by

__all__ = ["RayPool", "num_wanted"]

_LOOK_EVERY_S: Final = 1.0
"""Interval at which the size of the cluster is checked, in seconds."""

_MAX_LOST: Final = 5
"""Maximum number of actors lost in a row while starting, or with one video."""


@attrs.frozen
class _Task:
    """A video, and the number of actors lost while processing it."""

    path: str
    num_lost: int = 0


_FromActor: TypeAlias = Ready | Failed | Finished


class RayPool:
    """A pool of actors on a Ray cluster, each with a model; a context manager.

    Each actor has a core and a `Pool` of one worker process, which enforces the limits per video as on a single
    machine. The first actor loads the model before the others, so that a model that cannot be loaded ends the batch
    immediately.

    Args:
        job: The job.
        limits: The limits per video.
        address: The address of the cluster; see `connected`.
        min_workers: Number of actors to request immediately, even if the cluster must grow for them.
        max_workers: Maximum number of actors; `None` for as many as the cluster has room for.
    """

    def __init__(
        self,
        job: Job,
        limits: Limits,
        *,
        address: str | None = None,
        min_workers: int = 1,
        max_workers: int | None = None,
    ) -> None:
        self._job = job
        self._limits = limits
        self._address = address
        self._min_workers = min_workers
        self._max_workers = max_workers
        self._actors: dict[Any, _Actor] = {}  # by what each is doing
        self._begun: list[_Actor] = []
        self._idle: list[_Actor] = []
        self._connection = contextlib.ExitStack()
        self._is_loadable = False
        self._num_failed_starts = 0
        self._looked_s = 0.0

    def __enter__(self) -> Self:
        self._connection.enter_context(connected(self._address))
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the actors, even while processing a video, and the connection."""
        with self._connection:
            for actor in [*self._actors.values(), *self._begun, *self._idle]:
                actor.kill()
            self._actors, self._begun, self._idle = {}, [], []

    def process(self, paths: Iterable[str]) -> Iterator[list[Row]]:
        """Yield the rows of *paths*, in order of completion, those of the same moment together.

        Raises:
            MoViNetError: Why the model cannot be loaded.
            ClusterError: If the actors do not start.
        """
        waiting = collections.deque(map(_Task, paths))
        while waiting or any(actor.task for actor in self._actors.values()):
            self._give(waiting)
            self._fit(waiting)
            rows = self._wait(waiting)
            # An actor never waits for what is done with the rows.
            self._give(waiting)
            if rows:
                yield rows

    def _give(self, waiting: collections.deque[_Task]) -> None:
        while waiting and self._idle:
            actor = self._idle.pop()
            self._actors[actor.give(waiting.popleft())] = actor

    def _fit(self, waiting: collections.deque[_Task]) -> None:
        """Adjust the number of actors to the work and the room in the cluster."""
        if self._actors and time.monotonic() < self._looked_s + _LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        busy = [actor for actor in self._actors.values() if actor.task]
        loading = [call for call, actor in self._actors.items() if not actor.task]
        wanted = num_wanted(
            num_videos=len(waiting) + len(busy),
            num_ready=len(busy) + len(self._idle),
            num_cores=_cores_of_cluster(),
            min_workers=self._min_workers,
            max_workers=self._max_workers,
        )
        excess = len(self._actors) + len(self._begun) + len(self._idle) - wanted
        self._begun += [_Actor(self._job, self._limits) for _ in range(-excess)]
        for _ in range(excess):
            if self._begun:
                self._begun.pop().kill()
            elif loading:
                self._actors.pop(loading.pop()).kill()
            elif self._idle:
                self._idle.pop().kill()
        # The processes of all begin at once, but the first loads the model alone.
        while self._begun and (self._is_loadable or not self._actors):
            actor = self._begun.pop(0)
            self._actors[actor.load()] = actor

    def _wait(self, waiting: collections.deque[_Task]) -> list[Row]:
        """Wait for an event or the next check of the cluster; return the completed rows."""
        import ray

        calls = list(self._actors)
        done, _ = ray.wait(calls, timeout=_LOOK_EVERY_S)
        if done:  # and all others that are done by now
            done, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        rows: list[Row] = []
        for call in done:
            rows += self._take(call, waiting)
        return rows

    def _take(self, call: Any, waiting: collections.deque[_Task]) -> list[Row]:
        """Process the result of an actor; remove it if it is lost."""
        import ray

        actor = self._actors.pop(call)
        try:
            message: _FromActor = ray.get(call)
        except ray.exceptions.RayError as error:
            # Ray ends an actor that nobody holds, if it is not dead.
            return self._lose(actor, error, waiting)
        task, actor.task = actor.task, None
        if isinstance(message, Failed):
            actor.kill()
            raise message.error
        self._idle.append(actor)
        if isinstance(message, Ready):
            self._is_loadable = True
            self._num_failed_starts = 0
            self._looked_s = 0.0
            return []
        row = message.row
        if task is not None:
            row["attempts"] += task.num_lost
        return [row]

    def _lose(
        self, actor: _Actor, error: Exception, waiting: collections.deque[_Task]
    ) -> list[Row]:
        """Retry the video of a lost actor; return its error after too many attempts."""
        self._looked_s = 0.0
        if actor.task is None:
            self._num_failed_starts += 1
            if self._num_failed_starts >= _MAX_LOST:
                raise ClusterError(
                    f"the actors of the cluster must start; {_MAX_LOST} in a row did not; the last said {said_by(error)}",
                    self._address or "",
                ) from error
            return []
        num_lost = actor.task.num_lost + 1
        if num_lost < _MAX_LOST:
            waiting.append(_Task(actor.task.path, num_lost))
            return []
        said = f"the actor that has it must live; {num_lost} died; the last: {said_by(error)}"
        return [
            error_row(
                actor.task.path,
                self._job,
                said,
                seconds=actor.seconds,
                attempts=num_lost,
            )
        ]


def num_wanted(
    *,
    num_videos: int,
    num_ready: int,
    num_cores: int,
    min_workers: int,
    max_workers: int | None,
) -> int:
    """Return the wanted number of actors, including those for which there is no room yet.

    An autoscaling cluster grows for those; at most twice the current number is requested, so that it grows gradually.

    Args:
        num_videos: Number of unfinished videos.
        num_ready: Number of actors that have loaded the model.
        num_cores: Current number of cores of the cluster.
        min_workers: Number of actors to request immediately.
        max_workers: Maximum number of actors; `None` for no limit.

    Example:
        >>> num_wanted(num_videos=100, num_ready=8, num_cores=8, min_workers=1, max_workers=12)
        12
    """
    wanted = max(min_workers, num_cores, 2 * num_ready)
    return min(wanted, num_videos, max_workers or wanted)


def _cores_of_cluster() -> int:
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


class _Actor:
    """The driver's side of an actor, and the video that it has.

    Attributes:
        task: The video; `None` while it has none.
    """

    def __init__(self, job: Job, limits: Limits) -> None:
        import ray

        remote = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Process)
        self._handle: Any = remote.remote(job, limits, os.getcwd())  # noqa: PTH109 - text
        self.task: _Task | None = None
        self._begin_s = time.monotonic()

    @property
    def seconds(self) -> float:
        """Processing time of its video so far, in seconds."""
        return time.monotonic() - self._begin_s

    def load(self) -> Any:
        """Start loading the model; return the call to wait for."""
        return self._handle.load.remote()

    def give(self, task: _Task) -> Any:
        """Start processing a video; return the call to wait for."""
        self.task = task
        self._begin_s = time.monotonic()
        return self._handle.process.remote(task.path)

    def kill(self) -> None:
        """End it, wherever it is."""
        import ray

        # See `connected` for why nothing may hold it.
        handle, self._handle = self._handle, None
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(handle)


class _Process:
    """The actor itself, in its own process on a node.

    Args:
        job: The job.
        limits: The limits per video.
        folder: The working directory of the driver, for relative paths.
    """

    def __init__(self, job: Job, limits: Limits, folder: str) -> None:
        # A node that does not have the folder cannot have a file in it.
        with contextlib.suppress(OSError):
            os.chdir(folder)
        # A worker begins by importing the program of the process above it; here that is Ray, which it does not need.
        vars(sys.modules["__main__"]).pop("__file__", None)
        self._pool = Pool(job, 1, limits)
        self._pool.begin()

    def load(self) -> _FromActor:
        """Load the model."""
        try:
            self._pool.start()
        except MoViNetError as error:
            return Failed(error)
        return Ready(is_heavy=False)

    def process(self, path: str) -> _FromActor:
        """Return the row of a video; a worker that died is replaced."""
        try:
            [[row]] = self._pool.process([path])
        except MoViNetError as error:
            return Failed(error)
        return Finished(row)
