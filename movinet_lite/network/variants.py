"""The published variants: architectures, and how to recognise them by name.

MoViNet comes in sizes: A0, the smallest, to A5, and T0, which is smaller still and was never published with weights.
Each is a stem, five blocks of layers and a head. This module holds the tables and loads nothing heavy.

References:
    [1] D. Kondratyuk et al., "MoViNets: Mobile Video Networks for Efficient Video Recognition", CVPR 2021,
        arXiv:2103.11511; Tables 8 to 13 of its appendix show the architectures.
    [2] TensorFlow Model Garden, ``official/projects/movinet/modeling/movinet.py``, ``BLOCK_SPECS``.
    [3] TensorFlow Model Garden, ``official/projects/movinet/README.md``, "Base Models" and "Streaming Models":
        input shapes, accuracy on Kinetics-600, GFLOPs.
    [4] The pages of the models on TF Hub and Kaggle (``google/movinet``): frames per second.
    [5] TensorFlow Model Garden, ``official/projects/movinet/configs/yaml``, ``min_image_size`` of the validation data
        of ``movinet_a*_k600_8x8.yaml``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import attrs

from movinet_lite.errors import ModelError, VariantError

__all__ = [
    "BlockSpec",
    "LayerSpec",
    "Mode",
    "Variant",
    "as_mode",
    "check_mode",
    "evaluation_short_side",
    "get_variant",
    "known_variants",
    "recognise_variant",
]

Mode: TypeAlias = Literal["base", "stream"]
"""``base`` processes whole clips; ``stream`` is causal and can process frame by frame."""

_CHANNEL_DIVISOR = 8  # [2]: hidden channels of squeeze-excitation are a multiple of it
_SQUEEZE_RATIO = 0.25  # [2]: ``se_ratio`` of a block


@attrs.frozen
class LayerSpec:
    """A layer of a block: expand, depthwise convolution, squeeze-excitation, project, residual connection.

    Attributes:
        in_channels: Input channels.
        expanded: Channels of the depthwise convolution.
        out_channels: Output channels.
        kernel: Its kernel, ``(frames, height, width)``.
        stride: Its stride in height and width, 1 or 2; the stride in time is always 1.
    """

    in_channels: int
    expanded: int
    out_channels: int
    kernel: tuple[int, int, int]
    stride: int

    @property
    def has_skip_projection(self) -> bool:
        """Whether the residual connection has a projection, because the input shape differs from the output shape."""
        return self.stride != 1 or self.in_channels != self.out_channels

    @property
    def buffered_frames(self) -> int:
        """Number of past frames that a stream stores for this layer's temporal convolution."""
        return self.kernel[0] - 1

    def squeezed(self, mode: Mode) -> int:
        """Return the hidden channels of the squeeze-excitation [2, ``make_divisible``].

        A stream squeezes two means (of all frames so far, and of this frame), so that it has twice as many.
        """
        wanted = _SQUEEZE_RATIO * self.expanded * (2 if mode == "stream" else 1)
        step = _CHANNEL_DIVISOR
        rounded = max(step, int(wanted + step / 2) // step * step)
        return rounded + step if rounded < 0.9 * wanted else rounded


@attrs.frozen
class BlockSpec:
    """A block: layers of one number of output channels, the first of which may halve height and width.

    Attributes:
        out_channels: Output channels of each layer.
        expanded: Channels of the depthwise convolution, layer by layer.
        kernels: Kernels ``(frames, height, width)``, layer by layer.
        stride: Stride of the first layer in height and width; the other layers have 1.
    """

    out_channels: int
    expanded: tuple[int, ...]
    kernels: tuple[tuple[int, int, int], ...]
    stride: int


@attrs.frozen
class Variant:
    """One size of MoViNet.

    Attributes:
        name: ``a0`` to ``a5``, or ``t0``.
        frame_size: ``(height, width)`` in pixels it was trained at; other sizes are possible.
        min_image_size: Length of the short side, in pixels, that frames were resized to before the centre crop to
            *frame_size*, when the accuracy was measured [5].
        fps: Frame rate it was trained at, in frames per second.
        clip_frames: Number of frames of the clips its accuracy was measured on (ten seconds).
        base_accuracy: Top-1 and top-5 in per cent on Kinetics-600 of the base model; `None` if never published.
        stream_accuracy: The same of the stream model.
        gflops: Multiply-adds a clip in units of 1e9, as published; `None` if never published.
        stem_channels: Channels of the stem, a 1 x 3 x 3 convolution of stride 2.
        blocks: The five blocks.
        head_channels: Channels of the projection before the pool.
        hidden_channels: Channels of the layer between pool and classifier.
        has_positional_encoding: Whether its stream model adds the position in time to the squeeze.
    """

    name: str
    frame_size: tuple[int, int]
    min_image_size: int
    fps: float
    clip_frames: int
    base_accuracy: tuple[float, float] | None
    stream_accuracy: tuple[float, float] | None
    gflops: float | None
    stem_channels: int
    blocks: tuple[BlockSpec, ...]
    head_channels: int
    hidden_channels: int = 2048
    has_positional_encoding: bool = False

    @property
    def layer_counts(self) -> tuple[int, ...]:
        """How many layers each block has; no two variants agree in it."""
        return tuple(len(block.expanded) for block in self.blocks)

    @property
    def layers(self) -> tuple[tuple[int, int, LayerSpec], ...]:
        """Every layer with its block number and its number in the block, in order, each counted from 0."""
        found = []
        channels = self.stem_channels
        for block_index, block in enumerate(self.blocks):
            for index, expanded in enumerate(block.expanded):
                stride = block.stride if index == 0 else 1
                layer = LayerSpec(
                    channels, expanded, block.out_channels, block.kernels[index], stride
                )
                found.append((block_index, index, layer))
                channels = block.out_channels
        return tuple(found)

    @property
    def frame_multiply_adds(self) -> float:
        """Multiply-adds of the convolutions of the stream model, a frame at *frame_size*, 600 classes; in millions."""
        pixels = [-(-size // 2) for size in self.frame_size]
        total = pixels[0] * pixels[1] * 9 * 3 * self.stem_channels
        for _, _, layer in self.layers:
            before = pixels[0] * pixels[1]
            pixels = [-(-size // layer.stride) for size in pixels]
            after = pixels[0] * pixels[1]
            frames, height, width = layer.kernel
            taps = height * width + (frames if layer.buffered_frames else 0)
            total += before * layer.in_channels * layer.expanded
            total += after * layer.expanded * (taps + layer.out_channels)
            total += 3 * layer.expanded * layer.squeezed("stream")
            if layer.has_skip_projection:
                total += after * layer.in_channels * layer.out_channels
        total += (
            pixels[0] * pixels[1] * self.blocks[-1].out_channels * self.head_channels
        )
        total += self.hidden_channels * (self.head_channels + 600)
        return total / 1e6

    @property
    def num_states(self) -> int:
        """How many state arrays the published stream model carries."""
        per_layer = 3 if self.has_positional_encoding else 2
        buffers = sum(layer.buffered_frames > 0 for _, _, layer in self.layers)
        return buffers + per_layer * len(self.layers) + 2


def known_variants() -> tuple[str, ...]:
    """Return the names of all variants, smallest first."""
    return tuple(_VARIANTS)


def get_variant(name: str) -> Variant:
    """Return the variant called *name*.

    Args:
        name: ``t0``, ``a0`` ... ``a5``; in small letters or capitals.

    Raises:
        VariantError: If there is no variant with that name; the message lists the known ones.

    Example:
        >>> from movinet_lite.network.variants import get_variant
        >>> get_variant("a2").frame_size
        (224, 224)
    """
    found = _VARIANTS.get(str(name).lower())
    if found is None:
        known = known_variants()
        near = difflib.get_close_matches(str(name).lower(), known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise VariantError(
            f"variant must be one of {', '.join(known)}; got {name!r}{hint}",
            str(name),
            known,
        )
    return found


def as_mode(mode: str) -> Mode:
    """Return *mode* if it is ``base`` or ``stream``.

    Raises:
        VariantError: If it is not.
    """
    for known in get_args(Mode):
        if mode == known:
            return known
    raise VariantError(
        f"mode must be 'base' or 'stream'; got {mode!r}", str(mode), get_args(Mode)
    )


def evaluation_short_side(variant: str | None, frame_size: tuple[int, int]) -> int:
    """Return the length of the short side before the crop of ``fit="evaluation"``.

    Args:
        variant: The model's variant; `None` if it is unknown.
        frame_size: ``(height, width)`` in pixels of the model's input.

    Returns:
        The length in pixels: the published *min_image_size* if *frame_size* is the variant's own, otherwise scaled in
        proportion to the longer side of *frame_size*. For unknown variants the ratio is 8 / 7, as for A2 (256 to 224).

    Raises:
        VariantError: If there is no variant with that name.

    Example:
        >>> from movinet_lite.network.variants import evaluation_short_side
        >>> evaluation_short_side("a2", (224, 224)), evaluation_short_side(None, (112, 112))
        (256, 128)
    """
    known = get_variant("a2" if variant is None else variant)
    return round(max(frame_size) * known.min_image_size / max(known.frame_size))


def check_mode(found: Mode, wanted: Mode, source: str | Path) -> None:
    """Check that a model has the expected mode.

    Raises:
        ModelError: If it has the other mode; the message names the class that loads it.
    """
    if found == wanted:
        return
    rule = (
        "a base model takes whole clips; this one is a stream model, which takes frames one by one "
        "(load it with StreamingClassifier)"
        if wanted == "base"
        else "a stream model takes frames one by one; this one is a base model, which takes whole clips "
        "(load it with BaseClassifier)"
    )
    raise ModelError(rule, source, wanted, found)


_LAYER_NAME = re.compile(
    r"(?:^|[/_])(?:block(\d+)_layer(\d+)|b(\d+)[/_]l(\d+))(?=[/_:]|$)"
)


def recognise_variant(names: Iterable[str]) -> Variant | None:
    """Return the variant, recognised from the names of a model's variables or states.

    Variants differ in the number of layers per block.

    Args:
        names: Names of variables (``b0/l0/scale:0``, ``block0_layer0/scale:0``) or of states
            (``state/b0/l0/pool_buffer``, ``state_b0_l0_pool_buffer``, ``state_block0_layer0_pool_buffer``), in any
            order and with other names among them.

    Returns:
        The variant; `None` if the layers do not match a variant exactly.

    Example:
        >>> from movinet_lite.network.variants import recognise_variant
        >>> recognise_variant(["head/project/conv3d/kernel:0"]) is None
        True
    """
    layers = set()
    for name in names:
        match = _LAYER_NAME.search(name)
        if match:
            block, layer = (int(group) for group in match.groups() if group is not None)
            layers.add((block, layer))
    for variant in _VARIANTS.values():
        if layers == {(block, layer) for block, layer, _ in variant.layers}:
            return variant
    return None


def _block(out_channels: int, stride: int, expanded: str, kernels: str) -> BlockSpec:
    """Return a block from lists in the notation of [2]: the kernel ``53`` is 5 frames by 3 by 3 pixels."""
    return BlockSpec(
        out_channels,
        tuple(map(int, expanded.split())),
        tuple((int(name[0]), int(name[1]), int(name[1])) for name in kernels.split()),
        stride,
    )


_VARIANTS = {
    variant.name: variant
    for variant in (
        Variant(
            # Only the blocks of T0 are published; frame size and rate are those of A0.
            name="t0",
            frame_size=(172, 172),
            min_image_size=192,
            fps=5.0,
            clip_frames=50,
            base_accuracy=None,
            stream_accuracy=None,
            gflops=None,
            stem_channels=8,
            head_channels=240,
            hidden_channels=1024,
            blocks=(
                _block(8, 2, "16", "15"),
                _block(32, 2, "72 72", "33 15"),
                _block(56, 2, "112 112 112", "53 15 33"),
                _block(56, 1, "184 184 184 184", "53 15 33 33"),
                _block(104, 2, "344 344 344 344", "53 15 15 33"),
            ),
        ),
        Variant(
            name="a0",
            frame_size=(172, 172),
            min_image_size=192,
            fps=5.0,
            clip_frames=50,
            base_accuracy=(72.28, 90.92),
            stream_accuracy=(72.05, 90.63),
            gflops=2.7,
            stem_channels=8,
            head_channels=480,
            blocks=(
                _block(8, 2, "24", "15"),
                _block(32, 2, "80 80 80", "33 33 33"),
                _block(56, 2, "184 112 184", "53 33 33"),
                _block(56, 1, "184 184 184 184", "53 33 33 33"),
                _block(104, 2, "384 280 280 344", "53 15 15 15"),
            ),
        ),
        Variant(
            name="a1",
            frame_size=(172, 172),
            min_image_size=192,
            fps=5.0,
            clip_frames=50,
            base_accuracy=(76.69, 93.4),
            stream_accuracy=(76.45, 93.25),
            gflops=6.0,
            stem_channels=16,
            head_channels=600,
            blocks=(
                _block(16, 2, "40 40", "15 33"),
                _block(40, 2, "96 120 96 96", "33 33 33 33"),
                _block(64, 2, "216 128 216 168 216", "53 33 33 33 33"),
                _block(64, 1, "216 216 216 128 128 216", "53 33 33 33 15 33"),
                _block(136, 2, "456 360 360 360 456 456 544", "53 15 15 15 15 33 13"),
            ),
        ),
        Variant(
            name="a2",
            frame_size=(224, 224),
            min_image_size=256,
            fps=5.0,
            clip_frames=50,
            base_accuracy=(78.62, 94.17),
            stream_accuracy=(78.4, 94.05),
            gflops=10.0,
            stem_channels=16,
            head_channels=640,
            blocks=(
                _block(16, 2, "40 40 64", "15 33 33"),
                _block(40, 2, "96 120 96 96 120", "33 33 33 33 33"),
                _block(72, 2, "240 160 240 192 240", "53 33 33 33 33"),
                _block(72, 1, "240 240 240 240 144 240", "53 33 33 33 15 33"),
                _block(144, 2, "480 384 384 480 480 480 576", "53 15 15 15 15 33 13"),
            ),
        ),
        Variant(
            name="a3",
            frame_size=(256, 256),
            min_image_size=288,
            fps=12.0,
            clip_frames=120,
            base_accuracy=(81.79, 95.67),
            stream_accuracy=(80.09, 94.84),
            gflops=57.0,
            stem_channels=16,
            head_channels=744,
            has_positional_encoding=True,
            blocks=(
                _block(16, 2, "40 40 64 40", "15 33 33 33"),
                _block(48, 2, "112 144 112 112 144 144", "33 33 33 15 33 33"),
                _block(80, 2, "240 152 240 192 240", "53 33 33 33 33"),
                _block(
                    88, 1, "264 264 264 264 160 264 264 264", "53 33 33 33 15 33 33 33"
                ),
                _block(
                    168,
                    2,
                    "560 448 448 560 560 560 448 448 560 672",
                    "53 15 15 15 15 33 15 15 33 13",
                ),
            ),
        ),
        Variant(
            name="a4",
            frame_size=(290, 290),
            min_image_size=320,
            fps=8.0,
            clip_frames=80,
            base_accuracy=(83.48, 96.16),
            stream_accuracy=(81.49, 95.66),
            gflops=110.0,
            stem_channels=24,
            head_channels=856,
            has_positional_encoding=True,
            blocks=(
                _block(24, 2, "64 64 96 64 96 64", "15 33 33 33 33 33"),
                _block(
                    56,
                    2,
                    "168 168 136 136 168 168 168 136 136",
                    "33 33 33 33 33 33 33 15 33",
                ),
                _block(
                    96,
                    2,
                    "320 160 320 192 320 160 320 256 320",
                    "53 33 33 33 33 33 33 33 33",
                ),
                _block(
                    96,
                    1,
                    "320 320 320 320 192 320 320 192 320 320",
                    "53 33 33 33 15 33 33 33 33 33",
                ),
                _block(
                    192,
                    2,
                    "640 512 512 640 640 640 512 512 640 768 640 640 768",
                    "53 15 15 15 15 33 15 15 15 15 15 33 33",
                ),
            ),
        ),
        Variant(
            name="a5",
            frame_size=(320, 320),
            min_image_size=368,
            fps=12.0,
            clip_frames=120,
            base_accuracy=(84.27, 96.39),
            stream_accuracy=(82.37, 95.79),
            gflops=280.0,
            stem_channels=24,
            head_channels=992,
            has_positional_encoding=True,
            blocks=(
                _block(24, 2, "64 64 96 64 96 64", "15 15 33 33 33 33"),
                _block(
                    64,
                    2,
                    "192 152 152 152 192 192 192 152 152 192 192",
                    "53 33 33 33 33 33 33 33 33 33 33",
                ),
                _block(
                    112,
                    2,
                    "376 224 376 376 296 376 224 376 376 296 376 376 376",
                    "53 33 33 33 33 33 33 33 33 33 33 33 33",
                ),
                _block(
                    120,
                    1,
                    "376 376 376 376 224 376 376 224 376 376 376",
                    "53 33 33 33 15 33 33 33 33 33 33",
                ),
                _block(
                    224,
                    2,
                    "744 744 600 600 744 744 744 896 600 600 896 744 744 896 600 600 744 744",
                    "53 33 15 15 15 15 33 15 15 15 15 15 33 15 15 15 15 33",
                ),
            ),
        ),
    )
}
