"""Classes that are taught from a few clips each: how well, what is rejected, and what is kept in a file."""

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save as save_tensors

from drawn_figures import DEMO_ACTIONS, NEW_ACTIONS, render_clip
from movinet_lite import (
    FewShotClassifier,
    StreamingClassifier,
    find_events,
    load_clip,
    step_many,
)
from movinet_lite.arrays import VideoFrame
from movinet_lite.classifiers.few_shot import BACKGROUND
from movinet_lite.cli import main
from movinet_lite.demo import MODEL
from movinet_lite.engines.features import pooled_features
from movinet_lite.engines.few_shot import files
from movinet_lite.engines.native.target import why_not
from movinet_lite.errors import ArrayError, DataError, ModelError
from movinet_lite.video import write_video

TEACHING_SEEDS = 7_000_000
JUDGING_SEEDS = 7_500_000
"""Where the seeds begin; no choice in the library was made on these."""


@pytest.fixture(scope="module")
def demo():
    """The demo model."""
    return StreamingClassifier.load("demo")


@pytest.fixture(scope="module")
def clips():
    """Five clips of each of three actions that the demo model does not know."""
    return {
        action: [render_clip(action, seed=TEACHING_SEEDS + i) for i in range(5)]
        for action in NEW_ACTIONS
    }


@pytest.fixture(scope="module")
def taught(demo, clips):
    """What was taught from them."""
    return FewShotClassifier.teach(clips, demo)


def _answer(classifier, clip):
    with classifier.new_session() as session:
        return session.predict_frames(clip)[-1]


def test_new_actions_are_recognised_on_fresh_clips(taught):
    """Five clips each of three new actions teach them: at least 85 % of fresh clips are recognised."""
    right = [
        _answer(taught, render_clip(action, seed=JUDGING_SEEDS + i)).label == action
        for action in NEW_ACTIONS
        for i in range(12)
    ]

    assert np.mean(right) >= 0.85


def test_what_resembles_nothing_is_mostly_background(taught):
    """Seven in ten clips of actions that were not taught are background, which makes no event."""
    answers = [
        _answer(taught, render_clip(action, seed=JUDGING_SEEDS + i)).label
        for action in DEMO_ACTIONS
        for i in range(2)
    ]

    assert taught.background == "background"
    assert np.mean([label == "background" for label in answers]) > 0.7


def test_tolerance_trades_rejection_for_acceptance(demo, clips, taught):
    """A smaller tolerance never accepts a clip that a larger one rejects; clips of the background set the limit instead."""
    tolerances = (0.0, 2.0, 6.0)
    others = {"background": [render_clip("lunge", seed=TEACHING_SEEDS + i) for i in range(3)]}  # fmt: skip

    limits = [
        FewShotClassifier.teach(clips, demo, tolerance=one).head.threshold
        for one in tolerances
    ]
    told = [
        FewShotClassifier.teach({**clips, **others}, demo, tolerance=one)
        for one in tolerances
    ]

    assert limits == sorted(limits, reverse=True)
    assert limits[1] == taught.head.threshold
    assert len({one.head.threshold for one in told}) == 1
    for clip in others["background"]:
        assert _answer(told[0], clip).label == "background"
    with pytest.raises(ArrayError, match="tolerance must be a number, at least 0"):
        FewShotClassifier.teach(clips, demo, tolerance=-1)


