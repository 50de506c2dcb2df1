"""How Sphinx builds the pages."""

from __future__ import annotations

import re
from typing import Any

import movinet_lite

project = "movinet_lite"
author = "the movinet_lite developers"
copyright = author
version = release = movinet_lite.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"movinet_lite {version}"

# A name in single backticks links to what it names, where that is on these pages.
default_role = "py:obj"
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Names from elsewhere (Python, numpy) and aliases of types have no page here to link to.
nitpick_ignore_regex = [("py:(class|obj|data|func|exc|meth|attr|mod)", ".*")]


def list_references(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:  # noqa: ARG001
    """Turn the numbered references at the end of a docstring into a list."""
    if "References:" not in lines:
        return
    for number in range(lines.index("References:") + 1, len(lines)):
        line = lines[number]
        is_item = re.match(r" {4}\[\d+\]", line)
        lines[number] = line.replace("    ", "    - " if is_item else "      ", 1)


def setup(app: Any) -> None:
    """Run before Napoleon reads the docstrings."""
    app.connect("autodoc-process-docstring", list_references, priority=400)
