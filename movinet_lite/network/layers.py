"""The layers of MoViNet, on 4-D tensors.

Inside the network the frames of all clips stand one after the other in the first axis: ``(batch * frames, height,
width, channels)``. Runtimes have fast kernels for 4-D tensors and slow ones, or none, for 5-D. A `Timeline` knows
which frame of which stream each row is, and a `Memory` what the streams had before.

Weights have the shapes and names of the models on TF Hub (``b0/l0/bneck/expansion/conv3d/kernel``), so that importing
and exporting copy them as they are.

References:
    [1] D. Kondratyuk et al., "MoViNets: Mobile Video Networks for Efficient Video Recognition", CVPR 2021,
        arXiv:2103.11511, section 3.2: stream buffers, causal convolutions, cumulative means.
    [2] TensorFlow Model Garden, ``official/projects/movinet/modeling/movinet_layers.py`` and
        ``official/vision/modeling/layers/nn_layers.py``: what each layer computes, and its constants.
    [3] A. Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv:1905.02244: hard swish.
    [4] A. Vaswani et al., "Attention Is All You Need", NIPS 2017, arXiv:1706.03762, section 3.5: positional encoding.
    [5] T. Bachlechner et al., "ReZero is All You Need", arXiv:2003.04887: a residual scale that starts at 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, Self, TypeAlias

import attrs
import numpy as np

from movinet_lite.arrays import FeatureName
from movinet_lite.network.padding import LayerPadding
from movinet_lite.network.positions import position_frequencies
from movinet_lite.network.spec import Activation, Gate
from movinet_lite.network.tensorflow import keras, tf
from movinet_lite.network.variants import LayerSpec, Mode

__all__ = [
    "ACTIVATIONS",
    "NORM_MOMENTUM",
    "Bottleneck",
    "ClassifierHead",
    "Convolution",
    "Head",
    "Memory",
    "Options",
    "Tensor",
    "Timeline",
    "convolve_channels_over_space",
    "convolve_channels_over_space_and_time",
    "convolve_channels_over_time",
    "convolve_over_space",
    "encode_position",
    "hard_swish",
    "shape_of",
    "size_of",
    "swish",
]

Tensor: TypeAlias = Any
"""A ``tf.Tensor``; TensorFlow ships no types."""

NORM_MOMENTUM: Final = 0.99  # [2]
NORM_EPSILON: Final = 0.001  # [2]
_NORM_PARTS: Final = {  # of a batch norm, with how each starts
    "gamma": "ones",
    "beta": "zeros",
    "moving_mean": "zeros",
    "moving_variance": "ones",
}

# Each hard gate is also factor * relu6(slope * x + 3), since clip(0.2 x + 0.5, 0, 1) = relu6(1.2 x + 3) / 6: so slope,
# 3 and factor can stand in the weights around it. The Model Garden writes 1 / 6 as 0.16667 [2, ``hard_sigmoid``], which
# shows in the logits: 1e-4 of the largest.
_HARD_GATES: Final = {
    "hard_sigmoid": (1.0, 0.16667),
    "keras2_hard_sigmoid": (1.2, 1.0 / 6.0),
}


def swish(x: Tensor) -> Tensor:
    """Return x sigmoid(x), written out so that a saved graph needs no custom gradient."""
    return x * tf.sigmoid(x)


def hard_swish(x: Tensor) -> Tensor:
    """Return x relu6(x + 3) / 6 [3]."""
    return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


ACTIVATIONS: Final[dict[Activation, Callable[[Tensor], Tensor]]] = {
    "swish": swish,
    "hard_swish": hard_swish,
}


@attrs.frozen
class Options:
    """What distinguishes networks of one variant.

    Attributes:
        mode: ``base`` or ``stream``.
        gate: The gate of the squeeze-excitation.
        activation: The activation of the backbone.
        positional_encoding: Whether the squeeze is told the position in time.
        dropout_rate: Share of the hidden layer's outputs dropped in training, 0 to 1.
        norm_momentum: How much of its statistics a batch norm keeps with each step of a training, 0 to 1.
        folded: Whether every batch norm, residual scale and gate factor stands inside the weights of a convolution:
            the form for inference, which cannot be trained.
    """

    mode: Mode
    gate: Gate
    activation: Activation
    positional_encoding: bool = False
    dropout_rate: float = 0.0
    norm_momentum: float = NORM_MOMENTUM
    folded: bool = False

    @property
    def activate(self) -> Callable[[Tensor], Tensor]:
        """The activation of the backbone; the classifier's is always `swish` [2]."""
        return ACTIVATIONS[self.activation]

    @property
    def kernel_rank(self) -> int:
        """Axes of a convolution's kernel in the published layout: base models keep the axis of time."""
        return 5 if self.mode == "base" else 4


