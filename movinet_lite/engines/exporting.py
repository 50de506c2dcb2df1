"""Exports a model as a LiteRT file, an ONNX file, or a SavedModel."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.engines.litert.clips import LiteRTClipModel
from movinet_lite.engines.litert.opening import load_tflite
from movinet_lite.engines.onnx.opening import check_onnx, load_onnx
from movinet_lite.engines.opening import open_network
from movinet_lite.errors import ConversionError, ModelError
from movinet_lite.hub import resolve_weights
from movinet_lite.network.agreement import (
    COMPILED_TOLERANCE,
    PROBE_FRAMES,
    QUANTISED_TOLERANCE,
    agrees,
    largest_difference,
    probe_clip,
)
from movinet_lite.network.spec import Activation, Functions, Gate
from movinet_lite.network.variants import Mode

if TYPE_CHECKING:
    from movinet_lite.network.model import Movinet

__all__ = ["Export", "ExportFormat", "Quantize", "export_model"]

ExportFormat: TypeAlias = Literal["litert", "saved_model", "onnx"]
"""``"litert"``, a ``.tflite`` file; ``"onnx"``, an ``.onnx`` file; or ``"saved_model"``, a folder with the calling
conventions of TF Hub."""

Quantize: TypeAlias = Literal["float16", "dynamic"]
"""Quantisation of the weights of a LiteRT file: float16, half the size; or int8, a quarter of the size, with
dynamic-range quantisation of activations."""


_SUFFIXES: Final[dict[str, str]] = {"litert": ".tflite", "onnx": ".onnx"}


@attrs.frozen
class Export:
    """An exported model.

    Attributes:
        path: The file or folder.
        num_bytes: Its size in bytes.
        difference: The largest difference between its logits and those of the source network on a short clip, relative
            to the largest logit. A SavedModel source has also been compared with the network on import.
    """

    path: Path
    num_bytes: int
    difference: float


def export_model(
    source: str | Path,
    path: str | Path,
    *,
    to: ExportFormat | None = None,
    mode: Mode = "stream",
    quantize: Quantize | None = None,
    frame_size: FrameSize | None = None,
    labels: Sequence[str] | str | Path | None = None,
    offline: bool = False,
    activation: Activation | None = None,
    gate: Gate | None = None,
) -> Export:
    """Export a model to another format, and compare its logits with the source.

    Args:
        source: A SavedModel or a fine-tuned model, as for `StreamingClassifier.load` and `BaseClassifier.load`.
        path: The file or folder to write; it is written atomically.
        to: The format; `None` for ``"onnx"`` if *path* ends in ``.onnx``, and ``"litert"`` otherwise.
        mode: The mode of the model: ``"stream"`` or ``"base"``.
        quantize: Quantisation of the weights of a LiteRT file; `None` for float32.
        frame_size: The ``(height, width)`` of the frames, the only one that a LiteRT or ONNX file accepts; `None` for
            the model's own.
        labels: The labels to store, or the path of a file with one per line; `None` for the model's own.
        offline: Whether to use only local and cached models.
        activation: For checkpoints only; see `BaseClassifier.load`.
        gate: For checkpoints only; see `BaseClassifier.load`.

    Raises:
        ConversionError: If the model cannot be converted to this format, or the result computes other logits.
        ModelError: If the model cannot be found or read, *path* exists already or cannot be written, or the options
            conflict.
        LabelsError: If the number of labels is not the number of classes.
        MissingDependencyError: If a package that this format needs is not installed.
    """
    path = Path(path)
    if to is None:
        to = "onnx" if path.suffix == _SUFFIXES["onnx"] else "litert"
    _check_options(path, to, quantize, source)
    if to == "onnx":
        check_onnx()
    found = resolve_weights(source, mode, offline=offline)
    if found.suffix in _SUFFIXES.values():
        kind = "a .tflite" if found.suffix == ".tflite" else "an .onnx"
        raise ModelError(
            f"only a SavedModel, a checkpoint or a .safetensors file can be exported; this is {kind} file",
            found,
        )
    network = open_network(
        found,
        mode,
        str(source),
        frame_size=frame_size,
        labels=labels,
        functions=Functions(activation, gate),
    )
    try:
        difference = _write_checked(network, path, to, quantize)
    except OSError as error:
        raise ModelError(
            f"the file must be writable; {error.strerror or error}", path
        ) from error
    return Export(path, _num_bytes(path), difference)


def _write_checked(
    network: Movinet, path: Path, to: ExportFormat, quantize: Quantize | None
) -> float:
    """Write *network*, and return the largest difference between the logits of both."""
    target = Path(os.path.realpath(path))  # so that a link stays a link
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=f".{path.name}-"
    ) as folder:
        # An existing file stays until the new one has been checked.
        draft = Path(folder, path.name)
        _write(network, draft, to, quantize)
        difference = _difference(draft, to, network)
        limit = COMPILED_TOLERANCE if quantize is None else QUANTISED_TOLERANCE
        if not agrees(difference, limit):
            raise ConversionError(
                f"{path}: the exported model must reproduce the logits of its network to {limit:g} of the largest; "
                f"it differs by {difference:.1e} and was not written"
            )
        draft.replace(target)
    return difference


def _check_options(
    path: Path, to: ExportFormat, quantize: Quantize | None, source: str | Path
) -> None:
    for name, value, choices in (
        ("to", to, get_args(ExportFormat)),
        ("quantize", quantize, (None, *get_args(Quantize))),
    ):
        if value not in choices:
            listed = ", ".join(str(choice) for choice in choices)
            raise ModelError(f"{name} must be one of {listed}; got {value!r}", source)
    if to != "litert" and quantize is not None:
        raise ModelError(
            f"only a LiteRT file can be quantised; got quantize={quantize!r} with to={to!r}",
            source,
        )
    if suffix := _SUFFIXES.get(to):
        form = {"litert": "a LiteRT file", "onnx": "an ONNX file"}[to]
        if path.suffix != suffix:
            raise ModelError(
                f"{form} must have the extension {suffix}; got {path.name!r}", source
            )
        if path.is_dir():
            raise ModelError(f"{form} cannot replace a folder; this path is one", path)
    elif path.exists():
        raise ModelError("a SavedModel must be a new folder; this path exists", path)


def _write(
    network: Movinet, path: Path, to: ExportFormat, quantize: Quantize | None
) -> None:
    if to == "onnx":
        from movinet_lite.network.onnx_graph import export_onnx

        export_onnx(network, path)
        return
    from movinet_lite.network.export import export_litert, export_saved_model

    if to == "saved_model":
        with _system_errors(path.parent):
            export_saved_model(network, path)
    else:
        frames = _num_frames(network)
        export_litert(network, path, quantize=quantize, num_frames=frames)


@contextlib.contextmanager
def _system_errors(folder: Path) -> Iterator[None]:
    """Convert TensorFlow's errors about files in *folder*, such as on a full disk, to an `OSError`."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:  # of several classes
        # Such as "{{function_node ...}} /x/variables/...; No space left on device [Op:SaveV2]".
        if str(folder) not in str(error):
            raise
        said = str(error).partition(" [Op:")[0]
        raise OSError(said.rpartition("; ")[2]) from error


