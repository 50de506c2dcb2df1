"""Runs compiled base models with LiteRT: clips of any length through one graph.

In the graph of a base model, the frames of a clip are the first axis, and only that axis depends on their number. So a
clip of another length needs no other file: the tensors are resized, which takes milliseconds. LiteRT keeps the memory of
the longest clip so far. After clips longer than those of the training, this memory is released with the first clip of at
most half the length.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import FEATURE_NAMES, FeatureName
from movinet_lite.engines.base import ModelInfo
from movinet_lite.engines.feature_models import ClipModelWithFeatures
from movinet_lite.engines.litert.graphs import (
    GraphFile,
    foreign_errors,
    open_interpreter,
)
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ModelError, said_by
from movinet_lite.network.litert_file import read_litert_info
from movinet_lite.network.variants import check_mode, get_variant

__all__ = ["LiteRTClipModel"]


class LiteRTClipModel(ClipModelWithFeatures):
    """A base model: whole clips in, logits out."""

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        source: str | None = None,
        labels: tuple[str, ...] | None = None,
    ) -> None:
        """Prepare the graph in a file of this library for this CPU.

        Args:
            path: A ``.tflite`` file that `movinet_lite.network.export.export_litert` wrote for a base model.
            threads: The number of threads; `None` for one per core.
            source: The name of the model in messages; *path* if `None`.
            labels: The labels; `None` for those in the file.

        Raises:
            LabelsError: If the number of labels is not the number of classes.
            ModelError: If it is not such a file.
        """
        source = source or str(path)
        ours = read_litert_info(path)
        if ours is None:
            raise ModelError(
                "a .tflite file of whole clips must be one that this library wrote; this one is not (made by others, or cut "
                "short? load the SavedModel it was made from)",
                source,
            )
        check_mode(ours.mode, "base", source)
        if ours.batch != 1:
            raise ModelError(
                f"a .tflite file of whole clips must be written for one clip a call (batch=1); this one is for {ours.batch}",
                source,
            )
        super().__init__(ModelInfo.of(ours, source, "litert", labels))
        self._file = GraphFile.now(path)
        self._threads = threads or available_cores()
        self._kept_frames = get_variant(ours.variant).clip_frames
        self._lock = threading.Lock()
        self._first_shape = (1, *ours.frame_size, 3)
        self._open()

    def _open(self) -> None:
        self._interpreter = open_interpreter(
            self._file.path, threads=self._threads, source=self._info.source
        )
        with foreign_errors(self._info.source):
            self._find_tensors()
        self._shape: tuple[int, ...] | None = None
        self._longest = 0
        self._lay_out(self._first_shape)

    def _find_tensors(self) -> None:
        # The tensors can be resized only once the runner is gone, which refers to the interpreter.
        runner = self._interpreter.get_signature_runner()
        (image,) = runner.get_input_details().values()
        self._image = image["index"]
        self._outputs = {
            name: details["index"]
            for name, details in runner.get_output_details().items()
        }

    @property
    def feature_names(self) -> tuple[FeatureName, ...]:
        """The names of the file's features; empty for a file without such outputs."""
        return tuple(name for name in FEATURE_NAMES if name in self._outputs)

    def predict_with_features(
        self, clips: NDArray[np.float32], names: Sequence[FeatureName]
    ) -> NDArray[np.float32]:
        """Return the result of `predict` with features after the logits; see `FeatureClipModel`."""
        if clips.shape[2:4] != self._info.frame_size:
            raise ModelError(
                f"a compiled model takes frames of one size, {self._info.frame_size}; got {clips.shape[2:4]}",
                self._info.source,
                self._info.frame_size,
                clips.shape[2:4],
            )
        with self._lock:
            self._lay_out(clips.shape[1:])
            return np.concatenate([self._predict(clip, names) for clip in clips])

    def _lay_out(self, shape: tuple[int, ...]) -> None:
        """Resize the tensors for clips of *shape*."""
        if shape == self._shape:
            return
        if self._longest > max(self._kept_frames, 2 * shape[0] - 1):
            # Without the file, the memory cannot be released.
            with contextlib.suppress(ModelError, OSError):
                self._file.check_unchanged(self._info.source)
                self._open()
        self._shape = None
        try:
            self._interpreter.resize_tensor_input(self._image, shape)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelError(
                f"LiteRT must have room for a clip of {shape[0]} frames; it says: {said_by(error)} "
                "(cut the clip into shorter ones)",
                self._info.source,
            ) from error
        self._shape = shape
        self._longest = max(self._longest, shape[0])

    def _predict(
        self, clip: NDArray[np.float32], names: Sequence[FeatureName]
    ) -> NDArray[Any]:
        self._interpreter.set_tensor(self._image, np.ascontiguousarray(clip))
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            self._shape = None
            raise ModelError(
                f"LiteRT must be able to run the model on a clip of {len(clip)} frames; it says: {said_by(error)}",
                self._info.source,
            ) from error
        rows = [
            self._interpreter.get_tensor(self._outputs[name])
            for name in ("logits", *names)
        ]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)
