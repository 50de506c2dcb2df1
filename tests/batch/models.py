"""Models for batches, which worker processes import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from movinet_lite import StreamingClassifier
from movinet_lite.atomic import write_atomically
from movinet_lite.errors import ModelError
from movinet_lite.testing import FakeStreamModel


class _Told(StreamingClassifier):
    """A classifier that the name of a video tells what to do."""

    def read_video(self, path, **options):
        name = Path(path).name if isinstance(path, str) else ""  # a file object
        if "deadly" in name:  # to the process above this one, and so to this one
            os.kill(os.getppid(), signal.SIGKILL)
        if "crash" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        while "endless" in name or "deadly" in name:
            time.sleep(0.01)
        if "greedy" in name:
            self.kept = bytearray(b"x" * 2**29)
            while True:
                time.sleep(0.01)
        return super().read_video(path, **options)


def told() -> StreamingClassifier:
    """Return a classifier that crashes, hangs or eats memory where a video is called so."""
    return _Told(FakeStreamModel())


def missing() -> StreamingClassifier:
    """Fail as a model that is not there."""
    raise ModelError("there is no such model", "nowhere")


class _Partnered(_Told):
    """A classifier for which the name of a video tells what else must happen before it goes on.

    A file ``started`` beside the video says which actor has it: the process above this one.
    """

    def read_video(self, path, **options):
        path = Path(path)
        marker = path.with_suffix(".started")
        if "stuck" in path.name and not marker.exists():
            write_atomically(marker, str(os.getppid()).encode())
            while True:
                time.sleep(0.01)
        if "pair" in path.name:
            marker.touch()
            while len(list(path.parent.glob("pair*.started"))) < 2:
                time.sleep(0.01)
        return super().read_video(path, **options)


def partnered() -> StreamingClassifier:
    """Return a classifier that hangs on "stuck" the first time, and on "pair" until there are two at a time."""
    return _Partnered(FakeStreamModel())


def slow() -> StreamingClassifier:
    """Load for ever."""
    while True:
        time.sleep(0.01)


def slow_after_the_first() -> StreamingClassifier:
    """Load once, then for ever; the file that the environment names says that it was done."""
    marker = Path(os.environ["LOADED_ONCE"])
    if marker.exists():
        slow()
    marker.touch()
    return told()