def _num_frames(network: Movinet) -> int:
    """Return the number of frames per call: one for a stream model; base models accept any number regardless."""
    return 1 if network.spec.mode == "stream" else network.variant.clip_frames


def _difference(path: Path, to: ExportFormat, network: Movinet) -> float:
    """Return the relative difference between the logits of the exported model and of the network, on differing frames."""
    clip = probe_clip(PROBE_FRAMES, *network.spec.frame_size)
    expected = np.asarray(network(clip))[0]
    actual = _last_logits(path, to, network.spec.mode, clip[0])
    return largest_difference(actual, expected)


def _last_logits(
    path: Path, to: ExportFormat, mode: Mode, clip: NDArray[np.float32]
) -> NDArray[np.float32]:
    model: Any
    if to == "saved_model":
        from movinet_lite.engines.tensorflow.saved_models import load_saved_model

        model = load_saved_model(path, mode)
    elif to == "onnx":
        model = load_onnx(path, mode)
    else:
        model = load_tflite(path) if mode == "stream" else LiteRTClipModel(path)
    if mode == "base":
        logits: NDArray[np.float32] = model.predict(clip[np.newaxis])[0]
        return logits
    rows, _ = model.step(clip, model.init_states(clip.shape[1:3]))
    last: NDArray[np.float32] = rows[-1]
    return last


def _num_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
