"""The head of models trained with GRW-smoothing: frame embeddings and a small transformer over time [1].

The embedding of a frame is the spatial mean of the backbone's output, after one dense layer and a layer norm. The
transformer attends to the embeddings of all frames of a clip, past and future, and the classifier takes the mean of its
output over frames.

In a stream, it runs after each frame over the embeddings of the last `TRANSFORMER_WINDOW` frames, or of all while there are
fewer. This is our extension ([1] classifies whole clips); its accuracy is not measured. Up to that number of frames, the
logits are those of the whole clip.

References:
    [1] G. Goldman, R. Giryes, M. Satyanarayanan, "Smooth Regularization for Efficient Video Recognition", NeurIPS 2025,
        arXiv:2511.20928; cmusatyalab/grw-smoothing, ``model/action_recognition_model.py``, ``model/attention.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.network.facts import TRANSFORMER_WINDOW, TransformerFacts
from movinet_lite.network.layers import (
    ClassifierHead,
    Convolution,
    Memory,
    Options,
    Tensor,
    Timeline,
    size_of,
)
from movinet_lite.network.tensorflow import tf

__all__ = ["HIDDEN", "NORM_EPSILON", "TransformerHead", "wave_frequencies"]

NORM_EPSILON: Final = 1e-5  # PyTorch's ``LayerNorm``
_LONGEST_WAVE: Final = 10_000.0  # [1, ``posemb_sincos_1d``]
HIDDEN: Final = -1e9  # an attention score that is in effect minus infinity
_PREFIX: Final = "classifier_head/transformer"


@attrs.frozen(eq=False)
class _Sequences:
    """The inputs of the transformer.

    Attributes:
        tokens: ``(sequences, places, channels)``.
        positions: ``(sequences or 1, places, 1)`` float32: the position of each in its sequence, from 0.
        present: ``(sequences, places, 1)`` float32: 1 for a frame, 0 for padding before the first; `None` if there is no
            padding.
    """

    tokens: Tensor
    positions: Tensor
    present: Tensor | None


class TransformerHead(ClassifierHead):
    """Computes logits from the backbone's output: projection, embedding, transformer, classifier."""

    feature_names = ("hidden",)

    def __init__(
        self,
        channels: tuple[int, int],
        num_classes: int,
        options: Options,
        facts: TransformerFacts,
        *,
        by_frame: bool,
    ) -> None:
        """Create the weights.

        Args:
            channels: The numbers of input channels and of channels of the projection.
            num_classes: Number of classes.
            options: The options of the network.
            facts: The facts of the transformer.
            by_frame: Whether to return logits after each frame, over the last frames, or for whole clips.
        """
        super().__init__(
            (*channels, facts.embed_dim), num_classes, options, hidden="embedding"
        )
        self._facts = facts
        self._by_frame = by_frame
        self._parts: dict[str, Any] = {}
        if not options.folded:  # see fold_into
            self._parts = {
                name: self.add_weight(
                    name=name.replace("/", "_"), shape=shape, initializer=initial
                )
                for name, shape, initial in _weights(facts)
            }

    def summarise(
        self, x: Tensor, timeline: Timeline, memory: Memory | None
    ) -> dict[str, Tensor]:
        """Return ``hidden``, the transformer's mean output over the frames of a clip or the last frames of a stream."""
        x = self._norm("norm", self.embed(x, timeline))
        if self._by_frame and memory is not None:
            sequences = _last_frames(x, timeline, memory)
        else:
            sequences = _whole_clips(x, timeline)
        return {"hidden": tf.expand_dims(tf.expand_dims(self._relate(sequences), 1), 1)}

    def embed(self, x: Tensor, timeline: Timeline) -> Tensor:
        """Return the embedding of each frame before the layer norm, ``(batch * frames, 1, 1, channels)``."""
        x = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
        return self.hidden(x, timeline=timeline)

    def _relate(self, sequences: _Sequences) -> Tensor:
        """Return the mean over frames of the transformer's output, ``(sequences, channels)``."""
        present = sequences.present
        x = sequences.tokens + _encode(sequences.positions, self._facts.embed_dim)
        for index in range(self._facts.depth):
            layer = f"l{index}"
            y = self._norm(f"{layer}/attention_norm", x)
            x += self._attend(f"{layer}/attention", y, present)
            y = self._norm(f"{layer}/mlp_norm", x)
            y = tf.nn.gelu(self._dense(f"{layer}/mlp/hidden", y), approximate=False)
            x += self._dense(f"{layer}/mlp/output", y)
        x = self._norm("last_norm", x)
        if present is None:
            return tf.reduce_mean(x, axis=1)
        return tf.reduce_sum(x * present, axis=1) / tf.reduce_sum(present, axis=1)

    def _attend(self, name: str, x: Tensor, present: Tensor | None) -> Tensor:
        """Return multi-head self-attention over the frames, ``(sequences, places, channels)``."""
        heads, channels = self._facts.num_heads, self._facts.embed_dim
        width = channels // heads
        query, key, value = (
            tf.transpose(_split(part, x, [heads, width]), [0, 2, 1, 3])
            for part in tf.split(self._dense(f"{name}/input", x), 3, axis=-1)
        )
        scores = tf.matmul(query * float(width**-0.5), key, transpose_b=True)
        if present is not None:
            seen = tf.expand_dims(tf.transpose(present, [0, 2, 1]), 1)
            scores += (1.0 - seen) * HIDDEN
        taken = tf.matmul(tf.nn.softmax(scores), value)
        taken = _split(tf.transpose(taken, [0, 2, 1, 3]), x, [channels])
        return self._dense(f"{name}/output", taken)

    def _dense(self, name: str, x: Tensor) -> Tensor:
        kernel, bias = (self._part(f"{name}/{part}") for part in ("kernel", "bias"))
        # LiteRT has a fast kernel for two axes.
        rows = tf.matmul(tf.reshape(x, [-1, kernel.shape[0]]), kernel) + bias
        return _split(rows, x, [kernel.shape[1]])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        x = centred * tf.math.rsqrt(variance + NORM_EPSILON)
        return x * self._part(f"{name}/gamma") + self._part(f"{name}/beta")

    def part(self, name: str) -> NDArray[np.float32]:
        """Return one weight of the transformer, such as ``l0/attention/input/kernel``."""
        return np.asarray(self._parts[name])

    def _part(self, name: str) -> Tensor:
        return tf.convert_to_tensor(self._parts[name])

    @property
    def products_of_one_row(self) -> tuple[Convolution, ...]:
        """None: the products have one row per frame."""
        return ()

    @property
    def named_weights(self) -> dict[str, Any]:
        """The weights by name; those before the embedding have published names."""
        return {
            **super().named_weights,
            **{f"{_PREFIX}/{name}": part for name, part in self._parts.items()},
        }

    def fold_into(self, other: Self) -> None:
        """Set the weights of *other*, a head with folded batch norms, so that it computes the same."""
        super().fold_into(other)
        other.take({name: np.asarray(part) for name, part in self._parts.items()})

    def take(self, parts: dict[str, Any]) -> None:
        """Use arrays as the weights of the transformer, which are constants in a graph."""
        self._parts = parts


