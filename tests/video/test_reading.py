"""Whatever the file, the right frames come, upright, in true colours, with true times; or one clear error."""

import gc
import itertools
import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movinet_lite.arrays import VideoFrame
from movinet_lite.errors import ArrayError, VideoError, VideoNotFoundError
from movinet_lite.video import (
    VideoInfo,
    load_clip,
    prepare_clip,
    prepare_frame,
    read_frames,
    read_video_info,
    to_uint8,
    write_video,
)
from movinet_lite.video.decoding import VideoDecoder
from tests.video_files import (
    FORMATS,
    needs_proc,
    num_open_files,
    number_in,
    numbered,
    picture_of,
    write_numbered,
    write_pictures,
    write_sound,
)

KINDS = sorted(FORMATS)
WITH_SOUND = sorted(kind for kind in FORMATS if FORMATS[kind].audio_codec)
VARIABLE_RATES = ["gif", "mkv", "mov", "mp4", "webm"]
NTSC = Fraction(30000, 1001)


def numbers(path, **options):
    """Return the numbers that the frames of a file show."""
    return [number_in(frame.pixels) for frame in read_frames(path, **options)]


def shown(path, **options):
    """Return the number and the time of each frame of a file."""
    return [
        (number_in(frame.pixels), frame.time_s)
        for frame in read_frames(path, **options)
    ]


# Every frame


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_comes_once_with_its_time(tmp_path, kind):
    """Without a frame rate, each frame of the file comes once, in order, as uint8 RGB with its own time."""
    path = write_numbered(tmp_path / f"clip.{kind}", 20, rate=10)

    frames = list(read_frames(path))

    assert [number_in(frame.pixels) for frame in frames] == list(range(20))
    assert [frame.index for frame in frames] == list(range(20))
    np.testing.assert_allclose(
        [frame.time_s for frame in frames], np.arange(20) / 10, atol=1e-9
    )
    for frame in frames:
        assert frame.pixels.shape == (32, 48, 3)
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.flags.c_contiguous
        assert frame.pixels.flags.writeable


@pytest.mark.parametrize("kind", WITH_SOUND)
def test_sound_does_no_harm(tmp_path, kind):
    """The frames of a file with sound are those of the file without."""
    path = write_numbered(tmp_path / f"clip.{kind}", 20, rate=10, with_audio=True)

    assert read_video_info(path).has_audio
    assert numbers(path) == list(range(20))
    assert numbers(path, fps=5) == list(range(0, 20, 2))


@pytest.mark.parametrize("kind", VARIABLE_RATES)
def test_times_begin_at_the_first_frame(tmp_path, kind):
    """The first frame has the time 0 although the file begins its clock later."""
    ticks = [300, 310, 340, 350]
    path = write_pictures(
        tmp_path / f"clip.{kind}", numbered(3), ticks, Fraction(1, 100)
    )

    np.testing.assert_allclose(shown(path), [(0, 0.0), (1, 0.1), (2, 0.4)], atol=1e-9)


# By time


