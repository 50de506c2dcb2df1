"""Runs base models with ONNX Runtime: whole clips of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.onnx.runtime import Provider, open_session
from movinet_lite.errors import ModelError

__all__ = ["OnnxClipModel"]


class OnnxClipModel:
    """A base model: whole clips in, logits out."""

    def __init__(
        self,
        path: str | Path,
        *,
        provider: Provider | None = None,
        threads: int | None = None,
        source: str | None = None,
        labels: tuple[str, ...] | None = None,
    ) -> None:
        """Open an ``.onnx`` file; the arguments are those of `open_session`.

        Args:
            path: As there.
            provider: As there.
            threads: As there.
            source: As there.
            labels: The labels of the classes; `None` for those in the file.

        Raises:
            LabelsError: If the labels are not as many as the classes.
            ModelError: If it is no such file.
        """
        self._open = open_session(
            path, "base", provider=provider, threads=threads, source=source
        )
        self._info = ModelInfo.of(self._open.spec, self._open.source, "onnx", labels)

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self._info

    def predict(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of each clip; see `ClipModel.predict`.

        Raises:
            ModelError: If the frames are not of the one size that the file takes, or ONNX Runtime fails.
        """
        if clips.shape[2:4] != self._info.frame_size:
            raise ModelError(
                f"an ONNX model takes frames of one size, {self._info.frame_size}; got {clips.shape[2:4]}",
                self._info.source,
                self._info.frame_size,
                clips.shape[2:4],
            )
        with self._open.errors():
            return np.concatenate(
                [
                    self._open.session.run(["logits"], {"image": clip})[0]
                    for clip in clips
                ]
            )
