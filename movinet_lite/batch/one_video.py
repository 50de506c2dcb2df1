"""Processes one video and returns its row; every way of running a batch calls this."""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from movinet_lite.batch.job import Classifier, Job
from movinet_lite.batch.storage import is_remote, local_file
from movinet_lite.classifiers import StreamingClassifier
from movinet_lite.classifiers.of_file import predict_whole
from movinet_lite.errors import MoViNetError, said_by
from movinet_lite.predictions import LabelFilter, Prediction
from movinet_lite.video.ahead import FramesAhead

__all__ = ["Row", "error_row", "process_video"]

Row: TypeAlias = dict[str, Any]
"""The JSON values of one video:

==============  =============================================================================================
path            path of the video as given or found
size            bytes; null if it could not be read
duration_s      duration as stored in the file, in seconds; null if missing
predictions     a list of time_s (null for a whole video), label and score; null for events, and after an error
events          a list of events, see `Event.to_dict`; null for predictions, and after an error
seconds         processing time
attempts        number of attempts
error           null, or an error message
settings        the digest of the job
==============  =============================================================================================
"""


def process_video(classifier: Classifier, path: str, job: Job) -> Row:
    """Return the row of one video; errors are stored in the row.

    Args:
        classifier: The result of `Job.open`; its stream is reset.
        path: A path, or a URL in remote storage.
        job: The job.
    """
    begin_s = time.perf_counter()
    row = _new_row(path, job)
    try:
        with _as_file(path) as file:
            row["size"] = _size(file)
            with classifier.read_video(
                file, decode_threads=1, quality=job.quality
            ) as frames:
                row["duration_s"] = frames.info.duration_s
                found = _found(classifier, frames, job)
        row.update(found)
    except MoViNetError as error:
        row["error"] = error.message  # without the path, which may be that of a copy
    except Exception as error:  # noqa: BLE001 - one video never ends the batch
        row["error"] = f"{type(error).__name__}: {said_by(error)}"
    row["seconds"] = round(time.perf_counter() - begin_s, 3)
    return row


def error_row(path: str, job: Job, error: str, *, seconds: float, attempts: int) -> Row:
    """Return the row of a video for which the worker could not return one."""
    row = _new_row(path, job)
    with contextlib.suppress(OSError, ValueError):
        row["size"] = Path(path).stat().st_size
    row.update(error=error, seconds=round(seconds, 3), attempts=attempts)
    return row


def _new_row(path: str, job: Job) -> Row:
    return {
        "path": path,
        "size": None,
        "duration_s": None,
        "predictions": None,
        "events": None,
        "seconds": 0.0,
        "attempts": 1,
        "error": None,
        "settings": job.digest,
    }


def _as_file(path: str) -> AbstractContextManager[str | BinaryIO]:
    return local_file(path) if is_remote(path) else contextlib.nullcontext(path)


def _size(file: str | BinaryIO) -> int | None:
    if isinstance(file, str):
        return Path(file).stat().st_size if Path(file).is_file() else None
    return os.fstat(file.fileno()).st_size


def _found(classifier: Classifier, frames: FramesAhead, job: Job) -> Row:
    """Return the predictions or events of the job."""
    label_filter = LabelFilter(classifier.labels, allow=job.labels)
    if job.mode == "clip" or not isinstance(classifier, StreamingClassifier):
        prediction = predict_whole(classifier, frames)
        return {"predictions": _ranking(prediction, job, label_filter, time_s=None)}
    classifier.reset()
    if job.mode == "events":
        return {"events": _events(classifier, frames, job)}
    leading: str | None = None
    changes: list[Row] = []
    for prediction in classifier.run(frames):
        ranking = _ranking(prediction, job, label_filter, time_s=prediction.time_s)
        before, leading = leading, ranking[0]["label"] if ranking else None
        if leading != before:
            changes += ranking
    return {"predictions": changes}


def _ranking(
    prediction: Prediction, job: Job, label_filter: LabelFilter, *, time_s: float | None
) -> list[Row]:
    return [
        {"time_s": time_s, "label": label, "score": score}
        for label, score in prediction.top_k(job.top_k, label_filter=label_filter)
    ]


def _events(
    classifier: StreamingClassifier, frames: FramesAhead, job: Job
) -> list[Row]:
    # One after the other, as they end: a long video keeps no predictions.
    detector = job.new_detector()
    ended = [
        event
        for prediction in classifier.run(frames)
        for event in detector.update(prediction)
        if event.state == "ended"
    ]
    ended += [event for event in detector.finish() if event.state == "ended"]
    return [event.to_dict() for event in sorted(ended, key=lambda event: event.start_s)]
