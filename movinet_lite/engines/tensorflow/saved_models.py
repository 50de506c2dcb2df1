"""Runs SavedModels with TensorFlow: the slowest engine, which runs every published model.

The calling conventions are those of the models on TF Hub and of the Model Garden's exports [1]:

* base: the signature ``serving_default``, from float32 ``(batch, frames, height, width, 3)`` to logits
  ``(batch, classes)`` under any name;
* stream: the signatures ``init_states``, from int32 ``(5,)`` to the states, and ``call``, from the image and the states
  to the logits and the states. Exports without ``init_states`` (``bundle_input_init_states_fn=False`` [1]) have one
  signature, ``serving_default``, with the inputs and outputs of ``call``; an empty stream has zeros of the shapes in
  the signature. Without such signatures, the attribute ``init_states`` and the object itself are used, which is called
  with one dict and returns ``(logits, states)``.

References:
    [1] tensorflow/models, official/projects/movinet/tools/export_saved_model.py.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias, cast

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName, FrameSize, States
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.features import split_rows
from movinet_lite.engines.tensorflow.raising import foreign_errors
from movinet_lite.errors import ModelError, said_by
from movinet_lite.network.spec import NetworkSpec, check_facts, read_facts
from movinet_lite.network.state_names import (
    canonical_state_name,
    is_state_name,
    pair_names,
)
from movinet_lite.network.states import state_shapes
from movinet_lite.network.variants import Mode, check_mode, recognise_variant

__all__ = [
    "TensorFlowClipModel",
    "TensorFlowStreamModel",
    "load_saved_model",
    "set_threads",
]

_PROBED_SIZE: Final = (64, 64)  # of the frames that a model is asked about itself with


def load_saved_model(
    path: str | Path,
    mode: Mode,
    *,
    threads: int | None = None,
    source: str | None = None,
    labels: tuple[str, ...] | None = None,
    few_calls: bool = False,
) -> TensorFlowClipModel | TensorFlowStreamModel:
    """Load the SavedModel at *path*.

    Files next to a SavedModel of this library store its frame size, frame rate and labels.

    Args:
        path: A directory with ``saved_model.pb`` and ``variables/``.
        mode: The required mode of the model.
        threads: The number of threads of TensorFlow; `None` for one per core. TensorFlow reads it once per process, so
            it must be given before anything else uses TensorFlow.
        source: The name of the model in `ModelInfo` and messages; *path* if `None`.
        labels: The labels; `None` for those stored next to it, if any.
        few_calls: Whether it will be called only a few times, soon.

    Raises:
        ModelError: If it cannot be read, or is not a MoViNet of this mode.
    """
    source = source or str(path)
    facts = read_facts(Path(path))
    if facts is not None:
        check_mode(facts.mode, mode, source)
        labels = facts.labels if labels is None else labels
    from movinet_lite.network.signatures import load_for_few_calls, load_signatures
    from movinet_lite.network.tensorflow import tf

    set_threads(tf, threads, source)
    load = load_for_few_calls if few_calls else load_signatures
    try:
        module = load(path)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ModelError(
            f"the folder must hold a SavedModel that TensorFlow can read; it says: {said_by(error)}",
            source,
        ) from error
    kind = TensorFlowClipModel if mode == "base" else TensorFlowStreamModel
    return kind(
        module,
        source=source,
        labels=labels,
        facts=facts,
        network=functools.partial(_import_network, path, mode, source, module),
    )


def _import_network(path: str | Path, mode: Mode, source: str, module: Any) -> Any:
    """Return a model of this package with the weights of a SavedModel, for features, which no signature returns."""
    from movinet_lite.engines.tensorflow.networks import as_model
    from movinet_lite.network.weights import import_weights

    imported = import_weights(path, mode=mode, loaded=module, name=source)
    return as_model(imported.network, source)


class _SignatureFacts(NamedTuple):
    """The facts that a signature shows."""

    num_classes: int
    names: Iterable[str]  # of the weights or the states: they tell the variant
    image: Any  # the spec of the image; `None` if unknown


class _SavedModel:
    """What both kinds of SavedModel have: facts, and features from imported weights."""

    _mode: ClassVar[Mode]

    def __init__(
        self,
        module: Any,
        *,
        source: str,
        labels: tuple[str, ...] | None = None,
        facts: NetworkSpec | None = None,
        network: Callable[[], Any] | None = None,
    ) -> None:
        """Wrap a SavedModel loaded by TensorFlow.

        Args:
            module: The SavedModel.
            source: The name of the model in messages.
            labels: The labels, if known.
            facts: The facts stored with it.
            network: Returns a model of this package with its weights, for features; `None` if there are none.

        Raises:
            ModelError: If it is not a model of this kind, the states of a stream do not pair, or *facts* are those of
                another model.
        """
        self.module = module  # a signature does not keep its variables alive
        self._import = network
        check_mode("stream" if _is_stream(module) else "base", self._mode, source)
        signature = self._open(source)
        self._info = _model_info(
            self._mode, source, signature, labels=labels, facts=facts
        )

    def _open(self, source: str) -> _SignatureFacts:
        """Find the functions of the model, and return what its signature says."""
        raise NotImplementedError

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of its features, after importing its weights once."""
        return () if self._network is None else self._network.feature_names

    @functools.cached_property
    def _network(self) -> Any:
        return None if self._import is None else self._import()


