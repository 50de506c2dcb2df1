"""Maps the tensor names of PyTorch MoViNets to those of our network (no TensorFlow).

References:
    [1] Atze00/MoViNet-pytorch, ``movinets/models.py``.
    [2] cmusatyalab/grw-smoothing, ``model/action_recognition_model.py`` and ``model/attention.py``, without the prefix of
        its backbone, ``video_backbone._encoder.``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from movinet_lite.network.facts import TransformerFacts
from movinet_lite.network.variants import LayerSpec, Mode, Variant

__all__ = ["Place", "places", "places_with_transformer"]

_NORM_PARTS: Final = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@attrs.frozen
class Place:
    """The name and layout of a weight in PyTorch and in our network.

    Attributes:
        tensor: Its name in PyTorch.
        weight: Its published name.
        axes: Its axes in PyTorch, in the published order: ``(out, in, [t,] h, w)`` becomes ``([t,] h, w, in, out)``,
            without axes of 1 before those of a dense layer.
        shape: Its shape in PyTorch.
    """

    tensor: str
    weight: str
    axes: tuple[int, ...]
    shape: tuple[int, ...]


def places(variant: Variant, mode: Mode, num_classes: int) -> Iterator[Place]:
    """Return the places of every weight of a network.

    Args:
        variant: Of the network.
        mode: ``stream`` for one built with ``causal=True, conv_type="2plus1d"``, ``base`` for ``causal=False,
            conv_type="3d"`` [1].
        num_classes: How many logits it gives.
    """
    yield from _Writer(mode).network(variant, num_classes)


def places_with_transformer(
    variant: Variant, mode: Mode, num_classes: int, facts: TransformerFacts
) -> Iterator[Place]:
    """Return the places of every weight of a network with a transformer [2]; the arguments are those of `places`."""
    yield from _Writer(mode).backbone(variant)
    channels, inner = facts.embed_dim, facts.mlp_dim
    first, second = (
        ("conv2d/conv2d", "conv2d/conv2d_1")
        if mode == "stream"
        else ("conv3d", "conv3d")
    )
    embedding = f"classifier_head/embedding/{first}"
    yield from _dense("classifier", embedding, channels, variant.head_channels)
    theirs, ours = "attention.transformer", "classifier_head/transformer"
    norms = [("ln", "norm"), (f"{theirs}.norm", "last_norm")]
    for index in range(facts.depth):
        layer, name = f"{theirs}.layers.{index}", f"l{index}"
        norms += [
            (f"{layer}.0", f"{name}/attention_norm"),
            (f"{layer}.2.net.0", f"{name}/mlp_norm"),
        ]
        below = f"{ours}/{name}/attention/input"
        shape = (3 * channels, channels)
        yield Place(f"{layer}.1.in_proj_weight", f"{below}/kernel", (1, 0), shape)
        yield Place(f"{layer}.1.in_proj_bias", f"{below}/bias", (0,), shape[:1])
        for tensor, part, out, into in (
            ("1.out_proj", "attention/output", channels, channels),
            ("2.net.1", "mlp/hidden", inner, channels),
            ("2.net.3", "mlp/output", channels, inner),
        ):
            yield from _dense(f"{layer}.{tensor}", f"{ours}/{name}/{part}", out, into)
    for tensor, part in norms:
        for end, name in (("weight", "gamma"), ("bias", "beta")):
            weight = f"{ours}/{part}/{name}"
            yield Place(f"{tensor}.{end}", weight, (0,), (channels,))
    classifier = f"classifier_head/classifier/{second}"
    yield from _dense("attention.linear_head", classifier, num_classes, channels)


def _dense(theirs: str, ours: str, out: int, into: int) -> Iterator[Place]:
    yield Place(f"{theirs}.weight", f"{ours}/kernel", (1, 0), (out, into))
    yield Place(f"{theirs}.bias", f"{ours}/bias", (0,), (out,))


@attrs.frozen
class _Writer:
    """Writes the names of one mode."""

    mode: Mode

    @property
    def _is_stream(self) -> bool:
        return self.mode == "stream"

    def network(self, variant: Variant, num_classes: int) -> Iterator[Place]:
        yield from self.backbone(variant)
        last = (variant.head_channels, variant.hidden_channels, num_classes)
        for index, (name, op, here) in enumerate(
            (("head", "conv2d", "0"), ("classifier", "conv2d_1", "3"))
        ):
            yield from self._convolution(
                f"classifier.{here}.conv_1",
                f"classifier_head/{name}/{self._operation(op)}",
                last[index + 1],
                last[index],
                bias=True,
            )

    def backbone(self, variant: Variant) -> Iterator[Place]:
        stem = self._operation("conv2d")
        yield from self._convolution(
            "conv1.conv_1",
            f"stem/stem/{stem}",
            variant.stem_channels,
            3,
            (1, 3, 3),
            norm="stem/stem/bn",
        )
        for block, index, layer in variant.layers:
            yield from self._layer(
                f"blocks.b{block}_l{index}", f"b{block}/l{index}", layer
            )
        yield from self._convolution(
            "conv7.conv_1",
            f"head/project/{stem}",
            variant.head_channels,
            variant.blocks[-1].out_channels,
            norm="head/project/bn",
        )

    def _operation(self, name: str) -> str:
        return f"conv2d/{name}" if self._is_stream else "conv3d"

    def _layer(self, theirs: str, ours: str, layer: LayerSpec) -> Iterator[Place]:
        below = f"{ours}/bneck"
        inner = layer.expanded
        yield from self._convolution(
            f"{theirs}.expand.conv_1",
            f"{below}/expansion/{self._operation('conv2d')}",
            inner,
            layer.in_channels,
            norm=f"{below}/expansion/bn",
        )
        yield from self._feature(f"{theirs}.deep", f"{below}/feature", layer)
        squeezed = layer.squeezed(self.mode)
        means = inner * (2 if self._is_stream else 1)
        for part, op, name, out, into in (
            ("fc1", "conv2d_1", "se_reduce", squeezed, means),
            ("fc2", "conv2d_2", "se_expand", inner, squeezed),
        ):
            yield from self._convolution(
                f"{theirs}.se.{part}.conv_1",
                f"{below}/se/{name}/{self._operation(op)}",
                out,
                into,
                bias=True,
            )
        yield from self._convolution(
            f"{theirs}.project.conv_1",
            f"{below}/projection/{self._operation('conv2d_3')}",
            layer.out_channels,
            inner,
            norm=f"{below}/projection/bn",
        )
        if layer.has_skip_projection:
            # Where the layer has a stride, an average pool precedes it.
            yield from self._convolution(
                f"{theirs}.res.{int(layer.stride > 1)}.conv_1",
                f"{below}/skip/skip_project/{self._operation('conv2d_4')}",
                layer.out_channels,
                layer.in_channels,
                norm=f"{below}/skip/skip_project/bn",
            )
        yield Place(f"{theirs}.alpha", f"{ours}/scale", (), ())

    def _feature(self, theirs: str, ours: str, layer: LayerSpec) -> Iterator[Place]:
        inner = layer.expanded
        length, height, width = layer.kernel
        if not self._is_stream:
            yield Place(
                f"{theirs}.conv_1.conv3d.weight",
                f"{ours}/conv3d/kernel",
                (2, 3, 4, 1, 0),
                (inner, 1, *layer.kernel),
            )
            yield from _norm(f"{theirs}.conv_1", f"{ours}/bn", inner)
            return
        halves = [("conv_1", "conv2d/depthwise_conv2d", "bn", (height, width))]
        if length > 1:
            temporal = "conv2d_temporal/depthwise_conv2d_1"
            halves.append(("conv_2", temporal, "bn_temporal", (length, 1)))
        for name, operation, norm, kernel in halves:
            yield Place(
                f"{theirs}.{name}.conv2d.weight",
                f"{ours}/{operation}/depthwise_kernel",
                (2, 3, 0, 1),
                (inner, 1, *kernel),
            )
            yield from _norm(f"{theirs}.{name}", f"{ours}/{norm}", inner)

    def _convolution(
        self,
        theirs: str,
        ours: str,
        out: int,
        into: int,
        kernel: tuple[int, int, int] = (1, 1, 1),
        *,
        norm: str | None = None,
        bias: bool = False,
    ) -> Iterator[Place]:
        kind = "conv2d" if self._is_stream else "conv3d"
        sizes = kernel[1:] if self._is_stream else kernel
        spatial = tuple(range(2, 2 + len(sizes)))
        yield Place(
            f"{theirs}.{kind}.weight",
            f"{ours}/kernel",
            (*spatial, 1, 0),
            (out, into, *sizes),
        )
        if bias:
            yield Place(f"{theirs}.{kind}.bias", f"{ours}/bias", (0,), (out,))
        if norm is not None:
            yield from _norm(theirs, norm, out)


def _norm(theirs: str, ours: str, channels: int) -> Iterator[Place]:
    for part, name in _NORM_PARTS.items():
        yield Place(f"{theirs}.norm.{name}", f"{ours}/{part}", (0,), (channels,))
