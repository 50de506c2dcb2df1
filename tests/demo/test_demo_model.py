"""The model that ships with the package: it works offline, at once, and it is the motion that it sees."""

import json
import subprocess
import sys

import numpy as np
import pytest

from drawn_figures import DEMO_ACTIONS, render_clip
from movinet_lite import (
    BaseClassifier,
    ModelError,
    StreamingClassifier,
    demo,
    load_clip,
    read_frames,
    read_video_info,
    write_video,
)
from movinet_lite.cli import demo as demo_command
from movinet_lite.cli import main
from movinet_lite.errors import MissingDependencyError
from movinet_lite.network.files import load_network
from movinet_lite.training.evaluate import evaluate
from movinet_lite.training.examples import Example

SEEDS = 2_900_000
"""Where the seeds of these tests begin: the model saw none of these people, nor was it judged on them."""


@pytest.fixture(scope="module")
def classifier():
    """Return a session over the demo model."""
    return StreamingClassifier.load("demo")


@pytest.fixture(scope="module")
def examples():
    """Return four clips of each action."""
    return [
        Example(render_clip(action, seed=SEEDS + number), action)
        for number in range(4)
        for action in DEMO_ACTIONS
    ]


def test_it_knows_what_it_is(classifier):
    """Labels, frame size and frame rate come with it; it is small."""
    assert classifier.labels == DEMO_ACTIONS
    assert classifier.frame_size == (96, 96)
    assert classifier.fps == 5.0
    assert demo.MODEL.stat().st_size <= 6e6


def test_it_recognises_people_it_never_saw(classifier, examples):
    """Nine of ten at the end of a clip, and eight of ten after half of it."""
    found = evaluate(classifier, examples)
    assert found.top_1 >= 0.9
    assert found.top_1_by_frame is not None
    assert found.top_1_by_frame[7] >= 0.8


def test_it_stays_right_while_an_action_goes_on(classifier):
    """Its network was trained on clips of 16 frames first, and was wrong beyond; now it is right with the 100th."""
    right = []
    for place, action in enumerate(DEMO_ACTIONS):
        clip = render_clip(action, seed=SEEDS + 50 + place, num_frames=100)
        with StreamingClassifier(
            classifier.model, classifier.labels, fps=5.0, horizon_s=None
        ) as session:
            found = session.predict_frames(clip)[20:]
        right += [prediction.label == action for prediction in found]
    assert np.mean(right) >= 0.95


def test_it_is_the_motion_that_it_sees(classifier, examples):
    """From one frame repeated it cannot tell an action; with the frames shuffled it is wrong far more often."""
    rng = np.random.default_rng(0)
    frozen = [Example(np.stack([one.source[5]] * 16), one.label) for one in examples]
    shuffled = [Example(rng.permutation(one.source), one.label) for one in examples]
    assert evaluate(classifier, frozen).top_1 < 0.4
    assert evaluate(classifier, shuffled).top_1 < 0.8


def test_its_clip_is_what_it_says(classifier):
    """The clip shows jumping jacks, and the model sees them."""
    classifier.reset()
    info = read_video_info(demo.CLIP)
    assert info.duration_s is not None
    assert info.duration_s >= 5
    last = list(classifier.run(read_frames(demo.CLIP, fps=classifier.fps)))[-1]
    assert last.label == "jumping jacks"
    assert last.score > 0.5


def test_its_weights_are_those_of_the_model(classifier):
    """What can be trained further computes what is compiled, to the rounding of float16."""
    network = load_network(demo.WEIGHTS)
    clip = load_clip(demo.CLIP, fps=5.0, frame_size=(96, 96), max_frames=6)
    expected = np.asarray(network(clip[np.newaxis].astype(np.float32) / 255))[0]
    classifier.reset()
    found = classifier.predict_frames(clip)[-1].logits
    assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


def test_there_is_no_base_model():
    """It says what to do."""
    with pytest.raises(ModelError, match="this one is a stream model"):
        BaseClassifier.load("demo")


_RUN = """
import sys
from movinet_lite.cli import main
status = main(["demo"])
assert not {"tensorflow", "keras"} & set(sys.modules), "loaded"
sys.exit(status)
"""


def test_the_command_works_at_once_and_offline(tmp_path, tmp_path_factory):
    """It prints the timeline and writes the animation, and never loads TensorFlow."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": "/nowhere",
            "HOME": str(tmp_path_factory.mktemp("home")),
            "MOVINET_LITE_OFFLINE": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("0:00.0  ")
    assert lines[-1].endswith(" jumping jacks")
    assert "last prediction: jumping jacks" in done.stderr
    assert "stream VIDEO --model a2" in done.stderr
    animation = tmp_path / "movinet_lite_demo.mp4"
    shown, clip = read_video_info(animation), read_video_info(demo.CLIP)
    assert (shown.fps, shown.num_frames) == (clip.fps, clip.num_frames)
    assert shown.fps >= 24  # the movement is smooth
    assert [path.name for path in tmp_path.iterdir()] == [animation.name]


@pytest.fixture
def short_clip(tmp_path_factory, monkeypatch):
    """Let the demo show the first two seconds of its clip, which take a third of the time to draw."""
    path = tmp_path_factory.mktemp("short") / "short.mp4"
    info = read_video_info(demo.CLIP)
    write_video(path, load_clip(demo.CLIP, end_s=2.0), fps=info.fps)
    monkeypatch.setattr(demo, "CLIP", path)


@pytest.mark.usefixtures("short_clip")
def test_the_command_speaks_json(tmp_path, capsys):
    """One object a line on the standard output, and the file where asked."""
    path = tmp_path / "shown.gif"
    assert main(["demo", "--json", "--output", str(path)]) == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert facts[0]["time_s"] == 0.0
    assert facts[-1]["top_k"][0]["label"] == "jumping jacks"
    assert path.read_bytes().startswith(b"GIF8")


def test_without_matplotlib_it_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    """The timeline is there all the same; but a file that was asked for is an error."""

    def missing():
        raise MissingDependencyError("matplotlib", "plot")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_command, "check_matplotlib", missing)
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert "jumping jacks" in out
    assert "pip install 'movinet-lite[plot]'" in err
    assert list(tmp_path.iterdir()) == []
    assert main(["demo", "--output", "x.mp4"]) == 1
