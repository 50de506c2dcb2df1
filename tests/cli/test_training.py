"""`fine-tune` and `evaluate` as a user types them: from a folder of videos to a model that streams."""

import io
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from movinet_lite import write_video
from movinet_lite.cli import main
from movinet_lite.cli.output import complain
from movinet_lite.cli.training_bar import work_bar
from movinet_lite.network.files import save_network
from movinet_lite.network.model import build_movinet
from tests.networks import tiny_variant
from tests.networks_table import TINY

COLOURS = {"going left": -1, "going right": 1}
SIZE = (32, 32)


def moving_block(direction, seed):
    """Return 12 frames of a light block that goes left or right over a dark ground, in another place for each seed."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 70, (64, 64, 3), np.uint8)
    top = int(rng.integers(4, 40))
    frames = []
    for number in range(12):
        left = 26 + direction * (2 * number - 12)
        frame = ground.copy()
        frame[top : top + 20, left : left + 12] = 230
        frames.append(frame)
    return np.stack(frames)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Return a folder of two classes with eight videos each, one more that is broken, and a network to start from."""
    folder = tmp_path_factory.mktemp("videos")
    for name, direction in COLOURS.items():
        (folder / name).mkdir()
        for number in range(8):
            path = folder / name / f"{number}.mp4"
            write_video(path, moving_block(direction, number), fps=5.0)
    (folder / "going left" / "broken.mp4").write_bytes(b"no video")
    (folder / "going left" / "notes.txt").touch()
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Return the file of a small untrained network."""
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    labels = ("a", "b")
    save_network(build_movinet("t0", "stream", 2, labels=labels, frame_size=SIZE), path)
    return path


@pytest.fixture(scope="module")
def small_start(tmp_path_factory):
    """Return the file of a smaller one, of a variant that this process alone knows."""
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    labels = ("a", "b")
    with tiny_variant(shallow=True):
        network = build_movinet(TINY.name, "stream", 2, labels=labels, frame_size=SIZE)
        save_network(network, path)
        yield path


def _run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "movinet_lite", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **options,
    )


@pytest.mark.slow
def test_from_a_folder_of_videos_to_a_stream(videos, start, tmp_path):
    """Trained, killed in the middle, resumed, evaluated, exported and streamed, each by its command."""
    output = tmp_path / "my_model"
    training = [
        "fine-tune", videos, "--model", start, "--output", output,
        *("--num-frames", "8", "--epochs", "4", "--batch-size", "4", "--no-flip"),
        "--freeze-backbone",
    ]  # fmt: skip

    # Killed after its first epoch, without a chance to tidy up.
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "movinet_lite", *map(str, training)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("1/4 "):
                process.send_signal(signal.SIGKILL)
    assert lines[0] == "2 classes, 13 videos for training, 4 for validation\n"

    # It does not overwrite what is there, and goes on where it was.
    refused = _run(*training)
    assert refused.returncode == 2
    assert (
        "this one exists (to continue the training run in it, use resume)"
        in refused.stderr
    )
    resumed = _run(*training, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    told = resumed.stdout.splitlines()
    assert told[1] == "resuming after epoch 1"
    assert [line.split()[0] for line in told[2:6]] == ["epoch", "2/4", "3/4", "4/4"]
    assert told[6].startswith(f"{output}: epoch ")
    assert "left out: " in resumed.stderr
    assert "broken.mp4" in resumed.stderr

    environment = {**os.environ, "MOVINET_LITE_CACHE": str(tmp_path / "cache")}
    judged = _run("evaluate", videos, "--model", output, "--json", env=environment)
    assert judged.returncode == 0, judged.stderr
    facts = json.loads(judged.stdout)
    assert facts["labels"] == list(COLOURS)
    assert facts["num_videos"] == 16
    assert len(facts["top_1_by_frame"]) == 12
    assert "broken.mp4" in judged.stderr

    file = tmp_path / "my_model.tflite"
    exported = _run("export", file, "--model", output, env=environment)
    assert exported.returncode == 0, exported.stderr
    video = videos / "going left" / "1.mp4"
    lines = [
        _run("stream", video, "--model", model, "--every", "--json", env=environment)
        for model in (output, file)
    ]
    assert [one.returncode for one in lines] == [0, 0]
    scores = [
        [json.loads(line)["top_k"][0]["score"] for line in one.stdout.splitlines()]
        for one in lines
    ]
    assert len(scores[0]) == 12
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)


def test_a_training_is_told_in_short_lines(
    videos, small_start, tmp_path, capfd, monkeypatch
):
    """Each line fits a terminal of 80 columns; nothing of TensorFlow's; at the end stands what to type next."""
    (tmp_path / "data").symlink_to(videos)
    output = tmp_path / "out"
    monkeypatch.chdir(tmp_path)  # the temporary folder's own name is long

    status = main(
        ["fine-tune", "data", "--model", str(small_start), "--output", "out", "--num-frames", "4", "--epochs", "2",
         "--freeze-backbone", "--no-augmentation", "--seed", "2"]
    )  # fmt: skip

    out, err = capfd.readouterr()
    assert status == 0
    lines = out.splitlines()
    assert max(map(len, lines)) < 80
    assert lines[0] == "2 classes, 13 videos for training, 4 for validation"
    titles = "epoch        loss   top-1  val. loss  val. top-1      time left"
    assert lines[1] == titles
    assert [line.split()[0] for line in lines[2:4]] == ["1/2", "2/2"]
    assert [len(line) for line in lines[2:4]] == [len(titles)] * 2
    assert lines[4].startswith("out: epoch ")
    assert lines[5:] == [
        "to use it:   movinet-lite stream clip.mp4 --model out",
        "to evaluate: movinet-lite evaluate data --model out --part validation --seed 2",
    ]
    first, second = err.splitlines()
    assert first.endswith(
        "left out 1 file: 'notes.txt': it does not have the extension of a video"
    )
    assert "warning: left out: data/going left/broken.mp4: " in second
    assert output.is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fine-tune", "{videos}/nothing", "--output", "x"], "there is no such folder or .csv file"),
        (["fine-tune", "{videos}/going left", "--output", "x"], "it contains no folder"),
        (["evaluate", "{videos}", "--model", "{videos}", "--part", "test"],
         "there are no videos in the split 'test'"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_anything_is_loaded(
    videos, capsys, arguments, message
):
    """One line, and exit status 2."""
    status = main([one.format(videos=videos) for one in arguments])
    assert status == 2
    out, err = capsys.readouterr()
    assert message in err
    assert sum("warning" not in line for line in err.splitlines()) == 1
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fine-tune", "x"], "the following arguments are required: --output"),
        (["fine-tune", "x", "--output", "y", "--epochs", "0"], "at least 1; got '0'"),
        (
            ["fine-tune", "x", "--output", "y", "--validation", "1"],
            "from 0 to 0.99; got '1'",
        ),
        (
            ["evaluate", "x", "--picture", "y.txt"],
            "must end in one of .pdf, .png, .svg",
        ),
    ],
)
def test_wrong_options_are_told(capsys, arguments, message):
    """With what is allowed."""
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_an_evaluation_can_be_looked_at(
    videos, small_start, tmp_path, capsys, monkeypatch
):
    """Text with the table of mistakes, and a picture of it."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    for name, source in (("a", "going left"), ("b", "going right")):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.mp4").symlink_to(videos / source / "1.mp4")
    picture = tmp_path / "confusion.png"

    status = main(
        [
            "evaluate",
            str(folder),
            "--model",
            str(small_start),
            "--confusion",
            "--picture",
            str(picture),
        ]
    )

    assert status == 0
    out = capsys.readouterr().out
    assert out.startswith("top-1 ")
    assert "most confused with" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


class _Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self):
        """Say that it is one."""
        return True


def test_a_note_stands_above_the_bar(monkeypatch):
    """What the library says while a bar is drawn is on lines of its own, not at the end of the bar's."""
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with work_bar() as bar:
        bar.show("loading a0")
        complain("note", "compiling a0")

    assert sys.stderr is terminal
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    lines = re.split(r"[\r\n]+", shown)
    assert "movinet-lite: note: compiling a0" in [line.strip() for line in lines]
