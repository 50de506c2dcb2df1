"""How often a classifier is right: counted by hand on clips whose predictions are known."""

import json

import attrs
import numpy as np
import pytest

from movinet_lite import BaseClassifier, DataError, StreamingClassifier, write_video
from movinet_lite.testing import LABELS, FakeClipModel, FakeStreamModel
from movinet_lite.training.evaluate import Evaluation, evaluate, with_evaluation_fit
from movinet_lite.training.examples import Example


def clip(*colours):
    """Return a clip with one frame of each colour."""
    return np.stack([np.full((8, 6, 3), colour, np.uint8) for colour in colours])


RISING = clip((0, 0, 0), (100, 0, 0), (250, 0, 0))
"""The fake stream model says: red rising at the second and third frame, and the first class of all on black."""
FALLING = clip((250, 10, 0), (100, 60, 0), (10, 100, 0))
"""It says: red rising, then red (the mean of all frames), then red again, as its rise ends."""


@pytest.fixture
def streaming():
    """Return a session over the fake stream model."""
    return StreamingClassifier(FakeStreamModel())


@pytest.mark.parametrize(
    ("trained", "seen"), [("stretch", 0.5), ("crop", 1.0), (None, 1.0)]
)
@pytest.mark.parametrize(
    ("kind", "fake"),
    [(StreamingClassifier, FakeStreamModel), (BaseClassifier, FakeClipModel)],
)
def test_frames_are_scaled_as_in_the_training(kind, fake, trained, seen):
    """Where the model does not say how, as the published accuracies were measured: the sides are cut off."""
    model = fake(frame_size=(8, 8))
    model.info = attrs.evolve(model.info, fit=trained)
    given = kind(model, fps=2.0)
    frame = np.zeros((8, 32, 3), np.uint8)
    frame[:, 8:24] = (255, 0, 0)

    judge = with_evaluation_fit(given)

    use = judge.step if kind is StreamingClassifier else lambda f: judge.predict([f])
    assert use(frame).logits[LABELS.index("red")] == pytest.approx(seen, abs=0.01)
    assert (judge.model, judge.labels, judge.fps) == (model, given.labels, 2.0)


def test_the_last_prediction_counts(streaming):
    """What a stream is taken for is what is said after its last frame; the table has the truth in its rows."""
    found = evaluate(
        streaming,
        [
            Example(RISING, "red rising"),
            Example(RISING, "green"),
            Example(FALLING, "red"),
        ],
    )

    rows, columns = np.nonzero(found.confusion)
    named = [(LABELS[r], LABELS[c]) for r, c in zip(rows, columns, strict=True)]
    assert named == [
        ("red rising", "red rising"),
        ("red", "red"),
        ("green", "red rising"),
    ]
    assert found.num_videos == 3
    assert found.top_1 == pytest.approx(2 / 3)
    assert found.top_5 == pytest.approx(1.0)
    assert found.skipped == ()


def test_how_much_was_seen_is_told_by_frame(streaming):
    """After each frame the share that is right then; a shorter video counts on with its last prediction."""
    found = evaluate(
        streaming,
        [
            Example(FALLING, "red rising"),  # right at the first frame alone
            Example(FALLING, "red"),  # right from the second on
            Example(FALLING[:2], "red"),  # the same, and ends there
        ],
    )
    assert found.top_1_by_frame is not None
    np.testing.assert_allclose(found.top_1_by_frame, [1 / 3, 2 / 3, 2 / 3])


def test_each_video_starts_an_empty_stream(streaming):
    """The order of the examples makes no difference, nor what the session saw before."""
    black = clip(
        (0, 0, 0)
    )  # with nothing before it, the first class of all; after red, red
    examples = [Example(FALLING, "red"), Example(black, "red rising")]
    streaming.step(FALLING[0])
    first = evaluate(streaming, examples)
    second = evaluate(streaming, examples[::-1])
    np.testing.assert_array_equal(first.confusion, second.confusion)
    assert first.top_1 == 1.0


def test_frames_are_limited(streaming):
    """With a limit, the prediction there counts."""
    found = evaluate(streaming, [Example(FALLING, "red rising")], max_frames=1)
    assert found.top_1 == 1.0
    assert found.top_1_by_frame is not None
    assert len(found.top_1_by_frame) == 1


def test_a_base_model_sees_a_clip_at_once():
    """It has one prediction a clip, and so no course over the frames."""
    found = evaluate(
        BaseClassifier(FakeClipModel()),
        [Example(RISING, "red rising"), Example(RISING, "blue")],
    )
    assert found.top_1 == 0.5
    assert found.top_1_by_frame is None


class _CountingClipModel(FakeClipModel):
    """Notes the length of each clip."""

    def __init__(self):
        super().__init__()
        self.lengths = []

    def predict(self, clips):
        self.lengths.append(clips.shape[1])
        return super().predict(clips)


def test_a_base_model_sees_a_long_video_clip_by_clip(tmp_path):
    """As classify: the mean of the scores of clips of 50 frames, of which the last counts by its new frames alone."""
    frames = np.concatenate(
        [clip(*[(250, 0, 0)] * 50), clip(*[(0, 0, 250)] * 50), clip(*[(0, 0, 0)] * 20)]
    )
    write_video(tmp_path / "a.gif", frames, fps=5.0)
    model = _CountingClipModel()
    found = evaluate(
        BaseClassifier(model),
        [Example(tmp_path / "a.gif", "red rising"), Example(frames, "red rising")],
    )
    assert model.lengths == [50] * 6
    # Red has 50 frames, blue 50 and, of the clip of the last 50, 20 more.
    assert found.top_1 == 0.0
    first = evaluate(
        BaseClassifier(model),
        [Example(tmp_path / "a.gif", "red rising")],
        max_frames=99,
    )
    assert model.lengths[6:] == [50, 50]
    assert first.top_1 == 1.0


