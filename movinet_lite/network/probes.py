"""Run a SavedModel of any generation on a short clip, to compare what it computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from movinet_lite.errors import ModelError
from movinet_lite.network.states import count_names, state_shapes
from movinet_lite.states import canonical_state_name
from movinet_lite.variants import recognise_variant

__all__ = ["largest_difference", "probe_clip", "run_saved_model"]

# Odd and not square, since padding shows its mistakes there; more frames than the longest kernel in time, which is 5.
_PROBE_FRAMES: Final = 6
_PROBE_SIZE: Final = (75, 66)
_CELL: Final = (
    11  # pixels; coarse squares survive the strides, fine noise would average out
)


def probe_clip(
    frames: int = _PROBE_FRAMES,
    height: int = _PROBE_SIZE[0],
    width: int = _PROBE_SIZE[1],
) -> NDArray[np.float32]:
    """Return a clip that is always the same and whose frames all differ.

    Returns:
        ``(1, frames, height, width, 3)`` float32, 0 to 1.
    """
    cells = (-(-height // _CELL), -(-width // _CELL))
    values = np.random.default_rng(0).random((frames, *cells, 3), np.float32)
    pixels = values.repeat(_CELL, axis=1).repeat(_CELL, axis=2)
    return pixels[np.newaxis, :, :height, :width]


def largest_difference(got: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference over the largest absolute value of *expected*; infinite if shapes differ."""
    if got.shape != expected.shape:
        return float("inf")
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def run_saved_model(
    loaded: Any, clip: NDArray[np.float32], *, source: str | Path = ""
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits a SavedModel gives for a clip, and the clip it was given.

    Args:
        loaded: What ``tf.saved_model.load`` gave, of any generation, base or stream.
        clip: ``(1, frames, height, width, 3)`` float32. A model with a fixed frame size gets `probe_clip` of that size.
        source: For the messages.

    Returns:
        The clip, and ``(1, classes)``.

    Raises:
        ModelError: If no signature takes an image, or it has an input that is no state.
    """
    function = _image_signature(loaded, source)
    inputs = dict(function.structured_input_signature[1])
    image = inputs.pop("image")
    clip = _resized(clip, image.shape)
    if not inputs:
        return clip, _only_output(function(image=tf.constant(clip)))
    states = _empty_states(inputs, clip, source)
    pieces = [clip] if image.shape[1] is None else np.split(clip, clip.shape[1], axis=1)
    logits = None
    for piece in pieces:
        outputs = dict(function(image=tf.constant(piece), **states))
        logits = outputs.pop("logits").numpy()
        by_meaning = {
            canonical_state_name(name): value for name, value in outputs.items()
        }
        states = {name: by_meaning[canonical_state_name(name)] for name in states}
    return clip, np.asarray(logits)


def _image_signature(loaded: Any, source: str | Path) -> Any:
    for name in ("call", "serving_default", *loaded.signatures):
        function = loaded.signatures.get(name)
        if function is not None and "image" in function.structured_input_signature[1]:
            return function
    raise ModelError(
        f"a signature must take 'image'; there are {sorted(loaded.signatures)}", source
    )


def _resized(clip: NDArray[np.float32], shape: Any) -> NDArray[np.float32]:
    _, frames, height, width, _ = shape
    frames = clip.shape[1] if frames is None or frames == 1 else frames
    wanted = (frames, height or clip.shape[2], width or clip.shape[3])
    return clip if clip.shape[1:4] == wanted else probe_clip(*wanted)


def _only_output(outputs: Any) -> NDArray[np.float32]:
    (logits,) = outputs.values()  # whatever its name
    return np.asarray(logits)


def _empty_states(
    inputs: Any, clip: NDArray[np.float32], source: str | Path
) -> dict[str, Any]:
    """Return zeros for each state input, in the published layout."""
    variant = recognise_variant(inputs)
    if variant is None:
        raise ModelError(
            f"a stream model's inputs must be its states; got {sorted(inputs)[:3]}...",
            source,
        )
    shapes = state_shapes(variant, 1, (clip.shape[2], clip.shape[3]))
    shapes.update(dict.fromkeys(count_names(variant, positional_encoding=True), (1,)))
    states = {}
    for name, spec in inputs.items():
        shape = shapes.get(canonical_state_name(name))
        if shape is None:
            raise ModelError(
                f"a stream model's inputs must be its states; {name!r} is none", source
            )
        states[name] = tf.zeros(shape, spec.dtype)
    return states
