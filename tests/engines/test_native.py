"""What native libraries print while they start stays away, and what anyone else prints does not."""

import os
import subprocess
import sys
import threading

import pytest

from movinet_lite.engines.native import quiet_start

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
    with quiet_start():
        for line in (*NOTES, *LINES):
            said(line)
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err.splitlines() == list(LINES)


def test_lines_come_out_when_the_block_raises(capfd):
    """An error does not swallow what was said before it."""
    with pytest.raises(OSError, match="Bad file"), quiet_start():
        said_and_failed()
    said("after it")
    assert capfd.readouterr().err.splitlines() == ["before the error", "after it"]


@pytest.mark.parametrize("function", ["dup", "dup2"])
def test_an_interrupt_while_a_block_begins_loses_nothing(capfd, monkeypatch, function):
    """Ctrl-C may come between any two steps of it."""
    real = getattr(os, function)

    def interrupted(*arguments):
        monkeypatch.undo()
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, function, interrupted)
    with pytest.raises(KeyboardInterrupt), quiet_start():
        pass
    said("after the interrupt")
    with quiet_start():
        said("in the next block")
    assert capfd.readouterr().err.splitlines() == [
        "after the interrupt",
        "in the next block",
    ]


def test_blocks_of_threads_do_not_wait_for_each_other(capfd):
    """A thread enters and leaves while another is within; the last one out prints."""
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with quiet_start():
            said("long block")
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=stay)
    thread.start()
    assert inside.wait(60)
    with quiet_start():
        said("short block")
    assert capfd.readouterr().err == ""
    leave.set()
    thread.join()
    assert capfd.readouterr().err.splitlines() == ["long block", "short block"]


def test_a_process_without_a_standard_error_starts():
    """A service may have closed it."""
    code = (
        "import os\n"
        "os.close(2)\n"
        "from movinet_lite.engines.native import quiet_start\n"
        "with quiet_start():\n"
        "    print('within')\n"
        "print('after')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "within\nafter\n"
