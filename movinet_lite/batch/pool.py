"""Starts workers, limits time and memory per video, and retries when a worker dies."""

from __future__ import annotations

import collections
import contextlib
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from movinet_lite.arrays import check_positive
from movinet_lite.batch.job import Job
from movinet_lite.batch.one_video import Row, error_row
from movinet_lite.batch.worker import (
    Failed,
    Finished,
    FromWorker,
    GiveBack,
    GivenBack,
    Ready,
    work,
)
from movinet_lite.errors import ArrayError, ModelError
from movinet_lite.interrupts import interrupts_held_back

if TYPE_CHECKING:
    # Windows has no fork server.
    from multiprocessing.context import ForkServerContext, SpawnContext

__all__ = ["Limits", "Pool"]

_LOOK_EVERY_S: Final = 0.25
"""Interval at which time and memory are checked, in seconds."""

_MAX_GIVEN: Final = 2
"""Maximum number of videos that a worker has: the one it processes, and one ahead, so that it never waits for the next."""

_STATM: Final = "/proc/{}/statm"


def _check_optional(_limits: object, field: Any, value: float | None) -> None:
    if value is not None:
        check_positive(value, field.name)


def _check_memory(_limits: object, _field: object, value: float | None) -> None:
    if value is not None and not Path(_STATM.format("self")).exists():
        raise ArrayError(
            "memory_mb needs the folder /proc of Linux; this system has none"
        )


