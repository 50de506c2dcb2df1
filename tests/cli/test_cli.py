"""The command line: what it prints, to where, and its exit status."""

import builtins
import json
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import movinet_lite
import movinet_lite_command
from movinet_lite import (
    BaseClassifier,
    StreamingClassifier,
    demo,
    kinetics_600_labels,
    read_frames,
    write_video,
)
from movinet_lite.cli import main
from movinet_lite.cli.program import make_parser
from tests.saved_models import (
    COLOURS,
    write_base_saved_model,
    write_stream_saved_model,
)

RED, GREEN, BLUE = (200, 20, 20), (20, 200, 20), (20, 20, 200)
SIZE = (16, 24)
FPS = 5
OPTIONS = ("--fps", str(FPS), "--frame-size", "16x24", "--engine", "tensorflow")


def write_colours(path, *parts):
    """Write a video that shows one colour after the other: pairs of a colour and a number of frames."""
    frames = [
        np.full((*SIZE, 3), colour, np.uint8) for colour, n in parts for _ in range(n)
    ]
    write_video(path, frames, fps=FPS)
    return str(path)


@pytest.fixture(scope="module")
def stream_model(tmp_path_factory):
    """The folder of a stream model that knows its labels."""
    path = write_stream_saved_model(tmp_path_factory.mktemp("models") / "stream")
    (path / "labels.txt").write_text("\n".join(COLOURS))
    return str(path)


@pytest.fixture(scope="module")
def base_model(tmp_path_factory):
    """The folder of a base model that knows its labels."""
    path = write_base_saved_model(tmp_path_factory.mktemp("models") / "base")
    (path / "labels.txt").write_text("\n".join(COLOURS))
    return str(path)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video of two seconds: red, then green."""
    path = tmp_path_factory.mktemp("videos") / "red_green.mp4"
    return write_colours(path, (RED, 4), (GREEN, 6))


@pytest.fixture(scope="module")
def blue_video(tmp_path_factory):
    """A video of one second in blue."""
    return write_colours(tmp_path_factory.mktemp("videos") / "blue.mp4", (BLUE, 5))


@pytest.fixture
def run(capsys):
    """Return a function that runs the command line: arguments to status, lines printed and errors."""

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    return run


@pytest.fixture
def run_json(run):
    """Return a function that runs a command that must go well: arguments to the objects printed."""

    def run_json(*arguments):
        status, lines, errors = run(*arguments, "--json")
        assert (status, errors) == (0, "")
        return [json.loads(line) for line in lines]

    return run_json


def in_a_process(*arguments, **options):
    """Return a command line that runs in a process of its own, its output in pipes."""
    # What runs the tests may have told its children to ignore interrupts.
    code = (
        "import signal, sys; from movinet_lite.cli import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# classify


def test_classify_names_the_most_probable_actions(run, base_model, blue_video):
    """A video's actions are printed with their probabilities, the most probable first."""
    status, lines, errors = run("classify", blue_video, "--model", base_model, *OPTIONS)

    assert (status, errors) == (0, "")
    assert lines[0].endswith("  blue")
    assert sorted(line[6:] for line in lines) == sorted(COLOURS)
    scores = [float(line[:4]) for line in lines]
    assert scores == sorted(scores, reverse=True)


def test_classify_gives_what_the_library_gives(run_json, base_model, video):
    """The scores are those of `BaseClassifier.predict` on the same frames, to the last digit."""
    (found,) = run_json("classify", video, "--model", base_model, *OPTIONS)

    classifier = BaseClassifier.load(
        base_model, engine="tensorflow", frame_size=SIZE, fps=FPS
    )
    prediction = classifier.predict(list(read_frames(video, fps=FPS)))
    assert found["video"] == video
    assert found["num_frames"] == 10
    assert [entry["label"] for entry in found["top_k"]] == [
        label for label, _ in prediction.top_k(5)
    ]
    np.testing.assert_allclose(
        [entry["score"] for entry in found["top_k"]],
        [score for _, score in prediction.top_k(5)],
        rtol=1e-6,
    )


