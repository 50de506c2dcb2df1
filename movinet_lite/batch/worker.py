"""The worker process: loads the model once and processes one video after another."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import attrs

from movinet_lite.batch.job import Job
from movinet_lite.batch.one_video import Row, process_video
from movinet_lite.errors import ModelError, MoViNetError, said_by

__all__ = ["Failed", "Finished", "FromWorker", "GiveBack", "GivenBack", "Ready", "work"]


@attrs.frozen
class GiveBack:
    """A request for a path that is not being processed yet, for a worker that is idle."""


@attrs.frozen
class Ready:
    """The model is loaded.

    Attributes:
        is_heavy: Whether TensorFlow is in memory although the model does not need it, because it was just compiled.
    """

    is_heavy: bool


@attrs.frozen
class Failed:
    """The model cannot be loaded."""

    error: MoViNetError


@attrs.frozen
class Finished:
    """A video has its row."""

    row: Row


@attrs.frozen
class GivenBack:
    """A path that this worker had not begun, and will not process."""

    path: str


FromWorker: TypeAlias = Ready | Failed | Finished | GivenBack


def work(connection: Connection, job: Job) -> None:
    """Load the model on request, then return the row for each received path until the connection is closed.

    The connection is closed when the parent process ends for any reason; then this process ends immediately, even while
    processing a video.

    Args:
        connection: The connection to the pool.
        job: The job.
    """
    # This process belongs to the pool. Ctrl-C reaches every process of a terminal; the pool ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    inbox = _Inbox(connection)
    threading.Thread(target=inbox.fill, daemon=True).start()
    inbox.next()  # the request to load
    try:
        classifier = job.open()
    except MoViNetError as error:
        inbox.answer(Failed(error))
        return
    except Exception as error:  # noqa: BLE001 - whatever a function that loads a model raises
        said = f"it must be one that can be loaded; got {type(error).__name__}: {said_by(error)}"
        inbox.answer(Failed(ModelError(said, str(job.model))))
        return
    inbox.answer(Ready(_is_heavy(classifier.info.engine)))
    while True:
        inbox.answer(Finished(process_video(classifier, inbox.next(), job)))


def _is_heavy(engine: str) -> bool:
    return "tensorflow" in sys.modules and engine != "tensorflow"


class _Inbox:
    """The requests that have not been begun, which a thread receives while a video is processed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._requests: SimpleQueue[Any] = SimpleQueue()
        self._sending = threading.Lock()

    def fill(self) -> None:
        """Receive requests until the pool ends, and this process with it."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                request = self._connection.recv()
                if isinstance(request, GiveBack):
                    self._give_back()
                else:
                    self._requests.put(request)
        os._exit(0)

    def next(self) -> Any:
        """Return the next request, after waiting for it."""
        return self._requests.get()

    def answer(self, message: FromWorker) -> None:
        """Send a message to the pool."""
        with self._sending:
            self._connection.send(message)

    def _give_back(self) -> None:
        # Without an answer the path has been begun; its row tells so.
        with contextlib.suppress(Empty):
            self.answer(GivenBack(self._requests.get_nowait()))
