"""Frames get a model's size and range without a change in colour, and the right frame is taken for each time."""

import itertools
import resource

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from movinet_lite.arrays import VideoFrame
from movinet_lite.errors import ArrayError
from movinet_lite.video import (
    frames_shown_at,
    prepare_clip,
    prepare_frame,
    sample_times,
    to_float01,
    to_uint8,
)
from movinet_lite.video.scaling import FrameScaler
from tests.strategies import clips, frames

LEVEL = 1 / 255
FITS = st.sampled_from(["stretch", "crop", "pad"])
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
LARGER_SIZES = st.tuples(st.integers(4, 40), st.integers(4, 40))
DTYPES = st.sampled_from([np.uint8, np.float32])


@st.composite
def large_frames(draw, dtype=None):
    """Draw noise, ``(height, width, 3)``, 4 to 150 pixels a side, uint8 or float32."""
    height, width = draw(st.tuples(st.integers(4, 150), st.integers(4, 150)))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if (dtype or draw(DTYPES)) is np.uint8:
        return noise.integers(0, 256, (height, width, 3), np.uint8)
    return noise.random((height, width, 3), np.float32)


def averaging(length, new_length):
    """Return the matrix that scales a line: the mean of the area, or linear where it grows."""
    factor = length / new_length
    old = np.arange(length)
    new = np.arange(new_length)[:, np.newaxis]
    if factor >= 1:
        covered = np.minimum((new + 1) * factor, old + 1) - np.maximum(
            new * factor, old
        )
        weights = np.clip(covered, 0, None)
    else:
        weights = np.clip(1 - np.abs((new + 0.5) * factor - 0.5 - old), 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def exactly_scaled(frame, frame_size):
    """Return *frame*, 0 to 1, scaled in double precision."""
    down, across = map(averaging, frame.shape, frame_size)
    whole = frame / 255 if frame.dtype == np.uint8 else frame.astype(float)
    return np.einsum("yi,ijc,xj->yxc", down, whole, across, optimize=True)


# Range


def test_to_float01_divides_by_255():
    """Each of the 256 levels becomes its 255th part, as near as float32 can be, and comes back."""
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)

    prepared = to_float01(levels)

    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared, levels.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(to_uint8(prepared), levels)


@given(st.one_of(frames(), clips()))
def test_to_uint8_rounds_to_the_nearest_level(pictures):
    """A value is off by half a level at most after a trip through 8 bits, and the input is not touched."""
    before = pictures.copy()

    whole = to_uint8(pictures)

    assert whole.dtype == np.uint8
    assert whole.shape == pictures.shape
    assert np.abs(to_float01(whole) - to_float01(pictures)).max() <= 0.5001 * LEVEL
    assert not np.shares_memory(whole, pictures)
    assert not np.shares_memory(to_float01(pictures), pictures)
    np.testing.assert_array_equal(pictures, before)


def test_converters_take_what_holds_pictures():
    """A video frame, a list of frames and a clip are all pictures; a grey picture is not."""
    pixels = np.full((2, 3, 3), 255, np.uint8)

    assert to_float01(VideoFrame(pixels, 0.0, 0)).shape == (2, 3, 3)
    assert to_float01([pixels, pixels]).shape == (2, 2, 3, 3)
    assert to_float01(pixels[np.newaxis]).shape == (1, 2, 3, 3)
    with pytest.raises(ArrayError, match="same shape"):
        to_float01([pixels, pixels[:1]])
    with pytest.raises(ArrayError, match="grey"):
        to_float01(pixels[..., 0])
    with pytest.raises(ArrayError, match=r"divide by 255"):
        to_uint8(pixels.astype(np.float32))


# Size


@given(st.one_of(large_frames(), frames()), SIZES, FITS)
def test_prepare_frame_gives_what_a_model_takes(frame, frame_size, fit):
    """Whatever comes, the result is float32 in 0 to 1, in one piece, of the size asked for, and new."""
    before = frame.copy()

    prepared = prepare_frame(frame, frame_size, fit=fit)

    assert prepared.shape == (*frame_size, 3)
    assert prepared.dtype == np.float32
    assert prepared.flags.c_contiguous
    assert prepared.min() >= 0
    assert prepared.max() <= 1
    assert not np.shares_memory(prepared, frame)
    np.testing.assert_array_equal(frame, before)


@given(large_frames(), LARGER_SIZES)
def test_scaling_is_the_mean_of_the_area(frame, frame_size):
    """Each pixel is the mean of the area it covers, or lies between its neighbours, within the stated accuracy."""
    bound = LEVEL if frame.dtype == np.uint8 else 0.002

    prepared = prepare_frame(frame, frame_size)

    assert np.abs(prepared - exactly_scaled(frame, frame_size)).max() <= bound


