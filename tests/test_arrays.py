import re
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite.arrays import VideoFrame, as_clip, as_frame
from movinet_lite.errors import ArrayError
from tests.strategies import clips, frames

FRAME_RULE = "frame must be an RGB array of shape (height, width, 3), uint8 in 0 to 255 or float32 in 0 to 1; "
CLIP_RULE = "clip must be an RGB array of shape (frames, height, width, 3), uint8 in 0 to 255 or float32 in 0 to 1; "


def zeros(*shape, dtype=np.uint8):
    """Return a black picture, or something like one."""
    return np.zeros(shape, dtype)


def spread(low, high, *, dtype=np.float32):
    """Return a frame with values from *low* to *high*."""
    return np.linspace(low, high, 4 * 6 * 3, dtype=dtype).reshape(4, 6, 3)


@given(frame=frames())
def test_a_frame_passes_untouched(frame):
    """A frame of any size, uint8 or float32, is returned as it is, not copied."""
    assert as_frame(frame) is frame


@given(clip=clips())
def test_a_clip_passes_untouched(clip):
    """A clip of any size, uint8 or float32, is returned as it is, not copied."""
    assert as_clip(clip) is clip


@given(clip=clips(), as_sequence=st.sampled_from([list, tuple, deque]))
def test_a_sequence_of_frames_is_a_clip(clip, as_sequence):
    """Frames in a list, a tuple or another sequence become the clip that they are cut from."""
    joined = as_clip(as_sequence(clip))

    assert joined.dtype == clip.dtype
    np.testing.assert_array_equal(joined, clip)


def test_other_floats_become_float32():
    """Frames in float64 or float16 become float32 with the same values, and stay as they were."""
    for dtype in (np.float64, np.float16, np.dtype(">f4")):
        frame = np.full((4, 6, 3), 0.25, dtype)

        converted = as_frame(frame)

        assert converted.dtype == np.float32
        assert (converted == 0.25).all()
        assert frame.dtype == dtype


def test_a_rounding_error_is_no_error():
    """A float that misses 0 or 1 by what rounding does is taken."""
    frame = spread(-1e-7, 1 + 1e-7, dtype=np.float64)

    assert as_frame(frame).max() <= np.nextafter(np.float32(1), np.float32(2))


def test_pixels_of_a_video_frame_are_taken_and_checked():
    """A `VideoFrame` stands for its pixels, which are checked like any others."""
    pixels = zeros(4, 6, 3)
    frame = VideoFrame(pixels, time_s=0.2, index=1)

    assert as_frame(frame) is pixels
    assert as_clip([frame, pixels]).shape == (2, 4, 6, 3)
    assert as_clip(deque([frame, frame])).shape == (2, 4, 6, 3)
    with pytest.raises(ArrayError, match="channels first"):
        as_frame(VideoFrame(zeros(3, 4, 6), time_s=0.2, index=1))


def test_a_video_frame_is_an_array_to_numpy():
    """`numpy.asarray` gives the pixels of a `VideoFrame`; a dtype or a copy is honoured."""
    pixels = zeros(4, 6, 3)
    frame = VideoFrame(pixels, time_s=0.2, index=1)

    assert frame.shape == (4, 6, 3)
    assert np.asarray(frame) is pixels
    assert np.asarray(frame, np.float32).dtype == np.float32
    assert frame.__array__(np.float32).dtype == np.float32
    assert not np.shares_memory(np.array(frame, copy=True), pixels)