def _check_attempts(_limits: object, _field: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArrayError(f"attempts must be a whole number, at least 1; got {value!r}")


@attrs.frozen(kw_only=True)
class Limits:
    """Resource limits per video. A video that exceeds them becomes a row with an error.

    Attributes:
        timeout_s: Time limit of one attempt, in seconds; `None` for no limit.
        memory_mb: Memory limit of a worker, in MiB of resident memory; `None` for no limit. Linux only.
        attempts: Maximum number of attempts for a video whose worker dies or exceeds its memory limit. Videos that
            exceed the time limit are not retried.
        load_timeout_s: Time limit for loading the model, in seconds; `None` for no limit. Exceeding it ends the batch.

    Raises:
        ArrayError: If one is out of range.
    """

    timeout_s: float | None = attrs.field(default=3600.0, validator=_check_optional)
    memory_mb: float | None = attrs.field(
        default=None, validator=[_check_optional, _check_memory]
    )
    attempts: int = attrs.field(default=2, validator=_check_attempts)
    load_timeout_s: float | None = attrs.field(
        default=1800.0, validator=_check_optional
    )


@attrs.frozen
class _Task:
    """A video, and its number of earlier attempts."""

    path: str
    num_tried: int = 0


class Pool:
    """Worker processes that each load a model once; a context manager.

    The first worker loads the model before the others, so that a model is downloaded and compiled only once.

    Args:
        job: The job.
        num_workers: Number of processes.
        limits: The limits per video.
    """

    def __init__(self, job: Job, num_workers: int, limits: Limits) -> None:
        self._job = job
        self._num_workers = num_workers
        self._limits = limits
        self._workers: list[_Worker] = []
        self._is_started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, even while processing a video."""
        while self._workers:
            self._workers.pop().close()

    def begin(self, num_workers: int = 1) -> None:
        """Start the worker processes, which load nothing yet."""
        while len(self._workers) < num_workers:
            self._add()

    def start(self, num_workers: int = 1) -> None:
        """Load the model in a first worker, and wait for it; the other processes start meanwhile.

        Raises:
            MoViNetError: If the model cannot be loaded.
        """
        if self._is_started:
            return
        self._is_started = True
        self.begin(num_workers)
        first, *others = self._workers
        first.load()
        ready = first.wait_until_ready(self._limits)
        if ready.is_heavy:
            # TensorFlow compiled the model; what it left in memory goes with this process.
            self._replace(first).wait_until_ready(self._limits)
        for worker in others:
            worker.load()

    def process(self, paths: Iterable[str]) -> Iterator[list[Row]]:
        """Yield the rows of *paths*, in order of completion, those of the same moment together.

        Raises:
            MoViNetError: If the model cannot be loaded.
        """
        waiting = collections.deque(map(_Task, paths))
        self.start(max(1, min(self._num_workers, len(waiting))))
        self._give_out(waiting)
        while waiting or any(worker.tasks for worker in self._workers):
            rows: list[Row] = []
            for worker in self._wait():
                rows += self._look_at(worker, waiting)
            # A worker never waits for what is done with the rows.
            self._give_out(waiting)
            if rows:
                yield rows

    def _give_out(self, waiting: collections.deque[_Task]) -> None:
        """Give the workers videos: first those that are idle, then one ahead for each."""
        ready = [worker for worker in self._workers if worker.is_ready]
        for num_given in range(_MAX_GIVEN):
            for worker in ready:
                if waiting and len(worker.tasks) == num_given:
                    worker.give(waiting.popleft())
        # A video never waits behind a long one while a worker is idle.
        num_idle = sum(not worker.tasks for worker in ready)
        num_asked = sum(worker.is_asked for worker in ready)
        ahead = [one for one in ready if len(one.tasks) > 1 and not one.is_asked]
        for worker in ahead[: max(0, num_idle - num_asked)]:
            worker.ask_back()

    def _wait(self) -> list[_Worker]:
        """Wait for an event or the next check of the limits; return the workers to check."""
        happened = set(
            wait(
                [one for worker in self._workers for one in worker.to_wait_for],
                timeout=_LOOK_EVERY_S,
            )
        )
        return [
            worker
            for worker in self._workers
            if not happened.isdisjoint(worker.to_wait_for)
            or worker.excess(self._limits)
        ]

    def _look_at(self, worker: _Worker, waiting: collections.deque[_Task]) -> list[Row]:
        """Process a message of a worker; replace it if it died or exceeded its limits."""
        with contextlib.suppress(EOFError, OSError):
            if worker.has_message():
                return self._sort(worker.receive(), waiting)
        return self._end(worker, waiting)

    @staticmethod
    def _sort(
        message: Ready | Row | _Task, waiting: collections.deque[_Task]
    ) -> list[Row]:
        """Return the row of a message, if it is one, and put a video that was given back into *waiting*."""
        if isinstance(message, _Task):
            waiting.appendleft(message)
        return [message] if isinstance(message, dict) else []

    def _end(self, worker: _Worker, waiting: collections.deque[_Task]) -> list[Row]:
        """Replace a worker that died or exceeded its limits; return the error of its video unless it is retried."""
        excess = worker.excess(self._limits)
        task, seconds, is_ready = worker.task, worker.seconds, worker.is_ready
        death = worker.kill()
        if not is_ready:
            said = (
                excess.message
                if excess
                else f"a worker must load the model; it {death}"
            )
            raise ModelError(said, str(self._job.model))
        # It may have finished the video a moment before it was killed. The one ahead is not to blame.
        rows = [
            row
            for message in worker.last_messages()
            for row in self._sort(message, waiting)
        ]
        is_failed = task is not None and worker.task is task
        waiting.extendleft(reversed(list(worker.tasks)[is_failed:]))
        self._replace(worker)
        if task is None or not is_failed:
            return rows
        num_tried = task.num_tried + 1
        if num_tried < self._limits.attempts and not (excess and excess.is_final):
            waiting.append(_Task(task.path, num_tried))
            return rows
        said = excess.message if excess else f"the worker {death}"
        failed = error_row(
            task.path, self._job, said, seconds=seconds, attempts=num_tried
        )
        return [*rows, failed]

    def _add(self) -> _Worker:
        worker = _Worker(self._job)
        self._workers.append(worker)
        return worker

    def _replace(self, worker: _Worker) -> _Worker:
        worker.close()
        self._workers.remove(worker)
        new = self._add()
        new.load()
        return new


@attrs.frozen
class _Excess:
    """What a video or a model took too much of, and whether it is given up at once."""

    message: str
    is_final: bool


class _Worker:
    """A worker process, and its videos.

    Attributes:
        tasks: Its videos. It processes the first.
        is_ready: Whether its model is loaded.
        is_asked: Whether it was asked to give back the video ahead, and has neither done so nor begun it.
    """

    def __init__(self, job: Job) -> None:
        context = _context()
        self._connection: Connection
        self._connection, theirs = context.Pipe()
        self._job = job
        self._process: BaseProcess = context.Process(
            target=work, args=(theirs, job), name="movinet-lite worker", daemon=True
        )
        with interrupts_held_back():
            self._process.start()
        theirs.close()
        self.tasks: collections.deque[_Task] = collections.deque()
        self.is_ready = False
        self.is_asked = False
        self._has_hung_up = False
        self._begin_s = time.monotonic()

    @property
    def task(self) -> _Task | None:
        """The video that it processes; `None` while it has none."""
        return self.tasks[0] if self.tasks else None

    @property
    def to_wait_for(self) -> tuple[Connection, int]:
        """What changes when there is a message, or the process dies."""
        return self._connection, self._process.sentinel

    @property
    def seconds(self) -> float:
        """Time of its current video, or of loading the model, in seconds."""
        return time.monotonic() - self._begin_s

    def has_message(self) -> bool:
        """Return whether there is a message; also true once it has died, of which `receive` tells."""
        return self._connection.poll()

    def load(self) -> None:
        """Let it load the model."""
        self._begin_s = time.monotonic()
        self._send(None)

    def wait_until_ready(self, limits: Limits) -> Ready:
        """Wait for the model to be loaded.

        Raises:
            MoViNetError: Why it cannot be.
        """
        with contextlib.suppress(EOFError, OSError):
            if not self._connection.poll(limits.load_timeout_s):
                raise ModelError(_too_slow(limits), str(self._job.model))
            message = self._receive()
            if isinstance(message, Ready):
                return message
        raise ModelError(
            f"a worker must load the model; it {self.kill()} "
            "(a script that runs a batch must do so under: if __name__ == '__main__')"
        )

    def receive(self) -> Ready | Row | _Task:
        """Return the row of the video, a video that it gives back, or that the model is loaded.

        Raises:
            MoViNetError: If the model cannot be loaded.
            EOFError: If the process died.
        """
        message = self._receive()
        if isinstance(message, Ready):
            return message
        if isinstance(message, GivenBack):
            return self._remove(message.path)
        task = self._remove(message.row["path"])
        return {**message.row, "attempts": task.num_tried + 1}

    def last_messages(self) -> Iterator[Ready | Row | _Task]:
        """Yield what it sent before it was killed."""
        with contextlib.suppress(EOFError, OSError):
            while self.has_message():
                yield self.receive()

    def _receive(self) -> Ready | Finished | GivenBack:
        try:
            message: FromWorker = self._connection.recv()
        except (EOFError, OSError):
            self._has_hung_up = True
            raise
        if isinstance(message, Failed):
            raise message.error
        if isinstance(message, Ready):
            self.is_ready = True
        return message

    def _remove(self, path: str) -> _Task:
        """Remove one of its videos, which it has finished or gives back."""
        [task] = [one for one in self.tasks if one.path == path][:1]
        if task is self.task:
            self._begin_s = time.monotonic()  # of the next
        self.tasks.remove(task)
        self.is_asked = False
        return task

    def give(self, task: _Task) -> None:
        """Let it process a video after those that it has."""
        if not self.tasks:
            self._begin_s = time.monotonic()
        self.tasks.append(task)
        self._send(task.path)

    def ask_back(self) -> None:
        """Ask for a video that it has not begun."""
        self.is_asked = True
        self._send(GiveBack())

    def _send(self, message: str | GiveBack | None) -> None:
        # One that has died is seen when it is waited for.
        with contextlib.suppress(OSError):
            self._connection.send(message)

    def excess(self, limits: Limits) -> _Excess | None:
        """Return which limit its video or its model is beyond, if any."""
        if not self.is_ready:
            is_late = self.seconds > (limits.load_timeout_s or math.inf)
            return _Excess(_too_slow(limits), is_final=True) if is_late else None
        if not self.tasks:
            return None
        if self.seconds > (limits.timeout_s or math.inf):
            return _Excess(
                f"it must take at most {limits.timeout_s:g} s; it took longer",
                is_final=True,
            )
        if limits.memory_mb and _resident_mb(self._process.pid) > limits.memory_mb:
            return _Excess(
                f"a worker must take at most {limits.memory_mb:g} MiB; it took more",
                is_final=False,
            )
        return None

    def kill(self) -> str:
        """End it, if it has not ended, and return how it ended. What it sent before can still be received."""
        # Its end is visible a moment before its exit status.
        has_ended = self._has_hung_up or bool(wait([self._process.sentinel], 0))
        self._process.join(10.0 if has_ended else 0)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            self._process.join()
            return "was ended"
        return _death(code)

    def close(self) -> None:
        """End it, and drop what it sent."""
        self.kill()
        self._connection.close()


def _context() -> SpawnContext | ForkServerContext:
    """Return how worker processes are started: from the fork server where the process has chosen one, else anew.

    Never by a plain fork, which does not copy the threads of this process. The children of a fork server have the
    environment of the moment when it was started, so that only the program itself may choose it.
    """
    if multiprocessing.get_start_method(allow_none=True) == "forkserver":
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def _too_slow(limits: Limits) -> str:
    return f"a worker must load the model in at most {limits.load_timeout_s:g} s; it took longer"


def _death(code: int) -> str:
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"died of {signal.Signals(-code).name}"
    except ValueError:
        return f"died of signal {-code}"


def _resident_mb(process_id: int | None) -> float:
    """Return the resident memory of a process in MiB; 0 if it has gone."""
    try:
        fields = Path(_STATM.format(process_id)).read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
