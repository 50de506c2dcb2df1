"""Changes of a clip for training: all frames alike, within range, and nothing that was not asked for."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite import DataError
from movinet_lite.training.augmentation import Augmentation, augment, frame_size_before

NOTHING = Augmentation(
    crop=0, flip=False, brightness=0, contrast=0, saturation=0, shift=False
)


def _clip(frames=3, height=20, width=16, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (frames, height, width, 3), np.uint8)


def _rng(seed=0):
    return np.random.default_rng(seed)


def test_without_changes_a_clip_stays_as_it_is():
    """Values from 0 to 255 become 0 to 1, and nothing else happens."""
    clip = _clip()
    found = augment(clip, (20, 16), NOTHING, _rng())
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, clip.astype(np.float32) / 255)


@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    seed=st.integers(0, 1000),
    share=st.floats(0, 0.5),
)
def test_any_clip_gets_its_size_and_range(height, width, seed, share):
    """Whatever the size of a clip, what comes out has the size asked for, and values from 0 to 1; the clip is untouched."""
    clip = _clip(2, height, width, seed)
    before = clip.copy()
    found = augment(clip, (12, 10), Augmentation(crop=share), _rng(seed))
    assert found.shape == (2, 12, 10, 3)
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1
    np.testing.assert_array_equal(clip, before)


@given(st.integers(0, 1000))
def test_all_frames_change_alike(seed):
    """A still clip stays still: nothing moves that did not move."""
    still = np.repeat(_clip(1), 4, axis=0)
    found = augment(still, (16, 12), Augmentation(), _rng(seed))
    for frame in found[1:]:
        np.testing.assert_array_equal(frame, found[0])


def test_a_crop_is_a_part_of_the_clip():
    """It has the same pixels, at a place that chance decides."""
    clip = _clip(2, 12, 12)
    places = set()
    for seed in range(100):
        found = augment(clip, (10, 10), NOTHING, _rng(seed))
        matches = [
            (top, left)
            for top in range(3)
            for left in range(3)
            if np.allclose(found * 255, clip[:, top : top + 10, left : left + 10])
        ]
        assert len(matches) == 1
        places.update(matches)
    assert len(places) == 9


def test_half_of_the_clips_are_mirrored():
    """And only mirrored; with flip off, none is."""
    clip = _clip()
    plain = clip.astype(np.float32) / 255
    flipping = attrs.evolve(NOTHING, flip=True)
    found = [augment(clip, (20, 16), flipping, _rng(seed)) for seed in range(100)]
    mirrored = [np.array_equal(one, plain[:, :, ::-1]) for one in found]
    assert all(
        was_mirrored or np.array_equal(one, plain)
        for one, was_mirrored in zip(found, mirrored, strict=True)
    )
    assert 30 <= sum(mirrored) <= 70


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_each_colour_change_changes_what_it_says(name):
    """Brightness moves the mean, contrast the spread, saturation the distance from grey; nothing else moves much."""
    clip = np.clip(_clip(2, 40, 40).astype(int) // 2 + 64, 0, 255).astype(np.uint8)
    plain = clip.astype(np.float32) / 255
    augmentation = attrs.evolve(NOTHING, **{name: 0.2})

    def measure(pixels):
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        return {
            "brightness": float(pixels.mean()),
            "contrast": float(grey.std()),
            "saturation": float(np.abs(pixels - grey[..., np.newaxis]).mean()),
        }

    before = measure(plain)
    after = [
        measure(augment(clip, (40, 40), augmentation, _rng(seed)))[name]
        for seed in range(20)
    ]
    assert min(after) < 0.97 * before[name] < 1.03 * before[name] < max(after)


def test_frames_are_scaled_larger_before_a_crop():
    """So that what is left after it has the size of the model."""
    assert frame_size_before((96, 96), Augmentation(crop=0.04)) == (100, 100)
    assert frame_size_before((96, 128), NOTHING) == (96, 128)


@pytest.mark.parametrize("name", ["crop", "brightness", "contrast", "saturation"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_an_impossible_amount_is_refused(name, value):
    """It says which one."""
    with pytest.raises(DataError, match=f"{name} must be at least 0 and below 1"):
        Augmentation(**{name: value})
