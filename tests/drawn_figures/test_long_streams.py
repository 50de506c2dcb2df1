"""Long streams of a drawn person: what they are made of, and that their truth is true."""

import itertools

import numpy as np
import pytest

from drawn_figures import DEMO_ACTIONS, PAUSE, render_stream
from movinet_lite.errors import ArrayError, LabelsError

SMALL = {"frame_size": (24, 24), "action_s": (2.0, 4.0), "pause_s": (1.0, 2.0)}


@pytest.mark.parametrize("seed", range(3))
def test_actions_and_pauses_take_turns(seed):
    """A stream begins and ends with a pause, has one between two actions, and no action follows itself."""
    stream = render_stream(seed=seed, num_actions=6, **SMALL)

    labels = [part.label for part in stream.parts]
    actions = labels[1::2]
    assert set(labels[::2]) == {PAUSE}
    assert len(actions) == 6
    assert PAUSE not in actions
    assert set(actions) <= set(DEMO_ACTIONS)
    assert all(one != other for one, other in itertools.pairwise(actions))
    assert stream.annotations == stream.parts[1::2]


def test_parts_fill_the_clip_without_a_hole():
    """Each part begins where the one before ends, and the last ends with the clip; lengths keep their limits."""
    stream = render_stream(seed=1, num_actions=5, fps=10.0, **SMALL)

    ends = [part.end_s for part in stream.parts]
    lengths = [part.end_s - part.start_s for part in stream.parts]
    assert [part.start_s for part in stream.parts] == [0.0, *ends[:-1]]
    assert ends[-1] == len(stream.clip) / 10
    assert all(0.9 < length < 2.1 for length in lengths[::2])
    assert all(1.9 < length < 4.1 for length in lengths[1::2])
    assert len({round(length, 3) for length in lengths}) > 4


def test_what_moves_is_an_action():
    """Frames differ more within actions than within pauses, and most across the cut between two parts."""
    stream = render_stream(
        seed=2, num_actions=4, frame_size=(48, 48), action_s=(3, 4), pause_s=(3, 4)
    )
    change = np.abs(np.diff(stream.clip.astype(int), axis=0)).mean(axis=(1, 2, 3))
    times_s = np.arange(1, len(stream.clip)) / stream.fps
    means = [
        change[(times_s > part.start_s + 0.1) & (times_s < part.end_s - 0.1)].mean()
        for part in stream.parts
    ]
    cuts = [
        change[np.argmin(np.abs(times_s - part.start_s))] for part in stream.parts[1:]
    ]

    assert np.mean(means[1::2]) > np.mean(means[::2])
    assert np.mean(cuts) > 2 * np.mean(means)


def test_frames_carry_their_times():
    """The frames are those of the clip, with times that a detector takes."""
    stream = render_stream(seed=3, num_actions=1, **SMALL)

    frames = list(stream.frames())

    np.testing.assert_array_equal([frame.pixels for frame in frames], stream.clip)
    assert [frame.time_s for frame in frames[:3]] == [0.0, 0.2, 0.4]


def test_a_seed_is_one_stream():
    """The same seed gives the same stream, another seed another one."""
    one, again, other = (
        render_stream(seed=seed, num_actions=2, **SMALL) for seed in (4, 4, 5)
    )

    np.testing.assert_array_equal(one.clip, again.clip)
    assert one.parts == again.parts
    assert one.parts != other.parts


def test_a_stream_may_be_a_pause_alone():
    """Without an action there is one pause, in which only false alarms can be found."""
    stream = render_stream(seed=6, num_actions=0, **SMALL)

    assert [part.label for part in stream.parts] == [PAUSE]
    assert stream.annotations == ()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_actions": -1}, ArrayError, "num_actions must be a whole number"),
        ({"seed": 1.5}, ArrayError, "seed must be a whole number"),
        ({"fps": 0}, ArrayError, "fps"),
        ({"action_s": (5, 4)}, ArrayError, "the shortest not above the longest"),
        ({"pause_s": (0, 4)}, ArrayError, "lengths must be above 0 seconds"),
        ({"actions": ["squat", "flying"]}, LabelsError, "'flying'"),
        ({"actions": ["squat", PAUSE]}, LabelsError, "at least two actions"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, error, message):
    """An impossible option is one clear error."""
    with pytest.raises(error, match=message):
        render_stream(**{"seed": 1, "num_actions": 1, **SMALL, **options})