def test_classify_counts_each_frame_of_a_long_video_the_same(
    run_json, base_model, tmp_path
):
    """A video of one clip and a fifth counts the frames of the last clip that are new as a sixth of all."""
    path = write_colours(tmp_path / "long.mp4", (RED, 50), (BLUE, 10))
    (found,) = run_json("classify", path, "--model", base_model, *OPTIONS)

    classifier = BaseClassifier.load(
        base_model, engine="tensorflow", frame_size=SIZE, fps=FPS
    )
    frames = list(read_frames(path, fps=FPS))
    first, last = classifier.predict_many([frames[:50], frames[10:]])
    expected = (50 * first.probabilities + 10 * last.probabilities) / 60
    by_label = {entry["label"]: entry["score"] for entry in found["top_k"]}
    assert found["num_frames"] == 60
    np.testing.assert_allclose(
        [by_label[label] for label in COLOURS], expected, rtol=1e-5
    )


def test_classify_takes_a_part_of_a_video(run_json, base_model, video):
    """Between --start and --end only the colour shown there is seen."""
    arguments = ("classify", video, "--model", base_model, *OPTIONS)

    (before,) = run_json(*arguments, "--end", "0.8")
    (after,) = run_json(*arguments, "--start", "0.8")

    assert (before["num_frames"], before["top_k"][0]["label"]) == (4, "red")
    assert (after["num_frames"], after["top_k"][0]["label"]) == (6, "green")


def test_several_videos_are_told_apart(run, base_model, video, blue_video):
    """Of several videos each begins with a line that names it."""
    options = ("--model", base_model, *OPTIONS, "--top-k", "1")
    _, lines, _ = run("classify", video, blue_video, *options)

    assert [lines[0], lines[2]] == [video, blue_video]
    assert lines[3].endswith("blue")


def test_classify_takes_a_stream_model(run, run_json, stream_model, video, blue_video):
    """A stream model answers once a file, with what it says after the last frame of that file alone."""
    options = ("--model", stream_model, *OPTIONS, "--top-k", "3")
    found = run_json("classify", video, blue_video, *options)
    streamed = [
        run_json("stream", path, *options, "--every")[-1]
        for path in (video, blue_video)
    ]
    assert [line["top_k"] for line in found] == [line["top_k"] for line in streamed]
    assert [line["num_frames"] for line in found] == [10, 5]
    assert [line["video"] for line in found] == [video, blue_video]
    status, lines, errors = run("classify", blue_video, *options, "--top-k", "1")
    assert (status, errors) == (0, "")
    assert lines == [f"{found[1]['top_k'][0]['score']:.2f}  blue"]


def test_classify_takes_the_demo_and_published_tflite_files(run_json, shared_data):
    """Stream models that are files answer for whole videos, those of others included."""
    (found,) = run_json("classify", demo.CLIP, "--model", "demo", "--top-k", "1")
    assert found["top_k"][0]["label"] == "jumping jacks"
    model, clip = shared_data("movinet_a0_int8.tflite"), shared_data("jumpingjack.gif")
    (found,) = run_json("classify", clip, "--model", model, "--top-k", "1")
    assert found["top_k"][0]["label"] == "jumping jacks"
    assert found["top_k"][0]["score"] > 0.99


def test_classify_says_what_is_wrong_with_a_file(run, video, tmp_path):
    """A file that is no model at all is one clear error."""
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"broken")
    status, lines, errors = run("classify", video, "--model", path)
    assert (status, lines) == (1, [])
    assert "the name ends in .tflite" in errors


# stream


def test_stream_prints_a_line_when_another_action_leads(run, stream_model, video):
    """A change of the leading action is one line with the time, the probability and the name."""
    status, lines, errors = run("stream", video, "--model", stream_model, *OPTIONS)

    assert (status, errors) == (0, "")
    assert [line.split()[2] for line in lines] == ["red", "green"]
    assert lines[0].startswith("0:00.0  0.")
    assert re.fullmatch(r"0:01\.\d  0\.\d\d green", lines[1])


