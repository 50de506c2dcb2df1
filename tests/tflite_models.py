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
) -> Path:
    """Write a stream model of one frame a call and return *path*.

    Args:
        path: The file to write.
        naming: How its states are called, see `STATE_NAMES`.
        signature: The name of its signature.
        quantize: `None` for float32, ``float16``, ``dynamic`` or ``int8``.
        num_frames: Frames a call.
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
    specs["image"] = tf.TensorSpec(image, tf.float32, name="image")
    module = tf.Module()
    module.kernel = tf.Variable(_kernel(len(COLOURS)))

    @tf.function(input_signature=[specs])
    def call(inputs: dict[str, Any]) -> dict[str, Any]:
        mean = tf.reduce_mean(inputs["image"], axis=1, keepdims=True)
        inputs = {**inputs, "image": mean}
        logits, states = _stream_step(tf, inputs, names, module.kernel)
        return {**states, "logits": logits}

    folder = path.with_suffix(".saved_model")
    tf.saved_model.save(module, str(folder), {signature: call.get_concrete_function()})
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(folder), signature_keys=[signature]
    )
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.representative_dataset = lambda: _examples(tf, specs)
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
    path.write_bytes(converter.convert())
    return path


def _examples(tf: Any, specs: dict[str, Any]) -> Any:
    rng = np.random.default_rng(0)
    for count in range(8):
        yield {
            name: rng.integers(count, count + 1, spec.shape, np.int32)
            if spec.dtype == tf.int32
            else rng.uniform(
                0, max(1, count if "pool" in name else 1), spec.shape
            ).astype(np.float32)
            for name, spec in specs.items()
        }
