"""The worker process: loads the model once and processes one video after another."""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, TypeAlias

import attrs

from movinet_lite.batch.job import Job
from movinet_lite.batch.one_video import Row, process_video
from movinet_lite.errors import ModelError, MoViNetError, said_by

__all__ = ["Failed", "Finished", "FromWorker", "Ready", "work"]


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


FromWorker: TypeAlias = Ready | Failed | Finished


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
    paths: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, paths), daemon=True).start()
    paths.get()  # the request to load
    try:
        classifier = job.open()
    except MoViNetError as error:
        connection.send(Failed(error))
        return
    except Exception as error:  # noqa: BLE001 - whatever a function that loads a model raises
        said = f"it must be one that can be loaded; got {type(error).__name__}: {said_by(error)}"
        connection.send(Failed(ModelError(said, str(job.model))))
        return
    connection.send(Ready(_is_heavy(classifier.info.engine)))
    while True:
        connection.send(Finished(process_video(classifier, paths.get(), job)))


def _is_heavy(engine: str) -> bool:
    return "tensorflow" in sys.modules and engine != "tensorflow"


def _receive(connection: Connection, paths: SimpleQueue[Any]) -> None:
    """Pass paths on, in a thread that also detects the end of the pool while a video is processed."""
    while True:
        try:
            paths.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)
