"""Runs a batch, from the start or from where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from movinet_lite.batch.cluster import check_ray
from movinet_lite.batch.inputs import find_videos
from movinet_lite.batch.job import Job
from movinet_lite.batch.journal import Journal, read_rows
from movinet_lite.batch.one_video import Row
from movinet_lite.batch.parquet import check_pyarrow, write_parquet
from movinet_lite.batch.pool import Limits, Pool
from movinet_lite.batch.progress import BatchProgress
from movinet_lite.batch.ray_pool import RayPool
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ArrayError, DataError

__all__ = ["Processor", "check_output", "on_ray", "run", "run_with"]

_ENDINGS: Final = (".jsonl", ".parquet")


class Processor(Protocol):
    """Computes the rows of videos."""

    def process(self, paths: Iterable[str]) -> Iterator[list[Row]]:
        """Yield the rows of *paths*, in any order, those of the same moment together."""


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

    To resume an interrupted run, start it again with the same *output*: videos that have a row are skipped. A video
    that is broken, exceeds the limits or crashes its worker becomes a row with an error.

    Args:
        inputs: Folders, patterns, lists, URLs or paths; see `find_videos`.
        output: A ``.jsonl`` file, to which each row is appended when it is complete; or a ``.parquet`` file, which is
            written at the end from a ``.parquet.jsonl`` file next to it (requires the extra ``cluster``).
        job: The job; `None` for ``Job()``.
        workers: Number of processes; `None` for one per core. Each uses one thread for decoding and one for the model.
        limits: The limits per video; `None` for ``Limits()``.
        retry_errors: Whether to process videos again whose rows are errors.
        on_progress: Called at the start and after each row.

    Returns:
        The progress at the end: number of videos, done before, done in total, and errors.

    Raises:
        DataError: If *inputs* match no video, or *output* cannot be written, is in use, or contains rows of another
            job.
        ArrayError: If *workers* is below 1.
        ModelError: If the model cannot be loaded; then no video is processed.
        LabelsError: If a label of *job* is not one of the model's.
        MissingDependencyError: If a package is missing, such as pyarrow for Parquet.

    Example:
        ::

            from movinet_lite.batch import Job, run

            if __name__ == "__main__":  # workers import this file
                run("videos/", "results.jsonl", Job(model="a2", mode="events"))
    """
    job = job or Job()
    _check_workers("workers", workers)
    num_workers = workers or available_cores()
    return run_with(
        lambda: Pool(job, num_workers, limits or Limits()),
        inputs,
        output,
        job,
        retry_errors=retry_errors,
        on_progress=on_progress,
    )


def on_ray(
    inputs: str | Path | Iterable[str | Path],
    output: str | Path,
    job: Job | None = None,
    *,
    address: str | None = None,
    min_workers: int = 1,
    max_workers: int | None = None,
    limits: Limits | None = None,
    retry_errors: bool = False,
    on_progress: Callable[[BatchProgress], None] | None = None,
) -> BatchProgress:
    """Process many videos on a Ray cluster, and write the same rows as `run`.

    Paths are sent to the nodes, never frames, and rows are returned to this machine, which writes *output*. Each node
    must have the package with the extra ``cluster``, and access the videos and the model under the same paths or URLs.
    Relative paths are relative to this process's working directory on every node. A video whose actor or node dies is
    processed by another one.

    Args:
        inputs: Folders, patterns, lists, URLs or paths; see `find_videos`.
        output: As for `run`. A run resumes where it stopped, also one started by `run`.
        job: The job; `None` for ``Job()``.
        address: The address of the cluster, such as ``"10.0.0.1:6379"`` or ``"ray://10.0.0.1:10001"``; `None` for
            ``RAY_ADDRESS``, a running cluster on this machine, or a new one on this machine only, in this order. An
            existing connection of the process is used.
        min_workers: Number of actors to request immediately, even if the cluster must grow for them.
        max_workers: Maximum number of actors, each with one core; `None` for as many as the cluster has room for or
            grows to.
        limits: The limits per video on its node; `None` for ``Limits()``.
        retry_errors: Whether to process videos again whose rows are errors.
        on_progress: Called at the start and after each row.

    Returns:
        As `run`.

    Raises:
        ClusterError: If the cluster cannot be reached, or its actors do not start.
        DataError: As in `run`.
        ArrayError: If *min_workers* or *max_workers* is below 1, or *job* has a function of the main program.
        ModelError: If the model cannot be loaded; then no video is processed.
        LabelsError: If a label of *job* is not one of the model's.
        MissingDependencyError: If a package is missing, such as Ray.
    """
    job = job or Job()
    _check_workers("min_workers", min_workers)
    _check_workers("max_workers", max_workers)
    if getattr(job.model, "__module__", None) == "__main__":
        raise ArrayError(
            "the function that returns the model must be in a module that nodes can import; it is in the main program"
        )
    check_ray()
    return run_with(
        lambda: RayPool(
            job,
            limits or Limits(),
            address=address,
            min_workers=min_workers,
            max_workers=max_workers,
        ),
        inputs,
        output,
        job,
        retry_errors=retry_errors,
        on_progress=on_progress,
    )


def _check_workers(name: str, workers: int | None) -> None:
    if workers is not None and (isinstance(workers, bool) or workers < 1):
        raise ArrayError(f"{name} must be a whole number, at least 1; got {workers!r}")


def run_with(
    open_processor: Callable[[], AbstractContextManager[Processor]],
    inputs: str | Path | Iterable[str | Path],
    output: str | Path,
    job: Job,
    *,
    retry_errors: bool,
    on_progress: Callable[[BatchProgress], None] | None,
) -> BatchProgress:
    """Process many videos with the result of *open_processor*; see `run`."""
    output = check_output(output)
    is_parquet = output.suffix.lower() == ".parquet"
    paths = find_videos(inputs)
    rows_path = output.with_name(f"{output.name}.jsonl") if is_parquet else output
    with Journal(rows_path, job.digest, retry_errors=retry_errors) as journal:
        left = [path for path in paths if path not in journal.done]
        progress = BatchProgress(
            len(paths),
            len(paths) - len(left),
            num_errors_before=len(journal.failed.intersection(paths)),
        )
        if on_progress:
            on_progress(progress)
        if left:
            with open_processor() as processor:
                for rows in processor.process(left):
                    # A cluster may process a video twice when a part of it fails.
                    done = journal.done
                    new = {row["path"]: row for row in rows if row["path"] not in done}
                    journal.append(new.values())
                    for row in new.values():
                        progress = progress.after(is_error=row["error"] is not None)
                        if on_progress:
                            on_progress(progress)
        if is_parquet:
            write_parquet(read_rows(rows_path), output)
    return progress


def check_output(output: str | Path) -> Path:
    """Return the path of the results, after checking that they can be written.

    Raises:
        DataError: If its extension is unknown.
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