@given(
    st.tuples(st.integers(4, 150), st.integers(4, 150)),
    LARGER_SIZES,
    st.tuples(*[st.integers(0, 255)] * 3),
    st.sampled_from(["stretch", "crop"]),
)
def test_one_colour_stays_that_colour(size, frame_size, colour, fit):
    """A uint8 frame of one colour keeps it exactly, a float one within the stated accuracy."""
    frame = np.full((*size, 3), colour, np.uint8)
    expected = np.broadcast_to(to_float01(frame)[0, 0], (*frame_size, 3))

    np.testing.assert_array_equal(prepare_frame(frame, frame_size, fit=fit), expected)
    np.testing.assert_allclose(
        prepare_frame(to_float01(frame), frame_size, fit=fit), expected, atol=0.002
    )


@given(large_frames(), LARGER_SIZES, FITS, st.sampled_from([0, 1]))
def test_mirrored_in_is_mirrored_out(frame, frame_size, fit, axis):
    """A mirrored frame gives the mirrored result within one level, with either fit."""
    prepared = prepare_frame(frame, frame_size, fit=fit)

    mirrored = prepare_frame(np.flip(frame, axis), frame_size, fit=fit)

    assert np.abs(np.flip(mirrored, axis) - prepared).max() <= 1.001 * LEVEL


@given(large_frames(), LARGER_SIZES, st.permutations([0, 1, 2]))
def test_channels_do_not_mix(frame, frame_size, order):
    """Scaling treats red, green and blue alike and apart."""
    prepared = prepare_frame(frame, frame_size)

    np.testing.assert_allclose(
        prepare_frame(frame[..., order], frame_size),
        prepared[..., order],
        atol=1.001 * LEVEL if frame.dtype == np.uint8 else 0.002,
    )


@given(large_frames(), SIZES, st.integers(0, 9))
def test_the_layout_in_memory_does_not_matter(frame, frame_size, margin):
    """A view into a larger picture gives the same as a copy of it, to the bit."""
    larger = np.pad(frame, ((0, 0), (margin, 3), (0, 0)), mode="wrap")
    view = larger[:, margin : margin + frame.shape[1]]

    np.testing.assert_array_equal(
        prepare_frame(view, frame_size), prepare_frame(frame, frame_size)
    )


@given(large_frames(np.uint8), LARGER_SIZES, FITS)
def test_8_and_16_bits_agree(frame, frame_size, fit):
    """A frame gives the same as uint8 and as float32, within one level."""
    np.testing.assert_allclose(
        prepare_frame(frame, frame_size, fit=fit),
        prepare_frame(to_float01(frame), frame_size, fit=fit),
        atol=1.001 * LEVEL,
    )


@given(large_frames(), FITS)
def test_a_frame_of_the_right_size_is_only_converted(frame, fit):
    """A frame that fits is divided by 255, exactly, and nothing else."""
    prepared = prepare_frame(frame, frame.shape[:2], fit=fit)

    np.testing.assert_array_equal(prepared, to_float01(frame))


@pytest.mark.parametrize(
    ("size", "frame_size", "left", "top"),
    [((40, 61), (40, 31), 15, 0), ((61, 40), (31, 40), 0, 15), ((8, 9), (8, 9), 0, 0)],
)
def test_crop_cuts_out_the_centre(size, frame_size, left, top):
    """Where one side fits already and the rest is even, a crop is a slice from the very middle."""
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    height, width = frame_size

    prepared = prepare_frame(frame, frame_size, fit="crop")

    np.testing.assert_array_equal(
        prepared, to_float01(frame[top : top + height, left : left + width])
    )


@pytest.mark.parametrize("size", [(60, 120), (120, 60)])
def test_crop_keeps_the_shape(size):
    """A disc stays a disc with a crop, and is squeezed by a stretch."""
    down, across = np.indices(size)
    disc = np.hypot(down - size[0] / 2 + 0.5, across - size[1] / 2 + 0.5) < 24
    frame = np.repeat(disc[..., np.newaxis], 3, axis=-1).astype(np.uint8) * 255

    def extent(prepared):
        lit = prepared[..., 0] > 0.5
        return int(lit.any(axis=1).sum()), int(lit.any(axis=0).sum())

    assert extent(prepare_frame(frame, (30, 30), fit="crop")) == (24, 24)
    squeezed = (24, 12) if size[1] > size[0] else (12, 24)
    assert extent(prepare_frame(frame, (30, 30))) == squeezed


