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
        is_heavy: Whether TensorFlow is in memory although the model does not need it: it was just compiled.
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
    """Load the model, then answer the path of a video with its row until the other end closes.

    The other end closes when its process has gone, however it went; then this process ends at once, in the middle of a
    video.

    Args:
        connection: To the pool.
        job: What to compute.
    """
    # This process is the pool's alone. Ctrl-C reaches every process of a terminal; the pool ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    paths: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, paths), daemon=True).start()
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
    """Pass paths on; the work of a thread that also notices, while a video goes on, that the pool has gone."""
    while True:
        try:
            paths.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)
