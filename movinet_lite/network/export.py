"""Write a network as a LiteRT model.

References:
    [1] What XNNPACK, LiteRT's CPU back end, takes: ``tensorflow/lite/delegates/xnnpack/README.md``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import tensorflow as tf

from movinet_lite.arrays import FrameSize
from movinet_lite.errors import ConversionError
from movinet_lite.network.layers import Tensor, Timeline
from movinet_lite.network.litert_file import (
    LITERT_FRAME_COUNT,
    LiteRTInfo,
    litert_state_shapes,
    pack_litert,
)
from movinet_lite.network.model import Movinet, fold

__all__ = ["Quantize", "export_litert"]

Quantize: TypeAlias = Literal["float16", "dynamic"]
"""How weights are stored: as float16, or as int8 with activations quantised as they come."""


class FlatMemory:
    """The memory of streams whose states are the inputs and outputs of a LiteRT graph, all sizes known.

    See `movinet_lite.network.litert_file` for the states.
    """

    def __init__(self, states: Mapping[str, Tensor], info: LiteRTInfo) -> None:
        """Take the states before the call, by name."""
        self._states = states
        self._info = info
        ages = states[LITERT_FRAME_COUNT]
        self.timeline = Timeline.after(ages, info.batch, info.num_frames)
        self.new_states: dict[str, Tensor] = {
            LITERT_FRAME_COUNT: ages + float(info.num_frames)
        }

    def window(self, path: str, rows: Tensor, length: int) -> Tensor:
        """Return the frames of this call behind the *length* before them; see `Memory.window`."""
        prefix = f"state_{path.replace('/', '_')}"
        _, height, width, channels = rows.shape
        batch, frames = self._info.batch, self._info.num_frames
        # Frames stand below each other as parts of one tall picture: joining pictures needs no reshape before it.
        past = [self._states[f"{prefix}_frame_{index}"] for index in range(length)]
        tall = tf.reshape(rows, [batch, frames * height, width, channels])
        joined = tf.concat([*past, tall], axis=1)
        for index in range(max(0, length - frames), length):
            place = frames - length + index
            start = place * height
            self.new_states[f"{prefix}_frame_{index}"] = (
                rows if frames == 1 else tall[:, start : start + height]
            )
        return tf.reshape(joined, [batch, length + frames, height * width, channels])

    def running_mean(self, path: str, rows: Tensor) -> Tensor:
        """Return the mean over all frames so far; see `Memory.running_mean`."""
        name = f"state_{path.replace('/', '_')}_pool_buffer"
        sums = self._sums(self._states[name], rows)
        frames = self._info.num_frames
        self.new_states[name] = sums if frames == 1 else self._last(sums)
        return sums / self.timeline.counts

    def _sums(self, total: Tensor, rows: Tensor) -> Tensor:
        batch, frames, channels = (
            self._info.batch,
            self._info.num_frames,
            rows.shape[-1],
        )
        if frames == 1:
            return total + rows
        pieces = tf.split(
            tf.reshape(rows, [batch, frames, 1, channels]), frames, axis=1
        )
        sums = [total + pieces[0]]
        for piece in pieces[1:]:
            sums.append(sums[-1] + piece)
        return tf.reshape(tf.concat(sums, axis=1), [batch * frames, 1, 1, channels])

    def _last(self, rows: Tensor) -> Tensor:
        batch, frames = self._info.batch, self._info.num_frames
        return tf.reshape(rows, [batch, frames, 1, rows.shape[-1]])[:, -1:]


def export_litert(
    network: Movinet,
    path: str | Path,
    *,
    frame_size: FrameSize | None = None,
    num_frames: int = 1,
    batch: int = 1,
    quantize: Quantize | None = None,
) -> LiteRTInfo:
    """Write *network* as a ``.tflite`` file; `movinet_lite.network.litert_file` describes what is in it.

    Args:
        network: What to write.
        path: The file; one that is there is replaced, once the new one is whole.
        frame_size: ``(height, width)``, the only one the file will take; `None` for the network's.
        num_frames: Frames a call: of a stream model any number, of a base model the length of its clips.
        batch: Clips or streams a call.
        quantize: How to store the weights; `None` for float32.

    Returns:
        What was written beside the graph.

    Raises:
        ConversionError: If the converter refuses.
    """
    spec = network.spec
    info = LiteRTInfo(
        variant=spec.variant,
        mode=spec.mode,
        num_classes=spec.num_classes,
        frame_size=frame_size or spec.frame_size,
        num_frames=num_frames,
        batch=batch,
        fps=spec.fps,
        positional_encoding=spec.positional_encoding,
        quantize=quantize,
        labels=spec.labels,
        source=spec.source,
    )
    graph = _convert(_traced(network, info), quantize)
    _write_atomically(Path(path), pack_litert(graph, info))
    return info


def _traced(network: Movinet, info: LiteRTInfo) -> Any:
    folded = network if network.options.folded else fold(network)
    image = (info.batch * info.num_frames, *info.frame_size, 3)
    shapes = {"image": image, **litert_state_shapes(info)}
    specs = {
        name: tf.TensorSpec(shape, tf.float32, name=name)
        for name, shape in shapes.items()
    }

    def run(**inputs: Tensor) -> dict[str, Tensor]:
        rows = inputs.pop("image")
        if info.mode == "base":
            timeline = Timeline(info.batch, info.num_frames, None)
            logits = folded.forward(rows, timeline)
            return {"logits": tf.reshape(logits, [info.batch, info.num_classes])}
        memory = FlatMemory(inputs, info)
        logits = folded.forward(rows, memory.timeline, memory)
        flat = tf.reshape(logits, [image[0], info.num_classes])
        return {"logits": flat, **memory.new_states}

    module = tf.Module()
    module.network = folded
    module.run = tf.function(run, autograph=False)
    return module, module.run.get_concrete_function(**specs)


def _convert(traced: Any, quantize: Quantize | None) -> bytes:
    module, function = traced
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises a class of its own, and bare ones
        raise ConversionError(
            f"LiteRT could not convert the network: {error}"
        ) from error


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
