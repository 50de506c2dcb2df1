"""Runs a SavedModel of any generation on a short clip, for comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.errors import ModelError, said_by
from movinet_lite.network.agreement import PROBE_FRAMES, PROBE_SIZE, probe_clip
from movinet_lite.network.facts import NetworkFacts
from movinet_lite.network.state_names import canonical_state_name
from movinet_lite.network.states import count_names, state_shapes
from movinet_lite.network.tensorflow import tf
from movinet_lite.network.variants import recognise_variant

__all__ = ["SavedModelRun"]


class SavedModelRun:
    """A SavedModel of any generation, base or stream, that can be run on clips."""

    def __init__(
        self,
        loaded: Any,
        source: str | Path = "",
        *,
        facts: NetworkFacts | None = None,
    ) -> None:
        """Find out how to call it.

        Args:
            loaded: What ``tf.saved_model.load`` or ``tensorflow_hub.load`` gave.
            source: What to call it in messages.
            facts: What is known of its network, where that may differ from the published one of its variant.

        Raises:
            ModelError: If no signature takes an image.
        """
        self._source = source
        self._facts = facts
        self._function = _image_signature(loaded, source)
        self._states = dict(self._function.structured_input_signature[1])
        self._image_shape = tuple(self._states.pop("image").shape)

    def probe_clip(self, frame_size: FrameSize = PROBE_SIZE) -> NDArray[np.float32]:
        """Return a clip as `probe_clip` gives it, of *frame_size* where the model takes any."""
        _, frames, height, width, _ = self._image_shape
        return probe_clip(
            PROBE_FRAMES if frames in {None, 1} else frames,
            height or frame_size[0],
            width or frame_size[1],
        )

    def logits(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of a whole clip, ``(1, classes)``; a stream model gets it frame by frame.

        TensorFlow takes seconds for the first call with inputs of new shapes, and streams go frame by frame later.
        """
        if not self._states:
            outputs = self._run(image=tf.constant(clip))
            (logits,) = outputs.values()  # whatever its name
            return np.asarray(logits)
        if self._image_shape[1] in {None, 1}:
            return self.frame_logits(clip)[-1:]
        return self._step_through([clip])

    def frame_logits(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of a stream after each frame, ``(frames, classes)``, from one call a frame."""
        return self._step_through(np.split(clip, clip.shape[1], axis=1))

    def _run(self, **inputs: Any) -> dict[str, Any]:
        try:
            return dict(self._function(**inputs))
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise ModelError(
                f"a SavedModel must run on a short clip; TensorFlow says: {said_by(error)}",
                self._source,
            ) from error

    def _step_through(self, pieces: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        states = _empty_states(self._states, pieces[0], self._source, self._facts)
        found = []
        for piece in pieces:
            outputs = self._run(image=tf.constant(piece), **states)
            found.append(np.asarray(outputs.pop("logits")))
            by_meaning = {
                canonical_state_name(name): value for name, value in outputs.items()
            }
            states = {name: by_meaning[canonical_state_name(name)] for name in states}
        return np.concatenate(found)


def _image_signature(loaded: Any, source: str | Path) -> Any:
    for name in ("call", "serving_default", *loaded.signatures):
        function = loaded.signatures.get(name)
        if function is not None and "image" in function.structured_input_signature[1]:
            return function
    raise ModelError(
        f"a signature must take 'image'; there are {sorted(loaded.signatures)}", source
    )


def _empty_states(
    inputs: Any,
    clip: NDArray[np.float32],
    source: str | Path,
    facts: NetworkFacts | None,
) -> dict[str, Any]:
    """Return zeros for each state input, in the published layout."""
    variant = recognise_variant(inputs)
    if variant is None:
        raise ModelError(
            f"a stream model's inputs must be its states; got {sorted(inputs)[:3]}...",
            source,
        )
    shapes = state_shapes(variant, 1, (clip.shape[2], clip.shape[3]), facts=facts)
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
