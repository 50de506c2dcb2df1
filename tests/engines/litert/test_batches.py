"""Which streams step together: every stream once, with as few copies and as little waste as it takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movinet_lite.engines.litert.batches import plan_calls

GROUPS = st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=40)
LANES = st.integers(1, 9)


def cost(calls, lanes):
    """Return how long calls take in steps of one stream: a common call takes half as long as all of its lanes."""
    return sum(lanes / 2 if len(places) > 1 else 1 for places in calls)


@given(GROUPS, LANES)
def test_every_stream_steps_once_and_no_call_is_too_large(groups, lanes):
    """Whatever streams share, none is left out, none steps twice, and all fit the lanes."""
    calls = plan_calls(groups, lanes)
    assert sorted(place for places in calls for place in places) == list(
        range(len(groups))
    )
    assert all(1 <= len(places) <= lanes for places in calls)


@given(GROUPS, LANES)
def test_no_common_call_takes_longer_than_its_streams_alone(groups, lanes):
    """A call that is less than half full would."""
    for places in plan_calls(groups, lanes):
        assert len(places) == 1 or 2 * len(places) >= lanes


@given(GROUPS, LANES)
def test_staying_together_is_never_slower_than_coming_together_anew(groups, lanes):
    """Old company is kept only where it costs no further call."""
    anew = plan_calls([None] * len(groups), lanes)
    assert cost(plan_calls(groups, lanes), lanes) <= cost(anew, lanes)


@given(GROUPS)
def test_without_a_graph_for_several_all_go_one_by_one(groups):
    """In their order."""
    assert plan_calls(groups, 1) == [[place] for place in range(len(groups))]


@pytest.mark.parametrize(
    ("groups", "calls"),
    [
        # All new, or all together, or one late: one call.
        ([None] * 4, [[0, 1, 2, 3]]),
        (["a"] * 4, [[0, 1, 2, 3]]),
        (["a"] * 3, [[0, 1, 2]]),
        # The late one comes back, and two halves of a batch: they come together again.
        (["a", "a", "a", None], [[0, 1, 2, 3]]),
        (["a", "a", "b", "b"], [[0, 1, 2, 3]]),
        # Half of a batch is still worth a call, less is not.
        (["a", "a"], [[0, 1]]),
        (["a"], [[0]]),
        # A fifth stream goes alone; two more make a call of their own.
        (["a", "a", "a", "a", None], [[0, 1, 2, 3], [4]]),
        (["a", "a", "a", "a", None, None], [[0, 1, 2, 3], [4, 5]]),
        # Those that share buffers stay together, in whatever order they come.
        ([None, "a", None, "a", "a", "a"], [[1, 3, 4, 5], [0, 2]]),
        # States that were given twice do not fit a call that has room for each once.
        (["a"] * 5, [[0, 1, 2, 3], [4]]),
    ],
)
def test_plans_of_four_lanes(groups, calls):
    """What comes of streams that come, go and are late."""
    assert plan_calls(groups, 4) == calls
