"""What the README, the pages and the examples show is run; what they promise about files is true."""

import inspect
import os
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import attrs
import numpy as np
import pytest

from movinet_lite import (
    StreamingClassifier,
    demo,
    engines,
    kinetics_600_labels,
    write_video,
)
from movinet_lite.cli.program import make_parser
from movinet_lite.engines.base import ModelInfo
from movinet_lite.network import variants
from movinet_lite.testing import FakeStreamModel
from tests.networks_table import SHALLOW
from tests.saved_models import (
    COLOURS,
    write_base_saved_model,
    write_stream_saved_model,
)

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

DEMO_EXAMPLES = {
    "judge_demo_model": (("--clips", "12"), "top-1 "),
    "measure_watch": (("--cameras", "1", "--seconds", "2"), "1 cameras: "),
    "measure_events": (
        ("--streams", "2", "--tuned-on", "2", "--actions", "2"),
        "event F1, collar 1 s",
    ),
    "measure_few_shot": (
        (
            *("--choosing-seed", "0", "--measuring-seed", "100", "--clips", "3"),
            *("--taught", "2", "--draws", "1"),
        ),
        "chosen tolerance: ",
    ),
    "measure_live": (
        ("--restarts", "1", "--seconds", "1", "--timeout", "0.5"),
        "a silent server, tcp: reported after",
    ),
    "judge_long_streams": (("pairs", "--pairs", "1", "--history", "50"), "steady"),
    "make_pictures": (("pictures", "--side", "140"), "pictures/curves.png\n"),
    "teach_new_actions": (
        ("taught", "--clips", "2", "--epochs", "1", "--judge", "1"),
        "top-1 ",
    ),
    "train_demo_model": (
        (
            *("trained", "--variant", "t0", "--clips", "1", "--epochs", "1"),
            *("--long-clips", "1", "--long-epochs", "1"),
        ),
        "the best epoch is 1\n",
    ),
}
"""The examples about the model that ships with the package: what each is run with, and what it must print."""

SLOW = {"measure_live", "measure_watch", "teach_new_actions", "train_demo_model"}
"""Examples that take long, since they train or watch."""

EXAMPLE_ARGUMENTS = {
    "classify_folder": (".",),
    "curves_to_csv": ("clip.mp4",),
    "find_events": ("clip.mp4", "green", "--enter", "0.2"),
    "plot_video": ("clip.mp4", "curves.gif"),
    "several_streams": ("clip.mp4", "clip.mp4"),
    "stream_video": ("clip.mp4",),
}
"""What each example is run with, and what it must print."""

EXAMPLE_OUTPUT = {
    "classify_folder": "clip.mp4,green,",
    "curves_to_csv": "frame_index,time_s,green,",
    "find_events": "0.0 s to 2.0 s: green",
    "plot_video": "curves.gif\n",
    "several_streams": "clip.mp4: green\nclip.mp4: green\n",
    "stream_video": "    1.9 s  green 0.",
}


class _KineticsModel:
    """Stands in for the published models: 600 classes, and logits that depend on the frames."""

    def __init__(self, mode):
        self.info = ModelInfo(
            source="a0",
            mode=mode,
            engine="fake",
            num_classes=600,
            labels=kinetics_600_labels(),
            variant="a0",
            frame_size=(8, 8),
            fps=5.0,
        )

    def init_states(self, _frame_size):
        return {"state/head/pool_buffer": np.zeros((1, 600), np.float32)}

    def step(self, frames, states):
        total = states["state/head/pool_buffer"]
        rows = []
        for frame in frames:
            total = total + np.resize(frame, 600).astype(np.float32)
            rows.append(total[0])
        return np.stack(rows), {"state/head/pool_buffer": total}

    def predict(self, clips):
        return np.stack([np.resize(clip, 600) for clip in clips]).astype(np.float32)