def _weights(facts: TransformerFacts) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Return name, shape and initialiser of each weight of the transformer."""
    channels, inner = facts.embed_dim, facts.mlp_dim
    norms = ["norm", "last_norm"]
    dense: list[tuple[str, int, int]] = []
    for index in range(facts.depth):
        norms += [f"l{index}/attention_norm", f"l{index}/mlp_norm"]
        dense += [
            (f"l{index}/attention/input", channels, 3 * channels),
            (f"l{index}/attention/output", channels, channels),
            (f"l{index}/mlp/hidden", channels, inner),
            (f"l{index}/mlp/output", inner, channels),
        ]
    for name in norms:
        yield f"{name}/gamma", (channels,), "ones"
        yield f"{name}/beta", (channels,), "zeros"
    for name, into, out in dense:
        yield f"{name}/kernel", (into, out), "glorot_uniform"
        yield f"{name}/bias", (out,), "zeros"


def _whole_clips(x: Tensor, timeline: Timeline) -> _Sequences:
    """Return the embeddings of clips, each a sequence."""
    tokens = tf.squeeze(timeline.by_stream(x), axis=2)
    places = tf.cumsum(tf.ones_like(tokens[:1, :, :1]), axis=1, exclusive=True)
    return _Sequences(tokens, places, None)


def _last_frames(x: Tensor, timeline: Timeline, memory: Memory) -> _Sequences:
    """Return, for each row, the embeddings of the last frames of its stream, with padding while there are fewer."""
    length = TRANSFORMER_WINDOW
    window = tf.squeeze(memory.window("head", x, length - 1), axis=2)
    count = size_of(window, 1) - (length - 1)
    if isinstance(count, int) and count == 1:
        tokens = window
    elif isinstance(count, int):
        pieces = [window[:, at : at + length] for at in range(count)]
        tokens = tf.reshape(tf.stack(pieces, axis=1), [-1, length, x.shape[-1]])
    else:
        places = tf.range(count)[:, tf.newaxis] + tf.range(length)[tf.newaxis]
        tokens = tf.gather(window, places, axis=1)
        tokens = tf.reshape(tokens, [-1, length, x.shape[-1]])
    slots = tf.reshape(tf.range(length, dtype=tf.float32), [1, length, 1])
    counts = tf.reshape(timeline.counts, [-1, 1, 1])
    # The position among the existing frames: from -49 in the first slot of the first frame to 49.
    places = slots + tf.minimum(counts, float(length)) - float(length)
    return _Sequences(tokens, tf.nn.relu(places), tf.clip_by_value(places + 1.0, 0, 1))


def _encode(positions: Tensor, channels: int) -> Tensor:
    """Return the encoding of *positions* [1]: sines in the first half of the channels, cosines in the second."""
    angles = positions * tf.constant(wave_frequencies(channels).reshape(1, 1, -1))
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)


def wave_frequencies(channels: int) -> NDArray[np.float32]:
    """Return the frequencies of the encoding [1], ``(channels / 2,)``, in radians per frame."""
    half = channels // 2
    exponents = np.arange(half, dtype=np.float32) / np.float32(half - 1)
    return np.float32(1.0) / np.power(np.float32(_LONGEST_WAVE), exponents)


def _split(x: Tensor, like: Tensor, last: list[int]) -> Tensor:
    """Return *x* reshaped to the first two axes of *like*, followed by *last*."""
    if like.shape[0] is None and like.shape[1] is not None:
        return tf.reshape(x, [-1, like.shape[1], *last])
    return tf.reshape(x, [size_of(like, 0), -1, *last])
