"""Drawn people doing whole-body actions: labelled clips to train a small model on, and to try the library with."""

from drawn_figures.actions import ACTIONS, DEMO_ACTIONS, NEW_ACTIONS
from drawn_figures.figures import render_clip
from drawn_figures.long_streams import PAUSE, DrawnStream, render_stream

__all__ = [
    "ACTIONS",
    "DEMO_ACTIONS",
    "NEW_ACTIONS",
    "PAUSE",
    "DrawnStream",
    "render_clip",
    "render_stream",
]
