"""Reads the names of a SavedModel's signatures from its file, without TensorFlow, whose import takes seconds.

References:
    [1] tensorflow/tensorflow, tensorflow/core/protobuf/saved_model.proto and meta_graph.proto: the numbers of the fields.
    [2] Protocol Buffers, "Encoding": https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["signature_names"]

_META_GRAPHS: Final = 2  # of SavedModel [1]
_SIGNATURES: Final = 5  # of MetaGraphDef, a map [1]
_KEY: Final = 1  # of an entry of a map [2]

# The types of fields [2].
_VARINT: Final = 0
_64_BITS: Final = 1
_LENGTH_AND_BYTES: Final = 2
_32_BITS: Final = 5


def signature_names(path: Path) -> frozenset[str]:
    """Return the names of the signatures of the SavedModel in the folder *path*.

    It has none if it cannot be read; loading it raises the error.
    """
    try:
        content = memoryview((path / "saved_model.pb").read_bytes())
        return frozenset(
            bytes(key).decode()
            for graph in _fields(content, _META_GRAPHS)
            for entry in _fields(graph, _SIGNATURES)
            for key in _fields(entry, _KEY)
        )
    except (OSError, ValueError, IndexError):
        return frozenset()


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """Yield the contents of the fields with this number that have a length.

    Raises:
        ValueError, IndexError: If it is no message.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, place = _varint(message, place)
        elif kind == _LENGTH_AND_BYTES:
            size, place = _varint(message, place)
            if size > len(message) - place:
                raise ValueError("the message ends too soon")
            if number == wanted:
                yield message[place : place + size]
            place += size
        elif kind in (_64_BITS, _32_BITS):
            place += 8 if kind == _64_BITS else 4
        else:
            raise ValueError(f"there is no field of type {kind}")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number, seven bits a byte from the lowest on, and the place after it [2]."""
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