@attrs.frozen(eq=False)
class Timeline:
    """Which frame of which stream each row of a folded tensor is.

    Attributes:
        batch: Number of clips or streams; an int where it is known when the graph is built.
        frames: Frames of this call, of each stream; an int where it is known, `None` where it does not matter.
        counts: ``(batch * frames, 1, 1, 1)`` float32: how many frames its stream has had with this row, from 1.
    """

    batch: Any
    frames: Any
    counts: Tensor

    @classmethod
    def after(cls, ages: Tensor, batch: Any, frames: Any) -> Timeline:
        """Return the timeline of *frames* more frames for streams that have had *ages* frames.

        Args:
            ages: ``(batch, ...)``, one number a stream: frames before this call.
            batch: Number of streams.
            frames: Frames of this call.
        """
        ages = tf.cast(tf.reshape(ages, [batch, 1, 1, 1]), tf.float32)
        if isinstance(frames, int) and frames == 1:
            return cls(batch, frames, ages + 1.0)
        steps = tf.cast(tf.range(1, frames + 1), tf.float32)
        counts = ages + tf.reshape(steps, [1, -1, 1, 1])
        return cls(batch, frames, tf.reshape(counts, [batch * frames, 1, 1, 1]))

    def by_stream(self, rows: Tensor) -> Tensor:
        """Return ``(batch, frames, pixels, channels)`` of ``(batch * frames, height, width, channels)``."""
        pixels = size_of(rows, 1) * size_of(rows, 2)
        # Where the number of frames is free, LiteRT lays out a graph faster if no operation computes it.
        frames = self.frames if isinstance(self.frames, int) else -1
        return tf.reshape(rows, [self.batch, frames, pixels, rows.shape[-1]])

    def mean_of_clips(self, rows: Tensor) -> Tensor:
        """Return the mean over all frames and pixels of each clip, ``(batch, 1, 1, channels)``."""
        if self._is_one_clip:
            return tf.reduce_mean(rows, axis=[0, 1, 2], keepdims=True)
        return tf.reduce_mean(self.by_stream(rows), axis=[1, 2], keepdims=True)

    def neighbours(self, rows: Tensor, reach: int) -> list[Tensor]:
        """Return the rows of the frames from *reach* places earlier to *reach* later, in this order.

        Frames before the start and after the end of a clip are zeros.
        """
        moved = []
        if self._is_one_clip:
            # The first axis is time: no reshape, and so a LiteRT graph in which the number of frames stays free.
            padded = tf.pad(rows, [[reach, reach], [0, 0], [0, 0], [0, 0]])
            for place in range(2 * reach + 1):
                piece = padded[place : place - 2 * reach or None]
                moved.append(rows if place == reach else piece)
            return moved
        padded = tf.pad(self.by_stream(rows), [[0, 0], [reach, reach], [0, 0], [0, 0]])
        shape = tf.shape(rows) if None in rows.shape else rows.shape
        for place in range(2 * reach + 1):
            piece = padded[:, place : place - 2 * reach or None]
            moved.append(rows if place == reach else tf.reshape(piece, shape))
        return moved

    @property
    def _is_one_clip(self) -> bool:
        return isinstance(self.batch, int) and self.batch == 1