@given(
    kind=st.sampled_from(VARIABLE_RATES),
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=12),
    queries=st.lists(
        st.tuples(st.floats(0.5, 70), st.floats(0, 1), st.floats(0.01, 1.5)),
        min_size=1,
        max_size=4,
    ),
)
@settings(max_examples=60)
def test_each_time_gets_the_frame_shown_then(kind, lengths, queries):
    """With a frame rate, each sample is the last frame that is not later, whatever the rates of file and reader."""
    ticks = [0, *itertools.accumulate(lengths)]
    times, video_end_s = [tick / 100 for tick in ticks[:-1]], ticks[-1] / 100
    with tempfile.TemporaryDirectory() as folder:
        path = write_pictures(
            Path(folder, f"clip.{kind}"),
            numbered(len(lengths)),
            ticks,
            Fraction(1, 100),
            # With B-frames, mp4 does not tell which of its durations belongs to the last frame.
            options={"bf": "0"} if kind in {"mov", "mp4"} else {},
        )
        with av.open(path) as file:  # half a tick of its clock, at most 5 ms
            tick_s = float(file.streams.video[0].time_base or 0)
            tolerance_s = min(tick_s / 2, 0.005) + 1e-6
        for fps, start, length in queries:
            start_s = start * video_end_s * 0.7
            end_s = start_s + length * video_end_s
            expected = []
            for i in itertools.count():
                time_s = start_s + i / fps
                latest_s = time_s + tolerance_s
                if time_s > end_s - 1e-6 or latest_s >= video_end_s:
                    break
                number = max(n for n, t in enumerate(times) if t <= latest_s)
                expected.append((number, time_s))

            assert shown(path, fps=fps, start_s=start_s, end_s=end_s) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mov", [0, 5, 11, 17, 23, 29, 35, 41, 47, 53, 59]),
        ("mp4", [0, 5, 11, 17, 23, 29, 35, 41, 47, 53, 59]),
        # To the thousandth, the frames 6 and 12 are shown at 0.200 s and 0.400 s, not 0.2 ms and 0.4 ms later.
        ("mkv", [0, 6, 12, 17, 23, 29, 35, 41, 47, 53, 59]),
        ("webm", [0, 6, 12, 17, 23, 29, 35, 41, 47, 53, 59]),
    ],
)
def test_29_97_frames_a_second(tmp_path, kind, expected):
    """A file of 29.97 frames per second is read by its true times, not as one of 30."""
    path = write_numbered(tmp_path / f"clip.{kind}", 60, rate=NTSC)

    assert numbers(path, fps=5) == expected
    assert numbers(path, fps=float(NTSC)) == list(range(60))


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_video_repeats_its_frames(tmp_path, kind):
    """A file of 4 frames per second read at 12 gives each frame three times, each in memory of its own."""
    path = write_numbered(tmp_path / f"clip.{kind}", 3, rate=4)

    frames = list(read_frames(path, fps=12))

    assert [number_in(frame.pixels) for frame in frames] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [frame.time_s for frame in frames] == [i / 12 for i in range(9)]
    assert [frame.index for frame in frames] == list(range(9))
    frames[0].pixels[:] = 77
    assert number_in(frames[1].pixels) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_frame_rate_gives_every_frame_once(tmp_path, kind):
    """Reading at the very rate of the file is reading it all, however coarse the file's clock."""
    rates = {"gif": [5, 10, 25, 30, 50], "avi": [10, 12, 25, 30, 60]}
    for rate in rates.get(kind, [10, 12, 16, 24, 25, 30, 48, 60, 120, 240]):
        path = tmp_path / f"{rate}.{kind}"
        if kind == "gif":  # its clock cannot hold a thirtieth
            ticks = [round(number * 100 / rate) for number in range(31)]
            write_pictures(path, numbered(30), ticks, Fraction(1, 100))
        else:
            write_numbered(path, 30, rate=rate)

        assert numbers(path, fps=rate) == list(range(30)), rate


# From one time to another


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fps", [None, 7.0])
def test_any_start_gives_the_rest(tmp_path, kind, fps):
    """Wherever reading begins, the frames are to the bit those that reading from the beginning gives there."""
    # Open groups: pictures are stored after a key frame that is shown later, and need what lies before it.
    open_groups = "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"
    is_h264 = kind in {"mp4", "mov", "mkv"}
    options = {"x264-params": open_groups} if is_h264 else {"g": "12"}
    path = write_numbered(
        tmp_path / f"clip.{kind}",
        60,
        rate=20,
        options=options,
        with_audio=kind != "gif",
    )
    step_s = 1 / (fps or 20.0)
    whole = list(read_frames(path, fps=fps))

    for skipped in range(0, len(whole), 3):
        rest = list(read_frames(path, fps=fps, start_s=skipped * step_s))

        assert [frame.index for frame in rest] == list(range(len(rest)))
        for frame, expected in zip(rest, whole[skipped:], strict=True):
            assert frame.time_s == pytest.approx(expected.time_s)
            np.testing.assert_array_equal(frame.pixels, expected.pixels)


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm", "avi"])
def test_a_start_is_jumped_to(tmp_path, kind):
    """What lies before the key frame before the start is not decoded."""
    path = write_numbered(
        tmp_path / f"clip.{kind}", 60, rate=10, options={"g": "10", "keyint_min": "10"}
    )
    decoder = VideoDecoder(path)

    first_s, _, _ = next(decoder.frames(4.55))

    decoder.close()
    assert 3.9 < first_s < 4.56


@given(
    cuts=st.lists(st.integers(1, 29), max_size=4, unique=True).map(sorted),
    fps=st.sampled_from([None, 10.0]),
)
@settings(max_examples=15)
def test_pieces_make_up_the_whole(thirty_frames, cuts, fps):
    """Pieces that begin where the one before ended hold each frame once."""
    edges = [None, *(cut / 10 for cut in cuts), None]

    pieces = [
        number
        for start_s, end_s in itertools.pairwise(edges)
        for number in numbers(thirty_frames, fps=fps, start_s=start_s, end_s=end_s)
    ]

    assert pieces == list(range(30))


@pytest.fixture(scope="module")
def thirty_frames(tmp_path_factory):
    """A file of 30 frames, 10 a second, Matroska, whose clock rounds."""
    folder = tmp_path_factory.mktemp("thirty")
    return write_numbered(folder / "clip.mkv", 30, rate=10)


