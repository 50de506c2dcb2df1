"""Stream states: which a network has, and their conversion to and from the published layout.

The network's own layout holds any number of streams, which may have seen different numbers of frames:

==============================  ================================  ======================================================
name                            shape                             what it is
==============================  ================================  ======================================================
``state/b1/l0/stream_buffer``   ``(batch, k - 1, H, W, C)`` f32   the last frames, for a convolution over time
``state/b1/l0/pool_buffer``     ``(batch, 1, 1, 1, C)`` f32       sum over frames of the layer's mean over space
``state/frame_count``           ``(batch,)`` int32                how many frames each stream has had
==============================  ================================  ======================================================

A network with a transformer has ``state/head/stream_buffer``, ``(batch, 49, 1, 1, C)``, the embeddings of the last frames, in
place of ``state/head/pool_buffer``.

The published layout (models on TF Hub, exports of the Model Garden) has one count per layer in place of
``state/frame_count``, of shape ``(1,)`` for the whole batch: ``state/b1/l0/pool_frame_count``,
``state/head/pool_frame_count`` and, in A3 to A5, ``state/b1/l0/pos_enc_frame_count``. All have the same value.

References:
    [1] TensorFlow Model Garden, ``official/projects/movinet/modeling/movinet.py``, ``_get_initial_state_shapes``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize, States
from movinet_lite.errors import SessionError
from movinet_lite.network.facts import TRANSFORMER_WINDOW, NetworkFacts
from movinet_lite.network.padding import STEM_PADDING, layer_paddings, size_after
from movinet_lite.network.state_names import canonical_state_name
from movinet_lite.network.variants import Variant

__all__ = [
    "FRAME_COUNT",
    "count_names",
    "from_published_states",
    "init_states",
    "state_shapes",
    "to_published_states",
]

FRAME_COUNT: Final = "state/frame_count"


def state_shapes(
    variant: Variant,
    batch: int,
    frame_size: FrameSize,
    *,
    facts: NetworkFacts | None = None,
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each state of the network, in order.

    Args:
        variant: The variant of the network.
        batch: The number of streams.
        frame_size: ``(height, width)`` of the frames.
        facts: The facts of a network that may differ from the published one of its variant.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    padding = "same" if facts is None else facts.padding
    stem = None if padding == "same" else STEM_PADDING
    sizes = tuple(size_after(size, 3, 2, stem) for size in frame_size)
    for block, index, layer, padded in layer_paddings(variant, padding):
        _, *kernel = layer.kernel
        edge = None if padded is None else padded.convolution
        sizes = tuple(
            size_after(size, length, layer.stride, edge)
            for size, length in zip(sizes, kernel, strict=True)
        )
        path = f"state/b{block}/l{index}"
        if layer.buffered_frames:
            shapes[f"{path}/stream_buffer"] = (
                batch,
                layer.buffered_frames,
                *sizes,
                layer.expanded,
            )
        shapes[f"{path}/pool_buffer"] = (batch, 1, 1, 1, layer.expanded)
    if facts is not None and facts.transformer is not None:
        kept = (TRANSFORMER_WINDOW - 1, 1, 1, facts.transformer.embed_dim)
        shapes["state/head/stream_buffer"] = (batch, *kept)
    else:
        shapes["state/head/pool_buffer"] = (batch, 1, 1, 1, variant.head_channels)
    shapes[FRAME_COUNT] = (batch,)
    return shapes


def init_states(
    variant: Variant,
    batch: int,
    frame_size: FrameSize,
    *,
    facts: NetworkFacts | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the states of streams without frames, which are zeros.

    Args:
        variant: The variant of the network.
        batch: The number of streams.
        frame_size: ``(height, width)`` of the frames to come.
        facts: As in `state_shapes`.
    """
    return {
        name: np.zeros(shape, np.int32 if name == FRAME_COUNT else np.float32)
        for name, shape in state_shapes(variant, batch, frame_size, facts=facts).items()
    }


def count_names(variant: Variant, *, positional_encoding: bool) -> tuple[str, ...]:
    """Return the names of the counts in the published layout, in its order.

    Args:
        variant: The variant of the model.
        positional_encoding: Whether the model has one, which has counts of its own.
    """
    names = []
    for block, index, _ in variant.layers:
        names.append(f"state/b{block}/l{index}/pool_frame_count")
        if positional_encoding:
            names.append(f"state/b{block}/l{index}/pos_enc_frame_count")
    return (*names, "state/head/pool_frame_count")


def to_published_states(
    states: States, variant: Variant, *, positional_encoding: bool
) -> dict[str, NDArray[Any]]:
    """Return *states* in the published layout.

    Args:
        states: The states in the network's own layout, of streams with the same number of frames.
        variant: The variant of the network.
        positional_encoding: Whether the network has one.

    Returns:
        Arrays under the names of the models on TF Hub.

    Raises:
        SessionError: If the streams have different numbers of frames; the published layout has one count for all.
    """
    ages = np.asarray(states[FRAME_COUNT])
    if ages.size == 0 or (ages != ages.flat[0]).any():
        raise SessionError(
            f"published states hold streams of one age; got ages {ages.tolist()} "
            "(convert them one by one)"
        )
    published = {
        name: np.asarray(value) for name, value in states.items() if name != FRAME_COUNT
    }
    for name in count_names(variant, positional_encoding=positional_encoding):
        published[name] = np.full((1,), ages.flat[0], np.int32)
    return published


def from_published_states(states: States) -> dict[str, NDArray[Any]]:
    """Return states of the published layout in the network's own.

    Args:
        states: Arrays under published names in any form: of TF Hub, of its signatures, of the Model Garden.

    Raises:
        SessionError: If the counts of the layers differ, or there are none, as in no stream.
    """
    own: dict[str, NDArray[Any]] = {}
    counts: dict[str, int] = {}
    batch = 1
    for given, value in states.items():
        name = canonical_state_name(given)
        array = np.asarray(value)
        if name.endswith("frame_count"):
            counts[name] = int(array.reshape(-1)[0])
        else:
            own[name] = array.astype(np.float32, copy=False)
            batch = array.shape[0]
    if len(set(counts.values())) != 1:
        raise SessionError(
            "the frame counts of all layers must be one number; "
            f"got {sorted(set(counts.values())) or 'none'}"
        )
    own[FRAME_COUNT] = np.full((batch,), next(iter(counts.values())), np.int32)
    return own
