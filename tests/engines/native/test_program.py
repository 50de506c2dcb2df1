"""Stream networks as machine code compute what TensorFlow computes, and write nowhere but into their own memory."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import numpy as np
import pytest

from movinet_lite.engines.native import memory, program
from movinet_lite.engines.native.compiler import compile_module
from movinet_lite.engines.native.program import StreamProgram
from movinet_lite.engines.native.rooms import ENTRY, Rooms
from movinet_lite.engines.native.target import Target, host_target
from movinet_lite.network import padding as paddings
from movinet_lite.network.model import build_movinet
from movinet_lite.network.padding import LayerPadding
from tests.engines.native.programs import (
    COMPACT,
    EXACT,
    Stream,
    assert_rows,
    assert_states,
    expected_rows,
    program_of,
    rounded_weights_of,
    run_streams,
    smaller_target,
    weights_of,
)
from tests.networks import SIZE, moving_clips, randomise, small_network, tiny_variant

pytest.importorskip("llvmlite")

from movinet_lite.engines.native.assembly import write_code
from tests.forking import fork

pytestmark = pytest.mark.skipif(
    host_target() is None, reason="the native engine cannot run here"
)

GUARD = 4096
"""Bytes before and behind a piece of memory, which nothing may touch."""

FRAMES = 12
"""Frames of a clip: more than twice what any layer keeps."""


@pytest.fixture(autouse=True, scope="module")
def _tiny():
    """Make the small variant known."""
    with tiny_variant():
        yield


@pytest.fixture(scope="module")
def network():
    """A network with positions, whose programs show most."""
    return small_network("stream", frame_size=SIZE, positional_encoding=True)


@pytest.fixture(scope="module")
def own(network):
    """Its program, for up to four images of a call."""
    return program_of(network, max_images=4)


@pytest.fixture(scope="module")
def clip():
    """Frames that all differ."""
    return moving_clips(1, FRAMES)[0]


@pytest.fixture(scope="module")
def expected(network, clip):
    """The rows and the states of the clip, by TensorFlow."""
    return expected_rows(network, clip)


@pytest.fixture
def fast_compiler(monkeypatch):
    """Compile without optimising: as right, and sooner made."""
    slow = program.compile_module
    monkeypatch.setattr(
        program, "compile_module", functools.partial(slow, optimise=False)
    )


def check(network, *, tolerance=EXACT, frames=6, **options):
    """Assert that a program computes what the network computes, frame by frame and several at once."""
    size = network.spec.frame_size
    clip = moving_clips(1, frames, size)[0]
    rows, states = expected_rows(network, clip)
    made = program_of(network, max_images=4, **options)
    for pieces in (1, 4):
        stream = Stream.new(made)
        assert_rows(stream.run(clip, pieces), rows, tolerance)
        assert_states(stream.states, states, tolerance)


# What networks there are.


@pytest.mark.parametrize(
    ("activation", "gate", "padding", "positional_encoding"),
    [
        ("swish", "sigmoid", "same", False),
        ("swish", "hard_sigmoid", "pytorch", True),
        ("swish", "keras2_hard_sigmoid", "same", True),
        ("hard_swish", "sigmoid", "pytorch", True),
        ("hard_swish", "hard_sigmoid", "same", False),
        ("hard_swish", "keras2_hard_sigmoid", "pytorch", False),
    ],
)
def test_network_is_computed(activation, gate, padding, positional_encoding):
    """Each activation with each gate, both paddings and the positional encoding give the rows and states of TensorFlow."""
    check(
        small_network(
            "stream",
            activation=activation,
            gate=gate,
            padding=padding,
            positional_encoding=positional_encoding,
            frame_size=(22, 19),
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("positional_encoding", [False, True])
@pytest.mark.parametrize("padding", ["same", "pytorch"])
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid", "keras2_hard_sigmoid"])
@pytest.mark.parametrize("activation", ["swish", "hard_swish"])
def test_every_network_is_computed(activation, gate, padding, positional_encoding):
    """All activations, gates, paddings and encodings together give the rows and states of TensorFlow."""
    check(
        small_network(
            "stream",
            activation=activation,
            gate=gate,
            padding=padding,
            positional_encoding=positional_encoding,
            frame_size=SIZE,
        ),
        threads=2,
    )


@pytest.fixture(scope="module", params=["t0", "a0", "a1", "a2", "a3", "a4", "a5"])
def published(request):
    """A network of a published variant, a clip, and the rows and states that TensorFlow gives."""
    network = build_movinet(request.param, "stream", 5, frame_size=(100, 84))
    randomise(network, 0)
    _calm(network)
    clip = moving_clips(1, 5, (100, 84))[0]
    return network, clip, *expected_rows(network, clip)


@pytest.mark.slow
@pytest.mark.parametrize("is_compact", [False, True])
def test_published_variant_is_computed(published, is_compact):
    """The published variants give what TensorFlow gives."""
    network, clip, rows, states = published
    made = program_of(network, threads=2, max_images=4, is_compact=is_compact)
    classes, pooled, _ = made.plan.head.channels
    for pieces in (1, 4):
        stream = Stream.new(made)
        found = stream.run(clip, pieces)
        tolerance = 1e-3 if is_compact else 5e-5  # of twenty layers and more
        for part in (
            slice(0, classes),
            slice(classes, classes + pooled),
            slice(classes + pooled, None),
        ):
            largest = np.abs(rows[:, part]).max()
            assert np.abs(found - rows)[:, part].max() <= tolerance * largest
        assert_states(stream.states, states, tolerance)


def _calm(network):
    """Make pointwise convolutions weaker: else what a deep network gives changes by a tenth if frames do by 1e-6."""
    for name, weight in network.named_weights.items():
        if name.endswith("/kernel") and "depthwise" not in name:
            weight.assign(weight * np.float32(0.7))


@pytest.mark.parametrize(
    ("size", "padding"),
    [
        ((1, 1), "same"),
        ((1, 1), "pytorch"),
        ((1, 40), "same"),
        ((40, 1), "pytorch"),
        ((3, 2), "pytorch"),
        ((15, 30), "same"),
        ((16, 32), "pytorch"),
        ((17, 34), "same"),
        ((5, 130), "pytorch"),
    ],
)
@pytest.mark.usefixtures("fast_compiler")
def test_frames_of_any_size(size, padding):
    """Frames may be odd, even, narrow, wide, and as small as one pixel."""
    check(small_network("stream", frame_size=size, padding=padding))


@pytest.mark.usefixtures("fast_compiler")
def test_convolutions_without_padding(monkeypatch):
    """A layer whose frames are not padded, as in two blocks of models of PyTorch, gives smaller frames."""
    monkeypatch.setitem(paddings._UNUSUAL, ("tiny", 2), LayerPadding(0, 0))
    check(small_network("stream", frame_size=(39, 44), padding="pytorch"))


# What CPUs there are.


@pytest.mark.parametrize(("lanes", "registers"), [(8, 16), (4, 32), (4, 16)])
@pytest.mark.skipif(
    "host_target() is None or host_target().lanes < 8",
    reason="the CPU has no wider vectors",
)
def test_narrower_vectors(lanes, registers):
    """Code for CPUs with narrower vectors and fewer registers computes the same."""
    network = small_network("stream", frame_size=(24, 21), positional_encoding=True)
    check(
        network,
        target=smaller_target(lanes, registers),
        is_compact=True,
        tolerance=COMPACT,
    )


@pytest.mark.parametrize(
    ("triple", "cpu", "features"),
    [
        ("aarch64-unknown-linux-gnu", "neoverse-n1", ""),
        ("arm64-apple-macosx11.0.0", "apple-m1", ""),
        ("x86_64-unknown-linux-gnu", "haswell", ""),
        ("x86_64-pc-windows-msvc", "skylake-avx512", ""),
    ],
)
def test_code_for_other_cpus(network, triple, cpu, features):
    """Code can be made for all CPUs that have a target; it needs no function of a mathematical library."""
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        llvm.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip("this LLVM makes no code for that CPU")
    wide = 16 if "avx512" in cpu else 8 if "x86" in triple else 4
    target = Target(triple, cpu, features, wide, 16 if wide == 8 else 32)
    plan = program.make_plan(network.spec, weights_of(network), target)
    text = write_code(plan, Rooms.of(plan, 4), triple)
    assert ("x86" in text) == ("x86" in triple)
    code = compile_module(text, target, optimise=False)
    for called in (b"fmaf", b"rintf", b"expf", b"memset_pattern"):
        assert called not in code


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_share_the_work(own, clip, expected, threads):
    """Any number of threads computes what one does, more than cores and more than rows of a frame too."""
    shared = StreamProgram(own.plan, own._code, threads=threads, max_images=4)
    stream = Stream.new(shared)
    found = np.concatenate([stream.run(clip[:5]), stream.run(clip[5:], 4)])
    assert_rows(found, expected[0])
    assert_states(stream.states, expected[1])


# What frames there are.


def test_exact_weights(own, clip, expected):
    """With exact weights, rows differ from those of TensorFlow by rounding alone."""
    stream = Stream.new(own)
    assert_rows(stream.run(clip), expected[0])
    assert_states(stream.states, expected[1])


def test_compact_weights(network, own, clip, expected):
    """With 16-bit weights, rows are those of weights rounded to 16 bits, and differ little from those of the network."""
    compact = program_of(network, is_compact=True, max_images=4)
    assert compact.plan.blob.size < own.plan.blob.size
    rounded = program.make_plan(
        network.spec,
        rounded_weights_of(network, host_target().lanes),
        host_target(),
        is_compact=False,
    )
    same = StreamProgram(rounded, own._code, threads=1, max_images=4)
    for pieces in (1, 4):
        found = Stream.new(compact).run(clip, pieces)
        assert_rows(found, Stream.new(same).run(clip, pieces))
        assert_rows(found, expected[0], COMPACT)


@pytest.mark.parametrize("pieces", [2, 3, 4])
def test_frames_of_a_stream_in_one_call(own, clip, expected, pieces):
    """Several frames of a stream in one call give what they give one by one."""
    stream = Stream.new(own)
    assert_rows(stream.run(clip, pieces), expected[0])
    assert_states(stream.states, expected[1])


def test_bytes_are_numbers_of_0_to_1(own, network, clip):
    """Frames of bytes give what their 255ths give."""
    whole = np.rint(clip * 255).astype(np.uint8)
    whole[0, 0, :2] = [[0, 255, 1], [254, 128, 127]]
    rows, _ = expected_rows(network, whole / np.float32(255))
    assert_rows(Stream.new(own).run(whole), rows)


@pytest.mark.parametrize(("kind", "skipped"), [(np.uint8, 1), (np.float32, 4)])
def test_frames_may_begin_at_any_address(own, clip, kind, skipped):
    """Frames that lie at odd addresses give the same."""
    frames = (clip * 255).astype(kind) if kind is np.uint8 else clip
    moved = np.frombuffer(bytes(skipped) + frames.tobytes(), np.uint8)[skipped:]
    moved = moved.view(kind).reshape(frames.shape)
    found = Stream.new(own).run(moved, 4)
    np.testing.assert_array_equal(found, Stream.new(own).run(frames, 4))


def test_streams_of_different_ages_in_one_call(own, network):
    """Streams that have had different numbers of frames each go on as they would alone."""
    clips = moving_clips(4, 8, seed=3)
    streams = [Stream.new(own) for _ in clips]
    expected = [expected_rows(network, clip)[0] for clip in clips]
    for stream, clip, age in zip(streams, clips, (0, 1, 4, 7), strict=True):
        if age:
            stream.run(clip[:age])
    found = run_streams(
        streams, np.stack([clip[s.age] for s, clip in zip(streams, clips, strict=True)])
    )
    rows = np.stack(
        [rows[s.age - 1] for s, rows in zip(streams, expected, strict=True)]
    )
    assert_rows(found, rows)


def test_streams_with_different_numbers_of_frames_in_one_call(own, network):
    """One call may have two frames of one stream and one of each of others."""
    clips = moving_clips(3, 8, seed=4)
    first, second, third = (Stream.new(own) for _ in clips)
    expected = [expected_rows(network, clip)[0] for clip in clips]
    second.run(clips[1][:3])
    for step in range(3):
        frames = [clips[0][2 * step], clips[0][2 * step + 1]]
        frames += [clips[1][3 + step], clips[2][step]]
        found = run_streams([first, first, second, third], np.stack(frames))
        rows = [expected[0][2 * step], expected[0][2 * step + 1]]
        rows += [expected[1][3 + step], expected[2][step]]
        assert_rows(found, np.stack(rows))


@pytest.mark.usefixtures("fast_compiler")
def test_long_stream():
    """After two hundred frames, rows and sums are still those of the network."""
    network = small_network("stream", frame_size=(9, 8), positional_encoding=True)
    clip = moving_clips(1, 200, (9, 8))[0]
    rows, states = expected_rows(network, clip)
    stream = Stream.new(program_of(network, max_images=5))
    found = [stream.run(clip[:67]), stream.run(clip[67:150], 5), stream.run(clip[150:])]
    assert_rows(np.concatenate(found), rows, 1e-4)  # sums of 200 frames
    assert_states(stream.states, states, 1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("pieces", [1, 4])
def test_what_is_no_number_shows(own, clip, bad, pieces):
    """A frame with NaN or an infinity gives logits that are no numbers, and a new stream is clean."""
    before = Stream.new(own).run(clip, pieces)
    spoilt = clip.copy()
    spoilt[2, 17, 11, 1] = bad
    found = Stream.new(own).run(spoilt, pieces)
    np.testing.assert_array_equal(found[:2], before[:2])
    assert np.isnan(found[2:, :5]).all()
    np.testing.assert_array_equal(Stream.new(own).run(clip, pieces), before)


def test_a_stream_does_not_see_its_neighbours(own, clip, expected):
    """A stream whose frames are no numbers changes no other stream of the call."""
    spoilt, whole = Stream.new(own), Stream.new(own)
    for index, frame in enumerate(clip):
        bad = np.full_like(frame, np.nan)
        found = run_streams([spoilt, whole], np.stack([bad, frame]))
        assert np.isnan(found[0, :5]).all()
        assert_rows(found[1:], expected[0][index : index + 1])


# States.


def test_states_can_be_read_and_written_at_every_place(own, clip):
    """States that were read after any frame and written to another storage go on as those in the first."""
    stream = Stream.new(own)
    for index in range(FRAMES - 2):
        other = Stream.new(own)
        other.storage[:] = 0xA5  # of a stream before
        other.place = own.write_states(other.storage, stream.states)
        other.age = stream.age
        for name, value in stream.states.items():
            np.testing.assert_array_equal(other.states[name], value)
        rest = clip[index : index + 2]
        following = other.run(rest)
        kept = attrs.evolve(stream, storage=own.new_storage())
        kept.storage[:] = stream.storage
        np.testing.assert_array_equal(kept.run(rest), following)
        stream.run(clip[index : index + 1])


def test_states_read_are_copies(own, clip):
    """States that were read stay as they were when the stream goes on."""
    stream = Stream.new(own)
    stream.run(clip[:3])
    states = stream.states
    kept = {name: value.copy() for name, value in states.items()}
    stream.run(clip[3:])
    for name, value in states.items():
        np.testing.assert_array_equal(value, kept[name])


@pytest.mark.parametrize("age", range(7))
def test_a_step_leaves_the_states_before_it(own, clip, age):
    """After a step, the storage still has the states before the step at their place."""
    stream = Stream.new(own)
    if age:
        stream.run(clip[:age])
    before = stream.states
    stream.run(clip[age : age + 1])
    found = own.read_states(stream.storage, stream.place - 1)
    for name, value in before.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_stream_goes_on_from_tensorflow(own, network, clip, expected):
    """A stream that TensorFlow began goes on here, from its first frame or a later one."""
    begun = network.init_states(1, SIZE)
    assert_rows(Stream.of(own, begun).run(clip), expected[0])
    _, states = expected_rows(network, clip[:5])
    assert_rows(Stream.of(own, states).run(clip[5:], 3), expected[0][5:])


def test_a_stream_goes_on_in_tensorflow(own, network, clip, expected):
    """A stream that began here goes on in TensorFlow."""
    stream = Stream.new(own)
    stream.run(clip[:7])
    states = {**stream.states, "state/frame_count": np.array([7], np.int32)}
    assert_rows(expected_rows(network, clip[7:], states)[0], expected[0][7:])


def test_a_new_storage_has_the_states_of_no_frames(own, network):
    """A new storage has the states with which the network begins."""
    begun = network.init_states(1, SIZE)
    assert_states(Stream.new(own).states, begun)


# Memory.


@pytest.fixture
def guarded(monkeypatch) -> Iterator[list[np.ndarray]]:
    """Put guards around all memory of programs that are made in a test, and look at them at its end."""
    blocks: list[np.ndarray] = []

    def guarded_zeros(size):
        whole = memory.aligned_zeros(size + 2 * GUARD)
        whole[:] = 0xA5
        whole[GUARD : GUARD + size] = 0
        blocks.append(whole)
        return whole[GUARD : GUARD + size]

    monkeypatch.setattr(program, "aligned_zeros", guarded_zeros)
    yield blocks
    assert blocks
    for block in blocks:
        assert (block[:GUARD] == 0xA5).all()
        assert (block[-GUARD:] == 0xA5).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_nothing_is_written_outside(own, clip, expected, guarded, threads):
    """Calls with one image and with as many as allowed write into the memory of the program alone."""
    bounded = StreamProgram(own.plan, own._code, threads=threads, max_images=4)
    weights = bounded._weights.copy()
    stream = Stream.new(bounded)
    found = np.concatenate([stream.run(clip[:4]), stream.run(clip[4:], 4)])
    assert_rows(found, expected[0])
    np.testing.assert_array_equal(bounded._weights, weights)
    assert len(guarded) >= 4  # weights, storage, arena, barrier


def test_nothing_is_written_to_storages_of_others(own, clip):
    """A call changes the storages of its streams alone."""
    idle, busy = Stream.new(own), Stream.new(own)
    idle.run(clip[:2])
    before = idle.storage.copy()
    busy.run(clip)
    np.testing.assert_array_equal(idle.storage, before)


@pytest.mark.parametrize("size", [(21, 18), (1, 1)])
@pytest.mark.usefixtures("fast_compiler")
def test_lanes_without_channels_stay_zero(size):
    """A storage has numbers for the channels alone; what is left of vectors stays zero."""
    network = small_network("stream", frame_size=size, activation="swish")
    stream = Stream.new(program_of(network, max_images=4))
    clip = moving_clips(1, 9, size)[0]
    stream.run(clip[:5])
    stream.run(clip[5:], 4)
    states = stream.states
    numbers = sum(
        value.size // value.shape[1] * (value.shape[1] + 1)
        if name.endswith("stream_buffer")
        else 2 * value.size
        for name, value in states.items()
    )
    assert np.count_nonzero(stream.storage.view(np.float32)) == numbers


FENCED = """
    import ctypes, mmap, pickle, sys
    from pathlib import Path
    import numpy as np
    from movinet_lite.engines.native import program
    from movinet_lite.engines.native.target import host_target
    from movinet_lite.network.variants import _VARIANTS
    from tests.networks_table import TINY

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    kept = []

    def fence(size):
        # Zeros between two pages that may not be touched: at the end of what lies between them, or at its start.
        pages = -(-max(size, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        block = mmap.mmap(-1, pages + 2 * mmap.PAGESIZE)
        whole = np.frombuffer(block, np.uint8)
        first = whole.ctypes.data
        for page in (first, first + mmap.PAGESIZE + pages):
            assert libc.mprotect(page, mmap.PAGESIZE, 0) == 0
        kept.append(whole)
        start = mmap.PAGESIZE + (pages - size if at_end else 0)
        return whole[start : start + size]

    program.aligned_zeros = fence
    _VARIANTS[TINY.name] = TINY
    folder = Path(sys.argv[1])
    spec, weights = pickle.loads((folder / "network.pickle").read_bytes())
    data = np.load(folder / "clip.npz")
    for at_end, is_compact, threads in (
        (True, False, 1), (False, False, 3), (True, True, 3), (False, True, 1)
    ):
        made = program.StreamProgram.of(
            spec, weights, target=host_target(), threads=threads, max_images=4,
            is_compact=is_compact, cache=folder,
        )
        for name in ("uint8", "float32"):
            frames, age = data[name], 0
            storage = made.new_storage()
            for count in (1, 4, 1, 2):
                piece = frames[age : age + count]
                fenced = fence(piece.nbytes).view(piece.dtype).reshape(piece.shape)
                fenced[:] = piece
                places = [made.first_place + age + i for i in range(count)]
                rows = made.run(fenced, [storage] * count, places, range(age, age + count))
                np.testing.assert_allclose(
                    rows, data["rows_" + name][age : age + count],
                    rtol=0, atol=1e-2 if is_compact else 1e-4,
                )
                age += count
    print("within the fences")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
def test_nothing_is_read_outside(own, network, clip, tmp_path):
    """No code reads or writes right before or behind frames, weights, storages and its own memory."""
    made_of = pickle.dumps((network.spec, weights_of(network)))
    (tmp_path / "network.pickle").write_bytes(made_of)
    frames = {
        "uint8": np.rint(clip[:8] * 255).astype(np.uint8),
        "float32": clip[:8],
    }
    rows = {f"rows_{name}": Stream.new(own).run(of) for name, of in frames.items()}
    np.savez(tmp_path / "clip.npz", **frames, **rows)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FENCED), str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("within the fences\n", 0), done.stderr


# Threads of Python.


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_python_share_a_program(own, threads):
    """Threads that use one program at the same time get what each gets alone."""
    shared = StreamProgram(own.plan, own._code, threads=threads, max_images=4)
    clips = moving_clips(4, 8, seed=5)
    alone = [Stream.new(shared).run(clip) for clip in clips]

    def run(clip):
        return [Stream.new(shared).run(clip) for _ in range(3)]

    with ThreadPoolExecutor(4) as pool:
        for found, rows in zip(pool.map(run, clips), alone, strict=True):
            for one in found:
                np.testing.assert_array_equal(one, rows)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_goes_on_with_streams_of_its_own(
    own, clip, expected, monkeypatch
):
    """A stream that was begun before a fork goes on in both processes, and neither changes that of the other."""
    monkeypatch.setattr(memory, "_SMALLEST", 0)  # as for large networks
    shared = StreamProgram(own.plan, own._code, threads=2, max_images=4)
    stream = Stream.new(shared)
    stream.run(clip[:3])
    child = fork()
    if not child:
        status = 1
        try:
            stream.run(clip[::-1][:6], 3)  # other frames
            assert_rows(Stream.new(shared).run(clip, 4), expected[0])
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert_rows(stream.run(clip[3:], 4), expected[0][3:])


# Code in the cache.


@pytest.fixture(scope="module")
def smallest():
    """A network whose code is soon made."""
    return small_network("stream", frame_size=(6, 5))


@pytest.fixture
def compiled(monkeypatch):
    """The targets for which code was made in a test."""
    return note_targets(monkeypatch, lambda text: text)


@pytest.fixture
def pretended(monkeypatch):
    """The same, with code that does nothing."""
    nothing = f"define void @{ENTRY}() {{ ret void }}"
    return note_targets(monkeypatch, lambda _: nothing)


def note_targets(monkeypatch, change):
    """Return a list that gets the target of each text that is compiled, after a *change*."""
    targets = []

    def note(text, target):
        targets.append(target)
        return compile_module(change(text), target, optimise=False)

    compile_module = program.compile_module
    monkeypatch.setattr(program, "compile_module", note)
    return targets


def first_rows(made):
    """Return the rows of a few frames of a stream."""
    return Stream.new(made).run(moving_clips(1, 3, (6, 5))[0])


def test_code_is_kept(smallest, tmp_path, compiled):
    """A program whose code is in the cache is not compiled again, and computes the same."""
    first = program_of(smallest, cache=tmp_path)
    second = program_of(smallest, cache=tmp_path)
    assert len(compiled) == 1
    np.testing.assert_array_equal(first_rows(first), first_rows(second))


def test_damaged_code_is_made_again(smallest, tmp_path, compiled):
    """Code that is damaged, cut or empty is made and kept anew."""
    first = program_of(smallest, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 1
    for count, damaged in enumerate((bytes(spoilt), whole[:-1], b""), start=2):
        path.write_bytes(damaged)
        again = program_of(smallest, cache=tmp_path)
        assert len(compiled) == count
        np.testing.assert_array_equal(first_rows(again), first_rows(first))
        assert path.read_bytes() == whole


def test_code_of_another_network_is_not_used(smallest, tmp_path, compiled):
    """Code under the name of another network's is made anew: it would compute nonsense, or end the process."""
    other = program_of(smallest, cache=tmp_path / "other", max_images=3)
    first = program_of(smallest, cache=tmp_path / "first")
    (path,) = (tmp_path / "other").iterdir()
    (renamed,) = (tmp_path / "first").iterdir()
    path.write_bytes(renamed.read_bytes())
    again = program_of(smallest, cache=tmp_path / "other", max_images=3)
    assert len(compiled) == 3
    np.testing.assert_array_equal(first_rows(again), first_rows(other))
    assert path.read_bytes() != renamed.read_bytes()
    assert first.max_images != again.max_images


def test_a_folder_that_cannot_be_written_to_keeps_nothing(smallest, tmp_path, compiled):
    """Where the cache cannot be written to, the program is made all the same."""
    taken = tmp_path / "taken"
    taken.write_text("a file where the folder should be")
    made = program_of(smallest, cache=taken / "below")
    assert len(compiled) == 1
    assert np.isfinite(first_rows(made)).all()


def test_other_programs_have_code_of_their_own(smallest, tmp_path, pretended):
    """Another CPU, frame size, number of images or precision never gets code that was made for others."""
    target = host_target()
    assert target is not None
    ways = [
        {},
        {"max_images": 3},
        {"is_compact": True},
        {"target": attrs.evolve(target, cpu="generic")},
    ]
    for options in ways:
        program_of(smallest, cache=tmp_path, **options)
    program_of(small_network("stream", frame_size=(6, 6)), cache=tmp_path)
    assert len(pretended) == len(list(tmp_path.iterdir())) == len(ways) + 1


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "swish"},
        {"gate": "sigmoid"},
        {"padding": "pytorch"},
        {"positional_encoding": True},
    ],
)
def test_other_networks_have_code_of_their_own(smallest, tmp_path, pretended, options):
    """Another activation, gate, padding or encoding never gets code that was made for others."""
    program_of(smallest, cache=tmp_path)
    other = small_network("stream", frame_size=(6, 5), **options)
    program_of(other, cache=tmp_path)
    assert len(pretended) == 2