def test_a_copy_that_was_ruled_out_is_refused():
    """With ``copy=False`` the pixels themselves come, or a ValueError where another dtype needs a copy."""
    pixels = zeros(4, 6, 3)
    frame = VideoFrame(pixels, time_s=0.2, index=1)

    assert np.shares_memory(np.array(frame, copy=False), pixels)
    assert np.shares_memory(np.array(frame, np.uint8, copy=False), pixels)
    with pytest.raises(ValueError, match="float32 without a copy"):
        frame.__array__(np.float32, copy=False)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            zeros(3, 4, 6),
            "got uint8 of shape (3, 4, 6) (channels first? move them last: np.moveaxis(frame, 0, -1))",
        ),
        (
            zeros(4, 6, 4),
            "got uint8 of shape (4, 6, 4) (RGBA? drop the last channel: frame[..., :3])",
        ),
        (
            zeros(4, 6, 1),
            "got uint8 of shape (4, 6, 1) (greyscale? repeat the channel: np.repeat(frame, 3, axis=-1))",
        ),
        (
            zeros(4, 6),
            "got uint8 of shape (4, 6) (greyscale? repeat it as three channels: np.stack([frame] * 3, axis=-1))",
        ),
        (
            zeros(1, 4, 6, 3),
            "got uint8 of shape (1, 4, 6, 3) (a batch of one? pass frame[0])",
        ),
        (
            zeros(5, 4, 6, 3),
            "got uint8 of shape (5, 4, 6, 3) (several? pass them one by one)",
        ),
        (zeros(4, 6, 5), "got uint8 of shape (4, 6, 5)"),
        (zeros(3), "got uint8 of shape (3,)"),
        (zeros(0, 6, 3), "got uint8 of shape (0, 6, 3), which is empty"),
        ([], "got float64 of shape (0,), which is empty"),
        (7, "got int64 of shape ()"),
        (
            zeros(4, 6, 3, dtype=np.int32),
            "got int32 of shape (4, 6, 3) (whole numbers from 0 to 255? convert them: frame.astype('uint8'))",
        ),
        (zeros(4, 6, 3, dtype=np.bool_), "got a bool array"),
        (zeros(4, 6, 3, dtype=np.complex64), "got a complex64 array"),
        (None, "got a NoneType"),
        ("clip.mp4", "got a str"),
        (iter([]), "got a list_iterator (an iterator? convert it to a list)"),
        (
            spread(0, 255),
            "got float32 of shape (4, 6, 3) with values from 0 to 255 (0 to 255? divide by 255, or pass uint8)",
        ),
        (
            spread(0, 2, dtype=np.float64),
            "got float64 of shape (4, 6, 3) with values from 0 to 2 (0 to 255? divide by 255, or pass uint8)",
        ),
        (
            spread(-1, 1),
            (
                "got float32 of shape (4, 6, 3) with values from -1 to 1 "
                "(normalised to [-1, 1]? the models expect [0, 1]: (frame + 1) / 2)"
            ),
        ),
        (
            spread(-2.125, 2.5),
            (
                "got float32 of shape (4, 6, 3) with values from -2.125 to 2.5 "
                "(normalised by mean and deviation? the models expect [0, 1])"
            ),
        ),
        (
            spread(-0.125, 1.125),
            (
                "got float32 of shape (4, 6, 3) with values from -0.125 to 1.125 "
                "(overshoot of a resize? clip it: np.clip(frame, 0, 1))"
            ),
        ),
        (
            spread(0, np.nan),
            "got float32 of shape (4, 6, 3) with values from nan to nan (NaN: a division by zero in preprocessing?)",
        ),
        (
            spread(-500, 500),
            "got float32 of shape (4, 6, 3) with values from -500 to 500",
        ),
    ],
)
def test_what_is_no_frame_is_refused_with_the_likely_mistake(frame, message):
    """Whatever is not one RGB picture is refused by a message with the rule, what came, and the likely mistake."""
    with pytest.raises(ArrayError, match=f"^{re.escape(FRAME_RULE + message)}$"):
        as_frame(frame)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (
            zeros(5, 3, 4, 6),
            "got uint8 of shape (5, 3, 4, 6) (channels first? move them last: np.moveaxis(clip, 1, -1))",
        ),
        (
            zeros(3, 5, 4, 6),
            "got uint8 of shape (3, 5, 4, 6) (channels first? move them last: np.moveaxis(clip, 0, -1))",
        ),
        (
            zeros(5, 4, 6, 4),
            "got uint8 of shape (5, 4, 6, 4) (RGBA? drop the last channel: clip[..., :3])",
        ),
        (
            zeros(5, 4, 6, 1),
            "got uint8 of shape (5, 4, 6, 1) (greyscale? repeat the channel: np.repeat(clip, 3, axis=-1))",
        ),
        (
            zeros(5, 4, 6),
            "got uint8 of shape (5, 4, 6) (greyscale? repeat it as three channels: np.stack([clip] * 3, axis=-1))",
        ),
        (
            zeros(4, 6, 3),
            "got uint8 of shape (4, 6, 3) (one frame? a clip of one frame is frame[np.newaxis])",
        ),
        (
            VideoFrame(zeros(4, 6, 3), time_s=0.0, index=0),
            "got uint8 of shape (4, 6, 3) (one frame? a clip of one frame is frame[np.newaxis])",
        ),
        (
            zeros(1, 5, 4, 6, 3),
            "got uint8 of shape (1, 5, 4, 6, 3) (a batch of one? pass clip[0])",
        ),
        (
            zeros(2, 5, 4, 6, 3),
            "got uint8 of shape (2, 5, 4, 6, 3) (several? pass them one by one)",
        ),
        (zeros(0, 4, 6, 3), "got uint8 of shape (0, 4, 6, 3), which is empty"),
        ([], "got float64 of shape (0,), which is empty"),
        (
            (zeros(4, 6, 3) for _ in range(2)),
            "got a generator (an iterator? convert it to a list)",
        ),
        (
            spread(0, 255)[np.newaxis],
            "got float32 of shape (1, 4, 6, 3) with values from 0 to 255 (0 to 255? divide by 255, or pass uint8)",
        ),
    ],
)
def test_what_is_no_clip_is_refused_with_the_likely_mistake(clip, message):
    """Whatever is not a series of RGB pictures is refused in the same way."""
    with pytest.raises(ArrayError, match=f"^{re.escape(CLIP_RULE + message)}$"):
        as_clip(clip)