class TensorFlowClipModel(_SavedModel):
    """A base model: whole clips in, logits out."""

    _mode = "base"

    def _open(self, source: str) -> _SignatureFacts:
        self._run = _signature(self.module, "serving_default", source)
        inputs = self._run.structured_input_signature[1]
        if len(inputs) != 1 or len(next(iter(inputs.values())).shape) != 5:
            raise ModelError(
                "the signature serving_default of a base model takes one clip (batch, frames, height, width, 3); "
                f"this one takes {_describe(inputs)}",
                source,
            )
        outputs = self._run.structured_outputs
        if len(outputs) != 1:
            raise ModelError(
                "the signature serving_default of a base model gives one array of logits; "
                f"this one gives {_describe(outputs)}",
                source,
            )
        ((self._input, spec),) = inputs.items()
        ((self._output, logits),) = outputs.items()
        num_classes = logits.shape[-1]
        if num_classes is None:
            from movinet_lite.network.tensorflow import tf

            clip = np.zeros((1, 8, *_PROBED_SIZE, 3), np.float32)
            with foreign_errors(tf, "a clip", source):
                num_classes = self._run(**{self._input: clip})[self._output].shape[-1]
        names = [variable.name for variable in self._run.variables]
        return _SignatureFacts(int(num_classes), names, spec)

    def predict(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of each clip; see `ClipModel.predict`."""
        from movinet_lite.network.tensorflow import tf

        with foreign_errors(tf, "the clip", self._info.source):
            outputs = self._run(**{self._input: tf.constant(clips)})
        return cast("NDArray[np.float32]", outputs[self._output].numpy())

    def predict_with_features(
        self, clips: NDArray[np.float32], names: Sequence[FeatureName]
    ) -> NDArray[np.float32]:
        """Return the result of `predict` with features after the logits; see `FeatureClipModel`."""
        rows = self._network.predict_with_features(clips, names)
        _, features = split_rows(rows, self._info)
        return np.concatenate([self.predict(clips), features], axis=1)


class TensorFlowStreamModel(_SavedModel):
    """A stream model, one frame per call; the caller owns the states."""

    _mode = "stream"

    def _open(self, source: str) -> _SignatureFacts:
        module = self.module
        self._init = _init_function(module, source)
        self._empty: dict[FrameSize, dict[str, Any]] = {}
        from movinet_lite.network.tensorflow import tf

        signature = _step_signature(module)
        probed = _PROBED_SIZE if signature is None else _probed_size(signature)
        with foreign_errors(tf, "the shape of an image in init_states", source):
            probe = self._init_tensors(probed)
        names = tuple(probe)
        if signature is not None:
            self._call, logits, spec = _signature_call(signature, names, source)
        else:
            self._call, logits, spec = _object_call(module), None, None
        if logits is None:
            image = np.zeros((1, 1, *probed, 3), np.float32)
            with foreign_errors(tf, "an image and its own states", source):
                logits = self._call(image, probe)[0]
        return _SignatureFacts(int(logits.shape[-1]), names, spec)

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream without frames; see `StreamModel.init_states`."""
        if frame_size not in self._empty:
            self._empty[frame_size] = self._init_tensors(frame_size)
        return TensorStates(self._empty[frame_size])

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`.

        A published model returns one row of logits per call, so it is called once per frame.
        """
        from movinet_lite.network.tensorflow import tf

        tensors = _to_tensors(tf, states)
        rows = []
        with foreign_errors(tf, "the frame or the states", self._info.source):
            for frame in frames:
                logits, tensors = self._call(
                    tf.constant(frame[np.newaxis, np.newaxis]), tensors
                )
                rows.append(logits.numpy()[0])
        return np.stack(rows), TensorStates(tensors)

    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return the result of `step` with features after the logits; see `FeatureStreamModel`."""
        rows, _ = self._network.step_with_features(frames, states, names)
        _, features = split_rows(rows, self._info)
        logits, after = self.step(frames, states)
        return np.concatenate([logits, features], axis=1), after

    def _init_tensors(self, frame_size: FrameSize) -> dict[str, Any]:
        from movinet_lite.network.tensorflow import tf

        shape = tf.constant([1, 1, *frame_size, 3], tf.int32)
        states = dict(self._init(shape))
        return dict(sorted(states.items(), key=lambda item: _reading_order(item[0])))


class TensorStates(Mapping[str, NDArray[Any]]):
    """A read-only mapping of names to states, as TensorFlow tensors that are converted on access."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self.tensors = tensors

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a state as a new numpy array."""
        return np.array(self.tensors[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.tensors)

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self.tensors)


def _to_tensors(tf: Any, states: States) -> dict[str, Any]:
    if isinstance(states, TensorStates):
        return states.tensors
    return {name: tf.constant(value) for name, value in states.items()}


def _is_stream(module: Any) -> bool:
    """Return whether the signatures are those of a stream model; a Keras export may have init_states in either mode."""
    if "init_states" in module.signatures or _step_signature(module) is not None:
        return True
    return "serving_default" not in module.signatures and hasattr(module, "init_states")


def _step_signature(module: Any) -> Any:
    """Return the signature that steps a stream, ``call`` or one that takes states; `None` if there is none."""
    if "call" in module.signatures:
        return module.signatures["call"]
    signature = module.signatures.get("serving_default")
    return signature if signature is not None and _state_inputs(signature) else None


def _state_inputs(signature: Any) -> dict[str, Any]:
    """Return the inputs of a signature that are states, with their specs."""
    inputs = signature.structured_input_signature[1]
    return {name: spec for name, spec in inputs.items() if is_state_name(name)}


def _probed_size(signature: Any) -> FrameSize:
    """Return the only frame size that a signature accepts, or a default."""
    for spec in signature.structured_input_signature[1].values():
        if len(spec.shape) == 5 and spec.shape[-1] == 3 and all(spec.shape[2:4]):
            return int(spec.shape[2]), int(spec.shape[3])
    return _PROBED_SIZE


def _init_function(module: Any, source: str) -> Callable[[Any], Mapping[str, Any]]:
    if "init_states" in module.signatures:
        signature = module.signatures["init_states"]
        arguments = tuple(signature.structured_input_signature[1])
        if len(arguments) != 1:
            raise ModelError(
                "the signature init_states of a stream model takes the shape of the image, int32 (5,); "
                f"this one takes {', '.join(map(repr, arguments)) or 'nothing'}",
                source,
                received=arguments,
            )
        return lambda shape: cast(
            "Mapping[str, Any]", signature(**{arguments[0]: shape})
        )
    init_states = getattr(module, "init_states", None)
    step = _step_signature(module)
    if not callable(init_states) and step is not None:
        return _zeros_of_signature(step, source)
    if not callable(init_states):
        raise ModelError(
            "a stream model must have a signature that takes its states, or init_states, a signature or an attribute of "
            "the object, which gives the states of an empty stream; this one has the signatures "
            f"{', '.join(map(repr, module.signatures)) or 'none'} alone",
            source,
            received=tuple(module.signatures),
        )
    return cast("Callable[[Any], Mapping[str, Any]]", init_states)


def _zeros_of_signature(
    signature: Any, source: str
) -> Callable[[Any], Mapping[str, Any]]:
    """Return a function for the initial states of a model without init_states: zeros of the shapes in its signature.

    Variable sizes in the signature are those of the variant.
    """
    from movinet_lite.network.tensorflow import tf

    specs = _state_inputs(signature)
    variant = recognise_variant(specs)

    def init_states(image_shape: Any) -> dict[str, Any]:
        _, _, height, width, _ = (int(size) for size in image_shape)
        known = {} if variant is None else state_shapes(variant, 1, (height, width))
        states = {}
        for name, spec in specs.items():
            open_shape = known.get(canonical_state_name(name), (1,) * len(spec.shape))
            if variant is None and None in spec.shape[1:]:
                raise ModelError(
                    "a stream model without init_states must name the shape of each state in its signature; that of "
                    f"{name!r} is {tuple(spec.shape)}",
                    source,
                    received=tuple(spec.shape),
                )
            shape = [
                given if told is None else told
                for told, given in zip(spec.shape, open_shape, strict=True)
            ]
            states[name] = tf.zeros(shape, spec.dtype)
        return states

    return init_states


_Call: TypeAlias = Callable[[Any, dict[str, Any]], tuple[Any, dict[str, Any]]]


def _signature_call(
    signature: Any, states: tuple[str, ...], source: str
) -> tuple[_Call, Any, Any]:
    """Return the step through a signature, and the specs of its logits and its image."""
    inputs, outputs = (
        signature.structured_input_signature[1],
        signature.structured_outputs,
    )
    image = _only_other(inputs, states, source, "input", "image")
    logits = _only_other(outputs, states, source, "output", "logits")
    into = pair_names(
        states,
        [name for name in inputs if name != image],
        source=source,
        what="the inputs of the signature call",
    )
    out = pair_names(
        states,
        [name for name in outputs if name != logits],
        source=source,
        what="the outputs of the signature call",
    )

    def call(frames: Any, tensors: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        given = {into[name]: value for name, value in tensors.items()}
        results = signature(**{image: frames}, **given)
        return results[logits], {name: results[out[name]] for name in tensors}

    return call, outputs[logits] if outputs[logits].shape[-1] else None, inputs[image]


def _object_call(module: Any) -> _Call:
    """Return the step through the object itself, which uses the names of `init_states`."""

    def call(frames: Any, tensors: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        logits, states = module({**tensors, "image": frames})
        return logits, {name: states[name] for name in tensors}

    return call


def _only_other(
    names: Mapping[str, Any], states: tuple[str, ...], source: str, kind: str, what: str
) -> str:
    """Return the only name that is not a state."""
    meanings = {canonical_state_name(name) for name in states}
    others = [name for name in names if canonical_state_name(name) not in meanings]
    if len(others) != 1:
        raise ModelError(
            f"the signature call of a stream model must have one {kind} beside the states, the {what}; "
            f"this one has {others or 'none'}",
            source,
        )
    return others[0]


def _signature(module: Any, name: str, source: str) -> Any:
    if name not in module.signatures:
        raise ModelError(
            f"the SavedModel must have a signature {name!r}; it has {sorted(module.signatures) or 'none'}",
            source,
            name,
            tuple(module.signatures),
        )
    return module.signatures[name]


def _model_info(
    mode: Mode,
    source: str,
    signature: _SignatureFacts,
    *,
    labels: tuple[str, ...] | None,
    facts: NetworkSpec | None,
) -> ModelInfo:
    variant = recognise_variant(signature.names)
    name = variant.name if variant else None
    num_classes, image = signature.num_classes, signature.image
    if facts is not None:
        check_facts(
            facts, variant=name, mode=mode, num_classes=num_classes, source=source
        )
        info = ModelInfo.of(facts, source, "tensorflow", labels)
    else:
        info = ModelInfo(
            source=source,
            mode=mode,
            engine="tensorflow",
            num_classes=num_classes,
            variant=name,
            frame_size=variant.frame_size if variant else None,
            fps=variant.fps if variant else None,
            labels=labels,
        )
    if image is not None and image.shape[2] and image.shape[3]:
        frame_size = (int(image.shape[2]), int(image.shape[3]))
        info = attrs.evolve(info, frame_size=frame_size)
    return info


def set_threads(tf: Any, threads: int | None, source: str) -> None:
    """Set the number of threads of TensorFlow; `None` does not change it.

    Raises:
        ModelError: If TensorFlow has already been used with another number.
    """
    if threads is None:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            raise ModelError(
                f"TensorFlow takes its number of threads once a process, before its first use; got threads={threads} "
                "after that (load this model first, or omit threads)",
                source,
            ) from error


def _describe(specs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {tuple(spec.shape)}" for name, spec in specs.items())


def _reading_order(name: str) -> tuple[list[int], str]:
    numbers = [int(number) for number in re.findall(r"\d+", name)]
    return (numbers or [10**6], name)
