"""Video sources: the path of a file, or a binary file object."""

from __future__ import annotations

import io
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import attrs

from movinet_lite.errors import VideoError, VideoNotFoundError
from movinet_lite.video.redaction import redact

__all__ = ["VideoFile", "VideoSource"]

VideoSource: TypeAlias = str | Path | BinaryIO
"""The path of a video file, or a seekable binary file object, such as `io.BytesIO`."""

_LIVE = re.compile(r"(rtsps?|rtmps?|rtp|srt|udp|mms)://?", re.IGNORECASE)


@attrs.frozen
class VideoFile:
    """A video file that has not been opened yet.

    Attributes:
        path: Its path, or its name in messages if it is a file object.
    """

    path: Path
    _file: BinaryIO | None = None

    @classmethod
    def of(cls, source: object) -> VideoFile:
        """Return the video file for *source*.

        Raises:
            VideoError: If it is neither a path nor a binary file object.
        """
        if isinstance(source, (str, os.PathLike)):
            return cls(Path(os.fsdecode(source)))
        if hasattr(source, "read"):
            name = getattr(source, "name", None)
            shown = name if isinstance(name, str) else f"<{type(source).__name__}>"
            return cls(Path(shown), _check_file_object(source, shown))
        if isinstance(source, int):
            raise VideoError(
                "a video must be a file; open a camera by its number with movinet_lite.live.open_source or movinet-lite watch",
                str(source),
            )
        raise VideoError(
            f"a video must be a path or a binary file object; got a {type(source).__name__}",
            repr(source)[:40],
        )

    def for_pyav(self) -> str | BinaryIO:
        """Return an object that PyAV can open, at its beginning.

        Raises:
            VideoNotFoundError: If the file does not exist.
            VideoError: If it is not a regular file, or is empty.
        """
        if self._file is None:
            _check_path(self.path)
            # With "file:", no name is parsed as a URL, not even "12:30.mp4".
            return f"file:{self.path}"
        if self._file.seek(0, io.SEEK_END) == 0:
            raise VideoError("the file is empty", self.path)
        self._file.seek(0)
        return self._file

    def tail(self, length: int) -> bytes:
        """Return the last *length* bytes, or all if there are fewer."""
        if self._file is None:
            with self.path.open("rb") as file:
                return _tail(file, length)
        return _tail(self._file, length)


def _tail(file: BinaryIO, length: int) -> bytes:
    file.seek(-min(file.seek(0, io.SEEK_END), length), io.SEEK_END)
    return file.read()


def _check_file_object(source: object, name: str) -> BinaryIO:
    file = cast("BinaryIO", source)
    if isinstance(source, io.TextIOBase):
        raise VideoError(
            "a file object must be binary; this one reads text (open it with 'rb')",
            name,
        )
    if getattr(source, "closed", False):
        raise VideoError("the file object is closed", name)
    if not hasattr(source, "seek") or (
        hasattr(source, "seekable") and not file.seekable()
    ):
        raise VideoError(
            "a file object must be seekable (read it into io.BytesIO first)", name
        )
    return file


def _check_path(path: Path) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        # A path has dropped a slash of an address.
        address = redact(re.sub("^([a-zA-Z]{2,}):/", r"\1://", str(path)))
        if _LIVE.match(str(path)):
            raise VideoNotFoundError(
                "a video must be a file; open a live source with movinet_lite.live.open_source or movinet-lite watch",
                address,
            ) from None  # the cause contains the address with its credentials
        if ":/" in str(path):
            raise VideoNotFoundError(
                "there is no such file (a URL? download it first, or, if it is live, open it with "
                "movinet_lite.live.open_source or movinet-lite watch)",
                address,
            ) from None
        raise VideoNotFoundError("there is no such file", path) from error
    except (OSError, ValueError) as error:
        raise VideoError(f"it cannot be read: {error}", path) from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError("it is a directory; pass a video file", path)
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(
            "it is a device or a pipe; pass a video file, or open it with movinet_lite.live.open_source",
            path,
        )
    if status.st_size == 0:
        raise VideoError("the file is empty", path)