@given(large_frames(), SIZES)
def test_crop_covers_the_frame_size(frame, frame_size):
    """A crop never shows what lies beyond the frame: a white frame stays white."""
    white = np.ones_like(frame) * (255 if frame.dtype == np.uint8 else 1)
    assume(min(frame_size) > 1)

    assert prepare_frame(white, frame_size, fit="crop").min() > 0.998


@given(clips(max_side=30), SIZES, FITS)
def test_a_clip_is_its_frames(clip, frame_size, fit):
    """Preparing a clip is preparing each of its frames, to the bit, whether array or list."""
    expected = np.stack([prepare_frame(frame, frame_size, fit=fit) for frame in clip])

    np.testing.assert_array_equal(prepare_clip(clip, frame_size, fit=fit), expected)
    np.testing.assert_array_equal(
        prepare_clip(list(clip), frame_size, fit=fit), expected
    )


@given(clips(max_side=30), SIZES, FITS)
def test_out_is_where_the_result_goes(clip, frame_size, fit):
    """With *out*, the very same numbers stand in the memory given, and that is what comes back."""
    out = np.full((len(clip), *frame_size, 3), np.nan, np.float32)

    assert prepare_clip(clip, frame_size, fit=fit, out=out) is out
    np.testing.assert_array_equal(out, prepare_clip(clip, frame_size, fit=fit))

    out[0] = np.nan
    first = out[0]
    assert prepare_frame(clip[0], frame_size, fit=fit, out=first) is first
    np.testing.assert_array_equal(first, prepare_frame(clip[0], frame_size, fit=fit))


@given(st.one_of(large_frames(), frames()), SIZES)
def test_pad_keeps_the_shape_between_black_bars(frame, frame_size):
    """A letterbox: the whole frame in its shape, in the centre, the rest black."""
    white = np.full_like(frame, 255 if frame.dtype == np.uint8 else 1)
    factor = min(new / old for new, old in zip(frame_size, frame.shape, strict=False))

    prepared = prepare_frame(white, frame_size, fit="pad")

    rows, columns = (prepared > 0).any(axis=(1, 2)), (prepared > 0).any(axis=(0, 2))
    assert ((prepared == 0) | (prepared > 0.99)).all()
    for shown, old, new in zip((rows, columns), frame.shape, frame_size, strict=False):
        assert (shown == shown[::-1]).all()
        assert abs(shown.sum() - old * factor) <= (1 if old * factor >= 1 else 2)
        assert shown.sum() <= new


