"""Fits a few-shot head to the features and scores of a few examples per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Self, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.features import split_rows
from movinet_lite.engines.few_shot.head import (
    FewShotHead,
    l2_normalise,
    root_scores,
    z_scores,
)

__all__ = ["Embedding", "fit_head"]

_Floats: TypeAlias = NDArray[np.float64]
_Classes: TypeAlias = NDArray[np.intp]
_Kind: TypeAlias = Literal["linear", "nearest mean"]

_KINDS: Final[tuple[_Kind, ...]] = ("linear", "nearest mean")
"""The classifiers to choose from. If both recognise as many examples, the first, which did better on fresh drawn clips."""

_AGES: Final = (1 / 3, 1 / 2, 3 / 4, 1.0)
"""Fractions of a clip to take features after: a stream is classified before its clip ends."""

_RIDGE: Final = 1.0  # penalty, relative to the mean squared length of an example
_SHARPNESS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_MIN_STD: Final = 0.01  # of similarities, which are between -1 and 1
_MIN_STD_SHARE: Final = (
    0.2  # of the distance between the similarities to the own class and to the others
)
_MIN_Z_SCORE_STD: Final = 0.71  # of the mean of two independent z-scores


@attrs.frozen(eq=False)
class Embedding:
    """What a model computes for an example, at each of `_AGES`; a base model computes the same for all.

    Attributes:
        features: ``(ages, channels)``, float64, each row of length 1.
        scores: ``(ages, classes of the model)``, float64: `root_scores`.
    """

    features: _Floats
    scores: _Floats

    @classmethod
    def from_rows(cls, rows: NDArray[np.float32], info: ModelInfo) -> Self:
        """Return the embedding of an example.

        Args:
            rows: ``(frames, classes of the model + channels)``: the logits of the model and the features after each frame;
                for a base model, one row for the whole clip.
            info: The facts of the model.
        """
        places = [max(1, round(age * len(rows))) - 1 for age in _AGES]
        logits, features = split_rows(rows[places], info)
        return cls(l2_normalise(features.astype(np.float64)), root_scores(logits))


def fit_head(
    examples: Mapping[str, Sequence[Embedding]],
    background: Sequence[Embedding],
    *,
    background_label: str,
    tolerance: float,
    feature: FeatureName,
    fingerprint: NDArray[np.float32],
) -> FewShotHead:
    """Return the head for a few examples per class.

    Args:
        examples: The examples of each label, at least two each.
        background: Examples of none of the classes; if there are any, they determine the threshold in place of *tolerance*.
        background_label: The label of the background.
        tolerance: How many standard deviations the threshold is below the mean z-score of left-out examples.
        feature: The name of the features.
        fingerprint: The logits and features of the model for a fixed clip.
    """
    all_examples = [one for some in examples.values() for one in some]
    features = np.stack([one.features for one in all_examples])
    scores = np.stack([one.scores for one in all_examples])
    classes = np.repeat(
        np.arange(len(examples)), [len(some) for some in examples.values()]
    )
    kind, accuracy, sharpness = _choose_kind(features, classes, len(examples))
    feature_means, score_means = (
        _class_means(rows, classes, len(examples)) for rows in (features, scores)
    )
    weights, bias = _fit_linear(kind, features, classes, feature_means)
    similarities = [
        _left_out_similarities(rows, classes, means)
        for rows, means in ((features, feature_means), (scores, score_means))
    ]
    similarity_means, similarity_stds = (
        np.stack(parts, axis=-1)
        for parts in zip(
            *(_statistics(one, classes) for one in similarities), strict=True
        )
    )
    found = z_scores(np.stack(similarities, axis=-1), similarity_means, similarity_stds)
    own = found[np.arange(len(classes)), classes]
    z_score_std = max(float(own.std()), _MIN_Z_SCORE_STD)
    threshold = float(own.mean()) - tolerance * z_score_std
    if background:
        similarities = [
            np.stack([one.features[-1] for one in background]) @ feature_means.T,
            np.stack([one.scores[-1] for one in background]) @ score_means.T,
        ]
        others = z_scores(
            np.stack(similarities, axis=-1), similarity_means, similarity_stds
        )
        threshold = _best_threshold(own, others.max(axis=1))
    return FewShotHead(
        labels=(*examples, background_label),
        feature=feature,
        weights=sharpness * weights,
        bias=sharpness * bias,
        feature_means=feature_means,
        score_means=score_means,
        similarity_means=similarity_means,
        similarity_stds=similarity_stds,
        threshold=threshold,
        z_score_std=z_score_std,
        kind=kind,
        accuracy=accuracy,
        fingerprint=fingerprint,
    )


def _choose_kind(
    features: _Floats, classes: _Classes, num_classes: int
) -> tuple[_Kind, float, float]:
    """Return the better classifier, its leave-one-out accuracy, and the factor of its logits with the lowest loss."""
    logits = {kind: np.empty((len(features), num_classes)) for kind in _KINDS}
    for place, example in enumerate(features):
        rest = np.arange(len(features)) != place
        means = _class_means(features[rest], classes[rest], num_classes)
        for kind, rows in logits.items():
            weights, bias = _fit_linear(kind, features[rest], classes[rest], means)
            rows[place] = example[-1] @ weights + bias
    accuracies = {
        kind: float((rows.argmax(1) == classes).mean()) for kind, rows in logits.items()
    }
    best = max(_KINDS, key=lambda kind: accuracies[kind])
    sharpness = min(_SHARPNESS, key=lambda by: _loss(by * logits[best], classes))
    return best, accuracies[best], sharpness


def _left_out_similarities(rows: _Floats, classes: _Classes, means: _Floats) -> _Floats:
    """Return the similarity of each example to each class, to its own class without it, ``(examples, classes)``."""
    similarities: _Floats = rows[:, -1] @ means.T
    for place, example in enumerate(rows):
        rest = classes == classes[place]
        rest[place] = False
        own = l2_normalise(rows[rest].mean(axis=(0, 1)))
        similarities[place, classes[place]] = own @ example[-1]
    return similarities


def _statistics(similarities: _Floats, classes: _Classes) -> tuple[_Floats, _Floats]:
    """Return mean and standard deviation of the similarities of each class to its own examples, ``(classes,)``.

    A few examples estimate these poorly, so each is averaged with that of all classes. And examples that were recorded
    together resemble each other more than later ones, so a standard deviation is at least a share of the distance to the
    other classes.
    """
    num_classes = similarities.shape[1]
    is_own = classes[:, np.newaxis] == np.arange(num_classes)
    own = similarities[is_own]
    by_class = [own[classes == one] for one in range(num_classes)]
    means = np.array([some.mean() for some in by_class])
    variances = np.array([some.var(ddof=1) for some in by_class])
    stds = np.sqrt((variances + variances.mean()) / 2)
    distance = float(own.mean() - similarities[~is_own].mean())
    return (means + own.mean()) / 2, np.maximum(
        stds, max(_MIN_STD, _MIN_STD_SHARE * distance)
    )


def _class_means(rows: _Floats, classes: _Classes, num_classes: int) -> _Floats:
    """Return the normalised mean of each class, ``(classes, channels)``."""
    return l2_normalise(
        np.stack([rows[classes == one].mean(axis=(0, 1)) for one in range(num_classes)])
    )


def _fit_linear(
    kind: _Kind, features: _Floats, classes: _Classes, means: _Floats
) -> tuple[_Floats, _Floats]:
    """Return the weights, ``(channels, classes)``, and the bias of a classifier."""
    if kind == "nearest mean":
        return means.T, np.zeros(len(means))
    rows = features.reshape(-1, features.shape[-1])
    targets = np.eye(len(means))[np.repeat(classes, features.shape[1])]
    centre, prior = rows.mean(0), targets.mean(0)
    centred = rows - centre
    # The dual problem: there are fewer rows than channels.
    penalty = _RIDGE * features.shape[1] * float((centred**2).sum(1).mean())
    gram = centred @ centred.T + penalty * np.eye(len(rows))
    weights = centred.T @ np.linalg.solve(gram, targets - prior)
    return weights, prior - centre @ weights


def _loss(logits: _Floats, classes: _Classes) -> float:
    """Return the mean cross-entropy."""
    highest = logits.max(1, keepdims=True)
    total = np.log(np.exp(logits - highest).sum(1)) + highest[:, 0]
    return float((total - logits[np.arange(len(classes)), classes]).mean())


def _best_threshold(own: _Floats, others: _Floats) -> float:
    """Return the threshold with the lowest sum of error rates on the z-scores of examples and of the background."""
    values = np.unique(np.concatenate([own, others]))
    middles = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    return float(min(middles, key=lambda at: (own < at).mean() + (others >= at).mean()))