@pytest.fixture
def clip_folder(tmp_path, monkeypatch):
    """The folder in which code runs, with a video of two seconds, mostly green."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 60, (20, 16, 16, 3), np.uint8)
    write_video("clip.mp4", noise + np.array([0, 120, 0], np.uint8), fps=10)
    return tmp_path


def _load_with(monkeypatch, load):
    """Let both classifiers load their models with *load*."""
    for module in ("session", "streams"):
        monkeypatch.setattr(f"movinet_lite.classifiers.{module}.load_model", load)


def _python_blocks(page):
    """Return the blocks of Python of a page, each with the block of text that comes next to it, which it prints."""
    blocks = re.findall(
        r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?",
        page.read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return [(code, printed) for code, printed in blocks if ">>>" not in code]


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if _python_blocks(page)],
    ids=lambda page: page.name,
)
@pytest.mark.usefixtures("clip_folder")
def test_python_on_a_page_runs(page, monkeypatch, capsys):
    """The Python of a page runs from top to bottom as it stands, and prints what stands below it."""

    def load(source, mode, **options):
        if source == "demo":
            return engines.load_model(source, mode, **options)
        return _KineticsModel(mode)

    _load_with(monkeypatch, load)
    # What a page builds is not looked at, and the real one takes four times as long.
    monkeypatch.setitem(variants._VARIANTS, "t0", attrs.evolve(SHALLOW, name="t0"))
    namespace = {"__name__": page.stem}
    for code, printed in _python_blocks(page):
        capsys.readouterr()
        exec(compile(code, str(page), "exec"), namespace)  # noqa: S102 - our own page
        if printed:
            assert capsys.readouterr().out == printed


class _SmallFrames:
    """A model that was trained on small frames, ten a second."""

    def __init__(self, model):
        self._model = model
        self.info = attrs.evolve(model.info, frame_size=(16, 16), fps=10.0)

    def __getattr__(self, name):
        return getattr(self._model, name)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders with a stream model and a base model, by the name of the class that takes them."""
    folder = tmp_path_factory.mktemp("models")
    found = {
        "StreamingClassifier": write_stream_saved_model(folder / "stream"),
        "BaseClassifier": write_base_saved_model(folder / "base"),
    }
    for path in found.values():
        (path / "labels.txt").write_text("\n".join(COLOURS))
    return found


