"""What native libraries print while they start stays away from the terminal, and what anyone else prints does not."""

import logging
import os
import subprocess
import sys

import pytest

from movinet_lite.cli.program import _library_notes
from movinet_lite.cli.quiet import native_notes_held_back

NOTES = (
    "INFO: [environment.cc:36] Creating LiteRT environment with options",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "VERBOSE: Replacing 86 out of 86 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions",
    "WARNING: [npu_registry.cc:34] NPU accelerator could not be loaded and registered",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795660765.788423   10106 cudart_stub.cc:31] Could not find cuda drivers",
    "2026-01-01 10:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow",
)
LINES = (
    "INFO: the camera is on",
    "WARNING: disk almost full",
    "",
    "I0714 is the name of a camera",
    "2026-01-01 10:00:00.123456: I am here",
    "To enable the following, press return",
)


def said(line):
    """Write a line where native libraries write."""
    os.write(2, (line + "\n").encode())


def said_and_failed():
    """Write a line, then fail."""
    said("before the error")
    os.close(10**6)


def test_notes_are_held_back_and_lines_of_others_are_not(capfd):
    """Only what names a file of C++, or is known word by word, is a note."""
    with native_notes_held_back():
        for line in (*NOTES, *LINES):
            said(line)
    assert capfd.readouterr().err.splitlines() == list(LINES)


def test_lines_come_out_when_the_block_raises(capfd):
    """An error does not swallow what was said before it."""
    with pytest.raises(OSError, match="Bad file"), native_notes_held_back():
        said_and_failed()
    said("after it")
    assert capfd.readouterr().err.splitlines() == ["before the error", "after it"]


def test_python_writes_to_the_terminal_itself():
    """A progress bar and a line are seen at once, though the descriptor is redirected; after the block all is as before."""
    code = (
        "import os, sys\n"
        "from movinet_lite.cli.quiet import native_notes_held_back\n"
        "before = sys.stderr\n"
        "with native_notes_held_back():\n"
        "    assert sys.stderr.fileno() != 2\n"
        "    print('bar', end='', file=sys.stderr, flush=True)\n"
        "    os.write(2, b'INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n')\n"
        "    print(' and line', file=sys.stderr)\n"
        "assert sys.stderr is before\n"
        "os.write(2, b'INFO: [x.cc:1] after\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=True
    )
    assert done.stderr == "bar and line\nINFO: [x.cc:1] after\n"


def test_a_child_that_lives_on_holds_nothing_up():
    """The block ends with all that was said, the unfinished line too, while a child process keeps the descriptor open."""
    code = (
        "import os, subprocess, sys\n"
        "from movinet_lite.cli.quiet import native_notes_held_back\n"
        "with native_notes_held_back():\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "    os.write(2, b'line\\nunfinished')\n"
        "os.write(2, b' after\\n')\n"
        "child.communicate(b'\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == "line\nunfinished after\n"


def test_a_process_without_a_standard_error_starts():
    """A service may have closed it."""
    code = (
        "import os\n"
        "os.close(2)\n"
        "from movinet_lite.cli.quiet import native_notes_held_back\n"
        "with native_notes_held_back():\n"
        "    print('within')\n"
        "print('after')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "within\nafter\n"


def test_absl_is_held_back_and_other_loggers_are_not():
    """TensorFlow says a line for each operation of some models through Python; errors and other libraries are heard."""
    code = (
        "import logging\n"
        "from movinet_lite.cli.quiet import native_notes_held_back\n"
        "with native_notes_held_back():\n"
        "    from absl import logging as absl\n"
        "    absl.warning('ops with unsaved custom gradients')\n"
        "    absl.error('the disk is full')\n"
        "    logging.getLogger('camera').warning('no signal')\n"
        "assert not logging.root.handlers\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines() == [
        "ERROR:absl:the disk is full",
        "WARNING:camera:no signal",
    ]


def test_a_command_says_what_the_library_logs(capsys):
    """That a model is compiled takes long: one line of the standard error, piped or not, and no other module's notes."""

    def log():
        logging.getLogger("movinet_lite.engines").info("compiling a0")
        logging.getLogger("movinet_lite.engines").debug("took a0 from the cache")
        logging.getLogger("elsewhere").info("nothing to see")

    with _library_notes():
        log()
    assert capsys.readouterr().err == "movinet-lite: note: compiling a0\n"
    log()
    assert capsys.readouterr().err == ""
