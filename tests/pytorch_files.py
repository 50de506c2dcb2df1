"""Files as PyTorch writes them, made by hand, byte by byte: no PyTorch is needed, and hostile ones can be made too."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
}


class Pickle:
    """Writes a pickle of protocol 2 as ``torch.save`` does, and keeps the numbers of its tensors."""

    def __init__(self) -> None:
        self.storages: dict[str, NDArray[Any]] = {}

    def whole(self, value: object) -> bytes:
        """Return the pickle of *value*: dicts, lists, tuples, text, numbers, and arrays as tensors."""
        return b"\x80\x02" + self.of(value) + b"."

    def of(self, value: object) -> bytes:
        """Return the instructions that push *value*."""
        if isinstance(value, Raw):
            return value.content
        if isinstance(value, np.ndarray):
            return self._tensor(value)
        if isinstance(value, (Mapping, list, tuple)):
            return self._container(value)
        if isinstance(value, str):
            return text(value)
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        return b"J" + struct.pack("<i", value)

    def _container(self, value: Any) -> bytes:
        if isinstance(value, Mapping):
            pairs = b"".join(self.of(k) + self.of(v) for k, v in value.items())
            return name("collections", "OrderedDict") + b")R(" + pairs + b"u"
        if isinstance(value, list):
            return b"](" + b"".join(map(self.of, value)) + b"e"
        return b"(" + b"".join(map(self.of, value)) + b"t"

    def _tensor(self, array: NDArray[Any]) -> bytes:
        key = str(len(self.storages))
        self.storages[key] = array
        strides = [
            step // array.itemsize for step in np.ascontiguousarray(array).strides
        ]
        kind = _STORAGES[str(array.dtype)]
        reference = storage(kind, key, array.size)
        return tensor(reference, 0, array.shape, tuple(strides[: array.ndim]))


class Raw:
    """Instructions to be put into a pickle as they are."""

    def __init__(self, content: bytes) -> None:
        self.content = content


def text(value: str) -> bytes:
    """Return the instruction that pushes a text."""
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def name(module: str, attribute: str) -> bytes:
    """Return the instruction that pushes what Python calls ``module.attribute``."""
    return f"c{module}\n{attribute}\n".encode()


def storage(kind: str, key: str, count: int) -> bytes:
    """Return the instructions that push a storage."""
    parts = text("storage") + name("torch", kind) + text(key) + text("cpu")
    return b"(" + parts + b"\x8a\x08" + struct.pack("<q", count) + b"tQ"


def tensor(
    reference: bytes, offset: int, shape: Iterable[int], strides: Iterable[int]
) -> bytes:
    """Return the instructions that push a tensor."""

    def sizes(values: Iterable[int]) -> bytes:
        numbers = (b"\x8a\x08" + struct.pack("<q", value) for value in values)
        return b"(" + b"".join(numbers) + b"t"

    start = name("torch._utils", "_rebuild_tensor_v2") + b"(" + reference
    empty = name("collections", "OrderedDict") + b")R"
    place = b"\x8a\x08" + struct.pack("<q", offset)
    return start + place + sizes(shape) + sizes(strides) + b"\x89" + empty + b"tR"


def write_zip(
    path: Path,
    content: bytes,
    storages: Mapping[str, NDArray[Any]] | None = None,
    *,
    compression: int = zipfile.ZIP_STORED,
    more: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a file of PyTorch's zip format with the pickle *content*."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        for key, numbers in (storages or {}).items():
            archive.writestr(
                f"archive/data/{key}", np.ascontiguousarray(numbers).tobytes()
            )
        archive.writestr("archive/version", b"3\n")
        for member, value in (more or {}).items():
            archive.writestr(f"archive/{member}", value)
    return path


def save(value: object, path: Path, **options: Any) -> Path:
    """Write *value* as ``torch.save`` does; arrays become tensors."""
    pickle = Pickle()
    content = pickle.whole(value)
    return write_zip(path, content, pickle.storages, **options)


def save_legacy(value: object, path: Path) -> Path:
    """Write *value* as PyTorch did before 1.6."""
    pickle = Pickle()
    content = pickle.whole(value).replace(b"tQ", b"NtQ")  # a storage is no view
    magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    parts = [magic, b"\x80\x02M\xe9\x03.", pickle.whole({"little_endian": True})]
    parts += [content, pickle.whole(list(pickle.storages))]
    for numbers in pickle.storages.values():
        parts += [
            struct.pack("<q", numbers.size),
            np.ascontiguousarray(numbers).tobytes(),
        ]
    path.write_bytes(b"".join(parts))
    return path


_HEAD = "classifier_head/"
_PARTS = (
    (r"^stem/stem/", "conv1.conv_1."),
    (r"^head/project/", "conv7.conv_1."),
    (r"^classifier_head/head/", "classifier.0.conv_1."),
    (r"^classifier_head/classifier/", "classifier.3.conv_1."),
    (r"^b(\d+)/l(\d+)/scale$", r"blocks.b\1_l\2.alpha"),
    (r"^b(\d+)/l(\d+)/bneck/", r"blocks.b\1_l\2."),
    (r"expansion/", "expand.conv_1."),
    (r"projection/", "project.conv_1."),
    (r"se/se_reduce/", "se.fc1.conv_1."),
    (r"se/se_expand/", "se.fc2.conv_1."),
    (r"feature/(?=conv2d_temporal|bn_temporal)", "deep.conv_2."),
    (r"feature/", "deep.conv_1."),
    (r"(?<=\.)bn(?:_temporal)?/gamma$", "norm.weight"),
    (r"(?<=\.)bn(?:_temporal)?/beta$", "norm.bias"),
    (r"(?<=\.)bn(?:_temporal)?/moving_mean$", "norm.running_mean"),
    (r"(?<=\.)bn(?:_temporal)?/moving_variance$", "norm.running_var"),
)


def torch_state_dict(network: Any) -> dict[str, NDArray[Any]]:
    """Return the weights of a network of ours as the state dict that MoViNet-pytorch would have."""
    kind = "conv2d" if network.options.mode == "stream" else "conv3d"
    strides = {(b, i): layer.stride for b, i, layer in network.variant.layers}
    state: dict[str, NDArray[Any]] = {}
    for published, weight in network.named_weights.items():
        if published.startswith(_HEAD) and network.spec.transformer:
            continue
        found = published
        if skip := re.match(r"b(\d+)/l(\d+)/bneck/skip/", found):
            place = int(strides[int(skip[1]), int(skip[2])] > 1)
            found = found.replace("skip/skip_project/", f"res.{place}.conv_1.")
        for pattern, replacement in _PARTS:
            found = re.sub(pattern, replacement, found)
        value = np.asarray(weight)
        if found.endswith("kernel"):
            value = _torch_kernel(value, depthwise="deep." in found)
            found = found.split("conv_1.")[0].split("conv_2.")[0] + (
                "conv_2" if "conv_2." in found else "conv_1"
            )
            found += f".{kind}.weight"
        elif found.endswith("/bias"):
            found = f"{found.split('conv_1.')[0]}conv_1.{kind}.bias"
        state[found] = value
        if found.endswith("running_var"):
            counter = found.replace("running_var", "num_batches_tracked")
            state[counter] = np.asarray(7, np.int64)
    return state


def _torch_kernel(kernel: NDArray[Any], *, depthwise: bool) -> NDArray[Any]:
    if kernel.ndim == 4 and depthwise:  # (h, w, channels, 1)
        return kernel.transpose(2, 3, 0, 1)
    axes = (kernel.ndim - 1, kernel.ndim - 2, *range(kernel.ndim - 2))
    return kernel.transpose(axes)


_SMOOTHING_PARTS = (
    (r"^classifier_head/embedding/.*/(\w+)$", r"video_backbone._encoder.classifier.\1"),
    (r"^classifier_head/classifier/.*/(\w+)$", r"attention.linear_head.\1"),
    (r"^classifier_head/transformer/norm/", "ln."),
    (r"^classifier_head/transformer/last_norm/", "attention.transformer.norm."),
    (r"^classifier_head/transformer/l(\d+)/", r"attention.transformer.layers.\1."),
    (r"attention_norm/", "0."),
    (r"attention/input/(\w+)$", r"1.in_proj_\1"),
    (r"attention/output/", "1.out_proj."),
    (r"mlp_norm/", "2.net.0."),
    (r"mlp/hidden/", "2.net.1."),
    (r"mlp/output/", "2.net.3."),
    (r"(kernel|gamma)$", "weight"),
    (r"beta$", "bias"),
)


def smoothing_state_dict(network: Any) -> dict[str, NDArray[Any]]:
    """Return the weights of a network of ours with a transformer as the model of GRW-smoothing names them."""
    backbone = torch_state_dict(network)
    state = {f"video_backbone._encoder.{name}": v for name, v in backbone.items()}
    for published, weight in network.named_weights.items():
        if not published.startswith(_HEAD):
            continue
        found = published
        for pattern, replacement in _SMOOTHING_PARTS:
            found = re.sub(pattern, replacement, found)
        value = np.asarray(weight)
        if published.endswith("kernel"):
            value = value.reshape(value.shape[-2:]).T
        state[found] = value
    return state


def smoothing_snapshot(
    network: Any, package: str = "grw_smoothing_models.model", **changes: Any
) -> dict[str, Any]:
    """Return what GRW-smoothing saves of a model: its state dict, and a pickled object of a class of its own."""
    facts = network.spec.transformer
    fields = {
        **{name: getattr(facts, name) for name in ("embed_dim", "depth")},
        **{name: getattr(facts, name) for name in ("num_heads", "mlp_dim")},
        "num_classes": network.spec.num_classes,
    }
    attributes = b"}(" + b"".join(
        text(key) + b"J" + struct.pack("<i", value) for key, value in fields.items()
    )
    record = name(f"{package}.attention", "TransformerParams") + b")\x81" + attributes
    root = package.partition(".")[0]
    backbone = name(f"{root}.backbones.movinets.a0s.a0s_backbone", "MovinetBackbone")
    return {
        "model_state": smoothing_state_dict(network),
        "ema_weights": None,
        "num_samples": 12,
        "transformer_params": Raw(record + b"ub"),
        "backbone": Raw(backbone),
        "T": 5,
        "version": 10,
        **changes,
    }
