"""Classes that are taught on a base model: how well, from which clips, and in which files."""

import attrs
import numpy as np
import pytest

from drawn_figures import DEMO_ACTIONS, NEW_ACTIONS, render_clip
from movinet_lite import (
    BaseClassifier,
    FewShotBaseClassifier,
    FewShotClassifier,
    StreamingClassifier,
)
from movinet_lite.classifiers.of_file import load_classifier
from movinet_lite.cli import main
from movinet_lite.engines.features import split_rows, stream_with_features
from movinet_lite.engines.few_shot.models import FewShotClipModel, with_head
from movinet_lite.errors import ModelError
from movinet_lite.network.files import load_network, save_network
from movinet_lite.network.model import replace_head
from movinet_lite.predictions import softmax
from movinet_lite.testing import FakeClipModel
from movinet_lite.video import write_video
from tests.networks import LABELS, SIZE, small_network, tiny_variant
from tests.networks_table import TINY

TEACHING_SEEDS = 7_000_000
JUDGING_SEEDS = 7_500_000


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_variant(shallow=True):
        yield


class WholeClips:
    """A stream model as a base model: the row after the last frame stands for the clip."""

    feature_names = ("pooled", "hidden")

    def __init__(self, model):
        self._model = model
        self.info = attrs.evolve(model.info, mode="base")

    def predict(self, clips):
        """Return the logits of each clip."""
        return self.predict_with_features(clips, ())

    def predict_with_features(self, clips, names):
        """Return the logits of each clip, followed by the features *names*."""
        model = stream_with_features(self._model, names) if names else self._model
        states = model.init_states(clips.shape[2:4])
        return np.stack([model.step(clip, states)[0][-1] for clip in clips])


def _clips(colour, count=3, frames=6, seed=0):
    """Return noisy clips of a colour that becomes brighter."""
    rng = np.random.default_rng([seed, *colour])
    ramp = np.linspace(0.4, 1.0, frames)[:, np.newaxis, np.newaxis, np.newaxis]
    noise = rng.uniform(0.7, 1.0, (count, frames, *SIZE, 3))
    return list((noise * ramp * np.array(colour)).astype(np.uint8))


