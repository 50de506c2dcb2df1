"""Export MoViNets from the TensorFlow Model Garden, each with a reference of what it computes.

The Model Garden is the reference implementation of MoViNet. It pins its own TensorFlow and Keras 2, so it lives in an
environment of its own, never in the project's:

    python3 -m venv garden
    garden/bin/pip install tf-models-official
    garden/bin/python tests/model_garden/export.py --out exports --exports a0:stream:hub:7 a0:base:garden:10
    MOVINET_LITE_ORACLE=exports python -m pytest -m oracle

An export is called MODEL:MODE:NAMING:SEED or MODEL:MODE:NAMING:SEED:GATES and is written to a folder of that name with
`_` for `:`, which holds

    saved_model/     a SavedModel with random weights, each far from what it is at first, so that each one shows in the
                     output; the statistics of the batch norms are those of two clips, as training leaves them
    reference.npz    video          (1, frames, height, width, 3), float32, 0 to 1
                     clip_logits    (1, classes): the whole video in one call
                     frame_logits   (frames, classes): one frame a call, states carried on (stream)
                     state:NAME     the states after the last frame (stream)

NAMING garden    the names of the Model Garden's own exports: states `state_block0_layer0_pool_buffer`, variables
                 `block0_layer0/bneck/expansion/conv2d/bn/gamma:0`.
NAMING hub       the names of the models published on TF Hub (version 3): states `state/b0/l0/pool_buffer`, variables
                 `b0/l0/bneck/expansion/bn/gamma:0`; the object can be called, has an attribute `init_states`, and
                 signatures `call` and `init_states` (stream) or `serving_default` (base). The arguments of a
                 signature hold no `/`: there the states are `state_b0_l0_pool_buffer`.

GATES relu6      squeeze-excitation gates of stream models as the Model Garden computes them since 2.8:
                 relu6(x + 3) / 6. The default of garden.
GATES keras2     as the models published on TF Hub computed them: clip(0.2 x + 0.5, 0, 1). The default of hub. Nothing
                 in the names or shapes of the variables tells the two apart.

Without such statistics activations grow from block to block, and a deep network amplifies the rounding of its input
ten thousandfold and more, which no trained one does: then a comparison says nothing. The deepest, A5 base, does so even
with them, unless its residual scales are smaller: --residual-scales 0.1 0.3.

Building and saving a graph takes minutes, other weights in the same graph a second: exports that differ only in their
seed share one graph. In its own exports the Model Garden saves the functions of each layer too; here A0 alone has them,
which would take minutes more for each larger model. The others run by their signatures.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tf_keras
from official.projects.movinet.modeling import movinet, movinet_layers, movinet_model
from official.projects.movinet.tools import export_saved_model

FRAME_SIZES = {"a0": 172, "a1": 172, "a2": 224, "a3": 256, "a4": 290, "a5": 320}
GATES = {"garden": "relu6", "hub": "keras2"}
# Where the weights of a model with the names of TF Hub stand in its checkpoint.
LISTED = "weights_list"
VALUE = ".ATTRIBUTES/VARIABLE_VALUE"


@dataclasses.dataclass(frozen=True)
class Export:
    """What to export."""

    model: str
    mode: str
    naming: str
    seed: int
    gates: str

    @classmethod
    def parse(cls, text: str) -> Export:
        """Read MODEL:MODE:NAMING:SEED or MODEL:MODE:NAMING:SEED:GATES."""
        try:
            model, mode, naming, seed, *rest = text.split(":")
            (gates,) = rest or (GATES[naming],)
            export = cls(model, mode, naming, int(seed), gates)
        except (KeyError, ValueError) as error:
            raise argparse.ArgumentTypeError(
                f"must be MODEL:MODE:NAMING:SEED[:GATES]; got {text!r}"
            ) from error
        if not (
            model in FRAME_SIZES
            and mode in ("base", "stream")
            and gates in GATES.values()
        ):
            raise argparse.ArgumentTypeError(
                f"unknown model, mode or gates in {text!r}"
            )
        return export

    @property
    def folder(self) -> str:
        """The name of its folder."""
        name = f"{self.model}_{self.mode}_{self.naming}_{self.seed}"
        return name if self.gates == GATES[self.naming] else f"{name}_{self.gates}"


class Gates:
    """Which hard sigmoid the squeeze-excitation of stream models computes from now on."""

    def __init__(self) -> None:
        self.kind = "relu6"
        self._original = movinet_layers.tf_utils.get_activation
        movinet_layers.tf_utils.get_activation = self._get_activation

    def _get_activation(
        self, identifier: Any, use_keras_layer: bool = False, **kwargs: Any
    ) -> Any:
        original = self._original(identifier, use_keras_layer=use_keras_layer, **kwargs)
        if identifier != "hard_sigmoid":
            return original

        def gate(x: Any) -> Any:
            if self.kind == "keras2":
                return tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)
            return original(x)

        return tf_keras.layers.Activation(gate)


class Garden:
    """One model of the Model Garden, which takes the weights of one seed after the other."""

    def __init__(
        self,
        model: str,
        mode: str,
        args: argparse.Namespace,
        gates: Gates,
        scratch: Path,
    ) -> None:
        self.stream = mode == "stream"
        self.model = build(model, self.stream, args.classes)
        self._residual_scales = tuple(args.residual_scales)
        self._gates = gates
        self._scratch = scratch / f"{model}_{mode}"
        self._runs: dict[str, Callable[[Any], Any]] = {}

    def use(self, export: Export, video: np.ndarray) -> None:
        """Take the weights and the gates of *export*, whose activations and logits spread as a trained model's do."""
        self._gates.kind = export.gates
        randomise(self.model, export.seed, self._residual_scales)
        clips = np.concatenate([video, make_squares(video.shape, export.seed)])
        if not self.stream:
            # A part of them does: the eager kernel of conv3d takes a second for 1 GFLOP.
            height, width = video.shape[2] // 2, video.shape[3] // 2
            clips = clips[:, ::2, :height, :width]
        self._calibrate(clips)
        factor = 3.0 / self.clip_logits(video).std()
        for weight in self.model.weights:
            if "classifier_head" in weight.name and "/classifier/" in weight.name:
                weight.assign(weight * factor)

    def _calibrate(self, clips: np.ndarray) -> None:
        """Set the statistics of every batch norm to those of *clips*."""
        inputs = {"image": tf.constant(clips)}
        if self.stream:
            inputs |= self.model.init_states(clips.shape)
        norms = [
            layer
            for layer in self.model.submodules
            if isinstance(layer, tf_keras.layers.BatchNormalization)
        ]
        momentum = norms[0].momentum
        for layer in norms:
            layer.momentum = 0.0
        self.model(inputs, training=True)
        for layer in norms:
            layer.momentum = momentum

    def clip_logits(self, video: np.ndarray) -> np.ndarray:
        """Return the logits of the whole video in one call."""
        inputs = {"image": tf.constant(video)}
        if self.stream:
            inputs |= self.model.init_states(video.shape)
        # The eager CPU kernel of conv3d is not to be trusted with every padding; the compiled one is.
        kind = self._gates.kind if self.stream else "any"
        run = self._runs.setdefault(
            kind, tf.function(self.model, jit_compile=not self.stream)
        )
        outputs = run(inputs)
        return (outputs[0] if self.stream else outputs).numpy()

    def frame_logits(self, video: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the logits after each frame, one frame a call, and the states after the last."""
        states, logits = dict(self.model.init_states(video.shape)), []
        for index in range(video.shape[1]):
            frame = tf.constant(video[:, index : index + 1])
            row, states = self.model({**states, "image": frame})
            logits.append(row.numpy()[0])
        return np.stack(logits), states

    def save(self, export: Export, target: Path) -> None:
        """Write a SavedModel of the weights and gates in use."""
        # Only a stream model has such gates.
        gates = export.gates if self.stream else "any"
        graph = self._scratch / f"{export.naming}_{gates}"
        if graph.is_dir():
            copy_graph(graph, target, self.model)
            return
        if export.naming == "hub":
            export_hub_style(self.model, graph, self.stream)
        else:
            with saving_layers(self, all_of_them=export.model == "a0"):
                export_saved_model.export_saved_model(
                    self.model,
                    (None, None, None, None, 3),
                    str(graph),
                    causal=self.stream,
                    bundle_input_init_states_fn=self.stream,
                )
        shutil.copytree(graph, target)


@contextlib.contextmanager
def saving_layers(garden: Garden, *, all_of_them: bool) -> Iterator[None]:
    """Let Keras save the functions of each layer, as it does unless told otherwise, or the signatures alone."""
    original = tf_keras.models.save_model
    if not all_of_them:
        options: dict[str, Any] = {"save_traces": False}
        if not garden.stream:
            # What Keras would have found among the functions.
            options["signatures"] = add_base_functions(tf.Module(), garden.model)
        tf_keras.models.save_model = functools.partial(original, **options)
    try:
        yield
    finally:
        tf_keras.models.save_model = original


def build(model: str, stream: bool, classes: int) -> Any:
    """Return the network as the Model Garden's own recipe for a published model builds it."""
    specs = tf_keras.layers.InputSpec(shape=(None, None, None, None, 3))
    options: dict[str, Any] = {"causal": False, "activation": "simple_swish"}
    if stream:
        options = {
            "causal": True,
            "conv_type": "2plus1d",
            "se_type": "2plus3d",
            "activation": "hard_swish",
            "gating_activation": "hard_sigmoid",
            "use_positional_encoding": model in ("a3", "a4", "a5"),
            "use_external_states": True,
        }
    backbone = movinet.Movinet(
        model_id=model, use_sync_bn=False, input_specs=specs, **options
    )
    classifier = movinet_model.MovinetClassifier(
        backbone,
        num_classes=classes,
        output_states=stream,
        activation="simple_swish",
        input_specs={"image": specs},
    )
    classifier.build([1, 1, 1, 1, 3])
    return classifier


def randomise(model: Any, seed: int, residual_scales: tuple[float, float]) -> None:
    """Give every weight a value of its own, the residual scale of each block one between two *residual_scales*."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name, shape = weight.name, weight.shape
        if "moving_variance" in name:
            value = rng.uniform(0.5, 1.5, shape)
        elif "moving_mean" in name or "beta" in name or "bias" in name:
            value = rng.normal(0, 0.2, shape)
        elif "gamma" in name:
            value = rng.uniform(0.8, 1.4, shape)
        elif not shape.rank:  # the residual scale of a block
            value = rng.uniform(*residual_scales)
        else:
            fan_in = np.prod(shape[:-2] if "depthwise" in name else shape[:-1])
            value = rng.normal(0, 1.4 / np.sqrt(max(int(fan_in), 1)), shape)
        weight.assign(np.asarray(value, "float32"))


def make_video(frames: int, size: int, seed: int) -> np.ndarray:
    """Return (1, frames, size, size, 3), float32, 0 to 1, smooth in space and time as a video is."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 1, (frames // 3 + 2, 8, 8, 3)).astype("float32")
    keys = np.stack(
        [np.asarray(tf.image.resize(key, (size, size), "bicubic")) for key in coarse]
    )
    at = np.linspace(0, len(keys) - 1.001, frames)
    low = at.astype(int)
    mix = (at - low)[:, None, None, None].astype("float32")
    video = keys[low] * (1 - mix) + keys[low + 1] * mix
    return np.clip(video, 0, 1)[None].astype("float32")


def make_squares(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return a clip of *shape*, float32, 0 to 1, of squares that are others in each frame."""
    _, frames, height, width, _ = shape
    cells = np.random.default_rng(seed).random(
        (1, frames, -(-height // 11), -(-width // 11), 3), np.float32
    )
    return cells.repeat(11, 2).repeat(11, 3)[:, :, :height, :width]


def hub_state_name(name: str) -> str:
    """Return the name that the models on TF Hub give a state."""
    name = re.sub(r"^state_block(\d+)_layer(\d+)_", r"state/b\1/l\2/", name)
    return re.sub(r"^state_(stem|head)_", r"state/\1/", name)


def hub_variable_name(name: str) -> str:
    """Return the name that the models on TF Hub give a variable."""
    name = re.sub(r"block(\d+)_layer(\d+)/", r"b\1/l\2/", name)
    # Batch norms stood beside the (2+1)D convolutions, not inside them.
    name = re.sub(r"/conv2d_temporal/bn(?:_temporal)?/", "/bn_temporal/", name)
    return re.sub(r"/conv2d/bn/", "/bn/", name)


class HubStyle(tf.Module):
    """A model with the calling conventions of the models on TF Hub."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        setattr(self, LISTED, model.weights)
        # Which layer owns a weight: all scales of positional encodings have one name.
        self._layers = [
            layer.weights
            for layer in model.submodules
            if isinstance(layer, movinet_layers.MovinetBlock)
        ]


def export_hub_style(model: Any, out: Path, stream: bool) -> None:
    """Write *model* as a SavedModel like those on TF Hub."""
    module = HubStyle(model)
    add_functions = add_stream_functions if stream else add_base_functions
    tf.saved_model.save(module, str(out), signatures=add_functions(module, model))
    rename_variables(out / "saved_model.pb")


def add_stream_functions(module: HubStyle, model: Any) -> dict[str, Any]:
    """Make *module* callable and return its signatures."""
    picture = (None, None, None, None, 3)
    garden_specs = model.initial_state_specs(picture)
    garden_names = {hub_state_name(name): name for name in garden_specs}
    specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name=name)
        for name, spec in zip(garden_names, garden_specs.values(), strict=True)
    }
    specs["image"] = tf.TensorSpec(picture, tf.float32, name="image")

    def run(inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        states = {garden_names[name]: inputs[name] for name in garden_names}
        logits, states = model({**states, "image": inputs["image"]})
        return logits, {hub_state_name(name): value for name, value in states.items()}

    @tf.function(input_signature=[tf.TensorSpec([5], tf.int32)])
    def init_states(input_shape: Any) -> dict[str, Any]:
        states = model.init_states(input_shape)
        return {hub_state_name(name): value for name, value in states.items()}

    @tf.function(input_signature=[specs])
    def call(inputs: dict[str, Any]) -> Any:
        return run(inputs)

    @tf.function
    def signature(inputs: dict[str, Any]) -> dict[str, Any]:
        logits, states = run(inputs)
        return {**states, "logits": logits}

    module.init_states = init_states
    module.__call__ = call
    return {
        "call": signature.get_concrete_function(specs),
        "init_states": init_states.get_concrete_function(),
    }


def add_base_functions(module: HubStyle, model: Any) -> dict[str, Any]:
    """Return the signatures of a base model."""
    picture = tf.TensorSpec([None, None, None, None, 3], tf.float32, name="image")

    @tf.function(input_signature=[picture])
    def serve(image: Any) -> dict[str, Any]:
        return {"classifier_head": model({"image": image})}

    module.serve = serve
    return {"serving_default": serve}


def rename_variables(path: Path) -> None:
    """Give the variables of a SavedModel the names that they have on TF Hub."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for node in saved.meta_graphs[0].object_graph_def.nodes:
        if node.WhichOneof("kind") == "variable":
            name = hub_variable_name(f"{node.variable.name}:0")
            node.variable.name = name.removesuffix(":0")
    path.write_bytes(saved.SerializeToString())


def copy_graph(graph: Path, target: Path, model: Any) -> None:
    """Write the SavedModel at *graph* to *target*, with the weights that *model* has now."""
    shutil.copytree(graph, target)
    prefix = target / "variables" / "variables"
    reader = tf.train.load_checkpoint(str(prefix))
    weights = {weight.name.removesuffix(":0"): weight for weight in model.weights}
    names = variable_names(reader)
    by_key = {f"{LISTED}/{i}/{VALUE}": weight for i, weight in enumerate(model.weights)}
    if not by_key.keys() <= names.keys():
        by_key = {key: weights[name] for key, name in names.items() if name in weights}
    if len(by_key) != len(model.weights):
        raise SystemExit(
            "a model of the Model Garden's naming with positional encoding shares no graph; export one seed a run"
        )
    keys = sorted(reader.get_variable_to_shape_map())
    tensors = [
        by_key[key].numpy() if key in by_key else reader.get_tensor(key) for key in keys
    ]
    shutil.rmtree(prefix.parent)
    prefix.parent.mkdir()
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=keys,
        shape_and_slices=[""] * len(keys),
        tensors=tensors,
    )


def variable_names(reader: Any) -> dict[str, str]:
    """Return the name of the variable behind each key of a checkpoint."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    stored = reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(stored)
    return {
        attribute.checkpoint_key: attribute.full_name
        for node in graph.nodes
        for attribute in node.attributes
    }


def write_reference(
    export: Export, garden: Garden, video: np.ndarray, out: Path
) -> None:
    """Write what the model computes."""
    arrays = {"video": video, "clip_logits": garden.clip_logits(video)}
    if garden.stream:
        arrays["frame_logits"], states = garden.frame_logits(video)
        rename = hub_state_name if export.naming == "hub" else str
        for name, value in states.items():
            arrays[f"state:{rename(name)}"] = value.numpy()
    np.savez_compressed(out, allow_pickle=True, **arrays)


def main() -> None:
    """Write the exports that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exports", nargs="+", type=Export.parse, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--classes", type=int, default=600)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument(
        "--size", type=int, help="height and width; default: the model's own"
    )
    parser.add_argument(
        "--residual-scales",
        type=float,
        nargs=2,
        default=(0.3, 0.9),
        metavar=("LOW", "HIGH"),
        help="how much of a block is added to what it was given, at least and at most",
    )
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        write_exports(args, Path(scratch))


def write_exports(args: argparse.Namespace, scratch: Path) -> None:
    """Write one export after the other."""
    gates = Gates()
    gardens: dict[tuple[str, str], Garden] = {}
    for export in args.exports:
        start = time.monotonic()
        out = args.out / export.folder
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        kind = (export.model, export.mode)
        if kind not in gardens:
            gardens[kind] = Garden(*kind, args, gates, scratch)
        garden = gardens[kind]
        size = args.size or FRAME_SIZES[export.model]
        video = make_video(args.frames, size, export.seed + 1)
        garden.use(export, video)
        garden.save(export, out / "saved_model")
        write_reference(export, garden, video, out / "reference.npz")
        print(f"{out}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
