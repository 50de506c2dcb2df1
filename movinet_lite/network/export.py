"""Exports a network as a SavedModel with the conventions of TF Hub, or as a LiteRT model.

References:
    [1] The pages of the models on TF Hub, "Usage": ``init_states``, ``model({**states, "image": frames})``.
    [2] The operators of XNNPACK, LiteRT's CPU back end: ``tensorflow/lite/delegates/xnnpack/README.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from movinet_lite.arrays import FrameSize
from movinet_lite.atomic import new_directory, write_atomically
from movinet_lite.errors import ModelError
from movinet_lite.labels import save_labels
from movinet_lite.network.compact import CompactProducts
from movinet_lite.network.converting import Quantize, Traced, convert, trace
from movinet_lite.network.layers import Tensor, Timeline
from movinet_lite.network.litert_file import (
    LITERT_FRAME_COUNT,
    LITERT_SUMS,
    LiteRTInfo,
    litert_state_shapes,
    litert_sums,
    pack_litert,
)
from movinet_lite.network.model import Movinet, fold
from movinet_lite.network.spec import write_facts
from movinet_lite.network.states import FRAME_COUNT, count_names, state_shapes
from movinet_lite.network.tensorflow import saved_model_pb2, tf

__all__ = [
    "Quantize",
    "add_base_functions",
    "export_litert",
    "export_saved_model",
    "rename_variables",
]

_FEWEST_FRAMES_OF_A_HALF: Final = 4  # fewer are no faster; see docs/performance


class FlatMemory:
    """The states of streams as inputs and outputs of a LiteRT graph, with static shapes.

    See `movinet_lite.network.litert_file` for the states.
    """

    def __init__(self, states: Mapping[str, Tensor], info: LiteRTInfo) -> None:
        """Take the states before the call, by name."""
        self._states = dict(states)
        self._info = info
        if info.joins_sums:
            joined, start = self._states.pop(LITERT_SUMS), 0
            for name, channels in litert_sums(info).items():
                self._states[name] = joined[..., start : start + channels]
                start += channels
        ages = self._states[LITERT_FRAME_COUNT]
        self.timeline = Timeline.after(ages, info.batch, info.num_frames)
        self.new_states: dict[str, Tensor] = {
            LITERT_FRAME_COUNT: ages + float(info.num_frames)
        }

    def finish(self) -> dict[str, Tensor]:
        """Return the states after the call, by name."""
        if not self._info.joins_sums:
            return self.new_states
        parts = [self.new_states.pop(name) for name in litert_sums(self._info)]
        while len(parts) > 1:
            # XNNPACK concatenates at most 5 tensors at once [2].
            parts = [
                tf.concat(parts[start : start + 4], axis=-1)
                for start in range(0, len(parts), 4)
            ]
        return {**self.new_states, LITERT_SUMS: parts[0]}

    def in_halves(
        self, rows: Tensor, layers: Callable[[Tensor, FlatMemory], Tensor]
    ) -> Tensor:
        """Return what *layers* give of *rows*, of the first half of the frames and then of the second; keep their states.

        A half has at least as many frames as such a layer keeps.
        """
        half = self._info.num_frames // 2
        info = attrs.evolve(self._info, num_frames=half, joins_sums=False)
        first = FlatMemory(self._states, info)
        given = [layers(rows[:half], first)]
        second = FlatMemory({**self._states, **first.new_states}, info)
        given.append(layers(rows[half:], second))
        # The number of frames is that of the whole call.
        self.new_states = {**second.new_states, **self.new_states}
        return tf.concat(given, axis=0)

    def window(self, path: str, rows: Tensor, length: int) -> Tensor:
        """Return the frames of this call after the *length* preceding ones; see `Memory.window`."""
        prefix = f"state_{path.replace('/', '_')}"
        _, height, width, channels = rows.shape
        batch, frames = self._info.batch, self._info.num_frames
        past = [self._states[f"{prefix}_frame_{index}"] for index in range(length)]
        # XNNPACK copies what is reshaped after an activation. So the frames of one stream are concatenated along the first
        # axis, and those of several streams along the height.
        axis, step = (0, 1) if batch == 1 else (1, height)
        stacked = rows
        if axis == 1:
            stacked = tf.reshape(rows, [batch, frames * height, width, channels])
        joined = tf.concat([*past, stacked], axis)
        for index in range(max(0, length - frames), length):
            start = (frames - length + index) * step
            part = slice(start, start + step)
            frame = stacked[part] if axis == 0 else stacked[:, part]
            self.new_states[f"{prefix}_frame_{index}"] = rows if frames == 1 else frame
        return tf.reshape(joined, [batch, length + frames, height * width, channels])

    def running_mean(self, path: str, rows: Tensor) -> Tensor:
        """Return the mean over all frames so far; see `Memory.running_mean`."""
        name = f"state_{path.replace('/', '_')}_pool_buffer"
        sums = self._sums(self._states[name], rows)
        frames = self._info.num_frames
        self.new_states[name] = sums if frames == 1 else self._last(sums)
        return sums / self.timeline.counts

    def _sums(self, total: Tensor, rows: Tensor) -> Tensor:
        """Return, for each row, *total* plus the rows of its stream up to and including it."""
        batch, frames, channels = (
            self._info.batch,
            self._info.num_frames,
            rows.shape[-1],
        )
        if frames == 1:
            return total + rows
        # CUMSUM and a SPLIT into more than 4 have no fast kernel [2]. A convolution with ones has: it sums each row, those
        # before it, and the total.
        row = tf.reshape(rows, [batch, frames, 1, channels])
        nothing = tf.zeros([batch, frames - 1, 1, channels])
        line = tf.concat([nothing, total, row], axis=1)
        ones = tf.ones([frames + 1, 1, channels, 1])
        sums = tf.nn.depthwise_conv2d(line, ones, [1, 1, 1, 1], "VALID")
        return tf.reshape(sums, [batch * frames, 1, 1, channels])

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
    compact: bool = False,
    joins_sums: bool = False,
) -> LiteRTInfo:
    """Write *network* as a ``.tflite`` file; `movinet_lite.network.litert_file` describes its contents.

    Args:
        network: The network.
        path: The file; an existing one is replaced atomically.
        frame_size: ``(height, width)``, the only size that the file accepts; `None` for the network's.
        num_frames: Frames per call: for a stream model any number, for a base model the length of its clips.
        batch: Clips or streams per call.
        quantize: Quantisation of the weights; `None` for float32.
        compact: Whether to halve the size of the weights of large single-row products; the logits differ by about 5e-5 of
            the largest. Only for XNNPACK on this machine and float32: other runtimes compute them less exactly.
        joins_sums: Whether all sums over frames are one state; see `LiteRTInfo`.

    Returns:
        The facts stored with the graph.

    Raises:
        ConversionError: If the conversion fails.
    """
    spec = network.spec
    info = LiteRTInfo.from_facts(
        spec,
        frame_size=frame_size or spec.frame_size,
        num_frames=num_frames,
        batch=batch,
        quantize=quantize,
        joins_sums=joins_sums,
    )
    products = CompactProducts()
    folded = network if network.options.folded else fold(network)
    with products.of(folded.head.products_of_one_row if compact else ()):
        traced = _traced(folded, info)
    graph = products.store(convert(traced, quantize))
    write_atomically(Path(path), pack_litert(graph, info))
    return info


def _traced(folded: Movinet, info: LiteRTInfo) -> Traced:
    rows: int | None = info.batch * info.num_frames
    if info.mode == "base" and info.batch == 1:
        rows = None  # only the first axis depends on the number of frames
    shapes = {"image": (rows, *info.frame_size, 3), **litert_state_shapes(info)}

    def run(**inputs: Tensor) -> dict[str, Tensor]:
        image = inputs.pop("image")
        if info.mode == "base":
            frames = info.num_frames if rows is not None else None
            timeline = Timeline(info.batch, frames, None)
            logits, features = folded.call_rows_with_features(image, timeline)
            return _flat({"logits": logits, **features}, info.batch)
        memory = FlatMemory(inputs, info)

        def first_block(rows: Tensor, memory: FlatMemory) -> Tensor:
            return folded.run_first_block(rows, memory.timeline, memory)

        if _can_halve(folded, info):
            x = memory.in_halves(image, first_block)
        else:
            x = first_block(image, memory)
        logits, features = folded.run_later_blocks(x, memory.timeline, memory)
        return {**_flat({"logits": logits, **features}, rows), **memory.finish()}

    return trace(run, shapes, folded.variables)


def _can_halve(folded: Movinet, info: LiteRTInfo) -> bool:
    """Return whether the first block takes the frames of a call in two halves.

    Its tensors are the largest: of half the frames, more of them stay in the processor's caches.
    """
    if info.batch > 1 or info.num_frames % 2:
        return False
    first_block = [layer for block, _, layer in folded.variant.layers if block == 0]
    kept = max(layer.buffered_frames for layer in first_block)
    return info.num_frames // 2 >= max(kept, _FEWEST_FRAMES_OF_A_HALF)


def _flat(results: Mapping[str, Tensor], rows: int | None) -> dict[str, Tensor]:
    """Return *results*, ``(rows, 1, 1, channels)``, as ``(rows, channels)``."""
    return {
        name: tf.reshape(result, [rows, result.shape[-1]])
        for name, result in results.items()
    }


def export_saved_model(network: Movinet, path: str | Path) -> None:
    """Write *network* as a SavedModel that is compatible with code for the models on TF Hub [1].

    A stream model has the signatures ``init_states(input_shape)`` and ``call``, and is callable:
    ``logits, states = model({**states, "image": frames})``, where the logits are those of the last frame. A base model
    has the signature ``serving_default(image)``, which returns ``classifier_head``, and is callable:
    ``model({"image": clips})``. The number and size of frames are arbitrary.

    The directory also contains ``labels.txt``, with one label per line, if the network has labels, and
    ``movinet_lite.json`` with its spec.

    Args:
        network: A `Movinet` that is not folded.
        path: The directory; an existing directory is replaced atomically.

    Raises:
        ModelError: If the batch norms of the network are folded: its variables are no longer those of a MoViNet.
    """
    if network.options.folded:
        raise ModelError(
            "a SavedModel requires a network whose batch norms are not folded; those of this one are (export the original network)",
            path,
        )
    names, variables = zip(*network.named_weights.items(), strict=True)
    root = tf.__internal__.tracking.AutoTrackable()
    root.variables = [variable.value for variable in variables]
    if network.spec.mode == "stream":
        signatures = _add_stream_functions(root, network)
    else:
        signatures = add_base_functions(root, network)
    with new_directory(Path(path)) as directory:
        tf.saved_model.save(root, str(directory), signatures=signatures)
        rename_variables(directory / "saved_model.pb", names)
        spec = network.spec
        write_facts(spec, directory)
        if spec.labels is not None:
            save_labels(spec.labels, directory / "labels.txt")


_IMAGE = tf.TensorSpec([None, None, None, None, 3], tf.float32, name="image")


def add_base_functions(root: Any, network: Movinet) -> dict[str, Any]:
    """Make *root* callable with whole clips, like published base models, and return its signatures."""

    def call(inputs: dict[str, Tensor]) -> Tensor:
        return network(inputs["image"])

    def serve(image: Tensor) -> dict[str, Tensor]:
        return {"classifier_head": network(image)}

    root.__call__ = _as_graph(call, {"image": _IMAGE})
    return {"serving_default": _as_graph(serve, _IMAGE)}


def _add_stream_functions(root: Any, network: Movinet) -> dict[str, Any]:
    variant = network.variant
    counts = count_names(variant, positional_encoding=network.spec.positional_encoding)
    specs = {"image": _IMAGE, **_published_specs(network)}

    def call(inputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        states = {
            name: inputs[name]
            for name in specs
            if name != "image" and name not in counts
        }
        # The published layout has one count for the whole batch, the same in every layer.
        batch = tf.shape(inputs["image"])[0]
        states[FRAME_COUNT] = tf.repeat(inputs[counts[-1]], batch)
        logits, new_states = network.step(inputs["image"], states)
        new_count = inputs[counts[-1]] + tf.shape(inputs["image"])[1]
        del new_states[FRAME_COUNT]
        return logits[:, -1], {**new_states, **dict.fromkeys(counts, new_count)}

    def init_states(input_shape: Tensor) -> dict[str, Tensor]:
        size = (input_shape[2], input_shape[3])
        # The sizes are tensors here, not ints.
        shapes = state_shapes(variant, input_shape[0], size, facts=network.spec)
        del shapes[FRAME_COUNT]
        states = {name: tf.zeros(tf.stack(shape)) for name, shape in shapes.items()}
        return {**states, **{name: tf.zeros([1], tf.int32) for name in counts}}

    def serve(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        logits, states = call(inputs)
        return {**states, "logits": logits}

    root.__call__ = _as_graph(call, specs)
    root.init_states = _as_graph(
        init_states, tf.TensorSpec([5], tf.int32, name="input_shape")
    )
    return {"call": _as_graph(serve, specs), "init_states": root.init_states}


def _as_graph(function: Callable[[Any], Any], spec: Any) -> Any:
    return tf.function(function, input_signature=[spec], autograph=False)


def _published_specs(network: Movinet) -> dict[str, tf.TensorSpec]:
    """Return the type of each state in the published layout, for any batch and frame size."""
    variant = network.variant
    specs = {}
    shapes = state_shapes(variant, 1, (1, 1), facts=network.spec)
    for name, (_, *rest) in shapes.items():
        if name == FRAME_COUNT:
            continue
        shape: list[int | None] = list(rest)
        if name.endswith("stream_buffer"):
            shape[1:3] = [None, None]
        specs[name] = tf.TensorSpec(
            [None, *shape], tf.float32, name=name.replace("/", "_")
        )
    for name in count_names(
        variant, positional_encoding=network.spec.positional_encoding
    ):
        specs[name] = tf.TensorSpec([1], tf.int32, name=name.replace("/", "_"))
    return specs


def rename_variables(path: Path, names: tuple[str, ...]) -> None:
    """Set the published names of a SavedModel's variables; Keras names every kernel ``kernel``."""
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    nodes = saved.meta_graphs[0].object_graph_def.nodes
    (listed,) = (
        child.node_id for child in nodes[0].children if child.local_name == "variables"
    )
    for child in nodes[listed].children:
        nodes[child.node_id].variable.name = names[int(child.local_name)]
    path.write_bytes(saved.SerializeToString())
