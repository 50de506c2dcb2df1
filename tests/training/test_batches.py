"""Batches of clips: which frames they have, in which order, and what is left out."""

import attrs
import numpy as np
import pytest

from movinet_lite import write_video
from movinet_lite.training.augmentation import Augmentation
from movinet_lite.training.batches import Batches, ClipSpec
from movinet_lite.training.examples import Example

LABELS = ("a", "b")
SPEC = ClipSpec(num_frames=4, fps=5.0, frame_size=(16, 16))


def ramp(first, count, size=(16, 16)):
    """Return a clip whose frames get brighter one by one: frame *n* is of level 10 (first + n)."""
    levels = 10 * np.arange(first, first + count, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, *size, 3)).copy()


def levels(clips):
    """Return the number of each frame of clips made by `ramp`."""
    return np.rint(np.asarray(clips).mean(axis=(2, 3, 4)) * 25.5).astype(int).tolist()


def epoch(batches, number=0):
    """Return the clips' frame numbers and the targets of an epoch."""
    found = [
        (levels(batch.clips), batch.targets.numpy().tolist())
        for batch in batches.epoch(number)
    ]
    return [clip for clips, _ in found for clip in clips], [
        one for _, targets in found for one in targets
    ]


@pytest.fixture
def files(tmp_path):
    """Return examples of video files of 20 frames at 10 a second, one of which is broken."""
    for name in "abc":
        write_video(tmp_path / f"{name}.mp4", ramp(0, 20, (32, 32)), fps=10.0)
    (tmp_path / "x.mp4").write_bytes(b"no video at all")
    return [
        Example(tmp_path / f"{name}.mp4", label)
        for name, label in ("aa", "xb", "bb", "ca")
    ]


def test_without_augmentation_the_middle_is_taken_in_order():
    """A clip is cut at its middle; a short one goes on with its last frame."""
    examples = [
        Example(ramp(0, 8), "a"),
        Example(ramp(5, 2), "b"),
        Example(ramp(1, 4), "a"),
    ]
    clips, targets = epoch(Batches(examples, LABELS, SPEC, batch_size=2))
    assert clips == [[2, 3, 4, 5], [5, 6, 6, 6], [1, 2, 3, 4]]
    assert targets == [0, 1, 0]


def test_a_clip_comes_after_the_frames_before_it():
    """A short video goes round before the clip, which stays whole; a clip that is shorter still goes on with its last frame."""
    examples = [Example(ramp(0, 12), "a"), Example(ramp(0, 8), "b")]
    examples += [Example(ramp(0, 5), "a"), Example(ramp(5, 2), "b")]
    spec = attrs.evolve(SPEC, lead_frames=6)
    clips, _ = epoch(Batches(examples, LABELS, spec, batch_size=4))
    assert clips == [
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        [4, 5, 6, 7, 0, 1, 2, 3, 4, 5],
        [4, 0, 1, 2, 3, 4, 0, 1, 2, 3],
        [5, 6, 5, 6, 5, 6, 5, 6, 6, 6],
    ]


def test_files_go_round_too(files):
    """The frames before the clip come from the file, at the rate of the model."""
    spec = attrs.evolve(SPEC, lead_frames=8)
    clips, _ = epoch(Batches(files[:1], LABELS, spec, batch_size=1))
    assert clips == [[10, 12, 14, 16, 18, 0, 2, 4, 6, 8, 10, 12]]


def test_batches_have_their_size_and_type():
    """The last one has what is left; clips are float32 from 0 to 1 at the size asked for."""
    examples = [Example(ramp(n, 4, (20, 30)), "a") for n in range(5)]
    batches = Batches(examples, LABELS, SPEC, batch_size=2)
    found = list(batches.epoch(0))
    assert [tuple(one.clips.shape) for one in found] == [
        (2, 4, 16, 16, 3),
        (2, 4, 16, 16, 3),
        (1, 4, 16, 16, 3),
    ]
    assert found[0].clips.numpy().dtype == np.float32
    assert batches.num_batches == 3


def test_files_are_read_at_the_rate_of_the_model(files):
    """Every other frame of a file of 10 frames a second, from the middle of its 2 seconds: 0.6 s to 1.2 s."""
    clips, _ = epoch(Batches(files[:1], LABELS, SPEC, batch_size=1))
    assert clips == [[6, 8, 10, 12]]


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ((0.4, 1.2), [4, 6, 8, 10]),
        ((1.0, None), [11, 13, 15, 17]),
        ((None, 0.5), [0, 2, 4, 4]),
    ],
)
def test_a_segment_is_all_that_is_seen_of_a_file(files, segment, expected):
    """Its middle is taken, and a short one holds its own last frame."""
    example = attrs.evolve(files[0], start_s=segment[0], end_s=segment[1])
    clips, _ = epoch(Batches([example], LABELS, SPEC, batch_size=1))
    assert clips == [expected]


def test_what_cannot_be_read_is_left_out_and_told(files):
    """The others come as if it were not there; it is told once, and not tried again."""
    batches = Batches(files, LABELS, SPEC, batch_size=4)

    _, targets = epoch(batches)

    assert targets == [0, 1, 0]
    (skipped,) = batches.skipped
    assert skipped.name == str(files[1].source)
    assert skipped.label == "b"
    assert batches.num_examples == 3
    assert epoch(batches, 1)[1] == [0, 1, 0]
    assert len(batches.skipped) == 1


def test_a_check_finds_what_cannot_be_read(files):
    """Before anything is decoded for a batch."""
    batches = Batches(files, LABELS, SPEC, batch_size=4)
    batches.check()
    assert [one.name for one in batches.skipped] == [str(files[1].source)]
    assert [one.label for one in batches.examples] == ["a", "b", "a"]


def test_an_epoch_is_shuffled_and_shifted_by_its_number_and_seed():
    """The same epoch of the same seed is the same; another has each example once, in another order, cut elsewhere."""
    labels = [str(number) for number in range(12)]
    examples = [Example(ramp(0, 20), label) for label in labels]
    augmentation = Augmentation(
        crop=0, flip=False, brightness=0, contrast=0, saturation=0
    )

    def make(seed):
        return Batches(
            examples, labels, SPEC, batch_size=5, augmentation=augmentation, seed=seed
        )

    clips, order = epoch(make(0), 3)
    starts = dict(zip(order, (clip[0] for clip in clips), strict=True))
    assert (clips, order) == epoch(make(0), 3)
    for other_clips, other_order in (epoch(make(0), 4), epoch(make(1), 3)):
        assert other_order != order
        assert sorted(other_order) == list(range(12))
        others = (clip[0] for clip in other_clips)
        assert dict(zip(other_order, others, strict=True)) != starts
    assert len(set(starts.values())) > 4
    for clip in clips:
        np.testing.assert_array_equal(np.diff(clip), 1)
