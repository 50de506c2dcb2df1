"""The metadata in a LiteRT file of this library: facts, and the meaning of its states.

A ``.tflite`` file that this library writes is a graph followed by a zip archive, as in TensorFlow Lite's own metadata:
runtimes read the graph and ignore the archive. The archive contains ``movinet_lite.json``, with the size and the checksum of
the graph, which are checked on every load: a graph with a damaged weight would compute wrong logits silently. Nothing here
needs TensorFlow.

The graph has one signature, ``serving_default``:

- ``image``: ``(batch * frames, height, width, 3)`` float32, 0 to 1, RGB; the frames of the first stream, then those of
  the second.
- ``logits``: ``(batch * frames, classes)`` float32, of every frame; of a base model ``(batch, classes)``.
- The states of a stream model, each as an input and, where the graph computes it, an output of the same name:

  ================================  ================================  ==================================================
  name                              shape, float32                    what it is
  ================================  ================================  ==================================================
  ``state_b1_l0_frame_0`` ...       ``(batch, H, W, C)``              the last k - 1 frames before a convolution over
                                                                      time, the oldest first
  ``state_b1_l0_pool_buffer``       ``(batch, 1, 1, C)``              sum over all frames of a layer's mean over space
  ``state_frame_count``             ``(batch, 1, 1, 1)``              number of frames of each stream
  ================================  ================================  ==================================================

  In a file with joined sums (`LiteRTInfo.joins_sums`), those of all layers and of the head are concatenated in one state,
  the number of frames last: ``state_sums``, ``(batch, 1, 1, C + ... + 1)``. LiteRT takes about a microsecond for each state
  that is an input or output, as long as for a small layer.

  In every call the frames of a layer move up by as many places as there are frames per call. The graph returns only those
  that it computed; the others are inputs under another name (`LiteRTInfo.moves`), so that no runtime copies them.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import States
from movinet_lite.atomic import write_atomically
from movinet_lite.errors import ModelError
from movinet_lite.network.facts import (
    TRANSFORMER_WINDOW,
    NetworkFacts,
    check_format,
    known_facts,
)
from movinet_lite.network.states import FRAME_COUNT
from movinet_lite.network.variants import get_variant

__all__ = [
    "LITERT_FRAME_COUNT",
    "LITERT_SUMS",
    "LiteRTInfo",
    "change_litert_info",
    "from_litert_states",
    "litert_state_shapes",
    "litert_sums",
    "read_litert_info",
    "to_litert_states",
]

LITERT_FRAME_COUNT: Final = "state_frame_count"
LITERT_SUMS: Final = "state_sums"
_MEMBER: Final = "movinet_lite.json"
_PIECE: Final = 65_536  # bytes
_TAIL: Final = 4096  # bytes; the directory at the end of the archive, which names the member, takes about 100
_FORMAT: Final = 1
_NOUN: Final = "a LiteRT model"


@attrs.frozen(kw_only=True)
class LiteRTInfo(NetworkFacts):
    """The facts of a LiteRT model that this library wrote; `ModelFacts` lists the others.

    Attributes:
        num_frames: Number of frames per call, of each stream.
        batch: Number of clips or streams per call.
        quantize: How the weights are stored: ``"float16"``, ``"dynamic"`` for int8, `None` for float32.
        joins_sums: Whether all sums over frames are joined in one state, so that LiteRT has fewer inputs and outputs.
    """

    num_frames: int
    batch: int
    quantize: str | None = None
    joins_sums: bool = False

    @property
    def moves(self) -> dict[str, str]:
        """The states that the graph does not return: after a call, each is the input state named here."""
        moves = {}
        for prefix, length in _buffers(self):
            for index in range(length - self.num_frames):
                moves[f"{prefix}_frame_{index}"] = (
                    f"{prefix}_frame_{index + self.num_frames}"
                )
        return moves if self.mode == "stream" else {}


def litert_state_shapes(info: LiteRTInfo) -> dict[str, tuple[int, ...]]:
    """Return the shape of each state of a LiteRT model, in order; none for a base model."""
    shapes = _separate_shapes(info)
    if not info.joins_sums or not shapes:
        return shapes
    sums = litert_sums(info)
    frames = {name: shape for name, shape in shapes.items() if name not in sums}
    return {**frames, LITERT_SUMS: (info.batch, 1, 1, sum(sums.values()))}


def litert_sums(info: LiteRTInfo) -> dict[str, int]:
    """Return the channels of each sum over frames in the joined state, in order; the number of frames is last."""
    shapes = _separate_shapes(info)
    sums = {
        name: shape[-1]
        for name, shape in shapes.items()
        if name.endswith("_pool_buffer")
    }
    return (
        {**sums, LITERT_FRAME_COUNT: shapes[LITERT_FRAME_COUNT][-1]} if shapes else {}
    )


def _separate_shapes(info: LiteRTInfo) -> dict[str, tuple[int, ...]]:
    """Return the shape of each state of a file without joined sums."""
    from movinet_lite.network.states import state_shapes

    shapes: dict[str, tuple[int, ...]] = {}
    if info.mode == "base":
        return shapes
    variant = get_variant(info.variant)
    own = state_shapes(variant, info.batch, info.frame_size, facts=info)
    for name, shape in own.items():
        flat = name.replace("/", "_")
        if name == FRAME_COUNT:
            shapes[LITERT_FRAME_COUNT] = (info.batch, 1, 1, 1)
        elif name.endswith("stream_buffer"):
            prefix = flat.removesuffix("_stream_buffer")
            batch, length, height, width, channels = shape
            for index in range(length):
                shapes[f"{prefix}_frame_{index}"] = (batch, height, width, channels)
        else:
            shapes[flat] = (shape[0], 1, 1, shape[-1])
    return shapes


def to_litert_states(states: States, info: LiteRTInfo) -> dict[str, NDArray[Any]]:
    """Return the states of a LiteRT model for states in the network's own layout (`movinet_lite.network.states`)."""
    flat: dict[str, NDArray[Any]] = {}
    for name, value in states.items():
        array = np.asarray(value, np.float32)
        key = name.replace("/", "_")
        if name == FRAME_COUNT:
            flat[LITERT_FRAME_COUNT] = array.reshape(-1, 1, 1, 1)
        elif name.endswith("stream_buffer"):
            prefix = key.removesuffix("_stream_buffer")
            for index in range(array.shape[1]):
                flat[f"{prefix}_frame_{index}"] = np.ascontiguousarray(array[:, index])
        else:
            flat[key] = array.reshape(array.shape[0], 1, 1, -1)
    if info.joins_sums:
        sums = [flat.pop(name) for name in litert_sums(info)]
        flat[LITERT_SUMS] = np.concatenate(sums, axis=-1)
    return flat


