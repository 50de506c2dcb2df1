"""The library asks native libraries to be quiet, and leaves the process's standard error alone."""

import os
import subprocess
import sys

import pytest

from movinet_lite.engines.native import quiet_start


@pytest.mark.parametrize("given", [None, "0"])
def test_the_log_level_is_asked_for_unless_it_is_set(monkeypatch, given):
    """An application that wants the notes gets them."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    if given is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", given)
    with quiet_start():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == (given or "3")


def test_the_standard_error_stays_where_it_is_while_a_model_loads():
    """An application's lines, and the traceback of a crash, come out even if the process dies there."""
    code = (
        "import faulthandler, os\n"
        "from movinet_lite.engines.native import quiet_start\n"
        "where = os.fstat(2)\n"
        "with quiet_start():\n"
        "    assert os.path.samestat(where, os.fstat(2))\n"
        "    os.write(2, b'line of the application\\n')\n"
        "    os.abort()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stderr == "line of the application\n"
