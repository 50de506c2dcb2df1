"""Writes encoded packets to mp4 files, without re-encoding."""

from __future__ import annotations

import contextlib
import io
import itertools
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from movinet_lite.errors import LiveSourceError
from movinet_lite.live.packets import KeptPacket

if TYPE_CHECKING:
    from av.video.stream import VideoStream

__all__ = ["Clip", "ClipWriter", "write_clip"]

_LONGEST_GAP_S: Final = 60.0
"""Maximum gap in a clip within one connection, in seconds; a longer one is a clock reset."""


@attrs.frozen
class Clip:
    """A clip of a source in a file.

    Attributes:
        clip_id: Its id.
        path: The file.
        source: The name of the source.
        label: Its label; empty if unknown.
        start_s: Start time, in seconds since the source was opened; `None` if no longer known.
        end_s: End time, likewise.
        begun_at: Start time (UTC).
        num_bytes: Size of the file, in bytes.
        error: Why it could not be written or is shorter than requested; `None` if it is complete.
    """

    clip_id: str
    path: Path
    source: str
    label: str
    start_s: float | None
    end_s: float | None
    begun_at: datetime
    num_bytes: int
    error: str | None = None


class ClipWriter:
    """Writes the packets of one connection to an mp4 file, which appears under its name once it is complete.

    Use it in a ``with`` block: if the block raises, nothing is left behind.

    Args:
        path: The output path; the extension must be ``.mp4``.
        source: The name of the source, for messages.

    Raises:
        LiveSourceError: If the path is invalid.
    """

    def __init__(self, path: Path, source: str) -> None:
        if path.suffix.lower() != ".mp4":
            raise LiveSourceError(
                f"a clip must be an .mp4 file; got {path.name!r}", source
            )
        self.path = path
        self._source = source
        self._temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        self._output: Any = None
        self._stream: VideoStream | None = None
        self._template = b""
        self._zero: int | None = None
        self._last_dts: int | None = None
        self.start_s: float | None = None
        self.end_s: float | None = None
        self.num_packets = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()

    def accepts(self, packet: KeptPacket) -> bool:
        """Return whether the packet can follow: it is from the same connection, and its clock was not reset."""
        if self._stream is None:
            return packet.is_keyframe
        if packet.template is not self._template:
            return False
        assert self.end_s is not None  # noqa: S101 - a packet was written
        return abs(packet.time_s - self.end_s) < _LONGEST_GAP_S

    def write(self, packet: KeptPacket) -> None:
        """Add a packet that `accepts` has accepted.

        Raises:
            LiveSourceError: If mp4 does not support its codec, or the file cannot be written.
        """
        import av

        try:
            if self._stream is None:
                self._stream = self._begin(packet)
            self._output.mux(self._as_av(packet, self._stream))
        except (av.FFmpegError, OSError) as error:
            raise self._error(error) from error
        except ValueError as error:  # "'mp4' format does not support 'vp8' codec"
            raise LiveSourceError(
                f"mp4 does not support its codec: {error}", self._source
            ) from error
        lasts_s = float(packet.duration * packet.tick_s)
        self.start_s = (
            packet.time_s if self.start_s is None else min(self.start_s, packet.time_s)
        )
        self.end_s = max(self.end_s or 0.0, packet.time_s + lasts_s)
        self.num_packets += 1

    def finish(self) -> None:
        """Complete the file and rename it.

        Raises:
            LiveSourceError: If nothing was written, or the file cannot be completed.
        """
        import av

        if self._output is None:
            raise LiveSourceError("no packets are stored for that time", self._source)
        try:
            self._output.close()
            self._temporary.replace(self.path)
        except (av.FFmpegError, OSError) as error:
            raise self._error(error) from error
        finally:
            self._remove_temporary()

    def discard(self) -> None:
        """Remove the incomplete file."""
        import av

        if self._output is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._output.close()
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        with contextlib.suppress(OSError):  # the folder is gone, or read-only by now
            self._temporary.unlink()

    def _begin(self, packet: KeptPacket) -> VideoStream:
        import av

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._template = packet.template
        self._output = av.open(
            str(self._temporary), "w", format="mp4", options={"movflags": "faststart"}
        )
        with av.open(io.BytesIO(packet.template), format="nut") as template:
            stream: VideoStream = self._output.add_stream_from_template(
                template.streams.video[0], opaque=True
            )
        return stream

    def _as_av(self, packet: KeptPacket, stream: VideoStream) -> Any:
        import av

        copy = av.Packet(packet.data)
        stamp = packet.pts if packet.dts is None else packet.dts
        if stamp is None:
            stamp = round(packet.time_s / packet.tick_s)
        if self._zero is None:
            self._zero = stamp
        dts = stamp - self._zero
        if self._last_dts is not None:
            dts = max(dts, self._last_dts + 1)  # mp4 does not allow equal times
        self._last_dts = dts
        pts = dts if packet.pts is None else packet.pts - self._zero
        copy.dts, copy.pts = dts, max(pts, dts)
        copy.duration = packet.duration
        copy.time_base = Fraction(packet.tick_s)
        copy.is_keyframe = packet.is_keyframe
        copy.stream = stream
        return copy

    def _error(self, error: Exception) -> LiveSourceError:
        said = getattr(error, "strerror", None) or str(error)
        return LiveSourceError(
            f"the clip {self.path.name} cannot be written: {said}", self._source
        )


def write_clip(
    path: Path,
    packets: Sequence[KeptPacket],
    *,
    source: str,
    start_s: float,
    end_s: float,
    started_at: datetime,
) -> Clip:
    """Write the packets of a span of time to an mp4 file; see `LiveSource.save_clip`.

    Raises:
        LiveSourceError: If there are no packets in that time, or they cannot be written.
    """
    if not start_s < end_s:
        raise LiveSourceError(
            f"start_s must be below end_s; got {start_s:g} and {end_s:g}", source
        )
    chosen = packets[first_of(packets, start_s) :]
    with ClipWriter(path, source) as writer:
        for packet in itertools.takewhile(lambda one: one.time_s < end_s, chosen):
            if not writer.accepts(packet):
                break
            writer.write(packet)
    assert writer.start_s is not None  # noqa: S101 - else it could not finish
    return Clip(
        clip_id=path.stem,
        path=path,
        source=source,
        label="",
        start_s=writer.start_s,
        end_s=writer.end_s,
        begun_at=started_at + timedelta(seconds=writer.start_s),
        num_bytes=path.stat().st_size,
    )


def first_of(
    packets: Sequence[KeptPacket], start_s: float, event_s: float | None = None
) -> int:
    """Return the index of the keyframe at which a clip starts.

    Args:
        packets: The stored packets.
        start_s: Requested start, in seconds since the source was opened.
        event_s: The time that the clip must include: if the connection was lost before it, the clip starts with the
            next connection. `None` for *start_s*.
    """
    event_s = start_s if event_s is None else event_s
    first = 0
    for place, packet in enumerate(packets):
        before = packets[place - 1]
        was_lost = packet.template is not before.template and before.time_s < event_s
        if packet.is_keyframe and (packet.time_s <= start_s or was_lost):
            first = place
    return first