def test_a_gap_without_frames_is_empty(tmp_path):
    """A stretch of time in which no frame begins has no frame without a frame rate, and the one shown with one."""
    path = write_pictures(
        tmp_path / "clip.mp4", numbered(2), [0, 10, 60], Fraction(1, 10)
    )

    assert numbers(path, start_s=2.0, end_s=4.0) == []
    assert numbers(path, start_s=2.0, end_s=4.0, fps=1) == [1, 1]
    with pytest.raises(VideoError, match=r"there is no frame from 2.0 s to 4.0 s"):
        load_clip(path, start_s=2.0, end_s=4.0)


@pytest.mark.parametrize("fps", [None, 5])
def test_a_start_after_the_end_is_an_error(thirty_frames, fps):
    """A start that the video does not reach is refused at once, with the end of the video."""
    with pytest.raises(
        VideoError, match=r"clip.mkv: start_s must be before .* 3.00 s; got 3.5"
    ):
        read_frames(thirty_frames, fps=fps, start_s=3.5)


# Size, rotation, colours


@pytest.mark.parametrize("frame_size", [(20, 36), (172, 172), (31, 17)])
def test_frame_size_stretches_each_frame(tmp_path, frame_size):
    """Scaling while reading gives what scaling afterwards gives, but for the colours stored at half the resolution."""
    grey = np.random.default_rng(0).integers(0, 256, (6, 8, 1), np.uint8)
    picture = np.repeat(grey, 3, axis=-1).repeat(10, axis=0).repeat(10, axis=1)
    path = write_pictures(tmp_path / "clip.mp4", [picture], [0, 1], Fraction(1, 10))
    (original,) = read_frames(path)

    (frame,) = read_frames(path, frame_size=frame_size)

    assert frame.pixels.shape == (*frame_size, 3)
    expected = to_uint8(prepare_frame(original, frame_size)).astype(int)
    assert np.abs(frame.pixels - expected).max() <= 3


CORNERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]])