def from_litert_states(states: States, info: LiteRTInfo) -> dict[str, NDArray[Any]]:
    """Return the states of a LiteRT model in the network's own layout (`movinet_lite.network.states`)."""
    own: dict[str, NDArray[Any]] = {}
    lengths = dict(_buffers(info))
    if info.joins_sums:
        sizes = litert_sums(info)
        ends = np.cumsum(list(sizes.values()))[:-1]
        parts = np.split(np.asarray(states[LITERT_SUMS]), ends, axis=-1)
        states = {**states, **dict(zip(sizes, parts, strict=True))}

    def stack(prefix: str, length: int) -> NDArray[Any]:
        frames = [np.asarray(states[f"{prefix}_frame_{i}"]) for i in range(length)]
        return np.stack(frames, axis=1)

    for block, index, _ in get_variant(info.variant).layers:
        prefix = f"state_b{block}_l{index}"
        path = f"state/b{block}/l{index}"
        if length := lengths.get(prefix):
            own[f"{path}/stream_buffer"] = stack(prefix, length)
        pool = np.asarray(states[f"{prefix}_pool_buffer"])
        own[f"{path}/pool_buffer"] = pool[:, np.newaxis]
    if length := lengths.get("state_head"):
        own["state/head/stream_buffer"] = stack("state_head", length)
    else:
        pool = np.asarray(states["state_head_pool_buffer"])
        own["state/head/pool_buffer"] = pool[:, np.newaxis]
    counts = np.asarray(states[LITERT_FRAME_COUNT]).reshape(-1)
    own[FRAME_COUNT] = counts.astype(np.int32)
    return own


