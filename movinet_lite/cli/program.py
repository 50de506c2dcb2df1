"""The entry point: parses the command line, runs a command, and reports errors.

A command is a function of a module of this package, which its ``add_commands`` adds to the parser, and a line in
`COMMANDS`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import NoReturn

import movinet_lite
from movinet_lite.cli.arguments import UsageError, examples_text
from movinet_lite.cli.commands import COMMANDS
from movinet_lite.cli.fork_server import start_fork_server
from movinet_lite.cli.output import (
    FAILED,
    INTERRUPTED,
    PIPE_CLOSED,
    PROGRAM,
    TERMINATED,
    WRONG_USAGE,
    complain,
)
from movinet_lite.cli.quiet import native_notes_held_back, quiet_exit
from movinet_lite.errors import DataError, LabelsError, MoViNetError, VariantError

__all__ = ["main", "make_parser"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        argv: The arguments after the program's name; `None` for those of the process.

    Returns:
        0 for success, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C, 141 if the reader of the output has closed
        it.

    Raises:
        SystemExit: After SIGTERM, with status 143.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may contain any bytes.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _ended_by_sigterm():
            status = _run(argv)
        if sys.stdout is not None:  # closed by the parent process
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output again at exit.
        _give_up_output()
        return PIPE_CLOSED
    except OSError as error:
        complain("error", f"the output cannot be written: {error}")
        _give_up_output()
        return FAILED
    return status


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that no file is left half-written."""

    def end(*_: object) -> NoReturn:
        raise SystemExit(TERMINATED)

    # Only the main thread may set signal handlers, and the parent process may ignore the signal.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _give_up_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv: Sequence[str] | None) -> int:
    # TensorFlow's messages below the level of errors are not useful to users of the command.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with native_notes_held_back(), _library_warnings(), _library_notes():
            try:
                args = _parse(argv)
            except SystemExit as stop:  # after --help, --version and wrong usage
                return int(stop.code or 0)
            return int(args.run(args))
    except (DataError, LabelsError, VariantError, UsageError) as error:
        complain("error", error)
        return WRONG_USAGE
    except MoViNetError as error:
        # The attempts to download a model take several lines.
        first, *rest = str(error).splitlines()
        complain("error", first)
        for line in rest:
            print(f"  {line.strip()}", file=sys.stderr)
        return FAILED
    finally:
        quiet_exit()


@contextlib.contextmanager
def _library_warnings() -> Iterator[None]:
    """Print the library's own warnings on one line each, and hide those for developers."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        complain("warning", message)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", module=r"movinet_lite\b")
        warnings.showwarning = show
        yield


class _Notes(logging.Handler):
    """Says what the library logs in one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        complain("note", record.getMessage())


@contextlib.contextmanager
def _library_notes() -> Iterator[None]:
    """Say what takes long: that a model is compiled, where it is kept, or that another process does so."""
    loggers = [
        logging.getLogger(name) for name in ("movinet_lite.engines", "movinet_lite.hub")
    ]
    levels = [logger.level for logger in loggers]
    notes = _Notes(logging.INFO)
    for logger in loggers:
        logger.addHandler(notes)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(notes)
            logger.setLevel(level)


class _CommandsFormatter(argparse.RawDescriptionHelpFormatter):
    """Reserves room for the longest command; argparse ignores the indentation of commands."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = len("    evaluate-events")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    words = sys.argv[1:] if argv is None else argv
    names = _named_in(words)
    # Without *argv* the process is the command's own.
    if argv is None and any(COMMANDS[name].has_workers for name in names):
        start_fork_server(words)
    return make_parser(names).parse_args(words)


def _named_in(argv: Sequence[str]) -> list[str]:
    """Return the command to run. What stands before it are options without values."""
    return [word for word in argv if word in COMMANDS][:1]


def make_parser(names: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of the command line: every command is listed, those of *names* have their options."""
    modules = {COMMANDS[name].module for name in names}
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Recognise actions in video with MoViNet.",
        epilog=examples_text(
            "demo                              try it without a download",
            "stream clip.mp4                   classify frame by frame",
            "events clip.mp4                   find events, with times",
            "classify *.mp4 --json             classify whole videos",
            "labels dancing                    labels that contain 'dancing'",
            "models                            list models",
            "fine-tune data/ --output my_model train on your own classes",
            "benchmark --stream a0             measure speed",
        ),
        formatter_class=_CommandsFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"{PROGRAM} {movinet_lite.__version__}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module, summary, _) in COMMANDS.items():
        if module not in modules:
            commands.add_parser(name, help=summary)
        elif name not in commands.choices:  # some modules have two
            import_module(f"movinet_lite.cli.{module}").add_commands(commands)
    return parser