class Memory(Protocol):
    """What streams remember from earlier calls, and what they take along from this one."""

    timeline: Timeline

    def window(self, path: str, rows: Tensor, length: int) -> Tensor:
        """Return the frames of this call behind the *length* before them; keep the last *length* of both.

        Args:
            path: The layer that remembers, such as ``b1/l0``.
            rows: ``(batch * frames, height, width, channels)``.
            length: How many frames the layer keeps.

        Returns:
            ``(batch, length + frames, height * width, channels)``.
        """

    def running_mean(self, path: str, rows: Tensor) -> Tensor:
        """Return, for each row, the mean over all frames of its stream up to and with it; keep the sum.

        Args:
            path: The layer that remembers.
            rows: ``(batch * frames, 1, 1, channels)``.

        Returns:
            The same shape.
        """


Convolve: TypeAlias = Callable[[Tensor, Tensor, Timeline], Tensor]
"""From (rows, kernel, timeline) to rows."""


def convolve_over_space(stride: int, padded: int | None = None) -> Convolve:
    """Return the convolution with a kernel ``(height, width, in, out)``, or with one of time 1 before these axes."""

    def convolve(x: Tensor, kernel: Tensor, _: Timeline) -> Tensor:
        kernel = kernel[0] if len(kernel.shape) == 5 else kernel
        return tf.nn.conv2d(*_pad(x, padded, kernel, stride))

    return convolve


def convolve_channels_over_space(stride: int, padded: int | None = None) -> Convolve:
    """Return the depthwise convolution with a kernel ``(height, width, channels, 1)``."""

    def convolve(x: Tensor, kernel: Tensor, _: Timeline) -> Tensor:
        strides = [1, stride, stride, 1]
        return tf.nn.depthwise_conv2d(*_pad(x, padded, kernel, strides))

    return convolve


def _pad(x: Tensor, padded: int | None, *between: Any) -> tuple[Any, ...]:
    """Return *x*, padded by so many pixels on each side, then *between*, then what TensorFlow shall pad besides."""
    if padded is None:
        return (x, *between, "SAME")
    sides = [padded, padded]
    return (tf.pad(x, [[0, 0], sides, sides, [0, 0]]), *between, "VALID")


def convolve_channels_over_time(window: Tensor, kernel: Tensor, _: Timeline) -> Tensor:
    """Return the causal convolution over time, channel by channel.

    The frames are the rows of a picture and its pixels the columns: then it is a plain depthwise convolution.

    Args:
        window: ``(batch, k - 1 + frames, pixels, channels)`` float32; see `Memory.window`.
        kernel: ``(k, 1, channels, 1)``, the oldest frame first.

    Returns:
        ``(batch, frames, pixels, channels)``.
    """
    return tf.nn.depthwise_conv2d(window, kernel, [1, 1, 1, 1], "VALID")


