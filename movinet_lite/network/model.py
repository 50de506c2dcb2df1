"""MoViNet in Keras 3: A0 to A5 and T0, for whole clips and for streams.

References:
    [1] D. Kondratyuk et al., "MoViNets: Mobile Video Networks for Efficient Video Recognition", CVPR 2021,
        arXiv:2103.11511.
    [2] TensorFlow Model Garden, ``official/projects/movinet/modeling``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from movinet_lite.arrays import FrameSize
from movinet_lite.errors import LabelsError, ModelError, VariantError
from movinet_lite.network.facts import TransformerFacts
from movinet_lite.network.layers import (
    NORM_MOMENTUM,
    Bottleneck,
    Convolution,
    Head,
    Memory,
    Options,
    Tensor,
    Timeline,
    convolve_over_space,
    size_of,
)
from movinet_lite.network.memories import ClipMemory, StateMemory
from movinet_lite.network.padding import STEM_PADDING, Padding, layer_paddings
from movinet_lite.network.spec import (
    USUAL_ACTIVATION,
    Activation,
    Gate,
    NetworkSpec,
)
from movinet_lite.network.states import init_states
from movinet_lite.network.tensorflow import keras, tf
from movinet_lite.network.transformer import TransformerHead
from movinet_lite.network.variants import as_mode, get_variant

__all__ = ["Movinet", "build_movinet", "fold", "replace_head"]


class Movinet(keras.Model):
    """A MoViNet with its classifier.

    ``network(clips)`` gives the logits of whole clips, with ``training=True`` in training. A stream's `step` takes any
    number of frames and the states before them, and gives the logits of every frame and the states after them; it
    changes nothing.

    Attributes:
        spec: What it is.
        variant: The architecture.
        options: What distinguishes it from others of its variant.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        dropout_rate: float = 0.0,
        norm_momentum: float = NORM_MOMENTUM,
        folded: bool = False,
    ) -> None:
        """Create the weights, at random; prefer `build_movinet`.

        Args:
            spec: What to build.
            dropout_rate: Share of the hidden layer's outputs dropped in training, 0 to 1.
            norm_momentum: How much of its statistics a batch norm keeps with each step of a training, 0 to 1.
            folded: Whether to build the form for inference that `fold` fills.
        """
        super().__init__(name=f"movinet_{spec.variant}_{spec.mode}")
        self.spec = spec
        self.variant = get_variant(spec.variant)
        self.options = Options(
            spec.layer_mode,
            spec.gate,
            spec.activation,
            spec.positional_encoding,
            dropout_rate,
            norm_momentum,
            folded,
        )
        stem = self.variant.stem_channels
        ones = (1,) * (self.options.kernel_rank - 4)
        is_stream = spec.layer_mode == "stream"
        self.stem = Convolution(
            "stem/stem/" + ("conv2d/conv2d" if is_stream else "conv3d"),
            (*ones, 3, 3, 3, stem),
            self.options,
            convolve=convolve_over_space(
                2, None if spec.padding == "same" else STEM_PADDING
            ),
            norm="stem/stem/bn",
            activation=self.options.activate,
        )
        self.bottlenecks = [
            Bottleneck(f"b{block}/l{index}", layer, self.options, padding)
            for block, index, layer, padding in layer_paddings(
                self.variant, spec.padding
            )
        ]
        self.head = self._new_head()
        self.built = True

    def call(self, frames: Tensor, training: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - Keras's own signature
        """Return the logits of whole clips.

        Args:
            frames: ``(clips, frames, height, width, 3)`` float32, 0 to 1, RGB.
            training: Whether batch norms use and update the statistics of this batch, and dropout drops.

        Returns:
            ``(clips, classes)`` float32, not normalised. Those of a stream model are the ones of the last frame.
        """
        if self.spec.mode == "stream":
            return self.call_by_frame(frames, training=training)[:, -1]
        batch, count = size_of(frames, 0), size_of(frames, 1)
        rows = self.call_rows(
            unroll(frames), Timeline(batch, count, None), training=training
        )
        return tf.reshape(rows, [batch, self.spec.num_classes])

    def call_rows(
        self, rows: Tensor, timeline: Timeline, *, training: bool = False
    ) -> Tensor:
        """Return the logits of whole clips whose frames are rows, for a network of mode ``base``.

        Args:
            rows: ``(clips * frames, height, width, 3)`` float32.
            timeline: Of the rows.
            training: As in `call`.

        Returns:
            ``(clips, 1, 1, classes)``.
        """
        logits, _ = self.call_rows_with_features(rows, timeline, training=training)
        return logits

    def call_rows_with_features(
        self, rows: Tensor, timeline: Timeline, *, training: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what `call_rows` returns, and the features; see `forward_with_features`."""
        is_causal = self.spec.layer_mode == "stream"
        memory = ClipMemory(timeline) if is_causal else None
        return self.forward_with_features(rows, timeline, memory, training=training)

    def _new_head(self) -> Head | TransformerHead:
        spec, variant = self.spec, self.variant
        incoming = variant.blocks[-1].out_channels
        if spec.transformer is not None:
            return TransformerHead(
                (incoming, variant.head_channels),
                spec.num_classes,
                self.options,
                spec.transformer,
                by_frame=spec.mode == "stream",
            )
        channels = (incoming, variant.head_channels, variant.hidden_channels)
        return Head(channels, spec.num_classes, self.options)

    def call_by_frame(
        self,
        clips: Tensor,
        *,
        training: bool = False,
        states: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the logits after each frame of whole clips, as a stream would see them.

        Args:
            clips: ``(clips, frames, height, width, 3)`` float32, 0 to 1, RGB.
            training: As in `call`.
            states: Of the streams before the clips, from `states_after`; `None` where the clips are the first they see.

        Returns:
            ``(clips, frames, classes)`` float32, not normalised.

        Raises:
            VariantError: If the network is of mode ``base``.
        """
        self._check_is_stream()
        logits, _, _ = self._step(clips, states, training=training)
        return logits

    def states_after(self, clips: Tensor) -> dict[str, Tensor]:
        """Return the states of streams that have seen whole clips.

        Args:
            clips: ``(clips, frames, height, width, 3)`` float32, 0 to 1, RGB; at least one frame.

        Raises:
            VariantError: If the network is of mode ``base``.
        """
        self._check_is_stream()
        _, states, _ = self._step(clips, None)
        return states

    def step(
        self, frames: Tensor, states: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits of every frame, and the states after the last.

        Args:
            frames: ``(batch, frames, height, width, 3)`` float32, 0 to 1, RGB: the next frames of each stream.
            states: What `init_states` or the last step gave.

        Returns:
            ``(batch, frames, classes)`` float32, where frame *i* counts all frames of its stream up to it; and the
            states, under the same names.

        Raises:
            VariantError: If the network is of mode ``base``.
        """
        self._check_is_stream()
        logits, after, _ = self._step(frames, states)
        return logits, after

    def call_with_features(self, clips: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits of whole clips, and their features by name; see `forward_with_features`.

        Args:
            clips: ``(clips, frames, height, width, 3)`` float32, 0 to 1, RGB.

        Returns:
            ``(clips, classes)`` and, for each name, ``(clips, channels)``.

        Raises:
            VariantError: If the network is of mode ``stream``; see `step_with_features`.
        """
        if self.spec.mode != "base":
            raise VariantError(
                "only a network of mode 'base' gives features of whole clips; this one is 'stream' "
                "(call step_with_features)",
                "stream",
                ("base",),
            )
        timeline = Timeline(size_of(clips, 0), size_of(clips, 1), None)
        logits, features = self.call_rows_with_features(unroll(clips), timeline)
        by_clip = {
            name: tf.reshape(rows, [timeline.batch, rows.shape[-1]])
            for name, rows in {"logits": logits, **features}.items()
        }
        return by_clip.pop("logits"), by_clip

    def step_with_features(
        self, frames: Tensor, states: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Return the logits of every frame, the states after the last, and the features after every frame by name.

        The arguments and the first two results are those of `step`; features are ``(batch, frames, channels)``.

        Raises:
            VariantError: If the network is of mode ``base``.
        """
        self._check_is_stream()
        return self._step(frames, states)

    def init_states(self, batch: int, frame_size: FrameSize) -> dict[str, Any]:
        """Return the states of streams that have seen no frame.

        Args:
            batch: Number of streams.
            frame_size: ``(height, width)`` of the frames to come.

        Returns:
            Numpy arrays in the layout that `movinet_lite.network.states` describes.

        Raises:
            VariantError: If the network is of mode ``base``.
        """
        self._check_is_stream()
        return dict(init_states(self.variant, batch, frame_size, facts=self.spec))

    def forward(
        self,
        rows: Tensor,
        timeline: Timeline,
        memory: Memory | None = None,
        *,
        training: bool = False,
    ) -> Tensor:
        """Return the logits of rows of frames; `call` and `step` are made of it.

        Args:
            rows: ``(batch * frames, height, width, 3)`` float32.
            timeline: Of the rows.
            memory: Of the streams; `None` in a base model.
            training: As in `call`.

        Returns:
            ``(batch, 1, 1, classes)`` in a base model, ``(batch * frames, 1, 1, classes)`` in a stream model.
        """
        logits, _ = self.forward_with_features(
            rows, timeline, memory, training=training
        )
        return logits

    def forward_with_features(
        self,
        rows: Tensor,
        timeline: Timeline,
        memory: Memory | None = None,
        *,
        training: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits of rows of frames, and the features that they come from.

        The arguments are those of `forward`.

        Returns:
            The logits, as `forward` returns them; and ``pooled``, the input of the hidden layer, and ``hidden``, its
            output, ``(rows of the logits, 1, 1, channels)``. A network with a transformer has ``hidden`` alone.
        """
        x = self.run_first_block(rows, timeline, memory, training=training)
        return self.run_later_blocks(x, timeline, memory, training=training)

    def run_first_block(
        self,
        rows: Tensor,
        timeline: Timeline,
        memory: Memory | None = None,
        *,
        training: bool = False,
    ) -> Tensor:
        """Return what the stem and the first block give; the arguments are those of `forward`.

        Returns:
            ``(batch * frames, height / 4, width / 4, channels)``.
        """
        x = self.stem(rows, timeline=timeline, training=training)
        for bottleneck in self.bottlenecks[: self._layers_of_first_block]:
            x = bottleneck(x, timeline=timeline, memory=memory, training=training)
        return x

    def run_later_blocks(
        self,
        x: Tensor,
        timeline: Timeline,
        memory: Memory | None = None,
        *,
        training: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what `forward_with_features` does, from what `run_first_block` gave."""
        for bottleneck in self.bottlenecks[self._layers_of_first_block :]:
            x = bottleneck(x, timeline=timeline, memory=memory, training=training)
        features = self.head.features(x, timeline, memory, training=training)
        return self.head.classify(features, timeline, training=training), features

    @property
    def _layers_of_first_block(self) -> int:
        return self.variant.layer_counts[0]

    @property
    def named_weights(self) -> dict[str, Any]:
        """Every weight under the name that the models on TF Hub give it, without ``:0``."""
        named = dict(self.stem.named_weights)
        for bottleneck in self.bottlenecks:
            named.update(bottleneck.named_weights)
        named.update(self.head.named_weights)
        return named

    def set_functions(self, activation: Activation, gate: Gate) -> None:
        """Change activation and gate, for an importer that finds out which the weights were trained with.

        Args:
            activation: Of the backbone, as in `NetworkSpec`.
            gate: Of every squeeze-excitation, as in `NetworkSpec`.

        Raises:
            VariantError: If there is no such activation or gate.
        """
        self.spec = attrs.evolve(self.spec, activation=activation, gate=gate)
        self.options = attrs.evolve(self.options, activation=activation, gate=gate)
        self.stem.activation = self.head.project.activation = self.options.activate
        for bottleneck in self.bottlenecks:
            bottleneck.set_functions(self.options)

    def _step(
        self,
        frames: Tensor,
        states: Mapping[str, Tensor] | None,
        *,
        training: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        frames = tf.convert_to_tensor(frames)
        memory = StateMemory(states, frames)
        timeline = memory.timeline
        logits, features = self.forward_with_features(
            unroll(frames), timeline, memory, training=training
        )
        by_stream = {
            name: tf.reshape(rows, [timeline.batch, timeline.frames, rows.shape[-1]])
            for name, rows in {"logits": logits, **features}.items()
        }
        return by_stream.pop("logits"), memory.finish(), by_stream

    def _check_is_stream(self) -> None:
        if self.spec.mode != "stream":
            raise VariantError(
                "only a network of mode 'stream' goes frame by frame; this one is 'base' (call it with whole clips)",
                "base",
                ("stream",),
            )


def unroll(frames: Tensor) -> Tensor:
    """Return ``(batch * frames, height, width, channels)`` of ``(batch, frames, height, width, channels)``."""
    shape = [size_of(frames, axis) for axis in range(5)]
    return tf.reshape(frames, [shape[0] * shape[1], *shape[2:]])


def build_movinet(
    variant: str,
    mode: str,
    num_classes: int,
    *,
    gate: Gate | None = None,
    activation: Activation | None = None,
    positional_encoding: bool | None = None,
    dropout_rate: float = 0.0,
    labels: Sequence[str] | None = None,
    frame_size: FrameSize | None = None,
    fps: float | None = None,
    source: str | None = None,
    transformer: TransformerFacts | None = None,
    padding: Padding = "same",
) -> Movinet:
    """Return a MoViNet with random weights.

    Args:
        variant: ``t0``, ``a0`` ... ``a5``.
        mode: ``base`` for whole clips, ``stream`` for frames as they arrive.
        num_classes: How many logits it gives.
        gate: The gate of the squeeze-excitation; `None` for ``sigmoid`` in base and ``hard_sigmoid`` in stream models.
        activation: The activation of the backbone; `None` for ``swish`` in base and ``hard_swish`` in stream models.
        positional_encoding: Whether the squeeze is told the position in time; `None` for what was published.
        dropout_rate: Share of the hidden layer's outputs dropped in training, 0 to 1.
        labels: Names of the classes, in the order of the logits.
        frame_size: ``(height, width)``; `None` for the variant's.
        fps: Frames per second; `None` for the variant's.
        source: Where the weights come from.
        transformer: A transformer over the embeddings of frames, in place of the hidden layer; `None` for none.
        padding: How convolutions of stride 2 treat the edge of a frame.

    Raises:
        VariantError: If variant, mode, gate, activation or positional encoding do not exist, or not together.
        LabelsError: If the labels are not as many as the classes.

    Example:
        >>> from movinet_lite.network.model import build_movinet
        >>> network = build_movinet("t0", "stream", num_classes=5)
        >>> states = network.init_states(1, (32, 32))
    """
    table = get_variant(variant)
    known_mode = as_mode(mode)
    if positional_encoding is None:
        positional_encoding = mode == "stream" and table.has_positional_encoding
    spec = NetworkSpec(
        variant=table.name,
        mode=known_mode,
        num_classes=num_classes,
        gate=gate or ("sigmoid" if mode == "base" else "hard_sigmoid"),
        positional_encoding=positional_encoding,
        frame_size=frame_size or table.frame_size,
        fps=table.fps if fps is None else fps,
        labels=None if labels is None else tuple(labels),
        source=source,
        activation=activation or USUAL_ACTIVATION[known_mode],
        transformer=transformer,
        padding=padding,
    )
    return Movinet(spec, dropout_rate=dropout_rate)


def fold(network: Movinet) -> Movinet:
    """Return the network for inference: the same logits from fewer operations, and nothing to train.

    Every batch norm, residual scale and gate factor goes into the weights of a convolution.

    Raises:
        ModelError: If it is folded already.
    """
    _check_not_folded(network)
    folded = Movinet(network.spec, folded=True)
    network.stem.fold_into(folded.stem)
    for source, target in zip(network.bottlenecks, folded.bottlenecks, strict=True):
        source.fold_into(target)
    network.head.fold_into(folded.head)
    return folded


def _check_not_folded(network: Movinet) -> None:
    if network.options.folded:
        raise ModelError(
            "the network must be one that can be trained; this one is folded (give the one that it was folded from)",
            network.spec.source or "",
        )


def replace_head(
    network: Movinet,
    num_classes: int | None = None,
    *,
    labels: Sequence[str] | None = None,
    keep: bool = False,
    dropout_rate: float | None = None,
    norm_momentum: float | None = None,
) -> Movinet:
    """Return a network with the same backbone and a classifier for other classes: the first step of fine-tuning.

    The hidden layer before the classifier is kept too; only the classifier starts anew. It is not calibrated, and has
    no class for "none of these".

    Args:
        network: Stays as it is.
        num_classes: How many classes; `None` for as many as *labels*.
        labels: Names of the new classes.
        keep: Whether classes that both know by name keep their weights, so that their logits do not change. Needs
            the labels of both.
        dropout_rate: Of the new network; `None` for that of the old.
        norm_momentum: Of the new network; `None` for that of the old.

    Raises:
        LabelsError: If there are neither *labels* nor *num_classes*, if they disagree, or if *keep* is asked for
            without the labels of both.
        ModelError: If it is folded: its weights are for inference alone.
    """
    _check_not_folded(network)
    names = None if labels is None else tuple(labels)
    if names is None and num_classes is None:
        raise LabelsError("replace_head needs labels or num_classes; got neither")
    spec = attrs.evolve(
        network.spec,
        labels=names,
        num_classes=len(names or ()) if num_classes is None else num_classes,
        temperature=None,
        background_index=None,
    )
    old = network.options
    replaced = Movinet(
        spec,
        dropout_rate=old.dropout_rate if dropout_rate is None else dropout_rate,
        norm_momentum=old.norm_momentum if norm_momentum is None else norm_momentum,
    )
    old_weights = network.named_weights
    for name, weight in replaced.named_weights.items():
        if not name.startswith("classifier_head/classifier/"):
            weight.assign(old_weights[name])
    if keep:
        _keep_classes(network, replaced)
    return replaced


def _keep_classes(network: Movinet, replaced: Movinet) -> None:
    old, new = network.spec.labels, replaced.spec.labels
    if old is None or new is None:
        which = "the network" if old is None else "the new head"
        raise LabelsError(
            f"to keep classes by name both heads must have labels; {which} has none"
        )
    pairs = [(index, old.index(name)) for index, name in enumerate(new) if name in old]
    if not pairs:
        raise LabelsError(
            f"to keep classes by name one at least must be in both heads; none of {list(new[:3])}... is in "
            f"{list(old[:3])}..."
        )
    columns, sources = (list(side) for side in zip(*pairs, strict=True))
    for part in ("kernel", "bias"):
        target = getattr(replaced.head.classifier, part)
        values = np.asarray(target).copy()
        values[..., columns] = np.asarray(getattr(network.head.classifier, part))[
            ..., sources
        ]
        target.assign(values)
