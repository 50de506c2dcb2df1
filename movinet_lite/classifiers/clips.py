"""The classifier for whole clips."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from movinet_lite.arrays import (
    Clip,
    FeatureName,
    Frame,
    FrameSize,
    VideoFrame,
    as_clip,
    as_frame,
)
from movinet_lite.classifiers.session import Session
from movinet_lite.engines.base import ClipModel
from movinet_lite.engines.features import (
    check_feature_name,
    clip_with_features,
    split_rows,
)
from movinet_lite.errors import ArrayError
from movinet_lite.network.variants import Mode, get_variant
from movinet_lite.predictions import Prediction, softmax
from movinet_lite.video import Fit
from movinet_lite.video.decoding import Quality
from movinet_lite.video.source import VideoSource

__all__ = ["BaseClassifier"]

_DEFAULT_CLIP_FRAMES: Final = (
    50  # ten seconds at five frames a second, as A0 to A2 were trained on
)
_BYTES_PER_CALL: Final = 2**28  # of prepared frames in `predict_many`


class BaseClassifier(Session):
    """Classifies whole clips with a base model.

    It has no state between clips, so any number of threads may share one.

    Example:
        ::

            classifier = BaseClassifier.load("a2")
            clip = load_clip("clip.mp4", fps=classifier.fps)
            classifier.predict(clip).top_k(5)
    """

    _model: ClipModel
    _mode: ClassVar[Mode] = "base"
    _to_copy: ClassVar[str] = (
        "threads may share it; load it once in each process (or fork with it loaded)"
    )

    def __init__(
        self,
        model: ClipModel,
        labels: Sequence[str] | str | Path | None = None,
        *,
        frame_size: FrameSize | None = None,
        fps: float | None = None,
        fit: Fit = "stretch",
    ) -> None:
        """Open a session over *model*; see `load` for the arguments.

        Raises:
            ModelError: If *model* is a stream model.
            LabelsError: If there are not as many labels as classes.
        """
        super().__init__(model, labels, frame_size=frame_size, fps=fps, fit=fit)
        self._model = model

    @property
    def model(self) -> ClipModel:
        """The engine's model, which other sessions may share."""
        return self._model

    def predict(
        self,
        clip: Clip | Sequence[Frame | VideoFrame],
        *,
        features: bool | FeatureName = False,
    ) -> Prediction:
        """Return the prediction for *clip*.

        Args:
            clip: ``(frames, height, width, 3)``, uint8, 0 to 255, or float32, 0 to 1, RGB, of any size and length, at
                `fps` frames per second; or a list of such frames.
            features: Which `Prediction.features` to give: ``"pooled"`` (or `True`) or ``"hidden"``, as in `features`; `False`
                for none.

        Raises:
            ArrayError: If *clip* is not a clip.
            ModelError: If the model gives no *features*, which are asked for.
            SessionError: If the session is closed.
        """
        self._check_open()
        names: list[FeatureName] = []
        if features is not False:
            names = [check_feature_name(features, self._info.source)]
        return self._predict_alike([as_clip(clip)], names)[0]

    def features(
        self,
        clip: Clip | Sequence[Frame | VideoFrame],
        name: FeatureName = "pooled",
    ) -> NDArray[np.float32]:
        """Return features of the model for a whole *clip*.

        Args:
            clip: As in `predict`.
            name: ``"pooled"``, the backbone's output averaged over space and time: 480 channels in A0, 600 in A1, 640 in
                A2 to A5. Or ``"hidden"``, the output of the hidden layer that follows, after its activation, which the
                classifier takes: 2,048 channels. A model with a transformer has ``"hidden"`` alone.

        Returns:
            ``(channels,)``, float32.

        Raises:
            ArrayError: If *clip* is no clip.
            ModelError: If the model does not give these features.
            SessionError: If the session is closed.
        """
        found = self.predict(clip, features=name).features
        assert found is not None  # noqa: S101 - they were asked for
        return found

    def predict_many(
        self, clips: Iterable[Clip | Sequence[Frame | VideoFrame]]
    ) -> list[Prediction]:
        """Return the prediction for each of *clips*; clips of equal length share a call of the model.

        Clips are taken from the iterable on demand. At most 256 MiB of prepared frames are in memory at once, or one clip
        if that is larger.

        Args:
            clips: Any number of clips, as for `predict`.

        Raises:
            ArrayError: If one of them is not a clip.
            SessionError: If the session is closed.
        """
        self._check_open()
        predictions: list[Prediction] = []
        waiting: list[Clip] = []
        num_frames = 0
        most = _BYTES_PER_CALL // (12 * self._frame_size[0] * self._frame_size[1])
        for clip in map(as_clip, clips):
            if waiting and num_frames + len(clip) > most:
                predictions += self._predict_alike(waiting)
                waiting, num_frames = [], 0
            waiting.append(clip)
            num_frames += len(clip)
        return predictions + self._predict_alike(waiting)

    def predict_long(self, frames: Iterable[Frame | VideoFrame]) -> Prediction:
        """Return the prediction for any number of *frames*, clip by clip.

        The result is the mean score over clips of the length the model was trained on. The last clip is extended backwards
        to that length and weighted by its new frames, so that every frame counts the same. Only one clip is in memory at a
        time. For frames that fit in one clip the result is that of `predict`.

        Args:
            frames: The frames in order, each ``(height, width, 3)`` as in `predict`, at `fps` frames per second.

        Raises:
            ArrayError: If there is no frame, or a frame is not an RGB picture.
            SessionError: If the session is closed.
        """
        predictions, weights = [], []
        for clip, num_new in self._prepare_long(frames):
            self._check_open()
            predictions.append(
                self._predicted(self._model.predict(clip[np.newaxis])[0])
            )
            weights.append(num_new)
        if len(predictions) == 1:
            return predictions[0]
        scores = np.average([one.scores for one in predictions], 0, weights)
        with np.errstate(divide="ignore"):  # a class that is nowhere possible
            return Prediction(np.log(scores), self._labels, background=self._background)

    def predict_video(
        self,
        path: VideoSource,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        decode_threads: int | None = None,
        quality: Quality = "exact",
    ) -> Prediction:
        """Return the prediction for a video file, or for a part of it, of any length.

        Frames are read at the frame rate of the model. A long video is classified clip by clip, in bounded memory; see
        `predict_long`.

        Args:
            path: The file; see `read_frames`.
            start_s: Start time in seconds; `None` for the first frame.
            end_s: End time in seconds, exclusive; `None` for the end of the video.
            decode_threads: Number of decoding threads; see `read_video`.
            quality: ``"exact"`` or ``"fast"``; see `read_video`.

        Raises:
            VideoError: If the video cannot be opened, or is damaged.
            ArrayError: If *start_s* and *end_s* do not select a part of the video.
            ModelError: If the frame rate of the model is unknown, and no *fps* was passed to `load`.
            SessionError: If the session is closed.

        Example:
            ::

                BaseClassifier.load("a2").predict_video("clip.mp4").top_k(5)
        """
        with self.read_video(
            path,
            start_s=start_s,
            end_s=end_s,
            decode_threads=decode_threads,
            quality=quality,
        ) as frames:
            return self.predict_long(frames)

    def _prepare_long(
        self, frames: Iterable[Frame | VideoFrame]
    ) -> Iterator[tuple[NDArray[np.float32], int]]:
        """Yield the clips that `predict_long` divides *frames* into, and the number of frames that are new in each.

        The next clip overwrites the memory of the last.
        """
        variant = self._info.variant
        length = get_variant(variant).clip_frames if variant else _DEFAULT_CLIP_FRAMES
        scaler = self._new_scaler()
        room = np.empty((length, *self._frame_size, 3), np.float32)
        num_frames = 0
        for frame in frames:
            if num_frames and num_frames % length == 0:
                yield room, length
            scaler.scale_into(as_frame(frame), room[num_frames % length])
            num_frames += 1
        if not num_frames:
            raise ArrayError("a video must have at least one frame; got none")
        num_new = (num_frames - 1) % length + 1
        if num_frames <= length:
            yield room[:num_frames], num_new
        else:
            yield np.roll(room, -num_new, axis=0), num_new

    def _feature_rows(
        self, frames: Iterable[Frame | VideoFrame] | Clip, name: FeatureName
    ) -> NDArray[np.float32]:
        """Return the logits of *frames*, followed by the features, as one row.

        Both are means over the clips that `predict_long` divides them into, the logits those of the mean scores.
        """
        model = clip_with_features(self._model, name)
        rows, weights = [], []
        for clip, num_new in self._prepare_long(
            as_clip(frames) if isinstance(frames, np.ndarray) else frames
        ):
            self._check_open()
            rows.append(model.predict_with_features(clip[np.newaxis], [name])[0])
            weights.append(num_new)
        logits, features = split_rows(np.stack(rows), self._info)
        scores = np.average(softmax(logits), axis=0, weights=weights)
        with np.errstate(divide="ignore"):
            mean = np.append(
                np.log(scores), np.average(features, axis=0, weights=weights)
            )
        return mean[np.newaxis].astype(np.float32)

    def _predict_alike(
        self, clips: Sequence[Clip], features: Sequence[FeatureName] = ()
    ) -> list[Prediction]:
        """Return the predictions of checked *clips*, those of one length in one call, with *features*."""
        predict = self._model.predict
        if features:
            model = clip_with_features(self._model, features[0])
            predict = functools.partial(model.predict_with_features, names=features)
        scaler = self._new_scaler()
        places = defaultdict(list)
        for place, clip in enumerate(clips):
            places[len(clip)].append(place)
        rows: dict[int, NDArray[np.float32]] = {}
        for length, alike in places.items():
            batch = np.empty((len(alike), length, *self._frame_size, 3), np.float32)
            for place, prepared in zip(alike, batch, strict=True):
                for frame, out in zip(clips[place], prepared, strict=True):
                    scaler.scale_into(frame, out)
            rows.update(zip(alike, predict(batch), strict=True))
        return [self._predicted(rows[place]) for place in range(len(clips))]