def test_a_segment_is_judged_alone(streaming, tmp_path):
    """Of a file, what lies from its start to its end."""
    write_video(tmp_path / "a.gif", np.repeat(RISING, 4, axis=0), fps=5.0)
    example = Example(tmp_path / "a.gif", "red", start_s=0.8, end_s=2.0)
    found = evaluate(streaming, [example])
    assert found.top_1_by_frame is not None
    assert len(found.top_1_by_frame) == 6


def test_videos_are_read_at_the_rate_of_the_model(streaming, tmp_path):
    """A file of 10 frames a second gives a model of 5 every other one; one that cannot be read is left out and told."""
    write_video(tmp_path / "a.mp4", np.repeat(RISING, 4, axis=0), fps=10.0)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    seen = []

    found = evaluate(
        streaming,
        [Example(tmp_path / f"{name}.mp4", "red") for name in "ab"],
        on_video=seen.append,
    )

    assert found.num_videos == 1
    assert found.top_1_by_frame is not None
    assert len(found.top_1_by_frame) == 6
    assert [one.name for one in found.skipped] == [str(tmp_path / "b.mp4")]
    assert seen == [1, 2]


def _evaluation(**more):
    confusion = np.zeros((4, 4), np.int64)
    confusion[0, 0], confusion[0, 2], confusion[0, 3] = 6, 3, 1
    confusion[1, 1] = 5
    labels = ("jump", "run far", "sit", "wave")
    targets, taken_for = np.repeat(
        np.argwhere(confusion), confusion[confusion > 0], 0
    ).T
    logits = np.log(np.array([0.1, 0.8], np.float32))[np.eye(4, dtype=int)[taken_for]]
    scores = np.full(15, 0.75, np.float32)
    by_frame = np.array([0.25, 0.5, 0.75])
    return Evaluation(
        labels, confusion, 0.9, by_frame, (), logits, targets, scores, **more
    )


def test_each_class_has_its_result():
    """Classes without videos have none; the worst mistake is named."""
    first, second = _evaluation().by_class
    assert (first.label, first.num_videos, first.top_1) == ("jump", 10, 0.6)
    assert first.most_confused_with == "sit"
    assert (second.label, second.top_1, second.most_confused_with) == (
        "run far",
        1.0,
        None,
    )


def test_a_person_can_read_it():
    """The text has the figures in columns that line up."""
    assert _evaluation().to_text().splitlines() == [
        "top-1 73.3%, top-5 90.0% of 15 videos",
        "expected calibration error 1.7%",
        "",
        "frames seen  top-1",
        "          1  25.0%",
        "          2  50.0%",
        "          3  75.0%",
        "",
        "class    videos   top-1  most confused with",
        "jump         10   60.0%  sit",
        "run far       5  100.0%  -",
    ]
    assert _evaluation().confusion_to_text().splitlines() == [
        "             1  2  3  4",
        "  1 jump     6  .  3  1",
        "  2 run far  .  5  .  .",
        "  3 sit      .  .  .  .",
        "  4 wave     .  .  .  .",
    ]


def test_a_program_can_read_it():
    """The JSON has every figure."""
    facts = json.loads(_evaluation().to_json())
    assert facts["num_videos"] == 15
    assert facts["top_1"] == pytest.approx(11 / 15)
    assert facts["top_1_by_frame"] == [0.25, 0.5, 0.75]
    assert facts["confusion"][0] == [6, 0, 3, 1]
    assert facts["ece"] == pytest.approx(0.75 - 11 / 15)
    assert facts["temperature"] is facts["ece_before"] is None
    assert facts["classes"][0]["most_confused_with"] == "sit"


@pytest.mark.parametrize(
    ("examples", "options", "message"),
    [
        ([], {}, "at least one example"),
        (
            [Example(RISING, "red")],
            {"max_frames": 0},
            "max_frames must be a whole number",
        ),
        ([Example(RISING, "red")], {"max_frames": 1.5}, "at least 1; got 1.5"),
        ([Example(RISING, "purple")], {}, "not among them: 'purple'"),
        ([Example(RISING[:0], "red")], {}, "none of 1 is"),
    ],
)
def test_what_cannot_be_judged_is_refused(streaming, examples, options, message):
    """Before any video is read, where that is possible."""
    with pytest.raises(DataError, match=message):
        evaluate(streaming, examples, **options)


def test_a_model_without_a_rate_reads_no_files(tmp_path):
    """How often to take a frame cannot be guessed."""
    model = FakeStreamModel()
    model.info = type(model.info)(
        source="fake",
        mode="stream",
        engine="fake",
        num_classes=6,
        frame_size=(8, 6),
        fps=None,
        labels=LABELS,
    )
    write_video(tmp_path / "a.mp4", RISING, fps=5.0)
    with pytest.raises(DataError, match="frame rate of the classifier must be known"):
        evaluate(StreamingClassifier(model), [Example(tmp_path / "a.mp4", "red")])
