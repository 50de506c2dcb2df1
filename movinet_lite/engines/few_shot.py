"""Models taught with a few clips, on the features of another stream model, and their file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from movinet_lite.arrays import FrameSize, States
from movinet_lite.atomic import write_atomically
from movinet_lite.engines.base import BatchStreamModel, ModelInfo, StreamModel
from movinet_lite.engines.features import pooled_features
from movinet_lite.errors import ModelError, MoViNetError
from movinet_lite.labels import check_labels
from movinet_lite.network.agreement import probe_clip

__all__ = [
    "FEW_SHOT_ENDING",
    "FewShotHead",
    "FewShotStreamModel",
    "fingerprint",
    "is_few_shot",
    "load_few_shot",
    "save_few_shot",
    "unit",
]

FEW_SHOT_ENDING: Final = ".fewshot"
"""How the names of files with taught classes end."""

_KEY: Final = "movinet_lite_few_shot"
_FORMAT: Final = 1
_ARRAYS: Final = ("weights", "bias", "means", "fingerprint")
_PROBE_FRAMES: Final = 4
_TOLERANCE: Final = 0.03  # of the largest feature: engines and float16 weights round differently, other weights differ by all
_STEEPNESS: Final = (
    4.0  # how fast the background takes over, in logits a spread of the similarities
)


@attrs.frozen(eq=False, kw_only=True)
class FewShotHead:
    """A linear classifier over features of length 1, and how like its classes features must be.

    Attributes:
        labels: The classes, with the background as the last.
        weights: ``(channels, classes - 1)``, float64.
        bias: ``(classes - 1,)``, float64.
        means: ``(classes - 1, channels)``, float64: the mean of the features of each class, of length 1.
        least: The least similarity to the nearest mean, -1 to 1, below which the background wins.
        spread: By how much the similarities of examples vary.
        kind: How the classes are told apart: ``"nearest mean"`` or ``"linear"``.
        accuracy: The share of the examples that were recognised while each was left out, 0 to 1.
        fingerprint: ``(channels,)``, float32: the features that the model gives for a certain clip.
    """

    labels: tuple[str, ...]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    means: NDArray[np.float64]
    least: float
    spread: float
    kind: str
    accuracy: float
    fingerprint: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of *features*, ``(channels,)``: ``(classes,)``, float32."""
        x = unit(np.asarray(features, np.float64))
        classes = x @ self.weights + self.bias
        likeness = float((self.means @ x).max())
        unlike = _STEEPNESS * (self.least - likeness) / self.spread
        return np.append(classes, classes.max() + unlike).astype(np.float32)


def unit(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return *features* scaled to length 1 along the last axis."""
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), np.float64)


class FewShotStreamModel:
    """A stream model over another one: the same states, and logits for the classes that were taught."""

    def __init__(self, model: StreamModel, head: FewShotHead, source: str) -> None:
        """Put a head onto a model; *source* is what to call it."""
        self.model = model
        self.head = head
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
        """Return the states of a stream that has seen no frame; see `StreamModel.init_states`."""
        return self.model.init_states(frame_size)

    def step(
        self, frames: NDArray[np.float32], states: States
    ) -> tuple[NDArray[np.float32], States]:
        """Return the logits of each frame, and the states after the last; see `StreamModel.step`."""
        rows = []
        for frame in frames:
            _, states = self.model.step(frame[np.newaxis], states)
            rows.append(self._logits(states))
        return np.stack(rows), states

    def step_many(
        self, frames: NDArray[np.float32], states: list[States]
    ) -> tuple[NDArray[np.float32], list[States]]:
        """Return the logits and the states of each stream after its frame; see `BatchStreamModel.step_many`."""
        if isinstance(self.model, BatchStreamModel):
            _, after = self.model.step_many(frames, states)
        else:
            after = [
                self.model.step(frame[np.newaxis], one)[1]
                for frame, one in zip(frames, states, strict=True)
            ]
        return np.stack([self._logits(one) for one in after]), after

    def _logits(self, states: States) -> NDArray[np.float32]:
        return self.head.logits(pooled_features(states, self._info.source))


def fingerprint(model: StreamModel, frame_size: FrameSize) -> NDArray[np.float32]:
    """Return the features that *model* gives for a certain clip, by which it is known again on any engine."""
    clip = probe_clip(_PROBE_FRAMES, *frame_size)[0]
    _, states = model.step(clip, model.init_states(frame_size))
    return pooled_features(states, model.info.source)


def save_few_shot(
    head: FewShotHead, path: str | Path, *, base: str, frame_size: FrameSize
) -> None:
    """Write what was taught as one file, all of it or nothing.

    Args:
        head: What was taught.
        path: The file; its name ends in `FEW_SHOT_ENDING`.
        base: What ``load`` takes for the model that the features come from.
        frame_size: ``(height, width)`` of its frames.

    Raises:
        ModelError: If the name has another ending, or the file cannot be written.
    """
    path = Path(path)
    _check_ending(path)
    arrays = {
        name: np.ascontiguousarray(getattr(head, name), np.float64) for name in _ARRAYS
    }
    facts = {
        "labels": head.labels,
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
        raise ModelError(
            f"the file must be one that can be written; {error}", path
        ) from error


def load_few_shot(
    path: str | Path,
    load: Callable[[str], StreamModel],
    *,
    base: str | Path | None = None,
) -> FewShotStreamModel:
    """Return the model in a file that `save_few_shot` wrote.

    Args:
        path: The file.
        load: Returns the stream model that the features come from, from its name, address or path.
        base: The same model elsewhere; `None` for where it was.

    Raises:
        ModelError: If there is no such file, it is damaged, or the model gives other features than when it was taught.
    """
    path = Path(path)
    head, facts = _read(path)
    model = load(str(base or facts["base"]))
    height, width = facts["frame_size"]
    found = fingerprint(model, (height, width))
    known = head.fingerprint
    if found.shape != known.shape or not (
        np.abs(found - known).max() <= _TOLERANCE * np.abs(known).max()
    ):
        raise ModelError(
            f"the model must be the one that the classes were taught on, {facts['base']}; {model.info.source} gives other "
            "features (teach them again on it)",
            path,
        )
    return FewShotStreamModel(model, head, str(path))


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
                f"it is of format {header['format']!r}, of a later release?"
            )
        if header["sha256"] != _checksum(arrays, facts):
            raise ValueError(  # noqa: TRY301 - one message for all that is wrong
                "its checksum is another one"
            )
        head = FewShotHead(
            labels=check_labels(facts["labels"]),
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
    """Return whether *source* names a file of taught classes."""
    return Path(source).suffix == FEW_SHOT_ENDING