def test_clips_that_are_nearly_alike_teach_what_differs_more(shared_data):
    """Crops of the first half of real videos teach the second half, though they are more alike than it is."""
    model = StreamingClassifier.load(
        shared_data("movinet_a0_int8.tflite"), labels="kinetics-600", horizon_s=None
    )
    names = ["carving_ice.mp4", "mm_demo.mp4", "decord_pancake.mkv", "jumpingjack.gif"]
    clips = {name: load_clip(shared_data(name), fps=5) for name in names}
    halves = {name: np.array_split(clip, 2) for name, clip in clips.items()}

    def crops(clip):
        height, width = (7 * size // 8 for size in clip.shape[1:3])
        return [clip[:, :height, :width], clip[:, -height:, -width:], clip[:, :, ::-1]]

    taught = FewShotClassifier.teach(
        {name: crops(halves[name][0]) for name in names[:3]}, model
    )

    for name in names[:3]:
        assert _answer(taught, halves[name][1]).label == name
    assert _answer(taught, clips[names[3]]).label == "background"


def test_examples_of_background_are_background(demo, clips, taught):
    """Clips of what shall not be recognised become background, more of them than without being taught."""
    others = [render_clip(action, seed=TEACHING_SEEDS) for action in DEMO_ACTIONS]

    told = FewShotClassifier.teach({**clips, BACKGROUND: others}, demo)

    def rejected(classifier: FewShotClassifier) -> int:
        return sum(_answer(classifier, clip).label == BACKGROUND for clip in others)

    assert rejected(told) >= len(others) - 1
    assert rejected(told) > rejected(taught)


def test_the_same_clips_teach_the_same(demo, clips, taught):
    """Teaching is deterministic."""
    again = FewShotClassifier.teach(clips, demo)
    clip = render_clip(NEW_ACTIONS[0], seed=JUDGING_SEEDS)

    np.testing.assert_array_equal(
        _answer(again, clip).logits, _answer(taught, clip).logits
    )


def test_a_saved_file_loads_wherever_a_model_does(tmp_path, taught):
    """`StreamingClassifier.load` takes the file and answers the same, by step, run and step_many."""
    path = tmp_path / "mine.fewshot"
    taught.save(path)
    loaded = StreamingClassifier.load(path)
    clip = render_clip("high kick", seed=JUDGING_SEEDS)
    expected = [prediction.logits for prediction in taught.new_session().run(clip)]
    one = loaded.new_session()
    pair = [loaded.new_session(), loaded.new_session()]
    for frame, logits in zip(clip, expected, strict=True):
        together = step_many(pair, [frame, frame])
        np.testing.assert_array_equal(one.step(frame).logits, logits)
        np.testing.assert_allclose(together[1].logits, logits, atol=1e-4)

    assert loaded.labels == (*NEW_ACTIONS, "background")
    assert loaded.background == "background"


@pytest.mark.parametrize(
    "engine", ["tensorflow", "onnx", *([] if why_not() else ["native"])]
)
def test_every_engine_answers_the_same(tmp_path, taught, engine):
    """The file goes with other engines below it too; the weights of the demo are rounded otherwise there."""
    taught.save(tmp_path / "mine.fewshot")
    clip = render_clip("high kick", seed=JUDGING_SEEDS)

    other = StreamingClassifier.load(tmp_path / "mine.fewshot", engine=engine)
    found = [one.scores for one in other.run(clip, features="hidden")]

    assert other.info.engine == engine
    expected = [one.scores for one in taught.new_session().run(clip)]
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_features_come_from_the_model_below(demo, taught):
    """A taught classifier gives the features of its model, by every way to step."""
    clip = render_clip("situp", seed=3)[:4]

    for name in ("pooled", "hidden"):
        expected = demo.features(clip, name)
        np.testing.assert_allclose(taught.features(clip, name), expected)
        session = taught.new_session()
        (many,) = step_many([session], [clip[0]], features=name)
        np.testing.assert_allclose(many.features, expected[0])
        assert len(many.logits) == 4


def test_a_model_that_moved_is_found_or_asked_for(tmp_path, clips, capsys):
    """Beside the file it is found; elsewhere the error says how to give it, and the file is written anew with it."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    shutil.copy(MODEL, first / "base.tflite")
    taught = FewShotClassifier.teach(clips, str(first / "base.tflite"))
    taught.save(second / "mine.fewshot")
    clip = render_clip("situp", seed=JUDGING_SEEDS)
    expected = _answer(taught, clip).logits

    (first / "base.tflite").rename(second / "base.tflite")
    beside = StreamingClassifier.load(second / "mine.fewshot")
    np.testing.assert_array_equal(_answer(beside, clip).logits, expected)

    moved = (second / "base.tflite").rename(tmp_path / "other.tflite")
    with pytest.raises(
        ModelError,
        match=r"first/base.tflite or next to the file; it is not \(pass its new path: FewShotClassifier",
    ):
        StreamingClassifier.load(second / "mine.fewshot")
    given = FewShotClassifier.load(second / "mine.fewshot", model=moved)
    np.testing.assert_array_equal(_answer(given, clip).logits, expected)
    file = str(second / "mine.fewshot")
    assert main(["teach", file, "--model", str(moved), "--output", file]) == 0
    capsys.readouterr()
    again = StreamingClassifier.load(file)
    np.testing.assert_array_equal(_answer(again, clip).logits, expected)


def test_the_commands_take_what_was_taught(tmp_path, taught, capsys):
    """`events`, `watch` and `batch` find a taught action in a video."""
    taught.save(tmp_path / "mine.fewshot")
    model = ["--model", str(tmp_path / "mine.fewshot")]
    clip = render_clip("situp", seed=TEACHING_SEEDS)
    video = str(tmp_path / "situp.mp4")
    write_video(video, np.concatenate([clip, clip[::-1]]), fps=5)
    rows = tmp_path / "rows.jsonl"

    assert main(["events", video, *model]) == 0
    assert "situp" in capsys.readouterr().out
    assert main(["watch", video, *model]) == 0
    assert "situp  confirmed" in capsys.readouterr().out
    assert main(["batch", video, *model, "--output", str(rows), "--workers", "1"]) == 0
    assert "situp" in rows.read_text()


def test_events_are_found(taught):
    """What was taught makes events."""
    clip = render_clip("situp", seed=TEACHING_SEEDS)
    frames = [VideoFrame(frame, index=i, time_s=i / 5) for i, frame in enumerate(clip)]
    events = find_events(taught.new_session().run(frames))

    assert {event.label for event in events} == {"situp"}


def test_the_command_teaches_from_a_folder(tmp_path, clips, capsys):
    """``teach`` writes a file that ``classify`` takes."""
    for action, some in clips.items():
        for i, clip in enumerate(some[:3]):
            (tmp_path / "clips" / action).mkdir(parents=True, exist_ok=True)
            write_video(tmp_path / "clips" / action / f"{i}.mp4", clip, fps=5)
    output = tmp_path / "mine.fewshot"
    video = str(tmp_path / "clips" / "situp" / "0.mp4")

    assert main(["teach", str(tmp_path / "clips"), "--output", str(output), "--model", "demo"]) == 0  # fmt: skip
    assert "taught 3 classes from 9 clips" in capsys.readouterr().out
    assert main(["classify", video, "--model", str(output), "--top-k", "1"]) == 0
    assert "situp" in capsys.readouterr().out


def test_features_are_those_that_the_session_answers_from(demo):
    """`features` gives one row a frame; `step` gives the same on request, and none otherwise."""
    clip = render_clip("squat", seed=1)[:3]
    rows = demo.features(clip)
    session = demo.new_session()

    assert rows.shape == (3, 480)
    assert session.step(clip[0]).features is None
    np.testing.assert_allclose(session.step(clip[1], features=True).features, rows[1])
    assert demo.num_frames == 0


def test_a_model_without_pooled_states_gives_no_features():
    """States that keep no sum of features are refused by name."""
    with pytest.raises(ModelError, match="must have 'state/head/pool_buffer'"):
        pooled_features({"window": np.zeros(3)})


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({}, "at least two classes"),
        ({"a": [0, 0]}, "at least two classes beside 'background'; got 1"),
        ({"a": [0, 0], "b": []}, "'b' has 0"),
        ({"a": [0, 0], "b": [0]}, "'b' has 1"),
        ({"a": "a.mp4", "b": [0, 0]}, "a list of clips; 'a' has one path"),
    ],
)
def test_too_few_examples_are_refused(demo, examples, message):
    """One class, or a class with too few clips, is one clear error."""
    with pytest.raises(DataError, match=message):
        FewShotClassifier.teach(examples, demo)


def test_classes_are_not_taught_on_taught_classes(taught, clips):
    """What was taught from a few clips is no model to teach on, with what is."""
    with pytest.raises(ModelError, match="pass its underlying model"):
        FewShotClassifier.teach(clips, taught)


def test_frames_are_scaled_as_they_were_for_teaching(clips):
    """What was taught on cropped frames crops them, without being told."""
    cropped = StreamingClassifier.load("demo", fit="crop")

    assert FewShotClassifier.teach(clips, cropped).fit == "crop"


def test_damaged_files_and_other_models_are_refused(tmp_path, taught, monkeypatch):
    """A changed byte, a cut, a wrong name, and a model that gives other features are refused."""
    path = tmp_path / "mine.fewshot"
    taught.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 64]) + whole[-8:])
    with pytest.raises(ModelError, match="its checksum differs"):
        StreamingClassifier.load(path)
    path.write_bytes(whole[:1000])
    with pytest.raises(ModelError, match="cannot be read"):
        StreamingClassifier.load(path)
    with pytest.raises(ModelError, match="no such file"):
        StreamingClassifier.load(tmp_path / "none.fewshot")
    with pytest.raises(ModelError, match=r"must end in \.fewshot"):
        taught.save(tmp_path / "mine.npz")
    path.write_bytes(whole)
    monkeypatch.setattr(
        "movinet_lite.engines.few_shot.files.fingerprint",
        lambda *_: 2 * taught.head.fingerprint,
    )
    with pytest.raises(ModelError, match="returns other features"):
        StreamingClassifier.load(path)


def _forged(taught, path, **changes):
    """Write a file whose checksum is right, but whose facts or arrays are changed."""
    taught.save(path)
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()[files._KEY])
        arrays = {name: file.get_tensor(name) for name in files._ARRAYS}
    arrays |= {name: new for name, new in changes.items() if name in arrays}
    facts = header["facts"]
    facts |= {name: new for name, new in changes.items() if name in facts}
    header["sha256"] = files._checksum(arrays, facts)
    path.write_bytes(save_tensors(arrays, {files._KEY: json.dumps(header)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": None}, "its model is None"),
        ({"frame_size": [96]}, "cannot be read"),
        ({"frame_size": [96, 0]}, "its frame size is"),
        ({"z_score_std": 0.0}, "its threshold and its deviation are"),
        ({"threshold": float("nan")}, "its threshold and its deviation are"),
        ({"labels": ["a", "b", "background"]}, r"its weights must .* \(480, 2\); got"),
        ({"weights": np.zeros((480, 2))}, r"its weights must .*got \(480, 2\)"),
        ({"bias": np.full(3, np.nan)}, "its bias must be numbers"),
        ({"similarity_stds": np.zeros((3, 2))}, "similarity_stds must be above 0"),
        ({"score_means": np.ones((3, 5))}, r"its fingerprint must .* \(485,\); got"),
    ],
)
def test_files_that_no_program_of_ours_wrote_are_refused(
    tmp_path, taught, changes, message
):
    """What does not fit together is refused when the file is loaded, not at the first frame."""
    path = tmp_path / "forged.fewshot"
    _forged(taught, path, **changes)

    with pytest.raises(ModelError, match=message):
        StreamingClassifier.load(path)


def test_a_header_without_end_is_refused(tmp_path):
    """A header that would need more memory than there is to parse is one error."""
    path = tmp_path / "deep.fewshot"
    path.write_bytes(save_tensors({"x": np.zeros(1)}, {files._KEY: "[" * 100_000}))

    with pytest.raises(ModelError, match="cannot be read"):
        StreamingClassifier.load(path)
