"""Compare the network with exports of the TensorFlow Model Garden: ``python -m tests.model_garden.parity FOLDER``.

For each export the weights are imported and both compute the same clips, whose frames all differ. The table gives the
largest difference over the largest absolute logit of the export, for each way of calling:

- ``rounding``: how far the export's own logits move when every pixel changes by one part in ten million, up or down.
  Differences of this size say nothing: rounding alone makes them.
- ``frames``: frame by frame, every frame's logits. ``clip``: the whole clip in one call. ``pieces``: cut into calls of 3
  and of 5 frames. ``odd``: frames of 150 x 131 pixels. ``batch``: three streams of ages 0, 2 and 5 in one batch; three
  clips in one batch.
- ``litert``: the compiled network, frame by frame; a base model's clip.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from movinet_lite.network.agreement import (
    largest_difference,
    probe_clip,
    slightly_changed,
)
from movinet_lite.network.export import export_litert
from movinet_lite.network.litert_file import litert_state_shapes
from movinet_lite.network.model import Movinet
from movinet_lite.network.probes import SavedModelRun
from movinet_lite.network.signatures import load_signatures
from movinet_lite.network.weights import import_weights
from tests.networks import join_streams, litert_states_after

__all__ = ["compare", "main"]

COLUMNS: Final = ("rounding", "frames", "clip", "pieces", "odd", "batch", "litert")
_ODD_SIZE: Final = (150, 131)
_AGES: Final = (0, 2, 5)


def compare(
    path: Path, *, frames: int = 10, size: int | None = None
) -> tuple[Movinet, dict[str, float]]:
    """Return the network imported from an export, and the largest relative difference for each way of calling.

    Args:
        path: The export's SavedModel.
        frames: Frames a clip.
        size: Height and width; `None` for the variant's.
    """
    loaded = load_signatures(path)
    network = import_weights(path, loaded=loaded).network
    height, width = (size, size) if size else network.variant.frame_size
    clip = probe_clip(frames, height, width)
    odd = probe_clip(frames, *_ODD_SIZE)
    if network.spec.mode == "base":
        found = dict(_compare_base(SavedModelRun(loaded, path), network, clip, odd))
    else:
        found = dict(_compare_stream(SavedModelRun(loaded, path), network, clip, odd))
    return network, found


def _compare_base(
    source: SavedModelRun, network: Movinet, clip: NDArray[Any], odd: NDArray[Any]
) -> Iterator[tuple[str, float]]:
    expected = source.logits(clip)
    yield (
        "rounding",
        largest_difference(source.logits(slightly_changed(clip)), expected),
    )
    yield "clip", largest_difference(np.asarray(network(clip)), expected)
    yield "odd", largest_difference(np.asarray(network(odd)), source.logits(odd))
    small = np.concatenate([clip, clip[:, ::-1], 1.0 - clip])[
        :, :, : clip.shape[2] // 2
    ]
    alone = np.concatenate([source.logits(one[np.newaxis]) for one in small])
    yield "batch", largest_difference(np.asarray(network(small)), alone)
    yield "litert", largest_difference(_run_litert(network, clip), expected)


def _compare_stream(
    source: SavedModelRun, network: Movinet, clip: NDArray[Any], odd: NDArray[Any]
) -> Iterator[tuple[str, float]]:
    expected = source.frame_logits(clip)
    moved = source.frame_logits(slightly_changed(clip))
    yield "rounding", largest_difference(moved, expected)
    step = tf.function(network.step, autograph=False, reduce_retracing=True)
    yield "frames", largest_difference(_step_through(step, network, clip, 1), expected)
    yield (
        "clip",
        largest_difference(_step_through(step, network, clip, clip.shape[1]), expected),
    )
    pieces = [
        largest_difference(_step_through(step, network, clip, size), expected)
        for size in (3, 5)
    ]
    yield "pieces", float(np.max(pieces))  # NaN if one is
    found = _step_through(step, network, odd, 1)
    yield "odd", largest_difference(found, source.frame_logits(odd))
    yield "batch", _compare_ages(source, step, network, clip)
    yield "litert", largest_difference(_run_litert(network, clip), expected)


def _step_through(
    step: Any, network: Movinet, clip: NDArray[Any], size: int
) -> NDArray[Any]:
    """Return the logits of every frame, ``(frames, classes)``, from calls of *size* frames."""
    states = network.init_states(1, clip.shape[2:4])
    found = []
    for start in range(0, clip.shape[1], size):
        logits, states = step(tf.constant(clip[:, start : start + size]), states)
        found.append(logits[0])
    return np.concatenate(found)


def _compare_ages(
    source: SavedModelRun, step: Any, network: Movinet, clip: NDArray[Any]
) -> float:
    streams = np.concatenate([clip, clip[:, ::-1], 1.0 - clip])[
        :, :, : clip.shape[2] // 2
    ]
    states, nexts, expected = [], [], []
    for stream, age in zip(streams, _AGES, strict=True):
        state: Any = network.init_states(1, stream.shape[1:3])
        if age:
            _, state = step(tf.constant(stream[np.newaxis, :age]), state)
        states.append(state)
        nexts.append(stream[age])
        expected.append(source.frame_logits(stream[np.newaxis, : age + 1])[-1])
    joined = join_streams(states)
    logits, _ = step(tf.constant(np.stack(nexts)[:, np.newaxis]), joined)
    return largest_difference(np.asarray(logits)[:, 0], np.stack(expected))


def _run_litert(network: Movinet, clip: NDArray[Any]) -> NDArray[Any]:
    from ai_edge_litert.interpreter import Interpreter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        per_call = clip.shape[1] if network.spec.mode == "base" else 1
        info = export_litert(
            network, path, frame_size=clip.shape[2:4], num_frames=per_call
        )
        run = Interpreter(str(path)).get_signature_runner()
        states: dict[str, Any] = {
            name: np.zeros(shape, np.float32)
            for name, shape in litert_state_shapes(info).items()
        }
        found = []
        for start in range(0, clip.shape[1], per_call):
            outputs = run(image=clip[0, start : start + per_call], **states)
            found.append(outputs.pop("logits"))
            states = litert_states_after(outputs, states, info)
    return np.concatenate(found)


def main(
    arguments: Sequence[str] | None = None, write: Callable[[str], object] | None = None
) -> None:
    """Print the table for exports of the Model Garden.

    Args:
        arguments: Of the command line; `None` for those of the process.
        write: What prints a line; `None` for `print`.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.model_garden.parity",
        description="Compare the network with exports of the TensorFlow Model Garden.",
    )
    parser.add_argument(
        "folder", type=Path, help="folder with a folder of each export in it"
    )
    parser.add_argument("names", nargs="*", help="exports to compare; default: all")
    parser.add_argument("--frames", type=int, default=10, help="frames a clip")
    parser.add_argument(
        "--size", type=int, help="height and width; default: the variant's"
    )
    options = parser.parse_intermixed_args(arguments)
    if options.frames <= max(_AGES):
        parser.error(f"--frames must be more than {max(_AGES)}; got {options.frames}")
    line = print if write is None else write
    line(f"| export | gate | {' | '.join(COLUMNS)} |")
    line("|---|---|" + "---|" * len(COLUMNS))
    names = options.names or sorted(
        path.parent.name for path in options.folder.glob("*/saved_model")
    )
    for name in names:
        network, found = compare(
            options.folder / name / "saved_model",
            frames=options.frames,
            size=options.size,
        )
        cells = [
            f"{found[column]:.1e}" if column in found else "" for column in COLUMNS
        ]
        line(f"| {name} | {network.spec.gate} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
