"""The process that the workers of a command are forked from."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="workers are forked on Linux only"
)

_PROGRAM = """
import multiprocessing, signal, sys
from movinet_lite.cli.fork_server import start_fork_server

def say():
    from movinet_lite.batch import pool
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    print(*({"av", "ai_edge_litert", "tensorflow"} & before), signal.SIGINT in blocked)

before = set(sys.modules)
if __name__ == "__main__":
    start_fork_server(sys.argv[1:])
    print(multiprocessing.get_start_method(allow_none=True), flush=True)
    if multiprocessing.get_start_method(allow_none=True):
        from movinet_lite.batch.pool import _context
        process = _context().Process(target=say)
        process.start()
        process.join()
"""


def _run(tmp_path, *options):
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, program, *options], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_worker_begins_with_what_it_needs_and_without_ctrl_c(tmp_path):
    """Imports are there before the worker begins, but for TensorFlow, and Ctrl-C does not end it before it can tell."""
    method, *imported, is_held_back = _run(tmp_path, "videos", "--output", "x.jsonl")

    assert method == "forkserver"
    assert set(imported) == {"av", "ai_edge_litert"}
    assert is_held_back == "True"


@pytest.mark.parametrize("option", ["--help", "-h", "--ray", "--ray=10.0.0.1:6379"])
def test_no_process_starts_where_the_command_has_no_workers(tmp_path, option):
    """Help and Ray need none."""
    assert _run(tmp_path, "videos", option) == ["None"]
