"""What a file costs does not depend on how many were read before, nor on what its header claims."""

import gc
import struct

import av
import numpy as np
import pytest

from movinet_lite.errors import ArrayError, VideoError
from movinet_lite.video import load_clip, read_frames, read_video_info
from tests.video_files import number_in, numbered, picture_of, write_numbered


@pytest.fixture
def _without_collector():
    """Switch the cyclic collector off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def num_live_pictures():
    """Return how many decoded pictures are in memory; they are found whether or not they are part of a cycle."""
    return sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())


def read_one(path):
    """Read one frame and close the file."""
    with read_frames(path) as reader:
        next(reader)


def read_all(path):
    """Read the whole file."""
    for _ in read_frames(path, fps=5):
        pass


def read_and_drop(path):
    """Read two frames and drop the reader."""
    reader = read_frames(path, start_s=0.5)
    next(reader)
    next(reader)


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize(
    "read", [read_one, read_all, read_and_drop, read_video_info, load_clip]
)
def test_no_picture_outlives_its_file(tmp_path, read):
    """When a file is closed its pictures are gone, without the help of the cyclic collector."""
    path = write_numbered(tmp_path / "clip.mp4", 20, rate=10)
    before = num_live_pictures()

    for _ in range(3):
        read(path)

    assert num_live_pictures() == before


def write_huge_gif(path, side):
    """Write a GIF of some bytes that claims to be *side* pixels high and wide."""
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0)
    picture = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    path.write_bytes(screen + bytes(3) + b"\xff" * 3 + picture * 2 + b";")
    return path


@pytest.mark.parametrize("read", [read_frames, load_clip, read_video_info])
def test_a_small_file_of_huge_frames_is_refused(tmp_path, monkeypatch, read):
    """More pixels than allowed are refused by the header alone; nothing is decoded."""
    path = write_huge_gif(tmp_path / "bomb.gif", 16_000)
    monkeypatch.setattr("movinet_lite.video.decoding.VideoDecoder._decode", None)

    with pytest.raises(
        VideoError, match="up to 89,478,485 pixels; these are 16000 x 16000"
    ):
        read(path)


def test_the_limit_of_pixels_can_be_set(tmp_path):
    """A frame of as many pixels as allowed is read, one of more is not, and without a limit all are."""
    path = write_numbered(tmp_path / "clip.mp4", 2, rate=10)

    assert len(load_clip(path, max_pixels=32 * 48)) == 2
    assert len(load_clip(path, max_pixels=None)) == 2
    with pytest.raises(VideoError, match="up to 1,535 pixels; these are 32 x 48"):
        load_clip(path, max_pixels=32 * 48 - 1)
    for wrong in [0, -1, 2.5, "9", float("nan")]:
        with pytest.raises(ArrayError, match="max_pixels must be a whole number"):
            read_frames(path, max_pixels=wrong)
        with pytest.raises(ArrayError, match="max_pixels must be a whole number"):
            read_video_info(path, max_pixels=wrong)


def test_frames_that_grow_beyond_the_limit_end_the_video(tmp_path):
    """The limit holds for the frames in the middle of a file as well."""
    path = tmp_path / "clip.ts"
    pieces = []
    for number, (height, width) in enumerate([(32, 48), (320, 480)]):
        piece = tmp_path / f"{number}.ts"
        with av.open(piece, "w") as file:
            stream = file.add_stream("libx264", rate=10)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            for picture in [picture_of(number, height, width)] * 5:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            file.mux(stream.encode())
        pieces.append(piece.read_bytes())
    path.write_bytes(b"".join(pieces))

    found = []
    with pytest.raises(VideoError, match="up to 2,000 pixels; these are 320 x 480"):
        found.extend(
            number_in(frame.pixels) for frame in read_frames(path, max_pixels=2000)
        )

    assert len(found) >= 3
    assert set(found) == {0}
    assert len(load_clip(path, max_pixels=None)) >= 9


def test_a_file_may_have_as_many_frames_as_it_likes(tmp_path):
    """Limits hold for one frame, not for the video: a long one is read whole."""
    path = write_numbered(tmp_path / "clip.mp4", 64, rate=10)

    frames = [frame.pixels for frame in read_frames(path, fps=2000, end_s=6.4)]

    assert len(frames) == 12_800
    np.testing.assert_allclose(frames[-1], numbered(64)[-1], atol=25)
