"""Writes the rows of a batch to a Parquet file."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from movinet_lite.batch.one_video import Row
from movinet_lite.errors import DataError, MissingDependencyError

__all__ = ["check_pyarrow", "write_parquet"]

_ROWS_PER_GROUP: Final = 10_000


def check_pyarrow() -> None:
    """Check that pyarrow is installed.

    Raises:
        MissingDependencyError: If pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "cluster") from error


def write_parquet(rows: Iterable[Row], path: Path) -> None:
    """Write rows to a Parquet file atomically, some thousands at a time.

    Raises:
        DataError: If it cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.tmp")
    schema = _schema()
    left = iter(rows)
    try:
        with parquet.ParquetWriter(temporary, schema) as writer:
            while group := list(itertools.islice(left, _ROWS_PER_GROUP)):
                table = pa.Table.from_pylist(list(map(_as_text, group)), schema)
                writer.write_table(table)
        temporary.replace(path)
    except OSError as error:
        raise DataError(
            f"the file of results must be writable; got {error.strerror or error}",
            path,
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _as_text(row: Row) -> Row:
    r"""Return a row with a path that can be encoded as UTF-8; other bytes become ``\udc..``, as Python writes them."""
    path = row["path"].encode(errors="backslashreplace").decode()
    return {**row, "path": path}


def _schema() -> Any:
    import pyarrow as pa

    prediction = pa.struct(
        [("time_s", pa.float64()), ("label", pa.string()), ("score", pa.float64())]
    )
    event = pa.struct(
        [
            ("label", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("peak", pa.float64()),
            ("mean", pa.float64()),
            ("num_frames", pa.int64()),
            ("state", pa.string()),
            ("confirmed_s", pa.float64()),
        ]
    )
    return pa.schema(
        [
            ("path", pa.string()),
            ("size", pa.int64()),
            ("duration_s", pa.float64()),
            ("predictions", pa.list_(prediction)),
            ("events", pa.list_(event)),
            ("seconds", pa.float64()),
            ("attempts", pa.int64()),
            ("error", pa.string()),
            ("settings", pa.string()),
        ]
    )
