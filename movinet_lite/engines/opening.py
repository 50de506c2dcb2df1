"""Opens a model from a local path, whatever format its weights have.

==============================  =============================  =====================================================
form                            as a network (`open_network`)  as it is (`open_as_it_is`)
==============================  =============================  =====================================================
``.safetensors``                read                           the network runs
weights of PyTorch              imported                       the imported network runs
a checkpoint (``.index``)       imported                       the imported network runs
a SavedModel                    imported                       TensorFlow runs its signatures
==============================  =============================  =====================================================

A causal model that was saved for whole clips, as by Keras's ``model.save()``, has the weights of a stream model: as a
base model its signature runs, as a stream model its imported network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from movinet_lite.arrays import FrameSize
from movinet_lite.engines.base import ClipModel, StreamModel
from movinet_lite.engines.tensorflow.networks import as_model
from movinet_lite.engines.tensorflow.saved_models import (
    TensorFlowClipModel,
    TensorFlowStreamModel,
    load_saved_model,
    set_threads,
)
from movinet_lite.errors import ConversionError, ModelError
from movinet_lite.hub.published import is_kinetics_600
from movinet_lite.labels import kinetics_600_labels, load_labels
from movinet_lite.network.files import load_network, read_network_spec
from movinet_lite.network.litert_file import LiteRTInfo, read_litert_info
from movinet_lite.network.pytorch.recognition import (
    check_pytorch_mode,
    holds_pytorch_weights,
)
from movinet_lite.network.signature_names import signature_names
from movinet_lite.network.spec import Functions, NetworkSpec, read_facts
from movinet_lite.network.variants import Mode, check_mode

if TYPE_CHECKING:
    from movinet_lite.network.model import Movinet

__all__ = [
    "check_form",
    "is_checkpoint",
    "known_labels",
    "open_as_it_is",
    "open_network",
    "open_to_compile",
    "read_labels",
]

_NETWORK_SUFFIX = ".safetensors"


def check_form(path: Path, mode: Mode, source: str) -> None:
    """Check cheaply that the model at *path* can have this *mode*.

    Raises:
        ModelError: If its header or accompanying files show that it has the other mode or is damaged.
    """
    if holds_pytorch_weights(path):
        check_pytorch_mode(path, mode, source)
        return
    facts = (
        read_network_spec(path) if path.suffix == _NETWORK_SUFFIX else read_facts(path)
    )
    if facts is not None:
        check_mode(facts.mode, mode, source)
    elif mode == "base" and signature_names(path) & {"call", "init_states"}:
        check_mode("stream", mode, source)


def is_checkpoint(path: Path) -> bool:
    """Return whether the model at *path* is a checkpoint, which cannot be run."""
    return path.suffix == ".index"


def known_labels(path: Path, source: str) -> tuple[str, ...] | None:
    """Return the labels stored next to a SavedModel, or those of a published model."""
    labels = path / "labels.txt"
    if labels.is_file():
        return load_labels(labels)
    return kinetics_600_labels() if is_kinetics_600(source, path) else None


def read_labels(path: Path, source: str) -> tuple[str, ...]:
    """Return the labels of the model at *path* from its files, without loading it.

    Args:
        path: As in `open_network`, or a ``.tflite`` or ``.onnx`` file.
        source: The name of the model, for messages.

    Raises:
        ModelError: If it has no labels, or cannot be read.
        LabelsError: If they cannot be read.
    """
    labels = known_labels(path, source)
    if labels is None:
        facts: NetworkSpec | LiteRTInfo | None = None
        if path.suffix == ".tflite":
            facts = read_litert_info(path)
        elif path.suffix == ".onnx":
            from movinet_lite.engines.onnx.runtime import read_onnx_spec

            facts = read_onnx_spec(path, source)
        elif path.suffix == _NETWORK_SUFFIX:
            facts = read_network_spec(path)
        elif path.is_dir():
            facts = read_facts(path)
        labels = None if facts is None else facts.labels
    if labels is None:
        raise ModelError(
            "the model must have labels; it has none (add a labels.txt with one label per line to its folder, or "
            "pass labels to the command or function that uses it)",
            source,
        )
    return labels


def open_network(
    path: Path,
    mode: Mode,
    source: str,
    *,
    frame_size: FrameSize | None = None,
    labels: Sequence[str] | str | Path | None = None,
    functions: Functions | None = None,
    loaded: Any = None,
) -> Movinet:
    """Return the network of a model, ready for training or export.

    Args:
        path: A SavedModel, a checkpoint, the ``.safetensors`` file of a network, or weights of PyTorch.
        mode: The expected mode.
        source: The name of the model, for messages.
        frame_size: The ``(height, width)`` of the frames; `None` for the model's own.
        labels: The labels, or the path of a file; `None` for the model's own.
        functions: The activation and the gate of a checkpoint; `None` if not given.
        loaded: The SavedModel, if TensorFlow has loaded it already.

    Raises:
        ModelError: If it cannot be read, does not have this *mode*, or *functions* are given for a model that is not a
            checkpoint.
        LabelsError: If the number of labels is not the number of classes.
    """
    functions = functions or Functions()
    functions.check_needed(source, is_checkpoint=is_checkpoint(path))
    check_form(path, mode, source)
    if labels is None:
        labels = known_labels(path, source)
    if isinstance(labels, (str, Path)):
        labels = load_labels(labels)
    if holds_pytorch_weights(path):
        from movinet_lite.network.pytorch.importing import import_pytorch

        return import_pytorch(
            path, mode=mode, labels=labels, frame_size=frame_size, name=source
        )
    if path.suffix == _NETWORK_SUFFIX:
        network: Movinet = load_network(path, labels=labels, frame_size=frame_size)
        return network
    from movinet_lite.network.weights import import_weights

    return import_weights(
        path,
        mode=mode,
        gate=functions.gate,
        activation=functions.activation,
        labels=labels,
        frame_size=frame_size,
        loaded=loaded,
        name=source,
    ).network


def open_as_it_is(
    path: Path,
    mode: Mode,
    source: str,
    *,
    threads: int | None = None,
    labels: tuple[str, ...] | None = None,
    functions: Functions | None = None,
) -> ClipModel | StreamModel:
    """Return the model at *path* for TensorFlow to run; the arguments are those of `open_network`.

    Args:
        path: As in `open_network`.
        mode: As in `open_network`.
        source: As in `open_network`.
        threads: Number of threads of TensorFlow; `None` for one per core.
        labels: The labels; `None` for the model's own.
        functions: As in `open_network`.

    Raises:
        ModelError: If it cannot be read, or is not of this *mode*.
    """
    model = _run_signatures(path, mode, source, threads, labels)
    if model is not None:
        return model
    check_form(path, mode, source)
    from movinet_lite.network.tensorflow import tf

    set_threads(tf, threads, source)
    network = open_network(path, mode, source, labels=labels, functions=functions)
    return as_model(network, source)


def open_to_compile(
    path: Path,
    mode: Mode,
    source: str,
    *,
    frame_size: FrameSize | None = None,
    labels: tuple[str, ...] | None = None,
    functions: Functions | None = None,
) -> tuple[ClipModel | StreamModel, Movinet]:
    """Return the model at *path* as it is, and its network; the arguments are those of `open_network`.

    Raises:
        ConversionError: If it can only run uncompiled: a base model with the weights of a stream model.
        ModelError: If it cannot be read, or is not of this *mode*.
    """
    facts = read_facts(path) if path.is_dir() else None
    serves_both = facts is not None and facts.layer_mode != facts.mode
    if (
        mode == "base"
        and path.is_dir()
        and not serves_both
        and _is_causal_for_clips(path)
    ):
        # Said before TensorFlow loads it, which takes long, and which whoever runs it as it is does again.
        raise ConversionError(
            f"{source}: a base model to compile must have the weights of a base model; these are of a causal model "
            "that was saved to take whole clips (StreamingClassifier runs it compiled, frame by frame)"
        )
    model = _run_signatures(path, mode, source, None, labels, few_calls=True)
    if model is None:
        network = open_network(
            path,
            mode,
            source,
            labels=labels,
            frame_size=frame_size,
            functions=functions,
        )
        return as_model(network, source), network
    network = open_network(
        path, mode, source, labels=labels, frame_size=frame_size, loaded=model.module
    )
    return model, network


def _run_signatures(
    path: Path,
    mode: Mode,
    source: str,
    threads: int | None,
    labels: tuple[str, ...] | None,
    *,
    few_calls: bool = False,
) -> TensorFlowClipModel | TensorFlowStreamModel | None:
    """Return a SavedModel that TensorFlow runs; `None` for models that run as a network of this package only."""
    if not path.is_dir():
        return None
    check_form(path, mode, source)
    if mode == "stream" and _is_causal_for_clips(path):
        return None
    return load_saved_model(
        path,
        mode,
        threads=threads,
        source=source,
        labels=labels,
        few_calls=few_calls,
    )


def _is_causal_for_clips(path: Path) -> bool:
    """Return whether a SavedModel accepts whole clips and is causal, so that it can also run frame by frame."""
    from movinet_lite.network.signatures import takes_whole_clips
    from movinet_lite.network.sources import read_source
    from movinet_lite.network.weights import recognise

    try:
        return takes_whole_clips(path) and recognise(read_source(path)).mode == "stream"
    except ModelError:
        return False
