"""Frames that nobody sees are not decoded, and those that are given are to the bit the same."""

import functools
import itertools
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movinet_lite.errors import VideoError
from movinet_lite.video import decoding, read_frames
from movinet_lite.video.decoding import VideoDecoder
from movinet_lite.video.thinning import Samples

NUM_FRAMES = 48
TICK = Fraction(1, 1200)


@functools.cache
def pictures():
    """Return pictures of moving noise, each of which is needed to predict the next."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (16, 24, 3)).repeat(6, axis=0).repeat(6, axis=1)
    rolled = [np.roll(noise, (n, 2 * n), (0, 1)) for n in range(NUM_FRAMES)]
    speckled = np.stack(rolled) + rng.integers(-8, 9, (NUM_FRAMES, 96, 144, 3))
    return np.clip(speckled, 0, 255).astype(np.uint8)


def write(*arguments, **options):
    """Write a file with `_write`, in a thread that then ends.

    SVT-AV1 gives the thread that calls it real-time priority where it may, and leaves it so: it would keep the cores from
    all other processes.
    """
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_write, *arguments, **options).result()


def _write(  # noqa: PLR0917
    path, codec, options, lengths=(40,), pixel_format="yuv420p", container_options=None
):
    """Write the pictures, shown for so many ticks each in turn, the first one at the tick 600."""
    with av.open(path, "w", options=container_options or {}) as file:
        stream = file.add_stream(codec, rate=30, options=options)
        stream.height, stream.width, stream.pix_fmt = 96, 144, pixel_format
        stream.codec_context.time_base = stream.time_base = TICK
        tick = 600
        for pixels, length in zip(pictures(), itertools.cycle(lengths), strict=False):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = tick, TICK
            file.mux(stream.encode(frame))
            tick += length
        file.mux(stream.encode())
    return path


def frames_of(path, **options):
    """Return the times and pixels that reading gives, and why it ended."""
    given, end = [], None
    try:
        for frame in read_frames(path, **options):
            given.append((frame.time_s, frame.pixels))  # noqa: PERF401
    except VideoError as error:
        end = str(error)
    return given, end


def check_exact(path, monkeypatch_context=pytest.MonkeyPatch.context, **options):
    """Compare what is read with what is read when every frame is decoded, to the bit."""
    found, end = frames_of(path, **options)
    with monkeypatch_context() as patch:
        patch.setattr(decoding, "disposable_test", lambda *_: None)
        expected, expected_end = frames_of(path, **options)
    assert [time_s for time_s, _ in found] == [time_s for time_s, _ in expected]
    for (_, pixels), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(pixels, other)
    assert end == expected_end


def num_left_out(path, fps):
    """Return how many frames of a file are not decoded at a frame rate."""
    decoder = VideoDecoder(path, samples=Samples(fps))
    left_out = [picture is None for _, _, picture in decoder.frames(0.0)]
    decoder.close()
    assert len(left_out) == NUM_FRAMES
    return sum(left_out)


H264 = st.fixed_dictionaries(
    {
        "bframes": st.integers(0, 7),
        "b-adapt": st.integers(0, 2),
        "b-pyramid": st.sampled_from(["none", "strict", "normal"]),
        "open-gop": st.integers(0, 1),
        "keyint": st.sampled_from([1, 2, 7, 12, 250]),
        "ref": st.integers(1, 5),
        "scenecut": st.sampled_from([0, 40]),
        "intra-refresh": st.sampled_from([0, 0, 1]),
        "interlaced": st.sampled_from([0, 0, 1]),
        "slices": st.sampled_from([1, 3]),
        "nal-hrd": st.sampled_from(["none", "vbr"]),
    }
)
HEVC = st.fixed_dictionaries(
    {
        "bframes": st.integers(0, 6),
        "b-pyramid": st.integers(0, 1),
        "open-gop": st.integers(0, 1),
        "keyint": st.sampled_from([8, 13, 250]),
        "ref": st.integers(1, 4),
        "temporal-layers": st.sampled_from([0, 0, 3]),
        "scenecut": st.sampled_from([0, 40]),
    }
).map(
    # The encoder makes sub-layers of pyramids alone.
    lambda each: (
        each | ({"bframes": 3, "b-pyramid": 1} if each["temporal-layers"] else {})
    )
)
QUERIES = st.fixed_dictionaries(
    {"fps": st.sampled_from([0.7, 2.0, 5.0, 7.3, 12.0, 29.97, 60.0])},
    optional={
        "start_s": st.floats(0.05, 1.2),
        "end_s": st.floats(1.3, 2.0),
        "threads": st.sampled_from([1, 2, 3]),
    },
)
LENGTHS = st.one_of(
    st.just([40]), st.lists(st.integers(6, 130), min_size=1, max_size=9)
)


@given(
    options=H264,
    lengths=LENGTHS,
    queries=st.lists(QUERIES, min_size=1, max_size=3),
    kind=st.sampled_from(["mp4", "mov", "mkv", "ts", "avi", "flv"]),
)
@settings(max_examples=40)
def test_h264_is_exact(options, lengths, queries, kind):
    """Whatever the order of H.264 frames, their distances and the file format, the frames given are the same."""
    text = ":".join(f"{name}={value}" for name, value in options.items())
    with tempfile.TemporaryDirectory() as folder:
        path = write(
            Path(folder, f"clip.{kind}"),
            "libx264",
            {
                "preset": "veryfast",
                "x264-params": f"{text}:vbv-maxrate=4000:vbv-bufsize=4000",
            },
            lengths if kind != "avi" else [40],
        )
        for query in queries:
            check_exact(path, **query)


@given(
    options=HEVC,
    lengths=LENGTHS,
    queries=st.lists(QUERIES, min_size=1, max_size=3),
    kind=st.sampled_from(["mp4", "mkv", "ts"]),
)
@settings(max_examples=15)
def test_hevc_is_exact(options, lengths, queries, kind):
    """Whatever the order of H.265 frames, their sub-layers and the file format, the frames given are the same."""
    text = ":".join(f"{name}={value}" for name, value in options.items())
    with tempfile.TemporaryDirectory() as folder:
        path = write(
            Path(folder, f"clip.{kind}"),
            "libx265",
            {
                "preset": "ultrafast",
                "x265-params": f"{text}:rc-lookahead=12:log-level=none:pools=1",
            },
            lengths,
        )
        for query in queries:
            check_exact(path, **query)


OTHERS = {
    "mpeg4": ("mp4", "mpeg4", {"bf": "2", "g": "12", "b": "2M"}, "yuv420p"),
    "mpeg4 in avi": ("avi", "mpeg4", {"bf": "2", "g": "12", "b": "2M"}, "yuv420p"),
    "prores": ("mov", "prores_ks", {}, "yuv422p10le"),
    "mjpeg": ("mov", "mjpeg", {}, "yuvj420p"),
    "vp8": ("webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}, "yuv420p"),
    "vp9": (
        "webm",
        "libvpx-vp9",
        {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8", "b": "1M"},
        "yuv420p",
    ),
    "av1": ("mp4", "libsvtav1", {"preset": "12"}, "yuv420p"),
    "gif": ("gif", "gif", {}, "rgb8"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("lengths", [[40], [24, 72, 12]])
def test_other_codecs_are_exact(tmp_path, name, lengths):
    """Frames of other codecs are the same too, whether some can be left out or not."""
    ending, codec, options, pixel_format = OTHERS[name]
    path = write(tmp_path / f"clip.{ending}", codec, options, lengths, pixel_format)

    for query in [{"fps": 5}, {"fps": 2, "start_s": 0.55}, {"fps": 12, "end_s": 1.2}]:
        check_exact(path, **query)


FRAMES_OF_TWO = "bframes=3:b-adapt=0:b-pyramid=normal:keyint=12:scenecut=0"


@pytest.mark.parametrize(
    ("ending", "codec", "options", "at_least"),
    [
        ("mp4", "libx264", {"x264-params": FRAMES_OF_TWO}, 16),
        ("mkv", "libx264", {"x264-params": FRAMES_OF_TWO}, 16),
        ("ts", "libx264", {"x264-params": FRAMES_OF_TWO}, 16),
        (
            "mp4",
            "libx265",
            {"x265-params": f"{FRAMES_OF_TWO}:log-level=none".replace("normal", "1")},
            15,
        ),
        ("mp4", "mpeg4", {"bf": "2"}, 25),
        ("mov", "prores_ks", {}, 36),
    ],
)
def test_frames_are_left_out(tmp_path, ending, codec, options, at_least):
    """Half of the frames of usual files, or more, are not decoded at five frames per second."""
    pixel_format = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    path = write(tmp_path / f"clip.{ending}", codec, options, pixel_format=pixel_format)

    assert at_least <= num_left_out(path, 5.0) < NUM_FRAMES - 8


@pytest.mark.parametrize("options", ["interlaced=1", "bframes=0"])
def test_nothing_is_left_out_where_all_is_needed(tmp_path, options):
    """Where frames may be stored as two fields, and where each is needed by the next, all are decoded."""
    path = write(tmp_path / "clip.mp4", "libx264", {"x264-params": options})

    assert num_left_out(path, 5.0) == 0


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("part", [0.35, 0.6, 0.85])
def test_a_cut_file_is_exact(tmp_path, kind, part):
    """What is left of a file that was cut gives the same frames, and then the same error."""
    path = write(
        tmp_path / f"clip.{kind}",
        "libx264",
        {"x264-params": FRAMES_OF_TWO},
        container_options={"movflags": "faststart"} if kind == "mp4" else {},
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])

    # How FFmpeg mends the last frame depends on the number of its threads.
    check_exact(path, fps=5, threads=1)
    check_exact(path, fps=12, threads=1)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_damage_in_the_middle_is_exact(tmp_path, kind):
    """Where bytes of frames that are decoded are wrong, the frames and the error are those of decoding all."""
    path = write(
        tmp_path / f"clip.{kind}", "libx264", {"x264-params": "bframes=0:keyint=12"}
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(bytes(data))

    check_exact(path, fps=5)


needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="the program ffmpeg cuts the files"
)


@needs_ffmpeg
@pytest.mark.parametrize("start", ["0.21", "0.77"])
@pytest.mark.parametrize("params", [FRAMES_OF_TWO, f"{FRAMES_OF_TWO}:open-gop=1"])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_edit_lists_and_cuts_between_key_frames_are_exact(
    tmp_path, kind, params, start
):
    """A file cut without encoding it anew, which begins with frames that are not shown, gives the same frames."""
    path = write(tmp_path / "clip.mp4", "libx264", {"x264-params": params})
    cut = tmp_path / f"cut.{kind}"
    subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-ss",
            start,
            "-i",
            path,
            "-t",
            "1.1",
            "-c",
            "copy",
            cut,
        ],
        check=True,
    )

    for query in [{"fps": 5}, {"fps": 12}, {"fps": 3, "start_s": 0.4}]:
        check_exact(cut, **query)


def test_joined_recordings_are_exact(tmp_path):
    """Where the clock is set back in the middle, the file is decoded whole, and the frames are the same."""
    path = write(tmp_path / "one.ts", "libx264", {"x264-params": FRAMES_OF_TWO})
    joined = tmp_path / "joined.ts"
    joined.write_bytes(path.read_bytes() * 3)

    check_exact(joined, fps=5)
    check_exact(joined, fps=5, start_s=2.3)
