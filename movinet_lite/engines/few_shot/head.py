"""The few-shot head: a linear classifier over features, with a rejection threshold."""

from __future__ import annotations

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FeatureName

__all__ = ["FewShotHead", "l2_normalise", "root_scores", "z_scores"]

_STEEPNESS: Final = (
    4.0  # logits of the background per standard deviation of the z-score
)


@attrs.frozen(eq=False, kw_only=True)
class FewShotHead:
    """A linear classifier over normalised features, which rejects what resembles no class.

    A video is compared with each class by its features (cosine similarity) and by the scores of the model for its own
    classes (Bhattacharyya coefficient). Each similarity is standardised by its mean and standard deviation over left-out
    examples of the class; the z-score of a class is the mean of both.

    Attributes:
        labels: The labels; the background is the last.
        feature: The name of the features.
        weights: ``(channels, classes - 1)``, float64.
        bias: ``(classes - 1,)``, float64.
        feature_means: ``(classes - 1, channels)``, float64: the normalised mean features of each class.
        score_means: ``(classes - 1, classes of the model)``, float64: the normalised mean of `root_scores` of each class.
        similarity_means: ``(classes - 1, 2)``, float64: the mean similarity of left-out examples to their class, by
            features and by scores.
        similarity_stds: ``(classes - 1, 2)``, float64: the standard deviations of the same.
        threshold: The lowest z-score that is not background.
        z_score_std: The standard deviation of the z-scores of left-out examples.
        kind: The classifier: ``"nearest mean"`` or ``"linear"``.
        accuracy: The leave-one-out accuracy on the examples, 0 to 1.
        fingerprint: ``(classes of the model + channels,)``, float32: the logits and features of the model for a fixed clip.
    """

    labels: tuple[str, ...]
    feature: FeatureName
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    feature_means: NDArray[np.float64]
    score_means: NDArray[np.float64]
    similarity_means: NDArray[np.float64]
    similarity_stds: NDArray[np.float64]
    threshold: float
    z_score_std: float
    kind: str
    accuracy: float
    fingerprint: NDArray[np.float32]

    def logits(
        self, features: NDArray[np.float32], model_logits: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the logits, ``(classes,)``, float32.

        Args:
            features: ``(channels,)``, of the model.
            model_logits: ``(classes of the model,)``.
        """
        x = l2_normalise(np.asarray(features, np.float64))
        classes = x @ self.weights + self.bias
        similarities = [
            self.feature_means @ x,
            self.score_means @ root_scores(model_logits),
        ]
        best = z_scores(
            np.stack(similarities, axis=-1), self.similarity_means, self.similarity_stds
        ).max()
        background = _STEEPNESS * (self.threshold - best) / self.z_score_std
        return np.append(classes, classes.max() + background).astype(np.float32)


def z_scores(
    similarities: NDArray[np.float64],
    means: NDArray[np.float64],
    stds: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the z-score of each class, ``(..., classes)``; 0 for an average example of the class.

    Args:
        similarities: ``(..., classes, 2)``, by features and by scores.
        means: ``(classes, 2)``.
        stds: ``(classes, 2)``.
    """
    found: NDArray[np.float64] = ((similarities - means) / stds).mean(axis=-1)
    return found


def l2_normalise(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return *vectors* scaled to length 1 along the last axis."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float64)


def root_scores(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the square roots of the scores: vectors of length 1, whose products are Bhattacharyya coefficients."""
    shifted = np.asarray(logits, np.float64)
    powers = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return np.asarray(np.sqrt(powers / powers.sum(axis=-1, keepdims=True)))
