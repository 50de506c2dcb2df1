"""The command line.

Results are printed to standard output, one per line; everything else goes to standard error. Commands only call the
library. A command is imported when it runs, and TensorFlow is loaded with the first readable video, so that ``--help``,
``labels``, ``models`` and usage errors respond immediately.

==============  ==========================================================================================
module          contents
==============  ==========================================================================================
`program`       `main`: parses the command line, runs a command, reports errors
`commands`      the list of commands
`demo`          ``demo``
`classify`      ``classify``
`stream`        ``stream``
`watch`         ``watch``
`watch_views`   the output of ``watch``: a table, lines or JSON
`batch`         ``batch``
`models`        ``models`` and ``labels``
`training`      ``fine-tune`` and ``evaluate``
`training_bar`  the progress bar of these commands
`fork_server`   the process that the workers of ``batch`` are forked from
`quiet`         keeps log lines of native libraries off the terminal
`export`        ``export``
`benchmark`     ``benchmark``
`videos`        shared by ``classify`` and ``stream``
`arguments`     shared options and argument types
`output`        output lines and exit statuses
==============  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; see `program.main`."""
    # Imported here, because each worker process of a batch begins by importing the program above it, but not what it runs.
    from movinet_lite.cli.program import main as run

    return run(argv)