def convolve_channels_over_space_and_time(
    stride: int, padded: int | None = None
) -> Convolve:
    """Return the depthwise 3-D convolution, zero-padded, with a kernel ``(k, height, width, 1, channels)``, k odd.

    It is computed as a sum of 2-D ones: each slice of the kernel in time is a 2-D convolution of all frames, whose
    result belongs to a frame some places earlier or later. A CPU does that many times faster than a 3-D convolution.
    """

    def convolve(x: Tensor, kernel: Tensor, timeline: Timeline) -> Tensor:
        # A 2-D depthwise kernel is (height, width, channels, 1), a 3-D one (..., 1, channels).
        slices = tf.unstack(tf.transpose(kernel, [0, 1, 2, 4, 3]))
        moved = timeline.neighbours(x, len(slices) // 2) if len(slices) > 1 else [x]
        parts = [
            tf.nn.depthwise_conv2d(*_pad(rows, padded, piece, [1, stride, stride, 1]))
            for rows, piece in zip(moved, slices, strict=True)
        ]
        return functools.reduce(tf.add, parts)

    return convolve


class Convolution(keras.layers.Layer):
    """A convolution, then a batch norm or a bias, then an activation."""

    def __init__(
        self,
        name: str,
        kernel_shape: tuple[int, ...],
        options: Options,
        *,
        convolve: Convolve | None = None,
        norm: str | None = None,
        activation: Callable[[Tensor], Tensor] | None = None,
        stddev: float | None = None,
    ) -> None:
        """Create the weights.

        Args:
            name: The published name of the convolution; its kernel is called this and what *kernel_shape* implies.
            kernel_shape: ``(height, width, in, out)``, or ``(height, width, channels, 1)`` if depthwise; base models
                have the axis of time before these, and ``(..., 1, channels)`` if depthwise.
            options: Of the network.
            convolve: What to do with the kernel; `None` for a convolution over space with stride 1.
            norm: The published name of the batch norm; `None` for a bias in its place.
            activation: What comes last; `None` for nothing.
            stddev: Standard deviation of the initial kernel; `None` for that of He et al., sqrt(2 / fan-in).
        """
        super().__init__(name=name.replace("/", "_"))
        self._published_name = name
        self._published_norm = norm
        self._is_depthwise_2d = kernel_shape[-1] == 1 and len(kernel_shape) == 4
        self.convolve = convolve or convolve_over_space(1)
        self.activation = activation
        self._norm_momentum = options.norm_momentum
        channels = kernel_shape[-2 if self._is_depthwise_2d else -1]
        fan_in = np.prod(kernel_shape[: -2 if self._is_depthwise_2d else -1])
        self.kernel: Any = None
        self.bias: Any = None
        self.norm: dict[str, Any] = {}
        self.built = True
        if (
            options.folded
        ):  # plain arrays, which a graph takes as constants; see fold_into
            return
        spread = np.sqrt(2.0 / fan_in) if stddev is None else stddev
        self.kernel = self.add_weight(
            name="kernel",
            shape=kernel_shape,
            initializer=keras.initializers.TruncatedNormal(stddev=float(spread)),
        )
        if norm is None:
            self.bias = self.add_weight(
                name="bias", shape=(channels,), initializer="zeros"
            )
            return
        self.norm = {
            part: self.add_weight(
                name=part,
                shape=(channels,),
                initializer=initializer,
                trainable=part in {"gamma", "beta"},
            )
            for part, initializer in _NORM_PARTS.items()
        }

    def call(
        self,
        x: Tensor,
        timeline: Timeline,
        training: bool = False,  # noqa: FBT001, FBT002 - Keras's own signature
        shape: Any = None,
    ) -> Tensor:
        """Return the rows after convolution, norm or bias, and activation; in another *shape*, if one is given."""
        x = self.convolve(x, tf.convert_to_tensor(self.kernel), timeline)
        if self.norm:
            # As in Keras, a norm that is frozen keeps its statistics in training too.
            x = self._normalise(x, learn=training and self.trainable)
        else:
            x = tf.nn.bias_add(x, self.bias)
        if shape is not None:
            # Before the activation: XNNPACK computes that in place, and copies what is to be reshaped after it.
            x = tf.reshape(x, shape)
        return x if self.activation is None else self.activation(x)

    def _normalise(self, x: Tensor, *, learn: bool) -> Tensor:
        """Return *x* after the batch norm: by the statistics of this batch, which it learns from, or by those learnt."""
        gamma, beta, mean, variance = (
            tf.convert_to_tensor(self.norm[part]) for part in _NORM_PARTS
        )
        normalise = tf.compat.v1.nn.fused_batch_norm
        if not learn:
            x, _, _ = normalise(
                x, gamma, beta, mean, variance, NORM_EPSILON, is_training=False
            )
            return x
        x, batch_mean, batch_variance = normalise(
            x, gamma, beta, epsilon=NORM_EPSILON, is_training=True
        )
        for part, value in (
            ("moving_mean", batch_mean),
            ("moving_variance", batch_variance),
        ):
            learnt = self.norm[part]
            kept = self._norm_momentum
            learnt.assign(learnt * kept + value * (1.0 - kept))
        return x

    @property
    def named_weights(self) -> dict[str, Any]:
        """The weights under their published names."""
        kernel = "depthwise_kernel" if self._is_depthwise_2d else "kernel"
        named = {f"{self._published_name}/{kernel}": self.kernel}
        if self.bias is not None:
            named[f"{self._published_name}/bias"] = self.bias
        for part, weight in self.norm.items():
            named[f"{self._published_norm}/{part}"] = weight
        return named

    def fold_into(
        self,
        other: Convolution,
        *,
        scale: float = 1.0,
        shift: float = 0.0,
        input_scale: float = 1.0,
    ) -> None:
        """Give *other*, which is of a folded network, a kernel and a bias that compute what this one does.

        The norm is the affine map gamma (x - mean) / sqrt(variance + epsilon) + beta of each channel, so that it can
        stand inside the kernel and the bias.

        Args:
            other: A convolution of the same shape in a folded network.
            scale: *other* gives this many times what this one gives, before the activation,
            shift: and this much more.
            input_scale: *other* gets its input divided by this.
        """
        kernel = np.asarray(self.kernel, np.float64)
        if not self.norm:
            factor = np.ones(())
            bias = np.asarray(self.bias, np.float64)
        else:
            norm = {
                part: np.asarray(weight, np.float64)
                for part, weight in self.norm.items()
            }
            factor = norm["gamma"] / np.sqrt(norm["moving_variance"] + NORM_EPSILON)
            bias = norm["beta"] - norm["moving_mean"] * factor
        if self._is_depthwise_2d:
            factor = factor[..., np.newaxis]
        other.kernel = (kernel * factor * (scale * input_scale)).astype(np.float32)
        other.bias = (bias * scale + shift).astype(np.float32)


def encode_position(counts: Tensor, channels: int) -> Tensor:
    """Return the positional encoding [4] of frames, sines in the first half of the channels, cosines in the second.

    Args:
        counts: ``(rows, 1, 1, 1)`` float32, the number of each frame in its stream, from 1.
        channels: How many channels to return; even.

    Returns:
        ``(rows, 1, 1, channels)`` float32; position 0 is that of a stream's first frame.
    """
    frequencies = position_frequencies(channels).reshape(1, 1, 1, -1)
    angles = (counts - 1.0) * tf.constant(frequencies)
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)


