"""The package as a whole: its public names, what importing it costs, which way imports go, and its version."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import movinet_lite

ROOT = Path(__file__).parents[1]
PACKAGE = Path(movinet_lite.__file__).parent

HEAVY = (
    "numpy",
    "tensorflow",
    "keras",
    "tf_keras",
    "ai_edge_litert",
    "llvmlite",
    "av",
    "matplotlib",
    "rich",
)
"""Packages that `import movinet_lite` must not load."""

LAYERS = (
    {"errors"},
    {"arrays", "atomic", "interrupts"},
    {"labels", "predictions", "video", "demo"},
    {"events"},
    {"network"},
    {"hub"},
    {"engines"},
    {"classifiers"},
    {"batch", "training", "show", "live"},
    {"testing"},
    {"benchmark"},
    {"__init__"},
    {"cli"},
    {"__main__"},
)
"""The modules and sub-packages, lowest first. One may import its own layer and those below."""


def _loaded_by(statement: str) -> set[str]:
    """Return which heavy packages are loaded after a fresh interpreter has run *statement*."""
    code = f"{statement}; import sys; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(found.stdout.split()) & set(HEAVY)


def test_import_is_light():
    """Importing the library loads nothing that computes, decodes or plots."""
    assert _loaded_by("import movinet_lite") == set()


def test_help_is_light():
    """The command line answers --help without loading anything heavy."""
    statement = "from movinet_lite.cli import main; main(['--help'])"

    assert _loaded_by(statement) == set()


def test_the_light_import_test_can_fail():
    """A heavy package that is imported is seen."""
    assert _loaded_by("import movinet_lite, rich") == {"rich"}


def test_all_is_sorted():
    """The public names stand in the order of the alphabet, each once."""
    assert movinet_lite.__all__ == sorted(set(movinet_lite.__all__))


def test_all_is_true():
    """Every public name is in __all__, comes from its module when it is used, and is known to type checkers."""
    tree = ast.parse(Path(movinet_lite.__file__).read_text(encoding="utf-8"))
    declared = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert declared == movinet_lite._HOMES
    assert set(declared) == set(movinet_lite.__all__) <= set(dir(movinet_lite))
    for name, module in declared.items():
        assert getattr(movinet_lite, name) is getattr(import_module(module), name)


def test_parts_of_the_package_need_no_import_of_their_own():
    """After `import movinet_lite`, the parts with public names are there, and a wrong name is an `AttributeError`."""
    code = (
        "import movinet_lite; print(movinet_lite.video.read_frames); movinet_lite.vide"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith("<function read_frames")
    assert "module 'movinet_lite' has no attribute 'vide'" in done.stderr


@pytest.mark.parametrize("name", sorted(movinet_lite.__all__))
def test_public_names_have_docstrings(name):
    """Every public name says what it is."""
    assert getattr(movinet_lite, name).__doc__


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _part_of(module: str) -> str:
    """Return which part of the package a module's dotted name belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _imported_parts(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "movinet_lite":
            names = [f"movinet_lite.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        found |= {
            _part_of(name) for name in names if name.split(".")[0] == PACKAGE.name
        }
    return found


def _layer_of(part: str) -> int:
    for height, layer in enumerate(LAYERS):
        if part in layer:
            return height
    raise AssertionError(f"{part} stands in no layer: add it to LAYERS")


@pytest.mark.parametrize(
    "path", _sources(), ids=lambda path: path.relative_to(PACKAGE).as_posix()
)
def test_imports_go_down(path):
    """No module imports from a layer above its own."""
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    too_high = {
        part for part in _imported_parts(path) if _layer_of(part) > _layer_of(own)
    }

    assert too_high == set()


def test_the_layer_test_can_fail(tmp_path):
    """An import from a layer above is seen, also inside a function."""
    path = tmp_path / "labels.py"
    path.write_text("def f():\n    from movinet_lite.engines import base\n")

    assert _imported_parts(path) == {"engines"}
    assert _layer_of("engines") > _layer_of("labels")


def test_versions_agree():
    """The package, pyproject.toml, the installed distribution and the changelog name one version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)

    assert newest is not None
    assert {
        movinet_lite.__version__,
        project["project"]["version"],
        importlib.metadata.version("movinet-lite"),
        newest[1],
    } == {movinet_lite.__version__}


def test_type_checkers_are_told():
    """The marker that lets type checkers read the annotations lies in the package."""
    assert (PACKAGE / "py.typed").is_file()
