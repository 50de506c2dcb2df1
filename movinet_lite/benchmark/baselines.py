"""The ways to run a model that a benchmark compares with, each as a function that makes one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.engines.litert.graphs import choose_signature, open_interpreter
from movinet_lite.engines.opening import open_as_it_is
from movinet_lite.engines.tensorflow.saved_models import load_saved_model
from movinet_lite.errors import MissingDependencyError, ModelError

__all__ = ["hub_clip", "hub_loop", "model_loop", "network_clip", "signature_runner"]


def hub_loop(tf: Any, path: Path, frames: NDArray[np.uint8]) -> Callable[[], object]:
    """Return one turn of the loop that people copy from the tutorial of the models on TF Hub."""
    tensorflow_hub = _import_tensorflow_hub()
    model = tensorflow_hub.load(str(path))
    images = tf.constant(frames[:, np.newaxis, np.newaxis], tf.float32) / 255.0
    shape = tf.constant([1, 1, *frames.shape[1:]], tf.int32)
    if callable(model) and hasattr(model, "init_states"):
        kept: dict[str, Any] = {"states": dict(model.init_states(shape)), "at": 0}

        def turn() -> object:
            image = images[kept["at"] % len(frames)]
            logits, kept["states"] = model({**kept["states"], "image": image})
            kept["at"] += 1
            return logits

        return turn
    as_it_is = load_saved_model(path, "stream")
    assert isinstance(as_it_is, StreamModel)  # noqa: S101 - of the mode asked for
    return model_loop(as_it_is, frames)


def model_loop(model: StreamModel, frames: NDArray[np.uint8]) -> Callable[[], object]:
    """Return one turn of the same loop over an engine's model."""
    images = frames.astype(np.float32) / np.float32(255)
    kept: dict[str, Any] = {"states": model.init_states(frames.shape[1:3]), "at": 0}

    def turn() -> object:
        place = kept["at"] % len(frames)
        logits, kept["states"] = model.step(images[place : place + 1], kept["states"])
        kept["at"] += 1
        return logits

    return turn


def signature_runner(
    path: str | Path, frames: NDArray[np.uint8], threads: int
) -> Callable[[], object]:
    """Return a call of LiteRT's own runner of the stock file at *path*, which carries the states.

    Raises:
        ModelError: If the file does not take such *frames*, one a call.
    """
    interpreter = open_interpreter(path, threads=threads, source=str(path))
    name = choose_signature(interpreter.get_signature_list(), str(path))
    runner = interpreter.get_signature_runner(name)
    inputs = runner.get_input_details()
    wanted = (1, 1, *frames.shape[1:])
    if "image" not in inputs or tuple(inputs["image"]["shape"]) != wanted:
        takes = {name: tuple(map(int, one["shape"])) for name, one in inputs.items()}
        raise ModelError(
            f"the file to compare with must take an image of shape {wanted} and its states; it takes "
            f"{takes.get('image', takes)}",
            path,
        )
    states = {
        name: np.zeros(details["shape"], details["dtype"])
        for name, details in inputs.items()
        if name != "image"
    }
    images = (frames[:, np.newaxis, np.newaxis] / np.float32(255)).astype(np.float32)
    kept: dict[str, Any] = {"states": states, "at": 0}

    def turn() -> object:
        image = images[kept["at"] % len(frames)]
        outputs = dict(runner(image=image, **kept["states"]))
        kept["states"] = {name: outputs.pop(name) for name in states}
        kept["at"] += 1
        return outputs

    return turn


def hub_clip(tf: Any, path: Path, clip: NDArray[np.uint8]) -> Callable[[], object]:
    """Return a call of the base SavedModel at *path* with a whole clip, as the tutorials make it."""
    tensorflow_hub = _import_tensorflow_hub()
    model = tensorflow_hub.load(str(path))
    serve = model.signatures["serving_default"]
    images = tf.constant(clip[np.newaxis], tf.float32) / 255.0
    return lambda: (model, serve(image=images))


def network_clip(path: Path, clip: NDArray[np.uint8]) -> Callable[[], object]:
    """Return a call of the network in the file at *path*, uncompiled, with a whole clip."""
    model = open_as_it_is(path, "base", str(path))
    assert isinstance(model, ClipModel)  # noqa: S101 - of the mode asked for
    images = clip[np.newaxis].astype(np.float32) / np.float32(255)
    return lambda: model.predict(images)


def _import_tensorflow_hub() -> Any:
    try:
        import tensorflow_hub
    except ModuleNotFoundError as error:
        raise MissingDependencyError("tensorflow-hub") from error
    return tensorflow_hub