class SqueezeExcitation(keras.layers.Layer):
    """Channels weighed by gates, which come from the means over space and time.

    A base model takes the mean over the whole clip. A stream takes two: the mean over all its frames so far, then
    that of this frame.
    """

    def __init__(self, path: str, layer: LayerSpec, options: Options) -> None:
        """Create the weights; *path* is the layer's, such as ``b0/l0``."""
        super().__init__(name=f"{path}_se".replace("/", "_"))
        self._path = path
        self._is_folded = options.folded
        self.gate: Gate = options.gate
        is_stream = options.mode == "stream"
        squeezed = layer.squeezed(options.mode)
        means = layer.expanded * (2 if is_stream else 1)
        ones = (1,) * (options.kernel_rank - 2)
        self.reduce = Convolution(
            f"{path}/bneck/se/se_reduce/"
            + ("conv2d/conv2d_1" if is_stream else "conv3d"),
            (*ones, means, squeezed),
            options,
            activation=options.activate,
        )
        self.expand = Convolution(
            f"{path}/bneck/se/se_expand/"
            + ("conv2d/conv2d_2" if is_stream else "conv3d"),
            (*ones, squeezed, layer.expanded),
            options,
            activation=self._gate,
        )
        self.position_scale: Any = None
        if options.positional_encoding and not options.folded:
            self.position_scale = self.add_weight(
                name="position_scale", shape=(), initializer="zeros"
            )
        self.built = True

    def call(
        self, x: Tensor, timeline: Timeline, memory: Memory | None = None
    ) -> Tensor:
        """Return *x*, weighed."""
        if memory is None:
            return self._weigh_clips(x, timeline)
        mean = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
        squeeze = tf.concat([memory.running_mean(self._path, mean), mean], axis=-1)
        if self.position_scale is not None:
            position = encode_position(timeline.counts, squeeze.shape[-1])
            squeeze += self.position_scale * position
        return x * self._excite(squeeze, timeline)

    def _weigh_clips(self, x: Tensor, timeline: Timeline) -> Tensor:
        gates = self._excite(timeline.mean_of_clips(x), timeline)
        if isinstance(timeline.batch, int) and timeline.batch == 1:
            return x * gates
        return tf.reshape(timeline.by_stream(x) * gates, tf.shape(x))

    def _excite(self, squeeze: Tensor, timeline: Timeline) -> Tensor:
        return self.expand(self.reduce(squeeze, timeline=timeline), timeline=timeline)

    def _gate(self, x: Tensor) -> Tensor:
        if self.gate == "sigmoid":
            return tf.sigmoid(x)
        if self._is_folded:  # slope, shift and factor stand in the weights
            return tf.nn.relu6(x)
        if self.gate == "keras2_hard_sigmoid":
            return tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)
        return tf.nn.relu6(x + 3.0) * _HARD_GATES[self.gate][1]

    @property
    def named_weights(self) -> dict[str, Any]:
        """The weights under their published names."""
        named = {**self.reduce.named_weights, **self.expand.named_weights}
        if self.position_scale is not None:
            # Published models call this weight of every layer just ``scale``.
            named[f"{self._path}/bneck/se/pos_encoding/scale"] = self.position_scale
        return named

    def fold_into(self, other: SqueezeExcitation) -> float:
        """Give *other*, a folded one, the weights of this one; return the factor its gates lack."""
        self.reduce.fold_into(other.reduce)
        if self.position_scale is not None:
            other.position_scale = np.asarray(self.position_scale)
        if self.gate == "sigmoid":
            self.expand.fold_into(other.expand)
            return 1.0
        slope, factor = _HARD_GATES[self.gate]
        self.expand.fold_into(other.expand, scale=slope, shift=3.0)
        return factor


