"""What works where TensorFlow is not installed, and what is said where it would be needed."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from movinet_lite import demo

ROOT = Path(__file__).parents[1]
LEFT_OUT = {"llvmlite", "setuptools", "tensorflow", "tensorflow-hub"}
"""What a device does without."""

WHAT_TO_INSTALL = (
    "this requires the package 'tensorflow', which is not installed; "
    "install it with: pip install tensorflow"
)

WITHOUT_TENSORFLOW = """
import contextlib, importlib, io, json, pkgutil, sys

MISSING = {"google", "kagglehub", "keras", "tensorflow", "tensorflow_hub", "tf_keras"}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""

COMMANDS = """
from movinet_lite.cli import main
for arguments in json.loads(sys.argv[1]):
    errors, output = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
        status = main(arguments)
    print(json.dumps([status, output.getvalue(), errors.getvalue()]))
"""

MODULES = """
import movinet_lite
for module in pkgutil.walk_packages(movinet_lite.__path__, "movinet_lite."):
    if module.name == "movinet_lite.__main__":
        continue
    try:
        importlib.import_module(module.name)
    except movinet_lite.MissingDependencyError as error:
        print(json.dumps([module.name, str(error)]))
"""


def without_tensorflow(code, *arguments):
    """Return what *code* prints, a JSON value a line, where TensorFlow is not installed."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def names_and_bounds(lines):
    """Return the packages of *lines* without comments."""
    bare = (line.partition("#")[0].strip() for line in lines)
    return {line for line in bare if line}


def test_a_device_needs_what_the_package_needs_without_tensorflow():
    """`requirements-edge.txt` lists the dependencies of the package, with their bounds, but for what is left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {
        line for line in project["dependencies"] if not line.startswith(tuple(LEFT_OUT))
    }
    listed = (ROOT / "requirements-edge.txt").read_text().splitlines()
    assert names_and_bounds(listed) == needed


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What commands answer where TensorFlow is not installed: name to (status, output, errors)."""
    folder = tmp_path_factory.mktemp("edge")
    videos = folder / "videos"
    for name in ("one", "two"):
        (videos / name).mkdir(parents=True)
        for copy in "ab":
            (videos / name / f"{copy}.mp4").write_bytes(demo.CLIP.read_bytes())
    clip, weights = str(demo.CLIP), str(demo.WEIGHTS)
    commands = {
        "stream": ["stream", clip, "--model", "demo"],
        "watch": [
            *("watch", f"door={clip}", "--model", "demo"),
            *("--clips", str(folder / "clips"), "--json"),
        ],
        "as it is": ["stream", clip, "--model", weights, "--engine", "tensorflow"],
        "compile": ["stream", clip, "--model", weights, "--frame-size", "32x32"],
        "fine-tune": [
            *("fine-tune", str(videos), "--model", "demo"),
            *("--output", str(folder / "model")),
        ],
        "export": ["export", str(folder / "x.tflite"), "--model", "demo"],
        "benchmark": ["benchmark", "--stream", weights, "--calls", "1", "--no-starts"],
        "training speed": ["benchmark", "--training", "a0"],
    }
    lines = without_tensorflow(COMMANDS, json.dumps(list(commands.values())))
    return dict(zip(commands, lines, strict=True))


def test_compiled_models_run_without_tensorflow(answers):
    """A compiled model streams where TensorFlow is not installed."""
    status, output, errors = answers["stream"]
    assert (status, errors) == (0, "")
    assert "jumping jacks" in output


def test_cameras_are_watched_without_tensorflow(answers):
    """`watch` finds events and writes their clips where TensorFlow is not installed."""
    status, output, errors = answers["watch"]
    lines = [json.loads(line) for line in output.splitlines()]
    ended = [line for line in lines if line.get("state") == "ended"]
    clips = [line for line in lines if line["kind"] == "clip"]
    assert (status, errors) == (0, "")
    assert "jumping jacks" in {line["label"] for line in ended}
    assert Path(clips[0]["path"]).stat().st_size > 0


@pytest.mark.parametrize(
    "command",
    ["as it is", "compile", "fine-tune", "export", "benchmark", "training speed"],
)
def test_what_needs_tensorflow_says_what_to_install(answers, command):
    """A command that needs TensorFlow says in one line what to install where it is missing."""
    status, _, errors = answers[command]
    assert status == 1
    *_, last = errors.splitlines()
    assert last == f"movinet-lite: error: {WHAT_TO_INSTALL}"
    assert "Traceback" not in errors


def test_every_module_loads_or_says_what_to_install():
    """Each module of the library loads without TensorFlow, or its error says what to install."""
    refused = dict(without_tensorflow(MODULES))
    assert "movinet_lite.network.model" in refused
    for name in ("onnx", "onnx_nodes"):
        assert refused.pop(f"movinet_lite.network.{name}").endswith(
            "install it with: pip install 'movinet-lite[onnx]'"
        )
    assert set(refused.values()) == {WHAT_TO_INSTALL}