@pytest.mark.parametrize(
    ("size", "scaled"),
    [
        ((240, 320), (192, 256)),
        ((320, 241), (254, 192)),  # rounded down
        ((100, 120), (192, 230)),
    ],
)
def test_evaluation_is_the_published_preparation(size, scaled):
    """The short side gets the length of the configuration, the long side is rounded down, the centre is kept."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    top, left = (scaled[0] - 172) // 2, (scaled[1] - 172) // 2
    whole = prepare_frame(noise, scaled)

    prepared = prepare_frame(noise, (172, 172), fit="evaluation", short_side=192)

    np.testing.assert_array_equal(prepared, whole[top : top + 172, left : left + 172])


@pytest.mark.parametrize("short_side", [None, 31, 40.0, "192", 0])
def test_evaluation_needs_its_short_side(short_side):
    """Without a short side that covers the frame size there is no guess."""
    clip = np.zeros((1, 40, 40, 3), np.uint8)

    with pytest.raises(
        ArrayError, match=r"short_side must be .* frame_size, 32, .*; got"
    ):
        prepare_clip(clip, (20, 32), fit="evaluation", short_side=short_side)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad", "evaluation"])
@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1)])
def test_a_line_of_pixels_takes_little_memory(fit, size):
    """A frame of any shape is scaled in the memory of a frame, not of what its crop leaves over."""
    frame = np.zeros((*size, 3), np.uint8)
    long = size.index(20_000)
    frame[(9_999, slice(None)) if long == 0 else (slice(None), 9_999)] = 255
    frame[(10_000, slice(None)) if long == 0 else (slice(None), 10_000)] = 255
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    prepared = prepare_frame(frame, (172, 172), fit=fit, short_side=192)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # kB; scaled whole it took 1.7 GB
    assert np.abs(prepared - prepared[::-1, ::-1]).max() <= LEVEL
    assert prepared.max() > 0
    assert (prepared == 1).all() == (fit in {"crop", "evaluation"})


def test_a_frame_beyond_what_ffmpeg_holds_is_refused():
    """More pixels than FFmpeg can count are one error of the library."""
    frame = np.broadcast_to(np.uint8(3), (20_000, 20_000, 3))

    with pytest.raises(ArrayError, match=r"FFmpeg can hold; got \(20000, 20000\)"):
        prepare_frame(frame, (172, 172))


@given(st.lists(large_frames(), min_size=1, max_size=4), SIZES, FITS)
def test_one_scaler_serves_frames_of_any_size(pictures, frame_size, fit):
    """A scaler that is kept gives for each frame what a new one gives, whatever came before."""
    scaler = FrameScaler(frame_size, fit)
    out = np.empty((*frame_size, 3), np.float32)

    for frame in [*pictures, *pictures]:
        assert scaler.scale_into(frame, out) is out
        np.testing.assert_array_equal(out, prepare_frame(frame, frame_size, fit=fit))


def test_wrong_values_are_named():
    """An unknown fit lists the fits; a wrong size, buffer or frame says what it must be."""
    frame = np.zeros((4, 4, 3), np.uint8)

    with pytest.raises(
        ArrayError,
        match="fit must be one of stretch, crop, pad, evaluation; got 'fill'",
    ):
        prepare_frame(frame, (2, 2), fit="fill")  # type: ignore[arg-type]
    with pytest.raises(
        ArrayError, match=r"fit must be one of stretch, crop, pad, .* got None"
    ):
        prepare_clip(frame[np.newaxis], (4, 4), fit=None)  # type: ignore[arg-type]
    for size in [(0, 4), (4,), (4, 4, 3), 4, (2.5, 4), None, "ab", (-1, 4)]:
        with pytest.raises(ArrayError, match=r"frame_size must be \(height, width\)"):
            prepare_frame(frame, size)  # type: ignore[arg-type]
    for out in [np.zeros((2, 2, 3)), np.zeros((2, 3, 3), np.float32)]:
        with pytest.raises(
            ArrayError, match=r"out must be a float32 array of shape \(2, 2, 3\); got"
        ):
            prepare_frame(frame, (2, 2), out=out)  # type: ignore[arg-type]
    with pytest.raises(ArrayError, match="channels first"):
        prepare_frame(np.zeros((3, 8, 8), np.uint8), (2, 2))
    with pytest.raises(ArrayError, match="one frame"):
        prepare_clip(frame, (2, 2))


# Time


@given(st.floats(0.1, 200), st.floats(0, 1000), st.integers(0, 30))
def test_sample_times_are_the_start_and_every_nth_of_a_second(fps, start_s, count):
    """The times begin at the start, are 1 / fps apart, and stop before the end, which is left out."""
    end_s = start_s + count / fps

    times = list(sample_times(fps=fps, start_s=start_s, end_s=end_s))

    assert times == [start_s + i / fps for i in range(count)]


def test_sample_times_go_on_for_ever():
    """Without an end the times do not end, and a frame rate of nothing is refused."""
    assert list(itertools.islice(sample_times(fps=2), 3)) == [0.0, 0.5, 1.0]
    for fps in [0, -1, float("nan"), float("inf"), "5", None]:
        with pytest.raises(ArrayError, match="fps must be a number above 0; got"):
            next(sample_times(fps=fps))  # type: ignore[arg-type]


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=12),
    st.lists(st.integers(0, 200), max_size=20).map(sorted),
    st.integers(0, 5),
)
def test_the_frame_shown_is_the_last_one_that_is_not_later(lengths, times, tolerance):
    """Each time gets the frame that a plain search finds, up to the end of the last frame."""
    starts = [0, *itertools.accumulate(lengths)]
    end = starts.pop()
    frames = [
        (start, start + length, number)
        for number, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]

    found = list(frames_shown_at(times, frames, tolerance_s=tolerance))

    assert found == [
        (time, max(n for n, start in enumerate(starts) if start <= time + tolerance))
        for time in times
        if time + tolerance < end
    ]


@given(st.integers(0, 5))
def test_no_more_frames_are_read_than_needed(wanted):
    """For n times that each need the next frame, one frame more than n is read."""
    read = []

    def frames():
        for number in itertools.count():
            read.append(number)
            yield float(number), number + 1.0, number

    assert len(list(frames_shown_at(range(wanted), frames()))) == wanted
    assert len(read) <= max(wanted, 1) + 1


def test_no_frames_give_none():
    """Without frames nothing is shown."""
    assert list(frames_shown_at([0.0, 1.0], [])) == []
