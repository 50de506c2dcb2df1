"""Decodes frames ahead in a separate thread."""

from __future__ import annotations

import threading
import weakref
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
    place of the frame, and when this object is closed, which also closes the reader. When this object is
    garbage-collected, the thread ends after the frame that it is decoding, and with it the reader.

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
            # The thread has no reference to this object, so that garbage collection ends it. Only C code runs then: an
            # exception in a finaliser written in Python would be printed and lost, Ctrl-C among them.
            user = weakref.ref(self, self._shared.room.put)
            self._thread = threading.Thread(
                target=_read,
                args=(self._reader, self._shared, user),
                name="movinet-lite-decoding",
                daemon=True,
            )
            self._thread.start()
        frame, error = self._shared.frames.get()
        self._shared.room.put(None)
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

    def close(self) -> None:
        """End the thread and close the file; closing twice has no effect."""
        self._is_at_end = True
        self._shared.is_closed = True
        self._shared.room.put(None)
        if self._thread is not None:
            self._thread.join()
        self._reader.close()


def _all_room() -> SimpleQueue[object]:
    room: SimpleQueue[object] = SimpleQueue()
    for _ in range(_NUM_AHEAD):
        room.put(None)
    return room


@attrs.define
class _Shared:
    """The data shared by the thread and its users.

    Attributes:
        frames: The decoded frames, followed by the error that ended decoding, if any.
        room: An item for each frame that may still be read. One more wakes the thread when no more frames are wanted.
        is_closed: Whether no more frames are wanted.
    """

    frames: SimpleQueue[tuple[VideoFrame | None, BaseException | None]] = attrs.Factory(
        SimpleQueue
    )
    room: SimpleQueue[object] = attrs.Factory(_all_room)
    is_closed: bool = False


def _read(reader: FrameReader, shared: _Shared, user: weakref.ref[FramesAhead]) -> None:
    """Read until the end, until closed, or until the *user* is gone; this runs in the thread."""
    error = None
    try:
        while shared.room.get() is None and not shared.is_closed:
            frame = next(reader, None)
            if frame is None:
                break
            shared.frames.put((frame, None))
            if user() is None:
                break
    except BaseException as caught:  # noqa: BLE001 - raised where the frames are used
        error = caught
    shared.frames.put((None, error))
