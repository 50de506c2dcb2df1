"""A video in, a prediction out: the right frames, clip by clip, and no session disturbed."""

import attrs
import numpy as np
import pytest

from movinet_lite import BaseClassifier, StreamingClassifier, read_frames, write_video
from movinet_lite.errors import ArrayError, ModelError, SessionError, VideoNotFoundError
from movinet_lite.testing import FakeClipModel, FakeStreamModel


@pytest.fixture
def video(tmp_path):
    """A video of 2.4 seconds at 10 frames per second, in which every frame differs."""
    levels = np.linspace(0, 250, 24).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (24, 16, 16, 3))
    path = tmp_path / "clip.mp4"
    write_video(path, frames, fps=10)
    return path


def by_hand(classifier, frames, length):
    """Return the mean over clips of *length* frames, in which each frame counts the same."""
    total = np.zeros(6)
    for start in range(0, len(frames), length):
        new = frames[start : start + length]
        end = start + len(new)
        clip = [frame.pixels for frame in frames[max(0, end - length) : end]]
        total += classifier.predict(clip).probabilities * len(new)
    return total / len(frames)


@pytest.mark.parametrize("fps", [5.0, 10.0])
@pytest.mark.parametrize("span", [(None, None), (0.5, 1.3), (1.0, None)])
def test_a_short_video_is_one_clip(video, fps, span):
    """The frames are those of `read_frames` at the model's rate, between the two times."""
    start_s, end_s = span
    classifier = BaseClassifier(FakeClipModel(fps=fps))
    clip = list(read_frames(video, fps=fps, start_s=start_s, end_s=end_s))

    prediction = classifier.predict_video(video, start_s=start_s, end_s=end_s)

    np.testing.assert_allclose(
        prediction.probabilities, classifier.predict(clip).probabilities, rtol=1e-5
    )
    assert prediction.frame_index is None


@pytest.mark.parametrize("num_frames", [49, 50, 51, 99, 100, 125])
def test_a_long_video_is_the_mean_of_its_clips(tmp_path, num_frames):
    """Clips are as long as the model learnt on; the last reaches back, and each frame counts the same."""
    noise = np.random.default_rng(0).integers(0, 255, (num_frames, 1, 1, 3), np.uint8)
    frames = np.broadcast_to(noise, (num_frames, 16, 16, 3))
    write_video(tmp_path / "clip.mp4", frames, fps=5)
    read = list(read_frames(tmp_path / "clip.mp4", fps=5))
    classifier = BaseClassifier(FakeClipModel())
    expected = by_hand(classifier, read, 50)
    classifier.model.calls = 0

    prediction = classifier.predict_video(str(tmp_path / "clip.mp4"))

    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-6)
    assert classifier.model.calls == -(-num_frames // 50)


def test_the_clips_of_a_variant_have_its_length(tmp_path):
    """A4 learnt on 80 frames at a time."""
    model = FakeClipModel()
    model.info = attrs.evolve(model.info, variant="a4")
    write_video(tmp_path / "clip.mp4", np.zeros((160, 16, 16, 3), np.uint8), fps=5)
    BaseClassifier(model).predict_video(tmp_path / "clip.mp4")
    assert model.calls == 2


def test_a_stream_predicts_each_frame_of_a_video(video):
    """The predictions are those of a fresh session, with their times, and the session stays as it was."""
    session = StreamingClassifier(FakeStreamModel())
    session.step(np.zeros((4, 4, 3), np.uint8))

    predictions = session.predict_video(video, start_s=1.0)

    fresh = session.new_session()
    expected = [fresh.step(frame) for frame in read_frames(video, fps=5, start_s=1.0)]
    for one, two in zip(predictions, expected, strict=True):
        np.testing.assert_allclose(one.logits, two.logits, atol=1e-6)
    assert [one.time_s for one in predictions] == [one.time_s for one in expected]
    assert session.step(np.zeros((4, 4, 3), np.uint8)).frame_index == 1


@pytest.mark.parametrize(
    "classifier",
    [BaseClassifier(FakeClipModel()), StreamingClassifier(FakeStreamModel())],
    ids=["base", "stream"],
)
def test_a_video_that_cannot_be_read_is_told(classifier, tmp_path):
    """The errors are those of `read_frames`."""
    with pytest.raises(VideoNotFoundError, match=r"none\.mp4"):
        classifier.predict_video(tmp_path / "none.mp4")


def test_a_rate_is_not_guessed(video):
    """A model that does not know its frame rate wants one."""
    for unknowing in (
        BaseClassifier(FakeClipModel(fps=None)),
        StreamingClassifier(FakeStreamModel(fps=None)),
    ):
        with pytest.raises(ModelError, match=r"give them: fps=5"):
            unknowing.predict_video(video)
    assert BaseClassifier(FakeClipModel(fps=None), fps=5).predict_video(video).label


def test_a_closed_classifier_reads_no_video(video):
    """It says so before it opens the file."""
    for closed in (
        BaseClassifier(FakeClipModel()),
        StreamingClassifier(FakeStreamModel()),
    ):
        closed.close()
        with pytest.raises(SessionError, match="has been closed"):
            closed.predict_video(video)


def test_no_frames_are_no_video():
    """A mean needs something."""
    with pytest.raises(ArrayError, match="at least one frame"):
        BaseClassifier(FakeClipModel()).predict_long([])
