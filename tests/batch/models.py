"""Models for batches, which worker processes import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from movinet_lite import StreamingClassifier
from movinet_lite.errors import ModelError
from movinet_lite.testing import FakeStreamModel


class _Told(StreamingClassifier):
    """A classifier that the name of a video tells what to do."""

    def read_video(self, path, **options):
        if "crash" in Path(path).name:
            os.kill(os.getpid(), signal.SIGKILL)
        while "endless" in Path(path).name:
            time.sleep(0.01)
        if "greedy" in Path(path).name:
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
