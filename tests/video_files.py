"""Small video files for tests, whose every frame shows its own number, made with PyAV directly."""

from __future__ import annotations

import itertools
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import av
import numpy as np
import pytest
from numpy.typing import NDArray


@attrs.frozen
class Format:
    """How a kind of file is written.

    Attributes:
        codec: The encoder.
        pixel_format: What the encoder takes.
        options: Of the encoder.
        container_options: Of the file format.
        audio_codec: An encoder for sound in such a file; `None` where there is no sound.
        sound_rate: Samples per second.
    """

    codec: str
    pixel_format: str
    options: dict[str, str]
    container_options: dict[str, str]
    audio_codec: str | None = "aac"


_X264 = {"crf": "10", "preset": "veryfast"}
_VP8 = {"deadline": "realtime", "cpu-used": "8", "crf": "4", "b": "2M"}
_FRONT = {"movflags": "faststart"}  # can be read although it was cut short

FORMATS = {
    "mp4": Format("libx264", "yuv420p", _X264, _FRONT),
    "mov": Format("libx264", "yuv420p", _X264, _FRONT),
    "mkv": Format("libx264", "yuv420p", _X264, {}),
    "webm": Format("libvpx", "yuv420p", _VP8, {}, "libopus"),
    "avi": Format("mpeg4", "yuv420p", {"b": "9M"}, {}, "pcm_s16le"),
    "gif": Format("gif", "rgb8", {}, {}, None),
}

NUM_NUMBERS = 64


def picture_of(number: int, height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    """Return a picture of one colour that stands for *number*, one of 8 levels of red and one of green."""
    colour = (number % 8 * 255 // 7, number // 8 % 8 * 255 // 7, 0)
    return np.full((height, width, 3), colour, np.uint8)


def number_in(pixels: NDArray[np.uint8]) -> int:
    """Return the number that `picture_of` was given."""
    red, green, _ = pixels.reshape(-1, 3).mean(axis=0)
    return round(float(red) * 7 / 255) + 8 * round(float(green) * 7 / 255)


def numbered(count: int) -> list[NDArray[np.uint8]]:
    """Return the pictures of the first *count* numbers."""
    return [picture_of(number % NUM_NUMBERS) for number in range(count)]


def write_numbered(
    path: Path, count: int, *, rate: Fraction | int, **more: Any
) -> Path:
    """Write *count* numbered pictures at a constant *rate*."""
    tick = 1 / Fraction(rate)
    return write_pictures(path, numbered(count), [*range(count + 1)], tick, **more)


def write_pictures(
    path: Path,
    pictures: list[NDArray[np.uint8]],
    ticks: list[int],
    tick: Fraction,
    *,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    with_audio: bool = False,
    turn: tuple[int, bool, bool] | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """Write pictures to a file whose ending names its format.

    Args:
        path: Where to.
        pictures: ``(height, width, 3)`` uint8 each.
        ticks: When each is shown, and last when the last one ends.
        tick: In seconds.
        options: Of the encoder, in addition.
        container_options: Of the file format, in addition.
        with_audio: Whether to add silence.
        turn: Degrees, and whether mirrored across and down, for the display matrix.
        aspect: Width of a pixel over its height.

    Returns:
        *path*.
    """
    kind = FORMATS[path.suffix[1:]]
    lasts = {start: end - start for start, end in itertools.pairwise(ticks)}
    with av.open(
        path, "w", options=kind.container_options | (container_options or {})
    ) as file:
        stream: Any = file.add_stream(
            kind.codec, rate=1 / tick, options=kind.options | (options or {})
        )
        stream.height, stream.width, _ = pictures[0].shape
        stream.pix_fmt = kind.pixel_format
        stream.codec_context.time_base = tick
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        sound = None
        if with_audio and kind.audio_codec is not None:
            sound = file.add_stream(kind.audio_codec, rate=48000)
        shown: list[av.VideoFrame | None] = [
            _shown(*each, tick) for each in zip(pictures, ticks, strict=False)
        ]
        for frame in [*shown, None]:
            for packet in stream.encode(frame):
                place = round(packet.pts * packet.time_base / tick)
                packet.duration = round(lasts[place] * tick / packet.time_base)
                file.mux(packet)
        if sound is not None:
            _add_silence(file, sound, float(ticks[-1] * tick))
    return path


def _shown(pixels: NDArray[np.uint8], place: int, tick: Fraction) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
    frame.pts, frame.time_base = place, tick
    return frame


def _add_silence(file: Any, stream: Any, duration_s: float) -> None:
    for start in range(0, round(duration_s * 48000), 960):
        silence = np.zeros((1, 960), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, start
        file.mux(stream.encode(frame))
    file.mux(stream.encode())


def write_sound(path: Path, cover: NDArray[np.uint8] | None = None) -> Path:
    """Write one second of silence, with the cover of an album or without."""
    from av.stream import Disposition

    with av.open(path, "w", format="mp4") as file:
        picture: Any = None if cover is None else file.add_stream("mjpeg", rate=1)
        sound = file.add_stream("aac", rate=48000)
        if cover is not None:
            picture.height, picture.width, _ = cover.shape
            picture.pix_fmt = "yuvj420p"
            picture.disposition = Disposition.attached_pic
            file.mux(picture.encode(_shown(cover, 0, Fraction(1))))
            file.mux(picture.encode())
        _add_silence(file, sound, 1.0)
    return path


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc"
)


def num_open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # no Path for each
