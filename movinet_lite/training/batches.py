"""Decodes, augments and batches clips, ahead of the training step."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import Clip, FrameSize
from movinet_lite.engines.threads import available_cores
from movinet_lite.errors import ArrayError, VideoError
from movinet_lite.network.tensorflow import tf
from movinet_lite.training.augmentation import Augmentation, augment, frame_size_before
from movinet_lite.training.examples import Example, Skipped
from movinet_lite.training.settings import TRAINING_FIT
from movinet_lite.video import load_clip, prepare_clip, read_video_info, to_uint8

__all__ = ["Batch", "Batches", "ClipSpec"]

_AHEAD = 2  # batches to prefetch: more would only use memory


@attrs.frozen
class ClipSpec:
    """The format of training clips.

    Attributes:
        num_frames: Number of frames. A shorter video is padded with its last frame.
        fps: Frame rate, in frames per second.
        frame_size: ``(height, width)``.
        lead_frames: Number of frames of the video before the clip. A video that is too short is repeated.
    """

    num_frames: int
    fps: float
    frame_size: FrameSize
    lead_frames: int = 0

    @property
    def total_frames(self) -> int:
        """Number of frames, including those before the clip."""
        return self.lead_frames + self.num_frames


@attrs.frozen(eq=False)
class Batch:
    """The clips of one training step.

    Attributes:
        clips: ``(clips, frames, height, width, 3)`` float32, 0 to 1, RGB; a ``tf.Tensor``. The lead frames are
            included.
        targets: ``(clips,)`` int32, the class indices; a ``tf.Tensor``.
    """

    clips: Any
    targets: Any


class Batches:
    """Batches of clips for any number of epochs, with a record of the examples that were skipped.

    A video that cannot be decoded is skipped and not tried again.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        labels: Sequence[str],
        spec: ClipSpec,
        *,
        batch_size: int,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        """Store the examples; nothing is read yet.

        Args:
            examples: The examples; their labels must be among *labels*.
            labels: The labels, in the order of the logits.
            spec: The format of the clips.
            batch_size: Number of clips per batch; the last batch of an epoch may have fewer.
            augmentation: The strength of the augmentation; clips are then also shuffled. `None` takes the middle of
                each video unchanged, in the order of *examples*.
            seed: Random seed. The same seed and epoch yield the same batches.
        """
        places = {label: place for place, label in enumerate(labels)}
        self._examples = tuple(examples)
        self._targets = np.array([places[one.label] for one in examples], np.int32)
        self._spec = spec
        self._batch_size = batch_size
        self._augmentation = augmentation
        self._seed = seed
        self._skipped: dict[int, Skipped] = {}
        self._durations: dict[int, float | None] = {}
        self._lock = threading.Lock()

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The videos skipped so far, in the order of the examples."""
        with self._lock:
            return tuple(self._skipped[index] for index in sorted(self._skipped))

    @property
    def skip_reasons(self) -> dict[int, str]:
        """The reasons why examples were skipped so far, by index."""
        with self._lock:
            return {
                place: self._skipped[place].reason for place in sorted(self._skipped)
            }

    def skip(self, reasons: Mapping[int, str]) -> None:
        """Skip the examples that another `Batches` of the same examples skipped (see `skip_reasons`)."""
        for place, reason in reasons.items():
            self._skip(place, reason)

    @property
    def examples(self) -> tuple[Example, ...]:
        """The examples, without those skipped so far."""
        with self._lock:
            return tuple(
                example
                for index, example in enumerate(self._examples)
                if index not in self._skipped
            )

    @property
    def num_examples(self) -> int:
        """Number of examples, without those skipped so far."""
        return len(self._examples) - len(self.skipped)

    def check(self) -> None:
        """Open every video, and skip the files that are not videos."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._check_one, range(len(self._examples))))

    def _check_one(self, index: int) -> None:
        source = self._examples[index].source
        if not isinstance(source, Path):
            return
        try:
            self._duration(index, source)
        except (VideoError, ArrayError) as error:
            self._skip(index, error.message)

    @property
    def num_batches(self) -> int:
        """Number of batches per epoch, if no more videos are skipped."""
        return -(-self.num_examples // self._batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch.

        Args:
            number: Index of the epoch; it determines the order and the augmentation.
        """
        order = self._order(number)
        spec = self._spec
        signature = (
            tf.TensorSpec((spec.total_frames, *spec.frame_size, 3), tf.float32),
            tf.TensorSpec((), tf.int32),
        )

        def read(index: Any) -> tuple[Any, Any]:
            clip, target = tf.numpy_function(
                lambda place: self._read(int(place), number),
                [index],
                [tf.float32, tf.int32],
                stateful=False,
            )
            return clip, target

        def fix_shape(clip: Any, target: Any) -> tuple[Any, Any]:
            return tf.ensure_shape(clip, signature[0].shape), tf.ensure_shape(
                target, ()
            )

        dataset = (
            tf.data.Dataset.from_tensor_slices(order)
            .map(read, num_parallel_calls=available_cores(), deterministic=True)
            .filter(lambda _, target: target >= 0)
            .map(fix_shape)
            .batch(self._batch_size)
            .prefetch(_AHEAD)
        )
        for clips, targets in dataset:
            yield Batch(clips, targets)

    def _order(self, number: int) -> NDArray[np.int64]:
        with self._lock:
            order = np.array(
                [i for i in range(len(self._examples)) if i not in self._skipped],
                np.int64,
            )
        if self._augmentation is not None:
            np.random.default_rng([self._seed, number]).shuffle(order)
        return order

    def _read(
        self, index: int, epoch: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Return a clip and its class index; -1 if the video cannot be used."""
        rng = np.random.default_rng([self._seed, epoch, index])
        try:
            clip = self._prepare(index, rng)
        except (VideoError, ArrayError) as error:
            self._skip(index, error.message)
            nothing = np.zeros((0, 0, 0, 3), np.float32)
            return nothing, np.array(-1, np.int32)
        return clip, np.array(self._targets[index], np.int32)

    def _skip(self, index: int, reason: str) -> None:
        example = self._examples[index]
        with self._lock:
            self._skipped[index] = Skipped(example.name, example.label, reason)

    def _prepare(self, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        spec, augmentation = self._spec, self._augmentation
        if augmentation is None:
            clip = self._take(index, spec.frame_size, place=0.5)
            return prepare_clip(clip, spec.frame_size, fit=TRAINING_FIT)
        place = rng.random() if augmentation.shift else 0.5
        clip = self._take(
            index, frame_size_before(spec.frame_size, augmentation), place
        )
        return augment(to_uint8(clip), spec.frame_size, augmentation, rng)

    def _take(self, index: int, frame_size: FrameSize, place: float) -> Clip:
        """Return the frames of a clip, taken between the start (*place* 0) and the end (1) of an example."""
        spec = self._spec
        example = self._examples[index]
        source = example.source
        length = spec.total_frames
        if not isinstance(source, Path):
            start = round(place * max(0, len(source) - length))
            return _fill(source[start : start + length], spec, place)
        first_s = example.start_s or 0.0
        end_s = example.end_s
        duration_s = self._duration(index, source) or 0.0
        if end_s is not None:
            duration_s = min(duration_s or end_s, end_s)
        spare_s = max(0.0, duration_s - first_s - length / spec.fps)
        clip = load_clip(
            source,
            fps=spec.fps,
            frame_size=frame_size,
            start_s=first_s + place * spare_s,
            end_s=end_s,
            max_frames=length,
        )
        return _fill(clip, spec, place)

    def _duration(self, index: int, path: Path) -> float | None:
        if index not in self._durations:
            self._durations[index] = read_video_info(path).duration_s
        return self._durations[index]


def _fill(video: Clip, spec: ClipSpec, place: float) -> Clip:
    """Return the number of frames that *spec* requires, from a video that may be shorter."""
    count = len(video)
    if count >= spec.total_frames:
        return video
    start = round(place * max(0, count - spec.num_frames))
    before = np.arange(start - spec.lead_frames, start) % count
    # A video shorter than a clip is padded with its last frame.
    clip = np.minimum(np.arange(start, start + spec.num_frames), count - 1)
    return video[np.concatenate([before, clip])]