class Bottleneck(keras.layers.Layer):
    """One layer of a block: expand, convolve each channel, squeeze and excite, project, add to what came in [1]."""

    def __init__(
        self,
        path: str,
        layer: LayerSpec,
        options: Options,
        padding: LayerPadding | None = None,
    ) -> None:
        """Create the weights; *path* is such as ``b0/l0``, and *padding* is `None` for TensorFlow's."""
        super().__init__(name=path.replace("/", "_"))
        self._path = path
        self._spec = layer
        self._padding = padding
        padded = None if padding is None else padding.convolution
        below = f"{path}/bneck"
        is_stream = options.mode == "stream"
        activation = options.activate
        ones = (1,) * (options.kernel_rank - 2)
        length, height, width = layer.kernel

        def pointwise(
            part: str, op: str, channels: tuple[int, int], **kwargs: Any
        ) -> Convolution:
            name = f"{below}/{part}/" + (f"conv2d/{op}" if is_stream else "conv3d")
            return Convolution(
                name, (*ones, *channels), options, norm=f"{below}/{part}/bn", **kwargs
            )

        self.expansion = pointwise(
            "expansion",
            "conv2d",
            (layer.in_channels, layer.expanded),
            activation=activation,
        )
        self.feature_in_time: Any = None
        if is_stream:
            self.feature = Convolution(
                f"{below}/feature/conv2d/depthwise_conv2d",
                (height, width, layer.expanded, 1),
                options,
                convolve=convolve_channels_over_space(layer.stride, padded),
                norm=f"{below}/feature/bn",
                activation=activation,
            )
            if length > 1:
                self.feature_in_time = Convolution(
                    f"{below}/feature/conv2d_temporal/depthwise_conv2d_1",
                    (length, 1, layer.expanded, 1),
                    options,
                    convolve=convolve_channels_over_time,
                    norm=f"{below}/feature/bn_temporal",
                    activation=activation,
                )
        else:
            self.feature = Convolution(
                f"{below}/feature/conv3d",
                (length, height, width, 1, layer.expanded),
                options,
                convolve=convolve_channels_over_space_and_time(layer.stride, padded),
                norm=f"{below}/feature/bn",
                activation=activation,
            )
        self.squeeze_excitation = SqueezeExcitation(path, layer, options)
        self.projection = pointwise(
            "projection", "conv2d_3", (layer.expanded, layer.out_channels)
        )
        self.skip: Any = None
        if layer.has_skip_projection:
            self.skip = pointwise(
                "skip/skip_project", "conv2d_4", (layer.in_channels, layer.out_channels)
            )
        self.scale: Any = None
        if not options.folded:
            self.scale = self.add_weight(name="scale", shape=(), initializer="zeros")
        self.built = True

    def call(
        self,
        x: Tensor,
        timeline: Timeline,
        memory: Memory | None = None,
        training: bool = False,  # noqa: FBT001, FBT002 - Keras's own signature
    ) -> Tensor:
        """Return the rows that go out."""
        y = self.expansion(x, timeline=timeline, training=training)
        y = self.feature(y, timeline=timeline, training=training)
        if self.feature_in_time is not None and memory is not None:
            shape = shape_of(y)
            window = memory.window(self._path, y, self._spec.buffered_frames)
            y = self.feature_in_time(
                window, timeline=timeline, training=training, shape=shape
            )
        y = self.squeeze_excitation(y, timeline=timeline, memory=memory)
        y = self.projection(y, timeline=timeline, training=training)
        if self.scale is not None:
            y *= self.scale
        if self.skip is not None:
            if self._spec.stride > 1:
                padded = None if self._padding is None else self._padding.pool
                x = tf.nn.avg_pool2d(*_pad(x, padded, 3, 2))
            x = self.skip(x, timeline=timeline, training=training)
        return x + y

    def set_functions(self, options: Options) -> None:
        """Take the activation and the gate of *options*."""
        squeeze = self.squeeze_excitation
        squeeze.gate = options.gate
        for part in (
            self.expansion,
            self.feature,
            self.feature_in_time,
            squeeze.reduce,
        ):
            if part is not None:
                part.activation = options.activate

    @property
    def named_weights(self) -> dict[str, Any]:
        """The weights under their published names."""
        named: dict[str, Any] = {}
        for part in (
            self.expansion,
            self.feature,
            self.feature_in_time,
            self.squeeze_excitation,
            self.projection,
            self.skip,
        ):
            if part is not None:
                named.update(part.named_weights)
        if self.scale is not None:
            named[f"{self._path}/scale"] = self.scale
        return named

    def fold_into(self, other: Bottleneck) -> None:
        """Give *other*, a folded layer, the weights that compute the same as this one."""
        self.expansion.fold_into(other.expansion)
        self.feature.fold_into(other.feature)
        if self.feature_in_time is not None:
            self.feature_in_time.fold_into(other.feature_in_time)
        gate_factor = self.squeeze_excitation.fold_into(other.squeeze_excitation)
        self.projection.fold_into(
            other.projection, scale=float(self.scale), input_scale=gate_factor
        )
        if self.skip is not None:
            self.skip.fold_into(other.skip)


