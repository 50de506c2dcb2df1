"""The list of commands.

The module of a command is imported when it runs, so that the others cost it nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["COMMANDS", "Command"]


class Command(NamedTuple):
    """A command.

    Attributes:
        module: The name of its module in this package.
        summary: A short description for the list of commands.
        has_workers: Whether it starts worker processes.
    """

    module: str
    summary: str
    has_workers: bool = False


COMMANDS: Final = {
    "demo": Command("demo", "run the demo that ships with the package"),
    "classify": Command("classify", "classify whole videos"),
    "stream": Command("stream", "classify videos frame by frame"),
    "events": Command("events", "find events in videos, with onset and offset"),
    "batch": Command(
        "batch", "process many videos and write a row for each", has_workers=True
    ),
    "evaluate-events": Command(
        "annotated", "evaluate event detection on annotated videos"
    ),
    "tune-events": Command("annotated", "tune event detection on annotated videos"),
    "models": Command("models", "list the named models"),
    "labels": Command("models", "list labels"),
    "fine-tune": Command("training", "fine-tune a model on your own videos"),
    "evaluate": Command(
        "training", "measure the accuracy of a model on labelled videos"
    ),
    "teach": Command("teach", "teach a model new classes from a few clips"),
    "watch": Command("watch", "watch cameras and report events as they happen"),
    "calibrate": Command(
        "calibrate", "calibrate the scores of a model on labelled videos"
    ),
    "export": Command("export", "export a model to LiteRT, ONNX or SavedModel"),
    "benchmark": Command("benchmark", "measure speed on this machine"),
}
"""The commands by name, in the order of ``--help``."""
