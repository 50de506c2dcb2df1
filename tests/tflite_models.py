"""Tiny ``.tflite`` stream models as others make them, converted from what `tests.saved_models` computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.saved_models import COLOURS, STATE_NAMES, Naming, _kernel, _stream_step

FRAME_SIZE = (10, 12)


def write_tflite(
    path: Path,
    *,
    naming: Naming = "garden",
    signature: str = "serving_default",
    quantize: str | None = None,
    num_frames: int = 1,
    image_dtype: str = "float32",
    more_signatures: bool = False,
    span: float = 1.0,
) -> Path:
    """Write a stream model of one frame a call and return *path*.

    Args:
        path: The file to write.
        naming: How its states are called, see `STATE_NAMES`.
        signature: The name of its signature.
        quantize: `None` for float32, ``float16``, ``dynamic`` or ``int8``.
        num_frames: Frames a call.
        image_dtype: What the image is before any quantisation; whole numbers mean 0 to 255, which the file does not say.
        more_signatures: Whether the file has the signature ``init_states`` too.
        span: The largest value of the examples that the scales of an ``int8`` file are chosen for.
    """
    import tensorflow as tf

    names = STATE_NAMES[naming]
    height, width = FRAME_SIZE
    shapes = ((1, 2, height, width, 3), (1, 1, 1, 1, 3), (1,), (1, 1, 1, 1, 3), (1,))
    specs = {
        name: tf.TensorSpec(shape, tf.int32 if shape == (1,) else tf.float32, name=name)
        for name, shape in zip(names, shapes, strict=True)
    }
    image = (1, num_frames, height, width, 3)
    specs["image"] = tf.TensorSpec(image, image_dtype, name="image")
    module = tf.Module()
    module.kernel = tf.Variable(_kernel(len(COLOURS)))

    @tf.function(input_signature=[specs])
    def call(inputs: dict[str, Any]) -> dict[str, Any]:
        frames = tf.cast(inputs["image"], tf.float32)
        if image_dtype != "float32":
            frames /= 255.0
        mean = tf.reduce_mean(frames, axis=1, keepdims=True)
        inputs = {**inputs, "image": mean}
        logits, states = _stream_step(tf, inputs, names, module.kernel)
        return {**states, "logits": logits}

    @tf.function(input_signature=[tf.TensorSpec([5], tf.int32)])
    def init_states(input_shape: Any) -> dict[str, Any]:
        nothing = tf.reduce_sum(input_shape) * 0
        return {
            name: tf.zeros(spec.shape, spec.dtype) + tf.cast(nothing, spec.dtype)
            for name, spec in specs.items()
            if name != "image"
        }

    signatures = {signature: call.get_concrete_function()}
    if more_signatures:
        signatures["init_states"] = init_states.get_concrete_function()
    folder = path.with_suffix(".saved_model")
    tf.saved_model.save(module, str(folder), signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(folder), signature_keys=list(signatures)
    )
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.representative_dataset = lambda: _examples(tf, specs, span)
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
    path.write_bytes(converter.convert())
    return path


def _examples(tf: Any, specs: dict[str, Any], span: float) -> Any:
    rng = np.random.default_rng(0)
    for count in range(8):
        yield {
            name: rng.integers(count, count + 1, spec.shape, np.int32)
            if spec.dtype == tf.int32
            else rng.uniform(
                0, span * max(1, count if "pool" in name else 1), spec.shape
            ).astype(np.float32)
            for name, spec in specs.items()
        }


def write_passing_tflite(path: Path) -> Path:
    """Write a stream model that passes most of its states through, as the published int8 files do, and return *path*.

    The logits are the mean colour of the frame, plus the sum so far, plus the state of layer 0. A graph writes the sum
    alone: the state of layer 0 stays as it is, those of layers 1 and 2 change places, that of layer 3 is the last image,
    and that of layer 4 is a constant.
    """
    import tensorflow as tf

    height, width = FRAME_SIZE
    shapes: dict[str, tuple[int, ...]] = {
        f"state_block0_layer{i}_pool_buffer": (1, 3) for i in (0, 1, 2, 4)
    }
    shapes["state_block0_layer3_stream_buffer"] = (1, 1, height, width, 3)
    shapes["state_head_pool_buffer"] = (1, 3)
    shapes["image"] = (1, 1, height, width, 3)
    specs = {name: tf.TensorSpec(shape, name=name) for name, shape in shapes.items()}

    @tf.function(input_signature=[specs])
    def call(inputs: dict[str, Any]) -> dict[str, Any]:
        mean = tf.reduce_mean(inputs["image"], axis=(1, 2, 3))
        total = inputs["state_head_pool_buffer"] + mean
        own = [inputs.get(f"state_block0_layer{i}_pool_buffer") for i in range(3)]
        return {
            "logits": mean + total + own[0],
            "state_block0_layer0_pool_buffer": own[0],
            "state_block0_layer1_pool_buffer": own[2],
            "state_block0_layer2_pool_buffer": own[1],
            "state_block0_layer3_stream_buffer": inputs["image"],
            "state_block0_layer4_pool_buffer": tf.constant([[7.0, 8.0, 9.0]]),
            "state_head_pool_buffer": total,
        }

    module = tf.Module()
    folder = path.with_suffix(".saved_model")
    tf.saved_model.save(module, str(folder), call.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    path.write_bytes(converter.convert())
    return path