RED, BLUE, GREEN = (255, 30, 30), (30, 30, 255), (30, 255, 30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a base model, another one, and a file of classes that were taught on the first."""
    folder = tmp_path_factory.mktemp("base")
    for seed, name in enumerate(("base", "other")):
        network = small_network("base", seed=seed, labels=LABELS, frame_size=SIZE)
        save_network(network, folder / f"{name}.safetensors")
    FewShotBaseClassifier.teach(
        {"red": _clips(RED), "blue": _clips(BLUE)},
        folder / "base.safetensors",
        tolerance=0.5,
    ).save(folder / "mine.fewshot")
    return folder


@pytest.fixture(scope="module")
def taught(folder):
    """The taught classifier, from its file."""
    return FewShotBaseClassifier.load(folder / "mine.fewshot")


@pytest.fixture(scope="module")
def stream_file(tmp_path_factory):
    """A file of classes that were taught on a stream model."""
    path = tmp_path_factory.mktemp("stream") / "stream.fewshot"
    FewShotClassifier.teach(
        {"red": _clips(RED), "blue": _clips(BLUE)}, StreamingClassifier.load("demo")
    ).save(path)
    return path


def test_drawn_actions_are_recognised_and_others_rejected():
    """Of fresh whole clips at least 85 % of taught ones are recognised, and 70 % of others rejected."""
    classifier = BaseClassifier(WholeClips(StreamingClassifier.load("demo").model))
    taught = FewShotBaseClassifier.teach(
        {
            action: [render_clip(action, seed=TEACHING_SEEDS + i) for i in range(5)]
            for action in NEW_ACTIONS
        },
        classifier,
    )

    def labels(action, count):
        clips = [render_clip(action, seed=JUDGING_SEEDS + i) for i in range(count)]
        return [prediction.label for prediction in taught.predict_many(clips)]

    right = [label == one for one in NEW_ACTIONS for label in labels(one, 12)]
    rejected = [label == "background" for one in DEMO_ACTIONS for label in labels(one, 2)]  # fmt: skip

    assert np.mean(right) >= 0.85
    assert np.mean(rejected) > 0.7


@pytest.mark.parametrize("engine", ["litert", "tensorflow", "onnx"])
def test_every_engine_recognises_the_classes(folder, taught, engine):
    """`BaseClassifier.load` takes the file on every engine, with the same scores; another clip is background."""
    loaded = BaseClassifier.load(folder / "mine.fewshot", engine=engine)

    assert loaded.info.mode == "base"
    assert loaded.info.engine == engine
    assert loaded.labels == ("red", "blue", "background")
    assert loaded.background == "background"
    for colour, label in ((RED, "red"), (BLUE, "blue"), (GREEN, "background")):
        (clip,) = _clips(colour, count=1, seed=1)
        found = loaded.predict(clip)
        assert found.label == label
        np.testing.assert_allclose(found.scores, taught.predict(clip).scores, atol=0.01)


def test_features_come_from_the_underlying_model(folder, taught):
    """A taught classifier returns the features of its model, in addition to its own logits."""
    base = BaseClassifier.load(folder / "base.safetensors")
    (clip,) = _clips(RED, count=1, seed=2)

    for name in ("pooled", "hidden"):
        prediction = taught.predict(clip, features=name)
        np.testing.assert_allclose(prediction.features, base.features(clip, name))
        np.testing.assert_allclose(prediction.logits, taught.predict(clip).logits)


def test_features_that_the_model_lacks_are_refused():
    """A few-shot model refuses a name that its model does not list, whatever the model would return for it."""

    class PooledOnly(WholeClips):
        feature_names = ("pooled",)

    pooled_only = PooledOnly(StreamingClassifier.load("demo").model)
    examples = {"red": _clips(RED), "blue": _clips(BLUE)}
    taught = FewShotBaseClassifier.teach(examples, BaseClassifier(pooled_only))
    model = with_head(pooled_only, taught.head, "mine")
    clips = np.zeros((1, 2, 96, 96, 3), np.float32)

    assert isinstance(model, FewShotClipModel)
    assert model.predict_with_features(clips, ["pooled"]).shape == (1, 3 + 480)
    with pytest.raises(
        ModelError, match="must have the features 'hidden'; it has 'pooled' alone"
    ):
        model.predict_with_features(clips, ["hidden"])


def test_a_long_example_counts_as_the_mean_over_its_clips(folder):
    """Frames beyond a clip of the model are taught as they are predicted: every frame counts the same."""
    base = BaseClassifier.load(folder / "base.safetensors")
    length = TINY.clip_frames
    clip = np.concatenate([_clips(RED, 1, length)[0], _clips(BLUE, 1, 2)[0]])

    logits, features = split_rows(base._feature_rows(clip, "pooled"), base.info)

    parts = [base.predict(some, features=True) for some in (clip[:length], clip[2:])]
    expected = [
        (length * first + 2 * last) / (length + 2)
        for first, last in zip(
            *[(part.features, part.scores) for part in parts], strict=True
        )
    ]
    np.testing.assert_allclose(features[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(softmax(logits)[0], expected[1], atol=1e-5)
    np.testing.assert_allclose(base.predict_long(clip).scores, expected[1], atol=1e-5)


@pytest.mark.parametrize("engine", ["litert", "tensorflow"])
def test_a_file_brings_the_frame_size_that_was_taught(folder, tmp_path, engine):
    """Classes taught from frames of another size than the model's own load, and classify, without naming it again."""
    model, path = folder / "base.safetensors", tmp_path / "mine.fewshot"
    taught = FewShotBaseClassifier.teach(
        {"red": _clips(RED), "blue": _clips(BLUE)},
        model,
        frame_size=(24, 40),
        engine=engine,
    )
    taught.save(path)
    clip = _clips(BLUE, seed=1)[0]

    for loaded in (
        BaseClassifier.load(path, engine=engine),
        FewShotBaseClassifier.load(path, model=model, engine=engine),
    ):
        assert loaded.frame_size == (24, 40)
        np.testing.assert_allclose(
            loaded.predict(clip).scores, taught.predict(clip).scores, atol=1e-5
        )


def test_a_file_is_for_one_mode_and_one_model(folder, stream_file):
    """A file of the other mode, and a model other than the one that the classes were taught on, are refused."""
    with pytest.raises(
        ModelError, match=r"this one is a base model.*load it with BaseClassifier"
    ):
        StreamingClassifier.load(folder / "mine.fewshot")
    with pytest.raises(
        ModelError,
        match=r"this one is a stream model.*load it with StreamingClassifier",
    ):
        FewShotBaseClassifier.load(stream_file)
    with pytest.raises(ModelError, match="this one is a stream model"):
        FewShotBaseClassifier.load(stream_file, model=folder / "base.safetensors")
    with pytest.raises(ModelError, match="returns other features"):
        FewShotBaseClassifier.load(
            folder / "mine.fewshot", model=folder / "other.safetensors"
        )
    network = load_network(folder / "base.safetensors")
    save_network(
        replace_head(network, labels=network.spec.labels), folder / "head.safetensors"
    )
    with pytest.raises(ModelError, match="returns other features or scores"):
        FewShotBaseClassifier.load(
            folder / "mine.fewshot", model=folder / "head.safetensors"
        )
    with pytest.raises(
        ModelError,
        match="FewShotClassifier takes a StreamingClassifier; got a BaseClassifier",
    ):
        FewShotClassifier.teach(
            {"red": _clips(RED), "blue": _clips(BLUE)},
            BaseClassifier.load(folder / "base.safetensors"),
        )
    with pytest.raises(ModelError, match="must have an output for the features"):
        FewShotBaseClassifier.teach(
            {"red": _clips(RED), "blue": _clips(BLUE)}, BaseClassifier(FakeClipModel())
        )


def test_files_of_both_modes_load_by_their_mode(folder, stream_file):
    """What loads the right classifier for whole videos tells the two kinds of files apart."""
    assert isinstance(load_classifier(str(folder / "mine.fewshot")), BaseClassifier)
    assert isinstance(load_classifier(str(stream_file)), StreamingClassifier)


def test_the_commands_teach_and_classify(folder, tmp_path, capsys):
    """``teach --mode base`` writes a file that ``classify`` and ``batch`` take, and that follows its model."""
    for label, colour in (("red", RED), ("blue", BLUE)):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for i, clip in enumerate(_clips(colour, frames=8)):
            write_video(tmp_path / "clips" / label / f"{i}.mp4", clip, fps=5)
    model, output = str(folder / "base.safetensors"), str(tmp_path / "mine.fewshot")
    video = str(tmp_path / "clips" / "blue" / "0.mp4")

    assert main(["teach", str(tmp_path / "clips"), "--model", model, "--mode", "base", "--output", output]) == 0  # fmt: skip
    assert "taught 2 classes from 6 clips" in capsys.readouterr().out
    assert main(["classify", video, "--model", output, "--top-k", "1"]) == 0
    assert "blue" in capsys.readouterr().out
    assert main(["teach", output, "--model", model, "--output", output]) == 0
    assert BaseClassifier.load(output).predict_video(video).label == "blue"
    assert main(["teach", output, "--model", model, "--mode", "stream", "--output", output]) == 2  # fmt: skip
    assert "--mode must be that of the file, base; got stream" in capsys.readouterr().err  # fmt: skip
