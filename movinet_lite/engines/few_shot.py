"""Models taught with a few clips, on the features of another stream model, and their file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from movinet_lite.arrays import FeatureName, FrameSize, States
from movinet_lite.atomic import write_atomically
from movinet_lite.engines.base import ModelInfo, StreamModel
from movinet_lite.engines.features import (
    check_feature_name,
    feature_names,
    split_rows,
    stream_with_features,
)
from movinet_lite.engines.stepping import step_all
from movinet_lite.errors import ModelError, MoViNetError
from movinet_lite.labels import check_labels
from movinet_lite.network.agreement import probe_clip

__all__ = [
    "FEW_SHOT_ENDING",
    "FewShotHead",
    "FewShotStreamModel",
    "feature_of",
    "fingerprint",
    "is_few_shot",
    "likeness_to",
    "load_few_shot",
    "root_scores",
    "save_few_shot",
    "unit",
]

FEW_SHOT_ENDING: Final = ".fewshot"
"""The extension of files with taught classes."""

_KEY: Final = "movinet_lite_few_shot"
_FORMAT: Final = 2
_ARRAYS: Final = (
    "weights",
    "bias",
    "means",
    "score_means",
    "usual",
    "spreads",
    "fingerprint",
)
_PROBE_FRAMES: Final = 4
_TOLERANCE: Final = 0.03  # of the largest feature: engines and float16 weights round differently, other weights differ by all
_STEEPNESS: Final = (
    4.0  # how fast the background takes over, in logits a spread of the likeness
)


@attrs.frozen(eq=False, kw_only=True)
class FewShotHead:
    """A linear classifier over features of length 1, with a rejection threshold for the background.

    A stream is compared with each class by its features and by the scores of the model itself. Each similarity is
    standardised by the mean and standard deviation for the examples of the class.

    Attributes:
        labels: The classes, with the background as the last.
        feature: The name of the features.
        weights: ``(channels, classes - 1)``, float64.
        bias: ``(classes - 1,)``, float64.
        means: ``(classes - 1, channels)``, float64: the mean of the features of each class, of length 1.
        score_means: ``(classes - 1, classes of the model)``, float64: the mean of the square roots of its scores, of length 1.
        usual: ``(classes - 1, 2)``, float64: the similarity of left-out examples to their class, by features and by
            scores.
        spreads: ``(classes - 1, 2)``, float64: the standard deviation of this.
        least: The least likeness, in spreads, below which the background wins.
        spread: The standard deviation of the likeness of left-out examples.
        kind: The kind of classifier: ``"nearest mean"`` or ``"linear"``.
        accuracy: The leave-one-out accuracy on the examples, 0 to 1.
        fingerprint: ``(channels,)``, float32: the features of the model for a fixed clip.
    """

    labels: tuple[str, ...]
    feature: FeatureName
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    means: NDArray[np.float64]
    score_means: NDArray[np.float64]
    usual: NDArray[np.float64]
    spreads: NDArray[np.float64]
    least: float
    spread: float
    kind: str
    accuracy: float
    fingerprint: NDArray[np.float32]

    def logits(
        self, features: NDArray[np.float32], model_logits: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the logits of a stream, ``(classes,)``, float32.

        Args:
            features: ``(channels,)``, of the model.
            model_logits: ``(classes of the model,)``.
        """
        x = unit(np.asarray(features, np.float64))
        classes = x @ self.weights + self.bias
        likeness = likeness_to(
            np.stack(
                [self.means @ x, self.score_means @ root_scores(model_logits)], axis=-1
            ),
            self.usual,
            self.spreads,
        ).max()
        unlike = _STEEPNESS * (self.least - likeness) / self.spread
        return np.append(classes, classes.max() + unlike).astype(np.float32)


def likeness_to(
    similarities: NDArray[np.float64],
    usual: NDArray[np.float64],
    spreads: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the likeness of a stream to each class, ``(..., classes)``, in spreads: 0 for a usual example of the class.

    Args:
        similarities: ``(..., classes, 2)``, by features and by scores.
        usual: ``(classes, 2)``.
        spreads: ``(classes, 2)``.
    """
    likeness: NDArray[np.float64] = ((similarities - usual) / spreads).mean(axis=-1)
    return likeness


def unit(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return *features* scaled to length 1 along the last axis."""
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), np.float64)


