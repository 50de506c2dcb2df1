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
"""Maximum number of decoded frames in the queue: two calls of a stream model."""


class FramesAhead:
    """An iterator and context manager that decodes and scales frames of a `FrameReader` ahead of their use.

    The thread starts with the first call of `next`. It ends after the last frame, after an error, which is raised in
    place of the frame, and when this object is closed or garbage-collected, which also closes the reader.

    Args:
        reader: The source of frames, which must not be used elsewhere from now on.

    Attributes:
        path: The file.
        info: The facts of the file.
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
            VideoError: As in `FrameReader`.
        """
        if self._is_at_end:
            return next(
                self._reader
            )  # which raises the error that it is closed or at its end
        if self._thread is None:
            # The thread has no reference to this object, so that garbage collection ends it.
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
        """End the thread and close the file; closing twice has no effect."""
        self._is_at_end = True
        self._shared.is_closed = True
        self._shared.room.release()
        if self._thread is not None:
            self._thread.join()
        self._reader.close()


@attrs.define
class _Shared:
    """The data shared by the thread and its users.

    Attributes:
        frames: The decoded frames, followed by the error that ended decoding, if any.
        room: Number of frames that may still be read.
        is_closed: Whether no more frames are wanted.
    """

    frames: SimpleQueue[tuple[VideoFrame | None, BaseException | None]] = attrs.Factory(
        SimpleQueue
    )
    room: threading.Semaphore = attrs.Factory(lambda: threading.Semaphore(_NUM_AHEAD))
    is_closed: bool = False


def _read(frames: Iterator[VideoFrame], shared: _Shared) -> None:
    """Read until the end or until closed; this runs in the thread."""
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