class ClassifierHead(keras.layers.Layer):
    """The base of the heads: a projection, one hidden layer, and a classifier.

    Attributes:
        feature_names: What `features` returns.
    """

    feature_names: tuple[FeatureName, ...]

    def __init__(
        self,
        channels: tuple[int, int, int],
        num_classes: int,
        options: Options,
        *,
        hidden: str,
        hidden_activation: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Create the weights.

        Args:
            channels: That come in, of the projection, of the hidden layer.
            num_classes: How many logits to give.
            options: Of the network.
            hidden: The hidden layer's name.
            hidden_activation: The hidden layer's activation; `None` for none.
        """
        super().__init__(name="head")
        incoming, projected, inner = channels
        ones = (1,) * (options.kernel_rank - 2)
        is_stream = options.mode == "stream"
        first, second = (
            ("conv2d/conv2d", "conv2d/conv2d_1") if is_stream else ("conv3d",) * 2
        )
        self.project = Convolution(
            f"head/project/{first}",
            (*ones, incoming, projected),
            options,
            norm="head/project/bn",
            activation=options.activate,
        )
        self.hidden = Convolution(
            f"classifier_head/{hidden}/{first}",
            (*ones, projected, inner),
            options,
            activation=hidden_activation,
        )
        self.classifier = Convolution(
            f"classifier_head/classifier/{second}",
            (*ones, inner, num_classes),
            options,
            stddev=0.01,  # [2]: a classifier starts undecided
        )
        self.dropout = keras.layers.Dropout(options.dropout_rate, name="dropout")
        self.built = True

    def call(
        self,
        x: Tensor,
        timeline: Timeline,
        memory: Memory | None = None,
        training: bool = False,  # noqa: FBT001, FBT002 - Keras's own signature
    ) -> Tensor:
        """Return logits: ``(batch, 1, 1, classes)`` of clips, ``(batch * frames, 1, 1, classes)`` of streams."""
        features = self.features(x, timeline, memory, training=training)
        return self.classify(features, timeline, training=training)

    def features(
        self,
        x: Tensor,
        timeline: Timeline,
        memory: Memory | None = None,
        *,
        training: bool = False,
    ) -> dict[str, Tensor]:
        """Return the features by name, ``hidden`` among them; rows as those of the logits."""
        x = self.project(x, timeline=timeline, training=training)
        return self.summarise(x, timeline, memory)

    def classify(
        self,
        features: Mapping[str, Tensor],
        timeline: Timeline,
        *,
        training: bool = False,
    ) -> Tensor:
        """Return the logits of *features*."""
        x = self.dropout(features["hidden"], training=training)
        return self.classifier(x, timeline=timeline)

    def summarise(
        self, x: Tensor, timeline: Timeline, memory: Memory | None
    ) -> dict[str, Tensor]:
        """Return the features of the projected rows, each ``(batch or batch * frames, 1, 1, channels)``."""
        raise NotImplementedError

    @property
    def products_of_one_row(self) -> tuple[Convolution, ...]:
        """The convolutions of what has no space left."""
        return (self.hidden, self.classifier)

    @property
    def named_weights(self) -> dict[str, Any]:
        """The weights under their published names."""
        return {
            **self.project.named_weights,
            **self.hidden.named_weights,
            **self.classifier.named_weights,
        }

    def fold_into(self, other: Self) -> None:
        """Give *other*, a folded head, the weights that compute the same as this one."""
        self.project.fold_into(other.project)
        self.hidden.fold_into(other.hidden)
        self.classifier.fold_into(other.classifier)


class Head(ClassifierHead):
    """From the last rows to logits: project, pool, one hidden layer, classify."""

    feature_names = ("pooled", "hidden")

    def __init__(
        self, channels: tuple[int, int, int], num_classes: int, options: Options
    ) -> None:
        """Create the weights; see `ClassifierHead`."""
        super().__init__(
            channels, num_classes, options, hidden="head", hidden_activation=swish
        )

    def summarise(
        self, x: Tensor, timeline: Timeline, memory: Memory | None
    ) -> dict[str, Tensor]:
        """Return the mean over a clip, or over all frames so far, ``pooled``, and the ``hidden`` layer of it."""
        if memory is None:
            x = timeline.mean_of_clips(x)
        else:
            x = memory.running_mean(
                "head", tf.reduce_mean(x, axis=[1, 2], keepdims=True)
            )
        return {"pooled": x, "hidden": self.hidden(x, timeline=timeline)}


def shape_of(x: Tensor) -> Any:
    """Return a shape to reshape to: plain numbers, with -1 for the rows, where all others are known."""
    if None in x.shape[1:]:
        return tf.shape(x)
    return [-1 if x.shape[0] is None else x.shape[0], *x.shape[1:]]


def size_of(x: Tensor, axis: int) -> Any:
    """Return the size of one axis, an int where it is known when the graph is built."""
    return tf.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]