def _buffers(info: LiteRTInfo) -> list[tuple[str, int]]:
    """Return the prefix of each layer with a buffer of frames, and the number of its frames."""
    found = [
        (f"state_b{block}_l{index}", layer.buffered_frames)
        for block, index, layer in get_variant(info.variant).layers
        if layer.buffered_frames
    ]
    if info.transformer is not None:
        found.append(("state_head", TRANSFORMER_WINDOW - 1))
    return found


def pack_litert(graph: bytes, info: LiteRTInfo) -> bytes:
    """Return a LiteRT graph followed by its facts."""
    checksum = hashlib.sha256(graph).hexdigest()
    header = {
        "format": _FORMAT,
        "graph_bytes": len(graph),
        "graph_sha256": checksum,
        **attrs.asdict(info),
    }
    archive = io.BytesIO(graph)
    archive.seek(0, io.SEEK_END)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as members:
        # A fixed date, so that equal networks have equal files.
        member = zipfile.ZipInfo(_MEMBER, date_time=(1980, 1, 1, 0, 0, 0))
        members.writestr(member, json.dumps(header, indent=1, ensure_ascii=False))
    return archive.getvalue()


def change_litert_info(path: Path, output: Path, **changes: Any) -> None:
    """Write the LiteRT model in a file to *output* with changed facts and an unchanged graph.

    Raises:
        ModelError: If this library did not write it, it is damaged, or the facts are invalid.
    """
    info = read_litert_info(path)
    if info is None:
        raise ModelError(
            "the facts of a LiteRT model can be changed only if this library wrote it; it did not",
            path,
        )
    with zipfile.ZipFile(path) as members:
        num_bytes = min(member.header_offset for member in members.infolist())
    graph = path.read_bytes()[:num_bytes]
    write_atomically(output, pack_litert(graph, attrs.evolve(info, **changes)))


def read_litert_info(path: str | Path) -> LiteRTInfo | None:
    """Return the facts of a LiteRT model.

    Args:
        path: A ``.tflite`` file.

    Returns:
        The facts; `None` if this library did not write the model.

    Raises:
        ModelError: If the file does not exist, or this library wrote it and it is damaged or of a later format. Of a file
            without a checksum, from an earlier version, only the facts are checked.
    """
    path = Path(path)
    try:
        header = _read_header(path)
        if header is None:
            return None
        check_format(header.pop("format"), _FORMAT, _NOUN, path)
        _check_graph(path, header.pop("graph_bytes", 0), header.pop("graph_sha256", ""))
        header = known_facts(LiteRTInfo, header, _NOUN, path)
        header["frame_size"] = tuple(header["frame_size"])
        header["labels"] = None if header["labels"] is None else tuple(header["labels"])
        return LiteRTInfo(**header)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(
            f"a LiteRT model must be a readable file; {error}", path
        ) from error
    except (
        zipfile.BadZipFile,
        NotImplementedError,  # a damaged archive may name an unknown compression
        zlib.error,
        EOFError,
        RuntimeError,  # or seem encrypted
        struct.error,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise ModelError(
            f"the facts in {_NOUN} must be readable; {_MEMBER} is not: {error} (damaged?)",
            path,
        ) from error


def _read_header(path: Path) -> dict[str, Any] | None:
    """Return the contents of the archive after a graph; `None` if there is no archive of this library."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as members:
            if _MEMBER in members.namelist():
                header: dict[str, Any] = json.loads(members.read(_MEMBER))
                return header
    # A damaged archive may no longer be recognised.
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - _TAIL))
        if _MEMBER.encode() in file.read():
            raise zipfile.BadZipFile("its archive is damaged")
    return None


def _check_graph(path: Path, size: int, checksum: str) -> None:
    """Check that the first *size* bytes of a file have this *checksum*; an older file has none."""
    if not checksum:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        # Piece by piece: the memory for all of it would be left over, in places where LiteRT then puts the weights.
        while size > 0 and (piece := file.read(min(size, _PIECE))):
            digest.update(piece)
            size -= len(piece)
    found = digest.hexdigest()
    if found != checksum:
        raise ModelError(
            "the graph of a LiteRT model must have the checksum in its facts; this one has another (damaged? copy it or "
            "export it again)",
            path,
            checksum,
            found,
        )
