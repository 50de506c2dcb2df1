"""Tiny SavedModels with the calling conventions of the published ones, and what they compute.

They load in a moment and take frames of any size, so a test can run the real engine without a real network. Each answers
with the colour that it sees most: the first three classes are red, green and blue, and further ones follow no rule.
`expected_stream_logits` and `expected_clip_logits` compute the same in numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COLOURS",
    "STATE_NAMES",
    "expected_clip_logits",
    "expected_stream_logits",
    "write_base_saved_model",
    "write_stream_saved_model",
]

Naming: TypeAlias = Literal["hub", "garden"]
"""``hub``: ``state/b0/l0/stream_buffer``; ``garden``: ``state_block0_layer0_stream_buffer``."""

StreamFault: TypeAlias = Literal[
    "missing state",
    "two logits",
    "no init_states",
    "init_states of nothing",
    "init_states that fail",
    "call that fails",
]
"""What is wrong with the signature ``call``, or with the way to the empty states."""

BaseFault: TypeAlias = Literal["two outputs", "one frame", "no signatures"]
"""What is wrong with the signature ``serving_default``."""

COLOURS = ("red", "green", "blue", "grey")
"""Labels for models of four classes."""

STATE_NAMES: dict[Naming, tuple[str, ...]] = {
    "hub": (
        "state/b0/l0/stream_buffer",
        "state/b0/l0/pool_buffer",
        "state/b0/l0/pool_frame_count",
        "state/head/pool_buffer",
        "state/head/pool_frame_count",
    ),
    "garden": (
        "state_block0_layer0_stream_buffer",
        "state_block0_layer0_pool_buffer",
        "state_block0_layer0_pool_frame_count",
        "state_head_pool_buffer",
        "state_head_pool_frame_count",
    ),
}
"""The names that `init_states` of a stream model gives, in one order of meaning for both."""

_BUFFERED_FRAMES = 2  # how many past frames the stream buffer keeps
_NUM_FEATURES = 9


def write_stream_saved_model(
    path: Path,
    *,
    num_classes: int = len(COLOURS),
    naming: Naming = "hub",
    signatures: bool = True,
    callable_object: bool = True,
    step_name: str = "call",
    frame_size: tuple[int, int] | None = None,
    fault: StreamFault | None = None,
) -> Path:
    """Write a stream SavedModel and return *path*.

    Args:
        path: The folder to write.
        num_classes: How many logits it gives.
        naming: How its states are called. As in the published models, the arguments of the signature ``call`` have
            ``_`` where the names have ``/``.
        signatures: Whether it has the signatures ``call`` and ``init_states``.
        callable_object: Whether the object itself can be called, with one dict, and has an attribute ``init_states``.
        step_name: What the signature ``call`` is called.
        frame_size: ``(height, width)`` where the signature ``call`` takes one size alone.
        fault: What to do wrong.
    """
    import tensorflow as tf

    names = STATE_NAMES[naming]
    module = tf.Module()
    module.kernel = tf.Variable(_kernel(num_classes), name="classifier_head/kernel")
    specs = _stream_specs(tf, names, frame_size)

    def run(inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if fault == "call that fails":
            tf.debugging.assert_equal(tf.shape(inputs["image"])[0], 7)
        logits, states = _stream_step(tf, inputs, names, module.kernel)
        if fault == "missing state":
            del states[names[1]]
        return logits, states

    @tf.function(input_signature=[specs])
    def call(inputs: dict[str, Any]) -> dict[str, Any]:
        logits, states = run(inputs)
        more = {"more_logits": logits} if fault == "two logits" else {}
        return {**states, "logits": logits, **more}

    init_states = _init_states_function(tf, names, fault)
    saved = {step_name: call, "init_states": init_states} if signatures else {}
    if callable_object:
        module.init_states = init_states
        module.__call__ = tf.function(run, input_signature=[specs])
    if fault == "no init_states":
        module.init_states = None
        saved.pop("init_states", None)
    tf.saved_model.save(
        module,
        str(path),
        signatures={key: saved[key].get_concrete_function() for key in saved},
    )
    return path


def _init_states_function(
    tf: Any, names: tuple[str, ...], fault: StreamFault | None
) -> Any:
    if fault == "init_states of nothing":
        shape = tf.constant([1, 1, 32, 32, 3])
        return tf.function(lambda: _empty_states(tf, shape, names), input_signature=[])

    @tf.function(input_signature=[tf.TensorSpec([5], tf.int32)])
    def init_states(input_shape: Any) -> dict[str, Any]:
        if fault == "init_states that fail":
            tf.debugging.assert_equal(input_shape[0], 7)
        return _empty_states(tf, input_shape, names)

    return init_states


def _stream_specs(
    tf: Any, names: tuple[str, ...], frame_size: tuple[int, int] | None
) -> dict[str, Any]:
    pixels = (None, None) if frame_size is None else frame_size
    pool, count = [None, 1, 1, 1, 3], [1]
    buffer = [None, _BUFFERED_FRAMES, *pixels, 3]
    specs = {
        name: tf.TensorSpec(
            shape, tf.int32 if shape == count else tf.float32, name=name
        )
        for name, shape in zip(names, (buffer, pool, count, pool, count), strict=True)
    }
    image = tf.TensorSpec([None, None, *pixels, 3], tf.float32, name="image")
    return {**specs, "image": image}


def _empty_states(tf: Any, input_shape: Any, names: tuple[str, ...]) -> dict[str, Any]:
    batch, height, width = input_shape[0], input_shape[2], input_shape[3]
    pool, count = tf.zeros([batch, 1, 1, 1, 3]), tf.zeros([1], tf.int32)
    buffer = tf.zeros([batch, _BUFFERED_FRAMES, height, width, 3])
    return dict(zip(names, (buffer, pool, count, pool, count), strict=True))


def _stream_step(
    tf: Any, inputs: dict[str, Any], names: tuple[str, ...], kernel: Any
) -> tuple[Any, dict[str, Any]]:
    image = inputs["image"]
    buffer, block_sum, block_count, head_sum, head_count = (
        inputs[name] for name in names
    )
    seen = tf.concat([buffer, image], axis=1)
    colour = _colour(tf, image)
    recent = tf.reduce_mean(_colour(tf, seen), axis=1, keepdims=True)
    block_sum, block_count = block_sum + colour, block_count + 1
    head_sum, head_count = head_sum + recent, head_count + 1
    means = [
        recent,
        block_sum / tf.cast(block_count, tf.float32),
        head_sum / tf.cast(head_count, tf.float32),
    ]
    states = (seen[:, 1:], block_sum, block_count, head_sum, head_count)
    logits = tf.concat(means, axis=-1)[:, 0, 0, 0] @ kernel
    return logits, dict(zip(names, states, strict=True))


def write_base_saved_model(
    path: Path,
    *,
    num_classes: int = len(COLOURS),
    output_name: str = "classifier_head",
    fault: BaseFault | None = None,
) -> Path:
    """Write a base SavedModel and return *path*.

    Args:
        path: The folder to write.
        num_classes: How many logits it gives.
        output_name: What the signature ``serving_default`` calls them.
        fault: What to do wrong.
    """
    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.Variable(_kernel(num_classes), name="classifier_head/kernel")
    shape = [None, None, None, None, 3]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
    def serve(image: Any) -> dict[str, Any]:
        colours = _colour(tf, image)[:, :, 0, 0]
        features = tf.concat(
            [colours[:, 0], tf.reduce_mean(colours, axis=1), colours[:, -1]], axis=-1
        )
        outputs = {output_name: features @ module.kernel}
        if fault == "two outputs":
            outputs["features"] = features
        return outputs

    @tf.function(input_signature=[tf.TensorSpec(shape[1:], tf.float32, name="image")])
    def serve_frame(image: Any) -> dict[str, Any]:
        return serve(image[tf.newaxis])

    module.serve = serve
    signatures = {"serving_default": serve_frame if fault == "one frame" else serve}
    if fault == "no signatures":
        signatures = {}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


def expected_stream_logits(
    frames: NDArray[np.float32], num_classes: int = len(COLOURS)
) -> NDArray[np.float32]:
    """Return what the stream model says after each frame.

    Args:
        frames: ``(frames, height, width, 3)``, float32, 0 to 1, RGB.
        num_classes: How many logits the model gives.

    Returns:
        ``(frames, classes)``, float32.
    """
    colours = np.asarray(frames, np.float64).mean(axis=(1, 2))
    past = np.concatenate([np.zeros((_BUFFERED_FRAMES, 3)), colours])
    count = np.arange(1, len(colours) + 1)[:, np.newaxis]
    smooth = np.stack(
        [past[i : i + _BUFFERED_FRAMES + 1].mean(axis=0) for i in range(len(colours))]
    )
    features = [smooth, colours.cumsum(axis=0) / count, smooth.cumsum(axis=0) / count]
    logits = np.concatenate(features, axis=1) @ _kernel(num_classes)
    return logits.astype(np.float32)


def expected_clip_logits(
    clip: NDArray[np.float32], num_classes: int = len(COLOURS)
) -> NDArray[np.float32]:
    """Return what the base model says of a clip.

    Args:
        clip: ``(frames, height, width, 3)``, float32, 0 to 1, RGB.
        num_classes: How many logits the model gives.

    Returns:
        ``(classes,)``, float32.
    """
    colours = np.asarray(clip, np.float64).mean(axis=(1, 2))
    features = np.concatenate([colours[0], colours.mean(axis=0), colours[-1]])
    return (features @ _kernel(num_classes)).astype(np.float32)


def _colour(tf: Any, image: Any) -> Any:
    """Return the mean colour of each frame, ``(batch, frames, 1, 1, 3)``."""
    return tf.reduce_mean(image, axis=(2, 3), keepdims=True)


def _kernel(num_classes: int) -> NDArray[np.float32]:
    """Return ``(features, classes)``: a strong weight from each colour to its class, and a weak one to every other."""
    weak = np.random.default_rng(0).normal(0, 0.3, (_NUM_FEATURES, num_classes))
    strong = np.tile(np.eye(3), (3, 1))[:, : min(3, num_classes)]
    weak[:, :3] += 2 * strong
    return weak.astype(np.float32)
