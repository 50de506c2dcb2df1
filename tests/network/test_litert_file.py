"""What stands beside the graph comes back, and states map to those of the network."""

import json
import subprocess
import sys
import time
import zipfile

import attrs
import numpy as np
import pytest

from movinet_lite.errors import ModelError
from movinet_lite.network.litert_file import (
    LiteRTInfo,
    from_litert_states,
    litert_state_shapes,
    pack_litert,
    read_litert_info,
    to_litert_states,
)
from movinet_lite.network.states import FRAME_COUNT, init_states
from movinet_lite.network.variants import get_variant

INFO = LiteRTInfo(
    variant="t0",
    mode="stream",
    num_classes=2,
    frame_size=(40, 33),
    num_frames=1,
    batch=2,
    fps=5.0,
    positional_encoding=False,
    labels=("springen", "прыжок"),
    source="here",
)
GRAPH = b"\x1c\0\0\0TFL3 and what a graph holds"


def test_the_same_network_gives_the_same_bytes(monkeypatch):
    """Whenever it is packed: what is kept under a checksum must not change by itself."""
    first = pack_litert(GRAPH, INFO)
    later = time.localtime(time.time() + 10**7)
    monkeypatch.setattr(time, "localtime", lambda *_: later)
    assert pack_litert(GRAPH, INFO) == first


def test_facts_come_back(tmp_path):
    """All of them, and the graph before them is as it was."""
    path = tmp_path / "model.tflite"
    path.write_bytes(pack_litert(GRAPH, INFO))

    assert read_litert_info(path) == INFO
    assert path.read_bytes().startswith(GRAPH)
    assert pack_litert(GRAPH, INFO) == pack_litert(GRAPH, INFO)


def test_facts_are_read_without_tensorflow(tmp_path):
    """A stream from a compiled model starts without it."""
    path = tmp_path / "model.tflite"
    path.write_bytes(pack_litert(GRAPH, INFO))
    program = (
        "import sys; from movinet_lite.network.litert_file import read_litert_info as read;"
        "print(read(sys.argv[1]).fps, 'tensorflow' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.split() == ["5.0", "False"]


def test_files_of_others_have_no_facts(tmp_path):
    """A plain graph, and one with another archive behind it."""
    path = tmp_path / "model.tflite"
    path.write_bytes(GRAPH)
    assert read_litert_info(path) is None
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "a\n")
    assert read_litert_info(path) is None


def test_no_changed_byte_goes_unseen(tmp_path):
    """Wherever it is, in the graph or behind it, it is one clear error, or the facts are as they were."""
    path = tmp_path / "model.tflite"
    whole = pack_litert(GRAPH, INFO)
    refused = set()
    for place in range(len(whole)):
        for flip in (1, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= flip
            path.write_bytes(damaged)
            try:
                assert read_litert_info(path) == INFO
            except ModelError:
                refused.add(place)
    assert refused.issuperset(range(len(GRAPH)))
    assert len(refused) > 0.6 * len(whole)  # the rest are dates and the like


@pytest.mark.parametrize("kept", [-1, -22, -60, -200, 40])
def test_a_file_of_ours_that_is_cut_short_is_not_one_of_others(tmp_path, kept):
    """As one of others, its states would be taken for what they are not."""
    path = tmp_path / "model.tflite"
    path.write_bytes(pack_litert(GRAPH + bytes(100), INFO)[:kept])
    if kept < 0:
        with pytest.raises(ModelError, match="its archive is damaged"):
            read_litert_info(path)
    else:
        assert read_litert_info(path) is None  # nothing of ours is left


def test_a_file_without_a_checksum_still_loads(tmp_path):
    """The earlier version wrote none."""
    path = tmp_path / "model.tflite"
    path.write_bytes(GRAPH)
    with zipfile.ZipFile(path, "a") as archive:
        facts = {"format": 1, **attrs.asdict(INFO)}
        archive.writestr("movinet_lite.json", json.dumps(facts))
    assert read_litert_info(path) == INFO


def test_a_changed_weight_is_said_so(tmp_path):
    """The message says what to do."""
    path = tmp_path / "model.tflite"
    path.write_bytes(pack_litert(GRAPH, INFO).replace(b"what", b"whet"))
    with pytest.raises(ModelError, match=r"this one has another .*export it again"):
        read_litert_info(path)


def test_a_file_that_is_not_there_is_an_error_of_ours(tmp_path):
    """As is a folder."""
    for path in (tmp_path / "none.tflite", tmp_path):
        with pytest.raises(ModelError, match="must be a readable file"):
            read_litert_info(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda facts: facts.update(format=9),
            "must be of format 1; it is of format 9",
        ),
        (lambda facts: facts.pop("variant"), "must be readable"),
        (lambda facts: facts.update(frame_size=None), "must be readable"),
    ],
)
def test_facts_that_do_not_fit_are_refused(tmp_path, change, message):
    """A later format, and facts that are missing."""
    path = tmp_path / "model.tflite"
    facts = {"format": 1, **attrs.asdict(INFO)}
    change(facts)
    path.write_bytes(GRAPH)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("movinet_lite.json", json.dumps(facts))

    with pytest.raises(ModelError, match=message):
        read_litert_info(path)


@pytest.mark.parametrize("joins_sums", [False, True])
def test_states_map_to_the_networks_and_back(joins_sums):
    """Frame by frame, oldest first; every number survives, whether the sums stand in one state or in one a layer."""
    info = attrs.evolve(INFO, joins_sums=joins_sums)
    states = init_states(get_variant("t0"), 2, (40, 33))
    rng = np.random.default_rng(0)
    for name, value in states.items():
        if name != FRAME_COUNT:
            states[name] = rng.normal(size=value.shape).astype("float32")
    states[FRAME_COUNT] = np.array([3, 40_000], np.int32)

    flat = to_litert_states(states, info)
    back = from_litert_states(flat, info)

    assert {name: value.shape for name, value in flat.items()} == litert_state_shapes(
        info
    )
    assert all(value.dtype == np.float32 for value in flat.values())
    np.testing.assert_array_equal(
        flat["state_b2_l0_frame_3"], states["state/b2/l0/stream_buffer"][:, 3]
    )
    assert ("state_sums" in flat) == joins_sums
    if joins_sums:
        np.testing.assert_array_equal(flat["state_sums"][..., -1].ravel(), [3, 40_000])
    assert back.keys() == states.keys()
    for name, value in states.items():
        assert back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 8])
def test_frames_move_up(num_frames):
    """After a call of n frames, frame i is what frame i + n was; the graph gives the others."""
    info = attrs.evolve(INFO, num_frames=num_frames)
    expected = {
        f"{prefix}_frame_{index}": f"{prefix}_frame_{index + num_frames}"
        for prefix, length in (("state_b1_l0", 2), ("state_b2_l0", 4))
        for index in range(length - num_frames)
    }

    assert {
        name: moved
        for name, moved in info.moves.items()
        if name.startswith(("state_b1_l0", "state_b2_l0"))
    } == expected
    assert info.moves.keys() <= litert_state_shapes(info).keys()


def test_a_base_model_has_no_states():
    """Nor moves."""
    info = attrs.evolve(INFO, mode="base")

    assert litert_state_shapes(info) == {}
    assert info.moves == {}
