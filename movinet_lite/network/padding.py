"""The padding of strided convolutions: as in TensorFlow, or as in PyTorch (no TensorFlow).

TensorFlow's "same" pads as little as possible, more below and to the right; its average pools leave the padding out of the
mean. MoViNet-pytorch does so if a model is built with ``tf_like=True``, as the published ones are. Else it pads by the
same number of pixels on all sides, which stands in its table of layers, and its average pools count the padding as zeros.
Convolutions of stride 1 are the same in both.

References:
    [1] Atze00/MoViNet-pytorch, ``movinets/config.py``: ``padding`` and ``padding_avg``.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from movinet_lite.network.variants import LayerSpec, Variant

__all__ = ["STEM_PADDING", "LayerPadding", "Padding", "layer_paddings", "size_after"]

Padding: TypeAlias = Literal["same", "pytorch"]
"""``"same"``, TensorFlow's, with which the published models were trained and measured, those of MoViNet-pytorch too; or
``"pytorch"``, of models built with ``tf_like=False``."""


@attrs.frozen
class LayerPadding:
    """By how many pixels the frames of a layer of stride 2 are padded on each side.

    Attributes:
        convolution: Before its depthwise convolution.
        pool: Before the average pool of its skip path.
    """

    convolution: int
    pool: int


STEM_PADDING: Final = 1  # [1], of all variants

_UNUSUAL: Final = {  # [1]; others keep the middle of the kernel on a pixel
    ("a0", 1): LayerPadding(0, 0),
    ("a0", 2): LayerPadding(0, 0),
    ("a1", 1): LayerPadding(0, 0),
    ("a1", 2): LayerPadding(0, 0),
    ("a4", 0): LayerPadding(1, 0),
}


def layer_paddings(
    variant: Variant, padding: Padding
) -> list[tuple[int, int, LayerSpec, LayerPadding | None]]:
    """Return every layer of a variant as `Variant.layers`, with its padding; `None` for TensorFlow's."""
    return [
        (block, index, layer, _padding_of(variant.name, block, layer, padding))
        for block, index, layer in variant.layers
    ]


def _padding_of(
    name: str, block: int, layer: LayerSpec, padding: Padding
) -> LayerPadding | None:
    if padding == "same" or layer.stride == 1:
        return None
    return _UNUSUAL.get((name, block)) or LayerPadding((layer.kernel[1] - 1) // 2, 1)


def size_after(size: int, kernel: int, stride: int, padded: int | None) -> int:
    """Return what a convolution makes of a height or width.

    Args:
        size: Before it, in pixels.
        kernel: Its height or width.
        stride: Its stride.
        padded: By how many pixels each side is padded; `None` for TensorFlow's "same".

    Example:
        >>> size_after(43, 3, 2, None), size_after(43, 3, 2, 1), size_after(43, 3, 2, 0)
        (22, 22, 21)
    """
    if padded is None:
        return -(-size // stride)
    return (size + 2 * padded - kernel) // stride + 1