def test_the_frame_at_fault_is_named():
    """Of a list of frames, the one that is no frame is named by its index."""
    message = f"frame 1 of the clip: {FRAME_RULE}got uint8 of shape (4, 6) (greyscale?"
    with pytest.raises(ArrayError, match=f"^{re.escape(message)}"):
        as_clip([zeros(4, 6, 3), zeros(4, 6)])


@pytest.mark.parametrize(
    ("other", "description"),
    [
        (zeros(5, 6, 3), "uint8 of shape (5, 6, 3)"),
        (zeros(4, 6, 3, dtype=np.float32), "float32 of shape (4, 6, 3)"),
    ],
)
def test_frames_that_differ_make_no_clip(other, description):
    """Frames of several sizes, or whole numbers beside floats, are refused and both named."""
    message = (
        "all frames of a clip must have the same shape and dtype; "
        f"frame 0 is uint8 of shape (4, 6, 3), frame 2 is {description}"
    )
    with pytest.raises(ArrayError, match=f"^{re.escape(message)}$"):
        as_clip([zeros(4, 6, 3), zeros(4, 6, 3), other])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1, 2], [3]], "got a list that numpy cannot read"),
        ([zeros(4, 6, 3), zeros(5, 6, 3)], "got a list that numpy cannot read"),
    ],
)
def test_ragged_lists_are_refused(value, message):
    """Lists that make no array are refused by the library's own error."""
    with pytest.raises(ArrayError, match=message) as caught:
        as_frame(value)

    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("error", [TypeError, RuntimeError, OSError, ZeroDivisionError])
def test_objects_that_numpy_cannot_read_are_refused(error):
    """Whatever an object raises when numpy asks for its array, it is refused by the library's own error."""

    class OnAnotherDevice:
        def __array__(self, dtype=None, *, copy=None):
            raise error("copy it to the host first")

    message = "got a OnAnotherDevice that numpy cannot read: copy it to the host first"
    with pytest.raises(ArrayError, match=f"{message}$"):
        as_clip([zeros(4, 6, 3), OnAnotherDevice()])
    with pytest.raises(ArrayError, match=f"{message}$") as caught:
        as_frame(OnAnotherDevice())
    assert isinstance(caught.value.__cause__, error)


def test_a_mask_is_not_lost():
    """An array with masked pixels is refused, in a list and in a video frame too; one without is an array."""
    pixels = zeros(4, 6, 3)
    whole = np.ma.array(pixels)
    masked = np.ma.array(pixels, mask=pixels == 0)
    message = re.escape("(fill it with frame.filled(0))")

    assert type(as_frame(whole)) is np.ndarray
    with pytest.raises(ArrayError, match=message):
        as_frame(masked)
    with pytest.raises(ArrayError, match=message):
        as_frame(VideoFrame(masked, time_s=0.0, index=0))
    with pytest.raises(ArrayError, match=f"frame 1 of the clip: .*{message}"):
        as_clip([pixels, masked])
    with pytest.raises(ArrayError, match=re.escape("clip.filled(0)")):
        as_clip(masked[np.newaxis])