def test_stream_gives_what_the_library_gives(run_json, stream_model, video):
    """With --every each frame is one object, with the scores of `StreamingClassifier.step`, to the last digit."""
    found = run_json(
        "stream", video, "--model", stream_model, *OPTIONS, "--every", "--top-k", "4"
    )

    classifier = StreamingClassifier.load(
        stream_model, engine="tensorflow", frame_size=SIZE, fps=FPS
    )
    expected = [
        {"video": video, **classifier.step(frame).to_dict(4)}
        for frame in read_frames(video, fps=FPS)
    ]
    assert found == expected


def test_stream_begins_each_video_afresh(run_json, stream_model, video, blue_video):
    """What a video shows does not depend on the video before it."""
    options = ("--model", stream_model, *OPTIONS, "--every")

    together = run_json("stream", video, blue_video, *options)
    alone = run_json("stream", blue_video, *options)

    assert [found for found in together if found["video"] == blue_video] == alone


def test_two_runs_print_the_same(run, stream_model, video):
    """The output of a command is the same in every run."""
    command = ("stream", video, "--model", stream_model, *OPTIONS, "--every", "--json")

    assert run(*command) == run(*command)


def test_stream_takes_the_frame_rate_asked_for(run_json, stream_model, video):
    """At half the frame rate half the frames are taken, at their own times."""
    options = ("--model", stream_model, "--fps", "2.5", *OPTIONS[2:], "--every")
    found = run_json("stream", video, *options)

    assert [entry["time_s"] for entry in found] == pytest.approx(
        [0, 0.4, 0.8, 1.2, 1.6]
    )
    assert [entry["frame_index"] for entry in found] == [0, 1, 2, 3, 4]


# Filters


def test_filters_leave_the_probabilities_as_they_are(run_json, base_model, video):
    """--allow and --deny choose among the actions and change no score."""
    arguments = ("classify", video, "--model", base_model, *OPTIONS)
    ((everything,), (allowed,), (denied,)) = (
        run_json(*arguments),
        run_json(*arguments, "--allow", "blue", "--allow", "red"),
        run_json(*arguments, "--deny", "blue", "--deny", "red"),
    )

    pairs = [(entry["label"], entry["score"]) for entry in everything["top_k"]]
    assert [(e["label"], e["score"]) for e in allowed["top_k"]] == [
        pair for pair in pairs if pair[0] in {"blue", "red"}
    ]
    assert [(e["label"], e["score"]) for e in denied["top_k"]] == [
        pair for pair in pairs if pair[0] not in {"blue", "red"}
    ]


def test_what_no_action_reaches_is_a_dash(run, base_model, stream_model, video):
    """Where nothing passes the threshold, `classify` says '-', and `stream` only once something has passed."""
    sure = ("--threshold", "1", *OPTIONS)
    red = ("--allow", "red", "--threshold", "0.7", *OPTIONS)

    assert run("classify", video, "--model", base_model, *sure) == (0, ["-"], "")
    assert run("stream", video, "--model", stream_model, *sure) == (0, [], "")
    _, lines, _ = run("stream", video, "--model", stream_model, *red)
    assert [line.split()[-1] for line in lines] == ["red", "-"]


# Failures


def test_a_bad_file_does_not_stop_the_rest(
    run, base_model, video, blue_video, tmp_path
):
    """A file that is no video is one line on the standard error; the others are done, and the status is 1."""
    bad = tmp_path / "notes.mp4"
    bad.write_text("no video")
    options = ("--model", base_model, *OPTIONS, "--top-k", "1")

    status, lines, errors = run("classify", video, bad, blue_video, *options)

    assert status == 1
    assert lines[2].startswith(blue_video)
    assert lines[3].endswith("blue")
    assert errors.startswith(f"movinet-lite: error: {bad}: ")
    assert errors.count("\n") == 1


