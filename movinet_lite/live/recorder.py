"""Records clips of events, with some seconds before and after them."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

import attrs

from movinet_lite.arrays import as_number, check_positive
from movinet_lite.errors import ArrayError, LiveSourceError, said_by
from movinet_lite.live.clips import Clip, ClipWriter, first_of
from movinet_lite.live.source import LiveSource

__all__ = ["ClipRecorder"]

_LOOK_S: Final = 0.5
"""Interval at which packets are fetched from recorded sources, in seconds."""

_NAME: Final = re.compile(
    r"(?P<begun>\d{8}T\d{6}Z)_(?P<source>[^_]*)_(?P<label>[^_]*)_(?P<id>[0-9a-f]{12})\.mp4"
)
_TEMPORARY: Final = re.compile(rf"\.{_NAME.pattern}\.[0-9a-f]{{8}}\.tmp")
_STAMP: Final = "%Y%m%dT%H%M%SZ"

_ABANDONED_S: Final = 3600.0
"""Age from which an unfinished file counts as left by a killed process, in seconds."""


@attrs.define(eq=False)
class _Recording:
    """A clip in progress."""

    clip_id: str
    source: LiveSource
    label: str
    start_s: float
    writer: ClipWriter
    end_s: float | None = None
    next_number: int | None = None
    num_bytes: int = 0
    error: str | None = None


class ClipRecorder:
    """Writes clips of events of any number of sources to one folder, without re-encoding.

    One thread copies the packets, from *pre_s* before an event to *post_s* after it. The clip ends early if the
    connection is lost. Clips have no audio.

    When the clips in the folder exceed *max_bytes*, the oldest are removed. Only files that a recorder wrote are ever
    removed; it recognises them by name.

    Args:
        folder: The output folder; it is created if it does not exist.
        pre_s: Seconds of video before an event; the clip starts at the preceding keyframe. Sources must keep as much:
            ``open_source(..., keep_s=pre_s + 2)``.
        post_s: Seconds of video after the event.
        max_bytes: Maximum size of all clips in the folder, in bytes.
        max_clip_s: Maximum duration of a clip, in seconds; longer events are cut.
        on_clip: Called from the recorder's thread with each finished or failed clip.

    Raises:
        ArrayError: If a number is out of range.
        LiveSourceError: If the folder cannot be created or written to.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        pre_s: float = 5.0,
        post_s: float = 5.0,
        max_bytes: int = 10_000_000_000,
        max_clip_s: float = 300.0,
        on_clip: Callable[[Clip], None] | None = None,
    ) -> None:
        for value, noun in ((pre_s, "pre_s"), (post_s, "post_s")):
            if not 0 <= as_number(value) < float("inf"):
                raise ArrayError(
                    f"{noun} must be a number of at least 0; got {value!r}"
                )
        check_positive(max_bytes, "max_bytes")
        self.folder = Path(folder)
        self.pre_s = float(pre_s)
        self.post_s = float(post_s)
        self._max_bytes = max_bytes
        self._max_clip_s = check_positive(max_clip_s, "max_clip_s")
        self._on_clip = on_clip
        self._lock = threading.Lock()
        self._woken = threading.Condition(self._lock)
        self._recordings: dict[str, _Recording] = {}
        self._clips: dict[str, Clip] = {}  # oldest first, also if the clock was reset
        self._closing = False
        self._thread: threading.Thread | None = None
        self.last_error: str | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._find_clips()
        except OSError as error:
            raise self._unusable(error.strerror or said_by(error)) from error
        if not os.access(self.folder, os.W_OK):
            raise self._unusable("it is read-only")

    def _unusable(self, why: str) -> LiveSourceError:
        return LiveSourceError(
            f"the folder of clips must be writable; {why}", str(self.folder)
        )

    def begin(self, source: LiveSource, *, start_s: float, label: str = "event") -> str:
        """Start a clip of an event.

        Args:
            source: The source, opened with *keep_s*.
            start_s: Onset of the event, in seconds since the source was opened.
            label: The label of the event, which becomes part of the file name.

        Returns:
            The id of the clip, for `finish` and `path_of`.

        Raises:
            LiveSourceError: If the source keeps no packets, or the recorder is closed.
        """
        if source.keep_s <= 0:
            raise LiveSourceError(
                f"clips need packets kept in memory; open the source with keep_s={self.pre_s + 2:g}",
                source.name,
            )
        clip_id = uuid.uuid4().hex[:12]
        begun_at = source.started_at + timedelta(seconds=start_s)
        name = f"{begun_at:{_STAMP}}_{_slug(source.name)}_{_slug(label)}_{clip_id}.mp4"
        recording = _Recording(
            clip_id=clip_id,
            source=source,
            label=label,
            start_s=start_s,
            writer=ClipWriter(self.folder / name, source.name),
        )
        with self._woken:
            if self._closing:
                raise LiveSourceError("the recorder is closed", source.name)
            self._recordings[clip_id] = recording
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="movinet-lite clips", daemon=True
                )
                self._thread.start()
            self._woken.notify_all()
        return clip_id

    def finish(self, clip_id: str, *, end_s: float) -> None:
        """Set the end of the event; the clip continues for *post_s*. Unknown ids are ignored.

        Args:
            clip_id: The id that `begin` returned.
            end_s: End of the event, in seconds since the source was opened.
        """
        with self._woken:
            if clip_id in self._recordings:
                self._recordings[clip_id].end_s = end_s
                self._woken.notify_all()

    @property
    def clips(self) -> list[Clip]:
        """The finished clips in the folder, oldest first; clips of earlier runs have only the facts in their names."""
        with self._lock:
            return sorted(self._clips.values(), key=lambda clip: clip.begun_at)

    def path_of(self, clip_id: str) -> Path | None:
        """Return the file of a finished clip; `None` if it does not exist."""
        with self._lock:
            clip = self._clips.get(clip_id)
        return None if clip is None or not clip.path.is_file() else clip.path

    def close(self, timeout_s: float = 5.0) -> None:
        """Finish the clips in progress with the available video; closing twice has no effect.

        Args:
            timeout_s: Maximum time to wait, in seconds.
        """
        with self._woken:
            self._closing = True
            self._woken.notify_all()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            with self._woken:
                if not self._recordings:
                    if self._closing:
                        return
                    self._woken.wait()
                    continue
                if not self._closing:
                    self._woken.wait(_LOOK_S)
                recordings = list(self._recordings.values())
            for recording in recordings:
                self._advance(recording)

    def _advance(self, recording: _Recording) -> None:
        num_bytes = 0
        try:
            is_over = self._copy(recording) or self._closing
            if not is_over:
                return
            recording.writer.finish()
            num_bytes = recording.writer.path.stat().st_size
        except LiveSourceError as error:
            recording.error = error.message
            recording.writer.discard()
        except Exception as error:  # noqa: BLE001 - the other clips go on
            recording.error = said_by(error)
            recording.writer.discard()
        self._leave(recording, num_bytes=num_bytes)

    def _copy(self, recording: _Recording) -> bool:
        """Write the available packets; return whether the clip is complete."""
        writer, source = recording.writer, recording.source
        if recording.next_number is None:
            packets = source.packets_since(0)
            start_s = recording.start_s - self.pre_s
            packets = packets[first_of(packets, start_s, recording.start_s) :]
        else:
            packets = source.packets_since(recording.next_number)
        until_s = float("inf")
        if recording.end_s is not None:
            until_s = max(recording.end_s, recording.start_s) + self.post_s
        for packet in packets:
            if packet.time_s >= until_s:
                return True
            if not writer.accepts(packet):
                recording.error = "the connection was lost during the clip"
                return True
            writer.write(packet)
            recording.next_number = packet.number + 1
            recording.num_bytes += len(packet.data)
            assert writer.start_s is not None  # noqa: S101 - a packet was written
            if packet.time_s - writer.start_s >= self._max_clip_s:
                recording.error = f"it was cut after {self._max_clip_s:g} s"
                return True
        if not self._make_room():
            recording.error = "the space for clips is used up"
            return True
        # No more packets will come, or not in time.
        return source.ended or source.now_s > until_s + self.post_s + 1.0

    def _leave(self, recording: _Recording, *, num_bytes: int) -> None:
        writer = recording.writer
        start_s = recording.start_s if writer.start_s is None else writer.start_s
        clip = Clip(
            clip_id=recording.clip_id,
            path=writer.path,
            source=recording.source.name,
            label=recording.label,
            start_s=start_s,
            end_s=writer.end_s,
            begun_at=recording.source.started_at + timedelta(seconds=start_s),
            num_bytes=num_bytes,
            error=recording.error,
        )
        with self._lock:
            self._recordings.pop(recording.clip_id, None)
            if num_bytes:
                self._clips[clip.clip_id] = clip
            else:
                self.last_error = recording.error
        self._make_room()
        if self._on_clip is not None:
            try:
                self._on_clip(clip)
            except Exception as error:  # noqa: BLE001 - whatever a stranger's function raises
                self.last_error = f"a listener failed: {said_by(error)}"

    def _make_room(self) -> bool:
        """Delete the oldest clips until the rest and those in progress fit; return whether they do."""
        with self._lock:
            taken = sum(one.num_bytes for one in self._recordings.values())
            taken += sum(clip.num_bytes for clip in self._clips.values())
            for clip in list(self._clips.values()):
                if taken <= self._max_bytes:
                    return True
                try:
                    clip.path.unlink(missing_ok=True)
                except OSError as error:
                    self.last_error = f"an old clip cannot be deleted: {said_by(error)}"
                    continue
                del self._clips[clip.clip_id]
                taken -= clip.num_bytes
            return taken <= self._max_bytes

    def _find_clips(self) -> None:
        clips = []
        for path in self.folder.iterdir():
            if (match := _NAME.fullmatch(path.name)) and path.is_file():
                clips.append(_clip_of_name(path, match))
            elif (
                _TEMPORARY.fullmatch(path.name)
                and time.time() - path.stat().st_mtime > _ABANDONED_S
            ):
                path.unlink(missing_ok=True)
        clips.sort(key=lambda clip: clip.begun_at)
        self._clips = {clip.clip_id: clip for clip in clips}
        self._make_room()


def _clip_of_name(path: Path, match: re.Match[str]) -> Clip:
    """Return the clip of an earlier run, with the facts in its name."""
    try:
        begun_at = datetime.strptime(match["begun"], _STAMP).replace(tzinfo=UTC)
    except ValueError:  # no such day
        begun_at = datetime.min.replace(tzinfo=UTC)
    return Clip(
        clip_id=match["id"],
        path=path,
        source=match["source"],
        label=match["label"],
        start_s=None,
        end_s=None,
        begun_at=begun_at,
        num_bytes=path.stat().st_size,
    )


def _slug(text: str) -> str:
    """Return *text* as a part of a file name, without underscores."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "x"
