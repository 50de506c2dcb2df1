"""A pool of actors on a Ray cluster, as many as the cluster has room for; lost actors are replaced."""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, Self, TypeAlias

import attrs

from movinet_lite.batch.cluster import connected
from movinet_lite.batch.job import Job
from movinet_lite.batch.one_video import Row, error_row
from movinet_lite.batch.pool import Limits, Pool
from movinet_lite.batch.worker import Failed, Finished, GivenBack, Ready
from movinet_lite.errors import ClusterError, MoViNetError, said_by

__all__ = ["RayPool", "num_wanted"]

_LOOK_EVERY_S: Final = 1.0
"""Interval at which the size of the cluster is checked, in seconds."""

_MAX_GIVEN: Final = 2
"""Maximum number of videos that an actor has: the one it processes, and one ahead, so that it never waits for the next."""

_MAX_LOST: Final = 5
"""Maximum number of actors lost in a row while starting, or with one video."""


@attrs.frozen
class _Task:
    """A video, and the number of actors lost while processing it."""

    path: str
    num_lost: int = 0


_FromActor: TypeAlias = Ready | Failed | Finished | GivenBack


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
        self._calls: dict[
            Any, _Actor
        ] = {}  # what actors are doing or will do, in the order of the requests
        self._begun: list[_Actor] = []
        self._loading: list[_Actor] = []
        self._ready: list[_Actor] = []
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
            for actors in (self._begun, self._loading, self._ready):
                while actors:
                    actors.pop().kill()
            self._calls = {}

    def process(self, paths: Iterable[str]) -> Iterator[list[Row]]:
        """Yield the rows of *paths*, in order of completion, those of the same moment together.

        Raises:
            MoViNetError: Why the model cannot be loaded.
            ClusterError: If the actors do not start.
        """
        waiting = collections.deque(map(_Task, paths))
        while waiting or any(actor.tasks for actor in self._ready):
            self._give_out(waiting)
            self._fit(waiting)
            rows = self._wait(waiting)
            # An actor never waits for what is done with the rows.
            self._give_out(waiting)
            if rows:
                yield rows

    def _give_out(self, waiting: collections.deque[_Task]) -> None:
        """Give the actors videos: first those that are idle, then one ahead for each."""
        for num_given in range(_MAX_GIVEN):
            for actor in self._ready:
                if waiting and len(actor.tasks) == num_given:
                    self._calls[actor.give(waiting.popleft())] = actor
        # A video never waits behind a long one while an actor is idle.
        num_idle = sum(not actor.tasks for actor in self._ready)
        num_asked = sum(actor.is_asked for actor in self._ready)
        ahead = [one for one in self._ready if len(one.tasks) > 1 and not one.is_asked]
        for actor in ahead[: max(0, num_idle - num_asked)]:
            actor.ask_back()

    def _fit(self, waiting: collections.deque[_Task]) -> None:
        """Adjust the number of actors to the work and the room in the cluster."""
        if self._calls and time.monotonic() < self._looked_s + _LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        idle = [actor for actor in self._ready if not actor.tasks]
        wanted = num_wanted(
            num_videos=len(waiting) + sum(len(actor.tasks) for actor in self._ready),
            num_ready=len(self._ready),
            num_cores=_cores_of_cluster(),
            min_workers=self._min_workers,
            max_workers=self._max_workers,
        )
        excess = len(self._begun) + len(self._loading) + len(self._ready) - wanted
        self._begun += [_Actor(self._job, self._limits) for _ in range(-excess)]
        for _ in range(excess):
            if self._begun:
                self._begun.pop().kill()
            elif self._loading:
                self._remove(self._loading[-1])
            elif idle:
                self._remove(idle.pop())
        # The processes of all begin at once, but the first loads the model alone.
        while self._begun and (self._is_loadable or not self._loading):
            actor = self._begun.pop(0)
            self._loading.append(actor)
            self._calls[actor.load()] = actor

    def _remove(self, actor: _Actor) -> None:
        """End an actor, and forget what it was to do."""
        self._calls = {key: one for key, one in self._calls.items() if one is not actor}
        for actors in (self._loading, self._ready):
            if actor in actors:
                actors.remove(actor)
        actor.kill()

    def _wait(self, waiting: collections.deque[_Task]) -> list[Row]:
        """Wait for an event or the next check of the cluster; return the completed rows."""
        import ray

        calls = list(self._calls)
        done, _ = ray.wait(calls, timeout=_LOOK_EVERY_S)
        if done:  # and all others that are done by now
            done, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        rows: list[Row] = []
        for call in done:
            if call in self._calls:  # not of an actor that was lost a moment ago
                rows += self._take(call, waiting)
        return rows

    def _take(self, call: Any, waiting: collections.deque[_Task]) -> list[Row]:
        """Process the result of a call; remove the actor if it is lost."""
        import ray

        actor = self._calls[call]
        try:
            message: _FromActor = ray.get(call)
        except ray.exceptions.RayError as error:
            first = next(key for key, one in self._calls.items() if one is actor)
            if first == call:
                return self._lose(actor, error, waiting)
            # It may have done the first; else that one was lost, and this one with it.
            rows = self._take(first, waiting)
            return [*rows, *(self._take(call, waiting) if call in self._calls else [])]
        del self._calls[call]
        if isinstance(message, Failed):
            raise message.error
        if isinstance(message, Ready):
            self._loading.remove(actor)
            self._ready.append(actor)
            self._is_loadable = True
            self._num_failed_starts = 0
            self._looked_s = 0.0
            return []
        task = actor.pop(call)
        if isinstance(message, GivenBack):
            waiting.appendleft(task)
            return []
        row = message.row
        return [{**row, "attempts": row["attempts"] + task.num_lost}]

    def _lose(
        self, actor: _Actor, error: Exception, waiting: collections.deque[_Task]
    ) -> list[Row]:
        """Retry the video of a lost actor; return its error after too many attempts."""
        self._looked_s = 0.0
        self._remove(actor)
        if not actor.tasks:
            self._num_failed_starts += 1
            if self._num_failed_starts >= _MAX_LOST:
                raise ClusterError(
                    f"the actors of the cluster must start; {_MAX_LOST} in a row did not; the last said {said_by(error)}",
                    self._address or "",
                ) from error
            return []
        task, *ahead = actor.tasks.values()
        waiting.extendleft(reversed(ahead))  # not to blame
        num_lost = task.num_lost + 1
        if num_lost < _MAX_LOST:
            waiting.append(_Task(task.path, num_lost))
            return []
        said = f"the actor that has it must live; {num_lost} died; the last: {said_by(error)}"
        return [
            error_row(
                task.path,
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
    """The driver's side of an actor, and its videos.

    Attributes:
        tasks: Its videos, by their calls. It processes the first.
        is_asked: Whether it was asked to give back the video ahead, and has neither done so nor begun it.
    """

    def __init__(self, job: Job, limits: Limits) -> None:
        import ray

        # A thread for each video, of which one waits for its turn, and one for requests to give back.
        remote = ray.remote(
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=_MAX_GIVEN + 1,
        )(_Process)
        self._handle: Any = remote.remote(job, limits, os.getcwd())  # noqa: PTH109 - text
        self.tasks: dict[Any, _Task] = {}
        self.is_asked = False
        self._num_given = 0
        self._begin_s = time.monotonic()

    @property
    def seconds(self) -> float:
        """Processing time of its video so far, in seconds."""
        return time.monotonic() - self._begin_s

    def load(self) -> Any:
        """Start loading the model; return the call to wait for."""
        return self._handle.load.remote()

    def give(self, task: _Task) -> Any:
        """Let it process a video after those that it has; return the call to wait for."""
        if not self.tasks:
            self._begin_s = time.monotonic()
        call = self._handle.process.remote(self._num_given, task.path)
        self._num_given += 1
        self.tasks[call] = task
        return call

    def ask_back(self) -> None:
        """Ask for the video ahead; without effect if it has been begun."""
        self.is_asked = True
        self._handle.give_back.remote(self._num_given - 1)

    def pop(self, call: Any) -> _Task:
        """Remove one of its videos, which it has finished or gives back."""
        self.is_asked = False
        self._begin_s = time.monotonic()  # of the next
        return self.tasks.pop(call)

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
        self._turn = 0
        self._unwanted: set[int] = set()
        self._changed = threading.Condition()

    def load(self) -> _FromActor:
        """Load the model."""
        try:
            self._pool.start()
        except MoViNetError as error:
            return Failed(error)
        return Ready(is_heavy=False)

    def process(self, number: int, path: str) -> _FromActor:
        """Return the row of a video; a worker that died is replaced.

        Ray starts the calls in any order. They are processed in the order of their numbers, one at a time.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: number == self._turn or number in self._unwanted
            )
            if number in self._unwanted:
                return GivenBack(path)
        try:
            [[row]] = self._pool.process([path])
        except MoViNetError as error:
            return Failed(error)
        finally:
            with self._changed:
                self._turn += 1
                while self._turn in self._unwanted:
                    self._turn += 1
                self._changed.notify_all()
        return Finished(row)

    def give_back(self, number: int) -> None:
        """End the call with this number, unless its turn has come."""
        with self._changed:
            if number > self._turn:
                self._unwanted.add(number)
                self._changed.notify_all()