@pytest.mark.parametrize(
    "example",
    [path for path in EXAMPLES if path.stem not in DEMO_EXAMPLES],
    ids=lambda path: path.stem,
)
@pytest.mark.usefixtures("clip_folder")
def test_example_runs(example, models, monkeypatch, capsys):
    """The example prints what it is meant to, with a real model and a real video."""
    text = example.read_text("utf-8")
    kind = next(name for name in models if f"{name}.load" in text)

    def load(source, mode, **options):
        model = engines.load_model(source, mode, **{**options, "engine": "tensorflow"})
        return _SmallFrames(model)

    _load_with(monkeypatch, load)
    arguments = [*EXAMPLE_ARGUMENTS[example.stem], "--model", str(models[kind])]
    monkeypatch.setattr(sys, "argv", [str(example), *arguments])

    runpy.run_path(str(example), run_name="__main__")

    assert EXAMPLE_OUTPUT[example.stem] in capsys.readouterr().out


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else [])
        for path in EXAMPLES
        if path.stem in DEMO_EXAMPLES
    ],
    ids=lambda path: path.stem,
)
def test_example_about_the_demo_runs(example, tmp_path):
    """In a process of its own, as a reader runs it, only shorter."""
    arguments, expected = DEMO_EXAMPLES[example.stem]
    done = subprocess.run(
        [sys.executable, str(example), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MOVINET_LITE_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    if example.stem == "train_demo_model":
        written = {path.name for path in (tmp_path / "trained").glob("demo.*")}
        assert written == {"demo.tflite", "demo.safetensors", "demo.mp4"}


@pytest.mark.parametrize(
    ("example", "arguments"),
    [
        ("stream_video", ["{clip}", "--model", "demo"]),
        ("curves_to_csv", ["{clip}", "--model", "demo"]),
        ("find_events", ["{clip}", "--model", "demo", "--enter", "0.1"]),
    ],
)
def test_an_example_ends_in_silence_when_its_reader_has_gone(example, arguments):
    """As behind `| head -1`: no traceback, also not from Python's last words."""
    command = [sys.executable, str(ROOT / "examples" / f"{example}.py")]
    command += [one.format(clip=demo.CLIP) for one in arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as done:
        assert done.stdout is not None
        done.stdout.close()
        _, errors = done.communicate()
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_says_how_to_run_it(example):
    """The docstring of an example ends with the command that runs it."""
    docstring = example.read_text("utf-8").split('"""')[1]

    assert f"python examples/{example.name} " in docstring


def _commands():
    """Return each movinet-lite command that a page shows."""
    return sorted(
        {
            line.removeprefix("$ ").split("movinet-lite ", 1)[1].split(" | ")[0]
            for page in PAGES
            for block in re.findall(
                r"^```(?:console)?\n(.*?)^```",
                page.read_text("utf-8"),
                re.MULTILINE | re.DOTALL,
            )
            for line in block.splitlines()
            if line.startswith("$ movinet-lite ")
        }
    )


@pytest.mark.parametrize("command", _commands())
def test_command_on_a_page_is_understood(command):
    """Every command that a page shows has options that exist, with values that they take."""
    assert make_parser().parse_args(shlex.split(command)).run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    """A link to a file of the project names one that exists."""
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_ci_runs_the_test_command_of_the_readme():
    """What a reader is told to run is what CI runs."""
    readme = (ROOT / "README.md").read_text("utf-8")
    command = re.search(r"<!-- test command -->\n```console\n(.*)\n```", readme)

    assert command is not None
    line = command[1].replace("python3 ", '"$python" ', 1) + " || exit 1"
    assert line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


def test_the_picture_of_the_package_is_true():
    """The page on the design shows each module and sub-package of the package, and no other."""
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    picture = page.split("```text\nmovinet_lite/\n")[1].split("\ntests/")[0]
    shown = {line.split()[0].rstrip("/") for line in picture.splitlines()}
    package = ROOT / "movinet_lite"
    modules = {path.name for path in package.glob("*.py")}
    folders = {path.parent.name for path in package.glob("*/__init__.py")}

    assert shown | {"__main__.py"} == modules | folders


def test_the_picture_of_the_native_engine_is_true():
    """It names each module and sub-package of that engine, and no other."""
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    picture = page.split("```text\nmovinet_lite/engines/native/\n")[1].split("```")[0]
    shown = set(re.findall(r"\w+\.py|\w+(?=/ )", picture))
    folder = ROOT / "movinet_lite" / "engines" / "native"
    modules = {path.name for path in folder.glob("*.py")} - {"__init__.py"}

    assert shown == modules | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }


def test_the_way_of_a_frame_is_true(clip_folder):
    """A frame passes what the page on the design lists, in this order, on its way from a file to a prediction."""
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    steps = [
        pkgutil.resolve_name(name)
        for name in re.findall(
            r"^\d\. `([\w.]+)`",
            page.replace("`StreamModel", "`movinet_lite.testing.FakeStreamModel"),
            re.MULTILINE,
        )
    ]
    # What makes a value is written by attrs: of a class counts whatever is called in its module.
    places = [
        inspect.getsourcefile(step) if inspect.isclass(step) else step.__code__
        for step in steps
    ]
    passed: list[object] = []

    def note(frame, event, _):
        if event == "call":
            passed.extend((frame.f_code, frame.f_code.co_filename))

    session = StreamingClassifier(FakeStreamModel(), horizon_s=None)
    threading.setprofile(note)  # for the thread that decodes
    sys.setprofile(note)
    try:
        session.predict_video(clip_folder / "clip.mp4")
    finally:
        sys.setprofile(None)
        threading.setprofile(None)

    assert len(steps) == 8
    first = [passed.index(place) for place in places]
    assert first == sorted(first)
