"""The metadata in an ONNX file of this library (needs neither onnx nor TensorFlow).

`movinet_lite.network.onnx_graph` describes inputs and outputs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.errors import ModelError, MoViNetError
from movinet_lite.network.facts import check_format, known_facts
from movinet_lite.network.spec import NetworkSpec, parse_facts
from movinet_lite.network.states import FRAME_COUNT, state_shapes
from movinet_lite.network.variants import get_variant

__all__ = [
    "FACTS_KEY",
    "FORMAT",
    "NEXT",
    "from_onnx_states",
    "parse_onnx_facts",
    "to_onnx_states",
]

FACTS_KEY: Final = "movinet_lite"
"""The entry of the file's metadata that holds the facts, as JSON."""

FORMAT: Final = 1
"""The version of names and shapes of the inputs and outputs."""

NEXT: Final = "next/"
"""The prefix of states among the outputs: ONNX allows each name only once in a graph."""

_BUFFER = "stream_buffer"


def parse_onnx_facts(
    metadata: Mapping[str, str], source: str | Path
) -> NetworkSpec | None:
    """Return the facts of the model in an ONNX file.

    Args:
        metadata: The metadata of the file.
        source: The name of the file, for messages.

    Returns:
        `None` if this library did not write the file.

    Raises:
        ModelError: If it did, and the facts are damaged or have a later format.
    """
    text = metadata.get(FACTS_KEY)
    if text is None:
        return None
    with _readable(source):
        facts = dict(json.loads(text))
        found = facts.pop("format")
    check_format(found, FORMAT, "an ONNX file", source)
    facts = known_facts(NetworkSpec, facts, "an ONNX file", source)
    with _readable(source):
        return parse_facts(facts)


@contextlib.contextmanager
def _readable(source: str | Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, MoViNetError) as error:
        raise ModelError(
            f"the facts in an ONNX file must be readable; {FACTS_KEY!r} in its metadata is not: {error} (damaged? export "
            "it again)",
            source,
        ) from error


def to_onnx_states(own: States) -> dict[str, NDArray[Any]]:
    """Return states of the network's own layout (`movinet_lite.network.states`) as those of an ONNX file."""
    states: dict[str, NDArray[Any]] = {}
    for name, value in own.items():
        array = np.asarray(value)
        if name == FRAME_COUNT:
            states[name] = array.astype(np.int32)
        elif name.endswith(_BUFFER):
            batch, length, height, width, channels = array.shape
            rows = array.reshape(batch, length, height * width, channels)
            states[name] = np.ascontiguousarray(
                rows.transpose(0, 3, 1, 2), dtype=np.float32
            )
        else:
            states[name] = np.ascontiguousarray(
                array.reshape(array.shape[0], -1, 1, 1), dtype=np.float32
            )
    return states


def from_onnx_states(states: States, spec: NetworkSpec) -> dict[str, NDArray[Any]]:
    """Return states of an ONNX file in the network's own layout (`movinet_lite.network.states`)."""
    batch = len(states[FRAME_COUNT])
    shapes = state_shapes(get_variant(spec.variant), batch, spec.frame_size, facts=spec)
    own: dict[str, NDArray[Any]] = {}
    for name, shape in shapes.items():
        array = np.asarray(states[name])
        if name.endswith(_BUFFER):
            array = array.transpose(0, 2, 3, 1)
        own[name] = array.reshape(shape)
    return own
