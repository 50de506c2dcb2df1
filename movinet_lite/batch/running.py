"""Runs a batch on this machine, from the start or where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from movinet_lite.batch.inputs import find_videos
from movinet_lite.batch.job import Job
from movinet_lite.batch.journal import Journal, read_rows
from movinet_lite.batch.one_video import Row
from movinet_lite.batch.parquet import check_pyarrow, write_parquet
from movinet_lite.batch.pool import Limits, Pool
from movinet_lite.batch.progress import BatchProgress
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ArrayError, DataError

__all__ = ["Processor", "check_output", "run", "run_with"]

_ENDINGS: Final = (".jsonl", ".parquet")


class Processor(Protocol):
    """What turns the paths of videos into rows."""

    def process(self, paths: Iterable[str]) -> Iterator[Row]:
        """Yield the row of each of *paths*, in any order."""


def run(
    inputs: str | Path | Iterable[str | Path],
    output: str | Path,
    job: Job | None = None,
    *,
    workers: int | None = None,
    limits: Limits | None = None,
    retry_errors: bool = False,
    on_progress: Callable[[BatchProgress], None] | None = None,
) -> BatchProgress:
    """Process many videos with a pool of worker processes, and write a row for each.

    A run that was interrupted, however, goes on where it was when it is started again with the same *output*: videos that
    have a row are passed over. A video that is broken, takes too long or too much memory, or makes a worker die becomes a
    row with an error.

    Args:
        inputs: Folders, patterns, lists, addresses or paths; see `find_videos`.
        output: A ``.jsonl`` file, to which each row is appended when it is known; or a ``.parquet`` file, which is written
            at the end, from a ``.parquet.jsonl`` beside it (needs the extra ``cluster``).
        job: What to compute; `None` for ``Job()``.
        workers: How many processes; `None` for one a core. Each decodes with one thread and computes with one.
        limits: What one video may take; `None` for ``Limits()``.
        retry_errors: Whether to do the videos again whose rows are errors.
        on_progress: Called at the beginning and after each row.

    Returns:
        How many videos there were, were done before, were done, and are errors.

    Raises:
        DataError: If *inputs* stand for no video, or *output* cannot be written, is in use, or holds rows of another job.
        ArrayError: If *workers* is below 1.
        ModelError: If the model cannot be loaded; then no video is tried.
        LabelsError: If a label of *job* is unknown to the model.
        MissingDependencyError: If a package is missing, such as pyarrow for Parquet.

    Example:
        ::

            from movinet_lite.batch import Job, run

            if __name__ == "__main__":  # workers import this file
                run("videos/", "results.jsonl", Job(model="a2", mode="events"))
    """
    job = job or Job()
    if workers is not None and (isinstance(workers, bool) or workers < 1):
        raise ArrayError(f"workers must be a whole number, at least 1; got {workers!r}")
    num_workers = workers or available_cores()
    return run_with(
        lambda: Pool(job, num_workers, limits or Limits()),
        inputs,
        output,
        job,
        retry_errors=retry_errors,
        on_progress=on_progress,
    )


def run_with(
    open_processor: Callable[[], AbstractContextManager[Processor]],
    inputs: str | Path | Iterable[str | Path],
    output: str | Path,
    job: Job,
    *,
    retry_errors: bool,
    on_progress: Callable[[BatchProgress], None] | None,
) -> BatchProgress:
    """Process many videos with what *open_processor* returns; see `run`."""
    output = check_output(output)
    is_parquet = output.suffix.lower() == ".parquet"
    paths = find_videos(inputs)
    rows_path = output.with_name(f"{output.name}.jsonl") if is_parquet else output
    with Journal(rows_path, job.digest, retry_errors=retry_errors) as journal:
        left = [path for path in paths if path not in journal.done]
        progress = BatchProgress(len(paths), len(paths) - len(left))
        if on_progress:
            on_progress(progress)
        if left:
            with open_processor() as processor:
                for row in processor.process(left):
                    if row["path"] in journal.done:
                        continue  # a cluster may do a video twice when a part of it fails
                    journal.append(row)
                    progress = progress.after(is_error=row["error"] is not None)
                    if on_progress:
                        on_progress(progress)
        if is_parquet:
            write_parquet(read_rows(rows_path), output)
    return progress


def check_output(output: str | Path) -> Path:
    """Return the path of the results, and refuse what cannot be written in the end.

    Raises:
        DataError: If its ending is another.
        MissingDependencyError: If pyarrow is missing.
    """
    path = Path(output)
    if path.suffix.lower() not in _ENDINGS:
        raise DataError(
            f"the name of a file of results must end in {' or '.join(_ENDINGS)}; got {path.name!r}",
            path,
        )
    if path.suffix.lower() == ".parquet":
        check_pyarrow()
    return path
