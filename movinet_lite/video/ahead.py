"""Decodes frames ahead in a separate thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Final, Self

import attrs

from movinet_lite.arrays import VideoFrame
from movinet_lite.video.reading import FrameReader

__all__ = ["FramesAhead"]

_NUM_AHEAD: Final = 32
"""How many frames may wait to be used: two calls of a stream model."""


class FramesAhead:
    """The frames of a `FrameReader`, decoded and scaled while earlier ones are in use: an iterator and a context manager.

    The thread starts with the first frame asked for. It ends after the last frame, after an error, which is raised
    where the frame it replaces is asked for, and when this is closed or dropped, by which the reader is closed too.

    Args:
        reader: What gives the frames; for nobody else from now on.

    Attributes:
        path: The file.
        info: What the file says about itself.
    """

    def __init__(self, reader: FrameReader) -> None:
        self.path = reader.path
        self.info = reader.info
        self._reader = reader
        self._shared = _Shared()
        self._thread: threading.Thread | None = None
        self._is_at_end = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> VideoFrame:
        """Return the next frame.

        Raises:
            StopIteration: After the last one.
            VideoError: As `FrameReader` raises it.
        """
        if self._is_at_end:
            return next(self._reader)  # which says that it is closed, or at its end
        if self._thread is None:
            # The thread knows nothing of this object, so that dropping this ends it.
            self._thread = threading.Thread(
                target=_read,
                args=(self._reader, self._shared),
                name="movinet-lite-decoding",
                daemon=True,
            )
            self._thread.start()
        frame, error = self._shared.frames.get()
        self._shared.room.release()
        if frame is not None:
            return frame
        self.close()
        if error is not None:
            raise error
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the thread and close the file; to do so twice does no harm."""
        self._is_at_end = True
        self._shared.is_closed = True
        self._shared.room.release()
        if self._thread is not None:
            self._thread.join()
        self._reader.close()


@attrs.define
class _Shared:
    """What the thread and those who use the frames share.

    Attributes:
        frames: Each frame that was read, and last, in place of one, the error that ended it, if any.
        room: How many frames more may be read.
        is_closed: Whether no more frames are wanted.
    """

    frames: SimpleQueue[tuple[VideoFrame | None, BaseException | None]] = attrs.Factory(
        SimpleQueue
    )
    room: threading.Semaphore = attrs.Factory(lambda: threading.Semaphore(_NUM_AHEAD))
    is_closed: bool = False


def _read(frames: Iterator[VideoFrame], shared: _Shared) -> None:
    """Read until the end or until it is closed; the work of the thread."""
    error = None
    try:
        while shared.room.acquire() and not shared.is_closed:
            frame = next(frames, None)
            if frame is None:
                break
            shared.frames.put((frame, None))
    except BaseException as caught:  # noqa: BLE001 - raised where the frames are used
        error = caught
    shared.frames.put((None, error))
