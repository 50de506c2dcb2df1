"""Loads the weights of a PyTorch file into a network.

References:
    [1] Atze00/MoViNet-pytorch, ``movinets/models.py``: ``pretrained`` sets ``tf_like``; the activations and the gates.
    [2] cmusatyalab/grw-smoothing, ``model/action_recognition_model.py``: ``load`` takes ``model_state`` unless
        ``ema_weights`` is requested.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FrameSize
from movinet_lite.errors import ModelError
from movinet_lite.network.model import Movinet, build_movinet
from movinet_lite.network.padding import Padding
from movinet_lite.network.pytorch.files import Tensor, open_file
from movinet_lite.network.pytorch.naming import Place
from movinet_lite.network.pytorch.recognition import (
    recognise_tensors,
    warn_of_padding,
)
from movinet_lite.network.spec import USUAL_ACTIVATION, Gate
from movinet_lite.network.variants import Mode, as_mode

__all__ = ["import_pytorch"]

# [1]: ``nn.Sigmoid if conv_type == "3d" else Hardsigmoid``, the latter being clip(0.2 x + 0.5, 0, 1).
_GATES: dict[Mode, Gate] = {"base": "sigmoid", "stream": "keras2_hard_sigmoid"}


def import_pytorch(
    path: str | Path,
    *,
    mode: str | None = None,
    labels: Sequence[str] | None = None,
    frame_size: FrameSize | None = None,
    fps: float | None = None,
    padding: Padding | None = None,
    averaged: bool = False,
    name: str | None = None,
) -> Movinet:
    """Return a network with the weights of a PyTorch file.

    The file contains a state dict of MoViNet-pytorch [1], bare or in a training checkpoint, written by ``torch.save`` or
    safetensors, or a snapshot of GRW-smoothing [2]. Nothing in it is executed, and PyTorch is not needed. Variant, mode and
    classes are recognised, and every tensor is used exactly once.

    Args:
        path: The file.
        mode: The expected mode; `None` for that of the weights. Snapshots of GRW-smoothing with a causal backbone have both:
            as ``base`` they classify whole clips, as their authors measured them; as ``stream`` the transformer looks back
            over the last `TRANSFORMER_WINDOW` frames, and the accuracy is not measured.
        labels: The labels, in the order of the logits.
        frame_size: The ``(height, width)`` it was trained on; `None` for the variant's.
        fps: The frame rate it was trained at; `None` for the variant's.
        padding: ``"pytorch"`` for a model that was built with ``tf_like=False``, ``"same"`` for ``tf_like=True``; `None` to
            assume the latter, with which the published files reproduce TensorFlow's logits [1]. A file does not store it.
        averaged: Whether to use the weights in a snapshot of GRW-smoothing that were averaged over the training.
        name: The name of the source, for messages; `None` for *path*.

    Warns:
        UserWarning: If *padding* is assumed, and the file is not a published one.

    Raises:
        ModelError: If it cannot be read, contains anything but tensors and plain data, is not a MoViNet, or has another
            mode.
        LabelsError: If the number of labels is not the number of classes.
    """
    path = Path(path)
    with open_file(path) as contents:
        found = recognise_tensors(contents, path, averaged=averaged)
        wanted = found.modes[0] if mode is None else as_mode(mode)
        found.check_mode(wanted, path)
        layer_mode = found.modes[0]
        network = build_movinet(
            found.variant.name,
            wanted,
            found.num_classes,
            gate=_GATES[layer_mode],
            activation=USUAL_ACTIVATION[layer_mode],
            transformer=found.transformer,
            padding=padding or "same",
            positional_encoding=False,  # [1] has none
            labels=labels,
            frame_size=frame_size,
            fps=fps,
            source=str(path) if name is None else name,
        )
        values = {
            weight: _value(place, tensor, path)
            for weight, (place, tensor) in found.tensors.items()
        }
    for weight, variable in network.named_weights.items():
        variable.assign(values[weight].reshape(variable.shape))
    if padding is None and found.transformer is None:
        warn_of_padding(str(path) if name is None else name, stacklevel=3)
    return network


def _value(place: Place, tensor: Tensor, path: Path) -> NDArray[np.float32]:
    """Return a tensor in the layout of the network."""
    value: NDArray[Any] = tensor.read()
    if value.dtype.kind != "f":
        raise ModelError(
            f"the tensor {place.tensor!r} must have a floating-point dtype; got {value.dtype} (a quantised model?)",
            path,
        )
    return np.array(value.transpose(place.axes), np.float32)
