"""States turn into the published layout and back exactly."""

import numpy as np
import pytest

from movinet_lite.errors import SessionError
from movinet_lite.network.states import (
    FRAME_COUNT,
    count_names,
    from_published_states,
    init_states,
    state_shapes,
    to_published_states,
)
from movinet_lite.network.variants import get_variant, known_variants

BYTES = {  # of all states of one stream, float32, with a count of 4 bytes in each layer
    "a0": 2_696_832,
    "a1": 4_882_340,
    "a2": 10_828_460,
    "a3": 18_275_788,
    "a4": 49_400_700,
    "a5": 75_094_044,
}


def telling_states(name="t0", batch=1, size=(40, 33)):
    """Return states in which every number differs."""
    states = init_states(get_variant(name), batch, size)
    start = 0
    for key, value in states.items():
        if key != FRAME_COUNT:
            states[key] = (start + np.arange(value.size, dtype="float32")).reshape(
                value.shape
            )
            start += value.size
    states[FRAME_COUNT] = np.full(batch, 7, np.int32)
    return states


@pytest.mark.parametrize(("name", "size"), BYTES.items())
def test_published_states_have_the_published_size(name, size):
    """As many arrays and bytes as the model on TF Hub carries, at its own frame size."""
    variant = get_variant(name)
    positional_encoding = variant.has_positional_encoding
    states = init_states(variant, 1, variant.frame_size)

    published = to_published_states(
        states, variant, positional_encoding=positional_encoding
    )

    assert len(published) == variant.num_states
    assert sum(value.nbytes for value in published.values()) == size


def test_sizes_are_halved_and_rounded_up():
    """The stem and each stride of 2 halve height and width, rounding up."""
    shapes = state_shapes(get_variant("t0"), 2, (131, 150))

    assert shapes["state/b1/l0/stream_buffer"] == (2, 2, 17, 19, 72)
    assert shapes["state/b3/l0/stream_buffer"] == (2, 4, 9, 10, 184)
    assert shapes["state/b0/l0/pool_buffer"] == (2, 1, 1, 1, 16)
    assert shapes["state/head/pool_buffer"] == (2, 1, 1, 1, 240)
    assert shapes[FRAME_COUNT] == (2,)


@pytest.mark.parametrize("positional_encoding", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_there_and_back_is_exact(batch, positional_encoding):
    """Published states hold every number of the network's own, and give them back."""
    states = telling_states(batch=batch)

    published = to_published_states(
        states, get_variant("t0"), positional_encoding=positional_encoding
    )
    back = from_published_states(published)

    assert published["state/b2/l0/pool_frame_count"].dtype == np.int32
    np.testing.assert_array_equal(published["state/b2/l0/pool_frame_count"], [7])
    assert ("state/b2/l0/pos_enc_frame_count" in published) is positional_encoding
    assert back.keys() == states.keys()
    for name, value in states.items():
        assert back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value)


def test_states_of_the_model_garden_come_in_under_its_names():
    """Names of any published form are read."""
    states = telling_states()
    published = to_published_states(
        states, get_variant("t0"), positional_encoding=False
    )
    garden = {
        name.replace("state/b", "state/block")
        .replace("/l", "/layer")
        .replace("/", "_"): value
        for name, value in published.items()
    }
    assert "state_block1_layer0_stream_buffer" in garden

    back = from_published_states(garden)

    for name, value in states.items():
        np.testing.assert_array_equal(back[name], value)


def test_streams_of_two_ages_have_no_published_form():
    """One count stands for the whole batch there."""
    states = telling_states(batch=2)
    states[FRAME_COUNT] = np.array([3, 4], np.int32)

    with pytest.raises(
        SessionError, match=r"got ages \[3, 4\] \(convert them one by one"
    ):
        to_published_states(states, get_variant("t0"), positional_encoding=False)


def test_counts_that_disagree_are_refused():
    """No stream leaves its layers with different numbers of frames."""
    published = to_published_states(
        telling_states(), get_variant("t0"), positional_encoding=False
    )
    published["state/b2/l0/pool_frame_count"] = np.array([8], np.int32)

    with pytest.raises(SessionError, match=r"must be one number; got \[7, 8\]"):
        from_published_states(published)
    with pytest.raises(SessionError, match="must be one number; got none"):
        from_published_states({"state/b0/l0/pool_buffer": np.zeros((1, 1, 1, 1, 16))})


@pytest.mark.parametrize("name", known_variants())
def test_counts_are_named_for_each_layer_and_the_head(name):
    """The positional encoding counts for itself."""
    variant = get_variant(name)
    layers = len(variant.layers)

    assert len(count_names(variant, positional_encoding=False)) == layers + 1
    assert len(count_names(variant, positional_encoding=True)) == 2 * layers + 1