def test_a_missing_file_is_told_before_a_model_is_loaded(run, tmp_path):
    """A mistyped path costs no download."""
    missing = tmp_path / "missing.mp4"

    status, lines, errors = run("stream", missing, "--model", "a5")

    assert (status, lines) == (1, [])
    assert errors.startswith(f"movinet-lite: error: {missing}: ")


def test_an_error_is_one_line(run, tmp_path):
    """A name of a file with a line end in it does not break the line."""
    status, _, errors = run("classify", tmp_path / "a\nb.mp4")

    assert (status, errors.count("\n")) == (1, 1)


def test_a_model_that_is_not_there_is_said_once(run, video, blue_video, tmp_path):
    """A model that cannot be had ends the command with status 1 and says how to get it by hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOVINET_LITE_CACHE", str(tmp_path))
        status, lines, errors = run("stream", video, blue_video, "--offline")

    assert (status, lines) == (1, [])
    assert errors.startswith("movinet-lite: error: a0: ")
    assert "https://" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["classify"], "required: VIDEO"),
        (["listen", "a.mp4"], "invalid choice: 'listen'"),
        (["stream", "a.mp4", "--to-k", "3"], "unrecognized arguments"),
        (["stream", "a.mp4", "--top-k", "0"], "whole number, at least 1; got '0'"),
        (["stream", "a.mp4", "--top-k", "1.5"], "whole number, at least 1; got '1.5'"),
        (["stream", "a.mp4", "--threads", "-1"], "number from 1 to 1024; got '-1'"),
        (["stream", "a.mp4", "--threads", "99999"], "from 1 to 1024; got '99999'"),
        (
            ["benchmark", "--stream", "a0", "--engine", "litert"],
            "--engine needs --profile; got --engine litert alone",
        ),
        (["benchmark", "--threads", "99999"], "from 1 to 1024; got '99999'"),
        (["benchmark"], "needs --stream MODEL or --base MODEL"),
        (["stream", "a.mp4", "--start", "1e300"], "1000000000 seconds; got '1e300'"),
        (["classify", "a.mp4", "--end", "1e300"], "1000000000 seconds; got '1e300'"),
        (["stream", "a.mp4", "--fps", "0"], "a number above 0; got '0'"),
        (["stream", "a.mp4", "--fps", "nan"], "a number above 0; got 'nan'"),
        (["stream", "a.mp4", "--fps", "inf"], "a number above 0; got 'inf'"),
        (["stream", "a.mp4", "--threshold", "2"], "from 0 to 1; got '2'"),
        (["stream", "a.mp4", "--frame-size", "172"], "such as 172x172; got '172'"),
        (["stream", "a.mp4", "--frame-size", "0x9"], "such as 172x172; got '0x9'"),
        (
            ["stream", "a.mp4", "--start", "-1"],
            "from 0 to 1000000000 seconds; got '-1'",
        ),
        (["stream", "a.mp4", "--engine", "pytorch"], "invalid choice: 'pytorch'"),
        (["stream", "a.mp4", "--start", "2", "--end", "1"], "--end must be later"),
        (["labels", "a", "b"], "unrecognized arguments: b"),
    ],
)
def test_wrong_usage(run, arguments, said):
    """What cannot be meant is status 2, and the message says the rule and what came."""
    status, lines, errors = run(*arguments)

    assert (status, lines) == (2, [])
    assert said in errors


@pytest.mark.parametrize("option", ["--allow", "--deny"])
def test_an_unknown_action_offers_the_nearest(run, video, option):
    """A mistyped name of an action is status 2 before any model is loaded, and near names are offered."""
    status, lines, errors = run("stream", video, option, "carving icee")

    assert (status, lines) == (2, [])
    assert "'carving ice'" in errors
    assert errors.count("\n") == 1


def test_an_unknown_action_of_ones_own_model(run, stream_model, video):
    """Names are checked against the labels of the model that is used."""
    options = ("--model", stream_model, *OPTIONS)
    status, _, errors = run("stream", video, *options, "--allow", "gren")

    assert status == 2
    assert "'green'" in errors


def test_an_unknown_model_lists_the_known_ones(run, video):
    """A model that is no name, address or path is status 2, and the names are listed."""
    status, _, errors = run("stream", video, "--model", "a9")

    assert status == 2
    assert "a0, a1, a2, a3, a4, a5" in errors


def test_labels_that_do_not_fit_the_model(run, stream_model, video, tmp_path):
    """A file with too few labels is status 2 and says both counts."""
    path = tmp_path / "labels.txt"
    path.write_text("red\ngreen\n")
    options = ("--model", stream_model, *OPTIONS, "--labels", path)

    status, _, errors = run("stream", video, *options)

    assert status == 2
    assert "4 classes" in errors
    assert "2 names" in errors


def test_a_model_that_does_not_know_its_frame_rate(run, stream_model, video):
    """Where nobody says how many frames to take, the command asks, and takes none."""
    options = ("--model", stream_model, *OPTIONS[2:])
    status, lines, errors = run("stream", video, *options)

    assert (status, lines) == (2, [])
    assert "--fps" in errors


def test_a_base_model_does_not_stream(run, base_model, video):
    """The wrong kind of model is an error that says so."""
    status, _, errors = run("stream", video, "--model", base_model, *OPTIONS)

    assert status == 1
    assert "stream model" in errors


# models, labels, help


def test_labels_lists_the_names_that_contain_a_pattern(run):
    """The names of Kinetics-600 are searched in upper and lower case."""
    assert run("labels", "ICE CREAM") == (0, ["eating ice cream"], "")
    assert run("labels")[1] == list(kinetics_600_labels())


def test_labels_of_a_file(run, run_json, tmp_path):
    """Labels of a file are listed with their place among the model's classes."""
    path = tmp_path / "labels.txt"
    path.write_text("walking\nrunning\n")

    assert run("labels", "--labels", path)[1] == ["walking", "running"]
    assert run_json("labels", "run", "--labels", path) == [
        {"index": 1, "label": "running"}
    ]