def corners(pixels):
    """Return a 2 by 2 picture of the quarters of *pixels*."""
    height, width, _ = pixels.shape
    quarters = pixels.reshape(2, height // 2, 2, width // 2, 3)
    return quarters.mean(axis=(1, 3))


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    ("mirror", "flip"), [(False, False), (True, False), (False, True)]
)
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_frames_stand_upright(tmp_path, kind, degrees, mirror, flip):
    """The rotation and the mirroring that a file asks for are done, before the frame is given its size."""
    picture = CORNERS.repeat(16, axis=0).repeat(24, axis=1).astype(np.uint8)
    path = write_pictures(
        tmp_path / f"clip.{kind}",
        [picture],
        [0, 1],
        Fraction(1, 10),
        turn=(degrees, mirror, flip),
    )
    # As set_display_rotation has it: first turn counterclockwise, then mirror.
    expected = np.rot90(CORNERS, degrees // 90)
    expected = expected[:, ::-1] if mirror else expected
    expected = expected[::-1] if flip else expected
    shape = (32, 48) if degrees % 180 == 0 else (48, 32)

    (frame,) = read_frames(path)
    (scaled,) = read_frames(path, frame_size=(20, 28))

    assert frame.pixels.shape == (*shape, 3)
    np.testing.assert_allclose(corners(frame.pixels), expected, atol=25)
    assert scaled.pixels.shape == (20, 28, 3)
    np.testing.assert_allclose(corners(scaled.pixels), expected, atol=25)
    info = read_video_info(path)
    assert info.frame_size == shape
    if not mirror and not flip:
        assert info.rotation_degrees == -degrees % 360


@pytest.mark.parametrize("size", [(64, 64), (24, 24)])
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_true(tmp_path, size, matrix, full):
    """The colour space and the range that a file names are those its colours are read with."""
    colours = np.array([[200, 40, 60], [30, 180, 90], [60, 70, 220], [128, 128, 128]])
    picture = colours.reshape(2, 2, 3).repeat(32, axis=0).repeat(32, axis=1)
    red, green, blue = np.moveaxis(picture / 255, -1, 0)
    of_red, of_blue = (0.2126, 0.0722) if matrix == "bt709" else (0.299, 0.114)
    luma = of_red * red + of_blue * blue + (1 - of_red - of_blue) * green
    chroma = (blue - luma) / (2 - 2 * of_blue), (red - luma) / (2 - 2 * of_red)
    planes = (
        [luma * 255, *(half * 255 + 128 for half in chroma)]
        if full
        else [luma * 219 + 16, *(half * 224 + 128 for half in chroma)]
    )
    frame = av.VideoFrame.from_ndarray(
        np.stack(planes).round().astype(np.uint8), "yuv444p"
    )
    frame.pts, frame.time_base = 0, Fraction(1, 10)
    with av.open(tmp_path / "clip.mp4", "w") as file:
        stream = file.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv444p"
        stream.colorspace = {"bt709": 1, "smpte170m": 6}[matrix]
        stream.color_range = 2 if full else 1
        file.mux(stream.encode(frame))
        file.mux(stream.encode())

    (read,) = read_frames(tmp_path / "clip.mp4", frame_size=size)

    step = size[0] // 4
    found = read.pixels[step :: 2 * step, step :: 2 * step].reshape(-1, 3).astype(int)
    assert np.abs(found - colours).max() <= 3


def test_colours_that_cannot_be_converted_are_an_error(tmp_path):
    """A colour space that is not known to FFmpeg's scaler is an error that names it, not a guess."""
    with av.open(tmp_path / "clip.mp4", "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        stream.colorspace = 10  # BT.2020 with constant luminance
        file.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        file.mux(stream.encode())

    with pytest.raises(VideoError, match=r"its colours \(yuv420p, colour space 10\)"):
        list(read_frames(tmp_path / "clip.mp4"))


def test_pixels_that_are_not_square_stay_as_stored(tmp_path):
    """The shape of a pixel does not change the size of a frame."""
    path = write_pictures(
        tmp_path / "clip.mp4", numbered(1), [0, 1], Fraction(1, 10), aspect=Fraction(2)
    )

    assert read_video_info(path).frame_size == (32, 48)
    assert load_clip(path).shape == (1, 32, 48, 3)


def test_all_frames_have_the_size_of_the_first(tmp_path):
    """Where the size changes in the middle of a file, the later frames are stretched to the first size."""
    with av.open(tmp_path / "clip.avi", "w") as file:
        stream = file.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuvj420p"
        for number, size in enumerate([(32, 48), (64, 32)]):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width = size
            encoder.pix_fmt = "yuvj420p"
            encoder.time_base = Fraction(1, 10)
            frame = av.VideoFrame.from_ndarray(picture_of(number, *size), "rgb24")
            for packet in [
                *encoder.encode(frame.reformat(format="yuvj420p")),
                *encoder.encode(),
            ]:
                packet.stream, packet.time_base = stream, Fraction(1, 10)
                packet.pts = packet.dts = number
                file.mux(packet)

    assert load_clip(tmp_path / "clip.avi").shape == (2, 32, 48, 3)
    assert numbers(tmp_path / "clip.avi") == [0, 1]


def test_frames_can_be_painted_on(tmp_path):
    """What is done to a frame does no harm to the next one, though its codec keeps the pixels it gave."""
    path = tmp_path / "clip.mov"
    picture = picture_of(5, 32, 64)  # 64 pixels are stored without padding
    with av.open(path, "w") as file:
        stream = file.add_stream("qtrle", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 64, "rgb24"
        for _ in range(4):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())

    for frame in read_frames(path, fps=20):
        np.testing.assert_array_equal(frame.pixels, picture)
        frame.pixels[:] = 0

    assert frame.index == 7


# Clips and facts


def test_load_clip_is_all_frames_in_one_array(thirty_frames):
    """A clip holds the frames that reading gives, as far as it is told to."""
    clip = load_clip(thirty_frames, fps=5, frame_size=(16, 24), start_s=1, end_s=2)

    assert clip.shape == (5, 16, 24, 3)
    assert clip.dtype == np.uint8
    assert [number_in(frame) for frame in clip] == [10, 12, 14, 16, 18]
    assert len(load_clip(thirty_frames)) == 30
    assert len(load_clip(thirty_frames, max_frames=4)) == 4
    assert len(load_clip(thirty_frames, max_frames=40)) == 30


@pytest.mark.parametrize("kind", KINDS)
def test_info_tells_what_the_file_says(tmp_path, kind):
    """The facts of each kind of file, and `None` for the number of frames where the file holds none."""
    path = write_numbered(tmp_path / f"clip.{kind}", 20, rate=10)
    container = {"mkv": "matroska,webm", "webm": "matroska,webm"}.get(kind, kind)
    container = "mov,mp4,m4a,3gp,3g2,mj2" if kind in {"mp4", "mov"} else container

    assert read_video_info(path) == VideoInfo(
        frame_size=(32, 48),
        fps=10.0,
        num_frames=None if kind in {"mkv", "webm"} else 20,
        duration_s=2.0,
        rotation_degrees=0,
        codec={"webm": "vp8", "avi": "mpeg4", "gif": "gif"}.get(kind, "h264"),
        has_audio=False,
        container=container,
    )
    with read_frames(path) as reader:
        assert reader.info == read_video_info(path)


def test_a_live_recording_does_not_say_how_long_it_is(tmp_path):
    """A file written as a stream, whose writer never came back to note its length, is read and has no duration."""
    path = write_numbered(
        tmp_path / "clip.webm", 20, rate=10, container_options={"live": "1"}
    )

    assert read_video_info(path).duration_s is None
    assert numbers(path, fps=5) == list(range(0, 20, 2))


# Life


@needs_proc
def test_the_file_is_closed_whichever_way_reading_ends(thirty_frames, no_video):
    """No file stays open after the last frame, after ``with``, after close, after a break, or after an error."""
    headless = no_video("no picture")
    before = num_open_files()

    assert len(list(reader := read_frames(thirty_frames))) == 30
    assert num_open_files() == before
    assert list(reader) == []

    with read_frames(thirty_frames) as reader:
        next(reader)
        assert num_open_files() == before + 1
    assert num_open_files() == before

    reader = read_frames(thirty_frames)
    reader.close()
    reader.close()
    assert num_open_files() == before

    gc.disable()
    try:
        for frame in read_frames(thirty_frames, fps=5):
            assert frame.index == 0
            break
        assert num_open_files() == before
        with pytest.raises(VideoError) as caught:
            read_frames(thirty_frames, start_s=99)
        assert num_open_files() == before
        with pytest.raises(VideoError) as caught:
            read_frames(headless)
        assert num_open_files() == before
        assert caught.value.path == headless
        read_video_info(thirty_frames)
        load_clip(thirty_frames, max_frames=2)
        assert num_open_files() == before
    finally:
        gc.enable()


def test_a_closed_reader_says_so(thirty_frames):
    """Reading on after closing is an error, not an end."""
    with read_frames(thirty_frames) as reader:
        next(reader)

    with pytest.raises(VideoError, match=r"clip.mkv: the reader is closed"):
        next(reader)


def test_importing_loads_no_pyav():
    """The modules can be imported without PyAV being loaded."""
    code = (
        "import sys, movinet_lite.video.reading, movinet_lite.video.scaling; "
        "assert 'av' not in sys.modules; import av; assert 'av' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# What is no video


def write_text(path):
    """Write some lines of prose."""
    path.write_text("It was a dark and stormy night.\n" * 20)


def write_script(path):
    """Write a play list that FFmpeg would follow."""
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")


def write_without_index(path):
    """Write an mp4 that has its table of contents at the end, and lose the end."""
    cut(
        write_numbered(path, 20, rate=10, container_options={"movflags": "write_colr"}),
        0.5,
    )


def write_without_pictures(path):
    """Write the head of a Matroska file and nothing of its first cluster."""
    write_numbered(path.with_suffix(".mkv"), 20, rate=10).rename(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75") + 16])


NO_VIDEOS = {
    "missing": ("clip.mp4", lambda _: None),
    "directory": ("clip.mp4", Path.mkdir),
    "pipe": ("clip.mp4", os.mkfifo),
    "empty": ("clip.mp4", Path.touch),
    "text": ("notes.txt", write_text),
    "text called mp4": ("clip.mp4", write_text),
    "script": ("list.ffconcat", write_script),
    "sound": ("clip.mp4", write_sound),
    "album": ("clip.mp4", lambda path: write_sound(path, cover=picture_of(1))),
    "no picture": ("clip.mp4", write_without_pictures),
    "no index": ("clip.mp4", write_without_index),
}


@pytest.fixture
def no_video(tmp_path):
    """Return a function from a word to a path at which there is no video."""

    def make(word):
        name, write = NO_VIDEOS[word]
        write(tmp_path / name)
        return tmp_path / name

    return make


@pytest.mark.parametrize("read", [read_frames, load_clip, read_video_info])
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("missing", "there is no such file"),
        ("directory", "it is a directory; pass a video file"),
        ("pipe", "it is a device or a pipe; pass a video file"),
        ("empty", "the file is empty"),
        ("text", "it is a text file, not a video"),
        (
            "text called mp4",
            r"it cannot be opened as a video: .* \(not a video, or trunc",
        ),
        ("script", "it is a text file, not a video|it cannot be opened as a video"),
        ("sound", "it contains audio, but no video"),
        ("album", "it contains audio, but no video"),
        ("no picture", "it contains no frame that can be decoded"),
        ("no index", r"it cannot be opened as a video: .*truncated before its index"),
    ],
)
def test_what_is_no_video_is_one_clear_error(no_video, capfd, read, word, message):
    """It fails when it is opened, with the path and the reason, and FFmpeg prints nothing of its own."""
    path = no_video(word)

    with pytest.raises(VideoError, match=message) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.path == path
    assert isinstance(caught.value, FileNotFoundError) == (word == "missing")
    assert capfd.readouterr() == ("", "")


def test_a_url_is_no_path():
    """An address gets a hint to download it first."""
    with pytest.raises(VideoNotFoundError, match="a URL"):
        read_frames("https://example.org/clip.mp4")


@pytest.mark.parametrize("name", ["12:30.mp4", "100%d.mp4", "ünïcode 字.mp4", "-i.mp4"])
def test_any_name_will_do(tmp_path, monkeypatch, name):
    """Names that mean something to FFmpeg are names here, as text and as paths, absolute and relative."""
    monkeypatch.chdir(tmp_path)
    write_numbered(tmp_path / "clip.mp4", 3, rate=10).rename(tmp_path / name)

    assert numbers(name) == [0, 1, 2]
    assert numbers(Path(name)) == [0, 1, 2]
    assert numbers(str(tmp_path / name)) == [0, 1, 2]
    write_video(f"new {name}", numbered(2), fps=10)
    assert numbers(f"new {name}") == [0, 1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fps": 0}, "fps must be a number above 0; got 0"),
        ({"fps": -5.0}, "fps must be a number above 0; got -5.0"),
        ({"fps": float("nan")}, "fps must be a number above 0; got nan"),
        ({"fps": float("inf")}, "fps must be a number above 0; got inf"),
        ({"fps": "5"}, "fps must be a number above 0; got '5'"),
        ({"frame_size": (0, 5)}, r"frame_size must be .*; got \(0, 5\)"),
        ({"frame_size": 172}, "frame_size must be .*; got 172"),
        ({"frame_size": (9.5, 5)}, r"frame_size must be .*; got \(9.5, 5\)"),
        ({"start_s": -1}, "start_s must be a number of at least 0; got -1"),
        ({"start_s": float("nan")}, "start_s must be .* at least 0; got nan"),
        ({"start_s": "1"}, "start_s must be a number of at least 0; got '1'"),
        ({"end_s": 0}, "end_s must be a number above start_s, which is 0; got 0"),
        ({"start_s": 2, "end_s": 2}, "end_s must be .*, which is 2; got 2"),
        ({"end_s": float("nan")}, "end_s must be a number above .*; got nan"),
    ],
)
def test_impossible_values_are_refused(thirty_frames, wrong, message):
    """A value that makes no sense is an ArrayError, which is a ValueError, with the value."""
    with pytest.raises(ArrayError, match=message):
        read_frames(thirty_frames, **wrong)


@pytest.mark.parametrize("max_frames", [0, -1, 2.5, "3"])
def test_max_frames_is_a_count(thirty_frames, max_frames):
    """The largest number of frames is a whole number of at least 1."""
    with pytest.raises(ArrayError, match="max_frames must be a whole number, at least"):
        load_clip(thirty_frames, max_frames=max_frames)


# What was cut short


def write_noise(path):
    """Write three seconds of noise, 20 frames a second, which takes some space."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 8, 12, 3), np.uint8)
    pictures = list(noise.repeat(4, axis=1).repeat(4, axis=2))
    return write_pictures(path, pictures, [*range(61)], Fraction(1, 20))


def cut(path, part):
    """Keep only the first *part* of a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fps", [None, 20.0])
def test_a_cut_file_gives_its_frames_and_then_an_error(tmp_path, capfd, kind, fps):
    """The frames before the cut come, good ones, and then one error that tells how many, without a word of FFmpeg's."""
    path = tmp_path / f"clip.{kind}"
    whole = list(read_frames(write_noise(path)))
    with av.open(path) as file:
        ends = [(p.pos or 0) + p.size for p in file.demux(video=0) if p.size]
    cut(path, 0.6)
    num_complete = sum(end <= path.stat().st_size for end in ends)

    good: list[VideoFrame] = []
    reader = read_frames(path, fps=fps)
    with pytest.raises(VideoError, match=r"damaged or truncated") as caught:
        good.extend(reader)

    assert num_complete > 20
    # The last picture of a GIF may be half of one: its format does not tell.
    assert len(good) == num_complete + (kind == "gif")
    assert str(caught.value).startswith(f"{path}: ")
    assert f"; {len(good)} frames were read" in str(caught.value)
    assert list(reader) == []
    for frame, expected in zip(
        good[: -1 if kind == "gif" else None], whole, strict=False
    ):
        np.testing.assert_array_equal(frame.pixels, expected.pixels)
    with pytest.raises(VideoError, match="damaged or truncated"):
        load_clip(path, fps=fps)
    assert len(load_clip(path, fps=fps, end_s=0.5)) == 10
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_cut_between_two_pictures_is_noticed(tmp_path, kind):
    """A file of sound and pictures that ends cleanly, but a second earlier than it announces, was cut short."""
    path = write_numbered(tmp_path / f"clip.{kind}", 60, rate=10, with_audio=True)
    with av.open(path) as file:
        packets = [p for p in file.demux(video=0) if p.pos is not None and p.pos > 0]
    path.write_bytes(path.read_bytes()[: packets[30].pos])

    with pytest.raises(VideoError, match=r"\d+ frames were read.*announces 6.00 s"):
        load_clip(path)


def test_damage_before_the_start_is_told_at_once(tmp_path):
    """A start that lies behind the cut fails when the file is opened."""
    path = write_noise(tmp_path / "clip.mp4")
    cut(path, 0.6)

    with pytest.raises(VideoError, match="truncated; 0 frames were read"):
        read_frames(path, start_s=2.5)


def test_a_foreign_error_is_the_cause(tmp_path, monkeypatch):
    """What FFmpeg said is kept as the cause of the one error of ours."""
    (tmp_path / "clip.mp4").write_bytes(b"nothing of the kind" * 50)
    with pytest.raises(VideoError) as caught:
        read_frames(tmp_path / "clip.mp4")

    assert isinstance(caught.value.__cause__, av.FFmpegError)

    path = write_numbered(tmp_path / "good.mp4", 5, rate=10)
    decode = VideoDecoder._decode

    def broken(self):
        yield from itertools.islice(decode(self), 2)
        self.damage, self._cause = "broken", av.InvalidDataError(1, "broken")

    monkeypatch.setattr(VideoDecoder, "_decode", broken)
    with pytest.raises(VideoError, match="2 frames were read") as caught:
        list(read_frames(path))
    assert isinstance(caught.value.__cause__, av.FFmpegError)


# A real video


def test_a_real_video_at_the_rate_of_a_model(shared_data):
    """The clip of 131 frames at a variable rate gives 22 frames at 5 a second."""
    path = shared_data("carving_ice.mp4")

    frames = list(read_frames(path, fps=5))

    assert [frame.time_s for frame in frames] == [i / 5 for i in range(22)]
    every = list(read_frames(path))
    assert len(every) == 131
    for frame in frames:
        earlier = [other for other in every if other.time_s <= frame.time_s + 1e-4]
        np.testing.assert_array_equal(frame.pixels, earlier[-1].pixels)
    late = list(read_frames(path, start_s=4.0, fps=5))
    np.testing.assert_array_equal(late[1].pixels, frames[21].pixels)


# Writing


def smooth_clip(num_frames, height, width):
    """Return a clip of slow waves of colour, 0 to 1."""
    time, down, across = np.meshgrid(
        np.arange(num_frames), np.arange(height), np.arange(width), indexing="ij"
    )
    waves = [np.sin(across / 9 + time), np.cos(down / 7), np.sin((down + across) / 12)]
    return (np.stack(waves, axis=-1) * 0.4 + 0.5).astype(np.float32)


@pytest.mark.parametrize(("ending", "bound"), [(".mp4", 3.3), (".gif", 9.0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_is_written_is_read_back(tmp_path, ending, bound, dtype):
    """A clip comes back with its times, and within a measured distance of its colours."""
    clip = smooth_clip(12, 64, 96)
    path = tmp_path / f"clip{ending}"

    write_video(path, clip if dtype == np.float32 else to_uint8(clip), fps=12.5)

    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == pytest.approx(
        [i / 12.5 for i in range(12)]
    )
    assert read_video_info(path).duration_s == pytest.approx(12 / 12.5)
    assert frames[0].pixels.shape == (64, 96, 3)
    # At half the size, at which no colour is lost to 4:2:0.
    read = load_clip(path, frame_size=(32, 48)).astype(float)
    expected = to_uint8(prepare_clip(clip, (32, 48)))
    distance = np.sqrt(np.mean((read - expected) ** 2))
    assert distance < bound


def test_a_gif_keeps_few_colours(tmp_path):
    """A frame of at most 256 colours comes back from a GIF within one level."""
    blocks = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3), np.uint8)
    clip = blocks.repeat(3, axis=1).repeat(3, axis=2)

    write_video(tmp_path / "clip.gif", clip, fps=30)

    read = load_clip(tmp_path / "clip.gif")
    assert np.abs(read.astype(int) - clip).max() <= 1
    times = [frame.time_s for frame in read_frames(tmp_path / "clip.gif")]
    assert times == pytest.approx([0.0, 0.03, 0.07, 0.1, 0.13])
    assert numbers_of_samples(tmp_path / "clip.gif", 30) == 5


def numbers_of_samples(path, fps):
    """Return how many frames a file gives at a frame rate."""
    return len(list(read_frames(path, fps=fps)))


@pytest.mark.parametrize("size", [(33, 47), (33, 48), (32, 47), (1, 1)])
def test_odd_sizes(tmp_path, size):
    """A GIF keeps an odd size; an MP4 repeats the last row and column."""
    frame = np.full((*size, 3), 255, np.uint8)
    frame[-1] = frame[:, -1] = 0
    growth = [(0, length % 2) for length in size]

    write_video(tmp_path / "clip.gif", [frame], fps=5)
    write_video(tmp_path / "clip.mp4", [frame], fps=5)

    np.testing.assert_array_equal(load_clip(tmp_path / "clip.gif"), [frame])
    (read,) = load_clip(tmp_path / "clip.mp4")
    repeated = np.pad(frame, (*growth, (0, 0)), mode="edge")
    np.testing.assert_allclose(read, repeated, atol=25)


def test_a_written_file_can_be_cut(tmp_path):
    """What is left of a file that was written, when its end is lost, can be read."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 32, 48, 3), np.uint8)
    write_video(tmp_path / "clip.mp4", noise, fps=10)

    cut(tmp_path / "clip.mp4", 0.6)

    assert len(load_clip(tmp_path / "clip.mp4", end_s=1.0)) == 10


@pytest.mark.parametrize("fps", [29.97, float(NTSC), 23.976, 0.5, 1, 7.3, 240])
def test_a_frame_rate_is_not_rounded(tmp_path, fps):
    """The frame rate of a file is that given, whole or not."""
    write_video(tmp_path / "clip.mp4", numbered(4), fps=fps)

    assert read_video_info(tmp_path / "clip.mp4").fps == pytest.approx(fps, rel=1e-6)
    assert numbers(tmp_path / "clip.mp4", fps=fps) == [0, 1, 2, 3]


def test_frames_are_written_as_they_come(tmp_path):
    """Any iterable of frames will do, such as a reader, even of the very file that is replaced."""
    path = tmp_path / "clip.mp4"
    write_video(path, (picture_of(number) for number in range(9)), fps=10)

    with read_frames(path, fps=5) as reader:
        write_video(path, reader, fps=5)

    assert numbers(path) == [0, 2, 4, 6, 8]
    write_video(path, [VideoFrame(picture_of(3), 0.0, 0), picture_of(4) / 255], fps=5)
    assert numbers(path) == [3, 4]


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_a_failure_leaves_nothing_behind(tmp_path, ending):
    """When the frames fail in the middle, their error comes through, and the folder is as it was."""
    path = tmp_path / f"clip{ending}"
    path.write_text("what was there before")

    def frames():
        yield from numbered(5)
        raise RuntimeError("the camera fell down")

    with pytest.raises(RuntimeError, match="the camera fell down"):
        write_video(path, frames(), fps=5)
    with pytest.raises(
        ArrayError, match=r"same shape; got \(32, 48, 3\), and \(8, 8, 3\) at frame 2"
    ):
        write_video(path, [*numbered(2), picture_of(0, 8, 8)], fps=5)
    with pytest.raises(ArrayError, match="channels first"):
        write_video(path, [*numbered(2), np.zeros((3, 8, 8), np.uint8)], fps=5)

    assert [other.name for other in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "what was there before"


@pytest.mark.parametrize(
    ("name", "frames", "fps", "error", "message"),
    [
        (
            "clip.avi",
            numbered(1),
            5,
            VideoError,
            r"end in one of \.mp4, \.gif; got '.avi'",
        ),
        ("clip", numbered(1), 5, VideoError, r"end in one of \.mp4, \.gif; got ''"),
        ("folder.mp4", numbered(1), 5, VideoError, "it is a directory"),
        ("none/clip.mp4", numbered(1), 5, VideoError, "its folder does not exist"),
        (
            "clip.mp4",
            [],
            5,
            ArrayError,
            "there must be at least one frame; got none",
        ),
        ("clip.mp4", iter([]), 5, ArrayError, "there must be at least one frame"),
        ("clip.mp4", picture_of(1), 5, ArrayError, "one frame?"),
        ("clip.mp4", numbered(1), 0, ArrayError, "fps must be a number above 0; got 0"),
        ("clip.gif", numbered(1), 60, ArrayError, "from 0.01 to 50 .*; got 60"),
        ("clip.mp4", numbered(1), 1e-9, ArrayError, "from 0.01 to 1000 .*; got 1e-09"),
    ],
)
def test_what_cannot_be_written(  # noqa: PLR0917  # one for each column
    tmp_path, name, frames, fps, error, message
):
    """Each thing that cannot be written is one clear error, and nothing is left behind."""
    (tmp_path / "folder.mp4").mkdir()

    with pytest.raises(error, match=message):
        write_video(tmp_path / name, frames, fps=fps)

    assert [other.name for other in tmp_path.iterdir()] == ["folder.mp4"]


def test_a_folder_that_takes_no_files():
    """Where nothing may be written, the error names the file and what the system said."""
    if not Path("/proc").is_dir():
        pytest.skip("no folder in which nobody can write")
    with pytest.raises(VideoError, match=r"^/proc/clip.mp4: it cannot be written: "):
        write_video("/proc/clip.mp4", numbered(1), fps=5)


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_upper_case_endings(tmp_path, ending):
    """The ending counts in any case."""
    path = tmp_path / f"CLIP.{ending.upper()}"

    write_video(path, numbered(2), fps=5)

    assert numbers(path) == [0, 1]
