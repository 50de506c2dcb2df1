"""Parses the name of a live source (an address, a camera, standard input, a file) into what FFmpeg opens."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs

from movinet_lite.errors import LiveSourceError
from movinet_lite.video.redaction import redact
from movinet_lite.video.source import VideoFile

__all__ = ["Address", "Kind", "Transport"]

Kind: TypeAlias = Literal["network", "camera", "pipe", "file"]
"""The kind of a source."""

Transport: TypeAlias = Literal["tcp", "udp"]
"""The transport of RTSP: over its TCP connection, or as UDP datagrams, which can get lost."""

_SCHEMES: Final = frozenset(
    {
        "ftp", "http", "https", "mmsh", "mmst", "rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts", "rtp", "rtsp",
        "rtsps", "srt", "srtp", "tcp", "tls", "udp", "udplite",
    }
)  # fmt: skip
"""Address schemes that FFmpeg reads video from; the build of PyAV's FFmpeg determines which of them work."""

_ADDRESS: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):/")

_BRIEFLY: Final = {"analyzeduration": "2000000", "fpsprobesize": "0"}
"""By default FFmpeg analyses a stream for up to five seconds, mainly to guess a frame rate that is not needed."""

_NONBLOCK: Final = 0x4
"""AVFMT_FLAG_NONBLOCK, which has no name among the options of FFmpeg: a read without a frame returns immediately, so
the thread never blocks inside a driver.

References:
    [1] FFmpeg 8.1, libavformat/avformat.h and options_table.h (the names of *fflags*).
"""

_HOW_TO_NAME: Final = "an address (rtsp://..., http://...), a camera (0, /dev/video0, camera:NAME), a file, or - for standard input"


@attrs.frozen
class Address:
    """A source that has not been opened yet.

    Attributes:
        name: What it is called in messages, without credentials.
        kind: What it is read from.
        url: What FFmpeg opens; it may hold credentials. Of a pipe, its path, or ``"-"``.
        format: FFmpeg's name of the format where it cannot find that out; `None` lets it.
        options: The options for FFmpeg.
    """

    name: str
    kind: Kind
    url: str = attrs.field(repr=False)
    format: str | None = None
    options: dict[str, str] = attrs.field(factory=dict, repr=False)

    @classmethod
    def of(
        cls, source: object, *, transport: Transport = "tcp", timeout_s: float = 10.0
    ) -> Address:
        """Return the address for *source*.

        Args:
            source: A string, a path, or the number of a camera.
            transport: The transport of RTSP.
            timeout_s: Network timeout of FFmpeg, in seconds.

        Raises:
            VideoNotFoundError: If it is a file that does not exist.
            LiveSourceError: If it cannot be opened.
            VideoError: If it is a file that cannot be read.
        """
        if isinstance(source, int) and not isinstance(source, bool) and source >= 0:
            return _camera(str(source))
        if isinstance(source, os.PathLike):
            return _of_path(Path(os.fsdecode(source)))
        if not isinstance(source, str) or not source:
            raise LiveSourceError(
                f"a live source must be {_HOW_TO_NAME}; got {source!r}"
            )
        return _of_text(source, transport, timeout_s)


def _of_text(source: str, transport: Transport, timeout_s: float) -> Address:
    if source == "-":
        return Address("standard input", "pipe", "-", options=dict(_BRIEFLY))
    if source.isascii() and source.isdecimal():
        return _camera(source)
    scheme, colon, rest = source.partition(":")
    if colon and scheme == "camera":
        return _camera(rest)
    if colon and scheme == "file":
        return _of_path(Path(re.sub(r"^//(?=/)", "", rest)))
    if match := _ADDRESS.match(source):
        return _of_network(source, match[1].lower(), transport, timeout_s)
    return _of_path(Path(source))


def _of_network(
    source: str, scheme: str, transport: Transport, timeout_s: float
) -> Address:
    name = redact(source)
    if "://" not in source and not (len(scheme) == 1 or Path(source).exists()):
        raise LiveSourceError("an address must have two slashes after its scheme", name)
    if "://" not in source:  # "C:/clip.mp4"
        return _of_path(Path(source))
    if scheme not in _SCHEMES:
        raise LiveSourceError(
            f"an address must start with one of {', '.join(sorted(_SCHEMES))}; got {scheme!r}",
            name,
        )
    options = _limits(scheme, timeout_s)
    if scheme in {"rtsp", "rtsps"}:
        options |= {"rtsp_transport": transport, "allowed_media_types": "video"}
    return Address(name, "network", source, options=options)


def _limits(scheme: str, timeout_s: float) -> dict[str, str]:
    """Return the timeout options for FFmpeg, which differ by protocol."""
    microseconds = str(round(timeout_s * 1e6))
    options = {**_BRIEFLY, "rw_timeout": microseconds}
    if scheme.startswith("rtmp"):  # which announces audio even if there is none
        return {**options, "analyzeduration": "1000000"}
    options["timeout"] = microseconds
    if scheme in {"udp", "udplite", "rtp", "srtp"}:
        options["overrun_nonfatal"] = "1"  # packets are lost, not the connection
    elif scheme == "srt":
        options["connect_timeout"] = str(round(timeout_s * 1e3))
    return options


def _of_path(path: Path) -> Address:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        mode = 0
    if stat.S_ISCHR(mode) or str(path).startswith("/dev/video"):
        return _camera(str(path))  # including one that is not plugged in
    if stat.S_ISFIFO(mode):
        return Address(str(path), "pipe", str(path), options=dict(_BRIEFLY))
    login, at, rest = str(path).rpartition("@")
    if not mode and at and ":" in login:
        raise LiveSourceError(
            "an address must start with its scheme, such as rtsp://; there is no such file",
            rest,
        )
    if not mode and not path.parent.exists():
        raise LiveSourceError(
            f"a live source must be {_HOW_TO_NAME}; there is no such file",
            redact(str(path)),
        )
    url = VideoFile.of(path).for_pyav()
    assert isinstance(url, str)  # noqa: S101 - it was given a path
    return Address(path.name, "file", url)


def _camera(which: str) -> Address:
    """Return the address of a camera by number, path or name, for the current platform."""
    options = {"fflags": f"+{_NONBLOCK}"}
    name = f"camera {which}"
    if sys.platform == "darwin":
        options["framerate"] = "30"
        return Address(name, "camera", f"{which}:none", "avfoundation", options)
    if sys.platform == "win32":
        url = _directshow_name(int(which)) if which.isdecimal() else which
        return Address(name, "camera", url, "dshow", options)
    path = f"/dev/video{which}" if which.isdecimal() else which
    return Address(name, "camera", path, "v4l2", options)


def _directshow_name(number: int) -> str:
    """Return FFmpeg's name for a camera on Windows, where cameras have no numbers."""
    import av

    try:
        found = av.enumerate_input_devices("dshow")
    except (av.FFmpegError, ValueError):
        found = []
    names = [one.description for one in found if "video" in one.media_types]
    if number >= len(names):
        raise LiveSourceError(
            f"a camera must exist; DirectShow lists {', '.join(names) or 'none'}",
            f"camera {number}",
        )
    return f"video={names[number]}"
