"""Programs of small networks for the native engine, and streams through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.native.program import StreamProgram
from movinet_lite.engines.native.target import Target, host_target
from movinet_lite.network.model import Movinet, fold

EXACT = 2e-5
"""Of the largest number: what float32 sums in another order may differ by."""

COMPACT = 3e-4
"""The same with weights of 16 bits."""


def weights_of(network: Movinet) -> dict[str, NDArray[np.float32]]:
    """Return the folded weights of a network, as a program takes them."""
    named = fold(network).named_weights
    return {name: np.asarray(value) for name, value in named.items()}


def rounded_weights_of(network: Movinet, lanes: int) -> dict[str, NDArray[np.float32]]:
    """Return the folded weights of a network, those that a compact program rounds to 16 bits as rounded."""
    weights = weights_of(network)
    for name, kernel in weights.items():
        if name.endswith("/kernel") and ("/se/" in name or "classifier_head/" in name):
            matrix = kernel.reshape(kernel.shape[-2:])
            # The two means that are squeezed begin with a plane each.
            halves = np.split(matrix, 2 if "/se_reduce/" in name else 1)
            rounded = [rounded_by_plane(half, lanes) for half in halves]
            weights[name] = np.concatenate(rounded).reshape(kernel.shape)
    return weights


def rounded_by_plane(matrix: NDArray[np.float32], lanes: int) -> NDArray[np.float32]:
    """Return ``(inputs, outputs)`` weights in 16 bits, with a scale for each plane of inputs and each output."""
    pieces = np.split(matrix, range(lanes, len(matrix), lanes))
    steps = [np.abs(piece).max(axis=0) / np.float32(32767) for piece in pieces]
    pairs = zip(pieces, steps, strict=True)
    return np.concatenate([np.rint(piece / step) * step for piece, step in pairs])


def program_of(network: Movinet, **options: Any) -> StreamProgram:
    """Return the program of a network; exact weights and this machine, if *options* do not say otherwise."""
    options = {"target": host_target(), "is_compact": False, **options}
    return StreamProgram.of(network.spec, weights_of(network), **options)


def smaller_target(lanes: int, registers: int) -> Target:
    """Return this machine as one with narrower vectors."""
    target = host_target()
    assert target is not None
    flags = [flag for flag in target.features.split(",") if not _is_wide(flag[1:])]
    flags += ["-avx512f"] if target.triple.startswith("x86") else []
    return attrs.evolve(
        target, features=",".join(flags), lanes=lanes, registers=registers
    )


def _is_wide(feature: str) -> bool:
    return feature.startswith(("avx512", "avx10", "evex512"))


@attrs.define
class Stream:
    """A stream through a program: its storage, and how many frames it has had."""

    program: StreamProgram
    storage: NDArray[np.uint8]
    place: int
    age: int = 0

    @classmethod
    def new(cls, program: StreamProgram) -> Stream:
        """Return a stream without frames."""
        return cls(program, program.new_storage(), program.first_place)

    @classmethod
    def of(cls, program: StreamProgram, states: Mapping[str, Any]) -> Stream:
        """Return a stream with states in the network's own layout."""
        storage = program.new_storage()
        place = program.write_states(storage, states)
        return cls(program, storage, place, int(states["state/frame_count"][0]))

    def run(self, frames: NDArray[Any], pieces: int = 1) -> NDArray[np.float32]:
        """Return the rows of the next frames, of which each call gets so many."""
        rows = [
            run_streams([self] * len(piece), piece)
            for piece in np.split(frames, range(pieces, len(frames), pieces))
        ]
        return np.concatenate(rows)

    @property
    def states(self) -> dict[str, NDArray[np.float32]]:
        """Its states in the network's own layout."""
        return self.program.read_states(self.storage, self.place)


def run_streams(streams: Sequence[Stream], frames: NDArray[Any]) -> NDArray[np.float32]:
    """Return the rows of one call with the next frame of each stream, where a stream may come several times in a row."""
    places, ages = [], []
    for stream in streams:
        places.append(stream.place)
        ages.append(stream.age)
        stream.place += 1
        stream.age += 1
    storages = [stream.storage for stream in streams]
    return streams[0].program.run(frames, storages, places, ages)


def expected_rows(
    network: Movinet, clip: NDArray[np.float32], states: Mapping[str, Any] | None = None
) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
    """Return the rows of a program and the states, as TensorFlow computes them from the network as it is.

    Args:
        network: The network, not folded.
        clip: ``(frames, height, width, 3)``, float32.
        states: Before them; `None` for a new stream.
    """
    if states is None:
        states = network.init_states(1, clip.shape[1:3])
    logits, after, features = network.step_with_features(clip[np.newaxis], states)
    rows = [logits, features["pooled"], features["hidden"]]
    return (
        np.concatenate([np.asarray(part)[0] for part in rows], axis=1),
        {name: np.asarray(value) for name, value in after.items()},
    )


def assert_rows(
    found: NDArray[Any], expected: NDArray[Any], tolerance: float = EXACT
) -> None:
    """Assert that the logits and the features differ by so much of the largest of each row at most."""
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    for part in (slice(0, 5), slice(5, 45), slice(45, None)):
        difference = np.abs(found - expected)[:, part].max(axis=1)
        assert (difference <= tolerance * np.abs(expected[:, part]).max(axis=1)).all()


def assert_states(
    found: Mapping[str, NDArray[Any]],
    expected: Mapping[str, NDArray[Any]],
    tolerance: float = EXACT,
) -> None:
    """Assert that the states are those of the network, but for the count of frames, which a program does not keep."""
    assert found.keys() | {"state/frame_count"} == expected.keys()
    for name, value in found.items():
        assert value.shape == expected[name].shape
        largest = max(float(np.abs(expected[name]).max()), 1e-6)
        assert np.abs(value - expected[name]).max() <= tolerance * largest, name
