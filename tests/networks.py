"""Small networks with telling weights, clips whose frames differ, and weights under names of every generation.

The networks are of a variant of their own, `TINY`: a quarter of the layers of the smallest published one, and every kind
among them. A test module makes it known with ``autouse`` of a fixture around `tiny_variant`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.network import variants
from movinet_lite.network.litert_file import LiteRTInfo
from movinet_lite.network.model import Movinet, build_movinet
from tests.networks_table import SHALLOW, TINY

LABELS = ("jump", "run", "sit", "walk", "wave")
SIZE = (40, 33)
"""Height and width of the small clips: even and odd, and not square."""


@contextmanager
def tiny_variant(*, shallow: bool = False) -> Iterator[None]:
    """Make the variant ``tiny`` known: `TINY`, or the *shallow* `SHALLOW` of the same name."""
    known = variants._VARIANTS
    before = dict(known)
    known[TINY.name] = SHALLOW if shallow else TINY
    try:
        yield
    finally:
        known.clear()
        known.update(before)


def small_network(mode: str, *, seed: int = 0, **options: Any) -> Movinet:
    """Return a `TINY` of five classes in which every weight shows in the logits."""
    network = build_movinet(TINY.name, mode, len(LABELS), **options)
    randomise(network, seed)
    return network


def randomise(network: Movinet, seed: int) -> None:
    """Set every weight at random: residual scales that are not 0, statistics that are not 0 and 1."""
    rng = np.random.default_rng(seed)
    for name, weight in network.named_weights.items():
        shape = tuple(weight.shape)
        if name.endswith("scale"):
            value = rng.uniform(0.3, 0.9, shape)
        elif name.endswith("moving_variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("gamma"):
            value = rng.uniform(0.8, 1.4, shape)
        elif name.endswith("kernel"):
            depthwise = "depthwise" in name or "feature" in name
            fan_in = np.prod(shape[:-2]) if depthwise else np.prod(shape[:-1])
            value = rng.normal(0, 1.4 / np.sqrt(fan_in), shape)
        else:
            value = rng.normal(0, 0.2, shape)
        weight.assign(value.astype("float32"))


def moving_clips(
    clips: int = 1, frames: int = 6, size: tuple[int, int] = SIZE, seed: int = 0
) -> NDArray[np.float32]:
    """Return ``(clips, frames, height, width, 3)`` float32 in 0 to 1; all frames differ."""
    rng = np.random.default_rng(seed)
    return rng.random((clips, frames, *size, 3), np.float32)


def assert_same_logits(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Assert that the largest difference is within *tolerance* of the largest logit."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert difference <= tolerance


def step_through(
    network: Movinet,
    clips: NDArray[np.float32],
    pieces: int | list[int] = 1,
    states: Mapping[str, Any] | None = None,
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return the logits of every frame, from calls of so many frames each, and the states after the last."""
    count = clips.shape[1]
    at = (
        list(range(pieces, count, pieces))
        if isinstance(pieces, int)
        else np.cumsum(pieces)[:-1]
    )
    state = dict(states or network.init_states(len(clips), clips.shape[2:4]))
    logits = []
    for piece in np.split(clips, at, axis=1):
        found, state = network.step(piece, state)
        logits.append(np.asarray(found))
    return np.concatenate(logits, axis=1), {k: np.asarray(v) for k, v in state.items()}


Generation = Literal["A", "B", "C", "training"]


def rename(name: str, generation: Generation, mode: str = "stream") -> str:
    """Return what a weight with this name of the models on TF Hub is called in another generation."""
    if name.endswith("pos_encoding/scale"):
        return "scale"
    if generation in {"B", "C"}:
        name = re.sub(r"^b(\d+)/l(\d+)/", r"block\1_layer\2/", name)
    if generation == "C" and mode == "stream":
        name = re.sub(r"/bn_temporal/", "/conv2d_temporal/bn_temporal/", name)
        if "conv2d" not in name:
            name = re.sub(r"/bn/", "/conv2d/bn/", name)
    if generation == "training":
        name = re.sub(r"/conv2d_temporal/\w+/", "/conv3d_temporal/", name)
        name = re.sub(r"/conv2d/(?:depthwise_)?conv2d(?:_\d)?/", "/conv3d/", name)
        name = name.replace("depthwise_kernel", "kernel")
    return name


def write_checkpoint(
    network: Movinet,
    folder: Path,
    generation: Generation = "A",
    *,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Write a network's weights as an object-based checkpoint with names of a generation.

    Args:
        network: Whose weights to write.
        folder: Where to.
        generation: Whose names to use; base networks have no ``conv2d`` to put batch norms in.
        change: Changes the weights, under the names of TF Hub, before they are written.

    Returns:
        The prefix of the checkpoint.
    """
    values = {
        name: np.asarray(weight) for name, weight in network.named_weights.items()
    }
    if change is not None:
        change(values)
    root = tf.train.Checkpoint()
    root.layers = [tf.train.Checkpoint() for _ in range(100)]
    for index, (name, value) in enumerate(list(values.items())):
        if generation == "training" and name.endswith("kernel") and value.ndim == 4:
            values[name] = _as_3d(name, value)
        variable = tf.Variable(
            values[name], name=rename(name, generation, network.spec.mode)
        )
        match = re.match(r"b(\d+)/l(\d+)/bneck/se/(pos_encoding)?", name)
        owner = root
        if match:  # the object graph of squeeze-excitations: only it tells whose scale is whose
            owner = root.layers[int(match[1]) * 20 + int(match[2])]
        if match and match[3]:
            owner.position = tf.train.Checkpoint(scale=variable)
        else:
            setattr(owner, f"weight_{index}", variable)
    return Path(root.write(str(folder / "ckpt-1")))


def _as_3d(name: str, kernel: NDArray[Any]) -> NDArray[Any]:
    """Return the 3-D kernel that a (2+1)D convolution has in training."""
    if "depthwise" not in name:
        return kernel[np.newaxis]
    height, width, channels, _ = kernel.shape
    shape = (
        (height, 1, 1, 1, channels)
        if "temporal" in name
        else (1, height, width, 1, channels)
    )
    return kernel.reshape(shape)


def litert_states_after(
    outputs: Mapping[str, Any], states: Mapping[str, Any], info: LiteRTInfo
) -> dict[str, Any]:
    """Return the states after a call of a LiteRT graph: its outputs, and the frames that move up.

    Args:
        outputs: The graph's outputs by name.
        states: The states it was called with.
        info: The facts of the graph.
    """
    moves = info.moves
    return {
        name: states[moves[name]] if name in moves else outputs[name] for name in states
    }


def join_streams(streams: Sequence[States]) -> dict[str, NDArray[Any]]:
    """Return the states of several streams as those of one batch, in the network's own layout.

    Args:
        streams: States of streams of one variant and frame size, of any ages.
    """
    return {
        name: np.concatenate([np.asarray(states[name]) for states in streams])
        for name in streams[0]
    }