def root_scores(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the square roots of the scores, which have length 1: a product of two is their Bhattacharyya coefficient."""
    away = np.asarray(logits, np.float64)
    powers = np.exp(away - away.max(axis=-1, keepdims=True))
    return np.asarray(np.sqrt(powers / powers.sum(axis=-1, keepdims=True)))


class FewShotStreamModel:
    """A stream model on top of another one: with the same states, and logits for the taught classes."""

    def __init__(self, model: StreamModel, head: FewShotHead, source: str) -> None:
        """Put a head onto a model; *source* is its name."""
        self.model = model
        self.head = head
        self._with_features = stream_with_features(model, [head.feature])
        self._info = attrs.evolve(
            model.info,
            num_classes=len(head.labels),
            labels=head.labels,
            background_index=len(head.labels) - 1,
            temperature=None,
            source=source,
        )

    @property
    def info(self) -> ModelInfo:
        """The facts of the model."""
        return self._info

    def init_states(self, frame_size: FrameSize) -> States:
        """Return the states of a stream without frames; see `StreamModel.init_states`."""
        return self.model.init_states(frame_size)

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`."""
        return self.step_with_features(frames, states, ())

    def step_many(
        self, frames: NDArray[np.float32], states: list[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the logits and the states of each stream after its frame; see `BatchStreamModel.step_many`."""
        return self.step_many_with_features(frames, states, ())

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The features of the underlying model."""
        return feature_names(self.model) or ("pooled",)

    def step_with_features(
        self,
        frames: NDArray[np.float32],
        states: States,
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], States]:
        """Return the result of `step` with features after the logits; see `FeatureStreamModel`."""
        rows, after = self._giving(names).step(frames, states)
        return self._answers(rows), after

    def step_many_with_features(
        self,
        frames: NDArray[np.float32],
        states: Sequence[States],
        names: Sequence[FeatureName],
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the result of `step_many` with features after the logits; see `BatchFeatureModel`."""
        rows, after = step_all(self._giving(names), frames, list(states))
        return self._answers(rows), after

    def _giving(self, names: Sequence[FeatureName]) -> StreamModel:
        """Return the model with the features for the head, followed by *names*."""
        if not names:
            return self._with_features
        return stream_with_features(self.model, [self.head.feature, *names])

    def _answers(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of the head, followed by the remaining features."""
        channels = len(self.head.weights)
        logits, features = split_rows(rows, self.model.info)
        own, others = features[:, :channels], features[:, channels:]
        answers = [
            self.head.logits(row, model_logits)
            for row, model_logits in zip(own, logits, strict=True)
        ]
        return np.concatenate([np.stack(answers), others], axis=1)


def feature_of(model: StreamModel) -> FeatureName:
    """Return the features that classes are taught on: pooled, or hidden for a model with a transformer."""
    return "hidden" if feature_names(model) == ("hidden",) else "pooled"


def fingerprint(
    model: StreamModel, feature: FeatureName, frame_size: FrameSize
) -> NDArray[np.float32]:
    """Return the features of *model* for a fixed clip, which identify it on any engine."""
    clip = probe_clip(_PROBE_FRAMES, *frame_size)[0]
    known = stream_with_features(model, [feature])
    rows, _ = known.step(clip, known.init_states(frame_size))
    _, features = split_rows(rows, model.info)
    return features[-1]


def save_few_shot(
    head: FewShotHead, path: str | Path, *, base: str, frame_size: FrameSize
) -> None:
    """Write the taught classes to a file atomically.

    Args:
        head: The taught classifier.
        path: The file; its extension must be `FEW_SHOT_ENDING`.
        base: The source of the features' model, as for ``load``.
        frame_size: ``(height, width)`` of its frames.

    Raises:
        ModelError: If the name has another extension, or the file cannot be written.
    """
    path = Path(path)
    _check_ending(path)
    arrays = {
        name: np.ascontiguousarray(getattr(head, name), np.float64) for name in _ARRAYS
    }
    facts = {
        "labels": head.labels,
        "feature": head.feature,
        "least": head.least,
        "spread": head.spread,
        "kind": head.kind,
        "accuracy": head.accuracy,
        "base": base,
        "frame_size": frame_size,
    }
    header = {"format": _FORMAT, "sha256": _checksum(arrays, facts), "facts": facts}
    try:
        write_atomically(path, to_bytes(arrays, {_KEY: json.dumps(header)}))
    except OSError as error:
        raise ModelError(f"the file must be writable; {error}", path) from error


def load_few_shot(
    path: str | Path,
    load: Callable[[str], StreamModel],
    *,
    base: str | Path | None = None,
) -> FewShotStreamModel:
    """Return the model in a file written by `save_few_shot`.

    Args:
        path: The file.
        load: Loads the stream model of the features from its name, URL or path.
        base: Another source of the same model; `None` for the original one, or a file of the same name next to *path*.

    Raises:
        ModelError: If the file does not exist or is damaged, its model does not exist any more, or the model returns
            other features.
    """
    path = Path(path)
    head, facts = _read(path)
    model = load(str(_base_of(path, facts["base"]) if base is None else base))
    height, width = facts["frame_size"]
    found = fingerprint(model, head.feature, (height, width))
    known = head.fingerprint
    if found.shape != known.shape or not (
        np.abs(found - known).max() <= _TOLERANCE * np.abs(known).max()
    ):
        raise ModelError(
            f"the model must be the one that the classes were taught on, {facts['base']}; {model.info.source} "
            "returns other features (teach the classes again on it)",
            path,
        )
    return FewShotStreamModel(model, head, str(path))


def _base_of(path: Path, base: str) -> str:
    """Return the location of the model of the file at *path*: the original one, or next to the file."""
    if not Path(base).is_absolute() or Path(base).exists():
        return base  # a name, a URL, or an existing path
    beside = path.parent / Path(base).name
    if beside.exists():
        return str(beside)
    raise ModelError(
        f"the model that the classes were taught on must be where it was, at {base}, or beside the file; it is not "
        f"(say where it is: FewShotClassifier.load({path.name!r}, model=...), or movinet-lite teach {path.name} "
        "--model MODEL --output "
        f"{path.name})",
        path,
        base,
    )


def _read(path: Path) -> tuple[FewShotHead, dict[str, Any]]:
    _check_ending(path)
    if not path.is_file():
        raise ModelError("there is no such file", path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        facts = header["facts"]
        if header["format"] != _FORMAT:
            raise ValueError(  # noqa: TRY301 - one message for all that is wrong
                f"it is of format {header['format']!r}, not {_FORMAT}: of another release? teach it again"
            )
        if header["sha256"] != _checksum(arrays, facts):
            raise ValueError(  # noqa: TRY301 - one message for all that is wrong
                "its checksum is another one"
            )
        head = FewShotHead(
            labels=check_labels(facts["labels"]),
            feature=check_feature_name(facts["feature"]),
            least=float(facts["least"]),
            spread=float(facts["spread"]),
            kind=str(facts["kind"]),
            accuracy=float(facts["accuracy"]),
            **{**arrays, "fingerprint": arrays["fingerprint"].astype(np.float32)},
        )
    except (
        SafetensorError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        MoViNetError,
    ) as error:
        raise ModelError(
            f"a file of taught classes must be whole, and one that this library wrote; it cannot be read ({error}; damaged, "
            "or cut short?)",
            path,
        ) from error
    return head, facts


def _checksum(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in _ARRAYS:
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _check_ending(path: Path) -> None:
    if path.suffix != FEW_SHOT_ENDING:
        raise ModelError(
            f"a file of taught classes must end in {FEW_SHOT_ENDING}; got {path.name!r}",
            path,
        )


def is_few_shot(source: str | Path) -> bool:
    """Return whether *source* is a file of taught classes."""
    return Path(source).suffix == FEW_SHOT_ENDING
