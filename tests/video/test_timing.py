"""Whatever the clock of a file does, each frame has its time, times never fall, and no frame is lost for its time."""

import itertools
from fractions import Fraction

import av
import pytest

from movinet_lite.errors import VideoError
from movinet_lite.video import load_clip, read_frames
from movinet_lite.video.timing import FrameClock
from tests.video_files import number_in, numbered, picture_of, write_pictures

RATE = 25
B_FRAMES = {"x264-params": "bframes=2:b-adapt=0:keyint=12:scenecut=0"}
PYRAMID = {"x264-params": "bframes=3:b-pyramid=normal:b-adapt=0:keyint=12:scenecut=0"}


def write(path, count, codec="libx264", options=B_FRAMES, first=0, **file_options):
    """Write *count* numbered frames with B-frames."""
    with av.open(path, "w", options=file_options) as file:
        stream = file.add_stream(codec, rate=RATE, options=options)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture_of(number), "rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def shown(path, **options):
    """Return the number and the time of each frame of a file."""
    return [
        (number_in(frame.pixels), pytest.approx(frame.time_s, abs=1e-3))
        for frame in read_frames(path, **options)
    ]


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", B_FRAMES),
        ("libx264", PYRAMID),
        ("mpeg4", {"bf": "2", "b": "9M", "g": "12"}),
    ],
)
def test_an_avi_with_b_frames_is_read_in_order(tmp_path, codec, options):
    """AVI tells when frames are decoded, not when they are shown: the times are regular all the same, from any start."""
    path = write(tmp_path / "clip.avi", 60, codec, options)

    assert shown(path) == [(number, number / RATE) for number in range(60)]
    assert [number for number, _ in shown(path, fps=5)] == [*range(0, 60, 5)]
    for start in range(0, 60, 7):
        found = [number for number, _ in shown(path, start_s=start / RATE)]
        assert found == [*range(start, 60)]


@pytest.mark.parametrize("later", [0, 100_000])
def test_joined_recordings_are_read_to_the_end(tmp_path, later):
    """Where the clock of an MPEG-TS is set anew, back or far ahead, time goes on from the last frame."""
    one = write(tmp_path / "one.ts", 50)
    two = write(tmp_path / "two.ts", 50, first=later)
    path = tmp_path / "joined.ts"
    path.write_bytes(one.read_bytes() + two.read_bytes())

    assert shown(path) == [(place % 50, place / RATE) for place in range(100)]
    assert [number for number, _ in shown(path, fps=5)] == [*range(0, 50, 5)] * 2
    assert [number for number, _ in shown(path, start_s=3.0)] == [*range(25, 50)]


def test_a_clock_that_wraps_goes_on(tmp_path):
    """MPEG-TS counts 26.5 hours and begins anew; a recording over that hour is read to its end."""
    path = write(tmp_path / "clip.ts", 100, output_ts_offset="95440")

    assert shown(path) == [(number % 64, number / RATE) for number in range(100)]


def test_a_gap_of_ten_years_is_an_error_and_not_for_ever(tmp_path):
    """A frame that would be shown for more than a day ends the video, with an error that says how long."""
    path = write_pictures(
        tmp_path / "clip.mkv", numbered(2), [0, 315_360_000, 315_360_001], Fraction(1)
    )

    reader = read_frames(path, fps=5)
    with pytest.raises(VideoError, match=r"the next frame is shown 3153\d+ s later"):
        assert [number_in(frame.pixels) for frame in reader] == [0]
    with pytest.raises(VideoError, match="1 frames were read"):
        list(read_frames(path))


@pytest.mark.parametrize("fps", [1e308, 1e7])
def test_one_frame_is_not_given_without_end(tmp_path, fps):
    """A frame rate that would give one frame of the file more than 100,000 times is refused at once."""
    path = write_pictures(
        tmp_path / "clip.mp4", numbered(2), [0, 3, 6], Fraction(1, 10)
    )

    with pytest.raises(
        VideoError, match=r"may be repeated 100,000 times; .* lower fps"
    ):
        read_frames(path, fps=fps)
    assert 900 < len(load_clip(path, fps=1e7, end_s=1e-4)) <= 1000


def test_an_hour_between_two_frames_is_no_error(tmp_path):
    """A frame of each hour, as time lapses have, is read by its times."""
    ticks = [0, 3600, 7200, 7201]
    path = write_pictures(tmp_path / "clip.mkv", numbered(3), ticks, Fraction(1))

    assert shown(path, fps=1 / 1800) == [
        (number, index * 1800) for index, number in enumerate([0, 0, 1, 1, 2])
    ]


def clock(**options):
    """Return a clock of hundredths of a second whose first frame has the stamps 7 and 5."""
    made = FrameClock(Fraction(1, 100), **options)
    made.start(7, 5)
    return made


def times(made, stamps):
    """Return the times that a clock gives for (pts, dts) of frames of four hundredths."""
    return [round(made.time_s(pts, dts, 0.04) * 100) for pts, dts in stamps]


def test_a_clock_gives_the_stamps_of_a_sound_file():
    """Stamps that rise are the times, from the first frame on."""
    stamps = [(7, 5), (11, 9), (31, None), (32, 30)]

    assert times(clock(), stamps) == [0, 4, 24, 25]


def test_frames_without_stamps_follow_each_other():
    """A frame without a stamp comes as long after the one before as that one did."""
    assert times(clock(), [(None, None)] * 3) == [0, 4, 8]
    assert times(clock(), [(7, 5), (17, 15), (None, None), (None, None)]) == [
        0,
        10,
        20,
        30,
    ]


def test_stamps_out_of_order_are_replaced_by_decoding_times():
    """Where presentation stamps fall by a frame or two, decoding stamps are taken, and no time falls."""
    stamps = [(7, 5), (15, 9), (11, 13), (19, 17), (23, 21)]

    found = times(clock(), stamps)

    assert found == [0, 8, 8, 12, 16]


@pytest.mark.parametrize(("may_jump", "resumed"), [(True, 8), (False, 5000)])
def test_only_a_clock_that_may_jump_is_set_ahead(may_jump, resumed):
    """A gap of 50 seconds is a new clock in MPEG-TS, and a gap in other files."""
    stamps = [(7, 5), (11, 9), (5007, 5005), (5011, 5009)]

    found = times(clock(may_jump=may_jump), stamps)

    assert found == [0, 4, resumed, resumed + 4]


def test_a_new_clock_keeps_its_own_steps():
    """After a clock was set anew, frames are as far apart as its stamps say."""
    stamps = [(7 + 4 * i, 5 + 4 * i) for i in range(40)]

    found = times(clock(), [*stamps, (7, 5), (17, 15), (18, 16)])

    assert found[-4:] == [156, 160, 170, 171]


def test_every_new_clock_goes_on():
    """A clock that falls again and again goes on each time."""
    stamps = [(7 + 4 * i, 5 + 4 * i) for i in range(40)]

    found = times(clock(), stamps * 3)

    assert found == [*range(0, 480, 4)]
    assert all(a < b for a, b in itertools.pairwise(found))
