"""States that are written and move on together are held together, and go to the right places."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from movinet_lite.engines.litert.graphs import Graph
from movinet_lite.engines.litert.opening import load_graphs
from movinet_lite.engines.litert.step_graphs import ONE_FRAME, StepGraph
from movinet_lite.engines.litert.streams import LiteRTStreamModel
from movinet_lite.network.export import export_litert
from movinet_lite.network.litert_file import read_litert_info
from tests.networks import SIZE, moving_clips, small_network, tiny_variant

CALLS = (1, 2, 3, 8)
"""Frames a call: fewer than some layers keep, as many, and more."""


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with tiny_variant():
        yield


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The graphs of a small network for these calls."""
    folder = tmp_path_factory.mktemp("groups")
    network = small_network("stream")
    paths = []
    for count in CALLS:
        paths.append(folder / f"{count}.tflite")
        export_litert(network, paths[-1], frame_size=SIZE, num_frames=count)
    return paths


def one_by_one(
    model: LiteRTStreamModel, clip: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the logits after each frame, and the states after the last."""
    states = model.init_states(SIZE)
    rows = []
    for frame in clip:
        logits, states = model.step(frame[np.newaxis], states)
        rows.append(logits[0])
    return np.stack(rows), dict(states)


def test_frames_that_move_up_are_not_copied(paths):
    """After a step, the older frames of a layer are in the memory where the newer ones were, whatever the layer."""
    info = read_litert_info(paths[0])
    assert info is not None
    moves = info.moves
    graph = StepGraph(
        Graph(paths[0], threads=1, source="model"), ONE_FRAME, "model", moves=moves
    )
    names = [tensor.name for tensor in graph.states]
    before = after = graph.fill(graph.empty())
    for frame in moving_clips(frames=6)[0]:
        before = after
        _, after = graph.run(frame[np.newaxis], before, ())
    old = dict(zip(names, before.in_order(), strict=True))
    new = dict(zip(names, after.in_order(), strict=True))

    assert len(moves) >= 4
    assert all(new[name] is old[origin] for name, origin in moves.items())
    assert not {*old.values()} & {new[name] for name in names if name not in moves}
    assert len(after.slots) <= len(names) / 2


@pytest.mark.parametrize("count", CALLS[1:])
def test_calls_of_any_length_leave_the_states_of_single_steps(paths, count):
    """States that one graph wrote go on in another, though it moves others of them."""
    single = load_graphs(paths[:1], source="model")
    both = load_graphs([paths[0], paths[CALLS.index(count)]], source="model")
    clip = moving_clips(frames=11)[0]
    expected, expected_states = one_by_one(single, clip)

    states = both.init_states(SIZE)
    rows = []
    for start, stop in ((0, 1), (1, 10), (10, 11)):
        logits, states = both.step(clip[start:stop], states)
        rows.append(logits)

    largest = np.abs(expected).max()
    np.testing.assert_allclose(np.concatenate(rows), expected, atol=1e-5 * largest)
    assert sorted(states) == sorted(expected_states)
    for name, value in expected_states.items():
        np.testing.assert_allclose(states[name], value, rtol=1e-4, atol=1e-5)


def test_new_streams_share_the_memory_of_their_first_states(paths):
    """A stream that has seen no frame takes none, and steps of others leave it as it is."""
    model = load_graphs(paths[:1], source="model")
    one, other = model.init_states(SIZE), model.init_states(SIZE)
    assert one.buffers is other.buffers

    clip = moving_clips(frames=4)[0]
    states = one
    for frame in clip:
        _, states = model.step(frame[np.newaxis], states)

    assert all(not np.any(value) for value in other.values())
    np.testing.assert_array_equal(
        model.step(clip[:1], other)[0], model.step(clip[:1], one)[0]
    )