def test_labels_that_do_not_exist(run):
    """A pattern that no name contains is an error, not an empty answer."""
    status, lines, errors = run("labels", "quidditch")

    assert (status, lines) == (1, [])
    assert "quidditch" in errors


def test_models_lists_what_is_there(run, run_json, tmp_path, monkeypatch):
    """Each model is listed with its frame size, frame rate and accuracy; the demo alone needs no download."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path))

    found = run_json("models")
    _, lines, _ = run("models")

    names = ["demo", "a0", "a1", "a2", "a3", "a4", "a5"]
    assert [entry["model"] for entry in found] == names
    assert (found[0]["frame_size"], found[0]["cached"]) == ([96, 96], ["stream"])
    assert found[3] == {
        "model": "a2",
        "frame_size": [224, 224],
        "fps": 5.0,
        "clip_frames": 50,
        "base_top_1": 78.62,
        "stream_top_1": 78.4,
        "cached": [],
    }
    assert re.match(r"a2 +224 x 224 +5 +50 +78\.62 +78\.40 +-", lines[4])
    assert str(tmp_path) in lines[-2]


@pytest.mark.parametrize(
    "command",
    [
        *("demo", "classify", "stream", "models", "labels"),
        *("fine-tune", "evaluate", "export", "benchmark"),
    ],
)
def test_help_shows_examples(run, command):
    """The help of each command ends with examples of it, which the command line takes."""
    status, lines, _ = run(command, "--help")

    examples = [
        shlex.split(line)[1:] for line in lines if line.startswith("  movinet-lite ")
    ]
    assert status == 0
    assert examples[0][0] == command
    assert all(make_parser().parse_args(example).run for example in examples)


def test_version(run):
    """--version prints the version of the package."""
    assert run("--version") == (0, [f"movinet-lite {movinet_lite.__version__}"], "")


def test_python_runs_the_package():
    """`python -m movinet_lite` is the command line."""
    found = subprocess.run(
        [sys.executable, "-m", "movinet_lite", "labels", "ice cream"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert (found.stdout, found.stderr) == ("eating ice cream\n", "")


def test_json_is_documented():
    """Every key that a command prints stands on the page about the command line."""
    page = Path(__file__).parents[2].joinpath("docs", "cli.md").read_text("utf-8")
    keys = ["video", "num_frames", "top_k", "label", "score", "frame_index", "time_s"]
    keys += ["model", "frame_size", "fps", "clip_frames", "cached", "index"]

    assert [
        key for key in keys if f"`{key}`" not in page and f".{key}`" not in page
    ] == []


# A process of its own


def test_nothing_else_reaches_the_terminal(stream_model, video):
    """TensorFlow starts without a word on the standard error."""
    with in_a_process("stream", video, "--model", stream_model, *OPTIONS) as process:
        output, errors = process.communicate()

    assert (process.returncode, errors) == (0, "")
    assert len(output.splitlines()) == 2


def test_ctrl_c_ends_quietly(stream_model, tmp_path):
    """An interrupt in the middle of a video is status 130 and not a word on the standard error."""
    path = write_colours(tmp_path / "long.mp4", (RED, 3000))
    options = ("--model", stream_model, *OPTIONS, "--every")
    with in_a_process("stream", path, *options) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()

    assert (process.returncode, errors) == (130, "")


def test_sigterm_leaves_nothing_half_written(tmp_path):
    """A command that is ended, as by a service manager, takes the file with it that it was writing."""
    path = write_colours(tmp_path / "long.mp4", (RED, 3000))
    output = tmp_path / "new" / "out.mp4"
    output.parent.mkdir()
    options = ("--model", "demo", "--every", "--output", str(output))
    with in_a_process("stream", path, *options) as process:
        while not list(output.parent.iterdir()):
            assert process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()

    assert (process.returncode, errors) == (143, "")
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "statuses"),
    # argparse hides from us whether its help was read.
    [(["labels"], {141}), (["models"], {141}), (["labels", "--help"], {0, 141})],
)
def test_a_closed_pipe_ends_quietly(arguments, statuses):
    """Output that nobody reads is not a word on the standard error."""
    with in_a_process(*arguments) as process:
        process.stdout.close()
        errors = process.stderr.read()

    assert errors == ""
    assert process.returncode in statuses


def test_a_pipe_closed_in_the_middle_ends_a_stream(tmp_path):
    """A stream whose reader has seen enough ends before its video does, without a word."""
    path = write_colours(tmp_path / "long.mp4", (RED, 3000))
    with in_a_process("stream", path, "--model", "demo", "--every") as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()

    assert (process.returncode, errors) == (141, "")


def test_quick_commands_load_nothing_heavy():
    """What needs no model is answered without TensorFlow, LiteRT or a video library."""
    commands = [["labels", "ice"], ["models"], ["--help"]]
    code = (
        "import sys; from movinet_lite.cli import main; "
        f"assert [main(one) for one in {commands}] == [0, 0, 0]; "
        "print(*sys.modules, file=sys.stderr)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert "movinet_lite" in found.stderr.split()
    assert not {"tensorflow", "keras", "ai_edge_litert", "av", "matplotlib"} & set(
        found.stderr.split()
    )


# Against the Model Garden


@pytest.mark.oracle
def test_a_real_model_streams_a_video(
    run, run_json, oracle_export, tmp_path, monkeypatch
):
    """A model of the Model Garden gives twice the same lines, the scores of feeding the same frames by hand."""
    monkeypatch.setenv("MOVINET_LITE_CACHE", str(tmp_path / "cache"))
    model = oracle_export("a0_stream_hub_7") / "saved_model"
    frames = np.random.default_rng(5).integers(0, 255, (30, 9, 12, 3), np.uint8)
    path = tmp_path / "noise.mp4"
    write_video(
        path,
        [np.kron(frame, np.ones((20, 20, 1), np.uint8)) for frame in frames],
        fps=15,
    )
    labels = ("--labels", "kinetics-600")
    options = ("--model", model, *labels, "--every", "--top-k", "600")

    status, lines, notes = run("stream", path, *options, "--json")
    assert status == 0
    assert [line.split()[2] for line in notes.splitlines()] == [
        "compiling",
        "compiled",
        "making",
    ]
    first = [json.loads(line) for line in lines]
    second = run_json("stream", path, *options)

    classifier = StreamingClassifier.load(model, labels="kinetics-600")
    by_hand = [
        classifier.step(frame).to_dict(600) for frame in read_frames(path, fps=5)
    ]
    assert len(first) == 10
    assert first == second
    # The engine adds up one frame a call in another order than many.
    for line, alone in zip(first, by_hand, strict=True):
        assert (line["video"], line["time_s"]) == (str(path), alone["time_s"])
        scores, expected = (
            {one["label"]: one["score"] for one in seen["top_k"]}
            for seen in (line, alone)
        )
        assert scores == pytest.approx(expected, rel=1e-4, abs=0)


def test_more_actions_than_there_are_are_all_of_them(run, stream_model, video):
    """However large `--top-k`, all actions are named and nothing else happens."""
    options = ("--model", stream_model, *OPTIONS, "--every")
    for k in ("99", "9" * 30):
        status, lines, errors = run("stream", video, *options, "--top-k", k)
        assert (status, errors) == (0, "")
        assert all(len(line.split("  ")) == 1 + len(COLOURS) for line in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_in_a_circle_are_one_clear_error(run, stream_model, video, tmp_path):
    """A video that links to itself cannot be read; as the place of an output it is replaced."""
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    options = ("--model", stream_model, *OPTIONS)
    status, lines, errors = run(
        "stream", loop, *options, "--output", tmp_path / "o.mp4"
    )
    assert (status, lines) == (1, [])
    assert "Too many levels of symbolic links" in errors
    status, _, errors = run("stream", video, *options, "--output", loop)
    assert "Traceback" not in errors
    assert status in {0, 1}


def test_ctrl_c_while_the_command_starts_ends_quietly(monkeypatch):
    """An interrupt while the package is still being imported gives status 130 and no traceback."""

    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(builtins, "__import__", interrupted)
    status = movinet_lite_command.main()
    monkeypatch.undo()
    assert status == 130


def test_the_installed_command_is_the_one_outside_the_package():
    """What is installed as ``movinet-lite`` imports the package only where an interrupt is caught."""
    project = tomllib.loads(
        (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    )["project"]
    assert project["scripts"] == {"movinet-lite": "movinet_lite_command:main"}
    code = "import sys, movinet_lite_command; print('movinet_lite' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_labels_of_a_model_that_does_not_know_its_frame_size(run, tmp_path):
    """They stand beside a SavedModel of others; nothing is loaded for them."""
    (tmp_path / "saved_model.pb").write_bytes(b"never read")
    status, lines, errors = run("labels", "--model", tmp_path)
    assert (status, lines) == (1, [])
    assert "the model must have labels; it has none" in errors
    (tmp_path / "labels.txt").write_text("walking\nrunning\n")

    assert run("labels", "--model", tmp_path) == (0, ["walking", "running"], "")


def test_labels_of_a_model(run):
    """`labels --model` lists the classes of that model, in their order."""
    labels = StreamingClassifier.load("demo").labels
    assert run("labels", "--model", "demo") == (0, list(labels), "")
    assert run("labels", "--model", demo.WEIGHTS) == (0, list(labels), "")
    status, lines, errors = run("labels", "dancing", "--model", "a5", "--offline")
    assert (status, errors) == (0, "")
    assert lines == [name for name in kinetics_600_labels() if "dancing" in name]


def test_help_lists_each_command_in_one_line(run, monkeypatch):
    """In a terminal of 80 columns each command stands beside what it does, and the examples fit."""
    monkeypatch.setenv("COLUMNS", "80")
    _, lines, _ = run("--help")
    assert all(len(line) <= 80 for line in lines)
    assert "    fine-tune        fine-tune a model on your own videos" in lines
