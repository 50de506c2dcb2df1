"""The padding of strided convolutions: that of TensorFlow, or of PyTorch. Needs no TensorFlow.

TensorFlow's "same" padding is the smallest possible, with the odd pixel at the bottom and right, and its average pooling
ignores the padding. MoViNet-pytorch pads like this in models built with ``tf_like=True``, which the published ones are.
Otherwise it pads all sides by the number of pixels in its table of layers, and its average pooling counts the padding as
zeros. Convolutions of stride 1 are the same in both.

References:
    [1] Atze00/MoViNet-pytorch, ``movinets/config.py``: ``padding`` and ``padding_avg``.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from movinet_lite.network.variants import LayerSpec, Variant

__all__ = ["STEM_PADDING", "LayerPadding", "Padding", "layer_paddings", "size_after"]

Padding: TypeAlias = Literal["same", "pytorch"]
"""``"same"``: that of TensorFlow and of all published models, including those of MoViNet-pytorch. ``"pytorch"``: that of
models built with ``tf_like=False``."""


@attrs.frozen
class LayerPadding:
    """The padding of each side of the frames in a layer of stride 2, in pixels.

    Attributes:
        convolution: The padding before its depthwise convolution.
        pool: The padding before the average pooling of its skip path.
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
    """Return the layers of a variant as in `Variant.layers`, each with its padding; `None` for TensorFlow's."""
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
    """Return the height or width of the output of a convolution.

    Args:
        size: The height or width of its input, in pixels.
        kernel: The height or width of its kernel.
        stride: Its stride.
        padded: The padding of each side, in pixels; `None` for TensorFlow's "same".

    Example:
        >>> size_after(43, 3, 2, None), size_after(43, 3, 2, 1), size_after(43, 3, 2, 0)
        (22, 22, 21)
    """
    if padded is None:
        return -(-size // stride)
    return (size + 2 * padded - kernel) // stride + 1
