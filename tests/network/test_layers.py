"""Each part computes what its formula says, compared with a direct computation."""

import attrs
import numpy as np
import pytest
import tensorflow as tf

from movinet_lite.network.layers import (
    Convolution,
    Options,
    Timeline,
    convolve_channels_over_space_and_time,
    convolve_channels_over_time,
    encode_position,
    hard_swish,
    swish,
)

BASE = Options("base", "sigmoid", "swish")
STREAM = Options("stream", "hard_sigmoid", "hard_swish")


def direct_depthwise_3d(clips, kernel, stride):
    """Return the zero-padded depthwise 3-D convolution by TensorFlow's own 3-D kernel, channel by channel."""
    length, height, width, _, channels = kernel.shape
    found = []
    for channel in range(channels):
        one = tf.nn.conv3d(
            clips[..., channel : channel + 1],
            kernel[..., channel].reshape(length, height, width, 1, 1),
            [1, 1, stride, stride, 1],
            "SAME",
        )
        found.append(one.numpy())
    return np.concatenate(found, axis=-1)


@pytest.mark.parametrize("shape", [(3, 3, 3), (5, 3, 3), (1, 5, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("batch", "frames"), [(1, 7), (3, 4), (2, 1), (1, 1)])
def test_sum_of_2d_convolutions_is_the_3d_one(shape, stride, batch, frames):
    """Each clip's own frames are convolved over space and time, with zeros around it, in odd sizes as well."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(batch, frames, 9, 12, 4)).astype("float32")
    kernel = rng.normal(size=(*shape, 1, 4)).astype("float32")

    convolve = convolve_channels_over_space_and_time(stride)
    timeline = Timeline(batch, frames, None)
    rows = convolve(clips.reshape(-1, 9, 12, 4), tf.constant(kernel), timeline)

    expected = direct_depthwise_3d(clips, kernel, stride)
    np.testing.assert_allclose(
        rows.numpy().reshape(expected.shape), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("length", [3, 5])
def test_convolution_over_time_is_causal_and_oldest_first(length):
    """Frame t is the sum over k of kernel[k] times frame t - (length - 1) + k, for each pixel and channel."""
    rng = np.random.default_rng(0)
    window = rng.normal(size=(2, length - 1 + 3, 6, 4)).astype("float32")
    kernel = rng.normal(size=(length, 1, 4, 1)).astype("float32")

    found = convolve_channels_over_time(window, kernel, None).numpy()

    expected = sum(kernel[k, 0, :, 0] * window[:, k : k + 3] for k in range(length))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_activations_follow_their_formulas():
    """Swish is x sigmoid(x), hard swish x relu6(x + 3) / 6."""
    x = np.linspace(-8, 8, 33).astype("float32")

    np.testing.assert_allclose(swish(x), x / (1 + np.exp(-x)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        hard_swish(x), x * np.clip(x + 3, 0, 6) / 6, rtol=1e-5, atol=1e-6
    )


def test_positions_are_sines_then_cosines_from_zero():
    """Position 0 is that of the first frame, and the waves lengthen from 2 pi to 10,000 times 2 pi."""
    counts = np.array([1, 2, 1000], "float32").reshape(-1, 1, 1, 1)

    found = encode_position(counts, 6).numpy().reshape(3, 6)

    positions = np.array([0.0, 1.0, 999.0])
    frequencies = 10_000.0 ** (-np.array([0, 2, 4]) / 6)
    angles = positions[:, np.newaxis] * frequencies
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-4)  # float32 angles up to 999
    np.testing.assert_array_equal(found[0], [0, 0, 0, 1, 1, 1])


def test_timeline_counts_the_frames_of_each_stream():
    """Rows of a stream go on from its age, whatever the ages of the others."""
    timeline = Timeline.after(tf.constant([0, 7]), 2, 3)

    np.testing.assert_array_equal(timeline.counts.numpy().ravel(), [1, 2, 3, 8, 9, 10])


def convolution_with_norm(momentum=0.9):
    """Return a convolution that leaves 4 channels as they are, and the statistics and factors of its norm."""
    options = Options("base", "sigmoid", "swish", norm_momentum=momentum)
    layer = Convolution("block/conv", (1, 1, 4, 4), options, norm="block/bn")
    rng = np.random.default_rng(0)
    values = {part: rng.uniform(0.01, 0.1, 4).astype("float32") for part in layer.norm}
    for part, value in values.items():
        layer.norm[part].assign(value)
    layer.kernel.assign(np.eye(4, dtype="float32")[np.newaxis, np.newaxis])
    return layer, values


def normalised(rows, mean, variance, values):
    """Return *rows* after the batch norm, by its formula; 0.001 is the epsilon of the published models."""
    return values["gamma"] * (rows - mean) / np.sqrt(variance + 0.001) + values["beta"]


def test_a_norm_uses_what_it_learnt():
    """Outside training a row comes out the same whatever stands beside it."""
    layer, values = convolution_with_norm()
    rows = np.random.default_rng(1).normal(size=(3, 2, 2, 4)).astype("float32")

    found = layer(rows, timeline=Timeline(1, 3, None))

    expected = normalised(
        rows, values["moving_mean"], values["moving_variance"], values
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_norm_learns_in_training():
    """It normalises by the batch, and moves a tenth of the way to it if its momentum is 0.9."""
    layer, values = convolution_with_norm(momentum=0.9)
    rows = np.random.default_rng(1).normal(size=(3, 2, 2, 4)).astype("float32")

    found = layer(rows, timeline=Timeline(1, 3, None), training=True)

    axes = (0, 1, 2)
    mean, variance = rows.mean(axes), rows.var(axes)
    np.testing.assert_allclose(
        found, normalised(rows, mean, variance, values), rtol=1e-4, atol=1e-5
    )
    for part, seen in (
        ("moving_mean", mean),
        ("moving_variance", rows.var(axes, ddof=1)),
    ):
        np.testing.assert_allclose(
            layer.norm[part], 0.9 * values[part] + 0.1 * seen, rtol=1e-5, atol=1e-6
        )


def test_a_frozen_norm_learns_nothing():
    """In training too it then normalises by what it knew."""
    layer, values = convolution_with_norm()
    layer.trainable = False
    rows = np.random.default_rng(1).normal(size=(3, 2, 2, 4)).astype("float32")

    found = layer(rows, timeline=Timeline(1, 3, None), training=True)

    np.testing.assert_array_equal(found, layer(rows, timeline=Timeline(1, 3, None)))
    for part, value in values.items():
        np.testing.assert_array_equal(layer.norm[part], value)


@pytest.mark.parametrize(
    "shape", [(3, 3, 4, 6), (5, 1, 4, 1), (1, 3, 3, 4, 6), (3, 3, 3, 1, 4)]
)
def test_folding_leaves_what_a_convolution_computes(shape):
    """The norm goes into kernel and bias; scales before and after do as well."""
    options = BASE if len(shape) == 5 else STREAM
    name = "depthwise" if 1 in shape[-2:] else "conv"
    norm = tf.random.Generator.from_seed(1)
    convolve = (
        (lambda x, k, _: tf.nn.depthwise_conv2d(x, k, [1] * 4, "SAME"))
        if shape[-1] == 1
        else None
    )
    if shape[-2] == 1 and shape[-1] != 1:
        convolve = convolve_channels_over_space_and_time(1)
    made = [
        Convolution(name, shape, chosen, norm="bn", convolve=convolve)
        for chosen in (options, attrs.evolve(options, folded=True))
    ]
    for part in made[0].named_weights.values():
        part.assign(norm.uniform(part.shape, 0.5, 1.5))
    x = norm.normal((4, 8, 7, 4))
    timeline = Timeline(2, 2, None)

    made[0].fold_into(made[1], scale=0.5, shift=3.0, input_scale=2.0)

    plain, folded = made
    np.testing.assert_allclose(
        folded(x / 2.0, timeline=timeline),
        0.5 * plain(x, timeline=timeline) + 3.0,
        rtol=1e-4,
        atol=1e-4,
    )
