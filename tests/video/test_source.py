"""A video comes from a path or from a binary file object; anything else is one clear error."""

import io

import av
import numpy as np
import pytest
from av.stream import Disposition

from movinet_lite.errors import VideoError, VideoNotFoundError
from movinet_lite.video import load_clip, read_frames, read_video_info
from tests.video_files import FORMATS, number_in, picture_of, write_numbered


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_file_object_gives_what_its_file_gives(tmp_path, kind):
    """An open file and bytes in memory are read like the path, from any start, and stay open."""
    path = write_numbered(tmp_path / f"clip.{kind}", 40, rate=10, options={"g": "10"})
    expected = load_clip(path, fps=5, start_s=1.5)
    memory = io.BytesIO(path.read_bytes())

    with path.open("rb") as file:
        for source in (memory, file):
            source.read(7)  # wherever it stands
            assert read_video_info(source) == read_video_info(path)
            np.testing.assert_array_equal(
                load_clip(source, fps=5, start_s=1.5), expected
            )
            assert not source.closed


def test_an_upload_is_named_in_errors(tmp_path):
    """Errors name the file that an object was opened from, or else its type."""
    (tmp_path / "notes.txt").write_text("no video at all " * 9)

    with (
        (tmp_path / "notes.txt").open("rb") as file,
        pytest.raises(VideoError, match=r"notes\.txt: it "),
    ):
        read_frames(file)
    with pytest.raises(VideoError, match=r"^<BytesIO>: it cannot be opened"):
        read_frames(io.BytesIO(b"no video at all" * 9))
    with pytest.raises(VideoError, match=r"^<BytesIO>: the file is empty"):
        read_frames(io.BytesIO())


def closed():
    """Return a file object that has been closed."""
    file = io.BytesIO(b"1")
    file.close()
    return file


class Pipe(io.BytesIO):
    """A file object that cannot seek."""

    def seekable(self):
        """Say so."""
        return False


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            0,
            "a video must be a file; open a camera by its number with movinet_lite.live.open_source",
        ),
        (io.StringIO("text"), "must be binary; this one reads text"),
        (closed(), "the file object is closed"),
        (Pipe(b"1"), "must be seekable"),
        (None, "must be a path or a binary file object; got a NoneType"),
        (b"clip.mp4", "must be a path or a binary file object; got a bytes"),
        (2.5, "must be a path or a binary file object; got a float"),
    ],
)
@pytest.mark.parametrize("read", [read_frames, load_clip, read_video_info])
def test_what_is_no_source_is_refused(read, source, message):
    """A camera, text, a pipe and anything else are one clear error that says what to give."""
    with pytest.raises(VideoError, match=message):
        read(source)


@pytest.mark.parametrize(
    "address", ["rtsp://10.0.0.9/stream", "RTSPS://cam", "udp://@:1234", "rtmp://x/y"]
)
def test_a_live_address_is_called_one(address):
    """The address of a live source is not advised to be downloaded."""
    with pytest.raises(
        VideoNotFoundError,
        match=r"live source with movinet_lite\.live\.open_source",
    ) as caught:
        read_frames(address)
    assert str(caught.value).startswith(f"{address.replace('@', '')}: ")
    assert "download" not in str(caught.value)


def test_the_default_stream_counts(tmp_path):
    """Of two videos in a file, the one that the file calls its default is read."""
    path = two_videos(tmp_path / "clip.mkv", default=1)

    assert number_in(load_clip(path)[0]) == 5
    assert number_in(load_clip(two_videos(tmp_path / "b.mkv", default=0))[0]) == 3
    assert number_in(load_clip(two_videos(tmp_path / "c.mkv", default=None))[0]) == 3


def two_videos(path, default):
    """Write a file with two videos, the numbers 3 and 5."""
    with av.open(path, "w") as file:
        streams = [file.add_stream("libx264", rate=10) for _ in range(2)]
        for index, stream in enumerate(streams):
            stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
            stream.disposition = (
                Disposition.default if index == default else Disposition.dub
            )
        for stream, number in zip(streams, (3, 5), strict=True):
            frame = av.VideoFrame.from_ndarray(picture_of(number), "rgb24")
            file.mux(stream.encode(frame))
            file.mux(stream.encode())
    return path


@pytest.mark.parametrize("kind", ["avi", "mov", "mp4"])
def test_damage_can_be_skipped(tmp_path, kind):
    """With skip_damage, the frames after the damage come too, and what was wrong is told without an error."""
    path = write_numbered(
        tmp_path / f"clip.{kind}", 60, rate=10, options={"g": "10", "bf": "0"}
    )
    data = bytearray(path.read_bytes())
    with av.open(path) as file:
        packets = [
            (packet.pos, packet.size) for packet in file.demux(video=0) if packet.size
        ]
    start, size = packets[25]
    data[start : start + size] = b"\xff" * size
    path.write_bytes(data)

    with read_frames(path, skip_damage=True) as reader:
        numbers = [number_in(frame.pixels) for frame in reader]

    assert numbers[-29:] == [*range(31, 60)]
    assert len(load_clip(path, skip_damage=True)) == len(numbers)


def test_lost_packets_can_be_skipped(tmp_path):
    """A recording from the air whose packets are lost in the middle ends there, or goes on behind them if asked to."""
    path = tmp_path / "clip.ts"
    with av.open(path, "w") as file:
        options = {"g": "10", "bf": "0", "crf": "10"}
        stream = file.add_stream("libx264", rate=10, options=options)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for number in range(60):
            frame = av.VideoFrame.from_ndarray(picture_of(number), "rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    with av.open(path) as file:
        start = [packet.pos for packet in file.demux(video=0) if packet.size][25]
    assert start is not None
    data = path.read_bytes()
    path.write_bytes(data[:start] + data[start + 188 :])  # one packet of MPEG-TS

    with pytest.raises(VideoError, match="damaged or truncated"):
        load_clip(path)
    with read_frames(path, skip_damage=True) as reader:
        numbers = [number_in(frame.pixels) for frame in reader]

    assert numbers[:20] == [*range(20)]
    assert numbers[-29:] == [*range(31, 60)]
    assert reader.damage


@pytest.mark.parametrize("kind", ["mp4", "avi"])
def test_a_cut_file_can_be_read_to_the_cut_without_an_error(tmp_path, kind):
    """With skip_damage, the end of a cut file is its end, and the reader says what is missing."""
    path = write_numbered(tmp_path / f"clip.{kind}", 60, rate=10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with read_frames(path, skip_damage=True) as reader:
        frames = list(reader)
        assert len(frames) >= 3
        assert reader.damage
    assert reader.damage
    with pytest.raises(VideoError, match="skip_damage=True"):
        load_clip(path)
